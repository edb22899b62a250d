--- What stands around every public function that is written in Lua: whatever it throws becomes an error object whose
-- message names the function, and the argument that is not what its comment says. Costs nothing to speak of while
-- nothing is wrong: the comments are read when something is.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local text = require "stlua.text"

local guard = {}

local OURS = "^.*stlua/[%w_/]+%.lua:%d+: "     -- how Lua begins a message about this library's code
local HAVE_CALLBACKS = { map = true, rename = true }      -- an error of a callback keeps its traceback

-- Codes of errors about arguments: those about files, names and limits need no function's name.
local OF_ARGUMENTS = { arg = true, dtype = true, shape = true }

local originals = setmetatable({}, { __mode = "k" })     -- guarded -> what it guards
local guarded = setmetatable({}, { __mode = "k" })       -- the other way, by name

--- The function behind a guard; any other function as it is.
function guard.original(fn) return originals[fn] or fn end

-- ---------------------------------------------------------------- what was wrong

-- "a tensor", "the number 99"
local function shown(v)
   local named = type(v) == "string" or type(v) == "number"
   return (named and "the " .. type(v) .. " " or "") .. text.shown(v)
end

local FITS = {
   any = function() return true end,
   tensor = function(v) return debug.getmetatable(v) == core.tensor_meta end,
   model = function(v) return debug.getmetatable(v) == core.model_meta end,
   integer = function(v) return type(v) == "number" and math.tointeger(v) ~= nil end,
}

local function fits(kinds, v)
   for kind in kinds:gsub("%b{}", "table"):gmatch("[^|]+") do
      local fit = FITS[kind]
      if not fit and type(v) == kind or fit and fit(v) then return true end
   end
   return false
end

local function with_article(kinds)
   local list = {}
   for kind in kinds:gsub("%b{}", "table"):gmatch("[^|]+") do
      list[#list + 1] = (kind:find("^[aeiou]") and "an " or "a ") .. kind
   end
   return table.concat(list, " or ")
end

-- The first argument that is not what the comment says, as a text; nil where all are.
local function misfit(params, args, first)
   for i, p in ipairs(params) do
      local v = args[first + i - 1]
      if p.name:find("%.") then return nil end
      if not (v == nil and p.optional) and not fits(p.type, v) then
         return ("%s must be %s, not %s"):format(p.name, with_article(p.type), shown(v))
      end
   end
end

local OF_TYPE = { ["Tensor:"] = "tensor", ["Model:"] = "model" }

-- Under which names a function is public: the position of the first argument that its comment knows, its description,
-- and of methods the type.
local function items_of(fn)
   local list, i = require("stlua.doc").catalogue(), 0
   return function()
      repeat i = i + 1 until not list[i] or list[i].entry and guard.original(list[i].value) == fn
      local kind = list[i] and OF_TYPE[list[i].name:match("^%w+:")]
      return list[i] and (kind and 2 or 1), list[i], kind
   end
end

local function explain(fn, args)
   for first, item, kind in items_of(fn) do
      if kind and not fits(kind, args[1]) then
         return ("it is a method of a %s, not of %s"):format(kind, shown(args[1]))
      end
      local found = misfit(item.entry.params, args, first)
      if found then return found end
   end
end

-- ---------------------------------------------------------------- the guard

-- The name of the argument that is this number; the core says "position" of those that it counts.
local function name_of_number(fn, args, number)
   for first, item in items_of(fn) do
      for i, p in ipairs(item.entry.params) do
         if args[first + i - 1] == number and not p.name:find("%.") then return p.name end
      end
   end
end

local function named(name, fn, args, message)
   if message:find(name, 1, true) then return message end
   message = message:gsub("^bad argument #%d+ to '[^']*' %((.*)%)$", "%1")
   local number = math.tointeger(tonumber(message:match("^position (%-?%d+) is out of range")))
   local argument = number and name_of_number(fn, args, number)
   return name .. ": " .. (argument and message:gsub("^position", argument) or message)
end

local function failed(name, fn, args, e)
   if core.is_error(e) then
      if OF_ARGUMENTS[e.code] and not e.file then e.message = named(name, fn, args, e.message) end
      error(e, 0)
   end
   local ours = type(e) == "string" and (e:find(OURS) or e:find("^attempt to ") or e:find("^bad argument "))
   if not ours then error(e, 0) end
   errors.throwf("arg", "%s: %s", name, explain(fn, args) or (e:gsub(OURS, "")))
end

local function answer(name, fn, args, ok, ...)
   if ok then return ... end
   failed(name, fn, args, (...))
end

--- The function with a guard around it. Functions of C check their arguments themselves.
-- @tparam string name
-- @tparam function fn
-- @tparam[opt] boolean of_model it is a method of models, and its first argument must be one
function guard.wrap(name, fn, of_model)
   if type(fn) ~= "function" or originals[fn] or HAVE_CALLBACKS[name] or debug.getinfo(fn, "S").what ~= "Lua" then
      return fn
   end
   local names, key = guarded[fn] or {}, (of_model and "m:" or "") .. name
   guarded[fn] = names
   if not names[key] then
      local function found(...)
         if of_model and debug.getmetatable((...)) ~= core.model_meta then
            errors.throwf("arg", "%s: it is a method of a model, not of %s", name, shown((...)))
         end
         return answer(name, fn, table.pack(...), pcall(fn, ...))
      end
      names[key], originals[found] = found, fn
   end
   return names[key]
end

return guard
