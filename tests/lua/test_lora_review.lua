--- Adapters: what a review found to be wrong without a word.
local lu = require "luaunit"
local st = require "stlua"
local support = require "support"

local suite = {}

local function near(want, got, bound)
   lu.assertEquals(got:shape(), want:shape())
   local off = (want:double() - got:double()):norm():item()
   lu.assertTrue(off <= (bound or 1e-5) * math.max(1, want:double():norm():item()), ("off by %g"):format(off))
end

-- Tensors { name = shape } or { name = tensor }, in order of their names.
local function model(tensors)
   local list = {}
   for name, t in pairs(tensors) do list[#list + 1] = { name, t } end
   table.sort(list, function(a, b) return a[1] < b[1] end)
   for i, entry in ipairs(list) do
      if type(entry[2]) == "table" then entry[2] = st.randn(entry[2], { seed = i }) end
   end
   return st.model(list)
end

-- ---------------------------------------------------------------- combine

-- The largest factor is the scale: the first may be nothing, or next to it.
function suite.test_combine_by_the_largest_factor()
   local function lora(alpha, value, kind)
      return model { ["lora_unet_x.lora_down.weight"] = st.full({ 1, 3 }, 1):cast(kind or "F32"),
         ["lora_unet_x.lora_up.weight"] = st.full({ 4, 1 }, value):cast(kind or "F32"),
         ["lora_unet_x.alpha"] = st.tensor(alpha) }
   end
   local base = model { ["x.weight"] = st.zeros(4, 3) }
   local function sum(list) return st.lora.apply(base, st.lora.combine(list))["x.weight"] end
   near(st.full({ 4, 3 }, 2), sum { { lora(0.0, 5) }, { lora(1.0, 2) } })
   near(st.full({ 4, 3 }, 10), sum { { lora(1.0, 10, "F16"), 1e-4 }, { lora(1.0, 10, "F16") } }, 1e-3)
   near(st.zeros(4, 3), sum { { lora(0.0, 5) }, { lora(0.0, 2) } })
end

support.run("lora_review", suite)
