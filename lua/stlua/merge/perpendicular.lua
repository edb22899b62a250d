-- perpendicular: A + alpha (b - a (a.b) / |a|^2), a = A - C, b = B - C: of B's difference what is new to A.
local ops = require "stlua.ops"

return {
   summary = "Adds to A the part of B - C that is perpendicular to A - C; nothing where A is C.",
   source = "sd-mecha add_perpendicular",
   base = "required", like = "model", min = 2, max = 2,
   params = { { name = "alpha", type = "number", default = 1, help = "factor of what is added" } },
   merge = function(c, models, p)
      local a, b = models[1] - c, models[2] - c
      local square = a:dot(a)
      return models[1] + p.alpha * ops.where(square:eq(0), 0, b - a * (a:dot(b) / square))
   end,
}
