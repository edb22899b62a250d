--- Sizes and dimensions as functions take them. Those of a tensor that is to be made: st.zeros(2, 3),
-- st.zeros { 2, 3 }, and options behind.
-- Layer: Lua, above stlua.core.

local errors = require "stlua.errors"

local sizes = {}

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
      if math.type(list[i]) ~= "integer" or list[i] < 0 then
         errors.throwf("arg", "%s: size %d is %s, not an integer of at least 0", who, i, tostring(list[i]))
      end
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
   n = n + (more or 0)
   if math.type(d) ~= "integer" or d == 0 or d > n or d < -n then
      errors.throwf("arg", "%s: dimension %s of a tensor with %d", who, tostring(d), n - (more or 0))
   end
   return d < 0 and n + 1 + d or d
end

return sizes
