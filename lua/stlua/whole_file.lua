--- The text of a small file.
-- Layer: Lua, above stlua.core.

local errors = require "stlua.errors"

--- @tparam string path
-- @treturn ?string nil for a folder, which can be opened but not read
-- @raise "io"
return function(path)
   local file, message = io.open(path, "rb")
   if not file then errors.throw("io", message, { file = path }) end
   local s = file:read("a")
   file:close()
   return s
end
