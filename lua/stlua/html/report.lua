--- The pages of `stlua diff --html` and of one model: what stands in them.
-- Layer: Lua, above stlua.core.

local anatomy = require "stlua.anatomy"
local core = require "stlua.core"
local diff_text = require "stlua.diff_text"
local dtype = require "stlua.dtype"
local hist = require "stlua.hist"
local html = require "stlua.html"
local sections = require "stlua.html.page_sections"
local text = require "stlua.text"

local report = {}

local MOST_BLOCKS, MOST_KINDS = 128, 26      -- rows and columns of a heat map
local CARDS, BINS = 8, 48                    -- histograms; their parts

local show = sections.show

-- ---------------------------------------------------------------- common

local function totals(model)
   local numel, bytes = 0, 0
   for i = 1, model:count() do
      local t = model:tensor(i)
      numel, bytes = numel + t:numel(), bytes + t:nbytes()
   end
   return numel, bytes
end

local function file_size(model)
   local size = 0
   for _, file in ipairs(model:files()) do size = size + file.size end
   return size
end

local function keys_of(model)
   local _, keys = model:metadata()
   return #keys
end

-- "1.07 B", "860 M": a number of parameters.
local function parameters(n)
   for _, unit in ipairs { { 1e9, " B" }, { 1e6, " M" }, { 1e3, " k" } } do
      if n >= unit[1] then return ("%.3g%s"):format(n / unit[1], unit[2]) end
   end
   return tostring(n)
end

-- What both kinds of pages say about a model: { label, text } in order.
local function about(model, path)
   local numel, bytes = totals(model)
   local files = model:files()
   local list = {
      { "file", path },
      { "size", ("%s (%s bytes)"):format(core.size(file_size(model)), text.thousands(file_size(model))) },
      { "tensors", text.thousands(model:count()) },
      { "parameters", ("%s (%s)"):format(parameters(numel), text.thousands(numel)) },
      { "values", core.size(bytes) },
      { "dtypes", dtype.count(model) },
      { "metadata", text.plural(keys_of(model), "key") },
   }
   if #files > 1 then table.insert(list, 2, { "files", tostring(#files) }) end
   return list
end

