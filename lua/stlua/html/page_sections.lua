--- Sections of report pages. Each function gives { title =, html =, class = } for html.page; every text given to one is
-- plain and may be hostile.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local html = require "stlua.html"
local text = require "stlua.text"

local sections = {}

local t = html.text

local function rows_of(list, each)
   local out = {}
   for i, item in ipairs(list) do out[i] = each(item, i) end
   return table.concat(out)
end

-- ---------------------------------------------------------------- numbers as they are shown

--- What a number becomes on a page, by the kind of a column; behaviour.lua has the same for what is sorted there.
sections.show = {}
local show = sections.show

function show.text(v) return tostring(v) end

function show.number(v)
   local size = math.abs(v)
   if v == 0 then return "0" end
   if size < 1e-4 or size >= 1e6 then return (("%.3e"):format(v):gsub("e([+-])0+(%d)", "e%1%2")) end
   local s = ("%.4g"):format(v)
   if s:find("e", 1, true) then s = ("%.0f"):format(tonumber(s)) end      -- 12350 is shorter than 1.235e+04
   return s
end
show.bar = show.number

function show.share(v)
   if v > 0 and v < 0.001 then return "<0.1 %" end
   return (v == 0 or v == 1) and ("%d %%"):format(v * 100) or ("%.1f %%"):format(math.min(v * 100, 99.9))
end

function show.cosine(v) return ("%.5f"):format(v) end
function show.count(v) return text.thousands(v) end
show.bytes = core.size

-- A value of a cell: a number, a text, or nil. Infinity has a name in JSON.
local function shown(kind, v)
   if v == nil or v ~= v then return "" end
   if v == math.huge then return "∞" end
   return show[kind](v)
end

-- ---------------------------------------------------------------- header

--- The figures below a page's title: { { "412", "tensors are equal" }, ... }.
-- @treturn string markup, for html.page's lead
function sections.tiles(list)
   return ("<ul class=\"tiles\">%s</ul>"):format(rows_of(list, function(item)
      return ("<li><b>%s</b><span>%s</span></li>"):format(t(item[1]), t(item[2]))
   end))
end

--- Warnings below a page's title.
function sections.warnings(list)
   if #list == 0 then return "" end
   return ("<ul class=\"warnings\" role=\"note\">%s</ul>"):format(rows_of(list, function(line)
      return "<li>" .. t(line) .. "</li>"
   end))
end

--- A picture, such as a thumbnail of the metadata.
-- @tparam string mime "image/png", "image/jpeg" or "image/webp"
-- @tparam string base64
-- @treturn string markup; "" for anything else
function sections.picture(mime, base64)
   local known = mime == "image/png" or mime == "image/jpeg" or mime == "image/webp"
   if not known or not base64:find("^[%w+/]+=*$") then return "" end
   return ('<p><img alt="" src="data:%s;base64,%s"></p>'):format(mime, base64)
end

-- ---------------------------------------------------------------- tables

