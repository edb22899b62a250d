"""Extraction of adapters against exact decompositions: residuals by rank and spectrum, what PEFT makes of the folder,
kohya's and diffusers' forms applied by torch, threads.

The bar for a residual's squares is 1.001 times the best rank's plus 1e-6 of the difference's."""
import json
import os
import subprocess

import numpy
import torch
from safetensors.torch import load_file, save_file

from tap import STLUA, check, finish, scratch, script, stlua

torch.manual_seed(3)
folder = scratch()


def at(name):
    return os.path.join(folder, name)


def spectrum(kind, m, n):
    """A difference with singular values of this kind."""
    r = min(m, n)
    if kind == "normal":
        return torch.randn(m, n) * 0.01
    if kind == "rounding":      # BF16 weights moved by a little of low rank, and rounded again
        base = (torch.randn(m, n) * 0.02).bfloat16()
        moved = base.float() + torch.randn(m, 12) @ torch.randn(12, n) * 2e-5
        return moved.bfloat16().float() - base.float()
    i = torch.arange(1, r + 1, dtype=torch.float64)
    s = {"slow": i ** -0.25, "root": i ** -0.5, "inverse": 1 / i, "fast": torch.exp(-i / 8),
         "equal": torch.where(i <= 20, 1.0, 0.02), "step": torch.where(i <= 10, 1.0, 1e-3)}[kind]
    u = torch.linalg.qr(torch.randn(m, r, dtype=torch.float64))[0]
    v = torch.linalg.qr(torch.randn(n, r, dtype=torch.float64))[0]
    return ((u * s) @ v.T * 0.1).float()


RESIDUALS = """local list, ranks, out = {}, st.json.decode((...)), {}
local m = st.open("%s")
for name, t in pairs(m) do list[#list + 1] = { name, t } end
for _, entry in ipairs(list) do
   for _, rank in ipairs(ranks) do
      local base = st.model { { "model.x.weight", st.zeros(table.unpack(entry[2]:shape())) } }
      local tuned = st.model { { "model.x.weight", entry[2] } }
      local found = st.lora.extract(base, tuned, { rank = rank, dtype = "F32" })
      local l = found.layers[1]
      out[#out + 1] = { entry[1], rank, l.rank, l.retained, l.norm, l.ahead, l.columns }
      found.model:save("%s/" .. entry[1] .. "." .. rank .. ".safetensors", { sync = false, recipe = false })
   end
end
print(st.json.encode(out))"""


def residuals():
    kinds = ["normal", "rounding", "slow", "root", "inverse", "fast", "equal", "step"]
    sizes = [(500, 300), (200, 520), (70, 40)]
    deltas = {f"{kind}-{m}x{n}": spectrum(kind, m, n) for kind in kinds for m, n in sizes}
    save_file(deltas, at("deltas.safetensors"))
    ran = script(RESIDUALS % (at("deltas.safetensors"), folder), json.dumps([4, 16, 32, 100, 256]))
    if not check(ran.returncode == 0, "extract: spectra", ran.stderr):
        return
    rows = json.loads(ran.stdout)
    for name, rank, got_rank, retained, norm, ahead, columns in rows:
        d = deltas[name].double().numpy()
        s = numpy.linalg.svd(d, compute_uv=False) ** 2
        factors = load_file(at(f"{name}.{rank}.safetensors"))
        a, b = (factors[f"base_model.model.model.x.lora_{x}.weight"].double().numpy() for x in "AB")
        total = s.sum()
        residual, best = ((d - b @ a) ** 2).sum(), s[rank:].sum()
        told = (1 - retained) * total
        good = residual <= 1.001 * best + 1e-6 * total and abs(told - residual) <= 1e-6 * total \
            and got_rank == min(rank, *d.shape) and abs(norm ** 2 - total) <= 1e-6 * total
        check(good, f"extract: {name} at rank {rank}", f"residual {residual / total}, best {best / total}, told "
              f"{told / total}, ratio {residual / max(best, 1e-300)}, rank {got_rank}, {columns} columns")


# ---------------------------------------------------------------- PEFT

def tiny_llama():
    from transformers import LlamaConfig, LlamaForCausalLM
    config = LlamaConfig(hidden_size=96, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, vocab_size=200, tie_word_embeddings=False)
    model = LlamaForCausalLM(config)
    model.save_pretrained(at("base"))
    weights = load_file(at("base/model.safetensors"))
    tuned = {}
    for i, (name, w) in enumerate(weights.items()):
        few = torch.randn(w.shape[0], 2 + i % 3) @ torch.randn(2 + i % 3, w.shape[1]) * 0.01 if w.dim() == 2 else 0
        tuned[name] = (w + few + (torch.randn_like(w) * 0.01 if "norm.weight" in name else 0)).contiguous()
    os.makedirs(at("tuned"), exist_ok=True)
    save_file(tuned, at("tuned/model.safetensors"))
    return weights, tuned


def product(factors, key):
    a, b = factors[key + ".lora_A.weight"], factors[key + ".lora_B.weight"]
    return (b.double() @ a.double()).float()


