--- Differences of models: numbers, blocks, metadata, texts, the command's exit status.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"
local anatomy = require "stlua.anatomy"

local suite = {}
local NAN, INF = 0 / 0, math.huge

local function by_name(d)
   local by = {}
   for _, row in ipairs(d) do by[row.name] = row end
   return by
end

local function pair_of_models()
   local a = support.model("d1.safetensors", { { "x", "F32", { 2 }, { 3, 4 } }, { "same", "BF16", { 2 }, { 1, NAN } },
      { "wide", "F32", { 2 }, { 1, 2 } }, { "mine", "F32", {}, { 1 } }, { "ids", "I64", { 2 }, { 1, 2 } } })
   local b = support.model("d2.safetensors", { { "x", "F32", { 2 }, { 3, 4.5 } }, { "same", "BF16", { 2 }, { 1, NAN } },
      { "wide", "F32", { 3 }, { 1, 2, 3 } }, { "yours", "F32", {}, { 1 } }, { "ids", "I64", { 2 }, { 1, 3 } } })
   return a, b
end

function suite.test_numbers()
   local a, b = pair_of_models()
   local d = st.diff(a, b)
   lu.assertEquals({ #d, d.equal, d.only_a, d.only_b }, { 4, 1, { "mine" }, { "yours" } })
   lu.assertEquals({ d.same, d.same_tensors }, { false, false })
   local by = by_name(d)
   lu.assertEquals({ by.same.equal, by.same.identical, by.same.differing }, { true, true, 0 })
   lu.assertEquals({ by.x.equal, by.x.differing, by.x.max_abs, by.x.relative }, { false, 1, 0.5, 0.1 })
   lu.assertEquals({ by.x.distance, by.x.norms[1], by.x.dot }, { 0.5, 5, 27 })
   lu.assertAlmostEquals(by.x.cosine, 27 / (5 * math.sqrt(9 + 4.5 ^ 2)), 1e-12)
   lu.assertFalse(by.wide.equal)
   lu.assertNil(by.wide.max_abs)
   lu.assertEquals(by.ids.max_abs, 1)
   lu.assertStrContains(tostring(d), "[2] and [3]")
   lu.assertStrContains(tostring(d), "1 tensor equal, 3 differ")
   lu.assertStrContains(tostring(d), "only in the first: mine")
   local same = st.diff(a, a)
   lu.assertEquals({ same.equal, same.same }, { 5, true })
   support.raises("arg", "two models, or two tensors", st.diff, a, st.tensor { 1 })
   support.raises("name", 'matches "z"', st.diff, a, b, { only = "z" })
   lu.assertEquals(#st.diff(a, b, { only = { "x", "yours" } }), 1)
end

-- Signs, infinities and NaN; 64-bit integers that F64 cannot tell apart; dtypes.
function suite.test_hard_values()
   local function diff(dtype, x, y, other)
      return st.diff(support.tensor(dtype, { #x }, x), support.tensor(other or dtype, { #y }, y))
   end
   local row = diff("F32", { 0, 1, NAN, INF, 2 }, { -0.0, 1, NAN, -INF, NAN })
   lu.assertEquals({ row.differing, row.not_finite, row.equal }, { 2, { 2, 3 }, false })
   lu.assertEquals({ row.max_abs, row.relative, row.cosine }, { 0, 0, 1 })
   row = diff("F32", { 0, 5 }, { -0.0, 5 })
   lu.assertEquals({ row.equal, row.identical, row.differing }, { true, nil, 0 })
   row = diff("F32", { 1, INF }, { 1, INF }, "F64")
   lu.assertEquals({ row.differing, row.equal, row.not_finite }, { 0, false, { 1, 1 } })
   row = diff("I64", { (1 << 53), 1 }, { (1 << 53) + 1, 1 })
   lu.assertEquals({ row.differing, row.equal }, { 1, false })
   row = diff("F16", { 1, 2 }, { 1, 2 }, "F32")
   lu.assertEquals({ row.differing, row.equal, row.relative }, { 0, false, 0 })
   row = diff("F32", { 0, 0 }, { 0, 1 })
   lu.assertEquals({ row.relative, row.cosine }, { INF, 0 })
   row = diff("BOOL", { 0, 1 }, { 1, 1 })
   lu.assertEquals(row.differing, 1)
   row = diff("F32", {}, {})
   lu.assertTrue(row.equal)
   -- Bytes without a meaning are compared as bytes.
   local raw = st.diff(st.from_bytes("F8_E8M0", { 2 }, "\1\2"), st.from_bytes("F8_E8M0", { 2 }, "\1\3"))
   lu.assertEquals({ raw.equal, raw.max_abs }, { false, nil })
   raw = st.diff(st.from_bytes("F8_E8M0", { 2 }, "\1\2"), st.from_bytes("F8_E8M0", { 2 }, "\1\2"))
   lu.assertTrue(raw.equal)
end

-- No integer dtype holds both; norms that F64 does not hold.
function suite.test_too_large()
   local row = st.diff(support.tensor("I64", { 2 }, { -1, 2 }), support.tensor("U64", { 2 }, { 1, 2 }))
   lu.assertEquals({ row.differing, row.max_abs, row.equal }, { 1, 2, false })
   local a, b = {}, {}
   for i = 1, 60 do
      local scale = i % 3 == 0 and 1e200 or 1.0
      a[i] = { "t" .. i, "F64", { 2 }, { scale * i, scale } }
      b[i] = { "t" .. i, "F64", { 2 }, { scale, scale * i } }
   end
   local n1, n2 = support.model("n1.safetensors", a), support.model("n2.safetensors", b)
   local d = st.diff(n1, n2)
   local by = by_name(d)
   lu.assertEquals({ by.t3.relative, by.t3.not_finite, by.t3.differing }, { INF, nil, 2 })
   lu.assertStrContains(tostring(d), "inf")
   lu.assertNotStrContains(tostring(d), "nan")
   support.stlua "diff n1.safetensors n2.safetensors --html n.html"
   lu.assertStrContains(support.read(support.path "n.html"), "<b>inf</b><span>|a - b| / |a|")
end

-- The same numbers as one gets by hand, on tensors of several pieces, and where only the last element differs.
function suite.test_large()
   st.manual_seed(3)
   local x = st.randn(300000)
   local y = (x + 0.01 * st.randn(300000)):clone()
   local a = st.model { { "t", x:cast "F16" }, { "u", x } }
   a:save(support.path("l1.safetensors"))
   local z = x:clone()
   z[300000] = z[300000] + 1
   st.model({ { "t", y:cast "F16" }, { "u", z } }):save(support.path("l2.safetensors"))
   local p, q = st.open(support.path("l1.safetensors")), st.open(support.path("l2.safetensors"))
   local by = by_name(st.diff(p, q))
   local delta = p.t:double() - q.t:double()
   lu.assertEquals(by.t.differing, p.t:ne(q.t):count_nonzero():item())
   lu.assertEquals(by.t.max_abs, delta:abs():amax():item())
   lu.assertAlmostEquals(by.t.relative, delta:norm():item() / p.t:norm():item(), 1e-12)
   lu.assertAlmostEquals(by.t.cosine, p.t:cosine_similarity(q.t):item(), 1e-9)
   lu.assertEquals({ by.u.differing, by.u.equal }, { 1, false })
end

function suite.test_metadata()
   local x = st.zeros(2)
   local a = st.model({ { "x", x } }, { format = "pt", note = ("n"):rep(300) .. "one", gone = "1" })
   local b = st.model({ { "x", x } }, { format = "pt", note = ("n"):rep(300) .. "two", new = "\27[31m" })
   local d = st.diff(a, b)
   lu.assertEquals({ d.same_tensors, d.same, #d.metadata }, { true, false, 3 })
   local shown = tostring(d)
   lu.assertStrContains(shown, 'gone: only in the first, "1"')
   lu.assertStrContains(shown, 'new: only in the second, "')
   lu.assertNotStrContains(shown, "\27")
   lu.assertStrContains(shown, 'nnone" and')
end

function suite.test_blocks()
   local list, changed = {}, {}
   for i = 0, 11 do
      for _, kind in ipairs { "self_attn.q_proj", "mlp.up_proj" } do
         local name = ("model.layers.%d.%s.weight"):format(i, kind)
         list[#list + 1] = { name, st.ones(4) }
         changed[#changed + 1] = { name, i == 10 and kind:find("mlp") and st.full({ 4 }, 1.5) or st.ones(4) }
      end
   end
   list[#list + 1], changed[#changed + 1] = { "lm_head.weight", st.ones(2) }, { "lm_head.weight", st.ones(2) }
   local d = st.diff(st.model(list), st.model(changed))
   lu.assertEquals({ #d.blocks, d.blocks[1].name, d.blocks[11].name, d.blocks[13].name },
      { 13, "layers.0", "layers.10", "lm_head" })
   local block = d.blocks[11]
   lu.assertEquals({ block.tensors, block.differ, block.differing, block.max_abs, block.relative, block.cosine },
      { 2, 1, 4, 0.5, 0.5, 1 })
   lu.assertEquals({ block.kinds["mlp.up_proj"].differ, block.kinds["self_attn.q_proj"].differ }, { 1, 0 })
   lu.assertNil(d.blocks[1].cosine)
end

function suite.test_anatomy()
   local function places(...)
      local place, blocks = anatomy.of { ... }
      local out = {}
      for i, name in ipairs { ... } do out[i] = table.concat({ place(name) }, ":") end
      return out, table.concat(blocks, " ")
   end
   local out, blocks = places("model.embed_tokens.weight", "model.layers.10.mlp.up_proj.bias",
      "model.layers.2.self_attn.q_proj.weight", "lm_head.weight", "model.norm.weight")
   lu.assertEquals(out, { "embed_tokens:itself", "layers.10:mlp.up_proj", "layers.2:self_attn.q_proj", "lm_head:itself",
      "norm:itself" })
   lu.assertEquals(blocks, "embed_tokens layers.2 layers.10 lm_head norm")
   out = places("a.layers.0.fc1.weight", "b.layers.0.fc1.weight", "t.mlp.0.weight",
      "unet.mid_block.resnets.0.conv1.weight", "unet.down_blocks.0.attentions.1.to_out.0.weight")
   lu.assertEquals(out, { "a.layers.0:fc1", "b.layers.0:fc1", "t.mlp.0:itself", "mid_block:conv1",
      "down_blocks.0:attentions.to_out.0" })
   lu.assertEquals(places("lora_unet_down_blocks_0_attentions_1_proj.lora_up.weight"),
      { "lora_unet_down_blocks.0:attentions_proj.lora_up" })
   -- Names without any structure are one block, in no time.
   local names = {}
   for i = 1, 20000 do names[i] = "n" .. i .. ".x" end
   local began = os.clock()
   local _, labels = anatomy.of(names)
   lu.assertEquals(labels, { "top" })
   lu.assertTrue(os.clock() - began < 2)
end

function suite.test_command()
   pair_of_models()
   local out, err, status = support.stlua("diff d1.safetensors d2.safetensors")
   lu.assertEquals({ status, err }, { 1, "" })
   lu.assertStrContains(out, "1 tensor equal, 3 differ")
   out, err, status = support.stlua("diff d1.safetensors d1.safetensors")
   lu.assertEquals({ status, err }, { 0, "" })
   lu.assertStrContains(out, "5 tensors equal, 0 differ")
   out, err, status = support.stlua("diff d1.safetensors absent.safetensors")
   lu.assertEquals({ status, out }, { 2, "" })
   lu.assertStrContains(err, "no such file")
   local function status_of(arguments) return (select(3, support.stlua(arguments))) end
   lu.assertEquals(status_of("diff d1.safetensors"), 2)
   out, err, status = support.stlua("diff d1.safetensors d2.safetensors --json")
   local json = st.json.decode(out)
   lu.assertEquals({ status, err, json.differ, json.same, #json.tensors, json.only_a },
      { 1, "", 3, false, 4, { "mine" } })
   lu.assertEquals(by_name(json.tensors).wide.shapes, { { 2 }, { 3 } })
   -- Other commands fail with 1.
   lu.assertEquals(status_of("info absent.safetensors"), 1)
   st.open(support.path("d1.safetensors")):with_metadata({ a = "b" }):save(support.path("d3.safetensors"))
   lu.assertEquals(status_of("diff d1.safetensors d3.safetensors"), 1)
   lu.assertEquals(status_of("diff d1.safetensors d3.safetensors --ignore-metadata"), 0)
end

support.run("diff", suite)
