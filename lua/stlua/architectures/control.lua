-- control: what steers a diffusion model or works on its pictures, and is no adapter of its weights. The columns of
-- init.lua.

local TO_K = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight "
local D_TO_K = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight "
local CONTROL = { "control_model.", "" }
local EMBEDDING = { "" }

local function inversion(id, base, test)
   return { id = id, title = "Textual inversion", base = base, part = "embedding", under = EMBEDDING, has = { test },
      only = 4 }
end

return {
   { id = "controlnet-sdxl", title = "ControlNet", base = "Stable Diffusion XL", part = "controlnet", under = CONTROL,
      has = { "input_hint_block.0.weight", "label_emb.0.0.weight" }, class = "ControlNetModel" },
   { id = "controlnet-sd1", title = "ControlNet", base = "Stable Diffusion 1", part = "controlnet", under = CONTROL,
      has = { "input_hint_block.0.weight", TO_K .. "[?, 768]" }, class = "ControlNetModel" },
   { id = "controlnet-sd2", title = "ControlNet", base = "Stable Diffusion 2", part = "controlnet", under = CONTROL,
      has = { "input_hint_block.0.weight", TO_K .. "[?, 1024]" }, class = "ControlNetModel" },
   { id = "controlnet-sdxl-diffusers", title = "ControlNet", base = "Stable Diffusion XL", part = "controlnet",
      under = { "controlnet.", "" }, has = { "controlnet_cond_embedding.conv_in.weight",
         "add_embedding.linear_1.weight" },
      naming = "diffusers", class = "ControlNetModel" },
   { id = "controlnet-sd1-diffusers", title = "ControlNet", base = "Stable Diffusion 1", part = "controlnet",
      under = { "controlnet.", "" }, has = { "controlnet_cond_embedding.conv_in.weight", D_TO_K .. "[?, 768]" },
      naming = "diffusers", class = "ControlNetModel" },
   { id = "controlnet-sd2-diffusers", title = "ControlNet", base = "Stable Diffusion 2", part = "controlnet",
      under = { "controlnet.", "" }, has = { "controlnet_cond_embedding.conv_in.weight", D_TO_K .. "[?, 1024]" },
      naming = "diffusers", class = "ControlNetModel" },
   { id = "controlnet-flux", title = "ControlNet", base = "Flux.1", part = "controlnet", under = { "controlnet.", "" },
      has = { "controlnet_x_embedder.weight" }, naming = "diffusers", class = "FluxControlNetModel" },
   { id = "controlnet-sd3", title = "ControlNet", base = "Stable Diffusion 3", part = "controlnet",
      under = { "controlnet.", "" }, has = { "controlnet_blocks.0.weight", "pos_embed_input.proj.weight" },
      naming = "diffusers", class = "SD3ControlNetModel" },
   { id = "control-lora", title = "Control-LoRA", base = "Stable Diffusion XL", part = "controlnet", under = EMBEDDING,
      has = { "lora_controlnet" } },
   { id = "t2i-adapter", title = "T2I-Adapter", part = "t2i_adapter", under = { "adapter.", "" },
      has = { "body.0.resnets.0.block1.weight" }, class = "T2IAdapter", naming = "diffusers" },
   { id = "t2i-adapter-old", title = "T2I-Adapter", part = "t2i_adapter", under = EMBEDDING,
      has = { "body.0.block1.weight", "conv_in.weight" } },
   { id = "ip-adapter", title = "IP-Adapter", part = "ip_adapter", under = EMBEDDING,
      has = { "ip_adapter.1.to_k_ip.weight" },
      kinds = { { "plus (a resampler)", "image_proj.latents" },
         { "for Stable Diffusion 1", "ip_adapter.1.to_k_ip.weight [?, 768]" },
         { "for Stable Diffusion XL", "ip_adapter.1.to_k_ip.weight [?, 2048]" } },
            loads = "diffusers: pipe.load_ip_adapter" },
   { id = "animatediff", title = "AnimateDiff motion module", part = "motion", under = { "", "motion_modules." },
      has = { "down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight" },
      kinds = { { "for Stable Diffusion 1 (v2, v3)",
         "mid_block.motion_modules.0.temporal_transformer.proj_in.weight" } },
      loads = "ComfyUI-AnimateDiff-Evolved: models/animatediff_models" },

   { id = "animatediff-diffusers", title = "AnimateDiff motion adapter", part = "motion", under = { "" },
      has = { "down_blocks.0.motion_modules.0.transformer_blocks.0.attn1.to_k.weight" }, naming = "diffusers",
      class = "MotionAdapter" },
   { id = "inversion-sdxl", title = "Textual inversion", base = "Stable Diffusion XL", part = "embedding",
      under = EMBEDDING,
      has = { "clip_g [?, 1280]", "clip_l [?, 768]" }, only = 4 },
   -- A1111's .pt; diffusers' learned_embeds, of which each vector may be a word.
   inversion("inversion-sd1-pt", "Stable Diffusion 1", "string_to_param.* [?, 768]"),
   inversion("inversion-sd2-pt", "Stable Diffusion 2", "string_to_param.* [?, 1024]"),
   inversion("inversion-sd1-word", "Stable Diffusion 1", "<*> [768, .]"),
   inversion("inversion-sd1-words", "Stable Diffusion 1", "<*> [?, 768, .]"),
   inversion("inversion-sd2-word", "Stable Diffusion 2", "<*> [1024, .]"),
   inversion("inversion-sd2-words", "Stable Diffusion 2", "<*> [?, 1024, .]"),
   inversion("inversion-sd1", "Stable Diffusion 1", "emb_params [?, 768]"),
   inversion("inversion-sd2", "Stable Diffusion 2", "emb_params [?, 1024]"),

   { id = "esrgan", title = "ESRGAN", part = "upscaler", under = { "params_ema.", "params.", "" },
      has = { "conv_first.weight", "body.0.rdb1.conv1.weight" }, layers = "body.#.rdb1.conv1.weight" },
   { id = "esrgan-old", title = "ESRGAN", part = "upscaler", under = { "" },
      has = { "model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight" }, layers = "model.1.sub.#.RDB1.conv1.0.weight" },
   { id = "swinir", title = "SwinIR", part = "upscaler", under = { "params_ema.", "params.", "" },
      has = { "conv_first.weight", "layers.0.residual_group.blocks.0.attn.qkv.weight" } },
   { id = "compact", title = "Real-ESRGAN compact", part = "upscaler", under = { "params_ema.", "params.", "" },
      has = { "body.0.weight [?, 3, 3, 3]", "body.1.weight", "body.2.weight" } },
}
