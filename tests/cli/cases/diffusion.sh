# stlua merge on checkpoints of Stable Diffusion: what is merged, copied and left out; a VAE; recipes that run again.
cat >make.lua <<'LUA'
local st = require "stlua"
-- A checkpoint in which each tensor holds one value throughout, `value` in the U-Net and the text encoder.
local function make(path, value, more)
   local list = {}
   local function add(name, v, dtype, ...)
      list[#list + 1] = { name, st.full({ ... }, v, { dtype = dtype or "F16" }):clone() }
   end
   local unet = "model.diffusion_model."
   for i = 0, 11 do
      add(unet .. ("input_blocks.%d.1.attn1.weight"):format(i), value, "F16", 2, 2)
      add(unet .. ("output_blocks.%d.1.attn2.weight"):format(i), value, "F16", 2, 2)
   end
   add(unet .. "input_blocks.0.0.weight", value, "F16", 2, more.channels or 4, 3, 3)
   add(unet .. "middle_block.1.weight", value, "F16", 2)
   add(unet .. "time_embed.0.weight", value, "F16", 2)
   add(unet .. "out.2.bias", value, "F16", 4)
   add("cond_stage_model.transformer.text_model.embeddings.position_ids", 7, "I64", 1, 3)
   add("cond_stage_model.transformer.text_model.final_layer_norm.weight", value, "F16", 2)
   add("cond_stage_model.model.logit_scale", value, "F32")
   add("first_stage_model.decoder.conv_in.weight", value, "F16", 2)
   add("first_stage_model.encoder.conv_in.weight", value, "F16", 2)
   if more.waste then
      add("model_ema.diffusion_modelout2bias", value, "F16", 4)
      add("model_ema.num_updates", more.waste, "I32")
      add("alphas_cumprod", value, "F32", 4)
   end
   if more.v then add("v_pred", 0, "F32", 0) end
   st.model(list, { format = "pt" }):save(path)
end
make("a.safetensors", 1, { waste = 5 })
make("b.safetensors", 2, {})
make("c.safetensors", 4, { waste = 6, v = true })
make("inpaint.safetensors", 1, { channels = 9 })
st.model { { "decoder.conv_in.weight", st.full({ 2 }, 9.0) },
   { "encoder.conv_in.weight", st.full({ 2 }, 8.0) }, { "loss.logvar", st.full({ 2 }, 9.0) } }:save("vae.safetensors")
LUA
stlua make.lua
cat >show.lua <<'LUA'
local st = require "stlua"
local m = st.open((...))
local function show(name) print(name, m:find(name) and table.concat(m[name]:values(1, m[name]:numel()), " ") or "not there") end
for _, block in ipairs { "input_blocks.0.1.attn1", "input_blocks.5.1.attn1", "output_blocks.3.1.attn2",
   "output_blocks.11.1.attn2", "middle_block.1", "time_embed.0" } do
   local t = m["model.diffusion_model." .. block .. ".weight"]
   print(block, t:values(1, 1)[1])
end
for _, name in ipairs { "first_stage_model.decoder.conv_in.weight", "first_stage_model.encoder.conv_in.weight",
   "cond_stage_model.model.logit_scale", "cond_stage_model.transformer.text_model.embeddings.position_ids",
   "model_ema.num_updates", "alphas_cumprod", "v_pred" } do show(name) end
LUA
echo "--- plain: all is averaged but EMA, the schedule, ids and logit_scale"
stlua merge a.safetensors b.safetensors -o plain.safetensors && stlua show.lua plain.safetensors
echo "--- method: the VAE is A's"
stlua merge a.safetensors b.safetensors --base c.safetensors --method add_difference --alpha 0.5 -o ad.safetensors &&
   stlua show.lua ad.safetensors
stlua cat ad.safetensors first_stage_model.decoder.conv_in.weight --text
echo "--- with a VAE, and pruned"
stlua merge a.safetensors b.safetensors --method weighted_sum --alpha 0.25 --vae vae.safetensors --prune -o vae-merged.safetensors &&
   stlua show.lua vae-merged.safetensors
echo "--- blocks"
stlua merge a.safetensors b.safetensors --block-weights GRAD_V -o grad.safetensors && stlua show.lua grad.safetensors
stlua merge a.safetensors b.safetensors --alpha 0.5 --block-weights 'IN00-IN03=0,OUT*=1,OUT11:attn2:0.25' -o blocks.safetensors &&
   stlua show.lua blocks.safetensors
echo "--- inpainting"
stlua merge inpaint.safetensors b.safetensors --alpha 0.5 -o in.safetensors &&
   stlua -e 'local t = st.open("in.safetensors")["model.diffusion_model.input_blocks.0.0.weight"]
      print(st.json.encode(t:shape()), t[{1,4,1,1}], t[{1,5,1,1}])'
stlua merge b.safetensors inpaint.safetensors --alpha 0.5 -o in.safetensors; echo "exit $?"
echo "--- a sweep of a method"
stlua merge a.safetensors b.safetensors --method geometric --alpha 0.25,0.75 -o 'g-{alpha}.safetensors'
echo "--- dry run"
dry() { stlua merge "$@" --dry-run 2>&1 | sed 's/free .*/free .../'; }
dry a.safetensors b.safetensors --base c.safetensors --method add_difference --dtype F32 -o nowhere.safetensors
dry a.safetensors b.safetensors --base c.safetensors --method peft_ties --density 3 -o nowhere.safetensors
dry a.safetensors inpaint.safetensors absent.safetensors -o nowhere.safetensors
dry a.safetensors inpaint.safetensors --method triple_sum --alpha 0.5 -o nowhere.safetensors
dry a.safetensors b.safetensors --method weighted_sum --density 0.5 --beta x --weights 1,2,3 -o nowhere.safetensors
dry a.safetensors b.safetensors --method weigthed_sum
dry a.safetensors b.safetensors --block-weights GRAD_W
dry a.safetensors b.safetensors --block-weights 1,2,3
dry a.safetensors c.safetensors --block-weights beta=GRAD_V
ls nowhere* 2>&1
echo "--- a sweep with a base, dry and wet; block weights given twice; a base without a VAE"
dry a.safetensors b.safetensors --base c.safetensors --method add_difference --alpha 0.5,0.6 -o 'nowhere-{alpha}.safetensors'
stlua -q merge a.safetensors b.safetensors --block-weights 'IN*=0' --block-weights 'OUT*=0' -o twice.safetensors
stlua -q merge a.safetensors b.safetensors --block-weights 'IN*=0,OUT*=0' -o once.safetensors
stlua -q diff twice.safetensors once.safetensors >/dev/null && echo "the same"
stlua -e 'st.open("c.safetensors"):without("first_stage_model.*"):save("novae.safetensors")'
stlua merge a.safetensors b.safetensors --base novae.safetensors --method ties --weight 0.5 -o with-vae.safetensors
stlua -e 'print(#st.open("with-vae.safetensors"):select("first_stage_model.*"))'
rm -f twice.safetensors once.safetensors novae.safetensors with-vae.safetensors
echo "--- reproduce"
mkdir sub && for f in plain ad vae-merged grad g-0.75; do mv $f.safetensors sub; done
for f in plain ad vae-merged grad g-0.75; do stlua reproduce sub/$f.safetensors --models-dir .; done
cp sub/ad.safetensors . && stlua reproduce ad.safetensors -o again.safetensors && cmp ad.safetensors again.safetensors
stlua reproduce sub/ad.safetensors; echo "exit $?"
stlua reproduce a.safetensors; echo "exit $?"
stlua -e 'local m = st.open("ad.safetensors"); m:with_metadata { title = "x" }:save("edited.safetensors")
   local x = st.model({}, m:metadata()); for n, t in pairs(m) do x:set(n, n == "model.diffusion_model.out.2.bias" and t:clone():fill_(5) or t) end
   x:save("changed.safetensors")'
stlua reproduce edited.safetensors; echo "exit $?"
stlua reproduce changed.safetensors; echo "exit $?"
stlua -e 'local m = st.open("b.safetensors"); m:rename("time_embed", "time_embedding"):save("b.safetensors")'
stlua reproduce ad.safetensors; echo "exit $?"
ls
