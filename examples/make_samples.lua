-- Makes two small models, the same on every machine: stlua make_samples.lua a.safetensors b.safetensors
local st = require "stlua"

-- A few layers in the shape of a transformer.
local LAYERS, WIDTH, WORDS = 4, 64, 256

-- Values in (-0.1, 0.1) from a linear congruential generator, as an F32 tensor.
local function random(shape, state)
   local n, parts = 1, {}
   for _, size in ipairs(shape) do n = n * size end
   for i = 1, n do
      state = (state * 1103515245 + 12345) % 2147483648
      parts[i] = string.pack("<f", (state / 2147483648 - 0.5) / 5)
   end
   return st.from_bytes("F32", shape, table.concat(parts)), state
end

local function sample(path, seed)
   local list, state = {}, seed
   local function add(name, ...)
      local t
      t, state = random({ ... }, state)
      list[#list + 1] = { name, t:cast("BF16") }
   end
   add("model.embed_tokens.weight", WORDS, WIDTH)
   for layer = 0, LAYERS - 1 do
      local prefix = ("model.layers.%d."):format(layer)
      for _, name in ipairs { "q_proj", "k_proj", "v_proj", "o_proj" } do
         add(prefix .. "self_attn." .. name .. ".weight", WIDTH, WIDTH)
      end
      add(prefix .. "mlp.up_proj.weight", 2 * WIDTH, WIDTH)
      add(prefix .. "mlp.down_proj.weight", WIDTH, 2 * WIDTH)
      add(prefix .. "norm.weight", WIDTH)
   end
   add("lm_head.weight", WORDS, WIDTH)
   local ids = {}
   for i = 0, 76 do ids[#ids + 1] = string.pack("<i8", i) end
   list[#list + 1] = { "position_ids", st.from_bytes("I64", { 1, 77 }, table.concat(ids)) }
   st.model(list, { format = "pt" }):save(path)
   print(("%s: %d tensors"):format(path, #list))
end

for i, path in ipairs { ... } do sample(path, i) end
