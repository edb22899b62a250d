--- Tensors from nothing, and models that are changed.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"
local core = require "stlua.core"

local suite = {}

local function check(t, dtype, shape, values)
   lu.assertEquals({ t:dtype(), t:shape(), t:values() }, { dtype, shape, values })
end

function suite.test_tensor()
   check(st.tensor { 1, 2 }, "I64", { 2 }, { 1, 2 })
   check(st.tensor { { 1, 2.5 } }, "F32", { 1, 2 }, { 1, 2.5 })
   check(st.tensor { true, false }, "BOOL", { 2 }, { true, false })
   check(st.tensor { true, 5 }, "I64", { 2 }, { 1, 5 })
   check(st.tensor(3), "I64", {}, { 3 })
   check(st.tensor {}, "F32", { 0 }, {})
   check(st.tensor { {}, {} }, "F32", { 2, 0 }, {})
   check(st.tensor({ 1, 2 }, { dtype = "bf16" }), "BF16", { 2 }, { 1, 2 })
   check(st.tensor({ 0.1 }, { dtype = "F64" }), "F64", { 1 }, { 0.1 })
   check(st.tensor { math.maxinteger }, "I64", { 1 }, { math.maxinteger })
   check(st.tensor({ 1, 0 }, { dtype = "BOOL" }), "BOOL", { 2 }, { true, false })
   local many = {}
   for i = 1, 1001 do many[i] = i end
   check(st.tensor(many), "I64", { 1001 }, many)
   local x = st.tensor { 1, 2 }
   local y = st.tensor(x)
   y[1] = 9
   lu.assertEquals(x:values(), { 1, 2 })
   support.raises("shape", "1 where 2 were expected", st.tensor, { { 1, 2 }, { 3 } })
   support.raises("shape", "a number where 2 were expected", st.tensor, { { 1, 2 }, 3 })
   support.raises("arg", "got a string", st.tensor, { "x" })
   support.raises("arg", { 'unknown option "dtyp"', "dtype" }, st.tensor, { 1 }, { dtyp = "F32" })
   support.raises("dtype", "unknown dtype", st.tensor, { 1 }, { dtype = "float" })
end

function suite.test_one_value()
   check(st.zeros(2), "F32", { 2 }, { 0, 0 })
   check(st.zeros { 2, 0 }, "F32", { 2, 0 }, {})
   check(st.zeros {}, "F32", {}, { 0 })
   check(st.zeros(), "F32", {}, { 0 })
   check(st.zeros({ dtype = "I8" }), "I8", {}, { 0 })
   check(st.ones(2, { dtype = "U8" }), "U8", { 2 }, { 1, 1 })
   check(st.ones({ 2 }, { dtype = "BOOL" }), "BOOL", { 2 }, { true, true })
   check(st.full({ 2 }, 1.5), "F32", { 2 }, { 1.5, 1.5 })
   check(st.full({ 1 }, true), "BOOL", { 1 }, { true })
   check(st.full({ 1 }, 7), "I64", { 1 }, { 7 })
   local x = st.tensor({ 1, 2 }, { dtype = "F16" })
   check(x:zeros_like(), "F16", { 2 }, { 0, 0 })
   check(st.ones_like(x, { dtype = "I32" }), "I32", { 2 }, { 1, 1 })
   check(st.full_like(x, 3), "F16", { 2 }, { 3, 3 })
   support.raises("arg", "size 2 is -1", st.zeros, 1, -1)
   support.raises("arg", "table of sizes expected", st.full, 2, 2)
   support.raises("arg", "got a string", st.full, { 2 }, "2")
   -- A terabyte of zeros costs nothing, and two of them are two.
   local before = core.memory_used()
   local huge = st.zeros(1 << 19, 1 << 19)
   lu.assertEquals(huge[{ 1 << 19, 5 }], 0)
   lu.assertTrue(core.memory_used() - before < 10000)
   support.raises("limit", "a copy in memory takes", function() huge[1] = 1 end)
   local a, b = st.zeros(2), st.zeros(2)
   a[1] = 1
   lu.assertEquals(b:values(), { 0, 0 })
end

