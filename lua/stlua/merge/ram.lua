-- ram: differences to the base, averaged over the models that have one at an entry.
local ram = require "stlua.ram"

return {
   summary = "Averages the differences to the base over the models that changed an entry.",
   source = "Reinforced Agent Merging (2026); mergekit",
   base = "required",
   params = { ram.EPSILON },
   merge = function(base, models, p)
      return base + ram.average(ram.changes(base, models, p.epsilon))
   end,
}
