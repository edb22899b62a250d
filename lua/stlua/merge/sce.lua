-- sce: select the entries in which the models differ most, calculate their weights, erase minority signs.
local core = require "stlua.core"
local st = require "stlua"
local task_vectors = require "stlua.task_vectors"

local FLOOR = 1e-6

-- Zeroes everything but the entries of largest variance over the models.
local function select_entries(list, part)
   local n, mean, variance = #list, list[1], nil
   for i = 2, n do mean = mean + list[i] end
   mean = mean / n
   for _, x in ipairs(list) do
      local square = st.square(x - mean)
      variance = variance and variance + square or square
   end
   variance = variance / n
   local k = (variance:count_nonzero():cast("F32") * part):trunc():cast("I64")
   local mask = core.top_mask(variance, k)
   for i, x in ipairs(list) do list[i] = st.where(mask, x, 0.0) end
end

-- Each model's mean square, as a share of all; equal shares where there is next to nothing.
local function weights(list)
   local squares, total = {}, nil
   for i, x in ipairs(list) do
      squares[i] = st.square(x):mean()
      total = total and total + squares[i] or squares[i]
   end
   for i, w in ipairs(squares) do squares[i] = st.where(total:abs():lt(FLOOR), 1 / #list, w / total) end
   return squares
end

return {
   summary = "Keeps the entries in which the models differ most, weighs models by their size, elects signs.",
   source = "FuseChat: SCE (Wan and others, 2024); mergekit",
   base = "required",
   params = { { name = "select_topk", type = "number", default = 1, min = 0, max = 1,
      help = "part of the entries that is kept" } },
   merge = function(base, models, p)
      if p.select_topk <= 0 or base:numel() == 0 then return base end
      local list = task_vectors.of(base, models)
      if p.select_topk < 1 then select_entries(list, p.select_topk) end
      local w, total, share = weights(list), nil, nil
      for i, mask in ipairs(task_vectors.agreeing(list)) do
         local term = st.where(mask, list[i] * w[i], 0.0)
         local part = st.where(mask, w[i], 0.0)
         total, share = total and total + term or term, share and share + part or part
      end
      return base + total / st.maximum(share, FLOOR)
   end,
}
