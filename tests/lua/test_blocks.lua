--- Block weights: every block of Stable Diffusion 1, XL and Flux; lists, presets, patterns, elements.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

local UNET = "model.diffusion_model."

local function model_of(names)
   local list = {}
   for i, name in ipairs(names) do list[i] = { name, support.tensor("F32", { 1 }, { i }) } end
   return st.model(list)
end

local sd = model_of { UNET .. "input_blocks.0.0.weight", UNET .. "input_blocks.11.0.weight" }
local xl = model_of { UNET .. "input_blocks.0.0.weight", UNET .. "input_blocks.8.0.weight" }
local flux = model_of { "double_blocks.0.img_attn.qkv.weight" }

-- One number per block in the order of the blocks: 0 for the first.
local function count(n)
   local list = {}
   for i = 1, n do list[i] = i - 1 end
   return list
end

local function check(model, n, places)
   local weight = st.block_weights(model, count(n))
   for name, place in pairs(places) do lu.assertEquals(weight(name), place, name) end
end

function suite.test_every_block_of_sd()
   local places = { [UNET .. "time_embed.0.weight"] = 1, [UNET .. "out.0.weight"] = 25,
      [UNET .. "middle_block.0.in_layers.0.weight"] = 13, [UNET .. "middle_block.2.out_layers.0.weight"] = 13,
      ["cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight"] = 0,
      ["first_stage_model.encoder.conv_in.weight"] = 0 }
   for i = 0, 11 do
      places[UNET .. ("input_blocks.%d.1.proj_in.weight"):format(i)] = i + 1
      places[UNET .. ("output_blocks.%d.0.out_layers.0.weight"):format(i)] = i + 14
   end
   check(sd, 26, places)
end

function suite.test_every_block_of_sdxl()
   local places = { [UNET .. "time_embed.0.weight"] = 1, [UNET .. "label_emb.0.0.weight"] = 1,
      [UNET .. "out.2.bias"] = 19, [UNET .. "middle_block.1.proj_in.weight"] = 10,
      ["conditioner.embedders.1.model.ln_final.weight"] = 0 }
   for i = 0, 8 do
      places[UNET .. ("input_blocks.%d.1.proj_in.weight"):format(i)] = i + 1
      places[UNET .. ("output_blocks.%d.0.out_layers.0.weight"):format(i)] = i + 11
   end
   check(xl, 20, places)
   lu.assertEquals(st.block_weights(xl, count(20))("first_stage_model.decoder.conv_in.weight"), 0)
   lu.assertEquals(st.block_weights(xl, count(21))("first_stage_model.decoder.conv_in.weight"), 20)
end

function suite.test_every_block_of_flux()
   local places = { ["text_encoders.clip_l.transformer.text_model.embeddings.token_embedding.weight"] = 0,
      ["text_encoders.t5xxl.transformer.encoder.final_layer_norm.weight"] = 1, ["img_in.weight"] = 2,
      ["model.diffusion_model.time_in.in_layer.weight"] = 2, ["final_layer.linear.weight"] = 60 }
   for i = 0, 18 do places[("model.diffusion_model.double_blocks.%d.txt_mlp.0.weight"):format(i)] = 3 + i end
   for i = 0, 37 do places[("single_blocks.%d.linear1.weight"):format(i)] = 22 + i end
   check(flux, 61, places)
   lu.assertNil(st.block_weights(flux, count(61))("vae.decoder.conv_in.weight"))
end

-- Without the base; 26 numbers for XL, of which those of the deep blocks are left out.
function suite.test_other_lengths()
   local weight = st.block_weights(sd, count(25))
   lu.assertEquals(weight(UNET .. "input_blocks.0.0.weight"), 0)
   lu.assertEquals(weight(UNET .. "out.2.bias"), 24)
   lu.assertNil(weight "cond_stage_model.x")
   weight = st.block_weights(xl, count(26))
   lu.assertEquals(weight "conditioner.embedders.0.x", 0)
   lu.assertEquals(weight(UNET .. "input_blocks.8.0.x"), 9)
   lu.assertEquals(weight(UNET .. "middle_block.0.x"), 13)
   lu.assertEquals(weight(UNET .. "output_blocks.8.0.x"), 22)
   lu.assertEquals(st.block_weights(xl, count(19))(UNET .. "input_blocks.0.0.x"), 0)
   lu.assertEquals(st.block_weights(flux, count(60))("single_blocks.0.x"), 21)
   support.raises("arg", { "24 numbers", "26 blocks" }, st.block_weights, sd, count(24))
