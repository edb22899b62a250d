--- Models as configurations name them - folders, ids of the Hugging Face hub, documents of the same file - and where
-- they lie. Nothing is ever downloaded.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local open = require "stlua.open"
local text = require "stlua.text"
local whole_file = require "stlua.whole_file"
local yaml = require "stlua.mergekit.yaml"

local refs = {}

-- ---------------------------------------------------------------- reading

local function split_revision(s)
   local path, revision = s:match("^([^@]+)@([^@]+)$")
   if path then return path, revision end
   return not s:find("@", 1, true) and s or nil
end

--- A reference from its text, `path[@revision][+lora[@revision]]`.
-- @treturn ?table { path =, revision =, lora =, key = the text that stands for it }
-- @treturn ?string what is wrong with it
function refs.parse_text(s)
   local model, lora = s:match("^([^+]*)%+([^+]*)$")
   if not model then model = s end
   if s == "" then return nil, "it is empty: give a folder, a file or owner/name" end
   if model:find("+", 1, true) then return nil, "at most one + (model+lora) may stand in it" end
   local path, revision = split_revision(model)
   if not path or path == "" then return nil, "a model is written path or path@revision" end
   if lora and not split_revision(lora) then return nil, "a LoRA is written path or path@revision" end
   return { path = path, revision = revision, lora = lora, key = s }
end

-- A text, or { path:, revision: }, as a text; or nil and what is wrong.
local function path_of(node, what)
   if node.kind == "scalar" then return node.text end
   local map = node.kind == "map" and node or { by_key = {} }
   local path, revision = yaml.get(map, "path"), yaml.get(map, "revision")
   if not path or path.kind ~= "scalar" or revision and revision.kind ~= "scalar" then
      return nil, ("%s must be a text, or a map of path and revision"):format(what)
   end
   for _, pair in ipairs(node.pairs) do
      if pair.key ~= "path" and pair.key ~= "revision" then
         return nil, ("%s: unknown key %s (known: path, revision)"):format(what, text.quote(pair.key))
      end
   end
   return path.text .. (revision and "@" .. revision.text or "")
end

-- The mapping form: { model: path or { path, revision }, lora: the same }.
local function parse_map(node)
   for _, pair in ipairs(node.pairs) do
      if pair.key == "override_architecture" and yaml.get(node, pair.key) then
         return nil, "override_architecture is not supported: names of tensors tell how a model is built; leave it out "
            .. "(--allow-crimes merges different architectures)"
      elseif pair.key ~= "model" and pair.key ~= "lora" and pair.key ~= "override_architecture" then
         return nil, ("unknown key %s (known: model, lora)"):format(text.quote(pair.key))
      end
   end
   local model, lora = yaml.get(node, "model"), yaml.get(node, "lora")
   if not model then return nil, "a model given as a map needs model, or model: { path }" end
   local s, reason = path_of(model, "model")
   if s and lora then
      local adapter
      adapter, reason = path_of(lora, "lora")
      s = adapter and s .. "+" .. adapter
   end
   if not s then return nil, reason end
   return refs.parse_text(s)
end

--- A reference from a node of the configuration.
function refs.parse(node)
   if node.kind == "scalar" then return refs.parse_text(node.text) end
   if node.kind == "map" then return parse_map(node) end
   return nil, "a model is a text such as folder/model or owner/name"
end

-- ---------------------------------------------------------------- finding

local function is_folder(path)
   local stat = core.stat(path)
   return stat ~= nil and stat.type == "dir"
end

local function exists(path) return core.stat(path) ~= nil end

local function read_line(path)
   local file = io.open(path, "r")
   local line = file and file:read("l")
   if file then file:close() end
   return line
end

--- Where the Hugging Face libraries keep what they downloaded.
-- @tparam ?string given by the user
function refs.cache(given)
   local home = os.getenv "HOME" or "."
   local function set(name)
      local value = os.getenv(name)
      return value and value ~= "" and value or nil
   end
   local hf = set "HF_HOME" or (set "XDG_CACHE_HOME" or home .. "/.cache") .. "/huggingface"
   return given or set "HF_HUB_CACHE" or set "HUGGINGFACE_HUB_CACHE" or hf .. "/hub"
end

-- The snapshot of a hub id in a cache: its folder, or nil and what is missing.
local function snapshot(cache, ref)
   local repo = cache .. "/models--" .. ref.path:gsub("/", "--")
   if not is_folder(repo) then return nil, ("%s has no %s"):format(cache, text.basename(repo)) end
   local revision = ref.revision or "main"
   local commit = read_line(repo .. "/refs/" .. revision)
   local folder = repo .. "/snapshots/" .. (commit or revision)
   if is_folder(folder) then return folder end
   local all = is_folder(repo .. "/snapshots") and core.listdir(repo .. "/snapshots") or {}
   if not ref.revision and #all == 1 then return repo .. "/snapshots/" .. all[1].name end
   return nil, ("%s has no snapshot of revision %s"):format(repo, revision)
end

local function is_hub_id(path)
   return path:find("^[%w][%w._-]*/[%w][%w._-]*$") ~= nil
end

