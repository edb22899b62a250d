-- extract: with a = A - base, b = B - base, c their cosines along the last dimension, d = ((c + 1) / 2)^gamma:
-- base + lerp(a, b, alpha) lerp(d, 1 - d, beta).
local ops = require "stlua.ops"
local cosine = require("stlua.merge_math").cosine

return {
   summary = "Adds to the base what two models have in common, or what tells them apart.",
   source = "supermerger extract",
   base = "required", min = 2, max = 2,
   params = {
      { name = "alpha", type = "number", min = 0, max = 1,
         help = "which model's difference: 0 the first's, 1 the second's" },
      { name = "beta", type = "number", min = 0, max = 1, help = "0 takes what is alike, 1 what differs" },
      { name = "gamma", type = "number", default = 1, min = 0, help = "how sharply the two are told apart" },
   },
   merge = function(base, models, p)
      local a, b = models[1] - base, models[2] - base
      local c = ops.clamp(cosine(a, b, -1), -1, 1)
      local d = ((c + 1) / 2) ^ p.gamma
      return base + ops.lerp(a, b, p.alpha) * ops.lerp(d, 1 - d, p.beta)
   end,
}
