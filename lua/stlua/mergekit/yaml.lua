--- YAML texts as trees that remember lines, the order of keys and what was written; for configurations.
-- Nothing is executed, and no tag but the plain ones of YAML is known. Reads events of the module `yaml` (lua-yaml,
-- libyaml), which is loaded when first needed.
-- Layer: Lua, above stlua.core.
--
-- A node: { kind = "map", pairs = { { key =, value = node, line = }, ... }, [key] by map.get }, { kind = "list",
-- [i] = node }, or { kind = "scalar", text = as written, value = boolean, number, string or nil for null }; with line.

local errors = require "stlua.errors"
local text = require "stlua.text"

local yaml = {}

local MAX_DEPTH = 64

local function parser_of(label)
   local ok, module = pcall(require, "yaml")
   if ok and type(module) == "table" and module.parser then return module.parser end
   errors.throwf("arg", "%s: reading YAML needs the Lua module yaml: install lua-yaml (Debian, Ubuntu), lua-lyaml "
      .. "(Fedora, Arch), or `luarocks install lyaml`", label)
end

-- ---------------------------------------------------------------- scalars

local WORDS = {
   ["true"] = true, ["True"] = true, ["TRUE"] = true, ["yes"] = true, ["Yes"] = true, ["YES"] = true, ["on"] = true,
   ["On"] = true, ["ON"] = true,
   ["false"] = false, ["False"] = false, ["FALSE"] = false, ["no"] = false, ["No"] = false, ["NO"] = false,
   ["off"] = false, ["Off"] = false, ["OFF"] = false,
}
local NULLS = { [""] = true, ["~"] = true, ["null"] = true, ["Null"] = true, ["NULL"] = true }
local SPECIAL = { [".inf"] = math.huge, ["+.inf"] = math.huge, ["-.inf"] = -math.huge, [".nan"] = -(0 / 0) }

--- The number that a text stands for in YAML, or nil: decimal, 0x and 0o, with or without an exponent ("1e-3", too).
function yaml.number(s)
   local special = SPECIAL[s:lower()]
   if special then return special end
   local plain = s:gsub("_", "")
   local octal = plain:match("^0o([0-7]+)$")
   if octal then return tonumber(octal, 8) end
   if plain:find("^[-+]?0x%x+$") or plain:find("^[-+]?%d+%.?%d*$") or plain:find("^[-+]?%.%d+$")
      or plain:find("^[-+]?%d+%.?%d*[eE][-+]?%d+$") or plain:find("^[-+]?%.%d+[eE][-+]?%d+$") then
      return tonumber((plain:gsub("^%+", "")))
   end
end

local function scalar(event)
   local node = { kind = "scalar", text = event.value, line = event.start_mark.line + 1 }
   local tag = event.tag and event.tag:match("^tag:yaml%.org,2002:(%a+)$")
   if event.style ~= "PLAIN" or tag == "str" then
      node.value = event.value
   elseif NULLS[event.value] then
      node.null = true
   elseif WORDS[event.value] ~= nil then
      node.value = WORDS[event.value]
   else
      node.value = yaml.number(event.value)
      if node.value == nil then node.value = event.value end
   end
   return node
end

-- ---------------------------------------------------------------- trees

local Reader = {}
Reader.__index = Reader

function Reader:fail(line, format, ...)
   errors.throwf("format", "%s:%d: %s", self.label, line, format:format(...))
end

function Reader:next()
   local ok, event = pcall(self.events)
   if not ok then
      -- libyaml's sentence, without a traceback; its lines are counted from 1.
      local message = tostring(event):gsub("^[^:]*:%d+: ", ""):gsub("%s+", " "):gsub(" $", "")
      errors.throwf("format", "%s: this is no YAML: %s", self.label, message)
   end
   return event
end

local node_of

-- `<<: *other` takes over the keys of other maps, which the map's own override.
local function merge_key(reader, map, value, line)
   for _, other in ipairs(value.kind == "list" and value or { value }) do
      if other.kind ~= "map" then reader:fail(line, "`<<` wants a map") end
      for _, pair in ipairs(other.pairs) do
         if not map.inherited[pair.key] then
            map.inherited[pair.key] = pair
            table.insert(map.inherited, pair)
         end
      end
   end
end

local function map_of(reader, event, depth)
   local map = { kind = "map", pairs = {}, by_key = {}, inherited = {}, line = event.start_mark.line + 1 }
   while true do
      local key = reader:next()
      if key.type == "MAPPING_END" then break end
      local line = key.start_mark.line + 1
      if key.type ~= "SCALAR" then reader:fail(line, "a key must be a plain text") end
      local value = node_of(reader, reader:next(), depth + 1)
      if key.value == "<<" and key.style == "PLAIN" then
         merge_key(reader, map, value, line)
      elseif map.by_key[key.value] then
         reader:fail(line, "%s stands twice here (first in line %d)", text.quote(key.value),
            map.by_key[key.value].line)
      else
         local pair = { key = key.value, value = value, line = line }
         table.insert(map.pairs, pair)
         map.by_key[key.value] = pair
      end
   end
   for _, pair in ipairs(map.inherited) do
      if not map.by_key[pair.key] then
         table.insert(map.pairs, pair)
         map.by_key[pair.key] = pair
      end
   end
   return map
end

local function list_of(reader, event, depth)
   local list = { kind = "list", line = event.start_mark.line + 1 }
   while true do
      local item = reader:next()
      if item.type == "SEQUENCE_END" then return list end
      list[#list + 1] = node_of(reader, item, depth + 1)
   end
end

function node_of(reader, event, depth)
   local line = event.start_mark.line + 1
   if depth > MAX_DEPTH then reader:fail(line, "nested more than %d levels deep", MAX_DEPTH) end
   local tag = event.tag
   if tag and not tag:find("^tag:yaml%.org,2002:[%a]+$") then
      reader:fail(line, "the tag %s is not known", text.quote(tag))
   end
   if event.type == "ALIAS" then
      return reader.anchors[event.anchor] or reader:fail(line, "no anchor &%s stands before *%s", event.anchor,
         event.anchor)
   end
   local node
   if event.type == "MAPPING_START" then
      node = map_of(reader, event, depth)
   elseif event.type == "SEQUENCE_START" then
      node = list_of(reader, event, depth)
   else
      node = scalar(event)
   end
   -- Only now: what contains itself would have no end.
   if event.anchor then reader.anchors[event.anchor] = node end
   return node
end

--- All documents of a YAML text, as trees.
-- @tparam string source
-- @tparam string label the file, for messages
-- @treturn {table,...} nodes
-- @raise "format" names file and line
function yaml.documents(source, label)
   if source:find("\0", 1, true) then errors.throwf("format", "%s: this is no text: it holds NUL characters", label) end
   local reader = setmetatable({ label = label, events = parser_of(label)(source), anchors = {} }, Reader)
   local documents = {}
   while true do
      local event = reader:next()
      if not event or event.type == "STREAM_END" then return documents end
      if event.type == "DOCUMENT_START" then
         reader.anchors = {}
         documents[#documents + 1] = node_of(reader, reader:next(), 1)
      end
   end
end

--- The value of a map's key, as a node; nil where it is absent or null.
-- @treturn ?table
function yaml.get(map, key)
   local pair = map.by_key[key]
   if pair and not (pair.value.kind == "scalar" and pair.value.null) then return pair.value end
end

return yaml
