-- euclidean_add_difference: C + d / |d| |S|, d = sqrt((1 - alpha) a^2 + alpha b^2) with the sign of
-- S = lerp(A, B, alpha) - C; a and b are A - C and B - C at length 1. Lengths are those of whole tensors.
local ops = require "stlua.ops"
local math_ = require "stlua.merge_math"

-- x at length 1; 0 where there is none.
local function unit(x) return math_.nan_to(x / x:norm(), 0) end

return {
   summary = "Joins the differences of A and B to C as the sides of a right angle, as long as their weighted sum.",
   source = "meh euclidean_add_difference",
   base = "required", like = "model", min = 2, max = 2,
   params = { { name = "alpha", type = "number", min = 0, max = 1, help = "share of B" } },
   merge = function(c, models, p)
      local a, b = models[1], models[2]
      local ua, ub = unit(a - c), unit(b - c)
      local sum = ops.lerp(a, b, p.alpha) - c
      local d = math_.copysign(((1 - p.alpha) * ua * ua + p.alpha * ub * ub):sqrt(), sum)
      return c + unit(d) * sum:norm()
   end,
}
