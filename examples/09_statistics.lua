-- What the values are like: stlua 09_statistics.lua model.safetensors [pattern]
local st = require "stlua"
local path, pattern = ...

local m = st.open(path):select(pattern or "norm")
local rows = m:stats()                        -- reads each tensor once
print(rows)

for _, row in ipairs(rows) do
   if (row.nan or 0) + (row.inf or 0) > 0 then print(row.name .. " has values that are no numbers") end
end

-- Reductions are tensors, too: they wait until they are asked for, and st.force computes many in one pass.
local t = m[rows[1].name]
local norm, largest, zeros = st.force(t:norm(), t:abs():amax(), t:eq(0):count_nonzero())
print(("%s: norm %.4g, largest %.4g, %d zeros"):format(rows[1].name, norm:item(), largest:item(), zeros:item()))
print(t:hist { bins = 8 })
