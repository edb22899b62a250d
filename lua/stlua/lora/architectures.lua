--- Which model an adapter is for, told by its names and shapes; and the names of that model's modules, made by rules,
-- for what an adapter alone does not say: `lora_unet_down_blocks_0_...` has lost its dots.
-- Layer: Lua, above stlua.core.

local flux = require "stlua.lora.names.flux"
local spellings = require "stlua.lora.spellings"
local transformers = require "stlua.lora.names.transformers"

local architectures = {}

--- A name for people.
function architectures.title(id)
   if id == "llama" then return "language model" end
   local row = require("stlua.architectures").row(id)
   return row and row.title
end

--- Whether adapters of two architectures have modules of one model: Chroma's names are Flux', and seldom say which.
function architectures.alike(a, b)
   return (a == "chroma" and "flux" or a) == (b == "chroma" and "flux" or b)
end

-- ---------------------------------------------------------------- telling

local flat = spellings.flat

-- Asks about the names of all modules.
local function asker(modules)
   local names = {}
   for i, m in ipairs(modules) do names[i] = flat(m.name) end
   return function(...)
      for _, pattern in ipairs { ... } do
         for _, name in ipairs(names) do
            if name:find(pattern) then return true end
         end
      end
      return false
   end
end

-- Columns of a LoRA's matrix, nil of other kinds.
local function columns(m)
   local down = m.parts.down
   return down and not m.parts.mid and down:numel() // math.max(down:shape()[1], 1) or nil
end

-- Columns of the first module whose flattened name matches.
local function width(modules, ...)
   for _, pattern in ipairs { ... } do
      for _, m in ipairs(modules) do
         if flat(m.name):find(pattern) and columns(m) then return columns(m) end
      end
   end
end

-- Of the U-Nets, by what only one of them has, then by the width of the text.
local function of_unet(modules, has)
   local text = width(modules, "attn2_to_k$", "attn2_to_v$")
   if text == 2048 then return "sdxl" end
   if text == 1024 then return "sd2" end
   if text == 768 then return "sd1" end
   if has("down_blocks_0_attentions", "down_blocks_3_", "up_blocks_3_", "input_blocks_[12]_1_", "output_blocks_9_") then
      return "sd1"
   end
   local deep = has("transformer_blocks_[1-9]", "^lora_te[12]_", "text_encoder_2_", "input_blocks_", "output_blocks_")
   return deep and "sdxl" or "sd1"
end

local function of_joint(modules, has, said)
   if has("_img_mlp_", "_txt_mlp_", "_img_mod_1", "_txt_mod_1") then return "qwen-image" end
   if has("attn2_to_q$", "attn2_add_q") then return "sd3" end
   if said == "flux" or said == "chroma" or said == "sd3" then return said end
   local h = width(modules, "attn_to_q$", "attn_add_q_proj$")
   return h and h < 3072 and "sd3" or "flux"
end

local VERSIONS = { { "chroma", "chroma" },
   { "xl", "sdxl" }, { "v1", "sd1" }, { "v2", "sd2" }, { "flux", "flux" }, { "3", "sd3" } }

-- What the training program wrote down.
local function of_metadata(metadata)
   local said = metadata["modelspec.architecture"] or metadata.ss_base_model_version or ""
   for _, version in ipairs(VERSIONS) do
      if said:lower():find(version[1], 1, true) then return version[2] end
   end
end

--- The architecture that an adapter is for: "sd1", "sd2", "sdxl", "flux", "chroma", "sd3", "qwen-image", "wan",
-- "z-image", "llama" (any language model of its names), or nil.
-- @tparam table a as adapter.of gives it
function architectures.of(a)
   local modules, has = a.modules, asker(a.modules)
   if has("distilled_guidance_layer_") then return "chroma" end
   if has("double_blocks_%d+_", "single_blocks_%d+_", "single_transformer_blocks_%d+_") then
      return of_metadata(a.metadata) == "chroma" and "chroma" or "flux"
   end
   if has("joint_blocks_%d+_") then return "sd3" end
   if has("down_blocks_%d", "up_blocks_%d", "mid_block_", "input_blocks_%d", "output_blocks_%d", "middle_block_") then
      return of_unet(modules, has)
   end
   if has("transformer_blocks_%d+_attn_", "transformer_blocks_%d+_ff_", "transformer_blocks_%d+_norm1",
      "transformer_blocks_%d+_img_", "transformer_blocks_%d+_txt_") then
      return of_joint(modules, has, of_metadata(a.metadata))
   end
   if has("blocks_%d+_self_attn_[qkvo]$", "blocks_%d+_cross_attn_", "blocks_%d+_attn[12]_to_", "blocks_%d+_ffn_") then
      return "wan"
   end
   if has("layers_%d+_attention_", "layers_%d+_feed_forward_w") then return "z-image" end
   if has("text_model_encoder_layers_%d") then
      if has("^lora_te[12]_", "text_encoder_2_") then return of_metadata(a.metadata) or "sdxl" end
      return of_metadata(a.metadata) or "sd1"
   end
   local language = has("layers_%d+_self_attn_", "layers_%d+_mlp_", "^base_model_model_lm_head", "embed_tokens$")
   return language and "llama" or nil
