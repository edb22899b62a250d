"""mergekit_configs.py - the same YAML in mergekit and in `stlua merge`: tensors, names, config, and what loads.

Small Llama models, a base and fine-tunes of it, are made for the purpose. mergekit runs in this process, offline.
"""
import json
import logging
import os
import re
import warnings

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TQDM_DISABLE="1",
                  HF_HUB_DISABLE_PROGRESS_BARS="1")
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import torch
import transformers
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
from mergekit.scripts import multimerge
from safetensors import safe_open
from tokenizers import Tokenizer, models, pre_tokenizers

import tap

torch.set_num_threads(2)
transformers.logging.set_verbosity_error()
ROOT = os.path.realpath(tap.scratch())
os.chdir(ROOT)

HIDDEN, LAYERS, VOCAB = 32, 4, 48


# ---------------------------------------------------------------- models

def tokenizer(path, words):
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    vocab.update({word: i + 3 for i, word in enumerate(words)})
    tok = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tok.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tok, unk_token="<unk>", bos_token="<s>",
                                                eos_token="</s>")
    fast.save_pretrained(path)


def words(n=VOCAB - 3):
    return [f"w{i}" for i in range(n)]


def make(name, seed, base=None, layers=LAYERS, dtype=torch.float32, tied=False, shard="5GB", amount=0.1):
    """A model in its folder; of a base, a fine-tune of it."""
    config = transformers.LlamaConfig(
        vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=2 * HIDDEN, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=tied)
    torch.manual_seed(seed)
    model = transformers.LlamaForCausalLM(config)
    if base is not None:
        model.load_state_dict(base.state_dict())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (amount if base is not None else 0.5))
    model.to(dtype).save_pretrained(name, max_shard_size=shard)
    tokenizer(name, words())
    return model.float()


def tensors(folder):
    out = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            with safe_open(os.path.join(folder, name), "pt") as f:
                for key in f.keys():
                    out[key] = f.get_tensor(key)
    return out


# ---------------------------------------------------------------- comparing

def mergekit_run(text, out):
    options = MergeOptions(quiet=True, allow_crimes=False, lora_merge_cache="adapters-merged")
    run_merge(MergeConfiguration.model_validate(yaml.safe_load(text)), out, options, config_source=text)


def difference(a, b):
    """Largest difference, relative to the largest magnitude of the tensor."""
    a, b = a.double(), b.double()
    scale = max(a.abs().max().item(), 1e-30)
    return (a - b).abs().max().item() / scale


def flips(a, b, limit):
    """The share of elements that are others: a choice at a threshold, which rounding decides."""
    return ((a - b).abs() > limit * a.abs().max()).double().mean().item()


def compare_tensors(title, theirs, ours, limit, extra=(), flipped=0):
    missing = sorted(set(theirs) - set(ours) - set(extra))
    added = sorted(set(ours) - set(theirs))
    if not tap.check(not missing and not added, f"{title}: names", f"missing {missing[:5]}, added {added[:5]}"):
        return
    odd = [k for k in ours if ours[k].dtype != theirs[k].dtype or ours[k].shape != theirs[k].shape]
    tap.check(not odd, f"{title}: dtypes and shapes", odd[:5])
    if odd:
        return
    if flipped:
        worst = max((flips(theirs[k], ours[k], limit), k) for k in ours)
        tap.check(worst[0] <= flipped, f"{title}: all but {flipped:.1%} within {limit:g}",
                  f"{worst[0]:.3g} in {worst[1]}")
        return
    worst = max((difference(theirs[k], ours[k]), k) for k in ours)
    tap.check(worst[0] <= limit, f"{title}: values within {limit:g}", f"{worst[0]:.3g} in {worst[1]}")


KEYS = ("num_hidden_layers", "vocab_size", "hidden_size", "tie_word_embeddings", "model_type", "architectures")


