"""info_diffusers.py - what `stlua info` says of tiny models that diffusers' own classes saved: U-Nets, transformers,
VAEs, ControlNets and adapters, in diffusers' names."""
import json
import os
import shutil

import torch

from tap import check, finish, scratch, skip, stlua

try:
    import diffusers as df
except ImportError as e:
    skip(f"diffusers: {e}")
    finish()

folder = scratch()
torch.manual_seed(1)
SMALL = dict(norm_num_groups=8, attention_head_dim=8)
UNET = dict(SMALL, block_out_channels=(32, 32, 32, 32))
CROSS = ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D")
XL = dict(SMALL, block_out_channels=(32, 32, 32), down_block_types=CROSS, transformer_layers_per_block=[1, 1, 1],
          addition_embed_type="text_time", addition_time_embed_dim=8)
XL_UNET = dict(XL, up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), use_linear_projection=True)
VAE = dict(block_out_channels=(32, 32), down_block_types=("DownEncoderBlock2D",) * 2,
           up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=8)
HEADS = dict(attention_head_dim=16, num_attention_heads=2)
JOINT = dict(HEADS, num_layers=1, joint_attention_dim=16)
FLUX = dict(JOINT, num_single_layers=1, pooled_projection_dim=16, axes_dims_rope=(4, 4, 8))
SD3 = dict(JOINT, sample_size=8, caption_projection_dim=32, pooled_projection_dim=16, pos_embed_max_size=8)
VIDEO = dict(block_out_channels=(8, 8), layers_per_block=(1, 1, 1), decoder_block_out_channels=(8, 8),
             decoder_layers_per_block=(1, 1, 1), spatio_temporal_scaling=(True, True),
             decoder_spatio_temporal_scaling=(True, True), decoder_inject_noise=(False,) * 3,
             upsample_residual=(False, False), upsample_factor=(1, 1))

