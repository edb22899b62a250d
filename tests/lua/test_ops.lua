--- Operations on tensors, numbers and whole models: lerp, clamp, where, arithmetic of models.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

local function f32(...) return support.tensor("F32", { select("#", ...) }, { ... }) end

local function models()
   local a = support.model("a.safetensors", { { "x", "F32", { 2 }, { 1, 2 } }, { "ids", "I64", { 2 }, { 3, 4 } } })
   local b = support.model("b.safetensors", { { "x", "F32", { 2 }, { 3, 6 } }, { "ids", "I64", { 2 }, { 3, 4 } } })
   return a, b
end

function suite.test_every_operation_is_a_function()
   for _, op in ipairs(require("stlua.core").ops) do lu.assertEquals(type(st[op.name]), "function", op.name) end
   lu.assertEquals(support.values(st.minimum(f32(1, 5), 3)), { 1, 3 })
   lu.assertEquals(support.values(st.maximum(f32(1, 5), f32(4, 4))), { 4, 5 })
   lu.assertEquals(support.values(st.where(f32(1, 5):gt(2), 0, f32(7, 8))), { 7, 0 })
   lu.assertEquals(support.values(st.abs(f32(-1, 2))), { 1, 2 })
end

function suite.test_clamp()
   lu.assertEquals(support.values(st.clamp(f32(-2, 0, 2), -1, 1)), { -1, 0, 1 })
   lu.assertEquals(support.values(f32(-2, 0, 2):clamp(nil, 1)), { -2, 0, 1 })
   lu.assertEquals(support.values(st.clamp(f32(-2, 0, 2), 3, 1)), { 1, 1, 1 })      -- torch: the upper limit wins
   local a = models()
   lu.assertEquals(support.values(st.clamp(a, 1.5, nil).x), { 1.5, 2 })
   support.raises("arg", "a lower or an upper limit", st.clamp, f32(1))
end

local function single(x) return (string.unpack("<f", string.pack("<f", x))) end

-- torch.lerp(a, b, t) in F32: ATen/native/Lerp.h.
local function lerp32(a, b, t)
   t = single(t)
   if math.abs(t) < 0.5 then return single(a + single(t * single(b - a))) end
   return single(b - single(single(b - a) * single(1 - t)))
end

function suite.test_lerp_is_torch_lerp()
   local as, bs = { 0.1, -3.7, 1e30, 0, 5 }, { 0.3, 2.9, -1e30, 1, 5 }
   for _, t in ipairs { 0, 0.1, 0.3, 0.49999, 0.5, 0.7, 0.9, 1, 1.5, -0.3, -2 } do
      local want = {}
      for i = 1, #as do want[i] = lerp32(single(as[i]), single(bs[i]), t) end
      lu.assertEquals(support.values(st.lerp(f32(table.unpack(as)), f32(table.unpack(bs)), t)), want, "t = " .. t)
   end
   -- In F64 the weight keeps all its digits.
   local a, b = support.tensor("F64", { 1 }, { 0.1 }), support.tensor("F64", { 1 }, { 0.7 })
   lu.assertEquals(st.lerp(a, b, 0.9):item(), 0.7 - (0.7 - 0.1) * (1 - 0.9))
end

function suite.test_lerp_of_numbers_and_by_tensor()
   lu.assertEquals(st.lerp(2, 4, 0.25), 2.5)
   lu.assertEquals(support.values(st.lerp(f32(0, 0), f32(8, 8), f32(0.25, 0.75))), { 2, 6 })
   lu.assertEquals(support.values(f32(0, 4):lerp(f32(4, 4), 0.5)), { 2, 4 })
   lu.assertEquals(support.values(st.lerp(0, f32(4), 0.25)), { 1 })
   support.raises("arg", "must be finite", st.lerp, f32(1), f32(2), 0 / 0)
   support.raises("arg", "a number or a tensor, not a nil", st.lerp, f32(1), f32(2))
   local a, b = models()
   support.raises("arg", "the weight of models is a number", st.lerp, a, b, f32(1))
