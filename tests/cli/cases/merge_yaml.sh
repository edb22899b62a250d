# stlua merge CONFIG.yml: a folder as transformers wants it; what mergekit's options do; problems, told at once.
cat >make.lua <<'E'
local st = require "stlua"
local function make(name, value, layers, vocab)
   value = value + 0.0
   local list = { { "model.embed_tokens.weight", st.full({ vocab, 4 }, value) } }
   for i = 0, layers - 1 do list[#list + 1] = { ("model.layers.%d.mlp.weight"):format(i), st.full({ 4, 4 }, value + i) } end
   list[#list + 1] = { "model.norm.weight", st.full({ 4 }, value) }
   st.model(list, { format = "pt" }):save(name, { max_shard_size = "1GB", sync = false, files = {
      ["config.json"] = ('{\n  "architectures": ["LlamaForCausalLM"],\n  "num_hidden_layers": %d,\n'
         .. '  "rope_theta": 10000.0,\n  "tie_word_embeddings": true,\n  "vocab_size": %d\n}\n'):format(layers, vocab),
      ["tokenizer.json"] = '{"model": {"vocab": {"a": 0}}}\n', ["tokenizer_config.json"] = "{}\n" } })
end
make("base", 1, 2, 3) make("a", 2, 2, 3) make("b", 4, 2, 3) make("tall", 8, 3, 3) make("wide", 16, 2, 5)
E
stlua make.lua
show() { for t in model.embed_tokens.weight model.layers.0.mlp.weight model.layers.1.mlp.weight; do
   stlua cat "$1" $t --text | head -c 3; echo; done; }
cat >linear.yml <<'E'
# shares
models:
  - model: ./a
    parameters: { weight: [0.25, 0.5] }
  - model: ./b
    parameters: { weight: 1 }
merge_method: linear
parameters: { normalize: no, int8_mask: yes }
out_dtype: bfloat16
E
stlua merge linear.yml --dry-run | sed 's/free [0-9.]* [A-Za-z]*/free <size>/'
ls
stlua merge linear.yml out --cuda --lazy-unpickle --async-write --out-shard-size 1B --copy-tokenizer --random-seed 7
ls out
show out
cat out/config.json out/README.md
cmp linear.yml out/mergekit_config.yml
stlua info out | head -12
echo "== where another model is"
stlua merge linear.yml -o out; echo "exit $?"
stlua -q merge linear.yml -o out -f --no-copy-tokenizer --no-write-model-card; echo "exit $?"
echo "== a dry run says what the run would"
dry() { stlua -q merge linear.yml --dry-run "$@" >told 2>&1; echo "exit $?"; tail -1 told; rm told; }
touch plain; mkdir empty linear-merged
for t in out "out -f" "out -f -n" plain no/where plain/x empty . new; do echo "-- $t"; dry -o $t; done
dry
rmdir empty linear-merged; rm plain
echo "== layers anew, as a chain of documents"
cat >chain.yml <<'E'
name: mixed
base_model: ./base
models:
  - { model: ./a, parameters: { weight: 1 } }
  - { model: ./b, parameters: { weight: 1 } }
merge_method: task_arithmetic
---
slices:
  - sources: [{ model: mixed, layer_range: [1, 2] }]
  - sources: [{ model: ./tall, layer_range: [0, 3] }]
merge_method: passthrough
E
stlua merge chain.yml chain -q && show chain && grep num_hidden chain/config.json
echo "== problems"
cat >bad.yml <<'E'
models:
  - { model: ./a, parameters: { weight: .nan } }
  - { model: ./tall, parameters: { wieght: 1 } }
  - { model: ./wide, parameters: { weight: 1 } }
  - { model: ./a+./nowhere }
merge_method: linear
dtpye: float16
E
stlua merge bad.yml bad; echo "exit $?"
sed -i '/nowhere/d' bad.yml
stlua merge bad.yml bad; echo "exit $?"
printf 'models: [a, b\n' >bad.yml
stlua merge bad.yml bad; echo "exit $?"
stlua merge nothing.yml bad; echo "exit $?"
stlua merge linear.yml one -o two; echo "exit $?"
stlua merge linear.yml -o out.safetensors; echo "exit $?"
stlua merge linear.yml bad --unsafe-truncate-embeddings; echo "exit $?"
stlua merge linear.yml bad --out-shard-size much; echo "exit $?"
ls