def compare_configs(title, theirs, ours):
    a, b = (transformers.AutoConfig.from_pretrained(f) for f in (theirs, ours))
    odd = [k for k in KEYS if getattr(a, k, None) != getattr(b, k, None)]
    # Where neither dtype nor out_dtype is given, mergekit's is that of any of the models.
    stored = {t.dtype for t in tensors(ours).values()}
    theirs_fits = {t.dtype for t in tensors(theirs).values()} == {a.dtype}
    if b.dtype not in stored or (theirs_fits and a.dtype != b.dtype):
        odd.append(f"dtype: {a.dtype} {b.dtype}, stored {stored}")
    tap.check(not odd, f"{title}: config.json", odd)


def compare_files(title, theirs, ours):
    want = {f for f in os.listdir(theirs) if not f.endswith((".safetensors", ".index.json"))}
    have = set(os.listdir(ours))
    tap.check(want <= have, f"{title}: files beside the weights", sorted(want - have))


def loads(title, folder):
    """transformers takes every tensor from the file, and the model computes."""
    model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    bad = {k: sorted(map(str, v)) for k, v in info.items() if v}
    tap.check(not bad, f"{title}: from_pretrained finds all", bad)
    logits = model(torch.tensor([[1, 5, 7]])).logits
    tap.check(bool(torch.isfinite(logits).all()), f"{title}: the model computes")
    tok = transformers.AutoTokenizer.from_pretrained(folder)
    tap.check(tok("w1 w2")["input_ids"] == [4, 5], f"{title}: the tokenizer works", tok("w1 w2"))


count = 0


def case(title, text, limit=1e-6, flags=(), extra=(), flipped=0):
    global count
    count += 1
    config, theirs, ours = f"case{count}.yml", f"case{count}.theirs", f"case{count}.ours"
    with open(config, "w") as f:
        f.write(text)
    result = tap.stlua("merge", config, ours, "--no-sync", *flags)
    if not tap.check(result.returncode == 0, f"{title}: stlua", result.stderr):
        return None
    mergekit_run(text, theirs)
    compare_tensors(title, tensors(theirs), tensors(ours), limit, extra, flipped)
    compare_configs(title, theirs, ours)
    compare_files(title, theirs, ours)
    loads(title, ours)
    return ours


def per_model(values, key="weight", base=True):
    lines = ["models:"]
    if base:
        lines.append("  - model: ./base")
    for name, value in zip("abc", values):
        lines += [f"  - model: ./{name}", f"    parameters: {{ {key}: {value} }}"]
    return "\n".join(lines) + "\n"


def adapter(name, model, **options):
    """A PEFT adapter for a model, in its folder."""
    from peft import LoraConfig, get_peft_model
    with_lora = get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(model),
                               LoraConfig(r=4, lora_alpha=6, task_type="CAUSAL_LM", **options))
    with torch.no_grad():
        for key, parameter in with_lora.named_parameters():
            if "lora_" in key:
                parameter.normal_(0, 0.1)
    with_lora.save_pretrained(name)


# ---------------------------------------------------------------- the cases

# All methods, over ./base with these models, parameters of the whole, and those of each model.
METHODS = [
    ("ties", "abc", "density: 0.4", 1e-6), ("dare_ties", "ab", "density: 1", 1e-6),
    ("dare_linear", "ab", "density: 1", 1e-6), ("breadcrumbs", "abc", "density: 0.6, gamma: 0.05", 1e-6),
    ("breadcrumbs_ties", "abc", "density: [0.9, 0.6], gamma: 0.05", 1e-6), ("della", "ab", "density: 1", 1e-6),
    ("della_linear", "ab", "density: 1", 1e-6), ("slerp", "a", "t: [0, 0.4, 1]", 1e-5),
    ("nearswap", "a", "t: 0.02", 1e-5), ("arcee_fusion", "a", "", 1e-5), ("sce", "abc", "select_topk: 0.5", 1e-5),
    ("ram", "abc", "epsilon: 0.05", 1e-5), ("ramplus_tl", "abc", "epsilon: 0.05", 1e-5),
    ("model_stock", "abc", "filter_wise: [false, true]", 1e-5), ("nuslerp", "ab", "nuslerp_flatten: false", 1e-5),
    ("multislerp", "abc", "", 1e-5), ("karcher", "ab", "max_iter: 20", 1e-5),
]


