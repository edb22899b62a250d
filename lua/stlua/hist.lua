--- t:hist(): a histogram of a tensor's values, drawn in text. Two streaming passes: the range, then the counts.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local map = require "stlua.map"
local text = require "stlua.text"

local hist = {}

local BINS, WIDTH = 16, 40

-- ---------------------------------------------------------------- counting

local function check(opts)
   opts = errors.check_options(opts, { bins = "number", min = "number", max = "number", width = "number" }, "hist")
   for name, most in pairs { bins = 1 << 16, width = 1000 } do
      local n = opts[name] or 1
      if math.type(n) ~= "integer" or n < 1 or n > most then
         errors.throwf("arg", "hist: %s is a whole number from 1 to %d, not %s", name, most, tostring(n))
      end
   end
   local low, high = opts.min or opts.max or 0, opts.max or opts.min or 0
   if low > high or low - low ~= 0 or high - high ~= 0 then
      errors.throwf("arg", "hist: a range from %g to %g", low, high)
   end
   return opts
end

-- What one pass finds: the extremes of the finite values, how many they are, and how many are NaN.
local function survey(x)
   local finite = x:isfinite()
   local found = {
      core.apply("where", finite, x, math.huge):amin(), core.apply("where", finite, x, -math.huge):amax(),
      finite:count_nonzero(), x:isnan():count_nonzero(),
   }
   core.force_all(found)
   for i, t in ipairs(found) do found[i] = t:item() end
   return table.unpack(found)
end

-- Bins of whole numbers: of one width, edges halfway between two numbers.
local function integer_edges(low, high, bins)
   local span = high - low + 1
   local step = math.max(1, -(-span // bins))
   local edges = {}
   for i = 0, math.max(1, -(-span // step)) do edges[i + 1] = low - 0.5 + i * step end
   return edges
end

local function float_edges(low, high, bins)
   if low == high then return { low, high } end
   local edges = {}
   for i = 0, bins do edges[i + 1] = low * (1 - i / bins) + high * (i / bins) end      -- high - low may overflow
   return edges
end

-- The counts. Of integers the last bin may be cut, at `last`.
local function count(x, edges, last)
   local low, high = edges[1], edges[#edges]
   if last and high > last + 0.5 then
      x = core.apply("where", core.apply("le", x, last), x, 0 / 0)
      edges[#edges] = last + 0.5
   end
   if low == high then return { x:eq(low):count_nonzero():item() } end
   local scale = high - low == math.huge and 0.25 or 1
   if scale ~= 1 then x = x:cast("F64") * scale end
   return core.histogram(x, #edges - 1, low * scale, high * scale):totable()
end

local meta = {}

--- Counts a tensor's values in equal parts of a range, and draws them as bars when printed. Streams: the tensor is read
-- twice. NaN, infinities and what lies outside a given range are left out, and their numbers told. Bins of integers
-- and booleans hold whole numbers: one each where there is room.
--
--     > st.manual_seed(1)
--     > st.randn(1000):hist { bins = 5, width = 20 }
--     Histogram[1,000 values, F32]
--     from    to  count
--     -3.1  -1.8     33  █▍
--     -1.8  -0.5    261  ██████████▌
--     -0.5   0.8    497  ████████████████████
--      0.8   2.1    188  ███████▋
--      2.1   3.4     21  ▉
-- @tparam tensor t
-- @tparam[opt] table opts `bins` = 16 (at most, for integers); `min`, `max`: the range (default: from the smallest
-- finite element to the largest); `width` = 40, of the longest bar
-- @treturn table { counts, edges (one more than counts; none where there is nothing to count), numel, nan, inf,
-- outside }. Printed, a histogram.
-- @raise "dtype", "quant" for tensors that cannot be computed with
function hist.hist(t, opts)
   if not map.is_tensor(t) then
      errors.throwf("arg", "hist: a tensor, not a %s", map.is_model(t) and 'model: m["name"]:hist() draws one of its '
         .. "tensors, m:stats() tells about all" or type(t))
   end
   opts = check(opts)
   local is_float = dtype.is_float(t:dtype())
   local x = is_float and t or t:cast("F64")
   local low, high, finite, nan = math.huge, -math.huge, 0, 0
   if t:numel() > 0 then low, high, finite, nan = survey(x) end
   local h = { counts = {}, edges = {}, numel = t:numel(), nan = nan, inf = t:numel() - finite - nan, outside = finite,
      dtype = t:dtype(), width = opts.width or WIDTH, integer = not is_float }
   low, high = opts.min or low, opts.max or high
   if not is_float then low, high = math.ceil(low), math.floor(high) end
   if finite > 0 and low <= high then
      h.edges = (is_float and float_edges or integer_edges)(low, high, opts.bins or BINS)
      h.counts = count(x, h.edges, not is_float and high)
      for _, n in ipairs(h.counts) do h.outside = h.outside - n end
   end
   return setmetatable(h, meta)
end

-- ---------------------------------------------------------------- drawing

-- Edges with as many digits as tell them apart, and one more.
local function edge_format(edges)
   local largest = math.max(math.abs(edges[1]), math.abs(edges[#edges]))
   local step = (edges[#edges] - edges[1]) / (#edges - 1)
   if not (step > 0 and step < math.huge and largest > 0) then return "%.6g" end
   local digit = math.floor(math.log(step, 10)) - 1
   if largest >= 1e-3 and largest < 1e6 then return ("%%.%df"):format(math.max(0, math.min(17, -digit))) end
   return ("%%.%de"):format(math.max(1, math.min(17, math.floor(math.log(largest, 10)) - digit)))
end

local function float_row(h, i, format)
   local function edge(k) return (format:format(h.edges[k]):gsub("^%-(0%.?0*)$", "%1")) end
   return { edge(i), edge(i + 1) }
end

local function integer_row(h, i)
   return { ("%.0f"):format(h.edges[i] + 0.5), ("%.0f"):format(h.edges[i + 1] - 0.5) }
end

local function headline(h)
   local parts, counted = {}, 0
   for _, n in ipairs(h.counts) do counted = counted + n end
   for _, entry in ipairs { { h.nan, "NaN" }, { h.inf, "infinite" }, { h.outside, "outside" } } do
      if entry[1] > 0 then parts[#parts + 1] = text.thousands(entry[1]) .. " " .. entry[2] end
   end
   local values = text.thousands(counted) .. (counted == 1 and " value" or " values")
   return ("Histogram[%s, %s%s]"):format(values, h.dtype,
      #parts > 0 and "; left out: " .. table.concat(parts, ", ") or "")
end

function meta.__tostring(h)
   if #h.counts == 0 then return headline(h) end
   local most, rows = 0, {}
   for _, n in ipairs(h.counts) do most = math.max(most, n) end
   local format = edge_format(h.edges)
   local single = h.integer and h.edges[2] - h.edges[1] == 1
   for i, n in ipairs(h.counts) do
      local row = h.integer and integer_row(h, i) or float_row(h, i, format)
      if single then table.remove(row) end
      table.move({ text.thousands(n), text.bar(n, most, h.width) }, 1, 2, #row + 1, row)
      rows[i] = row
   end
   table.insert(rows, 1, single and { "value", "count", "" } or { h.integer and "first" or "from",
      h.integer and "last" or "to", "count", "" })
   return headline(h) .. "\n" .. text.columns(rows, single and { true, true, false } or { true, true, true, false })
end

core.Tensor.hist = hist.hist

return hist
