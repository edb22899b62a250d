--- What the Lua tests share: tiny models, a scratch folder, checks of errors, the program.
-- A test file ends in `support.run("area", suite)`.

-- Run by hand from the root, without the paths that tests/run sets.
package.path = package.path .. ";./lua/?.lua;./lua/?/init.lua"
package.cpath = package.cpath .. ";./lua/?.so"

local lu = require "luaunit"
local st = require "stlua"

local support = {}

local scratch

--- A path in a folder of this test program alone.
function support.path(name)
   if not scratch then
      local pipe = assert(io.popen("mktemp -d"))
      scratch = pipe:read("l")
      pipe:close()
   end
   return scratch .. "/" .. name
end

--- Runs a shell command that must succeed; "@" stands for the scratch folder.
function support.shell(command)
   support.path("")
   assert(os.execute((command:gsub("@", scratch))))
end

local FORMATS = {
   F64 = "<d", F32 = "<f", I64 = "<i8", I32 = "<i4", I16 = "<i2", I8 = "<i1", U8 = "<I1", U16 = "<I2", U32 = "<I4",
   U64 = "<I8", BOOL = "<I1",
}

--- A tensor of these values; other dtypes than those of string.pack by a cast from F32.
function support.tensor(dtype, shape, values)
   local format, parts = FORMATS[dtype] or "<f", {}
   for i, v in ipairs(values) do parts[i] = format:pack(v) end
   local t = st.from_bytes(FORMATS[dtype] and dtype or "F32", shape, table.concat(parts))
   return FORMATS[dtype] and t or t:cast(dtype)
end

--- Saves { { name, dtype, shape, values }, ... } and opens what was written.
function support.model(file, list, metadata)
   local entries = {}
   for i, e in ipairs(list) do entries[i] = { e[1], support.tensor(e[2], e[3], e[4]) } end
   local path = support.path(file)
   st.model(entries, metadata):save(path, { sync = false })
   return st.open(path), path
end

--- Names of a model in its order, joined by blanks.
function support.names(m)
   local names = {}
   for name in pairs(m) do names[#names + 1] = name end
   return table.concat(names, " ")
end

--- All values of a tensor as the file would hold them.
function support.values(t)
   return t:values(1, t:numel())
end

--- The bytes of a file.
function support.read(path)
   local f = assert(io.open(path, "rb"))
   local s = f:read("a")
   f:close()
   return s
end

function support.write(path, s)
   local f = assert(io.open(path, "wb"))
   assert(f:write(s))
   assert(f:close())
end

--- `fn` must throw an error object of this code whose message holds all these texts.
function support.raises(code, texts, fn, ...)
   local ok, e = pcall(fn, ...)
   lu.assertFalse(ok, "no error")
   lu.assertEquals(type(e), "table", tostring(e))
   lu.assertEquals(e.code, code, e.message)
   for _, s in ipairs(type(texts) == "table" and texts or { texts }) do
      lu.assertStrContains(e.message, s)
   end
   lu.assertEquals(tostring(e), e.message)
   return e
end

--- Runs the program in the scratch folder: standard output, standard error, exit status.
function support.stlua(arguments)
   local program = os.getenv("STLUA") or (os.getenv("PWD") .. "/stlua")
   local out, err = support.path(".out"), support.path(".err")
   local command = ("cd '%s' && '%s' %s >'%s' 2>'%s' </dev/null"):format(scratch, program, arguments, out, err)
   local _, how, status = os.execute(command)
   return support.read(out), support.read(err), how == "exit" and status or 128 + status
end

--- Runs a suite of tests and leaves the program.
function support.run(name, suite)
   local runner = lu.LuaUnit.new()
   runner:initFromArguments(table.unpack(arg))      -- `-o tap`; luaunit 3.4 cannot pass them on itself
   local failures = runner:runSuiteByInstances({ { name, suite } })
   if scratch then os.execute(("rm -rf '%s'"):format(scratch)) end
   os.exit(failures == 0 and 0 or 1, true)
end

return support
