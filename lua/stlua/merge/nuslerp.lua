-- nuslerp: along the arc between two models, or between their differences to a base, by weights.
local st = require "stlua"

local SMALL = 1e-7

-- What is one vector: all of a tensor, its rows (along the last dimension) or its columns.
local function dimension(x, p)
   if p.nuslerp_flatten or #x:shape() == 0 then return nil end
   return p.nuslerp_row_wise and 1 or -1
end

local function norm(x, dim)
   if not dim then return x:norm() end
   return x:norm(2, dim, { keepdim = true })
end

local function dot(x, y, dim)
   if not dim then return x:dot(y) end
   return (x * y):sum(dim, { keepdim = true })
end

local function arc(x, y, t, dim)
   local function size(v) return st.maximum(norm(v, dim), SMALL) end
   local cosine = st.clamp(dot(x, y, dim) / (size(x) * size(y)), -1, 1)
   local angle = st.acos(cosine)
   local straight = (1 - cosine * cosine):le(1e-16)
   local function share(part)
      return st.where(straight, part, st.sin(angle * part) / st.sin(angle))
   end
   return x * share(1.0 - t) + y * share(t)
end

return {
   summary = "Goes along the arc between two models, or their differences to the base, each tensor or row one vector.",
   source = "mergekit",
   base = "optional", min = 2, max = 2,
   params = {
      { name = "weight", each = true, type = "number", help = "share of each model" },
      { name = "nuslerp_flatten", type = "boolean", default = true, help = "each tensor is one vector" },
      { name = "nuslerp_row_wise", type = "boolean", default = false,
         help = "not flattened: vectors along the first dimension instead of the last" },
   },
   merge = function(base, models, p)
      local x, y, sum = models[1], models[2], p.weight[1] + p.weight[2]
      local t = math.abs(sum) < 1e-6 and 0.5 or p.weight[2] / sum
      if not base then return arc(x, y, t, dimension(x, p)) end
      return base + arc(x - base, y - base, t, dimension(base, p))
   end,
}
