--- Functions on tensors, numbers and whole models: one per operation of the core, and lerp, clamp.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local map = require "stlua.map"

local ops = {}

local INFIX = {
   add = { infix = " + ", rank = 1, associative = true }, sub = { infix = " - ", rank = 1 },
   mul = { infix = " * ", rank = 2, associative = true }, div = { infix = " / ", rank = 2 },
   neg = { infix = "-", rank = 3 },
}

local function any_model(...)
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

-- Applies `fn` to the tensors of one name at a time: models among the operands give theirs, numbers and options stay.
local function over_models(name, node, fn, lead, ...)
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

-- What `where` chooses from counts before the mask.
local LEAD = { where = 2 }

--- Applies an operation by name; what st.add, st.where, st.exp ... and the operators of models do.
-- @tparam string name
-- @param ... tensors and numbers, or models and numbers
-- @return a deferred tensor, or a model
function ops.apply(name, ...)
   if not any_model(...) then return core.apply(name, ...) end
   return over_models("st." .. name, INFIX[name] or { call = name },
      function(...) return core.apply(name, ...) end, LEAD[name] or 1, ...)
end

--- The function of tensors that one for models, too, was made of: its comment describes both.
ops.of_tensors = setmetatable({}, { __mode = "k" })

--- Makes a function of tensors one that takes models as well, tensor by tensor; options and nil go through.
-- @tparam string name
-- @tparam function fn
-- @treturn function
function ops.for_models(name, fn)
   local function both(...)
      if not any_model(...) then return fn(...) end
      return over_models("st." .. name, { call = name }, fn, 1, ...)
   end
   ops.of_tensors[both] = fn
   return both
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
   if any_model(a, b) then
      if map.is_tensor(t) then errors.throw("arg", "st.lerp: the weight of models is a number") end
      return over_models("st.lerp", { call = "lerp" }, lerp, 1, a, b, t)
   end
   if type(a) == "number" and type(b) == "number" and type(t) == "number" then
      return math.abs(t) < 0.5 and a + t * (b - a) or b - (b - a) * (1 - t)
   end
   return lerp(a, b, t)
end

--- Limits values to [low, high]; either may be nil. As torch.clamp: where low > high the result is high.
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
