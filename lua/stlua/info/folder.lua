--- A folder of several models: a diffusers pipeline, whose parts belong together, or files side by side.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local identity = require "stlua.info.identity"
local open = require "stlua.open"
local text = require "stlua.text"

local folder = {}

--- The path of something in a folder.
function folder.join(path, name) return path:gsub("/+$", "") .. "/" .. name end

local join = folder.join

-- Names that say which file of a folder is the model.
local function is_told(name)
   name = name:gsub("%.zst$", "")
   return name:find("%.index%.json$") or name:find("%.index%.[^./]+%.json$") or name == "model.safetensors"
      or name == "diffusion_pytorch_model.safetensors" or name == "pytorch_model.bin"
      or name == "diffusion_pytorch_model.bin" or name:find("%-%d+%-of%-%d+%.")
end

-- Files of weights; those of other formats where none is of safetensors.
local function weights_of(entries)
   local list, others, told = {}, {}, false
   for _, entry in ipairs(entries) do
      told = told or entry.type ~= "dir" and is_told(entry.name) and true
      if entry.type == "file" and text.is_weights(entry.name) then list[#list + 1] = entry.name end
      if entry.type == "file" and open.is_other_model(entry.name) then others[#others + 1] = entry.name end
   end
   return #list > 0 and list or others, told
end

--- What a path is, if it is a folder of several models.
-- @treturn ?string "pipeline" or "folder"; nil for what st.open opens
-- @treturn ?{string,...} names in it: folders of a pipeline, or files
function folder.look(path)
   local stat = core.stat(path)
   if not stat or stat.type ~= "dir" then return nil end
   local entries, pipeline, parts = core.listdir(path), false, {}
   for _, entry in ipairs(entries) do pipeline = pipeline or entry.name == "model_index.json" end
   if pipeline then
      for _, entry in ipairs(entries) do
         if entry.type == "dir" then
            local list = weights_of(core.listdir(join(path, entry.name)))
            if #list > 0 then parts[#parts + 1] = entry.name end
         end
      end
      return "pipeline", parts
   end
   local list, told = weights_of(entries)
   if #list < 2 or told then return nil end
   return "folder", list
end

-- The class of a pipeline, from its model_index.json.
local function class_of(path)
   local name = join(path, "model_index.json")
   local stat = core.stat(name)
   if not stat or stat.type ~= "file" or stat.size > 1024 * 1024 then return nil end
   local ok, value = pcall(function() return core.json_decode(require("stlua.whole_file")(name)) end)
   return ok and type(value) == "table" and type(value._class_name) == "string" and value._class_name or nil
end

-- ---------------------------------------------------------------- the table

-- "497.6 KiB (32.6 %)".
local function share(stored, plain)
   return ("%s (%.1f %%)"):format(core.size(stored), plain > 0 and 100 * stored / plain or 100)
end

local function row_of(name, entry, packed)
   name = core.escape(name, 60)
   if entry.error then return { name, "not readable: " .. core.escape(entry.error, 120), "", "" } end
   local on_disk = entry.stored_bytes and share(entry.stored_bytes, entry.file_bytes) or core.size(entry.file_bytes)
   return { name, entry.what, identity.count(entry.parameters), core.size(entry.file_bytes), packed and on_disk or nil }
end

-- "together: 4.5 MiB, 2.1 MiB (46.2 %) on the disk, packed against base.safetensors".
local function total_of(total)
   local bases = core.escape(table.concat(total.bases, ", "), 200)
   local against = bases ~= "" and ", packed against " .. bases or ""
   return ("together: %s, %s on the disk%s"):format(core.size(total.file_bytes), share(total.stored_bytes,
      total.file_bytes), against)
end

local meta = {}

function meta.__tostring(report)
   local total = report.total
   local rows = { { "name", "what it is", "parameters", "size", total and "on the disk" or nil } }
   for i, entry in ipairs(report.models) do rows[i + 1] = row_of(report.names[i], entry, total ~= nil) end
   local lines = { ("%s: %s"):format(core.escape(report.path), report.what) }
   if report.places and report.places.diffusers then lines[2] = "diffusers: " .. report.places.diffusers end
   if total then lines[#lines + 1] = total_of(total) end
   return table.concat(lines, "\n") .. "\n\n" .. text.columns(rows, { false, false, true, true, true })
end

-- What the models take plain and on the disk, and the names of the bases; nil where none is packed or compressed.
local function total_of_models(models)
   local total, seen, any = { file_bytes = 0, stored_bytes = 0, bases = core.array {} }, {}, false
   for _, entry in ipairs(models) do
      if not entry.error then
         any = any or entry.stored_bytes ~= nil
         total.file_bytes = total.file_bytes + entry.file_bytes
         total.stored_bytes = total.stored_bytes + (entry.stored_bytes or entry.file_bytes)
         local base = entry.base and entry.base.base
         if base and not seen[base] then
            seen[base] = true
            table.insert(total.bases, base)
         end
      end
   end
   return any and total or nil
end

--- The report of such a folder.
-- @tparam string path
-- @tparam string kind as folder.look gives it
-- @tparam {string,...} names
-- @tparam function look(path) the report of one model
-- @treturn table path, kind, what, names, models = their reports, or { error = }; total = { file_bytes, stored_bytes,
--   bases } where some are packed or compressed
function folder.report(path, kind, names, look)
   local report = { path = path, kind = kind, names = core.array(names), models = core.array {} }
   local class = kind == "pipeline" and class_of(path)
   report.what = kind == "folder" and text.plural(#names, "model") or ("a diffusers pipeline%s of %s"):format(
      class and " (" .. core.escape(class, 60) .. ")" or "", text.plural(#names, "part"))
   if kind == "pipeline" then
      report.places = { diffusers = ('%s.from_pretrained("%s")'):format(class and core.escape(class, 60)
         or "DiffusionPipeline", core.escape(path, 120)) }
   end
   for i, name in ipairs(names) do
      local ok, entry = pcall(look, join(path, name))
      if not ok and not errors.is(entry) then error(entry, 0) end
      report.models[i] = ok and entry or { error = entry.message }
   end
   report.total = total_of_models(report.models)
   local readable = #names == 0
   for _, entry in ipairs(report.models) do readable = readable or not entry.error end
   if not readable then
      errors.throwf("format", "no model of the folder can be read: %s", report.models[1].error)
   end
   return setmetatable(report, meta)
end

return folder
