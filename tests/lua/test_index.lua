--- t[i], t[{...}], views and their shapes.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

local function grid() return st.arange(24):reshape(2, 3, 4) end

function suite.test_integers()
   local v = st.tensor { 10, 20, 30 }
   lu.assertEquals({ v[1], v[3], v[-1], v[-3] }, { 10, 30, 30, 10 })
   lu.assertEquals(math.type(v[1]), "integer")
   lu.assertEquals(st.tensor { true, false }[1], true)
   lu.assertEquals(st.tensor { 1.5 }[1], 1.5)
   lu.assertEquals(grid()[2]:totable(), { { 12, 13, 14, 15 }, { 16, 17, 18, 19 }, { 20, 21, 22, 23 } })
   lu.assertEquals(grid()[2][3][4], 23)
   lu.assertEquals(grid()[-1][-3]:values(), { 12, 13, 14, 15 })
   for _, i in ipairs { 0, 4, -4, math.maxinteger, math.mininteger } do
      support.raises("arg", { "index " .. i, "there are 3" }, function() return v[i] end)
   end
   support.raises("arg", "indexed by an integer or a table", function() return v[1.5] end)
   support.raises("arg", "see masked_select, masked_fill and index_select", function() return v[v:gt(10)] end)
   support.raises("arg", "without dimensions", function() return st.full({}, 1)[1] end)
   lu.assertNil(v.nothing)
end

function suite.test_tables()
   local g = grid()
   lu.assertEquals(g[{ 2, 1, 4 }], 15)
   lu.assertEquals(g[{ 1, 2 }]:values(), { 4, 5, 6, 7 })
   lu.assertEquals(g[{ {}, 1, {} }]:shape(), { 2, 4 })
   lu.assertEquals(g[{ {}, {}, 2 }]:values(), { 1, 5, 9, 13, 17, 21 })
   lu.assertEquals(g[{ { 2 }, { 2, 3 }, { 1, 4, 3 } }]:totable(), { { { 16, 19 }, { 20, 23 } } })
   lu.assertEquals(g[{ {}, { -2, -1 } }]:shape(), { 2, 2, 4 })
   lu.assertEquals(g[{ 1, 1, { 4, 1, -1 } }]:values(), { 3, 2, 1, 0 })
   lu.assertEquals(g[{ 1, 1, { nil, nil, -2 } }]:values(), { 3, 1 })
   lu.assertEquals(g[{ 1, 1, { 2, 1 } }]:shape(), { 0 })
   lu.assertEquals(g[{ 1, 1, { 5, 4 } }]:shape(), { 0 })
   lu.assertEquals(g[{}]:shape(), { 2, 3, 4 })
   lu.assertEquals(st.zeros(0, 2)[{ {}, 1 }]:shape(), { 0 })
   lu.assertEquals(st.zeros(0)[{ { nil, nil, -1 } }]:shape(), { 0 })
   support.raises("arg", "4 indices for a tensor of 3", function() return g[{ 1, 1, 1, 1 }] end)
   support.raises("arg", "ends before it begins: {3, 1}", function() return g[{ {}, { 3, 1 } }] end)
   support.raises("arg", "dimension 2 is out of range: there are 3", function() return g[{ {}, { 1, 4 } }] end)
   support.raises("arg", "the step is 0", function() return g[{ { 1, 2, 0 } }] end)
   support.raises("arg", "got a string", function() return g[{ { 1, "2" } }] end)
   support.raises("arg", "index 2: an integer or a slice", function() return g[{ 1, "x" }] end)
   support.raises("arg", "got 4 numbers", function() return g[{ { 1, 2, 3, 4 } }] end)
end

function suite.test_parts_of_a_files_tensor()
   local m = support.model("parts.safetensors", { { "w", "F32", { 3, 4 }, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 } } })
   lu.assertEquals(m.w[2]:values(), { 5, 6, 7, 8 })
   lu.assertEquals(m.w[2]:source(), m.w:source())      -- still a range of the file
   lu.assertEquals(m.w[{ { 1, 2 }, 2 }]:values(), { 2, 6 })
   lu.assertEquals(m.w[{ 3, 4 }], 12)
