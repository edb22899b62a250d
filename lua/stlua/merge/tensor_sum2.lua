-- tensor_sum2: tensor_sum along the second dimension. As in supermerger the range is computed from the size of the
-- second dimension where that is above 100, else from the first; a vector has its first alone.
local regions = require "stlua.regions"

return {
   summary = "Takes a range of columns (along the second dimension) from B, the others from A.",
   source = "supermerger tensor2",
   min = 2, max = 2,
   params = regions.params(0.5),
   merge = function(_, models, p)
      local a, b = models[1], models[2]
      local sizes = a:shape()
      if #sizes == 0 then return p.width > 0.5 and b or a end
      if #sizes == 1 then return regions.mixed(a, b, 1, sizes[1], p.width, p.offset, p.rounding) end
      return regions.mixed(a, b, 2, sizes[2] > 100 and sizes[2] or sizes[1], p.width, p.offset, p.rounding)
   end,
}
