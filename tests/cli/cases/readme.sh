# The script and the commands that the README shows do what it says. Its make targets are there.
ROOT="$FIXTURES/../.."
stlua "$ROOT/examples/make_samples.lua" a.safetensors b.safetensors c.safetensors model.safetensors >/dev/null
block() { # kind: the blocks of the page that are marked so
   awk -v kind="\`\`\`$1" '/^```/ { inside = !inside; mine = inside && $0 == kind; next } mine' "$ROOT/README.md"
}
mkdir -p llama/base llama/tuned
cat >checkpoints.lua <<'LUA'
local st = require "stlua"
for i, name in ipairs { "anime", "photo", "sd15" } do
   local list = { { "first_stage_model.decoder.bias", st.full({ 4 }, i, { dtype = "F16" }):clone() } }
   for block = 0, 11 do
      for _, side in ipairs { "input", "output" } do
         list[#list + 1] = { ("model.diffusion_model.%s_blocks.%d.1.attn1.weight"):format(side, block),
            st.full({ 4, 4 }, i, { dtype = "F16" }):clone() }
      end
   end
   list[#list + 1] = { "model.diffusion_model.input_blocks.0.0.weight", st.full({ 4, 4, 3, 3 }, i + 0.5):clone() }
   list[#list + 1] = { "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight",
      st.randn(16, 16, { seed = i }):clone() }
   st.model(list):save(name .. ".safetensors")
end
for i, name in ipairs { "style", "pose" } do
   local module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
   st.model { { module .. ".lora_down.weight", st.randn(8, 16, { seed = i }) },
      { module .. ".lora_up.weight", st.randn(16, 8, { seed = i + 2 }) },
      { module .. ".alpha", st.tensor(4.0) } }:save(name .. ".safetensors")
end
for i, name in ipairs { "llama/base", "llama/tuned" } do
   st.model { { "model.layers.0.self_attn.q_proj.weight", st.randn(48, 40, { seed = i }) } }:save(name
      .. "/model.safetensors")
end
st.model { { "decoder.bias", st.ones(4) } }:save("vae.safetensors")
LUA
stlua checkpoints.lua && rm checkpoints.lua
for m in base tuned1 tuned2; do cp b.safetensors $m.safetensors; done
cp "$FIXTURES/checkpoints/lightning.ckpt" model.ckpt
cp "$FIXTURES/checkpoints/small.gguf" llama-Q4_K_M.gguf
cp -r "$FIXTURES/checkpoints/sharded" llama/torch
block lua >script.lua
stlua script.lua && stlua info merged.safetensors | grep '^tensors'
# stlua diff tells by its status that they differ.
block | sed 's/^\(stlua diff [^#]*[^# ]\).*/\1 || test $? = 1/' >commands.sh
block yaml >config.yml
mkdir -p acme/base acme/chat acme/code
for m in base chat code; do cp b.safetensors acme/$m/model.safetensors; done
grep -vE '^(stlua|make) ' commands.sh && echo "commands that nobody runs"
make() { grep -q "^$1:.*## " "$ROOT/Makefile" || echo "no target $1"; }
HOME=$PWD
mkdir -p .local/share/bash-completion/completions
set -e
. ./commands.sh >log 2>err
sed 's/[0-9.]* KiB compressed, [0-9]* %/N compressed/; s/: [0-9.]* KiB, [0-9.]* % of/: N, N % of/; s/from [0-9.]* KiB, [0-9]* %/from N, N %/' err >&2 && rm err
grep 'equal, byte for byte' log
cat .local/share/bash-completion/completions/stlua | head -n 1
grep 'no target' log || ls
