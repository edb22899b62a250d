--- Parameters of a mergekit configuration: scalars, gradients over the layers, filters on tensor names, and the levels
-- at which they stand.
-- Layer: Lua, above stlua.core.
--
-- A setting is a list of cases { filter = substring or nil, values = { value, ... } }: the first case whose filter
-- matches decides; several values are a gradient.

local merging = require "stlua.merging"
local text = require "stlua.text"
local yaml = require "stlua.mergekit.yaml"

local values = {}

-- ---------------------------------------------------------------- reading

local BOOLEANS = { ["true"] = true, ["yes"] = true, ["on"] = true, ["1"] = true, ["t"] = true, ["y"] = true,
   ["false"] = false, ["no"] = false, ["off"] = false, ["0"] = false, ["f"] = false, ["n"] = false }

-- A scalar as the parameter wants it: "1e-3" in quotes is a number where one is wanted, 1 a truth value.
local function convert(param, node)
   local value = node.value
   if param.type == "number" and type(value) == "string" then
      value = yaml.number(value)
   elseif param.type == "boolean" and type(value) ~= "boolean" then
      value = BOOLEANS[tostring(node.text):lower()]
   elseif param.type == "string" then
      value = node.text
   end
   return value == nil and node.value or value
end

local Parser = {}
Parser.__index = Parser

function Parser:scalar(node)
   if node.kind ~= "scalar" or node.null then
      self.problems:add(node, "%s: expected a %s", self.path, self.param.type)
      return nil
   end
   local value = convert(self.param, node)
   local ok = self.problems:try(node, self.path .. ": ", merging.check_value, self.method, self.param, value)
   if ok then return value end
end

-- A value or a gradient; nil where it is wrong.
function Parser:gradient(node)
   if node.kind ~= "list" then
      local value = self:scalar(node)
      if value ~= nil then return { value } end
      return nil
   end
   local list = {}
   for _, item in ipairs(node) do
      local value = self:scalar(item)
      if value == nil then return nil end
      list[#list + 1] = value
   end
   return list
end

function Parser:case(node)
   local value, filter = yaml.get(node, "value"), yaml.get(node, "filter")
   for _, pair in ipairs(node.pairs) do
      if pair.key ~= "value" and pair.key ~= "filter" then
         self.problems:add(pair.line, "%s: unknown key %s (known: value, filter)", self.path, text.quote(pair.key))
      end
   end
   if not value then
      self.problems:add(node, "%s: a filter needs a value beside it", self.path)
      return nil
   elseif filter and filter.kind ~= "scalar" then
      self.problems:add(filter, "%s: filter must be a part of tensor names", self.path)
      return nil
   end
   local list = self:gradient(value)
   return list and { filter = filter and filter.text ~= "*" and filter.text or nil, values = list }
end

--- Reads one parameter.
-- @tparam table node
-- @tparam table method definition of the merge method
-- @tparam table param its entry for the parameter
-- @tparam string path of the parameter, for messages
-- @tparam table problems
-- @treturn ?table setting
function values.parse(node, method, param, path, problems)
   local parser = setmetatable({ method = method, param = param, path = path, problems = problems }, Parser)
   if node.kind == "map" then
      return { parser:case(node) }
   elseif node.kind == "list" and node[1] and node[1].kind == "map" then
      local cases = {}
      for i, item in ipairs(node) do
         if item.kind ~= "map" then
            problems:add(item, "%s: entry %d is no { value, filter }, as the others are", path, i)
         else
            cases[#cases + 1] = parser:case(item)
         end
      end
      return cases
   end
   local list = parser:gradient(node)
   return list and { { values = list } }
end

-- ---------------------------------------------------------------- levels

local others     -- parameters of all methods: name -> true

local function known_elsewhere(name)
   if not others then
      others = { int8_mask = true }
      for _, method in ipairs(merging.merge_methods()) do
         for _, param in ipairs(merging.method(method).params) do others[param.name] = true end
      end
   end
   return others[name]
end

--- Reads a `parameters` map. Names that no method has are problems; those of other methods have no effect, as in
-- mergekit, and are noted.
-- @tparam ?table node
-- @tparam table method
-- @tparam string path
-- @tparam table problems
-- @tparam boolean of_model whether it stands with one model, where only values per model have an effect
-- @treturn {[string]=table} settings by name
function values.read(node, method, path, problems, of_model)
   local settings = {}
   if not node then return settings end
   path = path == "" and "parameters" or path .. ".parameters"
   if node.kind ~= "map" then
      problems:add(node, "%s must be a map of names and values", path)
      return settings
   end
   local names = {}
   for _, param in ipairs(method.params) do names[#names + 1] = param.name end
   for _, pair in ipairs(node.pairs) do
      local param = method.params[pair.key]
      local here = path .. "." .. pair.key
      if not param and known_elsewhere(pair.key) then
         problems:note(pair.line, "%s has no effect: %s has no such parameter", here, method.name)
      elseif not param then
         problems:add(pair.line, "%s: %s has no parameter %s%s (it has: %s)", path, method.name, text.quote(pair.key),
            text.did_you_mean(pair.key, names), table.concat(names, ", "))
      elseif not (pair.value.kind == "scalar" and pair.value.null) then
         if of_model and not param.each then
            problems:note(pair.line, "%s has no effect on one model: it belongs to the whole merge", here)
         end
         settings[pair.key] = values.parse(pair.value, method, param, here, problems)
      end
   end
   return settings
end

-- ---------------------------------------------------------------- evaluating

-- Numbers between equally spaced points; of others, one of the list.
local function along(list, t)
   local n = #list
   if n == 0 then return nil end
   local scaled = t * (n - 1)
   local below = math.min(math.floor(scaled), n - 1)
   local a, b = list[below + 1], list[math.min(below + 2, n)]
   if type(a) ~= "number" or type(b) ~= "number" or n == 1 then return a end
   local part = scaled - below
   return (1 - part) * a + part * b
end

--- What a setting says of a tensor: nil where no filter matches.
-- @tparam table setting
-- @tparam string name of the tensor
-- @tparam number t place among the layers, from 0 to 1
function values.at(setting, name, t)
   for _, case in ipairs(setting) do
      if not case.filter or name:find(case.filter, 1, true) then return along(case.values, t) end
   end
end

--- The value of a parameter from the first level that has one for the tensor.
-- @tparam string param
-- @tparam {table,...} levels settings by name, those that win first
-- @tparam string name
-- @tparam number t
function values.resolve(param, levels, name, t)
   for _, level in ipairs(levels) do
      local setting = level[param]
      local value = nil
      if setting then value = values.at(setting, name, t) end
      if value ~= nil then return value end
   end
end

return values
