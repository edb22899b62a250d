--- st.merge: mergekit's methods by vectors worked out by hand in double precision, parameters and their checks, models,
--- and a method of one's own.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

local b = st.tensor { 1, -2, .5, .25, -1, 3 }
local a1 = st.tensor { 1.4, -2.1, .2, .25, -1.5, 3.05 }
local a2 = st.tensor { .8, -1.8, .9, .26, -1.7, 2 }

-- method, options, result
local VECTORS = {
   { "linear", { models = { a1, a2 }, weight = { .6, .4 } }, { 1.16, -1.98, .48, .254, -1.58, 2.63 } },
   { "task_arithmetic", { base = b, models = { a1, a2 }, weight = { .6, .4 } },
      { 1.16, -1.98, .48, .254, -1.58, 2.63 } },
   { "ties", { base = b, models = { a1, a2 }, weight = { .6, .4 }, density = .5 }, { 1.4, -2, .2, .25, -1.58, 2 } },
   { "ties", { base = b, models = { a1, a2 }, weight = { .6, .4 } }, { 1.4, -1.8, .2, .26, -1.58, 2 } },
   { "ties", { base = b, models = { a1, a2 }, weight = { .6, .4 }, normalize = false, lambda = .5 },
      { 1.12, -1.96, .41, .252, -1.29, 2.8 } },
   { "breadcrumbs", { base = b, models = { a1 }, weight = 1, density = .5, gamma = .2 },
      { 1.4, -2.1, .2, .25, -1, 3 } },
   { "breadcrumbs", { base = b, models = { a1 }, weight = 1, density = .5, gamma = .2, rescale = true },
      { 1.675, -2.16875, -.00625, .25, -1, 3 } },
   { "slerp", { base = b, models = { a1 }, t = .3 },
      { 1.1229943, -2.0352143, .4109441, .250638, -1.1531049, 3.0227109 } },
   { "slerp", { base = b, models = { a2 }, t = .3 },
      { .9508472, -1.9627251, .6280004, .256021, -1.2254855, 2.7304801 } },
   { "nuslerp", { base = b, models = { a1, a2 }, weight = { .7, .3 } },
      { 1.2596819, -2.0000196, .4134067, .2543267, -1.7356412, 2.6106046 } },
   { "nuslerp", { models = { a1, a2 }, weight = { .7, .3 } },
      { 1.2316798, -2.0301872, .4151616, .2556065, -1.5762612, 2.7615886 } },
   { "nearswap", { base = b, models = { a2 }, t = .2 }, { .8, -1.8, .7, .26, -1.2, 2.8 } },
   { "model_stock", { base = b, models = { a1, a2 } },
      { 1.0156612, -1.9921694, .5078306, .2507831, -1.093967, 2.9256094 } },
   { "sce", { base = b, models = { a1, a2 } }, { 1.4, -1.8, .9, .26, -1.6542941, 2 } },
   { "sce", { base = b, models = { a1, a2 }, select_topk = .5 }, { 1.4, -2, .9, .25, -1, 2 } },
   { "ram", { base = b, models = { a1, a2 }, epsilon = .06 }, { 1.1, -1.95, .55, .25, -1.6, 2 } },
   { "ramplus_tl", { base = b, models = { a1, a2 }, epsilon = .06, r = .1, alpha = .2 },
      { 1.1, -1.95, .55, .25, -1.6, 1.98 } },
   { "multislerp", { models = { a1, a2 }, weight = { .6, .4 } },
      { 1.1543018, -2.0098094, .529415, .2604712, -1.6277768, 2.6340247 } },
   { "multislerp", { base = b, models = { a1, a2 }, weight = { .6, .4 } },
      { 1.3502152, -2.02934, .3343617, .2538809, -1.8064566, 2.6653869 } },
   { "karcher", { models = { b, a1, a2 } },
      { 1.0674615, -1.9971276, .5720182, .259211, -1.4425997, 2.6971123 } },
   { "arcee_fusion", { base = b, models = { a2 } }, { 1, -2, .5, .25, -1.7, 2 } },
   { "passthrough", { models = { a1 }, scale = 2 }, { 2.8, -4.2, .4, .5, -3, 6.1 } },
   -- Edges.
   { "ties", { base = st.tensor { 0.0 }, models = { st.tensor { 1.0 }, st.tensor { -1.0 } }, weight = 1 }, { 1 } },
   { "task_arithmetic", { base = st.tensor { 0.0 }, models = { st.tensor { 1.0 }, st.tensor { 3.0 } },
      weight = { 1, -1 }, normalize = true }, { -2 } },
   { "slerp", { base = st.tensor { 1.0, 0 }, models = { st.tensor { -1.0, 0 } }, t = .25 }, { .5, 0 } },
   { "slerp", { base = st.tensor { 1.0, 0 }, models = { st.tensor { 0.0, 2 } }, t = .5 }, { .7071068, 1.4142136 } },
   { "slerp", { base = st.tensor { 0.0, 0 }, models = { st.tensor { 1.0, 1 } }, t = .5 }, { .7071068, .7071068 } },
   { "model_stock", { base = st.tensor { 0.0, 0 }, models = { st.tensor { 1.0, 0 }, st.tensor { -1.0, 0 } } },
      { 0, 0 } },
   { "multislerp", { models = { a1, -a1 }, weight = .5 }, { 0, 0, 0, 0, 0, 0 } },
   { "karcher", { models = { st.tensor { 2.0, 0 }, st.tensor { 0.0, 1 } } }, { 1.0606602, 1.0606602 } },
}

