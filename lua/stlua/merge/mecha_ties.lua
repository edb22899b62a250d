-- mecha_ties: base + alpha TIES(d_1 .. d_n), see stlua.mecha_family.
local family = require "stlua.mecha_family"

return {
   summary = "TIES with signs elected by the number of models, and a mean over those that agree, without weights.",
   source = "sd-mecha add_difference_ties_extended (whose apply_stock is inverted: here true applies it)",
   base = "required",
   params = family.params(),
   merge = function(base, models, p)
      return base + p.alpha * family.sum(require("stlua.task_vectors").of(base, models), p)
   end,
}
