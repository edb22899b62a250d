-- PEFT's OFT (0.15 and later; Qiu et al. 2023): what goes into a layer is turned by orthogonal blocks, W' = W R', of an
-- embedding what comes out, W' = W R. A block is made of the numbers above the diagonal of a skew-symmetric matrix,
-- by Cayley's transform or the first terms of its series; one block may stand for all. OneTrainer writes the same
-- with the series, and by another scale where it marks so; its convolutions are W R.
local making = require "stlua.make"
local errors = require "stlua.errors"
local ops = require "stlua.ops"
local pick = require "stlua.pick"
local reduce = require "stlua.reduce"
local rotation = require "stlua.lora.rotation"

-- The matrices Q (n, b, b) whose upper triangles are the rows of v (n, b (b - 1) / 2).
local function skew(v)
   if v:ndim() ~= 2 or v:numel() == 0 then errors.throw("shape", "rows of numbers are expected") end
   local n, count = table.unpack(v:shape())
   local b = math.floor((1 + math.sqrt(1 + 8 * count)) / 2 + 0.5)
   if b * (b - 1) // 2 ~= count then
      errors.throw("shape", ("no block has %d numbers above its diagonal"):format(count))
   end
   local row, column = making.arange(b):reshape(b, 1), making.arange(b):reshape(1, b)
   local low, high = ops.minimum(row, column), ops.maximum(row, column)
   local place = low * (2 * b - 1 - low) // 2 + high - low
   local sign = (column - row):sign():double()
   return pick.index_select(v, 2, ops.clamp(place, 1, count):reshape(b * b)):reshape(n, b, b) * sign, b
end

-- COFT: no block's norm is above a limit.
local function limited(q, eps)
   local size = reduce.norm(q, 2, { dim = { 2, 3 }, keepdim = true })
   return q * ops.clamp(eps / math.sqrt(q:shape()[1]) / size, nil, 1)
end

local function check_blocks(n, b, columns)
   if n * b == columns or n == 1 and columns % b == 0 then return end
   errors.throw("shape", ("%d blocks of %d are not %d columns"):format(n, b, columns))
end

return {
   title = "OFT of PEFT",
   suffixes = { [".oft_R.weight"] = "turns", [".oft_R.default.weight"] = "turns", [".oft_R.scaled_oft"] = "scaled",
      [".oft_embedding_R.weight"] = "embedding_turns", [".oft_embedding_R.default.weight"] = "embedding_turns" },
   needs = { { "turns" }, { "embedding_turns" } },
   unscaled = true,
   apply = function(w, p, how)
      local config = how.config or {}
      local q, b = skew((p.turns or p.embedding_turns):double())
      local rows = w:shape()[1]
      check_blocks(q:shape()[1], b, w:numel() // rows)
      if p.scaled then q = q / (2 * math.sqrt(b - 1)) end
      if config.coft then q = limited(q, config.eps or 6e-5) end
      local r
      if config.use_cayley_neumann == false then
         r = rotation.cayley(-q)
      else
         r = rotation.neumann(q, config.num_cayley_neumann_terms or 5)
      end
      local of_output = p.embedding_turns or not how.config and w:ndim() > 2
      local t = rotation.part(of_output and r or r:transpose(2, 3), how)
      return rotation.columns(w:reshape(rows, w:numel() // rows), t):reshape(w:shape())
   end,
}
