--- What the values of a model's floats tell of it: a file in F32 may hold no more than F16 or BF16.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"

local precision = {}

local TENSORS, ELEMENTS = 8, 512     -- of a sample: 16 KiB are read

-- Whether a number in F32, as bits, is one of BF16, and one of F16.
local function narrower(bits)
   local exponent, mantissa = bits >> 23 & 255, bits & 0x7fffff
   local is_f16
   if bits & 0x7fffffff == 0 then
      is_f16 = true
   elseif exponent == 255 or exponent >= 113 and exponent <= 142 then
      is_f16 = mantissa & 0x1fff == 0
   else      -- one of F16's subnormals: fewer bits are left
      is_f16 = exponent >= 103 and exponent < 113 and mantissa & (1 << (13 + 113 - exponent)) - 1 == 0
   end
   return bits & 0xffff == 0, is_f16
end

-- Looks at the first elements of one tensor in F32.
local function look(t, found)
   local n = math.min(t:numel(), ELEMENTS)
   local bytes = t:bytes("F32", 1, n)
   for at = 1, #bytes, 4 do
      local bits = ("<I4"):unpack(bytes, at)
      if bits & 0x7fffffff ~= 0 then
         local bf16, f16 = narrower(bits)
         found.bf16, found.f16, found.numbers = found.bf16 and bf16, found.f16 and f16, found.numbers + 1
         if not (found.bf16 or found.f16) then return end
      end
   end
end

--- Whether the tensors in F32 seem to hold less: a sample over the model, a few KiB of each of some tensors.
-- @treturn ?table { dtype = "BF16" or "F16", sampled = tensors looked at }; nil where the values need F32, or there are
--   none
function precision.sample(model)
   local found = { bf16 = true, f16 = true, numbers = 0 }
   local count, tensors, last = model:count(), 0, 0
   for k = 0, 4 * TENSORS - 1 do
      local at = 1 + k * (count - 1) // math.max(4 * TENSORS - 1, 1)
      if at > count or tensors == TENSORS then break end
      local _, kind, shape = model:info(at)
      if at ~= last and kind == "F32" and #shape > 0 and (shape[1] or 0) > 0 then
         local t = model:tensor(at)
         if t:numel() >= 16 and not t:quant() then
            local ok, e = pcall(look, t, found)
            if not ok and not errors.is(e) then error(e, 0) end
            tensors = tensors + 1
         end
      end
      last = at
      if not (found.bf16 or found.f16) then return nil end
   end
   if found.numbers < 64 then return nil end
   return { dtype = found.bf16 and "BF16" or "F16", sampled = tensors }
end

-- Whether the first elements leave it open: few tensors that need F32 are looked at any further.
local function may_be_narrow(t)
   local found = { bf16 = true, f16 = true, numbers = 0 }
   look(t, found)
   return found.bf16 or found.f16
end

-- How many values of a tensor in F32 are not those of a narrower dtype.
local function lost(t, to) return core.apply("ne", t, t:cast(to):cast("F32")):count_nonzero() end

--- The same of all values: the dtype that holds every one of them, in the order BF16, F16; and their statistics, handed
-- to `each` as they are computed.
-- @tparam model model
-- @tparam ?{integer,...} list positions of the tensors; nil for all
-- @tparam function each(name, row) row as st.stats gives it
-- @treturn table { tensors, nan = tensors with NaN, inf = tensors with infinities, f32, bf16, f16 = tensors in F32, and
--   of them those whose values are all BF16's, or F16's; skipped = tensors that are not computed on }
function precision.measure(model, list, each)
   local stats = require "stlua.stats"
   local sum = { tensors = 0, nan = core.array {}, inf = core.array {}, f32 = 0, bf16 = 0, f16 = 0, skipped = 0 }
   for k = 1, list and #list or model:count() do
      local i = list and list[k] or k
      local name, t = model:name(i), model:tensor(i)
      local more = {}
      local is_f32 = t:dtype() == "F32" and t:numel() > 0 and not t:quant()
      if is_f32 and may_be_narrow(t) then more = { lost(t, "BF16"), lost(t, "F16") } end
      local row = stats.of(t, more)
      sum.tensors = sum.tensors + 1
      if row.skipped then sum.skipped = sum.skipped + 1 end
      if (row.nan or 0) > 0 then table.insert(sum.nan, name) end
      if (row.inf or 0) > 0 then table.insert(sum.inf, name) end
      if is_f32 then sum.f32 = sum.f32 + 1 end
      if more[1] then
         -- A NaN is unequal to itself, whatever the dtype.
         if more[1]:item() <= row.nan then sum.bf16 = sum.bf16 + 1 end
         if more[2]:item() <= row.nan then sum.f16 = sum.f16 + 1 end
      end
      each(name, row)
   end
   return sum
end

--- True for models with floats.
function precision.has_floats(dtypes)
   for name in pairs(dtypes) do
      if dtype.is_float(name) then return true end
   end
   return false
end

return precision
