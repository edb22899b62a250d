--- Which mix of some vectors another one is, by least squares, from inner products alone: the arithmetic of unmixing.
--
-- The vectors are a, d2 .. dk and dm: the first source, how the others differ from it, and how the mix does. Models of
-- one family differ little, and differences keep what their products would lose. A Gram matrix is { [i] = { [j] = } }
-- over these k + 1; a source or the mix is a combination of them.
-- Layer: Lua, knows nothing of tensors.

local mixture = {}

local RANK = 1e-11      -- a share of a vector's square that is left of it: below, it is a mix of the others

-- ---------------------------------------------------------------- vectors of coefficients

local function unit(n, ...)
   local v = {}
   for i = 1, n do v[i] = 0.0 end
   for _, i in ipairs { ... } do v[i] = 1.0 end
   return v
end

-- Source i, and the mix, of k sources.
local function source(k, i) return i == 1 and unit(k + 1, 1) or unit(k + 1, 1, i) end
local function target(k) return unit(k + 1, 1, k + 1) end

local function minus(u, v)
   local w = {}
   for i = 1, #u do w[i] = u[i] - v[i] end
   return w
end

local function product(gram, u, v)
   local sum = 0.0
   for i = 1, #u do
      if u[i] ~= 0 then
         for j = 1, #v do sum = sum + u[i] * v[j] * gram[i][j] end
      end
   end
   return sum
end

local function square(gram, u) return math.max(0, product(gram, u, u)) end

-- ---------------------------------------------------------------- least squares

