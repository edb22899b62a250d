# stlua lora resize, combine, convert, info: what they print, files and folders, and there and back.
cat >make.lua <<'LUA'
local st = require "stlua"
local function adapter(path, scale)
   local list = {}
   for i, x in ipairs { "q", "k" } do
      local name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_" .. x
      list[#list + 1] = { name .. ".lora_down.weight", (st.eye(4, 8) * (scale / i)):half() }
      list[#list + 1] = { name .. ".lora_up.weight", (st.eye(8, 4) * st.tensor { 8.0, 4, 2, 1 }):half() }
      list[#list + 1] = { name .. ".alpha", st.tensor(2.0):half() }
   end
   st.model(list, { ss_network_dim = "4", ss_network_alpha = "2", ["modelspec.trigger_phrase"] = "zzcat" }):save(path)
end
adapter("a.safetensors", 1)
adapter("b.safetensors", 3)
st.model({ { "lora_unet_double_blocks_0_img_mlp_0.lora_down.weight", st.ones(2, 8) },
   { "lora_unet_double_blocks_0_img_mlp_0.lora_up.weight", st.ones(8, 2) } }):save("flux.safetensors")
LUA
stlua make.lua
stlua lora info a.safetensors
stlua lora info a.safetensors --json | grep -o '"format":"kohya"'
stlua lora resize a.safetensors --rank 2 --report table -o small.safetensors
stlua lora resize a.safetensors --energy 0.9 -o small.safetensors
stlua info --tensors small.safetensors
stlua lora combine a.safetensors:0.5 b.safetensors:-0.25 -o both.safetensors
stlua lora combine a.safetensors:0.5 b.safetensors:-0.25 --rank 3 --to peft -o both; ls both
stlua lora convert a.safetensors --to diffusers
stlua lora convert a-diffusers.safetensors --to kohya -o back.safetensors; cmp a.safetensors back.safetensors && echo same
stlua lora convert a.safetensors --to peft -o folder; stlua lora convert folder --to kohya -o back.safetensors
cmp a.safetensors back.safetensors && echo same; cat folder/adapter_config.json; echo
for words in 'combine a.safetensors flux.safetensors' 'combine a.safetensors:x' 'resize a.safetensors' 'convert a.safetensors' \
   'resize make.lua --rank 2' 'convert a.safetensors --to diffusers --model flux.safetensors'; do
   stlua lora $words -o no.safetensors; echo "exit $?"
done
ls
