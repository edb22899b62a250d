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

local HADA = { hada_w1_a = { 8, 2 }, hada_w1_b = { 2, 6 }, hada_w2_a = { 8, 2 }, hada_w2_b = { 2, 6 } }

local function loha(module)
   local tensors = {}
   for part, shape in pairs(HADA) do tensors[module .. "." .. part] = shape end
   return tensors
end

-- ---------------------------------------------------------------- reading

function suite.test_one_kind_in_a_module()
   local base = model { ["x.weight"] = st.zeros(8, 6) }
   local lora = { ["x.lora_A.weight"] = { 2, 6 }, ["x.lora_B.weight"] = { 8, 2 } }
   for part, shape in pairs { diff = { 8, 6 }, hada_w1_a = { 8, 2 }, weight = { 8, 6 }, ["ia3_l"] = { 8, 1 } } do
      local tensors = { ["x." .. part] = shape }
      for name, own in pairs(lora) do tensors[name] = own end
      support.raises("format", { '"x": "x.' .. part .. '" beside LoRA' }, st.lora.apply, base, model(tensors))
   end
   st.lora.apply(base, model { ["x.weight"] = { 8, 1 }, ["x.on_input"] = st.tensor(0.0) })
end

function suite.test_one_tensor_for_a_part()
   local a = model { ["x.lora_A.weight"] = { 2, 6 }, ["x.lora_B.weight"] = { 8, 2 }, ["x.lora_down.weight"] = { 2, 6 } }
   support.raises("format", { '"x.lora_A.weight" and "x.lora_down.weight" are the same part' }, st.lora.info, a)
end

-- Numbers of blocks that no model has.
function suite.test_large_numbers()
   local huge = ("9"):rep(25)
   local names = { "lora_unet_double_blocks_%s_img_attn_qkv", "lora_unet_joint_blocks_%s_x_block_attn_qkv",
      "lora_unet_input_blocks_%s_1_proj_in", "unet.down_blocks.%s.attentions.%s.proj_in", "lora_te4_layers_%s_x",
      "base_model.model.layers.%s.self_attn.q_proj", "lora_unet_blocks_%s_self_attn_q" }
   for _, name in ipairs(names) do
      for _, number in ipairs { "5000", huge } do
         local module = name:gsub("%%s", number)
         local a = model { [module .. ".lora_A.weight"] = { 2, 4 }, [module .. ".lora_B.weight"] = { 4, 2 },
            [module .. ".alpha"] = st.tensor(2.0) }
         local start = os.clock()
         st.lora.info(a)
         pcall(st.lora.convert, a, { to = "diffusers" })
         local path = module:gsub("^unet%.", "")
         st.lora.apply(model { [path .. ".weight"] = { 4, 4 }, ["double_blocks.0.img_attn.qkv.weight"] = { 12, 4 },
            ["double_blocks." .. number .. ".img_attn.proj.weight"] = { 4, 4 } }, a)
         st.lora.apply(model { [path .. ".weight"] = { 4, 4 }, ["down_blocks.0.resnets.0.conv1.weight"] = { 4, 4 },
            ["input_blocks.0.0.weight"] = { 4, 4 }, ["input_blocks." .. number .. ".0.op.weight"] = { 4, 4 } }, a)
         lu.assertTrue(os.clock() - start < 1, module)
      end
   end
end

-- ---------------------------------------------------------------- apply

function suite.test_biases_that_the_model_has_not()
   local base = model { ["x.weight"] = st.zeros(4, 3) }
   local lora = { ["x.lora_A.weight"] = { 2, 3 }, ["x.lora_B.weight"] = { 4, 2 } }
   for _, part in ipairs { ".lora_B.bias", ".base_layer.bias", ".diff_b" } do
      local a = model { ["x.lora_A.weight"] = lora["x.lora_A.weight"], ["x.lora_B.weight"] = lora["x.lora_B.weight"],
         ["x" .. part] = { 4 } }
      support.raises("name", { '"x" has a bias, the model\'s module has none' }, st.lora.apply, base, a)
      local out = st.lora.apply(base, a, 1, { allow_unmatched = true })
      lu.assertTrue(out["x.weight"]:norm():item() > 0)
      lu.assertStrContains(table.concat(out:notes(), "\n"), "1 name left out")
   end
   support.raises("name", { '"x" has a weight, the model\'s module has none' }, st.lora.apply,
      model { ["x.bias"] = { 4 } }, model(lora))
   st.lora.apply(model { ["x.bias"] = { 4 } }, model { ["x.diff_b"] = { 4 } })
