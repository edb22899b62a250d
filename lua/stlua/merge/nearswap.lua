-- nearswap: another model's values where they are near the base's.
local st = require "stlua"

return {
   summary = "Takes over another model's values where they are near the base's: within t wholly, beyond in part.",
   source = "alchemonaut/QuartetAnemoi-70B-t0.0001; mergekit",
   base = "required", max = 1,
   params = { { name = "t", type = "number", help = "the distance up to which values are taken over" } },
   merge = function(base, models, p)
      local x = models[1]
      local w = st.clamp(p.t / st.maximum((base - x):abs(), 1e-6), 0, 1)
      return w * x + (1 - w) * base
   end,
}
