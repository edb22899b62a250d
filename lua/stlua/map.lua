--- st.map and the engine of model arithmetic: a callback is asked once per tensor name, when planning, and answers
-- with a deferred tensor. Whatever does not fit is collected and reported at once, before any work.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local fit = require "stlua.fit"
local lineage = require "stlua.lineage"
local meta = require "stlua.meta"
local text = require "stlua.text"

local map = {}

--- What a callback returns to leave a tensor out.
map.drop = require "stlua.dropped"

function map.is_model(x)
   return debug.getmetatable(x) == core.model_meta
end

function map.is_tensor(x)
   return debug.getmetatable(x) == core.tensor_meta
end

-- Counts the combinations of dtypes of one name, where they differ, for the report.
local function note_mixture(mixed, row, inputs, labels)
   if not row.dtypes then return end
   local parts = {}
   for k = 1, inputs.n do
      local i = inputs.from[k]
      parts[k] = ("%s in %s"):format(fit.dtype(row, i), labels[i])
   end
   local key = table.concat(parts, ", ")
   if not mixed[key] then
      mixed[#mixed + 1] = key
      mixed[key] = 0
   end
   mixed[key] = mixed[key] + 1
end

local function throw_about(row, code, format, ...)
   errors.throw(code, text.quote(row.name) .. ": " .. format:format(...), { tensor = row.name })
end

-- Integers, booleans and raw bytes are not interpolated: equal ones are copied, others are an error.
local function copy_equal(row, inputs, labels)
   local from = inputs.from
   for k = 2, inputs.n do
      if not inputs[1]:identical(inputs[k]) then
         throw_about(row, "dtype", "%s values are not interpolated, and they differ between %s and %s: "
            .. "return one of the tensors, or cast", row.dtype, labels[from[1]], labels[from[k]])
      end
   end
   return inputs[1]
end

local function is_input(result, inputs)
   for k = 1, inputs.n do
      if rawequal(result, inputs[k]) then return true end
   end
   return false
end

-- The first model whose tensor holds integers, or nil. Booleans may be a mask.
local function whole_input(row, inputs)
   for k = 1, inputs.n do
      local own = fit.dtype(row, inputs.from[k])
      if not dtype.is_float(own) and own ~= "BOOL" then return inputs.from[k] end
   end
end

-- Holds a callback's result to the rules about integers and about the dtype it is saved in. Returns the tensor (nil:
-- dropped), and the one before the cast, with which arithmetic on models goes on.
local function settle(result, row, inputs, labels, opts)
   if result == map.drop then return nil end
   if not map.is_tensor(result) then
      throw_about(row, "arg", "the callback returned %s", result == nil and "nil (st.drop leaves a tensor out)"
         or "a " .. type(result) .. " instead of a tensor")
   end
   local copied = is_input(result, inputs)
   if not copied and result:is_cast() then return result, result end
   if not copied and inputs.n > 1 and not result:is_leaf() then
      if not row.float then
         local same = copy_equal(row, inputs, labels)
         return same, same
      end
      -- A callback may have looked at the floating ones alone; the methods of merging take all.
      local whole = not dtype.is_float(row.dtype) and inputs.from[1] or opts.fixed and whole_input(row, inputs)
      if whole and dtype.is_float(result:dtype()) then
         throw_about(row, "dtype", "%s values of %s are not interpolated with floating ones: "
            .. "return one of the tensors, or cast", fit.dtype(row, whole), labels[whole])
      end
   end
   local own, want = result:dtype(), opts.dtype or row.dtype
   if own ~= want and dtype.is_float(own) and dtype.is_float(want) then
      return result:cast(want, { saturate = opts.saturate }), result
   end
   return result, result
end

