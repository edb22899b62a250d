--- Assignment: what it changes, and what it must not: every expression that was built before.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"
local core = require "stlua.core"

local suite = {}

function suite.test_elements_and_slices()
   local x = st.zeros(2, 3)
   x[{ 1, 2 }] = 5
   x[2] = st.tensor { 1, 2, 3 }
   lu.assertEquals(x:totable(), { { 0, 5, 0 }, { 1, 2, 3 } })
   x[{ {}, { 1, 2 } }] = 9
   lu.assertEquals(x:totable(), { { 9, 9, 0 }, { 9, 9, 3 } })
   x[{ {}, { 3, 1, -2 } }] = st.tensor { { 1, 2 }, { 3, 4 } }
   lu.assertEquals(x:totable(), { { 2, 9, 1 }, { 4, 9, 3 } })
   x[-1] = x[1]
   lu.assertEquals(x[2]:values(), { 2, 9, 1 })
   x[{ { 2, 1 } }] = 7      -- nothing
   lu.assertEquals(x[1]:values(), { 2, 9, 1 })
   x[1] = st.tensor { { { 1, 1, 1 } } }      -- too many dimensions of size 1, as torch allows
   lu.assertEquals(x[1]:values(), { 1, 1, 1 })
end

function suite.test_values_are_cast()
   local i = st.tensor { 1, 2, 3 }
   i[1] = 2.9
   i[2] = st.tensor { -1.5 }[1]
   lu.assertEquals(i:values(), { 2, -1, 3 })
   local b = st.tensor({ 1, 2 }, { dtype = "U8" })
   b[1] = 300
   lu.assertEquals(b:values(), { 300 & 255, 2 })
   local mask = st.tensor { true, true }
   mask[2] = false
   lu.assertEquals(mask:values(), { true, false })
   local h = st.tensor({ 1, 2 }, { dtype = "BF16" })
   h[1] = 1 + 2 ^ -9
   lu.assertEquals(h:values(), { 1, 2 })
end

function suite.test_through_views()
   local x = st.zeros(2, 3)
   x[1][2] = 5
   local row = x[2]
   row[1] = 7
   x:t()[{ 3, 1 }] = 8
   x:view(6):narrow(1, 5, 2):fill_(1)
   lu.assertEquals(x:totable(), { { 0, 5, 8 }, { 7, 1, 1 } })
   lu.assertEquals(row:values(), { 7, 1, 1 })      -- the view follows
   x[2] = 0
   lu.assertEquals(row:values(), { 0, 0, 0 })
   local copy = x:t():reshape(6)
   copy:fill_(3)
   lu.assertEquals(x:sum():item(), 13)
   local deep = x[{ {}, { 1, 2 } }]:t()[2]
   deep:add_(1)
   lu.assertEquals(x:totable(), { { 0, 6, 8 }, { 0, 1, 0 } })
   for _, part in ipairs(x:split(2, 2)) do part:zero_() end
   lu.assertEquals(x:abs():max():item(), 0)
end

function suite.test_in_place_methods()
   local x = st.tensor { 1.0, 2, 3 }
   lu.assertIs(x:add_(1), x)
   x:mul_(2):sub_(st.tensor { 1, 1, 1 }):div_(3)
   lu.assertEquals(x:values(), { 1, (5 / 3) + (string.unpack("<f", string.pack("<f", 5 / 3)) - 5 / 3),
      (string.unpack("<f", string.pack("<f", 7 / 3))) })
   x:fill_(2.5):round_():clamp_(nil, 1.5):neg_():abs_()
   lu.assertEquals(x:values(), { 1.5, 1.5, 1.5 })
   x:zero_():addcmul_(st.tensor { 1, 2, 3 }, st.tensor { 2, 2, 2 }, { value = 10 })
   lu.assertEquals(x:values(), { 20, 40, 60 })
   lu.assertEquals(x:copy_(st.tensor { 7 }):values(), { 7, 7, 7 })
   lu.assertEquals(x:masked_fill_(st.tensor { true, false, true }, 0):values(), { 0, 7, 0 })
   lu.assertEquals(x:lerp_(st.tensor { 1.0, 1, 1 }, 0.5):values(), { 0.5, 4, 0.5 })
   local i = st.tensor { 5, 6 }
   lu.assertEquals(i:bitwise_and_(4):values(), { 4, 4 })
   support.raises("dtype", "div_: the result is F32, which cannot be written into a tensor of I64", i.div_, i, 2)
   support.raises("dtype", "which cannot be written into a tensor of BOOL", function() st.tensor { true }:add_(1) end)
   support.raises("shape", "shape [2, 2] does not fit", i.add_, i, st.zeros({ 2, 2 }, { dtype = "I64" }))
   for _, op in ipairs(core.ops) do
      if op.result ~= "where" then lu.assertIsFunction(core.Tensor[op.name .. "_"], op.name) end
   end
