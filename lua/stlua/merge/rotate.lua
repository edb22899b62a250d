-- rotate: A's rows are turned towards B's by the orthogonal matrix that brings them nearest (Procrustes), around their
-- means: Q = U V', where U S V' is the singular value decomposition of A'B. Q to a fractional power follows from its
-- symmetric part, whose eigenvalues are the cosines of Q's angles, and its antisymmetric part. With fewer rows than
-- columns there is no Q: what the rows have of one span is replaced by what they had of another, and a fraction of that
-- is one of the shortest way between the two.
local core = require "stlua.core"
local math_ = require "stlua.merge_math"
local ops = require "stlua.ops"
local reduce = require "stlua.reduce"

-- Rows of a tensor: out x rest; those of a convolution (out in) x kernel, unless the kernel is one element.
local function as_matrix(x)
   local s = x:shape()
   if #s == 4 and s[3] * s[4] ~= 1 then return x:reshape(s[1] * s[2], s[3] * s[4]) end
   return x:reshape(s[1], x:numel() // s[1])
end

local function times(a, b) return core.matmul(a, b) end

-- Q^t for an orthogonal Q without reflections.
local function power(q, t)
   q = q:cast("F64")
   local even, odd = (q + q:t()) / 2, (q - q:t()) / 2
   local cosines, v = core.eigh(even)
   local angle = ops.acos(ops.clamp(cosines, -1, 1))
   local sine = angle:sin()
   local ratio = ops.where(sine:lt(1e-7), t, (angle * t):sin() / sine)
   return times(v * (angle * t):cos(), v:t()) + times(times(v * ratio, v:t()), odd)
end

-- The last column of U changes its sign where U V' is a reflection.
local function without_reflection(u, vh)
   local n = u:shape()[2]
   local last = u:narrow(2, n, 1) * core.det(times(u, vh)):sign()
   return n == 1 and last or core.cat({ u:narrow(2, 1, n - 1), last }, 2)
end

-- The first `count` columns (rows) from `first` on.
local function columns(x, first, count) return x:narrow(2, first, count) end
local function rows(x, first, count) return x:narrow(1, first, count) end

-- Directions on the shortest way from the columns of V to those of U, as a function of the part that is gone. Both are
-- written in V and what U has besides, a basis Q: U = V M + Q N, and (M, N) are the first columns of a rotation.
local function way(v, u)
   local p, n = table.unpack(v:shape())
   local k = math.min(p - n, n)
   local m = times(v:t(), u)
   local q, s, vh = core.svd(u - times(v, m))
   q = columns(q, 1, k)
   local given = core.cat({ m, rows(s:reshape(n, 1) * vh, 1, k) }, 1)
   -- The other columns: any, turned so that what they have of Q is nearest to 1.
   local full = core.svd(given, true)
   local free = columns(full, n + 1, k)
   local left, _, right = core.svd(rows(free, n + 1, k))
   local function in_q(x) return core.cat({ rows(x, 1, n), times(left:t(), rows(x, n + 1, k)) }, 1) end
   free = in_q(times(free, right:t()))
   given = in_q(given)
   local last = columns(free, k, 1) * core.det(core.cat({ given, free }, 2)):sign()
   local w = core.cat(k > 1 and { given, columns(free, 1, k - 1), last } or { given, last }, 2)
   w = core.stiefel(w, n, 100, 1e-8)
   local basis = core.cat({ v, times(q, left) }, 2)
   return function(t) return times(basis, columns(power(w, t), 1, n)) end
end

-- The same where there are fewer rows than columns, of which only the space that A or B spans is turned: what the rows
-- have of `to` is replaced by what they had of `from`.
local function turn_span(a, b, p, fraction)
   local n = a:shape()[1]
   local q, r = core.qr(b:t())
   local u, _, vh = core.svd(times(a:t(), r:t()), false)
   local v = times(vh, q:t()):t()
   -- Rows without their mean leave one direction of each open.
   if p.centralization == 1 then n = n - 1 end
   if n == 0 then return function(x) return x end end
   u, v = columns(u, 1, n), columns(v, 1, n)
   local at = fraction and way(v, u)
   return function(x, t)
      local from, to = u, v
      if t == -1 then from, to = v, u end
      if t > 0 and t < 1 then from, to = at((1 + t) / 2), at((1 - t) / 2) end
      return x + times(times(x, from) - times(x, to), to:t())
   end
end

-- A function that turns rows by Q to a power of 1, -1 or p.alignment.
local function turn(a, b, p)
   local fraction = p.alignment > 0 and p.alignment < 1
   -- A power of the angles asks for more digits than turning once.
   if fraction then a, b = a:cast("F64"), b:cast("F64") end
   if a:shape()[1] < a:shape()[2] then return turn_span(a, b, p, fraction) end
   local u, _, vh = core.svd(times(a:t(), b), false)
   if fraction then u = without_reflection(u, vh) end
   local q = times(u, vh)
   return function(x, t)
      return times(x, t == 1 and q or t == -1 and q:t() or power(q, t))
   end
end

local function rotated(a, b, p)
   local x, y = as_matrix(math_.wide(a)), as_matrix(math_.wide(b))
   local mean_x = reduce.mean(x, 1, { keepdim = true }) * p.centralization
   local mean_y = reduce.mean(y, 1, { keepdim = true }) * p.centralization
   x, y = x - mean_x, y - mean_y
   local apply = turn(x, y, p)
   if p.alpha ~= 0 then x = ops.lerp(x, apply(y, -1), p.alpha) end
   if p.alignment ~= 0 then x = apply(x, p.alignment) end
   return (x + ops.lerp(mean_x, mean_y, p.alignment)):reshape(a:shape())
end

-- Rounded to F16.
local function alike(a, b)
   return math_.allclose(math_.wide(a:cast("F16")), math_.wide(b:cast("F16")))
end

return {
   summary = "Turns A's rows towards B's by an orthogonal matrix; vectors are interpolated by alpha.",
   source = "sd-mecha rotate",
   base = "optional", like = "model", min = 2, max = 2,
   holds = 16,
   params = {
      { name = "alignment", type = "number", default = 1, min = 0, max = 1,
         help = "how far A is turned: 1 as near to B as turning alone brings it" },
      { name = "alpha", type = "number", default = 0, help = "share of B in what turning does not change" },
      { name = "centralization", type = "number", default = 1,
         help = "share of the rows' mean that is left out of turning" },
   },
   merge = function(c, models, p)
      local a, b = models[1], models[2]
      if p.alignment == 0 and p.alpha == 0 then return a end
      if p.alignment == 1 and p.alpha == 1 then return b end
      if c then a, b = a - c, b - c end
      local plain = ops.lerp(a, b, p.alpha)
      local result = plain
      if a:ndim() > 1 and a:numel() > 0 then result = ops.where(alike(a, b), plain, rotated(a, b, p)) end
      return c and c + result or result
   end,
}
