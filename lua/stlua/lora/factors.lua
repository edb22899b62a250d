--- A module's change as a product of two matrices, B (rows, rank) and A (rank, columns), exactly, whatever its kind.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local linalg = require "stlua.linalg"
local making = require "stlua.make"
local tucker = require "stlua.lora.tucker"

local factors = {}

--- A weight or a factor as a matrix: the first dimension, and all others as one.
function factors.rows(t) return t:reshape(t:shape()[1], t:numel() // math.max(t:shape()[1], 1)) end

local rows_of = factors.rows

-- A middle tensor goes into the side of the input: A[i, n k k] = sum over j of mid[i, j, k, k] down[j, n].
local function fold_middle(mid, down)
   local s = mid:shape()
   local kernel = mid:numel() // (s[1] * s[2])
   local inner = down:shape()[2]
   local moved = mid:reshape(s[1], s[2], kernel):permute(1, 3, 2):reshape(s[1] * kernel, s[2])
   local a = core.matmul(moved, down):reshape(s[1], kernel, inner):permute(1, 3, 2)
   return a:reshape(s[1], inner * kernel), { inner, table.unpack(s, 3) }
end

local function of_lora(p, kind)
   if p.mid then
      local a, tail = fold_middle(p.mid, rows_of(p.down))
      return rows_of(p.up), a, tail
   end
   local b, a = kind.factors(p)
   local shape = p.down and p.down:shape() or {}
   return b, a, #shape > 2 and { table.unpack(shape, 2) } or nil
end

-- (w1a w1b) elementwise (w2a w2b): all pairs of columns, and of rows.
local function of_loha(p)
   if p.t1 or p.t2 then return nil end
   local rows, r1, r2 = p.w1a:shape()[1], p.w1a:shape()[2], p.w2a:shape()[2]
   local columns = p.w1b:shape()[2]
   return (p.w1a:reshape(rows, r1, 1) * p.w2a:reshape(rows, 1, r2)):reshape(rows, r1 * r2),
      (p.w1b:reshape(r1, 1, columns) * p.w2b:reshape(1, r2, columns)):reshape(r1 * r2, columns)
end

-- One matrix of Kronecker's product as two.
local function in_two(whole, t, a, b)
   if not whole and not t then return a, b, nil end
   local full = whole or tucker.product(t, a, b)
   local tail = full:ndim() > 2 and { table.unpack(full:shape(), 3) } or nil
   full = rows_of(full)
   local rows, columns = table.unpack(full:shape())
   if rows <= columns then return making.eye(rows), full, tail end
   return full, making.eye(columns), tail
end

-- (b1 a1) x (b2 a2) = (b1 x b2) (a1 x a2).
local function of_lokr(p)
   local b1, a1 = in_two(p.k1, p.s1, p.k1a, p.k1b)
   local b2, a2, kernel = in_two(p.k2, p.s2, p.k2a, p.k2b)
   local b, a = linalg.kron(b1, b2), linalg.kron(a1, a2)
   local tail = nil
   if kernel then
      local size = 1
      for _, k in ipairs(kernel) do size = size * k end
      tail = { a:shape()[2] // size, table.unpack(kernel) }
   end
   return b, a, tail
end

-- A module's parts in F64.
local function wide(m)
   local p = {}
   for part, t in pairs(m.parts) do p[part] = t:ndim() > 0 and t:double() or t end
   return p
end

local FINDERS = { lora = of_lora, loha = of_loha, lokr = of_lokr }

--- B and A; and where the weight has more than two dimensions and names tell them, those behind the first.
-- @tparam table m a module as adapter.of gives it
-- @treturn ?tensor B (rows, rank); nil where only the whole change is to be had
-- @treturn ?tensor A (rank, columns)
-- @treturn ?{integer,...} such as { in, 3, 3 }
function factors.of(m)
   local find = FINDERS[m.kind.id]
   if find then return find(wide(m), m.kind) end
end

--- The whole change of a module that factors.of has no factors for, as a matrix; and the dimensions behind the first.
-- @treturn ?tensor
-- @treturn ?{integer,...}
function factors.whole(m)
   local d = m.kind.delta and m.kind.delta(wide(m))
   if not d or d:ndim() < 2 then return nil end
   return rows_of(d), d:ndim() > 2 and { table.unpack(d:shape(), 2) } or nil
end

--- The factors as tensors of a layer: a convolution's have four dimensions.
-- @treturn tensor up
-- @treturn tensor down
function factors.shaped(b, a, tail)
   if not tail then return b, a end
   local ones = {}
   for i = 1, #tail - 1 do ones[i] = 1 end
   local rank = a:shape()[1]
   return b:reshape(b:shape()[1], rank, table.unpack(ones)), a:reshape(rank, table.unpack(tail))
end

--- Whether more than one element of the kernel is there: kohya's conv_dim is for those.
function factors.is_convolution(tail)
   for i = 2, tail and #tail or 0 do
      if tail[i] > 1 then return true end
   end
   return false
end

return factors
