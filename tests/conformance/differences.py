"""differences.py - the numbers of `stlua diff` against torch's, of every pair of float dtypes and with NaN and
infinities; the weights of `stlua unmix` against numpy's least squares."""
import json

import numpy as np
import torch
from safetensors.torch import save_file

from tap import check, finish, scratch, stlua

torch.manual_seed(5)
folder = scratch()
FLOATS = torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2


def save(name, tensors):
    save_file({k: v.contiguous() for k, v in tensors.items()}, f"{folder}/{name}")
    return f"{folder}/{name}"


def close(x, y, tolerance=1e-9):
    return x == y or abs(x - y) <= tolerance * max(abs(x), abs(y))


def wide(t):
    """As stlua computes: floats up to 32 bits in F32."""
    return t if t.dtype == torch.float64 else t.float() if t.is_floating_point() else t.double()


# ---------------------------------------------------------------- diff
a, b = {}, {}
for x in FLOATS:
    for y in FLOATS:
        for n in 1, 7, 5000, 70001:
            name = f"{str(x)[6:]}.{str(y)[6:]}.{n}"
            values = torch.randn(n)
            a[name], b[name] = values.to(x), (values + 0.01 * torch.randn(n)).to(y)
for dtype in torch.int64, torch.int32, torch.uint8, torch.bool:
    name = str(dtype)[6:]
    a[name] = torch.randint(0, 2 if dtype == torch.bool else 100, (999,)).to(dtype)
    b[name] = torch.randint(0, 2 if dtype == torch.bool else 100, (999,)).to(dtype)
hard = torch.randn(4000)
hard[::7], hard[1::11], hard[2::13] = torch.nan, torch.inf, -torch.inf
a["hard"], b["hard"] = hard, hard + torch.where(torch.rand(4000) < 0.5, 0.1, 0.0)
done = stlua("diff", save("a.safetensors", a), save("b.safetensors", b), "--json")
check(done.returncode == 1, "models that differ give status 1", done.stderr)
rows = {row["name"]: row for row in json.loads(done.stdout)["tensors"]}
for name, row in rows.items():
    x, y = a[name], b[name]
    p, q = wide(x), wide(y)
    if p.dtype != q.dtype:
        p, q = p.double(), q.double()
    fine = p.isfinite() & q.isfinite()
    differing = int(((p != q) & ~(p.isnan() & q.isnan())).sum())
    p, q = p[fine], q[fine]
    delta = (p - q).double()
    p, q = p.double(), q.double()
    want = {"differing": differing, "max_abs": float(delta.abs().max()), "distance": float(delta.norm()),
            "relative": float(delta.norm() / p.norm()), "cosine": float(p @ q / (p.norm() * q.norm()))}
    if row["identical"]:
        check(torch.equal(x, y), f"{name} is the same")
        continue
    wrong = [k for k, v in want.items() if not close(row[k], v)]
    check(not wrong, f"{name}: {' '.join(want)}", wrong, row, want)
check(rows["hard"]["not_finite"] == [int((~a["hard"].isfinite()).sum()), int((~b["hard"].isfinite()).sum())],
      "NaN and infinities are counted", rows["hard"])

# ---------------------------------------------------------------- unmix
base = torch.randn(400, 300)
models = [base + 0.05 * torch.randn(400, 300) for _ in range(4)]
paths = [save(f"s{i}.safetensors", {"layers.0.w": m}) for i, m in enumerate(models)]
X = np.stack([m.double().numpy().ravel() for m in models], 1)
for k in 2, 3, 4:
    for noise in 0.0, 0.01:
        w = np.random.default_rng(k).normal(size=k)
        w /= w.sum()
        mix = torch.from_numpy((X[:, :k] @ w).reshape(400, 300)).float() + noise * torch.randn(400, 300)
        m = mix.double().numpy().ravel()
        path = save("mix.safetensors", {"layers.0.w": mix})
        free = np.linalg.lstsq(X[:, :k], m, rcond=None)[0]
        D = X[:, 1:k] - X[:, :1]
        rest = np.linalg.lstsq(D, m - X[:, 0], rcond=None)[0]
        for option, want in ((), [1 - rest.sum(), *rest]), (("--free",), free):
            done = stlua("unmix", path, *paths[:k], "--json", *option)
            got = json.loads(done.stdout)["all"]
            left = np.linalg.norm(m - X[:, :k] @ want) / np.linalg.norm(m)
            what = f"{k} sources, noise {noise} {' '.join(option)}"
            check(np.allclose(got["weights"], want, atol=2e-6), f"{what}: weights", got["weights"], want)
            check(abs(got["relative"] - left) < 1e-6, f"{what}: what is left", got["relative"], left)

finish()
