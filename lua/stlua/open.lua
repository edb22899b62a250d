--- st.open: what a path stands for - a file, an index of shards, a model folder, a diffusers pipeline.
-- Layer: Lua, above stlua.core. Looks at names only; the core opens and checks.

local core = require "stlua.core"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local text = require "stlua.text"

local open = {}

-- Path of the base of packed files, when the command line names one.
open.pack_base = nil

-- The names that libraries give to whole models, in the order in which they win.
local STANDARD = { "model", "diffusion_pytorch_model" }

local function join(folder, name)
   return folder:gsub("/+$", "") .. "/" .. name
end

local function names_of(folder)
   local files, folders = {}, {}
   for _, entry in ipairs(core.listdir(folder)) do
      if entry.type == "dir" then
         folders[#folders + 1] = entry.name
      else
         files[#files + 1] = entry.name
      end
   end
   return files, folders
end

-- Where a library puts the variant in the name of a file (transformers) or an index (transformers, diffusers old
-- and new).
local function file_names(stem, variant)
   local name = stem .. (variant and "." .. variant or "") .. ".safetensors"
   return { name, name .. ".zst" }
end

local function index_names(stem, variant)
   if not variant then return { stem .. ".safetensors.index.json" } end
   return {
      ("%s.safetensors.index.%s.json"):format(stem, variant),
      ("%s.%s.safetensors.index.json"):format(stem, variant),
      ("%s.safetensors.%s.index.json"):format(stem, variant),
   }
end

local function first_present(present, names_for, variant)
   for _, stem in ipairs(STANDARD) do
      for _, name in ipairs(names_for(stem, variant)) do
         if present[name] then return name end
      end
   end
end

local function is_index(name)
   return name:find("%.safetensors%.index%.json$") or name:find("%.safetensors%.index%.[^./]+%.json$")
      or name:find("%.safetensors%.[^./]+%.index%.json$")
end

-- The only name that passes a test, or nil and all that pass.
local function only(names, test)
   local found = {}
   for _, name in ipairs(names) do
      if test(name) then found[#found + 1] = name end
   end
   return #found == 1 and found[1] or nil, found
end

-- Names for a message; they may come from a stranger's archive.
local function list(names)
   local shown = {}
   for i, name in ipairs(names) do shown[i] = core.escape(name) end
   return table.concat(shown, ", ")
end

-- No file or too many: says what there is.
local function throw_choice(folder, files, candidates, variant)
   folder = core.escape(folder)
   if #candidates > 0 then
      local shards = candidates[1]:find("%-%d+%-of%-%d+%.") and " (shards without their index)" or ""
      errors.throwf("io", "%s: which of these is the model%s? %s (give the file's name%s)", folder, shards,
         list(candidates), variant and "" or ', or variant = "..." where the names differ in it')
   end
   local _, all = only(files, function(name) return text.is_weights(name) or is_index(name) end)
   if variant and #all > 0 then
      errors.throwf("io", '%s: no file of variant "%s"; it holds %s', folder, variant, list(all))
   end
   local other
   for _, name in ipairs(files) do
      for _, ending in ipairs { "%.bin$", "%.pth?$", "%.ckpt$", "%.gguf$", "%.onnx$", "%.h5$" } do
         if name:find(ending) then other = other or name end
      end
   end
   local instead = other and (", but %s: convert it, or download the .safetensors version"):format(core.escape(other))
   errors.throwf("io", "%s: the folder holds no .safetensors file%s", folder, instead or "")
end

-- Which file of a folder is the model: an index, else the standard name, else the only candidate.
local function choose(folder, files, variant)
   local present = {}
   for _, name in ipairs(files) do present[name] = true end
   local function of_variant(name)
      return not variant or name:find("." .. variant .. ".", 1, true)
   end
   -- Without a variant a name that carries one does not count as an index; any file will do if it is the only one.
   local index = only(files, function(name)
      return is_index(name) and of_variant(name) and (variant or name:find("%.safetensors%.index%.json$"))
   end)
   -- What was compressed beside its original is no other model.
   local file, candidates = only(files, function(name)
      return text.is_weights(name) and of_variant(name) and not present[name:match("^(.*)%.zst$")]
   end)
   return first_present(present, index_names, variant) or index or first_present(present, file_names, variant) or file
      or throw_choice(folder, files, candidates, variant)
end

-- The parts of a diffusers pipeline: its folders that hold weights.
local function components(folder, folders)
   local out = {}
   for _, name in ipairs(folders) do
      local files = names_of(join(folder, name))
      local _, weights = only(files, text.is_weights)
      if #weights > 0 then out[#out + 1] = name end
   end
   return out
end

local function open_component(folder, folders, component)
   local parts = components(folder, folders)
   for _, name in ipairs(parts) do
      if name == component then return join(folder, name) end
   end
   errors.throwf("name", "%s: no component %s%s (it has %s)", core.escape(folder), text.quote(component),
      text.did_you_mean(component, parts), #parts > 0 and list(parts) or "none")
end

-- What to open in a folder: its path.
local function resolve_folder(path, opts)
   local files, folders = names_of(path)
   if opts.component then
      local inner = open_component(path, folders, opts.component)
      return resolve_folder(inner, { variant = opts.variant })
   end
   local pipeline = only(files, function(name) return name == "model_index.json" end)
   if pipeline then
      local _, whole = only(files, text.is_weights)
      local files_too = #whole > 0 and "; or open a file: " .. list(whole) or ""
      errors.throwf("arg", '%s: a diffusers pipeline: say component = "..." or open one of its folders (%s)%s',
         core.escape(path), list(components(path, folders)), files_too)
   end
   return join(path, choose(path, files, opts.variant))
end

-- No such path: the neighbours with a similar name help more than the system's message alone.
local function not_found(path)
   local why
   if path:find("^~") then why = 'a shell makes a path of "~", Lua does not: os.getenv("HOME") .. "/..."' end
   if path:find("^%a+://") then why = "this is an address: download the file first" end
   local folder, name = path:match("^(.*)/([^/]+)/*$")
   folder, name = folder or ".", name or path
   if folder == "" then folder = "/" end
   local near = ""
   local stat = core.stat(folder)
   if stat and stat.type == "dir" then
      local files, folders = names_of(folder)
      table.move(folders, 1, #folders, #files + 1, files)
      for _, there in ipairs(files) do
         if there == name then why = "it is a symlink to what is not there" end
      end
      near = text.did_you_mean(name, files)
   end
   near = why and " (" .. why .. ")" or near
   errors.throw("io", ("%s: no such file or folder%s"):format(core.escape(path), near), { file = path })
end

--- The file or index that a path stands for.
-- @tparam string path
-- @tparam[opt] table opts as of st.open
-- @treturn string
function open.resolve(path, opts)
   opts = opts or {}
   local stat = core.stat(path)
   if not stat then not_found(path) end
   if stat.type == "dir" then return resolve_folder(path, opts) end
   if opts.component or opts.variant then
      errors.throwf("arg", "%s: component and variant are for folders, this is a file", core.escape(path))
   end
   return path
end

--- Opens a model. Only headers are read; values are read when something is computed from them.
--
--     > a = st.open("a.safetensors")
--     > #a, a:name(1), a["lm_head.weight"]:dtype()
--     31      position_ids    BF16
-- @tparam string path a .safetensors file, an index (*.safetensors.index.json), or a folder: its index, else
--   model.safetensors (or diffusion_pytorch_model.safetensors), else its only .safetensors file. A file may be
--   compressed with zstd (src/COMPRESSION.md)
-- @tparam[opt] table opts `component` = "unet" of a diffusers pipeline; `variant` = "fp16" for
--   model.fp16.safetensors and alike; `base` = path of the file that a packed file is the difference to, if it does
--   not lie beside it
-- @treturn model
-- @raise "io" for what cannot be read or chosen, "format" for what is not safetensors (and what it is instead)
function open.open(path, opts)
   if type(path) ~= "string" or path == "" then
      errors.throwf("arg", "st.open: expected a path, got %s", path == "" and "an empty one" or "a " .. type(path))
   end
   opts = errors.check_options(opts, { component = "string", variant = "string", base = "string" }, "st.open")
   local target = open.resolve(path, opts)
   local model = target:find("%.json$") and core.open_index(target)
      or core.open_file(target, opts.base or open.pack_base)
   -- "." and ".." say nothing in a formula; the file's name does.
   return lineage.opened(model, text.basename(path):find("^%.*$") and target or path)
end

return open
