--- The comments beside functions, read from the sources: behind `?name`, the editor stubs and the reference manual.
-- A comment begins with three dashes and ends at the code it describes. Its tags are LDoc's: tparam, param, treturn,
-- return, raise; `torch NAME`, what PyTorch calls it; and, where the code does not tell, `function NAME`, `field NAME`,
-- `elementwise NAME OPERANDS` (lua/stlua/reference.lua describes what C provides). Before the tags may stand an
-- example, indented by four: what is typed at the prompt after `> `, and what is shown. The tests run all of them.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local guard = require "stlua.guard"
local lift = require "stlua.lift"

local doc = {}

-- ---------------------------------------------------------------- parsing

-- A type at the beginning of a text: balanced braces or a word. Gives type, rest.
local function take_type(s)
   local t = s:match("^[%w%.|%?%[%]\"=]*%b{}[%w|%.{}]*") or s:match("^%S+")
   return t or "any", s:sub(#(t or "") + 1):gsub("^%s+", "")
end

-- What a tag adds to an entry: the list it goes to and its item.
local TAGS = {}

function TAGS.tparam(entry, rest, modifier)
   local kind, after = take_type(rest)
   local name, text = after:match("^(%S+)%s*(.*)$")
   local optional = modifier:find("^%[opt") ~= nil or kind:find("^%?") ~= nil
   local item = { name = name or "?", type = (kind:gsub("^%?", "")), text = text or "", optional = optional,
      default = modifier:match("^%[opt=(.*)%]$") }
   table.insert(entry.params, item)
   return item
end

function TAGS.param(entry, rest)
   local item = { type = "any" }
   repeat      -- "a, b text" describes two
      local name, more = rest:match("^([%w_%.]+),%s*(.*)$")
      if name then
         table.insert(entry.params, { name = name, type = "any", text = "", shared = true })
         rest = more
      end
   until not name
   item.name, item.text = rest:match("^([%w_%.]+)%s*(.*)$")
   item.name, item.text = item.name or "?", item.text or rest
   table.insert(entry.params, item)
   return item
end

function TAGS.treturn(entry, rest)
   local kind, text = take_type(rest)
   local item = { type = kind, text = text }
   table.insert(entry.returns, item)
   return item
end

TAGS["return"] = function(entry, rest)
   local item = { type = "any", text = rest }
   table.insert(entry.returns, item)
   return item
end

function TAGS.raise(entry, rest)
   entry.raise = { text = rest }
   return entry.raise
end

function TAGS.torch(entry, rest)
   entry.torch = { text = rest }
   return entry.torch
end

TAGS["function"] = function(entry, rest)
   entry.name, entry.virtual = rest, "function"
end

-- One of the family of elementwise operations: "pow a b" stands for its name, parameters, result and torch's name.
function TAGS.elementwise(entry, rest)
   local name, operands = rest:match("^(%S+)%s*(.*)$")
   entry.name, entry.virtual, entry.torch = "st." .. name, "function", { text = "torch." .. name }
   entry.elementwise = true
   for operand in operands:gmatch("%S+") do
      table.insert(entry.params, { name = operand, type = "tensor|number|model", text = "" })
   end
   entry.returns[1] = { type = "any", text = "a deferred tensor, or a model" }
end

function TAGS.field(entry, rest)
   entry.name, entry.virtual = rest, "field"
end

-- Fills an entry from the lines of a comment, without their dashes.
local function parse_comment(lines)
   local entry = { params = {}, returns = {}, text = "" }
   local text, item, example = {}, nil, nil
   for _, line in ipairs(lines) do
      local tag, modifier, rest = line:match("^%s*@(%w+)(%b[])%s*(.*)$")
      if not tag then tag, rest = line:match("^%s*@(%w+)%s*(.*)$") end
      if tag and TAGS[tag] then
         item = TAGS[tag](entry, rest, modifier or "") or { text = "" }
      elseif item then
         item.text = (item.text .. " " .. line:gsub("^%s+", "")):gsub("^%s+", "")
      elseif line:find("^    > ") or (example and line:find("^    ")) then
         example = example or {}
         example[#example + 1] = line:sub(5)
      else
         text[#text + 1] = line
      end
   end
   entry.text = table.concat(text, "\n"):gsub("^%s+", ""):gsub("%s+$", "")
   entry.example = example and table.concat(example, "\n")
   entry.summary = entry.text:gsub("\n", " "):match("^(.-%.)%s") or entry.text:gsub("\n", " ")
   return entry
end

-- What the line of code after a comment defines: name and parameters.
local function parse_code(line)
   local name, args = line:match("^%s*l?o?c?a?l?%s*function%s+([%w_%.:]+)%s*%((.-)%)")
   if name then return name, args end
   name, args = line:match("^%s*l?o?c?a?l?%s*([%w_%.]+)%s*=%s*function%s*%((.-)%)")
   if name then return name, args end
   return line:match("^%s*l?o?c?a?l?%s*([%w_%.]+)%s*="), nil
end

--- Reads all comments of a source text.
-- @tparam string source
-- @treturn {table,...} entries { name, args, line = of the code, text, summary, example, params, returns, raise,
--   torch, elementwise, virtual = "function" or "field" where no code follows }
function doc.parse(source)
   local entries, comment, number = {}, nil, 0
   local function finish(code)
      local entry = parse_comment(comment)
      local name, args = parse_code(code)
      if not entry.virtual then entry.name, entry.args = name, args end
      entry.line = number
      entries[#entries + 1] = entry
      comment = nil
   end
   for line in (source .. "\n"):gmatch("(.-)\r?\n") do
      number = number + 1
      local first = line:match("^%s*%-%-%-%s?(.*)$")
      if first and not (comment and #comment > 0) then
         comment = { first }
      elseif comment and line:find("^%s*%-%-") then
         comment[#comment + 1] = line:match("^%s*%-%-%-?%s?(.*)$")
      elseif comment then
         finish(line)
      end
   end
   if comment then finish("") end
   return entries
end

-- ---------------------------------------------------------------- finding

local files = {}      -- path -> { by_line, by_name } of what was read

local function read(path)
   if files[path] then return files[path] end
   local found = { by_line = {}, by_name = {}, list = {} }
   files[path] = found
   local file = io.open(path, "r")
   if not file then return found end
   found.list = doc.parse(file:read("a"))
   file:close()
   for _, entry in ipairs(found.list) do
      found.by_line[entry.line] = entry
      if entry.name and not found.by_name[entry.name] then found.by_name[entry.name] = entry end
   end
   return found
end

local function read_module(name)
   local path = package.searchpath(name, package.path)
   return path and read(path) or { by_line = {}, by_name = {}, list = {} }
end

-- Comments that say themselves what they describe, of all files of the library: name -> entry.
local function read_virtual()
   local found, init = {}, package.searchpath("stlua", package.path)
   local folder = init and init:match("^(.*/)") or "./"
   for _, file in ipairs(core.listdir(folder)) do
      if file.name:find("%.lua$") and not file.name:find("%.d%.lua$") then
         for _, entry in ipairs(read(folder .. file.name).list) do
            if entry.virtual then found[entry.name] = entry end
         end
      end
   end
   return found
end

--- The comment above a Lua function's definition, or nil.
-- @tparam function fn
function doc.of(fn)
   fn = guard.original(fn)
   local info = debug.getinfo(lift.of_tensors[fn] or fn, "S")
   local path = info.source:match("^@(.*)$")
   if not path then return nil end
   local entry = read(path).by_line[info.linedefined]
   return entry and not entry.virtual and entry or nil
end

local function is_internal(name) return name:sub(1, 1) == "_" end

local function sorted_keys(t)
   local keys = {}
   for key in pairs(t) do
      if type(key) == "string" and not is_internal(key) then keys[#keys + 1] = key end
   end
   table.sort(keys)
   return keys
end

-- An entry of the catalogue: the public name, what it is, and its comment (nil where it has none).
local function add(list, name, value, entry)
   local item = { name = name, value = value, kind = type(value) == "function" and "function" or "value" }
   if entry and entry.text ~= "" then item.entry = entry end
   list[#list + 1], list[name] = item, item
end

local function add_table(list, prefix, t, named, reference)
   for _, key in ipairs(sorted_keys(t)) do
      local value, name = t[key], prefix .. key
      add(list, name, value, reference[name] or named[key] or type(value) == "function" and doc.of(value))
   end
end

-- The comment of a function as that of a method: its first parameter is the object.
local function as_method(entry)
   local copy = {}
   for key, value in pairs(entry) do copy[key] = value end
   copy.params = table.move(entry.params, 2, #entry.params, 1, {})
   copy.args = entry.args and entry.args:match(",%s*(.*)$") or ""
   if entry.elementwise then
      copy.returns = { { type = "tensor", text = "deferred" } }
      for i, p in ipairs(copy.params) do copy.params[i] = { name = p.name, type = "tensor|number", text = "" } end
   end
   return copy
end

-- Methods are described by themselves, by the comment of the function they are, or, of tensors, by st.NAME.
local function add_methods(list, prefix, t, reference)
   for _, key in ipairs(sorted_keys(t)) do
      local name, entry = prefix .. key, reference[prefix .. key]
      if not entry then
         entry = doc.of(t[key])
         if entry and not (entry.name or ""):find(":", 1, true) then entry = as_method(entry) end
      end
      if not entry and prefix == "Tensor:" and reference["st." .. key] then
         entry = as_method(reference["st." .. key])
      end
      add(list, name, t[key], entry)
   end
end

local catalogue

--- Everything public, in order: what `require "stlua"` returns, methods of tensors and of models, and what the REPL
-- adds. Also by name: catalogue["st.lerp"], catalogue["Model:save"].
-- @treturn {table,...} items { name, kind = "function" or "value", value, entry = comment or nil, twin = the function
--   that a tensor's method is, in_place = true for `t:add_` and its like }
function doc.catalogue()
   if catalogue then return catalogue end
   local list, reference = {}, read_virtual()
   local st = require "stlua"
   require("stlua.parts").load_all()
   add_table(list, "st.", st, read_module("stlua").by_name, reference)
   add_table(list, "st.json.", st.json, read_module("stlua.json").by_name, reference)
   add_table(list, "st.npy.", st.npy, read_module("stlua.npy").by_name, reference)
   for _, name in ipairs(sorted_keys(st.lora)) do
      add_table(list, "st.lora.", { [name] = st.lora[name] }, read_module("stlua.lora." .. name).by_name, reference)
   end
   add_methods(list, "Tensor:", core.Tensor, reference)
   add_methods(list, "Model:", core.Model, reference)
   add(list, "who", nil, reference.who)
   for _, item in ipairs(list) do
      local name = item.name:match("^Tensor:(.*)$")
      local twin = name and list["st." .. name]
      if twin and twin.entry and item.entry and twin.entry.text == item.entry.text then item.twin = twin end
      item.in_place = name and name:find("_$") and list[item.name:sub(1, -2)] ~= nil or nil
   end
   catalogue = list
   return list
end

-- ---------------------------------------------------------------- showing

--- "st.lerp(a, b, t)"; optional parameters in brackets.
-- @tparam string name public name
-- @tparam table entry its comment
-- @treturn string
function doc.signature(name, entry)
   if entry.virtual == "field" or (entry.args == nil and not entry.virtual and #entry.params == 0) then return name end
   local parts = {}
   for _, p in ipairs(entry.params) do parts[#parts + 1] = p.optional and "[" .. p.name .. "]" or p.name end
   if #parts == 0 and entry.args then return name .. "(" .. entry.args .. ")" end
   return name .. "(" .. table.concat(parts, ", ") .. ")"
end

--- The parameters as they are described: those with one description together, "a, b".
-- @tparam table entry its comment
-- @treturn {table,...} as entry.params
function doc.described(entry)
   local list, names = {}, {}
   for _, p in ipairs(entry.params) do
      names[#names + 1] = p.name
      if not p.shared then
         list[#list + 1] = setmetatable({ name = table.concat(names, ", ") }, { __index = p })
         names = {}
      end
   end
   return list
end

--- The keys that an options parameter takes: what stands in backquotes in its description.
-- @tparam table entry
-- @treturn {string,...}
function doc.options(entry)
   local names, seen = {}, {}
   for _, p in ipairs(entry.params) do
      local text = p.type == "table" and p.name:find("^opt") and p.text
         or p.name == "..." and p.text:match("options:.*")
      if text then
         for name in text:gmatch("`([a-z][a-z0-9_]*)`") do
            if not seen[name] then names[#names + 1] = name end
            seen[name] = true
         end
      end
   end
   return names
end

return doc
