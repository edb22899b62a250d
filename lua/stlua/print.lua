--- Printing: one line about a tensor or model, then the corners of its values. Reads only the elements that are
-- shown.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local outline = require "stlua.outline"
local text = require "stlua.text"

local EDGE = 3      -- rows and columns at each end
local SHOWN = 6     -- keys of metadata
local BLOCKS = 16   -- lines of a model's outline

-- Positions 1..n with the middle left out: { 1, 2, 3, false, n-2, n-1, n }.
local function corners(n)
   local out = {}
   for i = 1, math.min(n, 2 * EDGE) do out[i] = n <= 2 * EDGE and i or (i <= EDGE and i or n - 2 * EDGE + i) end
   if n > 2 * EDGE then table.insert(out, EDGE + 1, false) end
   return out
end

-- Values as t:values() gives them; those of U64 that Lua's integers cannot hold as texts.
local function values(t, first, count)
   local list = t:values(first, count)
   if t:dtype() ~= "U64" then return list end
   for i, v in ipairs(list) do
      if math.type(v) == "float" then
         local bits = ("<i8"):unpack(t:bytes("U64", first + i - 1, 1))
         local tens = (bits >> 1) // 5
         list[i] = ("%d%d"):format(tens, bits - tens * 10)
      end
   end
   return list
end

-- The shown values of a matrix of `rows` x `cols` that begins at flat position `base`: a list of rows (false: left
-- out).
local function read_block(t, base, rows, cols)
   local block = {}
   for _, r in ipairs(corners(rows)) do
      if not r then
         block[#block + 1] = false
      else
         local start = base + (r - 1) * cols
         local row
         if cols <= 2 * EDGE then
            row = values(t, start, cols)
         else
            row = values(t, start, EDGE)
            row[EDGE + 1] = false
            table.move(values(t, start + cols - EDGE, EDGE), 1, EDGE, EDGE + 2, row)
         end
         row.cut = cols > 2 * EDGE
         block[#block + 1] = row
      end
   end
   return block
end

-- One power of ten for all finite values, where they are too large or too small to be read as they are.
local function scale_of(blocks)
   local largest = 0
   for _, block in ipairs(blocks) do
      for _, row in ipairs(block) do
         for i, v in ipairs(row or {}) do
            local gap = row.cut and i == EDGE + 1
            if not gap and math.type(v) == "float" and v == v and math.abs(v) < math.huge then
               largest = math.max(largest, math.abs(v))
            end
         end
      end
   end
   if largest == 0 or (largest >= 1e-3 and largest < 1e5) then return 1 end
   return 10.0 ^ math.floor(math.log(largest, 10))
end

local function cell(v, scale)
   if math.type(v) ~= "float" then return tostring(v) end
   if v ~= v then return "nan" end
   if v == math.huge or v == -math.huge then return v > 0 and "inf" or "-inf" end
   return ("%.4f"):format(v / scale)
end

local function add_block(lines, block, scale)
   local cells, width = {}, 0
   for r, row in ipairs(block) do
      cells[r] = row and {}
      for i, v in ipairs(row or {}) do
         local gap = row.cut and i == EDGE + 1
         cells[r][i] = gap and "..." or cell(v, scale)
         if not gap then width = math.max(width, #cells[r][i]) end
      end
   end
   for _, row in ipairs(cells) do
      if row then
         for i, s in ipairs(row) do row[i] = s == "..." and s or (" "):rep(width - #s) .. s end
         lines[#lines + 1] = "  " .. table.concat(row, "  ")
      else
         lines[#lines + 1] = "  ..."
      end
   end
end

local function add_values(lines, t)
   local shape = t:shape()
   local rank = #shape
   local cols = shape[rank] or 1
   local rows = rank >= 2 and shape[rank - 1] or 1
   local slices = t:numel() // (rows * cols)
   local shown = slices > 2 and { 1, slices } or slices == 2 and { 1, 2 } or { 1 }
   local blocks = {}
   for i, s in ipairs(shown) do blocks[i] = read_block(t, (s - 1) * rows * cols + 1, rows, cols) end
   local scale = scale_of(blocks)
   if scale ~= 1 then lines[#lines + 1] = ("  %.0e *"):format(scale) end
   for i, s in ipairs(shown) do
      if slices > 1 then
         local at, rest = {}, s - 1
         for d = rank - 2, 1, -1 do
            at[d] = rest % shape[d] + 1
            rest = rest // shape[d]
         end
         lines[#lines + 1] = (" (%s, :, :)%s"):format(table.concat(at, ", "),
            i == 1 and slices > 2 and (" of %d"):format(slices) or "")
      end
      add_block(lines, blocks[i], scale)
   end
end

-- "Tensor[4096x4096 BF16, 32.0 MiB, a.safetensors:name]"
local function describe(t)
   local shape, file, name = t:shape(), t:source()
   local about = { table.concat(shape, "x") .. (#shape > 0 and " " or "") .. t:dtype(), core.size(t:nbytes()) }
   if file then about[#about + 1] = core.escape(text.basename(file)) .. ":" .. core.escape(name) end
   if t:quant() then about[#about + 1] = "quantised: " .. t:quant() end
   return "Tensor[" .. table.concat(about, ", ") .. "]"
end

local function tensor_tostring(t)
   if not pcall(t.ndim, t) then return "Tensor[closed]" end      -- printing must not throw
   local lines, kind = { describe(t) }, dtype.kind[t:dtype()]
   if t:numel() > 0 and (kind == "raw" or kind == "complex") then
      lines[2] = ("  (values of %s are not shown; t:bytes() gives them)"):format(t:dtype())
   elseif t:numel() > 0 then
      -- print must never fail for a file that went away meanwhile: it says so instead.
      local ok, e = pcall(add_values, lines, t)
      if not ok and not errors.is(e) then error(e, 0) end
      if not ok and e.code == "cancelled" then error(e, 0) end
      if not ok then lines[#lines + 1] = "  (" .. e.message .. ")" end
   end
   return table.concat(lines, "\n")
end

local function model_tostring(m)
   if not pcall(m.count, m) then return "Model[closed]" end      -- printing must not throw
   local n, tree, bytes = m:count(), outline.tree(m, BLOCKS)
   local what = n > 0 and ": " .. dtype.count(m) or ""
   local lines = { ("Model[%s, %s%s]"):format(text.plural(n, "tensor"), core.size(bytes), what) }
   lines[#lines + 1] = "  = " .. lineage.formula(m)
   for _, note in ipairs(m:notes()) do lines[#lines + 1] = "  note: " .. note end
   for _, line in ipairs(tree) do lines[#lines + 1] = "  " .. line end
   local _, keys = m:metadata()
   if #keys > 0 then
      for i, key in ipairs(keys) do keys[i] = core.escape(key, 60) end
      local more = #keys > SHOWN and (", ... %d more"):format(#keys - SHOWN) or ""
      lines[#lines + 1] = "  metadata: " .. table.concat(keys, ", ", 1, math.min(#keys, SHOWN)) .. more
   end
   return table.concat(lines, "\n")
end

--- A table of what is in the model: one line for each kind of tensor, with how many there are, parameters and size.
-- Numbered layers that are alike are one line.
-- @treturn string
function core.Model:summary() return outline.summary(self) end

core.tensor_meta.__tostring = tensor_tostring
core.model_meta.__tostring = model_tostring

return { describe = describe }
