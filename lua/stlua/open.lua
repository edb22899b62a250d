--- st.open: what a path stands for - a file, an index of shards, a model folder, a diffusers pipeline.
-- Layer: Lua, above stlua.core. Looks at names only; the core opens and checks.

local core = require "stlua.core"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local text = require "stlua.text"

local open = {}

-- Path of the base of packed files, when the command line names one.
open.pack_base = nil

-- The names that libraries give to whole models, in the order in which they win: those of safetensors, then those of
-- PyTorch checkpoints.
local FAMILIES = {
   { ending = ".safetensors", stems = { "model", "diffusion_pytorch_model" } },
   { ending = ".bin", stems = { "pytorch_model", "diffusion_pytorch_model" } },
}

-- Endings of other files that may be a folder's only model, and what training programs put beside one.
local OTHERS = { ".ckpt", ".pt", ".pth", ".gguf", ".npz" }
local NO_MODEL = { "^optimizer", "^scheduler", "^training_args%.", "^rng_state", "^random_states", "^scaler" }

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

local function ends_with(name, ending) return name:sub(-#ending) == ending end

-- Where a library puts the variant in the name of a file (transformers) or an index (transformers, diffusers old
-- and new).
local function file_names(stem, variant, ending)
   local name = stem .. (variant and "." .. variant or "") .. ending
   return { name, ending == ".safetensors" and name .. ".zst" or nil }
end

local function index_names(stem, variant, ending)
   if not variant then return { stem .. ending .. ".index.json" } end
   return {
      ("%s%s.index.%s.json"):format(stem, ending, variant),
      ("%s.%s%s.index.json"):format(stem, variant, ending),
      ("%s%s.%s.index.json"):format(stem, ending, variant),
   }
end

local function first_present(present, names_for, variant, family)
   for _, stem in ipairs(family.stems) do
      for _, name in ipairs(names_for(stem, variant, family.ending)) do
         if present[name] then return name end
      end
   end
end

local function is_index(name, ending)
   ending = ending:gsub("%.", "%%.")
   return name:find(ending .. "%.index%.json$") or name:find(ending .. "%.index%.[^./]+%.json$")
      or name:find(ending .. "%.[^./]+%.index%.json$")
end

local is_safetensors = text.is_weights

-- Whether a file of this ending, or of one of the others, may be a model.
local function is_weights(name, ending)
   if ending == ".safetensors" then return is_safetensors(name) end
   for _, pattern in ipairs(NO_MODEL) do
      if name:find(pattern) then return false end
   end
   if ending then return ends_with(name, ending) end
   for _, other in ipairs(OTHERS) do
      if ends_with(name, other) then return true end
   end
   return false
end

--- Whether a name may be that of a model in another format than safetensors.
function open.is_other_model(name) return is_weights(name) or is_weights(name, ".bin") end

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
   local _, all = only(files, function(name)
      return is_weights(name) or is_weights(name, ".bin") or is_safetensors(name) or is_index(name, ".safetensors")
   end)
   if variant and #all > 0 then
      errors.throwf("io", '%s: no file of variant "%s"; it holds %s', folder, variant, list(all))
   end
   local other
   for _, name in ipairs(files) do
      for _, ending in ipairs { ".onnx", ".h5", ".msgpack" } do
         if ends_with(name, ending) then other = other or name end
      end
   end
   local instead = other and (", but %s: download the .safetensors version"):format(core.escape(other))
   errors.throwf("io", "%s: the folder holds no model: no .safetensors file, no checkpoint (.bin, .ckpt, .pt), no "
      .. ".gguf, no .npz%s", folder, instead or "")
end

-- The file of one family that is the model: an index, else the standard name, else the only candidate. Or nil, and the
-- candidates.
local function choose_of(family, files, present, variant)
   local function of_variant(name)
      return not variant or name:find("." .. variant .. ".", 1, true)
   end
   -- Without a variant a name that carries one does not count as an index; any file will do if it is the only one.
   local plain = family.ending:gsub("%.", "%%.") .. "%.index%.json$"
   local index = only(files, function(name)
      return is_index(name, family.ending) and of_variant(name) and (variant or name:find(plain))
   end)
   -- What was compressed beside its original is no other model.
   local file, candidates = only(files, function(name)
      return is_weights(name, family.ending) and of_variant(name) and not present[name:match("^(.*)%.zst$")]
   end)
   return first_present(present, index_names, variant, family) or index
      or first_present(present, file_names, variant, family) or file, candidates
end

-- Which file of a folder is the model: safetensors, else a checkpoint, else the only file of another kind.
local function choose(folder, files, variant)
   local present = {}
   for _, name in ipairs(files) do present[name] = true end
   for _, family in ipairs(FAMILIES) do
      local chosen, candidates = choose_of(family, files, present, variant)
      if chosen then return chosen end
      if #candidates > 0 then throw_choice(folder, files, candidates, variant) end
   end
   local file, candidates = only(files, function(name)
      return is_weights(name) and (not variant or name:find("." .. variant .. ".", 1, true))
   end)
   return file or throw_choice(folder, files, candidates, variant)
end

-- The parts of a diffusers pipeline: its folders that hold weights.
local function components(folder, folders)
   local out = {}
   for _, name in ipairs(folders) do
      local files = names_of(join(folder, name))
      local _, weights = only(files, function(file) return is_safetensors(file) or is_weights(file, ".bin") end)
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
      local _, whole = only(files, is_safetensors)
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
-- What a file is, its contents say: safetensors, a PyTorch checkpoint (.ckpt, .pt, .pth, .bin), .npz or .npy, GGUF.
-- Nothing that a checkpoint names is imported or run.
--
--     > a = st.open("a.safetensors")
--     > #a, a:name(1), a["lm_head.weight"]:dtype()
--     31      position_ids    BF16
-- @tparam string path a file, an index (*.safetensors.index.json, *.bin.index.json), or a folder: its index, else
--   model.safetensors (or diffusion_pytorch_model.safetensors), else its only .safetensors file, else the same of
--   checkpoints. A safetensors file may be compressed with zstd (src/COMPRESSION.md)
-- @tparam[opt] table opts `component` = "unet" of a diffusers pipeline; `variant` = "fp16" for
--   model.fp16.safetensors and alike; `base` = path of the file that a packed file is the difference to, if it does
--   not lie beside it; of files that are not safetensors: `tensors_only` = true takes the tensors of a checkpoint that
--   would run something dangerous in Python; `skip` = true leaves out tensors that cannot be had; `key` = "state_dict"
--   takes that part of a checkpoint, "" all of it under dotted names
-- @treturn model
-- @raise "io" for what cannot be read or chosen, "format" for what is no model (and what it is instead), "unsafe" for
--   a checkpoint that would run something, "dtype" for tensors that cannot be had, "name" for a key that is not there
function open.open(path, opts)
   if type(path) ~= "string" or path == "" then
      errors.throwf("arg", "st.open: expected a path, got %s", path == "" and "an empty one" or "a " .. type(path))
   end
   opts = errors.check_options(opts, { component = "string", variant = "string", base = "string",
      tensors_only = "boolean", skip = "boolean", key = "string" }, "st.open")
   local target = open.resolve(path, opts)
   local how = { tensors_only = opts.tensors_only, skip = opts.skip, key = opts.key,
      base = opts.base or open.pack_base }
   local model = target:find("%.json$") and core.open_index(target, how) or core.open_file(target, how)
   -- "." and ".." say nothing in a formula; the file's name does.
   return lineage.opened(model, text.basename(path):find("^%.*$") and target or path)
end

return open
