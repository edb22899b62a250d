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

-- A composite is one step to a model: masks within it are no models of their own.
function suite.test_composites_on_models()
   local m = st.model { { "x", st.tensor { 1.0, inf } }, { "ids", st.tensor { 1 } } }
   local n = st.model { { "x", st.tensor { 0.0, 5 } }, { "ids", st.tensor { 1 } } }
   lu.assertEquals(st.isinf(m).x:values(), { false, true })
   lu.assertEquals(st.isinf(m).ids:values(), { 1 })
   lu.assertEquals(st.logical_and(m, n).x:values(), { false, true })
   lu.assertEquals(st.masked_fill(m, st.gt(m, 2), 5).x:values(), { 1, 5 })
   lu.assertEquals(st.where(st.gt(m, 2), n, m).x:values(), { 1, 5 })
   lu.assertEquals(st.where(st.gt(m, 2), 0, m).x:values(), { 1, 0 })
   lu.assertEquals(st.where(st.gt(m, 2), n, m).x:dtype(), "F32")
   lu.assertEquals(st.addcmul(n, n, n, { value = 2 }).x:values(), { 0, 55 })
   lu.assertEquals(st.nan_to_num(m, nil, 7).x:values(), { 1, 7 })
   lu.assertEquals(st.isclose(m, n, { atol = 1 }).x:values(), { true, false })
   lu.assertEquals(st.gelu(m):formula(), "gelu(model)")
   support.raises("arg", "a model goes with models and numbers, not with a tensor", st.addcmul, m, m, st.tensor { 1 })
end

function suite.test_closeness()
   local x = st.tensor { 1.0, inf, nan, 100 }
   lu.assertEquals(x:isclose(x):values(), { true, true, false, true })
   lu.assertEquals(x:isclose(x, { equal_nan = true }):values(), { true, true, true, true })
   lu.assertEquals(x:isclose(st.tensor { 1.1, -inf, 0, 101 }, { rtol = 0.01 }):values(), { false, false, false, true })
   lu.assertEquals(x:isclose(1, { equal_nan = true }):values(), { true, false, false, false })
   lu.assertEquals(st.isclose(1, x):values(), { true, false, false, false })
   lu.assertEquals(st.tensor({ 3, 250 }, { dtype = "U8" }):isclose(st.tensor({ 4, 0 }, { dtype = "U8" }),
      { atol = 6 }):values(), { true, false })      -- no difference wraps
   lu.assertEquals(st.tensor { true }:isclose(st.tensor { true }):values(), { true })
   support.raises("arg", "unknown option", x.isclose, x, x, { tol = 1 })
end

function suite.test_nan_to_num()
   local x = st.tensor { nan, inf, -inf, 1 }
   lu.assertEquals(x:nan_to_num(3, 4, 5):values(), { 3, 4, 5, 1 })
   lu.assertEquals(x:half():nan_to_num():values(), { 0, 65504, -65504, 1 })
   lu.assertEquals(x:nan_to_num(inf):values()[1], inf)
   lu.assertEquals(x:double():nan_to_num():values()[2], 0x1.fffffffffffffp1023)
   lu.assertEquals(st.tensor { 1, 2 }:nan_to_num():values(), { 1, 2 })
   lu.assertEquals(x:clone():nan_to_num_(0, 1, -1):values(), { 0, 1, -1, 1 })
end

-- Up to where the results themselves end; SLEEF's functions are infinite before.
function suite.test_hyperbolic_functions_to_their_ends()
   for _, x in ipairs { 88.5, 89.375, -89.25, 709.9, -710.4 } do
      local dtype = math.abs(x) < 100 and "F32" or "F64"
      local half = math.exp(math.abs(x) / 2)
      local want, eps = half * (half / 2), dtype == "F32" and 1e-6 or 1e-13
      local t = st.tensor({ x }, { dtype = dtype })
      lu.assertAlmostEquals(t:cosh():item() / want, 1, eps)
      lu.assertAlmostEquals(t:sinh():item() / want, x > 0 and 1 or -1, eps)
   end
   lu.assertEquals(st.tensor { 89.5, -89.5 }:sinh():values(), { inf, -inf })
   lu.assertEquals(st.tensor { 89.5, -inf }:cosh():values(), { inf, inf })
   lu.assertNaN(st.tensor { nan }:cosh():item())
end

-- Every operation and composite is a function and a method.
function suite.test_names()
   require("stlua.parts").load_all()
   local original = require("stlua.guard").original
   for name, fn in pairs(require "stlua.elementwise") do
      lu.assertIs(original(st[name]), fn)
      lu.assertIs(original(core.Tensor[name]), fn)
      lu.assertIsFunction(core.Tensor[name .. "_"])
   end
end

function suite.test_logic_with_numbers()
   local t, i = st.tensor { true, false }, st.tensor { 0, 3 }
   lu.assertEquals(st.logical_xor(t, 1):values(), { false, true })
   lu.assertEquals(st.logical_or(1, t):values(), { true, true })
   lu.assertEquals(st.logical_or(i, 0.0):values(), { false, true })
   lu.assertEquals(t:logical_and(true):values(), { true, false })
   lu.assertEquals(st.logical_and(0.5, i):values(), { false, true })
   lu.assertEquals(st.logical_and(t, 0):dtype(), "BOOL")
   local m = st.model { { "x", st.tensor { 1.0, 0 } } }
   lu.assertEquals(st.logical_xor(m, 1).x:values(), { false, true })
   lu.assertEquals(st.logical_and(1, m).x:values(), { true, false })
end

function suite.test_log1p_of_the_largest()
   local x = st.tensor({ 0x1.fffffffffffffp1023, 1e307, 0x1p60, 0x1p61 }, { dtype = "F64" })
   lu.assertEquals(x:log1p():values(), x:log():values())
   local h = st.tensor { 3e38, 2e38, inf, 0, -1 }
   lu.assertEquals(h:log1p():values(), { h[1] == inf and inf or h:log()[1], h:log()[2], inf, 0, -inf })
end

-- What gives a new tensor gives one where nothing is to be done, too.
function suite.test_new_tensors_are_new()
   for _, x in ipairs { st.tensor { 1, 2 }:clone(), st.tensor { true, true } } do
      local y = x:nan_to_num()
      y[1] = 0
      lu.assertNotEquals(x[1], y[1])
   end
end

support.run("elementwise", suite)
