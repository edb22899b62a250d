-- n_way: the sum of ratio_i W_i. Ratios are taken as they are.
local sum = require("stlua.merge_math").sum

return {
   summary = "The sum of all models, each times its ratio; ratios need not add up to 1.",
   source = "sd-scripts merge_models",
   params = { { name = "ratio", each = true, type = "number", optional = true,
      help = "factor of each model (1 / n)" } },
   merge = function(_, models, p)
      local parts = {}
      for i, t in ipairs(models) do parts[i] = t * (p.ratio[i] or 1 / #models) end
      return sum(parts)
   end,
}
