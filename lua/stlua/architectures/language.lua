-- language: models of text. The columns of init.lua.

local UNDER = { "model.", "language_model.model.", "model.language_model.", "model.text_model.",
   "text_encoders.llama.transformer.model.", "text_encoders.gemma2_2b.transformer.model.",
   "text_encoders.qwen25_7b.transformer.model.", "" }
local CAUSAL = "transformers: AutoModelForCausalLM.from_pretrained(folder); vLLM; llama.cpp after conversion"
local Q, GATE = "layers.0.self_attn.q_proj.weight", "layers.0.mlp.gate_proj.weight"
local NORM, PRE = "layers.0.input_layernorm.weight", "layers.0.pre_feedforward_layernorm.weight"
local POST = "layers.0.post_attention_layernorm.weight"
local Q_NORM, Q_BIAS = "layers.0.self_attn.q_norm.weight", "layers.0.self_attn.q_proj.bias"
local LAYERS, WORDS = "layers.#.self_attn.o_proj.weight", "embed_tokens.weight"

-- A decoder with Llama's names and what tells it from others.
local function decoder(id, title, has, also, config)
   return { id = id, title = title, part = "language", under = UNDER, has = has, also = also, config = config or id,
      layers = LAYERS, embedding = WORDS, loads = CAUSAL, naming = "diffusers" }
end

local function other(id, title, under, has, layers, embedding)
   return { id = id, title = title, part = "language", under = under, has = has, config = id, layers = layers,
      embedding = embedding, loads = CAUSAL, naming = "diffusers" }
end

local function bert(id, title, under, has, layers, embedding)
   return { id = id, title = title, part = "encoder", under = under, has = has, config = id, layers = layers,
      embedding = embedding, naming = "diffusers",
      loads = "transformers: AutoModel.from_pretrained(folder); sentence-transformers" }
end

local BERT_LAYERS, BERT_WORDS = "encoder.layer.#.attention.self.query.weight", "embeddings.word_embeddings.weight"
local TYPES = "embeddings.token_type_embeddings.weight "

