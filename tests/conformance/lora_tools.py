"""Adapters resized, combined and converted: against PEFT 0.21's add_weighted_adapter (cat, svd), against the truncated
SVD that torch computes, against numpy for the rules that choose ranks, and there and back."""
import json
import os
import shutil
import warnings

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from tap import check, covers, finish, scratch, script

warnings.filterwarnings("ignore")
torch.manual_seed(11)
FOLDER = scratch()
TIGHT = 1e-6


def path_of(name):
    return os.path.join(FOLDER, name)


def lua(text):
    result = script(text)
    if result.returncode:
        print("#", result.stderr.strip())
    return result


def off(want, got):
    return ((want - got).double().norm() / want.double().norm()).item()


def deltas(path, scale=None):
    """alpha / rank * B A of every module of a file or of a PEFT folder, in double precision."""
    config = None
    if os.path.isdir(path):
        config = json.load(open(os.path.join(path, "adapter_config.json")))
        path = os.path.join(path, "adapter_model.safetensors")
    tensors, out = load_file(path), {}
    for name, down in tensors.items():
        for a, b in ((".lora_A.weight", ".lora_B.weight"), (".lora_down.weight", ".lora_up.weight")):
            if name.endswith(a):
                module = name[:-len(a)]
                up, rank = tensors[module + b].double().flatten(1), down.shape[0]
                alpha = tensors.get(module + ".alpha", torch.tensor(rank)).item()
                if config:
                    short = module[len("base_model.model."):]
                    alpha = config["alpha_pattern"].get(short, config["lora_alpha"])
                    want = config["rank_pattern"].get(short, config["r"])
                    if want != rank:
                        print("# rank of", module, "is", rank, "and not", want)
                        rank = float("nan")
                out[module] = alpha / rank * up @ down.double().flatten(1)
    return out


# ---------------------------------------------------------------- PEFT

LLAMA = LlamaConfig(vocab_size=61, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, tie_word_embeddings=False)
CONFIGS = {
    "a": dict(r=6, lora_alpha=9, target_modules=["q_proj", "k_proj", "down_proj"]),
    "b": dict(r=4, lora_alpha=16, target_modules=["q_proj", "v_proj"], use_rslora=True,
              rank_pattern={"layers.1.self_attn.q_proj": 2}, alpha_pattern={"v_proj": 3}),
}
# PEFT's cat of several adapters needs the same modules in both; its configuration of the sum is that of the first.
SAME = {"a": dict(r=6, lora_alpha=9, target_modules=["q_proj", "down_proj"]),
        "b": dict(r=4, lora_alpha=16, target_modules=["q_proj", "down_proj"])}


def randomise(model):
    for name, p in model.named_parameters():
        if "lora_" in name:
            p.data = torch.randn_like(p) * 0.1


def base_model():
    folder = path_of("base")
    if not os.path.isdir(folder):
        LlamaForCausalLM(LLAMA).save_pretrained(folder)
    return folder, LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)


def make_adapters(configs, tag):
    folders = {}
    for name, config in configs.items():
        model = get_peft_model(base_model()[1], LoraConfig(**config))
        randomise(model)
        folders[name] = path_of(tag + name)
        model.save_pretrained(folders[name])
    return folders


def peft_deltas(folder):
    """What PEFT itself adds to each weight, for adapters whose configuration has everything in it."""
    base = base_model()[1]
    before = {k: v.clone() for k, v in base.state_dict().items()}
    merged = PeftModel.from_pretrained(base, folder).merge_and_unload().state_dict()
    return {k: merged[k].double() - before[k].double() for k in before}


def against_peft():
    folders = make_adapters(SAME, "same-")
    for mode, more, peft in (("cat", "", dict(combination_type="cat")),
                             ("svd", ", rank = 5", dict(combination_type="svd", svd_rank=5))):
        model = PeftModel.from_pretrained(base_model()[1], folders["a"], adapter_name="a")
        model.load_adapter(folders["b"], adapter_name="b")
        model.add_weighted_adapter(["a", "b"], [0.7, -0.4], "sum", **peft)
        model.set_adapter("sum")
        state = {k: v for k, v in model.state_dict().items() if ".sum." in k}
        out = path_of("combined-" + mode)
        lua('st.lora.write(st.lora.combine({ { "%s", 0.7 }, { "%s", -0.4 } }, { mode = "%s"%s }), "%s")' % (
            folders["a"], folders["b"], mode, more, out))
        got = load_file(os.path.join(out, "adapter_model.safetensors"))
        worst = 0
        for key, a in state.items():
            if "lora_A" not in key:
                continue
            module = key.split(".lora_A")[0]
            want = state[key.replace("lora_A", "lora_B")].double() @ a.double()
            here = got[module + ".lora_B.weight"].double() @ got[module + ".lora_A.weight"].double()
            worst = max(worst, off(want, here))
            if mode == "cat":
                same = torch.allclose(a, got[module + ".lora_A.weight"], rtol=TIGHT, atol=0)
                if not same:
                    worst = 1
        # PEFT decomposes in F32.
        check(worst <= (TIGHT if mode == "cat" else 5e-6), "combine, %s: as PEFT's add_weighted_adapter" % mode, worst)
        config = json.load(open(os.path.join(out, "adapter_config.json")))
        check(config["lora_alpha"] == config["r"], "combine, %s: alpha is the rank" % mode)


