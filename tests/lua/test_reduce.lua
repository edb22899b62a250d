--- Reductions, selection, sorting, comparisons and statistics.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"
local core = require "stlua.core"

local suite = {}

local NAN = 0 / 0

local function f32(...) return support.tensor("F32", { select("#", ...) }, { ... }) end
local function i64(...) return support.tensor("I64", { select("#", ...) }, { ... }) end

-- 1 2 3
-- 4 5 6
local function matrix() return support.tensor("F32", { 2, 3 }, { 1, 2, 3, 4, 5, 6 }) end

local function is(t, dtype, shape, values)
   lu.assertEquals(t:dtype(), dtype)
   lu.assertEquals(t:shape(), shape)
   lu.assertEquals(support.values(t), values)
end

function suite.test_over_all()
   local x = matrix()
   is(x:sum(), "F64", {}, { 21 })
   is(x:prod(), "F64", {}, { 720 })
   is(x:mean(), "F64", {}, { 3.5 })
   is(x:var(), "F64", {}, { 3.5 })
   is(x:var { correction = 0 }, "F64", {}, { 17.5 / 6 })
   is(x:std(), "F64", {}, { math.sqrt(3.5) })
   is(x:norm(), "F64", {}, { math.sqrt(91) })
   is(x:norm(1), "F64", {}, { 21 })
   is(x:norm(math.huge), "F64", {}, { 6 })
   is(x:norm("fro"), "F64", {}, { math.sqrt(91) })
   is(x:min(), "F32", {}, { 1 })
   is(x:max(), "F32", {}, { 6 })
   is(x:argmin(), "I64", {}, { 1 })
   is(x:argmax(), "I64", {}, { 6 })
   is(x:any(), "BOOL", {}, { true })
   is((x - 1):all(), "BOOL", {}, { false })
   is((x - 1):count_nonzero(), "I64", {}, { 5 })
   is(x:dot(x), "F64", {}, { 91 })
   is(x:sum { keepdim = true }, "F64", { 1, 1 }, { 21 })
   is(i64(3, 4):sum(), "I64", {}, { 7 })
   is(i64(math.maxinteger, 1):sum(), "I64", {}, { math.mininteger })
   is(support.tensor("BOOL", { 3 }, { 1, 0, 1 }):sum(), "I64", {}, { 2 })
   lu.assertEquals(st.sum(x):item(), 21)      -- as functions, too
end

function suite.test_over_dimensions()
   local x = matrix()
   is(x:sum(1), "F32", { 3 }, { 5, 7, 9 })
   is(x:sum(-1), "F32", { 2 }, { 6, 15 })
   is(x:sum { dim = 2, keepdim = true }, "F32", { 2, 1 }, { 6, 15 })
   is(x:sum(2, { keepdim = true }), "F32", { 2, 1 }, { 6, 15 })
   is(x:sum { dim = { 1, 2 } }, "F32", {}, { 21 })
   is(x:sum({ 1, 2 }), "F32", {}, { 21 })
   is(x:mean(1), "F32", { 3 }, { 2.5, 3.5, 4.5 })
   is(x:norm(1, { dim = 2 }), "F32", { 2 }, { 6, 15 })
   is(x:norm { dim = 1, p = 1 }, "F32", { 3 }, { 5, 7, 9 })
   is(x:amax { dim = { 1, 2 } }, "F32", {}, { 6 })
   is(x:argmax(2), "I64", { 2 }, { 3, 3 })
   local values, places = x:min(1)
   is(values, "F32", { 3 }, { 1, 2, 3 })
   is(places, "I64", { 3 }, { 1, 1, 1 })
   is((x:max(2, { keepdim = true })), "F32", { 2, 1 }, { 3, 6 })
   is(x:cast("BF16"):sum(1), "BF16", { 3 }, { 5, 7, 9 })
end

-- Equal within the rounding of `dtype`, which torch may do a step earlier; NaN equals NaN.
local EPS = { F64 = 1e-13, F32 = 2 ^ -23, BF16 = 2 ^ -7, I64 = 0 }

