--- Functions of tensors made functions of models, too: they are applied to the tensors of one name at a time.
-- Layer: Lua, above stlua.core.

local errors = require "stlua.errors"
local map = require "stlua.map"

local lift = {}

--- True if there is a model among the arguments.
function lift.any_model(...)
   for i = 1, select("#", ...) do
      if map.is_model((select(i, ...))) then return true end
   end
   return false
end

-- Where the models among the operands are, in order from operand `lead` on: the result keeps the first one's dtypes.
local function find_models(name, operands, lead)
   local models, place = {}, {}
   for k = 0, operands.n - 1 do
      local i = (lead - 1 + k) % operands.n + 1
      local x = operands[i]
      if map.is_model(x) then
         models[#models + 1] = x
         place[i] = #models
      elseif map.is_tensor(x) or type(x) == "string" or type(x) == "boolean" then
         errors.throwf("arg", "%s: a model goes with models and numbers, not with a %s", name,
            map.is_tensor(x) and "tensor (use st.map)" or type(x))
      end
   end
   return models, place
end

--- Applies `fn` to the tensors of one name at a time: models among the operands give theirs, numbers and options stay.
-- @tparam string name for messages
-- @tparam table node how lineage writes it
-- @tparam function fn
-- @tparam integer lead the operand whose dtypes the result keeps, where it is a model
-- @param ... operands
function lift.over_models(name, node, fn, lead, ...)
   local operands, written = table.pack(...), {}
   local models, place = find_models(name, operands, lead)
   for i = 1, operands.n do
      if place[i] or type(operands[i]) == "number" then written[#written + 1] = operands[i] end
   end
   local function one(_, ...)
      local args = {}
      for i = 1, operands.n do
         args[i] = place[i] and select(place[i], ...) or operands[i]
      end
      return fn(table.unpack(args, 1, operands.n))
   end
   return map.run(models, one, { fixed = "copy", operands = written, node = node })
end

--- The function of tensors that each was made of which for_models gave: its comment describes both.
lift.of_tensors = setmetatable({}, { __mode = "k" })

--- Makes a function of tensors one that takes models as well, tensor by tensor; options and nil go through.
-- @tparam string name
-- @tparam function fn
-- @treturn function
function lift.for_models(name, fn)
   local function both(...)
      if not lift.any_model(...) then return fn(...) end
      return lift.over_models("st." .. name, { call = name }, fn, 1, ...)
   end
   lift.of_tensors[both] = fn
   return both
end

return lift
