--- The library in parts, each loaded when one of its names is first used: to read all of it takes longer than what
-- `stlua info` does. Which part has which name stands in names.lua, which `make docs` writes.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local guard = require "stlua.guard"

local parts = {}

--- All parts, those first on which others build. Those marked `all` give every function of theirs to the module
-- stlua; others have their names there in init.lua.
parts.list = {
   { "stlua.ops", all = true }, { "stlua.map" }, { "stlua.save" }, { "stlua.model" }, { "stlua.print" },
   { "stlua.elementwise", all = true }, { "stlua.shape", all = true }, { "stlua.inplace" },
   { "stlua.make", all = true }, { "stlua.reduce", all = true }, { "stlua.linalg", all = true },
   { "stlua.einsum", all = true }, { "stlua.fourier", all = true }, { "stlua.pick", all = true }, { "stlua.casts" },
   { "stlua.random", all = true }, { "stlua.npy" }, { "stlua.stats" }, { "stlua.differences" }, { "stlua.hist" },
   { "stlua.unmixing" }, { "stlua.pruning" }, { "stlua.dequantize" }, { "stlua.merging" }, { "stlua.blocks" },
   { "stlua.mergekit" }, { "stlua.rebasin" },
}

--- The tables that parts write their functions to.
parts.tables = {
   Tensor = core.Tensor, Model = core.Model, tensor_meta = core.tensor_meta, model_meta = core.model_meta,
}

local methods = {}     -- of those: table -> true
for _, t in pairs(parts.tables) do methods[t] = true end

local guarded = {}     -- module -> true

-- Puts guards around the methods that loaded parts have written to their tables.
local function guard_methods()
   for module, names in pairs(require "stlua.names") do
      if package.loaded[module] and not guarded[module] then
         guarded[module] = true
         for _, key in ipairs { "Tensor", "Model" } do
            local t = parts.tables[key]
            for _, name in ipairs(names[key] or {}) do t[name] = guard.wrap(name, rawget(t, name), key == "Model") end
         end
      end
   end
end

local put_off = {}     -- { table, names, module, field }

-- Puts the real function in a stub's place.
local function settle(t, name, module, field, stub)
   local part = require(module)     -- writes methods to their table itself
   local real = methods[t] and t[name] or part[field or name]
   assert(real and real ~= stub, "names.lua is out of date: run `make docs`")
   t[name] = guard.wrap(name, real, t == parts.tables.Model)
end

-- Puts stubs into a table, which find the real functions, give them their places, and go on there.
local function put_names_off(t, names, module, field)
   put_off[#put_off + 1] = { t, names, module, field }
   for i = 1, #names do
      local name = names[i]
      local function stub(...)
         settle(t, name, module, field, stub)
         guard_methods()
         return t[name](...)
      end
      t[name] = stub
   end
end

--- Puts one function of a part off: later(st, "map", "stlua.map") stands for require("stlua.map").map.
-- @tparam table t
-- @tparam string name there
-- @tparam string module
-- @tparam[opt] string field its name in the module, if it is another
function parts.later(t, name, module, field) put_names_off(t, { name }, module, field) end

local core_methods = {}     -- table -> name -> the core's own, where a part has another

--- The core's own method, for the part that builds another of that name on it.
function parts.core_method(t, name)
   return core_methods[t] and core_methods[t][name] or rawget(t, name)
end

-- The core's own of these names are set aside.
local function put_methods_off(t, names, module)
   local own = core_methods[t] or {}
   core_methods[t] = own
   for i = 1, #names do own[names[i]] = rawget(t, names[i]) end
   put_names_off(t, names, module)
end

--- Gives `st` the functions of all parts and the tables their methods, none of them loaded yet.
function parts.install(st)
   local all = require "stlua.names"
   for _, part in ipairs(parts.list) do
      local module, names = part[1], all[part[1]] or {}
      put_names_off(st, names.st or {}, module)
      for key, t in pairs(package.loaded[module] and {} or parts.tables) do
         put_methods_off(t, names[key] or {}, module)
      end
   end
   guard_methods()
end

--- Loads everything, for those who look at functions instead of calling them.
function parts.load_all()
   for _, entry in ipairs(put_off) do
      local t, names, module, field = table.unpack(entry)
      for _, name in ipairs(names) do settle(t, name, module, field) end
   end
   guard_methods()
   put_off = {}
end

return parts
