-- add_cosine_b: as add_cosine_a, with the mean of the columns' cosines and that of the whole tensors.
local ops = require "stlua.ops"
local cosine = require("stlua.merge_math").cosine
local reduce = require "stlua.reduce"

return {
   summary = "As add_cosine_a, where likeness is the mean of that of the columns and that of the whole tensors.",
   source = "sd-mecha add_cosine_b",
   min = 2, max = 2,
   params = { { name = "alpha", type = "number", default = 1, help = "likeness from which on A begins to count" } },
   merge = function(_, models, p)
      local a, b = models[1], models[2]
      local alike = (cosine(a, b, 1) + reduce.cosine_similarity(a, b)) / 2
      local k = 1 - ops.clamp(alike - p.alpha, 0, 1)
      return ops.lerp(a, b, k)
   end,
}
