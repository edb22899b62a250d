# stlua lora apply and extract: strengths, in and out again, certificates, and what is refused: nothing is written then.
cat >make.lua <<'LUA'
local st = require "stlua"
local q, te = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight",
   "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight"
local base = st.model { { "model.diffusion_model.input_blocks.0.0.weight", st.ones(4, 4, 3, 3) }, { q, st.ones(8, 8) },
   { te, st.ones(8, 8) } }
base:save "sd.safetensors"
local tuned = st.map(base, function(name, w)
   return w:ndim() == 2 and w + (st.eye(8) * st.tensor { 8.0, 4, 2, 1, 0, 0, 0, 0 }):roll(#name % 3) or w
end)
tuned:save "tuned.safetensors"
local unet, text = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
   "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
local function save(path, module, up, more)
   local list = { { module .. ".lora_down.weight", st.eye(2, 8) }, { module .. ".lora_up.weight", up },
      { module .. ".alpha", st.tensor(1.0) }, more }
   st.model(list):save(path)
end
save("a.safetensors", unet, st.eye(8, 2))
save("b.safetensors", text, st.eye(8, 2))
save("typo.safetensors", unet:gsub("attn1", "atn1"), st.eye(8, 2), { "bundle_emb.cat.clip_l", st.ones(2, 4) })
save("nan.safetensors", unet, st.full({ 8, 2 }, 0 / 0))
save("shape.safetensors", unet, st.ones(7, 2))
save("rank.safetensors", unet, st.ones(8, 3))
save("wan.safetensors", "lora_unet_blocks_0_cross_attn_q", st.ones(8, 2))
local peft = "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
st.model({ { peft .. ".lora_A.weight", st.ones(2, 8) }, { peft .. ".lora_B.weight", st.ones(8, 2) } }):save "peft.safetensors"
LUA
stlua make.lua
stlua lora apply sd.safetensors a.safetensors:0.5 b.safetensors:2:0.25 -o merged.safetensors
stlua -e 'for name, t in pairs(st.open "merged.safetensors") do if t:ndim() == 2 then print(name:match "[%w_]+.weight", t[1][1]) end end'
stlua lora apply merged.safetensors a.safetensors:0.5 b.safetensors:2:0.25 --invert -o back.safetensors --no-recipe
stlua -e 'for name, t in pairs(st.open "back.safetensors") do assert(t:identical(st.open("sd.safetensors")[name])) end'
stlua lora extract sd.safetensors tuned.safetensors -o lora.safetensors --rank 3 --dtype F32 --report
stlua lora extract sd.safetensors tuned.safetensors -o lora.safetensors --energy 0.9 --report plot
stlua lora extract sd.safetensors tuned.safetensors -o lora.safetensors --max-rank 2 --report json | grep -c '"rank": 2'
stlua lora apply sd.safetensors lora.safetensors -q -o z.safetensors && rm z.safetensors
for words in typo.safetensors nan.safetensors shape.safetensors rank.safetensors wan.safetensors peft.safetensors sd.safetensors \
   a.safetensors:x a.safetensors:1:x 'a.safetensors --block-weights IN77=1' none.safetensors; do
   stlua lora apply sd.safetensors $words -o no.safetensors; echo "exit $?"
done
for words in 'sd.safetensors a.safetensors' 'sd.safetensors' 'sd.safetensors sd.safetensors' \
   'sd.safetensors tuned.safetensors --rank 2 --energy 0.5' 'sd.safetensors tuned.safetensors --only *atn*' \
   'sd.safetensors tuned.safetensors --report all'; do
   stlua lora extract $words -o no.safetensors; echo "exit $?"
done
stlua lora extract sd.safetensors tuned.safetensors -o lora.safetensors --no-replace
ls
