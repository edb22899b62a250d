--- Factors by LAPACK's singular value decomposition, one matrix after the other: the slow way, and the yardstick.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"

local exact = {}

local function rank_of(s, goal, total)
   local most = math.min(goal.rank, #s)
   local rank = most
   if goal.energy then
      local sum = 0
      rank = 0
      while rank < most and sum < goal.energy * total do
         rank = rank + 1
         sum = sum + s[rank] ^ 2
      end
   end
   if goal.ratio then
      while rank > 1 and s[rank] * goal.ratio < s[1] do rank = rank - 1 end
   end
   return math.max(rank, 1)
end

local function one(d, goal)
   local u, values, vh = core.svd(d)
   local s, total, kept = values:values(), 0, 0
   for _, x in ipairs(s) do total = total + x * x end
   local out = { rank = 0, columns = #s, norm = math.sqrt(total), retained = 0, captured = 1, ahead = 0, rounding = 0 }
   if total == 0 then return out end
   local r = rank_of(s, goal, total)
   for i = 1, r do kept = kept + s[i] ^ 2 end
   local scale = values:narrow(1, 1, r)
   local left = u:narrow(2, 1, r) * scale ^ goal.split
   local right = vh:narrow(1, 1, r) * (scale ^ (1 - goal.split)):reshape(r, 1)
   out.left, out.right = left:cast(goal.dtype):clone(), right:cast(goal.dtype):clone() -- the decomposition can go
   out.rank, out.retained, out.s = r, kept / total, table.move(s, 1, r, 1, {})
   local residual = (d - out.left:cast("F32"):matmul(out.right:cast("F32"))):norm():item()
   out.rounding = math.max(residual ^ 2 / total - (1 - out.retained), 0)
   return out
end

--- The same as core.factors.
-- @tparam {tensor,...} list matrices
-- @tparam table goal rank, energy, ratio, split, dtype
function exact.factors(list, goal)
   local out = {}
   for i, d in ipairs(list) do
      out[i] = one(d, goal)
      collectgarbage("step")
   end
   return out
end

return exact