return {
   decoder("deepseek_v3", "DeepSeek V2 or V3", { "layers.0.self_attn.kv_a_proj_with_mqa.weight" }),
   decoder("gpt_oss", "gpt-oss", { "layers.0.self_attn.sinks" }),
   decoder("mixtral", "Mixtral", { "layers.0.block_sparse_moe.experts.0.w1.weight" }),
   decoder("gemma3", "Gemma 3", { Q, PRE, Q_NORM }, nil, "gemma3_text"),
   decoder("gemma2", "Gemma 2", { Q, PRE, "!" .. Q_NORM }),
   decoder("olmo2", "OLMo 2", { Q, Q_NORM, "layers.0.post_feedforward_layernorm.weight", "!" .. PRE }),
   decoder("qwen3_moe", "Qwen 3, mixture of experts", { Q, Q_NORM, "layers.0.mlp.experts.0.gate_proj.weight" }),
   decoder("qwen3", "Qwen 3", { Q, Q_NORM, GATE, NORM, POST, "!" .. PRE }),
   decoder("qwen2_moe", "Qwen 2, mixture of experts", { Q, Q_BIAS, "layers.0.mlp.experts.0.gate_proj.weight" }),
   decoder("qwen2", "Qwen 2", { Q, Q_BIAS, GATE, "layers.0.self_attn.k_proj.bias", "!layers.0.self_attn.o_proj.bias" }),
   decoder("gemma", "Gemma", { Q, GATE, NORM, POST, "!" .. Q_BIAS, "!" .. PRE },
      { "embed_tokens.weight [256000|256128]" }),
   decoder("mistral", "Mistral", { Q, GATE, NORM, POST, "!" .. Q_BIAS, "!" .. PRE, "!" .. Q_NORM },
      { "embed_tokens.weight [32000|32768|131072, 4096|5120]", GATE .. " [14336|32768]" }),
   decoder("cohere", "Command R", { Q, GATE, NORM, "!" .. POST }),
   decoder("llama", "Llama", { Q, GATE, NORM, POST, "!" .. Q_BIAS, "!" .. PRE, "!" .. Q_NORM }),
   decoder("phi3", "Phi 3 or 4", { "layers.0.self_attn.qkv_proj.weight", "layers.0.mlp.gate_up_proj.weight" }),
   { id = "phi", title = "Phi 1 or 2", part = "language", under = UNDER, config = "phi", embedding = WORDS,
      loads = CAUSAL,
      has = { "layers.0.self_attn.dense.weight", "layers.0.mlp.fc1.weight" }, layers = "layers.#.mlp.fc1.weight" },
   { id = "starcoder2", title = "StarCoder 2", part = "language", under = UNDER, config = "starcoder2", loads = CAUSAL,
      has = { Q, "layers.0.mlp.c_fc.weight" }, layers = LAYERS, embedding = WORDS },
   other("internlm2", "InternLM 2", UNDER, { "layers.0.attention.wqkv.weight", "layers.0.feed_forward.w1.weight" },
      "layers.#.attention.wqkv.weight", "tok_embeddings.weight"),
   other("opt", "OPT", { "model.", "" }, { "decoder.layers.0.fc1.weight", "decoder.embed_positions.weight",
      "!encoder.conv1.weight", "!encoder.layers.0.fc1.weight" }, "decoder.layers.#.fc1.weight",
      "decoder.embed_tokens.weight"),
   other("gpt2", "GPT-2", { "transformer.", "" }, { "h.0.attn.c_attn.weight", "wpe.weight" }, "h.#.attn.c_attn.weight",
      "wte.weight"),
   other("gpt_neox", "GPT-NeoX or Pythia", { "gpt_neox.", "" }, { "layers.0.attention.query_key_value.weight",
      "embed_in.weight" }, "layers.#.attention.query_key_value.weight", "embed_in.weight"),
   other("bloom", "BLOOM", { "transformer.", "" }, { "h.0.self_attention.query_key_value.weight",
      "word_embeddings_layernorm.weight" }, "h.#.self_attention.query_key_value.weight", "word_embeddings.weight"),
   other("falcon", "Falcon", { "transformer.", "" }, { "h.0.self_attention.query_key_value.weight",
      "!word_embeddings_layernorm.weight" }, "h.#.self_attention.query_key_value.weight", "word_embeddings.weight"),
   other("chatglm", "ChatGLM", { "transformer.", "" }, { "encoder.layers.0.self_attention.query_key_value.weight" },
      "encoder.layers.#.self_attention.query_key_value.weight", "embedding.word_embeddings.weight"),
   other("mamba", "Mamba", { "backbone.", "" }, { "layers.0.mixer.A_log" }, "layers.#.mixer.A_log",
      "embeddings.weight"),
   other("rwkv", "RWKV", { "rwkv.", "" }, { "blocks.0.attention.time_decay" }, "blocks.#.attention.time_decay",
      "embeddings.weight"),
   other("rwkv-native", "RWKV", { "" }, { "blocks.0.att.time_decay", "emb.weight" }, "blocks.#.att.time_decay",
      "emb.weight"),
   { id = "gguf", title = "language model in llama.cpp's names", part = "language", under = { "" },
      has = { "token_embd.weight" }, layers = "blk.#.attn_norm.weight",
      embedding = "token_embd.weight", told_by = "general.architecture" },
   { id = "t5-whole", title = "T5, encoder and decoder", part = "language", under = { "" }, config = "t5",
      has = { "encoder.block.0.layer.0.SelfAttention.q.weight", "decoder.block.0.layer.0.SelfAttention.q.weight" },
      layers = "encoder.block.#.layer.0.SelfAttention.q.weight", embedding = "shared.weight",
      loads = "transformers: AutoModelForSeq2SeqLM.from_pretrained(folder)" },

   bert("xlm-roberta", "XLM-RoBERTa", { "roberta.", "" }, { BERT_WORDS .. " [250002]",
      "encoder.layer.0.attention.self.query.weight",
      TYPES .. "[1]" }, BERT_LAYERS, BERT_WORDS),
   bert("roberta", "RoBERTa", { "roberta.", "" }, { BERT_WORDS, "encoder.layer.0.attention.self.query.weight",
      TYPES .. "[1]" }, BERT_LAYERS, BERT_WORDS),
   bert("bert", "BERT", { "bert.", "" }, { BERT_WORDS, "encoder.layer.0.attention.self.query.weight", TYPES .. "[2]" },
      BERT_LAYERS, BERT_WORDS),
   bert("electra", "ELECTRA", { "electra." }, { BERT_WORDS, "encoder.layer.0.attention.self.query.weight" },
      BERT_LAYERS,
      BERT_WORDS),
   bert("mpnet", "MPNet", { "mpnet.", "" }, { BERT_WORDS, "encoder.layer.0.attention.attn.q.weight" },
      "encoder.layer.#.attention.attn.q.weight", BERT_WORDS),
   bert("deberta-v2", "DeBERTa", { "deberta.", "" }, { "encoder.layer.0.attention.self.query_proj.weight" },
      "encoder.layer.#.attention.self.query_proj.weight", BERT_WORDS),
   bert("distilbert", "DistilBERT", { "distilbert.", "" }, { "transformer.layer.0.attention.q_lin.weight" },
      "transformer.layer.#.attention.q_lin.weight", BERT_WORDS),
   bert("modernbert", "ModernBERT", { "model.", "" }, { "layers.0.attn.Wqkv.weight",
      "embeddings.tok_embeddings.weight" },
      "layers.#.attn.Wqkv.weight", "embeddings.tok_embeddings.weight"),
   { id = "static", title = "Word vectors", part = "encoder", under = { "" }, has = { "embedding.weight [?, ?]" },
      only = 1,
      embedding = "embedding.weight", loads = "wordllama" },
   { id = "model2vec", title = "Word vectors", part = "encoder", under = { "" }, has = { "embeddings [?, ?]" },
      only = 3,
      embedding = "embeddings", loads = "model2vec: StaticModel.from_pretrained(folder)" },
}
