#!/usr/bin/env stlua
-- product.lua - what an adapter of low rank costs: W + B A for every matrix of a model but the lookup of tokens, beside
-- 0.5 W + 0.5 W' with another model. In turns, after a round that does not count. The factors are in a file, as an
-- adapter's are.
--
--     ./stlua tests/bench/product.lua MODEL OTHER OUT [RANK [ROUNDS]]
local st = require "stlua"
local core = require "stlua.core"

local model, other, out = arg[1], arg[2], arg[3]
local rank, rounds = math.tointeger(arg[4] or 32), math.tointeger(arg[5] or 3)
local MIB = 1 << 20

local a, b = st.open(model), st.open(other)

local function is_adapted(name, w) return w:ndim() == 2 and not name:find("embed", 1, true) end

local function random(name, rows, columns)
   return (st.randn(rows, columns, { seed = 1, name = name }) * 0.01):cast("BF16")
end

local function make_factors(path)
   local m = st.model {}
   for name, w in pairs(a) do
      if is_adapted(name, w) then
         local rows, columns = table.unpack(w:shape())
         m:set(name .. ".up", random(name .. ".up", rows, rank))
         m:set(name .. ".down", random(name .. ".down", rank, columns))
      end
   end
   m:save(path, { recipe = false })
   return st.open(path)
end

local factors = make_factors(out .. ".factors.safetensors")

local adapter = st.map(a, function(name, w)
   if not is_adapted(name, w) then return w end
   return (w + factors[name .. ".up"]:matmul(factors[name .. ".down"])):cast(w:dtype())
end)

local JOBS = { { "merge", 0.5 * a + 0.5 * b }, { "adapter", adapter } }
local best = {}
for round = 0, rounds do
   for _, job in ipairs(JOBS) do
      local name, m = job[1], job[2]
      os.remove(out)
      local start, cpu = core.clock(), os.clock()
      m:save(out, { sync = false, recipe = false })
      local time = core.clock() - start
      cpu = os.clock() - cpu
      if round > 0 then best[name] = math.min(best[name] or time, time) end
      print(("%-8s %.2f s, of processors %.2f s; the library's memory at most %.1f MiB"):format(name, time, cpu,
         core.memory_peak() / MIB))
   end
end
print(("rank %d: %.2f s, %.2f times the merge's %.2f s"):format(rank, best.adapter, best.adapter / best.merge,
   best.merge))
os.remove(out)
os.remove(out .. ".factors.safetensors")
