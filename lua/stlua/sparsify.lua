--- Sparsifiers of merge methods: most entries of a tensor become 0, by size or by chance. Each acts on one tensor.
-- Which entries stay is exact: k-th magnitudes are selected, not estimated, and of equal ones those come first that
-- stand first.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"

local apply = core.apply
local sparsify = {}

-- trunc(density * n) as mergekit counts: on a double.
local function part(density, n)
   return math.tointeger(density * n // 1)
end

local rules = {}

--- The k largest magnitudes, k = max(1, trunc(density * n)).
function rules.magnitude(x, p, i)
   local n = x:numel()
   return core.top_mask(x, math.max(1, part(p.density[i], n)))
end

--- Each entry by itself with probability density.
function rules.random(x, p, i)
   return core.random("chance", "BOOL", x:shape(), p.seed, p.name .. "#" .. i, p.density[i])
end

--- Without the largest trunc(gamma * n), as long as trunc(density * n) remain; of the rest the largest.
function rules.magnitude_outliers(x, p, i)
   local n = x:numel()
   local target, top = part(p.density[i], n), part(p.gamma[i], n)
   top = math.min(top, n - target)
   local mask = core.top_mask(x, target + top)
   if top == 0 then return mask end
   return apply("bitwise_and", mask, apply("bitwise_not", core.top_mask(x, top)))
end

--- Each entry by itself, the likelier the higher its magnitude stands in its row: p = density - epsilon + 2 epsilon *
-- rank / (row - 1), ranks from 0.
function rules.della(x, p, i)
   local density, epsilon, shape = p.density[i], p.epsilon[i], x:shape()
   local flat = #shape < 2 and x:reshape(1, x:numel()) or x
   local rank = core.rank(flat:abs(), 2)
   local steps = math.max((flat:shape()[2]) - 1, 1)
   local keep = rank:reshape(table.unpack(shape)) * (2 * epsilon / steps) + (density - epsilon)
   local chance = core.random("rand", "F32", shape, p.seed, p.name .. "#" .. i)
   return apply("lt", chance, keep)
end

local SMALL = 1e-7

-- The masked tensor, scaled so that its magnitudes add up to those of the whole; left alone where either sum is tiny.
local function rescaled(x, masked)
   local all, kept = x:norm(1), masked:norm(1)
   local fits = apply("mul", apply("ge", all, SMALL), apply("ge", kept, SMALL))
   return masked * apply("where", fits, all / kept, 1.0)
end

--- A sparse tensor.
-- @tparam string rule "magnitude", "random", "magnitude_outliers" or "della"
-- @param x tensor
-- @tparam table p density, seed, name, rescale, rescale_rule; gamma or epsilon
-- @tparam integer i number of the model
-- @treturn tensor
function sparsify.sparse(rule, x, p, i)
   local density = p.density[i]
   if density >= 1 or x:numel() == 0 then return x end
   if density <= 0 then return x * 0 end
   local masked = apply("where", rules[rule](x, p, i), x, 0.0)
   if not p.rescale then return masked end
   if p.rescale_rule == "density" then return masked / density end
   return rescaled(x, masked)
end

return sparsify
