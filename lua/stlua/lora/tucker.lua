--- The tucker decomposition of a convolution's kernel.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"

local tucker = {}

--- W[o, n, ..] = sum over i, j of t[i, j, ..] a[i, o] b[j, n].
-- @tparam tensor t (r, s, k, k)
-- @tparam tensor a (r, out)
-- @tparam tensor b (s, in)
-- @treturn tensor (out, in, k, k)
function tucker.product(t, a, b)
   local s = t:shape()
   local r, c, kernel = s[1], s[2], t:numel() // (s[1] * s[2])
   local out, inner = a:shape()[2], b:shape()[2]
   local left = core.matmul(a:t(), t:reshape(r, c * kernel)):reshape(out, c, kernel)
   local both = core.matmul(left:permute(1, 3, 2):reshape(out * kernel, c), b)
   local shape = { out, inner, table.unpack(s, 3) }
   return both:reshape(out, kernel, inner):permute(1, 3, 2):reshape(shape)
end

return tucker
