"""Merge methods of the diffusion tools and of PEFT: sd-mecha's own functions, PEFT's, or the formulas of supermerger
and meh in F64, on the same values; F32 and F16 inputs, 1 to 4 dimensions, one element, none, and no dimensions.

A result may be off by 1e-6 of the largest value (1e-5 where lengths, angles or decompositions take part)."""
import json
import math
import os

import warnings

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tap import check, finish, scratch, script, skip

try:
    import scipy.ndimage
    from peft.utils import merge_utils
    import sd_mecha  # noqa: F401
    from sd_mecha.extensions.builtin.merge_methods import cosine, crossover, limiting, linear, slicing, svd, ties
except ImportError as e:
    skip(f"merge methods of the diffusion tools: {e}")
    finish()
warnings.simplefilter("ignore")

torch.manual_seed(11)
D = torch.float64
SHAPES = [(), (0,), (1,), (7,), (5, 6), (6, 5), (130, 120), (1, 1, 1, 1), (4, 3, 3, 3), (3, 0), (2, 3, 1, 1)]
CASES = []      # (method, options, wanted(a, b, c, d), tolerance, tensors used, {skip =, shapes =})


def add(method, options, wanted, tolerance=1e-6, models="ab", base=None, **more):
    CASES.append((method, options, wanted, tolerance, models, base, more))


def mecha(fn, *args, **kwargs):
    """A function of sd-mecha on tensors, whatever its decorator made of it."""
    inner = fn.__wrapped__
    for k, v in kwargs.items():
        if k in ("alpha",) and fn not in (svd.rotate, crossover):
            kwargs[k] = torch.tensor(v, dtype=D)
    return inner(*[a.clone() for a in args], **kwargs)


def in_dict(fn, *args, **kwargs):
    """The same where it takes state dicts."""
    kwargs = {k: torch.tensor(v, dtype=D) if k == "alpha" else v for k, v in kwargs.items()}
    return fn.__wrapped__(*[{"k": a.clone()} for a in args], key="k", **kwargs)


def lerp(a, b, t):
    return a + t * (b - a)


def nan_to(x, v):
    return torch.where(torch.isnan(x), torch.tensor(v, dtype=x.dtype), x)


def unit(x):
    return nan_to(x / torch.linalg.norm(x.flatten()), 0.0)


# ---------------------------------------------------------------- sums and differences
for alpha in (0.0, 0.3, 1.0, -0.5, 1.7):
    add("weighted_sum", {"alpha": alpha}, lambda a, b, c, d, t=alpha: in_dict(linear.weighted_sum, a, b, alpha=t))
    add("add_difference", {"alpha": alpha},
        lambda a, b, c, d, t=alpha: in_dict(linear.add_difference, a, b - c, alpha=t), base="c")
    add("triple_sum", {"alpha": alpha, "beta": 0.2},
        lambda a, b, c, d, t=alpha: (1 - t - 0.2) * a + t * b + 0.2 * c, models="abc")
    add("sum_twice", {"alpha": alpha, "beta": 0.2}, lambda a, b, c, d, t=alpha: lerp(lerp(a, b, t), c, 0.2),
        models="abc")
    for method, mask in (("train_difference", linear.train_difference_mask),
                         ("add_opposite", linear.add_opposite_mask),
                         ("add_strict_opposite", linear.add_strict_opposite_mask)):
        add(method, {"alpha": alpha}, lambda a, b, c, d, t=alpha, m=mask: a + mecha(m, a, b, c, alpha=t) * (b - c),
            base="c")
    add("similarity_add_difference", {"alpha": alpha, "beta": 0.8}, lambda a, b, c, d, t=alpha: (
        lambda s: (1 - s) * (a + t * (b - c)) + s * ((1 - t / 2) * a + t / 2 * b))(
            nan_to((a * b / torch.maximum(a.abs(), b.abs()) ** 2 + 1) / 2 * 0.8, 0.8)), base="c")
    add("perpendicular", {"alpha": alpha},
        lambda a, b, c, d, t=alpha: a + t * mecha(linear.perpendicular_component, a - c, b - c), 1e-5, base="c")
    add("weighted_subtraction", {"alpha": alpha, "beta": 0.5},
        lambda a, b, c, d, t=alpha: (a - t * 0.5 * b) / (1 - t * 0.5))
