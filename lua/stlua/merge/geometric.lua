-- geometric: the real part of A^(1 - alpha) B^alpha. A negative number is turned by pi, its power by pi times the
-- exponent; of the two turns together the cosine is real.
local ops = require "stlua.ops"
local between = require("stlua.merge_math").between

return {
   summary = "The real part of A^(1 - alpha) B^alpha.",
   source = "sd-mecha geometric_sum",
   min = 2, max = 2,
   params = { { name = "alpha", type = "number", default = 0.5, min = 0, max = 1, help = "exponent of B" } },
   merge = function(_, models, p)
      local a, b, alpha = models[1], models[2], p.alpha
      if alpha == 0 or alpha == 1 then return between(a, b, alpha) end
      local turn_a, turn_b = math.cos(math.pi * (1 - alpha)), math.cos(math.pi * alpha)
      -- Both negative: the turns add up to pi.
      local real = ops.where(a:lt(0), ops.where(b:lt(0), -1, turn_a), ops.where(b:lt(0), turn_b, 1))
      return a:abs() ^ (1 - alpha) * b:abs() ^ alpha * real
   end,
}
