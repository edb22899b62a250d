--- Checkpoints pruned and taken apart: what goes and what stays, EMA, ids, components, sizes of shards.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"
local components = require "stlua.components"
local shards = require "stlua.shards"

local suite = {}

local UNET = "model.diffusion_model."

local function model(list)
   local entries = { { UNET .. "a.b.weight", st.ones(2) } }
   for _, e in ipairs(list) do entries[#entries + 1] = e end
   return st.model(entries)
end

local function value(m, name) return m[name]:values(1, 1)[1] end

function suite.test_waste()
   local m = model { { "model_ema.diffusion_modelabweight", st.full({ 2 }, 2.0) }, { "model_ema.decay", st.ones(1) },
      { "betas", st.ones(1000) }, { "lr_schedulers.0.x", st.ones(3) }, { "loss.logvar", st.ones(1) },
      { "v_pred", st.zeros(0) } }
   local out, report = st.prune(m)
   lu.assertEquals(support.names(out), UNET .. "a.b.weight v_pred")
   local what = {}
   for _, e in ipairs(report.dropped) do what[#what + 1] = ("%s %d %d"):format(e.what, e.tensors, e.bytes) end
   lu.assertEquals(what, { "EMA 2 12", "noise schedule 1 4000", "state of training 1 12", "unread 1 4" })
   lu.assertEquals({ report.before - report.after, report.averaged, report.baked }, { 4028, 0, 0 })
   out = st.prune(m, { ema = "keep", keep = { "betas" }, drop = "v_pred" })
   lu.assertEquals(support.names(out),
      UNET .. "a.b.weight model_ema.diffusion_modelabweight model_ema.decay betas")
   -- The same names elsewhere are weights.
   local other = st.model { { "betas", st.ones(2) }, { "model_ema.x", st.ones(2) },
      { "optimizer_states.x", st.ones(2) } }
   lu.assertEquals(support.names((st.prune(other))), "betas model_ema.x")
   -- Nor is the head of an encoder waste that has no other embedding.
   local t5 = "text_encoders.t5xxl.transformer."
   local head = { t5 .. "encoder.embed_tokens.weight", st.ones(3) }
   lu.assertEquals(#st.prune(model { head }), 2)
   lu.assertEquals(support.names((st.prune(model { head, { t5 .. "shared.weight", st.ones(3) } }))),
      UNET .. "a.b.weight " .. t5 .. "shared.weight")
   support.raises("name", 'keep: no tensor of', st.prune, m, { keep = "nonsense*" })
   support.raises("name", 'drop: no tensor of', st.prune, m, { drop = { "betas", "nonsense" } })
   -- What merge --prune leaves out is the same.
   local checkpoint = require "stlua.checkpoint"
   lu.assertTrue(checkpoint.is_waste("betas") and checkpoint.is_waste("model_ema.x"))
   lu.assertFalse(checkpoint.is_waste(UNET .. "a.b.weight"))
end

function suite.test_ema()
   local m = model { { UNET .. "half", st.ones(2):cast "F16" }, { UNET .. "alone", st.ones(2) },
      { "model_ema.diffusion_modelabweight", st.full({ 2 }, 2.0) },
      { "model_ema.diffusion_modelhalf", st.full({ 2 }, 3.0) }, { "model_ema.num_updates", st.tensor { 5 } } }
   local out, report = st.prune(m, { ema = "use" })
   lu.assertEquals({ value(out, UNET .. "a.b.weight"), value(out, UNET .. "half"), value(out, UNET .. "alone") },
      { 2, 3, 1 })
   lu.assertEquals({ out[UNET .. "half"]:dtype(), #out, report.averaged }, { "F16", 3, 2 })
   support.raises("name", "no EMA weights", st.prune, model {}, { ema = "use" })
   support.raises("shape", "its weight [2]", st.prune, model { { "model_ema.diffusion_modelabweight", st.ones(3) } },
      { ema = "use" })
   support.raises("name", "two tensors may be meant", st.prune, model { { UNET .. "ab.weight", st.ones(2) },
      { "model_ema.diffusion_modelabweight", st.ones(2) } }, { ema = "use" })
   support.raises("arg", '"drop", "use" or "keep"', st.prune, m, { ema = "take" })
   support.raises("arg", "a model expected", st.prune, 3)
end

function suite.test_position_ids()
   local name = "cond_stage_model.transformer.text_model.embeddings.position_ids"
   local function after(t)
      local out, report = st.prune(model { { name, t } })
      return out[name], #report.repaired
   end
   local t, n = after(st.tensor { { 0.0, 0.9995, 2.001, 2.5 } })
   lu.assertEquals({ t:dtype(), t:shape(), t:totable(), n }, { "I64", { 1, 4 }, { { 0, 1, 2, 3 } }, 1 })
   t, n = after(st.arange(0, 77):reshape(1, 77):cast "I32")
   lu.assertEquals({ t:dtype(), n }, { "I64", 1 })
   t, n = after(st.arange(0, 77):reshape(1, 77))
   lu.assertEquals({ t:dtype(), n }, { "I64", 0 })
   -- What is something else stays as it is.
   for _, odd in ipairs { st.tensor { 5.0, 1, 2 }, st.tensor { 0, 0 / 0 }, st.zeros(5000), st.zeros(0),
      st.from_bytes("F8_E8M0", { 2 }, "\0\1") } do
      t, n = after(odd)
      lu.assertEquals({ t:dtype(), n }, { odd:dtype(), 0 })
   end
end

function suite.test_vae()
   local first = "first_stage_model."
   local m = model { { first .. "decoder.x", st.ones(2):cast "F16" }, { first .. "quant_conv.bias", st.ones(2) } }
   local function vae(list)
      local entries = {}
      for i, name in ipairs(list) do entries[i] = { name, st.full({ 2 }, 4.0) } end
      return st.model(entries)
   end
   local out, report = st.prune(m, { vae = vae { "decoder.x", "quant_conv.bias", "loss.logvar", "model_ema.decay" } })
   lu.assertEquals({ value(out, first .. "decoder.x"), report.baked, #out }, { 4, 2, 3 })
   lu.assertEquals(out[first .. "decoder.x"]:dtype(), "F16")
   -- Out of another checkpoint.
   out = st.prune(m, { vae = model { { "vae.decoder.x", st.zeros(2) }, { "vae.quant_conv.bias", st.zeros(2) } } })
   lu.assertEquals({ value(out, first .. "decoder.x"), #out }, { 0, 3 })
   local function refused(code, texts, other) support.raises(code, texts, st.prune, m, { vae = other }) end
   refused("shape", "is [2]", st.model { { "decoder.x", st.ones(3) }, { "quant_conv.bias", st.ones(2) } })
   refused("name", "no tensor of it", vae { "z" })
   refused("name", 'has not 1 of the checkpoint\'s 2 tensors, such as "first_stage_model.quant_conv.bias"',
      vae { "decoder.x" })
   refused("name", 'has not 1 of its 3 tensors, such as "decoder.y"', vae { "decoder.x", "decoder.y",
      "quant_conv.bias" })
   refused("name", "diffusers'", vae { "quant_conv.bias", "decoder.mid_block.resnets.0.conv1.bias" })
end

-- One without a VAE gets it behind its own tensors.
function suite.test_vae_added()
   local vae = st.model { { "decoder.conv_in.weight", st.full({ 2 }, 4.0) }, { "loss.logvar", st.ones(1) } }
   local out, report = st.prune(model {}, { vae = vae })
   lu.assertEquals({ support.names(out), report.baked, value(out, "first_stage_model.decoder.conv_in.weight") },
      { UNET .. "a.b.weight first_stage_model.decoder.conv_in.weight", 1, 4 })
   support.raises("name", "no checkpoint", st.prune, st.model { { "x", st.ones(1) } }, { vae = vae })
   support.raises("name", "is no VAE", st.prune, model {}, { vae = st.model { { "x", st.ones(1) } } })
   support.raises("name", "diffusers'", st.prune, model {}, { vae = st.model { { "decoder.conv_in.weight",
      st.ones(1) }, { "decoder.up_blocks.0.x", st.ones(1) } } })
end

function suite.test_components()
   local m = model { { "first_stage_model.decoder.x", st.ones(2) },
      { "conditioner.embedders.0.transformer.t", st.ones(1) }, { "conditioner.embedders.1.model.u", st.ones(1) },
      { "text_encoders.llm.transformer.w", st.ones(1) },
      { "v_pred", st.zeros(0) }, { "betas", st.ones(2) } }
   local found, rest = components.of(m)
   local names = {}
   for i, part in ipairs(found) do names[i] = part.name .. ":" .. #part.list .. ":" .. part.bytes end
   lu.assertEquals({ names, rest },
      { { "unet:2:8", "vae:1:8", "clip_l:1:4", "clip_g:1:4", "llm:1:4" }, { "betas" } })
   lu.assertEquals(support.names(components.model(m, found[1])), "a.b.weight v_pred")
   lu.assertEquals(support.names(components.model(m, found[2], true)), "first_stage_model.decoder.x")
   support.raises("name", "several text encoders", components.find, m, "clip")
   support.raises("name", 'did you mean "unet"', components.find, m, "uent")
   support.raises("name", "no components", components.find, st.model { { "x", st.ones(1) } }, "vae")
end

-- Of a stray tensor no component is made up, of two VAEs no third.
function suite.test_odd_components()
   local function told(list)
      local found, rest, doubles = components.of(model(list))
      local names = {}
      for i, part in ipairs(found) do names[i] = part.name .. ":" .. #part.list end
      return table.concat(names, " "), table.concat(rest, " "), doubles
   end
   local clip = { "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight", st.zeros(3072, 768) }
   local parts, rest = told { clip, { "cond_stage_model.logit_scale", st.ones(1) },
      { "cond_stage_model.model.logit_scale", st.ones(1) } }
   lu.assertEquals(parts, "unet:1 clip_l:1")
   lu.assertEquals(rest, "cond_stage_model.logit_scale cond_stage_model.model.logit_scale")
   local doubles
   parts, rest, doubles = told { { "vae.decoder.x", st.ones(1) }, { "vae.decoder.y", st.ones(1) },
      { "first_stage_model.decoder.x", st.ones(2) } }
   lu.assertEquals({ parts, rest }, { "unet:1 vae:2", "" })
   lu.assertEquals(doubles[1], { name = "vae", prefix = "first_stage_model.", kept = "vae.", tensors = 1 })
end

-- As many shards as were asked for, by the count that a save makes.
function suite.test_shards()
   local list = {}
   for i = 1, 37 do list[i] = { ("t%02d"):format(i), st.zeros(1 + (i * 7919) % 100) } end
   local m = st.model(list)
   for n = 1, 37 do
      local size, count = shards.size_for(m, n)
      lu.assertTrue(count <= n)
      if n < 8 then lu.assertEquals(count, n) end
      local folder = support.path("s" .. n)
      m:save(folder, { max_shard_size = size, sync = false })
      lu.assertEquals(#st.open(folder):files(), count, n)
   end
   local two = st.model { { "x", st.zeros(100) }, { "y", st.zeros(100) } }
   lu.assertEquals({ shards.size_for(two, 2, "F16") }, { 200, 2 })
   support.raises("arg", "no 38 shards", shards.size_for, m, 38)
   local p, q = st.open(support.path("s2")), st.open(support.path("s3"))
   lu.assertEquals(support.names(shards.joined { p:select("t0*"), q:select("t1*") }):len(), 19 * 4 - 1)
   support.raises("name", '"t01"', shards.joined, { p, q })
   lu.assertStrContains(shards.table(p), "model-00001-of-00002.safetensors")
end

support.run("prune", suite)
