# stlua unmix: the recipe of a merge, found again; what is no mix; sources that are equal.
cat >make.lua <<'LUA'
local st = require "stlua"
for i, file in ipairs { "a", "b", "c" } do
   local list = {}
   for layer = 0, 3 do
      for _, kind in ipairs { "attn.q_proj", "mlp.up_proj" } do
         local name = ("model.layers.%d.%s.weight"):format(layer, kind)
         local base, own = st.randn({ 40, 50 }, { seed = 0, name = name }), st.randn({ 40, 50 }, { seed = i, name = name })
         list[#list + 1] = { name, (base + 0.1 * own):cast "F16" }
      end
   end
   list[#list + 1] = { "lm_head.weight", st.randn({ 40, 10 }, { seed = i }):cast "F16" }
   list[#list + 1] = { "ids", st.arange(0, 3) }
   st.model(list):save(file .. ".safetensors")
end
local a, b = st.open "a.safetensors", st.open "b.safetensors"
st.map({ a, b }, function(name, x, y)
   local layer = tonumber(name:match("layers%.(%d)"))
   return st.lerp(x, y, layer and (layer < 2 and 0.25 or 0.6) or 0)
end):save("m.safetensors")
LUA
stlua make.lua
stlua unmix m.safetensors a.safetensors b.safetensors
stlua unmix m.safetensors a.safetensors b.safetensors c.safetensors --non-negative
stlua unmix c.safetensors a.safetensors b.safetensors
stlua unmix m.safetensors a.safetensors b.safetensors a.safetensors --only lm_head
stlua unmix m.safetensors a.safetensors b.safetensors --tensors --only '*.layers.1.*'
stlua unmix m.safetensors a.safetensors --free | tail -1
stlua unmix m.safetensors a.safetensors; echo "exit $?"
stlua unmix m.safetensors a.safetensors b.safetensors --only nothing; echo "exit $?"
stlua -e 'st.model({ { "other", st.ones(3) } }):save "other.safetensors"'
stlua unmix other.safetensors a.safetensors b.safetensors; echo "exit $?"
