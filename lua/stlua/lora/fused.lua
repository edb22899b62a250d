--- Modules that one format has whole and another in parts: Flux' and SD 3's qkv. Joined, the parts' A stand one behind
-- the other, their B in blocks along the diagonal; where all parts have one A, it stays as it is. Split, the other way;
-- where blocks beside the diagonal are not zero, every part gets the whole A. Both are exact, and undo each other.
-- Layer: Lua, above stlua.core.
--
-- A module here: up (rows, rank), down (rank, columns), rank, alpha.

local core = require "stlua.core"
local making = require "stlua.make"
local math_ = require "stlua.merge_math"
local reduce = require "stlua.reduce"

local fused = {}

local function same_down(parts, n)
   if #parts ~= n then return false end
   for i = 2, n do
      local one, other = parts[1], parts[i]
      if one.alpha ~= other.alpha or one.down:dtype() ~= other.down:dtype() or not one.down:identical(other.down) then
         return false
      end
   end
   return true
end

-- t by a factor, computed in F32 unless it is 1.
local function times(t, factor)
   return factor == 1 and t or (math_.wide(t) * factor):cast(t:dtype())
end

-- Rows of zeros where a part is not there; in the columns of the others.
local function block_rows(part, count, at, rank, kind)
   if not part then return making.zeros(count, rank, { dtype = kind }) end
   local pieces = {}
   if at > 0 then pieces[1] = making.zeros(count, at, { dtype = kind }) end
   pieces[#pieces + 1] = part.up
   local rest = rank - at - part.rank
   if rest > 0 then pieces[#pieces + 1] = making.zeros(count, rest, { dtype = kind }) end
   return #pieces == 1 and pieces[1] or core.cat(pieces, 2)
end

--- One module of the parts of its rows.
-- @tparam {[integer]=table} parts by number; some may be missing
-- @tparam {integer,...} counts the rows of all
-- @treturn table
function fused.join(parts, counts)
   local list = {}
   for i = 1, #counts do list[#list + 1] = parts[i] end
   if same_down(list, #counts) then
      local ups = {}
      for i, part in ipairs(list) do ups[i] = part.up end
      return { up = core.cat(ups, 1), down = list[1].down, rank = list[1].rank, alpha = list[1].alpha }
   end
   local rank, kind, downs, rows = 0, list[1].up:dtype(), {}, {}
   for _, part in ipairs(list) do rank = rank + part.rank end
   local at, scale = 0, list[1].alpha / list[1].rank
   for i, count in ipairs(counts) do
      local part = parts[i]
      if part then
         part = { rank = part.rank, up = times(part.up:cast(kind), part.alpha / part.rank / scale),
            down = part.down:cast(kind) }
         downs[#downs + 1] = part.down
      end
      rows[i] = block_rows(part, count, at, rank, kind)
      at = at + (part and part.rank or 0)
   end
   return { up = core.cat(rows, 1), down = core.cat(downs, 1), rank = rank,
      alpha = list[1].alpha * rank / list[1].rank }
end

-- For each part and column whether its rows have anything there.
local function columns_used(up, counts)
   local used, at = {}, 0
   for i, count in ipairs(counts) do
      used[i] = reduce.any(up:narrow(1, at + 1, count):ne(0), 1):totable()
      at = at + count
   end
   return used
end

-- Whether each part uses nothing but an equal share of the columns.
local function equal_shares(used, rank)
   local n = #used
   if rank % n ~= 0 then return nil end
   local ranges, share = {}, rank // n
   for i = 1, n do
      ranges[i] = { (i - 1) * share, share }
      for c = 1, rank do
         if used[i][c] and (c - 1) // share ~= i - 1 then return nil end
      end
   end
   return ranges
end

-- The columns of each part where no column has two owners and each owner's lie together: { from, count } by part.
local function own_ranges(used, rank)
   local ranges, last = {}, nil
   for c = 1, rank do
      local owner
      for i = 1, #used do
         if used[i][c] then
            if owner then return nil end
            owner = i
         end
      end
      owner = owner or last or 0
      if owner ~= last and ranges[owner] then return nil end
      ranges[owner] = ranges[owner] or { c - 1, 0 }
      ranges[owner][2], last = ranges[owner][2] + 1, owner
   end
   return not ranges[0] and next(ranges) and ranges or nil
end

--- The parts of a module, by number; those without anything are missing.
-- @tparam table m
-- @tparam {integer,...} counts rows of each
-- @treturn {[integer]=table}
-- @treturn boolean whether A was copied to each of them
function fused.split(m, counts)
   local used = columns_used(m.up, counts)
   local ranges = equal_shares(used, m.rank) or own_ranges(used, m.rank)
   local out, at = {}, 0
   for i, count in ipairs(counts) do
      local up = m.up:narrow(1, at + 1, count)
      at = at + count
      if not ranges then
         out[i] = { up = up, down = m.down, rank = m.rank, alpha = m.alpha }
      elseif ranges[i] then
         local from, n = table.unpack(ranges[i])
         out[i] = { up = up:narrow(2, from + 1, n), down = m.down:narrow(1, from + 1, n), rank = n,
            alpha = m.alpha * n / m.rank }
      end
   end
   return out, ranges == nil
end

--- The two halves of the rows in the other order.
function fused.swap_halves(t)
   local half = t:shape()[1] // 2
   return core.cat({ t:narrow(1, half + 1, half), t:narrow(1, 1, half) }, 1)
end

return fused
