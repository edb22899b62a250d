-- weighted_subtraction: (A - alpha beta B) / (1 - alpha beta).
return {
   summary = "(A - alpha beta B) / (1 - alpha beta): takes a share of B out of A.",
   source = "meh weighted_subtraction",
   min = 2, max = 2,
   params = {
      { name = "alpha", type = "number", help = "with beta, the share of B" },
      { name = "beta", type = "number", default = 1, help = "factor of alpha" },
   },
   merge = function(_, models, p)
      -- meh keeps the divisor from 0 in this way.
      local share = p.alpha * (p.alpha == 1 and p.beta == 1 and 1 - 1e-10 or p.beta)
      return (models[1] - share * models[2]) / (1 - share)
   end,
   check = function(p)
      if p.alpha * p.beta == 1 and p.alpha ~= 1 then
         require("stlua.merging").refuse("weighted_subtraction: alpha %g times beta %g is 1: nothing would be left",
            p.alpha, p.beta)
      end
   end,
}
