-- llama: Llama, Mistral, Qwen 2 and others with their tensors' names. What may change places without changing what the
-- model computes:
--   residual  the channels that all layers add to: RMS norms do not see their order
--   heads     the key and value heads, each with the query heads that share it, which keep their order; channels of a
--             value inside its head (vo). Those of queries and keys (qk) stay, for RoPE turns them in pairs
--   mlp       the inner channels of a layer's MLP
local function layer(name, ...) return { "model.layers.#." .. name, ... } end

local R = "residual"

return {
   summary = "Llama, Mistral, Qwen 2: model.layers.*.self_attn.q_proj and their like",
   tensors = { "model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight",
      "model.layers.0.mlp.gate_proj.weight", "model.norm.weight" },
   options = { head_dim = "the size of an attention head (config.json: head_dim, or hidden_size / "
      .. "num_attention_heads), or 0 to leave the heads in place" },
   kinds = { residual = {}, mlp = {}, heads = { width = "head_dim", free = { vo = true } } },
   rules = {
      { "model.embed_tokens.weight", "", R },
      { "model.norm.weight", R },
      { "lm_head.weight", "", R },
      { "lm_head.bias" },
      { "*rotary_emb.inv_freq" },
      layer("input_layernorm.weight", R),
      layer("post_attention_layernorm.weight", R),
      layer("self_attn.q_proj.weight", "%1.heads:qk", R),
      layer("self_attn.q_proj.bias", "%1.heads:qk"),
      layer("self_attn.k_proj.weight", "%1.heads:qk", R),
      layer("self_attn.k_proj.bias", "%1.heads:qk"),
      layer("self_attn.v_proj.weight", "%1.heads:vo", R),
      layer("self_attn.v_proj.bias", "%1.heads:vo"),
      layer("self_attn.o_proj.weight", R, "%1.heads:vo"),
      layer("self_attn.o_proj.bias", R),
      layer("mlp.gate_proj.weight", "%1.mlp", R),
      layer("mlp.gate_proj.bias", "%1.mlp"),
      layer("mlp.up_proj.weight", "%1.mlp", R),
      layer("mlp.up_proj.bias", "%1.mlp"),
      layer("mlp.down_proj.weight", R, "%1.mlp"),
      layer("mlp.down_proj.bias", R),
   },
}
