-- GLoRA (LyCORIS; arXiv 2306.07967): a part that hangs on the weight itself, and one that does not. The older layout
-- has the factors the other way round; shapes tell which it is, but of a square weight with equal ranks it is the new.
local core = require "stlua.core"

local function is_old(p, w)
   local a1, a2, b1, b2 = p.a1:shape(), p.a2:shape(), p.b1:shape(), p.b2:shape()
   local old = b2[2] == b1[1] and b1[1] == a1[1] and a1[1] == a2[2]
   local new = b2[1] == b1[2] and b1[2] == a1[2] and a1[2] == a2[1]
   if not (old and new) then return old end
   local s = w:shape()
   return a2[1] == s[1] and s[1] == s[2]
end

return {
   title = "GLoRA",
   suffixes = { [".a1.weight"] = "a1", [".a2.weight"] = "a2", [".b1.weight"] = "b1", [".b2.weight"] = "b2" },
   needs = { { "a1", "a2", "b1", "b2" } },
   rank = function(p) return math.min(p.a2:shape()[1], p.a2:shape()[2]) end,
   -- s: alpha over the rank.
   apply = function(w, p, m, s)
      local flat = w:reshape(w:shape()[1], w:numel() // w:shape()[1])
      if w:ndim() > 2 then error("GLoRA of convolutions is not supported", 0) end
      local own, free
      if is_old(p, w) then
         own, free = core.matmul(core.matmul(flat, p.a2), p.a1), core.matmul(p.b2, p.b1)
      else
         own, free = core.matmul(core.matmul(flat, p.a1), p.a2), core.matmul(p.b1, p.b2)
      end
      return w + (m * s) * (own + free):reshape(w:shape())
   end,
}