end

function suite.test_itself_as_value()
   local x = st.arange(6)
   x[{ { 1, 5 } }] = x[{ { 2, 6 } }]
   lu.assertEquals(x:values(), { 1, 2, 3, 4, 5, 5 })
   x[{ {} }] = x:flip(1)
   lu.assertEquals(x:values(), { 5, 5, 4, 3, 2, 1 })
   x:add_(x)
   lu.assertEquals(x:values(), { 10, 10, 8, 6, 4, 2 })
end

-- Everything that can hold on to old values, built before, then forced or not.
local function witnesses(x)
   local m = st.model { { "x", x } }
   local v = x[{ { 2, 3 } }]
   local list = {
      { x + 1, { 2, 3, 4, 5 } }, { x * x, { 1, 4, 9, 16 } }, { (x + 1):force(), { 2, 3, 4, 5 } },
      { x:clone(), { 1, 2, 3, 4 } }, { v + 0, { 2, 3 } }, { st.cat { x, v }, { 1, 2, 3, 4, 2, 3 } },
      { x:flip(1) * 1, { 4, 3, 2, 1 } }, { m.x, { 1, 2, 3, 4 } }, { x:sum(), { 10 } },
      { x:cast("F16"), { 1, 2, 3, 4 } }, { x:view(2, 2):t():reshape(4), { 1, 3, 2, 4 } },
      { st.where(x:gt(2), x, 0), { 0, 0, 3, 4 } }, { x:contiguous(), { 1, 2, 3, 4 } },
      { x:index_select(1, st.tensor { 4, 1 }), { 4, 1 } }, { x:gather(1, st.tensor { -1 }), { 4 } },
      { x:masked_select(x:gt(2)), { 3, 4 } }, { x:cumprod(), { 1, 2, 6, 24 } }, { (x:sort { descending = true }),
         { 4, 3, 2, 1 } }, { x:view(2, 2):matmul(x:view(2, 2)), { 7, 10, 15, 22 } }, { st.triu(x:view(2, 2)),
         { 1, 2, 0, 4 } }, { x:nan_to_num(), { 1, 2, 3, 4 } }, { x:repeat_interleave(1), { 1, 2, 3, 4 } },
      { x:tile(1), { 1, 2, 3, 4 } }, { x:view(2, 2):diag(), { 1, 4 } },
      { st.tensor(x), { 1, 2, 3, 4 } },
   }
   return list, m
end

local function check_mutation()
   local changes = {
      function(x) x[1] = 100 end, function(x) x[{ { 2, 4 } }] = 0 end, function(x) x:fill_(7) end,
      function(x) x:add_(1):mul_(3) end, function(x) x[{ { 2, 3 } }]:zero_() end,
      function(x) x:view(2, 2)[2][1] = -1 end,
      function(x) x:copy_(x:flip(1)) end, function(x) for i = 1, 4 do x[i] = -i end end,
   }
   for n, change in ipairs(changes) do
      local x = st.tensor { 1.0, 2, 3, 4 }
      local list, m = witnesses(x)
      change(x)
      for i, pair in ipairs(list) do
         lu.assertEquals(pair[1]:values(), pair[2], ("change %d, expression %d"):format(n, i))
      end
      lu.assertEquals(m.x:values(), { 1, 2, 3, 4 })
   end
end

suite.test_expressions_keep_their_values = check_mutation

function suite.test_expressions_keep_their_values_under_a_hostile_collector()
   collectgarbage("incremental", 1, 1000, 1)
   local ok, e = pcall(check_mutation)
   collectgarbage("incremental", 200, 100, 13)
   debug.sethook(function() collectgarbage() end, "", 50)
   local ok2, e2 = pcall(check_mutation)
   debug.sethook()
   if not ok then error(e, 0) end
   if not ok2 then error(e2, 0) end
end

