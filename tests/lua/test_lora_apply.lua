-- Adapters applied: strengths, what is refused; test_lora_kinds.lua has the kinds, test_lora_names.lua the names.
-- Values are compared with PEFT and the published formulas by tests/conformance/lora_apply.py.
local core = require "stlua.core"
local lu = require "luaunit"
local st = require "stlua"
local support = require "support"

local suite = {}

-- A model of zeros with these shapes.
local function model(shapes)
   local m = core.model()
   for i = 1, #shapes, 2 do m:add(shapes[i], st.zeros(table.unpack(shapes[i + 1])):clone()) end
   return m
end

local SD = "model.diffusion_model."
local function sd()
   return model {
      SD .. "input_blocks.0.0.weight", { 4, 4, 3, 3 },
      SD .. "input_blocks.1.0.in_layers.2.weight", { 4, 4, 3, 3 },
      SD .. "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight", { 4, 4 },
      SD .. "input_blocks.1.1.transformer_blocks.0.attn1.to_out.0.weight", { 4, 4 },
      SD .. "input_blocks.3.0.op.weight", { 4, 4, 3, 3 },
      SD .. "middle_block.1.proj_in.weight", { 4, 4, 1, 1 },
      SD .. "output_blocks.2.1.conv.weight", { 4, 4, 3, 3 },
      SD .. "time_embed.0.weight", { 4, 4 },
      "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight", { 4, 4 },
   }
end

local function flux()
   return model {
      "double_blocks.0.img_attn.qkv.weight", { 12, 4 }, "double_blocks.0.txt_attn.qkv.weight", { 12, 4 },
      "single_blocks.0.linear1.weight", { 28, 4 }, "final_layer.adaLN_modulation.1.weight", { 8, 4 },
   }
end