def methods():
    for name, models, extra_parameters, limit in METHODS:
        text = "base_model: ./base\nmodels:\n" + "".join(
            f"  - {{ model: ./{m}, parameters: {{ weight: {0.7 - 0.2 * i:.1f} }} }}\n" for i, m in enumerate(models))
        case(name, text + f"merge_method: {name}\ndtype: float32\nparameters: {{ {extra_parameters} }}\n", limit,
             flipped=0.005 if name == "arcee_fusion" else 0)

def adapters():
    adapter("lora", "base", target_modules=["q_proj", "down_proj"])
    adapter("dora", "a", target_modules=["v_proj"], use_dora=True)
    case("model+lora", "models:\n  - { model: ./a+./dora, parameters: { weight: 0.6 } }\n"
         "  - { model: ./base+./lora, parameters: { weight: 0.4 } }\nmerge_method: linear\ndtype: float32\n")
    case("a model with and without an adapter", "base_model: ./base\nmodels:\n"
         "  - { model: ./base+./lora, parameters: { weight: 0.6 } }\n  - { model: ./b, parameters: { weight: 0.4 } }\n"
         "merge_method: task_arithmetic\ndtype: float32\n")


def forms():
    case("linear", per_model([0.5, 0.3, 0.2], base=False) + "merge_method: linear\ndtype: float32\n")
    case("linear, not normalised",
         per_model([0.5, 0.3, 0.4], base=False)
         + "merge_method: linear\ndtype: float32\nparameters: { normalize: no }\n")
    case("linear over a base", "base_model: ./base\nparameters: { weight: 0.5 }\n" + per_model([0.6, 0.2], base=False)
         + "merge_method: linear\ndtype: float32\n")
    case("task_arithmetic", "base_model: ./base\n" + per_model([0.6, 0.4, -0.2])
         + "merge_method: task_arithmetic\ndtype: float32\nparameters: { lambda: 0.7 }\n")
    case("task_arithmetic, the base not listed", "base_model: ./base\n" + per_model([0.6, 0.4], base=False)
         + "merge_method: task_arithmetic\ndtype: float32\n")
    case("ties", "base_model: ./base\n" + per_model([0.6, "1e-1", 0.3])
         + "merge_method: ties\ndtype: float32\nparameters: { int8_mask: true, density: 1.0 }\n")
    case("slices", """
slices:
  - sources:
      - { model: ./a, layer_range: [0, 4], parameters: { weight: 0.3 } }
      - { model: ./b, layer_range: [0, 4] }
merge_method: linear
dtype: float32
parameters: { weight: 0.7 }
""")
    case("modules", """
modules:
  default:
    parameters: { weight: 0.25 }
    models:
      - model: ./a
      - { model: ./b, parameters: { weight: [0, 1] } }
merge_method: linear
dtype: float32
parameters: { weight: 5 }
""")


def parameters():
    case("gradients", """
base_model: ./base
models:
  - { model: ./a, parameters: { weight: [0, 0.3, 1] } }
  - { model: ./b, parameters: { weight: [1, 0.2] } }
merge_method: task_arithmetic
dtype: float32
parameters: { lambda: [0.5, 1.0] }
""")
    case("filters", """
base_model: ./base
models:
  - model: ./a
    parameters:
      weight:
        - { filter: mlp, value: [0.1, 0.9] }
        - { filter: self_attn, value: 0.4 }
        - { filter: layers.2., value: -1 }
        - { value: 0.25 }
  - model: ./b
    parameters:
      weight: { filter: norm, value: 0.5 }
merge_method: task_arithmetic
dtype: float32
parameters:
  weight:
    - { filter: "*", value: 0.125 }
""")
    case("precedence", """
slices:
  - sources:
      - { model: ./a, layer_range: [0, 2], parameters: { weight: 0.9 } }
      - { model: ./b, layer_range: [0, 2], parameters: { weight: { filter: mlp, value: 0.8 } } }
    parameters: { weight: { filter: self_attn, value: [0.1, 0.6] } }
  - sources:
      - { model: ./a, layer_range: [2, 4] }
      - { model: ./c, layer_range: [2, 4] }
    parameters: { normalize: false }
merge_method: linear
dtype: float32
parameters: { weight: 0.3, normalize: true }
""")


