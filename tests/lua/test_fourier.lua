--- Discrete Fourier transforms, as a script uses them. The comparison with torch is tests/conformance/fourier.py.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

local function near(t, want, shape)
   local got = support.values(t)
   lu.assertEquals(t:shape(), shape)
   for i = 1, math.max(#got, #want) do lu.assertAlmostEquals(got[i], want[i], 1e-6) end
end

function suite.test_by_hand()
   near(st.tensor({ 1., 2., 3., 4. }):rfftn(), { 10, 0, -2, 2, -2, 0 }, { 3, 2 })
   near(st.tensor({ { 1., 2. }, { 3., 5. } }):rfftn(), { 11, 0, -3, 0, -5, 0, 1, 0 }, { 2, 2, 2 })
   near(st.fftn(st.tensor { { 1., 0. }, { 0., 1. } }), { 1, 1, 1, -1 }, { 2, 2 })
   near(st.ifftn(st.tensor { { 1., 1. }, { 1., -1. } }), { 1, 0, 0, 1 }, { 2, 2 })
   near(st.tensor({ 5. }):rfftn(), { 5, 0 }, { 1, 2 })
end

function suite.test_there_and_back()
   local x = st.randn(3, 4, 5, { seed = 1, dtype = "F64" })
   for _, norm in ipairs { "backward", "ortho", "forward" } do
      local f = x:rfftn { norm = norm }
      lu.assertEquals(f:shape(), { 3, 4, 3, 2 })
      lu.assertEquals(f:dtype(), "F64")
      near(f:irfftn { s = { 3, 4, 5 }, norm = norm }, support.values(x), { 3, 4, 5 })
   end
   local some = x:rfftn { dim = { 3, 1 } }
   lu.assertEquals(some:shape(), { 2, 4, 5, 2 })
   near(some:irfftn { dim = { 3, 1 }, s = { 5, 3 } }, support.values(x), { 3, 4, 5 })
   near(x:rfftn({ dim = -2 }):irfftn { dim = 2 }, support.values(x), { 3, 4, 5 })
end

function suite.test_sizes()
   local x = st.tensor { 1., 2., 3. }
   near(x:rfftn { s = { 4 } }, support.values(st.tensor({ 1., 2., 3., 0. }):rfftn()), { 3, 2 })
   near(x:rfftn { s = { 2 } }, { 3, 0, -1, 0 }, { 2, 2 })
   lu.assertEquals(st.ones(2, 3, 4):rfftn({ s = { 6 } }):shape(), { 2, 3, 4, 2 })
   lu.assertEquals(st.ones(0, 3):rfftn({ dim = 2 }):shape(), { 0, 2, 2 })
   lu.assertEquals(st.tensor({ 1, 2 }):rfftn():dtype(), "F32")
   lu.assertEquals(x:cast("BF16"):rfftn():dtype(), "F32")
end

function suite.test_misuse()
   local x = st.ones(2, 3)
   support.raises("shape", "no dimension to transform", st.rfftn, st.ones {})
   support.raises("shape", "dimension 1, which has no elements", st.rfftn, st.ones(0))
   support.raises("shape", { "irfftn", "{2, 3}", "last dimension of 2" }, st.irfftn, x)
   support.raises("shape", "fftn: complex numbers", st.fftn, st.ones {})
   support.raises("shape", "over dimension 1, which has no elements", st.irfftn, st.ones(0, 2))
   support.raises("shape", "irfftn to 0 elements needs 1 pairs", st.irfftn, st.ones(1, 2))
   support.raises("arg", "irfftn: size 1 must be an integer of at least 1, not 0", st.irfftn, st.ones(1, 2),
      { s = { 0 } })
   support.raises("arg", "dimension 2 is given twice", st.rfftn, x, { dim = { 2, -1 } })
   support.raises("arg", "2 sizes for 1 dimension", st.rfftn, x, { dim = 1, s = { 2, 2 } })
   support.raises("arg", "dimension 3 of a tensor with 2", st.rfftn, x, { dim = 3 })
   support.raises("arg", "norm is one of backward, ortho, forward", st.rfftn, x, { norm = "none" })
   support.raises("arg", "not a number", st.rfftn, 3)
end

support.run("fourier", suite)