add("add_difference", {"alpha": 1.5, "clip": True}, lambda a, b, c, d: mecha(
    limiting.clamp, a + 1.5 * (b - c), a, b), base="c")
add("n_average", {}, lambda a, b, c, d: in_dict(linear.n_average, a, b, c), models="abc")
add("n_way", {}, lambda a, b, c, d: (a + b + c) / 3, models="abc")
add("n_way", {"ratio": [0.5, 0.2, 0.7]}, lambda a, b, c, d: 0.5 * a + 0.2 * b + 0.7 * c, models="abc")
for alpha in (0.0, 0.25, 0.5, 1.0):
    # At the ends complex powers of 0 give NaN; here these are A and B.
    add("geometric", {"alpha": alpha}, lambda a, b, c, d, t=alpha:
        {0.0: a, 1.0: b}[t] if t in (0, 1) else mecha(linear.geometric_sum, a, b, alpha=t))
    add("multiply_difference", {"alpha": alpha, "beta": 0.4}, lambda a, b, c, d, t=alpha: c + torch.copysign(
        (a - c).abs() ** (1 - t) * (b - c).abs() ** t, lerp(a, b, 0.4) - c), base="c")
    add("euclidean_add_difference", {"alpha": alpha}, lambda a, b, c, d, t=alpha: (
        lambda s: c + unit(torch.copysign(((1 - t) * unit(a - c) ** 2 + t * unit(b - c) ** 2).sqrt(), s))
        * torch.linalg.norm(s.flatten()))(lerp(a, b, t) - c), 1e-5, base="c")
    add("mecha_slerp", {"alpha": alpha}, lambda a, b, c, d, t=alpha: mecha(linear.slerp, a, b, alpha=t), 1e-5,
        shapes=[s for s in SHAPES if math.prod(s) != 1])      # parallel tensors: sd-mecha divides by rounding errors
    add("multiply_quotient", {"alpha": alpha},
        lambda a, b, c, d, t=alpha: mecha(linear.multiply_quotient, a, b, c, alpha=t), 1e-5, base="c")

# ---------------------------------------------------------------- likeness
for alpha in (0.0, 0.3, 1.0):
    add("add_cosine_a", {"alpha": alpha}, lambda a, b, c, d, t=alpha: mecha(cosine.add_cosine_a, a, b, alpha=t), 1e-5)
    add("add_cosine_b", {"alpha": alpha}, lambda a, b, c, d, t=alpha: mecha(cosine.add_cosine_b, a, b, alpha=t), 1e-5)
    for beta, gamma in ((0.0, 1.0), (0.6, 2.0), (1.0, 0.0)):
        add("extract", {"alpha": alpha, "beta": beta, "gamma": gamma}, lambda a, b, c, d, t=alpha, u=beta, g=gamma: (
            lambda e: c + lerp(a - c, b - c, t) * lerp(e, 1 - e, u))(
                ((torch.cosine_similarity(a - c, b - c, -1).clamp(-1, 1).unsqueeze(-1) + 1) / 2) ** g), 1e-5,
            base="c")

# ---------------------------------------------------------------- limits, regions, order
for stiffness in (0.0, 0.4, 1.0):
    add("clamp", {"stiffness": stiffness},
        lambda a, b, c, d, s=stiffness: mecha(limiting.clamp, a, b, c, d, stiffness=s), models="abcd")