local function adapter(module, rank, out, inner, more)
   local list = { { module .. ".lora_down.weight", st.ones(rank, inner):clone() },
      { module .. ".lora_up.weight", st.arange(1, out + 1):reshape(out, 1):expand(out, rank):clone() } }
   for name, t in pairs(more or {}) do list[#list + 1] = { module .. "." .. name, t } end
   return st.model(list)
end

local function column(m, name) return m[name]:narrow(2, 1, 1):flatten():cast("F32"):values() end

function suite.test_values_and_strengths()
   local m = flux()
   local lora = adapter("transformer.transformer_blocks.0.attn.to_k", 2, 4, 4, { alpha = st.tensor(1.0) })
   local name = "double_blocks.0.img_attn.qkv.weight"
   lu.assertEquals(column(st.lora.apply(m, lora), name), { 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0 })
   lu.assertEquals(column(st.lora.apply(m, { { lora, 0.5 }, { lora, 2 } }), name),
      { 0, 0, 0, 0, 2.5, 5, 7.5, 10, 0, 0, 0, 0 })
   local there = st.lora.apply(m, lora, 0.5)
   local back = st.lora.apply(there, lora, 0.5, { invert = true })
   lu.assertEquals(column(back, name), { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 })
   lu.assertEquals(column(st.lora.apply(m, lora, { unet = 0.25, te = 9 }), name)[8], 1)
   lu.assertEquals(st.lora.apply(m, lora, 0)[name]:is_leaf(), true)
   lu.assertEquals(there["single_blocks.0.linear1.weight"]:is_leaf(), true)
end

function suite.test_text_encoders_and_blocks_have_their_own()
   local m = sd()
   local te = "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight"
   local unet = SD .. "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
   local list = {}
   for _, module in ipairs { "lora_te_text_model_encoder_layers_0_self_attn_q_proj",
      "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q" } do
      for name, t in pairs(adapter(module, 1, 4, 4)) do list[#list + 1] = { name, t } end
   end
   local both = st.lora.apply(m, st.model(list), { unet = 2, te = 3 })
   lu.assertEquals({ column(both, te)[1], column(both, unet)[1] }, { 3, 2 })
end

function suite.test_strength_by_block()
   local m = sd()
   local list, name = {}, SD .. "%s.weight"
   for _, module in ipairs { "lora_unet_input_blocks_1_0_in_layers_2", "lora_unet_output_blocks_2_1_conv" } do
      list[#list + 1] = { module .. ".lora_down.weight", st.ones(1, 4, 3, 3) }
      list[#list + 1] = { module .. ".lora_up.weight", st.ones(4, 1, 1, 1) }
   end
   local lora = st.model(list)
   local function values(...)
      local out = st.lora.apply(m, ...)
      return { column(out, name:format "input_blocks.1.0.in_layers.2")[1], column(out, name:format
         "output_blocks.2.1.conv")[1] }
   end
   lu.assertEquals(values(lora, 1, { blocks = "IN01=0.5,OUT02=2" }), { 0.5, 2 })
   lu.assertEquals(values({ { lora, 2, blocks = "IN01=0.5" }, { lora, 1, blocks = "OUT02=0" } }), { 2, 2 })
   support.raises("arg", "block", st.lora.apply, m, lora, 1, { blocks = "IN77=1" })
end

-- All that leads nowhere is listed, with the nearest names and what the adapter seems to be for.
function suite.test_what_matches_nothing()
   local list = {}
   for i = 1, 3 do
      local module = ("lora_unet_double_blocks_%d_img_attn_qkv"):format(i)
      list[#list + 1] = { module .. ".lora_down.weight", st.ones(1, 4) }
      list[#list + 1] = { module .. ".lora_up.weight", st.ones(12, 1) }
   end
   list[#list + 1] = { "bundle_emb.cat.clip_l", st.ones(2, 4) }
   local e = support.raises("name", { "4 names of the adapters match nothing in the model (--allow-unmatched leaves ",
      "the model has Flux; model seems to be for Flux", '"bundle_emb.cat.clip_l" is no tensor of an adapter' },
      st.lora.apply, flux(), st.model(list))
   for i = 1, 3 do
      lu.assertStrContains(e.message, ('_%d_img_attn_qkv"; near: "lora_unet_double_blocks_0_img_attn_qkv"'):format(i))
   end
   local notes = st.lora.apply(flux(), st.model(list), 1, { allow_unmatched = true }):notes()
   lu.assertStrContains(table.concat(notes, "\n"), "4 names left out: nothing in the model matches")
end

function suite.test_strengths_that_are_none()
   local lora = adapter("double_blocks.0.img_attn.qkv", 1, 12, 4)
   support.raises("arg", "for each of unet, model, te", st.lora.apply, flux(), lora, { unte = 1 })
   support.raises("arg", "must be a number", st.lora.apply, flux(), lora, 1 / 0)
   support.raises("arg", "adapter 2 is a path", st.lora.apply, flux(), { lora, 7 })
   support.raises("arg", "a list of adapters expected", st.lora.apply, flux(), {})
end

function suite.test_refusals()
   local m = flux()
   support.raises("name", { "1 name", "double_blocks.0.img_atn.qkv", "near: " }, st.lora.apply, m,
      adapter("double_blocks.0.img_atn.qkv", 1, 12, 4))
   local some = st.lora.apply(m, adapter("double_blocks.7.img_attn.qkv", 1, 12, 4), 1, { allow_unmatched = true })
   lu.assertEquals(#some, #m)
   support.raises("shape", { "double_blocks.0.img_attn.qkv", "[12, 4]" }, st.lora.apply, m,
      adapter("double_blocks.0.img_attn.qkv", 1, 11, 4))
   support.raises("arg", { "NaN", "alpha" }, st.lora.apply, m, adapter("double_blocks.0.img_attn.qkv", 1, 12, 4,
      { alpha = st.tensor(0 / 0) }))
   support.raises("format", { "lora_up.weight", "parts are missing" }, st.lora.apply, m,
      st.model { { "double_blocks.0.img_attn.qkv.lora_up.weight", st.ones(12, 1) } })
   support.raises("format", "no tensor of it is part of an adapter", st.lora.apply, m, st.model { { "x", st.ones(2) } })
   support.raises("arg", "strength", st.lora.apply, m, adapter("double_blocks.0.img_attn.qkv", 1, 12, 4), 0 / 0)
end

support.run("lora_apply", suite)
