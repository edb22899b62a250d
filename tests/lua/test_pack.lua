-- Packed files from Lua: every command reads them, bases are found, unpack gives the same bytes.

local lu = require "luaunit"
local st = require "stlua"
local support = require "support"

local suite = {}

local function random(name, dtype, rows, columns)
   return (st.randn(rows, columns, { seed = 1, name = name }) * 0.02):cast(dtype)
end

local function base_model()
   return st.model {
      { "embed", random("embed", "BF16", 100, 300) }, { "norm", random("norm", "F32", 1, 300) },
      { "half", random("half", "F16", 70, 100) }, { "ids", st.arange(50) }, { "scale", st.tensor(0.5) },
   }
end

local function tuned_model(base)
   local noise = st.randn(100, 300, { seed = 2 }) * 1e-4
   return st.model {
      { "embed", (base["embed"] + noise):cast("BF16") }, { "norm", base["norm"] }, { "half", base["half"] },
      { "ids", base["ids"] }, { "scale", st.tensor(0.25) },
   }
end

local function assert_same(a, b)
   lu.assertEquals(support.names(b), support.names(a))
   for name, t in pairs(a) do
      lu.assertEquals({ name, b[name]:dtype(), b[name]:shape() }, { name, t:dtype(), t:shape() })
      lu.assertEquals(support.values(b[name]), support.values(t))
   end
end

local function saved(m, path)
   m:save(path, { recipe = false })
   return path
end

function suite.test_there_and_back()
   local plain = saved(base_model(), support.path("base.safetensors"))
   local stats = select(2, st.pack(plain))
   lu.assertEquals(stats.before, #support.read(plain))
   lu.assertEquals(stats.after, #support.read(support.path("base.packed.safetensors")))
   lu.assertEquals(stats.tensors, 5)
   lu.assertTrue(stats.after < stats.before)
   local packed = support.path("base.packed.safetensors")
   lu.assertEquals(select(2, st.unpack(packed, { output = support.path("back") })), stats.before)
   lu.assertEquals(support.read(support.path("back")), support.read(plain))
end

-- Neither way may write over the base: nothing packed against it could be read again.
function suite.test_the_base_is_not_replaced()
   local base = saved(base_model(), support.path("base.safetensors"))
   local tuned = saved(tuned_model(base_model()), support.path("tuned.safetensors"))
   local packed, before = support.path("tuned.packed.safetensors"), support.read(base)
   support.raises("arg", "is the base", st.pack, tuned, { base = base, output = base })
   st.pack(tuned, { base = base })
   support.raises("arg", "is the base", st.unpack, packed, { output = base })
   support.raises("arg", "is the base", st.unpack, packed, { output = base, base = base })
   lu.assertEquals(support.read(base), before)
   -- Its base is found by who reads the packed file, which is not opened a second time for that.
   local open = require "stlua.open"
   local whole = open.open
   open.open = function() error("opened twice") end
   local ok, to = pcall(st.unpack, packed, { output = support.path("again") })
   open.open = whole
   lu.assertTrue(ok, to)
   lu.assertEquals(support.read(to), support.read(tuned))
end

function suite.test_a_packed_file_is_a_model_like_any()
   local plain = saved(base_model(), support.path("base.safetensors"))
   st.pack(plain, { output = support.path("p.safetensors") })
   local a, b = st.open(plain), st.open(support.path("p.safetensors"))
   assert_same(a, b)
   st.lerp(a, b, 0.3):save(support.path("m.safetensors"), { recipe = false })
   assert_same(a, st.open(support.path("m.safetensors")))
   lu.assertEquals(b:files()[1].stored, #support.read(support.path("p.safetensors")))
   lu.assertNil(a:files()[1].packed)
end

function suite.test_a_base_beside_the_file_or_named()
   local base = base_model()
   local plain = saved(base, support.path("base.safetensors"))
   local tuned = saved(tuned_model(base), support.path("tuned.safetensors"))
   local _, stats = st.pack(tuned, { output = support.path("t.safetensors"), base = plain })
   lu.assertEquals({ stats.as_base, stats.deltas }, { 3, 1 })
   lu.assertEquals(#stats.base_sha256, 64)
   lu.assertTrue(stats.after < stats.before / 3)
   assert_same(st.open(tuned), st.open(support.path("t.safetensors")))

   assert(os.rename(plain, support.path("elsewhere")))
   local m = st.open(support.path("t.safetensors"))
   local packed = m:files()[1].packed
   lu.assertEquals({ packed.base, packed.has_base, packed.base_sha256 },
      { "base.safetensors", false, stats.base_sha256 })
   lu.assertEquals(m["scale"]:item(), 0.25)      -- what needs no base can be read
   support.raises("io", "it is packed as the difference to base.safetensors, which is not there",
      function() return m["embed"]:sum():item() end)
   st.unpack(support.path("t.safetensors"), { output = support.path("back"), base = support.path("elsewhere") })
   lu.assertEquals(support.read(support.path("back")), support.read(tuned))
   support.raises("arg", "is not the base", st.unpack, support.path("t.safetensors"),
      { output = support.path("wrong"), base = tuned })
   lu.assertNil(io.open(support.path("wrong")))
end

function suite.test_verify()
   local base = base_model()
   local plain = saved(base, support.path("base.safetensors"))
   local tuned = saved(tuned_model(base), support.path("tuned.safetensors"))
   local to = st.pack(tuned, { output = support.path("v.safetensors"), base = plain })
   local good = st.verify(to)
   lu.assertEquals({ good.ok, good.files[1].compression, good.files[1].checked }, { true, "pack", true })
   local bytes = support.read(to)
   support.write(to, bytes:sub(1, -200) .. string.char(bytes:byte(-199) ~ 1) .. bytes:sub(-198))
   local bad = st.verify(to)
   lu.assertFalse(bad.ok)
   lu.assertEquals(bad.files[1].total, 1)
   support.write(to, (bytes:gsub('(base_sha256":")(.)', function(key, digit)      -- nobody would miss it
      return key .. (digit == "0" and "1" or "0")
   end)))
   lu.assertStrContains(tostring(st.verify(to)), "its header does not have the checksum")
end

function suite.test_misuse()
   local plain = saved(base_model(), support.path("base.safetensors"))
   support.raises("arg", "st.pack: expected the name of a file", st.pack)
   support.raises("arg", "st.pack: unknown option \"bas\"; did you mean \"base\"", st.pack, plain, { bas = "y" })
   support.raises("io", "no such file", st.pack, support.path("nothing"))
   st.pack(plain, { output = support.path("there") })
   support.raises("exists", "exists already", st.pack, plain, { output = support.path("there"), replace = false })
   support.raises("arg", "would be replaced by itself", st.pack, plain, { output = plain })
   support.raises("arg", "it is not compressed", st.unpack, plain, { output = support.path("copy") })
end

support.run("pack", suite)