REGIONS = [(0.5, 0.0), (0.3, 0.25), (0.6, 0.7), (1.0, 0.0), (0.0, 0.5), (0.45, 0.55)]
for width, offset in REGIONS + [(-0.3, 0.5), (0.4, -0.2), (1.5, 0.3)]:
    add("tensor_sum", {"width": width, "offset": offset},
        lambda a, b, c, d, w=width, o=offset: mecha(slicing.tensor_sum, a, b, width=w, offset=o))
    add("top_k_tensor_sum", {"width": width, "offset": offset},
        lambda a, b, c, d, w=width, o=offset: a if a.numel() == 0 else
        mecha(slicing.top_k_tensor_sum, a, b, width=w, offset=o), shapes=[s for s in SHAPES if s])


def cut(a, b, alpha, beta, n, dim):
    """supermerger's slices, from the reference."""
    a, b = a.clone(), b.clone()
    def at(s, e): return (slice(None),) * dim + (slice(s, e),)
    if alpha + beta <= 1:
        where = at(int(n * beta), int(n * (alpha + beta)))
        a[where] = b[where]
        return a
    where = at(int(n * (alpha + beta - 1)), int(n * beta))
    b[where] = a[where]
    return b


def tensor2(a, b, alpha, beta):
    if a.dim() < 2:
        return cut(a, b, alpha, beta, a.size(0), 0)
    return cut(a, b, alpha, beta, a.size(1) if a.size(1) > 100 else a.size(0), 1)


def top_k_meh(a, b, alpha, beta):
    n = a.numel()
    values = np.sort(a.flatten().numpy())
    rank = np.argsort(np.argsort(b.flatten().numpy(), kind="stable"))
    start, end, inverted = ((beta, alpha + beta, False) if alpha + beta <= 1 else (alpha + beta - 1, beta, True))
    def bound(k): return -1 if k <= 0 else np.sort(np.abs(values))[k - 1]
    low, high = bound(int(start * n)), bound(int(end * n))
    mask = (low < np.abs(values)) & (np.abs(values) <= high)
    mask = (~mask if inverted else mask)[rank]
    return torch.from_numpy(np.where(mask, values[rank], a.flatten().numpy())).reshape(a.shape)


for alpha, beta in REGIONS:
    add("tensor_sum", {"width": alpha, "offset": beta, "rounding": "trunc"},
        lambda a, b, c, d, t=alpha, u=beta: cut(a, b, t, u, a.size(0), 0), shapes=[s for s in SHAPES if s])
    add("tensor_sum2", {"width": alpha, "offset": beta, "rounding": "trunc"},
        lambda a, b, c, d, t=alpha, u=beta: tensor2(a, b, t, u), shapes=[s for s in SHAPES if s])
    add("top_k_tensor_sum", {"width": alpha, "offset": beta, "rounding": "trunc", "bound": "meh"},
        lambda a, b, c, d, t=alpha, u=beta: top_k_meh(a, b, t, u) if a.numel() else a)

# ---------------------------------------------------------------- sparse differences, medians
def deltas(*t):
    return [x - t[-1] for x in t[:-1]]


def narrow(*t):
    """In F32: sd-mecha rounds its thresholds to it, and would lose the entry that is the threshold."""
    return [x.float() for x in deltas(*[y.float() for y in t])]


for k in (1.0, 0.2, 0.55):
    for vote in (False, True):
        add("mecha_ties", {"k": k, "vote_sgn": vote, "alpha": 0.7}, lambda a, b, c, d, k=k, v=vote:
            c + 0.7 * mecha(ties.ties_sum, *narrow(a, b, d, c), k=k, vote_sgn=v), models="abd", base="c")
    # sd-mecha's apply_stock is the other way round.
    add("mecha_ties", {"k": k, "apply_stock": True}, lambda a, b, c, d, k=k:
        c + mecha(ties.ties_sum_extended, *narrow(a, b, d, c), k=k, apply_stock=False), 1e-5, "abd", "c",
        shapes=[s for s in SHAPES if s])
    add("mecha_ties", {"k": k, "apply_median": True}, lambda a, b, c, d, k=k:
        c + mecha(ties.geometric_median, *ties.ties_sum_deltas(*narrow(a, b, d, c), k=k)[0].to(D)), 1e-5, "abd", "c",
        shapes=[s for s in SHAPES if math.prod(s) > 3])
