--- What is wrong with a merge, collected so that all of it is told at once, and remarks that stop nothing.
-- Layer: Lua, above stlua.core.

local errors = require "stlua.errors"
local text = require "stlua.text"

local problems = {}

local Problems = {}
Problems.__index = Problems

local MANY = 200     -- lines of one report

--- A new collection.
-- @tparam string label the configuration, for the title
function problems.new(label)
   return setmetatable({ label = label, list = {}, seen = {}, notes = {}, noted = {} }, Problems)
end

--- Adds a problem; the same sentence twice is told once.
-- @tparam ?table|integer where a node of the configuration, its line, or nil
function Problems:add(where, format, ...)
   local line = type(where) == "table" and where.line or where
   local message = (line and ("line %d: "):format(line) or "") .. format:format(...)
   if self.seen[message] then return end
   self.seen[message] = true
   self.list[#self.list + 1] = message
end

--- Adds a remark.
function Problems:note(where, format, ...)
   local line = type(where) == "table" and where.line or where
   local message = (line and ("line %d: "):format(line) or "") .. format:format(...)
   if self.noted[message] then return end
   self.noted[message] = true
   self.notes[#self.notes + 1] = message
end

--- Adds what a function throws, if it is about the arguments; other errors go on.
-- @treturn boolean whether all went well
-- @return the function's first result
function Problems:try(where, prefix, fn, ...)
   local ok, result = pcall(fn, ...)
   if ok then return true, result end
   if not errors.is(result) or result.code == "cancelled" or result.code == "nomem" then error(result, 0) end
   self:add(where, "%s%s", prefix, result.message)
   return false
end

--- Throws all problems as one error; does nothing when there are none.
-- @raise "config"
function Problems:throw()
   local n = #self.list
   if n == 0 then return end
   if n == 1 then errors.throw("arg", ("%s: %s"):format(self.label, self.list[1]), { file = self.label }) end
   local lines = { ("%s: %s:"):format(self.label, text.plural(n, "problem")) }
   for i = 1, math.min(n, MANY) do lines[#lines + 1] = "  " .. self.list[i]:gsub("\n", "\n  ") end
   if n > MANY then lines[#lines + 1] = ("  ... and %d more"):format(n - MANY) end
   errors.throw("arg", table.concat(lines, "\n"), { file = self.label })
end

return problems
