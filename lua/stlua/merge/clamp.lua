-- clamp: A held between the least and the greatest of the other models; stiffness draws these limits towards the
-- bounds nearest to the mean of the bounds.
local ops = require "stlua.ops"
local sum = require("stlua.merge_math").sum

-- Limits nearer to the mean: of the bounds at or above it the smallest, of those at or below it the largest.
local function stiff(bounds, low, high, stiffness)
   local mean = sum(bounds) / #bounds
   local near_low, near_high = low, high
   for _, x in ipairs(bounds) do
      near_high = ops.where(near_high:ge(x):mul(x:ge(mean)), x, near_high)
      near_low = ops.where(near_low:le(x):mul(x:le(mean)), x, near_low)
   end
   return ops.lerp(low, near_low, stiffness), ops.lerp(high, near_high, stiffness)
end

return {
   summary = "Holds the first model between the least and the greatest values of the others (clip weights).",
   source = "sd-mecha clamp; meh clip_weights",
   min = 2,
   params = {
      { name = "stiffness", type = "number", default = 0, min = 0, max = 1,
         help = "draws the limits towards the bounds nearest to their mean" },
   },
   merge = function(_, models, p)
      local bounds = table.move(models, 2, #models, 1, {})
      local low, high = bounds[1], bounds[1]
      for i = 2, #bounds do low, high = ops.minimum(low, bounds[i]), ops.maximum(high, bounds[i]) end
      if p.stiffness > 0 then low, high = stiff(bounds, low, high, p.stiffness) end
      return ops.minimum(ops.maximum(models[1], low), high)
   end,
}