add("mecha_model_stock", {}, lambda a, b, c, d: c + mecha(ties.model_stock, *deltas(a, b, d, c)), 1e-5, "abd", "c",
    shapes=[s for s in SHAPES if s])
for n in (1, 3, 100):
    add("geometric_median", {"iterations": n}, lambda a, b, c, d, n=n:
        mecha(ties.geometric_median, a, b, c, d, maxiter=n), 1e-5, "abcd", shapes=[s for s in SHAPES if math.prod(s)])
add("mecha_ties_dare", {"probability": 0.0, "k": 0.5}, lambda a, b, c, d:
    c + mecha(ties.ties_sum, *narrow(a, b, c), k=0.5), base="c")
add("mecha_dropout", {"probability": 0.0, "alpha": 0.6}, lambda a, b, c, d: c + 0.6 * (a + b - 2 * c) / 2, base="c")
# Of equal magnitudes torch.topk takes any: none among few.
FEW = [s for s in SHAPES if math.prod(s) < 200]
for density in (0.5, 0.3, 0.99):
    w = torch.tensor([0.7, -0.4, 0.5], dtype=D)
    add("peft_magnitude_prune", {"weight": w.tolist(), "density": density}, lambda a, b, c, d, p=density:
        c + merge_utils.magnitude_prune(deltas(a, b, d, c), w, p), models="abd", base="c", shapes=FEW)
    for vote in ("total", "frequency"):
        add("peft_ties", {"weight": w.tolist(), "density": density, "majority_sign_method": vote},
            lambda a, b, c, d, p=density, v=vote: c + merge_utils.ties(deltas(a, b, d, c), w, p, v), models="abd",
            base="c", shapes=FEW)
add("peft_dare_linear", {"weight": [0.7, 0.2], "density": 1.0}, lambda a, b, c, d:
    c + merge_utils.dare_linear(deltas(a, b, c), torch.tensor([0.7, 0.2], dtype=D), 1.0), base="c")
add("peft_dare_ties", {"weight": [0.7, 0.2], "density": 1.0}, lambda a, b, c, d:
    c + merge_utils.dare_ties(deltas(a, b, c), torch.tensor([0.7, 0.2], dtype=D), 1.0), base="c")


# ---------------------------------------------------------------- frequencies
# Odd and prime sizes, sizes of 1, lines that a filter cuts in many places.
WAVES = SHAPES + [(2,), (11,), (13, 7), (1, 9), (9, 1), (2, 2), (101, 3), (3, 4, 5), (17, 2, 3), (5, 4, 3, 3), (640,),
                  (1279,), (77, 96)]
for alpha in (0.0, 0.2, 0.5, 0.7, 1.0):
    for tilt in (0.0, 0.3, 0.5, 0.95, 1.0, 1.2, 1.5, 2.0, 2.25, 3.0, 3.5, 4.0, 5.0, -0.4):
        add("crossover", {"alpha": alpha, "tilt": tilt}, lambda a, b, c, d, t=alpha, u=tilt:
            mecha(crossover, a, b, tilt=u, alpha=t), 1e-6, shapes=WAVES)
add("crossover", {"alpha": 0.3, "tilt": 0.5}, lambda a, b, c, d: mecha(crossover, a, a, tilt=0.5, alpha=0.3),
    models="aa", shapes=WAVES)