function suite.test_torch()
   local m, cases = st.open("tests/fixtures/reductions.safetensors"), 0
   for name, want in pairs(m) do
      local input, code = name:match("^(%w+): (.*)$")
      if input then
         cases = cases + 1
         local got = load("local t = ...; return " .. code)(m:get(input))
         lu.assertEquals(got:shape(), want:shape(), name)
         local x, y, eps = support.values(got), support.values(want), EPS[got:dtype()]
         for i = 1, #y do
            local near = x[i] == y[i] or (x[i] ~= x[i] and y[i] ~= y[i])
               or math.abs(x[i] - y[i]) <= eps * math.abs(y[i])
            lu.assertTrue(near, ("%s: element %d is %s, torch has %s"):format(name, i, x[i], y[i]))
         end
      end
   end
   lu.assertTrue(cases > 150)
end

function suite.test_min_and_max_of_two_stay_elementwise()
   is(f32(1, 5):max(f32(3, 3)), "F32", { 2 }, { 3, 5 })
   is(st.min(f32(1, 5), f32(3, 3)), "F32", { 2 }, { 1, 3 })
end

function suite.test_nan()
   local x = f32(1, NAN, 3, NAN)
   lu.assertNaN(x:min():item())
   lu.assertNaN(x:median():item())
   lu.assertNaN(x:quantile(0.5):item())
   lu.assertEquals(x:argmax():item(), 2)
   lu.assertEquals(x:kthvalue(2):item(), 3)      -- NaN is the largest
   lu.assertNaN(x:kthvalue(3):item())
   lu.assertEquals(support.values(x:argsort()), { 1, 3, 2, 4 })
   lu.assertEquals(support.values(x:argsort { descending = true }), { 2, 4, 3, 1 })
end

function suite.test_selection()
   local x = f32(5, 1, 4, 2, 3, 9)
   lu.assertEquals(x:median():item(), 3)
   lu.assertEquals(x:kthvalue(6):item(), 9)
   lu.assertEquals(x:quantile(0.5):item(), 3.5)
   for how, want in pairs { lower = 3, higher = 4, nearest = 3, midpoint = 3.5 } do
      lu.assertEquals(x:quantile(0.5, { interpolation = how }):item(), how == "nearest" and 3 or want, how)
   end
   is(x:quantile { 0, 0.25, 1 }, "F64", { 3 }, { 1, 2.25, 9 })
   local m = support.tensor("F32", { 2, 3 }, { 3, 1, 2, 9, 8, 7 })
   local values, places = m:median(2)
   is(values, "F32", { 2 }, { 2, 8 })
   is(places, "I64", { 2 }, { 3, 2 })
   is((m:kthvalue(1, { dim = 1 })), "F32", { 3 }, { 3, 1, 2 })
   is(m:quantile(0.25, { dim = 2 }), "F32", { 2 }, { 1.5, 7.5 })
   is(i64(7, 3, 5):median(), "I64", {}, { 5 })
end

function suite.test_sorting()
   local x = support.tensor("F32", { 2, 3 }, { 3, 1, 2, 7, 9, 8 })
   local values, places = x:sort()
   is(values, "F32", { 2, 3 }, { 1, 2, 3, 7, 8, 9 })
   is(places, "I64", { 2, 3 }, { 2, 3, 1, 1, 3, 2 })
   is((x:sort(1, { descending = true })), "F32", { 2, 3 }, { 7, 9, 8, 3, 1, 2 })
   values, places = x:topk(2)
   is(values, "F32", { 2, 2 }, { 3, 2, 9, 8 })
   is(places, "I64", { 2, 2 }, { 1, 3, 2, 3 })
   is((x:topk(1, { dim = 1, largest = false })), "F32", { 1, 3 }, { 3, 1, 2 })
   is(x:cumsum(2), "F32", { 2, 3 }, { 3, 4, 6, 7, 16, 24 })
   is(i64(1, 2, 3):cumsum(), "I64", { 3 }, { 1, 3, 6 })
   local v, inverse, counts = f32(3, 1, 3, 2):unique { inverse = true, counts = true }
   is(v, "F32", { 3 }, { 1, 2, 3 })
   is(inverse, "I64", { 4 }, { 3, 1, 3, 2 })
   is(counts, "I64", { 3 }, { 1, 1, 2 })
end

function suite.test_histogram()
   local x = f32(0, 0.5, 1, 1.5, 2, 2, NAN)
   is((x:histogram(2, { min = 0, max = 2 })), "I64", { 2 }, { 2, 4 })
   lu.assertEquals(select(2, x:histogram(2, { min = 0, max = 2 })), { 0, 1, 2 })
   is(x:histc(2, 0, 2), "I64", { 2 }, { 2, 4 })
   is(f32(1, 2, 3):histc(2), "I64", { 2 }, { 1, 2 })
   is((f32(3, 3):histogram(2)), "I64", { 2 }, { 0, 2 })      -- a range of one to each side
   support.raises("arg", "give a finite range", function() return x:histogram(3):force() end)
