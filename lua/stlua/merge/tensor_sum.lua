-- tensor_sum: rows offset n .. (offset + width) n of B in A; a region that runs over the end goes on at the first row.
local regions = require "stlua.regions"

return {
   summary = "Takes a range of rows (along the first dimension) from B, the others from A.",
   source = "supermerger tensor, meh tensor_sum; sd-mecha tensor_sum",
   min = 2, max = 2,
   params = regions.params(0.5),
   merge = function(_, models, p)
      local a, b = models[1], models[2]
      if a:ndim() == 0 then return p.width > 0.5 and b or a end
      return regions.mixed(a, b, 1, a:shape()[1], p.width, p.offset, p.rounding)
   end,
}