-- The kinds with most parameters; all others are one column.
local function choose_kinds(kinds, weight)
   if #kinds <= MOST_KINDS then return kinds, {} end
   local by_weight = table.move(kinds, 1, #kinds, 1, {})
   table.sort(by_weight, function(x, y)
      if weight[x] ~= weight[y] then return weight[x] > weight[y] end
      return x < y
   end)
   local kept, other = {}, {}
   for i, kind in ipairs(by_weight) do
      if i < MOST_KINDS then kept[#kept + 1] = kind else other[kind] = true end
   end
   table.sort(kept)
   kept[#kept + 1] = sections.OTHERS
   return kept, other
end

-- 1 to 9 by the logarithm of a value between the least and the largest.
local function level(value, least, largest)
   if value >= largest then return "9" end
   local place = math.log(value / least) / math.log(largest / least)
   return tostring(math.max(1, math.min(9, 1 + math.floor(9 * place))))
end

-- The least and the largest of positive numbers, at most six decades apart.
local function range_of(values)
   local least, largest = math.huge, 0
   for _, v in ipairs(values) do
      if v > 0 and v < math.huge then least, largest = math.min(least, v), math.max(largest, v) end
   end
   if largest == 0 then return 1, 1 end
   return math.max(least, largest * 1e-6), largest
end

-- ---------------------------------------------------------------- a comparison

local function facts_of_both(a, b, paths)
   local x, y = about(a, paths[1]), about(b, paths[2])
   local by = {}
   for _, row in ipairs(y) do by[row[1]] = row[2] end
   local rows = {}
   for i, row in ipairs(x) do
      local other = by[row[1]] or "1"
      rows[i] = { row[1], row[2], other, other = row[1] ~= "file" and row[2] ~= other }
   end
   return sections.facts("The two models", rows, { "first (a)", "second (b)" })
end

local function said_of(block, kind, cell)
   local where = kind == "" and block or ("%s, %s"):format(block, kind)
   if cell.differ == 0 then return ("%s: %s, equal"):format(where, text.plural(cell.tensors, "tensor")) end
   if not cell.cosine then return ("%s: %d of %d differ, not comparable"):format(where, cell.differ, cell.tensors) end
   return ("%s: |a - b| / |a| = %s, largest %s; %d of %s differ"):format(where, show.number(cell.relative),
      show.number(cell.max_abs), cell.differ, text.plural(cell.tensors, "tensor"))
end

-- Cells of kinds that share a column, as one: the largest change stands for all.
local function joined(cells, other)
   local out
   for kind in pairs(other) do
      local cell = cells[kind]
      if cell then
         out = out or { tensors = 0, differ = 0, max_abs = 0, relative = 0 }
         out.tensors, out.differ = out.tensors + cell.tensors, out.differ + cell.differ
         out.max_abs, out.relative = math.max(out.max_abs, cell.max_abs), math.max(out.relative, cell.relative)
         out.cosine = out.cosine or cell.cosine
      end
   end
   return out
end

local function heat_of(d)
   local weight, values, cells, names = {}, {}, {}, {}
   for i, block in ipairs(d.blocks) do
      if i <= MOST_BLOCKS then names[i], cells[block.name] = block.name, block.kinds end
      for kind, cell in pairs(block.kinds) do
         weight[kind] = (weight[kind] or 0) + cell.numel
         values[#values + 1] = cell.relative
      end
   end
   local kinds, other = choose_kinds(d.kinds, weight)
   local least, largest = range_of(values)
   local function cell(block, kind)
      local c = cells[block][kind] or kind == sections.OTHERS and joined(cells[block], other)
      if not c then return nil end
      if c.differ == 0 or (c.cosine and c.relative == 0) then return "0", said_of(block, kind, c) end
      if not c.cosine then return "x", said_of(block, kind, c) end
      return level(c.relative, least, largest), said_of(block, kind, c)
   end
   return sections.heat("Where it changed", names, kinds, cell,
      "Relative change |a - b| / |a| of the tensors that differ, by block and kind of layer, on a logarithmic scale.",
      { show.number(least), show.number(largest), "equal" })
end

-- How many tensors changed by how much, by powers of ten.
local function spread_of(d)
   local bins, other, first, last = {}, 0, 1, -7
   for _, row in ipairs(d) do
      local r = row.relative
      if not row.equal and r and r > 0 then
         local decade = math.max(-7, math.min(1, math.ceil(math.log(r, 10))))
         bins[decade] = (bins[decade] or 0) + 1
         first, last = math.min(first, decade), math.max(last, decade)
      elseif not row.equal then
         other = other + 1
      end
   end
   local list = { { "equal", d.equal, zero = true } }
   for decade = first, last do
      local label = decade == 1 and "over 1" or ("up to %s"):format(show.number(10.0 ^ decade))
      list[#list + 1] = { label, bins[decade] or 0 }
   end
   if other > 0 then list[#list + 1] = { "other dtype, shape or bytes", other, zero = true } end
   return sections.bars("How many tensors changed by how much", list,
      "Tensors by their relative change |a - b| / |a|.")
end

-- Counts of x in equal parts of -reach to reach.
local function counts(x, reach)
   return hist.hist(x, { bins = BINS, min = -reach, max = reach }).counts
end

local function card(row, a, b)
   local x, y = a:get(row.name), b:get(row.name)
   local n = math.sqrt(row.numel)
   local reach = 4 * math.max(row.norms[1], row.norms[2]) / n
   local far = 4 * row.distance / n
   if not (reach > 0 and reach < math.huge and far > 0 and far < math.huge) then return nil end
   return { title = row.name, charts = {
      { series = { counts(x, reach), counts(y, reach) }, low = -reach, high = reach, said = "values of a and b" },
      { series = { counts(x - y, far) }, low = -far, high = far, said = "a - b" },
   } }
end

-- Values of the tensors that changed most: these few are read once more.
local function histograms_of(d, a, b)
   local list = {}
   for _, row in ipairs(diff_text.sorted(d)) do
      local float = dtype.is_float(row.dtypes[1]) and dtype.is_float(row.dtypes[2])
      if float and row.distance and row.distance > 0 and row.numel >= BINS and #list < CARDS then
         list[#list + 1] = card(row, a, b)
      end
   end
   if #list == 0 then return nil end
   return sections.histograms("Values of the tensors that changed most", list,
      "How often each value is there, within four times the root mean square; and the same of the difference.",
      { "a", "b" })
end

local COLUMNS = {
   { title = "name", kind = "text" }, { title = "block", kind = "text" }, { title = "kind", kind = "text" },
   { title = "shape", kind = "text" }, { title = "dtype", kind = "text" }, { title = "changed", kind = "share" },
   { title = "max |a - b|", kind = "number" }, { title = "|a - b| / |a|", kind = "bar" },
   { title = "cosine", kind = "cosine" }, { kind = "hidden" },
}

local function both(x, y) return x == y and x or x .. " → " .. y end

local function size_of(shape) return #shape == 0 and "scalar" or table.concat(shape, "×") end

local function table_row(row)
   local share = row.differing and (row.numel > 0 and row.differing / row.numel or 0) or nil
   return { row.name, row.block, row.kind, both(size_of(row.shapes[1]), size_of(row.shapes[2])),
      both(row.dtypes[1], row.dtypes[2]), share, row.max_abs, row.relative, row.cosine, not row.equal }
end

local function tensors_of(d)
   local rows = {}
   for _, row in ipairs(diff_text.sorted(d)) do rows[#rows + 1] = table_row(row) end
   for _, row in ipairs(d) do
      if row.equal then rows[#rows + 1] = table_row(row) end
   end
   return sections.tensors("All tensors of both", COLUMNS, rows, { noun = "tensors", sorted = 8, down = true, block = 2,
      kind = 3, only = { 10, "only what differs" } })
end

-- The change of all that differ as one number.
local function overall(d)
   local squares, of_a = 0, 0
   for _, row in ipairs(d) do
      if not row.equal and row.distance then
         squares, of_a = squares + row.distance ^ 2, of_a + row.norms[1] ^ 2
      end
   end
   local change = math.sqrt(squares / of_a)
   return of_a > 0 and (change == change and change or math.huge) or nil
end

local function verdict(d)
   if d.same then return "The models are the same: tensors, values and metadata." end
   if d.same_tensors then return "All tensors are equal; the metadata differ." end
   return ("%s of %s tensors that both have differ."):format(text.thousands(#d - d.equal), text.thousands(#d))
end

local function lead_of(d)
   local change, tiles = overall(d), {
      { text.thousands(d.equal), "tensors equal" }, { text.thousands(#d - d.equal), "tensors differ" } }
   if change then tiles[3] = { show.number(change), "|a - b| / |a| of these" } end
   if #d.only_a > 0 then tiles[#tiles + 1] = { text.thousands(#d.only_a), "only in a" } end
   if #d.only_b > 0 then tiles[#tiles + 1] = { text.thousands(#d.only_b), "only in b" } end
   if #d.metadata > 0 then tiles[#tiles + 1] = { text.thousands(#d.metadata), "differences of metadata" } end
   return { lead = verdict(d), html = sections.tiles(tiles) }
end

--- The page about a comparison.
-- @tparam table d of st.diff
-- @tparam model a
-- @tparam model b
-- @tparam {string,string} paths as the user gave them
-- @treturn string the page, for html.write
function report.diff(d, a, b, paths)
   local list = { facts_of_both(a, b, paths) }
   if d.equal < #d then
      list[#list + 1] = heat_of(d)
      list[#list + 1] = spread_of(d)
      list[#list + 1] = histograms_of(d, a, b)
   end
   if #d.metadata > 0 then
      local rows = {}
      for i, m in ipairs(d.metadata) do rows[i] = { m.key, m.a or false, m.b or false } end
      list[#list + 1] = sections.metadata("Differences of the metadata", rows, { "first (a)", "second (b)" })
   end
   if #d.only_a > 0 then list[#list + 1] = sections.names("Only in the first", d.only_a) end
   if #d.only_b > 0 then list[#list + 1] = sections.names("Only in the second", d.only_b) end
   list[#list + 1] = tensors_of(d)
   local title = ("%s and %s"):format(text.basename(paths[1]), text.basename(paths[2]))
   return html.page(title, list, lead_of(d))
end

-- ---------------------------------------------------------------- one model

local MODEL_COLUMNS = {
   { title = "name", kind = "text" }, { title = "block", kind = "text" }, { title = "kind", kind = "text" },
   { title = "shape", kind = "text" }, { title = "dtype", kind = "text" }, { title = "parameters", kind = "count" },
   { title = "size", kind = "bytes" },
}
local STATS = { "min", "max", "mean", "std" }

-- Blocks, kinds, and for each pair of them { tensors, numel, bytes }.
local function grid_of(model)
   local names = {}
   for i = 1, model:count() do names[i] = model:name(i) end
   local place, blocks, kinds = anatomy.of(names, model)
   local cells, weight = {}, {}
   for i, name in ipairs(names) do
      local block, kind = place(name)
      local t = model:tensor(i)
      cells[block] = cells[block] or {}
      local cell = cells[block][kind] or { tensors = 0, numel = 0, bytes = 0 }
      cells[block][kind] = cell
      cell.tensors, cell.numel, cell.bytes = cell.tensors + 1, cell.numel + t:numel(), cell.bytes + t:nbytes()
      weight[kind] = (weight[kind] or 0) + t:numel()
   end
   return place, blocks, kinds, cells, weight
end

local function heat_of_model(blocks, kinds, cells, weight)
   local values = {}
   for _, of_block in pairs(cells) do
      for _, cell in pairs(of_block) do values[#values + 1] = cell.numel end
   end
   local columns, other = choose_kinds(kinds, weight)
   local least, largest = range_of(values)
   local rows = table.move(blocks, 1, math.min(#blocks, MOST_BLOCKS), 1, {})
   local function find(block, kind)
      if kind ~= sections.OTHERS then return cells[block][kind] end
      local sum
      for name in pairs(other) do
         local cell = cells[block][name]
         if cell then
            sum = sum or { tensors = 0, numel = 0, bytes = 0 }
            sum.tensors, sum.numel = sum.tensors + cell.tensors, sum.numel + cell.numel
            sum.bytes = sum.bytes + cell.bytes
         end
      end
      return sum
   end
   return sections.heat("What is where", rows, columns, function(block, kind)
      local cell = find(block, kind)
      if not cell then return nil end
      local said = ("%s, %s: %s, %s parameters, %s"):format(block, kind, text.plural(cell.tensors, "tensor"),
         text.thousands(cell.numel), core.size(cell.bytes))
      return cell.numel == 0 and "0" or level(cell.numel, least, largest), said
   end, "Parameters by block and kind of layer, on a logarithmic scale.", { show.count(math.floor(least)),
      show.count(math.floor(largest)), "none" })
end

local function tensors_of_model(model, place, stats)
   local columns = table.move(MODEL_COLUMNS, 1, #MODEL_COLUMNS, 1, {})
   if stats then
      for _, key in ipairs(STATS) do columns[#columns + 1] = { title = key, kind = "number" } end
      columns[#columns + 1] = { title = "NaN, Inf", kind = "count" }
   end
   local rows = {}
   for i = 1, model:count() do
      local name, t = model:name(i), model:tensor(i)
      local block, kind = place(name)
      local row = { name, block, kind, size_of(t:shape()), t:dtype(), t:numel(), t:nbytes() }
      local s = stats and stats[name]
      if s then
         for k, key in ipairs(STATS) do row[#MODEL_COLUMNS + k] = s[key] end
         row[#columns] = s.nan and s.nan + s.inf or nil
      end
      rows[i] = row
   end
   table.sort(rows, function(x, y)
      if x[6] ~= y[6] then return x[6] > y[6] end
      return x[1] < y[1]
   end)
   return sections.tensors("Tensors", columns, rows, { noun = "tensors", sorted = 6, down = true, block = 2,
      kind = 3 })
end

--- The page about one model.
-- @tparam model model
-- @tparam table opts `path` as the user gave it; `summary` = a sentence on what it is; `facts` = more rows of facts,
--   { label, text }; `warnings` = sentences; `tiles` = figures, { number, words }, in front of ours; `picture` =
--   { mime, base64 }, such as a thumbnail; `stats` = what m:stats() gives; `sections` = more of them, from
--   stlua.html.page_sections, put behind the facts
-- @treturn string the page, for html.write
function report.model(model, opts)
   local place, blocks, kinds, cells, weight = grid_of(model)
   local numel = totals(model)
   local facts = about(model, opts.path)
   table.move(opts.facts or {}, 1, #(opts.facts or {}), #facts + 1, facts)
   local list = { sections.facts("What it is", facts) }
   table.move(opts.sections or {}, 1, #(opts.sections or {}), #list + 1, list)
   if model:count() > 0 then list[#list + 1] = heat_of_model(blocks, kinds, cells, weight) end
   local values, keys = model:metadata()
   if #keys > 0 then
      local rows = {}
      for i, key in ipairs(keys) do rows[i] = { key, values[key] } end
      list[#list + 1] = sections.metadata("Metadata", rows)
   end
   if model:count() > 0 then list[#list + 1] = tensors_of_model(model, place, opts.stats) end
   local tiles = table.move(opts.tiles or {}, 1, #(opts.tiles or {}), 1, {})
   tiles[#tiles + 1] = { text.thousands(model:count()), "tensors" }
   tiles[#tiles + 1] = { parameters(numel), "parameters" }
   tiles[#tiles + 1] = { core.size(file_size(model)), "on the disk" }
   local picture = opts.picture and sections.picture(opts.picture[1], opts.picture[2]) or ""
   return html.page(text.basename(opts.path), list, { lead = opts.summary,
      html = picture .. sections.warnings(opts.warnings or {}) .. sections.tiles(tiles) })
end

return report
