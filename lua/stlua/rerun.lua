--- `stlua reproduce`: makes a merged file again from the recipe in its metadata, and compares the bytes.
-- Layer: Lua, above stlua.core.

local cli = require "stlua.cli"
local core = require "stlua.core"
local errors = require "stlua.errors"
local json = require "stlua.json"
local merge_job = require "stlua.merge_job"
local open = require "stlua.open"
local save = require "stlua.save"
local text = require "stlua.text"

local rerun = {}

local DEPTH = 4      -- of folders below --models-dir

-- All paths with these last names in a folder, and below it.
local function find_names(folder, names, depth, found)
   for _, entry in ipairs(core.listdir(folder)) do
      local path = folder:gsub("/$", "") .. "/" .. entry.name
      if names[entry.name] then
         found[entry.name] = found[entry.name] or {}
         table.insert(found[entry.name], path)
      end
      if entry.type == "dir" and depth > 1 then find_names(path, names, depth - 1, found) end
   end
end

-- Names that an input may have: a label has a number behind it where two inputs have one name; and it may have been
-- compressed since, or restored.
local function names_of(input)
   local base = input.name:gsub("#%d+$", "")
   return { input.name, base, base .. ".zst", (base:gsub("%.zst$", "")) }
end

-- Whether an opened model is the input that the recipe tells of: by the headers of its files.
local function is_same(model, input)
   local files, wanted = model:files(), input.files or { input }
   if #files ~= #wanted then return false end
   for i, file in ipairs(files) do
      if file.size ~= wanted[i].size or model:header_sha256(i) ~= wanted[i].header_sha256 then return false end
   end
   return true
end

local function describe(input)
   local first = input.files and input.files[1] or input
   return ("%s (%s%s, header %s...)"):format(text.quote(input.name), core.size(first.size or 0),
      input.files and (" and %d files more"):format(#input.files - 1) or "", tostring(first.header_sha256):sub(1, 12))
end

-- Opens every input of a recipe; all that are not found, or are others, are told at once.
local function open_inputs(recipe, folders)
   local names, found, opened, missing = {}, {}, {}, {}
   for _, input in ipairs(recipe.inputs) do
      for _, name in ipairs(names_of(input)) do names[name] = true end
   end
   for i, folder in ipairs(folders) do find_names(folder, names, i == 1 and 1 or DEPTH, found) end
   for i, input in ipairs(recipe.inputs) do
      local others = 0
      for _, name in ipairs(names_of(input)) do
         for _, path in ipairs(not opened[i] and found[name] or {}) do
            local ok, model = pcall(open.open, path)
            if ok and is_same(model, input) then opened[i] = model break end
            others = others + 1
         end
      end
      if not opened[i] then
         missing[#missing + 1] = ("%s: %s"):format(describe(input), others == 0 and "not found"
            or "only files of that name with another header or size")
      end
   end
   if #missing > 0 then
      errors.throwf("io", "inputs of the recipe are not beside the file nor below --models-dir:\n   %s",
         table.concat(missing, "\n   "))
   end
   return opened
end

local function read_recipe(model, path)
   local found = model:metadata()["stlua.recipe"]
   if not found then
      errors.throwf("arg", "%s has no recipe (stlua.recipe) in its metadata: stlua merge writes one", core.escape(path))
   end
   return json.decode(found)
end

local function folder_of(path) return path:match("^(.*)/[^/]+/*$") or "." end

-- Compares the files of two models; returns whether the bytes are equal, and what differs.
local function compare(a, b)
   if #a:files() ~= #b:files() then return false, "the number of files" end
   local equal, what = true, nil
   for i = 1, #a:files() do
      if a:file_sha256(i) ~= b:file_sha256(i) then
         equal, what = false, what or (a:header_sha256(i) ~= b:header_sha256(i) and "the header" or "values")
      end
   end
   return equal, what
end

local function remove(path)
   local stat = core.stat(path)
   if stat and stat.type == "dir" then
      for _, entry in ipairs(core.listdir(path)) do os.remove(path .. "/" .. entry.name) end
   end
   os.remove(path)
end

--- Runs the recipe of a file again.
-- @tparam string path the merged file
-- @tparam {string,...} folders more places to look for inputs
-- @tparam ?string output keep the result there
-- @raise "changed" when the bytes differ, "io" for inputs that are not there, "arg" for a file without a recipe
function rerun.run(path, folders, output)
   local original = open.open(path)
   local recipe = read_recipe(original, path)
   local job = merge_job.of_recipe(recipe)
   local opened = open_inputs(recipe, { folder_of(path), table.unpack(folders) })
   local out = recipe.output or {}
   local target = output or (path:gsub("/+$", "") .. ".reproduced")
   if not output and core.stat(target) then
      errors.throwf("exists", "%s is in the way: remove it, or give -o", core.escape(target))
   end
   local ok, problem = pcall(function()
      save.save(merge_job.build(job, opened), target, { dtype = out.dtype, saturate = out.saturate, align = out.align,
         max_shard_size = out.max_shard_size, sync = false, recipe = merge_job.recipe(job, #opened, out),
         hash_inputs = recipe.inputs[1] ~= nil and (recipe.inputs[1].sha256 ~= nil
            or recipe.inputs[1].files ~= nil and recipe.inputs[1].files[1].sha256 ~= nil) })
      local equal, what = compare(original, open.open(target))
      if equal then return end
      local version = recipe.stlua ~= core.version and (" (it was made by stlua %s, this is %s)"):format(
         tostring(recipe.stlua), core.version) or ""
      errors.throwf("changed", "%s differs from what its recipe gives: %s%s", core.escape(path), what, version)
   end)
   if not output then remove(target) end
   if not ok then error(problem, 0) end
   cli.write(("%s: equal, byte for byte, to %s\n"):format(core.escape(path), "what its recipe gives"))
end

return rerun