def franken():
    ours = case("frankenmerge", """
slices:
  - sources: [{ model: ./a, layer_range: [0, 3] }]
  - sources: [{ model: ./b, layer_range: [1, 4] }]
  - sources: [{ model: ./a, layer_range: [2, 4] }]
merge_method: passthrough
dtype: float32
""")
    if ours:
        a, out = tensors("a"), tensors(ours)
        tap.check(torch.equal(out["model.layers.7.mlp.up_proj.weight"], a["model.layers.3.mlp.up_proj.weight"]),
                  "frankenmerge: untouched layers keep their bits")
    case("scaled layers", """
slices:
  - sources: [{ model: ./a, layer_range: [0, 2] }]
  - sources:
      - model: ./a
        layer_range: [1, 3]
        parameters:
          scale:
            - { filter: o_proj, value: 0.0 }
            - { filter: down_proj, value: 0.5 }
            - value: 1.0
  - sources: [{ model: ./b, layer_range: [2, 4] }]
merge_method: passthrough
dtype: float32
""")
    ours = case("an empty last slice gives norm and head", """
slices:
  - sources: [{ model: ./a, layer_range: [0, 4] }]
  - sources: [{ model: ./b, layer_range: [4, 4] }]
merge_method: passthrough
dtype: float32
""")
    if ours:
        tap.check(torch.equal(tensors(ours)["lm_head.weight"], tensors("b")["lm_head.weight"]),
                  "an empty last slice: the head is its")
    case("layers of one model against others of another", """
slices:
  - sources:
      - { model: ./a, layer_range: [0, 2], parameters: { weight: [0.2, 0.6] } }
      - { model: ./b, layer_range: [2, 4], parameters: { weight: 0.5 } }
  - sources:
      - { model: ./c, layer_range: [3, 4], parameters: { weight: [0.2, 0.7] } }
      - { model: ./b, layer_range: [0, 1], parameters: { weight: 0.5 } }
merge_method: linear
dtype: float32
""")
    case("slerp", """
slices:
  - sources:
      - { model: ./a, layer_range: [0, 4] }
      - { model: ./b, layer_range: [0, 4] }
base_model: ./a
merge_method: slerp
dtype: float32
parameters:
  t:
    - { filter: self_attn, value: [0, 0.5, 0.3, 0.7, 1] }
    - { filter: mlp, value: [1, 0.5, 0.7, 0.3, 0] }
    - value: 0.5
""", limit=1e-5)


def dtypes():
    case("out_dtype bfloat16", per_model([0.5, 0.5], base=False)
         + "merge_method: linear\ndtype: float32\nout_dtype: bfloat16\n", limit=2 ** -8)
    case("dtype casts at load", per_model([1, 0], base=False)
         + "merge_method: linear\ndtype: bfloat16\nout_dtype: float32\n", limit=2 ** -8)
    case("no dtype: promotion of bfloat16 and float16",
         "models:\n  - { model: ./bf, parameters: { weight: 0.5 } }\n  - { model: ./hf, parameters: { weight: 0.5 } }\n"
         "merge_method: linear\n")
    case("sharded input", "models:\n  - { model: ./sharded, parameters: { weight: 0.5 } }\n"
         "  - { model: ./a, parameters: { weight: 0.5 } }\nmerge_method: linear\ndtype: float32\n")
    ours = case("sharded output", per_model([0.5, 0.5], base=False) + "merge_method: linear\ndtype: float32\n",
                flags=["--out-shard-size", "50k"])
    tap.check(ours and os.path.exists(f"{ours}/model.safetensors.index.json"), "sharded output: an index")


