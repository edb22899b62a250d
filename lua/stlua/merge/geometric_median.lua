-- geometric_median: the point whose distances to all models, of whole tensors, have the least sum.
local geometric_median = require("stlua.merge_math").geometric_median

return {
   summary = "The geometric median of the models, tensor by tensor: the mean that outliers move least.",
   source = "sd-mecha geometric_median; Weiszfeld's iteration",
   params = {
      { name = "eps", type = "number", default = 1e-6, min = 0, help = "the least distance that counts" },
      { name = "iterations", type = "number", integer = true, default = 40, min = 1,
         help = "steps of the iteration (sd-mecha: up to 100)" },
   },
   merge = function(_, models, p) return geometric_median(models, p.eps, p.iterations) end,
}