end

-- PEFT scales lora_B.bias, no program a difference beside the factors.
function suite.test_biases_and_alpha()
   local base = model { ["x.weight"] = st.zeros(4, 3), ["x.bias"] = st.zeros(4) }
   for part, scale in pairs { ["lora_B.bias"] = 3, diff_b = 1 } do
      local a = model { ["x.lora_A.weight"] = { 2, 3 }, ["x.lora_B.weight"] = { 4, 2 }, ["x.alpha"] = st.tensor(6.0),
         ["x." .. part] = st.ones(4) }
      near(st.full({ 4 }, scale), st.lora.apply(base, a)["x.bias"])
      near(st.full({ 4 }, scale), st.lora.apply(base, (st.lora.resize(a, { rank = 1 })))["x.bias"])
   end
end

-- OpenCLIP's projection is the transpose of transformers'; it is square, so that shapes do not tell.
function suite.test_text_projection()
   local te = "conditioner.embedders.1.model."
   local base = model { [te .. "transformer.resblocks.0.attn.in_proj_weight"] = { 12, 4 },
      [te .. "text_projection"] = { 4, 4 } }
   local b, a = st.randn({ 4, 2 }, { seed = 7 }), st.randn({ 2, 4 }, { seed = 8 })
   local w, d = base[te .. "text_projection"], b:matmul(a)
   local name = "lora_te2_text_projection."
   for _, parts in ipairs { { ["lora_down.weight"] = a, ["lora_up.weight"] = b }, { diff = d },
      { set_weight = w:t() + d } } do
      local tensors = {}
      for part, t in pairs(parts) do tensors[name .. part] = t end
      near(w + d:t(), st.lora.apply(base, model(tensors))[te .. "text_projection"])
   end
   local other = model { ["text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj.weight"] = { 4, 4 },
      ["text_encoder_2.text_projection.weight"] = w }
   near(w + d, st.lora.apply(other, model { [name .. "diff"] = d })["text_encoder_2.text_projection.weight"])
end

local function lengths(x, dim) return x:double():norm(2, { dim = dim, keepdim = true }) end

-- PEFT's merge of several: lengths are those of the model's weight with the adapter's own change.
function suite.test_dora_after_another()
   local base = model { ["x.weight"] = { 4, 4 } }
   local function lora(seed, dora)
      local out = { ["x.lora_A.weight"] = st.randn({ 2, 4 }, { seed = seed }),
         ["x.lora_B.weight"] = st.randn({ 4, 2 }, { seed = seed + 1 }) }
      if dora then out["x." .. dora] = 1 + st.arange(4):float() end
      return model(out)
   end
   local function delta(a) return a["x.lora_B.weight"]:double():matmul(a["x.lora_A.weight"]:double()) end
   local first, w = lora(5), base["x.weight"]:double()
   for part, is_of_base in pairs { lora_magnitude_vector = true, dora_scale = false } do
      local second = lora(9, part)
      local m, x = second["x." .. part]:double():reshape(4, 1), w + delta(first)
      local size = lengths((is_of_base and w or x) + delta(second), 2)
      near((x + delta(second)) * (m / size), st.lora.apply(base, { { first }, { second } })["x.weight"])
      near((w + delta(second)) * (m / lengths(w + delta(second), 2)), st.lora.apply(base, second)["x.weight"])
   end
end

function suite.test_dora_of_an_embedding()
   local base = model { ["m.x.weight"] = { 5, 5 } }
   local name = "base_model.model.m.x."
   local a = model { [name .. "lora_embedding_A"] = { 2, 5 }, [name .. "lora_embedding_B"] = { 5, 2 },
      [name .. "lora_magnitude_vector"] = 1 + st.arange(5):float() }
   a = a:with_metadata { ["stlua.adapter_config"] = '{"r":2,"lora_alpha":2,"use_dora":true,"peft_type":"LORA"}' }
   local size = (1 + st.arange(5):float()):reshape(1, 5)
   near(size, lengths(st.lora.apply(base, a)["m.x.weight"], 1))
   near(size, lengths(st.lora.apply(base, st.lora.convert(a, { to = "peft" }))["m.x.weight"], 1))