end

-- Values of supermerger's file of presets, to as many digits as stand there.
function suite.test_presets()
   local function at(preset, block)
      local names = { BASE = "cond_stage_model.x", M00 = UNET .. "middle_block.0.x" }
      local kind, i = block:match("^(%a+)(%d+)$")
      local name = names[block] or UNET .. (kind == "IN" and "input" or "output") .. "_blocks." .. tonumber(i) .. ".0.x"
      return st.block_weights(sd, preset)(name)
   end
   for preset, values in pairs {
      GRAD_V = { BASE = 0, IN00 = 1, IN01 = 0.9166666667, M00 = 0, OUT11 = 1 },
      GRAD_A = { BASE = 0, IN00 = 0, IN11 = 0.9166666667, M00 = 1, OUT10 = 0.0833333333 },
      FLAT_25 = { BASE = 0, IN07 = 0.25 }, FLAT_75 = { OUT03 = 0.75 }, ALL_A = { BASE = 0, M00 = 0 },
      ALL_B = { BASE = 1, M00 = 1 },
      WRAP08 = { IN03 = 1, IN04 = 0, OUT07 = 0, OUT08 = 1 }, WRAP12 = { IN05 = 1, IN06 = 0, OUT05 = 0, OUT06 = 1 },
      WRAP14 = { IN06 = 1, IN07 = 0, OUT04 = 0, OUT05 = 1 }, WRAP16 = { IN07 = 1, IN08 = 0, OUT03 = 0, OUT04 = 1 },
      MID12_50 = { IN04 = 0, IN05 = 0.5, OUT05 = 0.5, OUT06 = 0 }, OUT07 = { OUT04 = 0, OUT05 = 1 },
      OUT12 = { M00 = 0, OUT00 = 1 }, OUT12_5 = { IN11 = 0, M00 = 0.5, OUT00 = 1 },
      RING08_SOFT = { IN04 = 0, IN05 = 0.5, IN06 = 1, IN08 = 1, IN09 = 0.5, IN10 = 0, OUT02 = 0.5, OUT06 = 0.5 },
      RING08_5 = { IN05 = 0, IN06 = 1, IN09 = 1, IN10 = 0, OUT02 = 1, OUT05 = 1, OUT06 = 0 },
      RING10_5 = { IN05 = 1, IN09 = 1, IN10 = 0, OUT01 = 0, OUT02 = 1, OUT06 = 1 },
      RING10_3 = { IN05 = 0, IN06 = 1, IN10 = 1, IN11 = 0, OUT01 = 1, OUT05 = 1, OUT06 = 0 },
      SMOOTHSTEP = { IN01 = 0.00506365740740741, OUT10 = 0.994936342592593 },
      ["REVERSE-SMOOTHSTEP"] = { BASE = 0, IN01 = 0.994936342592593 },
      ["SMOOTHSTEP*2"] = { IN01 = 0.0101273148148148, OUT00 = 0.875289351851852 },
      ["SMOOTHSTEP*3"] = { IN11 = 0.687065972222222, OUT03 = 0.222222222222222 },
      ["R_SMOOTHSTEP*4"] = { IN01 = 0.97974537037037, IN08 = 0.0370370370370372 },
      ["SMOOTHSTEP/2"] = { IN01 = 0.0196759259259259, OUT00 = 0.980324074074074 },
      ["SMOOTHSTEP/3"] = { IN01 = 0.04296875, OUT10 = 0.95703125 }, ["R_SMOOTHSTEP/4"] = { IN03 = 0.5, OUT11 = 1 },
      COSINE = { IN00 = 1, IN01 = 0.995722430686905 }, REVERSE_COSINE = { IN01 = 0.00427756931309475 },
      TRUE_CUBIC_HERMITE = { IN00 = 0, IN01 = 0.199031876929012, M00 = 0.520833333333333, OUT10 = 0.842634789737655 },
      TRUE_REVERSE_CUBIC_HERMITE = { IN00 = 1, IN01 = 0.800968123070988 },
      FAKE_CUBIC_HERMITE = { IN01 = 0.157576195987654, M00 = 0.5 }, FAKE_REVERSE_CUBIC_HERMITE = { OUT11 = 0 },
   } do
      for block, value in pairs(values) do
         lu.assertAlmostEquals(at(preset, block), value, 1e-9, preset .. " " .. block)
      end
   end
