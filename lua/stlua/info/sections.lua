--- What `stlua info` tells, one section after the other. A new line is one entry of this list.
-- Layer: Lua, above stlua.core.
--
-- A section: gather(subject, report) looks, and sets fields of the report, which is what --json prints; show(report,
-- add) prints them: add(key, text) adds a line. Either may be missing. Texts from files are escaped where they are
-- shown.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local identity = require "stlua.info.identity"
local text = require "stlua.text"

local SHOWN = 100      -- bytes of a metadata value
local KEYS = 8         -- keys of metadata that are named
local MANY = 20000     -- tensors of which no tree is drawn

-- "1,680 F16", or "1,680 F16, 2 I64".
local function dtypes_of(counts)
   local list = {}
   for _, name in ipairs(dtype.names) do
      if counts[name] then list[#list + 1] = ("%s %s"):format(text.thousands(counts[name]), name) end
   end
   return table.concat(list, ", ")
end

-- The dtypes of a part in one word where they are one, leaving integers out.
local function main_dtypes(counts)
   local list = {}
   for _, name in ipairs(dtype.names) do
      if counts[name] and dtype.is_float(name) then list[#list + 1] = name end
   end
   if #list == 0 then return dtypes_of(counts) end
   return table.concat(list, ", ")
end

local sections = {}
local function section(entry) sections[#sections + 1] = entry end

-- ---------------------------------------------------------------- the file

section {
   gather = function(subject, report)
      report.path, report.format, report.files = subject.path, subject.format, #subject.files
      report.header_bytes, report.file_bytes = 0, 0
      for _, file in ipairs(subject.files) do
         report.header_bytes = report.header_bytes + file.header_bytes
         report.file_bytes = report.file_bytes + file.size
      end
      report.metadata = subject.metadata
   end,
   show = function(report, add)
      local many = report.files > 1 and (", %d files"):format(report.files) or ""
      add("file", core.escape(report.path))
      add("size", ("%s, %s%s, header %s"):format(core.size(report.file_bytes), report.format, many,
         core.size(report.header_bytes)))
   end,
}

-- What a compressed file takes on the disk, and what is needed to read it.
section {
   gather = function(subject, report)
      local stored, seeks = 0, true
      for _, file in ipairs(subject.files) do
         stored, seeks = stored + (file.stored or file.size), seeks and file.seeks ~= false
         report.compression = report.compression or file.compression
         report.base = report.base or (file.packed and file.packed.base and file.packed)
      end
      if not report.compression then return end
      report.stored_bytes, report.random_access = stored, seeks
   end,
   show = function(report, add)
      if not report.compression then return end
      local share = report.file_bytes > 0 and 100 * report.stored_bytes / report.file_bytes or 100
      local how = report.compression == "pack" and "by stlua pack" or "with zstd"
      local only = report.random_access and ""
         or ", to be read from the beginning on only (stlua compress mends that)"
      add("packed", ("%s: %s on the disk, %.1f %%%s"):format(how, core.size(report.stored_bytes), share, only))
      local base = report.base
      if base then
         local where = base.has_base and "" or " (not beside it: --pack-base FILE)"
         add("base", ("%s%s, SHA-256 %s"):format(base.base, where, core.escape(base.base_sha256 or "unknown", 80)))
      end
   end,
}

-- What was seen in a checkpoint, a GGUF or a NumPy file.
section {
   gather = function(subject, report)
      local plain = true      -- the module of the others is not loaded then
      for _, file in ipairs(subject.files) do plain = plain and file.format == "safetensors" end
      if plain then return end
      local foreign = require "stlua.foreign"
      report.findings = core.array(subject.model:findings())
      report.safe = foreign.safety(subject.model)
   end,
   show = function(report, add)
      if not report.findings then return end
      local foreign = require "stlua.foreign"
      if report.safe then add("safe", foreign.safety_text(report.safe)) end
      for _, kind in ipairs(foreign.kinds) do
         for _, found in ipairs(report.findings) do
            if found.kind == kind then add(foreign.titles[kind], found.text) end
         end
      end
      add("convert", ("stlua convert %s%s"):format(report.safe == "no" and "--tensors-only " or "",
         core.escape(report.path)))
   end,
}

-- ---------------------------------------------------------------- what it is

section {
   gather = function(subject, report)
      if subject.adapter then
         report.kind = "lora"
         local describe = require "stlua.lora.describe"
         report.adapter = describe.overview(subject.adapter)
         report.what = describe.overview_rows(report.adapter)[1][2]
         report.derivative = identity.derivative(subject.metadata, report.adapter.title)
      else
         identity.tell(subject.model, subject.metadata, subject.parts, report)
      end
      report.config = subject.config and { model_type = subject.config.model_type,
         architecture = subject.config.architecture }
   end,
   show = function(report, add)
      if report.adapter then
         for _, row in ipairs(require("stlua.lora.describe").overview_rows(report.adapter)) do add(row[1], row[2]) end
      else
         add("what", report.what)
      end
      local derived = report.derivative
      if derived then
         add("", ("of the %s family: %s = %s"):format(derived.name, core.escape(derived.key),
            core.escape(derived.value, SHOWN)))
      end
      local config = report.config
      if config and (config.architecture or config.model_type) then
         add("config", ("%s (config.json beside it)"):format(core.escape(config.architecture or config.model_type, 80)))
      end
   end,
}

section {
   gather = function(subject, report)
      local counts, numel = {}, subject.rest.numel
      local function add(tally)
         for name, n in pairs(tally.dtypes) do counts[name] = (counts[name] or 0) + n end
      end
      add(subject.rest)
      report.parts = core.array {}
      for i, part in ipairs(subject.parts) do
         add(part.tally)
         numel = numel + part.tally.numel
         report.parts[i] = { part = part.part, id = part.id, title = identity.part_title(part), prefix = part.prefix,
            tensors = part.tally.count, parameters = part.tally.numel, bytes = part.tally.bytes,
            dtypes = part.tally.dtypes, layers = part.layers, width = part.width, vocabulary = part.vocabulary }
      end
      report.tensor_count, report.parameters, report.dtypes = subject.model:count(), numel, counts
   end,
   show = function(report, add)
      local counts = report.tensor_count > 0 and ": " .. dtypes_of(report.dtypes) or ""
      add("tensors", ("%s%s; %s parameters"):format(text.thousands(report.tensor_count), counts,
         identity.count(report.parameters)))
      if #report.parts < 2 then return end
      local rows = {}
      for i, part in ipairs(report.parts) do
         local word = identity.word(part.part)
         local title = part.title:find("^" .. word) and part.title:sub(#word + 1):gsub("^ ", "") or part.title
         rows[i] = { word, title, identity.count(part.parameters), main_dtypes(part.dtypes),
            core.escape(part.prefix .. "*") }
      end
      local first = "parts"
      for line in text.columns(rows, { false, false, true, false, false }):gmatch("[^\n]+") do
         add(first, line)
         first = ""
      end
   end,
}

-- Nothing known: the names themselves tell most.
section {
   gather = function(subject, report)
      if report.kind ~= "unknown" or report.tensor_count == 0 then return end
      report.outline = core.array {}
      if report.tensor_count > MANY then      -- a tree of them all takes too long
         for i = 1, 8 do report.outline[i] = core.escape(subject.model:name(i), 100) end
         report.outline[9] = "... (stlua info --tensors lists them)"
         return
      end
      report.outline = core.array((require("stlua.outline").tree(subject.model, 12)))
   end,
   show = function(report, add)
      for i, line in ipairs(report.outline or {}) do add(i == 1 and "names" or "", line) end
   end,
}

-- ---------------------------------------------------------------- values

section {
   gather = function(subject, report)
      if not report.dtypes.F32 or subject.stats then return end
      report.holds = require("stlua.info.precision").sample(subject.model)
   end,
   show = function(report, add)
      local holds = report.holds
      if not holds then return end
      add("holds", ("%s values only, by a sample of %s in F32: `stlua cast --dtype %s` would lose nothing"):format(
         holds.dtype, text.plural(holds.sampled, "tensor"), holds.dtype))
   end,
}

section {
   gather = function(subject, report)
      local uses, narrow = subject.model:_quants(), subject.metadata._quantization_metadata ~= nil
      for name in pairs(report.dtypes) do narrow = narrow or name:find("^F8") ~= nil end
      report.quantised = core.array {}
      if #uses == 0 and not narrow then return end
      report.quantised = require("stlua.info.quantised").of(subject.model, subject.metadata, report.dtypes, uses)
   end,
   show = function(report, add)
      local list = {}
      for i, entry in ipairs(report.quantised) do
         list[i] = ("%s (%s)"):format(entry.layout, text.plural(entry.weights, "weight"))
      end
      if #list > 0 then add("quantised", table.concat(list, ", ")) end
   end,
}

section {
   gather = function(subject, report)
      report.leftovers = core.array {}
      if subject.is_diffusion then report.leftovers = require("stlua.info.leftovers").of(subject.model,
         subject.parts) end
   end,
   show = function(report, add)
      for i, entry in ipairs(report.leftovers) do
         add(i == 1 and "waste" or "", ("%s: %s, %s"):format(entry.what, text.plural(entry.tensors, "tensor"),
            core.size(entry.bytes)))
      end
   end,
}

-- ---------------------------------------------------------------- what to do with it

section {
   gather = function(subject, report)
      report.places = require("stlua.info.places").of(report.kind, subject.parts[1], subject, report.adapter)
   end,
   show = function(report, add)
      local places = report.places
      if places.join then add("join", places.join .. " first: A1111, ComfyUI and from_single_file read one file") end
      if places.a1111 then add("A1111", places.a1111) end
      if places.comfyui then add("ComfyUI", places.comfyui) end
      if places.diffusers then add("diffusers", places.diffusers) end
      if places.loads then add("loaded by", places.loads) end
   end,
}

-- ---------------------------------------------------------------- what it says of itself

local HASHES = { { "sshs_model_hash", "of the data, by sd-scripts" }, { "sshs_legacy_hash", "AutoV1 by sd-scripts" },
   { "modelspec.hash_sha256", "of the data, by modelspec" }, { "ss_sd_model_hash", "AutoV1 of the trained model" },
   { "ss_new_sd_model_hash", "sha256 of the trained model" } }

-- What an earlier `stlua hash` found: AutoV2, by which images and sites name a file.
local function add_remembered(subject, hashes)
   local cache = os.getenv "HOME" and require "stlua.hash.cache"
   local path = cache and cache.path()
   local stat = path and core.stat(path)
   if not stat or #subject.files ~= 1 then return end
   local file = core.stat(subject.files[1].path)
   local found = file and cache.get(file.identity)
   if found then
      hashes[#hashes + 1] = { key = "autov2", what = "AutoV2, as stlua hash found it", value = found.sha256:sub(1, 10) }
   end
end

section {
   gather = function(subject, report)
      report.hashes = core.array {}
      for _, known in ipairs(HASHES) do
         local value = subject.metadata[known[1]]
         if value and value ~= "" and value ~= "None" then
            report.hashes[#report.hashes + 1] = { key = known[1], what = known[2], value = value }
         end
      end
      add_remembered(subject, report.hashes)
   end,
   show = function(report, add)
      for i, hash in ipairs(report.hashes) do
         add(i == 1 and "hashes" or "", ("%s (%s)"):format(core.escape(hash.value, 80), hash.what))
      end
   end,
}

-- Where metadata is of a program that trains or merges, what it says in readable form.
local TOLD = { "^ss_", "^ssmd_", "^modelspec%.", "^ot_" }

section {
   gather = function(subject, report)
      local told = false
      for key in pairs(subject.metadata) do
         for _, pattern in ipairs(TOLD) do told = told or key:find(pattern) ~= nil end
      end
      if told then report.training = require("stlua.lora.training").of(subject.metadata) end
      local ok, recipe = pcall(core.json_decode, subject.metadata["stlua.recipe"] or "")
      if ok and type(recipe) == "table" and type(recipe.formula) == "string" then report.formula = recipe.formula end
   end,
   show = function(report, add)
      if report.formula then add("made of", core.escape(report.formula, 200)) end
      if not report.training then return end
      for _, row in ipairs(require("stlua.lora.describe").training_rows(report.training)) do add(row[1], row[2]) end
   end,
}

section {
   gather = function(subject, report)
      if not subject.metadata["modelspec.thumbnail"] then return end
      report.thumbnail = require("stlua.meta.thumbnail").of(subject.metadata)
   end,
   show = function(report, add)
      local t = report.thumbnail
      if not t then return end
      add("thumbnail", t.kind and ("%s, about %s (stlua meta --thumbnail-out)"):format(core.escape(t.kind, 20),
         core.size(t.bytes)) or "there is one, but it is no picture in base64")
   end,
}

section {
   gather = function(subject, report) report.metadata_keys = core.array(subject.keys) end,
   show = function(report, add)
      local keys = report.metadata_keys
      if #keys == 0 then return end
      local shown = {}
      for i = 1, math.min(#keys, KEYS) do
         local value = report.metadata[keys[i]]
         shown[i] = #value <= 24 and ("%s = %s"):format(core.escape(keys[i], 60), core.escape(value, 30))
            or core.escape(keys[i], 60)
      end
      local more = #keys > KEYS and (", and %d more"):format(#keys - KEYS) or ""
      add("metadata", table.concat(shown, ", ") .. more)
   end,
}

section {
   gather = function(subject, report) report.warnings = require("stlua.info.notices").of(subject) end,
   show = function(report, add)
      for _, warning in ipairs(report.warnings) do add("warning", warning) end
   end,
}

return sections
