-- LoKr (LyCORIS, arXiv 2309.14859): Kronecker's product of two matrices, each whole or of factors. Only factors have a
-- rank, of which the second's counts: without any, alpha does not scale.
local core = require "stlua.core"
local linalg = require "stlua.linalg"
local tucker = require "stlua.lora.tucker"

local function matrix(whole, t, a, b)
   if whole then return whole end
   return t and tucker.product(t, a, b) or core.matmul(a, b)
end

return {
   title = "LoKr",
   suffixes = { [".lokr_w1"] = "k1", [".lokr_w1_a"] = "k1a", [".lokr_w1_b"] = "k1b", [".lokr_w2"] = "k2",
      [".lokr_w2_a"] = "k2a", [".lokr_w2_b"] = "k2b", [".lokr_t1"] = "s1", [".lokr_t2"] = "s2" },
   needs = { { "k1", "k2" }, { "k1", "k2a", "k2b" }, { "k1a", "k1b", "k2" }, { "k1a", "k1b", "k2a", "k2b" } },
   rank = function(p) return (p.k2b or p.k1b) and (p.k2b or p.k1b):shape()[1] end,
   delta = function(p)
      local a, b = matrix(p.k1, p.s1, p.k1a, p.k1b), matrix(p.k2, p.s2, p.k2a, p.k2b)
      while a:ndim() < b:ndim() do a = a:unsqueeze(a:ndim() + 1) end
      return linalg.kron(a, b)
   end,
}
