--- What parts of a checkpoint an adapter can be for, and how each program spells the names of their modules: one entry
-- per part. `module` and `lacks` tell an entry by names behind the prefix; prefixes are the checkpoint's own.
-- Layer: Lua, above stlua.core.
--
-- An entry: id and title; part ("unet", "te", "te2", "te3" or "model": what a strength is given for); prefixes;
-- module = a module that it has, lacks = one that it has not; read = what adapters write in front of its names;
-- kohya, diffusers, peft = what we write, with the style of the names behind it: "original" or "diffusers";
-- rows(modules) = the names of one style by those of the other (names/*.lua). `modules` tells the names: has(prefix),
-- count(prefix) for numbered blocks.

local clip = require "stlua.lora.names.clip"
local flux = require "stlua.lora.names.flux"
local transformers = require "stlua.lora.names.transformers"
local unet = require "stlua.lora.names.unet"

-- Adapters of a diffusion model. Those for which a name is only this prefix come last.
local DIFFUSION = { "lora_unet_", "lycoris_", "lora_transformer_", "unet.base_model.model.",
   "transformer.base_model.model.", "base_model.model.", "unet.", "transformer.", "diffusion_model.",
   "model.diffusion_model.", "" }
local NATIVE = { "model.diffusion_model.", "diffusion_model.", "" }
local DIFFUSERS = { "unet.", "transformer.", "" }

local function text_encoder(...)
   local list = { ... }
   for i = 1, #list do list[#list + 1] = list[i]:match("^text_encoder[_%d]*%.$") and list[i] .. "base_model.model." end
   table.sort(list, function(a, b) return #a > #b end)
   return list
end
local TE1 = text_encoder("lora_te_", "lora_te1_", "lycoris_", "text_encoder.", "text_encoders.clip_l.transformer.",
   "text_encoders.clip_l.", "clip_l.")
local TE2 = text_encoder("lora_te2_", "text_encoder_2.", "text_encoders.clip_g.transformer.", "text_encoders.clip_g.",
   "clip_g.")
local T5 = text_encoder("lora_te3_", "lora_te2_", "text_encoder_3.", "text_encoder_2.",
   "text_encoders.t5xxl.transformer.", "text_encoders.t5xxl.", "t5xxl.")

local function unet_rows(modules)
   local out = {}
   for _, path in ipairs(modules.list) do
      local other = unet.to_diffusers(path)
      if other then out[#out + 1] = { path, other } end
   end
   return out
end

local function unet_rows_back(modules)
   local out = {}
   for _, path in ipairs(modules.list) do
      local original = unet.from_diffusers(path, modules.has)
      if original then out[#out + 1] = { original, path } end
   end
   return out
end

local function clip_rows(modules)
   local out = {}
   for _, path in ipairs(modules.list) do
      local row = { path, table.unpack(clip.to_transformers(path)) }
      if #row > 1 then out[#out + 1] = row end
   end
   return out
end

local function flux_rows(doubles, singles)
   local rows = flux.rows(doubles, singles)
   return table.move(flux.xlabs(doubles, singles), 1, 4 * doubles + 2 * singles, #rows + 1, rows)
end

-- Versions of transformers put the parts of a model under different names.
local function language_rows(modules)
   local out = {}
   for _, path in ipairs(modules.list) do
      local rest = path:match("^language_model%.model%.(.+)$")
      if rest then out[#out + 1] = { path, "model.language_model." .. rest } end
      rest = path:match("^model%.language_model%.(.+)$")
      if rest then
         out[#out + 1] = { path, "language_model.model." .. rest }
         out[#out + 1] = { path, "model." .. rest }
      end
      rest = path:match("^model%.(layers%..+)$") or path:match("^model%.(embed_tokens)$")
      out[#out + 1] = rest and { path, rest }
      if path:find("^layers%.") then out[#out + 1] = { path, "model." .. path } end
   end
   return out
end

local CLIP_L = "text_model.encoder.layers.0.self_attn.q_proj"

return {
   { id = "sdxl-unet", title = "SDXL U-Net", part = "unet", prefixes = NATIVE, module = "label_emb.0.0",
      also = "input_blocks.0.0", read = DIFFUSION, rows = unet_rows,
      kohya = { "lora_unet_", "original" }, diffusers = { "unet.", "diffusers" } },
   { id = "sd-unet", title = "Stable Diffusion U-Net", part = "unet", prefixes = NATIVE, module = "input_blocks.0.0",
      read = DIFFUSION, rows = unet_rows,
      kohya = { "lora_unet_", "diffusers" }, diffusers = { "unet.", "diffusers" } },
   { id = "sdxl-unet-diffusers", title = "SDXL U-Net (diffusers)", part = "unet", prefixes = DIFFUSERS,
      module = "add_embedding.linear_1", also = "down_blocks.0.resnets.0.conv1", read = DIFFUSION,
      rows = unet_rows_back, kohya = { "lora_unet_", "original" }, diffusers = { "unet.", "diffusers" } },
   { id = "sd-unet-diffusers", title = "Stable Diffusion U-Net (diffusers)", part = "unet", prefixes = DIFFUSERS,
      module = "down_blocks.0.resnets.0.conv1", lacks = "encoder.conv_in", read = DIFFUSION, rows = unet_rows_back,
      kohya = { "lora_unet_", "diffusers" }, diffusers = { "unet.", "diffusers" } },
   { id = "flux", title = "Flux", part = "unet", prefixes = NATIVE, module = "double_blocks.0.img_attn.qkv",
      read = DIFFUSION, kohya = { "lora_unet_", "original" }, diffusers = { "transformer.", "diffusers" },
      rows = function(m) return flux_rows(m.count("double_blocks."), m.count("single_blocks.")) end },
   { id = "flux-diffusers", title = "Flux (diffusers)", part = "unet", prefixes = DIFFUSERS,
      module = "single_transformer_blocks.0.attn.to_q", read = DIFFUSION,
      kohya = { "lora_unet_", "original" }, diffusers = { "transformer.", "diffusers" },
      rows = function(m) return flux_rows(m.count("transformer_blocks."), m.count("single_transformer_blocks.")) end },
   { id = "sd3", title = "Stable Diffusion 3", part = "unet", prefixes = NATIVE,
      module = "joint_blocks.0.x_block.attn.qkv", read = DIFFUSION,
      kohya = { "lora_unet_", "original" }, diffusers = { "transformer.", "diffusers" },
      rows = function(m) return transformers.sd3(m.count("joint_blocks.")) end },
   { id = "qwen-image", title = "Qwen-Image", part = "unet", prefixes = { "model.diffusion_model.",
      "diffusion_model.", "transformer.", "" }, module = "transformer_blocks.0.img_mlp.net.0.proj", read = DIFFUSION,
      kohya = { "lora_unet_", "original" }, diffusers = { "transformer.", "original" } },
   { id = "sd3-diffusers", title = "Stable Diffusion 3 (diffusers)", part = "unet", prefixes = DIFFUSERS,
      module = "transformer_blocks.0.attn.add_q_proj", read = DIFFUSION,
      kohya = { "lora_unet_", "original" }, diffusers = { "transformer.", "diffusers" },
      rows = function(m) return transformers.sd3(m.count("transformer_blocks.")) end },
   { id = "wan", title = "Wan", part = "unet", prefixes = NATIVE, module = "blocks.0.self_attn.q",
      also = "blocks.0.cross_attn.q", read = DIFFUSION,
      kohya = { "lora_unet_", "original" }, diffusers = { "transformer.", "diffusers" },
      rows = function(m) return transformers.wan(m.count("blocks.")) end },
   { id = "wan-diffusers", title = "Wan (diffusers)", part = "unet", prefixes = DIFFUSERS,
      module = "blocks.0.attn1.to_q", also = "condition_embedder.time_proj", read = DIFFUSION,
      kohya = { "lora_unet_", "original" }, diffusers = { "transformer.", "diffusers" },
      rows = function(m) return transformers.wan(m.count("blocks.")) end },
   { id = "z-image", title = "Z-Image", part = "unet", prefixes = NATIVE, module = "layers.0.attention.qkv",
      also = "cap_embedder.1", read = DIFFUSION,
      kohya = { "lora_unet_", "original" }, diffusers = { "transformer.", "diffusers" },
      rows = function(m) return transformers.z_image(m.count("layers.")) end },
   { id = "z-image-diffusers", title = "Z-Image (diffusers)", part = "unet", prefixes = DIFFUSERS,
      module = "layers.0.attention.to_q", also = "cap_embedder.1", read = DIFFUSION,
      kohya = { "lora_unet_", "original" }, diffusers = { "transformer.", "diffusers" },
      rows = function(m) return transformers.z_image(m.count("layers.")) end },
   { id = "clip-l", title = "CLIP-L", part = "te", prefixes = { "cond_stage_model.transformer.",
      "conditioner.embedders.0.transformer.", "text_encoders.clip_l.transformer.", "text_encoder." },
      module = CLIP_L, read = TE1, kohya = { "lora_te_", "original" }, diffusers = { "text_encoder.", "original" },
      kohya_of_several = "lora_te1_" },
   { id = "openclip-h", title = "OpenCLIP-H", part = "te", prefixes = { "cond_stage_model.model." },
      module = "transformer.resblocks.0.attn.in_proj", read = TE1, rows = clip_rows,
      kohya = { "lora_te_", "diffusers" }, diffusers = { "text_encoder.", "diffusers" } },
   { id = "openclip-g", title = "OpenCLIP-G", part = "te2", prefixes = { "conditioner.embedders.1.model.",
      "conditioner.embedders.0.model." }, module = "transformer.resblocks.0.attn.in_proj", read = TE2,
      rows = clip_rows, kohya = { "lora_te2_", "diffusers" }, diffusers = { "text_encoder_2.", "diffusers" } },
   { id = "clip-g", title = "CLIP-G", part = "te2", prefixes = { "text_encoders.clip_g.transformer.",
      "text_encoder_2." }, module = CLIP_L, read = TE2,
      kohya = { "lora_te2_", "original" }, diffusers = { "text_encoder_2.", "original" } },
   { id = "t5", title = "T5", part = "te3", prefixes = { "text_encoders.t5xxl.transformer.", "text_encoder_3.",
      "text_encoder_2." }, module = "encoder.block.0.layer.0.SelfAttention.q", read = T5,
      kohya = { "lora_te3_", "original" }, diffusers = { "text_encoder_3.", "original" } },
   { id = "clip", title = "CLIP text encoder", part = "te", prefixes = { "" }, module = CLIP_L,
      read = table.move(TE2, 1, #TE2, #TE1 + 1, { table.unpack(TE1) }),
      kohya = { "lora_te_", "original" }, diffusers = { "text_encoder.", "original" } },
   -- Anything else: language models, whose adapters are PEFT's.
   { id = "model", title = "model", part = "model", prefixes = { "" }, read = { "base_model.model.",
      "diffusion_model.", "lycoris_", "lora_unet_", "" }, rows = language_rows,
      kohya = { "lora_unet_", "original" }, peft = { "base_model.model.", "original" }, last = true },
}
