-- mecha_dropout: base + alpha sum(m_i d_i) / max(1, sum m_i) / (1 - probability)^rescale_power, m_i independent masks.
local core = require "stlua.core"
local ops = require "stlua.ops"
local sum = require("stlua.merge_math").sum

return {
   summary = "Drops entries of the differences by chance, and averages those that are left (n-supermario).",
   source = "sd-mecha dropout, with independent masks (overlap 1)",
   base = "required",
   params = {
      { name = "alpha", type = "number", default = 0.5, help = "factor of the result" },
      { name = "probability", type = "number", default = 0.9, min = 0, max = 1, help = "of dropping an entry" },
      { name = "rescale_power", type = "number", default = 1, help = "exponent of 1 - probability in the divisor" },
   },
   merge = function(base, models, p)
      if p.probability == 1 then return base end
      local kept, ones = {}, {}
      for i, delta in ipairs(require("stlua.task_vectors").of(base, models)) do
         local mask = core.random("chance", "BOOL", delta:shape(), p.seed, p.name .. "#" .. i, 1 - p.probability)
         kept[i], ones[i] = ops.where(mask, delta, 0), ops.where(mask, 1, 0)
      end
      return base + p.alpha / (1 - p.probability) ^ p.rescale_power * (sum(kept) / ops.maximum(sum(ones), 1))
   end,
}
