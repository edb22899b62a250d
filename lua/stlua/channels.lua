--- Models for inpainting (9 input channels) and for editing by instruction (8) beside plain ones (4): the four
-- channels they have in common are merged, the others stay the first model's.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local text = require "stlua.text"

local channels = {}

--- Whether shapes differ in that the first has 8 or 9 input channels where the second has 4.
function channels.extra(shape, plain)
   if #shape ~= 4 or #plain ~= 4 or plain[2] ~= 4 or (shape[2] ~= 8 and shape[2] ~= 9) then return false end
   return shape[1] == plain[1] and shape[3] == plain[3] and shape[4] == plain[4]
end

--- Whether the shapes of a row of `fit.gather` may differ in this way.
function channels.may_differ(row)
   return row.holder == 1 and channels.extra(row.shape, row.odd.shape)
end

-- The first tensor cut to what the others have, and the rest of it; the rest is nil where nothing is to be cut.
local function cut(name, tensors)
   local shape, differs = tensors[1]:shape(), false
   for i = 2, #tensors do differs = differs or channels.extra(shape, tensors[i]:shape()) end
   if not differs then return nil end
   for i = 2, #tensors do
      if not channels.extra(shape, tensors[i]:shape()) then
         local message = "%s: of models merged into one with %d input channels all must have 4, model %d has %s"
         errors.throw("shape", message:format(text.quote(name), shape[2], i, text.shape(tensors[i]:shape())),
            { tensor = name })
      end
   end
   local rest = tensors[1]:narrow(2, 5, shape[2] - 4)
   tensors[1] = tensors[1]:narrow(2, 1, 4)
   return rest
end

--- The callback of st.map that gives such tensors to `fn` as plain ones.
function channels.wrap(fn)
   return function(name, first, ...)
      if not first or select("#", ...) == 0 then return fn(name, first, ...) end
      local tensors = { first, ... }
      local rest = #tensors > 1 and cut(name, tensors) or nil
      if not rest then return fn(name, first, ...) end
      return core.cat({ fn(name, table.unpack(tensors)), rest }, 2)
   end
end

return channels
