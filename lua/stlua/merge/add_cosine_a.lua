-- add_cosine_a: lerp(A, B, k), k = 1 - clamp(s - alpha, 0, 1), s the cosines of the columns of A and B.
local ops = require "stlua.ops"
local math_ = require "stlua.merge_math"

return {
   summary = "Takes B where the columns (along the first dimension) of A and B differ, and A where they are alike.",
   source = "sd-mecha add_cosine_a",
   min = 2, max = 2,
   params = { { name = "alpha", type = "number", default = 1, help = "likeness from which on A begins to count" } },
   merge = function(_, models, p)
      local a, b = models[1], models[2]
      local alike = math_.cosine(math_.normalized(a, 1), math_.normalized(b, 1), 1)
      local k = 1 - ops.clamp(alike - p.alpha, 0, 1)
      return ops.lerp(a, b, k)
   end,
}
