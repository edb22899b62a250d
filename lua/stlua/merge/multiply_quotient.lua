-- multiply_quotient: the real part of A (B / C)^t, where t is alpha times the share in which ln |A / C| and ln |B / C|
-- are opposite. What is not a number becomes A.
local ops = require "stlua.ops"
local nan_to = require("stlua.merge_math").nan_to

return {
   summary = "Multiplies A by a power of B / C where A and B have moved from C in opposite directions.",
   source = "sd-mecha multiply_quotient",
   base = "required", like = "model", min = 2, max = 2,
   params = { { name = "alpha", type = "number", default = 1, help = "greatest exponent of B / C" } },
   merge = function(c, models, p)
      local a, b = models[1], models[2]
      local log_c = c:abs():log()
      local log_a, log_b = a:abs():log() - log_c, b:abs():log() - log_c
      local most = ops.maximum(log_a:abs(), log_b:abs())
      local t = p.alpha * ops.maximum(-nan_to(log_a * log_b / (most * most), 0), 0)
      local quotient = b / c
      local turn = ops.where(quotient:lt(0), (t * math.pi):cos(), 1)
      local result = a * quotient:abs() ^ t * turn
      return ops.where(result:ne(result), a, result)
   end,
}
