-- sdxl: the U-Net of Stable Diffusion XL (see rebasin_unet.lua); its text encoders and the VAE stay.
local checkpoint = require "stlua.checkpoint"
local unet = require "stlua.rebasin_unet"

return {
   summary = "Stable Diffusion XL: model.diffusion_model.* with label_emb; the U-Net alone",
   tensors = { "model.diffusion_model.label_emb.0.0.weight", table.unpack(unet.tensors) },
   kinds = unet.kinds { width = 64 }, rules = unet.rules("", {}),
   still = function(name)
      return name:sub(1, 12) == "conditioner." or checkpoint.is_fixed(name) or checkpoint.is_vae(name)
   end,
}
