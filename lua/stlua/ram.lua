--- What ram and ramplus_tl share: the entries that models changed, and by how many each was.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"

local apply = core.apply
local ram = {}

ram.EPSILON = { name = "epsilon", type = "number", default = 1e-5, min = 0,
   help = "a difference up to this counts as none" }

--- The differences to the base, 0 where they count as none.
-- @treturn {tensor,...} with `active` = their masks, `count` = how many models changed an entry
function ram.changes(base, models, epsilon)
   local list = { active = {} }
   for i, x in ipairs(models) do
      local delta = x - base
      local mask = apply("gt", delta:abs(), epsilon)
      list.active[i], list[i] = mask, apply("where", mask, delta, 0.0)
      local one = apply("where", mask, 1.0, 0.0)
      list.count = list.count and list.count + one or one
   end
   return list
end

--- Their mean over the models that changed an entry.
function ram.average(list)
   local total = list[1]
   for i = 2, #list do total = total + list[i] end
   return total / apply("maximum", list.count, 1)
end

return ram