end

function suite.test_shapes()
   local g = grid()
   lu.assertEquals(g:reshape(4, -1):shape(), { 4, 6 })
   lu.assertEquals(g:view({ 24 }):shape(), { 24 })
   lu.assertEquals(g:permute(3, 1, 2):shape(), { 4, 2, 3 })
   lu.assertEquals(g:permute(-1, 1, 2):permute(2, 3, 1):identical(g), true)
   lu.assertEquals(g:transpose(1, -1):shape(), { 4, 3, 2 })
   lu.assertEquals(st.arange(6):view(2, 3):t():totable(), { { 0, 3 }, { 1, 4 }, { 2, 5 } })
   lu.assertEquals(g:movedim(1, 3):shape(), { 3, 4, 2 })
   lu.assertEquals(g:unsqueeze(1):shape(), { 1, 2, 3, 4 })
   lu.assertEquals(g:unsqueeze(-1):shape(), { 2, 3, 4, 1 })
   lu.assertEquals(st.zeros(1, 2, 1):squeeze():shape(), { 2 })
   lu.assertEquals(st.zeros(1, 2, 1):squeeze(1):shape(), { 2, 1 })
   lu.assertEquals(st.zeros(1, 2, 1):squeeze(2):shape(), { 1, 2, 1 })
   lu.assertEquals(g:flatten(2):shape(), { 2, 12 })
   lu.assertEquals(g:flatten(1, 2):shape(), { 6, 4 })
   lu.assertEquals(st.full({}, 1):flatten():shape(), { 1 })
   lu.assertEquals(g:unflatten(3, { 2, -1 }):shape(), { 2, 3, 2, 2 })
   lu.assertEquals(st.tensor { 1, 2 }:expand(3, -1):totable(), { { 1, 2 }, { 1, 2 }, { 1, 2 } })
   lu.assertEquals(g:narrow(2, -2, 2):shape(), { 2, 2, 4 })
   lu.assertEquals(g:select(-1, 1):shape(), { 2, 3 })
   support.raises("shape", "24 elements", g.reshape, g, 5, 5)
   support.raises("shape", "in place of -1", g.reshape, g, 5, -1)
   support.raises("arg", "only one size", g.reshape, g, -1, -1)
   support.raises("shape", "do not make up 4", g.unflatten, g, 3, { 3, -1 })
   support.raises("arg", "each of the 3 dimensions once", g.permute, g, 1, 1, 2)
   support.raises("shape", "does not broadcast", g.expand, g, 2, 3, 5)
end

-- A view of a transposed matrix is none, and `t` of three dimensions neither.
function suite.test_views_and_copies()
   local x = st.arange(6):view(2, 3):clone()
   support.raises("shape", "use reshape", function() return x:t():view(6) end)
   lu.assertEquals(x:t():reshape(6):values(), { 0, 3, 1, 4, 2, 5 })
   support.raises("shape", "see transpose", function() return x:view(1, 2, 3):t() end)
end

