--- What parts of a checkpoint an adapter can be for, and how each program spells the names of their modules.
-- Layer: Lua, above stlua.core.
--
-- An entry: id and title; part ("unet", "te", "te2", "te3" or "model": what a strength is given for); prefixes = what
-- a checkpoint writes in front of its names; has = modules that tell it behind the prefix, lacks = one that it has not;
-- read = what adapters write in front of its names; kohya, diffusers, peft = what we write, with the style of the names
-- behind it: "original" or "diffusers"; rows(modules) = the names of one style by those of the other (names/*.lua);
-- turned = modules of which the checkpoint has the transpose, as a tensor without a suffix.
-- `modules` tells the names: has(prefix), count(prefix) for numbered blocks.

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
-- The third of Stable Diffusion 3, the second of Flux, the only one of Chroma.
local T5 = text_encoder("lora_te3_", "lora_te2_", "lora_te1_", "lora_te_", "text_encoder_3.", "text_encoder_2.",
   "text_encoder.", "text_encoders.t5xxl.transformer.", "text_encoders.t5xxl.", "t5xxl.")
local QWEN_TE = { "text_encoders.qwen25_7b.transformer.", "text_encoders.qwen3_4b.transformer." }

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

-- How many blocks, by whichever name a layout gives them.
local function count(modules, native, other) return math.max(modules.count(native), modules.count(other)) end

local function flux_rows(modules)
   local doubles = count(modules, "double_blocks.", "transformer_blocks.")
   local singles = count(modules, "single_blocks.", "single_transformer_blocks.")
   local rows, xlabs = flux.rows(doubles, singles), flux.xlabs(doubles, singles)
   return table.move(xlabs, 1, #xlabs, #rows + 1, rows)
end

-- Versions of transformers put the language model of a larger one under different names.
local FORMS = { "language_model.model.", "model.language_model.", "model.", "" }

local function language_rows(modules)
   local out = {}
   for _, path in ipairs(modules.list) do
      for _, form in ipairs(FORMS) do
         local rest = path:sub(1, #form) == form and path:sub(#form + 1) or ""
         if rest:find("^layers%.") or rest == "embed_tokens" or rest == "norm" then
            for _, other in ipairs(FORMS) do
               if other ~= form then out[#out + 1] = { path, other .. rest } end
            end
            break
         end
      end
   end
   return out
end

local list = {}

local function add(entry) list[#list + 1] = entry end

-- A diffusion model as its own programs and as diffusers lay it out. `native` and `other` are the modules that tell
-- these; kohya's style is the original one, unless said; rows is one function for both layouts, or one for each.
local function diffusion(e)
   local prefix = e.unet and "unet." or "transformer."
   for i, has in ipairs { e.native, e.other } do
      local rows = type(e.rows) == "table" and e.rows[i] or e.rows
      add { id = e.id, title = i == 1 and e.title or e.title .. " (diffusers)", part = "unet", read = DIFFUSION,
         prefixes = i == 1 and NATIVE or DIFFUSERS, has = has, lacks = i == 2 and e.lacks or nil, rows = rows,
         kohya = { "lora_unet_", e.kohya or "original" }, diffusers = { prefix, "diffusers" } }
   end
end

local UNET = { unet_rows, unet_rows_back }

diffusion { id = "sdxl-unet", title = "SDXL U-Net", unet = true, rows = UNET,
   native = { "label_emb.0.0", "input_blocks.0.0" },
   other = { "add_embedding.linear_1", "down_blocks.0.resnets.0.conv1" } }
diffusion { id = "sd-unet", title = "Stable Diffusion U-Net", unet = true, rows = UNET, kohya = "diffusers",
   native = { "input_blocks.0.0" }, other = { "down_blocks.0.resnets.0.conv1" }, lacks = "encoder.conv_in" }
diffusion { id = "flux", title = "Flux", rows = flux_rows, native = { "double_blocks.0.img_attn.qkv" },
   other = { "single_transformer_blocks.0.attn.to_q" } }
diffusion { id = "sd3", title = "Stable Diffusion 3", native = { "joint_blocks.0.x_block.attn.qkv" },
   other = { "transformer_blocks.0.attn.add_q_proj" }, lacks = "transformer_blocks.0.img_mlp.net.0.proj",
   rows = function(m) return transformers.sd3(count(m, "joint_blocks.", "transformer_blocks.")) end }
diffusion { id = "wan", title = "Wan", native = { "blocks.0.self_attn.q", "blocks.0.cross_attn.q" },
   other = { "blocks.0.attn1.to_q", "condition_embedder.time_proj" },
   rows = function(m) return transformers.wan(m.count("blocks.")) end }
diffusion { id = "z-image", title = "Z-Image", native = { "layers.0.attention.qkv", "cap_embedder.1" },
   other = { "layers.0.attention.to_q", "cap_embedder.1" },
   rows = function(m) return transformers.z_image(m.count("layers.")) end }
-- All programs name its modules alike.
add { id = "qwen-image", title = "Qwen-Image", part = "unet", read = DIFFUSION,
   prefixes = { "model.diffusion_model.", "diffusion_model.", "transformer.", "" },
   has = { "transformer_blocks.0.img_mlp.net.0.proj" },
   kohya = { "lora_unet_", "original" }, diffusers = { "transformer.", "original" } }

local CLIP_L = { "text_model.encoder.layers.0.self_attn.q_proj" }
local OPENCLIP = { "transformer.resblocks.0.attn.in_proj" }
-- A parameter of its own there, the transpose of the layer that others have.
local TURNED = { text_projection = true }

add { id = "clip-l", title = "CLIP-L", part = "te", prefixes = { "cond_stage_model.transformer.",
   "conditioner.embedders.0.transformer.", "text_encoders.clip_l.transformer.", "text_encoder." }, has = CLIP_L,
   read = TE1, kohya = { "lora_te_", "original" }, diffusers = { "text_encoder.", "original" },
   kohya_of_several = "lora_te1_" }
add { id = "openclip-h", title = "OpenCLIP-H", part = "te", prefixes = { "cond_stage_model.model." }, has = OPENCLIP,
   read = TE1, rows = clip_rows, turned = TURNED,
   kohya = { "lora_te_", "diffusers" }, diffusers = { "text_encoder.", "diffusers" } }
add { id = "openclip-g", title = "OpenCLIP-G", part = "te2", prefixes = { "conditioner.embedders.1.model.",
   "conditioner.embedders.0.model." }, has = OPENCLIP, read = TE2, rows = clip_rows, turned = TURNED,
   kohya = { "lora_te2_", "diffusers" }, diffusers = { "text_encoder_2.", "diffusers" } }
add { id = "clip-g", title = "CLIP-G", part = "te2", prefixes = { "text_encoders.clip_g.transformer.",
   "text_encoder_2." }, has = CLIP_L, read = TE2,
   kohya = { "lora_te2_", "original" }, diffusers = { "text_encoder_2.", "original" } }
add { id = "t5", title = "T5", part = "te3", prefixes = { "text_encoders.t5xxl.transformer.", "text_encoder_3.",
   "text_encoder_2.", "text_encoder." }, has = { "encoder.block.0.layer.0.SelfAttention.q" }, read = T5,
   kohya = { "lora_te3_", "original" }, diffusers = { "text_encoder_3.", "original" } }
add { id = "qwen-te", title = "Qwen text encoder", part = "te", prefixes = QWEN_TE, rows = language_rows,
   has = { "model.layers.0.self_attn.q_proj" },
   read = text_encoder("lora_te_", "lora_te1_", "text_encoder.", table.unpack(QWEN_TE)),
   kohya = { "lora_te_", "original" }, diffusers = { "text_encoder.", "original" } }
add { id = "clip", title = "CLIP text encoder", part = "te", prefixes = { "" }, has = CLIP_L,
   read = table.move(TE2, 1, #TE2, #TE1 + 1, { table.unpack(TE1) }),
   kohya = { "lora_te_", "original" }, diffusers = { "text_encoder.", "original" } }
-- What stands in front of names where there is a head behind the model, which many checkpoints are published without.
local HEADS = {}
for i, base in ipairs { "transformer", "bert", "roberta", "distilbert", "deberta", "electra", "gpt_neox", "vit" } do
   HEADS[i] = "base_model.model." .. base .. "."
end

-- Anything else: language models, whose adapters are PEFT's.
add { id = "model", title = "modules of no diffusion model", part = "model", prefixes = { "" }, rows = language_rows,
   read = { "base_model.model.", "diffusion_model.", "lycoris_", "lora_unet_", "", table.unpack(HEADS) },
   kohya = { "lora_unet_", "original" }, peft = { "base_model.model.", "original" }, last = true }

return list
