--- t:hist(): counts and edges of all kinds of tensors, what is left out, the drawing.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

local function left_out(h) return { h.nan, h.inf, h.outside } end

function suite.test_floats()
   local h = st.tensor({ 0, 0.5, 1, 1, 3.5, 4 }, { dtype = "F32" }):hist { bins = 4 }
   lu.assertEquals(h.counts, { 2, 2, 0, 2 })
   lu.assertEquals(h.edges, { 0, 1, 2, 3, 4 })
   lu.assertEquals({ h.numel, left_out(h) }, { 6, { 0, 0, 0 } })
   lu.assertEquals(st.hist(st.tensor { 1.5, 2 }, { bins = 1 }).counts, { 2 })
end

function suite.test_what_is_left_out()
   local t = st.tensor { 0 / 0, 1 / 0, -1 / 0, 1.5, 2.5, 9, 0 / 0 }
   local h = t:hist { min = 1, max = 3, bins = 2 }
   lu.assertEquals(h.counts, { 1, 1 })
   lu.assertEquals(left_out(h), { 2, 2, 1 })
   lu.assertStrContains(tostring(h), "Histogram[2 values, F32; left out: 2 NaN, 2 infinite, 1 outside]\n")
   h = t:hist { bins = 3 }
   lu.assertEquals({ h.edges[1], h.edges[4], h.counts }, { 1.5, 9, { 2, 0, 1 } })
   h = st.tensor({ 0 / 0, 1 / 0 }):hist()
   lu.assertEquals({ h.counts, h.edges, left_out(h) }, { {}, {}, { 1, 1, 0 } })
   lu.assertEquals(tostring(h), "Histogram[0 values, F32; left out: 1 NaN, 1 infinite]")
   h = st.tensor({ 1, 2, 3 }):hist { min = 10 }
   lu.assertEquals({ h.counts, left_out(h) }, { {}, { 0, 0, 3 } })
end

function suite.test_integers()
   lu.assertEquals(st.tensor({ 1, 2, 3, 3, 3, 5 }):hist().counts, { 1, 1, 3, 0, 1 })
   local h = st.arange(1000):hist { bins = 7 }
   lu.assertEquals({ h.counts, h.edges[1], h.edges[2] }, { { 143, 143, 143, 143, 143, 143, 142 }, -0.5, 142.5 })
   lu.assertEquals(h.edges[8], 999.5)
   h = st.arange(20):hist { bins = 3, min = 1, max = 10 }
   lu.assertEquals({ h.counts, h.edges, left_out(h) }, { { 4, 4, 2 }, { 0.5, 4.5, 8.5, 10.5 }, { 0, 0, 10 } })
   lu.assertEquals(st.tensor({ true, false, true }):hist().counts, { 1, 2 })
   h = st.tensor({ 1, 2, 3 }):hist { min = 1.5, max = 1.7 }
   lu.assertEquals({ h.counts, left_out(h) }, { {}, { 0, 0, 3 } })
   h = st.tensor({ math.mininteger, math.maxinteger }):hist { bins = 2 }
   lu.assertEquals(h.counts[1] + h.counts[#h.counts], 2)
end

function suite.test_corner_cases()
   lu.assertEquals(st.tensor(3.5):hist().counts, { 1 })
   lu.assertEquals(st.tensor(3):hist().counts, { 1 })
   lu.assertEquals(st.zeros(4):hist().counts, { 4 })
   lu.assertEquals(st.zeros(4):hist().edges, { 0, 0 })
   local h = st.zeros(0):hist()
   lu.assertEquals({ h.counts, h.numel, tostring(h) }, { {}, 0, "Histogram[0 values, F32]" })
   h = st.tensor({ -1.7e308, 0, 1.7e308 }, { dtype = "F64" }):hist { bins = 3 }      -- high - low overflows
   lu.assertEquals(h.counts, { 1, 1, 1 })
   h = st.tensor({ 0, 5e-324, 1e-323 }, { dtype = "F64" }):hist { bins = 4 }
   lu.assertEquals(h.counts[1] + h.counts[2] + h.counts[3] + h.counts[4], 3)
   lu.assertEquals(st.tensor({ 1, 0 / 0, 3 }):cast("F8_E4M3"):hist({ bins = 2 }).counts, { 1, 1 })
end

function suite.test_expressions_and_files()
   local m = support.model("hist.safetensors", { { "w", "BF16", { 2, 2 }, { 1, 2, 3, 4 } } })
   lu.assertEquals((m.w * 2 - 1):hist({ bins = 2 }).counts, { 2, 2 })
   local many = st.arange(1 << 20):cast "F32"
   local h = many:hist { bins = 1024 }
   local sum = 0
   for _, n in ipairs(h.counts) do sum = sum + n end
   lu.assertEquals({ sum, h.counts[1], h.counts[1024] }, { 1 << 20, 1024, 1024 })
end

function suite.test_drawing()
   lu.assertEquals(tostring(st.tensor({ 1, 2, 3, 3, 3, 5 }):hist { width = 10 }), [[
Histogram[6 values, I64]
value  count
    1      1  ███▍
    2      1  ███▍
    3      3  ██████████
    4      0
    5      1  ███▍]])
   lu.assertEquals(tostring(st.tensor({ -1, -0.25, 0.5, 0.75, 1 }):hist { width = 2, bins = 4 }), [[
Histogram[5 values, F32]
 from     to  count
-1.00  -0.50      1  ▋
-0.50   0.00      1  ▋
 0.00   0.50      0
 0.50   1.00      3  ██]])
   lu.assertStrContains(tostring(st.arange(40):hist { bins = 2 }), "\nfirst  last  count\n    0    19     20  █")
   local h = st.cat { st.zeros(10000), st.ones(1) }:hist { bins = 2, width = 3 }
   lu.assertStrContains(tostring(h), "0.00  0.50  10,000  ███\n0.50  1.00       1  ▏")      -- one value is seen
   lu.assertStrContains(tostring(st.tensor({ 1e-9, 4e-9 }):hist { bins = 2 }), "1.0e-09  2.5e-09")
   lu.assertStrContains(tostring(st.tensor({ 1000.001, 1000.002 }, { dtype = "F64" }):hist { bins = 1 }), "1000.0010")
end

function suite.test_wrong_arguments()
   support.raises("arg", { "not a model", "m:stats()" }, st.hist, st.model {})
   support.raises("arg", "hist: a tensor, not a number", st.hist, 3)
   local t = st.tensor { 1.5, 2 }
   for _, opts in ipairs { { bins = 0 }, { bins = 1.5 }, { bins = 1 << 17 }, { width = 0 }, { width = 1001 } } do
      support.raises("arg", "is a whole number from 1 to", t.hist, t, opts)
   end
   support.raises("arg", "a range from 3 to 2", t.hist, t, { min = 3, max = 2 })
   support.raises("arg", "a range from", t.hist, t, { max = 1 / 0 })
   support.raises("arg", "a range from", t.hist, t, { min = 0 / 0 })
   support.raises("arg", 'unknown option "bin"; did you mean', t.hist, t, { bin = 3 })
   support.raises("dtype", "F8_E8M0", st.hist, st.from_bytes("F8_E8M0", {}, "\0"))
end

support.run("hist", suite)
