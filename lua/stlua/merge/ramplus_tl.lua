-- ramplus_tl: ram, where entries that one model alone changed are amplified by how much it shares otherwise.
local st = require "stlua"
local ram = require "stlua.ram"

return {
   summary = "As ram, but amplifies what one model alone changed, by how much it shares with the others.",
   source = "Reinforced Agent Merging (2026); mergekit",
   base = "required",
   params = {
      { name = "r", type = "number", default = 0.1, help = "how strongly entries of one model are amplified" },
      { name = "alpha", type = "number", default = 0.2, min = 0, help = "limit of the share that counts" },
      ram.EPSILON,
   },
   merge = function(base, models, p)
      local changes = ram.changes(base, models, p.epsilon)
      local alone = changes.count:eq(1)
      local amplified
      for i, x in ipairs(changes) do
         local unique = st.logical_and(changes.active[i], alone):count_nonzero()
         local shared = changes.active[i]:count_nonzero() - unique
         local rho = shared:cast("F64") / st.maximum(unique:cast("F64"), p.epsilon)
         local term = x * (1 + p.r * st.clamp(rho, 0, p.alpha))
         amplified = amplified and amplified + term or term
      end
      return base + st.where(alone, amplified, ram.average(changes))
   end,
}
