--- st.diff(a, b): where two models differ, and how much. Each pair of tensors is read once.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local map = require "stlua.map"
local text = require "stlua.text"

local diff = {}

-- How many elements differ: those that are not equal, but for NaN in both.
local function differing(a, b)
   local both = core.apply("bitwise_and", core.apply("ne", a, a), core.apply("ne", b, b))
   return core.apply("bitwise_and", core.apply("ne", a, b), core.apply("bitwise_not", both)):count_nonzero()
end

local function measure(a, b)
   if not dtype.is_float(a:dtype()) then a = a:cast("F64") end
   if not dtype.is_float(b:dtype()) then b = b:cast("F64") end
   local delta = a - b
   local found = { differing(a, b), delta:abs():amax(), delta:norm(), a:norm(), a:cosine_similarity(b) }
   core.force_all(found)
   return { differing = found[1]:item(), max_abs = found[2]:item(), relative = found[3]:item() / found[4]:item(),
      cosine = found[5]:item() }
end

local function same_shape(a, b) return text.shape(a:shape()) == text.shape(b:shape()) end

-- Two tensors: a row of the result.
local function pair(a, b)
   local row = { dtypes = { a:dtype(), b:dtype() }, shapes = { a:shape(), b:shape() } }
   if not same_shape(a, b) then
      row.equal = false
   elseif a:numel() == 0 then
      row.equal = a:dtype() == b:dtype()
   else
      local ok, found = pcall(measure, a, b)
      if ok then
         for key, value in pairs(found) do row[key] = value end
         row.equal = found.differing == 0 and a:dtype() == b:dtype()
      elseif errors.is(found) and (found.code == "quant" or found.code == "dtype") then
         row.equal = a:identical(b)      -- bytes without meaning
      else
         error(found, 0)
      end
   end
   return row
end

local meta = {}

local function shown(v) return v and ("%.4g"):format(v) or "" end

function meta.__tostring(d)
   local rows = { { "name", "differing", "max |a - b|", "|a - b| / |a|", "cosine", "" } }
   for _, row in ipairs(d) do
      if not row.equal then
         local remark = row.dtypes[1] ~= row.dtypes[2] and row.dtypes[1] .. " and " .. row.dtypes[2] or ""
         if not row.differing then remark = text.shape(row.shapes[1]) .. " and " .. text.shape(row.shapes[2]) end
         rows[#rows + 1] = { core.escape(row.name), row.differing and tostring(row.differing) or "", shown(row.max_abs),
            shown(row.relative), shown(row.cosine), remark }
      end
   end
   local lines = {}
   if #rows > 1 then lines[1] = text.columns(rows, { false, true, true, true, true, false }) end
   lines[#lines + 1] = ("%s equal, %d differ"):format(text.plural(d.equal, "tensor"), #d - d.equal)
   for _, side in ipairs { "only_a", "only_b" } do
      if #d[side] > 0 then
         local names = {}
         for i, name in ipairs(d[side]) do names[i] = core.escape(name) end
         lines[#lines + 1] = ("%s: %s"):format(side == "only_a" and "only in the first" or "only in the second",
            table.concat(names, ", "))
      end
   end
   return table.concat(lines, "\n")
end

--- Compares two models, or two tensors, name by name. Every pair is read once.
--
--     > a = st.open("a.safetensors"):select("*norm*")
--     > b = st.map(a, function(name, t) return name:find("%.3%.") and t * 2 or t end)
--     > st.diff(a, b)
--     name                        differing  max |a - b|  |a - b| / |a|  cosine
--     model.layers.3.norm.weight         64      0.09912              1       1
--     3 tensors equal, 1 differ
-- @tparam model|tensor a
-- @tparam model|tensor b
-- @treturn table of tensors: { equal, differing (elements; NaN equals NaN), max_abs, relative (|a - b| / |a|), cosine,
-- dtypes, shapes }; of models: such a table for each common name, in the order of `a` with `name` added, and `equal`
-- (how many are), `only_a`, `only_b` (names). Without numbers where shapes differ or nothing can be computed. Printed,
-- a table of what differs.
function diff.diff(a, b)
   if map.is_tensor(a) and map.is_tensor(b) then return pair(a, b) end
   if not (map.is_model(a) and map.is_model(b)) then errors.throw("arg", "st.diff: two models, or two tensors") end
   local d = { equal = 0, only_a = {}, only_b = {} }
   for name, t in pairs(a) do
      if b:find(name) then
         local row = pair(t, b:get(name))
         row.name = name
         d[#d + 1] = row
         if row.equal then d.equal = d.equal + 1 end
      else
         d.only_a[#d.only_a + 1] = name
      end
   end
   for name in pairs(b) do
      if not a:find(name) then d.only_b[#d.only_b + 1] = name end
   end
   return setmetatable(d, meta)
end

return diff
