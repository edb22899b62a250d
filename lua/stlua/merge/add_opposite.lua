-- add_opposite: A + 2 alpha |A - B| / (|A - B| + |A + B - 2 C|) (B - C).
local nan_to = require("stlua.merge_math").nan_to

return {
   summary = "Adds B - C to A, the more the more A and B have moved from C in opposite directions.",
   source = "sd-mecha add_opposite_mask",
   base = "required", like = "model", min = 2, max = 2,
   params = { { name = "alpha", type = "number", default = 1, help = "factor of the difference" } },
   merge = function(c, models, p)
      local a, b = models[1], models[2]
      local apart, together = (a - b):abs(), (a + b - 2 * c):abs()
      return a + 2 * p.alpha * nan_to(apart / (apart + together), 0) * (b - c)
   end,
}
