--- st.open: what a path stands for.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

-- A file with one scalar of this value, made in a folder that may not exist yet.
local function put(path, value)
   local folder = path:match("^(.*)/")
   if folder then support.shell("mkdir -p @/" .. folder) end
   st.model { { "v", support.tensor("F32", {}, { value }) } }:save(support.path(path), { sync = false })
end

local function value(path, opts) return st.open(support.path(path), opts).v:item() end

local function fails(code, texts, path, opts)
   return support.raises(code, texts, st.open, support.path(path), opts)
end

function suite.test_a_file()
   put("x.safetensors", 1)
   lu.assertEquals(value("x.safetensors"), 1)
   put("odd.name", 2)
   lu.assertEquals(value("odd.name"), 2)
   fails("io", { "x.safetensor: no such file or folder", 'did you mean "x.safetensors"' }, "x.safetensor")
   fails("io", "no such file or folder", "no/where/x")
   fails("arg", "component and variant are for folders", "x.safetensors", { variant = "fp16" })
   support.raises("arg", "expected a path, got a nil", st.open)
   support.raises("arg", "got an empty one", st.open, "")
   fails("arg", { 'unknown option "varaint"', 'did you mean "variant"' }, "x.safetensors", { varaint = "fp16" })
end

function suite.test_what_is_not_safetensors_is_named()
   support.write(support.path("lfs.safetensors"), "version https://git-lfs.github.com/spec/v1\noid sha256:"
      .. ("0"):rep(64) .. "\nsize 123456\n")
   fails("format", "git-LFS pointer", "lfs.safetensors")
   support.write(support.path("page.safetensors"), "<!DOCTYPE html><html><body>404</body></html>")
   fails("format", "a web page", "page.safetensors")
   put("whole.safetensors", 1)
   support.write(support.path("cut.safetensors"), support.read(support.path("whole.safetensors")):sub(1, -3))
   fails("format", "cut.safetensors", "cut.safetensors")
end

function suite.test_a_folder()
   put("one/anything.safetensors", 1)
   lu.assertEquals(value("one"), 1)
   lu.assertEquals(value("one/"), 1)
   put("named/model.safetensors", 2)
   put("named/other.safetensors", 3)
   lu.assertEquals(value("named"), 2)
   put("unet/diffusion_pytorch_model.safetensors", 4)
   put("unet/diffusion_pytorch_model.fp16.safetensors", 5)
   put("unet/diffusion_pytorch_model.non_ema.safetensors", 6)
   lu.assertEquals(value("unet"), 4)
   put("two/a.safetensors", 1)
   put("two/b.safetensors", 1)
   fails("io", { "which of these is the model? a.safetensors, b.safetensors" }, "two")
   support.shell("mkdir -p @/empty && touch @/empty/readme")
   fails("io", { "the folder holds no model", ".safetensors" }, "empty")
   support.shell("mkdir -p @/torch && touch @/torch/config.json @/torch/pytorch_model.bin @/torch/training_args.bin")
   fails("format", { "torch/pytorch_model.bin", "it is empty" }, "torch")
   support.shell("mkdir -p @/onnx && touch @/onnx/model.onnx @/onnx/optimizer.pt")
   fails("io", { "the folder holds no model", "but model.onnx" }, "onnx")
   support.shell("mkdir -p @/other && cd tests/fixtures/checkpoints && cp ema.pt evil_2.pkl @/other")
   lu.assertEquals(st.open(support.path("other")).w:numel(), 2)
   put("other/model.safetensors", 8)                   -- safetensors wins
   lu.assertEquals(value("other"), 8)
   put("cut/model-00001-of-00002.safetensors", 1)
   put("cut/model-00002-of-00002.safetensors", 1)
   fails("io", "shards without their index", "cut")
end

local function put_index(path, shards)
   local map = {}
   for name, file in pairs(shards) do map[name] = file end
   support.write(support.path(path), st.json.encode { metadata = { total_size = 4 }, weight_map = map })
end

