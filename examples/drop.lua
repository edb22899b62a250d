-- Leaves tensors out: stlua examples/drop.lua in out 'model_ema.*' 'lm_head.*'
local st = require "stlua"
local path, out = ...

st.open(path):without(select(3, ...)):save(out)
