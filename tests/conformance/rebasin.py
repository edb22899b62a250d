"""Git Re-Basin: the assignment problem against scipy; permuted models compute what they computed before, Llama through
transformers, blocks of Stable Diffusion in torch; hidden permutations are found again; the sum of A * B never falls."""
import json
import os

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from tap import check, finish, scratch, script, skip, stlua

try:
    from scipy.optimize import linear_sum_assignment
except ImportError as e:
    skip(f"rebasin: {e}")
    finish()

torch.manual_seed(17)
folder = scratch()


def at(name):
    return os.path.join(folder, name)


# ---------------------------------------------------------------- the assignment problem
def integers(n, m):
    return torch.randint(0, 5, (n, m)).double()


MATRICES = {}
for n, m in ((1, 1), (1, 9), (9, 1), (4, 4), (30, 30), (20, 70), (70, 20), (200, 200), (150, 400)):
    MATRICES[f"uniform {n} x {m}"] = torch.rand(n, m, dtype=torch.float64)
    MATRICES[f"normal {n} x {m}"] = torch.randn(n, m)
    MATRICES[f"few values {n} x {m}"] = integers(n, m)
    MATRICES[f"products {n} x {m}"] = torch.outer(torch.arange(1., n + 1), torch.arange(1., m + 1))
    MATRICES[f"of rank 3 {n} x {m}"] = torch.randn(n, 3) @ torch.randn(3, m)
    MATRICES[f"far from 0 {n} x {m}"] = torch.rand(n, m, dtype=torch.float64) * 1e-3 + 1e6
save_file(MATRICES, at("costs.safetensors"))
run = script("""
local from, to = ...
local list = {}
for name, cost in pairs(st.open(from)) do
   for _, maximize in ipairs { false, true } do
      local rows, columns = st.linear_sum_assignment(cost, { maximize = maximize })
      list[#list + 1] = { name .. tostring(maximize), st.stack({ rows, columns }, 1) - 1 }
   end
end
st.model(list):save(to, { sync = false })
""", at("costs.safetensors"), at("pairs.safetensors"))
check(run.returncode == 0, "all assignments run", run.stderr)
pairs = load_file(at("pairs.safetensors")) if run.returncode == 0 else {}
for name, cost in MATRICES.items():
    problems = []
    for maximize in (False, True):
        rows, columns = pairs[f"{name}{str(maximize).lower()}"].numpy()
        want_rows, want = linear_sum_assignment(cost.numpy(), maximize)
        c = cost.double().numpy()
        got_sum, want_sum = c[rows, columns].sum(), c[want_rows, want].sum()
        pairs_fit = len(set(columns)) == len(want) and (np.diff(rows) > 0).all()
        if not pairs_fit or not abs(got_sum - want_sum) <= 1e-12 * np.abs(c).sum():
            problems.append(f"{maximize}: {got_sum} for {want_sum}")
        same = rows.tolist() == want_rows.tolist() and columns.tolist() == want.tolist()
        if name.startswith(("uniform", "normal")) and not same:
            problems.append(f"{maximize}: other pairs")
    check(not problems, f"linear_sum_assignment, {name}", *problems)


# ---------------------------------------------------------------- what is checked of a pair of models
def rebasin(a, b, options, name):
    """B permuted to A, and what is told about it."""
    save_file(a, at(f"{name}-a.safetensors"))
    save_file(b, at(f"{name}-b.safetensors"))
    with open(at("options.json"), "w") as f:
        json.dump(options, f)
    run = script("""
local folder, name = ...
local opts = st.json.decode(io.open(folder .. "/options.json"):read("a"))
local function open(which) return st.open(folder .. "/" .. name .. "-" .. which .. ".safetensors") end
local m, info = st.rebasin(open "a", open "b", opts)
m:save(folder .. "/" .. name .. "-out.safetensors", { sync = false })
io.write(st.json.encode(info))
""", folder, name)
    if not check(run.returncode == 0, f"{name}: rebasin runs", run.stderr):
        return b, {"gains": [], "moved": []}
    return load_file(at(f"{name}-out.safetensors")), json.loads(run.stdout)


def noisy(weights, share):
    """With noise of that share of each tensor's deviation."""
    return {n: t + share * t.std(correction=0) * torch.randn_like(t) for n, t in weights.items()}


def inner(a, b):
    return sum((a[n].double() * b[n].double()).sum().item() for n in a)


def equal(a, b):
    return [n for n in a if not torch.equal(a[n], b[n])]


