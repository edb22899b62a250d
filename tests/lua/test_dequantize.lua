--- Quantised weights worked out by hand; what does not fit, or lies, is refused before anything is computed. The
-- comparison with the programs that write such files is tests/conformance/quantised.py.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

local function u8(...) return st.from_bytes("U8", { select("#", ...) }, string.char(...)) end

local function text(value)
   local s = type(value) == "string" and value or st.json.encode(value)
   return st.from_bytes("U8", { #s }, s)
end

-- Saved and opened, for layouts are known by the tensors of a file.
local count = 0
local function opened(list, metadata)
   count = count + 1
   local path = support.path(("q%d.safetensors"):format(count))
   local entries = {}
   for name, t in pairs(list) do entries[#entries + 1] = { name, t } end
   table.sort(entries, function(x, y) return x[1] < y[1] end)
   st.model(entries, metadata):save(path, { sync = false })
   return st.open(path)
end

local function weight(list, opts)
   local out, report = st.dequantize(opened(list), opts or { dtype = "F32" })
   lu.assertEquals(#out, 1, support.names(out))
   return out["x.weight"], report
end

local E4M3 = function(t) return t:cast "F8_E4M3" end

function suite.test_scaled()
   local w = E4M3(st.tensor { { 1.0, 2, 3, 4 }, { -1, -2, -3, -4 } })
   local t, report = weight { ["x.weight"] = w, ["x.scale_weight"] = st.tensor { 0.5 }, ["x.scale_input"] = st.ones(1) }
   lu.assertEquals(t:totable(), { { 0.5, 1, 1.5, 2 }, { -0.5, -1, -1.5, -2 } })
   lu.assertEquals(report, { ["scaled F8_E4M3"] = 1 })
   t = weight { ["x.weight"] = w, ["x.scale_weight"] = st.tensor { { 1.0 }, { 10.0 } } }
   lu.assertEquals(t:totable(), { { 1, 2, 3, 4 }, { -10, -20, -30, -40 } })
   t = weight { ["x.weight"] = w, ["x.weight_scale"] = st.tensor { { { 1.0 }, { 2.0 } }, { { 3.0 }, { 4.0 } } } }
   lu.assertEquals(t:totable(), { { 1, 2, 6, 8 }, { -3, -6, -12, -16 } })
   for _, scale in ipairs { st.ones(3), st.ones(2, 3), st.ones(3, 1), st.ones(2, 2, 2), st.zeros(0) } do
      support.raises("quant", '"x.weight": scales of [', st.dequantize,
         opened { ["x.weight"] = w, ["x.scale_weight"] = scale })
   end
   support.raises("quant", "in blocks of 128", st.dequantize,
      opened { ["x.weight"] = w, ["x.weight_scale_inv"] = st.ones(2, 1) })
end

function suite.test_dtypes()
   local w, scale = E4M3(st.ones(2, 2)), st.ones(1)
   local function result(list, opts)
      list["x.weight"], list["x.scale_weight"] = w, scale
      return st.dequantize(opened(list), opts)["x.weight"]:dtype()
   end
   lu.assertEquals(result {}, "BF16")
   lu.assertEquals(result { ["x.bias"] = st.ones(2):cast "F16" }, "F16")
   lu.assertEquals(result({}, { dtype = "f16" }), "F16")
   support.raises("dtype", "I32", st.dequantize, opened { y = w }, { dtype = "I32" })
end

-- What the metadata say of layers that stay quantised is not lost.
function suite.test_description()
   local w, scale = E4M3(st.ones(2, 2)), st.ones(1)
   local key, said = "_quantization_metadata", '{"layers": {"a": {"format": "float8_e4m3fn"}, "b": {"format": '
      .. '"float8_e4m3fn"}}, "format_version": "1.0"}'
   local m = opened({ ["a.weight"] = w, ["a.weight_scale"] = scale, ["b.weight"] = w, ["b.weight_scale"] = scale,
      ["blocks.0.c.weight"] = st.ones(2, 2) }, { [key] = said })
   local out = st.dequantize(m, { only = "a.weight" })
   lu.assertEquals(st.json.decode(out:metadata()[key]), { format_version = "1.0", layers = { b = { format =
      "float8_e4m3fn" } } })
   lu.assertNil(st.dequantize(m):metadata()[key])
   out = st.scaled_fp8(m)
   lu.assertEquals({ out:metadata()[key], out["blocks.0.c.weight"]:dtype() }, { said, "F8_E4M3" })
end

-- What is left alone, and what goes.
function suite.test_choice()
   local w, scale = E4M3(st.ones(2, 2)), st.ones(1)
   local list = { ["a.weight"] = w, ["a.scale_weight"] = scale, ["b.weight"] = w, ["b.scale_weight"] = scale,
      scaled_fp8 = E4M3(st.zeros(2)), ["c.weight"] = w, ["m.scaled_fp8"] = E4M3(st.zeros(0)) }
   local m = opened(list, { _quantization_metadata = "{}", k = "v", sshs_model_hash = "x" })
   local out, report = st.dequantize(m)
   lu.assertEquals({ support.names(out), report["scaled F8_E4M3"] }, { "a.weight b.weight c.weight", 2 })
   lu.assertEquals((out:metadata()), { k = "v" })
   out = st.dequantize(m, { only = "a.weight" })
   lu.assertEquals({ #out, out["b.weight"]:dtype(), out["a.weight"]:dtype() }, { 6, "F8_E4M3", "BF16" })
   out = st.dequantize(m, { except = "a" })
   lu.assertEquals({ #out, out["a.weight"]:dtype() }, { 6, "F8_E4M3" })
   support.raises("name", 'matches "zzz"', st.dequantize, m, { only = "zzz" })
   support.raises("name", { "except", 'matches "zzz"' }, st.dequantize, m, { except = { "a", "zzz" } })
   support.raises("name", { "except", 'matches "zzz"' }, st.scaled_fp8, m, { except = "zzz" })
   support.raises("name", { "cast: except", 'matches "zzz"' }, m.cast, m, "F16", { except = "zzz" })
   lu.assertEquals(#m:cast("F16", { except = function() return true end }), #m)
   support.raises("arg", "a model expected", st.dequantize, 3)
   local plain = st.model { { "w", st.ones(2) } }
   lu.assertEquals({ #st.dequantize(plain), select(2, st.dequantize(plain)) }, { 1, {} })
   -- The result computes, and is saved, as any other.
   out:save(support.path("out.safetensors"), { sync = false })
   lu.assertEquals(st.open(support.path("out.safetensors"))["b.weight"]:totable(), { { 1, 1 }, { 1, 1 } })
end

-- Scales in tiles: row 1 and row 33 lie 16 bytes and a quarter apart.
function suite.test_mxfp8()
   local bytes = {}
   for i = 1, 512 do bytes[i] = 127 end
   bytes[1], bytes[17], bytes[5], bytes[2] = 128, 126, 130, 0      -- rows 1, 2, 33; the second group of row 1
   local list = { ["x.weight"] = E4M3(st.ones(40, 64)), ["x.weight_scale"] = u8(table.unpack(bytes)):reshape(128, 4) }
   local t, report = weight(list)
   lu.assertEquals({ t[{ 1, 1 }], t[{ 2, 32 }], t[{ 33, 1 }], t[{ 1, 33 }], t[{ 3, 1 }] }, { 2, 0.5, 8, 2.0 ^ -127, 1 })
   lu.assertEquals(report, { mxfp8 = 1 })
   list["x.weight_scale"] = u8(table.unpack(bytes, 1, 256))
   support.raises("quant", "512 scales in tiles", st.dequantize, opened(list))
   list["x.weight"] = E4M3(st.ones(40, 60))
   support.raises("quant", "groups of 32", st.dequantize, opened(list))
end

function suite.test_nvfp4()
   local codes = {}
   for i = 0, 7 do codes[i + 1] = i * 32 + i * 2 + 1 end      -- 0 and 1, 2 and 3, ...
   local list = { ["x.weight"] = u8(table.unpack(codes)):reshape(1, 8),
      ["x.weight_scale"] = E4M3(st.full({ 128, 4 }, 2.0)), ["x.weight_scale_2"] = st.tensor { 0.5 } }
   lu.assertEquals(weight(list):totable(),
      { { 0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6 } })
   -- Of 128 rows and 64 columns nothing is filled up: whose it is must be said.
   local whole = { ["x.weight"] = u8(0x21):expand { 128, 32 }:clone(), ["x.weight_scale_2"] = st.ones(1),
      ["x.weight_scale"] = E4M3(st.ones(128, 4)) }
   support.raises("quant", "ModelOpt", st.dequantize, opened(whole))
   local said = { _quantization_metadata = '{"layers": {"x": {"format": "nvfp4"}}}' }
   lu.assertEquals(st.dequantize(opened(whole, said))["x.weight"][{ 1, 1 }], 1)
   said._quantization_metadata = '{"layers": {"y": {"format": "nvfp4"}}}'
   support.raises("quant", "ModelOpt", st.dequantize, opened(whole, said))
   whole["x.comfy_quant"] = text { format = "nvfp4" }
   lu.assertEquals(weight(whole)[{ 1, 1 }], 1)
   list["x.weight_scale_2"] = st.ones(2)
   support.raises("quant", "2 scales of the whole", st.dequantize, opened(list))
   list["x.weight_scale_2"], list["x.weight_scale"] = st.ones(1), st.ones(128, 4)
   support.raises("dtype", "F8_E4M3", st.dequantize, opened(list))
   list["x.weight"] = u8(1, 2, 3):reshape(1, 3)
   support.raises("quant", "no nvfp4", st.dequantize, opened {
      ["x.weight"] = u8(1, 2, 3):reshape(1, 3), ["x.weight_scale"] = E4M3(st.ones(128, 4)),
      ["x.weight_scale_2"] = st.ones(1) })
end

local function nf4(state, more)
   local values = {}
   for i = 1, 16 do values[i] = i - 9.0 end
   local list = { ["x.weight"] = u8(0x0f, 0x81, 0x79):reshape(3, 1), ["x.weight.absmax"] = st.tensor { 1.0, 2.0 },
      ["x.weight.quant_map"] = st.tensor(values) }
   for key, value in pairs(more or {}) do list[key] = value end
   list["x.weight.quant_state.bitsandbytes__nf4"] = text(state)
   return list
end

local STATE = { quant_type = "nf4", blocksize = 4, dtype = "float32", shape = { 2, 3 } }

function suite.test_nf4()
   local t, report = weight(nf4(STATE), {})
   lu.assertEquals({ t:totable(), t:dtype(), report }, { { { -8, 7, 0 }, { -7, -2, 2 } }, "F32",
      { ["bitsandbytes nf4"] = 1 } })
   -- Nested: scales are codes of a table, times scales of pieces, plus an offset.
   local map = {}
   for i = 1, 256 do map[i] = (i - 1) / 4 end
   local state = { quant_type = "nf4", blocksize = 2, dtype = "float16", shape = { 6 }, nested_blocksize = 2,
      nested_offset = 0.5 }
   t = weight(nf4(state, { ["x.weight.absmax"] = u8(4, 8, 2), ["x.weight.nested_absmax"] = st.tensor { 1.0, 10.0 },
      ["x.weight.nested_quant_map"] = st.tensor(map) }), {})
   lu.assertEquals({ t:totable(), t:dtype() }, { { -12, 10.5, 0, -17.5, -5.5, 5.5 }, "F16" })
end

-- Descriptions that lie.
function suite.test_hostile_states()
   local function refused(what, state, more)
      support.raises("quant", what, st.dequantize, opened(nf4(state, more)))
   end
   local function with(key, value)
      local s = {}
      for k, v in pairs(STATE) do s[k] = v end
      s[key] = value
      return s
   end
   refused("no JSON object", "{")
   refused("no JSON object", "[1")
   refused("no JSON object", "7")
   refused("shape is not described", {})
   refused("shape is not described", with("blocksize", 0))
   refused("shape is not described", with("blocksize", 2.5))
   refused("shape is not described", with("shape", "x"))
   refused("size 1 of its shape", with("shape", { -2, 3 }))
   refused("size 2 of its shape", with("shape", { 1 << 40, 1 << 40 }))
   refused("size 1 of its shape", with("shape", { 1.5 }))
   refused("3 bytes for a weight of [2, 4]", with("shape", { 2, 4 }))
   refused("2 scales for 6 blocks", with("blocksize", 1))
   refused("has 3 values, not 16", STATE, { ["x.weight.quant_map"] = st.ones(3) })
   local nested = { ["x.weight.absmax"] = u8(1, 2), ["x.weight.nested_absmax"] = st.ones(1),
      ["x.weight.nested_quant_map"] = st.ones(256) }
   refused("nested scales are not described", STATE, nested)
   refused("nested scales are not described", with("nested_blocksize", 256), nested)
   local described = with("nested_blocksize", 256)
   described.nested_offset = 0
   nested["x.weight.nested_quant_map"] = st.ones(255)
   refused("a table of 255", described, nested)
   local list = nf4(STATE)
   list["x.weight.quant_state.bitsandbytes__nf4"] = text((" "):rep(70000))
   support.raises("quant", "70000 bytes", st.dequantize, opened(list))
   -- A format's name, too.
   local w = { ["x.weight"] = E4M3(st.ones(2, 2)), ["x.weight_scale"] = st.ones(1) }
   for _, bad in ipairs { "{", "[]", "3", '{"format":3}' } do
      w["x.comfy_quant"] = text(bad)
      support.raises("quant", "no description of a format", st.dequantize, opened(w))
   end
   w["x.comfy_quant"] = text { format = "awq_w4a16" }
   support.raises("quant", '"awq_w4a16" is not known', st.dequantize, opened(w))
   w["x.comfy_quant"] = text { format = "int8_tensorwise", convrot = true }
   support.raises("quant", "turns it", st.dequantize, opened(w))
end

-- Layouts that are not known are named, all of them.
function suite.test_unknown()
   local list = {}
   for _, x in ipairs { "a", "b" } do
      list[x .. ".qweight"], list[x .. ".scales"] = st.zeros(4, 4):cast "I32", st.ones(4)
   end
   local e = support.raises("quant", "not known well enough", st.dequantize, opened(list))
   lu.assertStrContains(e.message, '"b.qweight": GPTQ or AWQ')
end

function suite.test_scaled_fp8()
   local m = st.model({ { "model.diffusion_model.blocks.0.q.weight", st.tensor { { 1.0, -2 }, { 3, 4 } } },
      { "model.diffusion_model.blocks.0.norm.weight", st.ones(2, 2) }, { "first.weight", st.ones(2, 2) },
      { "first_stage_model.up.0.k.weight", st.ones(2, 2) }, { "l.0.ids.weight", st.ones(2, 2):cast "I32" },
      { "l.0.narrow.weight", E4M3(st.ones(2, 2)) } }, { modelspec = "x" })
   local out, n = st.scaled_fp8(m)
   lu.assertEquals({ n, #out, #m }, { 1, 8, 6 })
   local q = "model.diffusion_model.blocks.0.q."
   lu.assertEquals({ out[q .. "weight"]:dtype(), out[q .. "scale_weight"]:dtype(), out[q .. "scale_weight"]:shape() },
      { "F8_E4M3", "F32", {} })
   lu.assertAlmostEquals(out[q .. "scale_weight"]:item(), 4 / 448, 1e-9)
   lu.assertEquals(out["model.diffusion_model.scaled_fp8"]:shape(), { 2 })
   local path = support.path("scaled.safetensors")
   out:save(path, { sync = false })
   local back = st.dequantize(st.open(path), { dtype = "F32" })
   lu.assertEquals(#back, 6)
   lu.assertAlmostEquals(back[q .. "weight"][{ 1, 2 }], -2, 0.1)
   out, n = st.scaled_fp8(m, { only = "first", dtype = "F8_E5M2" })
   lu.assertEquals({ n, out["first.weight"]:dtype(), out["scaled_fp8"]:dtype() }, { 2, "F8_E5M2", "F8_E5M2" })
   support.raises("dtype", "not with F16", st.scaled_fp8, m, { dtype = "F16" })
   -- What is narrow already stays.
   lu.assertEquals(select(2, st.scaled_fp8(st.open(path), { only = q .. "weight" })), 0)
end

function suite.test_command()
   local m = opened { ["x.0.weight"] = E4M3(st.ones(2, 2)), ["x.0.scale_weight"] = st.tensor { 3.0 } }
   m:save(support.path("c.safetensors"), { sync = false })
   local out, err, status = support.stlua("cast c.safetensors --dequantize -o d.safetensors")
   lu.assertEquals({ out, status }, { "", 0 })
   lu.assertStrContains(err, "1 weight of scaled F8_E4M3")
   lu.assertEquals(st.open(support.path("d.safetensors"))["x.0.weight"]:totable(), { { 3, 3 }, { 3, 3 } })
   err, status = select(2, support.stlua("cast d.safetensors --dtype F8_E4M3 --scaled"))
   lu.assertEquals(status, 0)
   lu.assertStrContains(err, "1 weight scaled")
   lu.assertEquals(#st.open(support.path("d-F8_E4M3-scaled.safetensors")), 3)
   err, status = select(2, support.stlua("cast d.safetensors --dequantize -o e.safetensors"))
   lu.assertEquals(status, 0)
   lu.assertStrContains(err, "no weight is quantised")
   err, status = select(2, support.stlua("cast d.safetensors --dequantize --scaled --dtype F8_E4M3"))
   lu.assertEquals(status, 2)
   lu.assertStrContains(err, "not both")
end

support.run("dequantize", suite)
