-- weighted_sum: (1 - alpha) A + alpha B. With alpha 0 and 1 the bytes of A and B are copied.
local between = require("stlua.merge_math").between

return {
   summary = "(1 - alpha) A + alpha B.",
   source = "AUTOMATIC1111; sd-mecha weighted_sum",
   min = 2, max = 2,
   params = { { name = "alpha", type = "number", default = 0.5, help = "share of B" } },
   merge = function(_, models, p) return between(models[1], models[2], p.alpha) end,
}
