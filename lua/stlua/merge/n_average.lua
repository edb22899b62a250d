-- n_average: the mean of the models, as a running interpolation.
local ops = require "stlua.ops"

return {
   summary = "The mean of all models.",
   source = "sd-mecha n_average",
   merge = function(_, models)
      local mean = models[1]
      for i = 2, #models do mean = ops.lerp(mean, models[i], 1 / i) end
      return mean
   end,
}
