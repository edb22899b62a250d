--- Files that are not safetensors: PyTorch checkpoints, NumPy archives and GGUF as their own libraries wrote them
-- (tests/fixtures/make_checkpoints.py), and what is said of checkpoints that would run something.
local support = require "support"
local lu = require "luaunit"
local core = require "stlua.core"
local foreign = require "stlua.foreign"
local st = require "stlua"

local suite = {}

local FIXTURES = "tests/fixtures/checkpoints/"

local function open(name, opts) return st.open(FIXTURES .. name, opts) end

-- Every tensor of the safetensors file is in the model, with the same bits.
local function assert_holds(model, expected, only)
   local want = open(expected .. ".safetensors")
   for name, t in pairs(want) do
      if not only or name:find(only) then
         lu.assertNotNil(model:find(name), name)
         lu.assertEquals(model:get(name):dtype(), t:dtype(), name)
         lu.assertEquals(model:get(name):shape(), t:shape(), name)
         lu.assertEquals(model:get(name):bytes(), t:bytes(), name)
      end
   end
   return want
end

-- The same when it is saved; sparing it a look at each byte.
local function assert_converts(model, expected)
   local path = support.path("out.safetensors")
   model:save(path, { sync = false })
   local back = st.open(path)
   lu.assertEquals(#back, #assert_holds(back, expected))
end

function suite.test_checkpoints_hold_what_torch_saved()
   for _, name in ipairs { "plain", "views" } do
      for _, ending in ipairs { ".pt", "_legacy.pt" } do
         local model = open(name .. ending)
         lu.assertEquals(#model, #assert_holds(model, name))
         assert_converts(model, name)
         lu.assertEquals(model:metadata(), { format = "pt" })
      end
   end
   local every = open "dtypes.pt"
   lu.assertEquals(#every, #assert_holds(every, "dtypes"))
   assert_converts(every, "dtypes")
   lu.assertEquals(open("plain.pt"):files()[1].format, "PyTorch checkpoint")
   lu.assertEquals(open("plain_legacy.pt"):files()[1].format, "PyTorch checkpoint, before 1.6")
end

function suite.test_the_part_that_is_the_model()
   local m = open "lightning.ckpt"
   lu.assertEquals(#m, #assert_holds(m, "lightning"))
   lu.assertEquals(foreign.of_kind(m, "taken"), { "state_dict" })
   lu.assertEquals(foreign.of_kind(m, "left"), { '"optimizer_states": 12 tensors' })
   lu.assertStrContains(table.concat(foreign.of_kind(m, "beside"), "\n"), '"epoch" = 3')
   lu.assertEquals(foreign.of_kind(m, "unknown"), {})
   local all = open("lightning.ckpt", { key = "" })
   lu.assertEquals(#all, 7 + 12)
   lu.assertNotNil(all:find "optimizer_states.0.state.0.exp_avg")
   lu.assertEquals(#open("lightning.ckpt", { key = "optimizer_states" }), 12)
   support.raises("name", { 'no part "model"; --key takes "state_dict" (7 tensors), "optimizer_states" (12 tensors)' },
      open, "lightning.ckpt", { key = "model" })
   support.raises("name", { 'no part "params.no"; --key takes "params.w" (1 tensor)' }, open, "ema.pt",
      { key = "params.no" })
   support.raises("name", { 'no part "layers.0", nor others that have names' }, open, "nested.pt", { key = "layers.0" })
   support.raises("arg", "key must be a string", open, "lightning.ckpt", { key = 1 })

   lu.assertEquals(open("ema.pt").w:values(), { 0, 1 })
   lu.assertEquals(open("ema.pt", { key = "params" }).w:values(), { -1, 0 })
   lu.assertEquals(open("ema.pt", { key = "params.w" }):name(1), "tensor")
   local averaged = open "model_ema.pt"
   lu.assertEquals(support.names(averaged), "w")
   lu.assertEquals(averaged.w:values(), { 0, 1 })
   lu.assertEquals(foreign.of_kind(averaged, "taken"), { "params_ema" })
   lu.assertEquals(foreign.of_kind(averaged, "left"), { '"model": 1 tensor' })
   -- Neither of two models is dropped without a word.
   lu.assertEquals(support.names(open "parts.pt"), "unet.w vae.w")
   lu.assertEquals(support.names(open("parts.pt", { key = "vae" })), "w")
   lu.assertEquals(support.names(open "nested.pt"), "layers.0 layers.1.0 layers.1.1.5")
   for _, name in ipairs { "module.pt", "script.pt" } do
      local module = open(name)
      lu.assertEquals(#module, #assert_holds(module, "module"), name)
   end
end

function suite.test_what_numpy_holds_is_told()
   local m = open "numpy_beside.pt"
   lu.assertEquals(support.names(m), "w")
   lu.assertEquals(foreign.of_kind(m, "left"), { '"in.array": a NumPy array', '"scalar": a NumPy scalar' })
end

function suite.test_tied_tensors()
   local m = open "views.pt"
   lu.assertEquals(m:tied(), { { "whole", "tied" } })
   local once, kept, count = foreign.untied(m)
   lu.assertEquals(count, 1)
   lu.assertEquals(kept, { whole = "tied" })
   lu.assertNil(once:find "whole")
   lu.assertEquals(once:metadata(), { format = "pt", whole = "tied" })
   lu.assertEquals(open("plain.pt"):tied(), {})
   lu.assertEquals(open("plain.safetensors"):tied(), {})
end

function suite.test_what_safetensors_cannot_hold()
   support.raises("dtype", { "5 of its tensors cannot be had", "double: complex128", "--skip" }, open, "unsupported.pt")
   local m = open("unsupported.pt", { skip = true })
   lu.assertEquals(support.names(m), "ok")
   local said = table.concat(foreign.of_kind(m, "skipped"), "\n")
   for _, text in ipairs { "double: complex128", "quantised: it is quantised", "sparse: it is sparse", "meta",
      "resolve_conj" } do
      lu.assertStrContains(said, text)
   end
   support.raises("dtype", { "1 of its tensors", "other: it is quantised as IQ2_XXS" }, open, "unsupported.gguf")
   lu.assertEquals(support.names(open("unsupported.gguf", { skip = true })), "ok")
   support.raises("dtype", { 'tensor "o"', "Python objects" }, open, "objects.npz")
   lu.assertEquals(support.names(open("objects.npz", { skip = true })), "c")
   support.raises("limit", { '"c.npy" is compressed', "zip -0" }, open, "compressed.npz")
end

function suite.test_nothing_is_run()
   local calls = {
      ["evil_system.pt"] = 'posix.system("touch run-by-accident")',
      ["evil_eval_legacy.pt"] = "__builtin__.eval(\"__import__('os').getcwd()\")",
      ["evil_getattr.pt"] = "getattr(",
   }
   for name, call in pairs(calls) do
      local e = support.raises("unsafe", { "tries to run", call, "nothing was run here", "--tensors-only" }, open, name)
      lu.assertStrContains(e.message, name)
      local m = open(name, { tensors_only = true })
      lu.assertEquals(support.names(m), "w")
      lu.assertEquals(m.w:values(), { -1, 0 })
      lu.assertStrContains(foreign.of_kind(m, "danger")[1], call)
   end
   for protocol = 0, 5 do
      local name = ("evil_%d.pkl"):format(protocol)
      support.raises("unsafe", 'posix.system("touch run-by-accident")', open, name)
      lu.assertEquals(#open(name, { tensors_only = true }), 0)
   end
   lu.assertNil(core.stat "run-by-accident")
end

-- Many names with dots take no minutes.
function suite.test_many_names()
   local path, parts = support.path("names.pkl"), { "\x80\x02" }
   for i = 1, 100000 do parts[#parts + 1] = ("ca%x\n_b._c._d._e._f._g._h._i\n0"):format(i) end
   support.write(path, table.concat(parts) .. "N.")
   local from = os.clock()
   support.raises("unsafe", { "reaches for a1._b._c._d._e._f._g._h._i", "and 99999 other things" }, st.open, path)
   lu.assertTrue(os.clock() - from < 10)
end

function suite.test_shards()
   local m = open "sharded"
   lu.assertEquals(support.names(m), "a.weight b.weight")
   lu.assertEquals(#m:files(), 2)
   lu.assertEquals(m["b.weight"]:values(), { -2, -1, 0, 1 })
   lu.assertEquals(support.names(open "sharded/pytorch_model.bin.index.json"), "a.weight b.weight")
end

function suite.test_numpy()
   local m = open "arrays.npz"
   assert_holds(m, "arrays")
   lu.assertEquals(m.complex:bytes(), string.pack("<ff", 1, 2))
   lu.assertEquals(m.big_complex:bytes(), string.pack("<ff", 1, 2))
   lu.assertEquals(m:check(), m)
   local path = support.path("back.npz")
   st.npy.save(path, open("plain.pt"))
   local back = st.open(path)
   lu.assertEquals(#back, #assert_holds(back, "plain"))
   lu.assertEquals(back:files()[1].format, "NumPy archive")
end

function suite.test_gguf()
   local m = open "small.gguf"
   lu.assertEquals(#m, #assert_holds(m, "small_gguf"))
   local meta = m:metadata()
   for key, value in pairs { ["general.name"] = "small", ["test.count"] = "7", ["test.negative"] = "-5",
      ["test.epsilon"] = "1e-05", ["test.flag"] = "true", ["test.short"] = "[1, 2, 3]",
      ["test.words"] = '["a", "b"]' } do
      lu.assertEquals(meta[key], value, key)
   end
   lu.assertNil(meta["test.long"])
   lu.assertEquals(foreign.of_kind(m, "untold"),
      { "test.long: an array of 100", "tokenizer.ggml.tokens: an array of 40" })
   assert_converts(m, "small_gguf")
   -- Parts of blocks, and arithmetic on them.
   local function part(model) return (2 * model["quantised.Q6_K"][{ 2, { 300, 310 } }]):values() end
   lu.assertEquals(part(m), part(open "small_gguf.safetensors"))
end

-- Every byte changed, every length cut: an error of ours, or tensors that are read within the file.
function suite.test_broken_files()
   local refused, kept = 0, 0
   local function try(bytes)
      local path = support.path("broken")
      support.write(path, bytes)
      local ok, e = pcall(st.open, path, { skip = true, tensors_only = true })
      if not ok then
         refused = refused + 1
         return lu.assertTrue(core.is_error(e), tostring(e))
      end
      kept = kept + 1
      for _, t in pairs(e) do
         if t:numel() < 1e6 then t:bytes() end
      end
   end
   for _, name in ipairs { "plain.pt", "views_legacy.pt", "arrays.npz", "small.gguf" } do
      local good = support.read(FIXTURES .. name)
      local step = #good // 400 + 1
      for i = 1, #good, step do
         for _, bits in ipairs { 0x01, 0x80, 0xff } do
            try(good:sub(1, i - 1) .. string.char(good:byte(i) ~ bits) .. good:sub(i + 1))
         end
      end
      for n = 0, #good - 1, step do try(good:sub(1, n)) end
      try(good .. "x")
   end
   lu.assertTrue(refused > 1000 and kept > 100, refused .. " refused, " .. kept .. " kept")
end

support.run("checkpoints", suite)