def exact_sum():
    folders = make_adapters(CONFIGS, "")
    parts = {name: peft_deltas(folder) for name, folder in folders.items()}
    for mode, more in (("exact", ""), ("cat", ""), ("svd", ", rank = 40")):
        out = path_of("sum-" + mode)
        lua('st.lora.write(st.lora.combine({ { "%s", 0.6 }, { "%s", -1.5 } }, { mode = "%s"%s }), "%s")' % (
            folders["a"], folders["b"], mode, more, out))
        got, worst = peft_deltas(out), 0
        for key in parts["a"]:
            want = 0.6 * parts["a"][key] - 1.5 * parts["b"][key]
            if want.abs().max() > 0:
                worst = max(worst, off(want, got[key]))
            elif got[key].abs().max() > 0:
                worst = 1
        # PEFT's merged weights are rounded to F32: the weight's size is the measure.
        check(worst < 1e-5, "combine, %s: PEFT loads the sum of a plain and an rslora adapter" % mode, worst)
        check(set(deltas(out)) >= set(deltas(folders["a"])), "combine, %s: modules that only one has" % mode)


def kohya_sum():
    def adapter(path, ranks, dtype=torch.float32):
        tensors = {}
        for i, (module, (rank, alpha)) in enumerate(ranks.items()):
            shape = ((rank, 8, 3, 3), (12, rank, 1, 1)) if "conv" in module else ((rank, 20), (24, rank))
            tensors[module + ".lora_down.weight"] = torch.randn(shape[0]).to(dtype)
            tensors[module + ".lora_up.weight"] = torch.randn(shape[1]).to(dtype)
            if alpha:
                tensors[module + ".alpha"] = torch.tensor(float(alpha)).to(dtype)
        save_file(tensors, path)
        return path
    q = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    conv = "lora_unet_down_blocks_0_resnets_0_conv1"
    a = adapter(path_of("ka.safetensors"), {q: (4, 2), conv: (3, 1)})
    b = adapter(path_of("kb.safetensors"), {q: (6, None), conv: (2, 8)})
    out = path_of("kab.safetensors")
    lua('st.lora.combine({ { "%s", 0.8 }, { "%s", -0.3 } }):save("%s")' % (a, b, out))
    one, two, got = deltas(a), deltas(b), deltas(out)
    worst = max(off(0.8 * one[k] - 0.3 * two[k], got[k]) for k in one)
    check(worst <= TIGHT, "combine, exact: linear and convolution, by torch", worst)
    for rank in (1, 3, 5, 9):
        lua('st.lora.combine({ { "%s", 0.8 }, { "%s", -0.3 } }, { rank = %d }):save("%s")' % (a, b, rank, out))
        got, worst = deltas(out), 0
        for k in one:
            want = 0.8 * one[k] - 0.3 * two[k]
            s = torch.linalg.svdvals(want)
            best = s[rank:].norm().item()
            worst = max(worst, (want - got[k]).norm().item() - best, 0) / want.norm().item()
        check(worst <= TIGHT, "combine, svd, rank %d: nothing is nearer" % rank, worst)


# ---------------------------------------------------------------- resize

def spectrum(kind, n):
    i = torch.arange(1, n + 1, dtype=torch.float64)
    return {"slow": i ** -0.5, "fast": 0.7 ** i, "flat": torch.ones(n, dtype=torch.float64)}[kind]


def low_rank(rows, columns, s):
    u, _ = torch.linalg.qr(torch.randn(rows, len(s), dtype=torch.float64))
    v, _ = torch.linalg.qr(torch.randn(columns, len(s), dtype=torch.float64))
    mix = torch.randn(len(s), len(s), dtype=torch.float64)
    return (u * s) @ mix, torch.linalg.solve(mix, v.T)


