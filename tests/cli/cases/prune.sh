# stlua prune, split and join: what goes, EMA in place, a VAE out and in, position_ids repaired; shards and components.
cat >make.lua <<'LUA'
local st = require "stlua"
local list = {}
local function add(name, v, dtype, ...)
   list[#list + 1] = { name, st.full({ ... }, v, { dtype = dtype }):clone() }
end
add("model.diffusion_model.input_blocks.0.0.weight", 1, "F16", 4, 4, 3, 3)
add("model.diffusion_model.out.2.bias", 1, "F16", 4)
add("model_ema.diffusion_modelinput_blocks00weight", 2, "F32", 4, 4, 3, 3)
add("model_ema.diffusion_modelout2bias", 2, "F32", 4)
add("model_ema.num_updates", 7, "I32")
add("first_stage_model.decoder.conv_in.weight", 3, "F16", 2, 2)
add("first_stage_model.encoder.conv_in.weight", 3, "F16", 2, 2)
add("cond_stage_model.transformer.text_model.final_layer_norm.weight", 4, "F16", 4)
add("alphas_cumprod", 5, "F32", 1000)
add("optimizer_states.0.exp_avg", 6, "F32", 100)
add("v_pred", 0, "F32", 0)
list[#list + 1] = { "cond_stage_model.transformer.text_model.embeddings.position_ids",
   st.tensor { { 0, 0.9995, 2, 2.998, 4 } }:cast "F16" }
st.model(list, { format = "pt", ["modelspec.hash_sha256"] = "0xabc" }):save("a.safetensors")
st.model { { "decoder.conv_in.weight", st.full({ 2, 2 }, 9.0) },
   { "encoder.conv_in.weight", st.full({ 2, 2 }, 8.0) }, { "loss.logvar", st.ones(2) } }:save("vae.safetensors")
st.model { { "layers.0.w", st.ones(3) }, { "betas", st.ones(3) }, { "optimizer_states.0.x", st.ones(3) } }:save("llm.safetensors")
LUA
stlua make.lua
show() { cat >show.lua <<'LUA'
local m = require("stlua").open((...))
for n, t in pairs(m) do print(t:dtype(), n, t:numel() > 0 and t:values(1, 1)[1] or "") end
LUA
stlua show.lua "$1"; }
echo "--- prune"
stlua prune a.safetensors && show a-pruned.safetensors
stlua cat a-pruned.safetensors cond_stage_model.transformer.text_model.embeddings.position_ids --text
stlua info a-pruned.safetensors | grep -c modelspec
echo "--- EMA"
stlua prune a.safetensors --ema use --dtype F32 -o ema.safetensors && show ema.safetensors
stlua prune a.safetensors --ema keep --keep alphas --drop v_pred -o keep.safetensors && show keep.safetensors
stlua prune a-pruned.safetensors --ema use -o x.safetensors; echo "exit $?"
stlua prune a-pruned.safetensors -o again.safetensors && cmp a-pruned.safetensors again.safetensors
echo "--- VAE"
stlua prune a.safetensors --bake-vae vae.safetensors -o baked.safetensors && show baked.safetensors
stlua prune a.safetensors --extract vae && show a-vae.safetensors
stlua prune a.safetensors --extract clip -o clip.safetensors && show clip.safetensors
stlua prune a.safetensors --extract unet --whole-names -o unet.safetensors && show unet.safetensors
stlua prune a.safetensors --extract clip_g -o x.safetensors; echo "exit $?"
stlua prune vae.safetensors --bake-vae a.safetensors -o x.safetensors; echo "exit $?"
echo "--- other models lose the state of training only"
stlua prune llm.safetensors && show llm-pruned.safetensors
echo "--- components"
stlua split a.safetensors --components -o 'p-{component}.safetensors' && for f in p-*; do echo $f; show $f; done
stlua split llm.safetensors --components; echo "exit $?"
stlua split a.safetensors --components -o x.safetensors; echo "exit $?"
echo "--- shards"
stlua split a.safetensors -o sharded --shards 2 && ls sharded
stlua join sharded -o joined.safetensors && cmp a.safetensors joined.safetensors
stlua join sharded/model-0000*.safetensors -o joined.safetensors && stlua diff a.safetensors joined.safetensors
stlua join --partial sharded/model-00002-of-00002.safetensors sharded/model-00002-of-00002.safetensors -o x.safetensors; echo "exit $?"
stlua split a.safetensors -o three --shards 3; echo "exit $?"
stlua split a.safetensors -o small --max-shard-size 1kB && ls small
stlua join small/model-00001-of-0000*.safetensors small/model-00003-of-0000*.safetensors -o x.safetensors; echo "exit $?"
stlua join --partial small/model-00001-of-0000*.safetensors -o partial.safetensors -q; echo "exit $?"
cp -R sharded torn && rm torn/model-00002-of-00002.safetensors
stlua join torn -o x.safetensors; echo "exit $?"
stlua join torn --partial -o partial.safetensors; echo "exit $?"
stlua join torn --partial -o torn/model-00001-of-00002.safetensors; echo "exit $?"
stlua split a.safetensors -o many --shards 100; echo "exit $?"
stlua split a.safetensors --shards 2 --max-shard-size 1kB; echo "exit $?"
echo "--- what is read is not replaced by a part of it"
cp a.safetensors unet.safetensors; sum() { cksum <unet.safetensors; }; before=$(sum)
stlua split unet.safetensors --components -o "{component}.safetensors"; echo "exit $?"
stlua prune unet.safetensors --extract vae -o unet.safetensors -q; echo "exit $?"
stlua join sharded -o sharded/model-00001-of-00002.safetensors; echo "exit $?"
test "$(sum)" = "$before" && echo same
stlua prune a.safetensors --saturate -o x.safetensors; echo "exit $?"
ls x.safetensors 2>&1
