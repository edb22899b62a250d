-- LoHa (LyCORIS; FedPara, arXiv 2108.06098): the elementwise product of two products of factors.
local core = require "stlua.core"
local tucker = require "stlua.lora.tucker"

local function half(t, a, b) return t and tucker.product(t, a, b) or core.matmul(a, b) end

return {
   title = "LoHa",
   suffixes = { [".hada_w1_a"] = "w1a", [".hada_w1_b"] = "w1b", [".hada_w2_a"] = "w2a", [".hada_w2_b"] = "w2b",
      [".hada_t1"] = "t1", [".hada_t2"] = "t2" },
   needs = { { "w1a", "w1b", "w2a", "w2b" } },
   rank = function(p) return p.w1b:shape()[1] end,
   delta = function(p) return half(p.t1, p.w1a, p.w1b) * half(p.t2, p.w2a, p.w2b) end,
}
