-- rotate: A's rows are turned towards B's by the orthogonal matrix that brings them nearest (Procrustes), around their
-- means: Q = U V', where U S V' is the singular value decomposition of A'B. Q to a fractional power follows from its
-- symmetric part, whose eigenvalues are the cosines of Q's angles, and its antisymmetric part.
local core = require "stlua.core"
local errors = require "stlua.errors"
local math_ = require "stlua.merge_math"
local ops = require "stlua.ops"
local reduce = require "stlua.reduce"
local text = require "stlua.text"

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

-- A function that turns rows by Q to a power of 1, -1 or a fraction. Where there are fewer rows than columns only the
-- space that they span is turned.
local function turn(a, b, p)
   local n, columns = table.unpack(a:shape())
   if n < columns then
      local q, r = core.qr(b:t())
      local u, _, vh = core.svd(times(a:t(), r:t()), false)
      local v = times(vh, q:t()):t()
      return function(x, t)
         local from, to = u, v
         if t == -1 then from, to = v, u end
         return x - times(times(x, to), to:t()) + times(times(x, from), to:t())
      end
   end
   local fraction = p.alignment > 0 and p.alignment < 1
   -- A power of the angles asks for more digits than turning once.
   if fraction then a, b = a:cast("F64"), b:cast("F64") end
   local u, _, vh = core.svd(times(a:t(), b), false)
   if fraction then u = without_reflection(u, vh) end
   local q = times(u, vh)
   return function(x, t)
      return times(x, t == 1 and q or t == -1 and q:t() or power(q, t))
   end
end

local function rotated(a, b, p)
   local x, y = as_matrix(math_.wide(a)), as_matrix(math_.wide(b))
   local fraction = p.alignment > 0 and p.alignment < 1
   if fraction and x:shape()[1] < x:shape()[2] then
      local message = "rotate: alignment %g of %s: %d rows and %d columns are turned by alignment 0 or 1 alone"
      errors.throw("arg", message:format(p.alignment, text.quote(p.name), x:shape()[1], x:shape()[2]),
         { tensor = p.name })
   end
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
   source = "sd-mecha rotate (fractional alignment for matrices with at least as many rows as columns)",
   base = "optional", like = "model", min = 2, max = 2,
   holds = 8,
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
