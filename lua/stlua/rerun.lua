--- `stlua reproduce`: makes a merged file again from the recipe in its metadata, and compares the bytes.
-- Layer: Lua, above stlua.core.

local cli = require "stlua.cli"
local core = require "stlua.core"
local errors = require "stlua.errors"
local json = require "stlua.json"
local lineage = require "stlua.lineage"
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

local function files_of(input) return input.files or { input } end

-- Whether an opened model is the input that the recipe tells of: by the headers of its files, and by all bytes where
-- the recipe has their hashes; else what is different.
local function is_same(model, input)
   local files, wanted = model:files(), files_of(input)
   local header = #files == #wanted
   for i = 1, header and #files or 0 do
      header = header and files[i].size == wanted[i].size and model:header_sha256(i) == wanted[i].header_sha256
   end
   if not header then return false, "another header or size" end
   for i = 1, #files do
      if wanted[i].sha256 and model:file_sha256(i) ~= wanted[i].sha256 then return false, "other values (SHA-256)" end
   end
   return true
end

local function describe(input)
   local first = files_of(input)[1]
   return ("%s (%s%s, header %s...)"):format(text.quote(input.name), core.size(first.size),
      input.files and (" and %d files more"):format(#input.files - 1) or "", first.header_sha256:sub(1, 12))
end

-- What tells the files of a model from others, however their paths are written.
local function identity(model)
   local ids = {}
   for i, file in ipairs(model:files()) do
      local stat = core.stat(file.path)
      ids[i] = stat and stat.id or file.path
   end
   return table.concat(ids, " ")
end

-- Where a YAML merge finds its inputs without being told: input -> path.
local function places_of(recipe)
   local refs, places = require "stlua.mergekit.refs", {}
   for key, i in pairs(recipe.models or {}) do
      local ref = refs.parse_text(key)
      local ok, path = pcall(refs.find, ref, {})
      if ok then places[i] = path end
   end
   return places
end

-- The files among `paths` that are an input, each once; or nil and what is wrong with them.
local function fitting(input, paths)
   local list, seen, reason = {}, {}, "not found"
   for _, path in ipairs(paths) do
      local ok, model = pcall(open.open, path)
      local same, different = false, nil
      if ok then same, different = is_same(model, input) end
      local id = same and identity(model)
      if same and not seen[id] then
         seen[id] = true
         list[#list + 1] = { path = path, model = model, id = id }
      elseif not same then
         reason = "only files of that name with " .. (different or "another header or size")
      end
   end
   return #list > 0 and list or nil, reason
end

-- For every input of a recipe the files that it may be; inputs without any are told at once.
local function find_inputs(recipe, folders)
   local names, found, fit, missing, places = {}, {}, {}, {}, places_of(recipe)
   for _, input in ipairs(recipe.inputs) do
      for _, name in ipairs(names_of(input)) do names[name] = true end
   end
   for i, folder in ipairs(folders) do find_names(folder, names, i == 1 and 1 or DEPTH, found) end
   for i, input in ipairs(recipe.inputs) do
      local paths = { places[i] }
      for _, name in ipairs(names_of(input)) do
         local list = found[name] or {}
         table.move(list, 1, #list, #paths + 1, paths)
      end
      local reason
      fit[i], reason = fitting(input, paths)
      if not fit[i] then missing[#missing + 1] = ("%s: %s"):format(describe(input), reason) end
   end
   if #missing > 0 then
      errors.throwf("io", "inputs of the recipe are not beside the file nor below --models-dir:\n   %s",
         table.concat(missing, "\n   "))
   end
   return fit
end

-- ---------------------------------------------------------------- which file is which input

local WAYS = 24      -- of fine-tunes of one base, whose headers are equal, so many orders are tried

local function content(choice)
   if not choice.content then
      local list = {}
      for i = 1, #choice.model:files() do list[i] = choice.model:file_sha256(i) end
      choice.content = table.concat(list, " ")
   end
   return choice.content
end

-- A test for ways that were not seen before: of copies one will do. Files are read only where there is a choice.
local function unseen(fit)
   local several, seen = false, {}
   for _, list in ipairs(fit) do several = several or #list > 1 end
   return function(chosen)
      local key = {}
      for i, choice in ipairs(several and chosen or {}) do key[i] = content(choice) end
      key = table.concat(key, ",")
      local new = not seen[key]
      seen[key] = true
      return new
   end
end

-- Calls try with each way to give every input a file, until it returns true. Two inputs are two files, but for the
-- VAE, which may be that of a model, and for those whose hashes say which they are.
-- @treturn integer how many ways were tried
local function each_way(recipe, fit, try)
   local chosen, used, count, is_new = {}, {}, 0, unseen(fit)
   local function choose(i)
      if i > #fit then
         if not is_new(chosen) then return false end
         count = count + 1
         return try(chosen) or count >= WAYS
      end
      local shared = i == recipe.vae or files_of(recipe.inputs[i])[1].sha256 ~= nil
      for _, choice in ipairs(fit[i]) do
         if shared or not used[choice.id] then
            chosen[i] = choice
            if not shared then used[choice.id] = true end
            if choose(i + 1) then return true end
            if not shared then used[choice.id] = nil end
         end
      end
   end
   choose(1)
   return count
end

-- ---------------------------------------------------------------- the recipe

local function is_file(t)
   return type(t) == "table" and type(t.size) == "number" and type(t.header_sha256) == "string"
      and (t.sha256 == nil or type(t.sha256) == "string")
end

local function is_input(t)
   if type(t) ~= "table" or type(t.name) ~= "string" then return false end
   if t.files == nil then return is_file(t) end
   if type(t.files) ~= "table" or #t.files == 0 then return false end
   for _, file in ipairs(t.files) do
      if not is_file(file) then return false end
   end
   return true
end

local TYPES = { command = "string", method = "string", parameters = "table", block_weights = "table",
   output = "table", seed = "number", base = "number", vae = "number", merge_vae = "boolean", prune = "boolean",
   configuration = "string", models = "table", allow_crimes = "boolean", copy_tokenizer = "boolean" }

-- Whether it tells a plain average.
local function has_weights(recipe)
   local parameters = recipe.parameters or {}
   if parameters.alpha then return type(parameters.alpha) == "number" end
   local weights, count = parameters.weights, #recipe.inputs - (recipe.vae and 1 or 0)
   if type(weights) ~= "table" or #weights ~= count then return false end
   for _, w in ipairs(weights) do
      if type(w) ~= "number" then return false end
   end
   return true
end

-- What of a recipe is not as stlua writes it, or nil.
local function misshapen(recipe)
   if type(recipe) ~= "table" then return "it is no JSON object" end
   for key, kind in pairs(TYPES) do
      if recipe[key] ~= nil and type(recipe[key]) ~= kind then return ("%s is no %s"):format(key, kind) end
   end
   if recipe.command ~= "merge" then return nil end      -- of whom it is, is told below
   if type(recipe.inputs) ~= "table" or #recipe.inputs == 0 then return "it has no list of inputs" end
   for i, input in ipairs(recipe.inputs) do
      if not is_input(input) then return ("inputs[%d] lacks name, size or header_sha256"):format(i) end
   end
   for _, key in ipairs { "base", "vae" } do
      if recipe[key] and not recipe.inputs[recipe[key]] then return key .. " is the number of no input" end
   end
   for _, number in pairs(recipe.models or {}) do
      if not recipe.inputs[number] then return "models: a number of no input" end
   end
   if recipe.configuration and not recipe.models then return "it does not tell which input is which model (models)" end
   if not recipe.configuration and not recipe.method and not has_weights(recipe) then
      return "it has neither method, alpha, configuration nor a weight per model"
   end
end

local function read_recipe(model, path)
   local found = model:metadata()["stlua.recipe"]
   if not found then
      errors.throwf("arg", "%s has no recipe (stlua.recipe) in its metadata: stlua merge writes one", core.escape(path))
   end
   local ok, recipe = pcall(json.decode, found)
   local wrong
   if ok then wrong = misshapen(recipe) else wrong = tostring(recipe.message or recipe) end
   if wrong then
      errors.throwf("arg", "%s: its recipe is not as stlua merge writes them, and cannot be run: %s", core.escape(path),
         wrong)
   end
   return recipe
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

-- ---------------------------------------------------------------- running

-- The model of a YAML merge, from the files that were found for its models.
local function of_configuration(recipe, chosen)
   local found = {}
   for key, i in pairs(recipe.models) do found[key] = chosen[i] and chosen[i].path end
   local merge = require("stlua.mergekit").load("the recipe", { source = recipe.configuration, found = found,
      seed = recipe.seed, allow_crimes = recipe.allow_crimes, copy_tokenizer = recipe.copy_tokenizer,
      model_card = false })
   return merge.model, merge.recipe
end

local function of_job(recipe, chosen)
   local job, opened = merge_job.of_recipe(recipe), {}
   for i, choice in ipairs(chosen) do
      opened[i] = choice.model
      -- A file that was compressed since has another name.
      lineage.of(choice.model).label = recipe.inputs[i].name:gsub("#%d+$", "")
   end
   return merge_job.build(job, opened), merge_job.recipe(job, #opened, recipe.output or {})
end

-- Saves what the recipe gives with the chosen inputs.
local function make(recipe, chosen, target)
   local out = recipe.output or {}
   local model, again = (recipe.configuration and of_configuration or of_job)(recipe, chosen)
   again.output = recipe.output
   save.save(model, target, { dtype = out.dtype, saturate = out.saturate, align = out.align,
      max_shard_size = out.max_shard_size, sync = false, recipe = again,
      hash_inputs = files_of(recipe.inputs[1])[1].sha256 ~= nil })
end

-- Why the bytes may differ although the inputs seem right.
local function remarks(recipe, ways)
   local list = {}
   if ways > 1 then
      list[1] = ("headers do not tell the inputs apart: %d ways to choose them were tried; a recipe written with "
         .. "--hash-inputs tells"):format(ways)
   end
   if recipe.stlua ~= core.version then
      list[#list + 1] = ("it was made by stlua %s, this is %s"):format(tostring(recipe.stlua), core.version)
   end
   return #list > 0 and (" (%s)"):format(table.concat(list, "; ")) or ""
end

-- Makes the model with one choice of inputs after the other until the bytes are equal.
local function reproduce(original, recipe, path, fit, target)
   local what, equal
   local ways = each_way(recipe, fit, function(chosen)
      if what then remove(target) end      -- of the way before
      make(recipe, chosen, target)
      local why
      equal, why = compare(original, open.open(target))
      what = what or why
      return equal
   end)
   if ways == 0 then
      local list = {}
      for i, input in ipairs(recipe.inputs) do list[i] = describe(input) end
      errors.throwf("io", "%s: two inputs of its recipe would be one file; their headers are equal. Put all of them "
         .. "beside it or below --models-dir:\n   %s", core.escape(path), table.concat(list, "\n   "))
   elseif not equal then
      errors.throwf("changed", "%s differs from what its recipe gives: %s%s", core.escape(path), what,
         remarks(recipe, ways))
   end
end

--- Runs the recipe of a file again.
-- @tparam string path the merged file
-- @tparam {string,...} folders more places to look for inputs
-- @tparam ?string output keep the result there
-- @raise "changed" when the bytes differ, "io" for inputs that are not there, "arg" for a file without a recipe
function rerun.run(path, folders, output)
   local original = open.open(path)
   local recipe = read_recipe(original, path)
   if not recipe.configuration then merge_job.of_recipe(recipe) end      -- refuses those of others
   local fit = find_inputs(recipe, { folder_of(path), table.unpack(folders) })
   local target = output or (path:gsub("/+$", "") .. ".reproduced")
   if not output and core.stat(target) then
      errors.throwf("exists", "%s is in the way: remove it, or give -o", core.escape(target))
   end
   local ok, problem = pcall(reproduce, original, recipe, path, fit, target)
   if not output then remove(target) end
   if not ok then error(problem, 0) end
   cli.write(("%s: equal, byte for byte, to %s\n"):format(core.escape(path), "what its recipe gives"))
end

return rerun
