-- mecha_model_stock: base + t mean(d_i), t = n c / (1 + (n - 1) c), c the mean cosine, row by row, of each difference
-- with the next. Where t is not a number the base stays.
local math_ = require "stlua.merge_math"

return {
   summary = "Model stock with cosines of rows, between consecutive models.",
   source = "sd-mecha model_stock (mergekit's model_stock takes all pairs, and whole tensors)",
   base = "required", min = 2,
   merge = function(base, models)
      local deltas = require("stlua.task_vectors").of(base, models)
      local mean = math_.sum(deltas) / #deltas
      return base + math_.nan_to(math_.stock_factor(deltas) * mean, 0)
   end,
}
