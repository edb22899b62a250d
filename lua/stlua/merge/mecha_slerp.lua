-- mecha_slerp: the directions of A and B are turned into each other, their lengths interpolated. Of whole tensors.
local ops = require "stlua.ops"
local math_ = require "stlua.merge_math"

return {
   summary = "Spherical interpolation of the tensors' directions, linear of their lengths; linear where that fails.",
   source = "sd-mecha slerp",
   min = 2, max = 2,
   params = { { name = "alpha", type = "number", default = 0.5, help = "how far from A to B" } },
   merge = function(_, models, p)
      local a, b, alpha = models[1], models[2], p.alpha
      if alpha == 0 or alpha == 1 then return math_.between(a, b, alpha) end
      local na, nb = a:norm(), b:norm()
      local cosine = ops.clamp(a:dot(b) / (na * nb), -1, 1)
      local angle = ops.acos(cosine)
      local length = ((1 - alpha) * na + alpha * nb) / angle:sin()
      local of_a, of_b = ((1 - alpha) * angle):sin() * length / na, (alpha * angle):sin() * length / nb
      -- Parallel, opposite and zero tensors have no arc between them: the last give NaN.
      return ops.where(cosine:abs():lt(1 - 1e-12), a * of_a + b * of_b, ops.lerp(a, b, alpha))
   end,
}
