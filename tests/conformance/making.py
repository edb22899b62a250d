"""making.py - tensors from nothing, what they say of themselves, casts by PyTorch's words, elements by mask, answers
about two tensors: as PyTorch gives them. Random numbers, which are others here, by their distribution."""
import json
import math
import os
import random

import numpy
import torch
from safetensors.torch import load_file, save_file

from tap import check, covers, finish, scratch, script

SEED = int(os.environ.get("SEED", 1))
NAMES = {torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16", torch.int32: "I32",
         torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64"}
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SHAPES = [(), (1,), (0,), (7,), (2, 3), (3, 0), (0, 4), (2, 1, 5), (40, 65), (1, 1, 1, 1)]
rng = random.Random(SEED)
torch.manual_seed(SEED)
inputs, cases = {}, []


def add(code, want, near=0.0):
    """Lua code over the model `m` that gives a tensor or a value, and what PyTorch gives, but for `near`."""
    cases.append((code, want, near))


def sizes(shape):
    return "{" + ", ".join(map(str, shape)) + "}"


def dtype_text(d):
    return f"{{ dtype = '{NAMES[d]}' }}"


def values(shape, dtype, nan=True):
    if dtype == torch.bool:
        return torch.rand(shape) < 0.5
    if not dtype.is_floating_point:
        return torch.randint(0, 5, shape).to(dtype)
    t = (torch.randn(shape, dtype=torch.float64) * 2).round() / 2
    if nan and t.numel() > 3:
        t.view(-1)[::3] = rng.choice([math.nan, math.inf, 0.0])
    return t.to(dtype)


def give(t):
    name = str(len(inputs))
    inputs[name] = t.contiguous().clone()
    return f"m['{name}']"


def constructors():
    for shape in SHAPES:
        one = ", ".join(map(str, shape))
        for fn in ["zeros", "ones"]:
            add(f"st.{fn}({sizes(shape)})", getattr(torch, fn)(shape))
            for d in NAMES:
                add(f"st.{fn}({sizes(shape)}, {dtype_text(d)})", getattr(torch, fn)(shape, dtype=d))
        if shape:
            add(f"st.zeros({one})", torch.zeros(shape))
        for value, word in [(2, "2"), (2.5, "2.5"), (True, "true"), (math.nan, "0/0")]:
            add(f"st.full({sizes(shape)}, {word})", torch.full(shape, value))
        for d in NAMES:
            x = torch.zeros(shape, dtype=d)
            t = give(x)
            add(f"st.full({sizes(shape)}, 3, {dtype_text(d)})", torch.full(shape, 3, dtype=d))
            add(f"{t}:full_like(1)", torch.full_like(x, 1))
            add(f"{t}:zeros_like()", torch.zeros_like(x))
            add(f"{t}:ones_like({dtype_text(torch.float16)})", torch.ones_like(x, dtype=torch.float16))
    for rows, columns in [(3, 3), (2, 5), (5, 2), (0, 3), (1, 1)]:
        add(f"st.eye({rows}, {columns})", torch.eye(rows, columns))
        add(f"st.eye({rows}, {columns}, {dtype_text(torch.int64)})", torch.eye(rows, columns, dtype=torch.int64))
    raw = bytes(range(48))
    for d in NAMES:
        if d != torch.bool:
            text = "".join(f"\\{b}" for b in raw)
            add(f'st.from_string("{text}", {dtype_text(d)})', torch.frombuffer(bytearray(raw), dtype=d))


def nested(v):
    if isinstance(v, list):
        return "{" + ", ".join(map(nested, v)) + "}"
    if isinstance(v, float):
        return "0/0" if math.isnan(v) else ("-" if v < 0 else "") + "1/0" if math.isinf(v) else repr(v)
    return str(v).lower()


def from_numbers():
    for d in [torch.bool, torch.int64, torch.float32, torch.float16, torch.uint8]:
        for shape in [s for s in SHAPES if all(s) and math.prod(s) < 100]:
            t = values(shape, d)
            add(f"st.tensor({nested(t.tolist())}, {dtype_text(d)})", t)
            if d in (torch.bool, torch.int64, torch.float32) and shape:
                add(f"st.tensor({nested(t.tolist())})", torch.tensor(t.tolist()))


def ranges():
    for args in [(5,), (0,), (2, 7), (2, 7, 2), (7, 2, -2), (0, 1, 0.1), (1, 0, -0.25), (-2.5, 3), (3, 3), (0.5, 4.5)]:
        for d in [None, torch.float64, torch.float16, torch.int32]:
            if d == torch.int32 and not all(isinstance(a, int) for a in args):
                continue
            word = f"st.arange({', '.join(map(str, args))}" + (f", {dtype_text(d)})" if d else ")")
            add(word, torch.arange(*args, dtype=d), near=1e-7)
    for first, last, count in [(0, 1, 5), (-3, 7, 11), (1, 1, 4), (2, -2, 9), (0, 1, 1), (0, 1, 0), (0.1, 1e6, 1000)]:
        for d in [None, torch.float64, torch.bfloat16]:
            wide = torch.linspace(first, last, count, dtype=torch.float64).to(d or torch.float32)
            word = f"st.linspace({first}, {last}, {count}" + (f", {dtype_text(d)})" if d else ")")
            add(word, wide, near={None: 1e-7, torch.float64: 1e-15}.get(d, 0))


def about_itself():
    for shape in SHAPES:
        for d in NAMES:
            x = values(shape, d, nan=False)
            t = give(x)
            add(f"{t}:dim()", x.dim())
            add(f"{t}:ndim()", x.ndim)
            add(f"{t}:numel()", x.numel())
            add(f"{t}:nbytes()", x.nbytes)
            add(f"st.json.array({t}:size())", list(x.shape))
            if shape and x.numel() < 100:
                times = [2] + [rng.randrange(3) for _ in shape]
                add(f'(function(t) return t["repeat"](t, {sizes(times)}) end)({t})', x.repeat(times))
            for i in range(x.dim()):
                add(f"{t}:size({i + 1})", x.size(i))
                add(f"{t}:size({i - x.dim()})", x.size(i))
            if x.numel() < 100 and all(shape):
                add(f"{t}:tolist()", x.tolist())
                add(f"{t}:totable()", x.tolist())
            if x.numel() == 1:
                add(f"{t}:item()", x.item())


def casts():
    words = {"float": "F32", "double": "F64", "half": "F16", "bfloat16": "BF16", "int": "I32", "long": "I64",
             "bool": "BOOL"}
    for d in NAMES:
        x = values((3, 7), d, nan=False)
        x = x if d == torch.bool else x.abs()  # a negative float as an unsigned integer is undefined in C
        t = give(x)
        for word in words:
            add(f"{t}:{word}()", getattr(x, word)())
        for to in NAMES:
            add(f"{t}:to('{NAMES[to]}')", x.to(to))
        add(f"({t}:clone())", x.clone())
        add(f"{t}:clone():zero_()", x.clone().zero_())
        add(f"{t}:clone():fill_(3)", x.clone().fill_(3))
        add(f"{t}:clone():copy_({give(torch.arange(7) % 2)})", x.clone().copy_(torch.arange(7) % 2))
        add(f"{t}:clone():copy_({t}:flip(1))", x.flip(0))


def by_mask():
    for shape in SHAPES:
        for d in NAMES:
            x, y = values(shape, d), torch.rand(shape) < 0.4
            t = give(x)
            add(f"{t}:masked_select({give(y)})", x.masked_select(y))
            add(f"{t}:nonzero()", x.nonzero() + 1)
            if shape:
                line = torch.rand(shape[-1]) < 0.5
                add(f"st.masked_select({t}, {give(line)})", x.masked_select(line))
                add(f"{give(line)}:masked_select({give(torch.rand(shape) < 2)})",
                    line.masked_select(torch.ones(shape, dtype=torch.bool)))
    big = torch.rand(300000) < 0.01  # several pieces
    add(f"{give(big)}:nonzero()", big.nonzero() + 1)
    x = torch.arange(300000).to(torch.int32)
    add(f"{give(x)}:masked_select({give(big)})", x.masked_select(big))


def about_two():
    for shape in SHAPES:
        for d in NAMES:
            x, y = values(shape, d), values(shape, d)
            near = x + (1e-6 if d.is_floating_point else 0) if d != torch.bool else x
            for b in [x, y, near]:
                a, c = give(x), give(b)
                add(f"{a}:equal({c})", torch.equal(x, b))
                same_bits = torch.equal(x.view(torch.uint8), b.view(torch.uint8)) if shape else None
                if shape and d != torch.bool and x.numel():
                    add(f"{a}:identical({c})", same_bits)
                add(f"st.allclose({a}, {c})", torch.allclose(x, b))
                add(f"st.allclose({a}, {c}, {{ rtol = 0.5, atol = 1, equal_nan = true }})",
                    torch.allclose(x, b, rtol=0.5, atol=1, equal_nan=True))
        x = values(shape, torch.float32)
        add(f"{give(x)}:equal({give(x.reshape(-1, 1))})", torch.equal(x, x.reshape(-1, 1)))


# ---------------------------------------------------------------- random numbers

def moments(t):
    t = t.double()
    return [t.mean().item(), t.var().item(), (t < 0.25).double().mean().item(), (t < 1).double().mean().item()]


def random_numbers(results, n=1 << 18):
    """Mean, variance and two shares of n numbers, within 5 standard errors of PyTorch's."""
    like = torch.zeros(n)
    torch.manual_seed(3)
    kinds = {"rand": torch.rand(n), "rand_like": torch.rand_like(like), "randn": torch.randn(n),
             "randn_like": torch.randn_like(like), "randint": torch.randint(-2, 5, (n,)),
             "bernoulli": torch.bernoulli(torch.full((n,), 0.3))}
    for kind, want in kinds.items():
        got = results[kind]
        off = max(abs(a - b) for a, b in zip(moments(got), moments(want)))
        ok = got.dtype == want.dtype and got.shape == want.shape and off < 5 * math.sqrt(2 * 4 / n)
        ok = ok and got.min() >= want.min() - 2 and got.max() <= want.max() + 2
        details = f"{got.dtype} {moments(got)}, torch {moments(want)}"
        if check(ok, f"{kind}: {n} numbers, moments as PyTorch's", details):
            covers(f"st.{kind}(")
    for again in ["seeded", "again"]:
        check(torch.equal(results["first"], results[again]) == (again == "again"),
              f"manual_seed: the {again} numbers are {'the same' if again == 'again' else 'others'}")
    covers("st.manual_seed(")


RANDOM = """
st.manual_seed(5)
local n = 1 << 18
local like = st.zeros(n)
local random = { rand = st.rand(n), rand_like = st.rand_like(like), randn = st.randn(n), randn_like = like:randn_like(),
   randint = st.randint(-2, 5, { n }), bernoulli = st.bernoulli(st.full({ n }, 0.3)), first = st.rand(50) }
st.manual_seed(5)
random.seeded = st.rand(50)
st.manual_seed(5)
for _ = 1, 6 do st.rand(1) end
random.again = st.rand(50)
for name, t in pairs(random) do list[#list + 1] = { name, t } end
"""


def numpy_files(folder):
    """What NumPy writes we read, and the other way."""
    path, back = os.path.join(folder, "x.npy"), os.path.join(folder, "y.npy")
    wrong = []
    for shape in SHAPES:
        for d in ["<f2", "<f4", "<f8", "|i1", "<i8", "|u1", "|b1"]:
            x = numpy.asarray(numpy.random.rand(*shape) * 9).astype(d)
            numpy.save(path, x)
            r = script("st.npy.save(arg[2], st.npy.load(arg[1]))", path, back)
            y = numpy.load(back) if r.returncode == 0 else None
            if y is None or y.dtype != x.dtype or not numpy.array_equal(x, y):
                wrong.append(f"{d} {shape}: {r.stderr or y}")
    if check(not wrong, "npy files there and back", *wrong):
        covers("st.npy.load(", "st.npy.save(")


constructors()
from_numbers()
ranges()
about_itself()
casts()
by_mask()
about_two()

folder = scratch()
path, out, code = (os.path.join(folder, name) for name in ("in.safetensors", "out.safetensors", "cases.json"))
save_file(inputs, path)
with open(code, "w") as f:
    json.dump([c[0] for c in cases], f)
r = script("""
local m, list, values = st.open(arg[1]), {}, {}
local f = assert(io.open(arg[3])); local cases = st.json.decode(f:read("a")); f:close()
for i, case in ipairs(cases) do
   local ok, x = pcall(function() return assert(load("local st, m = ...; return " .. case))(st, m) end)
   if not ok then values[tostring(i)] = { error = tostring(x) }
   elseif type(x) == "userdata" then list[#list + 1] = { tostring(i), x }
   else values[tostring(i)] = { value = x } end
end
""" + RANDOM + """
st.model(list):save(arg[2], { sync = false })
io.write(st.json.encode(values))""", path, out, code)
if check(r.returncode == 0, "all cases run", r.stderr):
    results, plain, wrong, kinds = load_file(out), json.loads(r.stdout), {}, {}
    for i, (code, want, near) in enumerate(cases, 1):
        kind = [w for w in code.replace("st.json.array(", "").split("(") if w][0].split(":")[-1].split(".")[-1]
        if ":clone():" in code:
            kind = code.split(":clone():")[1].split("(")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
        if isinstance(want, torch.Tensor):
            got = results.get(str(i))
            ok = got is not None and got.dtype == want.dtype and got.shape == want.shape and (
                torch.allclose(got, want, rtol=near, atol=near, equal_nan=True) if near else
                torch.equal(got.double().nan_to_num(7), want.double().nan_to_num(7)))
        else:
            got = plain.get(str(i), {}).get("value")
            ok = got == want and isinstance(got, bool) == isinstance(want, bool)
        if ok:
            covers(code)
        else:
            about = f"{got.dtype} {got.tolist()}" if isinstance(got, torch.Tensor) else plain.get(str(i))
            wrong.setdefault(kind, []).append(f"{code}: {about}, torch {want}"[:400])
    for kind, n in sorted(kinds.items()):
        check(kind not in wrong, f"{kind}: {n} cases", f"{len(wrong.get(kind, []))} differ", *wrong.get(kind, [])[:8])
    random_numbers(results)
numpy_files(folder)
finish()
