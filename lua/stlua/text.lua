--- Text for people: names in quotes, paths, sizes, numbers, near matches.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"

local text = {}

--- A name in quotes, safe to print: escaped, its middle left out when it is very long.
-- @tparam string name
-- @treturn string
function text.quote(name)
   return '"' .. core.escape(name) .. '"'
end

--- The last part of a path; of a folder with a trailing slash, the folder's name.
function text.basename(path)
   local trimmed = path:gsub("/+$", "")
   return trimmed:match("[^/]*$")
end

--- Whether a name is that of a file of weights, compressed or not.
function text.is_weights(name)
   return name:find("%.safetensors$") ~= nil or name:find("%.safetensors%.zst$") ~= nil
end

local ENDINGS = { safetensors = true, ckpt = true, pt = true, pth = true, bin = true, gguf = true, npz = true,
   npy = true, pkl = true }

--- "model" of "folder/model.safetensors", "model.safetensors.zst", "model.ckpt", "model.safetensors.index.json" or
-- "folder/model/".
function text.stem(path)
   local base = text.basename(path):gsub("%.index%.json$", ""):gsub("%.zst$", "")
   local stem, ending = base:match("^(.+)%.(%w+)$")
   return ending and ENDINGS[ending:lower()] and stem or base
end

local FACTORS = { K = 1, M = 2, G = 3, T = 4 }

--- "5GB" -> 5000000000, "5GiB" -> 5368709120, "123" -> 123; nil and a reason for anything else.
-- @tparam string|number size
function text.parse_bytes(size)
   local digits, prefix, binary = tostring(size):upper():match("^%s*(%d+%.?%d*)%s*([KMGT]?)(I?)B?%s*$")
   if not digits or (binary ~= "" and prefix == "") then
      return nil, ("'%s' is not a size: write 5GB, 500MB, 2GiB or a number of bytes"):format(size)
   end
   local bytes = tonumber(digits) * (binary ~= "" and 1024 or 1000) ^ (FACTORS[prefix] or 0)
   if bytes < 1 or bytes >= 2 ^ 53 then return nil, ("size '%s' is out of range"):format(size) end
   return math.floor(bytes)
end

--- The shortest decimal text that reads back as the same number.
function text.number(x)
   if math.type(x) == "integer" then return tostring(x) end
   for digits = 15, 17 do
      local s = ("%%.%dg"):format(digits):format(x)
      if tonumber(s) == x then return s end
   end
   return ("%.17g"):format(x)       -- nan
end