# Class, its options, and what is said of it.
MODELS = (
    ("UNet2DConditionModel", dict(UNET, cross_attention_dim=768), "Stable Diffusion 1: the U-Net alone"),
    ("UNet2DConditionModel", dict(UNET, cross_attention_dim=768, in_channels=9),
     "Stable Diffusion 1 for inpainting: the U-Net alone"),
    ("UNet2DConditionModel", dict(UNET, cross_attention_dim=1024, use_linear_projection=True),
     "Stable Diffusion 2: the U-Net alone"),
    ("UNet2DConditionModel", dict(XL_UNET, cross_attention_dim=2048, projection_class_embeddings_input_dim=2816),
     "Stable Diffusion XL: the U-Net alone"),
    ("UNet2DConditionModel", dict(XL_UNET, cross_attention_dim=1280, projection_class_embeddings_input_dim=2560),
     "Stable Diffusion XL refiner: the U-Net alone"),
    ("UNetSpatioTemporalConditionModel", dict(block_out_channels=(32,) * 4, num_attention_heads=(2,) * 4,
                                              addition_time_embed_dim=8, projection_class_embeddings_input_dim=24,
                                              cross_attention_dim=32), "Stable Video Diffusion: the U-Net alone"),
    ("StableCascadeUNet", dict(block_out_channels=(8, 8), conditioning_dim=8, down_num_layers_per_block=(1, 1),
                               up_num_layers_per_block=(1, 1), down_blocks_repeat_mappers=(1, 1),
                               up_blocks_repeat_mappers=(1, 1), num_attention_heads=(2, 2),
                               clip_text_pooled_in_channels=8, clip_text_in_channels=8, clip_image_in_channels=8),
     "Stable Cascade, stage C: the U-Net alone"),
    ("SD3Transformer2DModel", SD3, "Stable Diffusion 3: the transformer alone"),
    ("FluxTransformer2DModel", dict(FLUX, guidance_embeds=True), "Flux.1 dev: the transformer alone"),
    ("FluxTransformer2DModel", dict(FLUX, guidance_embeds=False), "Flux.1 schnell: the transformer alone"),
    ("Flux2Transformer2DModel", dict(JOINT, num_single_layers=1, axes_dims_rope=(4,) * 4, in_channels=8),
     "Flux.2: the transformer alone"),
    ("ChromaTransformer2DModel", dict(JOINT, num_single_layers=1, axes_dims_rope=(4, 4, 8)),
     "Chroma: the transformer alone"),
    ("WanTransformer3DModel", dict(HEADS, num_layers=1, text_dim=16, freq_dim=16, ffn_dim=16),
     "Wan: the transformer alone"),
    ("QwenImageTransformer2DModel", dict(JOINT, axes_dims_rope=(4, 4, 8)), "Qwen-Image: the transformer alone"),
    ("ZImageTransformer2DModel", dict(dim=32, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=16,
                                      axes_dims=[4, 4, 8]), "Z-Image: the transformer alone"),
    ("LTXVideoTransformer3DModel", dict(HEADS, num_layers=1, cross_attention_dim=32, caption_channels=16),
     "LTX-Video: the transformer alone"),
    ("PixArtTransformer2DModel", dict(HEADS, num_layers=1, cross_attention_dim=32, caption_channels=16, sample_size=8),
     "PixArt: the transformer alone"),
    ("SanaTransformer2DModel", dict(HEADS, num_layers=1, num_cross_attention_heads=2, cross_attention_head_dim=16,
                                    cross_attention_dim=32, caption_channels=16), "Sana: the transformer alone"),
    ("Lumina2Transformer2DModel", dict(hidden_size=48, num_layers=1, num_refiner_layers=1, num_attention_heads=3,
                                       num_kv_heads=1, cap_feat_dim=16, axes_dim_rope=(4, 4, 8)),
     "Lumina 2: the transformer alone"),
    ("MochiTransformer3DModel", dict(num_layers=2, num_attention_heads=2, attention_head_dim=8,
                                     pooled_projection_dim=16, text_embed_dim=16), "Mochi 1: the transformer alone"),
    ("CogVideoXTransformer3DModel", dict(HEADS, num_layers=1, text_embed_dim=16, time_embed_dim=8),
     "CogVideoX: the transformer alone"),
    ("HunyuanVideoTransformer3DModel", dict(HEADS, num_layers=1, num_single_layers=1, num_refiner_layers=1,
                                            text_embed_dim=16, pooled_projection_dim=16, rope_axes_dim=(4, 4, 8)),
     "Hunyuan Video: the transformer alone"),
    ("AuraFlowTransformer2DModel", dict(sample_size=8, num_mmdit_layers=1, num_single_dit_layers=1,
                                        attention_head_dim=8, num_attention_heads=2, joint_attention_dim=16,
                                        caption_projection_dim=16, pos_embed_max_size=8),
     "AuraFlow: the transformer alone"),
    ("AutoencoderKL", VAE, "VAE of Stable Diffusion 1, 2 or XL (4 channels)"),
    ("AutoencoderKL", dict(VAE, latent_channels=16), "VAE of Stable Diffusion 3 or Flux.1 (16 channels)"),
    ("AutoencoderKLWan", dict(base_dim=8, dim_mult=[1] * 4, num_res_blocks=1), "VAE of Wan or Qwen-Image"),
    ("AutoencoderKLLTXVideo", VIDEO, "VAE of LTX-Video"),
    ("AutoencoderKLHunyuanVideo", dict(block_out_channels=(8,) * 4, layers_per_block=1, norm_num_groups=4),
     "VAE of Hunyuan Video"),
    ("AutoencoderTiny", dict(encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4),
     "TAESD, a tiny VAE"),
    ("ControlNetModel", dict(UNET, cross_attention_dim=768), "ControlNet for Stable Diffusion 1"),
    ("ControlNetModel", dict(XL, cross_attention_dim=2048, projection_class_embeddings_input_dim=2816),
     "ControlNet for Stable Diffusion XL"),
    ("FluxControlNetModel", FLUX, "ControlNet for Flux.1"),
    ("SD3ControlNetModel", SD3, "ControlNet for Stable Diffusion 3"),
    ("T2IAdapter", dict(channels=[8] * 4, num_res_blocks=1), "T2I-Adapter"),
    ("MotionAdapter", dict(block_out_channels=(32,) * 4, motion_num_attention_heads=2, motion_norm_num_groups=8),
     "AnimateDiff motion adapter"),
)

for name, options, want in MODELS:
    home = os.path.join(folder, name)
    cls = getattr(df, name, None)
    if not cls:
        skip(f"{name}: this diffusers has no such class")
        continue
    cls(**options).save_pretrained(home)
    for bare in (False, True):
        if bare:
            os.remove(os.path.join(home, "config.json"))
        r = stlua("info", "--json", home)
        got = json.loads(r.stdout) if r.returncode == 0 else {"what": r.stderr, "places": {}}
        check(got["what"] == want, f"{name}: {want}" + (", by its names alone" if bare else ""), got["what"])
        call = got["places"].get("diffusers", "")
        check(call.split(".")[0] == name, f"{name}: loaded by it", call)
    shutil.rmtree(home)
finish()
