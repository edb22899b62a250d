"""Linear algebra against torch: shapes and dtypes of matmul, einsum, stacks, empty matrices, NaN; decompositions.

torch computes in F64 from the same values. Tolerances: a sum of k products in precision eps is off by at most about
k eps times the sum of magnitudes, in practice by sqrt(k) eps: 8 sqrt(k) eps is allowed. Decompositions are backward
stable: 20 n eps of the norm, times the condition where a system is solved."""
import json
import math
import os

import torch
from safetensors.torch import load_file, save_file

from tap import check, covers, finish, scratch, script

torch.manual_seed(5)
FLOATS = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
PAIRS = [((5,), (5,)), ((5,), (5, 3)), ((3, 5), (5,)), ((2, 3, 5), (5,)), ((5,), (2, 5, 3)), ((4, 6), (6, 7)),
         ((2, 4, 6), (6, 7)), ((4, 6), (3, 6, 7)), ((3, 4, 6), (3, 6, 7)), ((1, 4, 6), (3, 6, 7)),
         ((2, 1, 4, 6), (3, 6, 5)),
         ((2, 3, 4, 6), (2, 1, 6, 5)), ((0, 5), (5, 3)), ((3, 0), (0, 4)), ((2, 3, 0), (0, 4)), ((0, 3, 5), (5, 2)),
         ((3, 5), (5, 0)), ((1, 1), (1, 1)), ((65, 130), (130, 33)), ((300, 1000), (1000, 200)), ((0,), (0,)),
         ((3, 4), (3, 4)), ((5,), (4,)), ((2, 4, 6), (3, 6, 7)), ((), (3,)), ((2, 3), (3, 3, 3, 2))]
SQUARE = [(1, 1), (2, 2), (7, 7), (40, 40), (3, 5, 5), (2, 2, 4, 4), (0, 0), (0, 3, 3), (3, 0, 0)]
ANY = SQUARE + [(3, 5), (5, 3), (60, 20), (20, 60), (2, 4, 9), (0, 4), (4, 0), (1, 8), (8, 1)]

EINSUMS = """
ij,jk->ik 3x4 4x5 | ij,jk 3x4 4x5 | ij,jk->k 3x4 4x5 | ba,cb 3x4 5x3 | bij,bjk->bik 2x3x4 2x4x5 |
bhid,bhjd->bhij 2x3x4x5 2x3x6x5 | bhij,bhjd->bihd 2x3x4x5 2x3x5x6 | i,j->ij 3 4 | i,i 5 5 | i,i->i 5 5 |
ij,ij-> 3x4 3x4 | ij,kl->ijkl 2x3 4x5 | abc,cd->abd 2x3x4 4x5 | ij,jk->ik 3x4 1x5 | ij,jk->ik 3x1 4x5 |
ij,ij->ij 1x4 3x1 | ij,jk->ik 3x1 1x5 | iij,jk->ik 3x3x4 4x2 | ii,ij->j 3x3 3x2 | ij,jj->i 2x3 3x3 |
Ab,bA->A 3x4 4x3 | ij,jk->ik 0x4 4x5 | ij,jk->ik 3x0 0x5 | ,ij->ji - 2x3 | ij,jk->ik 3x4 3x5 | ij,jk->iz 3x4 4x5 |
ij,jk->ii 3x4 4x5 | ij,j 3x4 4x5 | ij->ji 3x4 | ij-> 3x4 | ij->j 3x4 | ii 4x4 | ii->i 4x4 | iji->j 3x2x3 |
iii->i 3x3x3 | jii 2x3x3 | ii 3x4 | ba 2x3 | ij 3"""  # equation, shapes

inputs, cases = {}, []


def give(name, t):
    inputs[name] = t.clone(memory_format=torch.contiguous_format)
    return t


def add(kind, code, names, want):
    """Lua code over a (and b) that gives tensors; want(results) tells what is wrong, None stands for torch's error."""
    cases.append((kind, code, names, want))


def eps(t):
    return torch.finfo(t.dtype).eps


def close(got, want, allowed):
    """Within `allowed` of F64 values, plus the rounding to got's dtype; NaN and infinities in the same places."""
    if got.shape != want.shape:
        return f"shape {tuple(got.shape)}, torch {tuple(want.shape)}"
    g = got.double()
    odd = ~torch.isfinite(want.to(got.dtype))
    off = (g - want).abs() - allowed - want.abs() * eps(got)
    signs = [x.to(got.dtype)[odd].nan_to_num(0, 1, -1) for x in (got, want)]
    if torch.equal(torch.isnan(g), torch.isnan(want)) and torch.equal(*signs) and not (off[~odd] > 0).any():
        return None
    return f"{g.flatten()[:4].tolist()}, torch {want.flatten()[:4].tolist()}"


