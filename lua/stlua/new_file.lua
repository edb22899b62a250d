--- A small file that appears whole or not at all: written beside its place, then renamed.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"

--- @tparam string path
-- @tparam function body called with write(text)
-- @raise "io"; whatever `body` throws. The target is then as it was
return function(path, body)
   local temp = path .. ".part"
   local file, why = io.open(temp, "wb")
   if not file then errors.throw("io", ("%s: cannot write: %s"):format(core.escape(path), why:gsub("^.*: ", ""))) end
   local function write(s)
      local ok, message = file:write(s)
      if not ok then errors.throw("io", ("%s: writing: %s"):format(core.escape(path), message)) end
   end
   local ok, e = pcall(body, write)
   local closed, message = file:close()
   if ok and not closed then ok, e = false, core.error("io", ("%s: writing: %s"):format(core.escape(path), message)) end
   if ok then
      local renamed, reason = os.rename(temp, path)
      if renamed then return end
      e = core.error("io", ("%s: %s"):format(core.escape(path), reason))
   end
   os.remove(temp)
   error(e, 0)
end
