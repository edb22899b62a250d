--- `local st = require "stlua.safe"`: the functions of stlua that return nil, message, code instead of throwing its
-- errors.
-- Mistakes of the program itself (a nil called, an error of its own in a callback) are thrown as ever. Methods of
-- models and tensors throw; wrap them in `st.call(model.save, model, path)`, or use `st.save(model, path, opts)`.
-- Layer: Lua, above the module stlua.

local errors = require "stlua.errors"
local st = require "stlua"

local function answer(ok, ...)
   if ok then return ... end
   local e = ...
   if not errors.is(e) then error(e, 0) end
   return nil, e.message, e.code
end

local safe = {}

for name, value in pairs(st) do
   safe[name] = value
   if type(value) == "function" then
      safe[name] = function(...) return answer(pcall(value, ...)) end
   end
end

--- Calls any function safely.
-- @return its results, or nil, message, code
function safe.call(fn, ...)
   return answer(pcall(fn, ...))
end

return safe
