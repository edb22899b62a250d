-- Names of modules in the spelling of every program, and where they lead: each model in its own layout and in that of
-- diffusers, Flux and Chroma, Stable Diffusion 3, Qwen-Image, Wan, Z-Image, language models.
local core = require "stlua.core"
local lu = require "luaunit"
local kinds = require "stlua.lora.kinds"
local spellings = require "stlua.lora.spellings"
local st = require "stlua"
local support = require "support"

local suite = {}

-- A model of zeros with these shapes.
local function model(shapes)
   local m = core.model()
   for i = 1, #shapes, 2 do m:add(shapes[i], st.zeros(table.unpack(shapes[i + 1])):clone()) end
   return m
end

-- One of matrices, h wide, of these rows of h: { "a.b", 3, ... }.
local function matrices(prefix, h, list)
   local shapes = {}
   for i = 1, #list, 2 do
      shapes[i], shapes[i + 1] = prefix .. list[i] .. ".weight", { h * list[i + 1], h }
   end
   return model(shapes)
end

local SD = "model.diffusion_model."
local function sd()
   return model {
      SD .. "input_blocks.0.0.weight", { 4, 4, 3, 3 },
      SD .. "input_blocks.1.0.in_layers.2.weight", { 4, 4, 3, 3 },
      SD .. "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight", { 4, 4 },
      SD .. "input_blocks.1.1.transformer_blocks.0.attn1.to_out.0.weight", { 4, 4 },
      SD .. "input_blocks.3.0.op.weight", { 4, 4, 3, 3 },
      SD .. "middle_block.1.proj_in.weight", { 4, 4, 1, 1 },
      SD .. "output_blocks.2.1.conv.weight", { 4, 4, 3, 3 },
      SD .. "time_embed.0.weight", { 4, 4 },
      "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight", { 4, 4 },
   }
end

local function flux()
   return matrices("", 4, { "double_blocks.0.img_attn.qkv", 3, "double_blocks.0.txt_attn.qkv", 3,
      "double_blocks.0.img_attn.proj", 1, "double_blocks.0.txt_attn.proj", 1, "double_blocks.0.img_mlp.0", 4,
      "single_blocks.0.linear1", 7, "single_blocks.0.linear2", 1, "final_layer.adaLN_modulation.1", 2,
      "img_in", 1 })
end

-- Where a module's rows go: "tensor" or "tensor[at,count<from]", several behind each other.
local function place(m, module)
   local found, parts = spellings.of(m):find(module), {}
   for i, s in ipairs(found and found.segments or {}) do
      parts[i] = s.weight .. (s.at and ("[%d,%d<%d]"):format(s.at, s.count, s.from) or "")
   end
   return table.concat(parts, " ")
end

function suite.test_spellings_of_stable_diffusion()
   local m = sd()
   local to_q = SD .. "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
   for _, module in ipairs { "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
      "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q", "lycoris_down_blocks_0_attentions_0_"
      .. "transformer_blocks_0_attn1_to_q", "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
      "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q", to_q:sub(1, -8) } do
      lu.assertEquals(place(m, module), to_q)
   end
   for module, tensor in pairs { down_blocks_0_resnets_0_conv1 = "input_blocks.1.0.in_layers.2",
      down_blocks_0_downsamplers_0_conv = "input_blocks.3.0.op",
      mid_block_attentions_0_proj_in = "middle_block.1.proj_in",
      up_blocks_0_upsamplers_0_conv = "output_blocks.2.1.conv", time_embedding_linear_1 = "time_embed.0",
      conv_in = "input_blocks.0.0" } do
      lu.assertEquals(place(m, "lora_unet_" .. module), SD .. tensor .. ".weight")
   end
   local te = "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.q_proj"
   lu.assertEquals(place(m, "lora_te_text_model_encoder_layers_0_self_attn_q_proj"), te .. ".weight")
   lu.assertEquals(place(m, "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"), te .. ".weight")
   lu.assertEquals(place(m, "lora_unet_down_blocks_9_resnets_0_conv1"), "")
   lu.assertEquals(spellings.of(m):spell(te .. ".weight", "kohya"),
      "lora_te_text_model_encoder_layers_0_self_attn_q_proj")
   lu.assertEquals(spellings.of(m):spell(to_q, "diffusers"),
      "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q")
