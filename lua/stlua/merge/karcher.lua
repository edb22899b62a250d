-- karcher: the point on the sphere whose squared angles to all models are least together. It lies in the span of the
-- models: one pass over a tensor gives their inner products, from which the core finds a coefficient for each.
local core = require "stlua.core"
local st = require "stlua"

local sum = require("stlua.merge_math").sum

-- Deferred numbers as one tensor.
local function vector(list)
   for i, x in ipairs(list) do list[i] = x:reshape(1) end
   return st.cat(list, 1)
end

return {
   summary = "The mean of the models' directions on the sphere (Karcher, or Fréchet), as long as their mean length.",
   source = "Riemannian center of mass and mollifier smoothing (Karcher, 1977); mergekit",
   params = {
      { name = "max_iter", type = "number", default = 10, min = 1, max = 1000, integer = true, help = "steps at most" },
      { name = "tol", type = "number", default = 1e-5, min = 0, help = "the step, or length, that counts as none" },
   },
   merge = function(_, models, p)
      local n = #models
      if n == 1 then return models[1] end
      local lengths, counts, sizes = {}, {}, {}
      for i, x in ipairs(models) do
         lengths[i] = x:norm()
         counts[i] = st.where(lengths[i]:gt(p.tol), 1.0, 0.0):cast("F64")
         sizes[i] = st.where(lengths[i]:gt(p.tol), lengths[i], 1.0)
      end
      local products = {}
      for i, x in ipairs(models) do
         for j, y in ipairs(models) do
            products[#products + 1] = j < i and products[(j - 1) * n + i] or x:dot(y) / (sizes[i] * sizes[j])
         end
      end
      local shares = vector { table.unpack(counts) } / st.maximum(sum(counts), 1)
      local c = core.sphere_mean(vector(products):reshape(n, n), shares, p.max_iter, p.tol)
      local length, result = sum(lengths) / n, nil
      for i, x in ipairs(models) do
         local term = x * (c:narrow(1, i, 1):reshape() / sizes[i] * length)
         result = result and result + term or term
      end
      return result
   end,
}
