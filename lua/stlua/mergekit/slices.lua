--- From a configuration to the list of tensors to be made: which tensor of which model goes into each, under which name
-- and how far along the layers. Looks at names only.
-- Layer: Lua, above stlua.core.
--
-- An entry: { name =, t = place among the layers from 0 to 1, slice =, module =, names = { [i] = name in source i },
-- layer =, before = whether it precedes the layers, apart = whether it is a head that must not be tied }.

local core = require "stlua.core"
local layers = require "stlua.mergekit.layers"
local text = require "stlua.text"

local slices = {}

local Planner = {}
Planner.__index = Planner

function Planner:opened(source) return self.sources[source.ref] end

-- ---------------------------------------------------------------- which stack

-- Modules are named by the folder of names they fill, as mergekit's inferred ones, or as its tables call them.
local ALIASES = { text_decoder = { "language_model", "text_model", "model" },
   vision_tower = { "visual", "vision_model" }, vision_model = { "vision_tower", "visual" } }

local function has_part(prefix, part)
   return ("." .. prefix):find("." .. part .. ".", 1, true) ~= nil
end

-- Tests whether a tensor belongs to a module.
local function member(layout, name)
   if name == nil or name == "default" and #layout.stacks <= 1 then return function() return true end end
   local parts = { name, table.unpack(ALIASES[name] or {}) }
   return function(tensor)
      for _, part in ipairs(parts) do
         if has_part(tensor, part) then return true end
      end
      return false
   end
end

