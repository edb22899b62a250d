-- Diagonal OFT (Qiu et al. 2023, arXiv 2306.07280; LyCORIS) and BOFT (arXiv 2311.06243): rows turned by orthogonal
-- blocks R = (I + Q)(I - Q)^-1, Q = B - B', whose norm alpha may limit; BOFT in stages, between which rows change
-- places as in a butterfly. `rescale` multiplies rows afterwards.
local core = require "stlua.core"
local linalg = require "stlua.linalg"
local making = require "stlua.make"
local ops = require "stlua.ops"
local reduce = require "stlua.reduce"

-- Rotations (n, b, b) of blocks (n, b, b).
local function rotations(blocks, limit)
   local b = blocks:shape()[2]
   local q, eye = blocks - blocks:transpose(2, 3), making.eye(b)
   if limit and limit > 0 then q = q * ops.clamp(limit / (reduce.norm(q) + 1e-8), nil, 1) end
   return core.matmul(eye + q, linalg.inverse(eye - q))
end

-- R[d] times the d-th b rows of w (rows, columns).
local function turn(r, w)
   local n, b = r:shape()[1], r:shape()[2]
   return core.matmul(r, w:reshape(n, b, w:shape()[2])):reshape(w:shape())
end

-- One stage of the butterfly: rows (c g k) are taken as (c k g), turned, and put back.
local function stage(r, w, i)
   local rows, columns = table.unpack(w:shape())
   local b = r:shape()[2]
   local k = (b // 2) << i
   local taken = w:reshape(rows // (2 * k), 2, k, columns):transpose(2, 3):reshape(rows, columns)
   return turn(r, taken):reshape(rows // (2 * k), k, 2, columns):transpose(2, 3):reshape(rows, columns)
end

-- Strength turns each stage part of the way, as LyCORIS does.
local function butterfly(w, p, limit, m)
   local eye = making.eye(p.blocks:shape()[3])
   for i = 1, p.blocks:shape()[1] do
      local r = rotations(p.blocks:select(1, i), limit)
      w = stage(m == 1 and r or m * r + (1 - m) * eye, w, i - 1)
   end
   return w
end

return {
   title = "OFT",
   suffixes = { [".oft_blocks"] = "blocks", [".rescale"] = "rescale" },
   needs = { { "blocks" } },
   unscaled = true,
   -- The limit is alpha times the rows (LyCORIS, sd-scripts).
   apply = function(w, p, m, _, alpha)
      local rows = w:shape()[1]
      local flat, limit = w:reshape(rows, w:numel() // rows), (alpha or 0) * rows
      local result, rest
      if p.blocks:ndim() == 3 then
         result, rest = turn(rotations(p.blocks, limit):transpose(2, 3), flat), m
      else
         result, rest = butterfly(flat, p, limit, m), 1
      end
      if p.rescale then result = result * p.rescale:reshape(rows, 1) end
      return w + rest * (result - flat):reshape(w:shape())
   end,
}
