--- Saving: options, metadata and recipe of one or several models, then one plan of the core.
-- Layer: Lua, above stlua.core.

local compressed = require "stlua.compressed"
local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local map = require "stlua.map"
local meta = require "stlua.meta"
local text = require "stlua.text"

local save = {}

local KNOWN = {
   dtype = "string", saturate = "boolean", sync = "boolean", replace = "boolean", force = "boolean",
   max_shard_size = "string|number", align = "number",
   metadata = "table", recipe = "boolean|table", hash_inputs = "boolean", files = "table",
   only_file = "string", resume = "boolean", compress = "string",
}

--- The options of a save.
save.options = KNOWN

-- The model as it goes into the file: the same tensors under other metadata where something changes, else the model
-- itself.
local function with_final_metadata(model, opts, who)
   local before = model:metadata()
   local after = {}
   for key, value in pairs(before) do after[key] = value end
   if opts.dtype then meta.drop_hashes(after) end
   if lineage.of(model).merged then
      after["stlua.recipe"] = nil
      if opts.recipe ~= false then
         local given = type(opts.recipe) == "table" and opts.recipe or nil
         after["stlua.recipe"] = meta.recipe(model, given, opts.hash_inputs)
      end
   end
   if opts.metadata then meta.overlay(after, opts.metadata, who) end
   local changed = false
   for key, value in pairs(after) do changed = changed or before[key] ~= value end
   for key in pairs(before) do changed = changed or after[key] == nil end
   if not changed then return model end
   local copy = core.model()
   for i = 1, model:count() do copy:add(model:name(i), model:tensor(i)) end
   meta.set(copy, after)
   return copy
end

-- { ["config.json"] = text } as the sorted list that the core takes.
local function companions(files, shard, who)
   local list = {}
   for name, content in pairs(files) do
      if type(name) ~= "string" or type(content) ~= "string" then
         errors.throwf("arg", "%s: files must be a table of names and texts", who)
      elseif not name:find("^[^./][^/]*$") or text.is_weights(name)
         or name:find("%.safetensors%.index%.json$") then
         errors.throwf("arg", "%s: files: %s is no name for a file beside the shards", who, text.quote(name))
      end
      list[#list + 1] = { name, content }
   end
   if not shard then errors.throwf("arg", "%s: files go with a folder: give max_shard_size", who) end
   table.sort(list, function(a, b) return a[1] < b[1] end)
   return list
end

local function only_file(name, shard, who)
   if not name:find("^[^./][^/]*%.safetensors$") or not shard then
      errors.throwf("arg", "%s: only_file: %s; give a name like model.safetensors, and max_shard_size", who,
         text.quote(name))
   end
   return name
end

local function job(model, path, opts, who)
   if not map.is_model(model) then errors.throwf("arg", "%s: expected a model, got a %s", who, type(model)) end
   if type(path) ~= "string" or path == "" then errors.throwf("arg", "%s: expected the name of a file", who) end
   errors.check_options(opts, KNOWN, who)
   local shard
   if opts.max_shard_size then
      local reason
      shard, reason = text.parse_bytes(opts.max_shard_size)
      if not shard then errors.throwf("arg", "%s: max_shard_size: %s", who, reason) end
   end
   return {
      model = with_final_metadata(model, opts, who), path = path, max_shard = shard,
      dtype = opts.dtype and dtype.check(opts.dtype, true, who), saturate = opts.saturate,
      sync = opts.sync, replace = opts.replace, force = opts.force, align = opts.align,
      files = opts.files and companions(opts.files, shard, who), resume = opts.resume,
      only_file = opts.only_file and only_file(opts.only_file, shard, who),
      compress = compressed.way(opts.compress, path, shard ~= nil, who),
   }
end

--- Computes and writes one model. All or nothing: on any failure the old file is left whole.
--
--     > half = 0.5 * st.open("a.safetensors") + 0.5 * st.open("b.safetensors")
--     > half:save("half.safetensors", { dtype = "F16" })
--     332312
--     > st.open("half.safetensors"):dtype_counts()
--     { F16 = 30, I64 = 1 }
-- @param model
-- @tparam string path the file, or with `max_shard_size` the folder
-- @tparam[opt] table opts
--   `dtype` of all floating tensors, `saturate` (F8: clamp instead of NaN or infinity);
--   `sync` = false leaves out the syncs, `replace` = false refuses an existing file, `force` = true lets a folder
--   replace another model;
--   `max_shard_size` = "5GB" writes shards and an index; `align` = 64 or 4096 aligns the data section;
--   `files` = { ["config.json"] = text, ... } go into the folder of shards in the same step; `only_file` = the name of
--   its file of weights where one is enough, "model.safetensors" if not told;
--   `compress` = "zstd" writes compressed files, whose names end in .safetensors.zst and which every function reads; a
--   path that ends so says it, too;
--   `metadata` = keys to set (false removes one); `recipe` = false leaves the recipe out, a table adds to it;
--   `hash_inputs` = true adds the SHA-256 of whole inputs to the recipe;
--   `resume` = true keeps what is done, under a hidden name beside the file, if the save is interrupted or killed, and
--   goes on from it when the same is saved again: same inputs (they must be files), same operations, same options. The
--   bytes are those of a save in one go. The next save to that file removes what it cannot go on from
-- @treturn integer bytes written; of compressed files those before compression
-- @treturn ?integer of compressed files, what they take on the disk
-- @raise "io", "space", "exists", "dtype", "quant", "changed", "cancelled"
function save.save(model, path, opts)
   return core.save { job(model, path, opts or {}, "save") }
end

--- Saves several models in one pass over their common inputs; all files appear or none.
--
--     > a, b = st.open("a.safetensors"), st.open("b.safetensors")
--     > list = {}
--     > for t = 1, 3 do list[t] = { st.lerp(a, b, t / 4), ("blend-%d.safetensors"):format(t) } end
--     > st.save_all(list) > 0
--     true
-- @tparam {table,...} list entries { model, path, ...options of save }
-- @tparam[opt] table opts options for all of them; `resume` in one of them is meant for all
-- @treturn integer bytes written
-- @treturn ?integer as of m:save, where some are compressed
function save.save_all(list, opts)
   if type(list) ~= "table" or #list == 0 then
      errors.throw("arg", "st.save_all: expected a list of { model, path, ... } entries")
   end
   local jobs = {}
   for i, entry in ipairs(list) do
      local who = ("st.save_all: entry %d"):format(i)
      if type(entry) ~= "table" then errors.throwf("arg", "%s is a %s, not { model, path, ... }", who, type(entry)) end
      local own = {}
      for key, value in pairs(opts or {}) do own[key] = value end
      for key, value in pairs(entry) do
         if key ~= 1 and key ~= 2 then own[key] = value end
      end
      jobs[i] = job(entry[1], entry[2], own, who)
   end
   return core.save(jobs)
end

return save
