--- st.meta: the metadata of a file, shown and changed. The data stay as they lie, byte for byte.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local meta = require "stlua.meta"
local open = require "stlua.open"
local pattern = require "stlua.pattern"
local text = require "stlua.text"

local edit = {}

-- Opens a file; what an interrupted edit left in it is undone first.
local function open_file(path)
   local how = { skip = true }      -- of tensors nothing is asked
   local ok, model = pcall(open.open, path, how)
   if ok then return model, false end
   if not errors.is(model) or model.code ~= "format" then error(model, 0) end
   local stat = core.stat(path)
   if not stat or stat.type ~= "file" or not core.meta_undo(path) then error(model, 0) end
   return open.open(path, how), true
end

-- Changes that take private things out: a key goes, or of the paths in its value their last parts stay.
local function strip(metadata, changes)
   local private, done = require "stlua.meta.private", {}
   for _, found in ipairs(private.find(metadata)) do
      local left = found.paths and private.without_paths(metadata[found.key])
      changes[found.key] = left or false
      done[#done + 1] = ("%s: %s %s"):format(core.escape(found.key, 60), core.escape(found.why, 120),
         left and "shortened to " .. core.escape(left, 60) or "removed")
   end
   return done
end

-- Keys that a pattern means.
local function matching(metadata, keys, glob)
   if metadata[glob] ~= nil then return { glob } end
   local test, found = pattern.compile(glob), {}
   for _, key in ipairs(keys) do
      if glob:find("[*?]") and test(key) then found[#found + 1] = key end
   end
   if #found == 0 then
      errors.throwf("name", "no metadata key %s%s", text.quote(glob), text.did_you_mean(glob, keys))
   end
   return found
end

local function changes_of(metadata, keys, given, opts)
   local changes, done = {}, {}
   if opts.strip_private then done = strip(metadata, changes) end
   for _, glob in ipairs(opts.unset or {}) do
      for _, key in ipairs(matching(metadata, keys, glob)) do changes[key] = false end
   end
   for key, value in pairs(given) do
      if type(key) == "string" and value == false and metadata[key] == nil then matching(metadata, keys, key) end
      local modelspec = type(key) == "string" and type(value) == "string" and not opts.unchecked
         and require "stlua.meta.modelspec"
      local problem = modelspec and modelspec.problem(key, value)
      if problem then errors.throw("arg", problem) end
      changes[key] = value
   end
   if opts.thumbnail then
      local thumbnail = require "stlua.meta.thumbnail"
      changes[thumbnail.key] = thumbnail.read(opts.thumbnail)
   end
   return changes, done
end

local function write(path, model, metadata, opts)
   if opts.in_place then
      local sha256 = model:header_sha256(1)
      model:close()
      collectgarbage()      -- what the program has dropped holds the file open no longer
      core.meta_edit(path, sha256, metadata, { sync = opts.sync })
   else
      core.meta_write(model, opts.output or path, metadata, { sync = opts.sync, replace = opts.replace,
         align = opts.align })
   end
end

local KNOWN = { output = "string", in_place = "boolean", strip_private = "boolean", unset = "table",
   thumbnail = "string",
   sync = "boolean", replace = "boolean", align = "number", unchecked = "boolean" }

--- The metadata of a file; with changes, after they were made. The tensors stay in their order and at their places, so
-- that hashes of the data hold. What an interrupted edit in place has left is undone first.
--
--     > st.meta("a.safetensors", { title = "Mine", format = false }, { output = "titled.safetensors" })
--     { title = "Mine" }      {}
--     > st.meta("titled.safetensors").title
--     Mine
-- @tparam string path a safetensors file
-- @tparam[opt] table changes key -> string or number; false removes a key. Keys of modelspec are checked
-- @tparam[opt] table opts `output` = another file to write, by default the file itself is replaced, as a whole or not
--   at all; `in_place` = true rewrites its header alone, where there is room; `unset` = patterns of keys to remove;
--   `strip_private` = true takes out paths and data of training; `thumbnail` = a picture's file to put in;
--   `align` = 4096 leaves room for edits in place; `replace` = false refuses an existing output; `sync` = false;
--   `unchecked` = true sets keys of modelspec to anything
-- @treturn {[string]=string}
-- @treturn {string,...} what strip_private did, and other remarks
-- @raise "name" for a key to remove that is not there, "arg" for what modelspec does not allow, "space" for a header
--   that does not fit in place, "exists", "io"
function edit.meta(path, changes, opts)
   if type(path) ~= "string" then errors.throwf("arg", "st.meta: expected a path, got a %s", type(path)) end
   opts = errors.check_options(opts, KNOWN, "st.meta")
   if changes ~= nil and type(changes) ~= "table" then
      errors.throwf("arg", "st.meta: expected a table of changes, got a %s", type(changes))
   end
   if opts.in_place and (opts.output or opts.align) then
      errors.throw("arg", "st.meta: in_place changes the file itself: it goes with neither output nor align")
   end
   local model <close>, undone = open_file(path)
   local metadata, keys = model:metadata()
   local wanted, done = changes_of(metadata, keys, changes or {}, opts)
   if undone then table.insert(done, 1, "an interrupted edit was undone") end
   if next(wanted) == nil and not opts.output and not opts.align then return metadata, done end
   local files = model:files()
   local other = #files ~= 1 and ("a model of %d files"):format(#files)
      or files[1].compression and "a compressed file" or files[1].format ~= "safetensors" and files[1].format
   if other then
      errors.throwf("arg", "%s: metadata are changed in plain safetensors files, one by one: this is %s",
         lineage.formula(model), other)
   end
   meta.overlay(metadata, wanted, "st.meta")
   write(files[1].path, model, metadata, opts)
   if next(wanted) and not opts.unchecked then
      local remarks = require("stlua.meta.modelspec").remarks(metadata)
      table.move(remarks, 1, #remarks, #done + 1, done)
   end
   return metadata, done
end

return edit