def products():
    def judge(a, b, mixed):
        def want(r):
            common = torch.promote_types(a.dtype, b.dtype)
            if r[0].dtype != common:
                return f"dtype {r[0].dtype}"
            precision = 2.0 ** -52 if common == torch.float64 else 2.0 ** -23
            magnitude = torch.matmul(a.double().abs().nan_to_num(0, 0, 0), b.double().abs().nan_to_num(0, 0, 0))
            allowed = 8 * math.sqrt(a.shape[-1] + 1) * precision * magnitude
            return close(r[0], torch.matmul(a.double(), b.double()), allowed)
        try:
            shape = torch.matmul(a.double(), b.double()).shape
        except RuntimeError:
            return None
        return want if mixed or torch.matmul(a, b).shape == shape else None

    for i, (sa, sb) in enumerate(PAIRS):
        for j, da in enumerate(FLOATS):
            for db in FLOATS if i < 8 else [da]:
                a, b = torch.randn(sa, dtype=torch.float64).to(da), torch.randn(sb, dtype=torch.float64).to(db)
                if j == 1 and a.numel() > 3 and b.numel() > 3:
                    a.view(-1)[1], b.view(-1)[2] = math.nan, math.inf
                names = [f"mm {i} {da} {db} a", f"mm {i} {da} {db} b"]
                give(names[0], a), give(names[1], b)
                add("matmul", "{ a:matmul(b) }", names, judge(a, b, da != db))
                if b.dim() == 2:
                    turned = [names[0], names[1] + " turned"]
                    give(turned[1], b.t())
                    add("matmul with a transposed operand", "{ a:matmul(b:t()) }", turned, judge(a, b, da != db))


def special_products():
    """Functions for operands of certain dimensions only, which refuse others as torch does."""
    shapes = [(3,), (4,), (2, 3), (3, 4), (0, 3), (3, 0), (2, 2, 3), (2, 3, 4), (3, 3, 2), (), (0,)]
    for i, sa in enumerate(shapes):
        for j, sb in enumerate(shapes):
            dtype = FLOATS[(i + j) % 4]
            a, b = torch.randn(sa).to(dtype), torch.randn(sb).to(dtype)
            names = [f"sp {i} {j} a", f"sp {i} {j} b"]
            give(names[0], a), give(names[1], b)
            for fn in ["mm", "mv", "bmm", "outer", "kron"]:
                try:
                    want = getattr(torch, fn)(a.double(), b.double())
                except (RuntimeError, IndexError):
                    add(fn, f"{{ a:{fn}(b) }}", names, None)
                    continue
                allowed = want.abs().max().item() * 1e-6 + 1e-6 if want.numel() else 0
                add(fn, f"{{ a:{fn}(b) }}", names, lambda r, w=want, d=dtype, e=allowed: (
                    close(r[0], w, e) or (None if r[0].dtype == d else f"dtype {r[0].dtype}")))


def einsums():
    """One and two operands; sizes of 1 that go with others; letters twice; nothing in common; integers."""
    equations = [line.split() for line in EINSUMS.split("|")]
    equations = [(e, *(tuple(map(int, t.split("x"))) if t != "-" else () for t in shapes)) for e, *shapes in equations]
    equations += [("ij,jk -> ik", (3, 4), (4, 5)), ("ij,jk,kl->il", (3, 4), (4, 5)), ("", ())]
    for i, (equation, *shapes) in enumerate(equations):
        for dtype in FLOATS + [torch.int32, torch.int64]:
            whole = not dtype.is_floating_point
            tensors = [torch.randint(-9, 9, s, dtype=dtype) if whole else torch.randn(s, dtype=torch.float64).to(dtype)
                       for s in shapes]
            names = [f"es {i} {dtype} {k}" for k in range(len(tensors))]
            for name, t in zip(names, tensors):
                give(name, t)
            code = f"{{ st.einsum({json.dumps(equation)}, {', '.join('ab'[:len(shapes)])}) }}"
            try:
                want = torch.einsum(equation, *(t if whole else t.double() for t in tensors))
            except RuntimeError as e:
                if "expected scalar type" not in str(e):      # torch stumbles over a sum of its own that became I64
                    add("einsum", code, names, None)
                continue
            if whole:
                add("einsum of integers", code, names, lambda r, w=want: (
                    None if torch.equal(r[0].long(), w.long()) else f"{r[0].flatten()[:4].tolist()}"))
            else:
                # the intermediate results are of the dtype, as torch's are
                allowed = (torch.finfo(dtype).eps + 1e-6) * 16 * (want.abs().max().item() + 4) if want.numel() else 0
                add("einsum", code, names, lambda r, w=want, d=dtype, e=allowed: (
                    close(r[0], w, e) or (None if r[0].dtype == d else f"dtype {r[0].dtype}")))


