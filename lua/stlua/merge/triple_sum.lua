-- triple_sum: (1 - alpha - beta) A + alpha B + beta C.
return {
   summary = "(1 - alpha - beta) A + alpha B + beta C.",
   source = "meh triple_sum; supermerger",
   min = 3, max = 3,
   params = {
      { name = "alpha", type = "number", help = "share of B" },
      { name = "beta", type = "number", help = "share of C" },
   },
   merge = function(_, models, p)
      local a, b, c = table.unpack(models)
      return (1 - p.alpha - p.beta) * a + p.alpha * b + p.beta * c
   end,
}