function suite.test_an_index()
   put("sharded/model-00001-of-00001.safetensors", 7)
   put("sharded/model.safetensors", 1)                 -- the index wins
   put_index("sharded/model.safetensors.index.json", { v = "model-00001-of-00001.safetensors" })
   lu.assertEquals(value("sharded"), 7)
   lu.assertEquals(value("sharded/model.safetensors.index.json"), 7)
   put_index("sharded/bad.safetensors.index.json", { v = "../x.safetensors" })
   fails("format", "../x.safetensors", "sharded/bad.safetensors.index.json")
   put_index("sharded/bad.safetensors.index.json", { other = "model-00001-of-00001.safetensors" })
   fails("format", "other", "sharded/bad.safetensors.index.json")
end

function suite.test_variants()
   put("v/model.safetensors", 1)
   put("v/model.fp16.safetensors", 2)
   lu.assertEquals(value("v"), 1)
   lu.assertEquals(value("v", { variant = "fp16" }), 2)
   fails("io", { 'no file of variant "bf16"', "model.fp16.safetensors, model.safetensors" }, "v", { variant = "bf16" })
   put("d/diffusion_pytorch_model.fp16.safetensors", 3)
   lu.assertEquals(value("d", { variant = "fp16" }), 3)
   lu.assertEquals(value("d"), 3)                      -- the only file
   for i, name in ipairs { "model.safetensors.index.fp16.json", "diffusion_pytorch_model.fp16.safetensors.index.json",
      "diffusion_pytorch_model.safetensors.fp16.index.json" } do
      local folder = "vi" .. i
      put(folder .. "/model.fp16-00001-of-00001.safetensors", 10 + i)
      put_index(folder .. "/" .. name, { v = "model.fp16-00001-of-00001.safetensors" })
      lu.assertEquals(value(folder, { variant = "fp16" }), 10 + i, name)
   end
end

function suite.test_a_diffusers_pipeline()
   put("pipe/unet/diffusion_pytorch_model.safetensors", 1)
   put("pipe/unet/diffusion_pytorch_model.fp16.safetensors", 2)
   put("pipe/text_encoder/model.safetensors", 3)
   support.shell("mkdir -p @/pipe/scheduler && touch @/pipe/scheduler/scheduler_config.json")
   support.write(support.path("pipe/model_index.json"), "{}")
   lu.assertEquals(value("pipe", { component = "unet" }), 1)
   lu.assertEquals(value("pipe", { component = "unet", variant = "fp16" }), 2)
   lu.assertEquals(value("pipe/text_encoder"), 3)
   fails("arg", { "a diffusers pipeline", 'component = "..."', "(text_encoder, unet)" }, "pipe")
   fails("name", { 'no component "unte"', 'did you mean "unet"', "text_encoder, unet" }, "pipe", { component = "unte" })
   fails("name", "no component", "pipe", { component = "../pipe" })
end

function suite.test_the_cache_of_hugging_face()
   -- hub/models--org--name/snapshots/REV/model.safetensors -> ../../blobs/HASH, for every file.
   local root = "hub/models--org--name"
   put(root .. "/blobs/aaaa", 5)
   put(root .. "/blobs/bbbb", 6)
   support.shell("mkdir -p @/" .. root .. "/snapshots/rev && cd @/" .. root .. "/snapshots/rev && "
      .. "ln -s ../../blobs/aaaa model.safetensors")
   lu.assertEquals(value(root .. "/snapshots/rev"), 5)
   lu.assertEquals(st.open(support.path(root .. "/snapshots/rev/model.safetensors")):formula(), "model.safetensors")
   -- Shards and their index are links too.
   local index = support.path(root .. "/blobs/cccc")
   support.write(index, st.json.encode { weight_map = { v = "model-00001-of-00001.safetensors" } })
   support.shell("mkdir -p @/" .. root .. "/snapshots/two && cd @/" .. root .. "/snapshots/two && "
      .. "ln -s ../../blobs/bbbb model-00001-of-00001.safetensors && "
      .. "ln -s ../../blobs/cccc model.safetensors.index.json")
   lu.assertEquals(value(root .. "/snapshots/two"), 6)
   support.shell("ln -s none.safetensors @/dangling.safetensors")
   fails("io", { "no such file or folder", "a symlink to what is not there" }, "dangling.safetensors")
   support.raises("io", "Lua does not", st.open, "~/model.safetensors")
   support.raises("io", "download the file first", st.open, "https://host/model.safetensors")
end

support.run("open", suite)
