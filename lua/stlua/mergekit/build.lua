--- Makes the deferred model of a configuration: gathers the tensors of each name, resolves its parameters, asks the
-- merge method. Nothing is read but headers, and integers where several models have them.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local layers = require "stlua.mergekit.layers"
local lineage = require "stlua.lineage"
local merging = require "stlua.merging"
local meta = require "stlua.meta"
local text = require "stlua.text"
local values = require "stlua.mergekit.values"

local build = {}

local Builder = {}
Builder.__index = Builder

-- ---------------------------------------------------------------- problems of many tensors

-- The same sentence about many tensors is told once, with their number.
function Builder:about(name, format, ...)
   local message = format:format(...)
   local group = self.groups[message]
   if not group then
      group = { message = message, first = name, count = 0 }
      self.groups[message] = group
      table.insert(self.groups, group)
   end
   group.count = group.count + 1
end

function Builder:report_groups()
   for _, group in ipairs(self.groups) do
      if group.count == 1 then
         self.problems:add(nil, "%s: %s", core.escape(group.first), group.message)
      else
         self.problems:add(nil, "%s (%d tensors, such as %s)", group.message, group.count, core.escape(group.first))
      end
   end
end

-- fn(self, ...), or nil where it throws what is about a tensor: that goes to the problems.
function Builder:attempt(entry, fn, ...)
   local ok, result = pcall(fn, self, ...)
   if ok then return result end
   if not errors.is(result) or result.code == "cancelled" or result.code == "nomem" then error(result, 0) end
   if result.code == "quant" and result.file then      -- one line for the whole model
      self:about(entry.name, "%s is quantised, and its values mean nothing without their scales: dequantise the model "
         .. "first (stlua cast --dequantize)", core.escape(result.file))
   else
      self:about(entry.name, "%s", result.message)
   end
end

-- ---------------------------------------------------------------- the base and the others

