"""Discrete Fourier transforms against torch.fft: lengths of all kinds, one to four dimensions, some of them, other
sizes, all norms; on any number of threads, the same bytes.

torch computes in F64 from the same values. F64 results may be off by 4e-15 log2 n of the root mean square, F32 ones by
their rounding besides."""
import json
import math
import os

import torch
from safetensors.torch import load_file, save_file

from tap import check, covers, finish, scratch, script

torch.manual_seed(4)
inputs, cases = {}, []


def add(kind, name, code, want):
    cases.append((kind, name, code, want))


def lua(dim, s, norm):
    """Options as Lua has them: dimensions from 1."""
    parts = [f"dim = {{ {', '.join(str(d + 1 if d >= 0 else d) for d in dim)} }}"] if dim is not None else []
    parts += [f"s = {{ {', '.join(map(str, s))} }}"] if s is not None else []
    parts += [f"norm = '{norm}'"] if norm else []
    return f"{{ {', '.join(parts)} }}"


def all_four(kind, x, dim=None, s=None, norm=None):
    """x: real. Each transform of it, or of what torch made of it."""
    wide, name = x.double(), f"{len(inputs)}"
    opts = lua(dim, s, norm)
    inputs[name] = x.clone()
    add(kind, name, f"x:rfftn({opts})", torch.view_as_real(torch.fft.rfftn(wide, s=s, dim=dim, norm=norm)))
    z = torch.randn(x.shape, dtype=torch.complex128)
    pairs = torch.view_as_real(z).to(x.dtype if x.dtype in (torch.float32, torch.float64) else torch.float32)
    z = torch.view_as_complex(pairs.double())
    inputs[name + " c"] = pairs.clone()
    for fn in ("fftn", "ifftn"):
        want = getattr(torch.fft, fn)(z, s=s, dim=dim, norm=norm)
        add(kind, name + " c", f"x:{fn}({opts})", torch.view_as_real(want))
    last = (range(x.dim()) if dim is None else dim)[-1]
    if s is not None or z.shape[last] > 1:
        add(kind, name + " c", f"st.irfftn(x, {opts})", torch.fft.irfftn(z, s=s, dim=dim, norm=norm))
        odd = list(z.shape if dim is None else [z.shape[d] for d in dim]) if s is None else list(s)
        if s is None:
            odd[-1] = 2 * z.shape[last] - 1
        add(kind, name + " c", f"x:irfftn({lua(dim, odd, norm)})",
            torch.fft.irfftn(z, s=odd, dim=dim, norm=norm))


LENGTHS = [*range(1, 68), 97, 101, 121, 127, 128, 169, 251, 256, 343, 509, 1000, 1021, 1024, 1280, 2039, 4093, 4096,
           2 * 509, 17 * 19 * 4, 6 * 193, 65536, 65537, 70000, 98280, 131072, 100003, 1 << 20]
for n in LENGTHS:
    all_four("lengths", torch.randn(n, dtype=torch.float64))
for shape in [(3, 4), (1, 1), (1, 7), (7, 1), (5, 17), (16, 9), (2, 3, 4), (3, 1, 5), (4, 3, 3, 3), (6, 5, 2, 7),
              (130, 120), (257, 19)]:
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        x = torch.randn(shape).to(dtype)
        all_four("dimensions", x)
        all_four("one of the dimensions", x, dim=(-1,))
    for norm in ("ortho", "forward", "backward"):
        all_four("norms", torch.randn(shape, dtype=torch.float64), norm=norm)
for dim in [(0,), (1,), (2,), (0, 1), (1, 0), (0, 2), (2, 0), (2, 0, 1), (-1, -3)]:
    all_four("some dimensions", torch.randn((4, 5, 6), dtype=torch.float64), dim=dim)
    s = [3 + 2 * i for i in range(len(dim))]
    all_four("other sizes", torch.randn((4, 5, 6), dtype=torch.float64), dim=dim, s=s)
for s in [(9,), (2, 9), (7, 1), (4, 5, 7), (1, 1, 1)]:
    all_four("other sizes", torch.randn((4, 5, 6), dtype=torch.float64), s=s)
inputs["i"] = torch.arange(12).reshape(3, 4)
add("integers", "i", "x:rfftn()", torch.view_as_real(torch.fft.rfftn(inputs["i"].double())))

folder = scratch()
path, out = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
save_file(inputs, path)
with open(os.path.join(folder, "cases.json"), "w") as f:
    json.dump([[name, code] for _, name, code, _ in cases], f)
CODE = """
st.threads(tonumber(arg[4]))
local m, list = st.open(arg[1]), {}
local f = assert(io.open(arg[3])); local cases = st.json.decode(f:read("a")); f:close()
for i, case in ipairs(cases) do
   local ok, t = pcall(load("local st, x = ...; return " .. case[2]), st, m:get(case[1]))
   if ok then list[#list + 1] = { tostring(i), t } else print(i, t) end
end
st.model(list):save(arg[2], { sync = false })"""
saved = []
for threads in (2, 1, 3):
    run = script(CODE, path, out, os.path.join(folder, "cases.json"), threads)
    check(run.returncode == 0, f"all cases run on {threads} threads", run.stderr, run.stdout.decode())
    saved.append(open(out, "rb").read() if run.returncode == 0 else b"")
check(saved[0] == saved[1] == saved[2], "the same bytes on any number of threads")
results = load_file(out) if saved[-1] else {}

bad, kinds = {}, {}
for i, (kind, name, code, want) in enumerate(cases, 1):
    kinds[kind] = kinds.get(kind, 0) + 1
    got, x = results.get(str(i)), inputs[name]
    covers(code)
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    if got is None or got.shape != want.shape or got.dtype != dtype:
        wrong = "none" if got is None else f"{got.dtype} {tuple(got.shape)}, torch {tuple(want.shape)}"
    else:
        size = want.square().mean().sqrt().item() if want.numel() else 0
        allowed = size * (4e-15 * math.log2(want.numel() + 2)) + want.abs() * torch.finfo(dtype).eps
        off = (got.double() - want).abs() - allowed
        wrong = None if not (off > 0).any() else f"off by {(got.double() - want).abs().max().item():.3g} of {size:.3g}"
    if wrong:
        bad.setdefault(kind, []).append(f"{code} of {tuple(x.shape)} {x.dtype}: {wrong}")
for kind, n in kinds.items():
    check(kind not in bad, f"{kind}: {n} cases", f"{len(bad.get(kind, []))} differ", *bad.get(kind, [])[:12])
finish()
