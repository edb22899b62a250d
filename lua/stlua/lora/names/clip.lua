--- Names of OpenCLIP's text encoder (in Stable Diffusion 2 and XL) and of transformers' for the same modules.
-- Source: diffusers' convert_open_clip_checkpoint.
-- Layer: Lua, above stlua.core.

local clip = {}

local BLOCK = { ln_1 = "layer_norm1", ln_2 = "layer_norm2", ["mlp.c_fc"] = "mlp.fc1", ["mlp.c_proj"] = "mlp.fc2",
   ["attn.out_proj"] = "self_attn.out_proj" }
local SINGLE = { token_embedding = "text_model.embeddings.token_embedding", ln_final = "text_model.final_layer_norm" }

--- The names in transformers of an OpenCLIP module; of a fused one those of its parts, in the order of the rows.
-- @tparam string path such as "transformer.resblocks.0.attn.in_proj"
-- @treturn {string,...}
function clip.to_transformers(path)
   if SINGLE[path] then return { SINGLE[path] } end
   local n, rest = path:match("^transformer%.resblocks%.(%d+)%.(.+)$")
   if not n then return {} end
   local layer = "text_model.encoder.layers." .. n .. "."
   if BLOCK[rest] then return { layer .. BLOCK[rest] } end
   if rest ~= "attn.in_proj" then return {} end
   local attention = layer .. "self_attn."
   return { attention .. "q_proj", attention .. "k_proj", attention .. "v_proj" }
end

return clip
