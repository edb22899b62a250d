--- Git Re-Basin: architectures' rules hold for real layouts, hidden permutations are found, what is refused. That
-- permuted models compute the same is in tests/conformance/rebasin.py.
local support = require "support"
local groups = require "stlua.rebasin_groups"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

-- A model with the names and shapes of a real one; its values take no memory.
local function layout(name)
   local pipe, list = assert(io.popen("gzip -dc tests/bench/layouts/" .. name .. ".tsv.gz")), {}
   for line in pipe:lines() do
      local tensor, dtype, sizes = line:match("^(%S+)\t(%u%w+)\t(%S*)$")
      local shape = {}
      for size in (sizes or ""):gmatch("%d+") do shape[#shape + 1] = tonumber(size) end
      if tensor then list[#list + 1] = { tensor, st.zeros(shape, { dtype = dtype }) } end
   end
   pipe:close()
   return st.model(list)
end

-- How many groups of each kind there are, and units of one of them.
local function kinds(spec)
   local count, units = {}, {}
   for _, group in ipairs(spec.groups) do
      local kind = group.name:match("[^.]+$")
      count[kind], units[kind] = (count[kind] or 0) + 1, group.n
   end
   return count, units
end

function suite.test_layout_of_llama()
   local m = layout "llama-1.1b"
   local count, units = kinds(groups.of(m, m, { head_dim = 64 }))
   lu.assertEquals(count, { residual = 1, heads = 22, mlp = 22 })
   lu.assertEquals(units, { residual = 2048, heads = 4, mlp = 5632 })
   lu.assertEquals(kinds(groups.of(m, m, { head_dim = 0 })), { residual = 1, mlp = 22 })
end

function suite.test_layout_of_sd15()
   local m = layout "sd15-checkpoint"
   local spec = groups.of(m, m, {})
   local count, units = kinds(spec)
   lu.assertEquals(spec.arch.name, "sd15")
   lu.assertEquals(count, { hidden = 22, stream = 17, heads = 32, mlp = 16 + 12 + 1, context = 1, text_heads = 12 })
   lu.assertEquals({ units.hidden, units.heads, units.context, units.text_heads }, { 32, 8, 768, 12 })
   -- Without the text encoder its channels stay.
   count = kinds(groups.of(m:without "cond_stage_model.*", m:without "cond_stage_model.*", {}))
   lu.assertEquals(count, { hidden = 22, stream = 17, heads = 32, mlp = 16 + 1 })
end

function suite.test_layout_of_sdxl()
   local m = layout "sdxl-checkpoint"
   local spec = groups.of(m, m, {})
   lu.assertEquals(spec.arch.name, "sdxl")
   lu.assertEquals(kinds(spec), { hidden = 17, stream = 12, heads = 140, mlp = 70 + 2 })
end

-- ---------------------------------------------------------------- small models

local H, V, M = 16, 40, 24
local LAYER = {
   { "input_layernorm.weight", H }, { "post_attention_layernorm.weight", H }, { "self_attn.q_proj.weight", 16, H },
   { "self_attn.k_proj.weight", 8, H }, { "self_attn.v_proj.weight", 8, H }, { "self_attn.o_proj.weight", H, 16 },
   { "mlp.gate_proj.weight", M, H }, { "mlp.up_proj.weight", M, H }, { "mlp.down_proj.weight", H, M },
}

-- Two key and value heads of 4, two query heads for each.
local function llama(seed, dtype, more)
   local list = { { "model.embed_tokens.weight", V, H }, { "model.norm.weight", H }, table.unpack(more or {}) }
   for layer = 0, 1 do
      for _, e in ipairs(LAYER) do list[#list + 1] = { ("model.layers.%d.%s"):format(layer, e[1]), e[2], e[3] } end
   end
   for i, e in ipairs(list) do
      list[i] = { e[1], st.randn({ table.unpack(e, 2) }, { seed = 100 * seed + i, dtype = dtype }):clone() }
   end
   return st.model(list, { made = "by a test" })
end

local function assert_equal(a, b)
   for name, t in pairs(a) do lu.assertTrue(st.equal(t, b[name]), name) end
end

-- A with its MLP and channels in another order, by hand.
local function shuffled(a)
   local channels, inner = st.randn(H, { seed = 1 }):argsort(), st.randn(M, { seed = 2 }):argsort()
   return st.map(a, function(name, t)
      local first, second
      if name:find("norm") then first = channels
      elseif name:find("o_proj") then first = channels
      elseif name:find("down_proj") then first, second = channels, inner
      elseif name:find("gate_proj") or name:find("up_proj") then first, second = inner, channels
      else second = channels end
      if first then t = t:index_select(1, first) end
      return second and t:index_select(2, second) or t
   end)
end

function suite.test_found_again()
   for _, dtype in ipairs { "F32", "BF16", "F64" } do
      local a = llama(1, dtype)
      local b = shuffled(a)
      local back, info = st.rebasin(a, b, { head_dim = 4 })
      assert_equal(a, back)
      lu.assertEquals(info.architecture, "llama")
      lu.assertEquals(info.groups, 5)
      lu.assertEquals(info.moved, { "residual", "0.mlp", "1.mlp" })
      lu.assertEquals(back:metadata().made, "by a test")
      assert_equal(a, st.merge("git_rebasin", { models = { a, b }, head_dim = 4 }))
      assert_equal(b, st.merge("git_rebasin", { models = { b, b:cast(dtype) }, head_dim = 4, alpha = 1 }))
   end
end

-- Heads go with their queries; inside a head values change places.
function suite.test_heads()
   local a = llama(2)
   local heads = st.tensor { 5, 6, 7, 8, 1, 2, 3, 4 }
   local queries = st.cat({ st.arange(9, 17), st.arange(1, 9) }, 1)
   local values = st.tensor { 8, 6, 5, 7, 1, 2, 4, 3 }
   local outputs = st.tensor { 12, 10, 9, 11, 16, 14, 13, 15, 1, 2, 4, 3, 5, 6, 8, 7 }
   local b = st.map(a, function(name, t)
      if name:find "1.self_attn.q" then return t:index_select(1, queries) end
      if name:find "1.self_attn.k" then return t:index_select(1, heads) end
      if name:find "1.self_attn.v" then return t:index_select(1, values) end
      return name:find "1.self_attn.o" and t:index_select(2, outputs) or t
   end)
   local back, info = st.rebasin(a, b, { head_dim = 4 })
   assert_equal(a, back)
   lu.assertEquals(info.moved, { "1.heads" })
   lu.assertEquals(select(2, st.rebasin(a, b, { head_dim = 0 })).moved, {})
end

function suite.test_what_is_in_order_stays()
   local a = llama(3)
   local b = a + 0.05 * llama(4)
   local out, info = st.rebasin(a, b, { head_dim = 4 })
   lu.assertEquals(info.moved, {})
   lu.assertEquals(info.gains, {})
   assert_equal(b, out)
end

function suite.test_gains_and_seeds()
   local a, b = llama(5), llama(6)
   local out, info = st.rebasin(a, b, { head_dim = 4, seed = 3 })
   local function product(m)
      local sum = 0
      for name, t in pairs(a) do sum = sum + t:dot(m[name]):item() end
      return sum
   end
   local gain = 0
   for _, g in ipairs(info.gains) do
      lu.assertTrue(g > 0)
      gain = gain + g
   end
   lu.assertAlmostEquals(product(out) - product(b), gain, 1e-3 * gain)
   assert_equal(out, (st.rebasin(a, b, { head_dim = 4, seed = 3 })))
   lu.assertTrue(select(2, st.rebasin(a, b, { head_dim = 4, iterations = 1 })).rounds <= 1)
end

-- Tensors that are cut into pieces.
function suite.test_pieces()
   local match = require "stlua.rebasin_match"
   local a = llama(7)
   local b, whole = shuffled(a), match.piece
   match.piece = 50
   local ok, back = pcall(st.rebasin, a, b, { head_dim = 4 })
   match.piece = whole
   lu.assertTrue(ok, tostring(back))
   assert_equal(a, back)
end

function suite.test_refusals()
   local a = llama(1)
   local raises = support.raises
   raises("arg", { "llama: give head_dim", "config.json" }, st.rebasin, a, a)
   raises("arg", { "head_dim is -1", "at least 0" }, st.rebasin, a, a, { head_dim = -1 })
   raises("arg", { "unknown option", "did you mean \"head_dim\"" }, st.rebasin, a, a, { head = 4 })
   raises("arg", { "no architecture", "lama", "llama, sd15, sdxl" }, st.rebasin, a, a, { architecture = "lama" })
   raises("arg", "model", st.rebasin, a, st.zeros(2))
   raises("shape", { "self_attn.q_proj.weight", "8 elements", "no multiple of 3 (head_dim)" },
      st.rebasin, a, a, { head_dim = 3 })
   local other = st.model { { "encoder.weight", st.zeros(2, 2) } }
   raises("name", { "no known architecture", "llama (Llama, Mistral", "model.embed_tokens.weight", "sd15" },
      st.rebasin, other, other)
   local odd = llama(1, "F32", { { "model.layers.0.self_attn.extra.weight", 3, H } })
   raises("name", { "llama has no rule", "self_attn.extra.weight", "[3, 16]" }, st.rebasin, odd, odd, { head_dim = 4 })
   raises("name", { "missing", "model.norm.weight" }, st.rebasin, a, a:without "model.norm.weight", { head_dim = 4 })
   local wide = a:without "model.embed_tokens.weight"
   wide:add("model.embed_tokens.weight", st.zeros(V + 1, H))
   raises("shape", { "model.embed_tokens.weight", "[41, 16]" }, st.rebasin, a, wide, { head_dim = 4 })
   raises("arg", "git_rebasin merges models", st.merge, "git_rebasin", { models = { st.zeros(2), st.ones(2) } })
   raises("arg", "takes 2 models", st.merge, "git_rebasin", { models = { a }, head_dim = 4 })
end

support.run("rebasin", suite)