end

function suite.test_dora_of_nothing()
   local a = model { ["x.lora_A.weight"] = { 2, 4 }, ["x.lora_B.weight"] = st.zeros(4, 2),
      ["x.dora_scale"] = st.ones(4, 1) }
   near(st.zeros(4, 4), st.lora.apply(model { ["x.weight"] = st.zeros(4, 4) }, a)["x.weight"])
end

-- The embedding that PEFT saved is for a larger vocabulary alone.
function suite.test_embeddings_of_another_size()
   local function apply(rows, columns)
      local a = model { ["x.lora_embedding_A"] = { 2, rows }, ["x.lora_embedding_B"] = { columns, 2 },
         ["x.base_layer.weight"] = { rows, columns } }
      return st.lora.apply(model { ["x.weight"] = { 6, 4 } }, a)["x.weight"]:shape()
   end
   lu.assertEquals({ apply(8, 4), apply(6, 4) }, { { 8, 4 }, { 6, 4 } })
   for _, shape in ipairs { { 5, 4 }, { 4, 6 }, { 8, 3 } } do
      support.raises("shape", { '"x"', "does not fit [6, 4]" }, apply, table.unpack(shape))
   end
end

function suite.test_names_that_differ_in_dots()
   local base = model { ["x.a_b.weight"] = st.zeros(4, 4), ["x.a.b.weight"] = st.zeros(4, 4) }
   for _, name in ipairs { "x.a.b", "x.a_b" } do
      local out = st.lora.apply(base, model { [name .. ".diff"] = st.ones(4, 4) })
      near(st.ones(4, 4), out[name .. ".weight"])
      lu.assertEquals((out["x.a.b.weight"] + out["x.a_b.weight"]):sum():item(), 16)
   end
   support.raises("name", { '"lora_unet_x_a_b"', '"x.a.b"', '"x.a_b"' }, st.lora.apply, base,
      model { ["lora_unet_x_a_b.diff"] = st.ones(4, 4) })
end

function suite.test_configurations()
   local name = "base_model.model.m.x."
   local a = model { [name .. "lora_A.weight"] = { 2, 4 }, [name .. "lora_B.weight"] = { 4, 2 } }
   for config, want in pairs {
      ['{"r":2,"lora_alpha":2,"kasa_config":{}}'] = "kasa_config is not supported",
      ['{"r":2,"lora_alpha":2,"layer_replication":[[0,1]]}'] = "layer_replication is not supported",
      ['{"r":2,"peft_type":"LORA"}'] = 'gives no number as lora_alpha, which scales "base_model.model.m.x"',
      ['{"r":2,"lora_alpha":"2"}'] = "gives no number as lora_alpha",
   } do
      local m = a:with_metadata { ["stlua.adapter_config"] = config }
      for _, call in ipairs { function() st.lora.apply(model { ["m.x.weight"] = { 4, 4 } }, m) end,
         function() st.lora.resize(m, { rank = 1 }) end, function() st.lora.combine { m } end,
         function() st.lora.convert(m, { to = "kohya" }) end } do
         support.raises("format", want, call)
      end
   end
   local wrong = a:with_metadata { ["stlua.adapter_config"] = '{"r":2,"lora_alpha":2,"alpha_pattern":{"(a|b)*":1}}' }
   support.raises("arg", { 'with_metadata(model): adapter_config.json: the pattern "(a|b)*"' }, st.lora.info, wrong)
   support.shell("mkdir -p @/peft")
   a:save(support.path("peft/adapter_model.safetensors"), { sync = false })
   for _, content in ipairs { "[]", "[1]", "3" } do
      local file = assert(io.open(support.path("peft/adapter_config.json"), "w"))
      file:write(content)
      file:close()
      support.raises("format", "adapter_config.json: not a JSON object", st.lora.info, support.path("peft"))
   end
end

-- GPT-2, BERT and alike are published without what a head puts in front of names.
function suite.test_names_behind_a_head()
   for _, name in ipairs { "transformer.h.0.attn.c_attn", "bert.h.0.attn.c_attn", "h.0.attn.c_attn" } do
      local a = model { ["base_model.model." .. name .. ".weight"] = st.ones(3, 4) }
      near(st.ones(3, 4), st.lora.apply(model { ["h.0.attn.c_attn.weight"] = { 3, 4 } }, a)["h.0.attn.c_attn.weight"])
   end
