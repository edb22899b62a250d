-- ram: differences to the base, averaged over the models that have one at an entry.
local changes = require "stlua.changes"

return {
   summary = "Averages the differences to the base over the models that changed an entry.",
   source = "Reinforced Agent Merging (2026); mergekit",
   base = "required",
   params = { changes.EPSILON },
   merge = function(base, models, p)
      return base + changes.average(changes.of(base, models, p.epsilon))
   end,
}
