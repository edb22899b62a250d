--- st.meta, st.hash and what stands behind them: what is private, modelspec, pictures, the cache of hashes.
local lu = require "luaunit"
local private = require "stlua.meta.private"
local modelspec = require "stlua.meta.modelspec"
local st = require "stlua"
local support = require "support"
local thumbnail = require "stlua.meta.thumbnail"

local suite = {}

-- A file whose tensors are not in the canonical order, and its bytes behind the header.
local function file(name, metadata)
   local path = support.path(name)
   local header = st.json.encode { __metadata__ = metadata,
      b = { dtype = "U8", shape = { 5 }, data_offsets = { 0, 5 } },
      a = { dtype = "F32", shape = { 1 }, data_offsets = { 5, 9 } } }
   support.write(path, ("<I8"):pack(#header) .. header .. "hello\0\0\128\63")
   return path
end

local function data(path)
   local all = support.read(path)
   return all:sub(9 + ("<I8"):unpack(all))
end

function suite.test_changes()
   local path = file("m.safetensors", { keep = "1", gone = "2", n = "3" })
   lu.assertEquals(st.meta(path), { keep = "1", gone = "2", n = "3" })
   lu.assertEquals(st.meta(path, { gone = false, n = 7, title = "é\n\"" }), { keep = "1", n = "7", title = "é\n\"" })
   lu.assertEquals(st.meta(path), { keep = "1", n = "7", title = "é\n\"" })
   lu.assertEquals(data(path), "hello\0\0\128\63")
   lu.assertEquals(st.open(path):name(1), "b")
   lu.assertEquals(st.meta(path, {}, { unset = { "k*", "n" } }), { title = "é\n\"" })
   lu.assertEquals(st.meta(path, { title = false }), {})
   lu.assertEquals(data(path), "hello\0\0\128\63")
   support.raises("name", { 'no metadata key "titel"' }, st.meta, path, { titel = false })
   support.raises("arg", "metadata value", st.meta, path, { x = {} })
   support.raises("arg", "expected a table of changes", st.meta, path, "x")
   support.raises("arg", "in_place", st.meta, path, { x = "1" }, { in_place = true, output = "y" })
   support.raises("arg", 'unknown option "inplace"', st.meta, path, {}, { inplace = true })
   support.raises("exists", "exists already", st.meta, path, { x = "1" }, { output = path, replace = false })
end

function suite.test_legacy_hash_goes_with_ss_keys()
   local path = file("m.safetensors", { sshs_legacy_hash = "1", sshs_model_hash = "2", ss_steps = "3" })
   lu.assertEquals(st.meta(path, { title = "x" }).sshs_legacy_hash, "1")
   local left = st.meta(path, { ss_steps = "4" })
   lu.assertNil(left.sshs_legacy_hash)
   lu.assertEquals(left.sshs_model_hash, "2")      -- the data are what they were
   -- Both at once, in whatever order a table has them: what is given is kept.
   for i = 1, 20 do
      lu.assertEquals(st.meta(path, { sshs_legacy_hash = "9", ["ss_" .. i] = "1" }).sshs_legacy_hash, "9")
   end
end

function suite.test_in_place()
   local path = file("m.safetensors", { long = ("x"):rep(100) })
   local size = #support.read(path)
   st.meta(path, { long = "short", more = "1" }, { in_place = true })
   lu.assertEquals(#support.read(path), size)
   lu.assertEquals(st.meta(path), { long = "short", more = "1" })
   lu.assertEquals(data(path), "hello\0\0\128\63")
   support.raises("space", "room for", st.meta, path, { long = ("y"):rep(200) }, { in_place = true })
   local m <close> = st.open(path)
   lu.assertEquals(#m, 2)
   support.raises("arg", "open as an input of this program", st.meta, path, { more = "2" }, { in_place = true })
   st.meta(path, { more = "2" })      -- a new file of that name: the open one stays what it is
   lu.assertEquals(m:metadata().more, "1")
   lu.assertEquals(m.b:bytes(), "hello")
end

function suite.test_an_interrupted_edit_is_undone()
   local root = arg[0]:match("^(.*)tests/lua/") or ""
   local path = support.path "broken.safetensors"
   support.write(path, support.read(root .. "tests/fixtures/interrupted_edit.safetensors"))
   support.raises("format", "an edit of its metadata was interrupted", st.open, path)
   local metadata, remarks = st.meta(path)
   lu.assertEquals(metadata.note, "what it was before")
   lu.assertEquals(remarks, { "an interrupted edit was undone" })
   lu.assertEquals(st.open(path).b:bytes(), "hello")
end

-- ---------------------------------------------------------------- private things

function suite.test_what_is_private()
   local function keys(metadata)
      local out = {}
      for i, found in ipairs(private.find(metadata)) do out[i] = found.key end
      return table.concat(out, " ")
   end
   lu.assertEquals(keys { a = "/home/me/x", b = "see /Users/me/y", c = "C:\\models\\z", d = "D:/data/set/x",
      e = "\\\\server\\share\\f", f = '{"dir": "/workspace/x"}', g = "E:\\\\in\\\\json" }, "a b c d e f g")
   lu.assertEquals(keys { a = "https://host.org/home/me", b = "1/2", c = "a: b/c", d = "x/home/y", e = "http://a.b/c",
      f = "ratio 3:4/5", g = "see s3://bucket/home/x" }, "")
   lu.assertEquals(keys { a = "https://x.org/home/page and /home/alice/x", b = "s3://a and C:\\me\\x" }, "a b")
   lu.assertEquals(keys { ss_tag_frequency = "{}", ss_dataset_dirs = "{}", workflow = "{}", ss_steps = "1" },
      "ss_dataset_dirs ss_tag_frequency workflow")
   local path = file("m.safetensors", { ss_sd_model_name = "C:\\a b\\base.ckpt", comment = "by me, in /home/me/x",
      ss_tag_frequency = "{}", ss_steps = "5" })
   local left, done = st.meta(path, nil, { strip_private = true })
   lu.assertEquals(left, { ss_sd_model_name = "base.ckpt", comment = "by me, in x", ss_steps = "5" })
   lu.assertEquals(#done, 3)
   lu.assertEquals(private.find(st.meta(path)), {})
end

-- Of a text only the paths in it are shortened.
function suite.test_paths_in_text()
   for value, left in pairs {
      ["trained on photos in /home/bob/pics at high LR"] = "trained on photos in pics at high LR",
      ["/home/bob/models/base one.ckpt"] = "base one.ckpt", ["see ~/lora/x.toml."] = "see x.toml.",
      ["a (C:\\Users\\Bob Smith\\pics) b"] = "a (pics) b", ["on /Users/Bob Smith/x, y"] = "on x, y",
      ['{"dir": "/mnt/my data/set", "n": 1}'] = '{"dir": "set", "n": 1}', ["/home/a/b, /home/a/c"] = "b, c",
      ['"{\\"a\\": \\"/home/a/b\\"}"'] = '"{\\"a\\": \\"b\\"}"', ["by /home/bob, me"] = "by ~, me" } do
      local found = private.find { k = value }
      lu.assertEquals({ #found, found[1].paths, private.without_paths(value) }, { 1, true, left }, value)
      lu.assertEquals(private.find { k = left }, {})
   end
   lu.assertNil(private.without_paths("/home/bob"))
   lu.assertNil(private.without_paths(("/tmp/a, "):rep(10000)))
   lu.assertFalse(private.find({ prompt = "a photo in /home/bob/x" })[1].paths)
end

-- ---------------------------------------------------------------- modelspec

function suite.test_modelspec()
   local function problem(key, value) return modelspec.problem("modelspec." .. key, value) end
   for key, list in pairs { date = { "2024-05-31", "2024-05-31T10:20:30Z" }, resolution = { "512x768" },
      prediction_type = { "v", "epsilon" }, hash_sha256 = { "0x" .. ("a1"):rep(32) }, timestep_range = { "0,1000" },
      thumbnail = { "data:image/jpeg;base64,/9j/" }, title = { "anything" }, encoder_layer = { "2", "-2" } } do
      for _, value in ipairs(list) do lu.assertNil(problem(key, value), key) end
   end
   for key, value in pairs { date = "31.5.2024", resolution = "512", prediction_type = "eps", hash_sha256 = "0x12",
      timestep_range = "0-1000", thumbnail = "x.jpg", title = "", is_negative_embedding = "yes" } do
      lu.assertStrContains(problem(key, value), "modelspec." .. key)
   end
   lu.assertStrContains(problem("titel", "x"), 'did you mean "modelspec.title"')
   lu.assertNil(modelspec.problem("title", ""))
   lu.assertEquals(modelspec.remarks {}, {})
   local all = { ["modelspec.sai_model_spec"] = "1.0.1", ["modelspec.architecture"] = "flux-1-dev/lora",
      ["modelspec.implementation"] = "x", ["modelspec.title"] = "y", ["modelspec.resolution"] = "1x1" }
   lu.assertEquals(modelspec.remarks(all), {})
end

-- ---------------------------------------------------------------- pictures

function suite.test_base64_there_and_back()
   math.randomseed(3)
   for n = 0, 50 do
      local bytes = {}
      for i = 1, n do bytes[i] = string.char(math.random(0, 255)) end
      bytes = table.concat(bytes)
      lu.assertEquals(thumbnail.decode(thumbnail.encode(bytes)), bytes)
   end
   lu.assertEquals(thumbnail.encode "Man", "TWFu")
   lu.assertEquals(thumbnail.encode "Ma", "TWE=")
   lu.assertEquals(thumbnail.encode "M", "TQ==")
   lu.assertEquals(thumbnail.decode "TW\nFu", "Man")
   for _, wrong in ipairs { "TWF", "T", "TW=u", "TW!u", "T===" } do
      local bytes = thumbnail.decode(wrong)
      lu.assertTrue(bytes == nil or wrong == "TWF", wrong)      -- without its padding it is understood
   end
end

function suite.test_pictures_in_and_out()
   local picture = "\xff\xd8\xff\xe0" .. ("p"):rep(1000)
   support.write(support.path "in.jpg", picture)
   local path = file("m.safetensors", {})
   local left = st.meta(path, nil, { thumbnail = support.path "in.jpg" })
   lu.assertStrContains(left["modelspec.thumbnail"], "data:image/jpeg;base64,")
   lu.assertEquals(thumbnail.extract(st.meta(path), "m"), picture)
   lu.assertEquals(st.info(path).thumbnail, { kind = "jpeg", bytes = 1005 })
   for _, wrong in ipairs { "x", "data:image/png;base64,!!", "data:image/png;base64,aGVsbG8=",
      "data:text/html;base64,PA==" } do
      support.raises("format", "is no", thumbnail.extract, { ["modelspec.thumbnail"] = wrong }, "m")
   end
   support.write(support.path "page.html", "<html>")
   support.raises("format", "no JPEG", st.meta, path, nil, { thumbnail = support.path "page.html" })
end

-- ---------------------------------------------------------------- hashes

function suite.test_hashes()
   local path = file("m.safetensors", { ss_a = "1" })
   local h = st.hash(path, { cache = false })
   lu.assertEquals(#h.sha256, 64)
   lu.assertEquals(h.autov2, h.sha256:sub(1, 10))
   lu.assertEquals(h.autov3, h.data_sha256:sub(1, 12))
   lu.assertNotEquals(h.sshs_model_hash, h.data_sha256)      -- the file has another order
   lu.assertEquals(h.autov1, "e3b0c442")
   local before = h.autov3
   st.meta(path, { title = "another" })
   h = st.hash({ path, path }, { cache = false })
   lu.assertEquals({ h[1].autov3, h[2].autov3 }, { before, before })
   support.raises("io", "nothing", st.hash, support.path "nothing")
   support.raises("arg", "path 1 is empty", st.hash, "")
   support.raises("arg", "path 2 is a number", st.hash, { path, 7 })
   lu.assertEquals(st.hash {}, {})
end

support.run("meta", suite)
