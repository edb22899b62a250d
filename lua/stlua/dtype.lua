--- Dtype names: any case on input, exactly the format's spelling inside.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local text = require "stlua.text"

local dtype = { names = {}, bits = {}, kind = {} }

--- What torch and NumPy call them -> the format's name.
dtype.words = core.dtype_words

local floats = {}
for _, d in ipairs(core.dtypes) do
   dtype.names[#dtype.names + 1] = d.name
   dtype.bits[d.name] = d.bits
   dtype.kind[d.name] = d.kind:lower()
   if d.kind:lower() == "float" then floats[#floats + 1] = d.name end
end

--- True for F64, F32, F16, BF16 and the 8-bit floats: what `dtype=` and model casts change.
function dtype.is_float(name)
   return dtype.kind[name] == "float"
end

-- The dtype that a word of another library's means, or nil.
local function meant_by(name)
   local word = name:lower():gsub("^torch%.", "")
   return dtype.words[word] or dtype.kind[word:upper()] and word:upper()
end

--- The format's spelling of a dtype name; nil and a message for an unknown one.
-- @tparam string name
-- @tparam[opt] boolean float only floating dtypes will do
function dtype.parse(name, float)
   local upper, among = tostring(name):upper(), float and floats or dtype.names
   local meant = meant_by(tostring(name))
   if not dtype.kind[upper] and not (float and meant and not dtype.is_float(meant)) then
      local hint = meant and ("; did you mean %s?"):format(text.quote(meant)) or text.did_you_mean(upper, among)
      return nil, ("unknown dtype %s%s (known: %s)"):format(text.quote(tostring(name)), hint,
         table.concat(among, " "))
   end
   if float and not dtype.is_float(meant) then
      return nil, ("%s is not a floating dtype: models are cast to one of %s, integers stay as they are")
         :format(meant, table.concat(floats, " "))
   end
   return upper
end

--- As parse, but throws.
function dtype.check(name, float, who)
   local found, message = dtype.parse(name, float)
   if not found then errors.throw("dtype", who .. ": " .. message) end
   return found
end

--- "201 BF16, 1 I64": tensors by dtype, the most frequent first.
function dtype.count(m)
   local count, names = m:dtype_counts(), {}
   for name in pairs(count) do names[#names + 1] = name end
   table.sort(names, function(x, y)
      if count[x] ~= count[y] then return count[x] > count[y] end
      return x < y
   end)
   for i, name in ipairs(names) do names[i] = ("%d %s"):format(count[name], name) end
   return table.concat(names, ", ")
end

return dtype
