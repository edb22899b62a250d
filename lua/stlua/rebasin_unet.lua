--- What may change places in the U-Net of Stable Diffusion without changing what it computes, for the architectures in
-- `rebasin/`.
--
--    hidden   the channels inside a ResBlock, between its two convolutions: whole groups of its GroupNorm, and channels
--             inside a group
--    stream   the channels inside a transformer, from proj_in to proj_out: LayerNorms do not see their order; and those
--             of the embedding of time (emb)
--    heads    the heads of an attention; inside a head the channels of queries and keys (qk), those of values (vo)
--    mlp      the inner channels of a GEGLU, alike in its two halves; of the embeddings of time and label
--
-- Channels that ResBlocks hand on stay: the GroupNorms over them and over what skip connections join to them cut them
-- into groups that do not fit each other.
-- Layer: Lua, above stlua.core.

local unet = {}

local PREFIX = "model.diffusion_model."

unet.tensors = { PREFIX .. "input_blocks.1.0.in_layers.2.weight", PREFIX .. "middle_block.1.proj_in.weight" }

--- The kinds of groups.
-- @tparam table heads how heads are counted: { count = 8 } or { width = 64 }
function unet.kinds(heads)
   heads.free = { qk = true, vo = true }
   return { hidden = { count = 32, free = { gn = true } }, stream = {}, mlp = {}, heads = heads }
end

local function add(rules, name, ...) rules[#rules + 1] = { PREFIX .. name, ... } end

-- A layer's weight, and its bias, which has the first axis alone.
local function both(rules, name, ...)
   add(rules, name .. ".weight", ...)
   add(rules, name .. ".bias", (...))
end

local function add_embeddings(rules)
   both(rules, "time_embed.0", "time.mlp")
   both(rules, "time_embed.2", "emb.stream", "time.mlp")
   both(rules, "label_emb.0.0", "label.mlp")
   both(rules, "label_emb.0.2", "emb.stream", "label.mlp")
end

local function add_blocks(rules)
   both(rules, "*.in_layers.2", "%1.hidden:gn")
   both(rules, "*.emb_layers.1", "%1.hidden:gn", "emb.stream")
   both(rules, "*.out_layers.0", "%1.hidden:gn")
   both(rules, "*.out_layers.3", "", "%1.hidden:gn")
   for _, name in ipairs { "input_blocks.0.0", "*.in_layers.0", "*.skip_connection", "*.op", "*.conv", "*.norm",
      "out.0", "out.2" } do
      both(rules, name)
   end
end

local function add_attention(rules, name, context)
   local block, heads = "*.transformer_blocks.#." .. name, "%1.%2." .. name .. ".heads"
   add(rules, block .. ".to_q.weight", heads .. ":qk", "%1.stream")
   add(rules, block .. ".to_k.weight", heads .. ":qk", context)
   add(rules, block .. ".to_v.weight", heads .. ":vo", context)
   both(rules, block .. ".to_out.0", "%1.stream", heads .. ":vo")
end

--- The rules.
-- @tparam string context the group of the text encoder's channels, "" where these stay
-- @tparam {table,...} more rules behind them
function unet.rules(context, more)
   local rules = {}
   add_embeddings(rules)
   add_blocks(rules)
   both(rules, "*.proj_in", "%1.stream")
   both(rules, "*.proj_out", "", "%1.stream")
   for i = 1, 3 do both(rules, "*.transformer_blocks.#.norm" .. i, "%1.stream") end
   add_attention(rules, "attn1", "%1.stream")
   add_attention(rules, "attn2", context)
   both(rules, "*.transformer_blocks.#.ff.net.0.proj", "2*%1.%2.mlp", "%1.stream")
   both(rules, "*.transformer_blocks.#.ff.net.2", "%1.stream", "%1.%2.mlp")
   return table.move(more, 1, #more, #rules + 1, rules)
end

return unet
