-- train_difference: A + 1.8 alpha |B - A| / (|B - A| + |B - C|) (B - C): what B learnt beyond C counts where A has not
-- learnt it.
local nan_to = require("stlua.merge_math").nan_to

return {
   summary = "Adds B - C to A where B differs more from A than from C, as if A had been trained on what B was.",
   source = "supermerger trainDifference; sd-mecha train_difference_mask",
   base = "required", like = "model", min = 2, max = 2,
   params = { { name = "alpha", type = "number", default = 1, help = "factor of the difference" } },
   merge = function(c, models, p)
      local a, b = models[1], models[2]
      local to_a, to_c = (b - a):abs(), (b - c):abs()
      return a + 1.8 * p.alpha * nan_to(to_a / (to_a + to_c), 0) * (b - c)
   end,
}
