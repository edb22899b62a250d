"""Reductions, selection and sorting against torch: random shapes and dtypes, empty and 0-d tensors, NaN.

Sums of exponentials round x less the largest x, which exp makes a relative error of that size: 8 units are allowed."""
import json
import math
import os

import torch
from safetensors.torch import load_file, save_file

from tap import check, covers, finish, scratch, script

torch.manual_seed(11)
FLOATS = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
INTEGERS = [torch.int64, torch.int32, torch.uint8, torch.int8]
QS = torch.tensor([0.1, 0.5, 0.9, 0.99, 0], dtype=torch.float64)
SHAPES = [(), (1,), (7,), (2049,), (5000,), (3, 4), (40, 65), (2, 3000), (5, 6, 7), (0,), (3, 0), (0, 4), (300, 3, 40)]


def values(dtype, shape, kind):
    if dtype == torch.bool:
        return torch.rand(shape) < 0.7
    if dtype in INTEGERS:
        return torch.randint(0 if dtype == torch.uint8 else -100, 100, shape).to(dtype)
    t = torch.randn(shape, dtype=torch.float64)
    if kind == "ties":
        t = (t * 2).round()
    if kind == "nan" and t.numel():
        t.view(-1)[torch.randint(t.numel(), (1 + t.numel() // 50,))] = math.nan
    if kind == "inf" and t.numel():
        t.view(-1)[torch.randint(t.numel(), (1 + t.numel() // 50,))] = math.inf
    return t.to(dtype)


folder = scratch()
inputs, cases = {}, []
for i, shape in enumerate(SHAPES):
    for dtype in FLOATS + INTEGERS + [torch.bool]:
        for kind in ["plain", "ties", "nan", "inf"] if dtype in FLOATS else ["plain"]:
            inputs[f"{i} {str(dtype)[6:]} {kind}"] = values(dtype, shape, kind)


def double(t):
    """What torch computes in F64 (integers: as they are)."""
    return t.double() if t.dtype.is_floating_point else t


def dims_of(t):
    """None for all dimensions, then each one."""
    return [None, *range(t.dim())]


def along(fn, t, d, **opts):
    return fn(t, dim=d, **opts) if d is not None else fn(t, **opts)


def add(name, code, want, exact=False, places=False):
    """A case: Lua code over `t` that gives a tensor, and what torch says (None: an error)."""
    cases.append((name, code, want, exact, places))


def attempt(fn):
    try:
        return fn()
    except (RuntimeError, IndexError, ValueError):
        return None


def opts_text(d, **more):
    parts = [] if d is None else [f"dim = {d + 1}"]
    return "{ " + ", ".join(parts + [f"{k} = {v}" for k, v in more.items()]) + " }"


def sums(name, t, d):
    o = opts_text(d)
    for fn in ["sum", "prod", "count_nonzero"]:
        add(name, f"t:{fn}({o})", attempt(lambda: along(getattr(torch, fn), double(t), d)))
    for fn in ["any", "all"]:  # torch gives U8 for U8
        add(name, f"t:{fn}({o})", attempt(lambda: along(getattr(torch, fn), t, d).bool()), exact=True)
    add(name, f"t:nansum({o})", attempt(lambda: along(torch.nansum, double(t), d)))
    if d is not None:
        for fn in ["softmax", "log_softmax", "logsumexp"]:
            if t.dtype in FLOATS:
                add(name, f"t:{fn}({d + 1})", attempt(lambda: getattr(torch, fn)(double(t), dim=d)))
    if t.dtype in FLOATS:
        every = d if d is not None else tuple(range(t.dim()))
        add(name, f"t:nanmean({o})", attempt(lambda: along(torch.nanmean, double(t), d)))
        add(name, f"t:logsumexp({opts_text(d, keepdim='true')})",
            attempt(lambda: torch.logsumexp(double(t), dim=every, keepdim=True)))
    add(name, f"t:sum({opts_text(d, keepdim='true')})",
        attempt(lambda: torch.sum(double(t), dim=d if d is not None else tuple(range(t.dim())), keepdim=True)))
    if t.dtype in FLOATS:
        for fn, lua in [(torch.mean, "mean"), (torch.var, "var"), (torch.std, "std")]:
            add(name, f"t:{lua}({o})", attempt(lambda: along(fn, double(t), d)))
        add(name, f"t:var({opts_text(d, correction=0)})", attempt(lambda: along(torch.var, double(t), d, correction=0)))
        for p in [2, 1, 0, 3, 0.5, math.inf, -math.inf]:
            lua = {math.inf: "math.huge", -math.inf: "-math.huge"}.get(p, p)
            add(name, f"t:norm({lua}, {o})",
                attempt(lambda: torch.linalg.vector_norm(double(t), ord=p, dim=d)))


def extremes(name, t, d):
    o = opts_text(d)
    for fn in ["amin", "amax"]:
        add(name, f"t:{fn}({o})", attempt(lambda: along(getattr(torch, fn), t, d)), exact=True)
    if t.dtype != torch.bool:
        for fn in ["argmin", "argmax"]:
            add(name, f"t:{fn}({o})", attempt(lambda: along(getattr(torch, fn), t, d)), places=True)
    if d is not None:
        add(name, f"(t:max({o}))", attempt(lambda: torch.max(t, dim=d).values), exact=True)
        add(name, f"select(2, t:min({o}))", attempt(lambda: torch.min(t, dim=d).indices), places=True)


def selection(name, t, d):
    o, n = opts_text(d), t.numel() if d is None else t.shape[d]
    flat = t.reshape(-1)
    if t.dtype == torch.bool:
        return
    if d is None:
        add(name, "t:median()", attempt(lambda: t.median() if t.numel() else None), exact=True)
        for k in {1, (n + 2) // 3, n, n + 1}:
            add(name, f"t:kthvalue({k})", attempt(lambda: flat.kthvalue(k).values), exact=True)
        if t.dtype in FLOATS and not t.isinf().any():  # between two infinities torch finds NaN
            for q in [0, 0.25, 0.5, 0.333, 1]:
                for how in ["linear", "lower", "higher", "nearest", "midpoint"]:
                    add(name, f't:quantile({q}, {{ interpolation = "{how}" }})',
                        attempt(lambda: torch.quantile(double(flat), q, interpolation=how)))
            add(name, "t:quantile({ 0.1, 0.5, 0.9, 0.99, 0 })",
                attempt(lambda: torch.quantile(double(flat), QS)))
        return
    add(name, f"(t:median({o}))", attempt(lambda: t.median(dim=d).values), exact=True)
    add(name, f"(t:kthvalue(1, {o}))", attempt(lambda: t.kthvalue(1, dim=d).values), exact=True)
    add(name, f"(t:kthvalue({n}, {o}))", attempt(lambda: t.kthvalue(n, dim=d).values), exact=True)
    if t.dtype in (torch.float32, torch.float64) and not t.isinf().any() and t.numel():
        add(name, f"t:quantile(0.3, {o})", attempt(lambda: torch.quantile(double(t), 0.3, dim=d)))
        add(name, f't:quantile(0.5, {opts_text(d, interpolation=chr(34) + "higher" + chr(34), keepdim="true")})',
            attempt(lambda: torch.quantile(double(t), 0.5, dim=d, keepdim=True, interpolation="higher")))


def orders(name, t, d):
    if d is None:
        return
    o = opts_text(d)
    for descending in [False, True]:
        o = opts_text(d, descending=str(descending).lower())
        want = torch.sort(t, dim=d, descending=descending, stable=True)
        add(name, f"(t:sort({o}))", want.values, exact=True)
        add(name, f"t:argsort({o})", want.indices, places=True)
    for k in {0, 1, t.shape[d] // 2, t.shape[d] + 1}:
        if t.dtype != torch.bool:
            add(name, f"(t:topk({k}, {opts_text(d)}))", attempt(lambda: torch.topk(t, k, dim=d).values), exact=True)
            add(name, f"(t:topk({k}, {opts_text(d, largest='false')}))",
                attempt(lambda: torch.topk(t, k, dim=d, largest=False).values), exact=True)
    if t.dtype in INTEGERS:
        add(name, f"t:cumsum({d + 1})", torch.cumsum(t, d), exact=True)
        add(name, f"t:cumprod({d + 1})", torch.cumprod(t, d), exact=True)
    elif t.dtype == torch.float32:
        add(name, f"t:cumsum({d + 1})", torch.cumsum(t.double(), d).float(), exact=True)
        add(name, f"t:cumprod({d + 1})", torch.cumprod(t.double(), d).float(), exact=True)


def others(name, t):
    values_, inverse, counts = torch.unique(t, return_inverse=True, return_counts=True)
    add(name, "(t:unique())", values_, exact=True)
    if not t.isnan().any():  # torch's NaN come in any order
        add(name, "select(2, t:unique { inverse = true })", inverse, places=True)
    add(name, "select(2, t:unique { counts = true })", counts, exact=True)
    if t.dtype in (torch.float32, torch.float64):
        if not t.isnan().any() and not t.isinf().any():
            want = torch.histc(double(t), 13).long() if t.numel() else torch.zeros(13).long()
            add(name, "t:histogram(13)", want, exact=True)
            want = torch.histc(double(t), 9, -1.5, 1).long() if t.numel() else torch.zeros(9).long()
            add(name, "t:histc(9, -1.5, 1)", want, exact=True)
        if not t.isnan().any():
            want = torch.histogram(double(t), 7, range=(-1, 1.5)).hist.long()
            add(name, "(t:histogram(7, { min = -1, max = 1.5 }))", want, exact=True)
        flat = double(t).reshape(-1)
        add(name, "t:dot(t)", torch.dot(flat, flat))
        add(name, "t:cosine_similarity(t:abs())", torch.cosine_similarity(flat, flat.abs(), dim=0))


for name, t in inputs.items():
    for d in dims_of(t):
        sums(name, t, d)
        extremes(name, t, d)
        selection(name, t, d)
        orders(name, t, d)
    others(name, t)

path, out = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
save_file({k: v.contiguous() for k, v in inputs.items()}, path)
with open(os.path.join(folder, "cases.json"), "w") as f:
    json.dump([[name, "local t = ...; return " + code] for name, code, *_ in cases], f)
r = script("""
local m, list, failed = st.open(arg[1]), {}, {}
local f = assert(io.open(arg[3])); local cases = st.json.decode(f:read("a")); f:close()
for i, case in ipairs(cases) do
   local ok, result = pcall(function() return load(case[2])(m:get(case[1])):force() end)
   if ok then list[#list + 1] = { tostring(i), result } else failed[tostring(i)] = tostring(result) end
end
st.model(list):save(arg[2], { sync = false })
io.write(st.json.encode(failed))""", path, out, os.path.join(folder, "cases.json"))
check(r.returncode == 0, "all cases run", r.stderr)
results = load_file(out) if r.returncode == 0 else {}
failed = json.loads(r.stdout or "{}") if r.returncode == 0 else {}

bad, kinds = {}, {}
for i, (name, code, want, exact, places) in enumerate(cases, 1):
    kind = code.replace("(t:", "t:").replace("select(2, t:", "t:").split("t:")[1].split("(")[0].split(" ")[0]
    kinds[kind] = kinds.get(kind, 0) + 1
    got = results.get(str(i))
    if got is None or want is None:
        if (got is None) != (want is None):
            bad.setdefault(kind, []).append(f"{name}: {code}: {failed.get(str(i), 'no error')}, torch {want}")
        continue
    t = inputs[name]
    covers(code)
    if places:
        want = want + 1
    if exact:
        ok = got.dtype == want.dtype and got.shape == want.shape and torch.equal(got != got, want != want) \
            and torch.equal(got.nan_to_num(7), want.nan_to_num(7))
    elif places:
        ok = got.dtype == torch.int64 and torch.equal(got, want)
    else:
        rounding = 0 if not got.dtype.is_floating_point else \
            2e-16 * max(16, t.numel()) if got.dtype == torch.float64 else torch.finfo(got.dtype).eps
        small = 1e-12
        if "soft" in kind or kind == "logsumexp":
            rounding *= 8
            small = rounding if kind != "softmax" else 1e-40
        ok = got.shape == want.shape and torch.allclose(got.double(), want.double().to(got.dtype).double(),
                                                        rtol=rounding, atol=small, equal_nan=True)
        ok = ok and (t.dtype.is_floating_point or got.dtype == want.dtype)
    if not ok:
        text = [f"{x.dtype} {tuple(x.shape)} {x.reshape(-1)[:5].tolist()}" for x in (got, want)]
        bad.setdefault(kind, []).append(f"{name}: {code}: {text[0]}, torch {text[1]}")
for kind, n in kinds.items():
    check(kind not in bad, f"{kind}: {n} cases", f"{len(bad.get(kind, []))} differ", *bad.get(kind, [])[:12])
finish()
