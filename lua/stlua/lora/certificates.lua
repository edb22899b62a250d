--- What a change of rank keeps of each module, as rows and as a table for people.
-- Layer: Lua, above stlua.core.
--
-- A row: module, rank_before, rank, energy = share of the squared norm that stays, error = relative, norm = of the
-- change itself at its scale.

local text = require "stlua.text"

local certificates = {}

--- All modules together: their number, ranks, and the error of all changes as one.
function certificates.total(rows)
   local out = { modules = #rows, least = math.huge, most = 0, energy = 1, error = 0 }
   local all, lost = 0, 0
   for _, row in ipairs(rows) do
      out.least, out.most = math.min(out.least, row.rank), math.max(out.most, row.rank)
      all, lost = all + row.norm ^ 2, lost + (row.norm * row.error) ^ 2
   end
   if all > 0 then out.energy, out.error = 1 - lost / all, math.sqrt(lost / all) end
   return out
end

--- One line: "64 modules, rank 4 to 16: 98.12 % of the energy, error 0.137".
function certificates.line(rows)
   local t = certificates.total(rows)
   local ranks = t.least == t.most and tostring(t.most) or ("%d to %d"):format(t.least, t.most)
   return ("%s, rank %s: %.4f %% of the energy, relative error %.3g"):format(text.plural(t.modules, "module"), ranks,
      100 * t.energy, t.error)
end

--- A table for people.
function certificates.table(rows)
   local lines = { { "module", "rank", "energy", "error", "norm" } }
   for i, row in ipairs(rows) do
      lines[i + 1] = { text.quote(row.module):sub(2, -2), ("%d -> %d"):format(row.rank_before, row.rank),
         ("%.4f %%"):format(100 * row.energy), ("%.3g"):format(row.error), ("%.4g"):format(row.norm) }
   end
   return text.columns(lines, { false, true, true, true, true })
end

return certificates