end

-- ---------------------------------------------------------------- names

-- Some names are more than a model has: they only spell.
local RESNET = { "in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3", "skip_connection" }
local ATTENTION = { "norm1", "norm2", "norm3", "attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "attn2.to_q",
   "attn2.to_k", "attn2.to_v", "attn2.to_out.0", "ff.net.0.proj", "ff.net.2" }

local function add_all(out, prefix, names)
   for _, name in ipairs(names) do out[#out + 1] = prefix .. name end
end

local function add_transformer(out, prefix, depth)
   add_all(out, prefix, { "norm", "proj_in", "proj_out" })
   for k = 0, depth - 1 do add_all(out, ("%stransformer_blocks.%d."):format(prefix, k), ATTENTION) end
end

-- A U-Net, by the depth of the transformers of each level (0: none).
local function unet_names(depths, middle, more)
   local out = { "input_blocks.0.0", "time_embed.0", "time_embed.2", "out.0", "out.2", table.unpack(more or {}) }
   for level = 0, #depths - 1 do
      local down, up = depths[level + 1], depths[#depths - level]
      for j = 1, 2 do
         local block = ("input_blocks.%d."):format(3 * level + j)
         add_all(out, block .. "0.", RESNET)
         if down > 0 then add_transformer(out, block .. "1.", down) end
      end
      for j = 0, 2 do
         local block = ("output_blocks.%d."):format(3 * level + j)
         add_all(out, block .. "0.", RESNET)
         if up > 0 then add_transformer(out, block .. "1.", up) end
      end
      if level < #depths - 1 then
         out[#out + 1] = ("input_blocks.%d.0.op"):format(3 * level + 3)
         out[#out + 1] = ("output_blocks.%d.%d.conv"):format(3 * level + 2, up > 0 and 2 or 1)
      end
   end
   add_all(out, "middle_block.0.", RESNET)
   add_all(out, "middle_block.2.", RESNET)
   add_transformer(out, "middle_block.1.", middle)
   return out
end

local function clip_names()
   local out = { "text_model.embeddings.token_embedding", "text_model.embeddings.position_embedding",
      "text_model.final_layer_norm", "text_projection" }
   for i = 0, 31 do
      add_all(out, ("text_model.encoder.layers.%d."):format(i), { "self_attn.q_proj", "self_attn.k_proj",
         "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2", "layer_norm1", "layer_norm2" })
   end
   return out
end

local function t5_names()
   local out = { "shared" }
   for i = 0, 23 do
      add_all(out, ("encoder.block.%d.layer."):format(i), { "0.SelfAttention.q", "0.SelfAttention.k",
         "0.SelfAttention.v", "0.SelfAttention.o", "0.SelfAttention.relative_attention_bias",
         "1.DenseReluDense.wi_0", "1.DenseReluDense.wi_1", "1.DenseReluDense.wo" })
   end
   return out
end

-- The original names of a table.
local function firsts(rows)
   local out = {}
   for i, row in ipairs(rows) do out[i] = row[1] end
   return out
end

-- How many numbered blocks the adapter's names tell of, and at least so many; no model has 1000.
local function count(modules, pattern, least)
   local n = least
   for _, m in ipairs(modules) do
      local number = flat(m.name):match(pattern)
      if number and #number < 4 then n = math.max(n, tonumber(number) + 1) end
   end
   return n
end

local function in_blocks(n, pattern, names, more)
   local out = more or {}
   for i = 0, n - 1 do add_all(out, pattern:format(i), names) end
   return out
end

local QWEN = { "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "attn.add_q_proj", "attn.add_k_proj",
   "attn.add_v_proj", "attn.to_add_out", "img_mlp.net.0.proj", "img_mlp.net.2", "txt_mlp.net.0.proj", "txt_mlp.net.2",
   "img_mod.1", "txt_mod.1" }
local WAN_MORE = { "patch_embedding" }
local LLAMA = { "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
   "mlp.up_proj", "mlp.down_proj", "input_layernorm", "post_attention_layernorm" }

-- Parts of an architecture: { prefix in a checkpoint, names }. SD 3 has 24 blocks or 38, of which the last is other.
local PARTS = {
   sd1 = function()
      return { { "model.diffusion_model.", unet_names({ 1, 1, 1, 0 }, 1) },
         { "cond_stage_model.transformer.", clip_names() } }
   end,
   sdxl = function()
      return { { "model.diffusion_model.", unet_names({ 0, 2, 10 }, 10, { "label_emb.0.0", "label_emb.0.2" }) },
         { "conditioner.embedders.0.transformer.", clip_names() },
         { "text_encoders.clip_g.transformer.", clip_names() } }
   end,
   flux = function(m)
      local doubles = math.max(count(m, "double_blocks_(%d+)_", 19), count(m, "r_transformer_blocks_(%d+)_", 19))
      local singles = count(m, "single_[%a_]*blocks_(%d+)_", 38)
      return { { "model.diffusion_model.", firsts(flux.rows(doubles, singles)) },
         { "text_encoders.clip_l.transformer.", clip_names() }, { "text_encoders.t5xxl.transformer.", t5_names() } }
   end,
   sd3 = function(m)
      local n = math.max(count(m, "joint_blocks_(%d+)_", 24), count(m, "transformer_blocks_(%d+)_", 24))
      return { { "model.diffusion_model.", firsts(transformers.sd3(n > 24 and math.max(n, 38) or n)) },
         { "text_encoders.clip_l.transformer.", clip_names() }, { "text_encoders.clip_g.transformer.", clip_names() },
         { "text_encoders.t5xxl.transformer.", t5_names() } }
   end,
   ["qwen-image"] = function(m)
      return { { "model.diffusion_model.", in_blocks(count(m, "transformer_blocks_(%d+)_", 60),
         "transformer_blocks.%d.", QWEN, { "img_in", "txt_in", "proj_out", "norm_out.linear" }) } }
   end,
   wan = function(m)
      local names = firsts(transformers.wan(count(m, "blocks_(%d+)_", 40)))
      add_all(names, "", WAN_MORE)
      return { { "model.diffusion_model.", names } }
   end,
   ["z-image"] = function(m)
      local n = count(m, "layers_(%d+)_", 30)
      local names = firsts(transformers.z_image(n))
      local rest = { "feed_forward.w1", "feed_forward.w2", "feed_forward.w3", "adaLN_modulation.0" }
      in_blocks(n, "layers.%d.", rest, names)
      in_blocks(2, "noise_refiner.%d.", rest, names)
      in_blocks(2, "context_refiner.%d.", rest, names)
      add_all(names, "", { "cap_embedder.0", "cap_embedder.1" })
      return { { "model.diffusion_model.", names } }
   end,
   llama = function(m)
      return { { "", in_blocks(count(m, "layers_(%d+)_", 1), "model.layers.%d.", LLAMA,
         { "model.embed_tokens", "model.norm", "lm_head" }) } }
   end,
}
PARTS.sd2 = PARTS.sd1
function PARTS.chroma(m) return { PARTS.flux(m)[1], { "text_encoders.t5xxl.transformer.", t5_names() } } end

local DEFAULT_WIDTH = { flux = 3072, chroma = 3072, sd3 = 1536, ["z-image"] = 3840 }

-- Shapes of the matrices that one format has whole and another in parts.
local function shapes_of(id, modules)
   local h = width(modules, "attn_qkv$", "attn_to_q$", "linear1$", "qkv_lora", "attention_qkv$", "attention_to_q$")
      or DEFAULT_WIDTH[id] or 1
   local mlp = 4 * h
   for _, m in ipairs(modules) do
      local name = flat(m.name)
      local up = m.parts.up
      if up and name:find("single_[%w_]*proj_mlp$") then mlp = up:shape()[1] end
      if up and name:find("single_blocks_%d+_linear1$") then mlp = up:shape()[1] - 3 * h end
   end
   return function(name)
      if name:find("linear1%.weight$") then return { 3 * h + mlp, h } end
      if name:find("qkv%.weight$") then return { 3 * h, h } end
      return { 2 * h, h }
   end
end

-- What spellings.of asks of a model.
local function imagined(parts, shape)
   local list, index = {}, {}
   for _, part in ipairs(parts) do
      for _, name in ipairs(part[2]) do
         list[#list + 1] = part[1] .. name .. ".weight"
         index[list[#list]] = #list
      end
   end
   return { count = function() return #list end, name = function(_, i) return list[i] end,
      find = function(_, name) return index[name] end,
      get = function(_, name) return { shape = function() return shape(name) end } end }
end

--- The names of an architecture, as spellings.of gives those of a checkpoint.
-- @tparam string id
-- @tparam {table,...} modules the adapter's: how many blocks there are, and how wide
function architectures.spellings(id, modules)
   return spellings.of(imagined(PARTS[id](modules), shapes_of(id, modules)))
end

return architectures
