"""views.py - chains of views, parts and joins on random shapes and dtypes as PyTorch makes them; assignment through
them, too."""
import os
import random

import torch
from safetensors.torch import load_file, save_file

from tap import check, covers, finish, scratch, script

CASES = int(os.environ.get("CASES", 5000))
SEED = int(os.environ.get("SEED", 1))
DTYPES = [torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64]
rng = random.Random(SEED)


def dim_of(t, more=0):
    d = rng.randrange(t.dim() + more)
    return d, d + 1 if rng.random() < 0.6 else d - t.dim() - more


def random_slice(size):
    """A Lua slice and the indices it means."""
    if rng.random() < 0.25 or size == 0:
        return "{}", list(range(size))
    a, b, step = rng.randrange(size), rng.randrange(size), rng.choice([1, 1, 2, 3])
    if rng.random() < 0.4:
        a, b, step = max(a, b), min(a, b), -step
        indices = list(range(a, b - 1, step))
    else:
        a, b = min(a, b), max(a, b)
        indices = list(range(a, b + 1, step))
    negative = rng.random() < 0.3
    words = [str(i - size if negative else i + 1) for i in (a, b)] + [str(step)] * (step != 1)
    return "{" + ", ".join(words) + "}", indices


def step_index(t):
    words, index = [], t
    dim = 0
    for size in t.shape[:rng.randrange(t.dim() + 1)]:
        if size and rng.random() < 0.25:
            i = rng.randrange(size)
            words.append(str(i + 1))
            index = index.select(dim, i)
        else:
            word, indices = random_slice(size)
            words.append(word)
            index = index.index_select(dim, torch.tensor(indices, dtype=torch.int64))
            dim += 1
    if index.dim() == 0:
        return None  # a number in Lua
    return f"[{{ {', '.join(words)} }}]", index


def factors(n):
    out = []
    while len(out) < 3:
        divisors = [d for d in range(1, n + 1) if n % d == 0] if n else [0]
        out.append(rng.choice(divisors))
        if n == 0:
            return out + [rng.randrange(3)]
        n //= out[-1]
    return out + [n]


def places(shape, size):
    """A tensor of random places of a dimension of that size, some from the end, and its Lua."""
    at = torch.randint(0, max(size, 1), shape)
    words = [str(i + 1 if rng.random() < 0.7 else i - size) for i in at.flatten().tolist()]
    return at, f"st.tensor({{ {', '.join(words)} }}, {{ dtype = 'I64' }}):reshape({{ {', '.join(map(str, shape))} }})"


def choose_step(t):
    """Elements by place, elements repeated, other words for other steps."""
    kind, n = rng.randrange(12), t.dim()
    if kind == 0:
        times = rng.randrange(3)
        return f":repeat_interleave({times})", t.flatten().repeat_interleave(times)
    if kind == 1 and t.numel() < 200:
        sizes = [2] * (rng.random() < 0.4) + [3 if s == 1 else s for s in t.shape]
        word = rng.choice([f":broadcast_to({{{', '.join(map(str, sizes))}}})",
                           f":expand_as(st.zeros({{{', '.join(map(str, sizes))}}}))"])
        return word, t.broadcast_to(sizes)
    if kind == 2:
        sizes = factors(t.numel())
        return f":contiguous():view({', '.join(map(str, sizes))})", t.contiguous().view(sizes)
    if kind == 3 and n <= 2:
        return ":t()", t.t()
    if n == 0:
        return None
    d, word = dim_of(t)
    size = t.shape[d]
    if kind == 4:
        d2, word2 = dim_of(t)
        return f":swapaxes({word}, {word2})", t.swapaxes(d, d2)
    if kind == 5:
        times = rng.randrange(3)
        return f":repeat_interleave({times}, {word})", t.repeat_interleave(times, d)
    if kind == 6:
        at, index = places([rng.randrange(4) if size else 0], size)
        return f":index_select({word}, {index})", t.index_select(d, at)
    if kind in (7, 8):
        shape_ = [rng.randrange(s + 1) for s in t.shape]
        shape_[d] = rng.randrange(4) if size else 0
        at, index = places(shape_, size)
        return f":gather({word}, {index})", t.gather(d, at)
    if size and kind == 9:
        i = rng.randrange(size)
        return f":select({word}, {i + 1})", t.select(d, i)
    if size and kind == 10:
        i = rng.randrange(size)
        return f":unbind({word})[{i + 1}]", t.unbind(d)[i]
    if size and kind == 11:
        a = rng.choice([k for k in range(1, size + 1) if size % k == 0])
        return f":unflatten({word}, {{ {a}, -1 }})", t.unflatten(d, (a, -1))
    return f":squeeze({word})", t.squeeze(d)


