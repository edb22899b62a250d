# stlua info: one screen for people, one JSON object for programs, listings on demand; hostile texts are harmless.
stlua "$FIXTURES/../../examples/make_samples.lua" a.safetensors
stlua info a.safetensors
echo "== tensors"
stlua info a.safetensors --tensors 'layers.1'
stlua info --tensors a.safetensors | head -4
stlua info a.safetensors --tensors nothing; echo "exit $?"
echo "== json"
stlua info --json a.safetensors
stlua info --json --tensors a.safetensors | tail -c 150
echo "== stats"
cat >make.lua <<'END'
local st = require "stlua"
st.model { { "ok", st.tensor { 1.5, -2, 3 } }, { "bad", st.tensor { 0 / 0, 1, 2 } }, { "far", st.tensor { math.huge, 1 } },
   { "third", st.tensor { 1 / 3, 2 / 3 } }, { "count", st.tensor { 3, 4 }:long() } }:save "values.safetensors"
END
stlua make.lua
stlua info --stats values.safetensors
stlua -e 'st.model { { "x", st.ones(2) } }:save("one.safetensors")'; stlua info --stats one.safetensors | tail -n 1
rm one.safetensors
stlua info --stats --json values.safetensors | grep -o '"stats".*'
echo "== an adapter"
cat >make.lua <<'END'
local st = require "stlua"
local name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
local list = { { name .. ".lora_down.weight", st.zeros(4, 768) }, { name .. ".lora_up.weight", st.zeros(320, 4) },
   { name .. ".alpha", st.tensor(2) } }
st.model(list, { ss_network_dim = "4", ["modelspec.title"] = "red \27[31m, turned \u{202e}",
   ss_sd_model_name = "/home/bob/secret/x.safetensors", ss_output_name = "ponyStyle",
   ss_tag_frequency = '{"5_cat":{"cat":10,"a\\u001b[31mb":3}}', ["\27]0;x\7"] = "key",
   ["modelspec.thumbnail"] = "data:image/png;base64,iVBORw0KGgo=" }):save "lora.safetensors"
END
stlua make.lua
stlua info lora.safetensors
stlua info lora.safetensors --metadata
echo "== folders"
mkdir many && cp a.safetensors lora.safetensors many && echo '<html>' >many/page.safetensors
stlua info many
mkdir -p pipe/unet pipe/vae && cp a.safetensors pipe/unet/diffusion_pytorch_model.safetensors
cp a.safetensors pipe/vae/diffusion_pytorch_model.safetensors
echo '{"_class_name": "Stable\u001b[31mPipeline"}' >pipe/model_index.json
stlua info pipe
stlua info --json pipe | head -c 100; echo
echo "== wrong"
stlua info; echo "exit $?"
stlua info nothing.safetensors; echo "exit $?"
echo "== several things at once"
stlua info lora.safetensors --metadata --tensors alpha
stlua info lora.safetensors --html page.html --json; echo "exit $?"
mkdir two && cp lora.safetensors two/a.safetensors && cp lora.safetensors two/b.safetensors
stlua info two --json --stats; echo "exit $?"
mkdir pts && cp "$FIXTURES/checkpoints/plain.pt" "$FIXTURES/checkpoints/lightning.ckpt" pts && stlua info pts
echo "== a shard is missing"
stlua split a.safetensors --shards 2 -o shards --quiet && rm shards/model-00002-of-00002.safetensors
stlua info shards --tensors embed; echo "exit $?"
stlua info shards | tail -n 1
