--- Error objects: tables {code, message, file, tensor, hint, where, built} made by the core, thrown as they are.
-- `where` is the line of the script that asked for what failed; `built`, of an error that only computing a deferred
-- operation brings to light, the line that wrote it down.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local text = require "stlua.text"

local errors = {}

errors.is = core.is_error

--- Throws an error object.
-- @tparam string code one of the status codes: "io", "format", "dtype", "shape", "name", "arg", "quant", "exists" ...
-- @tparam string message
-- @tparam[opt] table fields more of {file=, tensor=, hint=}
function errors.throw(code, message, fields)
   error(core.error(code, message, fields), 0)
end

--- The same, with string.format.
function errors.throwf(code, format, ...)
   errors.throw(code, format:format(...))
end

--- What is shown of an error: its message, behind the line that is to blame where `known` accepts it.
-- @tparam table e error object
-- @tparam function known whether a line is one of the user's
-- @treturn string
function errors.describe(e, known)
   local where, built = e.where and known(e.where) and e.where, e.built and known(e.built) and e.built
   local message = (where and where .. ": " or "") .. e.message
   return built and built ~= where and ("%s (built at %s)"):format(message, built) or message
end

local MANY = 1000    -- lines of one message; a model has seldom more tensors that do not fit

--- Throws all collected errors as one: a single one as it is, several under a title, each on its line.
-- @tparam {table,...} list error objects
-- @tparam string title such as "cannot be mapped"
function errors.throw_all(list, title)
   if #list == 0 then return end
   if #list == 1 then error(list[1], 0) end
   local lines = { ("%s %s:"):format(text.plural(#list, "tensor"), title) }
   for i = 1, math.min(#list, MANY) do lines[#lines + 1] = "  " .. list[i].message end
   if #list > MANY then lines[#lines + 1] = ("  ... and %d more"):format(#list - MANY) end
   errors.throw(list[1].code, table.concat(lines, "\n"), { where = list[1].where, built = list[1].built })
end

--- Checks an options table: an unknown key is an error that names the known ones, a wrong type one that says the
-- right.
-- @tparam ?table opts
-- @tparam {[string]=string} known option -> type, such as "boolean", "string|table", or "any"
-- @tparam string who for the message
-- @treturn table the options, or an empty table for nil
function errors.check_options(opts, known, who)
   if opts == nil then return {} end
   if type(opts) ~= "table" then
      errors.throwf("arg", "%s: options must be a table, not %s", who, type(opts))
   end
   local names = {}
   for name in pairs(known) do names[#names + 1] = name end
   table.sort(names)
   for key, value in pairs(opts) do
      local types = known[key]
      if not types then
         errors.throwf("arg", "%s: unknown option %s%s (known: %s)", who, text.quote(tostring(key)),
            text.did_you_mean(tostring(key), names), table.concat(names, ", "))
      end
      if types ~= "any" and not ("|" .. types .. "|"):find("|" .. type(value) .. "|", 1, true) then
         errors.throwf("arg", "%s: option %s must be a %s, not a %s", who, key, types:gsub("|", " or "), type(value))
      end
   end
   return opts
end

return errors
