--- A comparison of two models as JSON.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"

local diff_json = {}

-- JSON has no infinity and no NaN: null.
local function number(v)
   if type(v) == "number" and v - v ~= 0 then return core.null end
   return v
end

local NUMBERS = { "differing", "max_abs", "distance", "relative", "cosine" }

local function tensor(row)
   local out = { name = row.name, block = row.block, kind = row.kind, equal = row.equal, numel = row.numel,
      identical = row.identical or false, dtypes = core.array(row.dtypes),
      shapes = core.array { core.array(row.shapes[1]), core.array(row.shapes[2]) } }
   for _, key in ipairs(NUMBERS) do out[key] = number(row[key]) end
   if row.norms then out.norms = core.array { number(row.norms[1]), number(row.norms[2]) } end
   if row.not_finite then out.not_finite = core.array(row.not_finite) end
   return out
end

local function block(sum)
   return { name = sum.name, tensors = sum.tensors, differ = sum.differ, numel = sum.numel, differing = sum.differing,
      max_abs = number(sum.max_abs), relative = number(sum.relative), cosine = number(sum.cosine) }
end

local function list(items, each)
   local out = {}
   for i, item in ipairs(items) do out[i] = each(item) end
   return core.array(out)
end

--- One object of all that st.diff found.
-- @tparam table d
-- @tparam string a path
-- @tparam string b
-- @treturn string
function diff_json.encode(d, a, b)
   return core.json_report { a = a, b = b, same = d.same, same_tensors = d.same_tensors, equal = d.equal,
      differ = #d - d.equal, only_a = core.array(d.only_a), only_b = core.array(d.only_b),
      metadata = list(d.metadata, function(m) return { key = m.key, a = m.a or core.null, b = m.b or core.null } end),
      blocks = list(d.blocks, block), tensors = list(d, tensor) }
end

return diff_json
