--- Printing tensors and models, and the text helpers.
local support = require "support"
local core = require "stlua.core"
local lu = require "luaunit"
local npy = require "stlua.npy"
local progress = require "stlua.progress"
local st = require "stlua"
local text = require "stlua.text"

local suite = {}

-- Under a sanitizer times say nothing about the program; that they are not absurd is all there is to see.
local SLOW = (os.getenv("SAN") or "") ~= "" and 50 or 1

local function prints(want, t)
   lu.assertEquals(tostring(t), (want:gsub("^\n", ""):gsub("\n%s*$", "")))
end

function suite.test_tensors()
   prints("Tensor[F32, 4 B]\n  2.5000", support.tensor("F32", {}, { 2.5 }))
   prints([[
Tensor[3 I64, 24 B]
  -1   0  20]], support.tensor("I64", { 3 }, { -1, 0, 20 }))
   prints([[
Tensor[2x2 F32, 16 B]
   1.0000  -2.0000
      nan      inf]], support.tensor("F32", { 2, 2 }, { 1, -2, 0 / 0, math.huge }))
   prints([[
Tensor[2 BOOL, 2 B]
   true  false]], support.tensor("BOOL", { 2 }, { 1, 0 }))
   prints("Tensor[0x3 F32, 0 B]", support.tensor("F32", { 0, 3 }, {}))
end

function suite.test_one_scale_for_all_values()
   prints([[
Tensor[2 F32, 8 B]
  1e+06 *
  2.5000  0.0001]], support.tensor("F32", { 2 }, { 2.5e6, 100 }))
   prints([[
Tensor[2 F32, 8 B]
  1e-05 *
  4.0000  0.0000]], support.tensor("F32", { 2 }, { 4e-5, 0 }))
end

function suite.test_corners_only()
   local values = {}
   for i = 1, 80 do values[i] = i end
   prints([[
Tensor[8x10 I32, 320 B]
   1   2   3  ...   8   9  10
  11  12  13  ...  18  19  20
  21  22  23  ...  28  29  30
  ...
  51  52  53  ...  58  59  60
  61  62  63  ...  68  69  70
  71  72  73  ...  78  79  80]], support.tensor("I32", { 8, 10 }, values))
   prints([[
Tensor[4x2x10 I32, 320 B]
 (1, :, :) of 4
   1   2   3  ...   8   9  10
  11  12  13  ...  18  19  20
 (4, :, :)
  61  62  63  ...  68  69  70
  71  72  73  ...  78  79  80]], support.tensor("I32", { 4, 2, 10 }, values))
end

function suite.test_printing_reads_only_what_it_shows()
   -- A gigabyte of computed values is printed at once, for nearly none is computed.
   local row = support.tensor("F32", { 1, 16384 }, (function()
      local v = {}
      for i = 1, 16384 do v[i] = 1 end
      return v
   end)())
   local column = support.tensor("F32", { 16384, 1 }, support.values(row))
   local big, start = row * column, os.clock()
   lu.assertStrContains(tostring(big), "Tensor[16384x16384 F32, 1.0 GiB]")
   lu.assertTrue(os.clock() - start < 0.5 * SLOW)
end

function suite.test_a_tensor_of_a_file_names_it()
   local m = support.model("f.safetensors", { { "x\27[31m", "F32", { 1 }, { 1 } } })
   lu.assertStrContains(tostring(m:tensor(1)), "f.safetensors:x")
   lu.assertNil(tostring(m:tensor(1)):find("\27", 1, true))
   lu.assertNil(tostring(m):find("\27", 1, true))
end

function suite.test_printing_does_not_change_what_is_saved()
   local a = support.model("p.safetensors", { { "x", "BF16", { 1 }, { 1 } } })
   local t = a.x / 3
   local before = (t * 3):bytes()
   lu.assertStrContains(tostring(t), "0.3333")
   t:force()
   lu.assertEquals((t * 3):bytes(), before)
end

