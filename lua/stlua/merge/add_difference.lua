-- add_difference: A + alpha (B - C), C the base; perhaps held between A and B.
local ops = require "stlua.ops"

return {
   summary = "A + alpha (B - C), C being the base.",
   source = "AUTOMATIC1111; sd-mecha add_difference",
   base = "required", like = "model", min = 2, max = 2,
   params = {
      { name = "alpha", type = "number", default = 1, help = "factor of the difference" },
      { name = "clip", type = "boolean", default = false,
         help = "hold the result between A and B (meh: clip weights)" },
   },
   merge = function(c, models, p)
      local a, b = models[1], models[2]
      if p.alpha == 0 then return a end
      local result = a + p.alpha * (b - c)
      if not p.clip then return result end
      return ops.clamp(result, ops.minimum(a, b), ops.maximum(a, b))
   end,
}