end

function suite.test_patterns_and_elements()
   local weight = st.block_weights(sd, "IN00-IN03=0.2, OUT*=0.7, OUT11=0.1")
   lu.assertEquals(weight(UNET .. "input_blocks.3.0.x"), 0.2)
   lu.assertNil(weight(UNET .. "input_blocks.4.0.x"))
   lu.assertEquals(weight(UNET .. "output_blocks.2.0.x"), 0.7)
   lu.assertEquals(weight(UNET .. "output_blocks.11.0.x"), 0.1)
   weight = st.block_weights(sd, "FLAT_25\nOUT03 OUT04:attn1 attn2.to_k:0.5,NOT OUT04:norm:1,"
      .. "OUT05:NOT attn proj:0.9,:emb:0")
   lu.assertEquals(weight(UNET .. "output_blocks.3.1.attn1.to_q.weight"), 0.5)
   lu.assertEquals(weight(UNET .. "output_blocks.3.1.attn2.to_q.weight"), 0.25)
   lu.assertEquals(weight(UNET .. "output_blocks.4.1.norm.weight"), 0.25)
   lu.assertEquals(weight(UNET .. "output_blocks.3.1.norm.weight"), 1)
   lu.assertEquals(weight(UNET .. "output_blocks.5.1.attn1.norm.weight"), 1)
   lu.assertEquals(weight(UNET .. "output_blocks.5.0.in_layers.0.weight"), 0.9)
   lu.assertEquals(weight(UNET .. "input_blocks.1.0.emb_layers.1.weight"), 0)
   weight = st.block_weights(xl, { ["IN*"] = 0.4, VAE = 1 })
   lu.assertEquals(weight(UNET .. "input_blocks.2.0.x"), 0.4)
   lu.assertEquals(weight "first_stage_model.x", 1)
end

function suite.test_refusals()
   support.raises("arg", { "no block", "IN12", "IN11" }, st.block_weights, sd, "IN12=1")
   support.raises("arg", "runs backwards", st.block_weights, sd, "IN03-IN00=1")
   support.raises("arg", { "GRAD_X", "did you mean" }, st.block_weights, sd, "GRAD_X")
   support.raises("arg", { "IN00=x", "not a number" }, st.block_weights, sd, "IN00=x")
   support.raises("arg", "BLOCKS:ELEMENTS:RATIO", st.block_weights, sd, "OUT03:0.5")
   support.raises("arg", { "both about IN00" }, st.block_weights, sd, { IN00 = 1, ["IN0*"] = 0 })
   support.raises("arg", "give numbers", st.block_weights, sd, " , ")
   support.raises("arg", "no Stable Diffusion", st.block_weights, model_of { "model.layers.0.weight" }, "GRAD_V")
   support.raises("arg", "a model expected", st.block_weights, 5, "GRAD_V")
   support.raises("arg", "a text or a table", st.block_weights, sd, 5)
end

-- As a parameter of st.merge: blocks that the spec does not name get the default.
function suite.test_in_a_merge()
   local a = model_of { UNET .. "input_blocks.0.0.weight", UNET .. "input_blocks.11.0.weight" }
   local b = model_of { UNET .. "input_blocks.0.0.weight", UNET .. "input_blocks.11.0.weight", }
   b:set(UNET .. "input_blocks.0.0.weight", support.tensor("F32", { 1 }, { 3 }))
   b:set(UNET .. "input_blocks.11.0.weight", support.tensor("F32", { 1 }, { 4 }))
   local m = st.merge("weighted_sum", { models = { a, b }, alpha = st.block_weights(a, "IN00=0.25") })
   lu.assertEquals(m[UNET .. "input_blocks.0.0.weight"]:values(1, 1), { 1.5 })
   lu.assertEquals(m[UNET .. "input_blocks.11.0.weight"]:values(1, 1), { 3 })
end

support.run("blocks", suite)
