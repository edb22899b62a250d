--- Elements by place and by mask, and PyTorch's words for what exists under another name.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

local function is(t, dtype, shape, values)
   lu.assertEquals(t:dtype(), dtype)
   lu.assertEquals(t:shape(), shape)
   lu.assertEquals(support.values(t), values)
end

local function i64(list) return st.tensor(list, { dtype = "I64" }) end

function suite.test_index()
   local x = st.arange(6):view(2, 3):clone()
   lu.assertEquals(st.index(x, { 2, 3 }), 5)
   lu.assertEquals(st.index(x, 2):values(), { 3, 4, 5 })
   lu.assertEquals(x:index({ 1, 2 }, { 2, 3 }):totable(), { { 1, 2 }, { 4, 5 } })
   lu.assertEquals(x:index({}, 1):values(), { 0, 3 })
   st.index(x, 1):fill_(9)      -- a view, as t[1] is
   lu.assertEquals(x:values(), { 9, 9, 9, 3, 4, 5 })
   support.raises("arg", "index 3 of dimension 1", st.index, x, 3)
   support.raises("arg", "index: a tensor expected, not a number", st.index, 1, 2)
end

function suite.test_gather()
   local x = st.arange(6):view(2, 3)
   is(x:gather(2, i64 { { 3, -3 }, { 1, 1 } }), "I64", { 2, 2 }, { 2, 0, 3, 3 })
   is(x:gather(1, i64 { { 2, 1 } }), "I64", { 1, 2 }, { 3, 1 })      -- smaller in the other dimension
   is(st.gather(x:half(), -1, st.tensor({ { 1 } }, { dtype = "U8" })), "F16", { 1, 1 }, { 0 })
   is(st.full({}, 7):gather(1, st.full({}, 1)), "I64", {}, { 7 })
   support.raises("shape", "gather: the index has 1 dimensions, the tensor 2", x.gather, x, 1, i64 { 1 })
   support.raises("shape", "size 3 in dimension 1, the tensor 2", x.gather, x, 2, i64 { { 1 }, { 1 }, { 1 } })
   support.raises("dtype", "places are integers, not F32", x.gather, x, 1, st.zeros(1, 1))
   for _, at in ipairs { 0, 3, -3 } do
      local late = x:gather(1, i64 { { at } })      -- found when it is computed
      support.raises("arg", ("index %d is out of range: dimension 1 has 2 elements"):format(at), late.force, late)
   end
end

function suite.test_index_select()
   local x = st.arange(24):view(2, 3, 4)
   for dim = 1, 3 do
      local n = x:size(dim)
      local at = i64 { n, 1, -1, -n }
      local rows = {}
      for i, place in ipairs { n, 1, n, 1 } do rows[i] = x:select(dim, place) end
      lu.assertTrue(st.equal(x:index_select(dim, at), st.stack(rows, dim)))
      lu.assertTrue(st.equal((x * 2):index_select(dim - 4, at), st.stack(rows, dim) * 2))
   end
   is(x:index_select(2, st.full({}, 2)), "I64", { 2, 1, 4 }, { 4, 5, 6, 7, 16, 17, 18, 19 })
   is(st.full({}, 7):index_select(1, i64 { 1 }), "I64", {}, { 7 })
   is(x:index_select(1, st.tensor({}, { dtype = "I64" })), "I64", { 0, 3, 4 }, {})
   support.raises("shape", "the index has 2 dimensions", x.index_select, x, 1, i64 { { 1 } })
   support.raises("dtype", "not BOOL (for a mask see masked_select)", x.index_select, x, 1, st.tensor { true })
   local late = x:index_select(1, i64 { 1, 3 })
   support.raises("arg", "index 3 is out of range", late.force, late)
end

-- Rows of a table in a file: only these are read, whatever the limit.
function suite.test_rows_of_a_file()
   local values = {}
   for i = 1, 40000 do values[i] = i end
   local m = support.model("table.safetensors", { { "w", "F32", { 400, 100 }, values } })
   local limit = st.memory()
   st.memory(10000)
   local ok, got = pcall(function() return m.w:index_select(1, i64 { 400, 2 }):sum(2):values() end)
   st.memory(limit)
   lu.assertTrue(ok, got)
   lu.assertEquals(got, { 3995050, 15050 })
