--- Functions on tensors, numbers and whole models: one per operation of the core, and lerp, clamp.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local lift = require "stlua.lift"
local map = require "stlua.map"

local ops = {}

local INFIX = {
   add = { infix = " + ", rank = 1, associative = true }, sub = { infix = " - ", rank = 1 },
   mul = { infix = " * ", rank = 2, associative = true }, div = { infix = " / ", rank = 2 },
   neg = { infix = "-", rank = 3 },
}

-- What `where` chooses from counts before the mask.
local LEAD = { where = 2 }

--- Applies an operation by name; what st.add, st.where, st.exp ... and the operators of models do.
-- @tparam string name
-- @param ... tensors and numbers, or models and numbers
-- @return a deferred tensor, or a model
function ops.apply(name, ...)
   if not lift.any_model(...) then return core.apply(name, ...) end
   return lift.over_models("st." .. name, INFIX[name] or { call = name },
      function(...) return core.apply(name, ...) end, LEAD[name] or 1, ...)
end

-- A number as the arithmetic of this dtype sees it: F64 keeps it, everything else rounds to F32.
local function in_precision(x, t, u)
   for _, operand in ipairs { t, u } do
      if map.is_tensor(operand) and operand:dtype() == "F64" then return x end
   end
   return (string.unpack("<f", string.pack("<f", x)))
end

local function lerp(a, b, t)
   if type(t) == "number" then
      t = in_precision(t, a, b)
      if math.abs(t) < 0.5 then return a + t * (b - a) end
      return b - (b - a) * in_precision(1 - t, a, b)
   end
   return core.apply("where", t:abs():lt(0.5), a + t * (b - a), b - (b - a) * (1 - t))
end

--- Linear interpolation, (1 - t) * a + t * b, computed as torch.lerp does (ATen/native/Lerp.h): a + t * (b - a)
-- where |t| < 0.5, else b - (b - a) * (1 - t). So t = 0 gives exactly a, t = 1 exactly b. (torch's vector code fuses
-- the multiplication with the addition where the processor can: one result in a thousand may differ in its last bit.)
--
--     > st.lerp(st.zeros(3), st.tensor { 1.0, 2, 4 }, 0.25)
--     Tensor[3 F32, 12 B]
--       0.2500  0.5000  1.0000
--     > a, b = st.open("a.safetensors"), st.open("b.safetensors")
--     > st.lerp(a, b, 0.3):formula()
--     lerp(a.safetensors, b.safetensors, 0.3)
-- @param a, b tensors, numbers or models
-- @param t a number, or (with tensors) a tensor of weights
-- @return a deferred tensor, a model, or a number when all are numbers
-- @raise "arg" for a weight that is not finite, "shape", "dtype", "quant"
function ops.lerp(a, b, t)
   if type(t) == "number" and (t ~= t or math.abs(t) == math.huge) then
      errors.throwf("arg", "st.lerp: the weight must be finite, not %s", t)
   elseif type(t) ~= "number" and not map.is_tensor(t) then
      errors.throwf("arg", "st.lerp: the weight must be a number or a tensor, not a %s",
         map.is_model(t) and "model" or type(t))
   end
   if lift.any_model(a, b) then
      if map.is_tensor(t) then errors.throw("arg", "st.lerp: the weight of models is a number") end
      return lift.over_models("st.lerp", { call = "lerp" }, lerp, 1, a, b, t)
   end
   if type(a) == "number" and type(b) == "number" and type(t) == "number" then
      return math.abs(t) < 0.5 and a + t * (b - a) or b - (b - a) * (1 - t)
   end
   return lerp(a, b, t)
end

--- Limits values to [low, high]; either may be nil. As torch.clamp: where low > high the result is high.
--
--     > st.tensor({ -2.0, 0.5, 3 }):clamp(-1, 1)
--     Tensor[3 F32, 12 B]
--       -1.0000   0.5000   1.0000
-- @param x tensor or model
-- @tparam ?number|tensor low
-- @tparam ?number|tensor high
function ops.clamp(x, low, high)
   if low == nil and high == nil then errors.throw("arg", "st.clamp: give a lower or an upper limit") end
   if low ~= nil then x = ops.apply("maximum", x, low) end
   if high ~= nil then x = ops.apply("minimum", x, high) end
   return x
end

--- The same as clamp.
-- @param x tensor or model
-- @tparam ?number|tensor low
-- @tparam ?number|tensor high
-- @torch torch.clip
function ops.clip(x, low, high) return ops.clamp(x, low, high) end

for _, op in ipairs(core.ops) do
   ops[op.name] = function(...) return ops.apply(op.name, ...) end
end

function core.Tensor.clamp(t, low, high) return ops.clamp(t, low, high) end
core.Tensor.clip = ops.clip
function core.Tensor.lerp(t, other, weight) return ops.lerp(t, other, weight) end


for event, name in pairs { __add = "add", __sub = "sub", __mul = "mul", __div = "div", __pow = "pow" } do
   core.model_meta[event] = function(a, b) return ops.apply(name, a, b) end
end
core.model_meta.__unm = function(m) return ops.apply("neg", m) end

return ops
