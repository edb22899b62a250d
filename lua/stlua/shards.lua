--- Shards of a model: how large they are to be for a number of them, and what a folder of them holds.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local meta = require "stlua.meta"
local text = require "stlua.text"

local shards = {}

-- Sizes of a model's tensors in order, as they will be saved.
local function sizes_of(model, to)
   local sizes, total, largest = {}, 0, 0
   for i = 1, model:count() do
      local t = model:tensor(i)
      local n = to and dtype.is_float(t:dtype()) and t:numel() * dtype.bits[to] // 8 or t:nbytes()
      sizes[i], total, largest = n, total + n, math.max(largest, n)
   end
   return sizes, total, largest
end

-- How many shards of at most `limit` bytes a save makes: in order, as many as fit; what is larger has one for itself.
local function count(sizes, limit)
   local n, used, open = 0, 0, false
   for _, size in ipairs(sizes) do
      if size > limit then
         n = n + 1
      else
         if open and size > limit - used then n, open = n + 1, false end
         if not open then used, open = 0, true end
         used = used + size
      end
   end
   return n + (open and 1 or 0)
end

--- The size of shards of which a model makes `n`, or the next smaller number that can be.
-- @tparam model model
-- @tparam integer n
-- @tparam ?string to the dtype of floating tensors
-- @treturn integer bytes
-- @treturn integer how many there will be
-- @raise "arg" for more shards than tensors
function shards.size_for(model, n, to)
   local sizes, total, largest = sizes_of(model, to)
   if n > #sizes then
      errors.throwf("arg", "%s has %s: no %d shards can be made of it", lineage.formula(model),
         text.plural(#sizes, "tensor"), n)
   end
   local low, high = math.max(1, largest, total // n), math.max(1, total)
   while low < high do
      local middle = low + (high - low) // 2
      if count(sizes, middle) <= n then high = middle else low = middle + 1 end
   end
   return low, count(sizes, low)
end

-- Files by the set that their names tell of, "model-#-of-00003.safetensors": { count =, name = function,
-- [number] = true }; and these.
local function sets_of(list)
   local by, names = {}, {}
   for _, model in ipairs(list) do
      for _, file in ipairs(model:files()) do
         local stem, number, total, ending = text.basename(file.path):match("^(.*%-)(%d+)%-of%-(%d+)(%..*)$")
         if stem and #number < 10 and #total < 10 then
            local key = ("%s\0%s%s"):format(stem, total, ending)
            if not by[key] then
               names[#names + 1] = key
               by[key] = { count = tonumber(total), name = function(i)
                  return ("%s%0" .. #number .. "d-of-%s%s"):format(stem, i, total, ending)
               end }
            end
            by[key][tonumber(number)] = true
         end
      end
   end
   return by, names
end

--- Refuses files of which some are missing: names such as model-00001-of-00003.safetensors tell how many there are.
-- @tparam {model,...} list opened
-- @raise "name", with the first that is not there
function shards.check_whole(list)
   local by, names = sets_of(list)
   for _, key in ipairs(names) do
      local set, first, there = by[key], 1, 0
      while set[first] do first = first + 1 end
      for i in pairs(set) do
         if math.type(i) == "integer" and i >= 1 and i <= set.count then there = there + 1 end
      end
      if there < set.count then
         errors.throwf("name", "%d of %s missing, the first is %s: give all of them, or --partial to join what is "
            .. "there", set.count - there, text.plural(set.count, "shard"), core.escape(set.name(first)))
      end
   end
end

--- Models put together as one that was cut into files: the union of their names, the first one's metadata.
-- @tparam {model,...} list
-- @treturn model
-- @raise "name" for names that several have (all of them are listed)
function shards.joined(list)
   if #list == 1 then return list[1] end
   local out, problems = core.model(), {}
   for _, model in ipairs(list) do
      for i = 1, model:count() do
         local name = model:name(i)
         if out:find(name) then
            problems[#problems + 1] = core.error("name", ("%s is in %s and in a file before it"):format(
               text.quote(name), lineage.formula(model)))
         else
            out:add(name, model:tensor(i))
         end
      end
   end
   errors.throw_all(problems, "cannot be joined")
   local t = list[1]:metadata()
   meta.drop_hashes(t)
   meta.set(out, t)
   return lineage.derived(out, list, { call = "join" })
end

--- A table of the files of a model: names, how many tensors, sizes.
-- @tparam model model opened
-- @treturn string
function shards.table(model)
   local rows, total = { { "file", "tensors", "size" } }, 0
   local files = model:files()
   table.sort(files, function(x, y) return x.path < y.path end)
   for i, file in ipairs(files) do
      local tensors = core.open_file(file.path):count()
      rows[i + 1] = { core.escape(text.basename(file.path)), tostring(tensors), core.size(file.size) }
      total = total + file.size
   end
   rows[#rows + 1] = { "all", tostring(model:count()), core.size(total) }
   return text.columns(rows, { false, true, true })
end

return shards
