--- stlua.core: tensors, operations, values.
local support = require "core_support"
local lu, core, fails, f32, i64 = support.lu, support.core, support.fails, support.f32, support.i64

local suite = {}

function suite.test_tables_of_dtypes_and_operations()
   lu.assertEquals(core.version:match("^%d+%.%d+%.%d+$"), core.version)
   lu.assertEquals(#core.dtypes, 22)
   lu.assertEquals(core.dtypes[1], { name = "BOOL", bits = 8, kind = "bool" })
   lu.assertEquals(core.dtypes[2], { name = "F4", bits = 4, kind = "raw" })
   lu.assertEquals(core.dtypes[22], { name = "U64", bits = 64, kind = "uint" })
   lu.assertEquals(core.ops[1], { name = "add", arity = 2, result = "same" })
   for _, op in ipairs(core.ops) do lu.assertIsFunction(core.Tensor[op.name]) end
end

function suite.test_what_a_tensor_says()
   local t = f32({ 2, 3 }, { 1, 2, 3, 4, 5, 6 })
   lu.assertEquals(t:dtype(), "F32")
   lu.assertEquals(t:shape(), { 2, 3 })
   lu.assertEquals({ t:ndim(), t:numel(), t:nbytes(), #t }, { 2, 6, 24, 2 })
   lu.assertTrue(t:is_leaf())
   lu.assertFalse(t:is_cast())
   lu.assertNil(t:quant())
   lu.assertNil((t:source()))
   lu.assertFalse((t + 1):is_leaf())
   lu.assertTrue(t:cast("BF16"):is_cast())
   lu.assertNil(t.no_such_method)
end

function suite.test_making_one()
   local scalar = core.tensor("f64", {}, string.pack("<d", 0.1))
   lu.assertEquals(scalar:shape(), {})
   lu.assertEquals(scalar:item(), 0.1)
   fails("shape", "no length", function() return #scalar end)
   lu.assertEquals(core.tensor("U8", { 0, 3 }, ""):totable(), {})
   fails("dtype", "unknown dtype \"float\"; did you mean \"F32\"? (known: BOOL", core.tensor, "float", { 1 }, "x")
   fails("arg", "integer >= 0", core.tensor, "U8", { -1 }, "x")
   fails("arg", "integer >= 0", core.tensor, "U8", { 1.5 }, "x")
   fails("arg", "integer >= 0", core.tensor, "U8", { "1" }, "x")
   local many = {}
   for i = 1, 65 do many[i] = 1 end
   fails("limit", "65 dimensions", core.tensor, "U8", many, "x")
   for _, n in ipairs { 0, 1, 3 } do
      lu.assertFalse((pcall(core.tensor, "U8", { 2 }, ("x"):rep(n))))
   end
   lu.assertFalse((pcall(core.tensor, "F64", { 1 << 62, 1 << 62 }, "")))
end

function suite.test_arithmetic_with_numbers_on_either_side()
   local t = f32({ 3 }, { 1, 2, 4 })
   lu.assertEquals((t + 1):values(), { 2, 3, 5 })
   lu.assertEquals((1 - t):values(), { 0, -1, -3 })
   lu.assertEquals((2 * t):values(), { 2, 4, 8 })
   lu.assertEquals((8 / t):values(), { 8, 4, 2 })
   lu.assertEquals((t ^ 2):values(), { 1, 4, 16 })
   lu.assertEquals((-t):values(), { -1, -2, -4 })
   lu.assertEquals((t + t - 0.5):values(), { 1.5, 3.5, 7.5 })
   fails("arg", "string value", function() return t + "1" end)
   fails("arg", "nil value", function() return nil + t end)
   fails("arg", "table value", function() return {} * t end)
end

function suite.test_kinds_of_numbers()
   local i = i64({ 2 }, { 3, -4 })
   lu.assertEquals((i + 1):dtype(), "I64")
   lu.assertEquals((i * 0.5):dtype(), "F32")
   lu.assertEquals((i + true):dtype(), "I64")
   lu.assertEquals((i + true):values(), { 4, -3 })
   local half = f32({ 1 }, { 1 }):cast "F16"
   lu.assertEquals((half + 1):dtype(), "F16")
   lu.assertEquals((half * 0.25):dtype(), "F16")
   lu.assertEquals(math.type((i + 1):values()[1]), "integer")
   lu.assertEquals(math.type((half + 1):values()[1]), "float")
end

function suite.test_every_operation_as_method_and_by_name()
   local floats, mask = f32({ 2 }, { 1, 4 }), core.tensor("BOOL", { 2 }, "\1\0")
   for _, op in ipairs(core.ops) do
      local t = op.name:find "^bitwise" and i64({ 2 }, { 1, 4 }) or floats
      local args = op.name == "where" and { mask, t, t } or op.arity == 2 and { t, 2 } or { t }
      local a, b = core.apply(op.name, table.unpack(args)), args[1][op.name](table.unpack(args))
      lu.assertTrue(a:identical(b), op.name)
      if op.result == "bool" then lu.assertEquals(a:dtype(), "BOOL") end
      fails("arg", "takes " .. op.arity .. " operand", t[op.name], t, 1, 2, 3)
      fails("arg", "takes " .. op.arity .. " operand", core.apply, op.name)
   end
   local t = floats
   lu.assertEquals(mask:where(t, 0):values(), { 1, 0 })
   lu.assertEquals(t:lt(2):values(), { true, false })
   fails("arg", 'unknown operation "plus"', core.apply, "plus", t, t)
   fails("arg", "at least one tensor", core.apply, "add", 1, 2)
   fails("arg", "tensor, number or boolean expected", core.apply, "add", t, "2")
end

function suite.test_errors_of_operations_name_the_line()
   local t, u = f32({ 2 }, { 1, 2 }), f32({ 3 }, { 1, 2, 3 })
   local e = fails("shape", "[2] and [3]", function() return t + u end)
   lu.assertStrMatches(e.where, ".*test_core_tensor.lua:%d+")
   local co = coroutine.wrap(function() return fails("shape", "[2]", function() return t + u end) end)
   lu.assertStrContains(co().where, "test_core_tensor.lua:")
end

function suite.test_casts()
   local t = f32({ 4 }, { 1.5, 1000, -1000, 0 / 0 })
   lu.assertEquals(t:cast("f8_e4m3", { saturate = true }):values(2, 2), { 448, -448 })
   lu.assertEquals(core.cast(t, "F8_E4M3", true):values(2, 2), { 448, -448 })
   lu.assertEquals(core.cast(t, "I32"):values(), { 1, 1000, -1000, 0 })
   fails("arg", 'unknown option "saturated"; did you mean "saturate"? (known: saturate)', t.cast, t, "F16",
      { saturated = true })
   fails("arg", 'unknown option "1"', t.cast, t, "F16", { true })
   fails("arg", 'unknown option "saturate\\u0000"', t.cast, t, "F16", { ["saturate\0"] = true })
   fails("arg", "option 'saturate': boolean expected, got number", t.cast, t, "F16", { saturate = 1 })
   fails("arg", "table expected, got boolean", t.cast, t, "F16", true)
   fails("arg", "boolean expected", core.cast, t, "F16", 1)
   fails("arg", "too many arguments", core.cast, t, "F16", true, 1)
end

function suite.test_bytes()
   local t = f32({ 3 }, { 1, 2, 3 })
   lu.assertEquals(t:bytes(), string.pack("<fff", 1, 2, 3))
   lu.assertEquals(t:bytes("F64"), string.pack("<ddd", 1, 2, 3))
   lu.assertEquals(t:bytes(nil, 2), string.pack("<ff", 2, 3))
   lu.assertEquals(t:bytes("I16", -1, 1), string.pack("<i2", 3))
   lu.assertEquals(t:bytes(nil, 4), "")
   fails("arg", "position 0 is out of range: there are 3", t.bytes, t, nil, 0)
   fails("arg", "position 5 is out of range", t.bytes, t, nil, 5)
   fails("arg", "position -4 is out of range", t.bytes, t, nil, -4)
   fails("arg", "2 elements asked for, 1 are left", t.bytes, t, nil, 3, 2)
   fails("arg", "-1 elements asked for", t.bytes, t, nil, 1, -1)
   fails("arg", "no integer representation", t.bytes, t, nil, 1.5)
   local packed = core.tensor("F4", { 4 }, "\x21\x43")
   lu.assertEquals(packed:bytes(), "\x21\x43")
   lu.assertEquals(packed:bytes(nil, 3, 2), "\x43")
   fails("arg", "do not fill whole bytes", packed.bytes, packed, nil, 1, 1)
end

function suite.test_values()
   lu.assertEquals(f32({ 4 }, { 1, 2, 3, 4 }):values(2, 2), { 2, 3 })
   lu.assertEquals(f32({ 4 }, { 1, 2, 3, 4 }):values(-2), { 3, 4 })
   lu.assertEquals(core.tensor("BOOL", { 2 }, "\1\0"):values(), { true, false })
   lu.assertEquals(i64({ 2 }, { math.maxinteger, math.mininteger }):values(), { math.maxinteger, math.mininteger })
   local u = core.tensor("U64", { 2 }, string.pack("<i8i8", -1, 5)):values()
   lu.assertEquals(u, { 2.0 ^ 64, 5 })
   lu.assertEquals(math.type(u[2]), "integer")
   local raw = core.tensor("F8_E8M0", { 1 }, "x")
   fails("dtype", "cannot be shown as numbers", raw.values, raw)
   -- More than one piece of the export.
   local n = 20001
   local many = {}
   for i = 1, n do many[i] = i end
   local got = i64({ n }, many):values()
   lu.assertEquals(#got, n)
   for i = 1, n do if got[i] ~= i then lu.fail("element " .. i) end end
end

function suite.test_item_and_totable()
   lu.assertEquals(f32({ 1, 1 }, { 2.5 }):item(), 2.5)
   lu.assertEquals(core.tensor("BOOL", {}, "\1"):item(), true)
   local t = f32({ 2, 3 }, { 1, 2, 3, 4, 5, 6 })
   fails("shape", "this one has 6", t.item, t)
   lu.assertEquals(t:totable(), { { 1, 2, 3 }, { 4, 5, 6 } })
   lu.assertEquals(core.tensor("F32", { 2, 0 }, ""):totable(), { {}, {} })
   lu.assertEquals(core.tensor("F32", { 0, 2 }, ""):totable(), {})
   lu.assertEquals(f32({}, { 7 }):totable(), 7)
   local hollow = core.tensor("F32", { 1 << 40, 0 }, "")
   fails("limit", "the table would take", hollow.totable, hollow)
end

function suite.test_results_respect_the_memory_budget()
   local before = core.memory()
   local t = f32({ 4 }, { 1, 2, 3, 4 })
   core.memory(10)
   local ok, e = pcall(function()
      fails("limit", "16 bytes, more than the 10", t.bytes, t)
      fails("limit", "64 bytes, more than the 10", t.values, t)
      lu.assertEquals(#t:bytes(nil, 1, 2), 8)
   end)
   core.memory(before)
   if not ok then error(e, 0) end
end

function suite.test_force_and_identical()
   local t = f32({ 2 }, { 1, 2 })
   local sum = t + 1
   lu.assertIs(sum:force(), sum)
   lu.assertEquals(sum:values(), { 2, 3 })
   lu.assertTrue(sum:identical(f32({ 2 }, { 2, 3 })))
   lu.assertFalse(sum:identical(t))
   lu.assertFalse(sum:identical(f32({ 2, 1 }, { 2, 3 })))
   lu.assertTrue(f32({ 1 }, { 0 / 0 }):identical(f32({ 1 }, { 0 / 0 })))
end

function suite.test_the_collector_learns_of_forced_values()
   -- 64 forced results of 4 MiB: without telling the collector all of them would be alive at the end.
   local t = core.tensor("F32", { 1 << 20 }, ("\0"):rep(4 << 20))
   collectgarbage()
   local before, most = core.memory_used(), 0
   for _ = 1, 64 do
      (t + 1):force()
      most = math.max(most, core.memory_used() - before)
   end
   lu.assertTrue(most < 128 << 20, most .. " bytes were held")
   lu.assertTrue(core.memory_peak() >= before)
end

function suite.test_use_after_close()
   local t, u
   do
      local closed <close> = f32({ 1 }, { 1 })
      t, u = closed, closed + 1
   end
   for name, method in pairs(support.c_functions(core.Tensor)) do
      fails("arg", "the tensor was closed", method, t)
      lu.assertIsString(name)
   end
   fails("arg", "was closed", function() return t + 1 end)
   fails("arg", "was closed", function() return 1 - t end)
   fails("arg", "was closed", function() return -t end)
   fails("arg", "was closed", function() return #t end)
   core.tensor_meta.__gc(t)
   lu.assertEquals(u:item(), 2)
end

function suite.test_metatables_are_out_of_reach()
   local t = f32({ 1 }, { 1 })
   lu.assertIs(getmetatable(t), false)
   lu.assertIs(getmetatable(core.model()), false)
   lu.assertFalse((pcall(setmetatable, t, {})))
   lu.assertIs(debug.getmetatable(t), core.tensor_meta)
   lu.assertIs(core.tensor_meta.methods, core.Tensor)
   core.Tensor.twice = function(self) return self + self end
   lu.assertEquals(t:twice():item(), 2)
   core.Tensor.twice = nil
end

function suite.test_models_take_over_arithmetic()
   local t, m = f32({ 1 }, { 1 }), core.model()
   local add = core.model_meta.__add
   core.model_meta.__add = nil
   fails("arg", "a tensor and a stlua.Model value", function() return t + m end)
   core.model_meta.__add = function(a, b) return { a, b } end
   lu.assertIs((t + m)[2], m)
   lu.assertIs((m + t)[1], m)
   core.model_meta.__add = add
end

function suite.test_settings()
   local threads = core.threads()
   lu.assertEquals(core.threads(3), 3)
   lu.assertEquals(core.threads(), 3)
   lu.assertTrue(core.threads(0) >= 1)
   core.threads(threads)
   fails("arg", "not in 0 to 4096", core.threads, -1)
   fails("arg", "integer expected, got string", core.threads, "2")
   fails("arg", "not in 1 to", core.memory, 0)
   lu.assertStrMatches(core.simd(), "[a-z0-9]+")
   lu.assertFalse(core.cancelled())
   core.resume()
end

support.run("core_tensor", suite)
