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
