-- in_memory.lua - times of operations on tensors in memory, as in_memory.py takes them with PyTorch: a line each, name and
-- the median of some runs in seconds. Run by bench.py.
local st = require "stlua"
local core = require "stlua.core"

local SIZE, RUNS = 8192, 5

local x = st.randn(SIZE, SIZE, { seed = 1 }):clone()
local y = st.randn(SIZE, SIZE, { seed = 2 }):clone()
local h, k = x:cast("BF16"):clone(), y:cast("BF16"):clone()

local JOBS = {
   { "sum F32", function() return x:sum():item() end },
   { "sum BF16", function() return h:sum():item() end },
   { "norm F32", function() return x:norm():item() end },
   { "norm BF16", function() return h:norm():item() end },
   { "max F32", function() return x:max():item() end },
   { "sum down columns F32", function() return x:sum(1):clone() end },
   { "x + y F32", function() return (x + y):clone() end },
   { "lerp F32", function() return st.lerp(x, y, 0.3):clone() end },
   { "lerp BF16", function() return st.lerp(h, k, 0.3):clone() end },
   { "chain F32", function() return ((x - y) * 0.3 + y):clamp(-1, 1):abs():clone() end },
   { "exp F32", function() return x:exp():clone() end },
   { "sigmoid F32", function() return x:sigmoid():clone() end },
   { "where F32", function() return st.where(x:gt(0), x, y):clone() end },
}

st.threads(2)
for _, job in ipairs(JOBS) do
   local name, run = job[1], job[2]
   local times = {}
   run()
   for i = 1, RUNS do
      collectgarbage()
      local start = core.clock()
      run()
      times[i] = core.clock() - start
   end
   table.sort(times)
   print(name, times[(RUNS + 1) // 2])
end
