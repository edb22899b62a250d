--- mergekit's configurations: what a document says, checked as far as that goes without the models.
-- Layer: Lua, above stlua.core.
--
-- A configuration: { name =, method = definition, base = ref, dtype =, out_dtype = of safetensors, tokenizer = { source
-- =, pad = }, chat_template =, broken = whether its form is unclear, questionable = whether anything is wrong with it,
-- parameters = settings, modules = { { name = nil for the whole model, models = { source
-- }, or slices = { { sources =, base =, parameters =, line = } }, parameters = } }, refs = { ref, ... } }. A source: {
-- ref =, first =, stop = (layers, from 0, without the last; nil for all), parameters = settings, line = }.

local dtype = require "stlua.dtype"
local merging = require "stlua.merging"
local refs = require "stlua.mergekit.refs"
local text = require "stlua.text"
local values = require "stlua.mergekit.values"
local yaml = require "stlua.mergekit.yaml"

local config = {}

local TOP = { "merge_method", "base_model", "models", "slices", "modules", "parameters", "dtype", "out_dtype",
   "tokenizer_source", "tokenizer", "chat_template", "name" }
local DTYPES = {}
for word in ("bfloat16 float16 half float32 float float64 double"):gmatch("%S+") do DTYPES[word] = dtype.words[word] end

local Reader = {}
Reader.__index = Reader

-- ---------------------------------------------------------------- small parts

-- A problem after which nothing can be said of the models: the form itself is not clear.
function Reader:broken(where, format, ...)
   self.problems:add(where, format, ...)
   self.out.broken = true
end

-- Keys that nobody knows: near misses of known ones are mistakes, others have no effect.
function Reader:check_keys(map, known, where)
   local set = {}
   for _, key in ipairs(known) do set[key] = true end
   for _, pair in ipairs(map.pairs) do
      local near = not set[pair.key] and text.did_you_mean(pair.key, known) or ""
      local at = where == "" and "" or where .. ": "
      if near ~= "" then
         self.problems:add(pair.line, "%sunknown key %s%s", at, text.quote(pair.key), near)
      elseif not set[pair.key] and self.out.method and self.out.method.params[pair.key] then
         self.problems:add(pair.line, "%s%s is a parameter: write it under parameters", at, text.quote(pair.key))
      elseif not set[pair.key] then
         self.problems:note(pair.line, "%sthe key %s has no effect", at, text.quote(pair.key))
      end
   end
end

function Reader:map(node, where)
   if node.kind == "map" then return node end
   self:broken(node, "%s must be a map", where)
end

function Reader:list(node, where)
   if node.kind == "list" and #node > 0 then return node end
   self:broken(node, "%s must be a list%s", where, node.kind == "list" and " that is not empty" or "")
end

-- One table per model, however often it is named.
function Reader:ref(node, where)
   local ref, reason = refs.parse(node)
   if not ref then
      self:broken(node, "%s: %s", where, reason)
      return nil
   end
   local known = self.by_key[ref.key]
   if known then return known end
   self.by_key[ref.key] = ref
   table.insert(self.out.refs, ref)
   ref.line = node.line
   return ref
end

function Reader:text(map, key)
   local node = yaml.get(map, key)
   if node and node.kind ~= "scalar" then self.problems:add(node, "%s must be a text", key) end
   return node and node.text
end

function Reader:dtype(map, key)
   local node = yaml.get(map, key)
   if not node then return nil end
   local name = node.kind == "scalar" and node.text:gsub("^torch%.", "") or "?"
   if not DTYPES[name] then
      self.problems:add(node, "%s: %s is none of bfloat16, float16, float32, float64", key, text.quote(name))
   end
   return DTYPES[name]
end

-- ---------------------------------------------------------------- sources, slices, modules

local function whole_number(node)
   return node and node.kind == "scalar" and math.type(node.value) == "integer" and node.value or nil
end

