-- distribution_crossover: A and B are read in the order of C's values; of the two lines that this gives, A's low
-- frequencies are joined with B's high ones. As in crossover only B - A is transformed.
local core = require "stlua.core"
local fourier = require "stlua.fourier"
local math_ = require "stlua.merge_math"
local ops = require "stlua.ops"
local reduce = require "stlua.reduce"

-- B's share of each of n frequencies: 0 below alpha, 1 above, over a width of beta.
local function share(n, alpha, beta)
   local height = core.iota(n):cast("F64") / n
   if beta <= 1e-10 then return height:ge(alpha):cast("F64") end
   return ops.clamp((height - alpha) / beta + 0.5, 0, 1)
end

return {
   summary = "Takes low frequencies of A and high ones of B, both in the order of C's values.",
   source = "meh distribution_crossover",
   base = "required", like = "model", min = 2, max = 2,
   holds = 20,
   params = {
      { name = "alpha", type = "number", min = 0, max = 1, help = "share of A, from the low frequencies up" },
      { name = "beta", type = "number", default = 0, min = 0,
         help = "width of the part of the frequencies over which A passes into B" },
   },
   merge = function(c, models, p)
      local a, b = models[1], models[2]
      local n = a:numel()
      if n == 0 then return a end
      if a:ndim() == 0 then return ops.lerp(b, a, p.alpha) end
      local x, y = math_.wide(a), math_.wide(b)
      local places = reduce.argsort(c:reshape(n), 1)
      local line = core.take((y:cast("F64") - x:cast("F64")):reshape(n), 1, places - 1)
      local filter = share(n // 2 + 1, p.alpha, p.beta):reshape(n // 2 + 1, 1)
      local part = fourier.irfftn(fourier.rfftn(line) * filter, { s = { n } }):cast("F32")
      return x + core.take(part, 1, reduce.argsort(places, 1) - 1):reshape(a:shape())
   end,
}
