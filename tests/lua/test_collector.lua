--- Every public function while a full collection runs at every allocation, and while what it works on is closed.
local calls = require "calls"
local core = require "stlua.core"
local lu = require "luaunit"
local support = require "support"

local suite = {}
local all = calls.all()
local result = calls.result

-- A full collection at every allocation that looks whether one is due.
local function hostile()
   collectgarbage("incremental", 1, 1000, 100)      -- a step is a whole cycle
   collectgarbage("setpause", 0)                    -- and the next one is due at once
   collectgarbage()
end

local function friendly() collectgarbage("incremental", 200, 100, 13) end

-- Calls fn after as many collections as `delay` says, from a finalizer; gives a function that calls it off.
local function after_collections(delay, fn)
   local armed = true
   local function trap(left)
      setmetatable({}, { __gc = function()
         if not armed then return end
         if left > 0 then return trap(left - 1) end
         armed = false
         fn()
      end })
   end
   trap(delay)
   return function() armed = false end
end

function suite.test_the_collector_is_hostile()
   local n = 0
   local function count() after_collections(0, function() n = n + 1 count() end) end
   local t = calls.world().t
   hostile()
   count()
   n = 0
   t:totable()
   friendly()
   lu.assertTrue(n >= 3, n)      -- a table, and two within it
end

function suite.test_results_under_a_hostile_collector()
   for _, c in ipairs(all) do
      local world = calls.world()
      local want = result(c, calls.world())
      hostile()
      local ok, got = pcall(result, c, world)
      friendly()
      lu.assertTrue(ok, c.name .. ": " .. tostring(got))
      lu.assertEquals(got, want, c.name)
   end
end

-- Finalizers close the very objects that a function works on: it gives what it would have given, or an error object.
function suite.test_closing_what_is_in_use()
   local closed = 0
   for _, c in ipairs(all) do
      local want = result(c, calls.world())
      for _, delay in ipairs { 0, 3 } do
         local world = calls.world()
         local disarm = after_collections(delay, function()
            for _, v in pairs(world) do
               local mt = debug.getmetatable(v)
               if mt == core.tensor_meta or mt == core.model_meta then pcall(mt.__close, v) end
            end
            closed = closed + 1
         end)
         hostile()
         local ok, got = pcall(result, c, world)
         disarm()
         friendly()
         if ok then
            lu.assertTrue(got == want or got:find("closed", 1, true) ~= nil, c.name)
         else
            lu.assertTrue(core.is_error(got), c.name .. ": " .. tostring(got))
         end
      end
   end
   lu.assertTrue(closed > #all / 2, closed)
end

support.run("collector", suite)