def step(t):
    """One operation: its Lua and PyTorch's result."""
    kind = rng.randrange(22)
    n = t.dim()
    if kind >= 17:
        return choose_step(t)
    if kind == 0:
        order = rng.sample(range(n), n)
        return f":permute({{{', '.join(str(d + 1) for d in order)}}})", t.permute(order)
    if kind == 1:
        sizes = factors(t.numel())
        return f":reshape({', '.join(map(str, sizes))})", t.reshape(sizes)
    if kind == 2:
        d, word = dim_of(t, 1)
        return f":unsqueeze({word})", t.unsqueeze(d)
    if kind == 3:
        return ":squeeze()", t.squeeze()
    if kind == 4:
        return ":flatten()", t.flatten()
    if kind == 5 and t.numel() < 200:
        sizes = [rng.randrange(1, 3)] * (rng.random() < 0.4) + [rng.randrange(1, 4) if s == 1 else s for s in t.shape]
        return f":expand({{{', '.join(map(str, sizes))}}})", t.expand(sizes)
    if kind == 6 and t.numel() < 100:
        times = [rng.randrange(3) for _ in range(n + (rng.random() < 0.3))]
        return f":tile({{{', '.join(map(str, times))}}})", t.repeat(times)
    if n == 0:
        return None
    d, word = dim_of(t)
    size = t.shape[d]
    if kind == 7:
        d2, word2 = dim_of(t)
        return f":transpose({word}, {word2})", t.transpose(d, d2)
    if kind == 8:
        return f":flip({word})", t.flip(d)
    if kind == 9:
        shift = rng.randrange(-9, 9)
        one = rng.random() < 0.7
        return (f":roll({shift}, {word})", t.roll(shift, d)) if one else (f":roll({shift})", t.roll(shift))
    if kind == 10:
        first = rng.randrange(size + 1)
        count = rng.randrange(size - first + 1)
        return f":narrow({word}, {first + 1}, {count})", t.narrow(d, first, count)
    if kind == 11 and n <= 3:
        pads = [rng.randrange(-1, 3) if size > 2 else rng.randrange(3) for size in reversed(t.shape) for _ in range(2)]
        fill = 1
        return (f":pad({{{', '.join(map(str, pads))}}}, {{ value = {fill} }})",
                torch.nn.functional.pad(t, pads, value=fill))
    if kind == 12:
        size = rng.randrange(1, 4)
        parts = t.split(size, d)
        i = rng.randrange(len(parts))
        return f":split({size}, {word})[{i + 1}]", parts[i]
    if kind == 13:
        count = rng.randrange(1, 5)
        parts = t.chunk(count, d)
        i = rng.randrange(len(parts))
        return f":chunk({count}, {word})[{i + 1}]", parts[i]
    if kind == 14:
        d2, word2 = dim_of(t)
        return f":movedim({word}, {word2})", t.movedim(d, d2)
    return step_index(t)


def values(shape, dtype):
    if dtype == torch.bool:
        return torch.randint(0, 2, shape).bool()
    return torch.randint(0, 100, shape).to(dtype)


def shape():
    return [rng.choice([1, 2, 3, 4, 5, 0 if rng.random() < 0.2 else 2]) for _ in range(rng.randrange(5))]


def chain(word, t, steps):
    for _ in range(steps):
        next_step = step(t)
        if next_step and next_step[1].numel() < 5000 and next_step[1].dim() <= 8:
            word, t = word + next_step[0], next_step[1]
    return word, t


def view_case(i):
    """A chain of steps over one input, sometimes joined with another."""
    t = values(shape(), rng.choice(DTYPES))
    inputs[f"{i}"] = t
    source = rng.choice([f"m['{i}']", f"m['{i}']:clone()", f"(m['{i}'] * 1)"])
    if source[0] == "(" and t.dtype == torch.bool:
        source = f"m['{i}']"
    word, out = chain(source, t, rng.randrange(6))
    if out.dim() and rng.random() < 0.3:
        word2, out2 = chain(word, out, 2)
        if out2.shape == out.shape:
            d, name = dim_of(out, 1)
            return f"st.stack({{ {word}, {word2} }}, {name})", torch.stack([out, out2], d)
        d, name = dim_of(out)
        return f"st.cat({{ {word}, {word}, {word} }}, {name})", torch.cat([out, out, out], d)
    return word, out


