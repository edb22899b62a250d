--- stlua reproduce: which files are the inputs, YAML merges, recipes of others.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

local function make(path, value, name)
   st.model({ { name or "w", st.full({ 4 }, value + 0.0) } }):save(support.path(path), { sync = false })
end

local function folder(name, value)
   st.model({ { "model.layers.0.w", st.full({ 64 }, value + 0.0) },
      { "lm_head.weight", st.full({ 2 }, value + 0.0) } }):save(
      support.path(name), { max_shard_size = "1GB", sync = false, force = true,
      files = { ["config.json"] = '{"architectures": ["X"], "num_hidden_layers": 1}' } })
end

local function clean() support.shell "rm -rf @/* && mkdir -p @/one @/two @/else @/models" end

-- Fine-tunes of one base have equal headers, and often equal names.
function suite.test_inputs_that_headers_do_not_tell_apart()
   clean()
   make("one/model.safetensors", 1) make("two/model.safetensors", 2)
   local command = "merge two/model.safetensors:0.75 one/model.safetensors:0.25 -q -o "
   lu.assertEquals(select(2, support.stlua(command .. "out.safetensors")), "")
   local out, err, status = support.stlua "reproduce out.safetensors --models-dir ."
   lu.assertEquals({ out, err, status }, { "out.safetensors: equal, byte for byte, to what its recipe gives\n", "", 0 })
   -- One file is not two inputs.
   support.shell "mv @/two/model.safetensors @/else/other && rmdir @/two"
   out, err, status = support.stlua "reproduce out.safetensors --models-dir ."
   lu.assertEquals({ out, status }, { "", 1 })
   lu.assertStrContains(err, "two inputs of its recipe would be one file")
   lu.assertStrContains(err, '"model.safetensors#2"')
   -- No choice gives it: how many there were.
   support.shell "mkdir -p @/two @/three"
   make("two/model.safetensors", 3) make("three/model.safetensors", 3)
   err = select(2, support.stlua "reproduce out.safetensors --models-dir .")
   lu.assertStrContains(err, "differs from what its recipe gives: values (headers do not tell the inputs apart: "
      .. "3 ways to choose them were tried")
   -- Hashes tell.
   support.shell "rm -r @/three && mv @/else/other @/two/model.safetensors"
   support.stlua(command .. "hashed.safetensors --hash-inputs")
   make("else/model.safetensors", 5)
   lu.assertEquals(select(3, support.stlua "reproduce hashed.safetensors --models-dir ."), 0)
   make("two/model.safetensors", 4)
   err = select(2, support.stlua "reproduce hashed.safetensors --models-dir .")
   lu.assertStrContains(err, "only files of that name with other values (SHA-256)")
end

function suite.test_an_input_that_was_compressed_since()
   clean()
   make("a.safetensors", 1) make("b.safetensors", 2)
   support.stlua "merge a.safetensors b.safetensors -q -o out.safetensors --hash-inputs"
   support.stlua "compress a.safetensors -q"
   support.shell "rm @/a.safetensors"
   lu.assertEquals({ select(2, support.stlua "reproduce out.safetensors") }, { "", 0 })
end

function suite.test_a_vae_may_be_that_of_a_model()
   clean()
   for i, name in ipairs { "a", "b" } do
      st.model({ { "model.diffusion_model.input_blocks.0.0.weight", st.full({ 2 }, i + 0.0) },
         { "first_stage_model.decoder.conv_in.weight", st.full({ 2 }, i + 0.0) } }):save(
         support.path(name .. ".safetensors"), { sync = false })
   end
   local _, err = support.stlua "merge a.safetensors b.safetensors --vae b.safetensors -q -o out.safetensors"
   lu.assertEquals(err, "")
   lu.assertEquals({ select(2, support.stlua "reproduce out.safetensors") }, { "", 0 })
end

local YAML = [[
name: mid
merge_method: dare_linear
base_model: base
models: [{ model: ./a, parameters: { weight: 1, density: 0.5 } }]
---
merge_method: linear
models: [{ model: mid, parameters: { weight: 1 } }, { model: any/b, parameters: { weight: 1 } }]
]]

function suite.test_yaml()
   clean()
   folder("base", 0) folder("a", 1) folder("models/any--b", 2)
   support.write(support.path "c.yml", YAML)
   local function merged(more)
      local _, err = support.stlua("merge c.yml -q --models-dir models " .. more)
      lu.assertEquals(err, "")
   end
   merged "-o out --random-seed 7 --allow-crimes --no-copy-tokenizer --out-shard-size 300"
   local recipe = st.json.decode(st.open(support.path "out"):metadata()["stlua.recipe"])
   lu.assertEquals({ recipe.seed, recipe.allow_crimes, recipe.copy_tokenizer, recipe.output.max_shard_size },
      { 7, true, false, 300 })
   lu.assertEquals(recipe.models, { base = 2, ["./a"] = 1, ["any/b"] = 3 })
   support.shell "mv @/models/any--b @/models/b"
   local out, err, status = support.stlua "reproduce out --models-dir models"
   lu.assertEquals({ out, err, status }, { "out: equal, byte for byte, to what its recipe gives\n", "", 0 })
   merged "-o out -f --random-seed 8"
   lu.assertEquals({ select(2, support.stlua "reproduce out --models-dir models") }, { "", 0 })
   folder("models/b", 3)
   out, err, status = support.stlua "reproduce out --models-dir models"
   lu.assertEquals({ out .. err, status }, { "stlua: out differs from what its recipe gives: values\n", 1 })
   support.shell "rm -r @/a"
   lu.assertStrContains(select(2, support.stlua "reproduce out --models-dir models"), '"a" (')
end

function suite.test_recipes_of_others()
   clean()
   local function told(recipe, ...)
      st.model({ { "w", st.ones(1) } }, { ["stlua.recipe"] = recipe }):save(support.path "x.safetensors",
         { sync = false })
      local _, err, status = support.stlua "reproduce x.safetensors"
      lu.assertEquals(status, 1, recipe)
      for _, part in ipairs { "x.safetensors", ... } do lu.assertStrContains(err, part) end
      lu.assertNotStrContains(err, "attempt to")
      lu.assertNotStrContains(err, ".lua")
   end
   local input = '{"name": "a", "size": 3, "header_sha256": "00"}'
   told("3", "no JSON object")
   told("[", "cannot be run")
   told('{"command": "merge"}', "no list of inputs")
   told('{"command": "merge", "inputs": 3}', "no list of inputs")
   told('{"command": "merge", "inputs": []}', "no list of inputs")
   told('{"command": "merge", "inputs": [3]}', "inputs[1] lacks name, size or header_sha256")
   told(('{"command": "merge", "inputs": [%s]}'):format(input:gsub('"a"', "5")), "inputs[1] lacks")
   told(('{"command": "merge", "inputs": [%s], "parameters": 3}'):format(input), "parameters is no table")
   told(('{"command": "merge", "inputs": [%s], "method": 3}'):format(input), "method is no string")
   told(('{"command": "merge", "inputs": [%s], "output": "x"}'):format(input), "output is no table")
   told(('{"command": "merge", "inputs": [%s]}'):format(input), "neither method, alpha, configuration nor a weight")
   told(('{"command": "merge", "inputs": [%s], "parameters": {"weights": ["a"]}}'):format(input), "a weight per model")
   told(('{"command": "merge", "inputs": [%s], "method": "ties", "base": 2}'):format(input), "base is the number of no")
   told(('{"command": "merge", "inputs": [%s], "configuration": "a: 1"}'):format(input), "models")
end

support.run("reproduce", suite)
