--- What a model is, in words: from the networks in it, what its metadata says, and the configuration beside it.
-- Layer: Lua, above stlua.core.

local architectures = require "stlua.architectures"
local core = require "stlua.core"
local text = require "stlua.text"

local identity = {}

-- Models with a name of their own among those that were trained further, as metadata tells them.
local DERIVED = {
   { "pony", "Pony", "Stable Diffusion XL" }, { "illustrious", "Illustrious", "Stable Diffusion XL" },
   { "noob", "NoobAI", "Stable Diffusion XL" }, { "animagine", "Animagine", "Stable Diffusion XL" },
   { "playground", "Playground", "Stable Diffusion XL" }, { "novelai", "NovelAI", "Stable Diffusion 1" },
   { "anything[-_ ]?v%d", "Anything", "Stable Diffusion 1" },
   { "juggernaut", "Juggernaut" }, { "dreamshaper", "DreamShaper" }, { "realistic ?vision", "Realistic Vision" },
}
local SAYS = { "modelspec.title", "modelspec.architecture", "modelspec.merged_from", "ss_sd_model_name",
   "ss_base_model_version", "ssmd_display_name", "ss_output_name", "base_model" }

--- A number of parameters for people: "2.57 B", "83.7 M", "12,000".
function identity.count(n)
   if n >= 1e9 then return ("%.2f B"):format(n / 1e9) end
   if n >= 1e8 then return ("%.0f M"):format(n / 1e6) end
   if n >= 1e6 then return ("%.1f M"):format(n / 1e6) end
   return text.thousands(n)
end

-- "pony" in "ponyDiffusionV6XL": at the beginning of a word, or behind a sign that is no letter.
local function mentions(value, word)
   local lower = value:lower()
   for at in lower:gmatch("()" .. word) do
      if not lower:sub(at - 1, at - 1):find("%a") then return true end
   end
   return false
end

--- A derivative that metadata names, and where.
-- @tparam {[string]=string} metadata
-- @tparam ?string base the title of what it derives from
-- @treturn ?table name, key, value
function identity.derivative(metadata, base)
   for _, key in ipairs(SAYS) do
      local value = metadata[key]
      if value and #value < 4096 then
         for _, row in ipairs(DERIVED) do
            if (not row[3] or row[3] == base) and mentions(value, row[1]) then
               return { name = row[2], key = key, value = value }
            end
         end
      end
   end
end

