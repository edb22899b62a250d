--- stlua.core: models, files, saving, progress, folders.
local support = require "core_support"
local lu, core, fails, f32 = support.lu, support.core, support.fails, support.f32

local suite = {}
local folder = support.folder()
local sample = support.sample(folder)

function suite.test_opening()
   local m = core.open_file(sample)
   lu.assertEquals(#m, 3)
   lu.assertEquals(m:count(), 3)
   fails("io", "No such file", core.open_file, folder .. "/none")
   fails("arg", "the path is empty", core.open_file, "")
   fails("arg", "NUL byte", core.open_file, "a\0b")
   fails("arg", "string expected, got number", core.open_file, 1)
   fails("arg", "string expected, got no value", core.open_index)
   local path = folder .. "/short"
   local f = assert(io.open(path, "wb"))
   f:write "PK\3\4 this is no model"
   f:close()
   local e = fails("format", "short: ", core.open_file, path)
   lu.assertStrContains(e.file, "short")
   lu.assertStrMatches(e.where, ".*core_support.lua:%d+")
end

function suite.test_names_and_tensors()
   local m = core.open_file(sample)
   local i = m:find "b.weight"
   lu.assertEquals(m:name(i), "b.weight")
   lu.assertEquals(m:name(-1), m:name(3))
   lu.assertNil(m:find "c")
   lu.assertEquals(m:get("b.weight"):values(), { 1, 2, 3, 4, 5, 6 })
   lu.assertEquals(m:tensor(i):shape(), { 2, 3 })
   lu.assertEquals(m["a.bias"]:values(), { 0.5, -0.5, 0 })
   lu.assertEquals(m["ids"]:totable(), { 7, -8 })
   lu.assertNil(m["c"])
   lu.assertNil(m[1])
   lu.assertIs(m.get, core.Model.get)
   fails("name", 'no tensor "c"', m.get, m, "c")
   fails("arg", "position 4 is out of range: there are 3", m.name, m, 4)
   fails("arg", "position 0", m.tensor, m, 0)
   fails("arg", "position -4", m.info, m, -4)
   local file, name = m["ids"]:source()
   lu.assertEquals({ file, name }, { sample, "ids" })
end

function suite.test_info()
   local m = core.open_file(sample)
   local name, dtype, shape, nbytes, first, last = m:info(m:find "b.weight")
   lu.assertEquals({ name, dtype, shape, nbytes, last - first }, { "b.weight", "F32", { 2, 3 }, 24, 24 })
   local made = core.model():add("x", f32({ 2 }, { 1, 2 }) + 1)
   lu.assertEquals(table.pack(made:info(1)), { "x", "F32", { 2 }, 8, n = 4 })
end

function suite.test_dtype_counts()
   lu.assertEquals(core.open_file(sample):dtype_counts(), { F32 = 2, I64 = 1 })
   lu.assertEquals(core.model():dtype_counts(), {})
end

function suite.test_pairs_in_file_order()
   local m, names = core.open_file(sample), {}
   for name, t in pairs(m) do
      names[#names + 1] = name
      lu.assertTrue(t:identical(m:get(name)))
   end
   lu.assertEquals(names, { m:name(1), m:name(2), m:name(3) })
   fails("arg", "was closed", function()
      for _ in pairs(m) do m:close() end
   end)
end

function suite.test_metadata_and_files()
   local m = core.open_file(sample)
   local meta, keys = m:metadata()
   lu.assertEquals(meta, { format = "pt", note = "hé\n" })
   lu.assertEquals(#keys, 2)
   m:set_meta("more", "x"):set_meta("note", nil)
   lu.assertEquals((m:metadata()), { format = "pt", more = "x" })
   fails("arg", "string expected, got number", m.set_meta, m, "k", 1)
   local files = m:files()
   lu.assertEquals(#files, 1)
   lu.assertEquals(files[1].path, sample)
   lu.assertEquals(files[1].size, #support.read(sample))
   lu.assertEquals(files[1].header_bytes, (string.unpack("<I8", support.read(sample))))
   lu.assertEquals(files[1].data_start, files[1].header_bytes + 8)
   lu.assertStrMatches(m:header_sha256(1), "[0-9a-f]+")
   lu.assertEquals(#m:header_sha256(1), 64)
   fails("arg", "there are 1", m.header_sha256, m, 2)
   lu.assertEquals(core.model():files(), {})
end

function suite.test_adding()
   local m = core.model()
   lu.assertIs(m:add("x", f32({ 1 }, { 1 })), m)
   lu.assertFalse((pcall(m.add, m, "x", f32({ 1 }, { 1 }))))
   lu.assertFalse((pcall(m.add, m, "__metadata__", f32({ 1 }, { 1 }))))
   fails("arg", "stlua.Tensor expected, got number", m.add, m, "y", 1)
   fails("arg", "stlua.Tensor expected, got stlua.Model", m.add, m, "y", m)
   lu.assertEquals(#m, 1)
end

function suite.test_rows()
   local m = core.open_file(sample)
   local text, name, dtype, shape, size = m:rows()
   lu.assertEquals({ name, dtype, shape, size }, { 8, 5, 6, 4 })
   local lines = {}
   for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
   lu.assertEquals(#lines, 3)
   lu.assertEquals(lines[m:find "b.weight"], "b.weight  F32    [2, 3]  24 B")
   lu.assertEquals(lines[m:find "ids"], "ids       I64    [2]     16 B")
   lu.assertEquals(m:rows(2, 2), lines[2] .. "\n")
   lu.assertEquals(m:rows(-1), lines[3] .. "\n")
   lu.assertEquals((m:rows(1, 0)), "")
   lu.assertEquals((m:rows(4, 3)), "")
   fails("arg", "ends before it begins", m.rows, m, 3, 1)
   fails("arg", 'style "table" or "json" expected', m.rows, m, 1, 1, "csv")
   fails("arg", "position 4 is out of range", m.rows, m, 1, 4)
   lu.assertEquals((core.model():rows()), "")
   local list = core.json_decode("[" .. m:rows(1, -1, "json") .. "]")
   for i, row in ipairs(list) do
      local n, d, s, _, first, last = m:info(i)
      lu.assertEquals(row, { name = n, dtype = d, shape = s, data_offsets = { first, last } })
   end
end

function suite.test_rows_of_hostile_names()
   local m = core.model()
   local names = { "plain", "tab\there", "quote\"", "\27[31mred", "päper", ("x"):rep(2000), "a\u{202e}b" }
   for _, n in ipairs(names) do m:add(n, f32({ 1 }, { 1 }) + 0) end
   local text = m:rows()
   lu.assertNil(text:find("\27", 1, true))
   lu.assertNil(text:find("\u{202e}", 1, true))
   lu.assertStrContains(text, "päper")
   lu.assertTrue(#text < 3000)
   local list = core.json_decode("[" .. m:rows(1, -1, "json") .. "]")
   for i, n in ipairs(names) do lu.assertEquals(list[i].name, n) end
   lu.assertNil(list[1].data_offsets)
end

function suite.test_many_rows_are_quick()
   local m, t = core.model(), f32({ 1 }, { 1 })
   for i = 1, 100000 do m:add("model.layers." .. i .. ".self_attn.q_proj.weight", t) end
   local best = math.huge
   for _ = 1, 3 do
      local start = os.clock()
      m:rows()
      best = math.min(best, os.clock() - start)
   end
   -- 40 ms are asked for; sanitizers and busy machines get more.
   lu.assertTrue(best < 0.4, best .. " s")
end

function suite.test_sizes_and_escapes()
   local sizes = { [0] = "0 B", [1023] = "1023 B", [1024] = "1.0 KiB", [1536] = "1.5 KiB", [1048575] = "1.0 MiB" }
   sizes[1 << 40] = "1.0 TiB"
   sizes[math.maxinteger] = "8.0 EiB"
   for n, text in pairs(sizes) do lu.assertEquals(core.size(n), text) end
   lu.assertEquals(core.escape "a\nb\0", "a\\u000ab\\u0000")
   lu.assertTrue(#core.escape(("x"):rep(500), 40) <= 40)
   fails("arg", "not in 16 to 4096", core.escape, "x", 1)
end

-- ------------------------------------------------------------------- saving

function suite.test_saving()
   local m = core.open_file(sample)
   local path = folder .. "/copy.safetensors"
   local bytes = core.save { { model = m, path = path, sync = false } }
   lu.assertEquals(bytes, #support.read(path))
   lu.assertEquals(support.read(path), support.read(sample))
   core.save { { model = m, path = path, dtype = "bf16" } }
   local cast = core.open_file(path)
   lu.assertEquals(cast["a.bias"]:dtype(), "BF16")
   lu.assertEquals(cast["ids"]:dtype(), "I64")
   local before = support.read(path)
   fails("exists", "copy.safetensors", core.save, { { model = m, path = path, replace = false } })
   lu.assertEquals(support.read(path), before)
end

function suite.test_saving_over_an_input()
   local path = support.sample(support.folder())
   local m = core.open_file(path)
   local out = core.model():add("a.bias", m["a.bias"] * 2)
   core.save { { model = out, path = path } }
   lu.assertEquals(core.open_file(path)["a.bias"]:values(), { 1, -1, 0 })
end

function suite.test_several_targets_in_one_save()
   local m = core.open_file(sample)
   local jobs = {}
   for i = 1, 3 do
      local out = core.model():add("x", m["b.weight"] * i)
      jobs[i] = { model = out, path = ("%s/many-%d.safetensors"):format(folder, i) }
   end
   core.save(jobs)
   for i = 1, 3 do lu.assertEquals(core.open_file(jobs[i].path)["x"]:values(1, 2), { i, 2 * i }) end
end

function suite.test_shards_and_their_index()
   local m, dir = core.model(), support.folder() .. "/sharded"
   for i = 1, 4 do m:add("t" .. i, core.tensor("U8", { 1000 }, string.char(i):rep(1000))) end
   core.save { { model = m, path = dir, max_shard = 2000 } }
   local back = core.open_index(dir .. "/model.safetensors.index.json")
   lu.assertEquals(#back, 4)
   lu.assertEquals(#back:files(), 2)
   for i = 1, 4 do lu.assertTrue(back["t" .. i]:identical(m["t" .. i])) end
end

function suite.test_errors_of_save()
   local m = core.model():add("x", f32({ 1 }, { 1 }))
   local function job(t)
      t.model = t.model or m
      t.path = t.path or folder .. "/never"
      return { t }
   end
   fails("arg", 'unknown option "dtypes"; did you mean "dtype"? (known: model, path, dtype', core.save,
      job { dtypes = "F16" })
   fails("arg", "option 'sync': boolean expected, got number", core.save, job { sync = 1 })
   fails("arg", "option 'align': an integer from 0", core.save, job { align = -1 })
   fails("arg", "option 'max_shard': integer expected, got string", core.save, job { max_shard = "5GB" })
   fails("dtype", "unknown dtype", core.save, job { dtype = "half" })
   fails("arg", "option 'dtype': string expected, got number", core.save, job { dtype = 16 })
   fails("arg", "NUL byte", core.save, job { path = "a\0b" })
   fails("arg", "option 'model': stlua.Model expected, got stlua.Tensor", core.save, job { model = m.x })
   fails("arg", "option 'path': string expected, got nil", core.save, { { model = m } })
   fails("arg", "list of jobs", core.save, {})
   fails("arg", "table expected", core.save, nil)
   fails("arg", "job 1 is a number", core.save, { 1 })
   fails("io", "does not exist", core.save, job { path = folder .. "/no/such/folder/x" })
   local closed = core.model()
   closed:close()
   fails("arg", "was closed", core.save, job { model = closed })
   lu.assertNil(core.stat(folder .. "/never"))
end

-- ------------------------------------------------------------------- progress

local function save_big(extra)
   local t = core.tensor("F32", { 1 << 20 }, ("\0"):rep(4 << 20))
   local m = core.model():add("x", t * 2)
   local job = { model = m, path = folder .. "/big", sync = false }
   for k, v in pairs(extra or {}) do job[k] = v end
   return core.save { job }, m
end

function suite.test_progress_is_reported()
   local calls = {}
   core.progress(function(...) calls[#calls + 1] = table.pack(...) end)
   local bytes = save_big()
   core.progress(nil)
   lu.assertTrue(#calls >= 1)
   local phase, done, total, seconds = table.unpack(calls[#calls])
   lu.assertIsString(phase)
   lu.assertTrue(done <= total and total <= bytes)
   lu.assertIsNumber(seconds)
   local n = #calls
   save_big()
   lu.assertEquals(#calls, n)
end

function suite.test_an_error_in_progress_stops_and_comes_back()
   local path = folder .. "/stopped"
   local mine = setmetatable({}, { __name = "mine" })
   core.progress(function() error(mine) end)
   local ok, e = pcall(save_big, { path = path })
   core.progress(nil)
   lu.assertFalse(ok)
   lu.assertIs(e, mine)
   lu.assertNil(core.stat(path))
   for _, entry in ipairs(core.listdir(folder)) do lu.assertNil(entry.name:find("stopped", 1, true)) end
   save_big { path = path }
   lu.assertEquals(core.stat(path).type, "file")
end

function suite.test_progress_may_neither_yield_nor_work_nor_close()
   local t = f32({ 2 }, { 1, 2 })
   core.progress(function() coroutine.yield() end)
   local co = coroutine.create(save_big)
   local ok, e = coroutine.resume(co)
   lu.assertFalse(ok)
   lu.assertStrContains(tostring(e), "yield")
   core.progress(function() (t + 1):force() end)
   fails("arg", "may not compute", save_big)
   local m = core.model():add("x", core.tensor("U8", { 1 << 20 }, ("\1"):rep(1 << 20)) * 2)
   for _, act in ipairs { function() m:close() end, function() m:add("y", t) end, function() m:set_meta("k", "v") end,
      function() core.model_meta.__gc(m) end } do
      core.progress(act)
      fails("arg", "is being saved", core.save, { { model = m, path = folder .. "/busy", sync = false } })
   end
   -- Closing what is only read is allowed, and the collector may run.
   core.progress(function()
      t = nil
      collectgarbage()
   end)
   save_big()
   core.progress(nil)
   fails("arg", "function or nil expected, got number", core.progress, 1)
   m:close()
end

-- ------------------------------------------------------------------- life and death

function suite.test_tensors_outlive_their_model()
   local t
   do
      local m <close> = core.open_file(sample)
      t = m["b.weight"] + 0
   end
   collectgarbage()
   lu.assertEquals(t:values(), { 1, 2, 3, 4, 5, 6 })
end

function suite.test_use_after_close()
   local m = core.open_file(sample)
   m:close()
   m:close()
   local arguments = { name = { 1 }, info = { 1 }, tensor = { 1 }, header_sha256 = { 1 }, find = { "x" }, get = { "x" },
      add = { "x", f32({ 1 }, { 1 }) }, set_meta = { "k", "v" } }
   for name, method in pairs(support.c_functions(core.Model)) do
      if name ~= "close" then fails("arg", "the model was closed", method, m, table.unpack(arguments[name] or {})) end
   end
   fails("arg", "was closed", function() return #m end)
   fails("arg", "was closed", function() return m["b.weight"] end)
   fails("arg", "was closed", function() return pairs(m) end)
   lu.assertIs(m.close, core.Model.close)
end

-- ------------------------------------------------------------------- folders

function suite.test_listdir_and_stat()
   local dir = support.folder()
   assert(os.execute(("cd '%s' && mkdir d && echo hello > b && ln -s b a && ln -s nowhere c && mkfifo e"):format(dir)))
   lu.assertEquals(core.listdir(dir), {
      { name = "a", type = "file" }, { name = "b", type = "file" }, { name = "c", type = "other" },
      { name = "d", type = "dir" }, { name = "e", type = "other" },
   })
   lu.assertEquals(core.listdir(dir .. "/d"), {})
   local st = core.stat(dir .. "/a")
   lu.assertEquals({ st.type, st.size }, { "file", 6 })
   lu.assertTrue(math.abs(st.mtime - os.time()) < 100)
   lu.assertEquals(core.stat(dir).type, "dir")
   lu.assertNil(core.stat(dir .. "/c"))
   lu.assertNil(core.stat(dir .. "/b/x"))
   fails("io", "cannot read the folder", core.listdir, dir .. "/none")
   fails("io", "cannot look at it", core.stat, ("x"):rep(300))
   fails("arg", "empty", core.stat, "")
   lu.assertIsBoolean(core.isatty(0))
   fails("arg", "not in 0 to", core.isatty, -1)
end

support.run("core_model", suite)
