--- The fields of ModelSpec (Stability AI's sai_model_spec 1.0.1): which there are, and which values they may have.
-- Layer: Lua, above stlua.core.

local text = require "stlua.text"

local modelspec = {}

local PREFIX = "modelspec."

-- Architectures that sd-scripts writes; with these suffixes for what goes with one.
local ARCHITECTURES = { "stable-diffusion-v1", "stable-diffusion-v1-inpainting", "stable-diffusion-v2-512",
   "stable-diffusion-v2-768-v", "stable-diffusion-v2-inpainting", "stable-diffusion-v2-depth",
   "stable-diffusion-v2-unclip", "stable-diffusion-xl-v1-base", "stable-diffusion-xl-v1-refiner",
   "stable-diffusion-3-medium", "stable-diffusion-3-large", "stable-diffusion-3-5-large", "stable-diffusion-3-5-medium",
   "flux-1-dev", "flux-1-schnell", "flux-1-chroma", "chroma", "lumina-2", "hunyuan-image-2.1", "anima-preview",
   "gpt-neo-x" }
local SUFFIXES = { "/lora", "/textual-inversion", "/control-net", "/vae" }

local function one_of(...)
   local list = { ... }
   return function(value)
      for _, word in ipairs(list) do
         if value == word then return true end
      end
      return false, "one of " .. table.concat(list, ", ")
   end
end

local function matching(pattern, what)
   return function(value) return value:find(pattern) ~= nil, what end
end

local function is_date(value)
   local year, month, day = value:match("^(%d%d%d%d)-(%d%d)-(%d%d)")
   local rest = year and value:sub(11)
   local good = year and tonumber(month) >= 1 and tonumber(month) <= 12 and tonumber(day) >= 1 and tonumber(day) <= 31
      and (rest == "" or rest:find("^[T ]%d%d:%d%d") ~= nil)
   return good or false, "a date such as 2024-05-31 or 2024-05-31T18:20:00Z (ISO 8601)"
end

local dtype_word = one_of("float16", "float32", "bfloat16", "float8", "fp16", "fp32", "bf16", "fp8")

--- Fields in the order of the standard: name, how much it is asked for, what it is, check(value) -> boolean, what it
-- should be.
modelspec.fields = {
   { "sai_model_spec", "must", "version of the standard", one_of("1.0.0", "1.0.1") },
   { "architecture", "must", "such as stable-diffusion-xl-v1-base, with /lora behind it for an adapter" },
   { "implementation", "must", "an address or name of the program: https://github.com/Stability-AI/generative-models" },
   { "title", "must", "the model's name" },
   { "resolution", "must (images)", "of the training, such as 1024x1024", matching("^%d+x%d+$", "such as 1024x1024") },
   { "description", "should", "what the model is for" },
   { "author", "should", "who made it" },
   { "date", "should", "when it was made", is_date },
   { "hash_sha256", "should", "of the tensor data, with 0x before it",
      matching("^0x" .. ("%x"):rep(64) .. "$", "0x and 64 hexadecimal digits (data_sha256 of `stlua hash`)") },
   { "implementation_version", "may", "commit or version of the program" },
   { "license", "may", "the licence's name or text" },
   { "usage_hint", "may", "how it is used" },
   { "thumbnail", "may", "a picture, at best 256 x 256, as a data URL (--thumbnail reads one)",
      matching("^data:image/[%w.+-]+;base64,[%w+/=]+$", "a data URL of a picture (--thumbnail FILE makes one)") },
   { "tags", "may", "words, with commas between them" },
   { "merged_from", "may", "the models that it was merged from, with commas between them" },
   { "trigger_phrase", "may", "what the prompt needs" },
   { "prediction_type", "may", "what the network predicts", one_of("epsilon", "v") },
   { "timestep_range", "may", "such as 0,1000", matching("^%d+,%d+$", "two numbers, such as 0,1000") },
   { "encoder_layer", "may", "the text encoder's layer, counted from the end (clip skip)", matching("^%-?%d+$",
      "a number") },
   { "preprocessor", "may", "of pictures that control it" },
   { "is_negative_embedding", "may", "of a textual inversion", one_of("true", "false") },
   { "unet_dtype", "may", "of the U-Net", dtype_word },
   { "vae_dtype", "may", "of the VAE", dtype_word },
   { "predict_key", "may", "ComfyUI's word for prediction_type" },
}

local by_name = {}
local names = {}
for i, field in ipairs(modelspec.fields) do
   by_name[field[1]], names[i] = field, PREFIX .. field[1]
end

--- What is wrong with setting a key: nil, or a sentence. Keys that are not modelspec's are nobody's business.
function modelspec.problem(key, value)
   if key:sub(1, #PREFIX) ~= PREFIX then return nil end
   local field = by_name[key:sub(#PREFIX + 1)]
   if not field then
      return ("%s is no field of modelspec%s (stlua meta --fields lists them)"):format(text.quote(key),
         text.did_you_mean(key, names))
   end
   if value == "" then return ("%s may not be empty: --unset removes it"):format(key) end
   if not field[4] then return nil end
   local good, should = field[4](value)
   if good then return nil end
   return ("%s = %s: it should be %s"):format(key, text.quote(value), should)
end

--- Remarks about metadata as they will be: fields of the standard that are missing, an architecture of another name.
function modelspec.remarks(metadata)
   local out, any, missing = {}, false, {}
   for key in pairs(metadata) do any = any or key:sub(1, #PREFIX) == PREFIX and key ~= PREFIX .. "thumbnail" end
   if not any then return out end
   for _, field in ipairs(modelspec.fields) do
      if field[2] == "must" and not metadata[PREFIX .. field[1]] then missing[#missing + 1] = PREFIX .. field[1] end
   end
   if #missing > 0 then out[1] = "modelspec asks for " .. table.concat(missing, ", ") .. ", too" end
   local architecture = metadata[PREFIX .. "architecture"]
   if architecture then
      local base = architecture
      for _, suffix in ipairs(SUFFIXES) do
         if base:sub(-#suffix) == suffix then base = base:sub(1, -#suffix - 1) end
      end
      local known = false
      for _, name in ipairs(ARCHITECTURES) do known = known or name == base end
      if not known then
         out[#out + 1] = ("%s is no architecture that programs write%s"):format(text.quote(architecture),
            text.did_you_mean(base, ARCHITECTURES))
      end
   end
   return out
end

return modelspec
