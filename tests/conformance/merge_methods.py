"""mergekit's twenty methods, one tensor at a time: st.merge against mergekit 0.1.5's own in-memory entry point.

In F32 results agree to 1e-6 of the largest magnitude (1e-5 for methods with norms, angles or iteration), saved as
BF16 to one unit in the last place; in BF16, where mergekit rounds at every step, our error against F64 is at most
mergekit's. Methods with a cut keep the same entries, those of the very magnitude at the cut aside. Methods with
chance in them are held to their statistics, and at density 1 to the values."""
import json
import math
import os
import warnings

import torch
from mergekit.merge_methods import merge_tensors
from safetensors.torch import load_file, save_file

from tap import check, covers, finish, scratch, script

warnings.filterwarnings("ignore")
torch.manual_seed(11)
SHAPES = [(64, 48), (37,), (1,), (), (0,), (3, 0), (3, 5, 7), (300, 401)]
TIGHT, LOOSE = 1e-6, 1e-5

# name, models besides the base, base?, parameters, tolerance
METHODS = [
    ("linear", 3, False, {"weight": [0.5, 0.3, 0.4]}, TIGHT),
    ("linear", 2, False, {"weight": [1.5, -0.25], "normalize": False}, TIGHT),
    ("task_arithmetic", 2, True, {"weight": [0.6, 0.4]}, TIGHT),
    ("task_arithmetic", 3, True, {"weight": [0.6, -0.4, 0.3], "normalize": True, "lambda": 0.7}, TIGHT),
    ("ties", 2, True, {"weight": [0.6, 0.4], "density": [0.5, 0.3]}, TIGHT),
    ("ties", 3, True, {"weight": [1.0, 0.5, -0.5], "density": [0.29, 0.9, 1.0], "normalize": False}, TIGHT),
    ("ties", 1, True, {"weight": [0.6], "density": [0.01]}, TIGHT),
    ("breadcrumbs", 2, True, {"weight": [0.6, 0.4], "density": [0.5, 0.9], "gamma": [0.01, 0.2]}, TIGHT),
    ("breadcrumbs_ties", 2, True, {"weight": [0.6, 0.4], "density": [0.5, 0.7], "gamma": [0.05, 0.1],
                                   "rescale": True}, TIGHT),
    ("dare_ties", 2, True, {"weight": [0.6, 0.4], "density": [1.0, 1.0]}, TIGHT),
    ("dare_linear", 2, True, {"weight": [0.6, 0.4], "density": [1.0, 1.0]}, TIGHT),
    ("della", 2, True, {"weight": [0.6, 0.4], "density": [1.0, 1.0]}, TIGHT),
    ("della_linear", 2, True, {"weight": [0.6, 0.4], "density": [1.0, 1.0]}, TIGHT),
    ("slerp", 1, True, {"t": 0.3}, LOOSE),
    ("slerp", 1, True, {"t": 1.0}, LOOSE),
    ("nuslerp", 2, True, {"weight": [0.7, 0.3]}, LOOSE),
    ("nuslerp", 2, False, {"weight": [0.7, 0.3]}, LOOSE),
    ("nuslerp", 2, True, {"weight": [0.2, 0.3], "nuslerp_flatten": False}, LOOSE),
    ("nuslerp", 2, True, {"weight": [0.2, 0.3], "nuslerp_flatten": False, "nuslerp_row_wise": True}, LOOSE),
    ("multislerp", 3, True, {"weight": [0.6, 0.4, 0.3]}, LOOSE),
    ("multislerp", 2, False, {"weight": [0.6, 0.4], "normalize_weights": False}, LOOSE),
    ("karcher", 3, False, {}, LOOSE),
    ("karcher", 2, False, {"max_iter": 3, "tol": 1e-4}, LOOSE),
    ("sce", 3, True, {}, LOOSE),
    ("sce", 3, True, {"select_topk": 0.4}, LOOSE),
    ("ram", 3, True, {"epsilon": 0.004}, TIGHT),
    ("ramplus_tl", 3, True, {"epsilon": 0.004, "r": 0.3, "alpha": 0.5}, TIGHT),
    ("model_stock", 2, True, {}, LOOSE),
    ("model_stock", 3, True, {"filter_wise": True}, LOOSE),
    ("nearswap", 1, True, {"t": 0.001}, TIGHT),
    ("arcee_fusion", 1, True, {}, LOOSE),
    ("passthrough", 1, False, {}, 0),
    ("passthrough", 1, False, {"scale": [0.3]}, TIGHT),
]
# Where the first listed tensor is the base, mergekit wants a value for it, too, in these.
EVERY_INPUT = {"linear": "weight", "passthrough": "scale"}