--- A value in a message: texts in quotes, numbers, "a tensor", "a table".
function text.shown(v)
   local mt, kind = debug.getmetatable(v), type(v)
   if mt == core.tensor_meta then return "a tensor" end
   if mt == core.model_meta then return "a model" end
   if kind == "string" then return text.quote(#v > 40 and v:sub(1, 40) .. "..." or v) end
   if kind == "number" then return text.number(v) end
   return (kind == "nil" or kind == "boolean") and tostring(v) or "a " .. kind
end

--- The first of a list in a sentence: "a, b and 3 more".
-- @tparam table list
-- @tparam integer most how many are shown
-- @tparam function show(entry) its text
function text.some(list, most, show)
   local shown = {}
   for i = 1, math.min(#list, most) do shown[i] = show(list[i]) end
   return table.concat(shown, ", ") .. (#list > most and (" and %d more"):format(#list - most) or "")
end

--- 1, "tensor" -> "1 tensor"; 2, "tensor" -> "2 tensors".
function text.plural(n, noun)
   return ("%d %s%s"):format(n, noun, n == 1 and "" or "s")
end

--- 1234567 -> "1,234,567".
function text.thousands(n)
   return (("%d"):format(n):reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^(%-?),", "%1"))
end

--- {2, 3} -> "[2, 3]".
function text.shape(shape)
   return "[" .. table.concat(shape, ", ") .. "]"
end

-- The parts of two texts between their common beginning and end.
local function differing(a, b)
   local first, n, m = 1, #a, #b
   while first <= n and first <= m and a:byte(first) == b:byte(first) do first = first + 1 end
   while n >= first and m >= first and a:byte(n) == b:byte(m) do n, m = n - 1, m - 1 end
   return a:sub(first, n), b:sub(first, m)
end

-- Edit distance (insert, delete, replace, swap of neighbours), or nil when it is above `limit`. Only the band of
-- width 2 * limit + 1 around the diagonal is computed.
local function distance(a, b, limit)
   if math.abs(#a - #b) > limit then return nil end
   a, b = differing(a, b)
   local n, m = #a, #b
   local before, row = nil, {}
   for j = 0, m do row[j] = j end
   for i = 1, n do
      local lo, hi = math.max(1, i - limit), math.min(m, i + limit)
      local best = lo == 1 and i or limit + 1      -- the first column counts: all of `b` may be used up
      local new = { [lo - 1] = best }
      for j = lo, hi do
         local cost = a:byte(i) == b:byte(j) and 0 or 1
         local d = math.min((row[j] or limit) + 1, new[j - 1] + 1, row[j - 1] + cost)
         if cost == 1 and i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
            d = math.min(d, (before[j - 2] or limit) + 1)
         end
         new[j] = d
         if d < best then best = d end
      end
      if best > limit then return nil end
      before, row = row, new
   end
   return row[m] <= limit and row[m] or nil
end

local MAX_CANDIDATES = 20000     -- beyond it only whole substrings are looked for: an error must not take seconds

--- The names that a misspelt word may have meant, best first: those that contain it, then those a few edits away.
-- @tparam string word
-- @tparam {string,...} names
-- @tparam[opt=3] integer most
-- @treturn {string,...}
function text.nearest(word, names, most)
   most = most or 3
   local found, folded = {}, word:lower()
   local limit = math.max(1, math.min(4, #word // 3))
   local count = {}                 -- names per distance
   for i, name in ipairs(names) do
      local lower = name:lower()
      local d
      if #word >= 3 and lower:find(folded, 1, true) then
         d = 0
      elseif limit > 0 and i <= MAX_CANDIDATES then
         d = distance(folded, lower, limit)
      end
      if d then
         found[#found + 1] = { name = name, d = d, i = i }
         count[d] = (count[d] or 0) + 1
         if count[d] >= most then limit = math.min(limit, d - 1) end      -- later ones as far away are not shown
      end
   end
   table.sort(found, function(x, y)
      if x.d ~= y.d then return x.d < y.d end
      if x.d == 0 and #x.name ~= #y.name then return #x.name < #y.name end
      return x.i < y.i
   end)
   local out = {}
   for i = 1, math.min(most, #found) do out[i] = found[i].name end
   return out
end

--- The different parts between dots of many names: "model", "layers", "0", "norm", "weight".
function text.parts(names)
   local parts, seen = {}, {}
   for _, name in ipairs(names) do
      for part in name:gmatch("[^.]+") do
         if not seen[part] then
            seen[part] = true
            parts[#parts + 1] = part
         end
      end
   end
   return parts
end

--- "; did you mean "a" or "b"?", or "" when nothing is near.
function text.did_you_mean(word, names)
   local near = text.nearest(word, names)
   for i, name in ipairs(near) do near[i] = text.quote(name) end
   if #near == 0 then return "" end
   local last = table.remove(near)
   if #near == 0 then return "; did you mean " .. last .. "?" end
   return "; did you mean " .. table.concat(near, ", ") .. " or " .. last .. "?"
end

local EIGHTHS = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }

--- A bar in eighths of a letter, `width` letters long for `most`; what is there is seen.
-- @tparam number n
-- @tparam number most
-- @tparam integer width
-- @treturn string
function text.bar(n, most, width)
   local share = most > 0 and n / most or 0
   local eighths = math.max(n > 0 and 1 or 0, math.floor(8 * width * share + 0.5))
   return ("█"):rep(eighths // 8) .. (EIGHTHS[eighths % 8] or "")
end

--- Aligned columns: texts left, sizes (numbers) right.
-- @tparam {{string,...},...} rows the first is the heading
-- @tparam {boolean,...} right which columns are aligned to the right
-- @treturn string
function text.columns(rows, right)
   local widths, lines = {}, {}
   for _, row in ipairs(rows) do
      for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, utf8.len(cell) or #cell) end
   end
   for _, row in ipairs(rows) do
      local cells = {}
      for i, cell in ipairs(row) do
         local pad = (" "):rep(widths[i] - (utf8.len(cell) or #cell))
         cells[i] = right[i] and pad .. cell or cell .. pad
      end
      lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
   end
   return table.concat(lines, "\n")
end

return text
