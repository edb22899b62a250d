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
   return x, { min = x:amin(), max = x:amax(), mean = x:mean(), squares = core.dot(x, x) }
end

-- The standard deviation from the sum of squares, in a quarter of the time; where that would lose more than six of its
-- sixteen digits (a mean far larger than it), in the way that loses none.
local function deviation(row, x)
   local n, squares = row.numel, row.squares
   local rest = squares - n * row.mean ^ 2
   row.squares = nil
   if rest == rest and rest <= 1e-6 * squares then return x:std():item() end
   return math.sqrt(rest / (n - 1))
end

-- The same of the finite values, of which there are n. Some dtypes know no infinity to put in the place of others.
local function finite_of(x, n)
   if n == 0 then return nil end
   local wide = x:dtype() == "F64" and x or x:cast("F32")
   local fine = core.apply("lt", wide:abs(), math.huge)
   local rest = core.apply("where", fine, wide, 0)
   local min = core.apply("where", fine, wide, math.huge):amin()
   local max = core.apply("where", fine, wide, -math.huge):amax()
   local mean, squares = rest:mean(), core.dot(rest, rest)
   core.force_all { min, max, mean, squares }
   local found = { min = min:item(), max = max:item(), mean = mean:item() * x:numel() / n }
   local variance = squares:item() - n * found.mean ^ 2
   if n > 1 and found.min == found.max then found.std = 0.0 end
   -- Where most digits are lost, and of one value, there is none.
   if n > 1 and variance > 1e-6 * squares:item() then found.std = math.sqrt(variance / (n - 1)) end
   return found
end

-- How many NaN and infinities there are. A sum of finite numbers is finite: where the mean is, nobody need count.
local function count_strange(row, x)
   row.nan, row.inf = 0, 0
   if row.mean == row.mean and math.abs(row.mean) < math.huge then return end
   local nan = core.apply("ne", x, x):count_nonzero()
   local inf = core.apply("eq", x:abs(), math.huge):count_nonzero()
   core.force_all { nan, inf }
   row.nan, row.inf = nan:item(), inf:item()
   if row.nan > 0 then row.finite = finite_of(x, row.numel - row.nan - row.inf) end
end

--- The statistics of one tensor.
-- @tparam tensor t
-- @tparam[opt] {tensor,...} more numbers about as many elements, computed in the same pass
-- @treturn table as st.stats gives it
function stats.of(t, more)
   local row = { dtype = t:dtype(), shape = t:shape(), numel = t:numel() }
   if t:numel() == 0 then return row end
   local ok, x, deferred = pcall(describe, t)
   if not ok then      -- quantised, or a dtype that is not computed on
      if not (errors.is(x) and (x.code == "quant" or x.code == "dtype")) then error(x, 0) end
      row.skipped = x.message
      return row
   end
   local list = table.move(more or {}, 1, #(more or {}), 5, { deferred.min, deferred.max, deferred.mean,
      deferred.squares })
   core.force_all(list)
   for key, number in pairs(deferred) do row[key] = number:item() end
   row.std = deviation(row, x)
   count_strange(row, x)
   return row
end

local function shown(v)
   if type(v) ~= "number" then return "" end
   return v == v and ("%.6g"):format(v) or "nan"
end

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
-- infinite. NaN carries over into the first four; `finite` has those of the finite values then. Every tensor is read
-- once, those with infinities twice, with NaN three times.
--
--     > s = st.stats(st.tensor { 1.0, 2, 3 })
--     > s.min, s.max, s.mean, s.std, s.nan
--     1.0     3.0     2.0     1.0     0
-- @tparam model|tensor m
-- @treturn table of a tensor: { min, max, mean, std, nan, inf, finite, numel, dtype, shape }; of a model: such a table
-- for each name, in order with `name` added, and by name. One that cannot be computed on has `skipped` = why. Printed,
-- a table.
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