end

function suite.test_rows_of_fused_matrices()
   local m = flux()
   lu.assertEquals(place(m, "transformer.transformer_blocks.0.attn.to_k"), "double_blocks.0.img_attn.qkv.weight[4,4<0]")
   lu.assertEquals(place(m, "transformer.transformer_blocks.0.attn.add_v_proj"),
      "double_blocks.0.txt_attn.qkv.weight[8,4<0]")
   lu.assertEquals(place(m, "transformer.single_transformer_blocks.0.proj_mlp"),
      "single_blocks.0.linear1.weight[12,16<0]")
   lu.assertEquals(place(m, "double_blocks.0.processor.qkv_lora2"), "double_blocks.0.txt_attn.qkv.weight")
   lu.assertEquals(place(m, "single_blocks.0.processor.qkv_lora"), "single_blocks.0.linear1.weight[0,12<0]")
   local swapped = "final_layer.adaLN_modulation.1.weight"
   lu.assertEquals(place(m, "transformer.norm_out.linear"), swapped .. "[0,4<4] " .. swapped .. "[4,4<0]")
end

function suite.test_the_other_way_round()
   local m = model { "single_transformer_blocks.0.attn.to_q.weight", { 4, 4 },
      "single_transformer_blocks.0.attn.to_k.weight", { 4, 4 },
      "single_transformer_blocks.0.attn.to_v.weight", { 4, 4 },
      "single_transformer_blocks.0.proj_mlp.weight", { 16, 4 } }
   local own = "single_transformer_blocks.0."
   lu.assertEquals(place(m, "lora_unet_single_blocks_0_linear1"), own .. "attn.to_q.weight[0,4<0] " .. own
      .. "attn.to_k.weight[0,4<4] " .. own .. "attn.to_v.weight[0,4<8] " .. own .. "proj_mlp.weight[0,16<12]")
end


-- Every module of the list is the one, or the rows, on the right.
local function check(m, list)
   for module, want in pairs(list) do lu.assertEquals(place(m, module), want, module) end
end

function suite.test_xlabs()
   local function split(name) return table.pack(kinds.split(name)) end
   lu.assertEquals(split("double_blocks.0.processor.qkv_lora1.down.weight"),
      { "double_blocks.0.processor.qkv_lora1", "down", ".down.weight", n = 3 })
   local own = "double_blocks.0."
   check(flux(), {
      ["double_blocks.0.processor.qkv_lora1"] = own .. "img_attn.qkv.weight",
      ["double_blocks.0.processor.qkv_lora2"] = own .. "txt_attn.qkv.weight",
      ["double_blocks.0.processor.proj_lora1"] = own .. "img_attn.proj.weight",
      ["double_blocks.0.processor.proj_lora2"] = own .. "txt_attn.proj.weight",
      ["single_blocks.0.processor.qkv_lora"] = "single_blocks.0.linear1.weight[0,12<0]",
      ["single_blocks.0.processor.proj_lora"] = "single_blocks.0.linear2.weight",
      ["double_blocks.1.processor.qkv_lora1"] = "",
   })
   -- In a checkpoint of diffusers the attention is in parts.
   local other = matrices("", 4, { "single_transformer_blocks.0.attn.to_q", 1, "transformer_blocks.0.attn.to_q", 1,
      "transformer_blocks.0.attn.to_k", 1, "transformer_blocks.0.attn.to_v", 1,
      "transformer_blocks.0.attn.to_out.0", 1 })
   check(other, {
      ["double_blocks.0.processor.proj_lora1"] = "transformer_blocks.0.attn.to_out.0.weight",
      ["lora_unet_double_blocks_0_img_attn_qkv"] = "transformer_blocks.0.attn.to_q.weight[0,4<0] "
         .. "transformer_blocks.0.attn.to_k.weight[0,4<4] transformer_blocks.0.attn.to_v.weight[0,4<8]",
      ["double_blocks.0.processor.qkv_lora1"] = "transformer_blocks.0.attn.to_q.weight[0,4<0] "
         .. "transformer_blocks.0.attn.to_k.weight[0,4<4] transformer_blocks.0.attn.to_v.weight[0,4<8]",
   })