-- Splits a slice's sources as the method wants them: position of the base or nil, positions of the others.
function Builder:roles(slice)
   if slice.roles then return slice.roles end
   local def, others, base_at = self.config.method, {}, nil
   for i, source in ipairs(slice.sources) do
      if source.ref == slice.base and def.base ~= "none" then base_at = i else others[#others + 1] = i end
   end
   slice.roles = { base = base_at, others = others, levels = {} }
   return slice.roles
end

-- Whether without a model besides the base the result is the base: what is added to it is a sum of differences.
local function may_be_alone(def)
   return def.base == "required" and def.params.lambda ~= nil or def.name == "sce"
end

function Builder:check_slice(slice)
   local def, roles, label = self.config.method, self:roles(slice), self.config.method.name
   if def.base ~= "none" and slice.base and not roles.base then
      self.problems:add(slice.line, "base_model %s is not among the sources of this slice, and %s needs it there",
         text.quote(slice.base.key), label)
   elseif def.base == "required" and not slice.base then
      self.problems:add(slice.line, "%s needs base_model: the model that the others were made from", label)
   end
   if def.base == "none" then
      for _, source in ipairs(slice.sources) do
         if source.added then
            self.problems:note(nil, "%s knows no base: base_model %s is merged as one more model, as in mergekit",
               label, text.quote(source.ref.key))
         end
      end
   end
   local n, most = #roles.others, def.max
   if n == 0 and roles.base and may_be_alone(def) then return end
   if n < def.min or (most and n > most) then
      local wanted = def.min == most and text.plural(def.min, "model")
         or most and ("%d to %d models"):format(def.min, most) or "at least " .. text.plural(def.min, "model")
      self.problems:add(slice.line, "%s takes %s%s, not %d", label, wanted,
         def.base ~= "none" and " besides the base" or "", n)
   end
end

-- ---------------------------------------------------------------- tensors of one name

-- Where a source has the tensor: its number in the model; a tied head is the embeddings.
local function position(source, name)
   local at = source.model:find(name)
   if at or not layers.is_head(name) then return at end
   local embeddings = layers.embeddings(source.model)
   return embeddings and source.model:find(embeddings)
end

-- One input as it enters the arithmetic: `dtype` of the configuration casts it at load.
function Builder:load(source, at)
   local t = source.model:tensor(at)
   local want, own = self.config.dtype, t:dtype()
   if want and own ~= want and dtype.is_float(own) then return t:cast(want) end
   return t
end

local function same_shape(a, b)
   if #a ~= #b then return false end
   for i = 1, #a do
      if a[i] ~= b[i] then return false end
   end
   return true
end

-- The tensors of all sources, or nil where one is missing or has another shape.
function Builder:gather(entry)
   local at, first, complete = {}, nil, true
   for i, s in ipairs(entry.slice.sources) do
      local source = self.sources[s.ref]
      at[i] = position(source, entry.names[i])
      if not at[i] and layers.is_buffer(entry.name) then
         self.left_out = self.left_out + 1
         return nil
      elseif not at[i] then
         self:miss(source, entry.names[i])
         complete = false
      else
         local _, _, shape = source.model:info(at[i])
         first = first or { shape = shape, source = source }
         if not same_shape(first.shape, shape) then
            complete = self:odd_shape(entry, first, { shape = shape, source = source })
         end
      end
   end
   if not complete then return nil end
   local list = {}
   for i, s in ipairs(entry.slice.sources) do
      list[i] = self:attempt(entry, self.load, self.sources[s.ref], at[i])
      complete = complete and list[i] ~= nil
   end
   return complete and list or nil
end

function Builder:miss(source, name)
   local list = self.missing[source]
   if not list then
      list = {}
      self.missing[source] = list
      table.insert(self.missing, source)
   end
   list[#list + 1] = core.escape(name)
end

function Builder:odd_shape(entry, a, b)
   local of_vocabulary = layers.is_vocabulary(entry.name) and #a.shape == #b.shape and #a.shape == 2
      and a.shape[2] == b.shape[2]
   self.problems:add(nil, "%s is %s in %s, %s in %s%s", core.escape(entry.name), text.shape(a.shape), a.source.label,
      text.shape(b.shape), b.source.label, of_vocabulary and ": vocabularies of different sizes; joining them, which "
      .. "re-indexes the embeddings, is not possible yet" or "")
   return false
end

-- ---------------------------------------------------------------- parameters

function Builder:levels(entry, i)
   local source = i and entry.slice.sources[i]
   if source then
      return { source.parameters, entry.slice.parameters, entry.module.parameters, self.config.parameters }
   end
   return { entry.slice.parameters, entry.module.parameters, self.config.parameters }
end

-- All parameters of a tensor, by name; nil where one is missing.
function Builder:parameters(entry, others)
   local opts, complete = { seed = self.opts.seed }, true
   for _, param in ipairs(self.config.method.params) do
      if param.each then
         local list = {}
         for k, i in ipairs(others) do
            list[k] = values.resolve(param.name, self:levels(entry, i), entry.names[i], entry.t)
            if list[k] == nil then list[k] = param.default end
            if list[k] == nil and not param.optional then
               complete = false
               self:about(entry.name, "%s needs %s for the model %s: give it under the model's parameters",
                  self.config.method.name, param.name, text.quote(entry.slice.sources[i].ref.key))
            end
         end
         opts[param.name] = list
      else
         local value = values.resolve(param.name, self:levels(entry), entry.name, entry.t)
         opts[param.name] = value
         if value == nil and param.default == nil and not param.optional then
            complete = false
            self:about(entry.name, "%s needs %s: give it under parameters", self.config.method.name, param.name)
         end
      end
   end
   return complete and opts or nil
end

-- ---------------------------------------------------------------- results

local function is_float(t) return dtype.is_float(t:dtype()) end

-- The dtype of all inputs, or what they are promoted to.
local function promoted(list)
   local result = list[1]:dtype()
   for i = 2, #list do
      local d = list[i]:dtype()
      if d ~= result then result = (d == "F64" or result == "F64") and "F64" or "F32" end
   end
   return result
end

-- Integers, booleans and raw bytes are copied if all are equal.
function Builder:copy(entry, list)
   for i = 2, #list do
      if list[i]:dtype() ~= list[1]:dtype() or not list[1]:identical(list[i]) then
         self:about(entry.name, "%s values are not interpolated, and they differ between the models", list[1]:dtype())
         return nil
      end
   end
   return list[1]
end

function Builder:compute(entry, list, opts)
   local roles, others = self:roles(entry.slice), {}
   for k, i in ipairs(roles.others) do others[k] = list[i] end
   local base = roles.base and list[roles.base]
   local result = #others == 0 and base
      or merging.merge_tensors(self.config.method, opts, self.opts.stream .. entry.name, base, others)
   local want = self.config.out_dtype or self.config.dtype or promoted(list)
   if not is_float(result) or result:is_leaf() and result:dtype() == want then return result end
   -- The cast rounds: what another document gets is what a file would hold.
   return result:cast(want)
end

function Builder:one(entry)
   local list = self:gather(entry)
   if not list then return end
   local floating = false
   for _, t in ipairs(list) do floating = floating or is_float(t) end
   if not floating then return self:copy(entry, list) end
   if self.config.questionable or entry.slice.bad then return end      -- what it would say follows from what was said
   local opts = self:parameters(entry, self:roles(entry.slice).others)
   if not opts then return end
   return self:attempt(entry, self.compute, entry, list, opts)
end

-- ---------------------------------------------------------------- tied heads

-- A source that has a head of its own for the output, or nil.
function Builder:head_owner()
   for _, entry in ipairs(self.entries) do
      for i, s in ipairs(layers.is_head(entry.name) and entry.slice.sources or {}) do
         local source = self.sources[s.ref]
         if source.model:find(entry.names[i]) and not layers.is_tied(source) then return source end
      end
   end
end

-- The label of a tied source whose embeddings are the head, but not the result's embeddings; or nil.
function Builder:head_apart()
   for _, entry in ipairs(self.entries) do
      if entry.apart then return self.sources[entry.slice.sources[1].ref].label end
   end
end

-- Whether a head goes into the output, and what the output's config must say of it (nil: as it does).
function Builder:decide_head(donor)
   local tied, owner = layers.is_tied(donor), self:head_owner()
   if tied and owner then
      self.problems:note(nil, "%s has a head of its own, %s takes its embeddings: the result has its own head, and its "
         .. "config says so (tie_word_embeddings)", owner.label, donor.label)
      return true, false
   end
   local apart = not owner and self:head_apart()
   if apart then
      self.problems:note(nil, "the embeddings of %s are the head, those of the first slice the embeddings: the head is "
         .. "written", apart)
      return true, false
   elseif not tied and not owner then
      return false, true
   end
   return owner ~= nil, nil
end

-- ---------------------------------------------------------------- the whole

local MANY = 20

function Builder:report_missing()
   for _, source in ipairs(self.missing) do
      local names = self.missing[source]
      local shown = table.concat(names, "\n  ", 1, math.min(#names, MANY))
      self.problems:add(nil, "missing in %s: %s\n  %s%s", source.label, text.plural(#names, "tensor"), shown,
         #names > MANY and ("\n  ... and %d more"):format(#names - MANY) or "")
   end
end

function Builder:finish(out, donor)
   local t = donor.model:metadata()
   meta.drop_hashes(t)
   t.format = t.format or "pt"      -- transformers wants to be told
   meta.set(out, t)
   local models, seen = {}, {}
   for _, slice in ipairs(self.slices) do
      for _, s in ipairs(slice.sources) do
         local model = self.sources[s.ref].model
         if not seen[model] then seen[model], models[#models + 1] = true, model end
      end
   end
   return lineage.derived(out, models, { call = self.config.method.name }, { merged = true })
end

--- Makes the model.
-- @tparam table job config, sources, entries, slices, problems, donor (the model whose config is the output's), opts =
--   { seed =, stream = what stands before the names of tensors where chance hangs on them }
-- @treturn ?model nil where there are problems
-- @treturn ?table { tie = what tie_word_embeddings must become, or nil }
function build.model(job)
   local builder = setmetatable({ groups = {}, missing = {}, left_out = 0 }, Builder)
   for key, value in pairs(job) do builder[key] = value end
   for _, slice in ipairs(builder.slices) do
      local before = #builder.problems.list
      builder:check_slice(slice)
      slice.bad = #builder.problems.list > before
   end
   local with_head, tie = builder:decide_head(builder.donor)
   local out, dropped = core.model(), false
   for _, entry in ipairs(builder.entries) do
      if not with_head and layers.is_head(entry.name) then
         dropped = true
      else
         local t = builder:one(entry)
         if t and #builder.problems.list == 0 then out:add(entry.name, t) end
      end
   end
   builder:report_groups()
   builder:report_missing()
   if #builder.problems.list > 0 then return nil end
   if dropped then builder.problems:note(nil, "the head is the embeddings (tie_word_embeddings): it is not written") end
   if builder.left_out > 0 then
      builder.problems:note(nil, "%s left out: some model has it not", text.plural(builder.left_out, "buffer"))
   end
   return builder:finish(out, builder.donor), { tie = tie }
end

return build