def tied():
    text = ("models:\n  - { model: ./tied1, parameters: { weight: 0.5 } }\n"
            "  - { model: ./tied2, parameters: { weight: 0.5 } }\nmerge_method: linear\ndtype: float32\n")
    ours = case("tied heads", text, extra=["lm_head.weight"])
    tap.check(ours and "lm_head.weight" not in tensors(ours), "tied heads: written once")
    # mergekit writes the head and leaves the config tied, so that transformers would not read it.
    with open("half.yml", "w") as f:
        f.write("base_model: ./tied1\nmodels:\n  - { model: ./tied1, parameters: { weight: 0.5 } }\n"
                "  - { model: ./a, parameters: { weight: 0.5 } }\nmerge_method: linear\ndtype: float32\n")
    result = tap.stlua("merge", "half.yml", "half", "--no-sync")
    tap.check(result.returncode == 0, "a tied and an untied model", result.stderr)
    mergekit_run(open("half.yml").read(), "half.theirs")
    compare_tensors("a tied and an untied model", tensors("half.theirs"), tensors("half"), 1e-6)
    tap.check(json.load(open("half/config.json"))["tie_word_embeddings"] is False,
              "a head of its own: the config says so")
    loads("a tied and an untied model", "half")


def documents():
    text = """
name: first
base_model: ./base
models:
  - { model: ./a, parameters: { weight: 0.5 } }
  - { model: ./b, parameters: { weight: 0.25 } }
merge_method: task_arithmetic
dtype: float32
---
models:
  - { model: first, parameters: { weight: 0.6 } }
  - { model: second, parameters: { weight: 0.4 } }
merge_method: linear
dtype: float32
---
name: second
slices:
  - sources: [{ model: ./c, layer_range: [0, 2] }]
  - sources: [{ model: ./a, layer_range: [2, 4] }]
merge_method: passthrough
dtype: float32
"""
    with open("multi.yml", "w") as f:
        f.write(text)
    before = set(os.listdir("."))
    result = tap.stlua("merge", "multi.yml", "multi", "--no-sync", "-I", "between")
    tap.check(result.returncode == 0, "documents: stlua", result.stderr)
    tap.check(set(os.listdir(".")) - before == {"multi"}, "documents: no intermediate files")
    multimerge.main(["multi.yml", "-I", "between", "--out-path", "multi.theirs", "--no-write-model-card"],
                    standalone_mode=False)
    compare_tensors("documents", tensors("multi.theirs"), tensors("multi"), 1e-6)
    compare_configs("documents", "multi.theirs", "multi")
    loads("documents", "multi")


def tokenizers():
    linear = per_model([0.5, 0.5], base=False) + "merge_method: linear\ndtype: float32\n"
    case("tokenizer_source: base", "base_model: ./base\nparameters: { weight: 1 }\ntokenizer_source: base\n" + linear)
    case("tokenizer_source: union of equals", linear + "tokenizer_source: union\n")
    case("tokenizer: source", linear + "tokenizer: { source: ./b }\n")
    template = "{{ messages[0].content }} and more"
    ours = case("chat_template", linear + f"tokenizer_source: union\nchat_template: '{template}'\n")
    if ours:
        tok = transformers.AutoTokenizer.from_pretrained(ours)
        tap.check(tok.chat_template == template, "chat_template: transformers reads it", tok.chat_template)


