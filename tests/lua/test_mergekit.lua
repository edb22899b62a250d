--- mergekit configurations: YAML, parameters, references, layers, tokenizers, and whole merges.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local jsonedit = require "stlua.mergekit.jsonedit"
local layers = require "stlua.mergekit.layers"
local merging = require "stlua.merging"
local problems = require "stlua.mergekit.problems"
local refs = require "stlua.mergekit.refs"
local tokenizer = require "stlua.mergekit.tokenizer"
local values = require "stlua.mergekit.values"
local yaml = require "stlua.mergekit.yaml"

local suite = {}

-- ---------------------------------------------------------------- YAML

local function parse(s) return yaml.documents(s, "c.yml") end

-- A tree as plain Lua values.
local function plain(node)
   if node.kind == "scalar" then return node.null and "null" or node.value end
   local out = {}
   if node.kind == "list" then
      for i, item in ipairs(node) do out[i] = plain(item) end
      return out
   end
   for _, pair in ipairs(node.pairs) do out[pair.key] = plain(pair.value) end
   return out
end

function suite.test_scalars()
   lu.assertEquals(plain(parse("[1, -2.5, .5, 1e-3, 2.5E+2, 0x10, 1_000, +7]")[1]),
      { 1, -2.5, 0.5, 0.001, 250, 16, 1000, 7 })
   lu.assertEquals(plain(parse("[true, no, On, '1', \"no\", ~, null, abc, 1.2.3, 0.0.0.0, e5]")[1]),
      { true, false, true, "1", "no", "null", "null", "abc", "1.2.3", "0.0.0.0", "e5" })
   local special = plain(parse("[.inf, -.inf, .nan, !!str 5]")[1])
   lu.assertEquals({ special[1], special[2], special[4] }, { math.huge, -math.huge, "5" })
   lu.assertTrue(special[3] ~= special[3])
   lu.assertEquals(math.type(plain(parse("3")[1])), "integer")
end

function suite.test_trees_keep_order_and_lines()
   local map = parse("z: 1\na:\n  - x\n  - y: 2\n")[1]
   lu.assertEquals({ map.pairs[1].key, map.pairs[2].key, map.pairs[2].line }, { "z", "a", 2 })
   lu.assertEquals(map.by_key.a.value[2].line, 4)
   lu.assertNil(yaml.get(map, "nothing"))
   lu.assertNil(yaml.get(parse("a: ~")[1], "a"))
end

