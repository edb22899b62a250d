--- A small file that appears whole or not at all: written beside its place, then renamed.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"

local new_file = {}

--- Refuses to let a mistyped name cost a model: what is there must be of the kind that is to be written.
-- @tparam string path
-- @tparam string kind what is to be written: "page", "picture"
-- @tparam function is_such called with the first bytes of what is there
-- @raise "exists"
function new_file.check(path, kind, is_such)
   local file = io.open(path, "rb")
   local head = file and file:read(64)
   if file then file:close() end
   if head and not is_such(head) then
      errors.throwf("exists", "%s: that file is no %s: it is not replaced by one", core.escape(path), kind)
   end
end

--- @tparam string path
-- @tparam function body called with write(text)
-- @raise "io"; whatever `body` throws. The target is then as it was
function new_file.write(path, body)
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

return new_file
