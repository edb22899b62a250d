--- Tables that lie as one file each below a place of Lua's path, so that a new file there is all that a new one takes.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"

local on_path = {}

-- FOLDER below each place of Lua's path.
local function folders(folder)
   local list = {}
   for place in package.path:gmatch("[^;]+") do
      local before = place:match("^(.*)%?%.lua$")
      if before then list[#list + 1] = before .. folder end
   end
   return list
end

--- Names of the files, without .lua, sorted.
-- @tparam string folder such as "stlua/merge"
-- @treturn {string,...}
function on_path.names(folder)
   local names, seen = {}, {}
   for _, path in ipairs(folders(folder)) do
      local stat = core.stat(path)
      for _, entry in ipairs(stat and stat.type == "dir" and core.listdir(path) or {}) do
         local name = entry.name:match("^([a-z][a-z0-9_]*)%.lua$")
         if name and not seen[name] then names[#names + 1], seen[name] = name, true end
      end
   end
   table.sort(names)
   return names
end

return on_path
