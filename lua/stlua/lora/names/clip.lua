--- Names of OpenCLIP's text encoder (in Stable Diffusion 2 and XL) and of transformers' for the same modules.
-- Source: diffusers' convert_open_clip_checkpoint.
-- Layer: Lua, above stlua.core.

local clip = {}

local BLOCK = { ln_1 = "layer_norm1", ln_2 = "layer_norm2", ["mlp.c_fc"] = "mlp.fc1", ["mlp.c_proj"] = "mlp.fc2",
   ["attn.out_proj"] = "self_attn.out_proj" }
local SINGLE = { token_embedding = "text_model.embeddings.token_embedding", ln_final = "text_model.final_layer_norm" }

--- The names in transformers of an OpenCLIP module: each with the third of the rows that it is, where it is one.
-- @tparam string path such as "transformer.resblocks.0.attn.in_proj"
-- @treturn {{string,?integer},...}
function clip.to_transformers(path)
   if SINGLE[path] then return { { SINGLE[path] } } end
   local n, rest = path:match("^transformer%.resblocks%.(%d+)%.(.+)$")
   if not n then return {} end
   local layer = "text_model.encoder.layers." .. n .. "."
   if BLOCK[rest] then return { { layer .. BLOCK[rest] } } end
   if rest ~= "attn.in_proj" then return {} end
   local out = {}
   for i, part in ipairs { "q_proj", "k_proj", "v_proj" } do out[i] = { layer .. "self_attn." .. part, i } end
   return out
end

return clip
