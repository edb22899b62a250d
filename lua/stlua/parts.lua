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

local put_off = {}     -- { table, name, function that gives the real one }

-- Puts a function into a table that finds the real one, gives it its place, and goes on there.
local function stub(t, name, find)
   local function first(...)
      t[name] = guard.wrap(name, find(), t == parts.tables.Model)
      guard_methods()
      assert(t[name] ~= first, "names.lua is out of date: run `make docs`")
      return t[name](...)
   end
   t[name] = first
   put_off[#put_off + 1] = { t, name, find }
end

--- Puts one function of a part off: later(st, "map", "stlua.map") stands for require("stlua.map").map.
-- @tparam table t
-- @tparam string name there
-- @tparam string module
-- @tparam[opt] string field its name in the module, if it is another
function parts.later(t, name, module, field)
   stub(t, name, function() return require(module)[field or name] end)
end

local core_methods = {}     -- table -> name -> the core's own, where a part has another

--- The core's own method, for the part that builds another of that name on it.
function parts.core_method(t, name)
   return core_methods[t] and core_methods[t][name] or rawget(t, name)
end

local function put_method_off(t, name, module)
   core_methods[t] = core_methods[t] or {}
   core_methods[t][name] = rawget(t, name)
   stub(t, name, function()
      require(module)     -- writes to the table itself
      return t[name]
   end)
end

--- Gives `st` the functions of all parts and the tables their methods, none of them loaded yet.
function parts.install(st)
   local all = require "stlua.names"
   for _, part in ipairs(parts.list) do
      local module, names = part[1], all[part[1]] or {}
      for _, name in ipairs(names.st or {}) do parts.later(st, name, module) end
      for key, t in pairs(package.loaded[module] and {} or parts.tables) do
         for _, name in ipairs(names[key] or {}) do put_method_off(t, name, module) end
      end
   end
   guard_methods()
end

--- Loads everything, for those who look at functions instead of calling them.
function parts.load_all()
   for _, entry in ipairs(put_off) do
      local t, name, find = table.unpack(entry)
      t[name] = guard.wrap(name, find(), t == parts.tables.Model)
   end
   guard_methods()
   put_off = {}
end

return parts
