-- Diagonal OFT (Qiu et al. 2023, arXiv 2306.07280; LyCORIS) and BOFT (arXiv 2311.06243): rows turned by orthogonal
-- blocks R = (I + Q)(I - Q)^-1, Q = B - B', whose norm alpha may limit; BOFT in stages, between which rows change
-- places as in a butterfly. `rescale` multiplies rows afterwards.
local errors = require "stlua.errors"
local ops = require "stlua.ops"
local reduce = require "stlua.reduce"
local rotation = require "stlua.lora.rotation"

-- Rotations of blocks (n, b, b).
local function rotations(blocks, limit)
   local q = blocks - blocks:transpose(2, 3)
   if limit > 0 then q = q * ops.clamp(limit / (reduce.norm(q) + 1e-8), nil, 1) end
   return rotation.cayley(q)
end

-- One stage of the butterfly: rows (c g k) are taken as (c k g), turned, and put back.
local function stage(r, w, i)
   local rows, columns = table.unpack(w:shape())
   local k = (r:shape()[2] // 2) << i
   local taken = w:reshape(rows // (2 * k), 2, k, columns):transpose(2, 3):reshape(rows, columns)
   return rotation.rows(r, taken):reshape(rows // (2 * k), k, 2, columns):transpose(2, 3):reshape(rows, columns)
end

-- Strength turns each stage part of the way, as LyCORIS does.
local function butterfly(w, blocks, rescale, limit, how)
   local stages = blocks:shape()[1]
   if how.invert and rescale then w = w / rescale end
   for k = 0, stages - 1 do
      local i = how.invert and stages - 1 - k or k
      w = stage(rotation.part(rotations(blocks:select(1, i + 1), limit), how), w, i)
   end
   return rescale and not how.invert and w * rescale or w
end

return {
   title = "OFT",
   suffixes = { [".oft_blocks"] = "blocks", [".rescale"] = "rescale" },
   needs = { { "blocks" } },
   unscaled = true,
   -- The limit is alpha times the rows (LyCORIS, sd-scripts).
   apply = function(w, p, how)
      local rows, blocks = w:shape()[1], p.blocks:double()
      local flat, limit = w:reshape(rows, w:numel() // rows), (how.alpha or 0) * rows
      local scale = p.rescale and p.rescale:reshape(rows, 1)
      if blocks:ndim() < 3 or blocks:ndim() > 4 then errors.throw("shape", "blocks are (n, b, b) or (m, n, b, b)") end
      if blocks:ndim() == 4 then return butterfly(flat, blocks, scale, limit, how):reshape(w:shape()) end
      local r = rotations(blocks, limit):transpose(2, 3)
      if scale then r = scale:double():reshape(r:shape()[1], r:shape()[2], 1) * r end
      return rotation.rows(rotation.part(r, how), flat):reshape(w:shape())
   end,
}
