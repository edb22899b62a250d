--- Merges as mergekit's YAML files describe them: a deferred model, and the files to go with it.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local text = require "stlua.text"
local whole_file = require "stlua.whole_file"

local build = require "stlua.mergekit.build"
local companions = require "stlua.mergekit.companions"
local config = require "stlua.mergekit.config"
local layers = require "stlua.mergekit.layers"
local problems = require "stlua.mergekit.problems"
local refs = require "stlua.mergekit.refs"
local slices = require "stlua.mergekit.slices"
local tokenizer = require "stlua.mergekit.tokenizer"
local yaml = require "stlua.mergekit.yaml"

local mergekit = {}

local Merge = {}
Merge.__index = Merge

-- ---------------------------------------------------------------- documents

-- Reads all documents; the names that others may use go into `named`.
function Merge:read_documents()
   local documents = {}
   for _, node in ipairs(yaml.documents(self.source, self.label)) do
      if not node.null then documents[#documents + 1] = node end      -- what is between two lines of dashes
   end
   for _, node in ipairs(documents) do
      local doc = config.read(node, self.problems)
      if doc then
         table.insert(self.documents, doc)
         if doc.name and self.named[doc.name] then
            self.problems:add(doc.line, "two documents are named %s", text.quote(doc.name))
         end
         self.named[doc.name or false] = doc
      end
   end
   if #documents == 0 then self.problems:add(nil, "the file holds no configuration") end
   if #documents == 0 or #documents > #self.documents then self.problems:throw() end
end

local function uses(doc, named)
   local list = {}
   for _, ref in ipairs(doc.refs) do
      if not ref.revision and named[ref.path] then list[#list + 1] = named[ref.path] end
   end
   return list
end

-- The document whose result is written: the one without a name, else the one that no other uses.
function Merge:final()
   local free, used = {}, {}
   for _, doc in ipairs(self.documents) do
      for _, other in ipairs(uses(doc, self.named)) do used[other] = true end
   end
   for _, doc in ipairs(self.documents) do
      if not doc.name then free[#free + 1] = doc end
   end
   if #free == 0 then
      for _, doc in ipairs(self.documents) do
         if not used[doc] then free[#free + 1] = doc end
      end
   end
   if #free == 1 then return free[1] end
   self.problems:add(nil, #free == 0 and "the documents use each other in a circle"
      or "%d documents could be the result: name all but one, and use them in it", #free)
   self.problems:throw()
end

-- ---------------------------------------------------------------- models

-- A reference as an opened model, each folder opened once.
function Merge:open(ref)
   local inner = not ref.revision and self.named[ref.path]
   if inner then
      if inner.state == "started" then
         self.problems:add(ref.line, "%s needs itself: the documents use each other in a circle", text.quote(ref.path))
         return nil
      end
      local ok, source = self.problems:try(ref.line, "", refs.with_adapter, self:run(inner), ref, self.opts)
      for _, remark in ipairs(ok and source.remarks or {}) do self.problems:note(ref.line, "%s", remark) end
      return ok and source or nil
   end
   local known = self.opened[ref.key]
   if known == nil then
      local ok, source = self.problems:try(ref.line, "", refs.open, ref, self.opts)
      known = ok and source or false
      -- The same folder under two names is one model.
      for _, other in ipairs(self.inputs) do
         if known and known.place == other.place then known = other end
      end
      if known and known ~= self.inputs[known] then
         self.inputs[known] = known
         table.insert(self.inputs, known)
      end
      for _, remark in ipairs(known and known.remarks or {}) do self.problems:note(ref.line, "%s", remark) end
      self.opened[ref.key] = known
   end
   return known or nil
end

function Merge:check_twice(doc)
   for _, module in ipairs(doc.modules) do
      for _, slice in ipairs(module.slices or { { sources = module.models or {} } }) do
         local seen = {}
         for _, s in ipairs(slice.sources) do
            local source = doc.sources[s.ref]
            if seen[source] and seen[source] ~= s.ref then
               self.problems:add(s.line, "%s and %s are the same model, given twice", text.quote(seen[source].key),
                  text.quote(s.ref.key))
            end
            seen[source] = s.ref
         end
      end
   end
end

-- A model that is listed under another name than base_model has, but is the same, is the base.
local function name_bases(doc)
   for _, module in ipairs(doc.modules) do
      for _, slice in ipairs(module.slices or { { sources = module.models or {} } }) do
         local base = slice.base or doc.base
         for _, s in ipairs(base and slice.sources or {}) do
            if doc.sources[s.ref] == doc.sources[base] then s.ref = base end
         end
      end
   end
end

-- Models of different architectures seldom have the same tensors; where they have, it is seldom meant.
function Merge:check_architectures(doc, list)
   if self.opts.allow_crimes then return end
   local first
   for _, source in ipairs(list) do
      local names = source.config and source.config.architectures
      local name = type(names) == "table" and names[1] or nil
      if name and first and name ~= first.name then
         self.problems:add(doc.line, "different architectures: %s is %s, %s is %s (--allow-crimes merges them "
            .. "nevertheless)", first.source.label, first.name, source.label, name)
         return
      end
      first = first or name and { source = source, name = name }
   end
end

-- All models of a document: ref -> opened, and a list without repetitions; nil where one cannot be opened.
function Merge:open_all(doc)
   doc.sources = {}
   local list, seen, complete = {}, {}, true
   for _, ref in ipairs(doc.refs) do
      local source = self:open(ref)
      doc.sources[ref] = source
      complete = complete and source ~= nil
      if source and not seen[source] then seen[source], list[#list + 1] = true, source end
   end
   return complete and list or nil
end

-- ---------------------------------------------------------------- one document

-- The result of a document as a model that another may use.
function Merge:result(doc, model, files)
   return { ref = { key = doc.name or self.label, path = doc.name or self.label }, label = doc.name or self.label,
      model = model, config_text = files["config.json"],
      config = files["config.json"] and core.json_decode(files["config.json"]) or nil,
      read = function(name) return files[name] end, files = files, doc = doc, remarks = {} }
end

-- Two documents of a chain must not draw the same numbers; the last one draws those of a merge by itself.
function Merge:stream(doc)
   return doc == self.last and "" or doc.name .. ": "
end

function Merge:run(doc)
   if doc.result then return doc.result end
   doc.state = "started"
   local list = self:open_all(doc)
   if not list or doc.broken then self.problems:throw() end
   self:check_twice(doc)
   name_bases(doc)
   self:check_architectures(doc, list)
   local donor = doc.sources[doc.base or doc.refs[1]]
   local owner = tokenizer.choose(doc, list, doc.sources, donor, self.problems)
   local template = tokenizer.template(doc, list, self.problems)
   local entries, renumbered, all = slices.plan(doc, doc.sources, self.problems)
   local model, more = build.model { config = doc, sources = doc.sources, entries = entries, slices = all,
      problems = self.problems, donor = donor,
      opts = { seed = self.opts.seed, stream = self:stream(doc) } }
   self.problems:throw()
   local files = self.opts.copy_tokenizer ~= false and companions.tokenizer(owner, template) or {}
   files["config.json"] = companions.config(donor, doc, renumbered, model, more.tie, self.problems)
   self.problems:throw()
   companions.check_vocabulary(model, files["config.json"], self.problems)
   doc.renumbered, doc.result = renumbered, self:result(doc, model, files)
   return doc.result
end

-- ---------------------------------------------------------------- report

local function bytes_of(model)
   local bytes = 0
   for i = 1, model:count() do
      local _, d, shape = model:info(i)
      local n = 1
      for _, size in ipairs(shape) do n = n * size end
      bytes = bytes + (n * dtype.bits[d] + 7) // 8
   end
   return bytes
end

-- Layers of each stack, such as "32 layers".
local function heights(model)
   local parts = {}
   for _, stack in ipairs(layers.of({ model = model }).stacks) do
      parts[#parts + 1] = ("%s in %s*"):format(text.plural(stack.count, "layer"), core.escape(stack.prefix))
   end
   return #parts > 0 and table.concat(parts, ", ") or "no numbered layers"
end

local function report(merge, doc, model)
   local rows, read = { { "model", "tensors", "dtypes", "size" } }, 0
   for _, source in ipairs(merge.inputs) do
      local bytes = bytes_of(source.model)
      rows[#rows + 1] = { source.label, tostring(source.model:count()), dtype.count(source.model), core.size(bytes) }
      read = read + bytes
   end
   local bytes = bytes_of(model)
   rows[#rows + 1] = { "result", tostring(model:count()), dtype.count(model), core.size(bytes) }
   local lines = { text.columns(rows, { false, true, false, true }), "" }
   lines[#lines + 1] = ("method %s, %s%s"):format(doc.method.name, heights(model),
      #merge.documents > 1 and (", %d documents as one chain"):format(#merge.documents) or "")
   lines[#lines + 1] = ("reads %s"):format(core.size(read))
   return table.concat(lines, "\n"), bytes
end

-- ---------------------------------------------------------------- recipe

-- Which input of the result each model of the file is: as the file writes it -> number.
function Merge:places(model)
   local numbers, places = {}, {}
   for i, leaf in ipairs(lineage.of(model).leaves) do numbers[leaf.model] = i end
   for _, doc in ipairs(self.documents) do
      for ref, source in pairs(doc.sources or {}) do
         places[refs.place(ref)] = numbers[(source.plain or source).model]
         if ref.lora then places[ref.lora] = numbers[source.adapter] end
      end
   end
   return places
end

-- What makes the weights again, for `save`.
function Merge:recipe(model)
   local recipe = { command = "merge", configuration = self.source, models = self:places(model), seed = self.opts.seed,
      allow_crimes = self.opts.allow_crimes or nil }
   if self.opts.copy_tokenizer == false then recipe.copy_tokenizer = false end
   return recipe
end

-- ---------------------------------------------------------------- the whole

local KNOWN = { models_dir = "string", cache = "string", allow_crimes = "boolean", copy_tokenizer = "boolean",
   model_card = "boolean", name = "string", seed = "number", source = "string", found = "table" }

local function read_source(path)
   local s = whole_file(path)
   if not s then errors.throwf("io", "%s: this is no file", core.escape(path)) end
   return s
end

--- Reads a merge that a YAML file of mergekit describes. Models are opened and everything is checked; all problems are
-- one error. Nothing is computed or downloaded: ids of the Hugging Face hub are looked up in its local cache.
-- Several documents are one chain of merges, where only the last result is written.
-- @tparam string path of the YAML file
-- @tparam[opt] table opts
--   `models_dir` = a folder of models, searched before the cache; `cache` = the hub's cache, if it is not where the
--   environment says; `allow_crimes` = true merges different architectures; `seed` for methods with chance in them;
--   `copy_tokenizer` = false, `model_card` = false leave those files out; `name` of the result, for the card;
--   `source` = the YAML text, if it is not in the file; `found` = folders of models by what the file calls them,
--   `owner/name` or `owner/name@revision`, which are looked up nowhere else
-- @treturn table { model = deferred, files = { [name] = text } and recipe for `save`, notes = remarks, report = text,
--   bytes = size of the result, source = the YAML text }
-- @raise "arg" lists every problem with its line; "format" for what is no YAML; "io"
function mergekit.load(path, opts)
   if type(path) ~= "string" then errors.throw("arg", "st.merge_config: give the path of a YAML file") end
   opts = errors.check_options(opts, KNOWN, "st.merge_config")
   local source = opts.source or read_source(path)
   local label = core.escape(text.basename(path))
   local merge = setmetatable({ source = source, label = label, opts = opts, problems = problems.new(label),
      documents = {}, named = {}, opened = {}, inputs = {} }, Merge)
   merge:read_documents()
   local doc = merge:final()
   merge.last = doc
   local result = merge:run(doc)
   for _, other in ipairs(merge.documents) do
      if not other.state then
         merge.problems:note(other.line, "the document %s is not run: the result does not need it",
            text.quote(other.name))
      end
   end
   local files = result.files
   if opts.model_card ~= false then
      local list = {}
      for i, input in ipairs(merge.inputs) do list[i] = input.ref end
      files["README.md"] = companions.card(opts.name or text.stem(path), doc, list, source)
      files["mergekit_config.yml"] = source
   end
   local told, bytes = report(merge, doc, result.model)
   return { model = result.model, files = files, notes = merge.problems.notes, report = told, bytes = bytes,
      source = source, recipe = merge:recipe(result.model) }
end

return mergekit
