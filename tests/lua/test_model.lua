--- Methods of models: select, without, rename, cast, metadata, join, save.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"
local core = require "stlua.core"

local suite = {}

local function sample()
   return support.model("m.safetensors", {
      { "model.a.weight", "F32", { 2 }, { 1.5, 2.5 } }, { "model.b.weight", "BF16", { 1 }, { 3 } },
      { "head", "F32", {}, { 7 } }, { "ids", "I64", { 2 }, { 1, 2 } },
   }, { format = "pt", ["modelspec.hash_sha256"] = "0x1", sshs_model_hash = "2", sshs_legacy_hash = "3", title = "t" })
end

function suite.test_reading()
   local m = sample()
   lu.assertEquals(#m, 4)
   lu.assertEquals(support.names(m), "ids head model.a.weight model.b.weight")
   lu.assertEquals(m["model.a.weight"]:shape(), { 2 })
   lu.assertNil(m["nothing"])
   lu.assertEquals(m:get("head"):item(), 7)
   local e = support.raises("name", { "m.safetensors: no tensor \"model.a.weigth\"", 'did you mean "model.a.weight"' },
      m.get, m, "model.a.weigth")
   lu.assertEquals(e.tensor, "model.a.weigth")
   -- A part of a name is enough of a hint.
   support.raises("name", 'did you mean "model.b.weight"', m.get, m, "b.weight")
   local odd = support.model("odd.safetensors", { { "save", "F32", {}, { 1 } } })
   lu.assertEquals(type(odd.save), "function")
   lu.assertEquals(odd:get("save"):item(), 1)
end

function suite.test_select_and_without()
   local m = sample()
   lu.assertEquals(support.names(m:select("model.*")), "model.a.weight model.b.weight")
   lu.assertEquals(support.names(m:select("head", "ids")), "ids head")
   lu.assertEquals(support.names(m:select { "head" }), "head")
   lu.assertEquals(support.names(m:select(function(name) return #name == 3 end)), "ids")
   lu.assertEquals(support.names(m:without("weight")), "ids head")
   lu.assertEquals(support.names(m:without("nothing of this")), support.names(m))
   support.raises("name", { 'select: no tensor of m.safetensors matches "heda"', 'did you mean "head"' },
      m.select, m, "heda")
   support.raises("arg", "at least one pattern", m.select, m)
end

function suite.test_rename()
   local m = sample()
   lu.assertEquals(support.names(m:rename("model.*", "*")), "ids head a.weight b.weight")
   lu.assertEquals(support.names(m:rename(".weight", "")), "ids head model.a model.b")
   lu.assertEquals(support.names(m:rename { head = "tail" }), "ids tail model.a.weight model.b.weight")
   lu.assertEquals(support.names(m:rename { head = "ids", ids = "head" }), "head ids model.a.weight model.b.weight")
   lu.assertEquals(support.names(m:rename(function(name) return name == "ids" and "x" or nil end)),
      "x head model.a.weight model.b.weight")
   support.raises("name", { '"model.a.weight" and "model.b.weight" would both be "w"' },
      m.rename, m, function(name) return name:find("weight") and "w" or name end)
   support.raises("name", { 'no tensor "haed"', 'did you mean "head"' }, m.rename, m, { haed = "x" })
   support.raises("name", 'no tensor of m.safetensors matches "zzz"', m.rename, m, "zzz", "y")
   support.raises("arg", "a pattern and its replacement", m.rename, m, "x")
   support.raises("arg", "is a number, not a string", m.rename, m, function() return 1 end)
   m:rename("model.*", "*"):save(support.path("renamed.safetensors"), { sync = false })
   lu.assertEquals(support.values(st.open(support.path("renamed.safetensors"))["a.weight"]), { 1.5, 2.5 })
end

function suite.test_cast()
   local m = sample()
   local out = m:cast("f16")
   lu.assertEquals({ out["model.a.weight"]:dtype(), out["model.b.weight"]:dtype(), out.head:dtype(), out.ids:dtype() },
      { "F16", "F16", "F16", "I64" })
   out = m:cast("F16", { only = "model.*", except = { "model.b" } })
   lu.assertEquals({ out["model.a.weight"]:dtype(), out["model.b.weight"]:dtype(), out.head:dtype() },
      { "F16", "BF16", "F32" })
   local big = support.model("big.safetensors", { { "x", "F32", { 2 }, { 1000, -1e9 } } })
   lu.assertEquals(support.values(big:cast("F8_E4M3", { saturate = true }).x), { 448, -448 })
   support.raises("dtype", { '"F17"', 'did you mean "F16"' }, m.cast, m, "F17")
   support.raises("dtype", "I32 is not a floating dtype", m.cast, m, "I32")
   support.raises("name", { "cast: only: no tensor", '"heda"' }, m.cast, m, "F16", { only = "heda" })
   support.raises("arg", { 'unknown option "ony"', 'did you mean "only"' }, m.cast, m, "F16", { ony = "x" })
end

function suite.test_quantised_tensors_are_copied_and_nothing_else()
   local m = support.model("quant.safetensors", {
      { "l.weight", "F8_E4M3", { 2 }, { 1, 2 } }, { "l.scale_weight", "F32", { 1 }, { 2 } },
      { "norm", "F32", {}, { 1 } },
   })
   m:save(support.path("copy.safetensors"), { sync = false })
   lu.assertEquals(support.read(support.path("copy.safetensors")), support.read(support.path("quant.safetensors")))
   local e = support.raises("quant", { "l.weight" }, m.cast, m, "F16")
   lu.assertStrContains(e.message, m["l.weight"]:quant())
   support.raises("quant", { "l.weight" }, function() return 0.5 * m end)
   lu.assertEquals(m:cast("F16", { only = "norm" }).norm:dtype(), "F16")
end

function suite.test_metadata()
   local m = sample()
   local out = m:with_metadata { title = "new", author = "me", count = 3, format = false }
   -- The tensors are the same, so the hashes of their data still hold.
   lu.assertEquals((out:metadata()), { title = "new", author = "me", count = "3", ["modelspec.hash_sha256"] = "0x1",
      sshs_model_hash = "2", sshs_legacy_hash = "3" })
   lu.assertNil((m:with_metadata { ss_epoch = 1 }:metadata()).sshs_legacy_hash)
   lu.assertEquals((m:metadata()).title, "t")
   for _, changed in ipairs { m:select("head"), m:rename("head", "x"), m:cast("F16"), 2 * m } do
      lu.assertEquals((changed:metadata()), { format = "pt", title = "t" })
   end
   m:save(support.path("cast.safetensors"), { dtype = "F16", sync = false })
   lu.assertEquals((st.open(support.path("cast.safetensors")):metadata()), { format = "pt", title = "t" })
   support.raises("arg", 'value of "x" must be a string', m.with_metadata, m, { x = {} })
   support.raises("arg", "keys are strings", m.with_metadata, m, { "x" })
   m:save(support.path("extra.safetensors"), { metadata = { title = "other" }, sync = false })
   lu.assertEquals((st.open(support.path("extra.safetensors")):metadata()).title, "other")
   lu.assertEquals((m:metadata()).title, "t")
end

function suite.test_recipe()
   local m = sample()
   local other = support.model("n.safetensors", { { "head", "F32", {}, { 1 } } })
   local out, path = m:select("head") + other, support.path("sum.safetensors")
   out:save(path, { sync = false })
   local text = (st.open(path):metadata())["stlua.recipe"]
   local recipe = st.json.decode(text)
   lu.assertEquals(recipe.formula, "select(m.safetensors) + n.safetensors")
   lu.assertEquals(recipe.script, "test_model.lua")
   lu.assertEquals(recipe.stlua, st.version)
   lu.assertEquals({ recipe.inputs[1].name, recipe.inputs[2].name }, { "m.safetensors", "n.safetensors" })
   lu.assertEquals(recipe.inputs[2].size, #support.read(support.path("n.safetensors")))
   lu.assertEquals(#recipe.inputs[2].header_sha256, 64)
   lu.assertNil(recipe.inputs[2].sha256)
   lu.assertNil(text:find(support.path(""), 1, true), "a folder in the recipe")
   -- The same merge gives the same bytes; without a recipe none is left over from the inputs.
   local bytes = support.read(path)
   out:save(path, { sync = false })
   lu.assertEquals(support.read(path), bytes)
   local merged = st.open(path)
   lu.assertNotNil((merged:metadata())["stlua.recipe"]);
   (merged + other):save(path, { recipe = false, sync = false })
   lu.assertNil((st.open(path):metadata())["stlua.recipe"])
   out:save(path, { hash_inputs = true, sync = false })
   recipe = st.json.decode((st.open(path):metadata())["stlua.recipe"])
   support.shell("cd @ && sha256sum n.safetensors > sum.txt")
   lu.assertEquals(recipe.inputs[2].sha256, support.read(support.path("sum.txt")):match("^%x+"))
   -- One model renamed or cast is no merge.
   m:rename("head", "x"):save(path, { sync = false })
   lu.assertNil((st.open(path):metadata())["stlua.recipe"])
end

function suite.test_a_save_goes_on()
   local source, path = support.path("long.safetensors"), support.path("resumed.safetensors")
   st.model { { "x", st.ones(3000000) }, { "y", st.zeros(3000000) } }:save(source, { sync = false })
   local function half() return st.open(source) * 0.5 end
   local function save(opts, model)
      opts.sync, opts.recipe = false, false
      return (model or half()):save(path, opts)
   end
   local function hidden()
      local pipe = assert(io.popen("ls -A " .. support.path("") .. " | grep -c '^[.]resumed[.]safetensors[.]'"))
      local count = pipe:read("n")
      pipe:close()
      return count
   end
   local function interrupted(opts)
      core.progress(function(_, done, total) if 2 * done > total then error("stop") end end)
      local ok, e = pcall(save, opts)
      core.progress(nil)
      lu.assertFalse(ok)
      lu.assertStrContains(tostring(e), "stop")
   end
   save {}
   local bytes = support.read(path)
   os.remove(path)
   interrupted {}
   lu.assertEquals(hidden(), 0)
   interrupted { resume = true }
   lu.assertEquals(hidden(), 2) -- what is done, and how far it came
   local model = half()
   local first, read = nil, core.bytes_read()     -- of the save alone: in eager mode all is computed before
   core.progress(function(_, done, total, _, there) first = first or { done = done, total = total, there = there } end)
   save({ resume = true }, model)
   core.progress(nil)
   lu.assertEquals(first.there, first.done)
   lu.assertTrue(first.there * 3 > first.total)
   lu.assertTrue(core.bytes_read() - read < #bytes * 2 / 3)
   lu.assertTrue(support.read(path) == bytes)
   lu.assertEquals(hidden(), 0)
   interrupted { resume = true }
   save {} -- without: what was kept goes
   lu.assertEquals(hidden(), 0)
   support.raises("arg", { "resume" }, function() save { resume = 1 } end)
end

function suite.test_join()
   local m, other = sample(), support.model("j.safetensors", { { "extra", "F32", {}, { 1 } } })
   lu.assertEquals(support.names(m .. other), "ids head model.a.weight model.b.weight extra")
   support.raises("name", { "4 tensors cannot be joined", '"head" is in both' }, function() return m .. m end)
end

function suite.test_save()
   local m, path = sample()
   local before = support.read(path)
   m:save(path)                                        -- over its own input
   lu.assertEquals(support.read(path), before)
   st.open(path):save(path, { dtype = "F16" })
   local again = st.open(path)
   lu.assertEquals({ again.head:dtype(), again.ids:dtype(), again.head:item() }, { "F16", "I64", 7 })
   support.raises("exists", "m.safetensors", m.save, again, path, { replace = false })
   support.raises("arg", { 'unknown option "dtpye"', 'did you mean "dtype"' }, m.save, again, path, { dtpye = "F16" })
   support.raises("arg", { "option replace must be a boolean, not a string" }, m.save, again, path, { replace = "no" })
   support.raises("dtype", '"Q4"', m.save, again, path, { dtype = "Q4" })
   support.raises("arg", "'5XB' is not a size", m.save, again, path, { max_shard_size = "5XB" })
   support.raises("io", "", m.save, again, support.path("no/such/folder/x.safetensors"))
end

function suite.test_save_all_reads_once_and_equals_single_saves()
   local m = sample()
   local one, two = support.path("one.safetensors"), support.path("two.safetensors")
   local bytes = st.save_all({ { 2 * m, one }, { 3 * m, two, dtype = "F16" } }, { recipe = false, sync = false })
   lu.assertEquals(bytes, #support.read(one) + #support.read(two))
   local single = support.path("single.safetensors");
   (2 * m):save(single, { recipe = false, sync = false })
   lu.assertEquals(support.read(one), support.read(single));
   (3 * m):save(single, { recipe = false, dtype = "F16", sync = false })
   lu.assertEquals(support.read(two), support.read(single))
   support.raises("arg", "entry 2 is a string", st.save_all, { { m, one }, "x" })
   support.raises("arg", "entry 1: expected a model, got a nil", st.save_all, { {} })
end

function suite.test_shards()
   local list = {}
   for i = 1, 8 do
      local values = {}
      for k = 1, 100 do values[k] = i * k end
      list[i] = { "t" .. i, "F32", { 100 }, values }
   end
   local m = support.model("whole.safetensors", list)
   m:save(support.path("folder"), { max_shard_size = "1kB", sync = false })
   local back = st.open(support.path("folder"))
   lu.assertEquals(#back, 8)
   lu.assertTrue(#back:files() >= 4)
   for name, t in pairs(m) do lu.assertTrue(t:identical(back:get(name)), name) end
   lu.assertEquals(back:formula(), "folder")
end

function suite.test_files_beside_shards()
   local m, path = sample(), support.path "beside"
   local files = { ["config.json"] = "{}\n", x = "a\0b" }
   local bytes = m:save(path, { max_shard_size = "1GB", sync = false, files = files })
   lu.assertEquals(support.read(path .. "/config.json"), "{}\n")
   lu.assertEquals(support.read(path .. "/x"), "a\0b")
   lu.assertEquals(bytes, 3 + 3 + #support.read(path .. "/model.safetensors"))
   -- In the step that replaces the shards; what is not named stays.
   m:save(path, { max_shard_size = "1GB", sync = false, force = true, files = { ["config.json"] = "new" } })
   lu.assertEquals({ support.read(path .. "/config.json"), support.read(path .. "/x") }, { "new", "a\0b" })
   local function wrong(texts, opts) support.raises("arg", texts, m.save, m, path, opts) end
   wrong("give max_shard_size", { files = { a = "b" } })
   for _, name in ipairs { "", ".hidden", "a/b", "../a", "model.safetensors", "x.safetensors.index.json" } do
      wrong(("%q"):format(name), { max_shard_size = 1000, force = true, files = { [name] = "" } })
   end
   wrong("names and texts", { max_shard_size = 1000, files = { "text" } })
end

function suite.test_values_of_names_with_nul_and_quotes()
   local m = support.model("nul.safetensors", { { 'a\0b"c', "F32", {}, { 1 } } })
   lu.assertEquals(m['a\0b"c']:item(), 1)
   lu.assertEquals(support.names(m:rename("*", "x.*")), 'x.a\0b"c')
end

function suite.test_safe()
   local safe = require "stlua.safe"
   local m, message, code = safe.open(support.path("none.safetensors"))
   lu.assertNil(m)
   lu.assertStrContains(message, "no such file or folder")
   lu.assertEquals(code, "io")
   m = sample()
   lu.assertEquals(#safe.open(support.path("m.safetensors")), 4)
   local _, _, why = safe.save(m, support.path("m.safetensors"), { replace = false })
   lu.assertEquals(why, "exists")
   _, _, why = safe.call(m.cast, m, "F17")
   lu.assertEquals(why, "dtype")
   lu.assertErrorMsgContains("boom", safe.map, m, function() error("boom") end)
end

function suite.test_require_sets_no_globals()
   local script = support.path("globals.lua")
   support.write(script, [[local g = {} for k in pairs(_G) do g[k] = true end
      require "stlua" require "stlua.safe" for k in pairs(_G) do assert(g[k], k) end]])
   support.shell(("LUA_PATH='%s' LUA_CPATH='%s' '%s' '%s'"):format(package.path, package.cpath,
      os.getenv("LUA") or "lua5.4", script))
end

support.run("model", suite)