def resized(path, options):
    out = path_of("small.safetensors")
    r = lua('local out, rows = st.lora.resize("%s", { %s }) out:save("%s") print(st.json.encode(rows))' % (
        path, options, out))
    return deltas(out), {row["module"]: row for row in json.loads(r.stdout or "[]")}


def best_rank():
    for kind in ("slow", "fast", "flat"):
        tensors, module = {}, "lora_unet_x"
        up, down = low_rank(96, 70, spectrum(kind, 32))
        tensors[module + ".lora_up.weight"], tensors[module + ".lora_down.weight"] = up.float(), down.float()
        tensors[module + ".alpha"] = torch.tensor(8.0)
        path = path_of("big.safetensors")
        save_file({k: v.contiguous() for k, v in tensors.items()}, path)
        want = deltas(path)[module]
        s = torch.linalg.svdvals(want)
        for rank in (1, 4, 16, 31):
            got, rows = resized(path, "rank = %d" % rank)
            lost, best = (want - got[module]).norm().item(), s[rank:].norm().item()
            total = want.norm().item()
            check(lost <= best + TIGHT * total, "resize, %s spectrum, rank %d: as good as the truncated SVD" % (
                kind, rank), lost, best)
            row = rows[module]
            check(abs(row["error"] - best / total) <= TIGHT and abs(row["norm"] - total) <= TIGHT * total,
                  "resize, %s spectrum, rank %d: the certificate is true" % (kind, rank), row)


def count_of(rule, p, s):
    """The least number of singular values that a rule of sd-scripts' asks for."""
    if rule == "sv_ratio":
        return max(1, int((s > s[0] / p).sum()))
    sums = np.cumsum(s ** (1 if rule == "sv_cumulative" else 2))
    share = p * p if rule == "sv_fro" else p
    return max(1, int(np.argmax(sums >= share * sums[-1])) + 1)


def rules():
    generator = np.random.default_rng(3)
    for trial in range(4):
        s = np.sort(np.exp(generator.normal(size=12)))[::-1].copy()
        up, down = low_rank(30, 24, torch.tensor(s))
        path = path_of("rules.safetensors")
        save_file({"lora_unet_x.lora_up.weight": up.float().contiguous(),
                   "lora_unet_x.lora_down.weight": down.float().contiguous()}, path)
        wrong = []
        for rule, values in (("sv_ratio", (1.5, 4, 20)), ("sv_fro", (0.5, 0.9, 0.99)),
                             ("sv_cumulative", (0.3, 0.7, 0.95)), ("energy", (0.5, 0.9, 0.99))):
            for p in values:
                _, rows = resized(path, "%s = %g" % (rule, p))
                if rows["lora_unet_x"]["rank"] != count_of(rule, p, s):
                    wrong.append((rule, p, rows["lora_unet_x"]["rank"], count_of(rule, p, s)))
        check(not wrong, "resize: ranks by sv_ratio, sv_fro, sv_cumulative and energy, spectrum %d" % trial, wrong)


def lycoris():
    def r(*shape):
        return torch.randn(shape) * 0.3
    loha = [r(20, 3), r(3, 16), r(20, 3), r(3, 16)]
    one, two = r(4, 4), r(5, 4)
    t, fa, fb = r(2, 2, 3, 3), r(2, 5), r(2, 3)
    k = r(2, 2)
    mid, up, down = r(4, 4, 3, 3), r(12, 4, 1, 1), r(4, 8, 1, 1)
    tensors = {"lora_unet_h.hada_w1_a": loha[0], "lora_unet_h.hada_w1_b": loha[1], "lora_unet_h.hada_w2_a": loha[2],
               "lora_unet_h.hada_w2_b": loha[3], "lora_unet_h.alpha": torch.tensor(1.5),
               "lora_unet_k.lokr_w1": one, "lora_unet_k.lokr_w2": two,
               "lora_unet_t.lokr_w1": k, "lora_unet_t.lokr_t2": t, "lora_unet_t.lokr_w2_a": fa,
               "lora_unet_t.lokr_w2_b": fb, "lora_unet_t.alpha": torch.tensor(1.0),
               "lora_unet_m.lora_mid.weight": mid, "lora_unet_m.lora_up.weight": up,
               "lora_unet_m.lora_down.weight": down, "lora_unet_m.alpha": torch.tensor(2.0)}
    path = path_of("lycoris.safetensors")
    save_file(tensors, path)
    tucker = torch.einsum("ijkl,ip,jq->pqkl", t.double(), fa.double(), fb.double())
    want = {"lora_unet_h": 0.5 * (loha[0].double() @ loha[1].double()) * (loha[2].double() @ loha[3].double()),
            "lora_unet_k": torch.kron(one.double(), two.double()),
            "lora_unet_t": 0.5 * torch.kron(k.double()[:, :, None, None], tucker.contiguous()).reshape(10, -1),
            "lora_unet_m": 0.5 * torch.einsum("ijkl,pi,jq->pqkl", mid.double(), up.double().flatten(1),
                                              down.double().flatten(1)).flatten(1)}
    got, _ = resized(path, "rank = 100")
    worst = {k: off(want[k], got[k]) for k in want}
    check(max(worst.values()) <= TIGHT, "resize: LoHa, LoKr, tucker and middle tensors as LoRA", worst)


