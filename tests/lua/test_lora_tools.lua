--- Adapters resized, combined, converted, looked at: against sums and products of the factors, and there and back.
local lu = require "luaunit"
local st = require "stlua"
local support = require "support"

local suite = {}

local Q = "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
local K = Q:gsub("_q$", "_k")

-- Factors by kohya's names.
local function add(list, name, rows, columns, rank, alpha, kind)
   kind = kind or "F32"
   list[#list + 1] = { name .. ".lora_down.weight", st.randn(rank, columns):cast(kind) }
   list[#list + 1] = { name .. ".lora_up.weight", st.randn(rows, rank):cast(kind) }
   if alpha then list[#list + 1] = { name .. ".alpha", st.tensor(alpha):cast(kind) } end
   return list
end

local function one(...) return st.model(add({}, ...)) end

-- alpha / rank * B A of a module, by whatever names.
local function delta(m, name)
   local down = m[name .. ".lora_down.weight"] or m[name .. ".lora_A.weight"]
   local up = m[name .. ".lora_up.weight"] or m[name .. ".lora_B.weight"]
   local alpha, rank = m[name .. ".alpha"], down:shape()[1]
   local d = up:double():reshape(#up, rank):matmul(down:double():reshape(rank, down:numel() // rank))
   return d * ((alpha and alpha:item() or rank) / rank)
end

local function near(want, got, bound)
   lu.assertEquals(got:shape(), want:shape())
   local off = ((want - got):norm() / want:norm()):item()
   lu.assertTrue(off <= (bound or 1e-6), ("off by %g"):format(off))
end

local function saved(m, name)
   local path = support.path(name)
   st.lora.write(m, path, { sync = false, force = true })
   return path
end

-- ---------------------------------------------------------------- resize

function suite.test_resize_is_the_best_there_is()
   st.manual_seed(3)
   local m = one("lora_unet_" .. Q, 20, 14, 8, 4)
   local out, rows = st.lora.resize(m, { rank = 3 })
   local want, got = delta(m, "lora_unet_" .. Q), delta(out, "lora_unet_" .. Q)
   local s = want:svdvals():totable()
   local lost, all = 0, 0
   for i, v in ipairs(s) do all, lost = all + v * v, lost + (i > 3 and v * v or 0) end
   lu.assertAlmostEquals((want - got):norm():item(), math.sqrt(lost), 1e-5)
   lu.assertAlmostEquals(rows[1].retained, 1 - lost / all, 1e-9)
   lu.assertAlmostEquals(rows[1].error, math.sqrt(lost / all), 1e-9)
   lu.assertAlmostEquals(rows[1].norm, math.sqrt(all), 1e-9)
   lu.assertEquals({ rows[1].rank_before, rows[1].rank }, { 8, 3 })
   lu.assertEquals(out["lora_unet_" .. Q .. ".alpha"]:item(), 1.5)      -- the scale stays 0.5
end

function suite.test_resize_rules_count_right()
   -- Singular values 8, 4, 2, 1.
   local eye = st.eye(4)
   local values = st.tensor { 8.0, 4, 2, 1 }
   local m = st.model { { "lora_unet_x.lora_down.weight", eye * values:reshape(4, 1) },
      { "lora_unet_x.lora_up.weight", eye } }
   local function rank(opts)
      local _, rows = st.lora.resize(m, opts)
      return rows[1].rank
   end
   lu.assertEquals(rank { sv_ratio = 3 }, 2)              -- 8 and 4 are above 2.67
   lu.assertEquals(rank { sv_ratio = 2 }, 1)              -- 4 is not above 4
   lu.assertEquals(rank { sv_cumulative = 0.8 }, 2)       -- 12 of 15
   lu.assertEquals(rank { sv_cumulative = 0.81 }, 3)
   lu.assertEquals(rank { energy = 80 / 85 }, 2)
   lu.assertEquals(rank { energy = 0.95 }, 3)
   lu.assertEquals(rank { sv_fro = 0.9 }, 2)              -- 0.81 of the squares
   lu.assertEquals(rank { energy = 1 }, 4)
   lu.assertEquals(rank { energy = 1, rank = 2 }, 2)
end

function suite.test_resize_keeps_what_is_small_enough()
   local list = add({}, "lora_unet_a", 6, 5, 2, 1)
   add(list, "lora_unet_b", 6, 5, 4, 1)
   local m = st.model(list)
   local out, rows = st.lora.resize(m, { rank = 2 })
   for _, part in ipairs { ".lora_down.weight", ".lora_up.weight", ".alpha" } do
      lu.assertTrue(out["lora_unet_a" .. part]:identical(m["lora_unet_a" .. part]))
   end
   lu.assertEquals(#rows, 1)
   lu.assertStrContains(table.concat(out:notes(), "\n"), "1 module of no higher rank than asked for")
end

function suite.test_resize_of_convolutions_and_other_kinds()
   st.manual_seed(4)
   local m = st.model {
      { "lora_unet_c.lora_down.weight", st.randn(6, 4, 3, 3) }, { "lora_unet_c.lora_up.weight", st.randn(8, 6, 1, 1) },
      { "lora_unet_m.lora_down.weight", st.randn(3, 4, 1, 1) }, { "lora_unet_m.lora_up.weight", st.randn(8, 3, 1, 1) },
      { "lora_unet_m.lora_mid.weight", st.randn(3, 3, 3, 3) },
      { "lora_unet_h.hada_w1_a", st.randn(9, 2) }, { "lora_unet_h.hada_w1_b", st.randn(2, 7) },
      { "lora_unet_h.hada_w2_a", st.randn(9, 2) }, { "lora_unet_h.hada_w2_b", st.randn(2, 7) },
      { "lora_unet_k.lokr_w1", st.randn(3, 2) }, { "lora_unet_k.lokr_w2", st.randn(3, 4) },
      { "lora_unet_t.lokr_w1", st.randn(2, 2) }, { "lora_unet_t.lokr_t2", st.randn(2, 2, 3, 3) },
      { "lora_unet_t.lokr_w2_a", st.randn(2, 4) }, { "lora_unet_t.lokr_w2_b", st.randn(2, 3) },
      { "lora_unet_d.diff", st.randn(6, 5) }, { "lora_unet_n.w_norm", st.randn(6) },
   }
   local shapes = { c = { 8, 4, 3, 3 }, m = { 8, 4, 3, 3 }, h = { 9, 7 }, k = { 9, 8 }, t = { 8, 6, 3, 3 },
      d = { 6, 5 }, n = { 6 } }
   local base = st.model {}
   for name, shape in pairs(shapes) do base[name .. ".weight"] = st.zeros(shape) end
   local out, rows = st.lora.resize(m, { rank = 100, conv_rank = 4 })
   local want, got = st.lora.apply(base, m), st.lora.apply(base, out)
   local by_name = {}
   for _, row in ipairs(rows) do by_name[row.module] = row end
   for name in pairs(shapes) do
      local row = by_name["lora_unet_" .. name]
      near(want[name .. ".weight"], got[name .. ".weight"], (row and row.error or 0) * (1 + 1e-6) + 1e-6)
   end
   lu.assertEquals(by_name.lora_unet_c.rank, 4)
   lu.assertEquals(out["lora_unet_c.lora_down.weight"]:shape(), { 4, 4, 3, 3 })
   lu.assertEquals(by_name.lora_unet_h.rank, 4)      -- all there is
   lu.assertTrue(out["lora_unet_n.w_norm"]:identical(m["lora_unet_n.w_norm"]))
end

function suite.test_resize_refuses()
   local m = one("lora_unet_a", 6, 5, 2, 1)
   support.raises("arg", "give `rank`, or a rule", st.lora.resize, m, {})
   support.raises("arg", "energy must be", st.lora.resize, m, { energy = 1.5 })
   support.raises("arg", "not both", st.lora.resize, m, { energy = 0.5, sv_ratio = 2 })
   m["lora_unet_a.dora_scale"] = st.ones(6, 1)
   support.raises("format", { "DoRA", "lora_unet_a" }, st.lora.resize, m, { rank = 1 })
   local bad = one("lora_unet_a", 6, 5, 2, 1)
   bad["lora_unet_a.lora_up.weight"] = st.full({ 6, 2 }, 0 / 0)
   support.raises("arg", { "NaN", "lora_unet_a.lora_up.weight" }, st.lora.resize, bad, { rank = 1 })
   support.raises("arg", { "NaN", "lora_unet_a.lora_up.weight" }, st.lora.combine, { { bad } })
end

function suite.test_resize_of_a_peft_folder()
   local list = {}
   for i = 0, 1 do
      local name = ("base_model.model.model.layers.%d.self_attn.q_proj"):format(i)
      list[#list + 1] = { name .. ".lora_A.weight", st.randn(8 - 4 * i, 12) }
      list[#list + 1] = { name .. ".lora_B.weight", st.randn(16, 8 - 4 * i) }
   end
   local folder = support.path "peft"
   st.model(list, { format = "pt" }):save(folder, { max_shard_size = "1GB", only_file = "adapter_model.safetensors",
      sync = false, files = { ["adapter_config.json"] = [[{"peft_type":"LORA","r":8,"lora_alpha":16,"use_rslora":true,
      "rank_pattern":{"layers.1.self_attn.q_proj":4},"base_model_name_or_path":"owner/name"}]] } })
   local small = saved(st.lora.resize(folder, { rank = 4 }), "peft-small")
   local config = st.json.decode(support.read(small .. "/adapter_config.json"))
   lu.assertEquals({ config.r, config.use_rslora, config.base_model_name_or_path }, { 4, false, "owner/name" })
   local base = st.model { { "model.layers.0.self_attn.q_proj.weight", st.zeros(16, 12) },
      { "model.layers.1.self_attn.q_proj.weight", st.zeros(16, 12) } }
   local want, got = st.lora.apply(base, folder), st.lora.apply(base, small)
   near(want[2] or want:tensor(2), got:tensor(2), 1e-6)
   local _, rows = st.lora.resize(folder, { rank = 4 })
   lu.assertAlmostEquals(((want:tensor(1) - got:tensor(1)):norm() / want:tensor(1):norm()):item(), rows[1].error, 1e-6)
end

-- ---------------------------------------------------------------- combine

local function three()
   st.manual_seed(5)
   local a = st.model(add(add({}, "lora_unet_" .. Q, 12, 10, 4, 2), "lora_unet_" .. K, 12, 10, 4, 2))
   local b = one("lora_unet_" .. Q, 12, 10, 3, 7)
   local c = one("lora_unet_" .. Q, 12, 10, 2)
   return a, b, c
end

function suite.test_combine_is_the_sum()
   local a, b, c = three()
   local want = 0.6 * delta(a, "lora_unet_" .. Q) - 0.4 * delta(b, "lora_unet_" .. Q) + 2 * delta(c, "lora_unet_" .. Q)
   for _, mode in ipairs { "exact", "cat" } do
      for _, other in ipairs { b, st.lora.convert(b, { to = "diffusers" }), st.lora.convert(b, { to = "peft" }) } do
         local out = st.lora.combine({ { a, 0.6 }, { other, -0.4 }, { c, 2 } }, { mode = mode })
         lu.assertEquals(#out, 6)
         near(want, delta(out, "lora_unet_" .. Q))
         near(0.6 * delta(a, "lora_unet_" .. K), delta(out, "lora_unet_" .. K))
         lu.assertEquals(out["lora_unet_" .. Q .. ".lora_down.weight"]:shape(), { 9, 10 })
      end
   end
   local out, rows = st.lora.combine({ { a, 0.6 }, { b, -0.4 }, { c, 2 } }, { rank = 9 })
   near(want, delta(out, "lora_unet_" .. Q))
   lu.assertTrue(rows[1].error < 1e-6)
   out, rows = st.lora.combine({ { a, 0.6 }, { b, -0.4 }, { c, 2 } }, { rank = 4 })
   lu.assertAlmostEquals(((want - delta(out, "lora_unet_" .. Q)):norm() / want:norm()):item(), rows[1].error, 1e-6)
end

function suite.test_combine_of_one_is_itself()
   local a = three()
   local out = st.lora.combine { { a, 1 } }
   for name, t in pairs(a) do lu.assertTrue(out[name]:identical(t), name) end
end

function suite.test_combine_of_other_kinds()
   st.manual_seed(6)
   local a = one("lora_unet_x", 9, 7, 2, 1)
   local h = st.model { { "lora_unet_x.hada_w1_a", st.randn(9, 2) }, { "lora_unet_x.hada_w1_b", st.randn(2, 7) },
      { "lora_unet_x.hada_w2_a", st.randn(9, 2) }, { "lora_unet_x.hada_w2_b", st.randn(2, 7) } }
   local d = st.model { { "lora_unet_x.diff", st.randn(9, 7) } }
   support.raises("format", { "LoHa", "lora_unet_x", "give a rank" }, st.lora.combine, { { a }, { h } })
   local out = st.lora.combine({ { a, 0.5 }, { h, 0.25 }, { d, -1 } }, { rank = 7 })
   local base = st.model { { "x.weight", st.zeros(9, 7) } }
   near(st.lora.apply(base, { { a, 0.5 }, { h, 0.25 }, { d, -1 } }):tensor(1), st.lora.apply(base, out):tensor(1), 2e-6)
end

function suite.test_combine_refuses()
   local a, b = three()
   local flux = one("lora_unet_double_blocks_0_img_attn_proj", 12, 10, 3, 7)
   support.raises("format", { "Stable Diffusion 1", "Flux" }, st.lora.combine, { { a }, { flux } })
   support.raises("shape", { "[12, 10]", "[12, 8]" }, st.lora.combine, { { a }, { one("lora_unet_" .. Q, 12, 8, 2) } })
   support.raises("arg", "needs `rank`", st.lora.combine, { { a }, { b } }, { mode = "svd" })
   support.raises("arg", "sum of all ranks", st.lora.combine, { { a }, { b } }, { mode = "cat", rank = 3 })
   support.raises("arg", "weight of adapter 2", st.lora.combine, { { a }, { b, "x" } })
   support.raises("arg", "nothing is left", st.lora.combine, { { a, 0 } })
   support.raises("format", "no tensor of it", st.lora.combine, { { st.model { { "a", st.ones(2) } } } })
end

-- ---------------------------------------------------------------- convert

-- Every module that the rules know, with a shape that fits.
local function check_round_trip(name, list, formats)
   local m = st.model(list)
   local first = saved(m, name .. ".safetensors")
   for _, format in ipairs(formats) do
      local there = saved(st.lora.convert(first, { to = format }), name .. "-" .. format)
      local back = saved(st.lora.convert(there, { to = "kohya" }), name .. "-back.safetensors")
      lu.assertTrue(support.read(first) == support.read(back), name .. " by " .. format)
   end
end

function suite.test_convert_there_and_back()
   st.manual_seed(7)
   for _, kind in ipairs { "F16", "F32" } do
      local list = {}
      for i, name in ipairs { Q, K, "mid_block_attentions_0_proj_in", "up_blocks_0_upsamplers_0_conv",
         "up_blocks_1_attentions_2_transformer_blocks_0_ff_net_0_proj", "down_blocks_1_resnets_1_time_emb_proj" } do
         add(list, "lora_unet_" .. name, 8, 6, i, i / 2, kind)
      end
      check_round_trip("sd1u" .. kind, list, { "diffusers", "peft" })
      add(list, "lora_te_text_model_encoder_layers_3_self_attn_q_proj", 8, 6, 2, 1, kind)
      check_round_trip("sd1" .. kind, list, { "diffusers" })
   end
   local list = {}
   for _, name in ipairs { "unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k", "unet_output_blocks_2_2_conv",
      "unet_middle_block_1_transformer_blocks_9_ff_net_2", "te1_text_model_encoder_layers_0_mlp_fc1",
      "te2_text_model_encoder_layers_31_mlp_fc1" } do
      add(list, "lora_" .. name, 8, 6, 4, 4)
   end
   check_round_trip("sdxl", list, { "diffusers" })
   list = {}
   for _, part in ipairs { "self_attn_q_proj", "mlp_down_proj" } do
      add(list, "lora_unet_model_layers_0_" .. part, 8, 6, 4, 8)
   end
   check_round_trip("llama", list, { "peft" })
end

function suite.test_convert_names()
   local m = st.model(add(add({}, "lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k", 8, 6, 4),
      "lora_te2_text_model_encoder_layers_31_mlp_fc1", 8, 6, 4))
   lu.assertEquals(support.names(st.lora.convert(m, { to = "diffusers" })),
      "unet.down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k.lora_A.weight "
      .. "unet.down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k.lora_B.weight "
      .. "text_encoder_2.text_model.encoder.layers.31.mlp.fc1.lora_A.weight "
      .. "text_encoder_2.text_model.encoder.layers.31.mlp.fc1.lora_B.weight")
   local unknown = one("lora_unet_something_else", 8, 6, 2)
   support.raises("name", { "lora_unet_something_else", "--model" }, st.lora.convert, unknown, { to = "diffusers" })
   local base = st.model { { "something.else.weight", st.zeros(8, 6) } }
   lu.assertEquals(st.lora.convert(unknown, { to = "peft", model = base }):name(1),
      "base_model.model.something.else.lora_A.weight")
end

function suite.test_convert_fused()
   st.manual_seed(8)
   local h = 6
   local shared = add(add({}, "lora_unet_double_blocks_0_img_attn_qkv", 3 * h, h, 4, 2, "F16"),
      "lora_unet_single_blocks_3_linear1", 3 * h + 4 * h, h, 4, 2, "F16")
   check_round_trip("flux-shared", shared, { "diffusers", "peft" })
   -- Blocks along the diagonal, as training by parts gives it.
   local parts, flux = {}, { ["modelspec.architecture"] = "flux-1-dev/lora" }
   for i, name in ipairs { "to_q", "to_k", "to_v" } do
      parts[#parts + 1] = { "transformer.transformer_blocks.0.attn." .. name .. ".lora_A.weight", st.randn(2 + i, h) }
      parts[#parts + 1] = { "transformer.transformer_blocks.0.attn." .. name .. ".lora_B.weight", st.randn(h, 2 + i) }
   end
   local first = saved(st.lora.convert(st.model(parts, flux), { to = "diffusers" }), "flux-parts")
   local joined = st.lora.convert(first, { to = "kohya" })
   lu.assertEquals(joined["lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight"]:shape(), { 3 * h, 12 })
   lu.assertEquals(joined["lora_unet_double_blocks_0_img_attn_qkv.alpha"]:item(), 12.0)
   local k = st.model(parts)
   near(delta(k, "transformer.transformer_blocks.0.attn.to_k"),
      delta(joined, "lora_unet_double_blocks_0_img_attn_qkv"):narrow(1, h + 1, h))
   joined = saved(joined, "flux-joined.safetensors")
   local back = saved(st.lora.convert(joined, { to = "diffusers" }), "flux-parts-back")
   lu.assertTrue(support.read(first) == support.read(back))
   -- Only two of three: the third stays away.
   local two = st.lora.convert(st.model({ table.unpack(parts, 1, 4) }, flux), { to = "kohya" })
   lu.assertEquals(#st.lora.convert(two, { to = "diffusers" }), 4)
end

function suite.test_convert_refuses()
   local name = "lora_unet_" .. Q
   local h = st.model { { name .. ".hada_w1_a", st.ones(4, 2) }, { name .. ".hada_w1_b", st.ones(2, 4) },
      { name .. ".hada_w2_a", st.ones(4, 2) }, { name .. ".hada_w2_b", st.ones(2, 4) } }
   support.raises("format", { "LoHa", "diffusers", "resize" }, st.lora.convert, h, { to = "diffusers" })
   lu.assertEquals(#st.lora.convert(h, { to = "kohya" }), 4)
   local both = st.model(add(add({}, name, 8, 6, 2), "lora_te_text_model_encoder_layers_0_mlp_fc1", 8, 6, 2))
   support.raises("name", { "one model", "lora_te_text" }, st.lora.convert, both, { to = "peft" })
   support.raises("arg", "`to` must be", st.lora.convert, both, {})
   support.raises("shape", "17 rows", st.lora.convert, one("lora_unet_double_blocks_0_img_attn_qkv", 17, 6, 2),
      { to = "diffusers" })
end

-- What PEFT saves beside factors stays beside them: biases that were trained, an embedding whose vocabulary grew.
function suite.test_tensors_beside_factors()
   st.manual_seed(9)
   local q, e = "base_model.model.model.layers.0.self_attn.q_proj", "base_model.model.model.embed_tokens"
   local m = st.model({ { q .. ".lora_A.weight", st.randn(4, 12) }, { q .. ".lora_B.weight", st.randn(16, 4) },
      { q .. ".base_layer.bias", st.randn(16) }, { e .. ".lora_embedding_A", st.randn(3, 30) },
      { e .. ".lora_embedding_B", st.randn(12, 3) }, { e .. ".base_layer.weight", st.randn(30, 12) } },
      { ["stlua.adapter_config"] = [[{"r":4,"lora_alpha":8,"rank_pattern":{"embed_tokens":3}}]] })
   local base = st.model { { "model.layers.0.self_attn.q_proj.weight", st.randn(16, 12) },
      { "model.layers.0.self_attn.q_proj.bias", st.randn(16) }, { "model.embed_tokens.weight", st.randn(28, 12) } }
   local want = st.lora.apply(base, m)
   for _, other in ipairs { st.lora.resize(m, { rank = 4 }), st.lora.convert(m, { to = "peft" }) } do
      local got = st.lora.apply(base, other)
      for name, t in pairs(want) do near(t, got[name], 1e-6) end
   end
   support.raises("format", { "whole bias beside LoRA", "LoRA of an embedding" }, st.lora.convert, m, { to = "kohya" })
   support.raises("format", "no plain product", st.lora.combine, { { m }, { m } })
   local turned = m:select("*self_attn*lora_*"):with_metadata { ["stlua.adapter_config"] =
      '{"r":4,"lora_alpha":8,"fan_in_fan_out":true}' }
   support.raises("format", "factors of the transpose", st.lora.convert, turned, { to = "kohya" })
   support.raises("format", "no plain product", st.lora.combine, { { m:select("*self_attn*lora_*") }, { turned } })
end

function suite.test_alpha_must_be_told_for_peft()
   local q = "base_model.model.model.layers.0.self_attn.q_proj"
   local m = st.model { { q .. ".lora_A.weight", st.ones(2, 6) }, { q .. ".lora_B.weight", st.ones(8, 2) } }
   local base = st.model { { "model.layers.0.self_attn.q_proj.weight", st.zeros(8, 6) } }
   for _, call in ipairs { function() st.lora.apply(base, m) end, function() st.lora.combine { m, m } end,
      function() st.lora.convert(m, { to = "kohya" }) end } do
      support.raises("format", { q, "adapter_config.json" }, call)
   end
   lu.assertStrContains(table.concat(st.lora.info(m).warnings, "\n"), "without alpha")
end

function suite.test_extract_and_convert()
   local base = st.model { { "model.layers.0.mlp.up_proj.weight", st.zeros(24, 20) } }
   local tuned = st.model { { "model.layers.0.mlp.up_proj.weight", st.randn(24, 3):matmul(st.randn(3, 20)) } }
   local found = st.lora.extract(base, tuned, { rank = 3 })
   local folder = saved(found.model, "extracted")
   lu.assertEquals(st.json.decode(support.read(folder .. "/adapter_config.json")).r, 3)
   local kohya = saved(st.lora.convert(folder, { to = "kohya" }), "extracted.safetensors")
   near(tuned:tensor(1), st.lora.apply(base, kohya):tensor(1), 1e-5)
   local back = saved(st.lora.convert(kohya, { to = "peft" }), "extracted-back")
   for _, file in ipairs { "adapter_config.json", "adapter_model.safetensors" } do
      lu.assertTrue(support.read(folder .. "/" .. file) == support.read(back .. "/" .. file), file)
   end
end

-- ---------------------------------------------------------------- info

function suite.test_info()
   local a = three()
   local m = a:with_metadata { ss_base_model_version = "sd_v1", ["modelspec.trigger_phrase"] = "zzcat",
      ss_dataset_dirs = '{"10_cat":{"n_repeats":10,"img_count":20}}',
      ss_tag_frequency = '{"10_cat":{"cat":20,"tree":3}}' }
   local info, shown = st.lora.info(m)
   lu.assertEquals({ info.format, info.architecture, info.modules }, { "kohya", "sd1", 2 })
   lu.assertEquals(info.ranks[1], { value = 4, count = 2 })
   lu.assertEquals(info.training.triggers[1], "zzcat")
   local want = math.sqrt(delta(a, "lora_unet_" .. Q):norm():item() ^ 2 + delta(a, "lora_unet_" .. K):norm():item() ^ 2)
   lu.assertAlmostEquals(info.norm, want, 1e-9 * want)
   for _, s in ipairs { "Stable Diffusion 1", "zzcat", "10_cat", "cat (20), tree (3)", "down_blocks.0" } do
      lu.assertStrContains(shown, s)
   end
   lu.assertEquals(#info.warnings, 0)
   lu.assertNotNil(st.json.encode(info))
end

function suite.test_info_warns()
   local m = one("lora_te_text_model_encoder_layers_0_mlp_fc1", 3, 4, 5)
   m.strange = st.ones(2)
   m["lora_te_text_model_encoder_layers_1_mlp_fc1.lora_down.weight"] = st.ones(2, 4)
   m["lora_te_text_model_encoder_layers_1_mlp_fc1.lora_up.weight"] = st.zeros(3, 2)
   m["lora_te_text_model_encoder_layers_2_mlp_fc1.lora_down.weight"] = st.ones(2, 4)
   m["lora_te_text_model_encoder_layers_2_mlp_fc1.lora_up.weight"] = st.full({ 3, 2 }, 1 / 0)
   local all = table.concat(st.lora.info(m).warnings, "\n")
   for _, s in ipairs { "without alpha", "NaN", "without any effect", "text encoders only", "above that of the matrix",
      '"strange"' } do
      lu.assertStrContains(all, s)
   end
end

function suite.test_architectures()
   local function of(...)
      local list = {}
      for _, name in ipairs { ... } do add(list, name, 8, 6, 2) end
      return st.lora.info(st.model(list)).architecture
   end
   lu.assertEquals(of("lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q"), "sdxl")
   lu.assertEquals(of("unet.down_blocks.0.attentions.0.proj_in"), "sd1")
   lu.assertEquals(of("transformer.single_transformer_blocks.0.attn.to_q"), "flux")
   lu.assertEquals(of("transformer.transformer_blocks.0.attn.to_q"), "sd3")
   lu.assertEquals(of("transformer.transformer_blocks.0.img_mlp.net.2"), "qwen-image")
   lu.assertEquals(of("diffusion_model.blocks.0.cross_attn.k"), "wan")
   lu.assertEquals(of("diffusion_model.layers.0.attention.qkv"), "z-image")
   lu.assertEquals(of("base_model.model.model.layers.0.self_attn.q_proj"), "llama")
   lu.assertEquals(of("lora_unet_joint_blocks_0_x_block_attn_qkv"), "sd3")
   lu.assertNil(of("something"))
end

support.run("lora_tools", suite)
