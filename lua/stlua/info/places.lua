--- Where a file goes: the folders of A1111 and ComfyUI, the calls of diffusers, or which library loads it.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local text = require "stlua.text"

local places = {}

-- By what a file is. A1111's folders lie in its own, ComfyUI's too.
local FOLDERS = {
   checkpoint = { a1111 = "models/Stable-diffusion", comfyui = "models/checkpoints" },
   unet = { comfyui = "models/diffusion_models" },
   transformer = { comfyui = "models/diffusion_models" },
   te = { comfyui = "models/text_encoders" },
   vae = { a1111 = "models/VAE", comfyui = "models/vae" },
   controlnet = { a1111 = "models/ControlNet (extension sd-webui-controlnet)", comfyui = "models/controlnet" },
   t2i_adapter = { a1111 = "models/ControlNet (extension sd-webui-controlnet)", comfyui = "models/controlnet" },
   ip_adapter = { a1111 = "models/ControlNet (extension sd-webui-controlnet)",
      comfyui = "models/ipadapter (nodes of ComfyUI_IPAdapter_plus)" },
   lora = { a1111 = "models/Lora", comfyui = "models/loras" },
   embedding = { a1111 = "embeddings", comfyui = "models/embeddings" },
   upscaler = { a1111 = "models/ESRGAN", comfyui = "models/upscale_models" },
   clip_vision = { comfyui = "models/clip_vision" },
}

-- The same of GGUF files: they are read by nodes of their own, and by llama.cpp.
local GGUF_FOLDERS = {
   unet = { comfyui = "models/unet (models/diffusion_models), nodes of ComfyUI-GGUF" },
   te = { comfyui = "models/clip (models/text_encoders), nodes of ComfyUI-GGUF" },
}
GGUF_FOLDERS.transformer = GGUF_FOLDERS.unet
local GGUF_CALL = '.from_single_file("FILE", quantization_config=GGUFQuantizationConfig(compute_dtype=torch.bfloat16))'
local GGUF_LOADS = { language = "llama.cpp, Ollama", te = "llama.cpp" }

-- What from_pretrained finds in a folder: a variant or a shard's number may follow.
local STANDARD = { "^model[.-]", "^diffusion_pytorch_model[.-]", "^pytorch_model[.-]" }

local function is_standard(path)
   local name = text.basename(path)
   for _, pattern in ipairs(STANDARD) do
      if name:find(pattern) then return true end
   end
   return false
end

-- from_pretrained wants a folder with a configuration and names of its own: of a lone file it is not claimed.
local function is_pretrained(subject)
   local first = subject.files[1]
   return first and is_standard(first.path) and (subject.is_folder or subject.config ~= nil)
end

-- Kinds of adapters that load_lora_weights reads; values of whole tensors it takes beside them.
local LOW_RANK = { LoRA = true, DoRA = true, ["LoRA of an embedding"] = true, difference = true }

local function reads_all(kinds)
   for _, entry in ipairs(kinds) do
      if not LOW_RANK[entry.kind] then return false end
   end
   return true
end

-- Adapters of language models: they are PEFT's, and of no program for pictures.
local function is_of_language(adapter)
   return adapter ~= nil and (adapter.architecture == "llama" or adapter.format == "peft" and not adapter.architecture)
end

-- The call of diffusers that loads it, and whether it wants one file. FILE and FOLDER are put in.
local function diffusers_of(kind, main, subject, adapter)
   local row = main and main.row
   if kind == "lora" then return reads_all(adapter.kinds) and 'pipe.load_lora_weights("FILE")' or nil end
   if kind == "embedding" then return 'pipe.load_textual_inversion("FILE")' end
   if not row then return nil end
   if kind == "checkpoint" and main.pipeline then return main.pipeline .. '.from_single_file("FILE")', true end
   if kind == "checkpoint" and main.pipeline == false or not row.class then return nil end
   if row.naming == "diffusers" or main.part == "te" then
      return is_pretrained(subject) and row.class .. '.from_pretrained("FOLDER")' or nil
   end
   return row.class .. '.from_single_file("FILE")', true
end

-- Whether a program's names are those of the original code, which A1111 and ComfyUI read. ComfyUI knows those of
-- diffusers' transformers and U-Nets, too.
local function for_a1111(kind, main)
   if kind == "checkpoint" then return main.row.a1111 or false end
   if kind == "vae" then return main.row.id == "vae" and main.tally.numel < 9e7 end
   return true
end

-- What a part alone is for, where that is not the pipeline of its architecture.
local function pipeline_of(kind, main)
   local told = main and main.special and main.pipeline and kind ~= "checkpoint"
   return told and ", for " .. main.pipeline or ""
end

-- FILE and FOLDER: what was asked for, where it is that itself.
local function put_in(call, subject)
   local path = subject.path
   local file = subject.is_folder and subject.files[1] and subject.files[1].path or path
   local folder = subject.is_folder and path or path:match("^(.*)/[^/]*$") or "."
   local names = { FILE = core.escape(text.basename(file), 120), FOLDER = core.escape(folder, 120) }
   return (call:gsub("F%u+", names))      -- both at once: a file may be called FOLDER
end

local function of_gguf(kind, main, subject)
   local class = GGUF_FOLDERS[kind] and kind ~= "te" and main.row.class
   return { comfyui = GGUF_FOLDERS[kind] and GGUF_FOLDERS[kind].comfyui,
      diffusers = class and put_in(class .. GGUF_CALL, subject) .. pipeline_of(kind, main) or nil,
      loads = GGUF_LOADS[kind] }
end

--- Where a file goes.
-- @tparam string kind as identity.tell sets it; "lora" for adapters
-- @tparam ?table main the first part
-- @tparam table subject as of info/init.lua: path, is_folder, files, config
-- @tparam ?table adapter its overview, of kind "lora"
-- @treturn table a1111, comfyui, diffusers, loads: texts, each nil where there is none; join = the shards to be joined
--   before any of those that want one file
function places.of(kind, main, subject, adapter)
   if is_of_language(adapter) then
      return { loads = adapter.format == "peft" and "PEFT: PeftModel.from_pretrained(base, folder)" or nil }
   end
   if subject.format == "GGUF" then return of_gguf(kind, main, subject) end
   local folders, out = FOLDERS[kind] or {}, {}
   local call, wants_file = diffusers_of(kind, main, subject, adapter)
   local sharded = #subject.files > 1
   if sharded and (next(folders) or wants_file) then out.join = "stlua join " .. core.escape(subject.path, 120) end
   if not sharded then
      if folders.a1111 and for_a1111(kind, main) then out.a1111 = folders.a1111 end
      out.comfyui = folders.comfyui
   end
   if call and not (sharded and wants_file) then out.diffusers = put_in(call, subject) .. pipeline_of(kind, main) end
   out.loads = main and main.row.loads
   return out
end

return places
