-- Cuts a prefix from all names that have it: stlua examples/rename.lua in out model.
local st = require "stlua"
local path, out, prefix = ...

st.open(path):rename(prefix .. "*", "*"):save(out)
