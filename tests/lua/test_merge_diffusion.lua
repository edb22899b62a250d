--- Merge methods of the diffusion tools, on vectors worked out by hand; what a merge of checkpoints leaves alone. The
-- comparison with the programs they come from is tests/conformance/diffusion_methods.py.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

local function vector(...) return support.tensor("F32", { select("#", ...) }, { ... }) end
local function matrix(rows, columns, ...) return support.tensor("F32", { rows, columns }, { ... }) end

-- Merges, and compares all values to 1e-6.
local function check(method, opts, wanted)
   local got = support.values(st.merge(method, opts))
   lu.assertEquals(#got, #wanted, method)
   for i, w in ipairs(wanted) do
      lu.assertAlmostEquals(got[i], w, 1e-6 * math.max(1, math.abs(w)), method .. " " .. i)
   end
end

local A, B, C = vector(1, 2, -4), vector(3, 2, 4), vector(0, 1, 2)

function suite.test_sums()
   check("weighted_sum", { models = { A, B }, alpha = 0.25 }, { 1.5, 2, -2 })
   check("n_average", { models = { A, B, C } }, { 4 / 3, 5 / 3, 2 / 3 })
   check("n_way", { models = { A, B }, ratio = { 2, -1 } }, { -1, 2, -12 })
   check("n_way", { models = { A, B } }, { 2, 2, 0 })
   check("triple_sum", { models = { A, B, C }, alpha = 0.5, beta = 0.25 }, { 1.75, 1.75, 1.5 })
   check("sum_twice", { models = { A, B, C }, alpha = 0.5, beta = 0.5 }, { 1, 1.5, 1 })
   check("weighted_subtraction", { models = { A, B }, alpha = 0.5, beta = 0.5 }, { 1 / 3, 2, -20 / 3 })
end

function suite.test_differences()
   check("add_difference", { models = { A, B }, base = C, alpha = 0.5 }, { 2.5, 2.5, -3 })
   check("add_difference", { models = { A, B }, base = C, alpha = 0.5, clip = true }, { 2.5, 2, -3 })
   -- |B - A| = 2 0 8, |B - C| = 3 1 2: shares 0.4, 0, 0.8.
   check("train_difference", { models = { A, B }, base = C }, { 1 + 1.8 * 0.4 * 3, 2, -4 + 1.8 * 0.8 * 2 })
   -- |A - B| = 2 0 8, |A + B - 2 C| = 4 2 4: shares 1/3, 0, 2/3.
   check("add_opposite", { models = { A, B }, base = C, alpha = 0.5 }, { 2, 2, -4 + 2 / 3 * 2 })
   -- (C - A) (B - C) = -3 -1 12, over 9 1 36.
   check("add_strict_opposite", { models = { A, B }, base = C }, { 1, 2, -4 + 2 * 12 / 36 * 2 })
   check("multiply_difference", { models = { A, B }, base = C, alpha = 0.5 }, { 3 ^ 0.5, 2, 2 - 12 ^ 0.5 })
   check("perpendicular", { models = { vector(2, 0), vector(3, 5) }, base = vector(1, 0) }, { 2, 5 })
   check("perpendicular", { models = { vector(1, 0), vector(3, 5) }, base = vector(1, 0) }, { 1, 0 })
   check("extract", { models = { vector(1, 0), vector(1, 0) }, base = vector(0, 0), alpha = 0.5, beta = 0 }, { 1, 0 })
   check("extract", { models = { vector(1, 0), vector(1, 0) }, base = vector(0, 0), alpha = 0.5, beta = 1 }, { 0, 0 })
   check("euclidean_add_difference", { models = { vector(1, 0), vector(0, 1) }, base = vector(0, 0), alpha = 0.5 },
      { 0.5, 0.5 })
end

-- What is 0 / 0 in the formulas.
function suite.test_nothing_in_common()
   local zero = vector(0, 0)
   check("train_difference", { models = { zero, zero }, base = zero }, { 0, 0 })
   check("add_opposite", { models = { zero, zero }, base = zero }, { 0, 0 })
   check("add_strict_opposite", { models = { zero, zero }, base = zero }, { 0, 0 })
   check("euclidean_add_difference", { models = { zero, zero }, base = zero, alpha = 0.5 }, { 0, 0 })
   check("similarity_add_difference", { models = { zero, zero }, base = vector(1, 1), alpha = 1 }, { 0, 0 })
   check("mecha_slerp", { models = { zero, vector(2, 4) } }, { 1, 2 })
   check("mecha_slerp", { models = { vector(1, 2), vector(2, 4) } }, { 1.5, 3 })
   check("add_cosine_b", { models = { zero, vector(2, 4) }, alpha = 0.5 }, { 2, 4 })
   check("mecha_model_stock", { models = { zero, zero }, base = zero }, { 0, 0 })
   check("geometric_median", { models = { vector(2, 4), vector(2, 4), vector(2, 4) } }, { 2, 4 })
   check("cosine_a", { models = { vector(1, 2), vector(1, 2) }, alpha = 0.5 }, { 1, 2 })
end

function suite.test_shapes_without_elements_and_one()
   for _, method in ipairs { "smooth_add", "peft_ties", "mecha_ties", "mecha_ties_dare", "top_k_tensor_sum", "rotate",
      "cosine_b", "geometric_median", "tensor_sum2", "mecha_slerp", "crossover", "distribution_crossover" } do
      local def = require("stlua.merging").method(method)
      local base = def.base == "required"
      for _, shape in ipairs { { 0 }, { 0, 3 }, { 1 }, {} } do
         local function tensor(v) return st.full(shape, v) end
         local opts = { models = { tensor(1.0), tensor(2.0) }, base = base and tensor(0.5) or nil }
         for _, name in ipairs { "alpha", "weight" } do
            if def.params[name] then opts[name] = 0.5 end
         end
         local t = st.merge(method, opts)
         lu.assertEquals(t:shape(), shape, method)
         lu.assertEquals(#support.values(t), t:numel(), method)
      end
   end
end

function suite.test_regions()
   local a, b = vector(0, 1, 2, 3, 4, 5, 6), vector(10, 11, 12, 13, 14, 15, 16)
   check("tensor_sum", { models = { a, b }, width = 0.5, offset = 0.25, rounding = "trunc" },
      { 0, 11, 12, 13, 14, 5, 6 })
   -- 1.75 and 5.25 are rounded.
   check("tensor_sum", { models = { a, b }, width = 0.5, offset = 0.25 }, { 0, 1, 12, 13, 14, 5, 6 })
   check("tensor_sum", { models = { a, b }, width = 0.5, offset = 0.75, rounding = "trunc" },
      { 10, 1, 2, 3, 4, 15, 16 })
   check("tensor_sum2", { models = { matrix(2, 2, 1, 2, 3, 4), matrix(2, 2, 5, 6, 7, 8) }, width = 0.5 },
      { 5, 2, 7, 4 })
   check("top_k_tensor_sum", { models = { vector(1, 2, 3, 4), vector(4, 3, 2, 1) } }, { 4, 3, 2, 1 })
   check("top_k_tensor_sum", { models = { vector(1, 2, 3, 4), vector(4, 3, 2, 1) }, width = 0.5, offset = 0.5,
      bound = "meh" }, { 4, 3, 3, 4 })
   check("clamp", { models = { vector(0, 5), vector(1, 2), vector(3, 4) } }, { 1, 4 })
end

function suite.test_powers()
   check("geometric", { models = { vector(4, -4, -4, 0), vector(9, 9, -9, 5) } }, { 6, 0, -6, 0 })
   check("geometric", { models = { vector(-2), vector(0) }, alpha = 0 }, { -2 })
   check("multiply_quotient", { models = { vector(2, 4), vector(2, 4) }, base = vector(1, 8) }, { 2, 4 })
   check("multiply_quotient", { models = { vector(2), vector(0.5) }, base = vector(1) }, { 1 })
end

function suite.test_turns()
   check("mecha_slerp", { models = { vector(1, 0), vector(0, 3) } }, { 2 * 0.5 ^ 0.5, 2 * 0.5 ^ 0.5 })
   local a, b = matrix(2, 2, 2, 0, 0, 1), matrix(2, 2, 0, 2, -1, 0)
   check("rotate", { models = { a, b }, centralization = 0 }, { 0, 2, -1, 0 })
   local r = 0.5 ^ 0.5
   check("rotate", { models = { a, b }, centralization = 0, alignment = 0.5 }, { 2 * r, 2 * r, -r, r })
   check("rotate", { models = { vector(1, 2), vector(3, 6) }, alpha = 0.5 }, { 2, 4 })
end

-- Fewer rows than columns: from A to what turning by 1 gives, without a leap; lengths stay where A and B span the same.
function suite.test_turns_of_wide_matrices()
   local a = st.randn(3, 8, { seed = 1, dtype = "F64" })
   local b = a + 0.3 * st.randn(3, 8, { seed = 2, dtype = "F64" })
   local function at(alignment, other, centralization)
      return st.merge("rotate", { models = { a, other or b }, alignment = alignment,
         centralization = centralization or 0 })
   end
   local function apart(x, y) return (x - y):abs():amax():item() end
   lu.assertEquals(apart(at(0), a), 0)
   lu.assertTrue(apart(at(1e-7), a) < 1e-5)
   lu.assertTrue(apart(at(1 - 1e-7), at(1)) < 1e-5)
   lu.assertTrue(apart(at(0.5), at(0.5, b, 1)) > 1e-3)
   lu.assertTrue(apart(at(1 - 1e-7, b, 1), at(1, b, 1)) < 1e-5)
   local same = st.tensor { { 0.8, 0.6, 0. }, { -0.6, 0.8, 0. }, { 0., 0., 1. } }:cast("F64"):matmul(a)
   for _, t in ipairs { 0.3, 0.5, 0.9, 1 } do
      local turned = at(t, same)
      lu.assertAlmostEquals(turned:norm():item(), a:norm():item(), 1e-6)
      lu.assertTrue(apart(turned:matmul(turned:t()), a:matmul(a:t())) < 1e-6)
   end
   lu.assertEquals(st.merge("rotate", { models = { matrix(1, 3, 1, 2, 3), matrix(1, 3, 3, 2, 5) },
      alignment = 0.5 }):totable(), { { 2, 2, 4 } })
end

function suite.test_frequencies()
   local a, b = vector(1, 1, 1, 1), vector(1, -1, 3, -3)
   -- B's transform is 0, -2 - 2i, 8, -2 + 2i; heights are 0, 0.5, 1.
   check("crossover", { models = { a, b }, alpha = 0.25 }, { 3, -1, 3, -1 })
   check("crossover", { models = { a, b }, alpha = 0.75 }, { 2, 0, 4, -2 })
   check("crossover", { models = { a, b }, alpha = 0.25, tilt = 2 }, { -1, 1, 1, -1 })
   check("crossover", { models = { a, b }, alpha = 0.25, tilt = 1 }, { 1, 0.5, 1.5, 0 })
   check("crossover", { models = { a, b }, alpha = 0.25, tilt = 4 }, { 3, -1, 3, -1 })
   check("crossover", { models = { vector(2), vector(4) }, alpha = 0.25 }, { 2 })
   check("crossover", { models = { a, a }, alpha = 0.25 }, { 1, 1, 1, 1 })
   check("distribution_crossover", { models = { a, b }, base = vector(0, 1, 2, 3), alpha = 0.5 }, { 3, -1, 3, -1 })
   check("distribution_crossover", { models = { a, b }, base = vector(3, 2, 1, 0), alpha = 0 }, { 1, -1, 3, -3 })
   check("distribution_crossover", { models = { a, b }, base = vector(3, 2, 1, 0), alpha = 1 }, { 1, 1, 1, 1 })
   support.raises("arg", { "crossover: alpha is 1.5", "from 0 to 1" }, st.merge, "crossover",
      { models = { a, b }, alpha = 1.5 })
end

-- The median of three neighbours takes out a peak; what is even stays.
function suite.test_smooth_add()
   local zero = st.zeros(9)
   check("smooth_add", { models = { zero, vector(0, 0, 0, 0, 7, 0, 0, 0, 0) }, base = zero, alpha = 1 },
      { 0, 0, 0, 0, 0, 0, 0, 0, 0 })
   check("smooth_add", { models = { st.ones(3, 2), st.full({ 3, 2 }, 4.0) }, base = st.ones(3, 2), alpha = 2 },
      { 7, 7, 7, 7, 7, 7 })
end

function suite.test_sparse_differences()
   local base = vector(0, 0, 0, 0)
   local x, y = vector(4, -3, 2, 1), vector(1, 3, -6, 1)
   check("peft_magnitude_prune", { models = { x, y }, base = base, weight = { 1, 0.5 }, density = 0.5 },
      { 4, -1.5, -3, 0 })
   check("peft_ties", { models = { x, y }, base = base, weight = { 1, 0.5 }, density = 0.5 }, { 4, 1.5, -3, 0 })
   -- By number 2 and -6 are a tie, which counts as positive.
   check("peft_ties", { models = { x, y }, base = base, weight = { 1, 1 }, density = 1,
      majority_sign_method = "frequency" }, { 2.5, 3, 2, 1 })
   check("peft_ties", { models = { x, y }, base = base, weight = { 1, 1 }, density = 0 }, { 0, 0, 0, 0 })
   check("mecha_ties", { models = { x, y }, base = base }, { 2.5, 0, 0, 1 })
   check("mecha_ties", { models = { x, y }, base = base, vote_sgn = true, alpha = 2 }, { 5, 0, -12, 2 })
   check("mecha_dropout", { models = { x, y }, base = base, probability = 0, alpha = 1 }, { 2.5, 0, -2, 1 })
   check("mecha_dropout", { models = { x, y }, base = base, probability = 1, alpha = 1 }, { 0, 0, 0, 0 })
end

function suite.test_median_of_points()
   -- Of an obtuse triangle the median is the corner of the wide angle.
   check("geometric_median", { models = { vector(-10, 0), vector(0, 1), vector(10, 0) }, iterations = 100 }, { 0, 1 })
   check("geometric_median", { models = { vector(1, 5) } }, { 1, 5 })
end

-- One name, one type: the command line has one option for a parameter of all methods.
function suite.test_methods_are_well_defined()
   local merging, types = require "stlua.merging", {}
   for _, name in ipairs(st.merge_methods()) do
      local def = merging.method(name)
      lu.assertTrue(def.summary:find("%.$") ~= nil, name)
      lu.assertEquals(type(def.source), "string", name)
      for _, param in ipairs(def.params) do
         local kind = param.type == "boolean"
         lu.assertEquals(types[param.name] == nil or types[param.name] == kind, true, name .. ": " .. param.name)
         types[param.name] = kind
         lu.assertEquals(type(param.help), "string", name .. ": " .. param.name)
      end
   end
end

function suite.test_all_wrong_parameters_at_once()
   support.raises("arg", { "3 values are wrong", "density is 2", "weight", "majority_sign_method is \"most\"" },
      st.merge, "peft_ties", { models = { A, B }, base = C, density = 2, majority_sign_method = "most" })
   support.raises("arg", "give alpha", st.merge, "triple_sum", { models = { A, B, C }, beta = 1 })
end

-- ---------------------------------------------------------------- models

local function checkpoint(file, dtype, value, channels)
   local function full(n) local t = {} for i = 1, n do t[i] = value end return t end
   return support.model(file, {
      { "conv", dtype, { 1, channels, 1, 1 }, full(channels) }, { "x", dtype, { 2 }, { value, value } },
   }, { name = file })
end

-- Dtypes and metadata are the first model's, not the base's, where a method says so.
function suite.test_results_are_like_the_first_model()
   local a, b = checkpoint("a", "F16", 1, 4), checkpoint("b", "F32", 2, 4)
   local c = checkpoint("c", "BF16", 4, 4)
   local m = st.merge("add_difference", { models = { a, b }, base = c, alpha = 1 })
   lu.assertEquals(m.x:dtype(), "F16")
   lu.assertEquals(m:metadata().name, "a")
   lu.assertEquals(support.values(m.x), { -1, -1 })
   m = st.merge("mecha_ties", { models = { a, b }, base = c })
   lu.assertEquals(m.x:dtype(), "BF16")
   lu.assertEquals(m:metadata().name, "c")
   -- alpha 0: the very bytes.
   lu.assertTrue(st.merge("weighted_sum", { models = { a, b }, alpha = 0 }).x:is_leaf())
end

function suite.test_input_channels()
   local a, b, c = checkpoint("a", "F16", 1, 9), checkpoint("b", "F16", 2, 4), checkpoint("c", "F16", 4, 4)
   local m = st.merge("add_difference", { models = { a, b }, base = c, alpha = 1 })
   lu.assertEquals(support.values(m.conv), { -1, -1, -1, -1, 1, 1, 1, 1, 1 })
   lu.assertEquals(m.conv:dtype(), "F16")
   support.raises("shape", { "conv", "inpainting", "first" }, st.merge, "weighted_sum", { models = { b, a } })
   local d = checkpoint("d", "F16", 2, 9)
   support.raises("shape", { "conv", "9 input channels", "must have 4" }, st.merge, "n_average",
      { models = { a, d, b } })
   local e = checkpoint("e", "F16", 2, 5)
   support.raises("shape", "different shapes", st.merge, "weighted_sum", { models = { a, e } })
end

function suite.test_keep_and_drop()
   local a = support.model("a.safetensors", { { "x", "F32", { 1 }, { 1 } }, { "ema.x", "F32", { 2 }, { 5, 5 } },
      { "n", "I32", { 1 }, { 3 } } })
   local b = support.model("b.safetensors", { { "x", "F32", { 1 }, { 3 } }, { "ema.y", "F32", { 1 }, { 6 } },
      { "n", "I32", { 1 }, { 4 } }, { "junk", "F32", { 1 }, { 0 } } })
   local m = st.merge("weighted_sum", { models = { a, b }, keep = { "ema.*", "n" }, drop = "junk" })
   lu.assertEquals(support.names(m), "x ema.x n")
   lu.assertEquals(support.values(m["ema.x"]), { 5, 5 })
   lu.assertEquals(support.values(m.n), { 3 })
   lu.assertEquals(support.values(m.x), { 2 })
end

support.run("merge_diffusion", suite)
