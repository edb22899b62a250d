--- What training programs write into an adapter's header, as far as people want to read it.
-- Source: sd-scripts' train_network.py, the modelspec standard, sd-webui-additional-networks. Layer: Lua, above
-- stlua.core.

local core = require "stlua.core"

local training = {}

-- Keys in the order in which they are shown.
local FIELDS = {
   { "title", "modelspec.title", "ssmd_display_name" }, { "author", "modelspec.author", "ssmd_author" },
   { "description", "modelspec.description", "ssmd_description" }, { "license", "modelspec.license" },
   { "usage hint", "modelspec.usage_hint" }, { "date", "modelspec.date" },
   { "base model", "ss_base_model_version", "modelspec.architecture" }, { "checkpoint", "ss_sd_model_name" },
   { "network", "ss_network_module" }, { "network arguments", "ss_network_args" },
   { "rank", "ss_network_dim" }, { "alpha", "ss_network_alpha" }, { "steps", "ss_steps" }, { "epoch", "ss_epoch" },
   { "images", "ss_num_train_images" }, { "resolution", "ss_resolution", "modelspec.resolution" },
   { "learning rate", "ss_learning_rate" }, { "U-Net learning rate", "ss_unet_lr" },
   { "text encoder learning rate", "ss_text_encoder_lr" }, { "optimizer", "ss_optimizer" },
   { "clip skip", "ss_clip_skip" }, { "prediction", "modelspec.prediction_type" }, { "comment", "ss_training_comment" },
   { "OneTrainer", "ot_revision" },
}
local TRIGGERS = { "modelspec.trigger_phrase", "ssmd_keywords", "ss_trigger_words", "trigger_word", "trigger_words" }

local function decoded(s)
   local ok, value = pcall(core.json_decode, s or "")
   return ok and type(value) == "table" and value or nil
end

-- Text as it is read by people: a JSON object as "conv_dim=4, conv_alpha=1".
local function readable(s)
   local values, out = s:find("^{") and decoded(s), {}
   for key, value in pairs(values or {}) do
      if type(value) == "table" then return s end
      out[#out + 1] = ("%s=%s"):format(key, tostring(value))
   end
   table.sort(out)
   return values and table.concat(out, ", ") or s
end

local function given(s) return type(s) == "string" and s ~= "" and s ~= "None" and s ~= "null" end

-- Folders of images, with their numbers; newer programs write a list of data sets.
local function folders(metadata)
   local out = {}
   for name, entry in pairs(decoded(metadata.ss_dataset_dirs) or {}) do
      if type(entry) == "table" then
         out[#out + 1] = { name = tostring(name), images = tonumber(entry.img_count),
            repeats = tonumber(entry.n_repeats) }
      end
   end
   table.sort(out, function(a, b) return a.name < b.name end)
   return out
end

-- The commonest tags over all folders.
local function tags(metadata, most)
   local count, list = {}, {}
   for _, folder in pairs(decoded(metadata.ss_tag_frequency) or {}) do
      for tag, n in pairs(type(folder) == "table" and folder or {}) do
         if type(tag) == "string" and tonumber(n) then count[tag] = (count[tag] or 0) + n end
      end
   end
   for tag, n in pairs(count) do list[#list + 1] = { tag = tag, count = n } end
   table.sort(list, function(a, b) return a.count > b.count or a.count == b.count and a.tag < b.tag end)
   return core.array { table.unpack(list, 1, most) }, #list
end

-- What PEFT's configuration adds.
local function of_config(out, config)
   local known = { { "base model", "base_model_name_or_path" }, { "task", "task_type" }, { "revision", "revision" } }
   for _, field in ipairs(known) do
      if given(config[field[2]]) then out[#out + 1] = { key = field[1], value = config[field[2]] } end
   end
end

--- Reads the metadata of an adapter.
-- @tparam table metadata
-- @tparam[opt] table config PEFT's
-- @treturn table fields = { { key, value }, ... }, triggers, folders, tags (the 12 commonest), tag_count
function training.of(metadata, config)
   local out = { fields = core.array {}, triggers = core.array {}, folders = core.array(folders(metadata)) }
   for _, field in ipairs(FIELDS) do
      for i = 2, #field do
         if given(metadata[field[i]]) then
            out.fields[#out.fields + 1] = { key = field[1], value = readable(metadata[field[i]]) }
            break
         end
      end
   end
   if config then of_config(out.fields, config) end
   for _, key in ipairs(TRIGGERS) do
      if given(metadata[key]) then out.triggers[#out.triggers + 1] = metadata[key] end
   end
   out.tags, out.tag_count = tags(metadata, 12)
   return out
end

return training
