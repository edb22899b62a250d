-- model_stock: between the base and the mean of the models, as far as the angle between their differences says.
local st = require "stlua"

local FLOOR = 1e-6

local function norm(x, rows)
   if not rows then return x:norm() end
   return x:norm(2, 2, { keepdim = true })
end

local function dot(x, y, rows)
   if not rows then return x:dot(y) end
   return (x * y):sum(2, { keepdim = true })
end

-- The mean cosine of all pairs of differences.
local function cosine(list, rows)
   local total, pairs_, sizes = nil, 0, {}
   for i, x in ipairs(list) do sizes[i] = norm(x, rows) end
   for i = 1, #list do
      for j = i + 1, #list do
         local c = st.clamp(dot(list[i], list[j], rows) / st.maximum(sizes[i] * sizes[j], FLOOR), -1, 1)
         total, pairs_ = total and total + c or c, pairs_ + 1
      end
   end
   return total / pairs_
end

local function stock(base, models, rows)
   local deltas, n, mean = {}, #models, models[1]
   for i, x in ipairs(models) do deltas[i] = x - base end
   for i = 2, n do mean = mean + models[i] end
   local c = cosine(deltas, rows)
   local d = 1 + (n - 1) * c
   local t = st.where(d:abs():lt(FLOOR), 0.0, n * c / d)
   return mean * (t / n) + base * (1 - t)
end

return {
   summary = "Between the base and the mean of the models, as far as the angle between their differences says.",
   source = "Model Stock (Jang and others, 2024); mergekit",
   base = "required", min = 2,
   params = {
      { name = "filter_wise", type = "boolean", default = false, help = "by itself for each row of a tensor" },
   },
   merge = function(base, models, p)
      local shape = base:shape()
      if not p.filter_wise or #shape < 2 then return stock(base, models, false) end
      local rows, flat = shape[1], {}
      local n = rows == 0 and 0 or base:numel() // rows
      for i, x in ipairs(models) do flat[i] = x:reshape(rows, n) end
      return stock(base:reshape(rows, n), flat, true):reshape(table.unpack(shape))
   end,
}
