"""elementwise.py - elementwise operations and composites on random shapes and dtypes, broadcast, empty, without
dimensions, with NaN and infinities, as PyTorch computes them.

Exact for everything but transcendental functions, which are held to 2 units in the last place of the true value
(PyTorch's in F64, rounded; F64 to PyTorch's own). NaN equals NaN. gelu cancels for negative x, in PyTorch as here: it
is held to 2 units of x. Left out: integers divided by 0 (PyTorch throws), operands outside the common integer dtype
(PyTorch wraps them first)."""
import os
import random

import numpy
import torch
from safetensors.torch import load_file, save_file

from tap import check, covers, finish, scratch, script

CASES = int(os.environ.get("CASES", 6000))
SEED = int(os.environ.get("SEED", 1))
NAMES = {torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16", torch.int32: "I32",
         torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64"}
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
INTS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
BINARY = "add sub mul div minimum maximum eq ne lt le gt ge fmod remainder floor_divide".split()
UNARY = "neg abs sign sqrt floor ceil round trunc square reciprocal rsqrt relu".split()
LOOSE = """exp log sigmoid tanh erf exp2 expm1 log2 log10 log1p sin cos tan asin acos atan sinh cosh erfc silu gelu
softplus""".split()
LOOSE_BINARY = "pow atan2 hypot".split()
TESTS = "isnan isinf isfinite logical_not".split()
LOGICAL = "logical_and logical_or logical_xor".split()
BITS = "bitwise_and bitwise_or bitwise_xor".split()
INTEGER_DIVISION = {"fmod", "remainder", "floor_divide"}
OF_NN = {"silu", "gelu", "softplus"}
RANK = {torch.bool: 0, **{d: 1 for d in INTS}, **{d: 2 for d in FLOATS}}
rng = random.Random(SEED)
numpy.seterr(invalid="ignore")


def values(shape, dtype):
    if dtype == torch.bool:
        return torch.randint(0, 2, shape).bool()
    if not dtype.is_floating_point:
        info = torch.iinfo(dtype)
        wide = rng.random() < 0.3
        low, high = (info.min, min(info.max, 2**62)) if wide else (max(info.min, -9), 9)
        return torch.randint(low, high, shape).to(dtype)
    t = torch.randn(shape, dtype=torch.float64) * 10.0 ** rng.choice([-3, 0, 0, 0, 1, 3])
    if rng.random() < 0.3 and t.numel():
        special = torch.tensor([0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1.0, -1.0, 0.5, 1e-40, 2.5, -3.5])
        flat = t.view(-1)
        for _ in range(max(1, flat.numel() // 3)):
            flat[rng.randrange(flat.numel())] = special[rng.randrange(len(special))]
    return t.to(dtype)


def random_shape():
    return [rng.choice([0, 1, 1, 2, 3, 5, 17]) if rng.random() < 0.9 else 40 for _ in range(rng.randrange(4))]


def narrowed(shape):
    """One that broadcasts with it."""
    return [1 if rng.random() < 0.3 else n for n in shape][rng.randrange(len(shape) + 1) if rng.random() < 0.4 else 0:]


def make_case():
    shape, kind = random_shape(), rng.random()
    any_dtype = lambda: rng.choice(list(NAMES))
    if kind < 0.05:
        d = rng.choice(FLOATS + INTS)
        return rng.choice(LOOSE_BINARY), [values(shape, d), values(narrowed(shape), rng.choice([d, d, any_dtype()]))]
    if kind < 0.4:
        op, a, b = rng.choice(BINARY), values(shape, any_dtype()), values(narrowed(shape), any_dtype())
        if rng.random() < 0.2 and not op.startswith("m"):
            b = rng.choice([0, 1, -2, 3, 0.5, -1.5])
        return op, [a, b]
    if kind < 0.55:
        return rng.choice(UNARY + TESTS), [values(shape, any_dtype())]
    if kind < 0.75:
        return rng.choice(LOOSE), [values(shape, rng.choice(FLOATS + [torch.int64, torch.bool]))]
    if kind < 0.8:
        return rng.choice(LOGICAL), [values(shape, any_dtype()), values(narrowed(shape), any_dtype())]
    if kind < 0.87:
        d = rng.choice(INTS)
        if rng.random() < 0.4:
            op = rng.choice(["bitwise_left_shift", "bitwise_right_shift"])
            return op, [values(shape, d), values(narrowed(shape), d)]
        d2 = rng.choice(INTS + [torch.bool])
        return rng.choice(BITS), [values(shape, d), values(narrowed(shape), d2)]
    if kind < 0.9:
        return "bitwise_not", [values(shape, rng.choice(INTS + [torch.bool]))]
    d = rng.choice(FLOATS)
    if kind < 0.93:
        return "where", [values(shape, torch.bool), *(values(narrowed(shape), any_dtype()) for _ in range(2))]
    if kind < 0.95:
        return "masked_fill", [values(shape, d), values(narrowed(shape), torch.bool), 2.5]
    if kind < 0.96:
        return rng.choice(["clamp", "clip"]), [values(shape, d), -0.5, rng.choice([0.25, -1.0])]
    if kind < 0.97:
        limits = [] if rng.random() < 0.3 else [rng.choice([0, 1.5]), 100.0, -2.5][:rng.randrange(1, 4)]
        return "nan_to_num", [values(shape, any_dtype()), *limits]
    if kind < 0.98:
        a, near = values(shape, any_dtype()), rng.choice([0, 1e-6, 1e-5, 1e-4])
        return "isclose", [a, a + (a * near).to(a.dtype) if a.dtype != torch.bool else ~a]
    if kind < 0.985:
        weight = rng.choice([0, 1, 0.3, 0.7, -2.5]) if rng.random() < 0.5 else values(narrowed(shape), d)
        return "lerp", [values(shape, d), values(narrowed(shape), d), weight]
    others = [values(narrowed(shape), d) for _ in range(2)]
    return rng.choice(["addcmul", "addcdiv"]), [values(shape, d), *others]


def composite(op, args):
    """What has no exact counterpart in PyTorch's vector code, step by step."""
    if op == "addcmul":
        return args[0] + args[1] * args[2]
    if op == "addcdiv":
        return args[0] + args[1] / args[2]
    if op == "lerp":
        a, b, t = args
        t = torch.as_tensor(t, dtype=a.dtype)
        return torch.where(t.abs() < 0.5, a + t * (b - a), b - (b - a) * (1 - t))
    if op in ("sqrt", "rsqrt"):  # PyTorch's own misses the last place now and then; NumPy's is the processor's
        x = args[0] if args[0].is_floating_point() else args[0].float()
        if x.dtype in (torch.float32, torch.float64):
            root = torch.from_numpy(numpy.sqrt(numpy.atleast_1d(x.numpy()))).view(x.shape)
            return root if op == "sqrt" else 1 / root
    if op == "softplus":  # without PyTorch's threshold, beyond which it gives x
        return torch.logaddexp(args[0], torch.zeros_like(args[0]))
    return getattr(torch.nn.functional if op in OF_NN else torch, op)(*args)


def wanted(op, args):
    """PyTorch's answer, its operands widened to what ours are computed in (PyTorch rounds integers and results of steps
    to 16 bits); None where it refuses, or differs on purpose."""
    tensors = [a for a in args if isinstance(a, torch.Tensor)]
    if op == "nan_to_num":
        return torch.nan_to_num(*args)
    try:
        dtype = composite(op, args).dtype
    except (RuntimeError, NotImplementedError, TypeError):
        return None
    common = torch.result_type(*args[-2:]) if len(args) > 1 else args[0].dtype
    if op in INTEGER_DIVISION and not common.is_floating_point:
        divisor = torch.as_tensor(args[1])
        if ((divisor == 0) | (divisor == -1)).any():
            return None  # PyTorch throws, or traps
    if not common.is_floating_point and common != torch.bool and len(args) > 1 and op != "where":
        info = torch.iinfo(common)
        wide = [torch.as_tensor(a).long() for a in args]
        if any((w < info.min).any() or (w > info.max).any() for w in wide):
            return None  # PyTorch wraps operands to the common dtype first; here they keep their value
    if op == "square" and common == torch.bool:
        return None  # becomes I64 there, stays a mask here
    if op in OF_NN and not tensors[0].is_floating_point():
        return None
    if dtype.is_floating_point or common.is_floating_point:
        double = op in LOOSE + LOOSE_BINARY or torch.float64 in (common, dtype)
        wide = torch.float64 if double else torch.float32
        if op in ("fmod", "remainder"):
            wide = torch.float64  # exact, where PyTorch's vector code is not for subnormal divisors
        mask = op in ("where", "masked_fill")
        args = [a.to(torch.float32 if not a.is_floating_point() and wide != common else a.dtype).to(wide)
                if isinstance(a, torch.Tensor) and not (mask and a.dtype == torch.bool) else a for a in args]
    return composite(op, args).to(dtype)


def in_place(want, args):
    """The result written into the first operand; None where it does not fit there."""
    t = args[0]
    return want.to(t.dtype) if want.shape == t.shape and RANK[want.dtype] <= RANK[t.dtype] else None


def ulps(a, b):
    """Distance in units of the last place; NaN equals NaN, and zeros each other."""
    bits = {8: torch.int64, 4: torch.int32, 2: torch.int16}[a.element_size()]
    def line(t):
        i = t.contiguous().view(bits).long()
        return torch.where(i < 0, -(i & (2 ** (8 * t.element_size() - 1) - 1)), i)
    d = (line(a) - line(b)).abs()
    d[(a.isnan() & b.isnan())] = 0
    d[a.isnan() != b.isnan()] = 2**62
    return d


folder = scratch()
torch.manual_seed(SEED)
cases, inputs, wants, lines = [], {}, {}, []
while len(cases) < CASES:
    op, args = make_case()
    want, call = wanted(op, args), "st." + op + "("
    if want is None or want.dtype not in NAMES:
        continue
    if op != "where" and rng.random() < 0.25:
        want, call = in_place(want, args), f":clone():{op}_("
        if want is None:
            continue
    i = len(cases)
    words = []
    for k, a in enumerate(args):
        if isinstance(a, torch.Tensor):
            inputs[f"{i}.{k}"] = a.contiguous()
            words.append(f"m['{i}.{k}']")
        else:
            words.append(repr(a))
    code = call + ", ".join(words) + ")" if call[0] != ":" else words[0] + call + ", ".join(words[1:]) + ")"
    lines.append(f"try('{i}', function() return {code} end)")
    cases.append((op, args, code))
    wants[str(i)] = want
source, target = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
save_file(inputs, source)
# Functions of 100 cases each: one function holds only so many names.
body = "".join("do local function part()\n" + "\n".join(lines[k:k + 100]) + "\nend part() end\n"
               for k in range(0, len(lines), 100))
r = script("""local m, list = st.open(arg[1]), {}
local function try(name, fn)
   local ok, t = pcall(fn)
   if ok then list[#list + 1] = { name, t } else print(name, t) end
end
""" + body + "st.model(list):save(arg[2], { sync = false })", source, target)
wrong, worst = {}, {}
if check(r.returncode == 0, "the script runs", r.stderr):
    got = load_file(target)
    refused = dict(line.split("\t", 1) for line in r.stdout.decode().splitlines())
    for i, (op, args, code) in enumerate(cases):
        b = wants[str(i)]
        about = (NAMES[x.dtype] + str(list(x.shape)) if isinstance(x, torch.Tensor) else str(x) for x in args)
        what = f"{code} of {', '.join(about)}"
        if str(i) not in got:
            wrong.setdefault(op, []).append(f"{what}: {refused.get(str(i))}")
            continue
        a = got[str(i)]
        if a.dtype != b.dtype or a.shape != b.shape:
            wrong.setdefault(op, []).append(f"{what}: {a.dtype} {list(a.shape)}, torch {b.dtype} {list(b.shape)}")
            continue
        covers(code)
        if op == "gelu":
            bad = (a.double() - b.double()).abs() > 2 * torch.finfo(a.dtype).eps * args[0].abs().double().clamp(min=1)
            bad |= a.isnan() != b.isnan()
        elif a.dtype.is_floating_point:
            d = ulps(a, b)
            if op in ("sigmoid", "silu"):  # exp(-x) overflows: 0, in PyTorch's F32 as here
                d[(a == 0) & (args[0] < -80)] = 0
            bad = d > (2 if op in LOOSE + LOOSE_BINARY else 0)
            if d.numel() and d.max() < 1000:
                worst[op] = max(worst.get(op, 0), int(d.max()))
        else:
            bad = a != b
        if bad.any():
            at = bad.view(-1).nonzero()[0].item() if bad.numel() > 1 else 0
            wide = [torch.broadcast_to(torch.as_tensor(x), a.shape).reshape(-1) for x in args]
            inputs_at = [str(x[at].item()) for x in wide]
            wrong.setdefault(op, []).append(
                f"{what}: ({', '.join(inputs_at)}) gives {a.reshape(-1)[at].item()}, torch {b.reshape(-1)[at].item()}")
    used = {}
    for op, *_ in cases:
        used[op] = used.get(op, 0) + 1
    for op in sorted(used):
        check(op not in wrong, f"{op}: {used[op]} cases, {worst.get(op, 0)} units at most",
              *wrong.get(op, [])[:5])
finish()