end

function suite.test_without_nan()
   local x = support.tensor("F32", { 2, 2 }, { 1, NAN, NAN, NAN })
   is(x:nansum(), "F64", {}, { 1 })
   is(x:nansum(2), "F32", { 2 }, { 1, 0 })
   is(x:nanmean(), "F64", {}, { 1 })
   is((x:nanmean { dim = 1, keepdim = true }:isnan()), "BOOL", { 1, 2 }, { false, true })
   is(i64(1, 2):nansum(), "I64", {}, { 3 })
   support.raises("dtype", "nanmean is not defined for I64", function() return i64(1):nanmean() end)
end

function suite.test_sums_of_exponentials()
   local x = support.tensor("F32", { 2, 2 }, { 1000, 1000, -1000, 0 })
   is(x:softmax(), "F32", { 2, 2 }, { 0.5, 0.5, 0, 1 })
   is(x:softmax(1), "F32", { 2, 2 }, { 1, 1, 0, 0 })
   is(st.log_softmax(x, 2):narrow(1, 2, 1), "F32", { 1, 2 }, { -1000, 0 })
   is(x:logsumexp(1), "F32", { 2 }, { 1000, 1000 })
   lu.assertAlmostEquals(x:logsumexp():item(), 1000 + math.log(2), 1e-12)      -- over all: F64
   is(x:logsumexp(2, { keepdim = true }):round(), "F32", { 2, 1 }, { 1001, 0 })
   is(f32(-math.huge, -math.huge):logsumexp(1), "F32", {}, { -math.huge })
   is(f32(math.huge, 0):logsumexp(1), "F32", {}, { math.huge })
   is(st.zeros(2, 0):softmax(), "F32", { 2, 0 }, {})
   is(x:cast("BF16"):softmax(), "BF16", { 2, 2 }, { 0.5, 0.5, 0, 1 })
end

function suite.test_two_tensors()
   local x = f32(1, 2)
   lu.assertIsTrue(x:equal(f32(1, 2)))
   lu.assertIsFalse(x:equal(f32(1, 3)))
   lu.assertIsFalse(st.equal(x, f32(1)))
   lu.assertIsTrue(x:equal(i64(1, 2)))
   lu.assertIsFalse(st.equal(f32(NAN), f32(NAN)))
   lu.assertIsTrue(st.equal(st.zeros(0), st.zeros(0)))
   lu.assertIsTrue(x:allclose(f32(1, 2.00001)))
   lu.assertIsFalse(x:allclose(f32(1, 2.001)))
   lu.assertIsTrue(st.allclose(f32(1, 1), 1))
   support.raises("arg", "equal: a tensor, not a number", st.equal, x, 1)
end

function suite.test_running_products()
   is(matrix():cumprod(2), "F32", { 2, 3 }, { 1, 2, 6, 4, 20, 120 })
   is(matrix():cumprod(1), "F32", { 2, 3 }, { 1, 2, 3, 4, 10, 18 })
   is(i64(2, 3, 4):cumprod(), "I64", { 3 }, { 2, 6, 24 })
   is(support.tensor("U8", { 2 }, { 200, 2 }):cumprod(), "I64", { 2 }, { 200, 400 })
   support.raises("arg", "cumprod: along which dimension?", function() return matrix():cumprod() end)
end

function suite.test_comparisons_compute()
   local x = f32(3, 4)
   lu.assertTrue(x:norm() > 4)
   lu.assertFalse(x:norm() > 5)
   lu.assertTrue(x:norm() <= 5)
   lu.assertTrue(1 < x:sum())
   lu.assertTrue(x:min() < x:max())
   support.raises("shape", { "2 elements", "a:lt(b)" }, function() return x < 1 end)
   support.raises("arg", "compare a string", function() return x:sum() < "1" end)
end

