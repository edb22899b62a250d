-- slerp: along the arc between the base and another model, each tensor taken as one vector.
local st = require "stlua"

local SMALL = 1e-8         -- a norm up to this counts as 1
local PARALLEL = 0.9995    -- beyond this cosine the arc is a straight line

return {
   summary = "Goes along the arc from the base (t = 0) to another model (t = 1), each tensor one vector.",
   source = "Animating rotation with quaternion curves (Shoemake, 1985); mergekit",
   base = "required", max = 1,
   params = { { name = "t", type = "number", help = "how far from the base, 0 to 1" } },
   merge = function(a, models, p)
      local b, t = models[1], p.t
      local function size(x)
         local n = x:norm()
         return st.where(n:le(SMALL), 1.0, n)
      end
      local cosine = st.clamp(a:dot(b) / (size(a) * size(b)), -1, 1)
      local angle = st.acos(cosine)
      local straight = cosine:abs():gt(PARALLEL)
      local function share(part)
         return st.where(straight, part, st.sin(angle * part) / st.sin(angle))
      end
      return a * share(1.0 - t) + b * share(t + 0.0)
   end,
}
