--- st.merge: merge methods by name, on tensors or on whole models.
--
-- A method is one file, `stlua/merge/NAME.lua` on Lua's path, which returns a table:
--
--    summary   one sentence
--    source    the paper, or the program whose rule it is
--    base      "required", "optional" or "none": whether it takes the tensors that the others were trained from
--    like      "model": results keep the dtypes and the metadata of the first model; else those of the base, if any
--    min, max  how many other models it takes (1 and any number)
--    params    a list of { name =, type = "number" | "boolean" | "string", default =, min =, max =, choices =,
--              each = true (one value per model), integer = true, help = }; without a default it must be given,
--              unless it is `optional`
--    holds     how many F32 copies of a tensor it holds at once, where it does not stream (for --dry-run)
--    check     optional function(p, n): refuses values that do not go together, by merging.refuse
--    prepare   optional function(rows, p, models): once before merging, where a tensor's result hangs on the others;
--              rows are { name =, base =, models = } of all floating tensors that every model has, p the parameters,
--              the same for all tensors, models nil where tensors are merged. A sweep over alpha prepares once. With
--              p.dry, of --dry-run, it reads no values. It may return { notes = remarks for people }
--    merge     function(base, models, p): deferred tensors in, a deferred tensor out; p has the parameters by name
--              (those with `each` as lists), p.name, the tensor's name, p.seed, and p.shared, what prepare returned
--
-- The table gives the command line its options, the checks their ranges and the help its text.
-- Layer: Lua, above stlua.core.

local channels = require "stlua.channels"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local fit = require "stlua.fit"
local lineage = require "stlua.lineage"
local map = require "stlua.map"
local on_path = require "stlua.on_path"
local pattern = require "stlua.pattern"
local text = require "stlua.text"

local merging = {}

-- ---------------------------------------------------------------- finding methods

-- Options of st.merge besides the parameters of methods.
local OPTIONS = { base = "any", models = "table", seed = "number", missing = "string", names = "string",
   dtype = "string", saturate = "boolean", shapes = "string", name = "string", keep = "string|table|function",
   drop = "string|table|function", work = "table" }
local MAX_SEED = 1 << 53      -- a recipe keeps it as a number of JSON

local loaded = {}

--- Names of all merge methods on Lua's path, sorted.
-- @treturn {string,...}
function merging.merge_methods() return on_path.names("stlua/merge") end

local function check_definition(name, def)
   if type(def) ~= "table" or type(def.merge) ~= "function" or type(def.summary) ~= "string" then
      errors.throwf("arg", "the merge method %s: its file must return a table with summary and merge", name)
   end
   def.name, def.params, def.base = name, def.params or {}, def.base or "none"
   def.min = def.min or 1
   for _, param in ipairs(def.params) do
      if OPTIONS[param.name] then
         errors.throwf("arg", "the merge method %s: its parameter cannot be called %s, as an option of st.merge is",
            name, param.name)
      end
      def.params[param.name] = param
   end
   return def
end

--- The definition of a merge method.
-- @tparam string name
-- @treturn table as its file returns it, with its `name`
-- @raise "arg" for a name that no method has, with the nearest
function merging.method(name)
   if type(name) ~= "string" or not name:find("^[a-z][a-z0-9_]*$") then
      errors.throwf("arg", "st.merge: the method must be a name such as \"ties\", not %s", text.quote(tostring(name)))
   end
   if loaded[name] then return loaded[name] end
   local path = package.searchpath("stlua.merge." .. name, package.path)
   if not path then
      errors.throwf("arg", "st.merge: no merge method %s%s (stlua help merge lists them)", text.quote(name),
         text.did_you_mean(name, merging.merge_methods()))
   end
   local chunk, message = loadfile(path, "t")
   if not chunk then errors.throw("arg", message) end
   local ok, def = pcall(chunk)
   if not ok then
      errors.throwf("arg", "the merge method %s: %s", name, errors.is(def) and def.message or tostring(def))
   end
   loaded[name] = check_definition(name, def)
   return loaded[name]
end

--- Refuses a parameter's value; for `check` of methods.
function merging.refuse(format, ...)
   errors.throw("arg", format:format(...))
end

-- ---------------------------------------------------------------- parameters