end

-- Old diffusers mean to_out.0, other models have a to_out.
function suite.test_modules_that_are_to_out()
   local a = { ["x.attn.to_out.lora_A.weight"] = { 2, 4 }, ["x.attn.to_out.lora_B.weight"] = { 4, 2 } }
   for _, name in ipairs { "x.attn.to_out", "x.attn.to_out.0" } do
      local base = model { [name .. ".weight"] = st.zeros(4, 4) }
      for i, m in ipairs { model(a), st.lora.convert(model(a), { to = "kohya", model = base }),
         st.lora.combine { { model(a) } }, (st.lora.resize(model(a), { rank = 2 })) } do
         lu.assertTrue(st.lora.apply(base, m)[name .. ".weight"]:norm():item() > 0.1, name .. i)
      end
   end
   lu.assertEquals(st.lora.convert(model(a), { to = "peft" }):name(1), "base_model.model.x.attn.to_out.lora_A.weight")
end

-- ---------------------------------------------------------------- combine

-- A kernel of 1 x 1 is written as a matrix by some.
function suite.test_combine_of_points()
   local function lora(kernel)
      local down, up = st.ones(2, 6), st.ones(4, 2)
      if kernel then down, up = st.ones(2, 6, kernel, kernel), st.ones(4, 2, 1, 1) end
      return model { ["lora_unet_x.lora_down.weight"] = down, ["lora_unet_x.lora_up.weight"] = up }
   end
   local base = model { ["x.weight"] = st.zeros(4, 6, 1, 1) }
   for _, list in ipairs { { lora(), lora(1) }, { lora(1), lora() } } do
      for _, opts in ipairs { {}, { rank = 2 }, { mode = "cat" } } do
         local out = st.lora.combine({ { list[1] }, { list[2], 2 } }, opts)
         lu.assertEquals(out["lora_unet_x.lora_down.weight"]:ndim(), 4)
         near(st.full({ 4, 6, 1, 1 }, 6), st.lora.apply(base, out)["x.weight"])
      end
   end
   support.raises("shape", "[4, 6, 3, 3]", st.lora.combine, { { lora() }, { lora(3) } })
end

function suite.test_combine_loses_no_tensor()
   local a = model { ["x.lora_A.weight"] = { 2, 4 }, ["x.lora_B.weight"] = { 4, 2 }, token = { 3 } }
   support.raises("name", '"token" is no tensor of an adapter', st.lora.combine, { { a } })
end

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

-- --dtype is for factors: a rounded alpha would be another scale.
function suite.test_dtype_leaves_alpha()
   local a = model { ["lora_unet_a_x.lora_down.weight"] = { 4, 6 }, ["lora_unet_a_x.lora_up.weight"] = { 8, 4 },
      ["lora_unet_a_x.alpha"] = st.tensor(3.7) }
   a:save(support.path("a.safetensors"), { sync = false })
   st.model { { "a.x.weight", st.zeros(8, 6) } }:save(support.path("base.safetensors"), { sync = false })
   for command, alpha in pairs { ["resize --rank 2"] = 1.85, combine = 3.7,
      ["convert --to kohya --model base.safetensors"] = 3.7 } do
      local _, err, status = support.stlua("lora " .. command
         .. " a.safetensors --dtype BF16 -q --force -o out.safetensors")
      lu.assertEquals(status, 0, err)
      local out = st.open(support.path("out.safetensors"))
      lu.assertAlmostEquals(out["lora_unet_a_x.alpha"]:item(), alpha, 1e-6, command)
      lu.assertEquals(out["lora_unet_a_x.lora_down.weight"]:dtype(), "BF16")
   end
end

-- ---------------------------------------------------------------- resize

-- What becomes LoRA gets LoRA's configuration.
function suite.test_configuration_of_resized_loha()
   local a = model(loha("base_model.model.m.x")):with_metadata { ["stlua.adapter_config"] = '{"peft_type":"LOHA",'
      .. '"r":2,"alpha":2,"init_weights":true,"module_dropout":0,"rank_dropout":0,"base_model_name_or_path":"base"}' }
   local config = st.json.decode((st.lora.resize(a, { rank = 2 })):metadata()["stlua.adapter_config"])
   lu.assertEquals({ config.peft_type, config.r, config.lora_alpha, config.base_model_name_or_path },
      { "LORA", 2, 2, "base" })
   lu.assertNil(config.alpha or config.init_weights or config.module_dropout or config.rank_dropout)
