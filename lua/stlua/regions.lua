--- Regions of rows for the methods that put part of one tensor into another.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"

local regions = {}

local function round_to_even(x)
   local low = math.floor(x)
   local half = x - low
   if half > 0.5 or (half == 0.5 and low % 2 == 1) then low = low + 1 end
   return math.tointeger(low)
end

--- The part of n rows that lies `offset` behind the first and is `width` wide; where it runs over the end, what
-- begins again at the first row. As supermerger cuts ("trunc") or sd-mecha ("round").
-- @tparam number width
-- @tparam number offset
-- @tparam integer n
-- @tparam string rounding
-- @treturn integer first row less 1
-- @treturn integer last row
-- @treturn boolean whether all other rows are meant
function regions.of(width, offset, n, rounding)
   if rounding == "round" then
      if width < 0 then width, offset = -width, offset + width end
      width = math.min(width, 1)
      if offset < 0 then offset = 1 + offset - math.modf(offset) end
      offset = math.fmod(offset, 1)
   end
   local whole = rounding == "round" and round_to_even or function(x) return math.tointeger((math.modf(x))) end
   if width + offset <= 1 then return whole(offset * n), whole((width + offset) * n), false end
   return whole((width + offset - 1) * n), whole(offset * n), true
end

--- a, with rows first + 1 .. last of a dimension from b; both must have them.
function regions.put(a, b, dim, first, last)
   local n = a:shape()[dim]
   last = math.min(last, n)
   if first >= last then return a end
   if first == 0 and last == n then return b end
   local parts = {}
   if first > 0 then parts[1] = a:narrow(dim, 1, first) end
   parts[#parts + 1] = b:narrow(dim, first + 1, last - first)
   if last < n then parts[#parts + 1] = a:narrow(dim, last + 1, n - last) end
   return core.cat(parts, dim)
end

--- The region of B in A, or of A in B where it is wrapped; `n` rows are counted for its place.
function regions.mixed(a, b, dim, n, width, offset, rounding)
   local first, last, wrapped = regions.of(width, offset, n, rounding)
   if wrapped then return regions.put(b, a, dim, first, last) end
   return regions.put(a, b, dim, first, last)
end

--- The parameters of these methods.
function regions.params(default_width)
   return {
      { name = "width", type = "number", default = default_width,
         help = "part of the rows that is B's (supermerger: alpha)" },
      { name = "offset", type = "number", default = 0, help = "where that part begins (supermerger: beta)" },
      { name = "rounding", type = "string", default = "round", choices = { "round", "trunc" },
         help = "of row numbers: round (sd-mecha), or trunc (supermerger, meh)" },
   }
end

return regions
