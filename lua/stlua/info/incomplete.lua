--- An index of shards of which some are missing: what is there is looked at.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local open = require "stlua.open"
local text = require "stlua.text"

local incomplete = {}

local MOST = 64 * 1024 * 1024      -- bytes of an index

-- Names of an index' shards in their order; nil of what is none, or leads elsewhere.
local function shards_of(path)
   local stat = core.stat(path)
   if not stat or stat.type ~= "file" or stat.size > MOST then return nil end
   local ok, index = pcall(function() return core.json_decode(require("stlua.whole_file")(path)) end)
   if not ok or type(index) ~= "table" or type(index.weight_map) ~= "table" then return nil end
   local list, seen = {}, {}
   for _, name in pairs(index.weight_map) do
      if type(name) ~= "string" or name:find("/", 1, true) then return nil end
      if not seen[name] then list[#list + 1], seen[name] = name, true end
   end
   table.sort(list)
   return list
end

local function index_of(path, opts)
   local ok, target = pcall(open.resolve, path, { component = opts.component, variant = opts.variant })
   return ok and target:find("%.json$") and target or nil
end

--- The shards that are there of an index that st.open refuses, as one model.
-- @tparam string path as of st.open
-- @tparam table opts component, variant
-- @tparam table how the files are opened
-- @treturn ?model nil where none is missing, or all are
-- @treturn ?table names of those that are missing, total = how many shards the index has,
--   models = those that are there, files = theirs, as of model:files
function incomplete.open(path, opts, how)
   local index = index_of(path, opts)
   local names = index and shards_of(index)
   if not names then return nil end
   local folder, there, missing = index:match("^(.*/)[^/]*$") or "", {}, { total = #names }
   for _, name in ipairs(names) do
      if core.stat(folder .. name) then
         there[#there + 1] = folder .. name
      else
         missing[#missing + 1] = name
      end
   end
   if #missing == 0 or #there == 0 then return nil end
   missing.files, missing.models = {}, there
   for i, file in ipairs(there) do
      there[i] = open.open(file, how)
      table.move(there[i]:files(), 1, #there[i]:files(), #missing.files + 1, missing.files)
   end
   return require("stlua.shards").joined(there), missing
end

--- What is missing: how many shards, and the names of some.
function incomplete.named(missing)
   return ("%d of %d shards missing: %s"):format(#missing, missing.total,
      text.some(missing, 3, function(name) return core.escape(name, 100) end))
end

--- The same of a look at the others.
function incomplete.told(missing)
   return incomplete.named(missing) .. "; what is told here is of the others alone"
end

return incomplete