def in_order(a, b, c, alpha, beta):
    """meh's distribution_crossover; of equal values those that stand first."""
    if a.dim() == 0:
        return alpha * a + (1 - alpha) * b
    order = torch.argsort(c.flatten(), stable=True)
    fa, fb = (torch.fft.rfft(x.flatten()[order]) for x in (a, b))
    share = torch.arange(fa.numel(), dtype=D) / fa.numel()
    share = ((share - alpha) / beta + 0.5).clamp(0, 1) if beta > 1e-10 else (share >= alpha).to(D)
    line = torch.fft.irfft((1 - share) * fa + share * fb, a.numel())
    return line[torch.argsort(order)].reshape(a.shape)


for alpha in (0.0, 0.3, 0.5, 1.0):
    for beta in (0.0, 0.2, 1.0, 3.0):
        add("distribution_crossover", {"alpha": alpha, "beta": beta}, lambda a, b, c, d, t=alpha, u=beta:
            in_order(a, b, c, t, u) if a.numel() else a, 1e-6, base="c", shapes=WAVES)

# ---------------------------------------------------------------- filters, rotations
def smooth(x):
    x = scipy.ndimage.median_filter(x.numpy(), size=3) if x.dim() else x.numpy()
    return torch.from_numpy(scipy.ndimage.gaussian_filter(x, sigma=1) if x.ndim else x)


add("smooth_add", {"alpha": 0.8}, lambda a, b, c, d: a + 0.8 * smooth(b - c) if a.numel() else a, 1e-5, base="c")
def rows_and_columns(s):
    return (s[0] * s[1], s[2] * s[3]) if len(s) == 4 and s[2] * s[3] > 1 else (s[0], math.prod(s[1:]))


def rotate(a, b, alignment, alpha, centralization):
    """sd-mecha's, but for the direction that rows without their mean leave open, where LAPACK finds any: left out."""
    whole = svd.orthogonal_procrustes

    def without_it(a, b, **options):
        t = whole(a, b, **options)
        if a.shape[0] < a.shape[1]:
            t.u, t.v = t.u[:, :-1], t.v[:, :-1]
        return t if a.shape[0] > 1 or a.shape[1] == 1 else lambda x, *rest, **options: x
    if centralization == 1:
        svd.orthogonal_procrustes = without_it
    try:
        return svd.rotate.__wrapped__({"k": a.clone()}, {"k": b.clone()}, alignment=alignment, key="k",
                                      alpha=torch.tensor(alpha, dtype=D), centralization=centralization)
    finally:
        svd.orthogonal_procrustes = whole


TURNED = [s for s in SHAPES if math.prod(s) > 1] + [(1, 8), (2, 7), (3, 40), (10, 25), (30, 33), (6, 2, 1, 5)]
TALL = [s for s in TURNED if len(s) < 2 or rows_and_columns(s)[0] >= rows_and_columns(s)[1]]
WIDE = [s for s in TURNED if s not in TALL]
PARTS = [(1.0, 0.0), (1.0, 0.4), (0.0, 0.3), (0.0, 0.0), (1.0, 1.0), (0.4, 0.0), (0.7, 0.5), (0.9, 1.0)]
for alignment, alpha in PARTS:
    for centralization in (1.0, 0.5, 0.0):
        def wanted(a, b, c, d, q=alignment, t=alpha, z=centralization): return rotate(a, b, q, t, z)
        options = {"alignment": alignment, "alpha": alpha, "centralization": centralization}
        add("rotate", options, wanted, 5e-5, shapes=TALL if 0 < alignment < 1 else TURNED)
        # Of wide matrices far from each other sd-mecha does not find the way in its 100 steps.
        if 0 < alignment < 1:
            add("rotate", options, wanted, 5e-5, models="ae", letters="aecd", shapes=WIDE)

# ---------------------------------------------------------------- running them
folder = scratch()
tensors, jobs = {}, []
for shape in dict.fromkeys(s for case in CASES for s in case[-1].get("shapes", SHAPES)):
    for dtype in (torch.float32, torch.float16):
        for i, letter in enumerate("abcd"):
            x = torch.randn(shape, dtype=D)
            if x.numel() > 4:
                x.view(-1)[i] = 0.0
                x.view(-1)[4] = 0.5        # equal in all
            tensors[f"{letter} {shape} {dtype}"] = x.to(dtype)
        a = tensors[f"a {shape} {dtype}"]
        tensors[f"e {shape} {dtype}"] = (a.to(D) + 0.3 * torch.randn(shape, dtype=D)).to(dtype)      # near to a
