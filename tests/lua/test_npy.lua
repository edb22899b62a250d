--- .npy and .npz: round trips, files as NumPy writes them, and files that lie.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

local function path(name) return support.path(name or "x.npy") end

local function roundtrip(t, opts, back)
   st.npy.save(path(), t, opts)
   return st.npy.load(path(), back)
end

-- A .npy file of this header and data.
local function file(dict, data, version, length)
   local pack = (version or 1) == 1 and "<I2" or "<I4"
   support.write(path(),
      "\x93NUMPY" .. string.char(version or 1, 0) .. string.pack(pack, length or #dict) .. dict .. data)
   return path()
end

local function dict(descr, order, shape)
   return ("{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }\n"):format(descr, order or "False", shape or "2,")
end

function suite.test_round_trips()
   for _, name in ipairs { "BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F16", "F32", "F64" } do
      local t = st.tensor({ { 1, 0, 1 }, { 0, 1, 1 } }, { dtype = name })
      lu.assertTrue(roundtrip(t):identical(t), name)
   end
   for _, shape in ipairs { {}, { 0 }, { 3 }, { 2, 0, 3 }, { 1, 2, 3, 4 } } do
      local t = st.ones(shape):clone()
      lu.assertTrue(roundtrip(t):identical(t))
   end
   lu.assertTrue(roundtrip(st.arange(6):view(2, 3):t()):identical(st.tensor { { 0, 3 }, { 1, 4 }, { 2, 5 } }))
   local half = st.tensor({ 1.5, -2 }, { dtype = "BF16" })
   lu.assertEquals(roundtrip(half):dtype(), "F32")
   lu.assertEquals(roundtrip(half):values(), { 1.5, -2 })
   lu.assertEquals(roundtrip(half, { raw = true }):dtype(), "U16")
   lu.assertTrue(roundtrip(half, { raw = true }, { dtype = "BF16" }):identical(half))
   local eight = half:cast("F8_E4M3"):clone()
   lu.assertTrue(roundtrip(eight, { raw = true }, { dtype = "F8_E4M3" }):identical(eight))
   support.raises("dtype", "NumPy has no type for F8_E8M0", st.npy.save, path(),
      st.from_string("x", { dtype = "F8_E8M0" }))
end

function suite.test_orders_versions_and_types()
   local data = string.pack("<i2i2i2i2i2i2", 1, 2, 3, 4, 5, 6)
   lu.assertEquals(st.npy.load(file(dict("<i2", "True", "2, 3"), data)):totable(), { { 1, 3, 5 }, { 2, 4, 6 } })
   lu.assertEquals(st.npy.load(file(dict("<i2", "False", "2, 3"), data, 2)):totable(), { { 1, 2, 3 }, { 4, 5, 6 } })
   lu.assertEquals(st.npy.load(file(dict("<i2", "False", "6L,"), data, 3)):values(), { 1, 2, 3, 4, 5, 6 })
   lu.assertEquals(st.npy.load(file(dict(">i2"), string.pack(">i2i2", 258, -3))):values(), { 258, -3 })
   lu.assertEquals(st.npy.load(file(dict(">c8", "False", "1,"), string.pack(">ff", 1, 2))):bytes(),
      string.pack("<ff", 1, 2))
   lu.assertEquals(st.npy.load(file(dict("|V2"), "\x80\x3f\x00\x40"), { dtype = "BF16" }):values(), { 1, 2 })
   support.raises("dtype", '{ dtype = "BF16" }', st.npy.load, file(dict("|V2"), "1234"))
   support.raises("dtype", 'NumPy\'s type "<U4"', st.npy.load, file(dict("<U4"), ("x"):rep(32)))
   support.raises("dtype", "NumPy's type", st.npy.load, file(dict("<c16"), ("x"):rep(32)))
   local fields = "{'descr': [('a)', '<f4'), ('b', [('c', '|u1', (2,))])], 'fortran_order': False, 'shape': (1,), }\n"
   support.raises("dtype", "a structured array is no tensor", st.npy.load, file(fields, "123456"))
   for _, cut in ipairs { "[('a", "[('a', '<f4')", "[", "[[[[" } do
      support.raises("format", "names no type", st.npy.load, file("{'descr': " .. cut, "1234"))
   end
end

function suite.test_files_that_lie()
   local cases = {
      { "", "does not begin" }, { "\x93NUMPX\1\0\0\0", "does not begin" }, { "\x93NUMPY\4\0\0\0", "version 4" },
      { "\x93NUMPY\1\0\255\255", "a header of 65535 bytes" }, { "\x93NUMPY\2\0\255\255", "ends in its header" },
      { "\x93NUMPY\2\0\255\255\255\255", "a header of 4294967295 bytes" }, { "\x93NUMPY\1\0\0\0", "names no type" },
   }
   for _, case in ipairs(cases) do
      support.write(path(), case[1])
      support.raises("format", case[2], st.npy.load, path())
   end
   local big = "9223372036854775807"
   for _, shape in ipairs { "3,", "2, 2", big .. ",", big .. ", " .. big, "99999999999, 99999999999",
      "4611686018427387904, 4" } do
      support.raises("format", "more than the 16 bytes", st.npy.load, file(dict("<f8", "False", shape), ("x"):rep(16)))
   end
   support.raises("format", "a size of", st.npy.load, file(dict("<f8", "False", "99999999999999999999,"), "x"))
   support.raises("format", "lacks the shape", st.npy.load, file("{'descr': '<f4', 'fortran_order': False}", "x"))
   support.raises("format", "lacks the shape", st.npy.load, file(dict("<f4", "Maybe"), "x"))
   support.raises("format", "lacks the shape", st.npy.load, file("{'descr': [('a', '<f4')], 'shape': (1,)}", "xxxx"))
   lu.assertFalse((pcall(st.npy.load, file(dict("<f4", "False", ("1, "):rep(65)), "xxxx"))))
   lu.assertFalse((pcall(st.npy.load, file(dict("<f4", "False", "1099511627776, 1099511627776, 0"), ""))))
   support.raises("io", "cannot open", st.npy.load, path("none.npy"))
end

local function archive()
   local model = st.model { { "b", st.tensor { 1, 2, 3 } }, { "a/é", st.tensor { { 0.5 } } } }
   st.npy.save(path("x.npz"), model)
   return support.read(path("x.npz"))
end

function suite.test_archives()
   archive()
   local back = st.npy.load(path("x.npz"))
   lu.assertEquals(support.names(back), "b a/é")
   lu.assertEquals(back.b:values(), { 1, 2, 3 })
   st.npy.save(path("x.npz"), { z = st.ones(1), y = st.zeros(2) })
   lu.assertEquals(support.names(st.npy.load(path("x.npz"))), "y z")
   st.npy.save(path("x.npz"), {})
   lu.assertEquals(#st.npy.load(path("x.npz")), 0)
   support.raises("arg", "names and tensors", st.npy.save, path("x.npz"), { 1 })
   support.raises("arg", "a tensor, a model or a table", st.npy.save, path("x.npz"), 1)
end

-- Every byte of an archive changed, and every length cut: an error of ours, or what was written. Comments, times and
-- attributes may be anything.
function suite.test_broken_archives()
   local good = archive()
   local refused = 0
   local function try(bytes)
      support.write(path("bad.npz"), bytes)
      local ok, e = pcall(st.npy.load, path("bad.npz"))
      if not ok then
         refused = refused + 1
         lu.assertTrue(require("stlua.core").is_error(e), tostring(e))
      end
   end
   for i = 1, #good do
      for _, bits in ipairs { 0x01, 0x80, 0xff } do
         try(good:sub(1, i - 1) .. string.char(good:byte(i) ~ bits) .. good:sub(i + 1))
      end
   end
   for n = 0, #good - 1 do try(good:sub(1, n)) end
   lu.assertTrue(refused > #good * 2, refused .. " refused")
   support.raises("format", { '"b.npy"', "wrong checksum" }, function()
      support.write(path("bad.npz"), (good:gsub("\1\0\0\0\0\0\0\0\2", "\1\0\0\0\0\0\0\0\3")))
      st.npy.load(path("bad.npz"))
   end)
end

function suite.test_a_failure_leaves_the_target()
   st.npy.save(path("keep.npy"), st.ones(2))
   local before = support.read(path("keep.npy"))
   lu.assertFalse((pcall(st.npy.save, path("keep.npy"), st.from_string("x", { dtype = "F8_E8M0" }))))
   lu.assertEquals(support.read(path("keep.npy")), before)
   lu.assertNil(io.open(path("keep.npy.part")))
   support.raises("io", "does not exist", st.npy.save, path("no/such/folder.npy"), st.ones(1))
   support.raises("exists", "keep.npy", st.npy.save, path("keep.npy"), st.ones(1), { replace = false })
   st.npy.save(path("keep.npy"), st.zeros(1), { sync = false })
   lu.assertEquals(st.npy.load(path("keep.npy")):values(), { 0 })
end

support.run("npy", suite)
