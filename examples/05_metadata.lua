-- Sets one metadata key, or removes it: stlua 05_metadata.lua in out title "My model"
local st = require "stlua"
local path, out, key, value = ...

-- with_metadata gives a new model, as all methods do but those called set; false removes a key.
st.open(path):with_metadata({ [key] = value or false }):save(out)
