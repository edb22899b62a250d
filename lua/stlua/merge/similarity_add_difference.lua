-- similarity_add_difference: between A + alpha (B - C) and a sum of A and B, this the more the more alike they are.
local ops = require "stlua.ops"
local nan_to = require("stlua.merge_math").nan_to

return {
   summary = "Adds B - C to A where A and B differ, and averages A and B where they are alike.",
   source = "meh similarity_add_difference",
   base = "required", like = "model", min = 2, max = 2,
   params = {
      { name = "alpha", type = "number", help = "factor of the difference, and twice the share of B in the sum" },
      { name = "beta", type = "number", default = 1, help = "how much likeness counts" },
   },
   merge = function(c, models, p)
      local a, b, alpha = models[1], models[2], p.alpha
      local most = ops.maximum(a:abs(), b:abs())
      local alike = nan_to((a * b / (most * most) + 1) / 2 * p.beta, p.beta)
      local difference = a + alpha * (b - c)
      local sum = (1 - alpha / 2) * a + alpha / 2 * b
      return (1 - alike) * difference + alike * sum
   end,
}
