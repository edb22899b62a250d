-- linear: a weighted average, computed in F32 and rounded once.
local errors = require "stlua.errors"

return {
   summary = "A weighted average of the models.",
   source = "Model soups (Wortsman and others, 2022); mergekit",
   params = {
      { name = "weight", each = true, type = "number", help = "share of each model" },
      { name = "normalize", type = "boolean", default = true, help = "divide by the sum of the weights" },
   },
   check = function(p)
      local sum = 0
      for _, w in ipairs(p.weight) do sum = sum + w end
      if p.normalize and sum == 0 then
         errors.throw("arg", "linear: the weights add up to 0: change them, or set normalize = false")
      end
   end,
   merge = function(_, models, p)
      local sum, total = models[1] * p.weight[1], p.weight[1]
      for i = 2, #models do
         sum = sum + models[i] * p.weight[i]
         total = total + p.weight[i]
      end
      return p.normalize and total ~= 1 and sum / total or sum
   end,
}
