-- linear: a weighted average, computed in F32 and rounded once.
local errors = require "stlua.errors"
local sum = require("stlua.merge_math").sum

return {
   summary = "A weighted average of the models.",
   source = "Model soups (Wortsman and others, 2022); mergekit",
   params = {
      { name = "weight", each = true, type = "number", help = "share of each model" },
      { name = "normalize", type = "boolean", default = true, help = "divide by the sum of the weights" },
   },
   check = function(p)
      if p.normalize and sum(p.weight) == 0 then
         errors.throw("arg", "linear: the weights add up to 0: change them, or set normalize = false")
      end
   end,
   merge = function(_, models, p)
      local terms, total = {}, sum(p.weight)
      for i, x in ipairs(models) do terms[i] = x * p.weight[i] end
      return p.normalize and total ~= 1 and sum(terms) / total or sum(terms)
   end,
}
