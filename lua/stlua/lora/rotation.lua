--- Rotations by blocks, which OFT and its relatives multiply weights with. Blocks are (n, b, b), in F64.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local linalg = require "stlua.linalg"
local making = require "stlua.make"

local rotation = {}

local function eye(blocks) return making.eye(blocks:shape()[3], nil, { dtype = "F64" }) end

--- Cayley's transform (I - Q)^-1 (I + Q) of skew-symmetric Q; of -Q it is the transpose.
function rotation.cayley(q)
   local one = eye(q)
   return linalg.solve(one - q, one + q)
end

--- The first terms of its series I + 2 Q + 2 Q^2 + ..., as PEFT counts them: the last one stands once, and three terms
-- are four.
function rotation.neumann(q, terms)
   local r, power = eye(q) + 0 * q, q
   if terms < 2 then return r end
   r = r + 2 * q
   if terms < 3 then return r end
   for k = 2, math.max(terms, 4) - 1 do
      power = core.matmul(power, q)
      r = r + (k < math.max(terms, 4) - 1 and 2 or 1) * power
   end
   return r
end

--- Part of the way: (1 - m) I + m T; or the inverse of that, which takes it back.
function rotation.part(t, how)
   local m = how.strength
   if m ~= 1 then t = m * t + (1 - m) * eye(t) end
   return how.invert and linalg.inverse(t) or t
end

--- Rows of a matrix: the d-th block times the d-th b rows.
function rotation.rows(t, w)
   local n, b = t:shape()[1], t:shape()[3]
   return core.matmul(t:cast(w:dtype()), w:reshape(n, b, w:shape()[2])):reshape(w:shape())
end

--- Columns of a matrix: the d-th b columns times the d-th block, or each b columns times the only one.
function rotation.columns(w, t)
   local n, b, rows = t:shape()[1], t:shape()[3], w:shape()[1]
   t = t:cast(w:dtype())
   if n == 1 then return core.matmul(w:reshape(w:numel() // b, b), t:reshape(b, b)):reshape(w:shape()) end
   local turned = core.matmul(w:reshape(rows, n, b):transpose(1, 2), t)
   return turned:transpose(1, 2):reshape(w:shape())
end

return rotation
