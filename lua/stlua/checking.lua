--- st.verify: whether the files of a model are whole, and what of them is not; how many values are NaN or infinite.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local open = require "stlua.open"
local text = require "stlua.text"
local whole_file = require "stlua.whole_file"

local checking = {}

local SHOWN = 100     -- lines of each kind; --json has the rest

-- The shards that an index names, in the order of their names, and what is wrong with the index itself.
local function shards_of(index)
   local folder = index:match("^(.*/)[^/]*$") or ""
   local ok, decoded = pcall(core.json_decode, whole_file(index))
   local map = ok and type(decoded) == "table" and decoded.weight_map
   if type(map) ~= "table" then return {}, { ("%s: it is no index of a model"):format(core.escape(index)) } end
   if next(map) == nil then
      return {}, { ("%s: the index lists no tensor, so that nothing could be checked"):format(core.escape(index)) }
   end
   local seen, paths, problems = {}, {}, {}
   for _, name in pairs(map) do
      if type(name) == "string" and not seen[name] then
         seen[name] = true
         local plain = not (name:find("^/") or name:find("..", 1, true) or name:find("[\\:%c]"))
            and (text.is_weights(name) or open.is_other_model(name))
         if plain then
            paths[#paths + 1] = folder .. name
         else
            problems[#problems + 1] = ("%s: %s is no name of a shard beside it"):format(core.escape(index),
               text.quote(name))
         end
      end
   end
   table.sort(paths)
   return paths, problems
end

-- One file, and whether it could be looked at.
local function check_file(path, base)
   local stat = core.stat(path)
   if not stat then
      local message = ("%s: it is not there"):format(core.escape(path))
      return { path = path, total = 1, checked = false, damaged = { { first = 0, bytes = 0, message = message } } }
   end
   local found = core.verify(path, base)
   found.path, found.stored = path, stat.size
   return found
end

-- NaN and infinities of a tensor; nil where nothing can be computed, as with quantised ones.
local function count(t)
   if t:numel() == 0 or not dtype.is_float(t:dtype()) then return nil end
   local ok, nan, inf = pcall(function()
      return core.apply("ne", t, t):count_nonzero(), core.apply("eq", t:abs(), math.huge):count_nonzero()
   end)
   if not ok then
      if errors.is(nan) and (nan.code == "quant" or nan.code == "dtype") then return nil end
      error(nan, 0)
   end
   core.force_all { nan, inf }
   return nan:item(), inf:item()
end

local function count_values(result, model)
   for name, t in pairs(model) do
      local nan, inf = count(t)
      if nan and nan + inf > 0 then
         result.nan, result.inf = result.nan + nan, result.inf + inf
         table.insert(result.values, { name = name, dtype = t:dtype(), shape = t:shape(), nan = nan, inf = inf })
      end
   end
end

local meta = {}

local function add_some(lines, list, total, line)
   for i = 1, math.min(#list, SHOWN) do lines[#lines + 1] = "  " .. line(list[i]) end
   if total > math.min(#list, SHOWN) then
      lines[#lines + 1] = ("  ... and %d more"):format(total - math.min(#list, SHOWN))
   end
end

local function describe(file)
   if file.total > 0 then return ("damaged in %s"):format(text.plural(file.total, "place")) end
   if file.checked then return "good: all its bytes have the right checksums" end
   return file.compression and "good, but some of its bytes have no checksums"
      or "good: its header fits the file; a plain file has no checksums"
end

function meta.__tostring(result)
   local lines = {}
   for _, file in ipairs(result.files) do
      lines[#lines + 1] = ("%s: %s"):format(core.escape(file.path), describe(file))
      local name = core.escape(file.path) .. ": "
      add_some(lines, file.damaged, file.total, function(damage)
         local message = damage.message
         return message:sub(1, #name) == name and message:sub(#name + 1) or message
      end)
   end
   for _, problem in ipairs(result.problems) do lines[#lines + 1] = problem end
   if #result.values > 0 then
      lines[#lines + 1] = ("%s: %s: %d NaN, %d infinite"):format(core.escape(result.path),
         text.plural(#result.values, "tensor"), result.nan, result.inf)
      add_some(lines, result.values, #result.values, function(row)
         return ("%s  %s %s  %d NaN, %d infinite"):format(core.escape(row.name), row.dtype, text.shape(row.shape),
            row.nan, row.inf)
      end)
   end
   return table.concat(lines, "\n")
end

--- Reads all files of a model: compares every checksum of a compressed one, checks the header of a plain one, and
-- counts the values that are NaN or infinite, which make no file a damaged one. All that is wrong is told.
--
--     > v = st.verify("a.safetensors")
--     > v
--     a.safetensors: good: its header fits the file; a plain file has no checksums
--     > v.ok, v.nan, v.inf
--     true    0       0
-- @tparam string path as of st.open
-- @tparam[opt] table opts `values` = false does not look at the values; `base` = path of a packed file's base, if it
--   does not lie beside it
-- @treturn table { ok =, path =, files = { { path =, compression =, checked = whether all its bytes have checksums,
--   total = damaged places, damaged = { { tensor =, first = offset in the plain file, bytes =, message = } ... } }
--   ... }, problems = { text ... }, nan =, inf =, values = { { name =, dtype =, shape =, nan =, inf = } ... } }.
--   Printed, a text
-- @raise "io" for what cannot be read or chosen, "limit"
function checking.verify(path, opts)
   if type(path) ~= "string" or path == "" then errors.throw("arg", "st.verify: expected a path") end
   opts = errors.check_options(opts, { values = "boolean", base = "string" }, "st.verify")
   local target = open.resolve(path)
   local result = setmetatable({ path = path, files = {}, problems = {}, values = {}, nan = 0, inf = 0 }, meta)
   local paths = { target }
   if target:find("%.json$") then paths, result.problems = shards_of(target) end
   local damaged = #result.problems
   for i, name in ipairs(paths) do
      result.files[i] = check_file(name, opts.base or open.pack_base)
      damaged = damaged + result.files[i].total
   end
   if damaged == 0 then
      local ok, model = pcall(open.open, path, { base = opts.base })
      if ok then
         if opts.values ~= false then count_values(result, model) end
      elseif errors.is(model) and model.code == "format" then
         table.insert(result.problems, model.message)
      else
         error(model, 0)
      end
   end
   result.ok = damaged == 0 and #result.problems == 0
   return result
end

return checking