end

-- ---------------------------------------------------------------- convert

-- Names without a table, and parts of what the other style has whole.
function suite.test_convert_keeps_every_kind()
   local out = st.lora.convert(model(loha("some.thing")), { to = "kohya" })
   lu.assertEquals(support.names(out), "lora_unet_some_thing.hada_w1_a lora_unet_some_thing.hada_w1_b "
      .. "lora_unet_some_thing.hada_w2_a lora_unet_some_thing.hada_w2_b")
   out = st.lora.convert(model { ["some.thing.diff"] = { 8, 6 } }, { to = "kohya" })
   lu.assertEquals(support.names(out), "lora_unet_some_thing.diff")
   local q = "transformer.single_transformer_blocks.0.attn.to_q"
   out = st.lora.convert(model { [q .. ".weight"] = { 8, 6 }, [q:gsub("_q$", "_k") .. ".lora_A.weight"] = { 2, 6 },
      [q:gsub("_q$", "_k") .. ".lora_B.weight"] = { 8, 2 } }, { to = "peft" })
   lu.assertStrContains(support.names(out), "base_model.model.single_transformer_blocks.0.attn.to_q.weight")
   for _ = 1, 5 do
      support.raises("format", { '.to_q"', "LoHa cannot be split or joined" }, st.lora.convert, model(loha(q)),
         { to = "kohya" })
   end
end

-- Flux' last modulation has its halves in the other order.
function suite.test_convert_swaps_halves_of_every_kind()
   local name = "norm_out.linear"
   local base = model { ["double_blocks.0.img_attn.qkv.weight"] = st.zeros(12, 4),
      ["final_layer.adaLN_modulation.1.weight"] = st.zeros(8, 4),
      ["final_layer.adaLN_modulation.1.bias"] = st.zeros(8) }
   for _, part in ipairs { "diff", "set_weight" } do
      local a = model { ["transformer." .. name .. "." .. part] = { 8, 4 },
         ["transformer." .. name .. (part == "diff" and ".diff_b" or ".set_bias")] = { 8 } }
      local there = st.lora.convert(a, { to = "kohya", model = base })
      for _, kind in ipairs { "weight", "bias" } do
         local path = "final_layer.adaLN_modulation.1." .. kind
         near(st.lora.apply(base, a)[path], st.lora.apply(base, there)[path])
      end
   end
   support.raises("format", { name, "LoHa cannot be split" }, st.lora.convert, model(loha("transformer." .. name)),
      { to = "kohya", model = base })
end

-- ---------------------------------------------------------------- extract

local function extract(base, tuned, opts)
   local b, t = model(base), model(tuned)
   return b, t, st.lora.extract(b, t, opts)
end

-- GPT-2's weights are (in, out); PEFT's factors of them are those of a layer (out, in).
function suite.test_extract_of_gpt2()
   local base, tuned = {}, {}
   for name, shape in pairs { ["c_attn"] = { 6, 18 }, c_proj = { 6, 6 } } do
      local module = "h.0.attn." .. name
      base[module .. ".weight"], tuned[module .. ".weight"] = st.zeros(table.unpack(shape)), shape
      base[module .. ".bias"], tuned[module .. ".bias"] = st.zeros(shape[2]), st.zeros(shape[2])
   end
   local b, t, found = extract(base, tuned, { rank = 6, dtype = "F32" })
   lu.assertTrue(found.config.fan_in_fan_out)
   lu.assertEquals(found.config.target_modules, { "c_attn", "c_proj" })
   lu.assertEquals(found.model["base_model.model.h.0.attn.c_attn.lora_A.weight"]:shape(), { 6, 6 })
   lu.assertEquals(found.model["base_model.model.h.0.attn.c_attn.lora_B.weight"]:shape(), { 18, 6 })
   for name, w in pairs(t) do near(w, st.lora.apply(b, found.model)[name]) end
   for i, format in ipairs { "kohya", "peft" } do
      b, t, found = extract({ ["h.0.mlp.c_fc.weight"] = st.zeros(12, 6), ["h.0.mlp.c_fc.bias"] = st.zeros(12) },
         { ["h.0.mlp.c_fc.weight"] = { 12, 6 }, ["h.0.mlp.c_fc.bias"] = st.zeros(12) }, { format = format })
      near(t["h.0.mlp.c_fc.weight"], st.lora.apply(b, found.model)["h.0.mlp.c_fc.weight"], 1e-2)
      lu.assertEquals(i == 2 and found.config.fan_in_fan_out, false)
   end
