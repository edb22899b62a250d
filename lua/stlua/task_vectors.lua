--- What the methods of the task arithmetic family share: differences to a base, made sparse, agreed on, summed.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local sparsify = require "stlua.sparsify"
local sum = require("stlua.merge_math").sum

local apply = core.apply

local task_vectors = {}

--- The differences of the models to their base.
-- @treturn {tensor,...}
function task_vectors.of(base, models)
   local list = {}
   for i, t in ipairs(models) do list[i] = t - base end
   return list
end

-- The sign of the sum of all; 0 counts as positive.
local function elected(list)
   return apply("where", apply("ge", sum(list), 0), 1.0, -1.0)
end

--- Masks of the entries whose sign is that of the sum of all; a sum of 0 counts as positive. Zeros never agree.
-- @tparam {tensor,...} list
-- @treturn {tensor,...} BOOL
function task_vectors.agreeing(list)
   local sign = elected(list)
   local masks = {}
   for i, v in ipairs(list) do masks[i] = apply("gt", v * sign, 0) end
   return masks
end

-- Weighted differences become one: those that agree with the elected sign, or all of them; normalised by the weights
-- that took part.
local function mixed(list, weights, consensus, normalize)
   if not consensus then
      local total = sum(list)
      if not normalize then return total end
      local divisor = sum(weights)
      return math.abs(divisor) < 1e-8 and total or total / divisor
   end
   local sign, along, shares = elected(list), {}, {}
   for i, v in ipairs(list) do      -- what goes along with the sign is positive after a change of sign
      local turned = v * sign
      along[i] = apply("maximum", turned, 0.0)
      if normalize then shares[i] = apply("where", apply("gt", turned, 0), weights[i] + 0.0, 0.0) end
   end
   if not normalize then return sum(along) * sign end
   local divisor = sum(shares)
   return sum(along) * sign / apply("where", apply("eq", divisor, 0), 1.0, divisor)
end

--- base + lambda * the differences, weighted and mixed.
-- @param base tensor
-- @tparam {tensor,...} models
-- @tparam table p weight, density, normalize, rescale, lambda, and what the sparsifier wants
-- @tparam table how { sparsifier = a name of stlua.sparsify or nil, consensus = boolean }
function task_vectors.merge(base, models, p, how)
   local list = task_vectors.of(base, models)
   for i, delta in ipairs(list) do
      if how.sparsifier then delta = sparsify.sparse(how.sparsifier, delta, p, i) end
      list[i] = delta * p.weight[i]
   end
   local total = mixed(list, p.weight, how.consensus, p.normalize)
   if p.lambda ~= 1 then total = total * p.lambda end
   return base + total
end

local WEIGHT = { name = "weight", each = true, type = "number", help = "share of each model's difference to the base" }
local DENSITY = { name = "density", each = true, type = "number", default = 1, min = 0, max = 1,
   help = "part of each difference that is kept" }
local MORE = {
   magnitude_outliers = { name = "gamma", each = true, type = "number", default = 0.01, min = 0, max = 1,
      help = "part of the largest entries that is left out" },
   della = { name = "epsilon", each = true, type = "number", default = 0.15, min = 0, max = 1,
      help = "how far the probability of keeping an entry goes up and down with its rank" },
}

-- Probabilities must lie between 0 and 1.
local function check_della(p, n)
   for i = 1, n do
      local d, e = p.density[i], p.epsilon[i]
      if d > 0 and d < 1 and (d - e <= 0 or d + e >= 1) then
         errors.throwf("arg", "epsilon of model %d is %g: density %g - epsilon and + epsilon must lie between 0 and 1",
            i, e, d)
      end
   end
end

--- The definition of a method of this family.
-- @tparam table def summary, source, sparsifier, consensus, normalize and rescale (the defaults)
function task_vectors.method(def)
   def.base = "required"
   def.params = { WEIGHT, DENSITY }
   if MORE[def.sparsifier] then def.params[3] = MORE[def.sparsifier] end
   table.move({
      { name = "normalize", type = "boolean", default = def.normalize or false,
         help = "divide by the sum of the weights that took part" },
      { name = "rescale", type = "boolean", default = def.rescale or false,
         help = "scale what is kept to the size of the whole difference" },
      { name = "rescale_rule", type = "string", default = "l1", choices = { "l1", "density" },
         help = "l1: to the same sum of magnitudes (mergekit); density: divided by the density (the paper of DARE)" },
      { name = "lambda", type = "number", default = 1, help = "factor of the sum of the differences" },
   }, 1, 4, #def.params + 1, def.params)
   def.check = def.sparsifier == "della" and check_della or nil
   def.merge = function(base, models, p)
      return task_vectors.merge(base, models, p, def)
   end
   return def
end

return task_vectors