for n, (method, options, wanted, tolerance, models, base, more) in enumerate(CASES):
    for shape in more.get("shapes", SHAPES):
        for dtype in (torch.float32, torch.float16):
            key = f"{shape} {dtype}"
            jobs.append({"out": f"{n} {key}", "method": method, "options": options,
                         "models": [f"{m} {key}" for m in models], "base": base and f"{base} {key}"})
save_file(tensors, os.path.join(folder, "in.safetensors"))
with open(os.path.join(folder, "jobs.json"), "w") as f:
    json.dump([{k: v for k, v in job.items() if v is not None} for job in jobs], f)
run = script(r"""
local folder = ...
local m = st.open(folder .. "/in.safetensors")
local file = io.open(folder .. "/jobs.json")
local list = {}
for _, job in ipairs(st.json.decode(file:read("a"))) do
   local o = job.options
   o.models = {}
   for i, name in ipairs(job.models) do o.models[i] = m[name] end
   o.base = job.base and m[job.base]
   local ok, t = pcall(st.merge, job.method, o)
   if ok then list[#list + 1] = { job.out, t:cast("F64") } else print(job.out .. ": " .. tostring(t)) end
end
st.model(list):save(folder .. "/out.safetensors", { sync = false })
""", folder)
if not check(run.returncode == 0, "all methods run", run.stderr, run.stdout.decode()):
    finish()
failed = dict(line.split(": ", 1) for line in run.stdout.decode().splitlines() if ": " in line)
results = load_file(os.path.join(folder, "out.safetensors"))
for n, (method, options, wanted, tolerance, models, base, more) in enumerate(CASES):
    problems = []
    for shape in more.get("shapes", SHAPES):
        for dtype in (torch.float32, torch.float16):
            key = f"{shape} {dtype}"
            args = [tensors[f"{letter} {key}"].to(D) for letter in more.get("letters", "abcd")]
            try:
                want = wanted(*args).reshape(shape)
            except Exception as e:
                problems.append(f"{key}: the oracle: {e!r}")
                continue
            got = results.get(f"{n} {key}")
            if got is None:
                problems.append(f"{key}: {failed.get(f'{n} {key}')}")
                continue
            if got.shape != want.shape:
                problems.append(f"{key}: shape {tuple(got.shape)} for {tuple(want.shape)}")
                continue
            scale = max([1.0] + [x.abs().max().item() for x in args + [want.nan_to_num()] if x.numel()])
            off = (got - want).abs() if want.numel() else torch.zeros(1)
            if not (off <= tolerance * scale).all():
                problems.append(f"{key}: off by {off.max().item():.3g}: {got.flatten()[:4].tolist()} for "
                                f"{want.flatten()[:4].tolist()}")
    check(not problems, f"{method} {json.dumps(options)}", *problems)


# ---------------------------------------------------------------- supermerger's cosine modes, over a whole model
def flat_cosine(a, b):
    return (a.flatten() @ b.flatten()) / (torch.linalg.norm(a) * torch.linalg.norm(b))


def supermerger_cosine(a, b, alpha, mode):
    def both(x, y):
        if mode == "cosine_a":
            x, y = torch.nn.functional.normalize(x, dim=0), torch.nn.functional.normalize(y, dim=0)
        columns = torch.cosine_similarity(x, y, dim=0)
        return columns, (columns + flat_cosine(x, y)) / 2
    names = [n for n in a if not n.startswith("first_stage_model.")]
    sims = np.concatenate([both(a[n], b[n])[mode == "cosine_b"].flatten().numpy() for n in names])
    sims = sims[~np.isnan(sims)]
    sims = np.delete(sims, np.where(sims < np.percentile(sims, 1, method="midpoint")))
    sims = np.delete(sims, np.where(sims > np.percentile(sims, 99, method="midpoint")))
    out = {n: a[n] for n in a}
    for n in names:
        k = (both(a[n], b[n])[1] - sims.min()) / (sims.max() - sims.min())
        k = (k - (abs(alpha) if mode == "cosine_a" else alpha)).clip(0, 1)
        out[n] = b[n] * (1 - k) + a[n] * k
    return out


