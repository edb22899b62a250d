-- multislerp: the weighted mean of directions, as long as the weighted mean of lengths. mergekit goes on from the mean
-- along a tangent that is 0 but for rounding, so the mean is the result.
local st = require "stlua"
local core = require "stlua.core"
local errors = require "stlua.errors"

local sum = require("stlua.merge_math").sum

-- The factors that make the models, or their differences to the base, one tensor.
local function factors(list, weights, eps, name)
   local sizes, towards, lengths = {}, {}, {}
   for i, x in ipairs(list) do
      sizes[i] = x:norm()
      towards[i] = weights[i] / st.where(sizes[i]:eq(0), 1.0, sizes[i] + eps)
      lengths[i] = sizes[i] * weights[i]
   end
   local scaled = {}
   for i, x in ipairs(list) do scaled[i] = x * towards[i] end
   local mean = sum(scaled):norm()
   local balanced = mean:lt(eps)
   if #list > 2 then
      -- Models that are all as the base have no direction, and their sum is 0 whatever the factors are.
      mean = st.where(sum(sizes):eq(0), 1.0 + eps, mean)
      mean = core.require(mean, mean:ge(eps), ("multislerp: %sthe weighted directions cancel each other: change the "
         .. "weights"):format(name ~= "" and core.escape(name) .. ": " or ""))
   end
   local length = sum(lengths) / mean
   local out = {}
   for i, f in ipairs(towards) do
      out[i] = #list > 2 and f * length or st.where(balanced, weights[i] + 0.0, f * length)
   end
   return out
end

return {
   summary = "The weighted mean of the models' directions, as long as the weighted mean of their lengths.",
   source = "mergekit",
   base = "optional",
   params = {
      { name = "weight", each = true, type = "number", help = "share of each model" },
      { name = "normalize_weights", type = "boolean", default = true, help = "divide by the sum of the weights" },
      { name = "eps", type = "number", default = 1e-8, min = 0, help = "what counts as no length" },
   },
   check = function(p)
      if p.normalize_weights and sum(p.weight) == 0 then
         errors.throw("arg", "multislerp: the weights add up to 0: change them, or set normalize_weights = false")
      end
   end,
   merge = function(base, models, p)
      if #models == 1 then return models[1] end
      local weights, total, list = {}, sum(p.weight), {}
      for i, x in ipairs(models) do
         weights[i] = p.normalize_weights and p.weight[i] / total or p.weight[i]
         list[i] = base and x - base or x
      end
      for i, f in ipairs(factors(list, weights, p.eps, p.name)) do list[i] = list[i] * f end
      return base and base + sum(list) or sum(list)
   end,
}
