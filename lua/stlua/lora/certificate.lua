--- What is lost by an extraction, told for each layer: a table, JSON, and spectra drawn in text.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local text = require "stlua.text"

local certificate = {}

--- Adds to a layer what follows from its numbers.
function certificate.complete(layer)
   local lost = math.max(1 - layer.retained, 0)
   layer.error = math.sqrt(lost)
   layer.stored_error = math.sqrt(lost + layer.rounding)
   return layer
end

--- The same numbers of all layers together.
-- @treturn table retained, error, stored_error, norm, parameters
function certificate.total(layers)
   local all, kept, rounding, parameters = 0, 0, 0, 0
   for _, l in ipairs(layers) do
      local square = l.norm ^ 2
      all, kept, rounding = all + square, kept + l.retained * square, rounding + l.rounding * square
      local inner = l.shape[2] * (l.shape[3] or 1) * (l.shape[4] or 1)
      parameters = parameters + l.rank * (l.shape[1] + inner)
   end
   local lost = all > 0 and math.max(1 - kept / all, 0) or 0
   return { retained = all > 0 and kept / all or 1, error = math.sqrt(lost), norm = math.sqrt(all),
      stored_error = math.sqrt(lost + (all > 0 and rounding / all or 0)), parameters = parameters }
end

local function percent(x) return ("%.3f%%"):format(100 * x) end

--- A table: rank, share of the difference's square that is retained, relative error of the factors as they are and as
-- they are stored, and what the best factors of that rank may retain besides.
function certificate.table(layers)
   local rows = { { "layer", "shape", "rank", "norm", "retained", "error", "stored", "missed" } }
   for _, l in ipairs(layers) do
      rows[#rows + 1] = { core.escape(l.own), text.shape(l.shape), tostring(l.rank), ("%.4g"):format(l.norm),
         percent(l.retained), percent(l.error), percent(l.stored_error), ("%.0e"):format(l.ahead) }
   end
   local t = certificate.total(layers)
   rows[#rows + 1] = { "all", "", "", ("%.4g"):format(t.norm), percent(t.retained), percent(t.error),
      percent(t.stored_error), "" }
   return text.columns(rows, { false, false, true, true, true, true, true, true })
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

--- A line for each layer: its singular values as bars, the first and the last one kept.
function certificate.plot(layers)
   local rows = { { "layer", "rank", "first", "last", ("singular values (bars: %d decades)"):format(DECADES) } }
   for _, l in ipairs(layers) do
      rows[#rows + 1] = { core.escape(l.own), tostring(l.rank), ("%.3g"):format(l.s[1]), ("%.3g"):format(l.s[l.rank]),
         spark(l.s) }
   end
   return text.columns(rows, { false, true, true, true, false })
end

local FIELDS = { "name", "module", "shape", "rank", "norm", "retained", "error", "stored_error", "captured", "ahead",
   "rounding", "columns", "s" }

--- All numbers as JSON.
function certificate.json(found)
   local list = {}
   for i, l in ipairs(found.layers) do
      local row = {}
      for _, key in ipairs(FIELDS) do row[key] = l[key] end
      row.shape, row.s = core.array(row.shape), core.array(row.s)
      list[i] = row
   end
   return core.json_encode({ format = found.format, dtype = found.dtype, total = certificate.total(found.layers),
      differing = core.array(found.differing), layers = core.array(list) }, { indent = 2 })
end

return certificate