end

-- OneTrainer's: diffusers' paths with underscores behind a prefix of its own, encoders by number; its other formats.
function suite.test_onetrainer()
   local m = flux()
   m["text_encoders.clip_l.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight"] = st.zeros(4, 4)
   m["text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q.weight"] = st.zeros(4, 4)
   local qkv = "double_blocks.0.img_attn.qkv.weight"
   local clip = "text_encoders.clip_l.transformer.text_model.encoder.layers.0.self_attn.q_proj"
   local t5 = "text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q"
   check(m, {
      lora_transformer_transformer_blocks_0_attn_to_k = qkv .. "[4,4<0]",
      lora_transformer_single_transformer_blocks_0_proj_mlp = "single_blocks.0.linear1.weight[12,16<0]",
      lora_transformer_transformer_blocks_0_ff_net_0_proj = "double_blocks.0.img_mlp.0.weight",
      lora_unet_double_blocks_0_img_attn_qkv = qkv, ["diffusion_model.double_blocks.0.img_attn.qkv"] = qkv,
      ["double_blocks.0.img_attn.qkv"] = qkv, ["transformer.transformer_blocks.0.attn.to_q"] = qkv .. "[0,4<0]",
      lora_te1_text_model_encoder_layers_0_self_attn_q_proj = clip .. ".weight",
      ["text_encoder.text_model.encoder.layers.0.self_attn.q_proj"] = clip .. ".weight", [clip] = clip .. ".weight",
      lora_te2_encoder_block_0_layer_0_SelfAttention_q = t5 .. ".weight",
      ["text_encoder_2.encoder.block.0.layer.0.SelfAttention.q"] = t5 .. ".weight", [t5] = t5 .. ".weight",
   })
   local joint = matrices(SD, 4, { "joint_blocks.0.x_block.attn.qkv", 3, "joint_blocks.0.context_block.attn.qkv", 3 })
   check(joint, {
      lora_transformer_transformer_blocks_0_attn_to_v = SD .. "joint_blocks.0.x_block.attn.qkv.weight[8,4<0]",
      lora_transformer_transformer_blocks_0_attn_add_q_proj = SD
         .. "joint_blocks.0.context_block.attn.qkv.weight[0,4<0]",
   })
   local u = sd()
   local to_q = SD .. "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
   check(u, {
      lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q = to_q,
      ["unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"] = to_q,
      ["diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q"] = to_q,
   })
end

function suite.test_chroma()
   local m = matrices(SD, 4, { "double_blocks.0.img_attn.qkv", 3, "single_blocks.0.linear1", 7,
      "distilled_guidance_layer.in_proj", 1, "distilled_guidance_layer.layers.3.in_layer", 1,
      "distilled_guidance_layer.layers.3.out_layer", 1, "final_layer.linear", 1 })
   m["text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q.weight"] = st.zeros(4, 4)
   local t5 = "text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q.weight"
   check(m, {
      lora_transformer_transformer_blocks_0_attn_to_q = SD .. "double_blocks.0.img_attn.qkv.weight[0,4<0]",
      ["transformer.distilled_guidance_layer.layers.3.linear_1"] = SD
         .. "distilled_guidance_layer.layers.3.in_layer.weight",
      lora_unet_distilled_guidance_layer_layers_3_out_layer = SD
         .. "distilled_guidance_layer.layers.3.out_layer.weight",
      ["transformer.distilled_guidance_layer.in_proj"] = SD .. "distilled_guidance_layer.in_proj.weight",
      ["transformer.proj_out"] = SD .. "final_layer.linear.weight",
      -- Its T5 is the only encoder.
      lora_te_encoder_block_0_layer_0_SelfAttention_q = t5, lora_te1_encoder_block_0_layer_0_SelfAttention_q = t5,
      lora_te3_encoder_block_0_layer_0_SelfAttention_q = t5,
      ["text_encoder.encoder.block.0.layer.0.SelfAttention.q"] = t5,
   })
   lu.assertEquals(spellings.of(m):spell(t5, "diffusers"), "text_encoder.encoder.block.0.layer.0.SelfAttention.q")
   local other = matrices("", 4, { "single_transformer_blocks.0.attn.to_q", 1,
      "distilled_guidance_layer.layers.0.linear_2", 1 })
   check(other, { ["diffusion_model.distilled_guidance_layer.layers.0.out_layer"] =
      "distilled_guidance_layer.layers.0.linear_2.weight" })
