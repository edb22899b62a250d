--- st.diff(a, b): where two models differ, and how much. Each pair of tensors is read once; equal bytes are known
-- without a look at the values.
-- Layer: Lua, above stlua.core.

local anatomy = require "stlua.anatomy"
local core = require "stlua.core"
local diff_text = require "stlua.diff_text"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local map = require "stlua.map"
local pattern = require "stlua.pattern"
local text = require "stlua.text"

local diff = {}

-- ---------------------------------------------------------------- two tensors

local function isnan(x) return core.apply("ne", x, x) end

local function both(x, y) return core.apply("bitwise_and", x, y) end

-- What values are compared as; integers of 64 bits are counted as they are, and measured as F64.
local function operand(t) return dtype.is_float(t:dtype()) and t or t:cast("F64") end

-- Deferred: elements that differ; of the difference the largest and the norm; norms and product of both.
local function deferred(a, b, x, y)
   local delta = x - y
   return { core.apply("ne", a, b):count_nonzero(), delta:norm(math.huge), delta:norm(), x:norm(), y:norm(),
      x:dot(y) }
end

local function computed(list)
   core.force_all(list)
   for i, t in ipairs(list) do list[i] = t:item() end
   return list
end

-- Where there are NaN or infinities: the numbers are those of the elements that are finite in both.
local function finite_only(a, b, x, y)
   local fine = both(x:isfinite(), y:isfinite())
   local found = deferred(a, b, core.apply("where", fine, x, 0), core.apply("where", fine, y, 0))
   found[1] = both(core.apply("ne", a, b),
      core.apply("bitwise_not", both(isnan(x), isnan(y)))):count_nonzero()
   found[7], found[8] = x:isfinite():count_nonzero(), y:isfinite():count_nonzero()
   return computed(found)
end

local function quotient(x, y) return x == 0 and 0 or x / y end

-- Of norms that F64 does not hold (values above 1e154) nobody knows it: as large as can be.
local function ratio(x, y)
   local q = quotient(x, y)
   return q == q and q or math.huge
end

-- U64 and a signed dtype: no integer holds both.
local function without_common(p, q)
   return p == "U64" and dtype.kind[q] == "int" or q == "U64" and dtype.kind[p] == "int"
end

local function measure(row, a, b)
   local x, y = operand(a), operand(b)
   local mixed = dtype.is_float(a:dtype()) or dtype.is_float(b:dtype()) or without_common(a:dtype(), b:dtype())
   local p, q = mixed and x or a, mixed and y or b
   local found = computed(deferred(p, q, x, y))
   local sum = found[4] + found[5]
   if sum - sum ~= 0 then
      found = finite_only(p, q, x, y)
      if found[7] + found[8] < 2 * row.numel then row.not_finite = { row.numel - found[7], row.numel - found[8] } end
   end
   row.differing, row.max_abs, row.distance = found[1], found[2], found[3]
   row.norms, row.dot = { found[4], found[5] }, found[6]
   row.relative = ratio(row.distance, row.norms[1])
   row.cosine = quotient(row.dot, row.norms[1] * row.norms[2])
   row.equal = row.differing == 0 and row.dtypes[1] == row.dtypes[2]
end

local function same_shape(a, b) return text.shape(a:shape()) == text.shape(b:shape()) end

-- Whether the values can be computed with; if not, only bytes tell.
local function computable(t)
   local kind = dtype.kind[t:dtype()]
   return not t:quant() and kind ~= "raw" and kind ~= "complex"
end

-- Two tensors: a row of the result.
local function pair(a, b)
   local row = { dtypes = { a:dtype(), b:dtype() }, shapes = { a:shape(), b:shape() }, numel = a:numel() }
   local comparable = computable(a) and computable(b)
   if not same_shape(a, b) then
      row.equal = false
   elseif a:numel() == 0 then
      row.equal = a:dtype() == b:dtype()
   elseif a:dtype() == b:dtype() and (not comparable or (a:is_leaf() and b:is_leaf())) and a:identical(b) then
      row.equal, row.identical = true, true
      row.differing, row.max_abs, row.distance, row.relative = 0, 0.0, 0.0, 0.0
   elseif comparable then
      measure(row, a, b)
   else
      row.equal = false
   end
   return row
end

-- ---------------------------------------------------------------- two models

