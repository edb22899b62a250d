-- sd15: Stable Diffusion 1: the U-Net (see rebasin_unet.lua) and, where the file has it, the text encoder, whose
-- channels (context) all cross attentions read. The VAE stays.
local checkpoint = require "stlua.checkpoint"
local unet = require "stlua.rebasin_unet"

local TEXT = "cond_stage_model.transformer.text_model."
local CONTEXT = "text.context"

local function text(name, ...) return { TEXT .. name, ... } end
local function layer(name, ...) return text("encoder.layers.#." .. name, ...) end

local kinds = unet.kinds { count = 8 }
kinds.context = { needs = TEXT .. "embeddings.token_embedding.weight" }
kinds.text_heads = { width = 64, free = { qk = true, vo = true } }

local rules = unet.rules(CONTEXT, {
   text("embeddings.token_embedding.weight", "", CONTEXT),
   text("embeddings.position_embedding.weight", "", CONTEXT),
   text("final_layer_norm.weight", CONTEXT),
   text("final_layer_norm.bias", CONTEXT),
   layer("layer_norm#.weight", CONTEXT),
   layer("layer_norm#.bias", CONTEXT),
   layer("self_attn.q_proj.weight", "text.%1.text_heads:qk", CONTEXT),
   layer("self_attn.q_proj.bias", "text.%1.text_heads:qk"),
   layer("self_attn.k_proj.weight", "text.%1.text_heads:qk", CONTEXT),
   layer("self_attn.k_proj.bias", "text.%1.text_heads:qk"),
   layer("self_attn.v_proj.weight", "text.%1.text_heads:vo", CONTEXT),
   layer("self_attn.v_proj.bias", "text.%1.text_heads:vo"),
   layer("self_attn.out_proj.weight", CONTEXT, "text.%1.text_heads:vo"),
   layer("self_attn.out_proj.bias", CONTEXT),
   layer("mlp.fc1.weight", "text.%1.mlp", CONTEXT),
   layer("mlp.fc1.bias", "text.%1.mlp"),
   layer("mlp.fc2.weight", CONTEXT, "text.%1.mlp"),
   layer("mlp.fc2.bias", CONTEXT),
})

return {
   summary = "Stable Diffusion 1: model.diffusion_model.*, whose attn2.to_k has 768 columns; text encoder CLIP",
   -- Stable Diffusion 2 has 1,024, and other heads.
   tensors = { { "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", columns = 768 },
      table.unpack(unet.tensors) },
   kinds = kinds, rules = rules,
   still = function(name) return checkpoint.is_fixed(name) or checkpoint.is_vae(name) end,
}