end

function suite.test_qwen_image()
   local names = { "transformer_blocks.0.img_mlp.net.0.proj", "transformer_blocks.0.attn.add_q_proj",
      "transformer_blocks.0.attn.to_out.0", "transformer_blocks.0.img_mod.1", "txt_in" }
   local list = {}
   for i, name in ipairs(names) do list[2 * i - 1], list[2 * i] = name, 1 end
   for _, prefix in ipairs { SD, "transformer.", "" } do
      local m = matrices(prefix, 4, list)
      for _, name in ipairs(names) do
         local flat = name:gsub("%.", "_")
         for _, spelled in ipairs { "diffusion_model." .. name, "transformer." .. name, name, "lora_unet_" .. flat,
            "lycoris_" .. flat, "base_model.model." .. name, "lora_transformer_" .. flat } do
            lu.assertEquals(place(m, spelled), prefix .. name .. ".weight", spelled)
         end
      end
      lu.assertEquals(spellings.of(m).parts[1].layout.id, "qwen-image")
   end
   local m = matrices(SD, 4, list)
   m["text_encoders.qwen25_7b.transformer.model.layers.0.self_attn.q_proj.weight"] = st.zeros(4, 4)
   local te = "text_encoders.qwen25_7b.transformer.model.layers.0.self_attn.q_proj"
   check(m, { lora_te_model_layers_0_self_attn_q_proj = te .. ".weight", [te] = te .. ".weight",
      ["text_encoder.model.language_model.layers.0.self_attn.q_proj"] = te .. ".weight" })
end

function suite.test_wan()
   local native = { "blocks.0.self_attn.q", "blocks.0.self_attn.o", "blocks.0.cross_attn.q",
      "blocks.0.cross_attn.k_img", "blocks.0.ffn.0", "blocks.0.ffn.2", "time_embedding.0", "time_projection.1",
      "img_emb.proj.1", "head.head", "text_embedding.2" }
   local other = { "blocks.0.attn1.to_q", "blocks.0.attn1.to_out.0", "blocks.0.attn2.to_q",
      "blocks.0.attn2.add_k_proj", "blocks.0.ffn.net.0.proj", "blocks.0.ffn.net.2",
      "condition_embedder.time_embedder.linear_1",
      "condition_embedder.time_proj", "condition_embedder.image_embedder.ff.net.0.proj", "proj_out",
      "condition_embedder.text_embedder.linear_2" }
   local ours, theirs = {}, {}
   for i in ipairs(native) do
      ours[2 * i - 1], ours[2 * i] = native[i], 1
      theirs[2 * i - 1], theirs[2 * i] = other[i], 1
   end
   for _, case in ipairs { { matrices(SD, 4, ours), SD, native }, { matrices("", 4, ours), "", native },
      { matrices("", 4, theirs), "", other } } do
      local m, prefix, names = table.unpack(case)
      for i in ipairs(native) do
         local want = prefix .. names[i] .. ".weight"
         for _, spelled in ipairs { "diffusion_model." .. native[i], "lora_unet_" .. native[i]:gsub("%.", "_"),
            native[i], "transformer." .. other[i], "base_model.model." .. other[i],
            "lycoris_" .. other[i]:gsub("%.", "_") } do
            lu.assertEquals(place(m, spelled), want, spelled)
         end
      end
   end
