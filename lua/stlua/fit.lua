--- Whether models fit each other: their names and shapes side by side, and one error that lists all that do not.
-- Layer: Lua, above stlua.core.

local channels = require "stlua.channels"
local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local text = require "stlua.text"

local fit = {}

local function same_shape(x, y)
   if #x ~= #y then return false end
   for i = 1, #x do
      if x[i] ~= y[i] then return false end
   end
   return true
end

--- One row per name of the union, in the first model's order, then what others add: { name =, [i] = position in
-- model i, holder = the first model that has it, dtype =, shape = there; dtypes = { [i] = } where others differ, odd =
-- { model =, shape = } for the first other shape, float = whether any of them is floating }. One table per name as a
-- rule: thousands of them are made while a script waits.
function fit.gather(models)
   local rows, by_name = {}, {}
   for i, model in ipairs(models) do
      for j = 1, model:count() do
         local name, dt, shape = model:info(j)
         local row = by_name[name]
         if not row then
            row = { name = name, holder = i, dtype = dt, shape = shape, float = dtype.is_float(dt) }
            by_name[name] = row
            rows[#rows + 1] = row
         elseif dt ~= row.dtype then
            row.dtypes = row.dtypes or {}
            row.dtypes[i] = dt
            row.float = row.float or dtype.is_float(dt)
         end
         row[i] = j
         if not row.odd and not same_shape(row.shape, shape) then row.odd = { model = i, shape = shape } end
      end
   end
   return rows
end

--- The dtype that model i has for a row.
function fit.dtype(row, i)
   return row.dtypes and row.dtypes[i] or row.dtype
end

--- Labels of the operands for messages, told apart when they are equal.
function fit.labels(models)
   local labels, count = {}, {}
   for i, model in ipairs(models) do
      labels[i] = lineage.formula(model)
      count[labels[i]] = (count[labels[i]] or 0) + 1
   end
   for i, label in ipairs(labels) do
      if count[label] > 1 then labels[i] = ("%s (model %d)"):format(label, i) end
   end
   return labels
end

-- The lines about one model: what it has not, as another has it.
local function add_missing(lines, label, rows)
   lines[#lines + 1] = ("  missing in %s:"):format(label)
   for _, row in ipairs(rows) do
      lines[#lines + 1] = ("    %s %s %s"):format(core.escape(row.name), row.dtype, text.shape(row.shape))
   end
end

local function add_odd(lines, odd, labels)
   lines[#lines + 1] = "  of different shapes:"
   for _, row in ipairs(odd) do
      lines[#lines + 1] = ("    %s is %s in %s, %s in %s"):format(core.escape(row.name), text.shape(row.shape),
         labels[row.holder], text.shape(row.odd.shape), labels[row.odd.model])
   end
end

-- Whether a model for inpainting stands behind one that is not: of the shapes the second has more channels.
local function reversed(odd)
   for _, row in ipairs(odd) do
      if channels.extra(row.odd.shape, row.shape) then return true end
   end
   return false
end

--- Throws one error that lists all missing and mismatched tensors, grouped by model; returns when all fit.
-- @tparam table rows as of gather
-- @tparam {model,...} models
-- @tparam boolean missing_ok names may be missing
-- @tparam boolean|function shapes_ok shapes may differ: all, or those of rows of which it is true
-- @tparam[opt] string hint what to do about it, in place of what a merge could do
function fit.check(rows, models, missing_ok, shapes_ok, hint)
   local may_differ = type(shapes_ok) == "function" and shapes_ok or function() return shapes_ok end
   local n, missing, odd, problems = #models, {}, {}, 0
   for _, row in ipairs(rows) do
      for i = 1, missing_ok and 0 or n do
         if not row[i] then
            missing[i] = missing[i] or {}
            table.insert(missing[i], row)
            problems = problems + 1
         end
      end
      if row.odd and not may_differ(row) then
         odd[#odd + 1] = row
         problems = problems + 1
      end
   end
   if problems == 0 then return end
   local labels, lines = fit.labels(models), {}
   for i = 1, n do
      if missing[i] then add_missing(lines, labels[i], missing[i]) end
   end
   if #odd > 0 then add_odd(lines, odd, labels) end
   hint = hint or next(missing) and ' (missing: first or skip would take the rest)'
      or reversed(odd) and " (give the model with more input channels, for inpainting, first)" or ""
   errors.throwf(next(missing) and "name" or "shape", "the models differ in %s%s:\n%s",
      text.plural(problems, "tensor"), hint, table.concat(lines, "\n"))
end

return fit
