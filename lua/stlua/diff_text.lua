--- A comparison of two models as text: tables with bars.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local text = require "stlua.text"

local diff_text = {}

local MOST, WIDTH = 20, 24      -- lines of a table; letters of the longest bar
local BLOCKS = 200              -- lines of the table of blocks: no model that people made has more
local VALUE = 60                -- bytes of a value of metadata

local function number(v) return v and ("%.4g"):format(v) or "" end

local function cosine(v) return v and (v == v and ("%.5f"):format(v) or "?") or "" end

-- A share of the elements; one that is not 0 is not shown as it.
local function percent(part, whole)
   if not part then return "" end
   local share = whole > 0 and 100 * part / whole or 0
   if share > 0 and share < 0.1 then return "<0.1 %" end
   return (share == 0 or share == 100) and ("%d %%"):format(share) or ("%.1f %%"):format(math.min(share, 99.9))
end

-- What a row has to say beside its numbers.
local function remark(row)
   local parts = {}
   if text.shape(row.shapes[1]) ~= text.shape(row.shapes[2]) then
      return text.shape(row.shapes[1]) .. " and " .. text.shape(row.shapes[2])
   end
   if row.dtypes[1] ~= row.dtypes[2] then parts[1] = row.dtypes[1] .. " and " .. row.dtypes[2] end
   if not row.differing and #parts == 0 then parts[1] = "other bytes" end
   if row.not_finite then
      parts[#parts + 1] = ("%d and %d not finite"):format(row.not_finite[1], row.not_finite[2])
   end
   return table.concat(parts, "; ")
end

local function finite(x) return x and x - x == 0 and x or nil end

-- By how much tensors differ: those that cannot be compared first, then by the relative change, then by name.
local function sorted(d)
   local list = {}
   for _, row in ipairs(d) do
      if not row.equal then list[#list + 1] = row end
   end
   local function change(row) return row.relative or math.huge end
   table.sort(list, function(x, y)
      if change(x) ~= change(y) then return change(x) > change(y) end
      return x.name < y.name
   end)
   return list
end

--- The tensors that differ, the largest change first.
diff_text.sorted = sorted

local function largest(list)
   local most = 0
   for _, row in ipairs(list) do most = math.max(most, finite(row.relative) or 0) end
   return most
end

local function bar(row, most)
   if not row.relative then return "" end
   return text.bar(finite(row.relative) or most, most, WIDTH)
end

-- A column is left out where it has nothing.
local function without_empty(rows)
   local out = {}
   for i in ipairs(rows) do out[i] = {} end
   for column = 1, #rows[1] do
      local used = false
      for i = 2, #rows do used = used or rows[i][column] ~= "" end
      for i, row in ipairs(rows) do
         if used then table.insert(out[i], row[column]) end
      end
   end
   return out
end

local RIGHT = { false, true, true, true, true, false, false }

--- The table of tensors that differ.
-- @tparam table d of st.diff
-- @tparam integer most lines
-- @treturn string "" where none differs
function diff_text.tensors(d, most)
   local list = sorted(d)
   if #list == 0 then return "" end
   local top = largest(list)
   local rows = { { "name", "changed", "max |a - b|", "|a - b| / |a|", "cosine", "", "" } }
   for i = 1, math.min(most, #list) do
      local row = list[i]
      rows[#rows + 1] = { core.escape(row.name), percent(row.differing, row.numel), number(row.max_abs),
         number(row.relative), cosine(row.cosine), remark(row), bar(row, top) }
   end
   local kept = without_empty(rows)
   local right = #kept[1] == #rows[1] and RIGHT or { false, true, true, true, true, false }
   if #kept[1] < 6 then right = {} end
   local lines = { text.columns(kept, right) }
   if #list > most then lines[2] = ("... %d more"):format(#list - most) end
   return table.concat(lines, "\n")
end

--- The table of blocks in their order.
-- @treturn string "" where none differs, or every tensor is a block
function diff_text.blocks(d)
   if d.equal == #d or #d.blocks >= #d then return "" end
   local rows = { { "block", "differ", "changed", "max |a - b|", "|a - b| / |a|", "cosine", "" } }
   local top = largest(d.blocks)
   for i = 1, math.min(#d.blocks, BLOCKS) do
      local block = d.blocks[i]
      local known = block.cosine ~= nil
      rows[#rows + 1] = { core.escape(block.name, 40), ("%d of %d"):format(block.differ, block.tensors),
         known and percent(block.differing, block.numel) or "", known and number(block.max_abs) or "",
         known and number(block.relative) or "", cosine(block.cosine),
         known and bar(block, top) or "" }
   end
   local more = #d.blocks > BLOCKS and ("\n... %d more"):format(#d.blocks - BLOCKS) or ""
   return text.columns(rows, { false, true, true, true, true, true, false }) .. more
end

local function value(v) return '"' .. core.escape(v, VALUE) .. '"' end

-- Two long values from where they begin to differ.
local function unlike(a, b)
   local at = 1
   while a:byte(at) and a:byte(at) == b:byte(at) do at = at + 1 end
   if at < VALUE // 2 then return value(a), value(b) end
   at = utf8.offset(a, 0, math.min(at, #a)) or at
   local from = math.max(1, at - 8)
   return "..." .. value(a:sub(from)), "..." .. value(b:sub(from))
end

--- What differs of the metadata: a list of lines.
function diff_text.metadata(d)
   local lines = {}
   for _, m in ipairs(d.metadata) do
      local key = core.escape(m.key, VALUE)
      if m.a and m.b then
         lines[#lines + 1] = ("%s: %s and %s"):format(key, unlike(m.a, m.b))
      else
         lines[#lines + 1] = ("%s: only in the %s, %s"):format(key, m.a and "first" or "second", value(m.a or m.b))
      end
   end
   return lines
end

--- What both have and how much of it is equal, and what only one has: a list of lines.
-- @tparam integer most names
function diff_text.totals(d, most)
   local lines = { ("%s equal, %d differ"):format(text.plural(d.equal, "tensor"), #d - d.equal) }
   for _, side in ipairs { "only_a", "only_b" } do
      local names, n = {}, #d[side]
      for i = 1, math.min(n, most) do names[i] = core.escape(d[side][i]) end
      if n > most then names[#names + 1] = ("... %d more"):format(n - most) end
      if n > 0 then
         lines[#lines + 1] = ("only in the %s: %s"):format(side == "only_a" and "first" or "second",
            table.concat(names, ", "))
      end
   end
   return lines
end

--- All of it, as it is printed.
-- @tparam table d of st.diff
-- @tparam[opt] integer most lines of a table (20)
-- @tparam[opt] boolean blocks the table of blocks, too
function diff_text.summary(d, most, blocks)
   most = most or MOST
   local out = {}
   local tensors, by_block = diff_text.tensors(d, most), blocks and diff_text.blocks(d) or ""
   if tensors ~= "" then out[#out + 1] = tensors end
   if by_block ~= "" then out[#out + 1] = "\n" .. by_block .. "\n" end
   for _, line in ipairs(diff_text.totals(d, most)) do out[#out + 1] = line end
   local lines = diff_text.metadata(d)
   if #lines > 0 then
      out[#out + 1] = "metadata:"
      for i = 1, math.min(most, #lines) do out[#out + 1] = "   " .. lines[i] end
      if #lines > most then out[#out + 1] = ("   ... %d more"):format(#lines - most) end
   end
   return table.concat(out, "\n")
end

return diff_text