# ---------------------------------------------------------------- convert

def same_bytes(a, b):
    with open(a, "rb") as x, open(b, "rb") as y:
        return x.read() == y.read()


def convert(what, to, out):
    return lua('st.lora.write(st.lora.convert("%s", { to = "%s" }), "%s", { force = true })' % (what, to, out))


def peft_folders():
    """A folder that PEFT wrote, by way of kohya's format, is PEFT's again: configuration and tensors."""
    folders = make_adapters(CONFIGS, "convert-")
    for name, folder in folders.items():
        there, back = path_of("there.safetensors"), path_of("back-" + name)
        convert(folder, "kohya", there)
        convert(there, "peft", back)
        same = [same_bytes(os.path.join(folder, f), os.path.join(back, f))
                for f in ("adapter_config.json", "adapter_model.safetensors")]
        check(same[0], "convert: PEFT's configuration %s there and back" % name)
        check(same[1], "convert: PEFT's tensors %s there and back, equal bytes" % name)
        want, got = peft_deltas(folder), deltas(there)
        worst = 0
        for module, d in got.items():
            key = [k for k in want if k.replace(".", "_") == module[len("lora_unet_"):] + "_weight"]
            worst = max(worst, off(want[key[0]], d) if key else 1)
        check(worst < 1e-5, "convert: the alphas of kohya's format give what PEFT merges, %s" % name, worst)


def flux():
    h, path = 12, path_of("flux.safetensors")
    tensors = {}
    for module, rows in (("double_blocks_0_img_attn_qkv", 3 * h), ("double_blocks_0_txt_attn_proj", h),
                         ("single_blocks_1_linear1", 7 * h), ("final_layer_adaLN_modulation_1", 2 * h)):
        tensors["lora_unet_" + module + ".lora_down.weight"] = torch.randn(4, h).half()
        tensors["lora_unet_" + module + ".lora_up.weight"] = torch.randn(rows, 4).half()
        tensors["lora_unet_" + module + ".alpha"] = torch.tensor(2.0).half()
    save_file(tensors, path)
    whole = deltas(path)
    parts = path_of("flux-diffusers.safetensors")
    convert(path, "diffusers", parts)
    with safe_open(parts, "pt") as f:
        config = json.loads(f.metadata()["lora_adapter_metadata"])
    got = {k: v * config["transformer.lora_alpha"] / config["transformer.r"] for k, v in deltas(parts).items()}
    t = "transformer."
    joined = torch.cat([got[t + "transformer_blocks.0.attn." + x] for x in ("to_q", "to_k", "to_v")])
    check(torch.equal(joined, whole["lora_unet_double_blocks_0_img_attn_qkv"]), "convert: Flux' qkv in three")
    joined = torch.cat([got[t + "single_transformer_blocks.1." + x]
                        for x in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")])
    check(torch.equal(joined, whole["lora_unet_single_blocks_1_linear1"]), "convert: Flux' linear1 in four")
    swapped = got[t + "norm_out.linear"]
    check(torch.equal(torch.cat(swapped.chunk(2)[::-1]), whole["lora_unet_final_layer_adaLN_modulation_1"]),
          "convert: Flux' last scale and shift change places")
    check(torch.equal(got[t + "transformer_blocks.0.attn.to_add_out"],
                      whole["lora_unet_double_blocks_0_txt_attn_proj"]), "convert: Flux' names of one matrix")
    back, again = path_of("flux-back.safetensors"), path_of("flux-again.safetensors")
    convert(parts, "kohya", back)
    convert(path, "kohya", again)
    check(same_bytes(back, again), "convert: Flux there and back, equal bytes")


against_peft()
exact_sum()
kohya_sum()
best_rank()
rules()
lycoris()
peft_folders()
flux()
covers("lora.resize(", "lora.combine(", "lora.convert(", "lora.write(")
shutil.rmtree(FOLDER, ignore_errors=True)
finish()
