--- Filters over all dimensions of a tensor, with borders that reflect (d c b a | a b c d | d c b a), as SciPy's
-- median_filter and gaussian_filter have them.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"

local filters = {}

-- The tensor with `radius` reflected rows before and behind.
local function reflected(x, dim, radius)
   local n, parts = x:shape()[dim], {}
   if n >= radius then
      parts = { x:narrow(dim, radius, radius, -1), x, x:narrow(dim, n, radius, -1) }
   else
      for i = -radius, n + radius - 1 do
         local at = i % (2 * n)
         parts[#parts + 1] = x:narrow(dim, 1 + (at < n and at or 2 * n - 1 - at), 1)
      end
   end
   return core.cat(parts, dim)
end

-- Exchanges that sort n values (merge exchange: Knuth, The Art of Computer Programming 5.2.2, algorithm M).
local function sorting(n)
   local list, top = {}, 1
   while 2 * top < n do top = 2 * top end
   local p = top
   while p > 0 do
      local q, r, d = top, 0, p
      while true do
         for i = 0, n - d - 1 do
            if i & p == r then list[#list + 1] = { i + 1, i + d + 1 } end
         end
         if q == p then break end
         d, q, r = q - p, q >> 1, p
      end
      p = p >> 1
   end
   return list
end

local networks = {}     -- n -> the exchanges on which the middle one of n sorted values hangs

local function network(n)
   if networks[n] then return networks[n] end
   local all, wanted, kept = sorting(n), { [(n + 1) // 2] = true }, {}
   for k = #all, 1, -1 do
      local i, j = all[k][1], all[k][2]
      if wanted[i] or wanted[j] then
         table.insert(kept, 1, { i, j, low = wanted[i], high = wanted[j] })
         wanted[i], wanted[j] = true, true
      end
   end
   networks[n] = kept
   return kept
end

-- The middle of an odd number of tensors, element by element, by exchanges: they are fused, so nothing is held.
local function middle(list)
   local n = #list
   for _, e in ipairs(network(n)) do
      local x, y = list[e[1]], list[e[2]]
      list[e[1]] = e.low and core.apply("minimum", x, y)
      list[e[2]] = e.high and core.apply("maximum", x, y)
   end
   return list[(n + 1) // 2]
end

--- The median of each element and its neighbours in all dimensions: of 3^n values. NaN where there is one.
function filters.median3(x)
   local sizes = x:shape()
   if x:numel() == 0 then return x end
   local padded = x
   -- In a dimension of size 1 all neighbours are the element itself: they do not move the median.
   for dim, n in ipairs(sizes) do
      if n > 1 then padded = reflected(padded, dim, 1) end
   end
   local list = { padded }
   for dim, n in ipairs(sizes) do
      local shifted = {}
      for _, t in ipairs(n > 1 and list or {}) do
         for first = 1, 3 do shifted[#shifted + 1] = t:narrow(dim, first, n) end
      end
      if n > 1 then list = shifted end
   end
   return middle(list)
end

-- Weights of a bell curve of deviation sigma, up to four of them.
local function bell(sigma)
   local radius, weights, total = math.floor(4 * sigma + 0.5), {}, 0
   for i = -radius, radius do
      weights[#weights + 1] = math.exp(-0.5 * (i / sigma) ^ 2)
      total = total + weights[#weights]
   end
   for i, w in ipairs(weights) do weights[i] = w / total end
   return weights, radius
end

--- Gauss's filter along all dimensions, one after the other.
function filters.gaussian(x, sigma)
   local weights, radius = bell(sigma)
   for dim, n in ipairs(x:shape()) do
      if n > 0 then
         local padded, sum = reflected(x, dim, radius), nil
         for i, w in ipairs(weights) do
            local part = padded:narrow(dim, i, n) * w
            sum = sum and sum + part or part
         end
         x = sum
      end
   end
   return x
end

return filters
