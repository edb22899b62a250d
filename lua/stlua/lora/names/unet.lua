--- Names of the U-Net of Stable Diffusion 1, 2 and XL: the original (LDM, sgm) and diffusers'.
-- Source: diffusers' convert_original_stable_diffusion_to_diffusers, sd-scripts' sdxl_model_util.
-- Layer: Lua, above stlua.core.

local unet = {}

local function flipped(t)
   local out = {}
   for a, b in pairs(t) do out[b] = a end
   return out
end

-- Inside a residual block.
local RESNET = { ["in_layers.0"] = "norm1", ["in_layers.2"] = "conv1", ["out_layers.0"] = "norm2",
   ["out_layers.3"] = "conv2", ["emb_layers.1"] = "time_emb_proj", skip_connection = "conv_shortcut" }

-- Outside of blocks.
local SINGLE = { ["input_blocks.0.0"] = "conv_in", ["out.0"] = "conv_norm_out", ["out.2"] = "conv_out",
   ["time_embed.0"] = "time_embedding.linear_1", ["time_embed.2"] = "time_embedding.linear_2",
   ["label_emb.0.0"] = "add_embedding.linear_1", ["label_emb.0.2"] = "add_embedding.linear_2" }

local RESNET_BACK, SINGLE_BACK = flipped(RESNET), flipped(SINGLE)

-- A part of a block: 0 is residual, the others are attention.
local function inner(k, rest)
   if k ~= "0" then return "attentions", rest end
   return "resnets", RESNET[rest]
end

-- A number that is none of a block.
local TOO_LARGE = "%.%d%d%d%d"

--- A module's name in diffusers, or nil.
function unet.to_diffusers(path)
   if SINGLE[path] then return SINGLE[path] end
   if path:find(TOO_LARGE) then return nil end
   local n, k, rest = path:match("^input_blocks%.(%d+)%.(%d)%.(.+)$")
   if n then
      local i, j = (n - 1) // 3, (n - 1) % 3
      if rest == "op" then return ("down_blocks.%d.downsamplers.0.conv"):format(i) end
      local kind, name = inner(k, rest)
      return name and ("down_blocks.%d.%s.%d.%s"):format(i, kind, j, name)
   end
   k, rest = path:match("^middle_block%.(%d)%.(.+)$")
   if k == "1" then return "mid_block.attentions.0." .. rest end
   if k then return RESNET[rest] and ("mid_block.resnets.%d.%s"):format(k // 2, RESNET[rest]) end
   n, k, rest = path:match("^output_blocks%.(%d+)%.(%d)%.(.+)$")
   if not n then return nil end
   if rest == "conv" then return ("up_blocks.%d.upsamplers.0.conv"):format(n // 3) end
   local kind, name = inner(k, rest)
   return name and ("up_blocks.%d.%s.%d.%s"):format(n // 3, kind, n % 3, name)
end

--- A module's original name, or nil.
-- @tparam string path
-- @tparam function has whether there is a module whose name begins so: an upsampler stands behind the attention
function unet.from_diffusers(path, has)
   if SINGLE_BACK[path] then return SINGLE_BACK[path] end
   if path:find(TOO_LARGE) then return nil end
   local i, kind, j, rest = path:match("^down_blocks%.(%d+)%.(%a+)%.(%d+)%.(.+)$")
   if kind == "downsamplers" then return ("input_blocks.%d.0.op"):format(3 * i + 3) end
   if kind == "attentions" then return ("input_blocks.%d.1.%s"):format(3 * i + j + 1, rest) end
   if kind then return RESNET_BACK[rest] and ("input_blocks.%d.0.%s"):format(3 * i + j + 1, RESNET_BACK[rest]) end
   kind, j, rest = path:match("^mid_block%.(%a+)%.(%d)%.(.+)$")
   if kind == "attentions" then return "middle_block.1." .. rest end
   if kind then return RESNET_BACK[rest] and ("middle_block.%d.%s"):format(2 * j, RESNET_BACK[rest]) end
   i, kind, j, rest = path:match("^up_blocks%.(%d+)%.(%a+)%.(%d+)%.(.+)$")
   if kind == "upsamplers" then
      return ("output_blocks.%d.%d.conv"):format(3 * i + 2, has(("up_blocks.%d.attentions."):format(i)) and 2 or 1)
   end
   if kind == "attentions" then return ("output_blocks.%d.1.%s"):format(3 * i + j, rest) end
   return kind and RESNET_BACK[rest] and ("output_blocks.%d.0.%s"):format(3 * i + j, RESNET_BACK[rest])
end

return unet
