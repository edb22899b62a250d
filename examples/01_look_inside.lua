-- What is in a model: stlua 01_look_inside.lua model.safetensors
local st = require "stlua"
local path = ...

local m = st.open(path)                       -- reads the header; values stay where they are
print(m)                                      -- blocks, dtypes and sizes; layers that are alike are one line

local largest, elements = nil, 0
for name, t in pairs(m) do                    -- in the file's order
   elements = elements + t:numel()
   if not largest or t:nbytes() > m[largest]:nbytes() then largest = name end
end
print(("%d elements in %d tensors; the largest is %s:"):format(elements, #m, largest))
print(m[largest])                             -- reads the corners that are shown

for key, value in pairs((m:metadata())) do print(key .. " = " .. value) end