def check_pair(name, a, b, options, compute, moved):
    """compute(weights) is the model's function; all groups whose names hold one of the words of `moved` must move."""
    got, info = rebasin(a, b, options, name)
    before, after = compute(b), compute(got)
    off = (before - after).abs().max() / before.abs().max()
    check(off < 1e-5, f"{name}: permuted B computes what B computes", f"off by {off}")
    check(equal(b, got), f"{name}: something moved")
    for word in moved:
        check(any(word in m for m in info["moved"]), f"{name}: {word} moved", info["moved"])
    gain = inner(a, got) - inner(a, b)
    check(all(g > 0 for g in info["gains"]) and abs(gain - sum(info["gains"])) <= 1e-4 * abs(gain),
          f"{name}: the sum of A * B grows by what is told", info["gains"], gain)
    # B hidden behind permutations: those that the matching of A to B gave.
    hidden, _ = rebasin(b, a, options, name + " hidden")
    check(equal(a, hidden), f"{name}: A hidden is another")
    back, _ = rebasin(a, hidden, options, name + " back")
    check(not equal(a, back), f"{name}: hidden permutations are found again", *equal(a, back))
    back, _ = rebasin(a, noisy(hidden, 0.1), options, name + " noisy")
    worst = max((a[n] - back[n]).norm() / a[n].norm() for n in a)
    check(worst < 0.3, f"{name}: with noise, too", worst)
    _, info = rebasin(a, noisy(a, 0.01), options, name + " near")
    check(not info["moved"], f"{name}: a model in order stays", info["moved"])
    for threads in (1, 2, 3):
        run = script("""
local folder, name, threads = ...
st.threads(tonumber(threads))
local opts = st.json.decode(io.open(folder .. "/options.json"):read("a"))
st.rebasin(st.open(folder .. "/" .. name .. "-a.safetensors"), st.open(folder .. "/" .. name .. "-b.safetensors"), opts)
   :save(folder .. "/threads.safetensors", { sync = false })
""", folder, name, str(threads))
        check(run.returncode == 0 and not equal(got, load_file(at("threads.safetensors"))),
              f"{name}: the same on {threads} threads", run.stderr)


# ---------------------------------------------------------------- Llama
def llama(config):
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p) * (0.5 if p.dim() == 1 else 0.2) + (p.dim() == 1))
    weights = {n: t.clone() for n, t in model.state_dict().items()}
    if config.tie_word_embeddings:
        del weights["lm_head.weight"]
    return weights


try:
    import transformers
    transformers.logging.set_verbosity_error()
except ImportError as e:
    transformers = None
    skip(f"rebasin of Llama: {e}")
TOKENS = torch.arange(24).reshape(2, 12) * 7 % 61
for heads, kv, tied, bias in ((8, 2, False, False), (4, 4, True, False), (6, 3, False, True)):
    if not transformers:
        break
    config = transformers.LlamaConfig(
        vocab_size=61, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=heads,
        num_key_value_heads=kv, head_dim=8, tie_word_embeddings=tied, attention_bias=bias, mlp_bias=bias)

    def logits(weights):
        model = transformers.LlamaForCausalLM(config).eval()
        model.load_state_dict(weights, strict=False)
        model.tie_weights()
        with torch.no_grad():
            return model(TOKENS).logits
    a, b = llama(config), llama(config)
    name = f"llama {heads} heads {kv} kv{' tied' * tied}{' with biases' * bias}"
    check_pair(name, a, b, {"head_dim": 8}, logits, ["residual", "mlp", "heads"])
    merged = at("merged.safetensors")
    run = stlua("merge", at(f"{name} back-a.safetensors"), at(f"{name} back-b.safetensors"), "--method", "git_rebasin",
                "--head-dim", 8, "--alpha", 0.5, "-o", merged)
    check(run.returncode == 0 and not equal(a, load_file(merged)), f"{name}: A merged with A hidden is A", run.stderr)


# ---------------------------------------------------------------- Stable Diffusion: U-Net blocks and a text encoder
U, T = "model.diffusion_model.", "cond_stage_model.transformer.text_model."
C, CONTEXT, EMB = 64, 768, 96


def unet(text, wide):
    """The tensors of two blocks; `wide` is the number of channels of the context."""
    w = {}

    def both(name, *shape, bias=True):
        w[name + ".weight"] = torch.randn(shape) * (0.5 if len(shape) == 1 else 0.1)
        if bias:
            w[name + ".bias"] = torch.randn(shape[0]) * 0.3
    both(U + "time_embed.0", EMB, 32)
    both(U + "time_embed.2", EMB, EMB)
    both(U + "input_blocks.0.0", C, 4, 3, 3)
    for block in ("input_blocks.1", "middle_block"):
        p = f"{U}{block}.0."
        both(p + "in_layers.0", C), both(p + "in_layers.2", C, C, 3, 3), both(p + "emb_layers.1", C, EMB)
        both(p + "out_layers.0", C), both(p + "out_layers.3", C, C, 3, 3)
        p = f"{U}{block}.1."
        both(p + "norm", C), both(p + "proj_in", C, C, 1, 1), both(p + "proj_out", C, C, 1, 1)
        p += "transformer_blocks.0."
        for i in (1, 2, 3):
            both(f"{p}norm{i}", C)
        for attn, width in (("attn1", C), ("attn2", wide)):
            both(f"{p}{attn}.to_q", C, C, bias=False), both(f"{p}{attn}.to_out.0", C, C)
            both(f"{p}{attn}.to_k", C, width, bias=False), both(f"{p}{attn}.to_v", C, width, bias=False)
        both(p + "ff.net.0.proj", 8 * C, C), both(p + "ff.net.2", C, 4 * C)
    both(U + "out.0", C), both(U + "out.2", 4, C, 3, 3)
    if text:
        w[T + "embeddings.token_embedding.weight"] = torch.randn(50, CONTEXT)
        w[T + "embeddings.position_embedding.weight"] = torch.randn(10, CONTEXT)
        p = T + "encoder.layers.0."
        both(p + "layer_norm1", CONTEXT), both(p + "layer_norm2", CONTEXT), both(T + "final_layer_norm", CONTEXT)
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            both(f"{p}self_attn.{name}", CONTEXT, CONTEXT)
        both(p + "mlp.fc1", 128, CONTEXT), both(p + "mlp.fc2", CONTEXT, 128)
    return w


