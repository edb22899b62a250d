--- Methods of models: choosing, renaming and casting tensors, metadata, saving. Each gives a new model and leaves
-- the old as it was; nothing is read or computed.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local map = require "stlua.map"
local meta = require "stlua.meta"
local parts = require "stlua.parts"
local pattern = require "stlua.pattern"
local save = require "stlua.save"
local text = require "stlua.text"

local Model = core.Model

local function all_names(m)
   local names = {}
   for i = 1, m:count() do names[i] = m:name(i) end
   return names
end

-- A model with the metadata of `m`, and the tensors that `each(name, tensor)` gives as name, tensor (nil: left out).
local function rebuild(m, call, each)
   local out, before = core.model(), lineage.of(m).raw
   local raw = before and {}
   for i = 1, m:count() do
      local old = m:name(i)
      local name, t = each(old, m:tensor(i))
      if name then
         out:add(name, t)
         if raw then raw[name] = before[old] end
      end
   end
   local t = m:metadata()
   meta.drop_hashes(t)
   meta.set(out, t)
   return lineage.derived(out, { m }, { call = call }, { raw = raw })
end

local function patterns_of(who, ...)
   local list = table.pack(...)
   if list.n == 0 then errors.throwf("arg", "%s: give at least one pattern", who) end
   if list.n == 1 then return list[1] end
   return list
end

local function check_used(m, unused, who) pattern.check_used(unused, who, { m }, lineage.label(m)) end

--- The tensor of that name, whatever methods there are.
--
--     > a = st.open("a.safetensors")
--     > a:get("lm_head.weight"):shape()
--     { 256, 64 }
--     > a:get("lm_haed.weight")
--     a.safetensors: no tensor "lm_haed.weight"; did you mean "lm_head.weight"?
-- @raise "name", with the nearest names
function Model:get(name)
   local i = self:find(name)
   if not i then
      errors.throw("name", ("%s: no tensor %s%s"):format(lineage.formula(self), text.quote(name),
         text.did_you_mean(name, all_names(self))), { tensor = name })
   end
   return self:tensor(i)
end

--- The tensors whose names match any of the patterns, in the model's order.
--
--     > a = st.open("a.safetensors")
--     > a:select("*.layers.0.*norm*", "lm_head")
--     Model[2 tensors, 32.1 KiB: 2 BF16]
--       = select(a.safetensors)
--       lm_head.weight              BF16 [256, 64]  32.0 KiB
--       model.layers.0.norm.weight  BF16 [64]          128 B
--       metadata: format
-- @param ... patterns ("*" and "?" are wild, plain text matches anywhere), a list of them, or a function name ->
--   boolean
-- @treturn model
-- @raise "name" when a pattern matches nothing
function Model:select(...)
   local test, unused = pattern.any(patterns_of("select", ...))
   local out = rebuild(self, "select", function(name, t)
      if test(name) then return name, t end
   end)
   check_used(self, unused, "select")
   return out
end

--- All tensors but those whose names match any of the patterns.
--
--     > a = st.open("a.safetensors")
--     > #a, #a:without("mlp", "*.norm.*")
--     31      19
-- @param ... as of select; a pattern that matches nothing leaves nothing out
-- @treturn model
function Model:without(...)
   local test = pattern.any(patterns_of("without", ...))
   return rebuild(self, "without", function(name, t)
      if not test(name) then return name, t end
   end)
end

-- rename's three forms as one function: name -> new name, or nil.
local function renamer(m, what, to)
   if debug.getmetatable(m) ~= core.model_meta then
      errors.throwf("arg", "rename: it is a method of a model, not of a %s", type(m))
   end
   if type(what) == "function" then return what end
   if type(what) == "table" then
      for old in pairs(what) do
         if type(old) ~= "string" or not m:find(old) then
            errors.throwf("name", "rename: no tensor %s in %s%s", text.quote(tostring(old)), lineage.formula(m),
               text.did_you_mean(tostring(old), all_names(m)))
         end
      end
      return function(name) return what[name] end
   end
   if type(what) ~= "string" or type(to) ~= "string" then
      errors.throw("arg", "rename: give a pattern and its replacement, a table of names, or a function")
   end
   return pattern.renamer(what, to)