-- Every kind of expression, saved as it is, and after everything that shows something of it.
function suite.test_nothing_that_shows_values_changes_a_file()
   local values = {}
   for i = 1, 600 do values[i] = math.sin(i * i) * 3 end
   local function expressions()
      local m = support.model("shown.safetensors", { { "h", "BF16", { 20, 30 }, values },
         { "f", "F32", { 20, 30 }, values }, { "ids", "I64", { 3 }, { 1, 2, 3 } } })
      local h, f = m.h / 3, m.f * 1.1
      local shared = (h + f) / 7
      local list = { copy = m.h, h = h, wide = h * f:double(), shared = shared, again = shared * h, ids = m.ids,
         small = f:cast("F8_E4M3"), mean = h:mean(), rows = h:softmax(2), sorted = (f:sort(1)),
         product = h:matmul(f:t()),
         view = h:t()[{ { 2, 9, 3 }, {} }], joined = st.cat { h, f }, random = st.randn({ 20, 30 }, { seed = 4 }) * h,
         picked = f:index_select(1, m.ids), scaled = f / f:norm(), u = (h:svd()) }
      local names = {}
      for name in pairs(list) do names[#names + 1] = name end
      table.sort(names)
      for i, name in ipairs(names) do names[i] = { name, list[name] } end
      return st.model(names), list
   end
   local function saved(m)
      m:save(support.path("shown_out.safetensors"), { sync = false })
      local file <close> = assert(io.open(support.path("shown_out.safetensors"), "rb"))
      return file:read("a")
   end
   local quiet = expressions()
   local m, list = expressions()
   local loud = { tostring(m), m:summary(), m:formula(), tostring(m:stats()) }
   for _, t in pairs(list) do
      loud[#loud + 1] = tostring(t)
      loud[#loud + 1] = tostring(t:flatten()[1])
      t:values(1, 1)
      if t:numel() == 1 then t:item() end
   end
   list.h:force()
   list.shared:force()
   lu.assertStrContains(table.concat(loud, "\n"), "Tensor[20x30 BF16")
   lu.assertTrue(saved(m) == saved(quiet))
end

function suite.test_models()
   local m = support.model("m.safetensors", { { "a", "F32", { 2 }, { 1, 2 } }, { "b", "BF16", {}, { 1 } } },
      { k = "v" })
   prints([[
Model[2 tensors, 10 B: 1 BF16, 1 F32]
  = m.safetensors
  a  F32 [2]  8 B
  b  BF16 []  2 B
  metadata: k]], m)
   local list = {}
   for i = 1, 19 do list[i] = { "t" .. i, st.zeros(i) } end
   list[1][2] = st.zeros(100)
   local shown = tostring(st.model(list))
   lu.assertStrContains(shown, "t1   F32 [100]  400 B")
   lu.assertNil(shown:find("F32 [2]", 1, true))      -- the largest of too many are shown
   lu.assertStrContains(shown, "... 3 more")
   lu.assertEquals(tostring(st.model {}), "Model[0 tensors, 0 B]\n  = model")
end

local function layers()
   local list, x = {}, support.tensor("BF16", { 4, 2 }, { 1, 2, 3, 4, 5, 6, 7, 8 })
   for i = 0, 11 do
      for _, name in ipairs { "attn.q.weight", "attn.k.weight", "norm" } do
         list[#list + 1] = { ("model.layers.%d.%s"):format(i, name), x }
      end
   end
   list[#list + 1] = { "model.layers.12.norm", x }
   list[#list + 1] = { "head.weight", x }
   return st.model(list)
end

function suite.test_layers_that_are_alike_are_one_line()
   prints([[
Model[38 tensors, 608 B: 38 BF16]
  = model
  model.layers    37 tensors        592 B
    0-11          12 x 3 tensors    576 B
      attn        12 x 2 tensors    384 B
        q.weight  12 x BF16 [4, 2]  192 B
        k.weight  12 x BF16 [4, 2]  192 B
      norm        12 x BF16 [4, 2]  192 B
    12.norm       BF16 [4, 2]        16 B
  head.weight     BF16 [4, 2]        16 B]], layers())
end

function suite.test_an_outline_is_short()
   local list, x = {}, support.tensor("F32", {}, { 1 })
   for i = 1, 300 do
      for j = 1, i % 7 + 1 do list[#list + 1] = { ("block%d.%d.weight%d"):format(i % 10, i, j), x } end
   end
   local _, lines = tostring(st.model(list)):gsub("\n", "")
   lu.assertTrue(lines <= 19, lines .. " lines")
end

function suite.test_many_tensors_of_one_shape_share_a_line()
   local list = {}
   for i = 1, 12 do list[i] = { "schedule_" .. string.char(96 + i), st.zeros(5) } end
   list[13] = { "unet.weight", st.zeros(2) }
   prints([[
Model[13 tensors, 248 B: 13 F32]
  = model
  schedule_a, ...  12 x F32 [5]  240 B
  unet.weight      F32 [2]         8 B]], st.model(list))
end

function suite.test_the_largest_blocks_are_opened()
   local list, small = {}, st.zeros(1)
   for i = 1, 12 do list[#list + 1] = { ("a.part%d.x.w%d"):format(i, i), small } end
   for i = 1, 12 do list[#list + 1] = { ("b.part%d.x.w%d"):format(i, i), st.zeros(1000) } end
   local shown = tostring(st.model(list))
   lu.assertStrContains(shown, "  a               12 tensors      48 B")
   lu.assertStrContains(shown, "    part12.x.w12  F32 [1000]   3.9 KiB")
end

function suite.test_odd_names_in_an_outline()
   local x, list = st.zeros(2), {}
   local deep = ("a."):rep(5000) .. "z"      -- more segments than anybody shows
   for i, name in ipairs { deep, "", ".", "..", "a..b", "0", "00", "1234567890123", ("x"):rep(3000) } do
      list[i] = { name, x }
   end
   local m = st.model(list)
   lu.assertStrContains(tostring(m), "Model[9 tensors, 72 B: 9 F32]")
   lu.assertStrContains(m:summary(), "all  ")
   -- 0 and 00 are one number in two spellings: nothing may be lost of either.
   local _, lines = m:summary():gsub("\n", "")
   lu.assertTrue(lines >= 8, lines)
end

function suite.test_a_hundred_thousand_tensors_are_outlined_quickly()
   local path, x = support.path("many.safetensors"), st.zeros(1)
   local parts, at = {}, 0
   for i = 0, 99999 do
      parts[i + 1] = ('"model.layers.%d.experts.%d.w":{"dtype":"F32","shape":[1],"data_offsets":[%d,%d]}')
         :format(i // 100, i % 100, at, at + 4)
      at = at + 4
   end
   local header = "{" .. table.concat(parts, ",") .. "}"
   support.write(path, ("<s8"):pack(header))
   support.shell(("truncate -s %d @/many.safetensors"):format(8 + #header + at))
   local m, began = st.open(path), os.clock()
   lu.assertStrContains(tostring(m), "model.layers.0-999.experts.0-99.w  100000 x F32 [1]")
   lu.assertTrue(os.clock() - began < 1 * SLOW, os.clock() - began)
   lu.assertEquals(x:numel(), 1)
end

function suite.test_values_that_have_no_number()
   prints([[
Tensor[1 C64, 8 B]
  (values of C64 are not shown; t:bytes() gives them)]], st.from_bytes("C64", { 1 }, ("\0"):rep(8)))
   prints([[
Tensor[2 U64, 16 B]
  18446744073709551615                     1]],
      st.from_bytes("U64", { 2 }, ("\xff"):rep(8) .. "\1" .. ("\0"):rep(7)))
end

function suite.test_a_name_that_begins_others()
   local x = support.tensor("F32", { 2 }, { 1, 2 })
   local m = st.model { { "a", x }, { "a.b", x }, { "a.b.c", x }, { "\27[31m", x } }
   lu.assertStrContains(m:summary(), "a.b.c       F32    [2]        1           2   8 B")
   lu.assertStrContains(m:summary(), "all                           4           8  32 B")
   lu.assertNil((tostring(m) .. m:summary()):find("\27", 1, true))
end

function suite.test_summary()
   lu.assertEquals(layers():summary(), [[
tensor                           dtype  shape   count  parameters   size
model.layers.0-11.attn.q.weight  BF16   [4, 2]     12          96  192 B
model.layers.0-11.attn.k.weight  BF16   [4, 2]     12          96  192 B
model.layers.0-11.norm           BF16   [4, 2]     12          96  192 B
model.layers.12.norm             BF16   [4, 2]      1           8   16 B
head.weight                      BF16   [4, 2]      1           8   16 B
all                                                38         304  608 B]])
end

-- A file of a gigabyte that takes no room on the disk.
local function gigabyte(name)
   local header = '{"x":{"dtype":"F32","shape":[16384,16384],"data_offsets":[0,1073741824]}}'
   support.write(support.path(name), ("<s8"):pack(header))
   support.shell(("truncate -s %d @/%s"):format(8 + #header + (1 << 30), name))
   return st.open(support.path(name)).x
end

-- The best time of a few in seconds, and the bytes that the first one read.
local function printing(make)
   local best, bytes, shown = math.huge, nil, nil
   for _ = 1, 5 do
      local v = make()
      local read, began = core.bytes_read(), core.clock()
      shown = tostring(v)
      best = math.min(best, core.clock() - began)
      bytes = bytes or core.bytes_read() - read
   end
   return best, bytes, shown
end

function suite.test_only_the_elements_shown_are_read()
   local function a() return gigabyte("a.safetensors") end
   local b = gigabyte("b.safetensors")
   lu.assertStrContains(tostring(a()), "Tensor[16384x16384 F32, 1.0 GiB, a.safetensors:x]")
   lu.assertStrContains(tostring(a() * 2 + 1), "1.0000")
   for what, make in pairs {
      ["a tensor"] = a, ["a matrix transposed"] = function() return a():t() end,
      ["an average"] = function() return 0.5 * a() + 0.5 * b end,
      ["a long expression"] = function() return ((a() * 2 + b):exp() - b):tanh():cast("BF16") end,
      ["a sum of a transpose"] = function() return a() + b:t() end,
      ["columns"] = function() return a()[{ {}, { 5, 100 } }] end,
      ["rows backwards"] = function() return a():flip(1) * 2 end,
      ["three dimensions"] = function() return a():reshape(1024, 256, 1024):permute(3, 1, 2) end,
      ["one column for all"] = function() return a() * b:narrow(2, 1, 1) end,
      ["two joined"] = function() return st.cat({ a(), b }, 2) end,
      ["a choice"] = function() return st.where(a():gt(0), a(), b:t()) end,
      ["random numbers"] = function() return st.randn(16384, 16384):t() end,
   } do
      local seconds, bytes = printing(make)
      lu.assertTrue(bytes < 1024, ("%s: %d bytes were read"):format(what, bytes))
      lu.assertTrue(seconds < 0.005 * SLOW, ("%s: %.1f ms"):format(what, seconds * 1e3))
   end
end

function suite.test_few_elements_of_a_view_are_those_of_the_whole()
   local t = st.randn(300, 300, { seed = 5 }):cast("BF16") * 3
   local view = (t:t() + t):flip(2):t() / 2
   local one = {}
   for _, at in ipairs { 1, 299, 300, 301, 44444, 90000 } do one[at] = view:values(at, 1)[1] end
   local all = view:values()
   for at, value in pairs(one) do lu.assertEquals(value, all[at]) end
end

function suite.test_npy()
   local header = npy.header("F32", { 2, 3 })
   lu.assertEquals(header:sub(1, 8), "\x93NUMPY\1\0")
   lu.assertEquals(#header % 64, 0)
   lu.assertEquals(string.unpack("<I2", header, 9), #header - 10)
   lu.assertStrContains(header, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }")
   lu.assertStrContains(npy.header("BOOL", { 5 }), "'|b1', 'fortran_order': False, 'shape': (5,)")
   lu.assertStrContains(npy.header("C64", {}), "'<c8', 'fortran_order': False, 'shape': ()")
   lu.assertEquals(npy.dtype(support.tensor("BF16", {}, { 1 })), "F32")
   lu.assertEquals(npy.dtype(support.tensor("F16", {}, { 1 })), "F16")
   support.raises("dtype", "NumPy has no type for F8_E8M0", npy.dtype, st.from_bytes("F8_E8M0", {}, "\0"))
end

function suite.test_sizes()
   for size, want in pairs {
      ["5GB"] = 5000000000, ["5GiB"] = 5 * 2 ^ 30, ["1.5mb"] = 1500000, ["100"] = 100, ["2 kB"] = 2000,
   } do
      lu.assertEquals(text.parse_bytes(size), want, size)
   end
   for _, wrong in ipairs { "", "GB", "-1GB", "1XB", "1iB", "0", "1e3", "99999999999GB" } do
      local n, message = text.parse_bytes(wrong)
      lu.assertNil(n, wrong)
      lu.assertStrContains(message, wrong)
   end
end

function suite.test_numbers_read_back()
   for _, x in ipairs { 0.1, 1 / 3, 0.5, 1e300, -2.5, 3, 1e-7, 100.0 } do
      lu.assertEquals(tonumber(text.number(x)), x)
   end
   lu.assertEquals(text.number(0.1), "0.1")
   lu.assertEquals(text.number(2), "2")
end

function suite.test_nearest()
   local names = { "model.layers.0.q_proj.weight", "model.layers.0.k_proj.weight", "lm_head.weight", "norm" }
   lu.assertEquals(text.nearest("lm_haed.weight", names), { "lm_head.weight" })
   lu.assertEquals(text.nearest("q_proj", names), { names[1] })
   lu.assertEquals(text.nearest("NORM", names), { "norm" })
   lu.assertEquals(text.nearest("nrom", names), { "norm" })
   lu.assertEquals(text.nearest("something else", names), {})
   lu.assertEquals(text.did_you_mean("x_proj.weight", names), "")
   lu.assertEquals(text.did_you_mean("norm", { "norm", "form" }), '; did you mean "norm" or "form"?')
end

function suite.test_suggestions_for_a_hundred_thousand_names_are_quick()
   local names = {}
   for i = 1, 100000 do names[i] = ("model.layers.%d.self_attn.q_proj.weight"):format(i) end
   local start = os.clock()
   lu.assertTrue(#text.nearest("model.layers.17.self_attn.q_porj.weight", names) > 0)
   lu.assertTrue(os.clock() - start < 2 * SLOW)
end

function suite.test_progress()
   lu.assertEquals(progress.line("write", 512 << 20, 1 << 30, 1.0),
      "write  50%  512.0 MiB of 1.0 GiB  0.5 GB/s  0:01 left")
   lu.assertEquals(progress.line("write", 0, 1 << 20, 0), "write   0%  0 B of 1.0 MiB")
   lu.assertEquals(progress.line("sync", 1, 1, 1), "sync ...")
end

support.run("print", suite)
