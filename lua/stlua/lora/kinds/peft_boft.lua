-- PEFT's BOFT (Liu et al. 2023, arXiv 2311.06243): W' = s W (R_m .. R_1)', of block diagonal rotations
-- (I - Q)(I + Q)^-1, Q = (B - B') / 2, between which columns change places as in a butterfly; s is a factor for each
-- row. Strength goes part of the way in each stage, and in s: PEFT has none.
local errors = require "stlua.errors"
local rotation = require "stlua.lora.rotation"

-- One stage: columns (c, g, k, r) are taken as (c, k, g, r), of which each (g, r) is a block, turned, and put back.
local function stage(w, t, i)
   local rows, columns = table.unpack(w:shape())
   if i == 0 then return rotation.columns(w, t) end
   local half, r = 1 << i, t:shape()[3] // 2
   local taken = w:reshape(rows, columns // (2 * half * r), 2, half, r):transpose(3, 4):reshape(rows, columns)
   return rotation.columns(taken, t):reshape(rows, columns // (2 * half * r), half, 2, r):transpose(3, 4)
      :reshape(rows, columns)
end

local function fits(blocks, columns)
   if blocks:ndim() ~= 4 or blocks:numel() == 0 then return false end
   local stages, n, b = table.unpack(blocks:shape())
   return n * b == columns and (stages == 1 or stages < 32 and n % (1 << stages - 1) == 0 and b % 2 == 0)
end

return {
   title = "BOFT of PEFT",
   suffixes = { [".boft_R"] = "stages", [".boft_R.default"] = "stages", [".boft_s"] = "row_factors",
      [".boft_s.default"] = "row_factors" },
   needs = { { "stages", "row_factors" } },
   unscaled = true,
   apply = function(w, p, how)
      local rows, blocks = w:shape()[1], p.stages:double()
      local flat = w:reshape(rows, w:numel() // rows)
      if not fits(blocks, flat:shape()[2]) then errors.throw("shape", "blocks do not divide the columns") end
      local factors = 1 + how.strength * (p.row_factors:reshape(rows, 1) - 1)
      if how.invert then flat = flat / factors end
      local stages = blocks:shape()[1]
      for k = 0, stages - 1 do
         local i = how.invert and stages - 1 - k or k
         local b = blocks:select(1, i + 1)
         flat = stage(flat, rotation.part(rotation.cayley((b - b:transpose(2, 3)) / 2), how), i)
      end
      return (how.invert and flat or flat * factors):reshape(w:shape())
   end,
}
