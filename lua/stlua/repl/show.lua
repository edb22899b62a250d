--- How the prompt shows values: texts as they are, tables as Lua would write them (sorted, a few levels deep),
-- everything else by tostring. Shows, and changes nothing.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"

local show = {}

local WIDTH = 100     -- a table that fits into a line of this length stands on one
local DEPTH = 3       -- tables within tables
local ITEMS = 30      -- of one table

-- tostring that cannot fail; the metamethod may be anybody's.
local function safe_tostring(v)
   local ok, s = pcall(tostring, v)
   if errors.is(s) and s.code == "cancelled" then error(s, 0) end
   return ok and s or ("(%s whose __tostring fails: %s)"):format(type(v), tostring(s))
end

-- Bytes that would command the terminal are made visible.
local function harmless(s)
   return (s:gsub("[%c\127]", function(c)
      return (c == "\n" or c == "\t") and c or ("\\x%02X"):format(c:byte())
   end):gsub("\xC2([\x80-\x9F])", function(c) return ("\\u{%02X}"):format(c:byte()) end))
end

local ESCAPES = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n", ["\t"] = "\\t" }

local function quoted(s)
   local cut = #s > 200 and ("... (%d bytes)"):format(#s) or ""
   return '"' .. harmless((s:sub(1, 200):gsub('[\\"\n\t]', ESCAPES))) .. '"' .. cut
end

local function has_tostring(v)
   local mt = debug.getmetatable(v)
   return type(mt) == "table" and rawget(mt, "__tostring") ~= nil
end

-- Integers first, then texts, then the rest, each in order.
local RANK = { number = 1, string = 2 }
local function before(a, b)
   local x, y = RANK[type(a)] or 3, RANK[type(b)] or 3
   if x ~= y then return x < y end
   if x == 3 then return tostring(a) < tostring(b) end
   return a < b
end

local RESERVED = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true "
   .. "until while"):gmatch("%a+") do RESERVED[word] = true end
show.reserved = RESERVED

local function key_text(k)
   if type(k) == "string" then
      return k:find("^[%a_][%w_]*$") and not RESERVED[k] and k or "[" .. quoted(k) .. "]"
   end
   return "[" .. safe_tostring(k) .. "]"
end

local inline

local function table_items(t, depth, seen)
   local keys, items = {}, {}
   local n = rawlen(t)
   for k in next, t do
      if not (math.type(k) == "integer" and k >= 1 and k <= n) then keys[#keys + 1] = k end
   end
   table.sort(keys, before)
   for i = 1, math.min(n, ITEMS) do items[i] = inline(rawget(t, i), depth, seen) end
   if n > ITEMS then items[#items + 1] = ("... %d more"):format(n - ITEMS) end
   for i = 1, math.min(#keys, ITEMS) do
      items[#items + 1] = key_text(keys[i]) .. " = " .. inline(rawget(t, keys[i]), depth, seen)
   end
   if #keys > ITEMS then items[#items + 1] = ("... %d more"):format(#keys - ITEMS) end
   return items
end

local function table_text(t, depth, seen)
   if seen[t] then return "{ (itself) }" end
   if next(t) == nil then return "{}" end
   if depth >= DEPTH then return "{ ... }" end
   seen[t] = true
   local items = table_items(t, depth + 1, seen)
   seen[t] = nil
   local line = "{ " .. table.concat(items, ", ") .. " }"
   local indent = ("   "):rep(depth)
   if #line + #indent <= WIDTH and not line:find("\n", 1, true) then return line end
   return ("{\n%s   %s\n%s}"):format(indent, table.concat(items, ",\n" .. indent .. "   "), indent)
end

-- A value within a table.
function inline(v, depth, seen)
   if type(v) == "string" then return quoted(v) end
   if type(v) == "table" and not has_tostring(v) then return table_text(v, depth, seen) end
   return show.line(v)
end

-- A function that has a help text is shown as it begins.
local function function_text(v)
   local doc = require "stlua.doc"
   for _, item in ipairs(doc.catalogue()) do
      if item.value == v and item.entry then return "function " .. doc.signature(item.name, item.entry) end
   end
   local own = doc.of(v)
   return own and own.name and "function " .. doc.signature(own.name, own) or tostring(v)
end

--- A value in one line: of a tensor or model the first.
function show.line(v)
   if type(v) == "function" then return function_text(v) end
   if debug.getmetatable(v) == core.tensor_meta then return require("stlua.print").describe(v) end
   if type(v) == "string" then return quoted(v) end
   return harmless((safe_tostring(v):match("^[^\n]*")))
end

--- A value as the prompt prints it.
-- @param v any
-- @treturn string
function show.value(v)
   if type(v) == "table" and not has_tostring(v) then return table_text(v, 0, {}) end
   if type(v) == "function" then return function_text(v) end
   return harmless(safe_tostring(v))
end

--- All results of a line: short ones side by side, as `print` does, else each on lines of its own.
-- @tparam table results as of table.pack
-- @treturn ?string nil where there are none
function show.results(results)
   if results.n == 0 then return nil end
   local parts, short = {}, true
   for i = 1, results.n do
      parts[i] = show.value(results[i])
      short = short and #parts[i] < WIDTH and not parts[i]:find("\n", 1, true)
   end
   return table.concat(parts, short and "\t" or "\n")
end

--- "1.84 s", "120 ms"; with bytes read, the rate: "1.84 s  4.6 GB/s".
function show.time(seconds, bytes)
   local s = seconds < 1 and ("%.0f ms"):format(seconds * 1000) or seconds < 60 and ("%.2f s"):format(seconds)
      or ("%d:%02d min"):format(seconds // 60, math.floor(seconds % 60))
   local rate = bytes / seconds / 1e9
   return rate >= 0.05 and ("%s  %.1f GB/s"):format(s, rate) or s
end

return show
