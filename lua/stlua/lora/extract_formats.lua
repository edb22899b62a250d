--- How an extracted adapter is written down: the names of its tensors, its metadata, PEFT's configuration.
-- Source: peft 0.21 (LoraConfig), kohya's extract_lora_from_models, diffusers. Layer: Lua, above stlua.core.

local core = require "stlua.core"
local text = require "stlua.text"

local formats = { names = { "peft", "kohya", "diffusers" } }

-- Factors of a kernel: the kernel goes into the one that is applied first.
local function with_kernel(layer, left, right)
   local shape = layer.shape
   if #shape ~= 4 then return left, right end
   return left:reshape(shape[1], layer.rank, 1, 1), right:reshape(layer.rank, shape[2], shape[3], shape[4])
end

--- Adds the tensors of one layer to a model.
-- @tparam model out
-- @tparam string format
-- @tparam table layer rank, shape, module = its name in the format, embedding
-- @tparam tensor left (m, rank)
-- @tparam tensor right (rank, n)
function formats.add(out, format, layer, left, right)
   local module = layer.module
   if layer.embedding and format == "peft" then      -- W (V, d) grows by (B A)'
      out:add(module .. ".lora_embedding_A", left:t())
      out:add(module .. ".lora_embedding_B", right:t())
      return
   end
   left, right = with_kernel(layer, left, right)
   if format == "kohya" then
      out:add(module .. ".alpha", core.cast(core.tensor("F32", {}, ("<f"):pack(layer.rank)), left:dtype()))
      out:add(module .. ".lora_down.weight", right)
      out:add(module .. ".lora_up.weight", left)
   else
      out:add(module .. ".lora_A.weight", right)
      out:add(module .. ".lora_B.weight", left)
   end
end

-- ---------------------------------------------------------------- PEFT

local function last_part(module) return module:match("[^.]+$") end

local function sorted_keys(set)
   local list = {}
   for key in pairs(set) do list[#list + 1] = key end
   table.sort(list)
   return list
end

-- Last components of module names where these name no module that was left out, else the whole names.
local function targets(layers, left_out)
   local kept_back, out = {}, {}
   for _, module in ipairs(left_out) do kept_back[last_part(module)] = true end
   for _, layer in ipairs(layers) do
      local last = last_part(layer.own)
      out[kept_back[last] and layer.own or last] = true
   end
   return core.array(sorted_keys(out))
end

local function largest_rank(layers)
   local most = 1
   for _, layer in ipairs(layers) do most = math.max(most, layer.rank) end
   return most
end

--- PEFT's adapter_config.json. alpha is the rank everywhere, so that B A is added as it is.
-- @tparam {table,...} layers rank, own = the module's name in the model
-- @tparam table about base = what to load the base from, causal, left_out = modules like these without an adapter,
--   saved = modules saved whole
-- @treturn table
function formats.peft_config(layers, about)
   local r, patterns = largest_rank(layers), {}
   for _, layer in ipairs(layers) do
      if layer.rank ~= r then patterns[layer.own] = layer.rank end
   end
   return {
      peft_type = "LORA", task_type = about.causal and "CAUSAL_LM" or core.null,
      base_model_name_or_path = about.base or core.null, inference_mode = true,
      r = r, lora_alpha = r, rank_pattern = patterns, alpha_pattern = patterns, lora_dropout = 0.0,
      target_modules = targets(layers, about.left_out),
      modules_to_save = #about.saved > 0 and core.array(about.saved) or core.null,
      bias = "none", use_rslora = false, use_dora = false, fan_in_fan_out = false, init_lora_weights = true,
   }
end

-- ---------------------------------------------------------------- metadata

local VERSIONS = { ["sd-unet"] = "sd_v1", ["sdxl-unet"] = "sdxl_base_v1-0", flux = "flux1", sd3 = "sd3" }

local function number_or(layers, pick)
   local rank
   for _, layer in ipairs(layers) do
      if pick(layer) then
         if rank and rank ~= layer.rank then return "Dynamic" end
         rank = layer.rank
      end
   end
   return rank
end

local function is_kernel(layer) return #layer.shape == 4 and layer.shape[3] * layer.shape[4] > 1 end

--- Metadata of the file.
-- @tparam string format
-- @tparam {table,...} layers
-- @tparam table parts of the checkpoint, as spellings.of finds them
-- @treturn table
function formats.metadata(format, layers, parts)
   if format ~= "kohya" then return { format = "pt" } end
   local dim = number_or(layers, function(l) return not is_kernel(l) end)
   local conv = number_or(layers, is_kernel)
   local id = parts[1] and parts[1].layout.id
   local out = { format = "pt", ss_network_module = "networks.lora", ss_network_dim = tostring(dim or conv),
      ss_network_alpha = tostring(dim or conv), ss_base_model_version = VERSIONS[id] }
   if conv then
      out.ss_network_args = core.json_encode { conv_dim = tostring(conv), conv_alpha = tostring(conv) }
   end
   return out
end

--- Whether a name is of an input or output embedding.
function formats.is_embedding(name)
   for _, part in ipairs { "embed_tokens", "wte", "wpe", "word_embeddings", "tok_embeddings", "token_embedding",
      "position_embedding", "embed_positions", "shared" } do
      if name:find("%f[%w_]" .. part .. "%f[^%w_]") then return true end
   end
   return false
end

--- Whether a name is of the layer before the vocabulary, which adapters leave alone as they do embeddings.
function formats.is_head(name)
   return name:find("%f[%w_]lm_head%f[^%w_]") ~= nil or name:find("%f[%w_]embed_out%f[^%w_]") ~= nil
end

--- The list of formats, for messages.
function formats.list()
   local out = {}
   for i, name in ipairs(formats.names) do out[i] = text.quote(name) end
   return table.concat(out, ", ")
end

return formats
