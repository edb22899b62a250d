--- Elements chosen by their places, or by a mask, as functions and methods of tensors. Places count from 1, negative
-- ones from the end, in tensors of them, too.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local map = require "stlua.map"
local shape = require "stlua.shape"
local sizes = require "stlua.sizes"

local pick = {}

local function check_tensor(who, t, what)
   if not map.is_tensor(t) then
      errors.throwf("arg", "%s: %s expected, not a %s", who, what or "a tensor",
         map.is_model(t) and "model (use st.map)" or type(t))
   end
end

-- Places of a script as the core's, from 0, of a dimension with n elements. What is out of range stays so.
local function from_zero(who, places, n)
   check_tensor(who, places, "a tensor of places")
   local kind = dtype.kind[places:dtype()]
   if kind ~= "int" and kind ~= "uint" then
      errors.throwf("dtype", "%s: places are integers, not %s%s", who, places:dtype(),
         kind == "bool" and " (for a mask see masked_select)" or "")
   end
   if kind == "uint" then return core.cast(places, "I64") - 1 end
   places = core.cast(places, "I64")
   local from_end = core.apply("mul", places:lt(0), places:ge(-n))
   return core.apply("where", from_end, places + n, places - 1)
end

-- A dimension as 1..n; a tensor without any takes 1 and -1.
local function dim_of(who, dim, t)
   return sizes.dim(who, dim, math.max(t:ndim(), 1))
end

--- The function for t[key]: st.index(t, 2), st.index(t, { { 1, 4 }, {} }). With several keys, one for each dimension:
-- st.index(t, { 1, 4 }, {}) is the same.
-- @tparam tensor t
-- @param ... integers, and slices { first, last, step }
-- @treturn tensor|number a view; of one element its number
function pick.index(t, ...)
   check_tensor("index", t)
   return t[select("#", ...) == 1 and (...) or { ... }]
end

--- Elements along a dimension by a tensor of places: the result has the shape of `index`, which is not larger than `t`
-- in the other dimensions.
-- @tparam tensor t
-- @tparam integer dim
-- @tparam tensor index integers, of as many dimensions as `t`
-- @treturn tensor deferred
-- @raise "shape"; "arg", when computed, for a place that there is not
-- @torch torch.gather
function pick.gather(t, dim, index)
   check_tensor("gather", t)
   check_tensor("gather", index, "a tensor of places")
   dim = dim_of("gather", dim, t)
   local have, want = t:shape(), index:shape()
   if #have ~= #want then
      errors.throwf("shape", "gather: the index has %d dimensions, the tensor %d", #want, #have)
   end
   local n = have[dim] or 1
   for d = 1, #have do
      if d ~= dim then
         if want[d] > have[d] then
            errors.throwf("shape", "gather: the index has size %d in dimension %d, the tensor %d", want[d], d, have[d])
         end
         t = t:narrow(d, 1, want[d])
      end
   end
   return core.take(t, dim, from_zero("gather", index, n))
end

--- Slices of a dimension by their places, in that order: rows of a table of embeddings, say. Only these are read.
-- @tparam tensor t
-- @tparam integer dim
-- @tparam tensor index integers, of one dimension (or none)
-- @treturn tensor deferred
-- @raise "shape"; "arg", when computed, for a place that there is not
-- @torch torch.index_select
function pick.index_select(t, dim, index)
   check_tensor("index_select", t)
   dim = dim_of("index_select", dim, t)
   local wide = t:shape()
   local places = from_zero("index_select", index, wide[dim] or 1)
   if places:ndim() > 1 then
      errors.throwf("shape", "index_select: the index has %d dimensions, one is expected", places:ndim())
   end
   places = places:reshape(-1)
   if #wide == 0 then return core.index_select(t:reshape(1), 1, places):reshape {} end
   if dim < #wide then return core.index_select(t, dim, places) end
   wide[dim] = #places
   return core.take(t, dim, places:expand(wide))      -- single elements: whole rows are read
end

--- The elements where a mask is true, as a vector. Shapes broadcast. Computes: how many there are is not known before.
-- @tparam tensor t
-- @tparam tensor mask BOOL
-- @treturn tensor
-- @raise "shape", "dtype"; "limit" for more than st.memory() allows
-- @torch torch.masked_select
function pick.masked_select(t, mask)
   check_tensor("masked_select", t)
   check_tensor("masked_select", mask, "a mask")
   if mask:dtype() ~= "BOOL" then errors.throwf("dtype", "masked_select: the mask is %s, not BOOL", mask:dtype()) end
   local wide = core.apply("where", mask, t, false):shape()
   return core.masked_select(t:expand(wide), mask:expand(wide))
end

--- Where elements are not 0: a row of places for each, one place for each dimension. Computes: how many there are is
-- not known before.
-- @tparam tensor t
-- @treturn tensor I64, of (elements, dimensions)
-- @raise "limit" for more than st.memory() allows
-- @torch torch.nonzero
function pick.nonzero(t)
   check_tensor("nonzero", t)
   local places, wide, columns = core.masked_select(nil, t), t:shape(), {}
   for d = #wide, 1, -1 do
      columns[d] = places % wide[d] + 1
      places = places // wide[d]
   end
   if #wide == 0 then return places:reshape(#places, 1):narrow(2, 1, 0) end
   return shape.stack(columns, 2):clone()
end

for name, fn in pairs(pick) do core.Tensor[name] = fn end

return pick