end

function suite.test_masks()
   local x = st.tensor { { 1.5, 2.5, 3.5 }, { 4.5, 5.5, 6.5 } }
   is(x:masked_select(x:gt(2)), "F32", { 5 }, { 2.5, 3.5, 4.5, 5.5, 6.5 })
   is(st.masked_select(x, st.tensor { true, false, true }), "F32", { 4 }, { 1.5, 3.5, 4.5, 6.5 })
   is(st.tensor { 7, 8 }:masked_select(st.tensor { { true, true }, { false, true } }), "I64", { 3 }, { 7, 8, 8 })
   is(x:masked_select(x:gt(9)), "F32", { 0 }, {})
   is((x:bfloat16() / 3):masked_select(x:lt(2)), "BF16", { 1 }, { 0.5 })
   support.raises("dtype", "the mask is F32, not BOOL", x.masked_select, x, x)
   support.raises("shape", "do not broadcast", x.masked_select, x, st.tensor { true, false })
   is(st.nonzero(st.tensor { { 0, 3 }, { 4, 0 } }), "I64", { 2, 2 }, { 1, 2, 2, 1 })
   is(st.tensor({ 0 / 0, 0, -0.0 }):nonzero(), "I64", { 1, 1 }, { 1 })
   is(st.full({}, 5):nonzero(), "I64", { 1, 0 }, {})
   is(st.zeros(3, 0):nonzero(), "I64", { 0, 2 }, {})
end

function suite.test_words()
   local x = st.tensor { { 0.5, 1.5, 2.5 } }
   for word, to in pairs { float = "F32", half = "F16", bfloat16 = "BF16", double = "F64", int = "I32", long = "I64",
      bool = "BOOL" } do
      lu.assertEquals(x[word](x):dtype(), to)
   end
   lu.assertEquals(x:to("f16"):dtype(), "F16")
   lu.assertEquals(st.tensor({ 1e9 }):to("F16", { saturate = true }):values(), { 65504 })
   lu.assertEquals(x:int():values(), { 0, 1, 2 })
   lu.assertEquals(x:tolist(), { { 0.5, 1.5, 2.5 } })
   lu.assertEquals({ x:dim(), x:size(1), x:size(-1), x:size() }, { 2, 1, 3, { 1, 3 } })
   support.raises("arg", "size: dimension 3 of a tensor with 2", x.size, x, 3)
   lu.assertEquals(x:swapaxes(1, 2):shape(), { 3, 1 })
   lu.assertEquals(x:broadcast_to(2, 3):shape(), { 2, 3 })
   lu.assertEquals(x:clip(1, 2):values(), { 1, 1.5, 2 })
   lu.assertEquals(st.clip(st.model { { "x", x } }, 1).x:values(), { 1, 1.5, 2.5 })
   lu.assertEquals(x:clone():clip_(1, 2):values(), { 1, 1.5, 2 })
end

-- A tensor of its own: seen in any shape, and what is written to it leaves the other alone.
function suite.test_contiguous()
   local x = st.arange(6):view(2, 3):clone()
   local own = x:t():contiguous()
   lu.assertEquals(own:view(6):values(), { 0, 3, 1, 4, 2, 5 })
   own:fill_(7)
   lu.assertEquals(x:values(), { 0, 1, 2, 3, 4, 5 })
   x:fill_(1)
   lu.assertEquals(own:values(), { 7, 7, 7, 7, 7, 7 })
   lu.assertEquals(st.full({}, 3):contiguous():item(), 3)
end

function suite.test_repeat_interleave()
   local x = st.tensor { { 1, 2 }, { 3, 4 } }
   is(x:repeat_interleave(2), "I64", { 8 }, { 1, 1, 2, 2, 3, 3, 4, 4 })
   is(x:repeat_interleave(2, 1), "I64", { 4, 2 }, { 1, 2, 1, 2, 3, 4, 3, 4 })
   is(x:repeat_interleave(3, -1):narrow(1, 1, 1), "I64", { 1, 6 }, { 1, 1, 1, 2, 2, 2 })
   is(st.repeat_interleave(x, 0), "I64", { 0 }, {})
   support.raises("arg", "the count must be an integer", x.repeat_interleave, x, -1)
end

support.run("pick", suite)
