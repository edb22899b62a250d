--- Methods of tensors that end in `_`: they change the tensor, and all views of it, and return it. Expressions that
-- were built before go on seeing the old values. Computed at once.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local elementwise = require "stlua.elementwise"
local errors = require "stlua.errors"
local ops = require "stlua.ops"

local Tensor = core.Tensor

local RANK = { bool = 0, uint = 1, int = 1, float = 2 }

-- As torch: the result's dtype may be narrower than the operation gives, but not of a lower kind.
local function check_kind(result, t, who)
   local got, own = result:dtype(), t:dtype()
   if (RANK[dtype.kind[got]] or 3) > (RANK[dtype.kind[own]] or 3) then
      errors.throwf("dtype", "%s: the result is %s, which cannot be written into a tensor of %s", who, got, own)
   end
   return result
end

local function add(name, fn)
   local who = name .. "_"
   --- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
   -- @tparam tensor t
   -- @param ... the other operands
   -- @raise "arg" for a file's tensor, which is read-only (clone it); "dtype" for a result of a higher kind; "shape"
   --   where the result does not fit
   Tensor[who] = function(t, ...)
      return core.assign(t, check_kind(fn(t, ...), t, who))
   end
end

for _, op in ipairs(core.ops) do
   if op.result ~= "where" then add(op.name, Tensor[op.name]) end
end
for name, fn in pairs(elementwise) do add(name, fn) end
add("clamp", ops.clamp)
add("clip", ops.clip)
add("lerp", ops.lerp)

--- Writes another tensor's values into this one, broadcast and cast.
-- @tparam tensor other or a number
-- @treturn tensor the same
-- @torch Tensor.copy_
function Tensor:copy_(other) return core.assign(self, other) end

--- Writes one number everywhere.
--
--     > t = st.zeros(2, 2)
--     > t[1]:fill_(7)
--     Tensor[2 F32, 8 B]
--       7.0000  7.0000
--     > t
--     Tensor[2x2 F32, 16 B]
--       7.0000  7.0000
--       0.0000  0.0000
-- @tparam number value
-- @treturn tensor the same
-- @torch Tensor.fill_
function Tensor:fill_(value) return core.assign(self, value) end

--- Writes 0 everywhere.
-- @treturn tensor the same
-- @torch Tensor.zero_
function Tensor:zero_() return core.assign(self, 0) end
