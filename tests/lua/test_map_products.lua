--- Saves of W + B A: products of low rank are made as they are written. The same bytes on any number of threads, and as
-- when each product is computed first.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"
local core = require "stlua.core"

local suite = {}
local ROWS, COLUMNS, RANK = 300, 280, 8

local function random(name, rows, columns)
   return st.randn(rows, columns, { seed = 3, name = name, dtype = "BF16" })
end

-- A file of weights and one of factors.
local function files(count)
   local weights, factors = st.model {}, st.model {}
   for i = 1, count do
      local name = ("layer.%02d"):format(i)
      weights[name] = random(name, ROWS, COLUMNS)
      factors[name .. ".up"] = random(name .. ".up", ROWS, RANK)
      factors[name .. ".down"] = random(name .. ".down", RANK, COLUMNS)
      factors[name .. ".up_t"] = random(name .. ".up_t", RANK, ROWS)
   end
   weights["norm"] = st.ones(77)
   local at, beside = support.path("weights.safetensors"), support.path("factors.safetensors")
   weights:save(at, { sync = false, recipe = false })
   factors:save(beside, { sync = false, recipe = false })
   return st.open(at), st.open(beside)
end

-- How a product becomes a weight.
local WAYS = {
   function(w, p) return w + p end,
   function(w, p, f, name) return w + 0.25 * p - f[name .. ".up_t"]:t():matmul(f[name .. ".down"]) end,
   function(w, p) return (w + p) / (w + p):norm(2, { keepdim = true }) end,
   function(w, p) return (w + p) * (w:norm() / (w + p):norm()) end,
   function(w, p, f, name) -- the factors wait for a number
      return w + (f[name .. ".up"] / f[name .. ".up"]:norm()):matmul(f[name .. ".down"]) + 0 * p
   end,
   function(w, p) return w + p:flip(1) + p end, -- also needed whole
   function(_, p) return p end,
   function(w, p, f, name) -- factors that must be computed themselves
      local up, down = f[name .. ".up"], f[name .. ".down"]
      return w + p + st.cat({ 2 * up, f[name .. ".up_t"]:t() }, 2):matmul(st.cat({ down, down:flip(2) * 0.5 }, 1))
   end,
   function(w, p) return st.where(p:gt(0), w, p:abs():log1p()) end,
}

local function merged(weights, factors, prepare)
   local i = 0
   return st.map(weights, function(name, w)
      if w:ndim() ~= 2 then return w end
      i = i + 1
      local p = prepare(factors[name .. ".up"]:matmul(factors[name .. ".down"]))
      return WAYS[(i - 1) % #WAYS + 1](w, p, factors, name):cast("BF16")
   end)
end

local function bytes(path)
   local f <close> = assert(io.open(path, "rb"))
   return f:read("a")
end

function suite.test_threads_and_the_whole()
   local weights, factors = files(2 * #WAYS)
   local path = support.path("out.safetensors")
   local function save(prepare)
      merged(weights, factors, prepare):save(path, { sync = false, recipe = false })
      return bytes(path)
   end
   local first
   for _, threads in ipairs { 1, 2, 5 } do
      st.threads(threads)
      local got = save(function(p) return p end)
      first = first or got
      lu.assertTrue(got == first, threads)
   end
   st.threads(0)
   lu.assertTrue(save(function(p) return p:force() end) == first)
end

function suite.test_nothing_is_held()
   if os.getenv "STLUA_EAGER" then return end     -- then everything is
   local rows = 1024
   local a = support.path("large.safetensors")
   st.model {
      { "w", random("w", rows, rows) }, { "up", random("u", rows, 4) }, { "down", random("d", 4, rows) },
   }:save(a, { sync = false })
   local m = st.open(a)
   local p = m.up:matmul(m.down)
   local before = core.memory(1 << 20)
   local ok, message = pcall(function()
      st.model({ { "w", (m.w + 0.5 * p):cast("BF16") }, { "n", p:norm() } }):save(support.path("large-out.safetensors"))
      lu.assertEquals(#tostring(p) > 0, true)
   end)
   local held = pcall(p.force, p)
   core.memory(before)
   lu.assertTrue(ok, message)
   lu.assertFalse(held)
   lu.assertAlmostEquals(p[3][5], (m.up[3] * m.down:t()[5]):sum():item(), 0.05)
end

support.run("map products", suite)
