-- sum_twice: lerp(lerp(A, B, alpha), C, beta).
local between = require("stlua.merge_math").between

return {
   summary = "(1 - beta) ((1 - alpha) A + alpha B) + beta C.",
   source = "supermerger; meh sum_twice",
   min = 3, max = 3,
   params = {
      { name = "alpha", type = "number", help = "share of B in the sum of A and B" },
      { name = "beta", type = "number", help = "share of C in the result" },
   },
   merge = function(_, models, p)
      local a, b, c = table.unpack(models)
      return between(between(a, b, p.alpha), c, p.beta)
   end,
}
