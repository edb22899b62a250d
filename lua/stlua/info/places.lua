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

-- The call of diffusers that loads it. FILE and FOLDER are put in.
local function diffusers_of(kind, main)
   local row = main and main.row
   if kind == "lora" then return 'pipe.load_lora_weights("FILE")' end
   if kind == "embedding" then return 'pipe.load_textual_inversion("FILE")' end
   if not row then return nil end
   if kind == "checkpoint" and row.pipeline then return row.pipeline .. '.from_single_file("FILE")' end
   if not row.class then return nil end
   if row.naming == "diffusers" or main.part == "te" then return row.class .. '.from_pretrained("FOLDER")' end
   return row.class .. '.from_single_file("FILE")'
end

-- Whether a program's names are those of the original code, which A1111 and ComfyUI read. ComfyUI knows those of
-- diffusers' transformers and U-Nets, too.
local function for_a1111(kind, main)
   if kind == "checkpoint" then return main.row.a1111 or false end
   if kind == "vae" then return main.row.id == "vae" and main.tally.numel < 9e7 end
   return true
end

local function quoted(path, folder)
   local whole = core.escape(folder and (path:match("^(.*)/[^/]*$") or ".") or text.basename(path), 120)
   return whole
end

--- Where a file goes.
-- @tparam string kind as identity.tell sets it; "lora" for adapters
-- @tparam ?table main the first part
-- @tparam string path
-- @treturn table a1111, comfyui, diffusers, loads: texts, each nil where there is none
function places.of(kind, main, path)
   local folders, out = FOLDERS[kind] or {}, {}
   if folders.a1111 and for_a1111(kind, main) then out.a1111 = folders.a1111 end
   out.comfyui = folders.comfyui
   local call = diffusers_of(kind, main)
   -- Both at once: a file may be called FOLDER.
   if call then out.diffusers = call:gsub("F%u+", { FILE = quoted(path), FOLDER = quoted(path, true) }) end
   out.loads = main and main.row.loads
   return out
end

return places