-- A value as the parameter wants it, or an error that names the parameter and says what is allowed.
local function checked(def, param, value, i)
   local who = ("%s: %s%s"):format(def.name, param.name, i and (" of model %d"):format(i) or "")
   if type(value) ~= param.type then
      errors.throwf("arg", "%s must be a %s, not %s", who, param.type,
         type(value) == "string" and text.quote(value) or "a " .. type(value))
   end
   if param.type == "number" then
      local whole = not param.integer or math.tointeger(value)
      if value ~= value or math.abs(value) == math.huge then
         errors.throwf("arg", "%s is %s", who, value ~= value and "not a number (NaN)" or "infinite")
      end
      if not whole or (param.min and value < param.min) or (param.max and value > param.max) then
         local range = param.min and param.max and ("from %g to %g"):format(param.min, param.max)
            or param.min and ("at least %g"):format(param.min) or param.max and ("at most %g"):format(param.max)
         errors.throwf("arg", "%s is %s; it must be %s%s", who, text.number(value),
            param.integer and "a whole number " or "", range or "")
      end
   end
   for i_, choice in ipairs(param.choices or {}) do
      if value == choice then break end
      if i_ == #param.choices then
         errors.throwf("arg", "%s is %s; it must be one of %s", who, text.quote(value),
            table.concat(param.choices, ", "))
      end
   end
   return value
end

--- A value as a parameter wants it, or an error that names the parameter and says what is allowed.
merging.check_value = checked

-- What was given for one tensor: a function is asked for its name.
local function given_for(value, name, i)
   if type(value) == "function" then return value(name, i) end
   return value
end

local function value_for(def, param, given, name, i)
   local value = given
   if type(value) == "table" and i then value = value[i] end
   if not name and type(value) == "function" then return param.default end      -- each tensor will tell
   value = given_for(value, name, i)
   if value == nil then value = param.default end
   if value == nil and not param.optional then
      errors.throwf("arg", "%s: give %s (%s)", def.name, param.name, param.help or param.type)
   end
   if value == nil then return nil end
   return checked(def, param, value, i)
end

