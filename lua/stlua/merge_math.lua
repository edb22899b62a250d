--- What formulas of merge methods share beyond the library's functions: choices where a quotient is not a number,
-- signs, cosines in F32, the geometric median.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local elementwise = require "stlua.elementwise"
local ops = require "stlua.ops"
local reduce = require "stlua.reduce"

local apply = core.apply
local merge_math = {}

--- x, or `value` where x is not a number.
function merge_math.nan_to(x, value)
   return apply("where", elementwise.isnan(x), value, x)
end

--- The magnitudes of x with the signs of s. A zero of s counts as positive.
function merge_math.copysign(x, s)
   local size = apply("abs", x)
   return apply("where", apply("lt", s, 0), apply("neg", size), size)
end

--- The tensor for sums along a dimension: these keep the dtype, and F16 would lose what F32 holds.
function merge_math.wide(x)
   return x:dtype() == "F64" and x or x:cast("F32")
end

--- Cosines along a dimension, which stays with size 1; 0 where a vector is 0. A tensor without dimensions is one
-- vector.
function merge_math.cosine(a, b, dim)
   if a:ndim() == 0 then return merge_math.cosine(a:reshape(1), b:reshape(1), 1):reshape {} end
   return reduce.cosine_similarity(merge_math.wide(a), merge_math.wide(b), { dim = dim, keepdim = true })
end

--- Vectors along a dimension at length 1, as torch.nn.functional.normalize.
function merge_math.normalized(x, dim)
   local t = merge_math.wide(x)
   if t:ndim() == 0 then return t / apply("maximum", t:abs(), 1e-12) end
   return t / apply("maximum", reduce.norm(t, 2, { dim = dim, keepdim = true }), 1e-12)
end

--- A sum of a list.
function merge_math.sum(list)
   local total = list[1]
   for i = 2, #list do total = total + list[i] end
   return total
end

--- Whether two tensors are as good as equal, as torch.allclose finds: a mask without dimensions.
function merge_math.allclose(a, b)
   return reduce.all(apply("le", apply("abs", a - b), 1e-8 + 1e-5 * apply("abs", b)))
end

--- The part of the entries whose magnitude reaches the k-th smallest; the others are 0.
function merge_math.at_least_kth(x, k)
   local size = apply("abs", x)
   return apply("where", apply("ge", size, reduce.kthvalue(size, k)), x, 0)
end

-- Scalar products of all pairs of tensors, as a matrix (n, n) in F64. One pass reads them all.
local function gram(list)
   local n, rows = #list, {}
   for i = 1, n do
      local row = {}
      for j = 1, n do row[j] = (j < i and rows[j][i] or core.dot(list[i], list[j]):reshape(1)) end
      rows[i] = row
   end
   for i = 1, n do rows[i] = core.cat(rows[i], 1):reshape(1, n) end
   return core.cat(rows, 1)
end

--- The shares with which points make up their geometric median, by Weiszfeld's iteration: numbers without dimensions.
-- Distances follow from the scalar products of the points' differences, so that the points are read once, not once an
-- iteration.
-- @tparam {tensor,...} points
-- @tparam number eps the least distance that counts
-- @tparam integer iterations
-- @treturn {tensor,...}
function merge_math.geometric_median_weights(points, eps, iterations)
   local n, apart = #points, {}
   for i = 1, n do apart[i] = points[i] - points[1] end
   local g = gram(apart)
   local squares = {}
   for i = 1, n do squares[i] = g:narrow(1, i, 1):narrow(2, i, 1):reshape(1) end
   local diagonal = core.cat(squares, 1)
   local share = core.broadcast(core.tensor("F64", {}, string.pack("<d", 1 / n)), { n })
   for _ = 1, iterations do
      local to_median = core.matmul(g, share)
      local distance = diagonal - 2 * to_median + core.dot(share, to_median)
      local weight = 1 / apply("maximum", apply("sqrt", apply("maximum", distance, 0)), eps)
      share = weight / reduce.sum(weight)
   end
   local shares = {}
   for i = 1, n do shares[i] = share:narrow(1, i, 1):reshape {} end
   return shares
end

--- The geometric median of tensors.
function merge_math.geometric_median(points, eps, iterations)
   if #points == 1 or points[1]:numel() == 0 then return points[1] end
   local shares, parts = merge_math.geometric_median_weights(points, eps, iterations), {}
   for i, x in ipairs(points) do parts[i] = x * shares[i] end
   return merge_math.sum(parts)
end

--- Model stock's factor t = n c / (1 + (n - 1) c) of the mean of n differences, c the mean cosine, along the last
-- dimension, of each with the next; 1 for a single one, as there is no pair.
function merge_math.stock_factor(deltas)
   local n, cosines = #deltas, {}
   for i = 1, n - 1 do cosines[i] = merge_math.cosine(deltas[i], deltas[i + 1], -1) end
   if n == 1 then return 1 end
   local c = merge_math.sum(cosines) / (n - 1)
   return n * c / (1 + (n - 1) * c)
end

--- Linear interpolation; the very tensor where the share is 0 or 1, so that its bytes are copied.
function merge_math.between(a, b, t)
   if t == 0 then return a elseif t == 1 then return b end
   return ops.lerp(a, b, t)
end

return merge_math