def triangles():
    """Exact, of any dtype."""
    def same(r, want, dtype):
        ok = r[0].dtype == dtype and r[0].shape == want.shape and torch.equal(r[0].nan_to_num(7), want.nan_to_num(7))
        return None if ok else f"{r[0].dtype} {r[0].tolist()}, torch {want.tolist()}"

    shapes = [(3, 5), (5, 3), (4, 4), (1, 1), (0, 3), (3, 0), (2, 3, 4), (2, 0, 3, 3), (5,), (0,), ()]
    for i, shape in enumerate(shapes):
        for dtype in FLOATS + [torch.int64, torch.uint8, torch.bool]:
            a = (torch.randn(shape) * 9).abs().to(dtype) if dtype != torch.bool else torch.rand(shape) < 0.5
            if a.dtype.is_floating_point and a.numel() > 3:
                a.view(-1)[2] = math.nan
            name = [f"tri {i} {dtype}"]
            give(name[0], a)
            for k in [None, -2, -1, 0, 1, 3, 9]:
                for fn in ["triu", "tril", "diag"]:
                    code = f"{{ a:{fn}({'' if k is None else k}) }}"
                    try:
                        want = getattr(torch, fn)(a, k or 0)
                    except RuntimeError:
                        if fn != "diag":  # torch.diag refuses a diagonal beside the matrix; here it is empty
                            add(fn, code, name, None)
                        continue
                    add(fn, code, name, lambda r, w=want, d=dtype: same(r, w, d))
            if a.dim() == 2:
                wide = a.double() if dtype.is_floating_point else a.long()
                want = wide.trace()
                add("trace", "{ a:trace() }", name, lambda r, w=want: same(r, w, w.dtype) if w.isnan() or
                    not w.is_floating_point() else close(r[0], w, 1e-12 * w.abs().item()))


def unit(a, k):
    return 20 * (sum(a.shape[-2:]) + 1) * eps(k) * max(1e-300, a.double().norm().item())


def diagonal(s):
    return torch.diag_embed(s.double())


def decompositions():
    for i, shape in enumerate(ANY):
        for dtype in FLOATS:
            a = give(f"any {i} {dtype}", torch.randn(shape, dtype=torch.float64).to(dtype))
            wide, name = a.double(), [f"any {i} {dtype}"]
            svals = torch.linalg.svdvals(wide)
            expected = torch.float64 if dtype == torch.float64 else torch.float32

            def svd(r, wide=wide, svals=svals, full=False, expected=expected):
                u, s, vh = r
                want = torch.linalg.svd(wide, full_matrices=full)
                if [x.shape for x in r] != [x.shape for x in want] or s.dtype != expected:
                    return f"{[tuple(x.shape) for x in r]} {s.dtype}"
                k = s.shape[-1]
                back = u.double()[..., :k] @ diagonal(s) @ vh.double()[..., :k, :]
                return close(s.double(), svals, unit(wide, s)) or close(back, wide, unit(wide, s))

            add("svd", "{ a:svd() }", name, svd)
            add("svd with full matrices", "{ a:svd { full_matrices = true } }", name, lambda r, f=svd: f(r, full=True))
            add("svdvals", "{ a:svdvals() }", name, lambda r, w=wide, s=svals: close(r[0], s, unit(w, r[0])))
            add("nuclear norm", "{ a:norm('nuc') }", name,
                lambda r, w=wide, s=svals: close(r[0], s.sum(-1), unit(w, r[0]) * (s.shape[-1] + 1)))
            add("qr", "{ a:qr() }", name, lambda r, w=wide: next(filter(None, (
                close(got, want, 200 * unit(w, got)) for got, want in zip(r, torch.linalg.qr(w)))), None)
                if min(w.shape[-2:]) < 8 else close(r[0].double() @ r[1].double(), w, unit(w, r[0])))
            if dtype in (torch.float32, torch.float64):
                steep = 10 * (1 + 1 / svals.min().item() ** 2) if svals.numel() else 1
                add("pinv", "{ a:pinv() }", name,
                    lambda r, w=wide, c=steep: close(r[0], torch.linalg.pinv(w), c * unit(w, r[0])))


