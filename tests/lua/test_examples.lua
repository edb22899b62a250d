--- The scripts of examples/ against plain loops over numbers: what they write and print is right.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

support.path("")
local pipe = io.popen("pwd")
local root = pipe:read("l")
pipe:close()

local function run(name, arguments)
   local out, err, status = support.stlua(("'%s/examples/%s' %s"):format(root, name, arguments))
   lu.assertEquals({ status, err }, { 0, "" }, name)
   return out
end

-- Three models of random values: base and two that are tuned; rows x columns in two layers, a norm, and integers.
local ROWS, COLUMNS = 12, 10

local function models()
   st.manual_seed(5)
   local result = {}
   for i, file in ipairs { "base", "one", "two" } do
      local list = { { "ids", st.arange(4):reshape(2, 2) } }
      for layer = 0, 2 do list[#list + 1] = { ("layers.%d.w"):format(layer), st.randn(ROWS, COLUMNS) } end
      list[#list + 1] = { "norm", st.randn(COLUMNS) }
      st.model(list):save(support.path(file .. ".safetensors"), { sync = false })
      result[i] = st.open(support.path(file .. ".safetensors"))
   end
   return table.unpack(result)
end

local function result() return st.open(support.path("out.safetensors")) end

local function assert_close(t, want, what)
   for i, v in ipairs(support.values(t)) do lu.assertAlmostEquals(v, want[i], 1e-5, what .. " " .. i) end
end

function suite.test_by_layer()
   local a, b = models()
   run("08_by_layer.lua", "base.safetensors one.safetensors out.safetensors 0.2 0.8")
   local out = result()
   for name, t in pairs { ["layers.0.w"] = 0.2, ["layers.1.w"] = 0.5, ["layers.2.w"] = 0.8, norm = 0.5 } do
      local want, y = support.values(a[name]), support.values(b[name])
      for i, x in ipairs(want) do want[i] = (1 - t) * x + t * y[i] end
      assert_close(out[name], want, name)
   end
   lu.assertTrue(out.ids:identical(a.ids))
end

function suite.test_cast()
   local a = models()
   local printed = run("06_cast.lua", "base.safetensors out.safetensors F16 norm")
   lu.assertEquals(result():dtype_counts(), { F16 = 3, F32 = 1, I64 = 1 })
   lu.assertTrue(result().norm:identical(a.norm))
   lu.assertStrContains(printed, "2 tensors equal, 3 differ")
end

function suite.test_low_rank()
   local base, tuned = models()
   local printed = run("10_low_rank.lua", "base.safetensors one.safetensors out.safetensors 3")
   local out = result()
   for layer = 0, 2 do
      local name = ("layers.%d.w"):format(layer)
      local change = (out[name] - base[name]):cast "F64"
      local s = support.values(change:svdvals())
      lu.assertTrue(s[3] > 0.1 and s[4] < 1e-4, name)
      local share = 1 - ((tuned[name] - out[name]):norm() / (tuned[name] - base[name]):norm()):item() ^ 2
      lu.assertStrMatches(printed, (".*%s +rank 3 holds +%.1f %%%% of the change\n.*"):format(name:gsub("%.", "%%."),
         100 * share))
   end
   lu.assertTrue(out.norm:identical(tuned.norm))
   lu.assertTrue(out.ids:identical(tuned.ids))
end

function suite.test_compare()
   local a, b = models()
   local printed = run("11_compare.lua", "base.safetensors one.safetensors")
   for block, name in pairs { ["layers.1"] = "layers.1.w", norm = "norm" } do
      local xy, xx, yy, dd = 0, 0, 0, 0
      local y = support.values(b[name])
      for i, x in ipairs(support.values(a[name])) do
         xy, xx, yy, dd = xy + x * y[i], xx + x * x, yy + y[i] * y[i], dd + (x - y[i]) ^ 2
      end
      local line = ("%-28s cosine %7.4f   |a - b| / |a| %7.4f\n"):format(block, xy / math.sqrt(xx * yy),
         math.sqrt(dd / xx))
      lu.assertStrContains(printed, line)
   end
   lu.assertNil(printed:find("ids", 1, true))
end

-- Keeps the share of the largest magnitudes.
local function trim(delta, density)
   local sizes, kept = {}, {}
   for i, v in ipairs(delta) do sizes[i] = math.abs(v) end
   table.sort(sizes, function(x, y) return x > y end)
   local least = sizes[math.max(1, math.floor(density * #delta + 0.5))]
   for i, v in ipairs(delta) do kept[i] = math.abs(v) >= least and v or 0 end
   return kept
end

function suite.test_own_method()
   local base, one, two = models()
   run("12_own_method.lua", "out.safetensors 0.3 base.safetensors one.safetensors two.safetensors")
   local name = "layers.1.w"
   local b, deltas = support.values(base[name]), {}
   for i, m in ipairs { one, two } do deltas[i] = trim(support.values(m[name] - base[name]), 0.3) end
   local want, kept = {}, 0
   for i, x in ipairs(b) do
      local sum, total, votes = deltas[1][i] + deltas[2][i], 0, 0
      for _, d in ipairs(deltas) do
         if d[i] * sum > 0 then total, votes = total + d[i], votes + 1 end
      end
      kept = kept + votes
      want[i] = x + (votes > 0 and total / votes or 0)
   end
   lu.assertTrue(kept > 40 and kept <= 72, kept)
   assert_close(result()[name], want, name)
   local mean, second = support.values(one.norm), support.values(two.norm)
   for i, x in ipairs(mean) do mean[i] = (x + second[i]) / 2 end
   assert_close(result().norm, mean, "norm")
   lu.assertTrue(result().ids:identical(base.ids))
end

support.run("examples", suite)