--- Facts in rows: { { label, value, ... }, ... }; with headings for several columns. A row with `other` set is marked:
-- its values differ.
-- @tparam string title
-- @tparam table rows
-- @tparam[opt] {string,...} headings
function sections.facts(title, rows, headings)
   local head = headings and "<thead><tr><td></td>" .. rows_of(headings, function(h)
      return ('<th scope="col">%s</th>'):format(t(h))
   end) .. "</tr></thead>" or ""
   local body = rows_of(rows, function(row)
      local cells = { ('<th scope="row">%s</th>'):format(t(row[1])) }
      for i = 2, math.max(#row, headings and #headings + 1 or 0) do
         cells[i] = ("<td>%s</td>"):format(t(row[i] or "", true))
      end
      return ("<tr%s>%s</tr>\n"):format(row.other and ' class="other"' or "", table.concat(cells))
   end)
   return { title = title, html = ('<div class="scroll"><table class="facts">%s<tbody>%s</tbody></table></div>\n')
      :format(head, body) }
end

local LONG = 160     -- bytes; longer values are folded

--- Metadata: { { key, value, ... }, ... }, long values folded.
-- @tparam[opt] {string,...} headings of the values, where there are several
function sections.metadata(title, rows, headings)
   local function value(v)
      if not v then return "<td></td>" end
      if #v <= LONG then return ("<td>%s</td>"):format(t(v)) end
      return ("<td><details><summary>%s</summary><pre>%s</pre></details></td>"):format(
         text.thousands(#v) .. " bytes", t(v, true))
   end
   local head = headings and "<thead><tr><td></td>" .. rows_of(headings, function(h)
      return ('<th scope="col">%s</th>'):format(t(h))
   end) .. "</tr></thead>" or ""
   local body = rows_of(rows, function(row)
      local cells = { ('<th scope="row">%s</th>'):format(t(row[1])) }
      for i = 2, headings and #headings + 1 or 2 do cells[i] = value(row[i]) end
      return "<tr>" .. table.concat(cells) .. "</tr>\n"
   end)
   return { title = title, html = ('<div class="scroll"><table class="facts">%s<tbody>%s</tbody></table></div>\n')
      :format(head, body) }
end

--- Names in columns, folded where they are many.
function sections.names(title, list)
   local items = ('<ul class="names">%s</ul>\n'):format(rows_of(list, function(name)
      return "<li>" .. t(name) .. "</li>"
   end))
   if #list > 40 then
      items = ("<details><summary>%s names</summary>%s</details>\n"):format(text.thousands(#list), items)
   end
   return { title = title, html = items }
end

local STATIC = 200      -- rows that are there without a script

local function static_rows(columns, rows, top)
   local out = {}
   for i = 1, math.min(#rows, STATIC) do
      local cells, row = {}, rows[i]
      for k, column in ipairs(columns) do
         if column.kind ~= "hidden" then
            local class = k == 1 and ' class="mono"' or column.kind ~= "text" and ' class="n"' or ""
            cells[#cells + 1] = ("<td%s>%s</td>"):format(class, t(shown(column.kind, row[k])))
         end
      end
      out[i] = "<tr>" .. table.concat(cells) .. "</tr>\n"
   end
   return table.concat(out), top
end

local function json_cell(v)
   if v == nil or v ~= v then return core.null end
   if v == math.huge then return "inf" end
   if type(v) == "string" then return html.plain(v) end
   return v
end

--- A table that is searched, sorted and, by the heat map, narrowed down. Rows stand in the order in which they are
-- shown first. Without scripts the first 200 of them are there.
-- @tparam string title
-- @tparam {table,...} columns { title =, kind = "text", "number", "bar" (a number with a bar), "share", "cosine",
--   "count", "bytes" or "hidden" (last ones: for `only`) }; the first is a name
-- @tparam {table,...} rows cells: texts, numbers, nil
-- @tparam table opts `noun` = "tensors"; `sorted` = column, `down` = whether the first order is that; `block`, `kind` =
--   columns that the heat map chooses by; `only` = { column (of booleans), "label of the switch" }
function sections.tensors(title, columns, rows, opts)
   local data = { columns = {}, rows = {}, sorted = opts.sorted - 1, down = opts.down or false,
      block = opts.block and opts.block - 1 or core.null, kind = opts.kind and opts.kind - 1 or core.null,
      only = opts.only and opts.only[1] - 1 or core.null }
   for i, column in ipairs(columns) do data.columns[i] = { title = column.title or "", kind = column.kind } end
   for i, row in ipairs(rows) do
      local cells = {}
      for k = 1, #columns do cells[k] = json_cell(row[k]) end
      data.rows[i] = core.array(cells)
   end
   core.array(data.columns)
   core.array(data.rows)
   local heads = rows_of(columns, function(column)
      if column.kind == "hidden" then return "" end
      return ('<th scope="col"%s>%s</th>'):format(column.kind ~= "text" and ' class="n"' or "", t(column.title))
   end)
   local only = opts.only and ('<label><input type="checkbox"> %s</label>'):format(t(opts.only[2])) or ""
   local markup = ([[
<div class="controls" hidden>
<input type="search" placeholder="Search %s: words, * for anything" aria-label="Search %s">
%s<button type="button" class="chip" hidden aria-label="Show all blocks again"></button>
<span class="told hint" role="status"></span>
</div>
<div class="scroll"><table><thead><tr>%s</tr></thead>
<tbody>%s</tbody></table></div>
<button type="button" class="more" hidden></button>
<script type="application/json">%s</script>
<noscript><p class="hint">The first %d rows; searching and sorting need scripts.</p></noscript>
]]):format(t(opts.noun), t(opts.noun), only, heads, (static_rows(columns, rows)), html.json(data), STATIC)
   return { title = title, html = markup, class = "rows" }
end

-- ---------------------------------------------------------------- pictures

--- The column that stands for all kinds without one of their own.
sections.OTHERS = "others"

--- A heat map of blocks and kinds of layers.
-- @tparam string title
-- @tparam {string,...} blocks rows
-- @tparam {string,...} kinds columns
-- @tparam function cell (block, kind) -> level ("0" to "9", "x" for what has no number) and a text, or nil
-- @tparam string lead what is shown
-- @tparam {string,string} legend what the lowest and the highest level mean
function sections.heat(title, blocks, kinds, cell, lead, legend)
   local heads = rows_of(kinds, function(kind) return ('<th scope="col"><span>%s</span></th>'):format(t(kind)) end)
   local body = rows_of(blocks, function(block)
      local cells = { ('<th scope="row">%s</th>'):format(t(block)) }
      for i, kind in ipairs(kinds) do
         local level, said = cell(block, kind)
         if level then
            local chosen = kind ~= sections.OTHERS and (' data-kind="%s"'):format(t(kind)) or ""
            cells[i + 1] = ('<td class="h%s" data-block="%s"%s data-t="%s" aria-label="%s"></td>'):format(level,
               t(block), chosen, t(said), t(said))
         else
            cells[i + 1] = "<td></td>"
         end
      end
      return "<tr>" .. table.concat(cells) .. "</tr>\n"
   end)
   local ramp = {}
   for i = 1, 9 do ramp[i] = ('<i class="h%d"></i>'):format(i) end
   return { title = title, class = "map", html = ([[
<p class="hint">%s</p>
<div class="scroll"><table class="heat" role="grid"><thead><tr><td></td>%s</tr></thead>
<tbody>%s</tbody></table></div>
<p class="readout" role="status">Point at a cell, or use the arrow keys; choosing one narrows the table below.</p>
<p class="legend"><i class="h0"></i> %s <span class="ramp">%s</span> %s to %s</p>
]]):format(t(lead), heads, body, t(legend[3] or "equal"), table.concat(ramp), t(legend[1]), t(legend[2])) }
end

--- Bars in a list: { { label, number, text behind it, zero = grey }, ... }.
function sections.bars(title, list, lead)
   local most = 1
   for _, item in ipairs(list) do most = math.max(most, item[2]) end
   local body = rows_of(list, function(item)
      local width = item[2] > 0 and math.max(0.5, 100 * item[2] / most) or 0
      return ([[<span class="n">%s</span><svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"%s>]]
         .. [[<rect width="%.4g" height="10"/></svg><span class="n">%s</span>]] .. "\n"):format(t(item[1]),
         item.zero and ' class="zero"' or "", width, t(item[3] or text.thousands(item[2])))
   end)
   return { title = title, html = ('%s<div class="bars">\n%s</div>\n'):format(
      lead and ('<p class="hint">%s</p>'):format(t(lead)) or "", body) }
end

-- The outline of a histogram as a path, in a box of 100 x 100.
local function outline(counts, most, closed)
   local points, n = { closed and "M0 100" or nil }, #counts
   for i, c in ipairs(counts) do
      local y = 100 - 98 * c / most
      points[#points + 1] = ("%s%.4g %.4gH%.4g"):format(#points == 0 and "M" or "L", (i - 1) * 100 / n, y, i * 100 / n)
   end
   if closed then points[#points + 1] = "V100Z" end
   return table.concat(points)
end

--- Histograms beside each other: { { title =, series = { counts of the first, of the second }, low =, high =, said = },
-- ... }, each drawn as a filled outline and a line.
-- @tparam string title
-- @tparam {table,...} list
-- @tparam string lead
-- @tparam[opt] {string,string} legend names of the two
function sections.histograms(title, list, lead, legend)
   local body = rows_of(list, function(card)
      local charts = rows_of(card.charts, function(chart)
         local most = 1
         for _, counts in ipairs(chart.series) do
            for _, c in ipairs(counts) do most = math.max(most, c) end
         end
         local paths = rows_of(chart.series, function(counts, i)
            return ('<path class="%s" d="%s"/>'):format(i == 1 and "a" or "b", outline(counts, most, i == 1))
         end)
         return ([[<svg class="chart" viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="%s">]]
            .. [[%s</svg>]]
            .. [[<div class="axis"><span>%s</span><span>%s</span><span>%s</span></div>]]):format(t(chart.said), paths,
            t(show.number(chart.low)), t(chart.said), t(show.number(chart.high)))
      end)
      return ('<div class="card"><h3>%s</h3>%s</div>\n'):format(t(card.title):gsub("%.", ".<wbr>"), charts)
   end)
   local names = legend and ('<p class="legend"><i class="a"></i> %s <i class="b"></i> %s</p>'):format(t(legend[1]),
      t(legend[2])) or ""
   return { title = title, html = ('<p class="hint">%s</p>%s<div class="cards">\n%s</div>\n'):format(t(lead), names,
      body) }
end

return sections