function suite.test_vectors()
   for i, case in ipairs(VECTORS) do
      local got = st.merge(case[1], case[2])
      for k, want in ipairs(case[3]) do
         lu.assertAlmostEquals(got:values(k, 1)[1], want, 2e-6, ("%d: %s, element %d"):format(i, case[1], k))
      end
   end
end

function suite.test_multislerp_without_directions()
   local base, zero = st.tensor { 1.0, 2 }, st.tensor { 0.0, 0 }
   for _, eps in ipairs { 1e-8, 0 } do
      local opts = { models = { base, base, base }, base = base, weight = 1, eps = eps }
      lu.assertEquals(support.values(st.merge("multislerp", opts)), { 1, 2 })
      opts.models, opts.base = { zero, zero, zero }, nil
      lu.assertEquals(support.values(st.merge("multislerp", opts)), { 0, 0 })
   end
   local cancelling = st.merge("multislerp", { models = { base, -base, base }, weight = { 1, 2, 1 }, name = "the.name",
      normalize_weights = false })
   local ok, e = pcall(support.values, cancelling)
   lu.assertFalse(ok)
   lu.assertStrContains(e.message, "multislerp: the.name: the weighted directions cancel each other")
end

--- All methods with one model, density 1 and weight 1 give the model back.
function suite.test_one_model()
   for _, name in ipairs { "task_arithmetic", "ties", "dare_ties", "dare_linear", "breadcrumbs", "breadcrumbs_ties",
      "della", "della_linear" } do
      local got = st.merge(name, { base = b, models = { a1 }, weight = 1 })
      lu.assertTrue((got - a1):abs():amax():item() < 1e-6, name)
   end
end

local function count(mask) return mask:count_nonzero():item() end

--- How many entries stay, and which of equal ones.
function suite.test_densities()
   local n = 100
   local x = st.arange(1, n + 1):cast("F32")
   local zero = st.zeros(n)
   local function kept(density)
      return st.merge("ties", { base = zero, models = { x }, weight = 1, density = density })
   end
   lu.assertEquals(count(kept(.29)), 28)      -- trunc(0.29 * 100), as doubles have it
   lu.assertEquals(count(kept(.001)), 1)
   lu.assertEquals(count(kept(0)), 0)
   local equal = st.ones(10)
   local got = st.merge("ties", { base = st.zeros(10), models = { equal }, weight = 1, density = .3 })
   lu.assertEquals(got:tolist(), { 1, 1, 1, 0, 0, 0, 0, 0, 0, 0 })
end

--- Methods with chance: the same seed and name give the same tensor, others others.
function suite.test_chance_has_a_seed()
   local x = st.randn(1000, { seed = 1 })
   local function merged(opts)
      local o = { base = st.zeros(1000), models = { x }, weight = 1, density = .5 }
      for key, value in pairs(opts) do o[key] = value end
      return st.to_string(st.merge("dare_linear", o):cast("F32"))
   end
   lu.assertEquals(merged { name = "a" }, merged { name = "a" })
   lu.assertNotEquals(merged { name = "a" }, merged { name = "b" })
   lu.assertNotEquals(merged { name = "a" }, merged { name = "a", seed = 1 })
end

function suite.test_wrong_parameters()
   local raises = support.raises
   local function merge(name, opts)
      return function()
         local o = { base = b, models = { a1, a2 }, weight = 1 }
         for key, value in pairs(opts) do o[key] = value ~= "none" and value or nil end
         return st.merge(name, o)
      end
   end
   raises("arg", 'no merge method "tied"; did you mean "ties"?', merge("tied", {}))
   raises("arg", "density of model 1 is 2; it must be from 0 to 1", merge("ties", { density = 2 }))
   raises("arg", "weight of model 2 is not a number", merge("ties", { weight = { 1, 0 / 0 } }))
   raises("arg", "weight has 3 values for 2 models", merge("ties", { weight = { 1, 2, 3 } }))
   raises("arg", "give weight", merge("ties", { weight = "none" }))
   raises("arg", "give the base", merge("ties", { base = "none" }))
   raises("arg", "takes no base", merge("linear", {}))
   raises("arg", "weights add up to 0", merge("linear", { base = "none", weight = { 1, -1 } }))
   raises("arg", 'unknown option "densty"; did you mean "density"?', merge("ties", { densty = 1 }))
   raises("arg", "takes 1 tensor besides the base, not 2", merge("slerp", { t = .5, weight = "none" }))
   raises("arg", "density 0.9 - epsilon and + epsilon must lie between 0 and 1", merge("della", { density = .9 }))
   raises("arg", "normalize must be a boolean", merge("ties", { normalize = 1 }))
   raises("arg", "max_iter is 2.5; it must be a whole number", merge("karcher",
      { base = "none", weight = "none", max_iter = 2.5 }))