-- Puts the tensors of one row into two tables that all rows share: args[i] for the callback; inputs = those there are,
-- with inputs.from = their models.
local function fetch(row, job, inputs, args)
   inputs.n = 0
   for i, model in ipairs(job.models) do
      args[i] = nil
      if row[i] then
         local raw = job.opts.fixed == "copy" and job.records[i].raw
         local t = raw and raw[row.name] or model:tensor(row[i])
         args[i] = t
         inputs.n = inputs.n + 1
         inputs[inputs.n], inputs.from[inputs.n] = t, i
      end
   end
end

-- The result for one row, or nil where it is left out; raw result second.
local function compute(row, inputs, args, job)
   local opts, n = job.opts, #job.models
   if inputs.n < n and opts.missing == "first" then
      return settle(inputs[1], row, inputs, job.labels, opts)
   elseif opts.fixed == "copy" and not row.float then
      local same = copy_equal(row, inputs, job.labels)
      return same, same
   end
   return settle(job.fn(row.name, table.unpack(args, 1, n)), row, inputs, job.labels, opts)
end

-- Errors about one tensor, which are worth a list; others (a wrong argument, I/O, Ctrl-C) end the work at once.
local COLLECTED = { dtype = true, shape = true, quant = true, name = true }

-- Adds an error to the list, with the name it is about, or throws it.
local function collect(problems, row, e)
   if not (errors.is(e) and (COLLECTED[e.code] or e.tensor == row.name)) then error(e, 0) end
   if not e.tensor then
      e.message, e.tensor = text.quote(row.name) .. ": " .. e.message, row.name
   end
   problems[#problems + 1] = e
end

local function copied_note(n)
   return text.plural(n, "tensor") .. " not in every model: copied from the first that has it"
end

-- Asks for every row. Returns the model, its raw tensors (or nil) and the remarks.
local function run_rows(rows, job)
   local out, n, opts = core.model(), #job.models, job.opts
   local only_common = opts.names == "intersection" or opts.missing == "skip"
   local raw, mixed, filled, problems = nil, {}, 0, {}
   local inputs, args = { n = 0, from = {} }, {}
   for _, row in ipairs(rows) do
      fetch(row, job, inputs, args)
      if inputs.n == n or not only_common then
         local ok, result, before = pcall(compute, row, inputs, args, job)
         if not ok then
            collect(problems, row, result)
         elseif result then
            out:add(row.name, result)
            if before ~= result then
               raw = raw or {}
               raw[row.name] = before
            end
            note_mixture(mixed, row, inputs, job.labels)
            if inputs.n < n then filled = filled + 1 end
         end
      end
   end
   errors.throw_all(problems, "cannot be computed")
   local notes = {}
   for _, key in ipairs(mixed) do
      notes[#notes + 1] = ("%s in different dtypes (%s): the result has %s"):format(
         text.plural(mixed[key], "tensor"), key, opts.dtype or "the first one's")
   end
   if filled > 0 and opts.missing == "first" then notes[#notes + 1] = copied_note(filled) end
   return out, raw, notes
end

-- The rows that are computed; and those that are copied, whatever the others have: from the first model, or, where
-- keep says "any", from the first that has them.
local function set_aside(rows, keep, drop, missing)
   if not keep and not drop then return rows, {} end
   local computed, kept = {}, {}
   for _, row in ipairs(rows) do
      if drop and drop(row.name) then goto next end
      local how = keep and keep(row.name)
      if how then
         if row[1] or how == "any" and missing ~= "skip" then kept[#kept + 1] = row end
      else
         computed[#computed + 1] = row
      end
      ::next::
   end
   return computed, kept
end

--- The engine. `opts` as of st.map, and for model arithmetic: `fixed` = "copy" (what is not floating never reaches
-- `fn`), `node` and `operands` for the lineage; `shapes` may be a function of a row that tells whether shapes may
-- differ; `keep` and `drop`, functions of a name: tensors copied from the first model (where keep
-- gives "any", from the first that has it), and left out.
function map.run(models, fn, opts)
   local job = { models = models, fn = fn, opts = opts, labels = fit.labels(models), records = {} }
   for i, model in ipairs(models) do job.records[i] = lineage.of(model) end
   local rows, kept = set_aside(fit.gather(models), opts.keep, opts.drop, opts.missing)
   local missing_ok = opts.names == "intersection" or (opts.missing or "error") ~= "error"
   fit.check(rows, models, missing_ok, opts.shapes == "any" or type(opts.shapes) == "function" and opts.shapes)
   local out, raw, notes = run_rows(rows, job)
   local found = 0
   for _, row in ipairs(kept) do
      out:add(row.name, models[row.holder]:tensor(row[row.holder]))
      if not row[1] then found = found + 1 end
   end
   if found > 0 then notes[#notes + 1] = copied_note(found) end
   local t = models[1]:metadata()
   meta.drop_hashes(t)
   meta.set(out, t)
   return lineage.derived(out, opts.operands or models, opts.node or { call = "map" },
      { merged = #models > 1 or opts.node ~= nil, raw = raw, notes = notes })
end

local KNOWN = { names = "string", missing = "string", shapes = "string", dtype = "string", saturate = "boolean" }
local CHOICES = {
   names = { "union", "intersection" }, missing = { "error", "first", "skip", "pass" }, shapes = { "same", "any" },
}

--- Refuses words that the options names, missing and shapes cannot be.
function map.check_choices(opts, who)
   for key, choices in pairs(CHOICES) do
      local found = opts[key] == nil
      for _, choice in ipairs(choices) do found = found or opts[key] == choice end
      if not found then
         errors.throwf("arg", "%s: %s = %s is not one of %s", who, key, text.quote(tostring(opts[key])),
            table.concat(choices, ", "))
      end
   end
end

--- Makes a model by asking a callback for each tensor. Nothing is computed until the result is saved, printed or read.
--
-- `fn(name, t1, t2, ...)` gets one deferred tensor per model and returns a tensor, or `st.drop` to leave it out.
-- Results keep the dtype that the first model has for the name, unless the callback cast them. Integer and boolean
-- tensors of several models are never interpolated: where the callback computed with them they are copied if all are
-- equal, else it is an error.
--
--     > a, b = st.open("a.safetensors"), st.open("b.safetensors")
--     > m = st.map({ a, b }, function(name, x, y)
--     ..    if name:find("lm_head", 1, true) then return st.drop end
--     ..    if name:find("norm", 1, true) then return x end
--     ..    return 0.5 * x + 0.5 * y
--     .. end)
--     > #a, #m, m["model.layers.0.norm.weight"]:is_leaf()
--     31      30      true
-- @tparam model|{model,...} models
-- @tparam function fn
-- @tparam[opt] table opts
--   `names` = "union" (default) or "intersection";
--   `missing` = "error" (default), "first" (copied from the first model that has it), "skip", or "pass" (the callback
--   gets nil);
--   `shapes` = "same" (default) or "any";
--   `dtype`, `saturate`: the dtype of all floating results that the callback did not cast
-- @treturn model
-- @raise "name", "shape", "dtype", "quant": one error that lists every tensor that does not fit
function map.map(models, fn, opts)
   if map.is_model(models) then models = { models } end
   if type(models) ~= "table" or #models == 0 then
      errors.throw("arg", "st.map: the first argument must be a model or a list of models")
   end
   for i, model in ipairs(models) do
      if not map.is_model(model) then errors.throwf("arg", "st.map: model %d of the list is a %s", i, type(model)) end
   end
   if type(fn) ~= "function" then
      errors.throwf("arg", "st.map: the callback must be a function, not a %s", type(fn))
   end
   opts = errors.check_options(opts, KNOWN, "st.map")
   map.check_choices(opts, "st.map")
   return map.run(models, fn, { names = opts.names, missing = opts.missing, shapes = opts.shapes,
      saturate = opts.saturate, dtype = opts.dtype and dtype.check(opts.dtype, true, "st.map") })
end

return map