local function metadata(a, b)
   local x, y = a:metadata(), b:metadata()
   local keys, found = {}, {}
   for key in pairs(x) do keys[#keys + 1] = key end
   for key in pairs(y) do
      if x[key] == nil then keys[#keys + 1] = key end
   end
   table.sort(keys)
   for _, key in ipairs(keys) do
      if x[key] ~= y[key] then found[#found + 1] = { key = key, a = x[key], b = y[key] } end
   end
   return found
end

-- Adds a tensor to what is known of its block.
local function add(sum, row)
   sum.tensors, sum.numel = sum.tensors + 1, sum.numel + row.numel
   if row.equal then return end
   sum.differ = sum.differ + 1
   if not row.differing then return end
   sum.measured = sum.measured + 1
   sum.differing, sum.max_abs = sum.differing + row.differing, math.max(sum.max_abs, row.max_abs)
   sum.squares, sum.dot = sum.squares + row.distance ^ 2, sum.dot + row.dot
   sum.of_a, sum.of_b = sum.of_a + row.norms[1] ^ 2, sum.of_b + row.norms[2] ^ 2
end

local function empty(name)
   return { name = name, tensors = 0, numel = 0, differ = 0, differing = 0, max_abs = 0.0, measured = 0,
      squares = 0.0, dot = 0.0, of_a = 0.0, of_b = 0.0 }
end

-- The sums as the numbers that are shown.
local function finish(sum)
   sum.relative = math.sqrt(ratio(sum.squares, sum.of_a))
   sum.cosine = sum.measured > 0 and quotient(sum.dot, math.sqrt(sum.of_a * sum.of_b)) or nil
   sum.squares, sum.dot, sum.of_a, sum.of_b, sum.measured = nil, nil, nil, nil, nil
   return sum
end

-- Rows get their block and kind; gives the blocks, and the cells of a table of blocks and kinds.
local function summarize(d, model)
   local names = {}
   for i, row in ipairs(d) do names[i] = row.name end
   local place, labels, kinds = anatomy.of(names, model)
   local by_block, cells = {}, {}
   d.blocks, d.kinds = {}, kinds
   for i, label in ipairs(labels) do
      by_block[label], cells[label] = empty(label), {}
      d.blocks[i] = by_block[label]
   end
   for _, row in ipairs(d) do
      row.block, row.kind = place(row.name)
      local in_block = cells[row.block]
      in_block[row.kind] = in_block[row.kind] or empty(row.kind)
      add(by_block[row.block], row)
      add(in_block[row.kind], row)
   end
   for _, block in ipairs(d.blocks) do
      finish(block).kinds = cells[block.name]
      for _, cell in pairs(block.kinds) do finish(cell) end
   end
end

local KNOWN = { only = "string|table|function", progress = "function" }

-- Bytes of all tensors that will be compared, for the progress.
local function total_of(a, test)
   local total = 0
   for i = 1, a:count() do
      if test(a:name(i)) then total = total + a:tensor(i):nbytes() end
   end
   return total
end

local function compare(a, b, opts)
   local test, unused = pattern.only(opts.only)
   local d = { equal = 0, only_a = {}, only_b = {}, labels = { lineage.formula(a), lineage.formula(b) } }
   local total, done = opts.progress and total_of(a, test), 0
   for i = 1, a:count() do
      local name = a:name(i)
      if test(name) then
         local t = a:tensor(i)
         local j = b:find(name)
         if j then
            local row = pair(t, b:tensor(j))
            row.name = name
            d[#d + 1] = row
            if row.equal then d.equal = d.equal + 1 end
         else
            d.only_a[#d.only_a + 1] = name
         end
         done = done + t:nbytes()
         if total then opts.progress(done, total) end
      end
   end
   for i = 1, b:count() do
      local name = b:name(i)
      if test(name) and not a:find(name) then d.only_b[#d.only_b + 1] = name end
   end
   pattern.check_used(unused, "st.diff", { a, b }, "either model")
   d.metadata = metadata(a, b)
   d.same_tensors = d.equal == #d and #d.only_a == 0 and #d.only_b == 0
   d.same = d.same_tensors and #d.metadata == 0
   summarize(d, a)
   return setmetatable(d, { __tostring = diff_text.summary })
end

--- Compares two models, or two tensors, name by name. Every pair is read once; what has the same bytes is not looked
-- at further.
--
--     > a = st.open("a.safetensors"):select("*norm*")
--     > b = st.map(a, function(name, t) return name:find("%.3%.") and t * 2 or t end)
--     > st.diff(a, b)
--     name                        changed  max |a - b|  |a - b| / |a|   cosine
--     model.layers.3.norm.weight    100 %      0.09912              1  1.00000  ████████████████████████
--     3 tensors equal, 1 differ
-- @tparam model|tensor a
-- @tparam model|tensor b
-- @tparam[opt] table opts of models: `only` = patterns of names; `progress` = function(done, total), in bytes of `a`
-- @treturn table of tensors: { equal, identical (the bytes are), differing (elements; NaN equals NaN), max_abs,
--   distance = |a - b|, relative = |a - b| / |a|, cosine, norms, dot, dtypes, shapes, numel, not_finite = how many are
--   NaN or infinite in each, where there are any (the numbers are those of the other elements) }. Without numbers where
--   shapes differ or nothing can be computed. Of models: such a table for each common name, in the order of `a`, with
--   `name`, `block` and `kind` added; and `equal` (how many are), `only_a`, `only_b` (names), `metadata` ({ key, a, b }
--   of what differs), `same` (nothing differs), `same_tensors`, `blocks` ({ name, tensors, differ, numel, differing,
--   max_abs, relative, cosine, kinds = the same by kind }; relative and cosine of the tensors that differ). Printed, a
--   table of what differs, the largest change first.
-- @raise "name" for a pattern in `only` that matches nothing
function diff.diff(a, b, opts)
   if map.is_tensor(a) and map.is_tensor(b) then return pair(a, b) end
   if not (map.is_model(a) and map.is_model(b)) then errors.throw("arg", "st.diff: two models, or two tensors") end
   return compare(a, b, errors.check_options(opts, KNOWN, "st.diff"))
end

return diff
