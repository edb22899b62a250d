--- The sizes of a tensor that is to be made, as functions take them: st.zeros(2, 3), st.zeros { 2, 3 }, and options
-- behind.
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

return sizes
