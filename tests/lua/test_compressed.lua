--- Compressed files: st.compress, st.decompress, st.verify; saves to .zst; where a name is looked for.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

-- A file with a float and an integer tensor, the first of this many elements; its path.
local function put(path, n, value)
   local folder = path:match("^(.*)/")
   if folder then support.shell("mkdir -p @/" .. folder) end
   local w = st.full({ n or 1000 }, value or 1.5, { dtype = "BF16" })
   st.model { { "w", w }, { "i", st.tensor { 1, 2, 3 } } }:save(support.path(path), { sync = false })
   return support.path(path)
end

local function value(path, opts) return st.open(support.path(path), opts).w:values(1, 1)[1] end

local QUICK = { sync = false }

function suite.test_both_ways()
   local path = put("a.safetensors")
   local to, bytes = st.compress(path, QUICK)
   lu.assertEquals(to, path .. ".zst")
   lu.assertEquals(bytes, #support.read(to))
   local m = st.open(to)
   local file = m:files()[1]
   lu.assertEquals(file.size, #support.read(path))
   lu.assertEquals({ file.compression, file.stored, file.seeks }, { "zstd", bytes, true })
   lu.assertNil(st.open(path):files()[1].compression)
   lu.assertEquals(m:file_sha256(1), st.open(path):file_sha256(1))
   lu.assertEquals(support.values(m.w), support.values(st.open(path).w))
   local back = st.decompress(to, { output = support.path("back.safetensors"), sync = false })
   lu.assertEquals(support.read(back), support.read(path))
   support.raises("exists", "a.safetensors.zst", st.compress, path)
   support.raises("exists", "a.safetensors", st.decompress, to)
   support.raises("exists", "a.safetensors.zst", st.compress, path, { output = to, replace = false })
   support.raises("arg", "compressed already", st.compress, to, { output = support.path("b.zst") })
   support.raises("arg", "not compressed", st.decompress, path, { output = support.path("b") })
   support.raises("arg", "end in .zst", st.compress, path, { output = support.path("b") })
   support.raises("arg", "for what is compressed", st.decompress, to, { output = support.path("b.zst") })
   support.raises("arg", "give an output", st.decompress, path)
   support.raises("arg", "replaced by itself", st.decompress, to, { output = to })
   support.raises("arg", 'did you mean "output"', st.compress, path, { outptu = "x.zst" })
   support.raises("io", "nowhere", st.compress, support.path("nowhere.safetensors"))
   lu.assertEquals(support.read(path), support.read(back))
end

function suite.test_saves()
   local m = st.open(put("a.safetensors", 500000))
   local plain = m:cast("F16"):save(support.path("plain.safetensors"), QUICK)
   local bytes, stored = m:cast("F16"):save(support.path("m.safetensors.zst"), QUICK)
   lu.assertEquals(bytes, plain)
   lu.assertEquals(stored, #support.read(support.path("m.safetensors.zst")))
   lu.assertTrue(stored < bytes / 100)
   local back = st.decompress(support.path("m.safetensors.zst"), QUICK)
   lu.assertEquals(support.read(back), support.read(support.path("plain.safetensors")))
   local function save(path, opts) return m:save(support.path(path), opts) end
   support.raises("arg", { 'compress = "lz4" is not known', '"zstd" or "none"' }, save, "x.zst", { compress = "lz4" })
   support.raises("arg", 'compress = ""', save, "x.zst", { compress = "" })
   support.raises("arg", "must be a string", save, "x.zst", { compress = true })
   support.raises("arg", "end in .zst", save, "x.safetensors", { compress = "zstd" })
   support.raises("arg", "is for what is compressed", save, "x.zst", { compress = "none" })
   support.raises("arg", "cannot be resumed", save, "x.zst", { resume = true })
   -- What reading refuses is not written: 40 MB of one letter, which compress to nothing.
   support.raises("limit", "says next to nothing", save, "x.zst", { metadata = { x = ("x"):rep(40 << 20) } })
   lu.assertNil(io.open(support.path("x.zst")))
   lu.assertEquals(select("#", save("y.safetensors", { compress = "none", sync = false })), 1)
   -- In one pass with a plain one, and from a compressed input.
   local two = st.open(support.path("m.safetensors.zst"))
   st.save_all({ { 0.5 * two, support.path("p.safetensors") }, { 0.5 * two, support.path("q.safetensors.zst") } },
      { sync = false, recipe = false })
   lu.assertEquals(support.read(st.decompress(support.path("q.safetensors.zst"), QUICK)),
      support.read(support.path("p.safetensors")))
end

function suite.test_shards()
   local m = st.model {}
   for i = 1, 6 do m:add("t" .. i, st.full({ 1000 }, i, { dtype = "F32" })) end
   local folder = support.path("shards")
   m:save(folder, { max_shard_size = 9000, compress = "zstd", sync = false })
   lu.assertEquals(#st.open(folder), 6)
   lu.assertEquals(st.open(folder):files()[3].path, folder .. "/model-00003-of-00003.safetensors.zst")
   lu.assertEquals(st.open(folder).t5:values(1, 1)[1], 5.0)
   local v = st.verify(folder)
   lu.assertTrue(v.ok)
   lu.assertEquals(#v.files, 3)
   -- A shard that is missing, or damaged, is told with the others.
   os.remove(folder .. "/model-00001-of-00003.safetensors.zst")
   local path = folder .. "/model-00002-of-00003.safetensors.zst"
   local bytes = support.read(path)
   support.write(path, bytes:sub(1, -60) .. "?" .. bytes:sub(-58))
   v = st.verify(folder)
   lu.assertFalse(v.ok)
   lu.assertStrContains(v.files[1].damaged[1].message, "not there")
   lu.assertTrue(v.files[2].total >= 1)
   lu.assertEquals(v.files[3].total, 0)
   -- Plain shards replace compressed ones, and none of these stay.
   m:save(folder, { max_shard_size = 1e6 // 1, force = true, sync = false })
   lu.assertEquals(#st.open(folder):files(), 1)
   lu.assertFalse((pcall(support.read, path)))
end

function suite.test_where_names_are_looked_for()
   st.compress(put("one/x.safetensors", 10, 1), { sync = false })
   lu.assertEquals(value("one"), 1)      -- the original and what was made of it are one model
   os.remove(support.path("one/x.safetensors"))
   lu.assertEquals(value("one"), 1)
   st.compress(put("named/model.safetensors", 10, 2), { sync = false })
   os.remove(support.path("named/model.safetensors"))
   put("named/other.safetensors", 10, 3)
   lu.assertEquals(value("named"), 2)
   st.compress(put("unet/diffusion_pytorch_model.fp16.safetensors", 10, 4), { sync = false })
   os.remove(support.path("unet/diffusion_pytorch_model.fp16.safetensors"))
   lu.assertEquals(value("unet", { variant = "fp16" }), 4)
   put("two/a.safetensors")
   st.compress(put("two/b.safetensors"), { sync = false })
   support.raises("io", "which of these is the model? a.safetensors, b.safetensors (", st.open, support.path("two"))
   local text = require "stlua.text"
   lu.assertEquals(text.stem("x/model.safetensors.zst"), "model")
   lu.assertTrue(text.is_weights("a.safetensors.zst") and not text.is_weights("a.zst"))
   -- By its first bytes, whatever the name.
   os.rename(support.path("one/x.safetensors.zst"), support.path("one/odd.name"))
   lu.assertEquals(value("one/odd.name"), 1)
end

function suite.test_verify()
   local path = put("v.safetensors")
   local v = st.verify(path)
   lu.assertEquals({ v.ok, v.nan, v.inf, #v.files, v.files[1].total, v.files[1].checked }, { true, 0, 0, 1, 0, false })
   local packed = st.compress(path, QUICK)
   v = st.verify(packed)
   lu.assertEquals({ v.ok, v.files[1].compression, v.files[1].checked }, { true, "zstd", true })
   lu.assertStrContains(tostring(v), "all its bytes have the right checksums")
   local bytes = support.read(packed)
   -- One byte of the last frame's checksum, in front of a table of two frames.
   local at = #bytes - 8 - 2 * 12 - 9
   support.write(packed, bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 1) .. bytes:sub(at + 1))
   v = st.verify(packed)
   lu.assertFalse(v.ok)
   lu.assertEquals({ v.files[1].total, v.files[1].damaged[1].tensor }, { 1, "i" })
   lu.assertStrContains(tostring(v), "damaged in 1 place")
   support.raises("io", "no such file", st.verify, support.path("nowhere"))
   support.raises("arg", "unknown option", st.verify, path, { vaules = false })
   st.model { { "a", st.tensor({ 1, 0 / 0, 1 / 0, -1 / 0 }) }, { "b", st.tensor { 1 } }, { "c", st.zeros(0) } }
      :save(path, QUICK)
   v = st.verify(path)
   lu.assertEquals({ v.ok, v.nan, v.inf, v.values[1].name, #v.values }, { true, 1, 2, "a", 1 })
   lu.assertEquals(#st.verify(path, { values = false }).values, 0)
   support.write(path, "not a model")
   lu.assertFalse(st.verify(path).ok)
end

-- An index that is wrong, though its shards are whole.
function suite.test_verify_an_index()
   put("x/one.safetensors", 10)
   local index = support.path("x/model.safetensors.index.json")
   support.write(index, '{"weight_map":{"w":"one.safetensors","i":"one.safetensors","z":"one.safetensors"}}')
   local v = st.verify(index)
   lu.assertFalse(v.ok)
   lu.assertStrContains(v.problems[1], '"z"')
   support.write(index, '{"weight_map":{"w":"../a.safetensors","i":"/etc/passwd"}}')
   lu.assertEquals(#st.verify(index).problems, 2)
   support.write(index, '{"weight_map":{}}')      -- nothing is damaged, but nothing was there to be looked at
   lu.assertFalse(st.verify(index).ok)
   lu.assertStrContains(tostring(st.verify(support.path("x"))), "index.json: the index lists no tensor")
   support.write(index, "[]")
   lu.assertStrContains(st.verify(index).problems[1], "no index")
end

function suite.test_what_zstd_makes()
   if not os.execute("zstd --version >/dev/null 2>&1") then lu.skip("zstd is not installed") end
   local path = put("z.safetensors", 6000000)
   support.shell("zstd -q -1 @/z.safetensors -o @/z.zst")
   local m = st.open(support.path("z.zst"))
   lu.assertFalse(m:files()[1].seeks)
   lu.assertEquals(m.w:values(6000000, 1), { 1.5 })
   lu.assertEquals(m.w:values(1, 2), { 1.5, 1.5 })      -- backwards
   lu.assertEquals(m:file_sha256(1), st.open(path):file_sha256(1))
   local to = st.compress(support.path("z.zst"), { output = support.path("own.zst"), sync = false })
   lu.assertTrue(st.open(to):files()[1].seeks)
   support.shell("zstd -q -t @/own.zst && zstd -q -dc @/own.zst | cmp - @/z.safetensors")
end

-- Frames that fit the decoder's room whole, and reads of the oldest bytes that are kept.
function suite.test_small_frames_read_again()
   if not os.execute("zstd --version >/dev/null 2>&1") then lu.skip("zstd is not installed") end
   local path, kept, n = support.path("f.safetensors"), 4 << 20, 7 << 20      -- elements
   st.model({ { "w", (st.randn(n, { seed = 1 }) * 0.02):cast "BF16" } }):save(path, { recipe = false, sync = false })
   support.shell("cd @ && split -b 100000 f.safetensors piece. && zstd -q -1 -c piece.* > f.zst && rm piece.* "
      .. "&& zstd -q -dc f.zst | cmp - f.safetensors")
   local plain, start = st.open(path).w, #support.read(path) - 2 * n
   lu.assertFalse(st.open(support.path("f.zst")):files()[1].seeks)
   for frame = 100, 115 do
      local w, after = st.open(support.path("f.zst")).w, (frame * 100000 - start) // 2
      lu.assertEquals(w:values(after, 1), plain:values(after, 1))
      lu.assertTrue(w:narrow(1, after + 1 - kept, 5000):identical(plain:narrow(1, after + 1 - kept, 5000)), frame)
   end
end

support.run("compressed", suite)