def peft():
    from peft import PeftModel
    from transformers import LlamaForCausalLM
    weights, tuned = tiny_llama()
    for name, options in [("plain", ["--rank", "8"]), ("energy", ["--energy", "0.9999"]),
                          ("embeddings", ["--rank", "8", "--include-embeddings"]),
                          ("saved", ["--rank", "8", "--modules-to-save", "lm_head", "--modules-to-save",
                                     "model.norm.weight"])]:
        r = stlua("lora", "extract", at("base/model.safetensors"), at("tuned/model.safetensors"), "-o", at(name),
                  "--dtype", "F32", *options)
        if not check(r.returncode == 0, f"lora extract, {name}: a folder", r.stderr):
            continue
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(at("base")), at(name))
        odd = [str(w.message) for w in caught if "missing" in str(w.message) or "unexpected" in str(w.message)]
        check(not odd, f"PEFT loads the folder, {name}", *odd)
        merged = model.merge_and_unload().state_dict()
        worst = max(((merged[n] - tuned[n]).norm() / tuned[n].norm()).item() for n in tuned
                    if n.endswith("proj.weight"))
        check(worst < 2e-6, f"PEFT's merge_and_unload gives the tuned weights back, {name}", worst)
        factors = load_file(at(name + "/adapter_model.safetensors"))
        exact = all(torch.allclose(merged[n], weights[n] + product(factors, "base_model.model." + n[:-7]), rtol=1e-6,
                                   atol=1e-7) for n in tuned if n.endswith("proj.weight"))
        check(exact, f"PEFT's merge_and_unload is W + B A, {name}")
        extra = {"embeddings": ["model.embed_tokens.weight", "lm_head.weight"],
                 "saved": ["lm_head.weight", "model.norm.weight"]}.get(name, [])
        for n in extra:
            off = ((merged[n] - tuned[n]).norm() / tuned[n].norm()).item()
            check(off < 2e-6, f"PEFT, {name}: {n}", off)
    config = json.load(open(at("energy/adapter_config.json")))
    ranks = {f.shape[0] for k, f in load_file(at("energy/adapter_model.safetensors")).items() if "lora_A" in k}
    check(ranks == {2, 3, 4} and config["r"] == 4 and set(config["rank_pattern"].values()) == {2, 3},
          "energy: the rank of a difference of known rank is found", ranks, config["r"])


# ---------------------------------------------------------------- other forms

def diffusion():
    unet = "model.diffusion_model."
    shapes = {unet + "input_blocks.0.0.weight": (8, 4, 3, 3), unet + "time_embed.0.weight": (16, 8),
              unet + "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight": (24, 24),
              unet + "input_blocks.1.1.proj_in.weight": (24, 20, 1, 1)}
    base = {n: torch.randn(s) for n, s in shapes.items()}
    tuned = {}
    for n, s in shapes.items():
        m, k = s[0], base[n][0].numel()
        tuned[n] = base[n] + (torch.randn(m, 3) @ torch.randn(3, k) * 0.1).reshape(s)
    save_file(base, at("sd.safetensors"))
    save_file(tuned, at("sd2.safetensors"))
    for form in ("kohya", "diffusers"):
        r = stlua("lora", "extract", at("sd.safetensors"), at("sd2.safetensors"), "-o", at(form + ".safetensors"),
                  "--rank", "3", "--conv-rank", "3", "--dtype", "F32", "--format", form)
        if not check(r.returncode == 0, f"lora extract, {form}", r.stderr):
            continue
        got = load_file(at(form + ".safetensors"))
        up, down = (".lora_up.weight", ".lora_down.weight") if form == "kohya" else (".lora_B.weight", ".lora_A.weight")
        modules = {k[:-len(up)] for k in got if k.endswith(up)}
        check(len(modules) == 4, f"{form}: four modules", *got)
        merged = []
        for module in modules:
            b, a = got[module + up], got[module + down]
            scale = (got[module + ".alpha"] / a.shape[0]).item() if form == "kohya" else 1
            merged.append((b.flatten(1) @ a.flatten(1) * scale).reshape(b.shape[0], *a.shape[1:]))
        wanted = [tuned[n] - base[n] for n in shapes]
        found = all(any(w.shape == m.shape and torch.allclose(w, m, atol=1e-5) for m in merged) for w in wanted)
        check(found, f"{form}: up down alpha / rank is the difference")


def threads():
    big = {f"model.layers.{i}.mlp.up_proj.weight": torch.randn(300, 200 + 40 * i) for i in range(6)}
    save_file({n: torch.zeros_like(w) for n, w in big.items()}, at("zero.safetensors"))
    save_file(big, at("big.safetensors"))
    seen = []
    for n in (1, 2, 5):
        out = at(f"threads{n}.safetensors")
        subprocess.run([STLUA, "lora", "extract", at("zero.safetensors"), at("big.safetensors"), "-o", out, "-j",
                        str(n), "--rank", "16", "--quiet", "--no-recipe"], check=True)
        seen.append(open(out, "rb").read())
    check(seen[0] == seen[1] == seen[2], "the bytes do not depend on the number of threads")


def stored():
    """What the report says of factors in 16 bits."""
    d = torch.randn(200, 160) @ torch.diag(torch.exp(-torch.arange(160) / 6.0)) * 0.01
    save_file({"model.x.weight": torch.zeros(200, 160)}, at("z.safetensors"))
    save_file({"model.x.weight": d}, at("d.safetensors"))
    for dtype in ("F16", "BF16"):
        r = stlua("lora", "extract", at("z.safetensors"), at("d.safetensors"), "-o", at("s.safetensors"), "--rank",
                  "40", "--dtype", dtype, "--report", "json")
        layer = json.loads(r.stdout)["layers"][0]
        got = load_file(at("s.safetensors"))
        b, a = (got[f"base_model.model.model.x.lora_{x}.weight"].double() for x in "BA")
        real = ((d.double() - b @ a).norm() / d.double().norm()).item()
        check(abs(layer["stored_error"] - real) < 0.05 * real, f"the error as stored in {dtype}", layer["stored_error"],
              real)


residuals()
peft()
diffusion()
threads()
stored()
finish()
