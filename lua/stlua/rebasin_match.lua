--- Weight matching: the permutations of B's groups that bring B nearest to A, one group after the other (Ainsworth et
-- al., 2022, algorithm 1). With all others held, the best permutation of one group is a linear assignment problem; what
-- is gained each time is that much of the sum of A * B over all tensors.
--
-- Tensors are read in pieces; what is held are three matrices of units x units, and a piece of A and of B.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local groups = require "stlua.rebasin_groups"
local reduce = require "stlua.reduce"

local match = {}

local GAIN = 1e-6      -- share of the sum below which a gain is rounding

match.piece = 1 << 24      -- elements of a tensor that are looked at at once

-- ---------------------------------------------------------------- pieces of tensors

-- Lua does not know how much memory stands behind a tensor: after so many bytes it is told to look.
local ENOUGH, handed = 1 << 26, 0

local function collect(elements)
   handed = handed + 4 * elements
   if handed < ENOUGH then return end
   collectgarbage()
   handed = 0
end

-- The longest dimension but one, along which a tensor is cut.
local function dimension_to_cut(sizes, but)
   local dim
   for d, size in ipairs(sizes) do
      if d ~= but and (not dim or size > sizes[dim]) then dim = d end
   end
   return dim
end

-- Calls fn(start, count, dim) for pieces of at most match.piece elements; dim is nil for a tensor in one piece.
local function each_piece(sizes, but, fn)
   local numel, dim = 1, dimension_to_cut(sizes, but)
   for _, size in ipairs(sizes) do numel = numel * size end
   if numel <= match.piece or not dim then return fn(1, 0, nil) end
   local step = math.max(1, match.piece // (numel // sizes[dim]))
   for start = 1, sizes[dim], step do fn(start, math.min(step, sizes[dim] - start + 1), dim) end
end

-- Part of a tensor. Whatever is looked at through a view stays in memory with its model, so that there is none here
-- but of what lies together.
local function cut(t, start, count, dim)
   if not dim then return t end
   if dim == 1 then return t:narrow(1, start, count) end
   return core.index_select(t, dim, core.apply("add", core.iota(count), start - 1))
end

-- A's piece, in memory of its own.
local function plain_piece(t, start, count, dim)
   local piece = cut(t, start, count, dim)
   return (not dim or dim == 1) and piece:clone() or piece
end

-- B's piece, permuted by all groups but one, in memory of its own. What is cut away is not read.
local function permuted_piece(spec, name, t, except, start, count, dim)
   local piece = t
   for _, axis in ipairs(spec.axes[name]) do
      local at = axis.group ~= except and groups.places(axis)
      if at and axis.dim == dim then
         piece, dim = core.index_select(piece, dim, at:narrow(1, start, count)), nil
      elseif at then
         piece = core.index_select(piece, axis.dim, at)
      end
   end
   if piece == t then return plain_piece(t, start, count, dim) end
   return cut(piece, start, count, dim)
end

-- ---------------------------------------------------------------- similarities

-- The axis in front: rows are units, or, where a unit's elements may move, its elements.
local function as_rows(t, axis, width)
   local sizes, pre, post = t:shape(), 1, 1
   for d = 1, axis.dim - 1 do pre = pre * sizes[d] end
   for d = axis.dim + 1, #sizes do post = post * sizes[d] end
   local n = axis.group.n
   local across = axis.size // (axis.outer * n * width)
   if pre * axis.outer * across == 1 then return t:reshape(n * width, post) end
   if axis.outer * across == 1 and post == 1 then return t:reshape(pre, n * width):permute(2, 1) end
   return t:reshape(pre, axis.outer, n, across, width, post):permute(3, 5, 1, 2, 4, 6):reshape(n * width, -1)
end

-- sum + a b', computed; the old sum's memory is free at once.
local function add_product(sum, a, b)
   local product <close> = core.matmul(a, b:permute(2, 1))
   if not sum then return product:clone() end
   local old <close> = sum
   local new <close> = core.apply("add", old, product)
   return new:clone()
end

-- How alike each unit (element) of A is to each of B, over the axes of a part that `use` accepts; nil without any.
local function similarity(spec, a, b, part, use, sum)
   local width = part.free and part.width or 1      -- a rigid unit's elements go with the columns
   for _, axis in ipairs(part.axes) do
      local x, y = a:get(axis.tensor), b:get(axis.tensor)
      local rows = axis.group.n * width
      if use and not use(axis) then goto next end
      each_piece(x:shape(), axis.dim, function(start, count, dim)
         local one = plain_piece(x, start, count, dim)
         local other = permuted_piece(spec, axis.tensor, y, axis.group, start, count, dim)
         sum = add_product(sum, as_rows(one, axis, width), as_rows(other, axis, width))
         collect(one:numel() * 2 + rows * rows * 3)
      end)
      ::next::
   end
   return sum
end

-- The sum of a matrix's elements [i, at[i]].
local function sum_at(matrix, at)
   return reduce.sum(core.take(matrix, 2, at:reshape(-1, 1)):cast("F64")):item()
end

local function from_zero(list)
   local packed = {}
   for i, x in ipairs(list) do packed[i] = string.pack("<i8", x - 1) end
   return core.tensor("I64", { #list }, table.concat(packed))
end

-- ---------------------------------------------------------------- a free part

-- Units' elements in their best order, for each pair of units: what it gives (n x n), and the order (n x n x width).
local function best_inside(sum, n, width)
   local blocks <close> = sum:reshape(n, width, n, width):permute(1, 3, 2, 4):clone()
   local _, order = core.linear_sum_assignment(blocks, true)
   order = order:clone()
   local value = core.take(blocks, 4, order:reshape(n, n, width, 1))
   return reduce.sum(value:cast("F64"):reshape(n, n, width), 3):clone(), order
end

-- The order of the elements of the chosen units, as lists.
local function chosen_orders(order, units, n, width)
   local at = from_zero(units):reshape(n, 1, 1):expand(n, 1, width)
   local values, lists = core.take(order, 2, at):reshape(-1):values(1, n * width), {}
   for i = 1, n do
      lists[i] = {}
      for d = 1, width do lists[i][d] = values[(i - 1) * width + d] + 1 end
   end
   return lists
end

local function current_value(group, part, sum)
   local list, inner = {}, group.inner[part.name]
   for i, u in ipairs(group.units) do
      for d = 1, part.width do list[#list + 1] = (u - 1) * part.width + (inner and inner[i][d] or d) end
   end
   return sum_at(sum, from_zero(list))
end

-- ---------------------------------------------------------------- a group

local function sorted_parts(group)
   local names, list = {}, {}
   for name in pairs(group.parts) do names[#names + 1] = name end
   table.sort(names)
   for i, name in ipairs(names) do list[i] = group.parts[name] end
   return list
end

-- What every pair of units would give (n x n); what the group gives as it is; the orders of free parts.
local function values_of(spec, a, b, group, use)
   local total, rigid, now, orders = nil, nil, 0, {}
   for _, part in ipairs(sorted_parts(group)) do
      if not part.free then
         rigid = similarity(spec, a, b, part, use, rigid)
      else
         local sum <close> = similarity(spec, a, b, part, use)
         if sum then
            local value
            now = now + current_value(group, part, sum)
            value, orders[part.name] = best_inside(sum, group.n, part.width)
            total = total and (total + value):clone() or value
         end
      end
   end
   if rigid then
      now = now + sum_at(rigid, from_zero(group.units))
      total = total and (total + rigid):clone() or rigid
   end
   return total, now, orders
end

-- Finds the best order of one group, by the axes that `use` accepts (nil: all). Returns what is gained, nil where
-- nothing is better than the present order.
local function improve(spec, a, b, group, use)
   local total, now, orders = values_of(spec, a, b, group, use)
   local best <close> = total
   local _, columns = core.linear_sum_assignment(best, true)
   columns = columns:clone()
   local gain = sum_at(best, columns) - now
   if gain <= GAIN * math.abs(now + gain) then return nil end
   local units, inner = columns:values(1, group.n), {}
   for i, u in ipairs(units) do units[i] = u + 1 end
   for name, order in pairs(orders) do
      inner[name] = chosen_orders(order, units, group.n, group.parts[name].width)
   end
   groups.set(group, units, inner)
   return gain
end

-- ---------------------------------------------------------------- where to begin

-- Whether a tensor's other axes stay or belong to groups that are done.
local function is_anchored(spec, axis, done)
   for _, other in ipairs(spec.axes[axis.tensor]) do
      if other.group ~= axis.group and not done[other.group] then return false end
   end
   return true
end

local function anchored_share(spec, group, done)
   local anchored, all = 0, 0
   for _, axis in ipairs(group.axes) do
      all = all + axis.elements
      if is_anchored(spec, axis, done) then anchored = anchored + axis.elements end
   end
   return anchored / all
end

-- The group that the most of its weights tell the order of; of equal ones the first in the list.
local function next_group(spec, order, done)
   local best, most = nil, -1
   for _, i in ipairs(order) do
      local group = spec.groups[i]
      local share = done[group] and -1 or anchored_share(spec, group, done)
      if share > most then best, most = group, share end
   end
   return best, most
end

local function has_moved(axes)
   for _, axis in ipairs(axes) do
      if axis.group.moved then return true end
   end
   return false
end

-- What the permutations add to the sum of A * B.
local function whole_gain(spec, a, b)
   local gain = 0
   local function add(name, x, y)
      each_piece(x:shape(), nil, function(start, count, dim)
         local one, plain = cut(x, start, count, dim), cut(y, start, count, dim)
         local now = core.dot(one, permuted_piece(spec, name, y, nil, start, count, dim))
         gain = gain + now:item() - core.dot(one, plain):item()
         collect(2 * one:numel())
      end)
   end
   for _, name in ipairs(spec.names) do
      if has_moved(spec.axes[name]) then add(name, a:get(name), b:get(name)) end
   end
   return gain
end

-- A first order of all groups, each by those weights alone whose other axes have theirs: what is hidden behind
-- permutations that are not known yet would only draw it to where it is. Where that is no gain, nothing moves.
-- Returns the gain, and the groups of which not all weights were heard.
local function begin(spec, a, b, order)
   local done, partly = {}, {}
   for _ = 1, #order do
      local group, share = next_group(spec, order, done)
      local function use(axis) return is_anchored(spec, axis, done) end
      improve(spec, a, b, group, share > 0 and use or nil)
      done[group] = true
      if share < 1 then partly[group] = true end
   end
   local gain = whole_gain(spec, a, b)
   if gain > 0 then return gain, partly end
   for _, group in ipairs(spec.groups) do
      if group.moved then groups.set(group, groups.identity(group.n), {}) end
      partly[group] = true
   end
   return 0, partly
end

-- ---------------------------------------------------------------- all groups

-- Numbers 1 .. n in an order that the seed and the round tell.
local function shuffled(n, seed, round)
   local keys, list = core.random("rand", "F64", { n }, seed, round):values(1, n), {}
   for i = 1, n do list[i] = i end
   table.sort(list, function(i, j) return keys[i] < keys[j] or keys[i] == keys[j] and i < j end)
   return list
end

-- The groups that share a tensor with each group.
local function neighbours(spec)
   local near = {}
   for _, group in ipairs(spec.groups) do near[group] = {} end
   for _, axes in pairs(spec.axes) do
      for _, x in ipairs(axes) do
         for _, y in ipairs(axes) do
            if x.group ~= y.group then near[x.group][y.group] = true end
         end
      end
   end
   return near
end

--- Permutes the groups of a spec, round by round, until none can be improved. A group is looked at again only when one
-- that shares a tensor with it has changed.
-- @tparam table spec as of groups.of; its groups change
-- @tparam model a
-- @tparam model b
-- @tparam integer seed of the order in which groups are looked at
-- @tparam integer iterations rounds, at most
-- @treturn {number,...} what was gained: to begin with, then improvement after improvement
-- @treturn integer rounds
function match.run(spec, a, b, seed, iterations)
   local near, n = neighbours(spec), #spec.groups
   local gain, stale = begin(spec, a, b, shuffled(n, seed, 0))
   local gains = gain > 0 and { gain } or {}
   for round = 1, iterations do
      if not next(stale) then return gains, round - 1 end
      for _, i in ipairs(shuffled(n, seed, round)) do
         local group = spec.groups[i]
         gain = stale[group] and improve(spec, a, b, group)
         stale[group] = nil
         if gain then
            gains[#gains + 1] = gain
            for other in pairs(near[group]) do stale[other] = true end
         end
      end
   end
   return gains, iterations
end

return match
