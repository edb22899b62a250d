--- Completion: what may stand where the cursor is. Looks, and runs nothing of the user's: tables are read raw, methods
-- are found in the plain tables behind metatables, what a call gives is known from its documentation. Values offer
-- names of their own (a model its tensors) by a metamethod `__complete(value) -> list of names`.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local doc = require "stlua.doc"
local dtype = require "stlua.dtype"
local reserved = require("stlua.repl.show").reserved
local text = require "stlua.text"

local complete = {}

local NAME = "^[%a_][%w_]*$"

-- ---------------------------------------------------------------- where the cursor is

-- Reads a line up to the cursor: "code", "comment" or "string"; where an open string begins; the open brackets.
local function scan(line)
   local at, n, open = 1, #line, {}
   while at <= n do
      local c = line:sub(at, at)
      local level = line:match("^%-%-%[(=*)%[", at) or line:match("^%[(=*)%[", at)
      if level then
         local _, stop = line:find("]" .. level .. "]", at, true)
         if not stop then return "comment" end
         at = stop
      elseif line:find("^%-%-", at) then
         return "comment"
      elseif c == '"' or c == "'" then
         local stop = at + 1
         while stop <= n and line:sub(stop, stop) ~= c do
            stop = stop + (line:sub(stop, stop) == "\\" and 2 or 1)
         end
         if stop > n then return "string", at, open end
         at = stop
      elseif c:find("[%(%[{]") then
         open[#open + 1] = at
      elseif c:find("[%)%]}]") then
         open[#open] = nil
      end
      at = at + 1
   end
   return "code", nil, open
end

-- ---------------------------------------------------------------- what an expression is

-- What is known of an expression: { value = v }, or { methods = t } where only the type is known; nil for neither.

local TYPES = { model = core.Model, tensor = core.Tensor }

local function methods_of(value)
   if type(value) == "string" then return string end
   local mt = debug.getmetatable(value)
   if type(mt) ~= "table" then return nil end
   for _, field in ipairs { "methods", "__index" } do
      local t = rawget(mt, field)
      if type(t) == "table" then return t end
   end
end

-- value[key] without metamethods: through tables that stand as __index only.
local function raw_field(value, key)
   for _ = 1, 10 do
      if type(value) ~= "table" then
         value = methods_of(value)
         if not value then return nil end
      end
      local found = rawget(value, key)
      if found ~= nil then return found end
      local mt = debug.getmetatable(value)
      value = type(mt) == "table" and rawget(mt, "__index") or nil
      if type(value) ~= "table" then return nil end
   end
end

local function is_model(value) return debug.getmetatable(value) == core.model_meta end

local function names_of(value)
   local mt = debug.getmetatable(value)
   local f = type(mt) == "table" and rawget(mt, "__complete")
   if not f then return nil end
   local ok, names = pcall(f, value)
   return ok and type(names) == "table" and names or nil
end

local function field(known, key)
   if not known then return nil end
   if known.methods then return known.methods[key] and { value = known.methods[key] } end
   local found = raw_field(known.value, key)
   if found ~= nil then return { value = found } end
   if is_model(known.value) and type(key) == "string" then
      local ok, i = pcall(core.Model.find, known.value, key)
      return ok and i and { methods = core.Tensor } or nil
   end
end

local by_value

-- To be called before a function is looked up that documented() is asked about: until then stubs may stand for the
-- library's functions.
local function load_documentation()
   if by_value then return end
   by_value = {}
   for _, item in ipairs(doc.catalogue()) do
      if type(item.value) == "function" then by_value[item.value] = item.entry end
   end
end

-- The documentation of a function value.
local function documented(fn) return by_value[fn] end

local function result_of(known)
   local entry = known and known.value and documented(known.value)
   local methods = entry and entry.returns[1] and TYPES[entry.returns[1].type]
   return methods and { methods = methods } or nil
end

local function literal(s)
   return tonumber(s) or s:match("^%s*\"([^\"\\]*)\"%s*$") or s:match("^%s*'([^'\\]*)'%s*$")
end

-- The expression that a text ends in: names, fields, literal indices and calls of documented functions.
local function known_of(s, env)
   s = s:gsub("%s+$", "")
   local head, inner = s:match("^(.-)(%b[])$")
   if head then
      local key = literal(inner:sub(2, -2))
      return key ~= nil and field(known_of(head, env), key) or nil
   end
   head = s:match("^(.-)%b()$")
   if head then load_documentation() end
   if head then return head ~= "" and result_of(known_of(head, env)) or nil end
   local name
   head, name = s:match("^(.*)[%.:]%s*([%a_][%w_]*)$")
   if head then return field(known_of(head, env), name) end
   name = s:match("([%a_][%w_]*)$")
   if not name or reserved[name] then return nil end
   local value = rawget(env, name)
   if value == nil then value = rawget(_G, name) end
   return value ~= nil and { value = value } or nil
end

-- ---------------------------------------------------------------- candidates

-- Numbers within names count as numbers: layers.2 before layers.10.
local function natural(s)
   return (s:gsub("%d+", function(digits) return ("0"):rep(12 - #digits) .. digits end))
end

local function sort_naturally(list)
   local keys = {}
   for _, s in ipairs(list) do keys[s] = natural(s) end
   table.sort(list, function(a, b)
      if keys[a] ~= keys[b] then return keys[a] < keys[b] end
      return a < b
   end)
   return list
end

local function matching(names, prefix)
   local out, seen = {}, {}
   for _, name in ipairs(names) do
      if name:sub(1, #prefix) == prefix and not seen[name] then
         out[#out + 1], seen[name] = name, true
      end
   end
   return out
end

-- Names cut behind the segment that the cursor is in; where there is one choice only, behind the next one.
local function by_segment(names, prefix)
   names = matching(names, prefix)
   local out
   repeat
      out = {}
      for _, name in ipairs(names) do
         local stop = name:find(".", #prefix + 1, true)
         local part = stop and name:sub(1, stop) or name
         if not out[part] then out[#out + 1], out[part] = part, true end
      end
      prefix = out[1]
   until #out ~= 1 or prefix:sub(-1) ~= "."
   return sort_naturally(out)
end

-- Names that need no escapes within these quotes.
local function plain_names(names, quote)
   local out = {}
   for _, name in ipairs(names) do
      if not name:find("[%c\\" .. quote .. "]") then out[#out + 1] = name end
   end
   return out
end

-- Folders first, then safetensors files, then the rest.
local function files(prefix)
   local folder, base = prefix:match("^(.*/)([^/]*)$")
   if not folder then folder, base = "", prefix end
   local ok, entries = pcall(core.listdir, folder == "" and "." or folder)
   local ranks = { {}, {}, {} }
   for _, entry in ipairs(ok and entries or {}) do
      local name = entry.name
      if name:sub(1, #base) == base and (name:sub(1, 1) ~= "." or base:sub(1, 1) == ".")
         and not name:find("[%c\"'\\]") then
         local rank = entry.type == "dir" and 1 or text.is_weights(name) and 2 or 3
         table.insert(ranks[rank], folder .. name .. (rank == 1 and "/" or ""))
      end
   end
   local out = {}
   for _, names in ipairs(ranks) do table.move(sort_naturally(names), 1, #names, #out + 1, out) end
   return out
end

-- Methods of models whose texts are names of files, not of tensors.
local OF_FILES = { save = true }

-- What stands before a text that is the name of a dtype.
local DTYPE_BEFORE = { "[:%.]%s*cast%s*%(?%s*$", "[:%.]%s*bytes%s*%(?%s*$", "from_bytes%s*%(?%s*$",
   "%f[%w_]dtype%s*=%s*$" }

local function dtypes(before, prefix)
   for _, pattern in ipairs(DTYPE_BEFORE) do
      if before:find(pattern) then
         local names = table.move(dtype.names, 1, #dtype.names, 1, {})
         for i, name in ipairs(names) do
            if prefix:find("%l") then names[i] = name:lower() end
         end
         return matching(names, prefix)
      end
   end
end

-- Within an open string: tensors' names in m["..." and m:method("...", else files.
local function in_string(line, at, env)
   local quote, before, prefix = line:sub(at, at), line:sub(1, at - 1), line:sub(at + 1)
   local names_of_dtypes = dtypes(before, prefix)
   if names_of_dtypes then return names_of_dtypes, at + 1, quote end
   local owner, suffix = before:match("^(.-)%[%s*$"), quote .. "]"
   if not owner then
      local method
      owner, method = before:match("^(.*):%s*([%a_][%w_]*)%s*%(?[^%(%)]*$")
      suffix = quote
      if OF_FILES[method] then owner = nil end
   end
   local known = owner and known_of(owner, env)
   local names = known and known.value ~= nil and names_of(known.value)
   if names then return by_segment(plain_names(names, quote), prefix), at + 1, suffix end
   if owner and suffix == quote .. "]" then
      local keys = {}
      for key in next, known and type(known.value) == "table" and known.value or {} do
         if type(key) == "string" then keys[#keys + 1] = key end
      end
      return sort_naturally(matching(plain_names(keys, quote), prefix)), at + 1, suffix
   end
   return files(prefix), at + 1, quote
end

-- Keys of an options table that is being written: f(..., { key
local function in_options(line, open, env)
   local brace, paren = open[#open], open[#open - 1]
   if not brace or not paren or line:sub(brace, brace) ~= "{" or line:sub(paren, paren) ~= "(" then return nil end
   local prefix = line:sub(brace):match("[{,;]%s*([%a_]?[%w_]*)$")
   if not prefix then return nil end
   load_documentation()
   local known = known_of(line:sub(1, paren - 1), env)
   local entry = known and documented(known.value)
   local names = entry and doc.options(entry) or {}
   if #names == 0 then return nil end
   return sort_naturally(matching(names, prefix)), #line - #prefix + 1, " = "
end

local function add_names(list, t, functions_only)
   for key, value in next, t do
      if type(key) == "string" and key:find(NAME) and (not functions_only or type(value) == "function") then
         list[#list + 1] = key
      end
   end
end

-- Names that begin with the prefix, less those that would only fill the screen: internal ones, and a method's twin that
-- works in place, until they are asked for.
local function wanted(names, prefix)
   local all, out = {}, {}
   for _, name in ipairs(names) do all[name] = true end
   for _, name in ipairs(matching(names, prefix)) do
      local hidden = name:find("^_") and prefix:sub(1, 1) ~= "_" or prefix == "" and all[name:match("^(.+)_$")]
      if not hidden then out[#out + 1] = name end
   end
   return sort_naturally(out)
end

-- Fields behind a dot, methods behind a colon.
local function members(known, colon)
   local list = {}
   if known.methods then
      add_names(list, known.methods, true)
      return list
   end
   local value = known.value
   for _ = 1, 10 do
      if type(value) ~= "table" then value = methods_of(value) end
      if not value then break end
      add_names(list, value, colon)
      local mt = debug.getmetatable(value)
      value = type(mt) == "table" and rawget(mt, "__index") or nil
      if type(value) ~= "table" then break end
   end
   for _, name in ipairs(not colon and names_of(known.value) or {}) do
      if name:find(NAME) then list[#list + 1] = name end
   end
   return list
end

local function in_code(line, env)
   local head, mark, prefix = line:match("^(.-)([%.:])%s*([%a_]?[%w_]*)$")
   if head then      -- of ".." and "1." nothing is known, either
      local known = not head:find("%.$") and known_of(head, env)
      local names = known and members(known, mark == ":") or {}
      return wanted(names, prefix), #line - #prefix + 1, ""
   end
   prefix = line:match("[%a_][%w_]*$") or ""
   local names = {}
   add_names(names, env)
   add_names(names, _G)
   for word in pairs(prefix ~= "" and reserved or {}) do names[#names + 1] = word end
   return wanted(names, prefix), #line - #prefix + 1, ""
end

--- Candidates for what the line up to the cursor ends in.
-- @tparam string line up to the cursor
-- @tparam table env the table whose names are in reach, beside the globals
-- @treturn {string,...} replacements of line:sub(first)
-- @treturn integer first
-- @treturn string what follows a candidate that is the only one and is complete
function complete.candidates(line, env)
   local question = line:match("^%s*%?+%s*")
   if question then line = (" "):rep(#question) .. line:sub(#question + 1) end
   local state, at, open = scan(line)
   if state == "comment" then return {}, #line + 1, "" end
   if state == "string" then return in_string(line, at, env) end
   local list, first, suffix = in_options(line, open, env)
   if list then return list, first, suffix end
   return in_code(line, env)
end

--- The same as an action for Tab: the text to insert, and what to choose from where that is not decided.
-- @tparam {string,...} list candidates
-- @tparam string typed what they replace
-- @tparam string suffix
-- @treturn string to insert behind the cursor
-- @treturn {string,...} names to show; empty where there is nothing to choose
function complete.action(list, typed, suffix)
   if #list == 0 then return "", {} end
   if #list == 1 then
      local only = list[1]
      return only:sub(#typed + 1) .. (only:find("[%./]$") and "" or suffix), {}
   end
   local common = list[1]
   for _, name in ipairs(list) do
      while name:sub(1, #common) ~= common do common = common:sub(1, -2) end
   end
   if #common > #typed then
      -- Not within a character.
      while not utf8.len(common) and #common > #typed do common = common:sub(1, -2) end
      if #common > #typed then return common:sub(#typed + 1), {} end
   end
   local shown = {}
   local cut = #(typed:match("^.*[%./]") or "")      -- what all have in common need not be repeated
   for i, name in ipairs(list) do shown[i] = name:sub(cut + 1) end
   return "", shown
end

return complete