-- Standard deviation of a small tensor's values.
local function spread(model, name)
   local at = model:find(name)
   if not at then return nil end
   local t = model:tensor(at)
   if t:numel() < 2 or t:numel() > 65536 then return nil end
   local ok, values = pcall(t.values, t, 1, t:numel())
   if not ok then return nil end
   local sum, squares = 0, 0
   for _, v in ipairs(values) do sum = sum + v end
   local mean = sum / #values
   for _, v in ipairs(values) do squares = squares + (v - mean) ^ 2 end
   return math.sqrt(squares / (#values - 1))
end

-- What the network predicts, as markers, metadata or one tensor's values tell; nil where nothing does.
local function prediction(model, metadata, part)
   if model:find "v_pred" then
      return model:find "ztsnr" and "predicts v, noise to the end (ztsnr)" or "predicts v"
   end
   if model:find "edm_vpred.sigma_max" then return "predicts v in EDM's way (CosXL)" end
   if model:find "edm_mean" then return "EDM (Playground)" end
   local said = metadata["modelspec.prediction_type"] or metadata["modelspec.predict_key"]
   if said == "v" or said == "v_prediction" or metadata.ss_v_parameterization == "True" then return "predicts v" end
   if said == "epsilon" then return "predicts noise" end
   -- The reference text's test: training for v has spread these values.
   local deviation = part.row.v and spread(model, part.prefix .. part.row.v)
   if not deviation or deviation == 0 then return nil end
   return ("predicts %s (told by the spread of a bias)"):format(deviation > 0.09 and "v" or "noise")
end

-- "U-Net, 2 text encoders and VAE".
local function listed(parts)
   local order, count = {}, {}
   for _, part in ipairs(parts) do
      local word = identity.word(part.part)
      if not count[word] then order[#order + 1] = word end
      count[word] = (count[word] or 0) + 1
   end
   for i, word in ipairs(order) do
      if count[word] > 1 then order[i] = ("%d %ss"):format(count[word], word) end
   end
   local last = table.remove(order)
   return #order == 0 and last or table.concat(order, ", ") .. " and " .. last
end

--- A part's word: "text encoder".
function identity.word(part)
   for _, entry in ipairs(architectures.parts) do
      if entry[1] == part then return entry[2] end
   end
   return part
end

--- "CLIP-L", "VAE of Stable Diffusion 1, 2 or XL (4 channels)", "Llama, 22 layers, width 2,048".
function identity.part_title(part)
   local words = { part.title .. (part.base and " for " .. part.base or "") }
   for _, word in ipairs(part.words) do
      if word:find("^of ") or word:find("^for ") then
         words[1] = words[1] .. " " .. word
      else
         words[#words + 1] = word
      end
   end
   return table.concat(words, ", ")
end

local function sizes_of(part)
   local words = {}
   if part.layers and part.layers > 0 then words[#words + 1] = text.plural(part.layers, "layer") end
   if part.width then words[#words + 1] = "width " .. text.thousands(part.width) end
   if part.vocabulary then words[#words + 1] = "vocabulary " .. text.thousands(part.vocabulary) end
   return words
end

local function of_diffusion(model, metadata, parts, out)
   local main, whole = parts[1], false
   for i = 2, #parts do whole = whole or parts[i].part == "te" or parts[i].part == "vae" end
   local words = { identity.part_title(main) }
   out.prediction = prediction(model, metadata, main)
   out.derivative = identity.derivative(metadata, main.title)
   words[#words + 1] = out.prediction
   local has_vae = false
   for _, part in ipairs(parts) do has_vae = has_vae or part.part == "vae" end
   out.kind = whole and "checkpoint" or main.part
   out.what = table.concat(words, ", ") .. (whole and (": a checkpoint with %s"):format(listed(parts))
      or (": the %s alone"):format(identity.word(main.part)))
   if whole and not has_vae then out.what = out.what .. " (no VAE)" end
end

-- Architectures of llama.cpp that write no text.
local GGUF_KINDS = { t5encoder = "te" }

-- Of a GGUF file, whose names are llama.cpp's and whose metadata says which model: "llama language model, GGUF". The
-- number of its layers tells it from pictures' models, whose metadata has the architecture alone.
local function of_gguf(metadata, main, out)
   local architecture = out.format == "GGUF" and metadata["general.architecture"]
   if not architecture then return nil end
   local layers = math.tointeger(tonumber(metadata[architecture .. ".block_count"]))
   if main and main.id ~= "gguf" or not (main or layers) then return nil end
   local kind = GGUF_KINDS[architecture] or "language"
   local words = { ("%s %s, GGUF"):format(core.escape(architecture, 60), identity.word(kind)) }
   local name = metadata["general.name"]
   if name and name ~= "" then words[1] = ("%s (%s)"):format(words[1], core.escape(name, 60)) end
   local sizes = sizes_of { layers = layers or main.layers, width = main and main.width,
      vocabulary = main and main.vocabulary }
   table.move(sizes, 1, #sizes, 2, words)
   return kind, table.concat(words, ", ")
end

--- What a model is. Sets in `out`: what = words for people; kind = "checkpoint", or the first part's; prediction and
-- derivative = { name, key, value } where they are known.
-- @tparam model model
-- @tparam {[string]=string} metadata
-- @tparam {table,...} parts as architectures.find gives them
-- @tparam table out the report, whose format is known
function identity.tell(model, metadata, parts, out)
   local main = parts[1]
   out.kind, out.what = of_gguf(metadata, main, out)
   if out.kind then return end
   if not main then
      out.kind, out.what = "unknown", "unknown: its names are of no model that stlua knows"
      return
   end
   if main.part == "unet" or main.part == "transformer" then return of_diffusion(model, metadata, parts, out) end
   out.kind = main.part
   local words = { identity.part_title(main) }
   if main.part == "te" or main.part == "vae" then
      if #parts > 1 then words = { listed(parts) } end
      if main.part == "te" and #parts == 1 then words[1] = words[1] .. ", a text encoder" end
   end
   local said = main.row.told_by and metadata[main.row.told_by]
   if said then words[1] = ("%s (%s)"):format(words[1], core.escape(said, 60)) end
   if #parts == 1 then table.move(sizes_of(main), 1, 3, #words + 1, words) end
   out.what = table.concat(words, ", ")
end

return identity
