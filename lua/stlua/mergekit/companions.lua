--- The files beside the weights: config.json brought up to date, tokenizer files, model card, the configuration itself.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local json = require "stlua.json"
local jsonedit = require "stlua.mergekit.jsonedit"
local layers = require "stlua.mergekit.layers"
local text = require "stlua.text"
local tokenizer = require "stlua.mergekit.tokenizer"

local companions = {}

-- ---------------------------------------------------------------- config.json

local NAMES = { BF16 = "bfloat16", F16 = "float16", F32 = "float32", F64 = "float64" }

-- All objects of a config in which something may stand: itself and those directly in it, with their paths.
local function objects(config)
   local list = { { path = {}, object = config } }
   local keys = {}
   for key, value in pairs(config) do
      if type(value) == "table" and type(key) == "string" and #value == 0 then keys[#keys + 1] = key end
   end
   table.sort(keys)
   for _, key in ipairs(keys) do list[#list + 1] = { path = { key }, object = config[key] } end
   return list
end

local function extended(path, key)
   local copy = table.move(path, 1, #path, 1, {})
   copy[#copy + 1] = key
   return copy
end

local function set_dtype(s, config, dtype)
   local value, found = json.encode(NAMES[dtype]), false
   for _, entry in ipairs(objects(config)) do
      for _, key in ipairs { "torch_dtype", "dtype" } do
         if type(entry.object[key]) == "string" then
            s = jsonedit.set(s, extended(entry.path, key), value)
            found = found or #entry.path == 0
         end
      end
   end
   return found and s or jsonedit.set(s, { "torch_dtype" }, value)
end

-- The one dtype of a result that is of another than the donor: inputs of several dtypes were promoted.
local function promoted(donor, model)
   local d
   for i = 1, model:count() do
      local _, own = model:info(i)
      if NAMES[own] then
         if d and d ~= own then return nil end
         d = own
      end
   end
   return d and not donor:dtype_counts()[d] and d or nil
end

-- Parts of a config that belong to the stack: an encoder's count is not the decoder's, nor vision's the text's.
local function fits(stack, path, key)
   local prefix, where = stack.prefix:lower(), table.concat(path, "."):lower()
   local vision = prefix:find "vis" ~= nil
   if (where:find "vis" ~= nil) ~= vision and #path > 0 then return false end
   if key:find "encoder" then return prefix:find "encoder" ~= nil end
   if key:find "decoder" then return prefix:find "decoder" ~= nil end
   return not (vision and #path == 0)
end

-- The list at a path of a source's config, if it has an entry for that layer.
local function list_of(source, path, key, layer)
   local object = source.config
   for _, part in ipairs(path) do object = type(object) == "table" and object[part] or nil end
   local list = type(object) == "table" and object[key]
   return type(list) == "table" and list[layer + 1] ~= nil and list or nil
end

-- A list with an entry per layer, such as layer_types, follows the layers: each entry is that of the model which the
-- layer is from. Nil where one has none.
local function follow(path, key, stack, donor, problems)
   local out = {}
   for i, origin in ipairs(stack.origins) do
      local list = list_of(origin.source, path, key, origin.layer)
      if not list then
         problems:add(nil, "config.json: %s has an entry per layer in %s, but none for layer %d in %s: add it to the "
            .. "config.json of the one, or take the list out of the other's", text.quote(key), donor.label,
            origin.layer, origin.source.label)
         return nil
      end
      out[i] = list[origin.layer + 1]
   end
   return json.encode(json.array(out))
end

-- Keys of an object's lists with an entry per layer, sorted.
local function lists_per_layer(object, count)
   local keys = {}
   for key, value in pairs(object) do
      if type(value) == "table" and #value == count and type(key) == "string" and key:find "layer" then
         keys[#keys + 1] = key
      end
   end
   table.sort(keys)
   return keys
end

local function set_layers(s, donor, stack, before, problems)
   local found = false
   for _, entry in ipairs(objects(donor.config)) do
      for _, key in ipairs(layers.COUNT_KEYS) do
         if entry.object[key] == before and fits(stack, entry.path, key) then
            s = jsonedit.set(s, extended(entry.path, key), tostring(stack.count))
            found = true
         end
      end
      for _, key in ipairs(lists_per_layer(entry.object, before)) do
         local list = follow(entry.path, key, stack, donor, problems)
         if list then s = jsonedit.set(s, extended(entry.path, key), list) end
      end
   end
   if not found then
      problems:note(nil, "config.json: no key counts the %d layers of %s*: change it by hand", before, stack.prefix)
   end
   return s
end

--- The config.json of the result: that of the donor, with what the merge changed.
-- @tparam table donor
-- @tparam table config of the merge
-- @tparam {table,...} renumbered as of slices.plan
-- @tparam table model the result
-- @tparam ?boolean tie what tie_word_embeddings must become
-- @tparam table problems
-- @treturn ?string nil where the donor has none
function companions.config(donor, config, renumbered, model, tie, problems)
   local s = donor.config_text
   if not s then
      problems:note(nil, "%s has no config.json: the result has none either", donor.label)
      return nil
   end
   local dtype = config.out_dtype or config.dtype or promoted(donor.model, model)
   if dtype then s = set_dtype(s, donor.config, dtype) end
   for _, stack in ipairs(renumbered) do
      local old = layers.of(donor).by_prefix[stack.prefix] or { count = stack.count }
      s = set_layers(s, donor, stack, old.count, problems)
   end
   if tie ~= nil then s = jsonedit.set(s, { "tie_word_embeddings" }, tostring(tie)) end
   return s
end

-- ---------------------------------------------------------------- model card

local function is_hub_id(path)
   return path:find("^[%w][%w._-]*/[%w][%w._-]*$") ~= nil and not core.stat(path)
end

local function linked(ref)
   local path = core.escape(ref.path)
   return is_hub_id(ref.path) and ("[%s](https://huggingface.co/%s)"):format(path, path) or "`" .. path .. "`"
end

--- The model card, with the configuration in it.
-- @tparam string name of the result
-- @tparam table config
-- @tparam {table,...} list references of all models
-- @tparam string source the text of the configuration
-- @treturn string
function companions.card(name, config, list, source)
   local out = { "---", "library_name: transformers", "tags:", "- merge", "- stlua" }
   local ids = {}
   for _, ref in ipairs(list) do
      if is_hub_id(ref.path) then ids[#ids + 1] = "- " .. ref.path end
   end
   if #ids > 0 then
      out[#out + 1] = "base_model:"
      table.move(ids, 1, #ids, #out + 1, out)
   end
   local based = config.base and (", with %s as the base"):format(linked(config.base)) or ""
   table.move({ "---", "", "# " .. core.escape(name), "",
      ("A merge of models by the method `%s`%s, made with stlua %s."):format(config.method.name, based, core.version),
      "", "Models:", "" }, 1, 8, #out + 1, out)
   for _, ref in ipairs(list) do out[#out + 1] = "- " .. linked(ref) end
   local fence = "```"
   while source:find(fence, 1, true) do fence = fence .. "`" end
   table.move({ "", "Configuration:", "", fence .. "yaml", (source:gsub("%s+$", "")), fence }, 1, 6, #out + 1, out)
   return table.concat(out, "\n") .. "\n"
end

-- ---------------------------------------------------------------- all of them

--- Copies of the tokenizer's and other files.
-- @tparam table owner the model whose tokenizer it is
-- @tparam ?string template text of chat_template.jinja
-- @treturn {[string]=string} name -> text
function companions.tokenizer(owner, template)
   local files = {}
   for _, name in ipairs(tokenizer.files) do files[name] = owner.read(name) end
   if template then files["chat_template.jinja"] = template end
   return files
end

--- Whether config.json counts other words than the embeddings have rows: told, not mended.
function companions.check_vocabulary(model, config_text, problems)
   local name = layers.embeddings(model)
   local config = config_text and json.decode(config_text)
   local said = config and (config.vocab_size or type(config.text_config) == "table" and config.text_config.vocab_size)
   if not name or math.type(said) == nil then return end
   local _, _, shape = model:info((model:find(name)))
   if shape[1] ~= said then
      problems:note(nil, "config.json: vocab_size is %s, %s has %s", text.number(said), core.escape(name),
         text.plural(shape[1], "row"))
   end
end

return companions
