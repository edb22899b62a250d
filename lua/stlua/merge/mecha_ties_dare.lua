-- mecha_ties_dare: base + alpha TIES(masked d_i) / (1 - probability); see stlua.mecha_family.
local core = require "stlua.core"
local family = require "stlua.mecha_family"
local ops = require "stlua.ops"

-- Entries are kept with 1 - probability; with della_eps large ones rather than small ones.
local function dropped(delta, p, i)
   local stream = p.name .. "#" .. i
   if p.della_eps == 0 then
      return ops.where(core.random("chance", "BOOL", delta:shape(), p.seed, stream, 1 - p.probability), delta, 0)
   end
   local n = delta:numel()
   local rank = core.rank(delta:abs():reshape(1, n), 2):reshape(delta:shape()) + 1
   local keep = 1 - p.probability + (rank / n - (n + 1) / (2 * n)) * p.della_eps
   return ops.where(core.random("rand", "F32", delta:shape(), p.seed, stream):lt(keep), delta, 0)
end

return {
   summary = "Drops entries of the differences by chance, then TIES as mecha_ties, scaled up again.",
   source = "sd-mecha add_ties_with_dare",
   base = "required",
   params = family.params {
      { name = "probability", type = "number", default = 0.9, min = 0, max = 1, help = "of dropping an entry" },
      { name = "della_eps", type = "number", default = 0, help = "how far that hangs on an entry's rank (DELLA)" },
      { name = "rescale", type = "boolean", default = true, help = "divide by 1 - probability" },
   },
   merge = function(base, models, p)
      if p.probability == 1 then return base end
      local deltas = require("stlua.task_vectors").of(base, models)
      if deltas[1]:numel() == 0 then return base end
      for i, delta in ipairs(deltas) do deltas[i] = dropped(delta, p, i) end
      return base + p.alpha / (p.rescale and 1 - p.probability or 1) * family.sum(deltas, p)
   end,
}
