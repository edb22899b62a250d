--- What an extracted adapter says of itself: PEFT's configuration, the metadata of a file.
-- Source: peft 0.21 (LoraConfig), kohya's extract_lora_from_models, diffusers. Layer: Lua, above stlua.core.

local core = require "stlua.core"
local meta = require "stlua.meta"
local network = require "stlua.lora.network"
local peft = require "stlua.lora.peft"
local write = require "stlua.lora.write"

local about = {}

local function last_part(module) return module:match("[^.]+$") end

-- A layer's name as PEFT's patterns see it.
local function own_name(layer) return (layer.module:gsub("^base_model%.model%.", "")) end

-- Last components of module names where these name no module that was left out, else the whole names.
local function targets(layers, left_out)
   local is_in, kept_back, set, out = {}, {}, {}, {}
   for _, layer in ipairs(layers) do is_in[own_name(layer)] = true end
   for _, module in ipairs(left_out) do
      if not is_in[module] then kept_back[last_part(module)] = true end      -- else it is its bias
   end
   for _, layer in ipairs(layers) do
      local last = last_part(own_name(layer))
      set[kept_back[last] and own_name(layer) or last] = true
   end
   for key in pairs(set) do out[#out + 1] = key end
   table.sort(out)
   return #out > 0 and core.array(out) or "dummy-target-modules"      -- what PEFT calls none
end

--- PEFT's configuration. alpha is the rank everywhere, so that B A is added as it is.
-- @tparam {table,...} layers rank, module = its name in the adapter
-- @tparam table more base = what to load the base from, causal, left_out = modules like these without an adapter,
--   saved = modules saved whole, turned = whether factors are those of the transpose
-- @treturn table
function about.config(layers, more)
   local r, patterns = 1, {}
   for _, layer in ipairs(layers) do r = math.max(r, layer.rank) end
   for _, layer in ipairs(layers) do
      if layer.rank ~= r then patterns[own_name(layer)] = layer.rank end
   end
   local out = write.config_defaults()
   out.task_type, out.base_model_name_or_path = more.causal and "CAUSAL_LM" or core.null, more.base or core.null
   out.fan_in_fan_out = more.turned or false
   out.r, out.lora_alpha, out.rank_pattern, out.alpha_pattern = r, r, patterns, patterns
   out.target_modules = targets(layers, more.left_out)
   out.modules_to_save = #more.saved > 0 and core.array(more.saved) or core.null
   return out
end

local VERSIONS = { ["sd-unet"] = "sd_v1", ["sdxl-unet"] = "sdxl_base_v1-0", flux = "flux1", sd3 = "sd3" }

--- The metadata.
-- @tparam string format
-- @tparam {table,...} modules as write.model takes them
-- @tparam table parts of the checkpoint, as spellings.of finds them
-- @tparam[opt] table config PEFT's
-- @treturn table
function about.metadata(format, modules, parts, config)
   local out = { format = "pt" }
   if config then out[peft.KEY] = core.json_encode(config, { indent = 2 }) end
   if format ~= "kohya" then return out end
   local id
   for i = #parts, 1, -1 do id = VERSIONS[parts[i].layout.id] or id end
   for _, part in ipairs(parts) do
      if part.layout.id == "openclip-h" then id = "sd_v2" end
   end
   meta.overlay(out, network.remarks(modules), "lora.extract")
   out.ss_base_model_version = id
   return out
end

return about
