--- The elementwise set as Lua sees it: operators, composites, models. (Values against PyTorch: tests/conformance.)
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"
local core = require "stlua.core"

local suite = {}

local inf, nan = math.huge, 0 / 0

function suite.test_operators()
   local x = st.tensor { 5, -7 }
   lu.assertEquals((x & 3):values(), { 1, 1 })
   lu.assertEquals((x | 8):values(), { 13, -7 })
   lu.assertEquals((x ~ x):values(), { 0, 0 })
   lu.assertEquals((~x):values(), { -6, 6 })
   lu.assertEquals((x << 1):values(), { 10, -14 })
   lu.assertEquals((x >> 1):values(), { 2, -4 })
   lu.assertEquals((x % 3):values(), { 2, 2 })
   lu.assertEquals((x // 2):values(), { 2, -4 })
   lu.assertEquals((1 << st.tensor { 3 }):values(), { 8 })
   lu.assertEquals((17 % st.tensor { 5, -5 }):values(), { 2, -3 })
   lu.assertEquals((st.tensor { 5.5, -5.5 } % 2):values(), { 1.5, 0.5 })
   lu.assertEquals((st.tensor { 5.5, -5.5 } // 2):values(), { 2, -3 })
   lu.assertEquals((~st.tensor { true, false }):values(), { false, true })
   support.raises("dtype", "bitwise_and is not defined for F32", function() return st.tensor { 1.5 } & 1 end)
   support.raises("dtype", "is not defined for BOOL", function() return st.tensor { true } << st.tensor { true } end)
end

function suite.test_integers_divided_by_zero_give_zero()
   local x = st.tensor { 5, -5, math.mininteger }
   for _, op in ipairs { "fmod", "remainder", "floor_divide" } do
      lu.assertEquals(x[op](x, 0):values(), { 0, 0, 0 }, op)
   end
   lu.assertEquals(x:floor_divide(-1):values(), { -5, 5, math.mininteger })
   lu.assertEquals((st.tensor { 1.0 } // 0):values(), { inf })
end

function suite.test_wrapping_to_the_dtype()
   local u = st.tensor({ 200, 255 }, { dtype = "U8" })
   lu.assertEquals((~u):values(), { 55, 0 })
   lu.assertEquals((u << 1):values(), { 144, 254 })
   lu.assertEquals((u >> 9):values(), { 0, 0 })
   local i = st.tensor({ -128, 127 }, { dtype = "I8" })
   lu.assertEquals((i << 1):values(), { 0, -2 })
   lu.assertEquals((i >> 100):values(), { -1, 0 })
   lu.assertEquals(i:abs():values(), { -128, 127 })
end

function suite.test_classes_of_numbers()
   local x = st.tensor { 1.0, inf, -inf, nan, 0 }
   lu.assertEquals(x:isnan():values(), { false, false, false, true, false })
   lu.assertEquals(x:isinf():values(), { false, true, true, false, false })
   lu.assertEquals(x:isfinite():values(), { true, false, false, false, true })
   lu.assertEquals(st.isfinite(st.tensor { 1, 0 }):values(), { true, true })
   lu.assertEquals(st.isinf(st.tensor { true, false }):values(), { false, false })
   lu.assertEquals(x:logical_not():values(), { false, false, false, false, true })
   local a, b = st.tensor { true, true, false, false }, st.tensor { 2, 0, 2, 0 }
   lu.assertEquals(st.logical_and(a, b):values(), { true, false, false, false })
   lu.assertEquals(st.logical_or(a, b):values(), { true, true, true, false })
   lu.assertEquals(st.logical_xor(a, b):values(), { false, true, true, false })
end

function suite.test_composites()
   local x = st.tensor { 4.0, 0.25 }
   lu.assertEquals(x:rsqrt():values(), { 0.5, 2 })
   lu.assertEquals(x:reciprocal():values(), { 0.25, 4 })
   lu.assertEquals(st.reciprocal(st.tensor { 2 }):values(), { 0.5 })
   lu.assertEquals(st.square(st.tensor { -3 }):values(), { 9 })
   lu.assertEquals(st.relu(st.tensor { -1.5, 2 }):values(), { 0, 2 })
   lu.assertEquals(st.addcmul(x, x, x):values(), { 20, 0.3125 })
   lu.assertEquals(x:addcdiv(x, x, { value = 0.5 }):values(), { 4.5, 0.75 })
   lu.assertEquals(x:masked_fill(x:gt(1), 0):values(), { 0, 0.25 })
   lu.assertEquals(st.tensor { 0.5, 1.5, 2.5, -0.5 }:round():values(), { 0, 2, 2, 0 })
   support.raises("arg", { 'unknown option "val"', "value" }, x.addcmul, x, x, x, { val = 1 })
   support.raises("dtype", "masked_fill", st.masked_fill, st.tensor { 1 }, st.tensor { true }, 1.5)
end

function suite.test_models()
   local m = st.model { { "x", st.tensor { 1.0, inf } }, { "ids", st.tensor { 1 } } }
   lu.assertEquals(st.rsqrt(m).x:values(), { 1, 0 })
   lu.assertEquals(st.tanh(m).ids:values(), { 1 })      -- integers are copied
   lu.assertEquals(st.addcmul(m, m, m).x:values(), { 2, inf })
end

-- Every operation and composite is a function and a method.
function suite.test_names()
   require("stlua.parts").load_all()
   for name, fn in pairs(require "stlua.elementwise") do
      lu.assertIs(st[name], fn)
      lu.assertIs(core.Tensor[name], fn)
      lu.assertIsFunction(core.Tensor[name .. "_"])
   end
end

support.run("elementwise", suite)