end

--- Renames tensors. `m:rename("model.*", "*")` cuts a prefix, `m:rename("attn", "attention")` replaces text,
-- `m:rename { old = "new" }` renames single tensors, `m:rename(function(name) ... end)` does the rest (nil keeps a
-- name).
--
--     > a = st.open("a.safetensors"):select("*.0.norm*", "lm_head")
--     > a:rename("model.*", "*"):name(1)
--     lm_head.weight
--     > a:rename { ["lm_head.weight"] = "output.weight" }:name(2)
--     model.layers.0.norm.weight
--     > a:rename(function(name) return name:upper() end):name(1)
--     LM_HEAD.WEIGHT
--     > a:rename(function() return "x" end)
--     "lm_head.weight" and "model.layers.0.norm.weight" would both be "x"
-- @treturn model
-- @raise "name" when two tensors would get one name (all of them are listed), or nothing matches
function Model:rename(what, to)
   local fn = renamer(self, what, to)
   local owner, problems, changed = {}, {}, false
   for i = 1, self:count() do
      local old = self:name(i)
      local new = fn(old)
      if new == nil then new = old end
      if type(new) ~= "string" then
         errors.throwf("arg", "rename: the new name of %s is a %s, not a string", text.quote(old), type(new))
      end
      changed = changed or new ~= old
      if owner[new] then
         problems[#problems + 1] = core.error("name", ("%s and %s would both be %s"):format(
            text.quote(owner[new]), text.quote(old), text.quote(new)))
      end
      owner[new] = old
   end
   errors.throw_all(problems, "cannot be renamed")
   if type(what) == "string" and not changed then check_used(self, { what }, "rename") end
   local names = {}
   for new, old in pairs(owner) do names[old] = new end
   return rebuild(self, "rename", function(name, t) return names[name], t end)
end