inputs, cases = {}, []


def make(shape, count, base, dtype):
    b = torch.randn(shape) * 0.05
    models = [b + torch.randn(shape) * 0.01 * (i + 1) for i in range(count)]
    tensors = ([b] if base else []) + models
    return [t.to(dtype) for t in tensors]


def add(method, count, base, parameters, tolerance, shape, dtype):
    tensors = make(shape, count, base, dtype)
    number = len(cases)
    for i, t in enumerate(tensors):
        inputs["%d.%d" % (number, i)] = t.contiguous()
    cases.append((method, count, base, parameters, tolerance, shape, dtype, tensors))


def mergekit(method, base, parameters, tensors, dtype):
    given = {k: (v if not isinstance(v, list) or not base or EVERY_INPUT.get(method) == k else v)
             for k, v in parameters.items()}
    return merge_tensors(tensors, method, parameters=given, base_index=0 if base else None, dtype=dtype)


CODE = """
local given, out, folder = ...
local m = st.open(folder .. "/in.safetensors")
local list = {}
for i, case in ipairs(st.json.decode(io.open(given):read("a"))) do
   local tensors = {}
   for k = 1, case.count do tensors[k] = m[("%d.%d"):format(i - 1, k - 1)] end
   local opts = { models = tensors, name = "t" }
   if case.base then opts.base = table.remove(tensors, 1) end
   for key, value in pairs(case.parameters) do opts[key] = value end
   local result = st.merge(case.method, opts)
   list[#list + 1] = { "f32." .. (i - 1), result:cast("F32") }
   list[#list + 1] = { "bf16." .. (i - 1), result:cast("BF16") }
end
st.model(list):save(out)
"""


def ours():
    folder = scratch()
    save_file(inputs, os.path.join(folder, "in.safetensors"))
    with open(os.path.join(folder, "cases.json"), "w") as f:
        json.dump([{"method": c[0], "count": len(c[7]), "base": c[2], "parameters": c[3]} for c in cases], f)
    out = os.path.join(folder, "out.safetensors")
    result = script(CODE, os.path.join(folder, "cases.json"), out, folder)
    if not check(result.returncode == 0, "st.merge runs", result.stderr):
        finish()
    return load_file(out)


def at_the_cut(case):
    """Entries whose magnitude is that at a cut: which of them stay, mergekit leaves open."""
    method, _, base, parameters, _, shape, _, tensors = case
    free = torch.zeros(shape, dtype=torch.bool)
    n = free.numel()
    if not base or n == 0:
        return free
    deltas = [t.float() - tensors[0].float() for t in tensors[1:]]
    if method == "sce" and "select_topk" in parameters:
        var = torch.stack(deltas).var(dim=0, unbiased=False)
        k = int(int((var != 0).sum()) * parameters["select_topk"])
        cut = var.flatten().sort(descending=True).values[max(k - 1, 0)]
        return (var - cut).abs() <= 1e-6 * cut
    for i, delta in enumerate(deltas):
        size = delta.abs().flatten().sort(descending=True).values
        for key in ("density", "gamma"):
            if key in parameters:
                d, g = parameters["density"][i], parameters.get("gamma", [0] * 9)[i]
                target, top = int(d * n), min(int(g * n), n - int(d * n))
                for k in (max(1, target), top, target + top):
                    if 0 < k <= n:
                        free |= delta.abs() == size[k - 1]
                        free |= delta.abs() == size[min(k, n - 1)]
    return free


def worst(got, want, free):
    odd = (got.isnan() != want.isnan()) & ~free
    if odd.any():
        return math.inf
    diff = torch.where(free | want.isnan(), 0, (got - want).abs())
    return diff.max().item() if diff.numel() else 0.0


def one_ulp(got, want):
    """BF16 values next to each other have consecutive bits, signs aside."""
    a, b = got.view(torch.int16).int(), want.view(torch.int16).int()
    a, b = torch.where(a < 0, -(a & 0x7fff), a), torch.where(b < 0, -(b & 0x7fff), b)
    return (a - b).abs()