def squares():
    for i, shape in enumerate(SQUARE):
        for dtype in FLOATS:
            n = shape[-1]
            x = torch.randn(shape, dtype=torch.float64)
            g = give(f"sq {i} {dtype}", (x @ x.mT + n * torch.eye(n)).to(dtype))
            b = give(f"rhs {i} {dtype}", torch.randn(shape[:-1] + (3,), dtype=torch.float64).to(dtype))
            v = give(f"vec {i} {dtype}", torch.randn(shape[:-1], dtype=torch.float64).to(dtype))
            low = torch.tril(g.double()) + torch.tril(g.double(), -1).mT  # rounding leaves it symmetric
            name = [f"sq {i} {dtype}"]
            # The condition is at most about 8: eigenvalues from n to 5 n.
            add("eigh", "{ a:eigh() }", name, lambda r, w=low: close(r[0], torch.linalg.eigvalsh(w), unit(w, r[0]))
                or close(r[1].double() @ diagonal(r[0]) @ r[1].double().mT, w, unit(w, r[0])))
            add("cholesky", "{ a:cholesky() }", name,
                lambda r, w=low: close(r[0], torch.linalg.cholesky(w), unit(w, r[0])))
            add("inverse", "{ a:inverse() }", name,
                lambda r, w=g.double(): close(r[0], torch.linalg.inv(w), unit(w, r[0])))
            add("det", "{ a:det() }", name, lambda r, w=g.double(): close(
                r[0], torch.linalg.det(w), torch.linalg.det(w).abs() * 50 * (w.shape[-1] + 1) * eps(r[0])))
            for other, kind in [(b, "rhs"), (v, "vec")]:
                add("solve", "{ a:solve(b) }", [name[0], f"{kind} {i} {dtype}"], lambda r, w=g.double(), o=other: close(
                    r[0], torch.linalg.solve(w, o.double()), unit(w, r[0])))


def low_rank():
    for i, (m, n, rank) in enumerate([(200, 300, 10), (300, 200, 40), (400, 400, 6)]):
        x = torch.randn(m, rank).double() * 0.7 ** torch.arange(rank) @ torch.randn(rank, n).double()
        for dtype in [torch.float32, torch.float64]:
            a = give(f"low {i} {dtype}", x.to(dtype))

            def want(r, a=a):
                s = torch.linalg.svdvals(a.double())[:6]
                best = torch.linalg.svd(a.double(), full_matrices=False)
                near = (best.U[:, :6] * best.S[:6]) @ best.Vh[:6]
                u, s6, v = (x.double() for x in r[:3])
                return close(s6, s, 1e-3 * s[0]) or (None if ((u * s6) @ v.mT - a).norm() <= 1.01 * (near - a).norm()
                                                     + 1e-5 * a.norm() else "far from the best of rank 6")

            add("svd_lowrank", "{ a:svd_lowrank(6) }", [f"low {i} {dtype}"], want)


products()
special_products()
einsums()
triangles()
decompositions()
squares()
low_rank()

folder = scratch()
path, out = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
save_file(inputs, path)
with open(os.path.join(folder, "cases.json"), "w") as f:
    json.dump([[code, *names] for _, code, names, _ in cases], f)
run = script("""
local m, list, failed = st.open(arg[1]), {}, {}
local f = assert(io.open(arg[3])); local cases = st.json.decode(f:read("a")); f:close()
for i, case in ipairs(cases) do
   local ok, results = pcall(function()
      local r = load("local st, a, b = ...; return " .. case[1])(st, m:get(case[2]), case[3] and m:get(case[3]))
      for _, t in ipairs(r) do t:force() end
      return r
   end)
   for k, t in ipairs(ok and results or {}) do list[#list + 1] = { i .. " " .. k, t } end
   if not ok then failed[tostring(i)] = tostring(results) end
end
st.model(list):save(arg[2], { sync = false })
io.write(st.json.encode(failed))""", path, out, os.path.join(folder, "cases.json"))
check(run.returncode == 0, "all cases run", run.stderr)
results = load_file(out) if run.returncode == 0 else {}
failed = json.loads(run.stdout or "{}") if run.returncode == 0 else {}

bad, kinds = {}, {}
for i, (kind, code, names, want) in enumerate(cases, 1):
    kinds[kind] = kinds.get(kind, 0) + 1
    error = failed.get(str(i))
    if error or not want:
        wrong = None if error and not want else f"{error}; torch takes it" if error else "no error, but torch's"
    else:
        r = []
        while f"{i} {len(r) + 1}" in results:
            r.append(results[f"{i} {len(r) + 1}"])
        wrong = want(r)
        covers(code, ":nuclear_norm(" if "'nuc'" in code else "")
    if wrong:
        shapes = [f"{tuple(inputs[n].shape)} {inputs[n].dtype}" for n in names]
        bad.setdefault(kind, []).append(f"{code} {' and '.join(shapes)}: {wrong}")
for kind, n in kinds.items():
    check(kind not in bad, f"{kind}: {n} cases", f"{len(bad.get(kind, []))} differ", *bad.get(kind, [])[:12])
finish()