end

-- Tensors saved whole, whatever the format; alone, too.
function suite.test_extract_saves_whole_tensors()
   local te = "cond_stage_model.transformer.text_model."
   local base = { ["model.diffusion_model.input_blocks.0.0.weight"] = { 4, 4 },
      [te .. "encoder.layers.0.self_attn.q_proj.weight"] = { 4, 4 }, [te .. "final_layer_norm.weight"] = { 4 } }
   local tuned = { [te .. "final_layer_norm.weight"] = st.ones(4) }
   for name, shape in pairs(base) do tuned[name] = tuned[name] or shape end
   local b, t, found = extract(base, tuned, { format = "kohya", modules_to_save = "norm" })
   near(t[te .. "final_layer_norm.weight"], st.lora.apply(b, found.model)[te .. "final_layer_norm.weight"])
   te = "conditioner.embedders.1.model."
   local clip = { [te .. "transformer.resblocks.0.attn.in_proj_weight"] = { 12, 4 },
      [te .. "text_projection"] = { 4, 4 } }
   b, t, found = extract(clip, { [te .. "transformer.resblocks.0.attn.in_proj_weight"] = st.ones(12, 4),
      [te .. "text_projection"] = st.arange(16):float():reshape(4, 4) }, { format = "kohya", modules_to_save = "*" })
   for name, w in pairs(t) do near(w, st.lora.apply(b, found.model)[name]) end
   b, t, found = extract({ ["model.norm.weight"] = { 4 } }, { ["model.norm.weight"] = st.ones(4) },
      { modules_to_save = "norm" })
   near(t["model.norm.weight"], st.lora.apply(b, found.model)["model.norm.weight"])
   lu.assertEquals(found.config.target_modules, "dummy-target-modules")
end

-- OpenCLIP's in_proj: formats have its parts.
function suite.test_extract_of_openclip()
   local te = "conditioner.embedders.1.model.transformer.resblocks.0."
   local base = { ["model.diffusion_model.input_blocks.0.0.weight"] = { 4, 4 },
      ["model.diffusion_model.label_emb.0.0.weight"] = { 4, 4 },
      [te .. "attn.in_proj_weight"] = st.zeros(12, 4), [te .. "mlp.c_fc.weight"] = st.zeros(8, 4) }
   local tuned = { [te .. "attn.in_proj_weight"] = { 12, 4 }, [te .. "mlp.c_fc.weight"] = { 8, 4 } }
   for name, t in pairs(base) do tuned[name] = tuned[name] or t end
   for _, format in ipairs { "kohya", "diffusers" } do
      local b, t, found = extract(base, tuned, { format = format, dtype = "F32", only = "resblocks" })
      lu.assertEquals(#found.layers, 4)
      lu.assertEquals(found.differing, {})
      for name, w in pairs(t) do
         if name:find("resblocks") then near(w, st.lora.apply(b, found.model)[name]) end
      end
   end
end

function suite.test_extract_names_what_the_patterns_choose()
   local base, tuned = {}, {}
   for i = 0, 2 do
      local name = ("model.layers.%d.mlp.up_proj.weight"):format(i)
      base[name], tuned[name] = st.zeros(4, 4), { 4, 4 }
   end
   local _, _, found = extract(base, tuned, { except = "layers.1." })
   lu.assertEquals(found.config.target_modules, { "model.layers.0.mlp.up_proj", "model.layers.2.mlp.up_proj" })
   _, _, found = extract(base, tuned)
   lu.assertEquals(found.config.target_modules, { "up_proj" })
end

function suite.test_extract_beyond_half_precision()
   local base, tuned = { ["m.x.weight"] = st.zeros(8, 6) }, { ["m.x.weight"] = st.full({ 8, 6 }, 1e9) }
   support.raises("arg", { '"m.x.weight"', "beyond the range of F16", "norm of the difference" }, extract, base, tuned,
      { dtype = "F16", distribute = "up" })
   extract(base, tuned, { dtype = "BF16", distribute = "up" })
end

support.run("lora_edges", suite)
