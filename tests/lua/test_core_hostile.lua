--- stlua.core under misuse: wrong arguments of every kind, a hostile collector, finalizers that close what is in use,
--- coroutines. Nothing may crash; what is thrown is an error object.
local support = require "core_support"
local lu, core, f32 = support.lu, support.core, support.f32

local suite = {}
local folder = support.folder()
local sample = support.sample(folder)

--- Odd arguments, fresh ones each time: some are closed by the functions they are given to.
local function nothing() end
local function odd_values()
   local closed = f32({ 1 }, { 1 })
   core.tensor_meta.__close(closed)
   return {
      false, true, 0, 1, -1, 2, 0.5, 1e308, 0 / 0, 1 / 0, math.maxinteger, math.mininteger,
      "", "a", "F32", "add", "\0", "json",
      ("x"):rep(100000), {}, { 1 }, { "F32" }, { { 1 } }, { a = 1 }, { { model = 1, path = 2 } }, nothing,
      coroutine.create(nothing), io.stdout, core.null, f32({ 2, 2 }, { 1, 2, 3, 4 }), closed,
      core.model(), core.open_file(sample),
      setmetatable({}, { __index = error, __len = error, __tostring = error }),
   }
end

--- Functions that would act on the world outside the test; they are tested by name elsewhere.
local skipped = { threads = true, memory = true, progress = true, set_meta = true, mkdir = true,
   write_file = true }

