--- The merge methods of PEFT, on differences to a base: pruned by size or by chance, weighted, and summed, or averaged
-- over those that agree with the sign elected before weighting. Unlike mergekit's the mean is over the number of
-- entries, not their weights, and what chance keeps is divided by the density.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local math_ = require "stlua.merge_math"
local task_vectors = require "stlua.task_vectors"

local apply = core.apply
local peft_family = {}

local prune = {}

function prune.magnitude(x, p)
   local kept = math.tointeger((p.density * x:numel()) // 1)
   if kept == 0 then return x * 0 end
   return apply("where", core.top_mask(x, kept), x, 0)
end

function prune.random(x, p, i)
   if p.density == 0 then return x * 0 end
   local mask = core.random("chance", "BOOL", x:shape(), p.seed, p.name .. "#" .. i, p.density)
   return apply("where", mask, x, 0) / p.density
end

-- Masks of the entries with the elected sign; a sum of 0 counts as positive, so that zeros never agree.
local function agreeing(list, vote)
   local votes = {}
   for i, x in ipairs(list) do votes[i] = vote == "frequency" and x:sign() or x end
   local positive, masks = apply("ge", math_.sum(votes), 0), {}
   for i, x in ipairs(list) do masks[i] = apply("where", positive, apply("gt", x, 0), apply("lt", x, 0)) end
   return masks
end

local function merge(base, models, p, how)
   local list = task_vectors.of(base, models)
   for i, x in ipairs(list) do
      if p.density < 1 and x:numel() > 0 then list[i] = prune[how.prune](x, p, i) end
   end
   local masks, ones = how.elect and agreeing(list, p.majority_sign_method), {}
   for i, x in ipairs(list) do
      list[i] = x * p.weight[i]
      if masks then list[i], ones[i] = apply("where", masks[i], list[i], 0), apply("where", masks[i], 1, 0) end
   end
   local total = math_.sum(list)
   return base + (masks and total / apply("maximum", math_.sum(ones), 1) or total)
end

--- The definition of a method of this family.
-- @tparam table def summary, source, prune = "magnitude" or "random", elect = whether a sign is elected
function peft_family.method(def)
   def.base = "required"
   def.params = {
      { name = "weight", each = true, type = "number", help = "share of each model's difference to the base" },
      { name = "density", type = "number", default = 0.5, min = 0, max = 1,
         help = "part of each difference that is kept" },
   }
   if def.elect then
      def.params[3] = { name = "majority_sign_method", type = "string", default = "total",
         choices = { "total", "frequency" }, help = "elect signs by the sum of the values, or by their number" }
   end
   def.merge = function(base, models, p) return merge(base, models, p, def) end
   return def
end

return peft_family
