--- Names of the other diffusion transformers: the original ones and diffusers'. A row of a table is the original name
-- and the names of the parts of its rows.
-- Source: diffusers' conversion scripts, ComfyUI's mmdit_to_diffusers and z_image_to_diffusers.
-- Layer: Lua, above stlua.core.

local transformers = {}

local function qkv(original, a, b, c) return { original, a, b, c } end

-- Stable Diffusion 3.
local JOINT = {
   qkv("x_block.attn.qkv", "attn.to_q", "attn.to_k", "attn.to_v"),
   qkv("context_block.attn.qkv", "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
   qkv("x_block.attn2.qkv", "attn2.to_q", "attn2.to_k", "attn2.to_v"),
   { "x_block.attn.proj", "attn.to_out.0" }, { "context_block.attn.proj", "attn.to_add_out" },
   { "x_block.attn2.proj", "attn2.to_out.0" },
   { "x_block.mlp.fc1", "ff.net.0.proj" }, { "x_block.mlp.fc2", "ff.net.2" },
   { "context_block.mlp.fc1", "ff_context.net.0.proj" }, { "context_block.mlp.fc2", "ff_context.net.2" },
   { "x_block.adaLN_modulation.1", "norm1.linear" }, { "context_block.adaLN_modulation.1", "norm1_context.linear" },
   { "x_block.attn.ln_q", "attn.norm_q" }, { "x_block.attn.ln_k", "attn.norm_k" },
   { "context_block.attn.ln_q", "attn.norm_added_q" }, { "context_block.attn.ln_k", "attn.norm_added_k" },
   { "x_block.attn2.ln_q", "attn2.norm_q" }, { "x_block.attn2.ln_k", "attn2.norm_k" },
}
local SD3 = {
   { "x_embedder.proj", "pos_embed.proj" },
   { "t_embedder.mlp.0", "time_text_embed.timestep_embedder.linear_1" },
   { "t_embedder.mlp.2", "time_text_embed.timestep_embedder.linear_2" },
   { "y_embedder.mlp.0", "time_text_embed.text_embedder.linear_1" },
   { "y_embedder.mlp.2", "time_text_embed.text_embedder.linear_2" },
   { "final_layer.linear", "proj_out" },
   { "final_layer.adaLN_modulation.1", "norm_out.linear", halves_swapped = true },
}

-- Wan.
local WAN = {
   { "self_attn.q", "attn1.to_q" }, { "self_attn.k", "attn1.to_k" }, { "self_attn.v", "attn1.to_v" },
   { "self_attn.o", "attn1.to_out.0" }, { "self_attn.norm_q", "attn1.norm_q" }, { "self_attn.norm_k", "attn1.norm_k" },
   { "cross_attn.q", "attn2.to_q" }, { "cross_attn.k", "attn2.to_k" }, { "cross_attn.v", "attn2.to_v" },
   { "cross_attn.o", "attn2.to_out.0" }, { "cross_attn.norm_q", "attn2.norm_q" },
   { "cross_attn.norm_k", "attn2.norm_k" },
   { "cross_attn.k_img", "attn2.add_k_proj" }, { "cross_attn.v_img", "attn2.add_v_proj" },
   { "cross_attn.norm_k_img", "attn2.norm_added_k" },
   { "ffn.0", "ffn.net.0.proj" }, { "ffn.2", "ffn.net.2" }, { "norm3", "norm2" },
}
local WAN_OUTSIDE = {
   { "time_embedding.0", "condition_embedder.time_embedder.linear_1" },
   { "time_embedding.2", "condition_embedder.time_embedder.linear_2" },
   { "text_embedding.0", "condition_embedder.text_embedder.linear_1" },
   { "text_embedding.2", "condition_embedder.text_embedder.linear_2" },
   { "time_projection.1", "condition_embedder.time_proj" },
   { "img_emb.proj.0", "condition_embedder.image_embedder.norm1" },
   { "img_emb.proj.1", "condition_embedder.image_embedder.ff.net.0.proj" },
   { "img_emb.proj.3", "condition_embedder.image_embedder.ff.net.2" },
   { "img_emb.proj.4", "condition_embedder.image_embedder.norm2" },
   { "head.head", "proj_out" },
}

-- Z-Image, whose other names are equal.
local Z_IMAGE = {
   qkv("attention.qkv", "attention.to_q", "attention.to_k", "attention.to_v"),
   { "attention.out", "attention.to_out.0" },
   { "attention.q_norm", "attention.norm_q" }, { "attention.k_norm", "attention.norm_k" },
}

local Z_IMAGE_OUTSIDE = {
   { "x_embedder", "all_x_embedder.2-1" }, { "final_layer.linear", "all_final_layer.2-1.linear" },
   { "final_layer.adaLN_modulation.1", "all_final_layer.2-1.adaLN_modulation.1" },
}

local function in_blocks(out, rows, original, other, n)
   for i = 0, n - 1 do
      for _, row in ipairs(rows) do
         local full = { original:format(i) .. row[1] }
         for k = 2, #row do full[k] = other:format(i) .. row[k] end
         out[#out + 1] = full
      end
   end
   return out
end

--- Rows of Stable Diffusion 3 for n blocks. The last block's text is only normalised, by two halves in other order.
function transformers.sd3(n)
   local out = in_blocks({ table.unpack(SD3) }, JOINT, "joint_blocks.%d.", "transformer_blocks.%d.", n)
   for _, row in ipairs(out) do
      if row[1] == ("joint_blocks.%d.context_block.adaLN_modulation.1"):format(n - 1) then row.halves_swapped = true end
   end
   return out
end

--- Rows of Wan for n blocks.
function transformers.wan(n)
   return in_blocks({ table.unpack(WAN_OUTSIDE) }, WAN, "blocks.%d.", "blocks.%d.", n)
end

--- Rows of Z-Image for n layers.
function transformers.z_image(n)
   local out = in_blocks({ table.unpack(Z_IMAGE_OUTSIDE) }, Z_IMAGE, "layers.%d.", "layers.%d.", n)
   for _, refiner in ipairs { "noise_refiner.%d.", "context_refiner.%d." } do
      in_blocks(out, Z_IMAGE, refiner, refiner, 8)
   end
   return out
end

return transformers