end

function suite.test_z_image()
   local m = matrices(SD, 4, { "layers.0.attention.qkv", 3, "layers.0.attention.out", 1,
      "layers.0.feed_forward.w1", 3, "noise_refiner.1.attention.qkv", 3, "layers.0.adaLN_modulation.0", 4,
      "cap_embedder.1", 1, "x_embedder", 1, "final_layer.linear", 1 })
   local qkv = SD .. "layers.0.attention.qkv.weight"
   check(m, {
      lora_unet_layers_0_attention_qkv = qkv, ["diffusion_model.layers.0.attention.qkv"] = qkv,
      ["diffusion_model.layers.0.attention.to_k"] = qkv .. "[4,4<0]",
      ["transformer.layers.0.attention.to_v"] = qkv .. "[8,4<0]", lycoris_layers_0_attention_to_q = qkv .. "[0,4<0]",
      ["transformer.layers.0.attention.to_out.0"] = SD .. "layers.0.attention.out.weight",
      ["transformer.noise_refiner.1.attention.to_q"] = SD .. "noise_refiner.1.attention.qkv.weight[0,4<0]",
      ["transformer.layers.0.feed_forward.w1"] = SD .. "layers.0.feed_forward.w1.weight",
      ["transformer.all_x_embedder.2-1"] = SD .. "x_embedder.weight",
      ["transformer.all_final_layer.2-1.linear"] = SD .. "final_layer.linear.weight",
   })
   local other = matrices("", 4, { "layers.0.attention.to_q", 1, "layers.0.attention.to_k", 1,
      "layers.0.attention.to_v", 1, "layers.0.attention.to_out.0", 1, "cap_embedder.1", 1 })
   check(other, {
      ["diffusion_model.layers.0.attention.out"] = "layers.0.attention.to_out.0.weight",
      lora_unet_layers_0_attention_qkv = "layers.0.attention.to_q.weight[0,4<0] "
         .. "layers.0.attention.to_k.weight[0,4<4] layers.0.attention.to_v.weight[0,4<8]",
   })
end

function suite.test_language_models()
   local spelled = { "model.layers.0.self_attn.q_proj", "language_model.model.layers.0.self_attn.q_proj",
      "model.language_model.layers.0.self_attn.q_proj", "layers.0.self_attn.q_proj" }
   for _, own in ipairs(spelled) do
      local m = matrices("", 4, { own, 1 })
      for _, name in ipairs(spelled) do
         lu.assertEquals(place(m, "base_model.model." .. name), own .. ".weight")
         lu.assertEquals(place(m, name), own .. ".weight")
      end
      lu.assertEquals(spellings.of(m):spell(own .. ".weight", "peft"), "base_model.model." .. own)
   end
   check(matrices("", 4, { "model.layers.0.mlp.up_proj", 1, "lm_head", 1, "model.embed_tokens", 1 }), {
      ["base_model.model.lm_head"] = "lm_head.weight", ["base_model.model.model.embed_tokens"] =
      "model.embed_tokens.weight", ["lora_unet_model_layers_0_mlp_up_proj"] = "model.layers.0.mlp.up_proj.weight" })
end

function suite.test_nearest()
   local found = spellings.of(flux())
   lu.assertEquals(found:nearest("lora_unet_double_blocks_0_img_atn_qkv"), "lora_unet_double_blocks_0_img_attn_qkv")
   lu.assertEquals(found:nearest("transformer.transformer_blocks.0.attn.to_kk"),
      "transformer.transformer_blocks.0.attn.to_k")
   lu.assertNil(found:nearest("lora_unet_something_else_that_is_far_away"))
end

support.run("lora_names", suite)
