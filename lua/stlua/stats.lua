--- m:stats(): what the values of each tensor of a model are like. Each tensor is read once.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local map = require "stlua.map"
local text = require "stlua.text"

local stats = {}

local COLUMNS = { "min", "max", "mean", "std", "nan", "inf" }

-- The deferred numbers about one tensor. Integers are looked at as F64.
local function describe(t)
   local x = dtype.is_float(t:dtype()) and t or t:cast("F64")
   return {
      min = x:amin(), max = x:amax(), mean = x:mean(), std = x:std(),
      nan = core.apply("ne", x, x):count_nonzero(),
      inf = core.apply("eq", x:abs(), math.huge):count_nonzero(),
   }
end

--- The statistics of one tensor.
-- @tparam tensor t
-- @tparam[opt] {tensor,...} more numbers about as many elements, computed in the same pass
-- @treturn table as st.stats gives it
function stats.of(t, more)
   local row = { dtype = t:dtype(), shape = t:shape(), numel = t:numel() }
   if t:numel() == 0 then return row end
   local ok, deferred = pcall(describe, t)
   if not ok then      -- quantised, or a dtype that is not computed on
      if not (errors.is(deferred) and (deferred.code == "quant" or deferred.code == "dtype")) then
         error(deferred, 0)
      end
      row.skipped = deferred.message
      return row
   end
   local list = {}
   for i, key in ipairs(COLUMNS) do list[i] = deferred[key] end
   core.force_all(table.move(more or {}, 1, #(more or {}), #list + 1, list))
   for _, key in ipairs(COLUMNS) do row[key] = deferred[key]:item() end
   return row
end

local function shown(v) return type(v) == "number" and ("%.6g"):format(v) or "" end

local meta = {}

function meta.__tostring(all)
   local rows = { { "name", "dtype", "shape", table.unpack(COLUMNS) } }
   for _, row in ipairs(all) do
      local cells = { core.escape(row.name), row.dtype, text.shape(row.shape) }
      for i, key in ipairs(COLUMNS) do cells[3 + i] = shown(row[key]) end
      rows[#rows + 1] = cells
   end
   return text.columns(rows, { false, false, false, true, true, true, true, true, true })
end

--- What the values of tensors are like: least, greatest, mean, standard deviation (over n - 1), and how many are NaN or
-- infinite. NaN carries over into the first four. Every tensor is read once.
--
--     > s = st.stats(st.tensor { 1.0, 2, 3 })
--     > s.min, s.max, s.mean, s.std, s.nan
--     1.0     3.0     2.0     1.0     0
-- @tparam model|tensor m
-- @treturn table of a tensor: { min, max, mean, std, nan, inf, numel, dtype, shape }; of a model: such a table for each
-- name, in order with `name` added, and by name. One that cannot be computed on has `skipped` = why. Printed, a table.
function stats.stats(m)
   if map.is_tensor(m) then return stats.of(m) end
   if not map.is_model(m) then errors.throwf("arg", "stats: a model or a tensor, not a %s", type(m)) end
   local all = {}
   for name, t in pairs(m) do
      local row = stats.of(t)
      row.name = name
      all[#all + 1] = row
      all[name] = row
   end
   return setmetatable(all, meta)
end

core.Model.stats = stats.stats
core.Tensor.stats = stats.stats

return stats