function suite.test_order_and_parts()
   local x = st.arange(6):view(2, 3)
   lu.assertEquals(x:flip(1, 2):values(), { 5, 4, 3, 2, 1, 0 })
   lu.assertEquals(x:flip():values(), { 0, 1, 2, 3, 4, 5 })
   lu.assertEquals(x:roll(1):values(), { 5, 0, 1, 2, 3, 4 })
   lu.assertEquals(x:roll(-1, 2):values(), { 1, 2, 0, 4, 5, 3 })
   lu.assertEquals(x:roll(6):values(), { 0, 1, 2, 3, 4, 5 })
   lu.assertEquals(x["repeat"](x, 2, 2):shape(), { 4, 6 })
   lu.assertEquals(x:tile(2):shape(), { 2, 6 })
   lu.assertEquals(x:pad({ 1, 2 }):shape(), { 2, 6 })
   lu.assertEquals(x:pad({ -1, 0, 0, 1 }, { value = 7 }):totable(), { { 1, 2 }, { 4, 5 }, { 7, 7 } })
   local sizes = {}
   for i, part in ipairs(st.arange(7):split(3)) do sizes[i] = #part end
   lu.assertEquals(sizes, { 3, 3, 1 })
   lu.assertEquals(st.arange(7):split({ 2, 5 })[2]:values(), { 2, 3, 4, 5, 6 })
   lu.assertEquals(#st.arange(7):chunk(3), 3)
   lu.assertEquals(#st.arange(4):chunk(3), 2)      -- as torch: parts of 2
   lu.assertEquals(x:unbind()[2]:values(), { 3, 4, 5 })
   support.raises("shape", "do not make up dimension 1 of size 7", st.split, st.arange(7), { 2, 4 })
   support.raises("shape", "cut off 3", x.pad, x, { -2, -2 })
end

function suite.test_joins()
   local x = st.arange(6):view(2, 3)
   lu.assertEquals(st.cat({ x, x }):shape(), { 4, 3 })
   lu.assertEquals(st.cat({ x, x + 10 }, 2):totable(), { { 0, 1, 2, 10, 11, 12 }, { 3, 4, 5, 13, 14, 15 } })
   lu.assertEquals(st.cat({ x, x:cast("F32") }):dtype(), "F32")
   lu.assertEquals(st.stack({ x, x }, -1):shape(), { 2, 3, 2 })
   lu.assertEquals(st.stack({ st.full({}, 1), st.full({}, 2) }):values(), { 1, 2 })
   support.raises("shape", "tensor 2 has shape [3], the first [2, 3]", st.cat, { x, st.arange(3) })
   support.raises("arg", "tensor 2 of the list is a number", st.cat, { x, 1 })
   support.raises("shape", "stack them", st.cat, { st.full({}, 1) })
end

-- A join of files' tensors is bytes of the files: saving it reads them, however large they are.
function suite.test_a_join_of_files_streams()
   local m = support.model("join.safetensors",
      { { "a", "BF16", { 2, 2 }, { 1, 2, 3, 4 } }, { "b", "BF16", { 1, 2 }, { 5, 6 } } })
   local joined = st.cat { m.a, m.b, st.tensor({ { 7, 8 } }, { dtype = "BF16" }) }
   lu.assertNil((joined:source()))
   lu.assertTrue(joined:is_leaf())
   local path = support.path("joined.safetensors")
   st.model({ { "ab", joined } }):save(path, { sync = false })
   lu.assertEquals(st.open(path).ab:values(), { 1, 2, 3, 4, 5, 6, 7, 8 })
   lu.assertEquals((joined * 2)[{ {}, 1 }]:values(), { 2, 6, 10, 14 })
end

function suite.test_pads_of_nothing_are_new()
   for _, pads in ipairs { { 0, 0 }, { -1, 0 }, {} } do
      local x = st.ones(2, 3):clone()
      local y = x:pad(pads)
      y:fill_(9)
      lu.assertEquals(x:values(), { 1, 1, 1, 1, 1, 1 })
   end
end

-- Lua's `/` gives floats.
function suite.test_integral_floats()
   local a = st.arange(6):reshape(2, 3)
   for want, t in pairs {
      ["4"] = st.zeros(8 / 2), ["2x2"] = st.rand { 2.0, 2.0 }, ["2"] = st.full({ 2.0 }, 1),
      ["3"] = st.linspace(0, 1, 3.0), ["2x2x3"] = a:expand(2.0, 2, 3), ["1x3"] = a:split(1.0)[1], ["2x6"] = a:tile(2.0),
      ["2x3x1"] = a:unflatten(2.0, { 3.0, 1 }), ["2x5"] = a:pad { 1.0, 1 }, ["3x2"] = a:transpose(1.0, 2.0),
      ["12"] = a:repeat_interleave(2.0), ["2x1"] = a:chunk(3.0, 2.0)[1], ["1x2"] = st.randint(0.0, 4.0, { 1.0, 2.0 }),
      ["2x3"] = a:roll(1.0, 2.0):triu(1.0),
   } do
      lu.assertEquals(table.concat(t:shape(), "x"), want)
   end
   support.raises("arg", 'size 1 is "2"', st.zeros, "2")
   support.raises("arg", "size 1 is 2.5", st.zeros, 2.5)
   support.raises("arg", { "chunk", '"2"' }, a.chunk, a, "2")
   support.raises("arg", { "roll: the shift must be an integer, not \"x\"" }, a.roll, a, "x")
   support.raises("arg", { "transpose: a dimension expected", "not nil" }, a.transpose, a, 1)
   local times = { 2 }
   a:tile(times)
   lu.assertEquals(times, { 2 })
end

function suite.test_flip_names_dimensions_once()
   local a = st.ones(2, 3)
   support.raises("arg", "flip: dimension -2 is named twice", a.flip, a, 1, -2)
   support.raises("arg", "flip: dimension 1 is named twice", a.flip, a, { 1, 1 })
   lu.assertFalse(rawequal(a:flip(), a))
end

-- Each says which function, what was given, and what it takes.
function suite.test_messages()
   local a = st.ones(2, 3):clone()
   support.raises("arg", { "sum: a dimension must be an integer, not 1.5" }, a.sum, a, 1.5)
   support.raises("arg", { "quantile: q must be a number from 0 to 1", "not nil" }, a.quantile, a)
   support.raises("arg", { "stack", "got a tensor", "st.stack({ a, b })" }, st.stack, a, a)
   support.raises("arg", { "cat", "got a tensor", "st.cat({ a, b })" }, st.cat, a, a)
   support.raises("arg", "view: only one size may be -1", a.view, a, -1, -1)
   support.raises("shape", "view: [2, 3] has 6 elements", a.view, a, 4)
   support.raises("shape", "reshape: [2, 3] has 6 elements", a.reshape, a, 4)
   support.raises("arg", { "to: the name of a dtype expected", "not a tensor" }, a.to, a, a)
   support.raises("arg", { "number or boolean expected, not a table", "st.tensor" }, function() a[1] = { 7, 8, 9 } end)
end

function suite.test_dtypes_by_other_names()
   local a, m = st.ones(2), st.model { { "x", st.ones(2) } }
   for given, meant in pairs { float16 = "F16", half = "F16", fp16 = "F16", bfloat16 = "BF16", float32 = "F32",
      float = "F32", double = "F64", int8 = "I8", uint8 = "U8", int64 = "I64", ["torch.long"] = "I64",
      ["torch.bool"] = "BOOL", Float16 = "F16", float8_e4m3fn = "F8_E4M3" } do
      local hint = ('did you mean "%s"?'):format(meant)
      support.raises("dtype", hint, a.cast, a, given)
      support.raises("dtype", hint, st.zeros, 2, { dtype = given })
   end
   support.raises("dtype", 'did you mean "BF16"?', m.cast, m, "bfloat16")
   support.raises("dtype", "I64 is not a floating dtype", m.cast, m, "int64")
   support.raises("dtype", "I64 is not a floating dtype", m.cast, m, "i64")
end

function suite.test_what_is_closed_is_shown_as_such()
   local m, t = st.model { { "x", st.ones(2) } }, st.ones(2, 2):clone()
   local v = t[1]
   m:close()
   debug.getmetatable(t).__close(t)
   lu.assertEquals({ tostring(m), tostring(t), tostring(v) }, { "Model[closed]", "Tensor[closed]", "Tensor[closed]" })
end

support.run("index", suite)
