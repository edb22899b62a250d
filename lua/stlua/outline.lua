--- The outline of a model: its names as a tree of blocks, in which layers that are alike stand on one line; and the
-- table behind m:summary().
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local text = require "stlua.text"

local outline = {}

local MOST = 1000   -- blocks of one level that a short outline looks at
local MANY = 8      -- tensors of one shape that stand on one line

-- { 0, 1, 2, 5 } -> "0-2,5"
local function ranges(numbers)
   table.sort(numbers)
   local parts, i = {}, 1
   while i <= #numbers do
      local j = i
      while numbers[j + 1] == numbers[j] + 1 do j = j + 1 end
      parts[#parts + 1] = i == j and ("%d"):format(numbers[i]) or ("%d-%d"):format(numbers[i], numbers[j])
      i = j + 1
   end
   return table.concat(parts, ",")
end

-- The core gives blocks: { key, below = their blocks, times, count = tensors in one of them, bytes = of all of them;
-- leaf, own_bytes, own_numel where a tensor has that name; numbers where it stands for several of one structure }.
local function label_of(block) return block.numbers and ranges(block.numbers) or block.key end

-- ---------------------------------------------------------------- printing

-- A row of the outline; `times` counts all copies of what it stands for. A block with one block only is joined to it:
-- "lm_head.weight".
local function row_of(block, depth, times)
   local label, copies, bytes = label_of(block), times * block.times, block.bytes * times
   if block.more then label = label .. ", ..." end
   while #block.below == 1 and not block.leaf do
      block = block.below[1]
      label, copies = label .. "." .. label_of(block), copies * block.times
   end
   return { label = label, block = block, depth = depth, times = copies, bytes = bytes, below = block.below }
end

-- Where many of a node's tensors have one shape they share a line: "alphas_cumprod, ..." and how many.
local function fold(list)
   local counts, out, folded = {}, {}, {}
   local function kind(block) return not block.numbers and #block.below == 0 and block.leaf end
   for _, block in ipairs(list) do
      local k = kind(block)
      if k then counts[k] = (counts[k] or 0) + 1 end
   end
   for _, block in ipairs(list) do
      local k = kind(block)
      local first = k and folded[k]
      if first then
         first.times, first.bytes = first.times + 1, first.bytes + block.bytes
      else
         if k and counts[k] >= MANY then
            folded[k] = block
            block.more = true
         end
         out[#out + 1] = block
      end
   end
   return out
end

local function by_bytes(a, b) return a.bytes > b.bytes end

-- The `n` largest blocks of a list, in its order.
local function largest(list, n)
   local sizes = {}
   for i, block in ipairs(list) do sizes[i] = block.bytes end
   table.sort(sizes)
   local least, ties, out = sizes[#sizes - n + 1], n, {}
   for _, block in ipairs(list) do
      if block.bytes > least then ties = ties - 1 end
   end
   for _, block in ipairs(list) do
      local tie = block.bytes == least and ties > 0
      if tie then ties = ties - 1 end
      if tie or block.bytes > least then out[#out + 1] = block end
   end
   return out
end

-- The blocks of the uppermost level as rows: all that fit, else the largest. Gives how many are left out, too.
local function first_rows(list, budget)
   local left_out = list.left_out or 0
   list = fold(list)
   local kept, rows = #list > budget and largest(list, budget) or list, {}
   for i, block in ipairs(kept) do rows[i] = row_of(block, 0, 1) end
   return rows, #list - #kept + left_out
end

-- Opens rows, the upper levels and the largest first, while all that comes to light fits into `budget` lines.
local function open_rows(list, budget)
   local rows, left_out = first_rows(list, budget)
   for depth = 0, 8 do
      local closed = {}
      for _, row in ipairs(rows) do
         if row.depth == depth and #row.below > 0 then closed[#closed + 1] = row end
      end
      table.sort(closed, by_bytes)
      for _, row in ipairs(closed) do
         local below = fold(row.below)
         if #rows + #below <= budget and not row.below.left_out then
            local at = 1
            while rows[at] ~= row do at = at + 1 end
            for k = #below, 1, -1 do table.insert(rows, at + 1, row_of(below[k], depth + 1, row.times)) end
         end
      end
   end
   return rows, left_out
end

local function what(row)
   local block = row.block
   if block.leaf and #block.below == 0 then
      return row.times > 1 and ("%d x %s"):format(row.times, block.leaf) or block.leaf
   end
   local tensors = text.plural(block.count, "tensor")
   return row.times > 1 and ("%d x %s"):format(row.times, tensors) or tensors
end

--- A model as a short tree of blocks, with counts and sizes.
-- @tparam model model
-- @tparam integer budget lines at most
-- @treturn {string,...} lines
-- @treturn integer bytes of the whole model
function outline.tree(model, budget)
   local list, bytes = model:_outline(MOST)
   local rows, left_out = open_rows(list, budget)
   local cells, lines = {}, {}
   for i, row in ipairs(rows) do
      cells[i] = { ("  "):rep(row.depth) .. core.escape(row.label, 60), what(row), core.size(row.bytes) }
   end
   for line in text.columns(cells, { false, false, true }):gmatch("[^\n]+") do lines[#lines + 1] = line end
   if left_out > 0 then lines[#lines + 1] = ("... %d more"):format(left_out) end
   return lines, bytes
end

--- One line for each kind of tensor: layers that are alike are one, with how many there are, parameters and size.
-- @tparam model model
-- @treturn string
function outline.summary(model)
   local rows = { { "tensor", "dtype", "shape", "count", "parameters", "size" } }
   local total = { count = 0, numel = 0, bytes = 0 }
   local function walk(list, prefix, times)
      for _, block in ipairs(list) do
         local copies, name = times * block.times, prefix .. label_of(block)
         if block.leaf then
            local dtype, shape = block.leaf:match("^(%S+) (.*)$")
            local numel, bytes = block.own_numel * copies, block.own_bytes * copies
            rows[#rows + 1] = { core.escape(name, 100), dtype, shape, text.thousands(copies),
               text.thousands(numel), core.size(bytes) }
            total.count, total.numel, total.bytes = total.count + copies, total.numel + numel, total.bytes + bytes
         end
         walk(block.below, name .. ".", copies)
      end
   end
   walk(model:_outline(), "", 1)
   rows[#rows + 1] = { "all", "", "", text.thousands(total.count), text.thousands(total.numel),
      core.size(total.bytes) }
   return text.columns(rows, { false, false, false, true, true, true })
end

return outline
