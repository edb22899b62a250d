-- multiply_difference: C + |A - C|^(1 - alpha) |B - C|^alpha, with the sign of lerp(A, B, beta) - C.
local ops = require "stlua.ops"
local copysign = require("stlua.merge_math").copysign

return {
   summary = "C + |A - C|^(1 - alpha) |B - C|^alpha, with the sign of the weighted sum of both differences.",
   source = "meh multiply_difference",
   base = "required", like = "model", min = 2, max = 2,
   params = {
      { name = "alpha", type = "number", min = 0, max = 1, help = "exponent of B's difference" },
      { name = "beta", type = "number", default = 0.5, help = "share of B in the sign" },
   },
   merge = function(c, models, p)
      local a, b = models[1], models[2]
      local size = (a - c):abs() ^ (1 - p.alpha) * (b - c):abs() ^ p.alpha
      return c + copysign(size, ops.lerp(a, b, p.beta) - c)
   end,
}