for count in (1, 37):
    sizes = [(40,), (30, 50), (6, 3, 3, 3), (8, count)]
    both = [{f"model.{i}": torch.randn(s) for i, s in enumerate(sizes)} for _ in range(2)]
    for i, x in enumerate(both):
        x["first_stage_model.x"] = torch.randn(5)
        save_file(x, os.path.join(folder, f"{i}.safetensors"))
    for mode in ("cosine_a", "cosine_b"):
        for alpha in (0.0, 0.3, -0.2):
            run = script("""
local folder, mode, alpha = ...
local a, b = st.open(folder .. "/0.safetensors"), st.open(folder .. "/1.safetensors")
st.merge(mode, { models = { a, b }, alpha = tonumber(alpha) }):save(folder .. "/c.safetensors", { sync = false })
""", folder, mode, alpha)
            want = supermerger_cosine(*[{n: t.to(D) for n, t in x.items()} for x in both], alpha, mode)
            got = load_file(os.path.join(folder, "c.safetensors")) if run.returncode == 0 else {}
            off = {n: (got[n] - t).abs().max().item() if n in got else math.inf for n, t in want.items()}
            check(max(off.values()) <= 1e-5, f"{mode} {alpha} over a model with {count} columns", off, run.stderr)

# ---------------------------------------------------------------- chance
# How much is kept, what it is scaled by, and that models are cut independently, by the standard deviation.
N = 400_000
save_file({"a": torch.ones(N), "b": torch.full((N,), 3.0)}, os.path.join(folder, "chance.safetensors"))
for method, options, keep, value in (
        ("mecha_dropout", {"probability": 0.7, "alpha": 1.0}, 0.3, (1 / 0.3, 3 / 0.3, 2 / 0.3)),
        ("mecha_ties_dare", {"probability": 0.7}, 0.3, (1 / 0.3, 3 / 0.3, 2 / 0.3)),
        ("peft_dare_linear", {"weight": [1, 1], "density": 0.3}, 0.3, (1 / 0.3, 3 / 0.3, 4 / 0.3)),
        ("peft_dare_ties", {"weight": [1, 1], "density": 0.3}, 0.3, (1 / 0.3, 3 / 0.3, 2 / 0.3))):
    run = script(r"""
local folder, method, options = ...
local m = st.open(folder .. "/chance.safetensors")
local o = st.json.decode(options)
o.models, o.base, o.seed = { m.a, m.b }, st.zeros(#m.a), 5
local x = st.merge(method, o):clone()
st.model({ { "x", x }, { "y", st.merge(method, o):clone() } }):save(folder .. "/d.safetensors", { sync = false })
""", folder, method, json.dumps(options))
    got = load_file(os.path.join(folder, "d.safetensors")) if run.returncode == 0 else {}
    x = got.get("x", torch.zeros(N))
    problems = [run.stderr] if run.stderr else []
    for v, p in zip((0.0,) + value, ((1 - keep) ** 2, keep * (1 - keep), keep * (1 - keep), keep * keep)):
        share = (x - v).abs().lt(1e-4).double().mean().item()
        if abs(share - p) > 5 * math.sqrt(p * (1 - p) / N):
            problems.append(f"{share} of the entries are {v}, expected {p}")
    check(not problems, f"{method} keeps as many as it should", *problems)
    check(torch.equal(x, got.get("y", x + 1)), f"{method} with one seed gives one result")
finish()
