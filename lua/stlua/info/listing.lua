--- The longer answers of `stlua info`: tensors, metadata, statistics, JSON. Written in pieces, as they come.
-- Layer: Lua, above stlua.core.

local cli = require "stlua.cli"
local core = require "stlua.core"
local errors = require "stlua.errors"
local pattern_of = require "stlua.pattern"
local text = require "stlua.text"

local listing = {}

local CHUNK = 4096      -- rows per piece of text: a huge listing never stands in memory as a whole

-- Positions of the tensors whose names match; nil for all of them.
local function chosen(model, pattern)
   if not pattern then return nil end
   local test, list, names = pattern_of.compile(pattern), {}, {}
   for i = 1, model:count() do
      names[i] = model:name(i)
      if test(names[i]) then list[#list + 1] = i end
   end
   if #list == 0 then
      errors.throwf("name", "no tensor matches %s%s", text.quote(pattern), text.did_you_mean(pattern, names))
   end
   return list
end

-- Calls fn(first, last) for pieces of a listing.
local function in_pieces(model, list, fn)
   if list then
      for _, i in ipairs(list) do fn(i, i) end
      return
   end
   for first = 1, model:count(), CHUNK do fn(first, math.min(first + CHUNK - 1, model:count())) end
end

--- All tensors as a table, or those that match.
function listing.tensors(model, pattern)
   local list = chosen(model, pattern)
   if model:count() == 0 then return end
   local _, name, dtype, shape, bytes = model:rows(1, 0)
   local row = ("%%-%ds  %%-%ds  %%-%ds  %%%ds\n"):format(name, dtype, shape, bytes)
   cli.write(row:format("name", "dtype", "shape", "size"))
   in_pieces(model, list, function(first, last)
      cli.write((model:rows(first, last, "table", name, dtype, shape, bytes)))
   end)
end

-- Long texts are escaped in pieces that do not cut a character; quotes stay, for nothing stands around the text.
local function whole(value)
   local parts, at = {}, 1
   while at <= #value do
      local to = math.min(at + 999, #value)
      while to < #value and to > at + 990 and value:byte(to + 1) & 0xc0 == 0x80 do to = to - 1 end
      parts[#parts + 1] = core.escape(value:sub(at, to), 4096)
      at = to + 1
   end
   return (table.concat(parts):gsub('\\"', '"'))
end

--- Keys and whole values, one a line.
-- @tparam model|table metadata a model, or its metadata
-- @tparam[opt] {string,...} keys in the order to show
function listing.metadata(metadata, keys)
   if not keys then metadata, keys = metadata:metadata() end
   for _, key in ipairs(keys) do cli.write(whole(key), " = ", whole(metadata[key]), "\n") end
end

-- ---------------------------------------------------------------- statistics

local COLUMNS = { "min", "max", "mean", "std", "nan", "inf" }

local function shown(v)
   if type(v) ~= "number" then return "" end
   if v ~= v then return "nan" end      -- which may bear a sign
   return math.type(v) == "integer" and ("%d"):format(v) or ("%.6g"):format(v)
end

-- A number of a row; of a tensor with NaN that of its finite values, for the NaN are counted beside it.
local function number_of(row, key)
   local v = row[key]
   return v ~= v and row.finite and row.finite[key] or v
end

-- What all values say together.
local function conclusions(sum)
   local lines = {}
   local function names(list) return text.some(list, 3, text.quote) end
   if #sum.nan > 0 then
      lines[#lines + 1] = ("warning: NaN in %s; the columns are of the finite values"):format(names(sum.nan))
   end
   if #sum.inf > 0 then lines[#lines + 1] = ("warning: infinite values in %s"):format(names(sum.inf)) end
   if sum.f32 > 0 then
      local narrow = sum.bf16 == sum.f32 and "BF16" or sum.f16 == sum.f32 and "F16"
      local wide = sum.f32 - math.max(sum.bf16, sum.f16)
      local all = sum.f32 == 1 and "the one tensor in F32 holds " or ("all %d tensors in F32 hold "):format(sum.f32)
      lines[#lines + 1] = narrow
         and ("%s%s values only: `stlua cast --dtype %s` loses nothing"):format(all, narrow, narrow)
         or ("%d of %s in F32 need it"):format(wide, text.plural(sum.f32, "tensor"))
   end
   if sum.skipped > 0 then lines[#lines + 1] = text.plural(sum.skipped, "tensor") .. " cannot be computed on" end
   return lines
end

--- Statistics of all tensors, or of those that match, each line as soon as it is known.
function listing.stats(model, pattern)
   require "stlua"
   local _, width, kinds, shapes = model:rows(1, 0)
   local format = ("%%-%ds  %%-%ds  %%-%ds  %%12s  %%12s  %%12s  %%12s  %%8s  %%8s\n"):format(width, kinds, shapes)
   cli.write(format:format("name", "dtype", "shape", table.unpack(COLUMNS)))
   local sum = require("stlua.info.precision").measure(model, chosen(model, pattern), function(name, row)
      local cells = {}
      for i, key in ipairs(COLUMNS) do cells[i] = shown(number_of(row, key)) end
      cli.write((format:format(core.escape(name, 512), row.dtype, text.shape(row.shape), table.unpack(cells))))
   end)
   for _, line in ipairs(conclusions(sum)) do cli.write(line, "\n") end
end

-- ---------------------------------------------------------------- JSON

local function tensors_as_json(model, pattern)
   cli.write(',"tensors":[')
   local comma = ""
   in_pieces(model, chosen(model, pattern), function(first, last)
      cli.write(comma, (model:rows(first, last, "json")))
      comma = ","
   end)
   cli.write("]")
end

-- JSON knows no NaN and no infinities: what is no number of it is left out.
local function finite(row)
   local out = {}
   for _, key in ipairs(COLUMNS) do
      local v = number_of(row, key)
      if v and v == v and v ~= math.huge and v ~= -math.huge then out[key] = v end
   end
   out.skipped = row.skipped
   return out
end

local function stats_as_json(model, pattern)
   require "stlua"
   cli.write(',"stats":{')
   local comma = ""
   local sum = require("stlua.info.precision").measure(model, chosen(model, pattern), function(name, row)
      cli.write(comma, core.json_report(name), ":", core.json_encode(finite(row)))
      comma = ","
   end)
   cli.write('},"values":', core.json_report(sum))
end

--- One JSON object: the report, and the tensors and statistics where they are asked for.
-- @tparam table wanted tensors, stats = true; pattern
function listing.json(report, model, wanted)
   local s = core.json_report(report)
   if not (wanted.tensors or wanted.stats) then return cli.write(s, "\n") end
   cli.write(s:sub(1, -2))
   if wanted.tensors then tensors_as_json(model, wanted.pattern) end
   if wanted.stats then stats_as_json(model, wanted.pattern) end
   cli.write("}\n")
end

return listing