def compare():
    results = ours()
    verdicts = {}
    for number, case in enumerate(cases):
        method, _, base, parameters, tolerance, shape, dtype, tensors = case
        key = "%s %s" % (method, json.dumps(parameters))
        got, got_bf16 = results["f32.%d" % number], results["bf16.%d" % number]
        bad = verdicts.setdefault(key, [])
        where = "%s %s" % (tuple(shape), dtype)
        try:
            want = mergekit(method, base, parameters, [t.float() for t in tensors], torch.float32).float()
        except (ValueError, RuntimeError, IndexError) as e:      # mergekit fails on some empty and 0-d tensors
            if len(shape) and math.prod(shape):
                bad.append("%s: mergekit fails: %s" % (where, e))
            continue
        if method == "arcee_fusion":      # in F32 its divergences are nearly all rounding
            want = mergekit(method, base, parameters, [t.double() for t in tensors], torch.float64).float()
        free = at_the_cut(case)
        scale = max(t.float().abs().max().item() for t in tensors) if want.numel() else 1
        if got.shape != want.shape:
            bad.append("%s: shape %s, mergekit %s" % (where, tuple(got.shape), tuple(want.shape)))
            continue
        off = worst(got, want, free)
        if not off <= tolerance * scale + 1e-9 * scale:
            bad.append("%s: off by %.3g, %.3g allowed" % (where, off, tolerance * scale))
        if dtype == torch.float32 and want.numel():
            ulps = torch.where(free, 0, one_ulp(got_bf16, want.bfloat16()))
            tiny = want.abs() < 1e-4 * scale      # next to 0 an absolute error is many units
            if ulps[~tiny].numel() and ulps[~tiny].max() > 1:
                bad.append("%s: as BF16 off by %d units" % (where, ulps[~tiny].max()))
        if dtype == torch.bfloat16 and want.numel() and method != "passthrough":
            exact = mergekit(method, base, parameters, [t.double() for t in tensors], torch.float64).double()
            rough = mergekit(method, base, parameters, tensors, torch.bfloat16).bfloat16()
            mine, theirs = worst(got_bf16.double(), exact, free), worst(rough.double(), exact, free)
            if mine > theirs * 1.0001 + 1e-9:
                bad.append("%s: in BF16 off by %.3g, mergekit by %.3g" % (where, mine, theirs))
    for key, bad in verdicts.items():
        check(not bad, "mergekit: " + key, *bad)


RANDOM = """
local folder = ...
local m = st.open(folder .. "/in.safetensors")
local b, x = m["b"], m["x"]
local list = {}
for _, method in ipairs { "dare_linear", "dare_ties", "della_linear", "della" } do
   for i, density in ipairs { 0.3, 0.5, 0.8 } do
      for _, rescale in ipairs { "true", "false" } do
         list[#list + 1] = { ("%s.%d.%s"):format(method, i, rescale), st.merge(method, { base = b, models = { x },
            weight = 1, density = density, rescale = rescale == "true", normalize = false, name = "t" }) }
      end
   end
end
st.model(list):save(folder .. "/out.safetensors")
"""


def chance():
    """One model, weight 1: entries are the base's or the model's, as often as density says."""
    folder, n = scratch(), 400 * 1000
    b = torch.randn(400, 1000)
    x = b + torch.randn(400, 1000) * 0.1
    save_file({"b": b, "x": x}, os.path.join(folder, "in.safetensors"))
    result = script(RANDOM, folder)
    if not check(result.returncode == 0, "methods with chance run", result.stderr):
        return
    out = load_file(os.path.join(folder, "out.safetensors"))
    delta = x - b
    rank = delta.abs().argsort(dim=1).argsort(dim=1).float()
    for method in ("dare_linear", "dare_ties", "della_linear", "della"):
        bad = []
        for i, density in enumerate((0.3, 0.5, 0.8), 1):
            for rescale in ("true", "false"):
                change = out["%s.%d.%s" % (method, i, rescale)] - b
                kept = change.abs() > 1e-6
                kept |= delta.abs() < 1e-5      # too small to tell
                rate, spread = kept.float().mean().item(), math.sqrt(density * (1 - density) / n)
                if abs(rate - density) > 6 * spread + 1e-3:
                    bad.append("density %g: %g kept" % (density, rate))
                factor = (delta.abs().sum() / delta[kept].abs().sum()).item() if rescale == "true" else 1
                off = (change[kept] - factor * delta[kept]).abs().max().item()
                if off > 1e-4:
                    bad.append("density %g, rescale %s: off by %g" % (density, rescale, off))
                high, low = kept[rank >= 900].float().mean().item(), kept[rank < 100].float().mean().item()
                slope = 0.27 if method.startswith("della") else 0      # 2 * 0.15 * 0.9
                if abs(high - low - slope) > 0.02:
                    bad.append("density %g: %g of the largest kept, %g of the smallest" % (density, high, low))
        check(not bad, "mergekit: %s, by its statistics" % method, *bad)


for name, count, base, parameters, tolerance in METHODS:
    for shape in SHAPES:
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            add(name, count, base, parameters, tolerance, shape, dtype)
compare()
chance()
covers("st.merge(")
finish()
