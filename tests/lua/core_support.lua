--- What the tests of stlua.core share.
local lu = require "luaunit"
local core = require "stlua.core"

local support = { lu = lu, core = core }

--- Calls f(...), which must throw an error object of this code, whose message holds `part`; returns the object.
function support.fails(code, part, f, ...)
   local ok, e = pcall(f, ...)
   lu.assertFalse(ok, "no error where '" .. part .. "' was expected")
   lu.assertTrue(core.is_error(e), "not an error object: " .. tostring(e))
   lu.assertEquals(e.code, code, e.message)
   lu.assertStrContains(e.message, part)
   lu.assertEquals(tostring(e), e.message)
   return e
end

--- The functions of a table that are written in C, by name: stlua itself adds others in Lua.
function support.c_functions(t)
   local found = {}
   for name, f in pairs(t) do
      if type(f) == "function" and debug.getinfo(f, "S").what == "C" then found[name] = f end
   end
   return found
end

--- An F32 tensor of the given shape from a flat list.
function support.f32(shape, values)
   return core.tensor("F32", shape, string.pack("<" .. ("f"):rep(#values), table.unpack(values)))
end

function support.i64(shape, values)
   return core.tensor("I64", shape, string.pack("<" .. ("i8"):rep(#values), table.unpack(values)))
end

--- A new folder below $TMPDIR; it is removed when the tests end.
local folders = {}
function support.folder()
   local name = os.tmpname()
   os.remove(name)
   name = (os.getenv("TMPDIR") or "/tmp") .. "/" .. name:match("[^/]+$")
   assert(os.execute("mkdir '" .. name .. "'"))
   folders[#folders + 1] = name
   return name
end

--- A model of three tensors with metadata, saved; gives its path.
function support.sample(folder)
   local m = core.model()
   m:add("b.weight", support.f32({ 2, 3 }, { 1, 2, 3, 4, 5, 6 }))
   m:add("a.bias", support.f32({ 3 }, { 0.5, -0.5, 0 }))
   m:add("ids", support.i64({ 2 }, { 7, -8 }))
   m:set_meta("format", "pt")
   m:set_meta("note", "hé\n")
   local path = folder .. "/sample.safetensors"
   core.save { { model = m, path = path } }
   return path
end

function support.read(path)
   local f = assert(io.open(path, "rb"))
   local s = f:read "a"
   f:close()
   return s
end

--- Runs a table of tests and ends the process; to be called last.
function support.run(name, suite)
   local code = lu.LuaUnit.new():runSuiteByInstances { { name, suite } }
   for _, folder in ipairs(folders) do os.execute("rm -rf '" .. folder .. "'") end
   os.exit(code, true)
end

return support