def hub():
    """Ids of the hub from a local cache, as huggingface_hub lays it out."""
    for name in "ab":
        snapshot = f"hub/models--acme--{name}/snapshots/0123abcd"
        os.makedirs(f"hub/models--acme--{name}/refs")
        os.makedirs(os.path.dirname(snapshot))
        os.symlink(os.path.abspath(name), snapshot)
        with open(f"hub/models--acme--{name}/refs/main", "w") as f:
            f.write("0123abcd")
    with open("hub.yml", "w") as f:
        f.write("models:\n  - { model: acme/a, parameters: { weight: 1 } }\n"
                "  - { model: acme/b@0123abcd, parameters: { weight: 1 } }\nmerge_method: linear\ndtype: float32\n")
    os.environ["HF_HUB_CACHE"] = os.path.abspath("hub")
    result = tap.stlua("merge", "hub.yml", "hub.ours", "--no-sync")
    tap.check(result.returncode == 0, "hub ids from the cache", result.stderr)
    a, b, out = tensors("a"), tensors("b"), tensors("hub.ours")
    worst = max(difference((a[k] + b[k]) / 2, out[k]) for k in a)
    tap.check(worst <= 1e-6, "hub ids from the cache: values", worst)
    card = open("hub.ours/README.md").read()
    tap.check("- acme/a\n" in card.split("---")[1], "hub ids are in the model card", card)


# Families whose names, heads or layers are others than Llama's; each small.
FAMILIES = [
    ("gpt2", transformers.GPT2LMHeadModel, transformers.GPT2Config(
        vocab_size=VOCAB, n_embd=HIDDEN, n_layer=3, n_head=4, n_positions=64)),
    ("neox", transformers.GPTNeoXForCausalLM, transformers.GPTNeoXConfig(
        vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4)),
    ("qwen2", transformers.Qwen2ForCausalLM, transformers.Qwen2Config(
        vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2)),
    ("gemma2", transformers.Gemma2ForCausalLM, transformers.Gemma2Config(
        vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8)),
    ("mixtral", transformers.MixtralForCausalLM, transformers.MixtralConfig(
        vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=3)),
    ("bert", transformers.BertForMaskedLM, transformers.BertConfig(
        vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        max_position_embeddings=64)),
    ("t5", transformers.T5ForConditionalGeneration, transformers.T5Config(
        vocab_size=VOCAB, d_model=HIDDEN, d_kv=8, d_ff=64, num_layers=2, num_decoder_layers=3, num_heads=4)),
]


def family_models(name, cls, config):
    for i, letter in enumerate("xy"):
        torch.manual_seed(100 + i)
        model = cls(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.3)
        model.save_pretrained(f"{name}-{letter}")
        tokenizer(f"{name}-{letter}", words())


def has_single_experts(weights):
    return any(".experts.0." in name for name in weights)


def family_case(title, text, cls):
    """As mergekit has it, and every tensor is found; None where mergekit itself fails."""
    key = title.replace(": ", "-").replace(" ", "-")
    with open(f"{key}.yml", "w") as f:
        f.write(text)
    result = tap.stlua("merge", f"{key}.yml", f"{key}.ours", "--no-sync")
    if not tap.check(result.returncode == 0, f"{title}: stlua", result.stderr):
        return
    ours = tensors(f"{key}.ours")
    try:
        mergekit_run(text, f"{key}.theirs")
    except Exception as error:
        tap.skip(f"{title}: mergekit fails: {type(error).__name__}: {str(error)[:100]}")
    else:
        theirs = tensors(f"{key}.theirs")
        # Heads that are the embeddings are written once here.
        again = [k for k in theirs if k not in ours and any(torch.equal(theirs[k], v) for v in ours.values())]
        if has_single_experts(theirs) == has_single_experts(ours):
            compare_tensors(title, theirs, ours, 1e-6, again)
        else:      # experts under fused names there, as in the inputs here: the models are the same
            a, b = (cls.from_pretrained(f"{key}.{who}").state_dict() for who in ("theirs", "ours"))
            compare_tensors(title, a, b, 1e-6)
        compare_configs(title, f"{key}.theirs", f"{key}.ours")
    _, info = cls.from_pretrained(f"{key}.ours", output_loading_info=True)
    bad = {k: sorted(map(str, v)) for k, v in info.items() if v}
    tap.check(not bad, f"{title}: from_pretrained finds all", bad)


