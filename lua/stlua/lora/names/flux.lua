--- Names of Flux, and of Chroma: Black Forest Labs' and diffusers'. Where the first has one matrix the second has
-- several, which are parts of its rows.
-- Source: diffusers' convert_flux_to_diffusers, ComfyUI's flux_to_diffusers.
-- Layer: Lua, above stlua.core.

local flux = {}

-- In a double block: the original name, and diffusers' names for its parts in the order of the rows.
local DOUBLE = {
   { "img_attn.qkv", "attn.to_q", "attn.to_k", "attn.to_v" },
   { "txt_attn.qkv", "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj" },
   { "img_attn.proj", "attn.to_out.0" }, { "txt_attn.proj", "attn.to_add_out" },
   { "img_mod.lin", "norm1.linear" }, { "txt_mod.lin", "norm1_context.linear" },
   { "img_mlp.0", "ff.net.0.proj" }, { "img_mlp.2", "ff.net.2" },
   { "txt_mlp.0", "ff_context.net.0.proj" }, { "txt_mlp.2", "ff_context.net.2" },
   { "img_attn.norm.query_norm", "attn.norm_q" }, { "img_attn.norm.key_norm", "attn.norm_k" },
   { "txt_attn.norm.query_norm", "attn.norm_added_q" }, { "txt_attn.norm.key_norm", "attn.norm_added_k" },
}
local SINGLE = {
   { "linear1", "attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp" },
   { "linear2", "proj_out" }, { "modulation.lin", "norm.linear" },
   { "norm.query_norm", "attn.norm_q" }, { "norm.key_norm", "attn.norm_k" },
}
-- Chroma's, which makes what Flux has `modulation` and `img_mod` for.
local APPROXIMATOR, LAYERS = {
   { "layers.%d.in_layer", "layers.%d.linear_1" }, { "layers.%d.out_layer", "layers.%d.linear_2" },
}, 5
local OUTSIDE = {
   { "img_in", "x_embedder" }, { "txt_in", "context_embedder" },
   { "time_in.in_layer", "time_text_embed.timestep_embedder.linear_1" },
   { "time_in.out_layer", "time_text_embed.timestep_embedder.linear_2" },
   { "vector_in.in_layer", "time_text_embed.text_embedder.linear_1" },
   { "vector_in.out_layer", "time_text_embed.text_embedder.linear_2" },
   { "guidance_in.in_layer", "time_text_embed.guidance_embedder.linear_1" },
   { "guidance_in.out_layer", "time_text_embed.guidance_embedder.linear_2" },
   { "final_layer.linear", "proj_out" },
   { "final_layer.adaLN_modulation.1", "norm_out.linear", halves_swapped = true },
}

--- All rows of the table for blocks 0 .. doubles - 1 and 0 .. singles - 1.
-- @treturn {{string,string,...},...} original name, diffusers' names of its parts; halves_swapped
function flux.rows(doubles, singles)
   local out = { table.unpack(OUTSIDE) }
   local function add(list, original, other)
      for _, row in ipairs(list) do
         local full = { original .. row[1] }
         for i = 2, #row do full[i] = other .. row[i] end
         out[#out + 1] = full
      end
   end
   for i = 0, doubles - 1 do add(DOUBLE, ("double_blocks.%d."):format(i), ("transformer_blocks.%d."):format(i)) end
   for i = 0, singles - 1 do
      add(SINGLE, ("single_blocks.%d."):format(i), ("single_transformer_blocks.%d."):format(i))
   end
   for i = 0, LAYERS - 1 do
      for _, row in ipairs(APPROXIMATOR) do
         out[#out + 1] = { "distilled_guidance_layer." .. row[1]:format(i), "distilled_guidance_layer."
            .. row[2]:format(i) }
      end
   end
   return out
end

--- XLabs' names: the image's and the text's attention of a double block, and the attention of a single one, which is
-- part of a matrix.
function flux.xlabs(doubles, singles)
   local out = {}
   for i = 0, doubles - 1 do
      for k, stream in ipairs { "img_attn", "txt_attn" } do
         for _, name in ipairs { "qkv", "proj" } do
            out[#out + 1] = { ("double_blocks.%d.%s.%s"):format(i, stream, name),
               ("double_blocks.%d.processor.%s_lora%d"):format(i, name, k) }
         end
      end
   end
   for i = 0, singles - 1 do
      out[#out + 1] = { ("single_blocks.%d.linear1"):format(i), ("single_blocks.%d.processor.qkv_lora"):format(i),
         attention_rows = true }
      out[#out + 1] = { ("single_blocks.%d.linear2"):format(i), ("single_blocks.%d.processor.proj_lora"):format(i) }
   end
   return out
end

return flux