-- The Cholesky factor of the products of `vectors`, scaled to unit length, the largest remaining vector first. Gives
-- the order of those that are independent of the ones before, and of the others.
local function factor(gram, vectors)
   local n, length = #vectors, {}
   for i, v in ipairs(vectors) do length[i] = math.sqrt(square(gram, v)) end
   local left, rows, order, rest = {}, {}, {}, {}
   for i = 1, n do left[i], rows[i] = length[i] > 0 and 1.0 or 0.0, {} end
   for _ = 1, n do
      local best
      for i = 1, n do
         if not order[-i] and (not best or left[i] > left[best]) then best = i end
      end
      if left[best] <= RANK then break end
      local c, pivot = #order + 1, math.sqrt(left[best])
      order[c], order[-best] = best, true
      for i = 1, n do
         if i == best then
            rows[i][c] = pivot
         elseif not order[-i] and length[i] > 0 then
            local s = product(gram, vectors[i], vectors[best]) / (length[i] * length[best])
            for k = 1, c - 1 do s = s - rows[i][k] * rows[best][k] end
            rows[i][c] = s / pivot
            left[i] = left[i] - rows[i][c] ^ 2
         end
      end
   end
   for i = 1, n do
      if not order[-i] then rest[#rest + 1] = i end
   end
   return { rows = rows, order = order, rest = rest, length = length }
end

-- Solves L L' x = b for the factor's independent vectors, in its order.
local function solve(f, b)
   local x, n = {}, #f.order
   for c = 1, n do
      local row = f.rows[f.order[c]]
      local s = b[c]
      for k = 1, c - 1 do s = s - row[k] * x[k] end
      x[c] = s / row[c]
   end
   for c = n, 1, -1 do
      local s = x[c]
      for k = c + 1, n do s = s - f.rows[f.order[k]][c] * x[k] end
      x[c] = s / f.rows[f.order[c]][c]
   end
   return x
end

-- Coefficients of `vectors` that come nearest to `aim`, the square of what is left, which vectors are mixes of the
-- others (their coefficient is 0), and the inverse of the products, for the errors.
local function nearest(gram, vectors, aim)
   local f, b, out, left = factor(gram, vectors), {}, {}, {}
   for c, i in ipairs(f.order) do b[c] = product(gram, vectors[i], aim) / f.length[i] end
   local x = solve(f, b)
   for i = 1, #vectors do out[i] = 0.0 end
   for c, i in ipairs(f.order) do out[i] = x[c] / f.length[i] end
   for j = 1, #aim do left[j] = aim[j] end
   for i, v in ipairs(vectors) do
      for j = 1, #left do left[j] = left[j] - out[i] * v[j] end
   end
   local inverse = {}
   for i = 1, #vectors do inverse[i] = unit(#vectors) end
   for c, i in ipairs(f.order) do
      local column = solve(f, unit(#f.order, c))
      for r, j in ipairs(f.order) do inverse[j][i] = column[r] / (f.length[i] * f.length[j]) end
   end
   return out, square(gram, left), f.rest, inverse
end

-- ---------------------------------------------------------------- mixes

-- The fit of the sources in `list`. With `sum` their weights add up to 1: then it is a fit of differences from the
-- first of them. errors: what noise like what is left would do to each weight.
local function fit(gram, k, list, sum, count)
   local vectors, aim, base = {}, target(k), source(k, list[1])
   for i, s in ipairs(list) do
      if not sum then
         vectors[i] = source(k, s)
      elseif i > 1 then
         vectors[i - 1] = minus(source(k, s), base)
      end
   end
   if not sum then      -- the same space, from vectors that are less alike
      for i = 2, #list do vectors[i] = minus(vectors[i], base) end
   end
   local x, left, rest, inverse = nearest(gram, vectors, sum and minus(aim, base) or aim)
   local result = { weights = {}, errors = {}, left = left, dependent = {} }
   local variance = left / math.max(1, count - #vectors)
   local shift = sum and 1 or 0
   -- The base's weight is 1 (or the first coefficient) less all others: so is its error.
   local first, all = sum and 1.0 or x[1], unit(#vectors)
   for i = 1, #vectors do all[i] = (not sum and i == 1) and 1.0 or -1.0 end
   for i = 2, #list do
      local at = i - shift
      result.weights[list[i]] = x[at]
      result.errors[list[i]] = math.sqrt(math.max(0, variance * inverse[at][at]))
      first = first - x[at]
   end
   local spread = 0.0
   for i = 1, #vectors do
      for j = 1, #vectors do spread = spread + all[i] * all[j] * inverse[i][j] end
   end
   result.weights[list[1]], result.errors[list[1]] = first, math.sqrt(math.max(0, variance * spread))
   for _, i in ipairs(rest) do result.dependent[#result.dependent + 1] = list[i + shift] end
   return result
end

-- All non-empty parts of a list, larger ones first.
local function parts(list)
   local out = {}
   for bits = 1, (1 << #list) - 1 do
      local part = {}
      for i, s in ipairs(list) do
         if bits >> (i - 1) & 1 == 1 then part[#part + 1] = s end
      end
      out[#out + 1] = part
   end
   table.sort(out, function(x, y) return #x > #y end)
   return out
end

-- The best fit without a weight below 0: some sources take part, freely, and the others do not. All choices are tried.
local function non_negative(gram, k, list, sum, count)
   local best
   for _, part in ipairs(parts(list)) do
      local f = fit(gram, k, part, sum, count)
      local fine = #f.dependent == 0
      for _, s in ipairs(part) do fine = fine and f.weights[s] >= 0 end
      if fine and (not best or f.left < best.left) then best = f end
   end
   -- None is: the sources are zero there, or every one of them points away.
   best = best or { weights = {}, errors = {}, dependent = {}, left = square(gram, target(k)) }
   for _, s in ipairs(list) do best.weights[s], best.errors[s] = best.weights[s] or 0.0, best.errors[s] or 0.0 end
   return best
end

-- Sources that are equal: the first of each, and for it the others.
local function distinct(gram, k)
   local list, same = {}, {}
   for i = 1, k do
      local twin
      for _, j in ipairs(list) do
         local far = square(gram, minus(source(k, i), source(k, j)))
         if far <= 1e-24 * square(gram, source(k, i)) then twin = j break end
      end
      if twin then
         same[twin] = same[twin] or {}
         table.insert(same[twin], i)
      else
         list[#list + 1] = i
      end
   end
   return list, same
end

-- How far the mix and the sources lie from the sources' mean: the larger of both.
local function scale(gram, k)
   local mean, total = unit(k + 1), 0.0
   for i = 1, k do
      local s = source(k, i)
      for j = 1, k + 1 do mean[j] = mean[j] + s[j] / k end
   end
   for i = 1, k do total = total + square(gram, minus(source(k, i), mean)) end
   return math.sqrt(math.max(square(gram, minus(target(k), mean)), total / k))
end

--- A Gram matrix of zeros for k sources.
function mixture.zero(k)
   local gram = { count = 0 }
   for i = 1, k + 1 do gram[i] = unit(k + 1) end
   return gram
end

--- Which mix of the sources the mix is.
-- @tparam table gram over a, d2 .. dk, dm
-- @tparam integer k sources
-- @tparam table opts `free`: weights need not add up to 1; `non_negative`
-- @tparam integer count elements of the vectors
-- @treturn table { weights = by source (nil: it cannot be told), errors, residual = what is left, as a share of how far
--   the mix, or the sources, lie from their mean; relative = as a share of the mix (nil: it is zero); same = { [i] =
--   sources equal to i, whose weight is in i's }, dependent = sources that are mixes of the others }
function mixture.solve(gram, k, opts, count)
   local list, same = distinct(gram, k)
   local way = opts.non_negative and non_negative or fit
   local result = way(gram, k, list, not opts.free, count)
   local whole, far = math.sqrt(square(gram, target(k))), scale(gram, k)
   local left = math.sqrt(result.left)
   result.residual = left == 0 and 0 or left / math.max(far, left)
   result.relative = left == 0 and 0 or whole > 0 and left / whole or nil
   result.same, result.left = same, nil
   for _, s in ipairs(result.dependent) do result.weights[s], result.errors[s] = nil, nil end
   return result
end

return mixture
