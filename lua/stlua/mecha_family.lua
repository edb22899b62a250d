--- The TIES family of sd-mecha: trimmed differences, signs by count or by sum, the mean of those that agree.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local elementwise = require "stlua.elementwise"
local math_ = require "stlua.merge_math"

local apply = core.apply
local mecha_family = {}

-- The largest part k of the entries, as many as sd-mecha counts.
local function trimmed(x, k)
   local rank = math.max(1, math.tointeger(((1 - k) * x:numel()) // 1))
   return math_.at_least_kth(x, rank)
end

-- Entries whose sign is the one elected, and for each place how many there are.
local function agreeing(deltas, by_sum)
   local votes = {}
   for i, d in ipairs(deltas) do votes[i] = by_sum and d or d:sign() end
   local elected = math_.sum(votes):sign()
   local kept, ones = {}, {}
   for i, d in ipairs(deltas) do
      local agrees = d:sign():eq(elected)
      kept[i], ones[i] = apply("where", agrees, d, 0), apply("where", agrees, 1, 0)
   end
   return kept, math_.sum(ones)
end

--- The sum of differences by these rules; 0 where it is not finite.
-- @tparam {tensor,...} deltas
-- @tparam table p k, vote_sgn, apply_stock, apply_median, eps, iterations
function mecha_family.sum(deltas, p)
   if deltas[1]:numel() == 0 then return deltas[1] end
   local list = {}
   for i, d in ipairs(deltas) do list[i] = trimmed(d, p.k) end
   local kept, count = agreeing(list, p.vote_sgn)
   local total
   if p.apply_median then
      total = math_.geometric_median(kept, p.eps, p.iterations)
   else
      total = math_.sum(kept) / count
      if p.apply_stock then total = total * math_.stock_factor(kept) end
   end
   return apply("where", elementwise.isfinite(total), total, 0)
end

--- The parameters that the family shares.
function mecha_family.params(more)
   local list = {
      { name = "alpha", type = "number", default = 1, help = "factor of the sum" },
      { name = "k", type = "number", default = 1, min = 0, max = 1, help = "part of each difference that is kept" },
      { name = "vote_sgn", type = "boolean", default = false,
         help = "elect signs by the sum of the values, not by their number" },
      { name = "apply_stock", type = "boolean", default = false, help = "scale by model stock's factor" },
      { name = "apply_median", type = "boolean", default = false, help = "take the geometric median, not the mean" },
      { name = "eps", type = "number", default = 1e-6, min = 0, help = "of the geometric median" },
      { name = "iterations", type = "number", integer = true, default = 40, min = 1, help = "of the geometric median" },
   }
   return table.move(more or {}, 1, #(more or {}), #list + 1, list)
end

return mecha_family