local function all_functions()
   local list = {}
   for where, t in pairs { core = core, Tensor = core.Tensor, Model = core.Model, tensor_meta = core.tensor_meta,
      model_meta = core.model_meta, error_meta = core.error_meta } do
      for name, f in pairs(support.c_functions(t)) do
         if not skipped[name] then list[#list + 1] = { where .. "." .. name, f } end
      end
   end
   table.sort(list, function(a, b) return a[1] < b[1] end)
   return list
end

function suite.test_mkdir()
   for _, v in ipairs(odd_values()) do
      if type(v) ~= "string" and type(v) ~= "number" then support.fails("arg", "string expected", core.mkdir, v) end
   end
   support.fails("arg", "NUL", core.mkdir, "a\0b")
   lu.assertTrue(core.mkdir(folder .. "/made"))
   lu.assertFalse(core.mkdir(folder .. "/made"))
   lu.assertTrue(core.mkdir(folder .. "/shared", true))
end

--- Errors that a script's own metamethod or Lua's allocator raised are not ours.
local function acceptable(e)
   return core.is_error(e) or e == nil or type(e) == "table" or tostring(e):find "not enough memory"
end

function suite.test_odd_arguments_everywhere()
   math.randomseed(42)
   for _, entry in ipairs(all_functions()) do
      local name, f = entry[1], entry[2]
      local ok, e = pcall(f)
      if not ok then lu.assertTrue(acceptable(e), name .. "(): " .. tostring(e)) end
      for i = 1, #odd_values() do
         ok, e = pcall(f, odd_values()[i])
         if not ok and not acceptable(e) then lu.fail(("%s(odd %d): %s"):format(name, i, tostring(e))) end
      end
      for _ = 1, 150 do
         local v = odd_values()
         local first = name:find "^Tensor" and v[#v - 4] or name:find "^Model" and v[#v - 1] or v[math.random(#v)]
         local args = { first }
         for i = 2, math.random(4) do args[i] = v[math.random(#v)] end
         ok, e = pcall(f, table.unpack(args))
         if not ok and not acceptable(e) then lu.fail(name .. ": " .. tostring(e)) end
      end
   end
end

function suite.test_operators_with_odd_operands()
   local operators = {
      function(a, b) return a + b end, function(a, b) return a - b end, function(a, b) return a * b end,
      function(a, b) return a / b end, function(a, b) return a ^ b end,
      function(a) return -a end, function(a) return #a end,
      function(a, b) return a[b] end, function(a, b) a[b] = 1 end, function(a) return a() end,
   }
   for _, op in ipairs(operators) do
      for _, v in ipairs(odd_values()) do
         pcall(op, f32({ 1 }, { 1 }), v)
         pcall(op, v, f32({ 1 }, { 1 }))
         pcall(op, core.open_file(sample), v)
         pcall(op, v, core.open_file(sample))
      end
   end
end

--- A little of everything, with its results checked.
local function exercise(round)
   local m = core.open_file(sample)
   local t = m["b.weight"]
   lu.assertEquals(((t + round) * 2 - t):totable(), { { 1 + 2 * round, 2 + 2 * round, 3 + 2 * round },
      { 4 + 2 * round, 5 + 2 * round, 6 + 2 * round } })
   lu.assertEquals((m:metadata()).note, "hé\n")
   lu.assertEquals(core.json_encode(core.json_decode '{"b":[1,{"c":"d"}],"a":{}}'), '{"a":{},"b":[1,{"c":"d"}]}')
   local out = core.model()
   for name, u in pairs(m) do out:add(name, u:cast "F64") end
   local path = folder .. "/exercise"
   core.save { { model = out, path = path, sync = false } }
   lu.assertEquals(core.open_file(path):get("a.bias"):values(), { 0.5, -0.5, 0 })
   core.save { { model = out, path = path .. "s", sync = false, max_shard = 1000, force = true,
      files = { { "name" .. round % 1, ("x"):rep(round) } } } }
   local companion = assert(io.open(path .. "s/name0"))
   lu.assertEquals(#companion:read "a", round)
   companion:close()
   lu.assertStrContains(m:rows(), "b.weight")
   lu.assertEquals(#core.listdir(folder) > 1, true)
   lu.assertEquals(#m:files(), 1)
   lu.assertFalse((pcall(m.get, m, "none")))
end

function suite.test_hostile_collector()
   collectgarbage("incremental", 1, 1000, 1)
   for i = 1, 50 do exercise(i) end
   collectgarbage("incremental", 200, 100, 13)
   collectgarbage "generational"
   for i = 1, 50 do exercise(i) end
   collectgarbage "incremental"
end

function suite.test_collecting_all_the_time()
   debug.sethook(function() collectgarbage() end, "", 50)
   local ok, e = pcall(function() for i = 1, 5 do exercise(i) end end)
   debug.sethook()
   if not ok then error(e, 0) end
end

--- Finalizers run at any allocation inside a C function: here they close the very objects it works on.
function suite.test_finalizers_that_close_what_is_in_use()
   local calls = {
      function(m) m:metadata() end, function(m) m:files() end, function(m) m:rows() end,
      function(m) m:rows(1, -1, "json") end, function(m) m:info(1) end, function(m) m:get "b.weight" end,
      function(m) for _ in pairs(m) do assert(m) end end,
      function(_, t) t:totable() end, function(_, t) t:values() end, function(_, t) t:shape() end,
      function(_, t) t:bytes() end, function(_, t) t:source() end, function(_, t) t:cast "F16" end,
      function(_, t) t:add(1):mul(t) end,
      function(m) m:add("new", f32({ 1 }, { 1 })) end, function(_, t) t:force() end,
      function(m) core.save { { model = m, path = folder .. "/closing", sync = false } } end,
      function(m) core.save { { model = m, path = folder .. "/closings", sync = false, max_shard = 1000, force = true,
         files = { { "a", "b" } } } } end,
      function(_, t) core.model():add("x", t) end,
   }
   collectgarbage("incremental", 1, 1000, 1)
   for _, call in ipairs(calls) do
      for delay = 0, 40 do
         local m = core.open_file(sample)
         local t = m["b.weight"]
         local armed = true
         -- Every collected trap sets the next one, until one goes off during the call.
         local function trap(left)
            setmetatable({}, { __gc = function()
               if not armed then return end
               if left > 0 then return trap(left - 1) end
               pcall(m.close, m)
               core.tensor_meta.__close(t)
            end })
         end
         trap(delay)
         local ok, e = pcall(call, m, t)
         armed = false
         if not ok then lu.assertTrue(core.is_error(e), tostring(e)) end
      end
   end
   collectgarbage("incremental", 200, 100, 13)
end

function suite.test_coroutines()
   local results = {}
   local workers = {}
   for i = 1, 20 do
      workers[i] = coroutine.create(function()
         local m <close> = core.open_file(sample)
         coroutine.yield()
         local t = m["a.bias"] + i
         coroutine.yield()
         results[i] = t:force():values(1, 1)[1]
      end)
   end
   for _ = 1, 3 do
      for _, co in ipairs(workers) do assert(coroutine.resume(co)) end
   end
   for i = 1, 20 do lu.assertEquals(results[i], i + 0.5) end
   -- One that is dropped half way, and one that is closed.
   local co = coroutine.create(function()
      local m <close> = core.open_file(sample)
      coroutine.yield(m)
   end)
   local _, m = coroutine.resume(co)
   coroutine.close(co)
   support.fails("arg", "was closed", m.count, m)
end

function suite.test_requiring_again_gives_the_same_module()
   package.loaded["stlua.core"] = nil
   lu.assertIs(require "stlua.core", core)
end

function suite.test_error_objects()
   local e = core.error("usage", "no file given", { hint = "see --help", file = "x" })
   lu.assertEquals({ e.code, e.message, e.hint, e.file }, { "usage", "no file given", "see --help", "x" })
   lu.assertEquals(tostring(e), "no file given")
   lu.assertStrContains(e.where, "test_core_hostile.lua:")
   lu.assertTrue(core.is_error(e))
   lu.assertFalse(core.is_error {})
   lu.assertFalse(core.is_error "x")
   lu.assertIs(getmetatable(e), false)
   support.fails("arg", "string expected", core.error, 1, "x")
   support.fails("arg", "table expected", core.error, "arg", "x", 1)
   e.message = nil
   lu.assertIsString(tostring(e))
end

--- A state that ends while things are open, in any order of finalizers.
function suite.test_closing_a_state_full_of_objects()
   local script = folder .. "/ends.lua"
   local f = assert(io.open(script, "w"))
   f:write(([[
      late = setmetatable({}, { __gc = function() if t then pcall(t.force, t + 1) pcall(core.threads) end end })
      core = require "stlua.core"
      m = core.open_file(%q)
      t = m["b.weight"]
      u = (t + 1):force()
      core.progress(function() end)
      co = coroutine.create(function() local c <close> = m coroutine.yield() end)
      coroutine.resume(co)
      io.write "end"
   ]]):format(sample))
   f:close()
   local i = 0
   while arg[i - 1] do i = i - 1 end
   local program = arg[i]
   local p = assert(io.popen(("'%s' '%s'"):format(program, script)))
   lu.assertEquals(p:read "a", "end")
   lu.assertTrue((p:close()))
end

support.run("core_hostile", suite)
