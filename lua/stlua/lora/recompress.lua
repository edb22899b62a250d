--- The nearest product of lower rank, without forming the product. Of B'B = V D V' the root R = D^1/2 V' stands for B
-- (it has B's singular values and right vectors), and alike for A'; the SVD of the small Rb Ra' is that of B A. In F64:
-- what squares lose is 1e-8 of the largest. The singular values tell exactly what is lost.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"

local recompress = {}

local EXACT = 768      -- rows or columns up to which a whole matrix is decomposed exactly

-- A whole change, without factors: exactly, or the `most` largest values.
local function of_whole(d, most)
   local rows, columns = table.unpack(d:shape())
   local k = math.min(rows, columns)
   if k <= EXACT or most > k // 3 then
      local u, s, vh = core.svd(d)
      return { u = u, s = s:totable(), vh = vh }
   end
   local u, s, v, certificate = core.svd_lowrank(d, most, 4, 0)
   return { u = u, s = s:totable(), vh = v:t(), norm = certificate:totable()[1] }
end

-- The root of the Gram matrix of a factor's columns: R (k, rank), and W (rank, k) so that the factor times W has
-- orthonormal columns; nil for zeros. Directions that only rounding has are left out.
local function root_of(t)
   local rank = t:shape()[2]
   local values, vectors = core.eigh(core.matmul(t:t(), t))
   local list = values:totable()
   local least, first = list[rank] * rank * 1e-15, rank + 1
   while first > 1 and list[first - 1] > least do first = first - 1 end
   local k = rank - first + 1
   if k == 0 then return nil end
   local v, root = vectors:narrow(2, first, k), values:narrow(1, first, k):sqrt()
   return (v * root):t(), v / root
end

--- Decomposes a change.
-- @tparam ?tensor b (rows, rank)
-- @tparam tensor a (rank, columns); without b the whole change
-- @tparam integer most values that are asked for at most
-- @treturn table s = singular values, descending; and what `take` needs
function recompress.of(b, a, most)
   collectgarbage()      -- the tensors of the module before: Lua does not know how large they are
   if not b then return of_whole(a, most) end
   b, a = b:double():contiguous():force(), a:t():double():contiguous():force()
   local rb, wb = root_of(b)
   local ra, wa = root_of(a)
   if not (rb and ra) then return { zero = true, s = { 0 }, b = b, a = a } end
   local u, s, vh = core.svd(core.matmul(rb, ra:t()))
   return { b = b, a = a, u = core.matmul(wb, u), s = s:totable(), vh = core.matmul(vh, wa:t()) }
end

-- Sums of squares from the end, so that what is lost is not the difference of large numbers.
local function tails(d)
   local sums, total = { [#d.s + 1] = 0 }, 0
   for i = #d.s, 1, -1 do
      total = total + d.s[i] ^ 2
      sums[i] = total
   end
   if d.norm then
      for i = 1, #d.s + 1 do sums[i] = sums[i] + math.max(d.norm ^ 2 - total, 0) end
   end
   return sums
end

--- What a rank keeps, as a row of certificate.lua: the share of the squared norm and the relative error are exact but
-- for rounding.
-- @tparam table d as recompress.of gives it
-- @tparam integer rank
-- @tparam number scale of the change
function recompress.certificate(d, rank, scale)
   d.tails = d.tails or tails(d)
   local total, s = d.tails[1], {}
   local lost = total > 0 and d.tails[rank + 1] / total or 0
   for i, x in ipairs(d.s) do s[i] = x * math.abs(scale) end
   return { rank = rank, retained = 1 - lost, error = math.sqrt(lost), s = s,
      norm = math.sqrt(total) * math.abs(scale) }
end

-- The smallest rank whose values, each through `weigh`, add up to a share of all.
local function until_share(d, share, weigh)
   local total, sum = 0, 0
   for _, s in ipairs(d.s) do total = total + weigh(s) end
   if d.norm and weigh(2) == 4 then total = math.max(total, d.norm ^ 2) end     -- squares: values not computed count
   for i, s in ipairs(d.s) do
      sum = sum + weigh(s)
      if sum >= share * total then return i end
   end
   return #d.s
end

local function square(s) return s * s end

local RULES = {
   energy = function(d, p) return until_share(d, p, square) end,
   sv_fro = function(d, p) return until_share(d, p * p, square) end,
   sv_cumulative = function(d, p) return until_share(d, p, function(s) return s end) end,
   sv_ratio = function(d, p)
      local n = 0
      for _, s in ipairs(d.s) do n = n + (s > d.s[1] / p and 1 or 0) end
      return n
   end,
}

--- Names of the rules that choose a rank.
recompress.rules = { "energy", "sv_ratio", "sv_fro", "sv_cumulative" }

--- Reads rank, conv_rank and at most one rule from options.
-- @treturn table { rank =, conv_rank =, rule =, parameter = }
function recompress.read(opts, who)
   local out = { rank = opts.rank, conv_rank = opts.conv_rank or opts.rank }
   for _, key in ipairs { "rank", "conv_rank" } do
      local n = opts[key]
      if n ~= nil and (math.type(n) ~= "integer" or n < 1) then
         errors.throwf("arg", "%s: %s must be a whole number from 1", who, key)
      end
   end
   for _, rule in ipairs(recompress.rules) do
      local p = opts[rule]
      if p ~= nil then
         if out.rule then errors.throwf("arg", "%s: give %s or %s, not both", who, out.rule, rule) end
         local good = type(p) == "number" and (rule == "sv_ratio" and p > 1 or rule ~= "sv_ratio" and p > 0 and p <= 1)
         if not good then
            errors.throwf("arg", "%s: %s must be %s", who, rule,
               rule == "sv_ratio" and "above 1" or "above 0, at most 1")
         end
         out.rule, out.parameter = rule, p
      end
   end
   return out
end

--- The rank to keep.
-- @tparam table d as recompress.of gives it
-- @tparam table want as recompress.read gives it
-- @tparam boolean convolution
function recompress.rank(d, want, convolution)
   local most = convolution and want.conv_rank or want.rank or #d.s
   local n = want.rule and d.s[1] > 0 and RULES[want.rule](d, want.parameter) or want.rule and 1 or most
   return math.max(1, math.min(n, most, #d.s))
end

-- A deferred tensor holds all that it was computed from, a clone its values alone.
local function settled(t, kind) return t:cast(kind):clone() end

--- Factors of a rank, the roots of the singular values on both sides, each multiplied out.
-- @tparam table d as recompress.of gives it
-- @tparam integer rank
-- @tparam string kind their dtype
-- @treturn tensor B (rows, rank)
-- @treturn tensor A (rank, columns)
function recompress.take(d, rank, kind)
   if d.zero then return settled(d.b:narrow(2, 1, 1) * 0, kind), settled(d.a:narrow(2, 1, 1):t() * 0, kind) end
   local roots = {}
   for i = 1, rank do roots[i] = math.sqrt(d.s[i]) end
   roots = core.tensor("F64", { rank }, string.pack(("<" .. ("d"):rep(rank)), table.unpack(roots)))
   local b = d.u:narrow(2, 1, rank) * roots
   local a = d.vh:narrow(1, 1, rank) * roots:reshape(rank, 1)
   if d.b then b, a = core.matmul(d.b, b), core.matmul(a, d.a:t()) end
   return settled(b, kind), settled(a, kind)
end

return recompress
