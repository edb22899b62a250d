-- add_strict_opposite: A + 2 alpha max(0, (C - A) (B - C) / max(|A - C|, |B - C|)^2) (B - C).
local ops = require "stlua.ops"
local nan_to = require("stlua.merge_math").nan_to

return {
   summary = "Adds B - C to A only where A and B have moved from C in opposite directions.",
   source = "sd-mecha add_strict_opposite_mask",
   base = "required", like = "model", min = 2, max = 2,
   params = { { name = "alpha", type = "number", default = 1, help = "factor of the difference" } },
   merge = function(c, models, p)
      local a, b = models[1], models[2]
      local most = ops.maximum((a - c):abs(), (b - c):abs())
      local mask = ops.maximum(nan_to((c - a) * (b - c) / (most * most), 0), 0)
      return a + 2 * p.alpha * mask * (b - c)
   end,
}
