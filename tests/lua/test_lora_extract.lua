--- st.lora.extract: differences of known rank, certificates, what is left out and told, bad input, threads.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

local Q = "model.layers.%d.self_attn.q_proj.weight"

local function lowrank(m, n, rank, seed)
   return (st.randn({ m, rank }, { seed = seed }):matmul(st.randn({ rank, n }, { seed = seed + 100 }))) * 0.1
end

-- A base and what it became: q_proj of three layers, one without a difference; a norm and embeddings that differ.
local function models()
   local base, tuned = {}, {}
   for i = 0, 2 do
      local w = st.randn({ 80, 72 }, { seed = i })
      base[#base + 1] = { Q:format(i), w }
      tuned[#tuned + 1] = { Q:format(i), i < 2 and w + lowrank(80, 72, i + 2, 7 + i) or w }
   end
   for k, name in ipairs { "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight" } do
      local shape = name:find("norm") and { 72 } or { 90, 72 }
      local w = st.randn(shape, { seed = 50 + k })
      base[#base + 1], tuned[#tuned + 1] = { name, w }, { name, w * 1.5 }
   end
   return st.model(base), st.model(tuned)
end

local function rest(base, tuned, found, i)
   local key = "base_model.model." .. Q:format(i):gsub("%.weight$", "")
   local d = tuned:get(Q:format(i)) - base:get(Q:format(i))
   local ba = found.model:get(key .. ".lora_B.weight"):cast("F32"):matmul(
      found.model:get(key .. ".lora_A.weight"):cast("F32"))
   return ((d - ba):norm() / d:norm()):item()
end

function suite.test_known_rank()
   local base, tuned = models()
   local found = st.lora.extract(base, tuned, { rank = 4 })
   lu.assertEquals(#found.layers, 2)
   for i = 0, 1 do
      lu.assertTrue(rest(base, tuned, found, i) < 1e-5)
      lu.assertTrue(found.layers[i + 1].retained > 0.999999)
      lu.assertTrue(found.layers[i + 1].stored_error >= found.layers[i + 1].error)
   end
   lu.assertEquals(found.config.r, 4)
   lu.assertEquals(found.config.target_modules[1], "model.layers.0.self_attn.q_proj")
   lu.assertEquals(found.equal, { "model.layers.2.self_attn.q_proj" })
   lu.assertStrContains(table.concat(found.notes, "\n"), "1 layer does not differ")
   table.sort(found.differing)
   lu.assertEquals(found.differing, { "lm_head.weight", "model.embed_tokens.weight", "model.norm.weight" })
end

function suite.test_energy_finds_the_rank()
   local base, tuned = models()
   local found = st.lora.extract(base, tuned, { energy = 0.99999 })
   lu.assertEquals({ found.layers[1].rank, found.layers[2].rank }, { 2, 3 })
   lu.assertEquals(found.config.rank_pattern, { ["model.layers.0.self_attn.q_proj"] = 2 })
   lu.assertEquals(found.config.alpha_pattern, found.config.rank_pattern)
   found = st.lora.extract(base, tuned, { energy = 1.0, max_rank = 1 })
   lu.assertEquals(found.layers[1].rank, 1)
   lu.assertEquals(st.lora.extract(base, tuned, { max_rank = 2 }).layers[2].rank, 2)
   local layer = st.lora.extract(base, tuned, { sv_ratio = 1 }).layers[1]
   lu.assertEquals(layer.rank, 1)
end

function suite.test_exact_agrees()
   local base, tuned = models()
   local noise = st.randn({ 80, 72 }, { seed = 99 }) * 0.02
   tuned = st.model { { Q:format(0), tuned:get(Q:format(0)) + noise } }
   base = st.model { { Q:format(0), base:get(Q:format(0)) } }
   for _, rank in ipairs { 1, 2, 8, 40, 72 } do
      local a = st.lora.extract(base, tuned, { rank = rank, dtype = "F32" }).layers[1]
      local b = st.lora.extract(base, tuned, { rank = rank, dtype = "F32", exact = true }).layers[1]
      lu.assertTrue(1 - a.retained <= 1.001 * (1 - b.retained) + 1e-6)
      lu.assertTrue(a.retained <= b.retained + 1e-6)
      lu.assertTrue(math.abs(a.norm - b.norm) < 1e-5 * b.norm)
      lu.assertTrue(math.abs(a.s[1] - b.s[1]) < 1e-4 * b.s[1])
   end
end

function suite.test_distribute_and_dtype()
   local base, tuned = models()
   for _, how in ipairs { "both", "up", "down" } do
      local found = st.lora.extract(base, tuned, { rank = 3, distribute = how, dtype = "F32" })
      lu.assertTrue(rest(base, tuned, found, 0) < 1e-5)
   end
   local found = st.lora.extract(base, tuned, { rank = 3, dtype = "BF16" })
   lu.assertEquals(found.model:tensor(1):dtype(), "BF16")
   local real = rest(base, tuned, found, 1)
   lu.assertTrue(math.abs(real - found.layers[2].stored_error) < 0.05 * real)
end

function suite.test_what_goes_in()
   local base, tuned = models()
   local found = st.lora.extract(base, tuned, { include_embeddings = true, only = { "embed_tokens", "lm_head" } })
   lu.assertEquals(support.names(found.model):gsub("base_model%.model%.", ""), "model.embed_tokens.lora_embedding_A "
      .. "model.embed_tokens.lora_embedding_B lm_head.lora_A.weight lm_head.lora_B.weight")
   lu.assertEquals(found.model:tensor(1):shape(), { 32, 90 })
   found = st.lora.extract(base, tuned, { modules_to_save = "norm", rank = 2 })
   lu.assertEquals(found.config.modules_to_save[1], "model.norm")
   lu.assertTrue(found.model:get("base_model.model.model.norm.weight"):identical(tuned:get("model.norm.weight")))
   found = st.lora.extract(base, tuned, { format = "kohya", rank = 2 })
   lu.assertEquals(found.model["lora_unet_model_layers_0_self_attn_q_proj.alpha"]:item(), 2)
   lu.assertEquals(found.model:metadata().ss_network_dim, "2")
end

-- A format that has a matrix whole where the checkpoint has parts, or the other way round, or halves in another order.
function suite.test_formats_with_other_matrices()
   local h = 8
   local native = { "double_blocks.0.img_attn.qkv", 3, "double_blocks.0.img_attn.proj", 1, "single_blocks.0.linear1", 7,
      "final_layer.adaLN_modulation.1", 2 }
   local other = { "single_transformer_blocks.0.attn.to_q", 1, "single_transformer_blocks.0.attn.to_k", 1,
      "single_transformer_blocks.0.attn.to_v", 1, "single_transformer_blocks.0.proj_mlp", 4, "norm_out.linear", 2,
      "transformer_blocks.0.attn.to_out.0", 1 }
   for k, names in ipairs { native, other } do
      local base, tuned = st.model {}, st.model {}
      for i = 1, #names, 2 do
         local rows, name = names[i + 1] * h, names[i] .. ".weight"
         base[name] = st.randn({ rows, h }, { seed = i })
         tuned[name] = base[name] + lowrank(rows, h, 2, 50 + i)
      end
      for _, format in ipairs { "kohya", "diffusers", "peft" } do
         local found = st.lora.extract(base, tuned, { rank = 2, format = format, dtype = "F32" })
         lu.assertEquals(#found.layers, #names // 2)
         lu.assertEquals(found.differing, {})
         local got = st.lora.apply(base, found.model)
         for name, t in pairs(tuned) do lu.assertTrue((t - got[name]):norm():item() < 1e-5, format .. ": " .. name) end
         local first = found.model:name(1)
         lu.assertTrue(first:find(({ kohya = "^lora_unet_[ds][io][un][bg]le_blocks_0", diffusers = "^transformer%.",
            peft = "^base_model%.model%." })[format]) ~= nil, first)
         local note = table.concat(found.notes, "\n"):find("one A for all parts", 1, true) ~= nil
         lu.assertEquals(note, k == 1 and format ~= "kohya")
      end
   end
end

function suite.test_clamped_rank_is_said()
   local base = st.model { { Q:format(0), st.zeros(5, 9) } }
   local tuned = st.model { { Q:format(0), st.randn({ 5, 9 }, { seed = 1 }) } }
   local found = st.lora.extract(base, tuned, { rank = 32 })
   lu.assertEquals(found.layers[1].rank, 5)
   lu.assertStrContains(table.concat(found.notes), "the rank is clamped in 1 layer")
   lu.assertTrue(found.layers[1].retained > 0.999999)
end

function suite.test_threads_and_seed()
   local base = models()
   local tuned = st.model { { Q:format(0), st.randn({ 80, 72 }, { seed = 9 }) },
      { Q:format(1), st.randn({ 80, 72 }, { seed = 10 }) } }
   base = base:select("*layers.0.*", "*layers.1.*")
   local seen, before = {}, st.threads()
   for i, n in ipairs { 1, 2, 5 } do
      st.threads(n)
      local m = st.lora.extract(base, tuned, { rank = 4 }).model
      seen[i] = m:tensor(1):bytes() .. m:tensor(3):bytes()
   end
   st.threads(before)
   lu.assertTrue(seen[1] == seen[2] and seen[1] == seen[3])
end

function suite.test_bad_input()
   local base, tuned = models()
   local bad = st.model { { Q:format(0), st.full({ 80, 72 }, 1 / 0) } }
   local one = base:select(Q:format(0))
   support.raises("arg", "self_attn.q_proj.weight\" holds NaN or infinity", st.lora.extract, one, bad)
   support.raises("arg", "nothing differs", st.lora.extract, base, base)
   support.raises("arg", "rank goes alone", st.lora.extract, base, tuned, { rank = 3, energy = .5 })
   support.raises("arg", "rank = 0", st.lora.extract, base, tuned, { rank = 0 })
   support.raises("arg", "energy = 2", st.lora.extract, base, tuned, { energy = 2 })
   support.raises("arg", '`format` must be one of kohya, diffusers, peft, not "none"', st.lora.extract, base, tuned,
      { format = "none" })
   support.raises("arg", "two models expected", st.lora.extract, base, 3)
   support.raises("name", "no tensor matches \"v_porj\"", st.lora.extract, base, tuned, { only = "v_porj" })
   local other = st.model { { Q:format(0), st.zeros(3, 4) }, { "x.weight", st.zeros(2, 2) } }
   support.raises("name", "the models differ in 2 tensors", st.lora.extract, one, other)
end

function suite.test_reports()
   local certificate = require "stlua.lora.certificate"
   local base, tuned = models()
   local found = st.lora.extract(base, tuned, { rank = 3 })
   lu.assertStrContains(certificate.report("table", found.layers), "retained")
   lu.assertStrContains(certificate.report("plot", found.layers), "█")
   local json = st.json.decode(certificate.report("json", found.layers, { format = found.format }))
   lu.assertEquals({ json.layers[2].rank, json.format, json.total.layers }, { 3, "peft", 2 })
   lu.assertEquals(#json.layers[2].s, 3)
end

support.run("lora_extract", suite)