function Reader:layer_range(node, where)
   local range = yaml.get(node, "layer_range")
   local first, stop = nil, nil
   if range and range.kind == "list" and #range == 2 then
      first, stop = whole_number(range[1]), whole_number(range[2])
   end
   if not first or not stop then
      self:broken(range or node, "%s: give layer_range: [first, last + 1], two whole numbers", where)
   elseif first < 0 or stop < first then
      self:broken(range, "%s: layer_range [%d, %d] is no range of layers", where, first, stop)
   end
   return first, stop
end

function Reader:source(node, where, with_range)
   if not self:map(node, where) then return nil end
   self:check_keys(node, with_range and { "model", "layer_range", "parameters" } or { "model", "parameters" }, where)
   local model = yaml.get(node, "model")
   if not model then
      self:broken(node, "%s: give its model", where)
      return nil
   end
   local source = { ref = self:ref(model, where .. ".model"), line = node.line,
      parameters = values.read(yaml.get(node, "parameters"), self.out.method, where, self.problems, true) }
   if with_range then source.first, source.stop = self:layer_range(node, where) end
   return source.ref and source
end

-- A model twice in one list would count twice: a mistake, and an error in mergekit.
function Reader:sources(list, where, with_range)
   local sources, seen = {}, {}
   for i, node in ipairs(list) do
      local source = self:source(node, ("%s[%d]"):format(where, i), with_range)
      if source then
         if seen[source.ref] then
            self.problems:add(node, "%s: the model %s is given twice (first in line %d)", where,
               text.quote(source.ref.key), seen[source.ref])
         end
         seen[source.ref] = node.line
         sources[#sources + 1] = source
      end
   end
   return sources
end

function Reader:slice(node, where)
   if not self:map(node, where) then return nil end
   self:check_keys(node, { "sources", "base_model", "parameters", "residual_weight" }, where)
   local list, base = yaml.get(node, "sources"), yaml.get(node, "base_model")
   list = list and self:list(list, where .. ".sources")
   if not list then
      self:broken(node, "%s: give its sources", where)
      return nil
   end
   local slice = { line = node.line, sources = self:sources(list, where .. ".sources", true),
      base = base and self:ref(base, where .. ".base_model"),
      parameters = values.read(yaml.get(node, "parameters"), self.out.method, where, self.problems) }
   local length = nil
   for _, source in ipairs(slice.sources) do
      local n = source.stop and source.first and source.stop - source.first
      if n and length and n ~= length then
         self:broken(source.line, "%s: unequal numbers of layers: %d of %s, %d of %s", where, length,
            text.quote(slice.sources[1].ref.key), n, text.quote(source.ref.key))
      end
      length = length or n
   end
   return #slice.sources > 0 and slice or nil
end

-- models or slices, of the whole or of one module.
function Reader:module(name, map, where)
   local models, slices = yaml.get(map, "models"), yaml.get(map, "slices")
   local at = where == "" and "" or where .. "."
   local module = { name = name, line = map.line, parameters = where == "" and {}
      or values.read(yaml.get(map, "parameters"), self.out.method, where, self.problems) }
   if models and self:list(models, at .. "models") then
      module.models = self:sources(models, at .. "models", false)
   elseif slices and self:list(slices, at .. "slices") then
      module.slices = {}
      for i, node in ipairs(slices) do
         table.insert(module.slices, (self:slice(node, ("%sslices[%d]"):format(at, i))))
      end
   end
   table.insert(self.out.modules, module)
end

function Reader:modules(node)
   if not self:map(node, "modules") then return end
   if #node.pairs == 0 then self:broken(node, "modules must be a map that is not empty") end
   for _, pair in ipairs(node.pairs) do
      local where = "modules." .. pair.key
      if self:map(pair.value, where) then
         self:check_keys(pair.value, { "models", "slices", "parameters" }, where)
         local models, slices = yaml.get(pair.value, "models"), yaml.get(pair.value, "slices")
         if (models == nil) == (slices == nil) then
            self:broken(pair.line, "%s: give either models or slices", where)
         end
         self:module(pair.key, pair.value, where)
      end
   end
end

-- ---------------------------------------------------------------- tokenizer

function Reader:token_source(node, where)
   if node.kind == "scalar" and (node.text == "union" or node.text == "base") then return node.text end
   return self:ref(node, where)
end

function Reader:tokenizer(map)
   local short, long = yaml.get(map, "tokenizer_source"), yaml.get(map, "tokenizer")
   if short and long then
      self.problems:add(long, "give either tokenizer_source or tokenizer, not both (the other is in line %d)",
         short.line)
   elseif short then
      return { source = self:token_source(short, "tokenizer_source"), line = short.line }
   elseif long and self:map(long, "tokenizer") then
      self:check_keys(long, { "source", "tokens", "pad_to_multiple_of" }, "tokenizer")
      local source, tokens = yaml.get(long, "source"), yaml.get(long, "tokens")
      local pad = yaml.get(long, "pad_to_multiple_of")
      if tokens and not (tokens.kind == "map" and #tokens.pairs == 0) then
         self.problems:add(tokens, "tokenizer.tokens: embeddings of single tokens cannot be chosen yet: leave them out")
      end
      if pad and (whole_number(pad) or 0) < 1 then
         self.problems:add(pad, "tokenizer.pad_to_multiple_of must be a positive whole number")
      end
      return { source = source and self:token_source(source, "tokenizer.source") or "union", line = long.line,
         pad = pad and whole_number(pad) }
   end
end

-- ---------------------------------------------------------------- the whole

function Reader:method(map)
   local node = yaml.get(map, "merge_method")
   if not node then
      self.problems:add(map, "give merge_method, such as merge_method: linear")
   elseif node.kind ~= "scalar" then
      self.problems:add(node, "merge_method must be a name")
   else
      local _, def = self.problems:try(node, "merge_method: ", merging.method, node.text)
      -- A YAML file's tensors are merged one by one, each with parameters of its own.
      if def and def.prepare then
         self.problems:add(node, "merge_method: %s compares whole models before it merges, which a YAML file cannot "
            .. "ask for: use stlua merge --method %s", def.name, def.name)
      end
      return def
   end
end

--- Reads one document.
-- @tparam table node its root
-- @tparam table problems
-- @treturn ?table configuration, incomplete where there are problems; nil where nothing can be said of it
function config.read(node, problems)
   local out, before = { refs = {}, modules = {}, line = node.line }, #problems.list
   local reader = setmetatable({ out = out, problems = problems, by_key = {} }, Reader)
   if not reader:map(node, "a configuration") then return nil end
   out.method = reader:method(node)
   reader:check_keys(node, TOP, "")
   if not out.method then return nil end      -- without it no parameter can be judged
   local base = yaml.get(node, "base_model")
   out.name, out.chat_template = reader:text(node, "name"), reader:text(node, "chat_template")
   out.base = base and reader:ref(base, "base_model")
   out.dtype, out.out_dtype = reader:dtype(node, "dtype"), reader:dtype(node, "out_dtype")
   out.parameters = values.read(yaml.get(node, "parameters"), out.method, "", problems)
   local given = {}
   for _, key in ipairs { "models", "slices", "modules" } do
      if yaml.get(node, key) then given[#given + 1] = key end
   end
   if #given ~= 1 then
      reader:broken(node, "give one of models, slices and modules%s", #given > 1 and ", not " ..
         table.concat(given, " and ") or "")
   elseif given[1] == "modules" then
      reader:modules(yaml.get(node, "modules"))
   else
      reader:module(nil, node, "")
   end
   out.tokenizer = reader:tokenizer(node)
   out.questionable = #problems.list > before
   return out
end

return config
