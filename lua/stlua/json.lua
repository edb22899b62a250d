--- st.json: JSON for configurations and metadata values. The headers of models go through the core's own scanner,
-- not this.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"

return {
   --- Text to value: objects and arrays become tables, null becomes `st.json.null`. Duplicate keys, NUL characters
   -- and integers beyond 2^53 are errors.
   decode = core.json_decode,
   --- Value to text, keys sorted. Options: `indent` = number of blanks.
   encode = core.json_encode,
   --- Marks a table as an array, so that an empty one is written `[]`.
   array = core.array,
   null = core.null,
}