-- One error for all wrong parameters.
local function throw_wrong(def, wrong)
   local lines, seen = {}, {}
   for _, e in ipairs(wrong) do
      if not seen[e.message] then lines[#lines + 1] = e.message end
      seen[e.message] = true
   end
   if #lines == 1 then error(wrong[1], 0) end
   errors.throwf("arg", "%s: %d values are wrong:\n   %s", def.name, #lines, table.concat(lines, "\n   "))
end

-- All parameters for the tensor of that name and n models besides the base. Without a name: those that are no
-- functions of one, else their defaults, if any.
local function resolve(def, opts, name, n)
   local p, wrong, whole = { name = name or "", seed = opts.seed or 0 }, {}, true
   local function value(param, i)
      whole = whole and (name ~= nil or type(opts[param.name]) ~= "function")
      local ok, result = pcall(value_for, def, param, opts[param.name], name, i)
      if ok then return result end
      if not errors.is(result) then error(result, 0) end
      wrong[#wrong + 1] = result
   end
   for _, param in ipairs(def.params) do
      if param.each then
         local list = {}
         for i = 1, n do list[i] = value(param, i) end
         p[param.name] = list
      else
         p[param.name] = value(param)
      end
   end
   if #wrong > 0 then throw_wrong(def, wrong) end
   if def.check and whole then def.check(p, n) end
   return p
end

--- Refuses parameters that are wrong for every tensor.
-- @tparam table def as of merging.method
-- @tparam table opts parameters by name
-- @tparam integer n of models besides the base
function merging.check_parameters(def, opts, n) resolve(def, opts, nil, n) end

-- Of what does not hang on a tensor's name: lists are as long as they must be, options exist.
local function check_options(def, opts, n)
   local known = {}
   for key, kind in pairs(OPTIONS) do known[key] = kind end
   for _, param in ipairs(def.params) do
      known[param.name] = param.type .. (param.each and "|table" or "") .. "|function"
   end
   errors.check_options(opts, known, "st.merge: " .. def.name)
   map.check_choices(opts, "st.merge")
   if opts.missing == "pass" then
      errors.throwf("arg", "st.merge: missing = \"pass\" is for st.map: %s works on a tensor of every model", def.name)
   end
   local seed = math.tointeger(opts.seed or 0)
   if not seed or math.abs(seed) > MAX_SEED then
      errors.throwf("arg", "%s: seed is %s; it must be a whole number, at most %d", def.name, text.number(opts.seed),
         MAX_SEED)
   end
   for _, param in ipairs(def.params) do
      local value = opts[param.name]
      if type(value) == "table" and #value ~= n then
         errors.throwf("arg", "%s: %s has %d values for %s", def.name, param.name, #value,
            text.plural(n, "model"))
      end
   end
end

local function check_models(def, base, models)
   if type(models) ~= "table" then
      errors.throwf("arg", "%s: models must be a list of models, or of tensors", def.name)
   end
   local kind = map.is_model(models[1] or base) and map.is_model or map.is_tensor
   local what = kind == map.is_model and "model" or "tensor"
   local all, seen = { table.unpack(models) }, {}
   if base ~= nil then table.insert(all, 1, base) end
   for i, m in ipairs(all) do
      if not kind(m) then errors.throwf("arg", "%s: input %d is not a %s", def.name, i, what) end
      if what == "model" and seen[m] then errors.throwf("arg", "%s: a model is given twice", def.name) end
      seen[m] = true
   end
   if base == nil and def.base == "required" then
      errors.throwf("arg", "%s: give the base: the %s that the others were made from", def.name, what)
   elseif base ~= nil and def.base == "none" then
      errors.throwf("arg", "%s takes no base: put it among the models", def.name)
   end
   local n, most = #models, def.max or math.huge
   if n < def.min or n > most then
      errors.throwf("arg", "%s takes %s besides the base, not %d", def.name,
         def.min == most and text.plural(def.min, what)
         or def.max and ("%d to %d %ss"):format(def.min, def.max, what) or
         ("at least %s"):format(text.plural(def.min, what)), n)
   end
   return what == "model"
end

-- ---------------------------------------------------------------- merging

-- One name.
local function merge_tensors(def, opts, name, base, models, shared)
   local p = resolve(def, opts, name, #models)
   p.shared = shared
   return def.merge(base, models, p)
end

-- All floating tensors that every model has in one shape.
local function common_rows(base, models)
   local list, rows = table.move(models, 1, #models, 1, {}), {}
   list[#list + 1] = base
   for _, row in ipairs(fit.gather(list)) do
      local whole = row.float and not row.odd
      for i = 1, #list do whole = whole and row[i] ~= nil end
      if whole then
         local tensors = {}
         for i, model in ipairs(list) do tensors[i] = model:tensor(row[i]) end
         rows[#rows + 1] = { name = row.name, base = base and table.remove(tensors), models = tensors }
      end
   end
   return rows
end

-- What prepare makes of them, or made of them before. p are the parameters for no tensor in particular.
local function prepared(def, opts, base, models, p)
   local work = opts.work or {}
   if def.prepare and work.shared == nil then
      p.dry = work.dry
      work.shared = def.prepare(common_rows(base, models), p, models)
   end
   return work.shared
end

--- The tensors of one name, with all parameters given for it; for those who find tensors and parameters themselves.
-- @tparam table def as of merging.method
-- @tparam table opts parameters by name (lists where there is one value per model), and seed
-- @tparam string name
-- @tparam ?tensor base
-- @tparam {tensor,...} models
-- @treturn tensor
merging.merge_tensors = merge_tensors

--- Merges models, or tensors of one name, by a method; `stlua help merge` and `st.merge_methods()` tell which there
-- are. The result is deferred. On models integers and booleans are never interpolated, and results keep the dtypes of
-- the first model (of the base, or of A where the method says so), as st.map has it.
-- @tparam string method such as "ties"
-- @tparam table opts `models` = a list of models, or of tensors; `base` = what they were trained from, where the
--   method takes one; its parameters by name, each a number, a list (one value per model), or a function of the
--   tensor's name (and the model's number) that gives one of them, nil for the default; `seed` = 0 for methods with
--   chance in them; of tensors `name`, which chance hangs on. With models also `missing`, `names`, `shapes`, `dtype`
--   and `saturate`, as of st.map; `keep` = patterns of the names that are copied from the first model, `drop` = of
--   those that are left out. Where the first model has 8 or 9 input channels (for inpainting) and the others 4, these
--   are merged and the rest is kept
-- @treturn model|tensor
-- @raise "arg" names the parameter and says what is allowed; else as st.map
function merging.merge(method, opts)
   local def = merging.method(method)
   if type(opts) ~= "table" then errors.throw("arg", "st.merge: give a table with models and parameters") end
   local base, models = opts.base, opts.models
   local whole = check_models(def, base, models)
   check_options(def, opts, #models)
   if not whole then
      local name = opts.name or ""
      local shared
      if def.prepare then
         shared = def.prepare({ { name = name, base = base, models = models } }, resolve(def, opts, name, #models))
      end
      return merge_tensors(def, opts, name, base, { table.unpack(models) }, shared)
   end
   local list, place = { table.unpack(models) }, def.like == "model" and 2 or 1
   if base ~= nil then table.insert(list, place, base) end
   -- What is wrong for every name is told once.
   local shared = prepared(def, opts, base, models, resolve(def, opts, nil, #models))
   local function one(name, ...)
      local tensors = { ... }
      local b = base ~= nil and table.remove(tensors, place) or nil
      return merge_tensors(def, opts, name, b, tensors, shared)
   end
   local result = map.run(list, channels.wrap(one), {
      fixed = "copy", node = { call = def.name }, operands = list,
      missing = opts.missing, names = opts.names, shapes = opts.shapes or channels.may_differ, saturate = opts.saturate,
      keep = type(opts.keep) == "function" and opts.keep or opts.keep and pattern.any(opts.keep),
      drop = opts.drop and pattern.any(opts.drop),
      dtype = opts.dtype and dtype.check(opts.dtype, true, "st.merge") })
   local notes = shared and shared.notes or {}
   table.move(notes, 1, #notes, #lineage.of(result).notes + 1, lineage.of(result).notes)
   return result
end

return merging
