-- top_k_tensor_sum: A's values are put into the order of B's; of these the ones are taken whose magnitudes have ranks
-- within a region, the others stay A's own.
local ops = require "stlua.ops"
local reduce = require "stlua.reduce"
local regions = require "stlua.regions"

-- The k-th smallest magnitude; below all of them where there is none.
local function kth(size, k)
   return k <= 0 and -1 or reduce.kthvalue(size, k)
end

-- The lower bound belongs to the region in sd-mecha, not in meh.
local BOUND = { ["sd-mecha"] = "ge", meh = "gt" }

local params = regions.params(1)
table.insert(params, { name = "bound", type = "string", default = "sd-mecha", choices = { "sd-mecha", "meh" },
   help = "whose lower bound: sd-mecha's belongs to the region, meh's does not" })

return {
   summary = "Takes A's values in the order of B's where their magnitudes rank within a region.",
   source = "meh top_k_tensor_sum; sd-mecha top_k_tensor_sum",
   min = 2, max = 2,
   holds = 12,
   params = params,
   merge = function(_, models, p)
      local a, b = models[1], models[2]
      local n = a:numel()
      if n == 0 then return a end
      local values = reduce.sort(a:reshape(n), 1)
      local rank = reduce.argsort(reduce.argsort(b:reshape(n), 1), 1)
      local placed = require("stlua.core").take(values, 1, rank - 1):reshape(a:shape())
      local size, all = placed:abs(), a:abs()
      local first, last, wrapped = regions.of(p.width, p.offset, n, p.rounding)
      local within = ops.apply(BOUND[p.bound], size, kth(all, first)):mul(size:le(kth(all, last)))
      if wrapped then return ops.where(within, a, placed) end
      return ops.where(within, placed, a)
   end,
}