def assign_case(i):
    """A number or a tensor assigned through a chain of views; then another assignment."""
    t = values([rng.randrange(1, 5) for _ in range(rng.randrange(1, 4))], rng.choice(DTYPES[1:]))
    inputs[f"{i}"] = t.clone()
    lines = [f"local x = m['{i}']:clone()", "local kept = x:flatten() * 1"]
    kept = t.flatten().clone()
    for k in range(rng.randrange(1, 4)):
        at = torch.arange(t.numel()).reshape(t.shape)  # which element of t is where in the view
        word = "x"
        for _ in range(rng.randrange(3)):
            name, d = "", rng.randrange(at.dim()) if at.dim() else None
            if d is None:
                break
            choice = rng.randrange(4)
            if choice == 0:
                d2 = rng.randrange(at.dim())
                name, at = f":transpose({d + 1}, {d2 + 1})", at.transpose(d, d2)
            elif choice == 1:
                name, at = f":flip({d + 1})", at.flip(d)
            elif choice == 2:
                first = rng.randrange(at.shape[d]) if at.shape[d] else 0
                count = at.shape[d] - first
                name, at = f":narrow({d + 1}, {first + 1}, {count})", at.narrow(d, first, count)
            elif at.dim() > 1 and at.shape[0]:
                j = rng.randrange(at.shape[0])
                name, at = f"[{j + 1}]", at[j]
            word += name
        found = step_index(at) if at.dim() else None
        if not found:
            continue
        flat = t.flatten()
        if rng.random() < 0.5:
            value = rng.randrange(100)
            lines.append(f"{word}{found[0]} = {value}")
            flat[found[1].flatten()] = torch.tensor(value).to(t.dtype)
        else:
            v = values([1 if rng.random() < 0.3 else s for s in found[1].shape], rng.choice(DTYPES[1:]))
            inputs[f"{i}.{k}"] = v
            lines.append(f"{word}{found[0]} = m['{i}.{k}']")
            flat[found[1].flatten()] = v.to(t.dtype).expand(found[1].shape).flatten()
        t = flat.reshape(t.shape)
    body = " ".join(line + ";" for line in lines) + " return st.cat { x:flatten(), kept }"
    return f"(function() {body} end)()", torch.cat([t.flatten(), kept])


folder = scratch()
torch.manual_seed(SEED)
inputs, wants, words = {}, [], []
for i in range(CASES):
    word, want = assign_case(i) if i % 3 == 0 else view_case(i)
    words.append(word)
    wants.append(want)
source, target = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
save_file({k: v.contiguous() for k, v in inputs.items()}, source)
# Functions of 100 cases each: one function holds only so many names.
lines = [f"try('{i}', function() return {word} end)" for i, word in enumerate(words)]
body = "".join("do local function part()\n" + "\n".join(lines[k:k + 100]) + "\nend part() end\n"
               for k in range(0, len(lines), 100))
r = script("""local m, list = st.open(arg[1]), {}
local function try(name, fn)
   local ok, t = pcall(fn)
   if ok then list[#list + 1] = { name, t } else print(name, t) end
end
""" + body + "st.model(list):save(arg[2], { sync = false })", source, target)
if check(r.returncode == 0, "the script runs", r.stderr):
    got = load_file(target)
    refused = dict(line.split("\t", 1) for line in r.stdout.decode().splitlines() if "\t" in line)
    wrong = []
    for i, want in enumerate(wants):
        a = got.get(str(i))
        if a is None:
            wrong.append(f"{words[i]}: {refused.get(str(i))}")
        elif a.shape != want.shape or a.dtype != want.dtype:
            wrong.append(f"{words[i]}: {a.dtype} {list(a.shape)}, torch {want.dtype} {list(want.shape)}")
        elif not torch.equal(a, want):
            wrong.append(f"{words[i]} of {list(inputs[str(i)].shape)}: other values")
        else:
            covers(words[i])
    check(not wrong, f"{CASES} chains of views, a third of them assigned through", f"{len(wrong)} differ", *wrong)
finish()
