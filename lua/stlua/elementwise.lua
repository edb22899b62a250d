--- Elementwise functions put together from the core's operations: they fuse like these, and take models as these do.
-- Each is a function of `require "stlua"` and a method of tensors.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local lift = require "stlua.lift"

local apply = core.apply
local elementwise = {}

--- 1 / x.
-- @param x tensor or model
-- @torch torch.reciprocal
function elementwise.reciprocal(x) return apply("div", 1, x) end

--- 1 / sqrt(x).
-- @param x tensor or model
-- @torch torch.rsqrt
function elementwise.rsqrt(x) return apply("div", 1, apply("sqrt", x)) end

--- x * x.
-- @param x tensor or model
-- @torch torch.square
function elementwise.square(x) return apply("mul", x, x) end

--- x where it is positive, else 0.
-- @param x tensor or model
-- @torch torch.relu
function elementwise.relu(x) return apply("maximum", x, 0) end

--- x * sigmoid(x).
-- @param x tensor or model
-- @torch torch.nn.functional.silu
function elementwise.silu(x) return apply("mul", x, apply("sigmoid", x)) end

--- x times the normal distribution's share below x, by erf: 0.5 * x * (1 + erf(x / sqrt(2))).
-- @param x tensor or model
-- @torch torch.nn.functional.gelu
function elementwise.gelu(x)
   return apply("mul", apply("mul", x, 0.5), apply("add", apply("erf", apply("mul", x, math.sqrt(0.5))), 1))
end

--- log(1 + exp(x)), without overflow: max(x, 0) + log1p(exp(-|x|)).
-- @param x tensor or model
-- @torch torch.nn.functional.softplus
function elementwise.softplus(x)
   return apply("add", apply("maximum", x, 0), apply("log1p", apply("exp", apply("neg", apply("abs", x)))))
end

-- ---------------------------------------------------------------- tests

--- A mask: where x is not a number.
--
--     > st.tensor({ 1, 0 / 0 }):isnan()
--     Tensor[2 BOOL, 2 B]
--       false   true
-- @param x tensor or model
-- @torch torch.isnan
function elementwise.isnan(x) return apply("ne", x, x) end

--- A mask: where x is neither infinite nor NaN.
-- @param x tensor or model
-- @torch torch.isfinite
function elementwise.isfinite(x) return apply("eq", apply("mul", x, 0), 0) end

--- A mask: where x is infinite.
-- @param x tensor or model
-- @torch torch.isinf
function elementwise.isinf(x) return apply("mul", apply("ne", apply("mul", x, 0), 0), apply("eq", x, x)) end

-- Integers and masks as F64, where differences do not wrap.
local function wide(x)
   local is_tensor = debug.getmetatable(x) == core.tensor_meta
   return is_tensor and not dtype.is_float(x:dtype()) and core.cast(x, "F64") or x
end

local function is_nan(x)
   if type(x) == "number" then return x ~= x end
   return apply("ne", x, x)
end

--- A mask: where two values are close: |a - b| <= atol + rtol * |b|, or equal, infinite ones too.
-- @param a, b tensors, numbers or models
-- @tparam[opt] table opts `rtol` = 1e-5, `atol` = 1e-8, `equal_nan` = false
-- @torch torch.isclose
function elementwise.isclose(a, b, opts)
   opts = errors.check_options(opts, { rtol = "number", atol = "number", equal_nan = "boolean" }, "isclose")
   local x, y = wide(a), wide(b)
   local off, rtol, atol = apply("abs", apply("sub", x, y)), opts.rtol or 1e-5, opts.atol or 1e-8
   local allowed = type(y) == "number" and math.abs(y) * rtol + atol or apply("abs", y) * rtol + atol
   local close = apply("mul", elementwise.isfinite(off), apply("le", off, allowed))      -- and
   close = apply("add", close, apply("eq", x, y))      -- or
   if not opts.equal_nan then return close end
   return apply("add", close, apply("mul", is_nan(x), is_nan(y)))
end

-- A mask: where x is other than 0. A number is one boolean, for between numbers there is no mask.
local function truth(x)
   if type(x) == "number" or type(x) == "boolean" then return x ~= 0 and x ~= false end
   return apply("ne", x, 0)
end

--- A mask: where both are other than 0.
-- @param a, b tensors, numbers, booleans or models
-- @torch torch.logical_and
function elementwise.logical_and(a, b) return apply("mul", truth(a), truth(b)) end

--- A mask: where one or both are other than 0.
-- @param a, b tensors, numbers, booleans or models
-- @torch torch.logical_or
function elementwise.logical_or(a, b) return apply("add", truth(a), truth(b)) end

--- A mask: where just one is other than 0.
-- @param a, b tensors, numbers, booleans or models
-- @torch torch.logical_xor
function elementwise.logical_xor(a, b) return apply("ne", truth(a), truth(b)) end

--- A mask: where x is 0.
-- @param x tensor or model
-- @torch torch.logical_not
function elementwise.logical_not(x) return apply("eq", x, 0) end

-- ---------------------------------------------------------------- of several operands

-- The number that scales the product in addcmul and addcdiv.
local function scale(opts, who)
   return errors.check_options(opts, { value = "number" }, who).value or 1
end

--- x + value * a * b.
-- @param x, a, b tensors or models
-- @tparam[opt] table opts `value` = 1
-- @torch torch.addcmul
function elementwise.addcmul(x, a, b, opts)
   local value = scale(opts, "addcmul")
   return apply("add", x, apply("mul", value == 1 and a or apply("mul", value, a), b))
end

--- x + value * a / b.
-- @param x, a, b tensors or models
-- @tparam[opt] table opts `value` = 1
-- @torch torch.addcdiv
function elementwise.addcdiv(x, a, b, opts)
   local value = scale(opts, "addcdiv")
   return apply("add", x, apply("div", value == 1 and a or apply("mul", value, a), b))
end

--- x with another value where the mask is true; the dtype stays that of x.
--
--     > t = st.tensor { -1.0, 2 }
--     > t:masked_fill(t:lt(0), 0)
--     Tensor[2 F32, 8 B]
--       0.0000  2.0000
-- @param x tensor
-- @param mask a BOOL tensor
-- @param value a number, or a tensor
-- @raise "dtype" for a value that the dtype of x cannot take up
-- @torch torch.masked_fill
function elementwise.masked_fill(x, mask, value)
   local result = apply("where", mask, value, x)
   if result:dtype() ~= x:dtype() then
      errors.throwf("dtype", "masked_fill: the value makes a tensor of %s %s; cast one of them", x:dtype(),
         result:dtype())
   end
   return result
end

--- x with numbers in place of NaN and the infinities.
-- @param x tensor or model
-- @tparam[opt=0] number nan
-- @tparam[opt] number posinf by default the largest number of the dtype
-- @tparam[opt] number neginf by default the smallest
-- @torch torch.nan_to_num
function elementwise.nan_to_num(x, nan, posinf, neginf)
   if not dtype.is_float(x:dtype()) then return core.broadcast(x, x:shape()) end      -- not x itself
   local largest = core.cast(core.tensor("F64", {}, string.pack("<d", 0x1.fffffffffffffp1023)), x:dtype(), true)
   local finite = apply("where", apply("eq", x, -math.huge), neginf or -largest, x)
   finite = apply("where", apply("eq", x, math.huge), posinf or largest, finite)
   return apply("where", apply("ne", x, x), nan or 0, finite)
end

for name, fn in pairs(elementwise) do
   elementwise[name] = lift.for_models(name, fn)
   core.Tensor[name] = elementwise[name]
end

return elementwise
