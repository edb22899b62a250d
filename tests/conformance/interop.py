"""interop.py - both ways with the reference library: it reads what we write, we read what it writes, and both write the
same bytes, for every dtype it knows and for random models."""
import json
import os
import random

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tap import check, finish, scratch, script, stlua

# What safetensors.torch can save, with the names that the format gives.
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8,
    "BOOL": torch.bool, "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz, "F8_E5M2FNUZ": torch.float8_e5m2fnuz, "F8_E8M0": torch.float8_e8m0fnu,
    "F4": torch.float4_e2m1fn_x2,
}
SHAPES = {"scalar": (), "empty": (0,), "empty3": (3, 0, 5), "one": (1,), "one4": (1, 1, 1, 1), "odd": (3, 7),
          "odd3": (5, 1, 13)}
FLOATS = ("F64", "F32", "F16", "BF16")

folder = scratch()
rng = random.Random(20)


def at(name):
    return os.path.join(folder, name)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def make(dtype, shape):
    """A tensor of random bytes: every bit pattern is a value to be carried."""
    torch_dtype = DTYPES[dtype]
    count = 1
    for n in shape:
        count *= n
    if dtype == "BOOL":
        return torch.tensor([rng.random() < 0.5 for _ in range(count)], dtype=torch.bool).reshape(shape)
    raw = torch.frombuffer(bytearray(rng.randbytes(count * torch_dtype.itemsize)) or bytearray(8), dtype=torch.uint8)
    return raw[: count * torch_dtype.itemsize].clone().view(torch_dtype).reshape(shape)


def raw(tensor):
    return bytes(tensor.contiguous().flatten().view(torch.uint8).tolist()) if tensor.numel() else b""


def same(path, tensors):
    """What the reference library reads from `path` are exactly these tensors."""
    got = load_file(path)
    if set(got) != set(tensors):
        return "names: %s" % sorted(set(got) ^ set(tensors))
    for name, want in tensors.items():
        t = got[name]
        if t.dtype != want.dtype or t.shape != want.shape or raw(t) != raw(want):
            return "%s: %s %s" % (name, t.dtype, tuple(t.shape))
    return None


def both_ways(label, tensors, metadata=None):
    theirs, ours = at("theirs.safetensors"), at("ours.safetensors")
    save_file(tensors, theirs, metadata)
    if os.path.exists(ours):
        os.unlink(ours)
    r = script("st.open(arg[1]):save(arg[2], {sync = false})", theirs, ours)
    if not check(r.returncode == 0, f"{label}: we read what the reference wrote", r.stderr):
        return
    check(read(ours) == read(theirs), f"{label}: our bytes are its bytes")
    wrong = same(ours, tensors)
    check(wrong is None, f"{label}: it reads what we wrote", wrong)


def check_info(label, tensors, metadata):
    path = at("info.safetensors")
    save_file(tensors, path, metadata)
    r = stlua("info", "--json", path, "--tensors")
    if not check(r.returncode == 0, f"{label}: info --json", r.stderr):
        return
    info = json.loads(r.stdout)
    with open(path, "rb") as f:
        n = int.from_bytes(f.read(8), "little")
        header = json.loads(f.read(n))
    want_meta = header.pop("__metadata__", {})
    want = [{"name": k, **v} for k, v in sorted(header.items(), key=lambda e: e[1]["data_offsets"])]
    order = lambda t: (t["data_offsets"], t["name"])
    check(sorted(info["tensors"], key=order) == sorted(want, key=order), f"{label}: names, dtypes, shapes, offsets")
    sizes = info["file_bytes"] == os.path.getsize(path) and info["header_bytes"] in (n, n + 8)
    check(info["metadata"] == want_meta and sizes, f"{label}: metadata and sizes", info["metadata"], info["file_bytes"],
          info["header_bytes"])


def every_dtype_and_shape():
    for dtype in DTYPES:
        tensors = {}
        for kind, shape in SHAPES.items():
            if dtype != "F4" or shape:  # half a byte cannot be saved
                tensors[kind] = make(dtype, shape)
        both_ways(dtype, tensors)
        for kind, t in tensors.items():
            r = stlua("cat", at("theirs.safetensors"), kind)
            check(r.returncode == 0 and r.stdout == raw(t), f"{dtype}: cat {kind}", r.stderr)


def random_name():
    alphabet = "abcXYZ019._-/ \"\\\u00e9\u4e2d\U0001f600\t\x01\x7f\u2028"
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 24)))


def random_models(count):
    for i in range(count):
        tensors = {}
        for _ in range(rng.randint(0, 40)):
            dtype = rng.choice(list(DTYPES))
            rank = rng.randint(1 if dtype == "F4" else 0, 5)
            shape = tuple(rng.randint(0 if rng.random() < 0.1 else 1, 9) for _ in range(rank))
            tensors[random_name()] = make(dtype, shape)
        # With more than one key the reference writes them in the order of a hash table: no bytes to compare with.
        metadata = {random_name(): random_name()} if rng.random() < 0.5 else None
        both_ways(f"random model {i}", tensors, metadata)
        if i % 10 == 0:
            check_info(f"random model {i}", tensors, {random_name(): random_name() for _ in range(4)})


def canonical_nan(t):
    """Casts make NaN by class, ours is canonical: compare NaN with NaN."""
    return torch.where(torch.isnan(t.double()), torch.full_like(t.double(), float("nan")), t.double())


def casts():
    values = {f"t{n}": torch.randn(n, 33) * 10.0 ** rng.randint(-8, 5) for n in (1, 7, 64)}
    values["edges"] = torch.tensor([0.0, -0.0, float("inf"), -float("inf"), 65504.0, 65519.9, 65520.0, 1e-8, 6e-8,
                                    448.0, 464.0, 480.0])
    for source in FLOATS:
        for target in (*FLOATS, "F8_E4M3", "F8_E5M2"):
            tensors = {k: v.to(DTYPES[source]) for k, v in values.items()}
            tensors["ids"] = torch.arange(5)
            want = {k: (v.to(DTYPES[target]) if k != "ids" else v) for k, v in tensors.items()}
            save_file(tensors, at("in.safetensors"))
            r = stlua("cast", at("in.safetensors"), "-o", at("out.safetensors"), "--dtype", target, "--no-sync",
                      "--quiet")
            if not check(r.returncode == 0, f"cast {source} to {target}", r.stderr):
                continue
            got = load_file(at("out.safetensors"))
            wrong = [k for k, v in want.items() if got[k].dtype != v.dtype
                     or not torch.equal(canonical_nan(got[k]).view(torch.int64), canonical_nan(v).view(torch.int64))]
            check(not wrong, f"cast {source} to {target}: torch's own values", wrong)


def fixed_point():
    """save, open, save again: nothing moves."""
    tensors = {f"layer.{i}.w": make(rng.choice(FLOATS), (i, 3)) for i in range(1, 9)}
    save_file(tensors, at("a.safetensors"), {"format": "pt"})
    for i in range(2):
        r = script("st.open(arg[1]):save(arg[2], {sync = false})", at("ab"[i] + ".safetensors"),
                   at("bc"[i] + ".safetensors"))
        check(r.returncode == 0, f"save number {i + 1}", r.stderr)
    check(read(at("a.safetensors")) == read(at("c.safetensors")), "a second save changes nothing")
    with safe_open(at("c.safetensors"), "pt") as f:
        check(f.metadata() == {"format": "pt"}, "the metadata stays", f.metadata())


every_dtype_and_shape()
random_models(int(os.environ.get("INTEROP_MODELS", "150")))
casts()
fixed_point()
finish()