function suite.test_anchors_and_merge_keys()
   lu.assertEquals(plain(parse("b: &b { x: 1, y: 2 }\nc: { <<: *b, y: 3 }\nd: *b")[1]),
      { b = { x = 1, y = 2 }, c = { x = 1, y = 3 }, d = { x = 1, y = 2 } })
   lu.assertEquals(#parse("a: 1\n---\nb: 2\n...\n---\nc: 3"), 3)
   support.raises("format", { "c.yml:2", "no anchor &x" }, parse, "a: &x 1\n--- *x")
end

function suite.test_what_is_no_configuration()
   support.raises("format", { "c.yml:2", '"a" stands twice', "line 1" }, parse, "a: 1\na: 2")
   support.raises("format", { "c.yml:1", "tag", "python" }, parse, "a: !!python/object/apply:os.system [ls]")
   support.raises("format", { "c.yml:1", "no anchor &a" }, parse, "a: &a [*a]")
   support.raises("format", { "c.yml:1", "levels deep" }, parse, ("["):rep(80))
   support.raises("format", { "c.yml", "no YAML", "line: 2" }, parse, "a: [1, 2\nb: 3")
   support.raises("format", "NUL", parse, "a: \0")
   support.raises("format", { "c.yml:1", "key" }, parse, "? [a]\n: b")
   lu.assertEquals(parse("# nothing\n"), {})
end

-- ---------------------------------------------------------------- parameters

local METHOD = { name = "m", params = {
   { name = "weight", each = true, type = "number", min = -2, max = 10 },
   { name = "flag", type = "boolean", default = false },
   { name = "mode", type = "string", default = "x" },
} }
for _, param in ipairs(METHOD.params) do METHOD.params[param.name] = param end

local function setting(name, s)
   local found = problems.new("c.yml")
   return values.parse(parse(s)[1], METHOD, METHOD.params[name], name, found), found.list
end

local function at(name, s, tensor, t)
   local parsed, list = setting(name, s)
   lu.assertEquals(list, {})
   return values.at(parsed, tensor or "x", t or 0)
end

function suite.test_gradients()
   lu.assertEquals(at("weight", "0.5", "x", 0.7), 0.5)
   for _, case in ipairs { { 0, 0 }, { 0.25, 0.25 }, { 0.5, 0.5 }, { 0.75, 2.75 }, { 1, 5 } } do
      lu.assertAlmostEquals(at("weight", "[0, 0.5, 5]", "x", case[1]), case[2], 1e-12)
   end
   lu.assertEquals(at("weight", "[3]", "x", 0.9), 3)
   lu.assertNil(at("weight", "[]"))
   lu.assertEquals(at("weight", "['1e-3', \"2\"]", "x", 0), 0.001)
   -- Others are chosen, not interpolated.
   lu.assertEquals({ at("flag", "[yes, no]", "x", 0.99), at("flag", "[yes, no]", "x", 1) }, { true, false })
   lu.assertEquals({ at("mode", "[a, b, c]", "x", 0.49), at("mode", "[a, b, c]", "x", 0.5) }, { "a", "b" })
end

function suite.test_filters()
   local s = "[{ filter: mlp, value: 1 }, { filter: '*', value: [2, 4] }, { value: 9 }]"
   lu.assertEquals(at("weight", s, "layers.0.mlp.up", 1), 1)
   lu.assertEquals(at("weight", s, "layers.0.attn", 0.5), 3)
   lu.assertEquals(at("weight", "{ value: 5 }"), 5)
   lu.assertNil(at("weight", "{ filter: a.b, value: 5 }", "axb"))      -- a plain text, no pattern
end

function suite.test_values_are_converted()
   lu.assertEquals(at("flag", "'true'"), true)
   lu.assertEquals(at("flag", "0"), false)
   lu.assertEquals(at("mode", "12"), "12")
end

function suite.test_wrong_values()
   local function told(name, s, ...)
      local _, list = setting(name, s)
      lu.assertEquals(#list, 1, s)
      for _, part in ipairs { ... } do lu.assertStrContains(list[1], part) end
   end
   told("weight", ".nan", "line 1", "weight", "not a number")
   told("weight", "\n\n11", "line 3", "11", "-2 to 10")
   told("weight", "[1, abc]", '"abc"', "number")
   told("weight", "{ filter: x }", "value")
   told("weight", "[1, [2]]", "number")
   told("weight", "[{ value: 1 }, 2]", "entry 2")
   told("weight", "{ value: 1, fliter: x }", "fliter")
   told("flag", "perhaps", "boolean", "perhaps")
   told("weight", "{ filter: [a], value: 1 }", "filter")
end

function suite.test_levels()
   local function level(s) return { weight = (setting("weight", s)) } end
   local levels = { {}, level "{ filter: mlp, value: 1 }", level "[]", level "2" }
   lu.assertEquals(values.resolve("weight", levels, "a.mlp", 0), 1)
   lu.assertEquals(values.resolve("weight", levels, "a.attn", 0), 2)
   lu.assertNil(values.resolve("weight", { {}, levels[2] }, "a.attn", 0))
   levels = { { flag = (setting("flag", "no")) }, { flag = (setting("flag", "yes")) } }
   lu.assertEquals(values.resolve("flag", levels, "x", 0), false)      -- false is a value
end

function suite.test_names_of_parameters()
   local found = problems.new("c.yml")
   local node = parse("{ weight: 1, wieght: 2, int8_mask: true, density: 0.5, flag: ~ }")[1]
   local settings = values.read(node, merging.method "linear", "models[1]", found, true)
   lu.assertEquals(values.at(settings.weight, "x", 0), 1)
   lu.assertEquals(#found.list, 2)
   lu.assertStrContains(found.list[1], 'no parameter "wieght"; did you mean "weight"?')
   lu.assertStrContains(found.list[2], '"flag"')
   lu.assertEquals(#found.notes, 2)      -- parameters of other methods have no effect
   lu.assertStrContains(found.notes[2], "models[1].parameters.density has no effect")
end

-- ---------------------------------------------------------------- references

function suite.test_references()
   local ref = refs.parse_text "owner/name@v1"
   lu.assertEquals({ ref.path, ref.revision, ref.lora }, { "owner/name", "v1", nil })
   ref = refs.parse_text "a/b+c/d@main"
   lu.assertEquals({ ref.path, ref.lora }, { "a/b", "c/d@main" })
   for _, s in ipairs { "", "a+b+c", "a@b@c", "@x", "a+b@c@d" } do lu.assertNil((refs.parse_text(s))) end
   lu.assertEquals(refs.parse(parse("{ model: { path: x/y, revision: r } }")[1]).key, "x/y@r")
   lu.assertEquals(refs.parse(parse("{ model: m, lora: { path: l } }")[1]).lora, "l")
   lu.assertEquals(refs.parse(parse("{ model: m, lora: { path: l, revision: r }, override_architecture: ~ }")[1]).key,
      "m+l@r")
   lu.assertNil((refs.parse(parse("[a]")[1])))
   local function refused(s, part)
      local none, reason = refs.parse(parse(s)[1])
      lu.assertNil(none)
      lu.assertStrContains(reason, part)
   end
   refused("{ model: m, lora: [l] }", "lora must be a text, or a map of path and revision")
   refused("{ model: { revision: r } }", "model must be a text")
   refused("{ model: m, lorra: l }", 'unknown key "lorra"')
   refused("{ model: { path: m, revison: r } }", 'model: unknown key "revison"')
   refused("{ model: m, override_architecture: X }", "override_architecture is not supported")
end

function suite.test_finding_models()
   support.shell [[cd @ && mkdir -p dir/owner/one dir/owner--two dir/three hub/models--acme--m/refs \
      hub/models--acme--m/snapshots/c1 hub/models--acme--m/snapshots/c2 hub/models--acme--n/snapshots/only \
      && printf c2 >hub/models--acme--m/refs/main]]
   local opts = { models_dir = support.path "dir", cache = support.path "hub" }
   local function found(s) return (refs.find(refs.parse_text(s), opts):gsub("^.*/(%a+/[^/]*/?[^/]*)$", "%1")) end
   lu.assertEquals(found "owner/one", "owner/one")
   lu.assertStrContains(found "owner/two", "owner--two")
   lu.assertStrContains(found "any/three", "dir/three")
   lu.assertStrContains(found "acme/m", "snapshots/c2")
   lu.assertStrContains(found "acme/m@c1", "snapshots/c1")
   lu.assertStrContains(found "acme/n", "snapshots/only")
   lu.assertEquals(refs.find(refs.parse_text(support.path "dir" .. "/./three/"), {}), support.path "dir" .. "/three")
   support.raises("io", { "acme/x", "models--acme--x", "nothing is downloaded", "--models-dir" }, refs.find,
      refs.parse_text "acme/x", opts)
   support.raises("io", { "acme/m@old", "no snapshot of revision old" }, refs.find, refs.parse_text "acme/m@old", opts)
   support.raises("io", { "./nothing", "no such" }, refs.find, refs.parse_text "./nothing", opts)
end

-- ---------------------------------------------------------------- layers, JSON, tokenizers

function suite.test_layers()
   lu.assertEquals({ layers.split "model.layers.12.mlp.experts.3.w1" }, { "model.layers.", 12, "mlp.experts.3.w1" })
   lu.assertEquals({ layers.split "0.weight.x" }, { "", 0, "weight.x" })
   lu.assertNil((layers.split "lm_head.weight"))
   for name, before in pairs { ["model.embed_tokens.weight"] = true, ["transformer.wpe.weight"] = true,
      ["model.norm.weight"] = false, ["lm_head.weight"] = false, ["embed_out.weight"] = false,
      ["bert.embeddings.LayerNorm.bias"] = true, ["transformer.ln_f.bias"] = false } do
      lu.assertEquals(layers.is_before(name), before, name)
   end
end

function suite.test_stacks()
   local function source(names, config)
      local list = {}
      for i, name in ipairs(names) do list[i] = { name, st.ones(1) } end
      return { model = st.model(list), config = config }
   end
   local function stacks(s)
      local list = {}
      for i, stack in ipairs(layers.of(s).stacks) do list[i] = stack.prefix .. stack.count end
      return list
   end
   lu.assertEquals(stacks(source { "h.0.a", "h.1.a", "mlp.0.w", "mlp.2.w" }), { "h.2" })
   lu.assertEquals(stacks(source { "enc.block.0.a", "dec.block.0.a", "dec.block.1.a" }),
      { "enc.block.1", "dec.block.2" })
   -- Another word is known by the count in the config.
   lu.assertEquals(stacks(source({ "units.0.a", "units.1.a", "x.0.a" }, { num_hidden_layers = 2 })), { "units.2" })
   lu.assertEquals(stacks(source { "layers.0.a", "layers.2.a" }), {})      -- with a gap
end

function suite.test_json_is_edited_in_place()
   local s = '{\n  "a\\"": [1, {"n": "]"}],\n  "eps": 1e-05, "rope": 10000.0,\n  "in": {"n": 2}, "n": 24\n}\n'
   lu.assertEquals(jsonedit.set(s, { "n" }, "7"), (s:gsub("24", "7")))
   lu.assertEquals(jsonedit.set(s, { "in", "n" }, "7"), (s:gsub('"n": 2}', '"n": 7}')))
   lu.assertEquals(jsonedit.set(s, { 'a"' }, "[]"), (s:gsub("%[1, .-%]\"}%]", "[]")))
   local added = st.json.decode(jsonedit.set(s, { "new" }, '"x"'))
   lu.assertEquals({ added.new, added.n }, { "x", 24 })
   lu.assertEquals(st.json.decode(jsonedit.set("{}", { "a" }, "1")), { a = 1 })
   lu.assertEquals(jsonedit.get(s, { "in", "n" }), "2")
   lu.assertNil(jsonedit.get(s, { "n", "x" }))
end

local function with_tokenizer(label, vocab, added)
   local s = st.json.encode { model = { vocab = vocab }, added_tokens = st.json.array(added or {}) }
   return { label = label, read = function(name) return name == "tokenizer.json" and s or nil end }
end

function suite.test_vocabularies()
   local a = with_tokenizer("A", { x = 0, y = 1 })
   lu.assertTrue(tokenizer.same(a, with_tokenizer("B", { y = 1, x = 0 })))
   -- The same tokens, one of them added later.
   lu.assertTrue(tokenizer.same(a, with_tokenizer("B", { x = 0 }, { { id = 1, content = "y" } })))
   lu.assertTrue(tokenizer.same(a, with_tokenizer("B", { { "x", -1.5 }, { "y", -2 } })))
   local same, reason = tokenizer.same(a, with_tokenizer("B", { x = 1, y = 0, z = 2 }))
   lu.assertFalse(same)
   lu.assertEquals(reason, '3 tokens differ, such as "x": number 0 in A, number 1 in B')
   lu.assertNil((tokenizer.same(a, { label = "C", read = function() end })))
   -- Files that are damaged, or are something else.
   for s, part in pairs { ['{"model": {"vocab": {"a": 0'] = "B: JSON, line 1", ["[1]"] = "B: it is no JSON object",
      [""] = "B: JSON", ['{"model": {"vocab": [3]}}'] = "model.vocab of B holds other",
      ['{"added_tokens": [7]}'] = "added_tokens of B holds other", ['{"added_tokens": 7}'] = "added_tokens of B is no",
      ['{"model": {"vocab": {"x": "y"}}}'] = "model.vocab of B holds other" } do
      same, reason = tokenizer.same(a, { label = "B", read = function(name)
         return name == "tokenizer.json" and s or nil
      end })
      lu.assertFalse(same)
      lu.assertStrContains(reason, "tokenizer.json of A and B differ, and cannot be read: " .. part)
   end
end

-- ---------------------------------------------------------------- whole merges

local CONFIG = [[
{
  "architectures": ["LlamaForCausalLM"],
  "layer_types": %s,
  "num_hidden_layers": %d,
  "rms_norm_eps": 1e-05,
  "tie_word_embeddings": %s,
  "torch_dtype": "float32"
}
]]

-- A model of n layers in its folder; every value of layer i is `value` + i, of what is outside the layers `value`.
local function make(name, value, opts)
   opts = opts or {}
   local list, types = {}, {}
   local function add(tensor, v)
      list[#list + 1] = { tensor, st.full({ 2, 2 }, v, { dtype = opts.dtype or "F32" }) }
   end
   add("model.embed_tokens.weight", value)
   for i = 0, (opts.layers or 3) - 1 do
      add(("model.layers.%d.mlp.weight"):format(i), value + i)
      add(("model.layers.%d.attn.weight"):format(i), value + i)
      types[i + 1] = i % 2 == 0 and "full" or "slide"
   end
   add("model.norm.weight", value)
   if not opts.headless then add("lm_head.weight", opts.head or value) end
   for _, entry in ipairs(opts.more or {}) do list[#list + 1] = entry end
   st.model(list, { format = "pt" }):save(support.path(name), { max_shard_size = "1GB", sync = false, force = true,
      files = { ["config.json"] = CONFIG:format(st.json.encode(types), #types, tostring(opts.tied or false)),
         ["tokenizer.json"] = '{"model": {"vocab": {"a": 0}}}' } })
end

local function load_text(text, opts)
   opts = opts or {}
   opts.source = text:gsub("@", support.path "")
   return st.merge_config("c.yml", opts)
end

local function value(model, name) return support.values(model[name])[1] end

function suite.test_models_form()
   make("a", 10) make("b", 20)
   local merge = load_text [[
models:
  - { model: @a, parameters: { weight: [0, 1] } }
  - { model: @b, parameters: { weight: 1 } }
merge_method: linear
parameters: { normalize: false }
]]
   -- Embeddings, norm and head take the first value of a gradient.
   lu.assertEquals(value(merge.model, "model.embed_tokens.weight"), 20)
   lu.assertEquals(value(merge.model, "model.layers.0.mlp.weight"), 20)
   lu.assertEquals(value(merge.model, "model.layers.1.mlp.weight"), 0.5 * 11 + 21)
   lu.assertEquals(value(merge.model, "model.layers.2.attn.weight"), 12 + 22)
   lu.assertEquals(value(merge.model, "lm_head.weight"), 20)
   lu.assertEquals(st.json.decode(merge.files["config.json"]).num_hidden_layers, 3)
   lu.assertStrContains(merge.files["config.json"], '"rms_norm_eps": 1e-05')
   lu.assertEquals(merge.files["tokenizer.json"], '{"model": {"vocab": {"a": 0}}}')
   lu.assertStrContains(merge.files["README.md"], "merge_method: linear")
   lu.assertStrContains(merge.files["mergekit_config.yml"], "normalize: false")
end

function suite.test_layers_are_renumbered()
   make("a", 10) make("b", 20)
   local merge = load_text [[
slices:
  - sources: [{ model: @a, layer_range: [1, 3] }]
  - sources: [{ model: @b, layer_range: [0, 2] }]
  - sources: [{ model: @a, layer_range: [2, 3] }]
merge_method: passthrough
out_dtype: bfloat16
]]
   local seen = {}
   for i = 0, 4 do seen[i + 1] = value(merge.model, ("model.layers.%d.mlp.weight"):format(i)) end
   lu.assertEquals(seen, { 11, 12, 20, 21, 12 })
   lu.assertNil(merge.model:find "model.layers.5.mlp.weight")
   lu.assertEquals(merge.model["lm_head.weight"]:dtype(), "BF16")
   local config = st.json.decode(merge.files["config.json"])
   lu.assertEquals({ config.num_hidden_layers, config.torch_dtype }, { 5, "bfloat16" })
   lu.assertEquals(config.layer_types, { "slide", "full", "full", "slide", "full" })
end

-- Entries of a list per layer come from the model of the layer, not from the one whose config is the result's.
function suite.test_lists_per_layer_of_several_models()
   make("a", 10) make("tall", 20, { layers = 5 })
   local function types(text)
      return st.json.decode(load_text(text .. "\nmerge_method: passthrough").files["config.json"]).layer_types
   end
   lu.assertEquals(types("slices: [{ sources: [{ model: @a, layer_range: [0, 2] }] }, "
      .. "{ sources: [{ model: @tall, layer_range: [3, 5] }] }]"), { "full", "slide", "slide", "full" })
   local text = "slices: [{ sources: [{ model: @a, layer_range: [0, 1] }] }, "
      .. "{ sources: [{ model: @tall, layer_range: [3, 5] }] }, { sources: [{ model: @a, layer_range: [1, 3] }] }]"
   lu.assertEquals(types(text), { "full", "slide", "full", "slide", "full" })
   support.write(support.path "tall/config.json", '{"architectures": ["LlamaForCausalLM"]}')
   support.raises("arg", { "c.yml: config.json", '"layer_types"', "none for layer 3 in " .. support.path "tall" },
      types, text)
end

function suite.test_single_files_and_what_is_no_model()
   make("a", 10)
   support.shell "mkdir -p @/lora @/pickled && touch @/lora/adapter_config.json @/pickled/pytorch_model.bin @/empty.yml"
   local merge = load_text "models: [{ model: @a/model.safetensors }]\nmerge_method: passthrough\n"
   lu.assertEquals(value(merge.model, "lm_head.weight"), 10)
   lu.assertNil(merge.files["config.json"])
   lu.assertStrContains(merge.notes[1], "no config.json")
   local function wrong(parts, name)
      support.raises("arg", parts, load_text, ("models: [{ model: @%s }]\nmerge_method: passthrough"):format(name))
   end
   wrong({ "line 1", "LoRA adapter, not a model" }, "lora")
   wrong({ "pickled weights" }, "pickled")
   wrong({ "no such file or folder" }, "nowhere")
   support.write(support.path "a/config.json", "{")
   wrong({ "a/config.json" }, "a")
   support.write(support.path "a/config.json", "[1]")
   wrong({ "a/config.json: no JSON object" }, "a")
   support.raises("io", "nowhere.yml", st.merge_config, support.path "nowhere.yml")
   support.raises("arg", "no configuration", st.merge_config, support.path "empty.yml")
   support.raises("io", "", st.merge_config, support.path "lora")
end

-- A folder of models does not tell revisions.
function suite.test_revisions_in_a_folder_of_models()
   make("a", 10)
   local text = "models: [{ model: x/a@v2, parameters: { weight: 1 } }]\nmerge_method: linear"
   local merge = st.merge_config("c.yml", { source = text, models_dir = support.path "" })
   lu.assertStrContains(merge.notes[1], "line 1: x/a@v2: taken from")
   lu.assertStrContains(merge.notes[1], "nothing tells whether that is revision v2")
   lu.assertEquals(st.merge_config("c.yml", { source = text:gsub("@v2", ""), models_dir = support.path "" }).notes, {})
end

function suite.test_dtype_casts_at_load()
   make("a", 1 + 2 ^ -12) make("b", 1)
   local text = "models: [{ model: @a, parameters: { weight: 0.5 } }, { model: @b, parameters: { weight: 0.5 } }]\n"
      .. "merge_method: linear\n"
   lu.assertEquals(value(load_text(text).model, "lm_head.weight"), 1 + 2 ^ -13)
   lu.assertEquals(value(load_text(text .. "dtype: bfloat16\nout_dtype: float32\n").model, "lm_head.weight"), 1)
end

-- As in mergekit: nothing is added to it.
function suite.test_a_slice_of_the_base_alone()
   make("a", 10) make("b", 20)
   for _, method in ipairs { "ties", "task_arithmetic", "sce" } do
      local merge = load_text(([[
slices:
  - sources: [{ model: @a, layer_range: [0, 1] }]
  - sources: [{ model: @a, layer_range: [1, 3] }, { model: @b, layer_range: [1, 3]%s }]
merge_method: %s
base_model: @a
dtype: bfloat16
]]):format(method == "sce" and "" or ", parameters: { weight: 1 }", method))
      lu.assertEquals(value(merge.model, "model.layers.0.mlp.weight"), 10)
      lu.assertEquals(value(merge.model, "model.layers.1.mlp.weight"), 21)
      lu.assertEquals(merge.model["model.layers.0.mlp.weight"]:dtype(), "BF16")
   end
   lu.assertEquals(value(load_text("models: [{ model: @a }]\nbase_model: @a\nmerge_method: ties").model,
      "lm_head.weight"), 10)
   support.raises("arg", { "slerp takes 1 model besides the base, not 0" }, load_text,
      "models: [{ model: @a }]\nbase_model: @a\nmerge_method: slerp\nparameters: { t: 0.5 }")
end

function suite.test_the_base_under_two_names()
   make("a", 3) make("b", 5)
   local text = "base_model: @./a\nmerge_method: %s\nmodels: [{ model: @a%s }, { model: @b%s }]\n"
   -- It is not one more model.
   local merge = load_text(text:format("linear", ", parameters: { weight: 1 }", ", parameters: { weight: 1 }"))
   lu.assertEquals(value(merge.model, "lm_head.weight"), 4)
   lu.assertEquals(#merge.notes, 0)
   -- It needs no weight.
   merge = load_text(text:format("ties", "", ", parameters: { weight: 1 }"))
   lu.assertEquals(value(merge.model, "lm_head.weight"), 5)
   merge = load_text("base_model: @./a\nmerge_method: ties\nslices: [{ sources: [{ model: @a, layer_range: [0, 3] }, "
      .. "{ model: @b, layer_range: [0, 3], parameters: { weight: 1 } }] }]")
   lu.assertEquals(value(merge.model, "lm_head.weight"), 5)
end

function suite.test_promotion()
   make("a", 1, { dtype = "BF16" }) make("b", 2, { dtype = "F16" })
   local merge = load_text [[
models: [{ model: @a, parameters: { weight: 1 } }, { model: @b, parameters: { weight: 1 } }]
merge_method: linear
]]
   lu.assertEquals(merge.model["lm_head.weight"]:dtype(), "F32")
   lu.assertEquals(st.json.decode(merge.files["config.json"]).torch_dtype, "float32")
end

function suite.test_heads()
   local text = [[
models: [{ model: @a, parameters: { weight: 1 } }, { model: @b, parameters: { weight: 1 } }]
merge_method: linear
]]
   make("a", 10, { tied = true }) make("b", 20, { tied = true, headless = true })
   local merge = load_text(text)
   lu.assertNil(merge.model:find "lm_head.weight")
   lu.assertStrContains(merge.files["config.json"], '"tie_word_embeddings": true')
   -- One of them has a head of its own: so has the result, and its config says so.
   make("b", 20, { head = 40 })
   merge = load_text(text)
   lu.assertEquals(value(merge.model, "lm_head.weight"), 25)
   lu.assertStrContains(merge.files["config.json"], '"tie_word_embeddings": false')
   lu.assertStrContains(table.concat(merge.notes, "\n"), "head of its own")
end

-- The last model is tied, the first is not: the last one's embeddings are the head.
function suite.test_heads_of_slices()
   make("a", 10, { head = 15 }) make("t", 20, { tied = true, headless = true })
   local text = "slices: [{ sources: [{ model: @%s, layer_range: [0, 2] }] }, "
      .. "{ sources: [{ model: @%s, layer_range: [2, 3] }] }]\nmerge_method: passthrough"
   local function told(first, last, head, tied)
      local merge = load_text(text:format(first, last))
      lu.assertEquals(merge.model:find "lm_head.weight" and value(merge.model, "lm_head.weight"), head)
      lu.assertEquals(st.json.decode(merge.files["config.json"]).tie_word_embeddings, tied)
   end
   told("a", "t", 20, false)
   told("t", "a", 15, false)
   told("t", "t", nil, true)
   make("t", 20, { tied = true })      -- a file that has a head nevertheless
   told("a", "t", 20, false)
   told("t", "t", nil, true)
end

function suite.test_integers_and_buffers()
   local buffer = { "model.layers.0.rotary_emb.inv_freq", st.ones(2) }
   local function ids(v) return { "ids", st.full({ 2 }, v, { dtype = "I64" }) } end
   make("a", 10, { more = { buffer, ids(3) } })
   make("b", 20, { more = { ids(3) } })
   local text = "models: [{ model: @a, parameters: { weight: 1 } }, { model: @b, parameters: { weight: 1 } }]\n"
      .. "merge_method: linear\ndtype: float16\n"
   local merge = load_text(text)
   lu.assertEquals({ merge.model.ids:dtype(), value(merge.model, "ids") }, { "I64", 3 })
   lu.assertNil(merge.model:find(buffer[1]))
   make("b", 20, { more = { ids(4) } })
   support.raises("arg", { "ids", "I64", "not interpolated" }, load_text, text)
end

function suite.test_a_chain_of_documents()
   make("a", 1) make("b", 2) make("c", 4)
   local first = "models: [{ model: @a, parameters: { weight: 0.3 } }, { model: @b, parameters: { weight: 0.3 } }]\n"
      .. "merge_method: linear\nparameters: { normalize: false }\ndtype: bfloat16\n"
   local second = "models: [{ model: %s, parameters: { weight: 0.7 } }, { model: @c, parameters: { weight: 0.3 } }]\n"
      .. "merge_method: linear\n"
   local chain = load_text("name: mid\n" .. first .. "---\n" .. second:format "mid")
   chain.model:save(support.path "chain.safetensors", { recipe = false, sync = false })
   -- The same in two steps, with the file between them.
   local mid = load_text(first)
   mid.model:save(support.path "mid", { max_shard_size = "1GB", files = mid.files, sync = false })
   load_text(second:format "@mid").model:save(support.path "steps.safetensors", { recipe = false, sync = false })
   lu.assertEquals(support.read(support.path "chain.safetensors"), support.read(support.path "steps.safetensors"))
   lu.assertEquals(chain.model:formula(), "linear(linear(a, b), c)")
   lu.assertEquals(#load_text("---\n" .. first .. "---\n").model, 9)
   local e = support.raises("arg", "no configuration", load_text, "# nothing")
   lu.assertEquals(e.message, "c.yml: the file holds no configuration")
   -- What the result does not need is not run, whatever it says.
   local merge = load_text(first .. "---\nname: other\n" .. second:format "@nowhere")
   lu.assertEquals(merge.notes, { 'line 6: the document "other" is not run: the result does not need it' })
   support.raises("arg", { "circle" }, load_text,
      "name: x\n" .. second:format "y" .. "---\nname: y\n" .. second:format "x")
   support.raises("arg", { "2 documents could be the result" }, load_text, first .. "---\n" .. first)
   support.raises("arg", { "two documents are named" }, load_text, "name: x\n" .. first .. "---\nname: x\n" .. first)
end

-- What the first document drops is not what the second drops.
function suite.test_chance_in_a_chain()
   local function save(name, v)
      st.model({ { "model.norm.weight", st.full({ 4000 }, v) } }):save(support.path(name), { max_shard_size = "1GB",
         sync = false, force = true })
   end
   save("a", 0.0) save("b", 1.0)
   local one = "merge_method: dare_linear\nbase_model: @a\nparameters: { rescale: false }\n"
      .. "models: [{ model: %s, parameters: { weight: 1, density: 0.5 } }]\n"
   local function kept(text) return load_text(text).model["model.norm.weight"] end
   local chain = kept("name: mid\n" .. one:format "@b" .. "---\n" .. one:format "mid")
   lu.assertAlmostEquals(chain:mean():item(), 0.25, 0.03)
   -- The last draws what a merge by itself draws.
   local alone = kept(one:format "@b")
   lu.assertEquals((chain * (1 - alone)):sum():item(), 0)
end

function suite.test_quantised_models()
   for _, name in ipairs { "q", "r" } do
      st.model({ { "l.weight", st.ones(2, 2):cast("F8_E4M3") }, { "l.weight_scale", st.full({ 1 }, 0.5) },
         { "n", st.ones(2) } }):save(support.path(name .. ".safetensors"), { sync = false })
   end
   local text = "models: [{ model: @q.safetensors, parameters: { weight: 1 } }, { model: @r.safetensors }]\n"
      .. "merge_method: linear\n"
   local e = support.raises("arg", { "c.yml: 3 problems:", "q.safetensors is quantised", "--dequantize",
      "(2 tensors, such as l.weight", "r.safetensors is quantised", "linear needs weight" }, load_text,
      text .. "dtype: float16")
   lu.assertNotStrContains(e.message, "a cast on")
   support.raises("arg", { "c.yml: ", "q.safetensors is quantised" }, load_text, text .. "parameters: { weight: 1 }")
end

function suite.test_chat_templates()
   make("a", 1)
   local function template(s)
      support.write(support.path "a/tokenizer_config.json", s)
      local merge = load_text "models: [{ model: @a }]\nmerge_method: passthrough\nchat_template: auto"
      return merge.files["chat_template.jinja"]
   end
   lu.assertEquals(template '{"chat_template": "{x}"}', "{x}")
   lu.assertEquals(template '{"chat_template": [3, {"name": "default", "template": "{y}"}]}', "{y}")
   for _, s in ipairs { "[3]", "x", '{"chat_template": [3]}',
      '{"chat_template": [{"name": "default", "template": 3}]}' } do
      lu.assertNil(template(s), s)
   end
end

function suite.test_everything_is_told_at_once()
   make("a", 1) make("deep", 2, { layers = 4 }) make("odd", 3, { more = { { "extra", st.ones(3) } } })
   support.raises("arg", { "c.yml: 7 problems", "unknown key \"dtpye\"", "weight is not a number",
      'no parameter "wieght"', "given twice", "4 in " .. support.path "deep",
      "missing in " .. support.path "a", "extra" }, load_text, [[
models:
  - { model: @a, parameters: { weight: .nan, wieght: 1 } }
  - { model: @deep, parameters: { weight: 1 } }
  - { model: @odd, parameters: { weight: [1, 2] } }
  - { model: @odd }
dtpye: float32
merge_method: linear
]])
end

function suite.test_single_problems()
   make("a", 1) make("b", 2)
   local A, B = "{ model: @a, parameters: { weight: 1 } }", "{ model: @b, parameters: { weight: -1 } }"
   local function wrong(parts, text) support.raises("arg", parts, load_text, text) end
   wrong({ "weights add up to 0", "9 tensors" }, ("models: [%s, %s]\nmerge_method: linear"):format(A, B))
   wrong({ "merge_method", "linaer", "linear" }, ("models: [%s]\nmerge_method: linaer"):format(A))
   wrong({ "give merge_method" }, ("models: [%s]"):format(A))
   wrong({ "c.yml: line 2: merge_method: cosine_a compares whole models", "stlua merge --method cosine_a" },
      "models: [{ model: @a }, { model: @b }]\nmerge_method: cosine_a\nparameters: { alpha: 0.5 }")
   wrong({ "needs base_model" }, ("models: [%s, %s]\nmerge_method: ties"):format(A, B))
   wrong({ "not among the sources" }, "base_model: @b\nmerge_method: ties\n"
      .. "slices: [{ sources: [{ model: @a, layer_range: [0, 3], parameters: { weight: 1 } }] }]")
   wrong({ "passthrough takes 1 model, not 2" }, ("models: [%s, %s]\nmerge_method: passthrough"):format(A, B))
   wrong({ "linear needs weight", "/b" }, ("models: [%s, { model: @b }]\nmerge_method: linear"):format(A))
   wrong({ "density is 1.5", "0 to 1" }, "base_model: @b\nmerge_method: ties\nmodels: [" ..
      "{ model: @a, parameters: { weight: 1, density: 1.5 } }]")
   wrong({ "goes beyond the 3 layers" }, "merge_method: passthrough\nslices: [{ sources: [" ..
      "{ model: @a, layer_range: [0, 5] }] }]")
   wrong({ "unequal numbers of layers" }, "merge_method: linear\nslices: [{ sources: [" ..
      "{ model: @a, layer_range: [0, 2] }, { model: @b, layer_range: [0, 3] }] }]")
   wrong({ "b: no tensor of it is part of an adapter" },
      "models: [{ model: @a+@b, parameters: { weight: 1 } }]\nmerge_method: linear")
   wrong({ "one of models, slices and modules" }, "merge_method: linear")
   wrong({ "not models and slices" }, ("models: [%s]\nslices: []\nmerge_method: linear"):format(A))
   wrong({ "dtype", "fp8" }, ("models: [%s]\nmerge_method: linear\ndtype: fp8"):format(A))
   wrong({ "same model, given twice" }, ("models: [%s, { model: '@./a/', parameters: { weight: 1 } }]\n"):format(A)
      .. "merge_method: linear")
   wrong({ "neither auto nor" }, ("models: [%s]\nmerge_method: linear\nchat_template: chatml"):format(A))
   wrong({ "not both" }, ("models: [%s]\nmerge_method: linear\ntokenizer_source: base\ntokenizer: {}"):format(A))
   wrong({ "models[1].model: it is empty: give a folder" }, "models: [{ model: '' }]\nmerge_method: linear")
   wrong({ "line 3: chat_template must be a text" },
      ("models: [%s]\nmerge_method: linear\nchat_template: [auto]"):format(A))
   wrong({ "line 3: name must be a text" }, ("models: [%s]\nmerge_method: linear\nname: { a: b }"):format(A))
   wrong({ "modules must be a map that is not empty" }, "merge_method: linear\nmodules: {}")
   wrong({ "no multiple of 64" }, ("models: [%s]\nmerge_method: linear\ntokenizer: { source: base, %s }"):format(A,
      "pad_to_multiple_of: 64"))
end

support.run("mergekit", suite)
