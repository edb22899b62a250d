-- Leaves tensors out: stlua 04_drop.lua in out 'model_ema.*' 'lm_head.*'
local st = require "stlua"
local path, out = ...

-- The other way round, m:select(...) keeps what matches. What is left is copied, not decoded.
st.open(path):without(select(3, ...)):save(out)
