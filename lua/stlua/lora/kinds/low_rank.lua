-- LoRA (Hu et al. 2021, arXiv 2106.09685): W + s B A. A convolution's factors are those of its matrix, (out, in k k);
-- LoCon's middle tensor (LyCORIS' tucker) stands between them.
local rows_of = require("stlua.lora.factors").rows
local tucker = require "stlua.lora.tucker"

return {
   id = "lora", title = "LoRA",
   suffixes = {
      [".lora_down.weight"] = "down", [".lora_up.weight"] = "up", [".lora_mid.weight"] = "mid",
      [".lora_A.weight"] = "down", [".lora_B.weight"] = "up", [".lora_B.bias"] = "bias_diff",
      [".lora_A.default.weight"] = "down", [".lora_B.default.weight"] = "up", [".lora_A"] = "down", [".lora_B"] = "up",
      [".lora.down.weight"] = "down", [".lora.up.weight"] = "up",
      ["_lora.down.weight"] = "down", ["_lora.up.weight"] = "up",
      [".lora_linear_layer.down.weight"] = "down", [".lora_linear_layer.up.weight"] = "up",
      [".lora_embedding_A"] = "embedding_down", [".lora_embedding_B"] = "embedding_up",
      [".lora_embedding_A.default"] = "embedding_down", [".lora_embedding_B.default"] = "embedding_up",
   },
   needs = { { "down", "up" }, { "embedding_down", "embedding_up" } },
   rank = function(p) return (p.down or p.embedding_down):shape()[1] end,
   -- (out, r) and (r, in * k * k); nil where there is more between them. An embedding (V, d) is transposed.
   factors = function(p)
      if p.mid then return nil end
      if p.embedding_down then return p.embedding_down:t(), p.embedding_up:t() end
      return rows_of(p.up), rows_of(p.down)
   end,
   delta = function(p)
      if not p.mid then return nil end
      return tucker.product(p.mid, rows_of(p.up):t(), rows_of(p.down))
   end,
}