-- Below --models-dir: owner/name, owner--name, or name alone.
local function in_models_dir(dir, ref)
   for _, name in ipairs { ref.path, (ref.path:gsub("/", "--")), text.basename(ref.path) } do
      if exists(dir .. "/" .. name) then return dir .. "/" .. name end
   end
end

-- "./a/" and "a" are one folder.
local function plain(path)
   path = path:gsub("//+", "/"):gsub("/%./", "/"):gsub("^%./", ""):gsub("(.)/%.?$", "%1")
   return path
end

--- A reference's model as the file writes it, without its adapter.
function refs.place(ref) return ref.path .. (ref.revision and "@" .. ref.revision or "") end

--- The folder (or file) that a reference stands for.
-- @tparam table ref
-- @tparam table opts models_dir, cache, found
-- @treturn string
-- @treturn ?string a remark: whether that is the revision is not known
-- @raise "io" tells where it was looked for
function refs.find(ref, opts)
   local known = opts.found and opts.found[refs.place(ref)]
   if known then return known end
   if not ref.revision and exists(ref.path) then return plain(ref.path) end
   local places = {}
   if opts.models_dir then
      local found = in_models_dir(opts.models_dir, ref)
      if found then
         return found, ref.revision and ("%s: taken from %s, where nothing tells whether that is revision %s"):format(
            core.escape(ref.key), core.escape(found), core.escape(ref.revision)) or nil
      end
      places[#places + 1] = opts.models_dir .. " has no such folder"
   end
   if is_hub_id(ref.path) then
      local folder, reason = snapshot(refs.cache(opts.cache), ref)
      if folder then return folder end
      places[#places + 1] = reason
      errors.throwf("io", "%s: not here, and nothing is downloaded: %s. Fetch it (hf download %s), or give the folder "
         .. "that holds it with --models-dir", core.escape(ref.key), core.escape(table.concat(places, "; ")),
         core.escape(ref.path))
   end
   table.insert(places, 1, "there is no such file or folder")
   errors.throwf("io", "%s: %s", core.escape(ref.key), core.escape(table.concat(places, "; ")))
end

-- ---------------------------------------------------------------- opening

-- What a folder without safetensors holds instead, for the message.
local function hint(folder)
   local has = {}
   for _, entry in ipairs(core.listdir(folder)) do has[entry.name] = true end
   if has["adapter_config.json"] or has["adapter_model.safetensors"] then
      return "it holds a LoRA adapter, not a model"
   elseif has["pytorch_model.bin"] or has["pytorch_model.bin.index.json"] then
      return "it holds pickled weights (pytorch_model.bin), which are not read: save the model as safetensors first"
   end
end

--- The source with the adapter of its reference merged in: PEFT's, as mergekit loads it; as it is without one.
-- @tparam table source as refs.open gives it
-- @tparam table ref
-- @tparam table opts as of refs.find
-- @treturn table
function refs.with_adapter(source, ref, opts)
   if not ref.lora then return source end
   local path, revision = split_revision(ref.lora)
   local folder, remark = refs.find({ path = path, revision = revision, key = ref.lora }, opts)
   local out = setmetatable({ ref = ref, label = core.escape(ref.key) }, { __index = source })
   out.model = require("stlua.lora.apply").apply(source.model, folder) -- few merges need it
   out.place = (source.place or source.label) .. "+" .. folder
   out.remarks = { table.unpack(source.remarks) }
   out.remarks[#out.remarks + 1] = remark
   local leaves = lineage.of(out.model).leaves
   out.plain, out.adapter = source, leaves[#leaves].model
   return out
end

--- Opens a model with what lies beside it, and the adapter that its reference names.
-- @tparam table ref
-- @tparam table opts as of refs.find
-- @treturn table { ref =, label =, folder = or nil, place = what tells it from others, model =,
--   remarks = texts, config = table or nil, config_text =, read = function(name) -> text of a file beside the weights,
--   or nil }
-- @raise "io", "format"
function refs.open(ref, opts)
   local path, remark = refs.find(ref, opts)
   local folder = is_folder(path) and path or nil
   local said = folder and hint(folder)
   local standard = folder and folder .. "/model.safetensors"
   if said and not exists(standard) and not exists(standard .. ".zst") and not exists(standard .. ".index.json") then
      errors.throwf("io", "%s: %s", core.escape(path), said)
   end
   local source = { ref = ref, label = core.escape(ref.key), folder = folder, model = open.open(path),
      remarks = { remark } }
   source.place = core.stat(path).id
   -- A snapshot's folder is a hash.
   lineage.of(source.model).label = core.escape(text.basename(ref.path))
   function source.read(name)
      local file = folder and folder .. "/" .. name
      return file and exists(file) and whole_file(file) or nil
   end
   source.config_text = source.read "config.json"
   if source.config_text then
      local ok, config = pcall(core.json_decode, source.config_text)
      if not ok or type(config) ~= "table" or not source.config_text:find "^%s*{" then
         errors.throwf("format", "%s/config.json: %s", core.escape(folder), ok and "no JSON object" or config.message)
      end
      source.config = config
   end
   return refs.with_adapter(source, ref, opts)
end

return refs
