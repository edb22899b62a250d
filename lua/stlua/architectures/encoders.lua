-- encoders: what stands around a diffusion model: text encoders, VAEs. The columns of init.lua.

local CLIP = "text_model.encoder.layers.0.mlp.fc1.weight "
local OPEN = "transformer.resblocks.0.mlp.c_fc.weight "
local CLIP_LAYERS, OPEN_LAYERS = "text_model.encoder.layers.#.mlp.fc1.weight", "transformer.resblocks.#.mlp.c_fc.weight"
local CLIP_WORDS, TEXT_ONLY = "text_model.embeddings.token_embedding.weight", "!vision_model.post_layernorm.weight"
local BARE, BARE_LAYERS = "encoder.layers.0.mlp.fc1.weight ", "encoder.layers.#.mlp.fc1.weight"
local BARE_WORDS = "embeddings.token_embedding.weight"
local VAES = { "first_stage_model.", "vae.", "" }

-- By the channels of the latents.
local function latents(name)
   return { { "of Stable Diffusion 1, 2 or XL (4 channels)", name .. " [?, 4]" },
      { "of Stable Diffusion 3 or Flux.1 (16 channels)", name .. " [?, 16]" },
      { "of Flux.2 (32 channels)", name .. " [?, 32]" } }
end

return {
   { id = "clip-l", title = "CLIP-L", part = "te", under = { "cond_stage_model.transformer.",
      "conditioner.embedders.0.transformer.", "text_encoders.clip_l.transformer.", "text_encoder.",
         "clip_l.transformer.",
      "" }, has = { CLIP .. "[3072, 768]", TEXT_ONLY }, layers = CLIP_LAYERS, embedding = CLIP_WORDS,
         class = "CLIPTextModel" },
   { id = "clip-l-nai", title = "CLIP-L", part = "te", under = { "cond_stage_model.transformer." },
      has = { "encoder.layers.0.mlp.fc1.weight [3072, 768]" }, layers = "encoder.layers.#.mlp.fc1.weight",
      kinds = { { "in old names, without text_model", "!text_model.final_layer_norm.weight" } },
         class = "CLIPTextModel" },
   { id = "clip-h", title = "OpenCLIP-H", part = "te", under = { "cond_stage_model.transformer.", "text_encoder.", "" },
      has = { CLIP .. "[4096, 1024]", TEXT_ONLY }, layers = CLIP_LAYERS, embedding = CLIP_WORDS,
         class = "CLIPTextModel" },
   { id = "clip-g", title = "CLIP-G", part = "te", under = { "text_encoders.clip_g.transformer.", "text_encoder_2.",
      "text_encoder.", "conditioner.embedders.1.transformer.", "clip_g.transformer.", "" },
      has = { CLIP .. "[5120, 1280]", TEXT_ONLY }, layers = CLIP_LAYERS,
      embedding = CLIP_WORDS, class = "CLIPTextModelWithProjection" },
   -- As transformers 5 saves them alone.
   { id = "clip-l-bare", title = "CLIP-L", part = "te", under = { "text_encoder.", "" }, naming = "diffusers",
      has = { BARE .. "[3072, 768]", BARE_WORDS }, layers = BARE_LAYERS, embedding = BARE_WORDS,
         class = "CLIPTextModel" },
   { id = "clip-h-bare", title = "OpenCLIP-H", part = "te", under = { "text_encoder.", "" }, naming = "diffusers",
      has = { BARE .. "[4096, 1024]", BARE_WORDS }, layers = BARE_LAYERS, embedding = BARE_WORDS,
         class = "CLIPTextModel" },
   { id = "siglip-vision-bare", title = "SigLIP", part = "clip_vision", under = { "image_encoder.", "" },
      has = { "head.attention.in_proj_weight", "embeddings.patch_embedding.weight" }, layers = BARE_LAYERS,
      loads = "transformers: SiglipVisionModel" },
   { id = "clip-vision-bare", title = "CLIP", part = "clip_vision", under = { "image_encoder.", "" },
      has = { "pre_layrnorm.weight", "embeddings.patch_embedding.weight" }, layers = BARE_LAYERS,
      loads = "transformers: CLIPVisionModel" },
   { id = "openclip-h", title = "OpenCLIP-H", part = "te", under = { "cond_stage_model.model.", "" },
      has = { OPEN .. "[4096, 1024]", "token_embedding.weight" }, layers = OPEN_LAYERS,
         embedding = "token_embedding.weight" },
   { id = "openclip-g", title = "OpenCLIP-G", part = "te", under = { "conditioner.embedders.1.model.",
      "conditioner.embedders.0.model.", "" }, has = { OPEN .. "[5120, 1280]", "token_embedding.weight" },
      layers = OPEN_LAYERS, embedding = "token_embedding.weight" },
   { id = "t5", title = "T5", part = "te", under = { "text_encoders.t5xxl.transformer.",
      "text_encoders.umt5xxl.transformer.",
      "text_encoder_3.", "text_encoder_2.", "text_encoder.", "cond_stage_model.", "t5xxl.transformer.", "" },
      has = { "encoder.block.0.layer.0.SelfAttention.q.weight", "!decoder.block.0.layer.0.SelfAttention.q.weight" },
      kinds = { { "=", "T5 XXL", "encoder.block.0.layer.0.SelfAttention.q.weight [4096, 4096]" },
         { "=", "UMT5", "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight" },
         { "=", "UMT5 XXL", "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight",
            "encoder.block.0.layer.0.SelfAttention.q.weight [4096, 4096]" } },
      layers = "encoder.block.#.layer.0.SelfAttention.q.weight", embedding = "shared.weight",
         class = "T5EncoderModel" },
   { id = "clip-vision", title = "CLIP", part = "clip_vision", under = { "image_encoder.", "" },
      has = { "vision_model.embeddings.patch_embedding.weight", "!text_model.final_layer_norm.weight",
         "!vision_model.head.attention.in_proj_weight" }, layers = "vision_model.encoder.layers.#.mlp.fc1.weight",
      kinds = { { "ViT-L", "vision_model.embeddings.patch_embedding.weight [1024]" },
         { "ViT-H", "vision_model.embeddings.patch_embedding.weight [1280]" },
         { "ViT-bigG", "vision_model.embeddings.patch_embedding.weight [1664]" } },
      loads = "transformers: CLIPVisionModelWithProjection" },
   { id = "siglip-vision", title = "SigLIP", part = "clip_vision", under = { "image_encoder.", "" },
      has = { "vision_model.head.attention.in_proj_weight", "!text_model.final_layer_norm.weight" },
      layers = "vision_model.encoder.layers.#.mlp.fc1.weight", loads = "transformers: SiglipVisionModel" },

   { id = "vae", title = "VAE", part = "vae", under = VAES,
      has = { "decoder.conv_in.weight [?, ?, 3, 3]", "decoder.up.0.block.0.conv1.weight" },
      kinds = latents "decoder.conv_in.weight", class = "AutoencoderKL" },
   { id = "vae-diffusers", title = "VAE", part = "vae", under = VAES, naming = "diffusers",
      has = { "decoder.conv_in.weight [?, ?, 3, 3]", "decoder.up_blocks.0.resnets.0.conv1.weight [?, ?, 3, 3]" },
      kinds = latents "decoder.conv_in.weight", class = "AutoencoderKL" },
   { id = "vae-wan", title = "VAE", part = "vae", under = VAES, has = { "decoder.middle.0.residual.0.gamma" },
      kinds = { { "of Wan 2.1 or Qwen-Image", "!decoder.upsamples.0.upsamples.0.residual.2.weight" },
         { "of Wan 2.2", "decoder.upsamples.0.upsamples.0.residual.2.weight" } }, class = "AutoencoderKLWan" },
   { id = "vae-ltx", title = "VAE", part = "vae", under = VAES,
      has = { "decoder.up_blocks.0.res_blocks.0.conv1.conv.weight" },
      kinds = { { "of LTX-Video", "decoder.conv_in.conv.weight" } }, class = "AutoencoderKLLTXVideo" },
   { id = "vae-hunyuan-video", title = "VAE", part = "vae", under = VAES, has = { "decoder.conv_in.conv.weight",
      "!decoder.up_blocks.0.res_blocks.0.conv1.conv.weight" },
      kinds = { { "of Hunyuan Video", "decoder.mid_block.resnets.0.conv1.conv.weight" } },
      class = "AutoencoderKLHunyuanVideo" },
   { id = "vae-cascade", title = "VAE", part = "vae", under = VAES, has = { "vquantizer.codebook.weight" },
      kinds = { { "of Stable Cascade (stage A)", "vquantizer.codebook.weight" } } },
   { id = "taesd", title = "TAESD, a tiny VAE", part = "vae", under = { "" },
      has = { "decoder.layers.3.conv.0.weight" },
      class = "AutoencoderTiny" },
}
