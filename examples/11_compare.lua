-- Where two models differ most, block by block: stlua 11_compare.lua a b
local st = require "stlua"
local a, b = ...
a, b = st.open(a), st.open(b)

-- Sums of each block: of the products of both models, and of the squares of each.
local blocks, order = {}, {}
for name, x in pairs(a) do
   if b:find(name) and x:dtype():find("F", 1, true) then
      local block = name:match("^.-%.%d+") or name            -- "model.layers.3", or the whole name
      if not blocks[block] then
         blocks[block] = { 0, 0, 0 }
         order[#order + 1] = block
      end
      local y = b[name]
      local sums = { st.force(x:dot(y), x:dot(x), y:dot(y)) }      -- three reductions, one pass over the two tensors
      for i, sum in ipairs(sums) do blocks[block][i] = blocks[block][i] + sum:item() end
   end
end

for _, block in ipairs(order) do
   local xy, xx, yy = table.unpack(blocks[block])
   print(("%-28s cosine %7.4f   |a - b| / |a| %7.4f"):format(block, xy / math.sqrt(xx * yy),
      math.sqrt(math.max(0, xx - 2 * xy + yy) / xx)))
end
