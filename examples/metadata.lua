-- Sets one metadata key, or removes it: stlua examples/metadata.lua in out title "My model"
local st = require "stlua"
local path, out, key, value = ...

st.open(path):with_metadata({ [key] = value or false }):save(out)
