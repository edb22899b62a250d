-- arcee_fusion: another model's values where they matter most: where they differ, in rows whose distribution changed.
local st = require "stlua"

local TINY = 1e-8

-- Probabilities along the last dimension.
local function softmax(x)
   local e = st.exp(x - x:amax(-1, { keepdim = true }))
   return e / e:sum(-1, { keepdim = true }) + TINY
end

-- |x - base|, weighed by the divergence (Kullback and Leibler) of its row from the base's.
local function importance(base, x)
   local p, q = softmax(x), softmax(base)
   return (x - base):abs() * (p * st.log(p / q)):sum(-1, { keepdim = true })
end

return {
   summary = "Takes over another model's values where they matter most: an interquartile range above the middle half.",
   source = "Arcee Fusion; mergekit",
   base = "required", max = 1,
   merge = function(base, models)
      local x = models[1]
      if x:numel() == 0 then return base end
      local flat = #x:shape() == 0
      local score = flat and importance(base:reshape(1), x:reshape(1)):reshape() or importance(base, x)
      local q = score:quantile({ 0.25, 0.5, 0.75 }, { interpolation = "lower" })
      local function at(i) return q:narrow(1, i, 1):sum() end
      local threshold = at(2) + 1.5 * (at(3) - at(1))
      return base + st.where(score:ge(threshold), x - base, 0.0)
   end,
}