function suite.test_results_go_on()
   local x = f32(3, 4)
   is(x / x:norm(), "F32", { 2 }, support.values(f32(3 / 5, 4 / 5)))
   is(x:cast("BF16") * x:sum(), "BF16", { 2 }, { 21, 28 })      -- a result without dimensions keeps the dtype
   local centred = x - x:mean()
   lu.assertEquals((centred / centred:std()):sum():item(), 0)
   lu.assertAlmostEquals(x:cosine_similarity(f32(4, 3)):item(), 24 / 25, 1e-15)
   is(matrix():cosine_similarity(matrix() * 2, { dim = 2 }):round(), "F32", { 2 }, { 1, 1 })
end

-- Values that are needed before the streaming pass: kept while a save needs them, for any number of threads.
function suite.test_in_a_saved_model()
   local list, values = {}, {}
   for i = 1, 3000 do values[i] = math.sin(i * i) end
   for i = 1, 20 do list[i] = { "t" .. i, "F32", { 30, 100 }, values } end
   local m = support.model("in.safetensors", list)
   local x = m.t1
   local want = support.values(st.where(x:abs():ge(x:abs():median()),
      x / x:norm() - x:mean(2, { keepdim = true }), 0))
   for _, threads in ipairs { 1, 2, 7 } do
      st.threads(threads)
      st.map(m, function(_, t)
         local size = t:abs()
         return st.where(size:ge(size:median()), t / t:norm() - t:mean(2, { keepdim = true }), 0)
      end):save(support.path("out.safetensors"), { sync = false })
      local out = st.open(support.path("out.safetensors"))
      for i = 1, 20 do lu.assertEquals(support.values(out["t" .. i]), want) end
   end
   st.threads(0)
end

function suite.test_misuse()
   local x = matrix()
   support.raises("arg", { "unknown option \"keepdims\"", "did you mean \"keepdim\"" },
      function() return x:sum { keepdims = true } end)
   support.raises("arg", "out of range", function() return x:sum(3) end)
   support.raises("arg", "named twice", function() return x:sum { dim = { 1, -2 } } end)
   support.raises("dtype", "mean is not defined for I64; cast it first", function() return i64(1):mean() end)
   support.raises("shape", "no elements", function() return support.tensor("F32", { 0 }, {}):max() end)
   support.raises("arg", "one dimension", function() return x:max { dim = { 1, 2 } } end)
   support.raises("arg", "k = 7 of 6", function() return x:kthvalue(7) end)
   support.raises("arg", "2 is not in 0 to 1", function() return x:quantile(2) end)
   support.raises("arg", "interpolation is", function() return x:quantile(0.5, { interpolation = "cubic" }) end)
   support.raises("arg", "a tensor, not a number", st.sum, 1)
   support.raises("shape", "6 elements and 2", function() return x:dot(f32(1, 2)) end)
   support.raises("arg", "p must be a number", function() return x:norm("frob") end)
end

function suite.test_stats()
   local m = support.model("s.safetensors", { { "x", "F32", { 4 }, { 1, 2, 3, 6 } },
      { "bad", "F16", { 3 }, { 1, NAN, math.huge } }, { "ids", "I64", { 2 }, { 4, 8 } }, { "none", "F32", { 0 }, {} } })
   local s = m:stats()
   lu.assertEquals(#s, 4)
   lu.assertEquals({ s.x.min, s.x.max, s.x.mean, s.x.nan, s.x.inf }, { 1, 6, 3, 0, 0 })
   lu.assertAlmostEquals(s.x.std, math.sqrt(14 / 3), 1e-12)
   lu.assertEquals({ s.bad.nan, s.bad.inf }, { 1, 1 })
   lu.assertNaN(s.bad.mean)
   lu.assertEquals({ s.ids.min, s.ids.mean }, { 4, 6 })
   lu.assertNil(s.none.min)
   lu.assertStrContains(tostring(s), "x     F32    [4]")
   lu.assertEquals(f32(2, 4):stats().mean, 3)
end

-- Forcing several together gives what each gives alone.
function suite.test_force_together()
   local values = {}
   for i = 1, 5000 do values[i] = math.sin(i) end
   local x = support.tensor("F32", { 5000 }, values)
   local y = support.tensor("F32", { 5000 }, values)
   local together = { x:sum(), x:norm(), x:std(), x:max(), x:dot(y) }
   local alone = { y:sum(), y:norm(), y:std(), y:max(), y:dot(y) }
   st.force(table.unpack(together))
   for i = 1, #alone do lu.assertEquals(together[i]:item(), alone[i]:item()) end
   support.raises("arg", "expected", core.force_all, { 1 })
end

support.run("reduce", suite)
