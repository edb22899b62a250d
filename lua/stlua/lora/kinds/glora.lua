-- GLoRA (LyCORIS; arXiv 2306.07967): a part that hangs on the weight itself, W A, and one that does not, B. Of a
-- convolution A mixes what goes in, alike at each place of the kernel. The older layout has the factors the other
-- way round; shapes tell which it is, but of a square weight with equal ranks it is the new.
local core = require "stlua.core"
local linalg = require "stlua.linalg"
local making = require "stlua.make"
local rows_of = require("stlua.lora.factors").rows
local tucker = require "stlua.lora.tucker"

local function is_old(p, w)
   local a1, a2, b1, b2 = p.a1:shape(), p.a2:shape(), p.b1:shape(), p.b2:shape()
   local old = b2[2] == b1[1] and b1[1] == a1[1] and a1[1] == a2[2]
   local new = b2[1] == b1[2] and b1[2] == a1[2] and a1[2] == a2[1]
   if not (old and new) then return old end
   local s = w:shape()
   return a2[1] == s[1] and s[1] == s[2]
end

-- The matrices of A = a1 a2 (in, r) (r, in) and of B = b1 b2, or B itself; the kernel's middle tensor goes between.
local function matrices(p, w)
   if is_old(p, w) then return rows_of(p.a2), rows_of(p.a1), core.matmul(rows_of(p.b2), rows_of(p.b1)) end
   local b1, b2 = rows_of(p.b1), rows_of(p.b2)
   return rows_of(p.a1), rows_of(p.a2), p.bm and tucker.product(p.bm, b1:t(), b2) or core.matmul(b1, b2)
end

-- x (out, in, kernel) with its inputs as columns of a matrix of n; and the way back.
local function by_inputs(x, n)
   local rows = x:shape()[1]
   local kernel = x:numel() // (rows * n)
   if kernel == 1 then return x:reshape(rows, n), function(y) return y:reshape(x:shape()) end end
   local flat = x:reshape(rows, n, kernel):transpose(2, 3):reshape(rows * kernel, n)
   return flat, function(y) return y:reshape(rows, kernel, n):transpose(2, 3):reshape(x:shape()) end
end

return {
   title = "GLoRA",
   suffixes = { [".a1.weight"] = "a1", [".a2.weight"] = "a2", [".b1.weight"] = "b1", [".b2.weight"] = "b2",
      [".bm.weight"] = "bm" },
   needs = { { "a1", "a2", "b1", "b2" } },
   rank = function(p) return math.min(p.a2:shape()[1], p.a2:shape()[2]) end,
   apply = function(w, p, how)
      local a1, a2, b = matrices(p, w)
      local k = how.strength * how.scale
      b = k * b:reshape(w:shape())
      if not how.invert then
         local flat, back = by_inputs(w, a1:shape()[1])
         return w + b + k * back(core.matmul(core.matmul(flat, a1), a2))
      end
      -- (I + k a1 a2)^-1 = I - k a1 (I + k a2 a1)^-1 a2
      local flat, back = by_inputs(w - b, a1:shape()[1])
      local small = making.eye(a1:shape()[2]) + k * core.matmul(a2, a1)
      return w - b - k * back(core.matmul(core.matmul(flat, core.matmul(a1, linalg.inverse(small))), a2))
   end,
}
