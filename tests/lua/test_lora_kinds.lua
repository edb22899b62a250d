--- Kinds of adapters, one by one: taken out again what was put in, parts of the way, what does not fit and what is
-- lost. Values are compared with PEFT and the published formulas by tests/conformance/lora_apply.py.
local lu = require "luaunit"
local st = require "stlua"
local support = require "support"

local suite = {}

local function near(want, got, bound)
   lu.assertEquals(got:shape(), want:shape())
   local off = ((want - got):norm() / want:norm()):item()
   lu.assertTrue(off <= (bound or 2e-6), ("off by %g"):format(off))
end

-- A model of these shapes, of random numbers.
local function model(shapes)
   local m, names = st.model {}, {}
   for name in pairs(shapes) do names[#names + 1] = name end
   table.sort(names)
   for i, name in ipairs(names) do m[name] = st.randn(shapes[name], { seed = i }) end
   return m
end

local function small(...) return st.randn(...) * 0.2 end

-- Tensors of a module "m" by kind, for a weight (12, 8) or (12, 8, 3, 3).
local LINEAR = {
   LoRA = { ["lora_down.weight"] = { 3, 8 }, ["lora_up.weight"] = { 12, 3 } },
   LoHa = { hada_w1_a = { 12, 2 }, hada_w1_b = { 2, 8 }, hada_w2_a = { 12, 2 }, hada_w2_b = { 2, 8 } },
   LoKr = { lokr_w1 = { 3, 2 }, lokr_w2 = { 4, 4 } },
   GLoRA = { ["a1.weight"] = { 8, 2 }, ["a2.weight"] = { 2, 8 }, ["b1.weight"] = { 12, 2 }, ["b2.weight"] = { 2, 8 } },
   ["GLoRA, old"] = { ["a1.weight"] = { 2, 8 }, ["a2.weight"] = { 8, 2 }, ["b1.weight"] = { 2, 8 },
      ["b2.weight"] = { 12, 2 } },
   OFT = { oft_blocks = { 3, 4, 4 } },
   ["OFT, rescaled"] = { oft_blocks = { 3, 4, 4 }, rescale = { 12, 1 } },
   BOFT = { oft_blocks = { 2, 2, 6, 6 }, rescale = { 12, 1 } },
   IA3 = { ia3_l = { 12, 1 } },
   ["IA3, columns"] = { ia3_l = { 1, 8 } },
   ["OFT of PEFT"] = { ["oft_R.weight"] = { 2, 6 } },
   ["OFT of PEFT, shared"] = { ["oft_R.weight"] = { 1, 6 } },
   ["OFT of embeddings"] = { ["oft_embedding_R.weight"] = { 2, 6 } },
   ["BOFT of PEFT"] = { boft_R = { 1, 2, 4, 4 }, boft_s = { 12, 1 } },
   ["BOFT of PEFT, stages"] = { boft_R = { 2, 2, 4, 4 }, boft_s = { 12, 1 } },
   difference = { diff = { 12, 8 }, diff_b = { 12 } },
}
local KERNEL = {
   LoCon = { ["lora_down.weight"] = { 3, 8, 1, 1 }, ["lora_up.weight"] = { 12, 3, 1, 1 },
      ["lora_mid.weight"] = { 3, 3, 3, 3 } },
   GLoRA = { ["a1.weight"] = { 8, 2, 1, 1 }, ["a2.weight"] = { 2, 8, 1, 1 }, ["b1.weight"] = { 12, 2, 1, 1 },
      ["b2.weight"] = { 2, 8, 3, 3 } },
   OFT = { oft_blocks = { 3, 4, 4 } },
   ["OFT of PEFT"] = { ["oft_R.weight"] = { 9, 28 } },
   ["BOFT of PEFT"] = { boft_R = { 2, 18, 4, 4 }, boft_s = { 1, 12 } },
}

local function adapter(parts)
   local m, i = st.model {}, 100
   local names = {}
   for name in pairs(parts) do names[#names + 1] = name end
   table.sort(names)
   for _, name in ipairs(names) do
      i = i + 1
      local t = st.randn(parts[name], { seed = i }) * 0.2
      local is_factor = name == "boft_s" or name == "rescale" or name == "ia3_l"
      m["m." .. name] = is_factor and 1 + t or t
   end
   return m
end

local function there_and_back(list, shape)
   local base = model { ["m.weight"] = shape, ["m.bias"] = { 12 } }
   for kind, parts in pairs(list) do
      local a = adapter(parts)
      for _, strength in ipairs { 1, 0.6 } do
         local there = st.lora.apply(base, a, strength)
         lu.assertTrue((there["m.weight"] - base["m.weight"]):norm():item() > 0.01, kind)
         local back = st.lora.apply(there, a, strength, { invert = true })
         near(base["m.weight"], back["m.weight"], 5e-6)
         near(base["m.bias"], back["m.bias"])
      end
   end
end

function suite.test_taken_out_again()
   there_and_back(LINEAR, { 12, 8 })
   there_and_back(KERNEL, { 12, 8, 3, 3 })
end

function suite.test_several_are_taken_out_in_the_other_order()
   local base = model { ["m.weight"] = { 12, 8 } }
   local list = { { adapter(LINEAR.OFT), 0.7 }, { adapter(LINEAR.LoRA) }, { adapter(LINEAR.GLoRA), 0.5 },
      { adapter(LINEAR["IA3, columns"]) } }
   local there = st.lora.apply(base, list)
   near(base["m.weight"], st.lora.apply(there, list, nil, { invert = true })["m.weight"], 5e-6)
end

function suite.test_what_cannot_be_taken_out()
   local base = model { ["m.weight"] = { 12, 8 }, ["m.bias"] = { 12 } }
   local whole = st.model { { "m.set_weight", st.ones(12, 8) } }
   support.raises("arg", { '"m" (whole tensor)', "is lost" }, st.lora.apply, base, whole, 1, { invert = true })
   near(base["m.weight"], st.lora.apply(st.lora.apply(base, whole, 0.5), whole, 0.5, { invert = true })["m.weight"])
   local zero = st.model { { "m.ia3_l", st.zeros(12, 1) } }
   support.raises("arg", { '"m" (IA3)', "a factor is 0" }, st.lora.apply, base, zero, 1, { invert = true })
   local dora = adapter(LINEAR.LoRA)
   dora["m.dora_scale"] = st.ones(12, 1)
   local notes = table.concat(st.lora.apply(base, dora, 1, { invert = true }):notes(), "\n")
   lu.assertStrContains(notes, "DoRA in 1 module: taken out nearly")
end

-- Turned is turned: lengths stay.
function suite.test_rotations_keep_lengths()
   local base = model { ["m.weight"] = { 12, 8 } }
   local before = base["m.weight"]:norm():item()
   for _, kind in ipairs { "OFT", "BOFT of PEFT", "BOFT of PEFT, stages" } do
      local a = adapter(LINEAR[kind])
      if a["m.boft_s"] then a["m.boft_s"] = st.ones(12, 1) end
      lu.assertAlmostEquals(st.lora.apply(base, a)["m.weight"]:norm():item(), before, 1e-5 * before)
   end
end

-- PEFT's configuration beside an adapter, as of a folder.
local function with_config(m, text)
   m = m:with_metadata { ["stlua.adapter_config"] = text }
   return m
end

function suite.test_configurations_of_oft()
   local base = model { ["m.weight"] = { 12, 8 } }
   local parts = st.model {}
   parts["base_model.model.m.oft_R.weight"] = small({ 2, 6 }, { seed = 9 })
   local function apply(text) return st.lora.apply(base, with_config(parts, text))["m.weight"] end
   local exact = apply '{"peft_type":"OFT","use_cayley_neumann":false}'
   lu.assertAlmostEquals(exact:norm():item(), base["m.weight"]:norm():item(), 1e-4)
   -- The series is that of the opposite turn; with no term there is none.
   local back = apply '{"peft_type":"OFT","num_cayley_neumann_terms":60}'
   local both = st.lora.apply(st.model { { "m.weight", back } }, with_config(parts,
      '{"peft_type":"OFT","use_cayley_neumann":false}'))["m.weight"]
   near(base["m.weight"], both, 1e-5)
   near(base["m.weight"], apply '{"peft_type":"OFT","num_cayley_neumann_terms":1}', 1e-7)
   -- A narrow limit leaves nearly everything where it is.
   near(base["m.weight"], apply '{"peft_type":"OFT","use_cayley_neumann":false,"coft":true,"eps":1e-5}', 1e-4)
end

-- PEFT's patterns are regular expressions, of a whole name or its end.
function suite.test_patterns()
   local peft = require "stlua.lora.peft"
   local function rank(pattern, module)
      return peft.rank({ r = 1, rank_pattern = { [pattern] = 7 } }, "base_model.model." .. module) == 7
   end
   local q, down = "model.layers.11.self_attn.q_proj", "model.layers.2.mlp.down_proj"
   for pattern, want in pairs {
      ["q_proj"] = { true, false }, ["self_attn.q_proj"] = { true, false }, ["attn.q_proj"] = { false, false },
      [ [[layers\.\d+\.mlp.*]] ] = { false, true }, ["^model.layers.[12]+.*"] = { true, true },
      ["^layers.*"] = { false, false }, ["(q_proj|down_proj)"] = { true, true }, ["q_proj|down_proj"] = { true, true },
      [ [[layers\.(1|11|3)\.(self_attn|mlp)\.(?:q|k)_proj]] ] = { true, false },
      ["(self_attn.)?q_proj"] = { true, false }, ["model.layers.(2|(3|4)).mlp.(up|down)_proj$"] = { false, true },
      [ [[layers\.\d\.mlp\.down_proj]] ] = { false, true }, ["q-proj"] = { false, false },
   } do
      lu.assertEquals({ rank(pattern, q), rank(pattern, down) }, want, pattern)
   end
   for _, pattern in ipairs { "(a|b)*", "a{2}", "(?=a)b", "a+?", "(a" } do
      support.raises("arg", { "adapter_config.json", "not supported" }, rank, pattern, q)
   end
   local several = { ["self_attn.q_proj"] = 3, ["attn.*"] = 4, q_proj = 5 }
   lu.assertEquals(peft.rank({ r = 1, rank_pattern = several }, q), 5)
end

-- What a configuration says that factors alone do not tell.
function suite.test_configurations_that_are_refused()
   local base = model { ["m.weight"] = { 12, 8 } }
   local a = st.model {}
   a["base_model.model.m.lora_A.weight"], a["base_model.model.m.lora_B.weight"] = st.ones(2, 8), st.ones(12, 2)
   for text, want in pairs {
      ['{"r":2,"lora_alpha":2,"peft_type":"ADALORA"}'] = "PEFT's ADALORA is not supported",
      ['{"r":2,"lora_alpha":2,"init_lora_weights":"pissa_niter_4"}'] = "path_initial_model_for_weight_conversion",
      ['{"r":2,"lora_alpha":2,"alora_invocation_tokens":[1]}'] = "alora_invocation_tokens is not supported",
   } do
      for _, call in ipairs { function(m) st.lora.apply(base, m) end, function(m) st.lora.resize(m, { rank = 1 }) end,
         function(m) st.lora.combine { m } end, function(m) st.lora.convert(m, { to = "kohya" }) end } do
         support.raises("format", want, call, with_config(a, text))
      end
   end
   st.lora.apply(base, with_config(a, '{"r":2,"lora_alpha":2,"peft_type":"LORA","init_lora_weights":"gaussian",'
      .. '"use_qalora":false,"arrow_config":null}'))
end

-- PEFT scales LoKr by its own rank where both matrices are whole, and has another name for alpha.
function suite.test_scale_of_lokr()
   local base = st.model { { "m.weight", st.zeros(4, 4) } }
   local a = st.model {}
   a["base_model.model.m.lokr_w1"], a["base_model.model.m.lokr_w2"] = st.ones(2, 2), st.ones(2, 2)
   local out = st.lora.apply(base, with_config(a, '{"peft_type":"LOKR","r":8,"alpha":4}'))
   lu.assertEquals(out["m.weight"][1][1], 0.5)
end

-- GPT-2's weights are (in, out), PEFT's factors those of the transpose, which a square weight does not tell.
function suite.test_transposed()
   local base = model { ["m.weight"] = { 8, 8 } }
   local a = st.model {}
   a["base_model.model.m.lora_A.weight"] = small({ 2, 8 }, { seed = 1 })
   a["base_model.model.m.lora_B.weight"] = small({ 8, 2 }, { seed = 2 })
   local d = a["base_model.model.m.lora_B.weight"]:matmul(a["base_model.model.m.lora_A.weight"])
   local plain = with_config(a, '{"r":2,"lora_alpha":2}')
   local turned = with_config(a, '{"r":2,"lora_alpha":2,"fan_in_fan_out":true}')
   near(base["m.weight"] + d, st.lora.apply(base, plain)["m.weight"])
   near(base["m.weight"] + d:t(), st.lora.apply(base, turned)["m.weight"])
end

function suite.test_biases_that_were_trained()
   local base = model { ["m.weight"] = { 12, 8 }, ["m.bias"] = { 12 } }
   local a = adapter(LINEAR.LoRA)
   a["m.base_layer.bias"] = st.randn({ 12 }, { seed = 7 })
   near(a["m.base_layer.bias"], st.lora.apply(base, a)["m.bias"], 1e-7)
   near(0.5 * (a["m.base_layer.bias"] + base["m.bias"]), st.lora.apply(base, a, 0.5)["m.bias"], 1e-6)
   a["m.base_layer.bias"] = st.ones(11)
   support.raises("shape", { '"m"', "whole_bias [11]", "does not fit [12]" }, st.lora.apply, base, a)
end

-- Magnitudes of columns are LyCORIS'; PEFT's of a convolution look alike, and are of rows.
function suite.test_magnitudes_of_rows_and_columns()
   local base = model { ["m.weight"] = { 8, 8, 3, 3 } }
   local a = st.model {}
   a["m.lora_down.weight"], a["m.lora_up.weight"] = small({ 2, 8, 3, 3 }, { seed = 1 }), st.zeros(8, 2, 1, 1)
   local size = 1 + st.arange(8):float():reshape(1, 8, 1, 1)
   a["m.dora_scale"] = size
   local by_column = st.lora.apply(base, a)["m.weight"]
   near(size:flatten(), by_column:permute(2, 1, 3, 4):reshape(8, 72):norm(2, { dim = 2 }), 1e-6)
   local b = a:without("m.dora_scale")
   b["m.lora_magnitude_vector"] = size
   local by_row = st.lora.apply(base, b)["m.weight"]
   near(size:flatten(), by_row:reshape(8, 72):norm(2, { dim = 2 }), 1e-6)
end

function suite.test_what_does_not_fit()
   local base = model { ["m.weight"] = { 12, 10 }, ["m.bias"] = { 12 } }
   for kind, parts in pairs(LINEAR) do
      if kind ~= "IA3" and kind ~= "OFT" and kind ~= "OFT, rescaled" and kind ~= "BOFT" then
         local e = support.raises("shape", { '"m"', "does not fit [12, 10]" }, st.lora.apply, base, adapter(parts))
         lu.assertStrContains(e.message, "model: ")
      end
   end
   support.raises("shape", { "blocks [3, 5, 5]", "does not fit [12, 10]" }, st.lora.apply, base,
      adapter { oft_blocks = { 3, 5, 5 } })
   support.raises("shape", { "l [11, 1]", "does not fit [12, 10]" }, st.lora.apply, base, adapter { ia3_l = { 11, 1 } })
   support.raises("format", { '"m"', "alpha is a number, not [2]" }, st.lora.apply, base, adapter { alpha = { 2 },
      ["lora_down.weight"] = { 3, 10 }, ["lora_up.weight"] = { 12, 3 } })
   support.raises("format", { '"m.lora_down.weight" is no matrix, but [10]' }, st.lora.apply, base, adapter {
      ["lora_down.weight"] = { 10 }, ["lora_up.weight"] = { 12, 3 } })
   support.raises("format", { "DoRA's magnitudes are of no use to OFT" }, st.lora.apply, base, adapter {
      oft_blocks = { 3, 4, 4 }, dora_scale = { 12, 1 } })
end

support.run("lora_kinds", suite)
