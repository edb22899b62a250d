--- Sizes and dimensions as functions take them. Those of a tensor that is to be made: st.zeros(2, 3),
-- st.zeros { 2, 3 }, and options behind.
-- Layer: Lua, above stlua.core.

local errors = require "stlua.errors"

local text = require "stlua.text"

local sizes = {}

--- The integer that a number is, 2 and 2.0 alike: Lua's `/` gives floats. Nil for all else, strings too.
function sizes.integer(v)
   return type(v) == "number" and math.tointeger(v) or nil
end

-- { 2, 3, dtype = "F16" }: sizes and options in one table.
local function apart(mixed, opts)
   local list, named = {}, nil
   for key, value in pairs(mixed) do
      if math.type(key) == "integer" then
         list[key] = value
      else
         named = named or {}
         named[key] = value
      end
   end
   return list, opts or named
end

--- Sizes one by one or as a table, then perhaps options.
-- @tparam string who for messages
-- @tparam {[string]=string} known options, as errors.check_options takes them
-- @param ... what was given
-- @treturn {integer,...} sizes
-- @treturn table options
function sizes.of(who, known, ...)
   local list = table.pack(...)
   local last, opts = list[list.n], nil
   if type(last) == "table" and (list.n > 1 or (#last == 0 and next(last) ~= nil)) then
      opts, list[list.n], list.n = last, nil, list.n - 1
   end
   if list.n == 1 and type(list[1]) == "table" then list, opts = apart(list[1], opts) end
   for i = 1, #list do
      local n = sizes.integer(list[i])
      if not n or n < 0 then
         errors.throwf("arg", "%s: size %d is %s, not an integer of at least 0", who, i, text.shown(list[i]))
      end
      list[i] = n
   end
   return list, errors.check_options(opts, known, who)
end

--- A dimension as 1..n.
-- @tparam string who for messages
-- @tparam integer d negative from the end
-- @tparam integer n dimensions there are
-- @tparam[opt=0] integer more as many behind the last are allowed
-- @treturn integer
function sizes.dim(who, d, n, more)
   local given = d
   d, n = sizes.integer(d), n + (more or 0)
   if not d and type(given) ~= "number" then
      errors.throwf("arg", "%s: a dimension expected, an integer from 1 or negative from the end, not %s", who,
         text.shown(given))
   end
   if not d or d == 0 or d > n or d < -n then
      errors.throwf("arg", "%s: dimension %s of a tensor with %d", who, text.shown(given), n - (more or 0))
   end
   return d < 0 and n + 1 + d or d
end

return sizes