def check_by_hand(title, name):
    """The gradient of families(), computed here: 0.1 to 0.9 along each stack, the first value outside."""
    x, y, ours = tensors(f"{name}-x"), tensors(f"{name}-y"), tensors(f"{title}.ours")
    number = re.compile(r"^(.*?\.)(\d+)\.")
    places = {k: number.match(k) for k in ours}
    height = {}
    for m in filter(None, places.values()):
        height[m[1]] = max(height.get(m[1], 0), int(m[2]))
    worst = 0
    for k, m in places.items():
        w = 0.1 + 0.8 * (int(m[2]) / height[m[1]] if m and height[m[1]] else 0)
        worst = max(worst, difference((w * x[k].double() + 0.6 * y[k].double()) / (w + 0.6), ours[k]))
    tap.check(worst <= 1e-6, f"{title}: a gradient by hand", worst)


def families():
    for name, cls, config in FAMILIES:
        family_models(name, cls, config)
        models = "".join(f"  - {{ model: ./{name}-{m}, parameters: {{ weight: {w} }} }}\n"
                         for m, w in (("x", "[0.1, 0.9]"), ("y", 0.6)))
        family_case(name, f"models:\n{models}merge_method: linear\ndtype: float32\n", cls)
        check_by_hand(name, name)
        if name == "t5":
            continue
        n = getattr(config, "n_layer", None) or config.num_hidden_layers
        family_case(f"{name}: frankenmerge", f"""
slices:
  - sources: [{{ model: ./{name}-x, layer_range: [0, {n - 1}] }}]
  - sources: [{{ model: ./{name}-y, layer_range: [0, {n}] }}]
merge_method: passthrough
dtype: float32
""", cls)
    family_case("t5: modules", """
modules:
  encoder:
    slices:
      - sources: [{ model: ./t5-x, layer_range: [0, 2] }]
      - sources: [{ model: ./t5-y, layer_range: [1, 2] }]
  decoder: { models: [{ model: ./t5-y }] }
  shared: { models: [{ model: ./t5-x }] }
merge_method: passthrough
dtype: float32
""", transformers.T5ForConditionalGeneration)


def options():
    """Every option of mergekit-yaml is taken."""
    flags, given = [], {"out_shard_size": "2B", "random_seed": "3", "num_threads": "2", "write_threads": "2"}
    for name, field in MergeOptions.model_fields.items():
        flag = "--" + name.replace("_", "-")
        if name in ("unsafe_truncate_embeddings", "gpu_rich"):
            continue      # below
        if name == "verbosity":
            flags += ["-v", "-v"]
        elif field.annotation is bool:
            flags += [flag] if name in ("quiet", "safe_serialization") else [flag, "--no-" + flag[2:]]
        else:
            flags += [flag, given.get(name, "x")]
    flags += ["--gpu-rich", "--no-unsafe-truncate-embeddings"]
    result = tap.stlua("merge", "case1.yml", "options", "--dry-run", *flags)
    tap.check(result.returncode == 0, "all options of mergekit-yaml are taken", result.stderr)
    tap.check("result" in result.stdout.decode(), "all options: the report is printed")


def main():
    base = make("base", 1)
    make("a", 2, base), make("b", 3, base), make("c", 4, base)
    make("bf", 5, base, dtype=torch.bfloat16), make("hf", 6, base, dtype=torch.float16)
    make("sharded", 7, base, shard="60KB")
    tied_base = make("tied1", 8, tied=True)
    make("tied2", 9, tied_base, tied=True)
    for group in (forms, methods, parameters, franken, dtypes, tied, documents, tokenizers, hub, families, adapters,
                  options):
        group()
    tap.finish()


main()
