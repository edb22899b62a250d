--- Supermerger's cosine modes: how alike A and B are in a column is measured against all columns of the whole model,
-- so that the models are read once before.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local math_ = require "stlua.merge_math"
local ops = require "stlua.ops"
local reduce = require "stlua.reduce"

local apply = core.apply
local cosine = {}

local function is_vae(name) return name:find("^first_stage_model%.") ~= nil end

-- The columns' cosines and their mean with that of the whole tensors.
local function similarities(a, b, normalize)
   if normalize then a, b = math_.normalized(a, 1), math_.normalized(b, 1) end
   local columns = math_.cosine(a, b, 1)
   return columns, (columns + reduce.cosine_similarity(math_.wide(a), math_.wide(b))) / 2
end

-- The element of a sorted vector at a deferred place, from 0, without dimensions.
local function at(sorted, place)
   return core.take(sorted, 1, place:cast("I64"):reshape(1)):reshape {}
end

-- The range that is left when the lowest, and then the highest, hundredth is cut off; NaN does not count. Between two
-- values numpy's "midpoint" lies, so the first one above it is the least that stays.
local function trimmed_range(values)
   local sorted = reduce.sort(values, 1)
   local n = apply("eq", values, values):sum():cast("F64")
   local low = at(sorted, ops.maximum(((n - 1) / 100):ceil(), 0))
   local below = apply("lt", values, low):sum():cast("F64")
   local high = at(sorted, ops.maximum(below + ((n - below - 1) * 99 / 100):floor(), 0))
   return low, high
end

--- The definition of a mode.
-- @tparam table def summary, source, normalize = whether columns are normalised first, combined = whether what is
--   compared in the whole model is the mean of both cosines, magnitude = whether the sign of alpha does not count
function cosine.method(def)
   def.min, def.max = 2, 2
   def.params = { { name = "alpha", type = "number", help = "how far B is preferred: 0 favours A" } }
   def.prepare = function(rows)
      local all = {}
      for _, row in ipairs(rows) do
         if not is_vae(row.name) and row.models[1]:numel() > 0 then
            local columns, both = similarities(row.models[1], row.models[2], def.normalize)
            all[#all + 1] = (def.combined and both or columns):reshape(-1)
         end
      end
      if #all == 0 then return nil end
      local low, high = trimmed_range(core.cat(all, 1))
      return { low = low, high = high }
   end
   def.merge = function(_, models, p)
      local a, b = models[1], models[2]
      if is_vae(p.name) or a:numel() == 0 then return a end
      local _, alike = similarities(a, b, def.normalize)
      local low, high = p.shared.low, p.shared.high
      local k = apply("where", apply("gt", high, low), (alike - low) / (high - low), 1)
      return ops.lerp(b, a, ops.clamp(k - (def.magnitude and math.abs(p.alpha) or p.alpha), 0, 1))
   end
   return def
end

return cosine
