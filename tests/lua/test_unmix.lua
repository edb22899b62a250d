--- Mixes found out again: merges by our own commands, block by block, after rounding; and what is no mix.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"
local mixture = require "stlua.mixture"

local suite = {}

local UNET = "model.diffusion_model."

-- Checkpoints of one family: the same base, and a change of each one's own.
local function checkpoint(seed, spread)
   local list = {}
   local function add(name, ...)
      local base = st.randn({ ... }, { seed = 1, name = name })
      local own = st.randn({ ... }, { seed = seed, name = name })
      list[#list + 1] = { name, (base + spread * own):cast "F16":clone() }
   end
   for i = 0, 11 do
      add(UNET .. ("input_blocks.%d.1.attn1.weight"):format(i), 40, 30)
      add(UNET .. ("output_blocks.%d.1.attn2.weight"):format(i), 40, 30)
   end
   add(UNET .. "middle_block.1.weight", 500)
   add("cond_stage_model.transformer.text_model.final_layer_norm.weight", 800)
   add("first_stage_model.decoder.conv_in.weight", 900)
   list[#list + 1] = { "model_ema.num_updates", st.zeros(1) }
   list[#list + 1] = { "ids", st.arange(3) }
   return st.model(list)
end

local A, B, C = checkpoint(11, 0.05), checkpoint(12, 0.05), checkpoint(13, 0.05)

local function saved(name, m)
   local path = support.path(name .. ".safetensors")
   m:save(path, { recipe = false, sync = false })
   return st.open(path)
end

local function weights(fit, ...)
   for i, w in ipairs { ... } do lu.assertAlmostEquals(fit.weights[i], w, 0.003, fit.name) end
end

local function block(u, name)
   for _, b in ipairs(u.blocks) do
      if b.name == name then return b end
   end
   error("no block " .. name)
end

-- Averages, as they are and rounded to each width.
function suite.test_averages()
   for _, to in ipairs { "F32", "F16", "BF16" } do
      local m = saved("m" .. to, (0.7 * A + 0.3 * B):cast(to))
      local u = st.unmix(m, { A, B })
      weights(u.all, 0.7, 0.3)
      lu.assertTrue(u.all.residual < (to == "BF16" and 0.1 or 0.02), u.all.residual)
      lu.assertEquals(#u.blocks, 27)
      for _, b in ipairs(u.blocks) do lu.assertAlmostEquals(b.weights[1], 0.7, 0.02) end
      lu.assertStrContains(tostring(u), "IN00-VAE  0.70 A + 0.30 B")
   end
   local u = st.unmix(saved("m3", 0.5 * A + 0.2 * B + 0.3 * C), { C, A, B })
   weights(u.all, 0.3, 0.5, 0.2)
   u = st.unmix(A, { B, A })
   weights(u.all, 0, 1)
   lu.assertEquals(u.all.residual, 0)
   -- What is common to one of the sources only is not asked of the others.
   u = st.unmix(A, { A:without("middle_block"), B })
   lu.assertEquals(u.left_out, { missing = { UNET .. "middle_block.1.weight" }, dtype = { "ids" } })
end

-- A difference added: a weight below 0, unless none may be.
function suite.test_add_difference()
   local m = saved("ad", st.merge("add_difference", { models = { A, B }, base = C, alpha = 0.8 }))
   local u = st.unmix(m, { A, B, C })
   weights(block(u, "OUT03"), 1, 0.8, -0.8)
   lu.assertTrue(block(u, "OUT03").residual < 0.02)
   lu.assertStrContains(tostring(u), "1.00 A + 0.80 B - 0.80 C")
   local v = st.unmix(m, { A, B, C }, { non_negative = true })
   local b = block(v, "OUT03")
   lu.assertEquals(b.weights[3], 0.0)
   lu.assertAlmostEquals(b.weights[1] + b.weights[2], 1, 1e-9)
   lu.assertTrue(b.residual > 0.3)
end

-- Block weights come out per block, and in all there is no one mix.
function suite.test_block_weights()
   local list = {}
   for i = 1, 26 do list[i] = (i - 1) / 25 end
   local alpha = st.block_weights(A, list)
   local m = saved("bw", st.merge("weighted_sum", { models = { A, B }, alpha = alpha }))
   local u = st.unmix(m, { A, B })
   weights(block(u, "IN00"), 1 - 0.04, 0.04)
   weights(block(u, "M00"), 1 - 13 / 25, 13 / 25)
   weights(block(u, "OUT11"), 0, 1)
   weights(block(u, "TEXT"), 1, 0)
   for _, b in ipairs(u.blocks) do lu.assertTrue(b.residual < 0.02, b.name) end
   lu.assertTrue(u.all.residual > 0.3)
   lu.assertStrContains(tostring(u), "mixed differently")
end

-- Weights that do not add up to 1.
function suite.test_free()
   local m = saved("fr", 0.5 * A + 0.2 * B)
   weights(st.unmix(m, { A, B }, { free = true }).all, 0.5, 0.2)
   weights(st.unmix(saved("half", 0.5 * A), { A }, { free = true }).all, 0.5)
   lu.assertTrue(st.unmix(m, { A, B }).all.residual > 0.5)
   local u = st.unmix(saved("neg", 1.5 * A - 0.4 * B), { A, B }, { free = true, non_negative = true })
   lu.assertEquals(u.all.weights[2], 0.0)
end

-- Tensors of zeros are a mix of anything; sources that all point away are none.
function suite.test_zeros()
   local zero = st.model { { "w", st.zeros(6) }, { "b", st.zeros(3) } }
   local one = st.model { { "w", st.ones(6) }, { "b", st.zeros(3) } }
   for _, opts in ipairs { {}, { free = true }, { free = true, non_negative = true }, { non_negative = true } } do
      for _, m in ipairs { zero, one, -1 * one } do
         local u = st.unmix(saved("z", m), { saved("z0", zero), saved("z1", one) }, opts)
         lu.assertStrContains(require "stlua.unmixing".json(u, "m", { "a", "b" }), '"tensors"')
         lu.assertStrContains(tostring(u), "b")
      end
   end
   local u = st.unmix(saved("z", -1 * one), { saved("z1", one) }, { free = true, non_negative = true })
   lu.assertEquals(u.all.weights, { 0.0 })
end

-- A model of the same family that is no mix of these, and one of no family.
function suite.test_unrelated()
   local u = st.unmix(C, { A, B })
   lu.assertTrue(u.all.residual > 0.7, u.all.residual)
   lu.assertTrue(u.all.relative < 0.1)
   lu.assertStrContains(tostring(u), "not a mix of these")
   local other = st.map(A, function(name, t) return st.randn(t:shape(), { seed = 5, name = name }):cast(t:dtype()) end)
   lu.assertTrue(st.unmix(other, { A, B }).all.residual > 0.9)
end

-- Sources that cannot be told apart are said to be so.
function suite.test_ill_conditioned()
   local m = saved("ill", 0.7 * A + 0.3 * B)
   local u = st.unmix(m, { A, B, A })
   weights(u.all, 0.7, 0.3)
   lu.assertEquals({ u.all.weights[3], u.all.same }, { nil, { [1] = { 3 } } })
   lu.assertStrContains(tostring(u), "0.70 (A or C) + 0.30 B")
   local double = st.map({ A, B }, function(_, x, y)
      return x:dtype() == "F16" and (0.5 * x:cast "F64" + 0.5 * y:cast "F64"):cast("F64") or x
   end)
   u = st.unmix(m, { A, B, double })
   lu.assertEquals(#u.all.dependent, 1)
   lu.assertStrContains(tostring(u), "is a mix of the others here")
   -- A few numbers under noise: the error of a weight tells that it is not known.
   local x, y = st.randn(6, { seed = 1 }), st.randn(6, { seed = 2 })
   local near = st.model { { "w", x } }
   local other = st.model { { "w", x + 0.001 * st.randn(6, { seed = 3 }) } }
   u = st.unmix(st.model { { "w", x + 0.1 * y } }, { near, other })
   lu.assertTrue(u.all.errors[1] > 1)
   lu.assertStrContains(tostring(u), "uncertain: A +- ")
   -- Nothing to find: all are equal.
   u = st.unmix(A, { A, A })
   lu.assertEquals({ u.all.weights[1], u.all.residual }, { 1, 0 })
end

function suite.test_not_finite()
   local bad = st.map(B, function(name, t) return name:find("middle") and t * (0 / 0) or t end)
   local u = st.unmix(A, { A, bad })
   lu.assertEquals(u.left_out["not finite"], { UNET .. "middle_block.1.weight" })
   weights(u.all, 1, 0)
end

-- The arithmetic alone: integers, exactly.
function suite.test_mixture()
   local gram = mixture.zero(2)
   -- a = (1, 0), b - a = (0, 2), m - a = (0, 1).
   gram[1][1], gram[2][2], gram[3][3], gram[2][3], gram[3][2] = 1, 4, 1, 2, 2
   local fit = mixture.solve(gram, 2, {}, 100)
   lu.assertEquals({ fit.weights, fit.residual, fit.dependent }, { { 0.5, 0.5 }, 0, {} })
end

function suite.test_errors()
   support.raises("arg", "2 to 8 sources, got 1", st.unmix, A, { B })
   support.raises("arg", "2 to 8 sources, got 9", st.unmix, A, { A, A, A, A, A, A, A, A, A })
   support.raises("arg", "source 2 is a number", st.unmix, A, { A, 3 })
   support.raises("name", 'matches "nope"', st.unmix, A, { A, B }, { only = "nope" })
   local u = st.unmix(A, { B:select("ids"), B:select("ids") })
   lu.assertStrContains(tostring(u), "no tensor could be compared")
end

function suite.test_command()
   saved("a", A)
   saved("b", B)
   saved("m", 0.7 * A + 0.3 * B)
   local out, err, status = support.stlua("unmix m.safetensors a.safetensors b.safetensors")
   lu.assertEquals({ err, status }, { "", 0 })
   lu.assertStrContains(out, "IN00-VAE  0.70 A + 0.30 B")
   out = support.stlua("unmix m.safetensors a.safetensors b.safetensors --json")
   local u = st.json.decode(out)
   lu.assertEquals({ u.sources, #u.blocks, #u.tensors }, { { "a.safetensors", "b.safetensors" }, 27, 27 })
   lu.assertAlmostEquals(u.all.weights[1], 0.7, 0.001)
   out = support.stlua("unmix m.safetensors a.safetensors b.safetensors --tensors --only '*middle*'")
   lu.assertStrContains(out, UNET .. "middle_block.1.weight")
   err, status = select(2, support.stlua("unmix m.safetensors a.safetensors"))
   lu.assertEquals(status, 2)
   lu.assertStrContains(err, "two sources")
end

support.run("unmix", suite)