class Blocks:
    """What the program computes with these tensors, from the papers and the checkpoints' code: in double precision."""
    def __init__(self, weights, heads):
        self.w, self.heads = {n: t.double() for n, t in weights.items()}, heads

    def __call__(self, fn, name, x, *args, **more):
        return fn(x, *args, self.w[name + ".weight"], self.w.get(name + ".bias"), **more)

    def linear(self, name, x): return self(F.linear, name, x)
    def norm(self, name, x): return self(lambda x, w, b: F.layer_norm(x, w.shape, w, b), name, x)
    def group(self, name, x): return self(lambda x, w, b: F.group_norm(x, 32, w, b, 1e-5), name, x)
    def conv(self, name, x): return self(lambda x, w, b: F.conv2d(x, w, b, padding=w.shape[-1] // 2), name, x)

    def attention(self, q, k, v, heads):
        def split(x): return x.unflatten(-1, (heads, -1)).transpose(1, 2)
        q, k, v = split(q), split(k), split(v)
        return ((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)

    def text(self, tokens):
        x = self.w[T + "embeddings.token_embedding.weight"][tokens] + self.w[T + "embeddings.position_embedding.weight"]
        p = T + "encoder.layers.0."
        y = self.norm(p + "layer_norm1", x)
        q, k, v = (self.linear(f"{p}self_attn.{n}_proj", y) for n in "qkv")
        x = x + self.linear(p + "self_attn.out_proj", self.attention(q, k, v, CONTEXT // 64))
        y = self.linear(p + "mlp.fc1", self.norm(p + "layer_norm2", x))
        x = x + self.linear(p + "mlp.fc2", y * torch.sigmoid(1.702 * y))
        return self.norm(T + "final_layer_norm", x)

    def res_block(self, p, x, emb):
        h = self.conv(p + "in_layers.2", F.silu(self.group(p + "in_layers.0", x)))
        h = h + self.linear(p + "emb_layers.1", F.silu(emb))[:, :, None, None]
        return x + self.conv(p + "out_layers.3", F.silu(self.group(p + "out_layers.0", h)))

    def transformer(self, p, x, context):
        h = self.conv(p + "proj_in", self.group(p + "norm", x))
        size, h, p = h.shape[-2:], h.flatten(2).mT, p + "transformer_blocks.0."
        for i, attn in ((1, "attn1"), (2, "attn2")):
            y = self.norm(f"{p}norm{i}", h)
            z = y if i == 1 else context
            q, k, v = (self.linear(f"{p}{attn}.to_{n}", t) for n, t in (("q", y), ("k", z), ("v", z)))
            h = h + self.linear(f"{p}{attn}.to_out.0", self.attention(q, k, v, self.heads))
        y, gate = self.linear(p + "ff.net.0.proj", self.norm(p + "norm3", h)).chunk(2, -1)
        h = h + self.linear(p + "ff.net.2", y * F.gelu(gate))
        return x + self.conv(p.replace("transformer_blocks.0.", "") + "proj_out", h.mT.unflatten(2, size))

    def unet(self, x, t, context):
        emb = self.linear(U + "time_embed.2", F.silu(self.linear(U + "time_embed.0", t)))
        x = self.conv(U + "input_blocks.0.0", x)
        for block in ("input_blocks.1", "middle_block"):
            x = self.res_block(f"{U}{block}.0.", x, emb)
            x = self.transformer(f"{U}{block}.1.", x, context)
        return self.conv(U + "out.2", F.silu(self.group(U + "out.0", x)))


IMAGE, TIME = torch.randn(2, 4, 6, 6, dtype=torch.double), torch.randn(2, 32, dtype=torch.double)
GIVEN = torch.randn(2, 10, CONTEXT, dtype=torch.double)
PLACES = torch.arange(20).reshape(2, 10) * 7 % 50
GROUPS = ["hidden", "stream", "attn1.heads", "attn2.heads", "0.mlp", "time.mlp", "emb.stream"]


def with_text(weights):
    m = Blocks(weights, 8)
    return m.unet(IMAGE, TIME, m.text(PLACES))


def without_text(weights):
    return Blocks(weights, 8).unet(IMAGE, TIME, GIVEN)


check_pair("sd15", unet(True, CONTEXT), unet(True, CONTEXT), {}, with_text, GROUPS + ["context", "text_heads"])
check_pair("sd15 U-Net", unet(False, CONTEXT), unet(False, CONTEXT), {}, without_text, GROUPS)
finish()
