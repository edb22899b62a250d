-- Cuts a prefix from all names that have it: stlua 03_rename.lua in out model.
local st = require "stlua"
local path, out, prefix = ...

-- Patterns: * and ? are wild. rename also takes a table of names or a function; see ?m.rename at the prompt.
st.open(path):rename(prefix .. "*", "*"):save(out)