function suite.test_ranges()
   check(st.arange(3), "I64", { 3 }, { 0, 1, 2 })
   check(st.arange(1, 3), "I64", { 2 }, { 1, 2 })
   check(st.arange(5, 0, -2), "I64", { 3 }, { 5, 3, 1 })
   check(st.arange(0, 1, 0.25), "F32", { 4 }, { 0, 0.25, 0.5, 0.75 })
   check(st.arange(3.0), "F32", { 3 }, { 0, 1, 2 })
   check(st.arange(3, 1), "I64", { 0 }, {})
   check(st.arange(2, { dtype = "BF16" }), "BF16", { 2 }, { 0, 1 })
   check(st.arange(1, 6, 2, { dtype = "F64" }), "F64", { 3 }, { 1, 3, 5 })
   check(st.linspace(0, 1, 5), "F32", { 5 }, { 0, 0.25, 0.5, 0.75, 1 })
   check(st.linspace(3, 3, 1), "F32", { 1 }, { 3 })
   check(st.linspace(0, 1, 0), "F32", { 0 }, {})
   check(st.eye(2), "F32", { 2, 2 }, { 1, 0, 0, 1 })
   check(st.eye(1, 2, { dtype = "I64" }), "I64", { 1, 2 }, { 1, 0 })
   check(st.eye(2, { dtype = "BOOL" }), "BOOL", { 2, 2 }, { true, false, false, true })
   support.raises("arg", "the step is 0", st.arange, 1, 2, 0)
   support.raises("arg", "finite numbers", st.arange, 0 / 0)
   support.raises("arg", "at least 0, not 1.5", st.linspace, 0, 1, 1.5)
end

function suite.test_bytes()
   check(st.from_string("ab"), "U8", { 2 }, { 97, 98 })
   check(st.from_string("\1\0\2\0", { dtype = "U16" }), "U16", { 2 }, { 1, 2 })
   check(st.from_string("\1\0\2\0", { dtype = "U16", shape = { 2, 1 } }), "U16", { 2, 1 }, { 1, 2 })
   lu.assertEquals(st.to_string(st.from_string("hello")), "hello")
   support.raises("arg", "3 bytes were given", st.from_string, "abc", { dtype = "U16" })
end

function suite.test_set()
   local m = support.model("set.safetensors", { { "a", "F32", { 2 }, { 1, 2 } }, { "b", "F32", {}, { 3 } } })
   local before = m * 2
   lu.assertIs(m:set("a", m.a + 1), m)
   m.c = st.ones(1)
   m["b"] = st.tensor { 4.0 }
   lu.assertEquals(support.names(m), "a b c")
   lu.assertEquals({ m.a:values(), m.b:values(), m.c:values() }, { { 2, 3 }, { 4 }, { 1 } })
   lu.assertEquals(#m, 3)
   lu.assertEquals(before.a:values(), { 2, 4 })
   lu.assertEquals((m * 2).a:values(), { 4, 6 })
   lu.assertStrContains(table.concat(m:notes(), " "), '"a" was set')
   local path = support.path("set2.safetensors")
   m:save(path, { sync = false })
   lu.assertEquals(st.open(path).a:values(), { 2, 3 })
   m:save(support.path("set.safetensors"), { sync = false })      -- over what it was read from
   lu.assertEquals(st.open(support.path("set.safetensors")).b:values(), { 4 })
   support.raises("name", "reserved", m.set, m, "__metadata__", st.ones(1))
   support.raises("arg", "stlua.Tensor expected", m.set, m, "a", 1)
   support.raises("arg", "string expected", function() m[1] = st.ones(1) end)
end

function suite.test_set_forgets_the_value_before_the_cast()
   local a = support.model("raw1.safetensors", { { "x", "BF16", {}, { 1 } } })
   local b = support.model("raw2.safetensors", { { "x", "F32", {}, { 1 / 256 } } })
   local sum = a + b
   sum:set("x", st.tensor(5.0))
   lu.assertEquals((sum + b).x:dtype(), "F32")
   lu.assertEquals((sum * 1).x:item(), 5)
end

function suite.test_merge()
   local a = st.model { { "x", st.tensor { 1 } }, { "y", st.tensor { 2 } } }
   local b = st.model { { "y", st.tensor { 3 } }, { "z", st.tensor { 4 } } }
   support.raises("name", '"y" is in both models', a.merge, a, b)
   support.raises("name", '"y" is in both models', function() return a .. b end)
   local first, second = a:merge(b, { clash = "first" }), a:merge(b, { clash = "second" })
   lu.assertEquals(support.names(first), "x y z")
   lu.assertEquals({ first.y[1], second.y[1], second.z[1] }, { 2, 3, 4 })
   lu.assertEquals(support.names(a:merge(b:without("y"))), "x y z")
   support.raises("arg", 'clash = "both"', a.merge, a, b, { clash = "both" })
   support.raises("arg", "a model expected", a.merge, a, 1)
end

support.run("create", suite)
