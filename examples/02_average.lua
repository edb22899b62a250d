-- The average of two models: stlua 02_average.lua a.safetensors b.safetensors out.safetensors
local st = require "stlua"
local a, b, out = ...

-- A model is a value. The sum below only describes another one; `save` computes it in one pass over both files.
local average = 0.5 * st.open(a) + 0.5 * st.open(b)
print(average:formula())
average:save(out)
