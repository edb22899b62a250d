--- st.info: architectures told by names and shapes, in the original programs' names and in diffusers'; layouts, values,
-- warnings, places.
local architectures = require "stlua.architectures"
local lu = require "luaunit"
local st = require "stlua"
local support = require "support"

local suite = {}

local BYTES = { F32 = 4, F16 = 2, BF16 = 2, I64 = 8, I32 = 4, U8 = 1, I8 = 1, F8_E4M3 = 1, F8_E5M2 = 1, F8_E8M0 = 1 }

-- A file of { name, dtype, shape } with its header alone written: the data is a hole.
local function sparse(file, list, metadata)
   local parts, at = { metadata and ('"__metadata__":%s'):format(st.json.encode(metadata)) or nil }, 0
   for _, entry in ipairs(list) do
      local bytes = BYTES[entry[2]]
      for _, size in ipairs(entry[3]) do bytes = bytes * size end
      parts[#parts + 1] = ('%s:{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}'):format(st.json.encode(entry[1]),
         entry[2], table.concat(entry[3], ","), at, at + bytes)
      at = at + bytes
   end
   local header = "{" .. table.concat(parts, ",") .. "}"
   header = header .. (" "):rep(-#header % 8)
   local path = support.path(file)
   local out = assert(io.open(path, "wb"))
   out:write(("<I8"):pack(#header), header)
   if at > 0 then
      out:seek("set", 8 + #header + at - 1)
      out:write "\0"
   end
   out:close()
   return path
end

-- The tensors of a packed layout.
local function layout(name)
   local root = arg[0]:match("^(.*)tests/lua/") or ""
   local pipe = assert(io.popen(("gzip -dc '%stests/bench/layouts/%s.tsv.gz'"):format(root, name)))
   local list = {}
   pipe:read "l"
   for line in pipe:lines() do
      local tensor, dtype, sizes = line:match("^([^\t]+)\t([^\t]+)\t(.*)$")
      local shape = {}
      for size in sizes:gmatch("%d+") do shape[#shape + 1] = math.tointeger(tonumber(size)) end
      list[#list + 1] = { tensor, dtype, shape }
   end
   pipe:close()
   assert(#list > 100, name)
   return list
end

-- The tensors behind a prefix, without it, their names changed by fn(module, kind) (nil: as they are; false: left out).
local function behind(list, prefix, fn)
   local out = {}
   for _, entry in ipairs(list) do
      if entry[1]:sub(1, #prefix) == prefix then
         local name = entry[1]:sub(#prefix + 1)
         local module, kind = name:match("^(.*)%.(%a+)$")
         local new = fn and module and fn(module)
         if new ~= false then out[#out + 1] = { new and new .. "." .. kind or name, entry[2], entry[3] } end
      end
   end
   return out
end

local function titles(info)
   local out = {}
   for i, part in ipairs(info.parts) do out[i] = part.part .. " " .. part.title end
   return table.concat(out, "; ")
end

-- ---------------------------------------------------------------- whole checkpoints

function suite.test_checkpoints_of_all_layouts()
   local function check(name, what, parts)
      local list, parameters = layout(name), 0
      for _, entry in ipairs(list) do
         local n = 1
         for _, size in ipairs(entry[3]) do n = n * size end
         parameters = parameters + n
      end
      local info = st.info(sparse(name .. ".safetensors", list))
      lu.assertEquals(info.what, what)
      lu.assertEquals(titles(info), parts)
      lu.assertEquals(info.parameters, parameters)
      return info
   end
   local info = check("sd15-checkpoint", "Stable Diffusion 1: a checkpoint with U-Net, text encoder and VAE",
      "unet Stable Diffusion 1; te CLIP-L; vae VAE of Stable Diffusion 1, 2 or XL (4 channels)")
   lu.assertEquals(info.places, { a1111 = "models/Stable-diffusion", comfyui = "models/checkpoints",
      diffusers = 'StableDiffusionPipeline.from_single_file("sd15-checkpoint.safetensors")' })
   lu.assertEquals(info.leftovers, { { what = "noise schedule", tensors = 12, bytes = 24000 } })
   lu.assertEquals(info.parts[1].parameters, 859520964)
   lu.assertEquals(info.parts[2].layers, 12)
   lu.assertStrContains(info.warnings[1], "position_ids\" is broken: 0 stands for 1")      -- a hole is zeros
   info = check("sdxl-checkpoint",
      "Stable Diffusion XL, predicts v, noise to the end (ztsnr): a checkpoint with U-Net, 2 text encoders and VAE",
      "unet Stable Diffusion XL; te CLIP-L; te OpenCLIP-G; vae VAE of Stable Diffusion 1, 2 or XL (4 channels)")
   lu.assertStrContains(info.places.diffusers, "StableDiffusionXLPipeline.from_single_file")
   check("sd3-checkpoint", "Stable Diffusion 3 Medium: a checkpoint with transformer, 3 text encoders and VAE",
      "transformer Stable Diffusion 3 Medium; te CLIP-G; te CLIP-L; te T5 XXL; vae VAE of Stable Diffusion 3 or Flux.1 "
      .. "(16 channels)")
   info = check("flux-checkpoint", "Flux.1 dev: a checkpoint with transformer, 2 text encoders and VAE",
      "transformer Flux.1 dev; te CLIP-L; te T5 XXL; vae VAE of Stable Diffusion 3 or Flux.1 (16 channels)")
   lu.assertNil(info.places.a1111)
   info = check("llama-1.1b", "Llama, 22 layers, width 2,048, vocabulary 32,000", "language Llama")
   lu.assertStrContains(info.places.loads, "AutoModelForCausalLM")
   lu.assertNil(info.places.comfyui)
end

function suite.test_variants_of_a_checkpoint()
   local function what(name, change, metadata)
      local list = layout(name)
      for i = #list, 1, -1 do
         local new = change(list[i])
         if new == false then table.remove(list, i) end
         if type(new) == "table" then list[i] = new end
      end
      return st.info(sparse("variant.safetensors", list, metadata))
   end
   local function channels(n)
      return function(e)
         if e[1]:find("input_blocks%.0%.0%.weight$") then return { e[1], e[2], { e[3][1], n, 3, 3 } } end
      end
   end
   local function check(info, words, pipeline)
      lu.assertStrContains(info.what, words)
      lu.assertEquals(info.places.diffusers, pipeline and pipeline .. '.from_single_file("variant.safetensors")')
   end
   check(what("sd15-checkpoint", channels(9)), "Stable Diffusion 1 for inpainting: a checkpoint",
      "StableDiffusionInpaintPipeline")
   check(what("sd15-checkpoint", channels(8)), "Stable Diffusion 1, InstructPix2Pix: a checkpoint",
      "StableDiffusionInstructPix2PixPipeline")
   check(what("sdxl-checkpoint", channels(9)), "Stable Diffusion XL for inpainting", "StableDiffusionXLInpaintPipeline")
   check(what("sdxl-checkpoint", channels(8)), "Stable Diffusion XL, InstructPix2Pix",
      "StableDiffusionXLInstructPix2PixPipeline")
   local schnell = what("flux-checkpoint", function(e) return not e[1]:find("guidance_in") end)
   lu.assertStrContains(schnell.what, "Flux.1 schnell")
   local function flux_in(n)
      return function(e)
         if e[1]:find("img_in%.weight$") then return { e[1], e[2], { 3072, n } } end
      end
   end
   check(what("flux-checkpoint", flux_in(384)), "Flux.1 Fill dev", "FluxFillPipeline")
   check(what("flux-checkpoint", flux_in(128)), "Flux.1 dev with a depth map", "FluxControlPipeline")
   local alone = what("flux-checkpoint", function(e)
      return e[1]:find "^model%.diffusion_model" ~= nil and flux_in(384)(e)
   end)
   lu.assertEquals(alone.places.diffusers,
      'FluxTransformer2DModel.from_single_file("variant.safetensors"), for FluxFillPipeline')
   local bare = what("sdxl-checkpoint", function(e) return e[1]:find("^first_stage") == nil end)
   lu.assertStrContains(bare.what, "(no VAE)")
   local function without_markers(e) return e[1] ~= "v_pred" and not e[1]:find "^edm" end
   local pony = what("sdxl-checkpoint", without_markers, { ["modelspec.title"] = "ponyXL v6" })
   lu.assertEquals(pony.derivative, { name = "Pony", key = "modelspec.title", value = "ponyXL v6" })
   lu.assertNil(pony.prediction)
   lu.assertNil(what("sdxl-checkpoint", function() end, { ["modelspec.title"] = "exponya" }).derivative)
   local ema = what("sd15-checkpoint", function(e)
      if e[1]:find("^first_stage") then return { "model_ema." .. e[1]:gsub("%.", ""), e[2], e[3] } end
   end)
   lu.assertEquals(ema.leftovers[1].what, "EMA, a second set of weights")
   lu.assertEquals(ema.leftovers[1].tensors, 248)
   -- SD 2 is SD 1 with a wider text; what it predicts, one bias tells.
   local two = what("sd15-checkpoint", function(e)
      if e[1]:find("attn2%.to_[kv]%.weight$") then return { e[1], e[2], { e[3][1], 1024 } } end
   end, { ["modelspec.prediction_type"] = "v" })
   check(two, "Stable Diffusion 2, predicts v: a checkpoint", "StableDiffusionPipeline")
   local depth = what("sd15-checkpoint", function(e)
      if e[1]:find("attn2%.to_[kv]%.weight$") then return { e[1], e[2], { e[3][1], 1024 } } end
      return channels(5)(e)
   end)
   check(depth, "with a depth map: a checkpoint", nil)
end

function suite.test_stable_diffusion_2_told_by_a_bias()
   local function what(deviation)
      local bias = st.randn(320) * deviation
      return st.info(st.model {
         { "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", st.zeros(320, 1024) },
         { "output_blocks.11.1.transformer_blocks.0.norm1.bias", bias } }).what
   end
   lu.assertStrContains(what(0.2), "predicts v (told by the spread of a bias)")
   lu.assertStrContains(what(0.02), "predicts noise (told by the spread of a bias)")
end

-- ---------------------------------------------------------------- parts alone, and diffusers' names

function suite.test_parts_in_the_original_names()
   local list = layout "sdxl-checkpoint"
   local info = st.info(sparse("unet.safetensors", behind(list, "model.diffusion_model.")))
   lu.assertEquals(info.what, "Stable Diffusion XL: the U-Net alone")
   lu.assertEquals(info.places.comfyui, "models/diffusion_models")
   info = st.info(sparse("vae.safetensors", behind(list, "first_stage_model.")))
   lu.assertEquals(info.what, "VAE of Stable Diffusion 1, 2 or XL (4 channels)")
   lu.assertEquals(info.places, { a1111 = "models/VAE", comfyui = "models/vae",
      diffusers = 'AutoencoderKL.from_single_file("vae.safetensors")' })
   info = st.info(sparse("FOLDER 5%.safetensors", behind(list, "first_stage_model.")))
   lu.assertEquals(info.places.diffusers, 'AutoencoderKL.from_single_file("FOLDER 5%.safetensors")')
   info = st.info(sparse("clip.safetensors", behind(list, "conditioner.embedders.0.transformer.")))
   lu.assertEquals(info.what, "CLIP-L, a text encoder, 12 layers, width 768, vocabulary 49,408")
   info = st.info(sparse("t5.safetensors", behind(layout "flux-checkpoint", "text_encoders.t5xxl.transformer.")))
   lu.assertEquals(info.what, "T5 XXL, a text encoder, 24 layers, width 4,096, vocabulary 32,128")
   lu.assertEquals(info.places.comfyui, "models/text_encoders")
end

function suite.test_parts_in_the_names_of_diffusers()
   local unet = require "stlua.lora.names.unet"
   for name, title in pairs { sd15 = "Stable Diffusion 1", sdxl = "Stable Diffusion XL" } do
      local list = behind(layout(name .. "-checkpoint"), "model.diffusion_model.", function(module)
         return unet.to_diffusers(module)
      end)
      local info = st.info(sparse("unet.safetensors", list))
      lu.assertEquals(info.what, title .. ": the U-Net alone")
      lu.assertStrContains(info.parts[1].id, "-diffusers")
      lu.assertNil(info.places.diffusers)      -- from_pretrained wants a folder and its names
   end
   -- What is one matrix there is several here: sizes of these do not matter.
   local flux = require "stlua.lora.names.flux"
   local list = { { "x_embedder.weight", "BF16", { 3072, 64 } } }
   for _, row in ipairs(flux.rows(2, 2)) do
      for i = 2, #row do list[#list + 1] = { row[i] .. ".weight", "BF16", { 8, 8 } } end
   end
   list = behind(list, "", nil)
   local seen, kept = {}, {}
   for _, entry in ipairs(list) do
      if not seen[entry[1]] then kept[#kept + 1], seen[entry[1]] = entry, true end
   end
   lu.assertStrContains(st.info(sparse("flux.safetensors", kept)).what, "Flux.1 dev")
end

-- ---------------------------------------------------------------- places

-- from_pretrained is given the folder that was asked for, or where the file lies; never the one above.
function suite.test_the_folder_of_from_pretrained()
   local list = behind(layout "sdxl-checkpoint", "conditioner.embedders.0.transformer.")
   support.shell "mkdir -p @/te"
   local path, folder = sparse("te/model.safetensors", list), support.path "te"
   local call = ('CLIPTextModel.from_pretrained("%s")'):format(folder)
   lu.assertEquals(st.info(folder).places.diffusers, call)
   lu.assertNil(st.info(path).places.diffusers)      -- no configuration beside it
   support.write(folder .. "/config.json", '{"architectures":["CLIPTextModel"]}')
   lu.assertEquals(st.info(path).places.diffusers, call)
   lu.assertNil(st.info(sparse("te/clip_l.safetensors", list)).places.diffusers)
   support.shell "rm @/te/*"
   sparse("te/sdxl.safetensors", layout "sdxl-checkpoint")
   lu.assertEquals(st.info(folder).places.diffusers, 'StableDiffusionXLPipeline.from_single_file("sdxl.safetensors")')
end

-- Programs that read one file get none of several shards.
function suite.test_shards_are_joined_first()
   local function sharded(list)
      support.shell "rm -rf @/joinable && mkdir @/joinable"
      local map = {}
      for i = 1, 2 do
         local file = ("model-0000%d-of-00002.safetensors"):format(i)
         local half = table.move(list, i == 1 and 1 or #list // 2 + 1, i == 1 and #list // 2 or #list, 1, {})
         for _, entry in ipairs(half) do map[entry[1]] = file end
         sparse("joinable/" .. file, half)
      end
      support.write(support.path "joinable/model.safetensors.index.json", st.json.encode { weight_map = map })
      return st.info(support.path "joinable")
   end
   local join = "stlua join " .. support.path "joinable"
   local info = sharded(layout "sd15-checkpoint")
   lu.assertEquals(info.places, { join = join })
   lu.assertStrContains(tostring(info), join .. " first")
   local te = behind(layout "sdxl-checkpoint", "conditioner.embedders.0.transformer.")
   lu.assertEquals(sharded(te).places, { join = join,
      diffusers = ('CLIPTextModel.from_pretrained("%s")'):format(support.path "joinable") })
   lu.assertNil(sharded(layout "llama-1.1b").places.join)
end

-- A GGUF file of { name, { sizes } } in F32, and of metadata: texts and numbers.
local function gguf(file, list, metadata)
   local head, at = {}, 0
   for key, value in pairs(metadata) do
      head[#head + 1] = math.type(value) and ("<s8I4I4"):pack(key, 4, value) or ("<s8I4s8"):pack(key, 8, value)
   end
   local pairs_count = #head
   for _, entry in ipairs(list) do
      local bytes, dims = 4, ""
      for d = #entry[2], 1, -1 do bytes, dims = bytes * entry[2][d], dims .. ("<I8"):pack(entry[2][d]) end
      head[#head + 1] = ("<s8I4"):pack(entry[1], #entry[2]) .. dims .. ("<I4I8"):pack(0, at)
      at = at + (bytes + 31) // 32 * 32
   end
   local bytes = "GGUF" .. ("<I4I8I8"):pack(3, #list, pairs_count) .. table.concat(head)
   support.write(support.path(file), bytes .. ("\0"):rep(-#bytes % 32 + at))
   return st.info(support.path(file))
end

function suite.test_gguf_told_by_its_metadata()
   local words = { { "token_embd.weight", { 100, 64 } }, { "blk.0.attn_q.weight", { 64, 64 } } }
   local metadata = { ["general.architecture"] = "llama", ["general.name"] = "Tiny\27", ["llama.block_count"] = 2 }
   local info = gguf("a.gguf", words, metadata)
   lu.assertEquals(info.what, "llama language model, GGUF (Tiny\\u001b), 2 layers, width 64, vocabulary 100")
   lu.assertEquals(info.kind, "language")
   lu.assertEquals(info.places, { loads = "llama.cpp, Ollama" })
   local other = { { "x", { 4 } } }
   lu.assertStrContains(gguf("a.gguf", other, metadata).what, "llama language model, GGUF")
   lu.assertEquals(gguf("a.gguf", other, { ["general.architecture"] = "sd1" }).kind, "unknown")
   metadata = { ["general.architecture"] = "t5encoder", ["t5encoder.block_count"] = 24 }
   info = gguf("a.gguf", { words[1] }, metadata)
   lu.assertEquals({ info.kind, info.places.loads }, { "te", "llama.cpp" })
   lu.assertStrContains(info.places.comfyui, "ComfyUI-GGUF")
   local flux = { { "double_blocks.0.img_attn.qkv.weight", { 8, 8 } }, { "img_in.weight", { 8, 8 } } }
   info = gguf("flux.gguf", flux, { ["general.architecture"] = "flux" })
   lu.assertStrContains(info.what, "Flux.1 schnell")
   lu.assertEquals(info.places, { comfyui = "models/unet (models/diffusion_models), nodes of ComfyUI-GGUF",
      diffusers = 'FluxTransformer2DModel.from_single_file("flux.gguf", '
         .. 'quantization_config=GGUFQuantizationConfig(compute_dtype=torch.bfloat16))' })
end

-- ---------------------------------------------------------------- every row

-- The first size that a test allows.
local function size_of(word)
   if word == "." then return nil end
   return word == "?" and 8 or math.tointeger(tonumber(word:match("%d+")))
end

local function names_of(tests, prefix, list, from)
   for i = from or 1, #tests do
      local no, name, sizes = tests[i]:match("^(!?)(%S+)%s*%[?([^%]]*)%]?$")
      if no == "" then
         local shape = {}
         for word in sizes:gmatch("[^,%s]+") do shape[#shape + 1] = size_of(word) end
         local old
         for _, entry in ipairs(list) do old = old or entry[1] == prefix .. name and entry end
         if not old then
            list[#list + 1] = { prefix .. name, "F16", #shape > 0 and shape or { 8, 8 } }
         else
            table.move(shape, 1, #shape, 1, old[3])
         end
      end
   end
end

-- What a row asks for is found to be that row, behind every prefix that it knows.
function suite.test_every_row_tells_itself()
   local ids = {}
   for _, row in ipairs(architectures.rows()) do
      lu.assertNil(ids[row.id], row.id)
      ids[row.id] = true
      for _, prefix in ipairs(row.under) do
         local list = {}
         names_of(row.has, prefix, list)
         names_of(row.also or {}, prefix, list)
         local info = st.info(sparse("row.safetensors", list))
         lu.assertEquals(info.parts[1] and info.parts[1].id, row.id, prefix)
         lu.assertNotEquals(info.what, "")
      end
      for _, kind in ipairs(row.kinds or {}) do
         local from, list = kind[1] == "=" and 3 or 2, {}
         names_of(row.has, row.under[1], list)
         names_of(row.also or {}, row.under[1], list)
         names_of(kind, row.under[1], list, from)
         local info = st.info(sparse("row.safetensors", list))
         lu.assertStrContains(titles(info), kind[1] == "=" and row.kinds[#row.kinds] == kind and kind[2] or
            kind[1] ~= "=" and kind[1] or "")
      end
   end
end

-- What a row with fewer tests would take for its own.
function suite.test_rows_that_are_like_others()
   local function id(list) return (st.info(sparse("like.safetensors", list)).parts[1] or {}).id end
   local list = { { "model.embed_tokens.weight", "BF16", { 256000, 8 } },
      { "model.layers.0.input_layernorm.weight", "BF16", { 8 } },
      { "model.layers.0.self_attn.q_proj.weight", "BF16", { 8, 8 } },
      { "model.layers.0.mlp.gate_proj.weight", "BF16", { 8, 8 } } }
   lu.assertEquals(id(list), "cohere")
   list[5] = { "model.layers.0.self_attn.q_norm.weight", "BF16", { 1, 8 } }
   lu.assertEquals(id(list), "cohere")
   list[6] = { "model.layers.0.post_attention_layernorm.weight", "BF16", { 8 } }
   lu.assertEquals(id(list), "qwen3")
   list = { { "t_block.1.weight", "F16", { 8, 8 } } }
   lu.assertStrContains(st.info(sparse("like.safetensors", list)).what, "PixArt:")
   list[2] = { "y_embedder.y_embedding", "F16", { 300, 8 } }
   lu.assertStrContains(st.info(sparse("like.safetensors", list)).what, "PixArt sigma")
   list[3] = { "blocks.0.mlp.inverted_conv.conv.weight", "F16", { 8, 8, 1, 1 } }
   lu.assertEquals(id(list), "sana")
   lu.assertEquals(id { { "<cat-toy>", "F32", { 768 } } }, "inversion-sd1-word")
   lu.assertEquals(id { { "<cat-toy>", "F32", { 4, 1024 } } }, "inversion-sd2-words")
   lu.assertEquals(id { { "string_to_param.*", "F32", { 4, 768 } } }, "inversion-sd1-pt")
   lu.assertNil(id { { "cat", "F32", { 768 } } })
end

-- A configuration beside the file tells apart what names cannot.
function suite.test_a_configuration_beside_the_file()
   local list = behind(layout "llama-1.1b", "")
   support.shell "mkdir -p @/folder"
   local path = sparse("folder/model.safetensors", list)
   local function told(config)
      support.write(support.path "folder/config.json", config)
      local info = st.info(support.path "folder")
      return info.parts[1].id, info.config and info.config.architecture
   end
   lu.assertEquals({ told '{"model_type":"mistral","architectures":["MistralForCausalLM"]}' },
      { "mistral", "MistralForCausalLM" })
   lu.assertEquals({ told '{"model_type":"qwen3"}' }, { "llama" })      -- it has no q_norm: names win
   lu.assertEquals({ told "not json" }, { "llama" })
   lu.assertEquals({ told '{"model_type":7,"architectures":{"0":"x"}}' }, { "llama" })
   lu.assertNotNil(path)
end

-- GPTQ and AWQ have codes in place of weights; where names tell nothing, a configuration does.
function suite.test_quantised_language_models()
   local function codes(attention)
      local list = { { "model.embed_tokens.weight", "F16", { 32000, 64 } },
         { "model.layers.0.input_layernorm.weight", "F16", { 64 } },
         { "model.layers.0.post_attention_layernorm.weight", "F16", { 64 } } }
      for _, name in ipairs { attention, "self_attn.o_proj", "mlp.gate_proj" } do
         list[#list + 1] = { ("model.layers.0.%s.qweight"):format(name), "I32", { 8, 64 } }
         list[#list + 1] = { ("model.layers.0.%s.scales"):format(name), "F16", { 1, 64 } }
      end
      return list
   end
   local part = st.info(sparse("gptq.safetensors", codes "self_attn.q_proj")).parts[1]
   lu.assertEquals({ part.id, part.layers, part.width }, { "llama", 1, 64 })
   support.shell "mkdir -p @/gptq"
   sparse("gptq/model.safetensors", codes "self_attn.q_new_proj")
   lu.assertEquals(st.info(support.path "gptq").kind, "unknown")
   for config, id in pairs { mistral = "mistral", vit = "unknown" } do
      support.write(support.path "gptq/config.json", ('{"model_type":"%s"}'):format(config))
      part = st.info(support.path "gptq").parts[1]
      lu.assertEquals(part and part.id or "unknown", id)
   end
end

-- ---------------------------------------------------------------- quantised layouts

function suite.test_quantised_layouts()
   local function quantised(list, metadata)
      local out = {}
      for i, q in ipairs(st.info(sparse("quant.safetensors", list, metadata)).quantised) do
         out[i] = q.layout .. " " .. q.weights
      end
      return table.concat(out, ", ")
   end
   lu.assertEquals(quantised { { "a.weight", "F16", { 4, 4 } } }, "")
   lu.assertEquals(quantised { { "a.weight", "F8_E4M3", { 4, 4 } }, { "a.scale_weight", "F32", {} },
      { "a.scale_input", "F32", {} }, { "b.weight", "F8_E4M3", { 4, 4 } }, { "b.scale_weight", "F32", {} },
      { "scaled_fp8", "F8_E4M3", { 2 } } }, "scaled fp8 2")
   lu.assertEquals(quantised { { "a.weight", "U8", { 4, 8 } }, { "a.weight_scale", "F8_E4M3", { 4, 1 } },
      { "a.weight_scale_2", "F32", {} } }, "nvfp4 1")
   lu.assertEquals(quantised { { "a.weight", "F8_E4M3", { 4, 32 } }, { "a.weight_scale", "U8", { 4, 1 } } }, "mxfp8 1")
   lu.assertEquals(quantised { { "a.weight", "F8_E4M3", { 4, 32 } }, { "a.weight_scale", "F32", {} } }, "scaled fp8 1")
   lu.assertEquals(quantised { { "a.weight", "I8", { 4, 32 } }, { "a.weight_scale", "F32", {} } }, "int8 with scales 1")
   lu.assertEquals(quantised { { "a.weight", "U8", { 8, 1 } }, { "a.weight.absmax", "F32", { 1 } },
      { "a.weight.quant_map", "F32", { 16 } }, { "a.weight.quant_state.bitsandbytes__nf4", "U8", { 80 } } },
      "bitsandbytes nf4 1")
   lu.assertEquals(quantised { { "a.weight", "U8", { 8, 1 } }, { "a.weight.absmax", "F32", { 1 } },
      { "a.weight.quant_state.bitsandbytes__fp4", "U8", { 80 } } }, "bitsandbytes fp4 1")
   lu.assertEquals(quantised { { "a.qweight", "I32", { 512, 4096 } }, { "a.scales", "F16", { 32, 4096 } },
      { "a.qzeros", "I32", { 32, 512 } }, { "a.g_idx", "I32", { 4096 } } }, "GPTQ 1")
   lu.assertEquals(quantised { { "a.qweight", "I32", { 4096, 512 } }, { "a.scales", "F16", { 32, 4096 } },
      { "a.qzeros", "I32", { 32, 512 } } }, "AWQ 1")
   lu.assertEquals(quantised({ { "a.weight", "F8_E5M2", { 4 } } }), "plain F8_E5M2, without scales 1")
   lu.assertEquals(quantised({ { "a.weight", "U8", { 4 } } },
      { _quantization_metadata = '{"layers":{"a":{"format":"nvfp4"},"b":{"format":"\\u001b[m"}}}' }),
      "\\u001b[m 1, nvfp4 1")
   lu.assertEquals(quantised({ { "a.weight", "U8", { 4 } } }, { _quantization_metadata = "[1]" }), "")
   local text = '{"format":"float8_e4m3fn"}'
   local bytes = st.from_bytes("U8", { #text }, text)
   lu.assertEquals(st.info(st.model { { "a.weight", st.zeros(4):cast "F8_E4M3" }, { "a.comfy_quant", bytes } })
      .quantised[1].layout, "float8_e4m3fn")
end

-- ---------------------------------------------------------------- values and warnings

function suite.test_precision_that_is_used()
   local x = st.randn(64, 64)
   local function holds(t) return (st.info(st.model { { "w", t }, { "b", t } }).holds or {}).dtype end
   lu.assertNil(holds(x))
   lu.assertEquals(holds(x:cast("BF16"):float()), "BF16")
   lu.assertEquals(holds(x:half():float()), "F16")
   lu.assertEquals(holds((x * 3e-5):half():float()), "F16")      -- subnormals
   lu.assertNil(holds(st.zeros(64, 64)))
   lu.assertNil(holds(x:half()))
   lu.assertNil(holds(x:half():float() * 1e6))
end

-- One NaN does not hide what the other values are like.
function suite.test_statistics_of_the_finite_values()
   for _, kind in ipairs { "F32", "BF16", "F64", "F8_E4M3" } do
      local row = st.stats(st.tensor({ 0 / 0, 1, 2, -3, 0 / 0 }):cast(kind))
      lu.assertEquals({ row.nan, row.finite.min, row.finite.max, row.finite.mean }, { 2, -3, 2, 0 })
      lu.assertAlmostEquals(row.finite.std, math.sqrt(7), 1e-9)
      lu.assertTrue(row.min ~= row.min)
   end
   local row = st.stats(st.tensor { 0 / 0, 1, math.huge })
   lu.assertEquals({ row.nan, row.inf, row.finite }, { 1, 1, { min = 1, max = 1, mean = 1 } })
   lu.assertNil(st.stats(st.tensor { 0 / 0 }).finite)
end

function suite.test_warnings()
   local function warnings(metadata, more)
      local list = { { "text_model.embeddings.position_ids", st.arange(77):reshape(1, 77) } }
      for _, entry in ipairs(more or {}) do list[#list + 1] = entry end
      local path = support.path "warn.safetensors"
      st.model(list, metadata):save(path, { sync = false })
      return table.concat(st.info(path).warnings, "\n"), path
   end
   lu.assertEquals(warnings {}, "")
   lu.assertEquals(warnings { format = "pt", url = "https://example.org/home/x" }, "")
   lu.assertStrContains(warnings { note = "from C:\\Users\\me\\models\\a.ckpt" }, "note (the path C:\\\\Users")
   lu.assertStrContains(warnings { ss_dataset_dirs = "{}" }, "folders of training images")
   lu.assertStrContains(warnings { big = ("x"):rep(70000) }, '"big" has 68.4 KiB')
   lu.assertEquals(warnings { workflow2 = "x" }, "")
   -- The end of the last tensor's bytes is an archive of its own.
   local zip = "PK\5\6" .. ("\0"):rep(18)
   lu.assertStrContains(warnings({}, { { "z", st.from_bytes("U8", { #zip }, zip) } }), "it ends as a zip archive does")
   local cut = "PK\5\6" .. ("\1"):rep(18)
   lu.assertEquals(warnings({}, { { "z", st.from_bytes("U8", { #cut }, cut) } }), "")
   lu.assertStrContains(warnings { a = "%PDF-1.4" }, "PDF")
   -- position_ids as a merge in F16 leaves them
   local ids = st.arange(77):half()
   ids[76] = 74.9375
   local m = { { "text_model.encoder.layers.0.mlp.fc1.weight", st.zeros(3072, 768):half() },
      { "text_model.embeddings.position_ids", ids:reshape(1, 77) } }
   lu.assertStrContains(table.concat(st.info(st.model(m)).warnings), "is broken: 74.9375 stands for 75")
   m[2][2] = st.arange(77):half():reshape(1, 77)
   lu.assertStrContains(table.concat(st.info(st.model(m)).warnings), "is F16, not I64")
end

-- A compressed file that lacks its end is told by its frames, small, or by its table, large; nothing is decoded.
function suite.test_compressed_files_that_are_cut_off()
   for _, size in ipairs { 1e5, 3e6 } do
      local whole, cut = support.path "whole.safetensors.zst", support.path "cut.safetensors.zst"
      st.model { { "w", st.randn(math.tointeger(size)) } }:save(whole, { sync = false })
      lu.assertEquals(st.info(whole).warnings, {})
      local bytes = support.read(whole)
      support.write(cut, bytes:sub(1, #bytes * 9 // 10))
      local warnings = st.info(cut).warnings
      lu.assertEquals(#warnings, 1)
      lu.assertStrContains(warnings[1], "it may be cut off: `stlua verify ")
      if os.execute("zstd --version >/dev/null 2>&1") then      -- another program writes no table
         support.shell "zstd -q -d -c @/whole.safetensors.zst | zstd -q >@/other.safetensors.zst"
         lu.assertEquals(st.info(support.path "other.safetensors.zst").warnings, {})
      end
   end
end

-- Of a download that is not done the shards that are there are told.
function suite.test_missing_shards()
   local list = {}
   for i = 1, 4 do list[i] = { "t" .. i, st.zeros(100) } end
   st.model(list):save(support.path "shards", { max_shard_size = 400, sync = false })
   local whole = st.info(support.path "shards")
   lu.assertEquals({ whole.files, #whole.warnings }, { 4, 0 })
   support.shell "rm @/shards/model-00002-of-00004.safetensors"
   local info = st.info(support.path "shards")
   lu.assertEquals({ info.files, info.parameters, #info.warnings }, { 3, 300, 1 })
   lu.assertStrContains(info.warnings[1], "1 of 4 shards missing: model-00002-of-00004.safetensors")
   lu.assertTrue(info.file_bytes > 1200 and info.file_bytes < whole.file_bytes)
   lu.assertEquals(#st.info(support.path "shards/model.safetensors.index.json").warnings, 1)
   support.shell "rm @/shards/model-0000[134]-of-00004.safetensors"
   support.raises("io", "model-0000", st.info, support.path "shards")
end

-- A folder of packed fine-tunes tells what packing saves.
function suite.test_a_folder_of_packed_models()
   support.shell "mkdir -p @/tunes"
   local base, tuned = support.path "tunes/base.safetensors", support.path "tuned.safetensors"
   local w = st.randn(200, 200):bfloat16()
   st.model { { "w", w } }:save(base, { sync = false })
   local plain = st.info(base).file_bytes
   support.shell "mkdir -p @/alone && cp @/tunes/base.safetensors @/alone/a.safetensors"
   support.shell "cp @/alone/a.safetensors @/alone/b.safetensors"
   lu.assertNil(st.info(support.path "alone").total)
   for i = 1, 2 do
      st.model { { "w", w }, { "b", st.zeros(4) } }:save(tuned, { sync = false })
      st.pack(tuned, { output = support.path(("tunes/t%d.packed.safetensors"):format(i)), base = base, sync = false })
   end
   support.write(support.path "tunes/broken.safetensors", "<html>")
   local info = st.info(support.path "tunes")
   local stored = info.models[3].stored_bytes
   lu.assertTrue(stored < plain / 2)
   lu.assertEquals(info.total, { file_bytes = plain + 2 * st.info(tuned).file_bytes, stored_bytes = plain + 2 * stored,
      bases = { "base.safetensors" } })
   local shown = tostring(info)
   lu.assertStrContains(shown, ("(%.1f %%) on the disk, packed against base.safetensors\n"):format(
      100 * info.total.stored_bytes / info.total.file_bytes))
   lu.assertStrMatches(shown, ".*t2%.packed%.safetensors[^\n]*B %([%d.]+ %%%).*")
end

function suite.test_adapters()
   local name = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
   local list = { { name .. ".lora_down.weight", st.zeros(8, 2048) }, { name .. ".lora_up.weight", st.zeros(640, 8) },
      { name .. ".alpha", st.tensor(4) } }
   local info = st.info(st.model(list, { ss_sd_model_name = "ponyDiffusionV6XL.safetensors", ss_network_dim = "8" }))
   lu.assertEquals(info.kind, "lora")
   lu.assertEquals(info.what, "LoRA for Stable Diffusion XL, rank 8, alpha 4")
   lu.assertEquals(info.derivative.name, "Pony")
   lu.assertEquals(info.places.a1111, "models/Lora")
   lu.assertStrContains(tostring(info), "LoRA for Stable Diffusion XL")
   -- A name with "lora" in it makes no adapter.
   lu.assertEquals(st.info(st.model { { "exploration.weight", st.zeros(4, 4) } }).kind, "unknown")
end

-- Programs for pictures get adapters of their models alone, diffusers those that it reads.
function suite.test_places_of_adapters()
   local function places(list) return st.info(sparse("adapter.safetensors", list)).places end
   local function pair(module, a, b)
      return { { module .. a, "F16", { 8, 2048 } }, { module .. b, "F16", { 2048, 8 } } }
   end
   local peft = { loads = "PEFT: PeftModel.from_pretrained(base, folder)" }
   for _, name in ipairs { "model.layers.0.self_attn.q_proj", "transformer.h.0.attn.c_attn" } do
      lu.assertEquals(places(pair("base_model.model." .. name, ".lora_A.weight", ".lora_B.weight")), peft)
   end
   local name = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
   local both = { a1111 = "models/Lora", comfyui = "models/loras" }
   local loha = pair(name, ".hada_w1_b", ".hada_w1_a")
   table.move(pair(name, ".hada_w2_b", ".hada_w2_a"), 1, 2, 3, loha)
   lu.assertEquals(places(loha), both)
   lu.assertEquals(places { { name .. ".lokr_w1", "F16", { 8, 8 } }, { name .. ".lokr_w2", "F16", { 80, 256 } } }, both)
   both.diffusers = 'pipe.load_lora_weights("adapter.safetensors")'
   lu.assertEquals(places(pair(name, ".lora_down.weight", ".lora_up.weight")), both)
end

function suite.test_what_is_empty_or_wrong()
   lu.assertEquals(st.info(st.model {}).kind, "unknown")
   lu.assertStrContains(tostring(st.info(st.model {})), "unknown")
   support.raises("arg", { "unknown option", "varaint" }, st.info, "x", { varaint = "fp16" })
   support.raises("io", "no such file", st.info, support.path "nothing.safetensors")
end

support.run("info", suite)
