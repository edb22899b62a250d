--- Changes values within a JSON text and leaves the rest as it was: the order of keys, 1e-05, 10000.0.
-- Layer: Lua, knows nothing of models. The text must be valid.

local json = require "stlua.json"

local jsonedit = {}

local function blanks(s, at) return s:match("^%s*()", at) end

-- Position behind the string that begins at `at`.
local function after_string(s, at)
   local i = at + 1
   while true do
      i = s:find('["\\]', i)
      if s:sub(i, i) == '"' then return i + 1 end
      i = i + 2
   end
end

-- Position behind the value that begins at `at`.
local function after_value(s, at)
   local c = s:sub(at, at)
   if c == '"' then return after_string(s, at) end
   if c ~= "{" and c ~= "[" then return s:match("^[^%s,%]}]*()", at) end
   local depth, i = 0, at
   repeat
      i = s:find('["{}%[%]]', i)
      c = s:sub(i, i)
      if c == '"' then
         i = after_string(s, i)
      else
         depth = depth + ((c == "{" or c == "[") and 1 or -1)
         i = i + 1
      end
   until depth == 0
   return i
end

-- First and last position of the value of a key in the object that begins at `at`; nil where it is absent.
local function find(s, at, key)
   local i = blanks(s, at + 1)
   while s:sub(i, i) == '"' do
      local stop = after_string(s, i)
      local name = json.decode("[" .. s:sub(i, stop - 1) .. "]")[1]
      local first = blanks(s, s:find(":", stop, true) + 1)
      local behind = after_value(s, first)
      if name == key then return first, behind - 1 end
      i = blanks(s, behind)
      if s:sub(i, i) == "," then i = blanks(s, i + 1) end
   end
end

--- The text of the value at a path of keys; nil where it is absent.
-- @tparam string s an object
-- @tparam {string,...} path
-- @treturn ?string
function jsonedit.get(s, path)
   local first, last = blanks(s, 1), nil
   for _, key in ipairs(path) do
      if s:sub(first, first) ~= "{" then return nil end
      first, last = find(s, first, key)
      if not first then return nil end
   end
   return s:sub(first, last)
end

--- Sets the value at a path of keys; where the last key is absent it is added to its object.
-- @tparam string s an object
-- @tparam {string,...} path all but the last must be there
-- @tparam string value as JSON
-- @treturn string
function jsonedit.set(s, path, value)
   local at = blanks(s, 1)
   for i, key in ipairs(path) do
      local first, last = find(s, at, key)
      if first and i == #path then return s:sub(1, first - 1) .. value .. s:sub(last + 1) end
      if not first then
         local empty = s:sub(blanks(s, at + 1)):sub(1, 1) == "}"
         return ("%s\n%s%s: %s%s%s"):format(s:sub(1, at), ("  "):rep(i), json.encode(key), value, empty and "\n" or ",",
            s:sub(at + 1))
      end
      at = first
   end
end

return jsonedit
