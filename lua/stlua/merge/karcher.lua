-- karcher: the point on the sphere whose squared angles to all models are least together. The mean stays in the span of
-- the models: it is kept as one coefficient per model, and everything is known from their inner products, which one
-- pass over the tensors gives.
local st = require "stlua"

-- Arithmetic on lists of deferred numbers.
local function map(list, fn)
   local out = {}
   for i, x in ipairs(list) do out[i] = fn(x, i) end
   return out
end

local function sum(list, fn)
   local total
   for i, x in ipairs(list) do
      local term = fn and fn(x, i) or x
      total = total and total + term or term
   end
   return total
end

-- Inner products of the models' directions; a model without length is at a right angle to all.
local function gram(models, sizes)
   local g = map(models, function() return {} end)
   for i, x in ipairs(models) do
      for j = i, #models do
         local inner = x:dot(models[j]) / (sizes[i] * sizes[j])
         g[i][j], g[j][i] = inner, inner
      end
   end
   return g
end

local function inner(g, a, b)
   return sum(a, function(x, i) return x * sum(b, function(y, j) return y * g[i][j] end) end)
end

-- One step towards the mean, from the coefficients c; `going` is false once it has been reached.
local function step(g, c, share, going, tol)
   local cosine = map(c, function(_, i)
      return st.clamp(sum(c, function(y, j) return y * g[i][j] end), -1, 1)
   end)
   local pull = map(cosine, function(x, i)
      local angle = st.acos(x)
      return st.where(angle:lt(tol), 0.0, share[i] * angle / st.sin(angle))
   end)
   local along = sum(pull, function(x, i) return x * cosine[i] end)
   local tangent = map(pull, function(x, i) return x - along * c[i] end)
   local length = st.sqrt(st.maximum(inner(g, tangent, tangent), 0))
   going = st.logical_and(going, length:ge(tol))
   local turned = map(c, function(x, i)
      return st.cos(length) * x + st.sin(length) * tangent[i] / length
   end)
   local size = st.sqrt(inner(g, turned, turned))
   return map(c, function(x, i) return st.where(going, turned[i] / size, x) end), going
end

return {
   summary = "The mean of the models' directions on the sphere (Karcher, or Fréchet), as long as their mean length.",
   source = "Riemannian center of mass and mollifier smoothing (Karcher, 1977); mergekit",
   params = {
      { name = "max_iter", type = "number", default = 10, min = 1, max = 1000, integer = true, help = "steps at most" },
      { name = "tol", type = "number", default = 1e-5, min = 0, help = "the step, or length, that counts as none" },
   },
   merge = function(_, models, p)
      if #models == 1 then return models[1] end
      local norms = map(models, function(x) return x:norm() end)
      local there = map(norms, function(n) return n:gt(p.tol) end)
      local sizes = map(norms, function(n, i) return st.where(there[i], n, 1.0) end)
      local count = st.maximum(sum(there, function(x) return st.where(x, 1.0, 0.0) end), 1)
      local share = map(there, function(x) return st.where(x, 1.0, 0.0) / count end)
      local g = gram(models, sizes)
      local length = st.sqrt(st.maximum(inner(g, share, share), 0))
      local nobody, first = st.where(there[1], 0.0, 1.0), {}      -- the first that has length
      for i in ipairs(models) do
         first[i] = i == 1 and st.where(there[1], 1.0, 0.0) or st.where(there[i], nobody, 0.0)
         if i > 1 then nobody = st.where(there[i], 0.0, nobody) end
      end
      local c = map(share, function(x, i) return st.where(length:lt(p.tol), first[i], x / length) end)
      local going = length:ge(0)
      for _ = 1, p.max_iter do c, going = step(g, c, share, going, p.tol) end
      local mean = sum(norms) / #models
      return sum(models, function(x, i) return x * (c[i] / sizes[i] * mean) end)
   end,
}
