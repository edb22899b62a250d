--- What becomes of metadata: the first model's is kept, hashes that no longer hold are dropped, and a merge adds its
-- recipe.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local text = require "stlua.text"

local meta = {}

-- Keys that hold a hash of the tensor data (sd-scripts, ModelSpec): wrong as soon as a tensor or a name changes.
local DATA_HASHES = { "sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256" }

--- Drops the hash keys from a metadata table.
-- @treturn boolean whether there was any
function meta.drop_hashes(t)
   local dropped = false
   for _, key in ipairs(DATA_HASHES) do
      dropped = dropped or t[key] ~= nil
      t[key] = nil
   end
   return dropped
end

--- Lays changes over a metadata table: strings, numbers and booleans set a key (as text), false removes it.
-- @tparam table t changed
-- @tparam table changes
-- @tparam string who for the message
function meta.overlay(t, changes, who)
   if type(changes) ~= "table" then errors.throwf("arg", "%s: metadata must be a table, not %s", who, type(changes)) end
   for key in pairs(changes) do
      -- sd-scripts' old hash covers the ss_ keys too.
      if type(key) == "string" and key:sub(1, 3) == "ss_" then t.sshs_legacy_hash = nil end
   end
   for key, value in pairs(changes) do
      if type(key) ~= "string" then
         errors.throwf("arg", "%s: metadata keys are strings, not %s", who, type(key))
      elseif value == false then
         t[key] = nil
      elseif type(value) == "string" then
         t[key] = value
      elseif type(value) == "number" or value == true then
         t[key] = type(value) == "number" and text.number(value) or "true"
      else
         errors.throwf("arg", "%s: metadata value of %s must be a string (false removes the key), not a %s",
            who, text.quote(key), type(value))
      end
   end
end

--- Gives a model this metadata and no other.
function meta.set(model, t)
   for key in pairs((model:metadata())) do
      if t[key] == nil then model:set_meta(key, nil) end
   end
   local keys = {}
   for key in pairs(t) do keys[#keys + 1] = key end
   table.sort(keys)
   for _, key in ipairs(keys) do model:set_meta(key, t[key]) end
end

local function describe_input(leaf, label, hash_inputs)
   local files = {}
   for i, file in ipairs(leaf.model:files()) do
      files[i] = { name = text.basename(file.path), size = file.size, header_sha256 = leaf.model:header_sha256(i) }
      if hash_inputs then files[i].sha256 = leaf.model:file_sha256(i) end
   end
   if #files == 1 then
      files[1].name = label
      return files[1]
   end
   return { name = label, files = core.array(files) }
end

--- The recipe of a model as JSON text: formula, script or command, parameters, and the inputs by base name, size and
-- the SHA-256 of their headers. No dates and no folders, so that the same merge always gives the same bytes.
-- @param model a computed model
-- @tparam[opt] table given fields that replace or extend: command, parameters, formula (in which {1}, {2} ... stand for
-- the inputs)
-- @tparam[opt] boolean hash_inputs add the SHA-256 of every input file (reads them whole)
-- @treturn string
function meta.recipe(model, given, hash_inputs)
   local record = lineage.of(model)
   local labels = lineage.labels(record.leaves)
   local recipe = { stlua = core.version, formula = lineage.formula(model), inputs = {} }
   for i, leaf in ipairs(record.leaves) do
      recipe.inputs[i] = describe_input(leaf, labels[leaf], hash_inputs)
   end
   core.array(recipe.inputs)
   local script = arg and arg[0]
   if script and script:find("%.lua$") then recipe.script = text.basename(script) end
   for key, value in pairs(given or {}) do recipe[key] = value end
   if recipe.command then recipe.script = nil end
   recipe.formula = recipe.formula:gsub("{(%d+)}", function(i)
      local leaf = record.leaves[tonumber(i)]
      return leaf and labels[leaf]
   end)
   return core.json_encode(recipe)
end

return meta