end

local function model(x)
   return st.model { { "w", x:clone() }, { "norm", (x * 2):clone() }, { "ids", st.tensor { 1, 2 } } }
end

function suite.test_models()
   local base, one, two = model(b), model(a1), model(a2)
   local merged = st.merge("ties", { base = base, models = { one, two }, weight = { .6, .4 },
      density = function(name) return name == "w" and .5 or nil end })
   lu.assertAlmostEquals(merged.w:values(5, 1)[1], -1.58, 1e-6)
   lu.assertAlmostEquals(merged.norm:values(2, 1)[1], -3.6, 1e-6)      -- density 1
   lu.assertEquals(merged.ids:tolist(), { 1, 2 })
   support.raises("arg", "a model is given twice", function()
      st.merge("ties", { base = base, models = { one, one }, weight = 1 })
   end)
   support.raises("arg", "density of model 2 is -1", function()
      st.merge("ties", { base = base, models = { one, two }, weight = 1,
         density = { 1, function(name) return name == "w" and -1 or 1 end } })
   end)
end

-- What only tensors' names decide is not asked for without one.
function suite.test_parameters_by_name_alone()
   local one, two = model(a1), model(a2)
   local merged = st.merge("weighted_sum", { models = { one, two },
      alpha = function(name) return ({ w = 0, norm = 1 })[name] end })
   lu.assertEquals({ merged.w:values(), merged.norm:values() }, { one.w:values(), two.norm:values() })
   support.raises("arg", "sum_twice: give alpha", function()
      st.merge("sum_twice", { models = { one, two, model(b) }, beta = 0.5, alpha = function(name)
         return name ~= "norm" and 0.5 or nil
      end })
   end)
end

function suite.test_wrong_options()
   local one, two = model(a1), model(a2)
   local function merge(opts)
      opts.models, opts.alpha = { one, two }, 0.5
      return st.merge("weighted_sum", opts)
   end
   support.raises("arg", 'missing = "frist" is not one of', merge, { missing = "frist" })
   support.raises("arg", '"pass" is for st.map', merge, { missing = "pass" })
   support.raises("arg", 'shapes = "all" is not one of', merge, { shapes = "all" })
   support.raises("arg", "seed is 1.5; it must be a whole number", merge, { seed = 1.5 })
   support.raises("arg", "at most 9007199254740992", merge, { seed = (1 << 53) + 1 })
end

-- Integers of any of the models are not interpolated.
function suite.test_integers_with_floats()
   local whole = st.model { { "w", st.tensor { 1, 2 } } }
   local float = st.model { { "w", st.tensor { 1.0, 2 } } }
   for _, models in ipairs { { whole, float }, { float, whole } } do
      support.raises("dtype", "I64 values of", st.merge, "weighted_sum", { models = models, alpha = 0.5 })
   end
   support.raises("dtype", "I64 values of", st.map, { whole, float }, function(_, x, y) return 0.5 * x + 0.5 * y end)
   lu.assertEquals(st.map({ float, whole }, function(_, x) return x * 1 end).w:values(), { 1, 2 })
end

--- A method of one's own is a file on the path.
function suite.test_own_method()
   support.shell("mkdir -p @/stlua/merge")
   local folder = support.path("")
   local file = assert(io.open(folder .. "stlua/merge/half_way.lua", "w"))
   file:write [[
return {
   summary = "Half way to the first model.",
   base = "required",
   params = { { name = "factor", type = "number", default = 0.5, min = 0 } },
   merge = function(base, models, p) return base + (models[1] - base) * p.factor end,
}
]]
   file:close()
   local path = package.path
   package.path = folder .. "?.lua;" .. path
   lu.assertTrue(table.concat(st.merge_methods(), " "):find("half_way", 1, true) ~= nil)
   lu.assertAlmostEquals(st.merge("half_way", { base = b, models = { a1 } }):values(1, 1)[1], 1.2, 1e-6)
   support.write(folder .. "stlua/merge/broken.lua", "error 'no'")
   support.write(folder .. "stlua/merge/taken.lua",
      "return { summary = 'x', params = { { name = 'seed', type = 'number' } }, merge = print }")
   support.raises("arg", "the merge method broken: ", st.merge, "broken", { models = { a1 } })
   support.raises("arg", "cannot be called seed", st.merge, "taken", { models = { a1 } })
   local text = require("stlua.merge_options").methods_text()      -- the others go on
   lu.assertStrContains(text, "broken cannot be used: ")
   lu.assertStrContains(text, "half_way: Half way")
   package.path = path
end

support.run("merge", suite)
