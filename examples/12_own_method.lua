-- A merge method of your own: stlua 12_own_method.lua out 0.3 base tuned1 tuned2 ...
-- TIES (Yadav and others, 2023): keep the largest changes of each model, elect a sign for each element, and take the
-- mean of the changes that agree with it.
local st = require "stlua"
local out, density = ...
density = tonumber(density)

-- Only the largest changes, by magnitude. The threshold is a tensor without dimensions: it is found in two passes over
-- the delta, which is never stored.
local function trim(delta)
   local n = delta:numel()
   local keep = math.max(1, math.floor(density * n + 0.5))
   local size = delta:abs()
   return st.where(size:ge(size:kthvalue(n - keep + 1)), delta, 0)
end

-- The method is a function from tensors to a tensor. It runs once per name; nothing is computed before `save`.
local function ties(base, tuned)
   local deltas, sum = {}, 0
   for i, t in ipairs(tuned) do
      deltas[i] = trim(t - base)
      sum = sum + deltas[i]
   end
   local elected, total, votes = sum:sign(), 0, 0
   for _, delta in ipairs(deltas) do
      local agrees = delta:sign():eq(elected)
      total = total + st.where(agrees, delta, 0)
      votes = votes + agrees
   end
   return base + total / st.maximum(votes, 1)
end

local models = {}
for i, path in ipairs { select(3, ...) } do models[i] = st.open(path) end

st.map(models, function(_, base, ...)
   if base:ndim() == 2 then return ties(base, { ... }) end
   local sum = 0                                              -- norms and biases: the plain mean of the tuned models
   for _, t in ipairs { ... } do sum = sum + t end
   return sum / select("#", ...)
end):save(out)