-- Random programs over a tensor, three views and expressions, against a plain table.
function suite.test_random_programs()
   math.randomseed(11)
   for _ = 1, 300 do
      local x, model = st.zeros(3, 4), {}
      for i = 1, 12 do model[i] = 0 end
      local row, column, block = x[2], x[{ {}, 3 }], x[{ { 1, 3, 2 }, { 4, 1, -3 } }]
      local kept = {}
      for step = 1, 12 do
         local kind, value = math.random(6), step
         if kind == 1 then
            local i, j = math.random(3), math.random(4)
            x[i][j] = value
            model[(i - 1) * 4 + j] = value
         elseif kind == 2 then
            row:add_(value)
            for j = 5, 8 do model[j] = model[j] + value end
         elseif kind == 3 then
            column:fill_(value)
            for i = 3, 12, 4 do model[i] = value end
         elseif kind == 4 then
            block:copy_(st.tensor { { 1, 2 }, { 3, 4 } } * value)
            model[4], model[1], model[12], model[9] = value, 2 * value, 3 * value, 4 * value
         elseif kind == 5 then
            kept[#kept + 1] = { x + 0, { table.unpack(model) } }
         else
            lu.assertEquals(row:values(), { table.unpack(model, 5, 8) })
            lu.assertEquals(block:values(), { model[4], model[1], model[12], model[9] })
         end
      end
      lu.assertEquals(x:values(), model)
      for _, pair in ipairs(kept) do lu.assertEquals(pair[1]:values(), pair[2]) end
   end
end

function suite.test_what_cannot_be_written()
   local m = support.model("ro.safetensors", { { "w", "F32", { 2, 2 }, { 1, 2, 3, 4 } } })
   support.raises("arg", "read-only", function() m.w[1] = 0 end)
   support.raises("arg", "read-only", function() m.w:t():fill_(1) end)
   support.raises("arg", { "read-only", "m:set" }, function() m.w:add_(1) end)
   local w = m.w:clone()
   w[1] = 0
   lu.assertEquals(w:values(), { 0, 0, 3, 4 })
   lu.assertEquals(m.w:values(), { 1, 2, 3, 4 })
   local wide = st.tensor { 1, 2 }:expand(2, 2)
   support.raises("arg", "are one in memory", function() wide[{ {}, 1 }] = 0 end)
   support.raises("shape", "shape [3] does not fit what it is assigned to, of shape [2]",
      function() wide:clone()[1] = st.arange(3) end)
   support.raises("arg", "no field", function() w.name = 1 end)
   support.raises("arg", "tensor, number or boolean expected, got string", function() w[1] = "1" end)
   support.raises("arg", "tensor, number or boolean expected, got nil", function() w[1] = nil end)
end

function suite.test_closed()
   local row
   do
      local x <close> = st.zeros(2, 2)
      row = x[1]
      lu.assertEquals(row:values(), { 0, 0 })
   end
   support.raises("arg", "of this view was closed", function() row[1] = 1 end)
   support.raises("arg", "of this view was closed", function() return row:values() end)
end

-- Element by element nothing is copied: the memory in use stays, and so does the time.
function suite.test_in_place_where_nobody_looks()
   local x = st.zeros(1000, 100)
   x[1][1] = 1
   collectgarbage()
   local before = core.memory_used()
   for i = 1, 1000 do x[i][i % 100 + 1] = i end
   lu.assertTrue(core.memory_used() - before < 100000)
   lu.assertEquals(x[1000][1], 1000)
end

-- A view lets go of what it holds before it is written to, and may be what is written.
function suite.test_of_a_view_onto_itself()
   local v = st.arange(6):reshape(2, 3):clone()[1]
   v:copy_(v)
   v:fill_(v)
   v:nan_to_num_()
   v[{}] = v
   lu.assertEquals(v:values(), { 0, 1, 2 })
   v:add_(v)
   lu.assertEquals(v:values(), { 0, 2, 4 })
   local f = st.arange(6):cast("F32"):reshape(2, 3):clone()
   f[{ {}, { 1, 2 } }] = f[{ {}, { 2, 3 } }]
   lu.assertEquals(f:totable(), { { 1, 2, 2 }, { 4, 5, 5 } })
end

function suite.test_with_itself_every_method_of_a_view()
   local names = {}
   for _, item in ipairs(require("stlua.doc").catalogue()) do
      names[#names + 1] = item.name:match("^Tensor:([%a][%w_]*_)$")
   end
   lu.assertTrue(#names > 50)
   for _, name in ipairs(names) do
      for _, dtype in ipairs { "F32", "I64" } do
         for operands = 0, 2 do
            local v = st.ones(2, 3, { dtype = dtype }):clone()[1]
            local given = {}
            for i = 1, operands do given[i] = v end
            local ok, e = pcall(v[name], v, table.unpack(given))
            lu.assertTrue(ok or core.is_error(e), name .. ": " .. tostring(e))
            lu.assertEquals(#v:values(), 3)
         end
      end
   end
end

support.run("assign", suite)