end

function suite.test_models()
   local a, b = models()
   local out = 0.5 * a + 0.5 * b
   lu.assertEquals(support.values(out.x), { 2, 4 })
   lu.assertEquals(support.values(out.ids), { 3, 4 })       -- never 0.5 * ids
   lu.assertEquals(support.values(st.lerp(a, b, 0.25).x), { 1.5, 3 })
   lu.assertEquals(support.values((b - a).x), { 2, 4 })
   lu.assertEquals(support.values((-a / 2 + 1).x), { 0.5, 0 })
   lu.assertEquals(support.values((a ^ 2).x), { 1, 4 })
   lu.assertEquals(support.values(st.minimum(a, 1.5).x), { 1, 1.5 })
   lu.assertEquals(support.values((a + 0.6 * (b - a)).ids), { 3, 4 })
end

function suite.test_formulas()
   local a, b = models()
   for formula, m in pairs {
      ["a.safetensors"] = a,
      ["0.5 * a.safetensors + 0.5 * b.safetensors"] = 0.5 * a + 0.5 * b,
      ["a.safetensors + 0.6 * (b.safetensors - a.safetensors)"] = a + 0.6 * (b - a),
      ["a.safetensors - (b.safetensors - a.safetensors)"] = a - (b - a),
      ["a.safetensors / (2 * b.safetensors)"] = a / (2 * b),
      ["-(a.safetensors + b.safetensors)"] = -(a + b),
      ["(-1) * a.safetensors"] = -1 * a,
      ["lerp(a.safetensors, b.safetensors, 0.3)"] = st.lerp(a, b, 0.3),
      ["minimum(select(a.safetensors), 1)"] = st.minimum(a:select("x"), 1),
   } do
      lu.assertEquals(m:formula(), formula)
   end
   -- The same name twice is told apart.
   support.shell("mkdir -p @/d")
   support.shell("cp @/a.safetensors @/d/a.safetensors")
   local c = st.open(support.path("d/a.safetensors"))
   lu.assertEquals((a + c):formula(), "a.safetensors#1 + a.safetensors#2")
   -- A long one does not grow for ever.
   local m = a
   for _ = 1, 40 do m = m + m end
   lu.assertTrue(#m:formula() < 10000)
end

function suite.test_one_rounding_for_mixed_dtypes()
   -- 1 + 1/256 + 1/256: BF16 loses a 256th when it is added alone, and keeps two added in F32.
   local a = support.model("r1.safetensors", { { "x", "BF16", {}, { 1 } } })
   local b = support.model("r2.safetensors", { { "x", "F32", {}, { 1 / 256 } } })
   local sum = a + b + b
   lu.assertEquals(sum.x:dtype(), "BF16")
   sum:save(support.path("r3.safetensors"), { sync = false })
   lu.assertEquals(st.open(support.path("r3.safetensors")).x:item(), 1 + 2 / 256)
   -- A selection in between changes nothing.
   lu.assertEquals(((a + b):select("*") + b):get("x"):force():item(), sum.x:force():item())
end

function suite.test_what_does_not_fit()
   local a = models()
   local other = support.model("n.safetensors", { { "y", "F32", {}, { 1 } }, { "ids", "I64", { 2 }, { 3, 5 } } })
   support.raises("name", { "missing in 0.5 * n.safetensors:", "missing in a.safetensors:" },
      function() return a + 0.5 * other end)
   support.raises("dtype", { '"ids": I64 values are not interpolated' },
      function() return a:select("ids") + other:select("ids") end)
   support.raises("arg", "a model goes with models and numbers, not with a tensor", function() return a + f32(1) end)
   support.raises("arg", "a model goes with models and numbers, not with a string", function() return a + "1" end)
end

support.run("ops", suite)
