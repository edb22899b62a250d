--- The outline of a model: its names as a tree of blocks, in which layers that are alike stand on one line; and the
-- table behind m:summary().
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local text = require "stlua.text"

local outline = {}

-- ---------------------------------------------------------------- the tree of names

-- A node: children in order of first appearance (list of keys, and by key); tensors, bytes and elements below it. A
-- leaf has dtype and shape. `alike` is a text that is equal for nodes of equal structure.
local function new_node(key) return { key = key, keys = {}, children = {}, count = 0, bytes = 0, numel = 0 } end

local function child(node, key)
   local found = node.children[key]
   if not found then
      found = new_node(key)
      node.children[key] = found
      node.keys[#node.keys + 1] = key
   end
   return found
end

local function grow(model)
   local root = new_node("")
   for i = 1, model:count() do
      local name, dtype, shape, bytes = model:info(i)
      local numel = 1
      for _, n in ipairs(shape) do numel = numel * n end
      local path, node = { root }, root
      for segment in (name .. "."):gmatch("(.-)%.") do
         node = child(node, segment)
         path[#path + 1] = node
      end
      node.leaf = dtype .. " " .. text.shape(shape)
      for _, above in ipairs(path) do
         above.count, above.bytes, above.numel = above.count + 1, above.bytes + bytes, above.numel + numel
      end
   end
   return root
end

local function likeness(node)
   if not node.alike then
      local parts = {}
      for i, key in ipairs(node.keys) do parts[i] = key .. "(" .. likeness(node.children[key]) .. ")" end
      table.sort(parts)
      node.alike = (node.leaf or "") .. "{" .. table.concat(parts, ",") .. "}"
   end
   return node.alike
end

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

-- The blocks of a node: { label, node, times, bytes, numel }; numbered children of one structure are one block.
local function blocks(node)
   local list, by_likeness = {}, {}
   for _, key in ipairs(node.keys) do
      local one = node.children[key]
      local number = key:find("^%d+$") and #key < 10 and math.tointeger(tonumber(key))
      local block = number and by_likeness[likeness(one)]
      if not block then
         block = { label = key, node = one, times = 0, bytes = 0, numel = 0, numbers = number and {} }
         list[#list + 1] = block
         if number then by_likeness[likeness(one)] = block end
      end
      block.times, block.bytes, block.numel = block.times + 1, block.bytes + one.bytes, block.numel + one.numel
      if number then table.insert(block.numbers, number) end
   end
   for _, block in ipairs(list) do
      if block.numbers then block.label = ranges(block.numbers) end
   end
   return list
end

-- ---------------------------------------------------------------- printing

-- A row of the outline; `times` counts all copies of what it stands for. A node with one block only is joined to it:
-- "lm_head.weight".
local function row_of(block, depth, times)
   local label, node, copies = block.label, block.node, times * block.times
   local size, below = block.bytes * times, blocks(node)
   while #below == 1 and not node.leaf do
      label, node = label .. "." .. below[1].label, below[1].node
      copies = copies * below[1].times
      below = blocks(node)
   end
   return { label = label, node = node, depth = depth, times = copies, bytes = size, below = below }
end

-- Opens rows, the upper levels first, while all that comes to light fits into `budget` lines.
local function open_rows(root, budget)
   local rows = {}
   for _, block in ipairs(blocks(root)) do rows[#rows + 1] = row_of(block, 0, 1) end
   for depth = 0, 8 do
      local i = 1
      while i <= #rows do
         local row = rows[i]
         local more = #row.below
         if row.depth == depth and more > 0 and #rows + more <= budget then
            for k = more, 1, -1 do table.insert(rows, i + 1, row_of(row.below[k], depth + 1, row.times)) end
            i = i + more
         end
         i = i + 1
      end
   end
   return rows
end

local function what(row)
   if row.node.leaf and #row.below == 0 then
      return row.times > 1 and ("%d x %s"):format(row.times, row.node.leaf) or row.node.leaf
   end
   local tensors = text.plural(row.node.count, "tensor")
   return row.times > 1 and ("%d x %s"):format(row.times, tensors) or tensors
end

--- A model as a short tree of blocks, with counts and sizes.
-- @tparam model model
-- @tparam integer budget lines at most
-- @treturn {string,...} lines
function outline.tree(model, budget)
   local rows = open_rows(grow(model), budget)
   local cells, lines = {}, {}
   for i = 1, math.min(#rows, budget) do
      local row = rows[i]
      cells[i] = { ("  "):rep(row.depth) .. core.escape(row.label, 60), what(row), core.size(row.bytes) }
   end
   for line in text.columns(cells, { false, false, true }):gmatch("[^\n]+") do lines[#lines + 1] = line end
   if #rows > budget then lines[#lines + 1] = ("... %d more"):format(#rows - budget) end
   return lines
end

--- One line for each kind of tensor: layers that are alike are one, with how many there are, parameters and size.
-- @tparam model model
-- @treturn string
function outline.summary(model)
   local rows = { { "tensor", "dtype", "shape", "count", "parameters", "size" } }
   local total = { count = 0, numel = 0, bytes = 0 }
   local function walk(node, prefix, times)
      for _, block in ipairs(blocks(node)) do
         local copies, name = times * block.times, prefix .. block.label
         local one = block.node
         if one.leaf then
            local dtype, shape = one.leaf:match("^(%S+) (.*)$")
            local numel, bytes = one.numel, one.bytes
            for _, key in ipairs(one.keys) do      -- a name that is also the beginning of others
               numel, bytes = numel - one.children[key].numel, bytes - one.children[key].bytes
            end
            rows[#rows + 1] = { core.escape(name, 100), dtype, shape, text.thousands(copies),
               text.thousands(numel * copies), core.size(bytes * copies) }
            total.count, total.numel = total.count + copies, total.numel + numel * copies
            total.bytes = total.bytes + bytes * copies
         end
         walk(one, name .. ".", copies)
      end
   end
   walk(grow(model), "", 1)
   rows[#rows + 1] = { "all", "", "", text.thousands(total.count), text.thousands(total.numel),
      core.size(total.bytes) }
   return text.columns(rows, { false, false, false, true, true, true })
end

return outline
