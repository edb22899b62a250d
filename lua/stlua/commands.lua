--- The installed commands: the scripts of one folder, found beside this library or under the same prefix.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"

local commands = {}

-- A unique first argument: a command that gets it describes itself instead of running.
commands.describe = setmetatable({}, { __name = "stlua.describe" })

-- The source tree has lua/stlua and scripts side by side; an installation share/lua/5.4/stlua and
-- share/stlua/scripts.
local function find_folder()
   local here = debug.getinfo(1, "S").source:match("^@(.*)commands%.lua$") or "./"
   for _, relative in ipairs { "../../scripts", "../../../stlua/scripts" } do
      local stat = core.stat(here .. relative)
      if stat and stat.type == "dir" then return here .. relative end
   end
end

local folder = find_folder()

--- Path of an installed command ("merge" or "merge.lua"), or nil.
function commands.find(name)
   if not folder or name:find("[/\\]") then return nil end
   local path = ("%s/%s.lua"):format(folder, name:gsub("%.lua$", ""))
   local stat = core.stat(path)
   return stat and stat.type == "file" and path or nil
end

--- Names of all installed commands, sorted.
function commands.names()
   local names = {}
   for _, entry in ipairs(folder and core.listdir(folder) or {}) do
      local name = entry.name:match("^([%w_-]+)%.lua$")
      if name and entry.type == "file" then names[#names + 1] = name end
   end
   return names
end

--- Loads a script as text, never bytecode.
-- @raise the compiler's message
function commands.load(path)
   local chunk, message = loadfile(path, "t")
   if not chunk then
      local named = not path or message:find(path, 1, true)
      error(named and message or path .. ": " .. message, 0)
   end
   return chunk
end

--- What a command says of itself: { name, summary, options = function(parser), run } as given to cli.command; nil
-- where there is no such command. Installed commands all end in cli.command.
function commands.definition(name)
   local path = commands.find(name)
   if not path then return nil end
   local def = commands.load(path)(commands.describe)
   return type(def) == "table" and def or nil
end

return commands
