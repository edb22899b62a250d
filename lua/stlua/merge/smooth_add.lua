-- smooth_add: A + alpha gaussian(median(B - C)), both filters over all dimensions of the tensor. The medians of a
-- convolution are of 81 values each: this is the slowest method.
local filters = require "stlua.filters"
local wide = require("stlua.merge_math").wide

return {
   summary = "Adds the difference B - C to A after a median and a Gaussian filter over all its dimensions.",
   source = "supermerger smoothAdd",
   base = "required", like = "model", min = 2, max = 2,
   holds = 28,
   params = { { name = "alpha", type = "number", help = "factor of the difference" } },
   merge = function(c, models, p)
      local a, b = models[1], models[2]
      if a:numel() == 0 or p.alpha == 0 then return a end
      return a + p.alpha * filters.gaussian(filters.median3(wide(b) - wide(c)), 1)
   end,
}
