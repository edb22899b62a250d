--- What is lost where a change becomes factors of a rank, by extraction, resizing or combining: a line, a table, JSON,
-- and spectra drawn in text.
-- Layer: Lua, above stlua.core.
--
-- A row: module; own = its name in the model, where that is another; rank; norm = of the change; retained = the share
-- of its square that the factors hold; error = norm of what they do not, relative; s = singular values, descending. Of
-- a resized one rank_before; of an extracted one shape, rounding = the share that rounding to the dtype adds,
-- stored_error with it, ahead = estimate of the share that the best factors may hold besides, captured, columns.

local core = require "stlua.core"
local text = require "stlua.text"

local certificate = {}

--- Adds to a row what follows from its numbers.
function certificate.complete(row)
   local lost = math.max(1 - row.retained, 0)
   row.error = math.sqrt(lost)
   row.stored_error = row.rounding and math.sqrt(lost + row.rounding)
   return row
end

-- Columns of a matrix of this shape, all but the first dimension as one.
local function columns(shape)
   local n = 1
   for i = 2, #shape do n = n * shape[i] end
   return n
end

--- The same numbers of all rows together.
-- @treturn table layers, least and most = ranks, retained, error, norm; stored_error and parameters where rows tell
function certificate.total(rows)
   local all, lost, rounding, parameters = 0, 0, nil, nil
   local least, most = math.huge, 0
   for _, row in ipairs(rows) do
      local square = row.norm ^ 2
      all, lost = all + square, lost + row.error ^ 2 * square
      least, most = math.min(least, row.rank), math.max(most, row.rank)
      if row.rounding then rounding = (rounding or 0) + row.rounding * square end
      if row.shape then parameters = (parameters or 0) + row.rank * (row.shape[1] + columns(row.shape)) end
   end
   lost = all > 0 and lost / all or 0
   return { layers = #rows, least = #rows > 0 and least or 0, most = most, retained = 1 - lost, error = math.sqrt(lost),
      norm = math.sqrt(all), parameters = parameters,
      stored_error = rounding and math.sqrt(lost + (all > 0 and rounding / all or 0)) }
end

local function percent(x) return ("%.3f%%"):format(100 * x) end

--- One line: "64 layers, rank 4 to 16: 98.120% retained, relative error 0.137".
function certificate.line(rows)
   local t = certificate.total(rows)
   local ranks = t.least == t.most and tostring(t.most) or ("%d to %d"):format(t.least, t.most)
   return ("%s, rank %s: %s retained, relative error %.4f%s%s"):format(text.plural(t.layers, "layer"), ranks,
      percent(t.retained), t.error, t.stored_error and (", as stored %.4f"):format(t.stored_error) or "",
      t.parameters and ("; %s parameters"):format(text.thousands(t.parameters)) or "")
end

local COLUMNS = {
   { "layer", function(r) return core.escape(r.own or r.module) end },
   { "shape", function(r) return r.shape and text.shape(r.shape) end },
   { "rank", function(r) return r.rank_before and ("%d -> %d"):format(r.rank_before, r.rank) or tostring(r.rank) end },
   { "norm", function(r) return ("%.4g"):format(r.norm) end },
   { "retained", function(r) return percent(r.retained) end },
   { "error", function(r) return percent(r.error) end },
   { "stored", function(r) return r.stored_error and percent(r.stored_error) end },
   { "missed", function(r) return r.ahead and ("%.0e"):format(r.ahead) end },
}
local LEFT = { layer = true, shape = true }

-- A table: what rows tell, and all of them together.
local function as_table(rows)
   local total = certificate.total(rows)
   total.own, total.rank, total.layers = "all", "", nil
   local lines, left = { {} }, {}
   for _, column in ipairs(COLUMNS) do
      local title, show = column[1], column[2]
      if rows[1] and show(rows[1]) then
         left[#left + 1] = not LEFT[title]
         table.insert(lines[1], title)
         for i, row in ipairs(rows) do
            lines[i + 1] = lines[i + 1] or {}
            table.insert(lines[i + 1], show(row) or "")
         end
         lines[#rows + 2] = lines[#rows + 2] or {}
         table.insert(lines[#rows + 2], show(total) or "")
      end
   end
   return text.columns(lines, left)
end

local BARS = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }
local WIDTH, DECADES = 48, 4

-- Singular values against the largest on a logarithmic scale of four decades, at most WIDTH of them.
local function spark(s)
   local out, n = {}, math.min(#s, WIDTH)
   for i = 1, n do
      local x = s[math.floor((i - 1) * (#s - 1) / math.max(n - 1, 1)) + 1]
      local height = x > 0 and 1 + math.log(x / s[1], 10) / DECADES or 0
      out[i] = BARS[math.max(1, math.min(8, math.ceil(8 * height)))]
   end
   return table.concat(out)
end

-- A line for each row: its singular values as bars, the first and the last one kept.
local function as_plot(rows)
   local lines = { { "layer", "rank", "first", "last", ("singular values (bars: %d decades)"):format(DECADES) } }
   for _, r in ipairs(rows) do
      lines[#lines + 1] = { core.escape(r.own or r.module), tostring(r.rank), ("%.3g"):format(r.s[1]),
         ("%.3g"):format(r.s[r.rank]), spark(r.s) }
   end
   return text.columns(lines, { false, true, true, true, false })
end

local FIELDS = { "name", "module", "shape", "rank", "rank_before", "norm", "retained", "error", "stored_error",
   "captured", "ahead", "rounding", "columns", "s" }

-- All numbers as JSON, beside what else there is to tell.
local function as_json(rows, about)
   local list, out = {}, { total = certificate.total(rows), layers = core.array {} }
   for i, row in ipairs(rows) do
      list[i] = {}
      for _, key in ipairs(FIELDS) do list[i][key] = row[key] end
      list[i].shape, list[i].s = row.shape and core.array(row.shape), core.array(row.s)
   end
   for key, value in pairs(about or {}) do out[key] = value end
   out.layers = core.array(list)
   return core.json_report(out, { indent = 2 })
end

local REPORTS = { table = as_table, json = as_json, plot = as_plot }

--- The names of reports.
certificate.reports = { "table", "json", "plot" }

--- A report.
-- @tparam string how
-- @tparam {table,...} rows
-- @tparam[opt] table about more fields of the JSON object
-- @treturn string
function certificate.report(how, rows, about) return REPORTS[how](rows, about) end

return certificate
