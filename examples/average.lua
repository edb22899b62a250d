-- The average of two models: stlua examples/average.lua a.safetensors b.safetensors out.safetensors
local st = require "stlua"
local a, b, out = ...

st.lerp(st.open(a), st.open(b), 0.5):save(out)
