--- A small file that appears whole or not at all, by the rules of a save.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"

local new_file = {}

--- The folder that a path is in, and what is there: "dir", another type, or nil.
-- @tparam string path without a slash at its end
-- @treturn string
-- @treturn ?string
function new_file.folder(path)
   local folder = path:match("^(.*)/[^/]*$") or "."
   local stat = core.stat(folder == "" and "/" or folder)
   return folder, stat and stat.type
end

--- Refuses to let a mistyped name cost a model, or long work: what is there must be of the kind that is to be written,
-- and there must be a folder for it.
-- @tparam string path
-- @tparam string kind what is to be written: "page", "picture"
-- @tparam function is_such called with the first bytes of what is there
-- @raise "exists"; "io" for a folder, or a name in a folder that is not there
function new_file.check(path, kind, is_such)
   local stat, folder, kind_of_folder = core.stat(path), new_file.folder(path)
   if stat and stat.type == "dir" then
      errors.throwf("io", "%s: that is a folder: name the file to write in it", core.escape(path))
   end
   if kind_of_folder ~= "dir" then
      errors.throwf("io", "%s: the folder %s does not exist: create it first", core.escape(path), core.escape(folder))
   end
   local file = io.open(path, "rb")
   local head = file and file:read(64)
   if file then file:close() end
   if head and not is_such(head) then
      errors.throwf("exists", "%s: that file is no %s: it is not replaced by one", core.escape(path), kind)
   end
end

--- @tparam string path
-- @tparam string bytes
-- @raise "io", "space". The target is then as it was
function new_file.write(path, bytes) core.write_file(path, bytes) end

return new_file