-- The one stack of a module whose layers are chosen by number.
function Planner:stack_of(layout, belongs, where, line)
   local found = {}
   for _, stack in ipairs(layout.stacks) do
      if belongs(stack.prefix .. "0.") then found[#found + 1] = stack end
   end
   if #found == 1 then return found[1] end
   local list = {}
   for i, stack in ipairs(found) do list[i] = ("%s* (%d)"):format(stack.prefix, stack.count) end
   self.problems:add(line, "%s: %s", where, #found == 0 and "no numbered layers are found in the names of the tensors"
      or "several stacks of layers: " .. table.concat(list, ", ") .. ": use the modules form to choose among them")
end

-- ---------------------------------------------------------------- whole models

-- The union of the tensors of all sources that a test accepts, in the order of the first that has each.
function Planner:union(sources, accept)
   local names, seen = {}, {}
   for _, source in ipairs(sources) do
      local model = self:opened(source).model
      for i = 1, model:count() do
         local name = model:name(i)
         if not seen[name] and accept(name) then
            seen[name] = true
            names[#names + 1] = name
         end
      end
   end
   return names
end

local function same_names(name, n)
   local names = {}
   for i = 1, n do names[i] = name end
   return names
end

-- Stacks of different heights would make a long list of missing tensors: one line says it. Returns a test for the
-- tensors of layers that all have.
function Planner:check_heights(module, sources)
   local first, lowest = self:opened(sources[1]), {}
   for _, stack in ipairs(layers.of(first).stacks) do
      lowest[stack.prefix] = stack.count
      for i = 2, #sources do
         local other = self:opened(sources[i])
         local theirs = layers.of(other).by_prefix[stack.prefix]
         if theirs and theirs.count ~= stack.count then
            self.problems:add(module.line, "unequal numbers of layers (%s*): %d in %s, %d in %s: choose ranges with "
               .. "slices", stack.prefix, stack.count, first.label, theirs.count, other.label)
            lowest[stack.prefix] = math.min(lowest[stack.prefix], theirs.count)
         end
      end
   end
   return function(name)
      local prefix, layer = layers.split(name)
      return not lowest[prefix] or layer < lowest[prefix]
   end
end

function Planner:whole(module, belongs)
   local sources = { table.unpack(module.models) }
   local base, listed = self.config.base, false
   for _, source in ipairs(sources) do listed = listed or source.ref == base end
   if base and not listed then
      sources[#sources + 1] = { ref = base, parameters = {}, line = module.line, added = true }
   end
   local slice = { sources = sources, parameters = {}, line = module.line, base = base }
   table.insert(self.slices, slice)
   local common = self:check_heights(module, sources)
   local layout = layers.of(self:opened(sources[1]))
   for _, name in ipairs(self:union(sources, function(name) return belongs(name) and common(name) end)) do
      local stack, layer = layers.place(layout, name)
      local t = not stack and 0 or stack.count > 1 and layer / (stack.count - 1) or 1
      self:add { name = name, t = math.min(t, 1), slice = slice, module = module, names = same_names(name, #sources) }
   end
end

-- ---------------------------------------------------------------- ranges of layers

function Planner:add(entry) self.entries[#self.entries + 1] = entry end

-- Stacks of a slice's sources; nil where a range does not fit.
function Planner:stacks(slice, belongs, where)
   local stacks = {}
   for i, source in ipairs(slice.sources) do
      local opened = self:opened(source)
      stacks[i] = self:stack_of(layers.of(opened), belongs, opened.label, source.line)
      if not stacks[i] then return nil end
      if source.stop > stacks[i].count then
         self.problems:add(source.line, "%s: layer_range [%d, %d] goes beyond the %s of %s", where, source.first,
            source.stop, text.plural(stacks[i].count, "layer"), opened.label)
         return nil
      end
   end
   return stacks
end

-- The parts of one layer, as any of the sources has them.
function Planner:parts(slice, stacks, k)
   local parts, seen = {}, {}
   for i, source in ipairs(slice.sources) do
      local opened = self:opened(source)
      for _, part in ipairs(opened.parts(stacks[i], source.first + k)) do
         if not seen[part] then
            seen[part] = true
            parts[#parts + 1] = part
         end
      end
   end
   return parts
end

function Planner:layers(module, slice, stacks, from)
   local first = slice.sources[1]
   local length = first.stop - first.first
   for k = 0, length - 1 do
      for _, part in ipairs(self:parts(slice, stacks, k)) do
         local names = {}
         for i, source in ipairs(slice.sources) do
            names[i] = ("%s%d.%s"):format(stacks[i].prefix, source.first + k, part)
         end
         self:add { name = ("%s%d.%s"):format(self.out_prefix, from + k, part), slice = slice, module = module,
            t = length > 1 and k / (length - 1) or 1, names = names }
      end
      table.insert(self.layer_origins, { source = self:opened(first), layer = first.first + k })
   end
   return from + length
end

-- What stands outside the layers, before or after them.
function Planner:loose(module, slice, belongs, before)
   local names = self:union(slice.sources, function(name)
      return belongs(name) and layers.is_before(name) == before
         and not layers.place(layers.of(self:opened(slice.sources[1])), name)
   end)
   for _, name in ipairs(names) do
      self:add { name = name, t = 0, slice = slice, module = module, names = same_names(name, #slice.sources) }
   end
end

-- The head of an untied model in a slice; nil where all are tied.
function Planner:own_head(slice, belongs)
   for _, source in ipairs(slice.sources) do
      local opened = self:opened(source)
      local name = layers.head(opened.model)
      if name and belongs(name) and not layers.is_tied(opened) then return name end
   end
end

-- Where the first models have a head apart from their embeddings and the last are tied, the last ones' embeddings are
-- the head: the result's own embeddings are not.
function Planner:head_apart(module, belongs)
   local first, last = module.slices[1], module.slices[#module.slices]
   local name = self:own_head(first, belongs)
   if not name or self:own_head(last, belongs) then return end
   for _, entry in ipairs(self.entries) do
      if entry.name == name and entry.slice == last then
         entry.apart = true
         return
      end
   end
   self:add { name = name, t = 0, slice = last, module = module, names = same_names(name, #last.sources), apart = true }
end

function Planner:ranges(module, belongs)
   local all, complete = {}, true
   for i, slice in ipairs(module.slices) do
      slice.base = slice.base or self.config.base
      table.insert(self.slices, slice)
      all[i] = self:stacks(slice, belongs, ("slices[%d]"):format(i))
      complete = complete and all[i] ~= nil
   end
   if not complete or #module.slices == 0 then return end
   self.out_prefix, self.layer_origins = all[1][1].prefix, {}
   self:loose(module, module.slices[1], belongs, true)
   local count = 0
   for i, slice in ipairs(module.slices) do count = self:layers(module, slice, all[i], count) end
   self:loose(module, module.slices[#module.slices], belongs, false)
   self:head_apart(module, belongs)
   if count == 0 then self.problems:add(module.line, "the slices hold no layer at all") end
   table.insert(self.renumbered, { prefix = self.out_prefix, count = count, origins = self.layer_origins })
end

-- ---------------------------------------------------------------- the whole

-- Every tensor belongs to one module.
function Planner:check_modules()
   local seen = {}
   for _, entry in ipairs(self.entries) do
      if seen[entry.name] then
         self.problems:add(entry.module.line, "%s belongs to two modules", text.quote(entry.name))
      end
      seen[entry.name] = true
   end
   local left, all = {}, {}
   for _, slice in ipairs(self.slices) do table.move(slice.sources, 1, #slice.sources, #all + 1, all) end
   for _, name in ipairs(self:union(all, function(name) return not seen[name] end)) do
      local prefix = layers.split(name)
      local renumbered = false
      for _, r in ipairs(self.renumbered) do renumbered = renumbered or r.prefix == prefix end
      if not renumbered then left[#left + 1] = core.escape(name) end
   end
   if #left > 0 then
      self.problems:add(self.config.line, "modules: %s in none of them, such as %s", text.plural(#left, "tensor"),
         left[1])
   end
end

-- Names of the parts of one layer of a model, found once for all layers.
local function part_lister(source)
   local lists
   return function(stack, layer)
      if not lists then
         lists = {}
         for i = 1, source.model:count() do
            local s, number, rest = layers.place(layers.of(source), source.model:name(i))
            if s then
               local key = s.prefix .. number
               lists[key] = lists[key] or {}
               table.insert(lists[key], rest)
            end
         end
      end
      return lists[stack.prefix .. layer] or {}
   end
end

--- Lists the tensors of a merge.
-- @tparam table config as of config.read
-- @tparam table sources ref -> opened model
-- @tparam table problems
-- @treturn {table,...} entries
-- @treturn {table,...} renumbered stacks { prefix =, count =, origins = { { source =, layer = }, ... } }
-- @treturn {table,...} all slices
function slices.plan(config, sources, problems)
   local planner = setmetatable({ config = config, sources = sources, problems = problems, entries = {}, slices = {},
      renumbered = {} }, Planner)
   for _, source in pairs(sources) do source.parts = source.parts or part_lister(source) end
   for _, module in ipairs(config.modules) do
      local list = module.models or (module.slices[1] or { sources = {} }).sources
      if #list > 0 then
         local belongs = member(layers.of(planner:opened(list[1])), module.name)
         if module.models then planner:whole(module, belongs) else planner:ranges(module, belongs) end
      end
   end
   if config.modules[1] and config.modules[1].name and #problems.list == 0 then planner:check_modules() end
   return planner.entries, planner.renumbered, planner.slices
end

return slices