--- Casts floating tensors; integers and booleans are never touched.
--
--     > a = st.open("a.safetensors")
--     > a:cast("F16", { except = "norm" }):dtype_counts()
--     { BF16 = 4, F16 = 26, I64 = 1 }
-- @tparam string to a floating dtype, in any case: "BF16", "F16", "F8_E4M3" ...
-- @tparam[opt] table opts `only`, `except` = patterns; `saturate` = true clamps to the largest finite value
-- @treturn model
-- @raise "dtype"; "quant" for tensors of a quantised layout; "name" for a pattern that matches nothing
function Model:cast(to, opts)
   to = dtype.check(to, true, "cast")
   opts = errors.check_options(opts,
      { only = "string|table|function", except = "string|table|function", saturate = "boolean" }, "cast")
   local only, unused = pattern.only(opts.only)
   local except = pattern.except(opts.except, "cast: except", self, lineage.label(self))
   local problems = {}
   local out = rebuild(self, "cast", function(name, t)
      local chosen = only(name) and not except(name)
      if chosen and t:dtype() ~= to and dtype.is_float(t:dtype()) then
         local ok, result = pcall(t.cast, t, to, { saturate = opts.saturate })
         if ok then return name, result end
         if not errors.is(result) then error(result, 0) end
         problems[#problems + 1] = result
      end
      return name, t
   end)
   check_used(self, unused, "cast: only")
   errors.throw_all(problems, "cannot be cast")
   lineage.of(out).raw = nil
   return out
end

--- The same tensors under changed metadata.
--
--     > a = st.open("a.safetensors"):with_metadata { title = "Mine", format = false }
--     > a:metadata()
--     { title = "Mine" }      { "title" }
-- @tparam table changes key -> string or number; false removes a key
-- @treturn model
function Model:with_metadata(changes)
   if type(changes) ~= "table" then errors.throw("arg", "with_metadata: expected a table of keys and texts") end
   local out = rebuild(self, "with_metadata", function(name, t) return name, t end)
   local t = self:metadata()
   meta.overlay(t, changes, "with_metadata")
   meta.set(out, t)
   return out
end

--- Remarks on how the model came about, one line each: dtypes that differed, tensors that were missing.
-- @treturn {string,...}
function Model:notes()
   return table.move(lineage.of(self).notes, 1, #lineage.of(self).notes, 1, {})
end

--- How the model was computed, such as "0.5 * a.safetensors + 0.5 * b.safetensors".
-- @treturn string
function Model:formula()
   return lineage.formula(self)
end

Model.save = save.save

-- What the prompt offers within `m["`.
core.model_meta.__complete = all_names

local set = parts.core_method(Model, "set")

--- Puts a tensor into this very model: in the place of the one of that name, or behind the last. `m[name] = t` is the
-- same. Models that were computed from this one before do not change.
--
--     > m = st.model {}
--     > m.a = st.ones(2)
--     > m:set("b", st.zeros(2))
--     Model[2 tensors, 16 B: 2 F32]
--       = model
--       note: "a" was set by the script
--       note: "b" was set by the script
--       a  F32 [2]  8 B
--       b  F32 [2]  8 B
--     > #m, m:name(2)
--     2       b
-- @tparam string name
-- @tparam tensor t
-- @treturn model the same
-- @raise "name" for "__metadata__" and names that are no UTF-8
function Model:set(name, t)
   set(self, name, t)
   local record = lineage.of(self)
   if record.raw then record.raw[name] = nil end
   record.notes[#record.notes + 1] = ("%s was set by the script"):format(text.quote(name))
   return self
end

core.model_meta.__newindex = Model.set

-- The tensors of both; `keep` says whose is taken where both hold a name: "first", "second", or nil for an error.
local function union(a, b, keep, node)
   local problems = {}
   for i = 1, b:count() do
      if not keep and a:find(b:name(i)) then
         problems[#problems + 1] = core.error("name", ("%s is in both models"):format(text.quote(b:name(i))))
      end
   end
   errors.throw_all(problems, "cannot be joined")
   local out = rebuild(a, "join", function(name, t) return name, t end)
   for i = 1, b:count() do
      local name = b:name(i)
      if keep == "second" or not out:find(name) then set(out, name, b:tensor(i)) end
   end
   return lineage.derived(out, { a, b }, node, { merged = true })
end

--- Two models as one: the union of their names.
-- @raise "name" when both hold a name (all of them are listed)
function core.model_meta.__concat(a, b)
   if not (map.is_model(a) and map.is_model(b)) then errors.throw("arg", "`..` joins two models") end
   return union(a, b, nil, { infix = " .. ", rank = 0, associative = true })
end

--- The union of two models, with the metadata of the first: `a .. b`, where names that both hold may be allowed.
--
--     > a = st.model { { "x", st.zeros(2) } }
--     > b = st.model { { "x", st.ones(2) }, { "y", st.ones(2) } }
--     > m = a:merge(b, { clash = "second" })
--     > #m, m.x
--     2
--     Tensor[2 F32, 8 B]
--       1.0000  1.0000
-- @tparam model other
-- @tparam[opt] table opts `clash` = "error" (default), "first" or "second": whose tensor is taken
-- @treturn model
-- @raise "name" when both hold a name (all of them are listed)
function Model:merge(other, opts)
   local clash = errors.check_options(opts, { clash = "string" }, "merge").clash or "error"
   if not map.is_model(other) then errors.throwf("arg", "merge: a model expected, got a %s", type(other)) end
   if clash ~= "error" and clash ~= "first" and clash ~= "second" then
      errors.throwf("arg", 'merge: clash = %s is not "error", "first" or "second"', text.quote(clash))
   end
   return union(self, other, clash ~= "error" and clash or nil, { call = "merge" })
end

--- Makes a model from tensors.
-- @tparam {{string,tensor},...} list in order
-- @tparam[opt] table metadata
-- @treturn model
local function new(list, metadata)
   local out = core.model()
   for i, entry in ipairs(list) do
      if type(entry) ~= "table" then errors.throwf("arg", "st.model: entry %d must be { name, tensor }", i) end
      out:add(entry[1], entry[2])
   end
   local t = {}
   meta.overlay(t, metadata or {}, "st.model")
   meta.set(out, t)
   return out
end

return { new = new }
