"""checkpoints.py - files that PyTorch, NumPy and gguf write, converted by `stlua convert`, against what these libraries
read from them, tensor by tensor and bit by bit; and .npz files of ours as NumPy reads them."""
import argparse
import array
import builtins
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import io
import itertools
import json
import logging
import os
import pathlib
import pickle
import random
import re
import runpy
import shutil
import socket
import subprocess
import time
import types
import uuid
import warnings
import webbrowser
import zipfile
from collections import OrderedDict

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, load_model, save_model

from tap import check, covers, finish, scratch, script, skip, stlua

warnings.filterwarnings("ignore")
torch.manual_seed(11)
folder = scratch()
OUT = os.path.join(folder, "out.safetensors")


def bits(t):
    return t.detach().reshape(-1).clone(memory_format=torch.contiguous_format).view(torch.uint8)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(bits(a), bits(b))


def convert(path, *options):
    if os.path.exists(OUT):
        os.unlink(OUT)
    return stlua("convert", "-q", path, "-o", OUT, *options)


def compare(what, path, want, *options):
    """`path` converted holds these tensors, and no others."""
    r = convert(path, *options)
    if not check(r.returncode == 0, f"{what}: converts", r.stderr):
        return
    got = load_file(OUT)
    wrong = [k for k in want if k not in got or not same(want[k], got[k])]
    extra = sorted(set(got) - set(want))
    check(not wrong and not extra, f"{what}: {len(want)} tensors", f"wrong {wrong[:5]}, too many {extra[:5]}")


def saved(what, obj, want, *options, **kwargs):
    """Saved in both of PyTorch's formats."""
    for legacy in (False, True):
        path = os.path.join(folder, "legacy.pt" if legacy else "zip.pt")
        torch.save(obj, path, _use_new_zipfile_serialization=not legacy, **kwargs)
        compare(f"{what}, {'legacy' if legacy else 'zip'}", path, want, *options)


# ---------------------------------------------------------------- dtypes, shapes

DTYPES = ("bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 bfloat16 float32 float64 complex64 "
          "float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu").split()
SHAPES = [(), (0,), (1,), (5,), (2, 3), (2, 0, 3), (1, 2, 1, 3), (3, 4, 5)]


def values(dtype, shape):
    n = int(np.prod(shape, dtype=np.int64))
    raw = torch.randint(0, 256, (n * dtype.itemsize,), dtype=torch.uint8)
    return (raw % 2).bool().reshape(shape) if dtype == torch.bool else raw.view(dtype).reshape(shape)


every = {f"{name}.{'x'.join(map(str, shape)) or 'scalar'}": values(getattr(torch, name), shape)
         for name in DTYPES for shape in SHAPES}
saved("every dtype and shape", every, every)
pairs = torch.randint(0, 256, (4, 6), dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
path = os.path.join(folder, "pairs.pt")
torch.save({"pairs": pairs}, path)
r = convert(path)
if check(r.returncode == 0, "float4: converts", r.stderr):
    got = load_file(OUT)["pairs"]
    equal = got.shape == pairs.shape and torch.equal(got.view(torch.uint8), pairs.view(torch.uint8))
    check(got.dtype == pairs.dtype and equal, "float4: its pairs", got.dtype, got.shape)

# ---------------------------------------------------------------- views and ties

base = torch.randn(12, 10)
views = {
    "rows": base[3:7], "columns": base[:, 2:9:3], "turned": base.t(), "corner": base[4:, 5:], "one": base[5, 5],
    "expanded": torch.randn(1, 4).expand(3, 4), "diagonal": base.diagonal(), "flipped": base.flip(0),
    "cube": base[:, :8].reshape(12, 2, 4).permute(2, 0, 1), "window": base.reshape(-1).unfold(0, 6, 4),
    "strided": torch.as_strided(base, (3, 3), (7, 11), 5), "whole": base, "empty": base[2:2],
}
for name, t in list(views.items()):
    views[f"half.{name}"] = t.half() if t.is_contiguous() else t.half().as_strided(t.shape, t.half().stride())
saved("views of one storage", views, {k: v for k, v in views.items()}, "--keep-tied")
random.seed(3)
odd = {}
for i in range(60):
    dtype = random.choice([torch.float32, torch.float16, torch.int64, torch.uint8, torch.complex64])
    source = torch.randn(random.choice([40, 64, 100])).to(dtype)
    ndim = random.randint(0, 4)
    shape = [random.choice([1, 2, 3]) for _ in range(ndim)]
    strides = [random.choice([0, 1, 2, 3, 5, 7]) for _ in range(ndim)]
    reach = sum((n - 1) * s for n, s in zip(shape, strides))
    odd[f"t{i}"] = torch.as_strided(source, shape, strides, random.randint(0, source.numel() - 1 - reach))
saved("random strides", odd, odd, "--keep-tied")

tied = OrderedDict(embed=base, head=base, other=base.clone(), turned=base.t(), part=base[:2])
for legacy in (False, True):
    torch.save(tied, path, _use_new_zipfile_serialization=not legacy)
    compare("tied tensors are written once", path, {k: tied[k] for k in ("embed", "other", "turned", "part")})
    with safe_open(OUT, "pt") as f:
        check(f.metadata() == {"format": "pt", "head": "embed"}, "tied tensors: those left out are in the metadata",
              f.metadata())
    compare("tied tensors are kept", path, tied, "--keep-tied")


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.b = torch.nn.Linear(4, 4, bias=False)
        self.a = torch.nn.Linear(4, 4, bias=False)
        self.a.weight = self.b.weight


model = Tied()
torch.save(model.state_dict(), path)
convert(path)
save_model(model, os.path.join(folder, "reference.safetensors"))
with safe_open(OUT, "pt") as f, safe_open(os.path.join(folder, "reference.safetensors"), "pt") as g:
    ours, theirs = dict(f.metadata()), dict(g.metadata())
    check(ours.pop("format") == "pt" and ours == theirs and list(f.keys()) == list(g.keys()),
          "tied tensors: names and metadata of save_model", ours, theirs)
fresh = Tied()
load_model(fresh, OUT)
check(torch.equal(fresh.a.weight, model.b.weight) and torch.equal(fresh.b.weight, model.b.weight),
      "tied tensors: load_model finds both")

# ---------------------------------------------------------------- what people save

net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
state = net.state_dict()
optimizer = torch.optim.Adam(net.parameters())
for p in net.parameters():
    p.grad = torch.randn_like(p)
optimizer.step()
slots = optimizer.state_dict()["state"]
flat = {f"optimizer_states.0.state.{i}.{k}": v for i, s in slots.items() for k, v in s.items()}
saved("a state dict", state, state)
saved("parameters", dict(net.named_parameters()), {k: v.detach() for k, v in net.named_parameters()})
buffer = torch.nn.Buffer(torch.randn(3))
saved("a buffer", {"b": buffer}, {"b": buffer.detach()})
lightning = {"epoch": 3, "global_step": np.int64(9), "pytorch-lightning_version": "2.5", "state_dict": state,
             "optimizer_states": [optimizer.state_dict()], "lr_schedulers": [{"gamma": np.float64(0.1)}],
             "hyper_parameters": {"lr": np.float32(0.1), "names": ["a"], "path": pathlib.PurePosixPath("x")}}
saved("a Lightning checkpoint", lightning, state)
saved("all of a Lightning checkpoint", lightning, {**{f"state_dict.{k}": v for k, v in state.items()}, **flat},
      "--key", "")
saved("the optimizer of it", lightning, {k.removeprefix("optimizer_states."): v for k, v in flat.items()},
      "--key", "optimizer_states")
for wrapper in ("state_dict", "model_state_dict", "model", "module", "params", "params_ema", "net"):
    saved(f"wrapped in {wrapper}", {wrapper: state, "optimizer": optimizer.state_dict(), "epoch": 1}, state)
for average, other in (("params_ema", "model"), ("params-ema", "net"), ("g_ema", "generator")):
    saved(f"{average} beside {other}", {other: {"w": base}, average: state, "epoch": 1}, state)
saved("a model beside an average of it", {"model": state, "g_ema": {"w": base}, "net_ema": {"w": base}}, state)
saved("two parts that are both models", {"unet": state, "vae": {"w": base}},
      {**{f"unet.{k}": v for k, v in state.items()}, "vae.w": base})
saved("a whole module", net, state)
for protocol in (2, 5):
    torch.save({"in": {"a": np.arange(5.), "t": np.asfortranarray(np.ones((2, 3)))}, "ok": base, "s": np.float32(3)},
               path := os.path.join(folder, "numpy.pt"), pickle_protocol=protocol)
    r = stlua("convert", path, "-o", OUT)
    told = [line for line in r.stderr.splitlines() if line.startswith("left out")]
    check(r.returncode == 0 and told == ['left out: "in.a": a NumPy array', 'left out: "in.t": a NumPy array',
                                         'left out: "s": a NumPy scalar'],
          f"arrays of NumPy are told, protocol {protocol}", r.stderr)
saved("lists and numbers as keys", {"a": [base, (base + 1, {7: base + 2})]},
      {"a.0": base, "a.1.0": base + 1, "a.1.1.7": base + 2})
saved("a tensor alone", base, {"tensor": base})
for protocol in (2, 3, 4, 5):
    saved(f"pickle protocol {protocol}", {"model": state, "b": None}, state, pickle_protocol=protocol)
torch.jit.save(torch.jit.script(net), path)
compare("TorchScript", path, state)
big = {f"layer.{i}.weight": torch.full((3, 2), i, dtype=torch.bfloat16) for i in range(3000)}
saved("3,000 tensors", big, big)
covers("st.open(p)")

# ---------------------------------------------------------------- what cannot be had, what is not run

bad = {"ok": base, "c128": base.to(torch.complex128), "q": torch.quantize_per_tensor(base, 0.1, 0, torch.qint8),
       "s": base.to_sparse(), "m": torch.empty(2, device="meta"), "conj": base.to(torch.complex64).conj(),
       "neg": base.to(torch.complex64).conj().imag}
torch.save(bad, path)
r = convert(path)
check(r.returncode == 1 and "6 of its tensors cannot be had" in r.stderr,
      "tensors that safetensors has not are refused", r.stderr)
compare("and left out", path, {"ok": base}, "--skip")


class Calls:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


marker = os.path.join(folder, "ran")
dangers = [(os.system, f"touch {marker}"), (eval, f"open({marker!r}, 'w')"), (exec, f"open({marker!r}, 'w')"),
           (builtins.__import__, "os"), (subprocess.call, ["touch", marker]), (runpy.run_path, marker),
           (shutil.rmtree, marker), (webbrowser.open, "http://localhost"), (os.remove, marker), (getattr, "x", "upper"),
           (torch.load, marker), (socket.create_connection, ("localhost", 1)), (pickle.loads, b"N."),
           (builtins.open, marker, "w"), (torch.hub.load, "a/b", "c")]
for (function, *args), legacy in itertools.product(dangers, (False, True)):
    obj = {"state_dict": {"w": base}, "x": Calls(function, *args)}
    torch.save(obj, path, _use_new_zipfile_serialization=not legacy)
    r = convert(path)
    name = f"{function.__module__}.{getattr(function, '__name__', function)}"
    check(r.returncode == 1 and "tries to run" in r.stderr and not os.path.exists(OUT), f"{name} is refused", r.stderr)
    compare(f"{name}: the tensors alone", path, {"w": base}, "--tensors-only")


def with_call(module, name):
    """An honest checkpoint with one more key: a call of a name that is given by two texts, as in protocol 4."""
    def text(s):
        return b"\x8c" + bytes([len(s)]) + s.encode()
    honest = os.path.join(folder, "honest.pt")
    torch.save({"w": base}, honest, pickle_protocol=4)
    call = text("x") + text(module) + text(name) + b"\x93" + text(f"touch {marker}") + b"\x85Rs."
    with zipfile.ZipFile(honest) as z, zipfile.ZipFile(path, "w") as changed:
        for entry in z.infolist():
            data = z.read(entry)
            changed.writestr(entry.filename, data[:-1] + call if entry.filename.endswith("data.pkl") else data)


for module, name, said in (
        ("random", "_os.system", "tries to run"), ("argparse", "_os.system", "tries to run"),
        ("torch", "hub.load", "tries to run"), ("torch", "ops.load_library", "tries to run"),
        ("numpy", "f2py.crackfortran.myeval", "tries to run"), ("collections", "_sys.modules", "tries to run"),
        ("yaml", "unsafe_load", "tries to run"), ("trace", "main", "tries to run"), ("torch", "save", "tries to run"),
        ("torch.distributed.rpc.internal", "_run_function", "tries to run"), ("logging", "FileHandler", "tries to run"),
        ("modulefinder", "ModuleFinder.run_script", "tries to run"), ("torch", "from_file", "tries to run"),
        ("statistics", "something", "not known to be harmless"), ("program", "A.B", "not known to be harmless")):
    with_call(module, name)
    r = convert(path)
    check(r.returncode == 1 and said in r.stderr and f"{module}.{name}(" in r.stderr and not os.path.exists(OUT),
          f"{module} {name} is refused", r.stderr)
    compare(f"{module} {name}: the tensors alone", path, {"w": base}, "--tensors-only")
check(not os.path.exists(marker), "nothing was run")

# What checkpoints hold beside tensors, of Python, NumPy and torch, is no danger.
Place = enum.IntEnum("Place", "HERE THERE")


@dataclasses.dataclass
class Settings:
    rate: float = 0.1
    activation: object = torch.nn.functional.relu


class Program(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.utils.spectral_norm(torch.nn.Linear(2, 2))
        self.b = torch.nn.LSTM(2, 2)


generator = np.random.default_rng(3)
beside = [
    argparse.Namespace(a=1), collections.defaultdict(list, a=[1]), collections.Counter("ab"), collections.deque([1]),
    {1}, frozenset([1]), slice(1, 2), 1 + 2j, bytearray(b"ab"), range(3), type(None), pathlib.Path("a/b"),
    datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc), datetime.timedelta(1), decimal.Decimal("1.5"),
    fractions.Fraction(1, 3), uuid.UUID(int=5), array.array("i", [1]), random.Random(3), re.compile("a"),
    logging.getLogger("a"), types.SimpleNamespace(a=1), time.gmtime(0), io.BytesIO(b"a"), ValueError("a"),
    Place.HERE, Settings(), np.float32(3), np.arange(3), np.dtype("f4"), np.random.RandomState(3), generator,
    generator.bit_generator, np.ma.masked_array([1, 2], [0, 1]), np.random.get_state(), random.getstate(),
    torch.Size([1]), torch.device("cpu"), torch.float32, torch.__version__, torch.strided, optimizer,
    torch.optim.lr_scheduler.StepLR(optimizer, 1), torch.amp.GradScaler("cpu"), torch.nn.functional.gelu,
    torch.distributions.Normal(0., 1.), torch.utils.data.TensorDataset(base), torch.get_rng_state(),
]
for value, protocol in itertools.product(beside, (2, 4, 5)):
    try:
        torch.save({"state_dict": {"w": base}, "x": value}, path, pickle_protocol=protocol)
    except Exception as e:
        skip(f"{type(value)}: {e}")
        continue
    compare(f"{type(value).__module__}.{type(value).__name__} beside the tensors, protocol {protocol}", path,
            {"w": base})
torch.save(Program(), path)
r = convert(path)
check(r.returncode == 0, "a module of a program converts", r.stderr)

# ---------------------------------------------------------------- shards

shards = os.path.join(folder, "shards")
os.mkdir(shards)
names = sorted(state)
parts = [names[::2], names[1::2]]
files = [f"pytorch_model-0000{i + 1}-of-00002.bin" for i in range(2)]
for part, file in zip(parts, files):
    torch.save({k: state[k] for k in part}, os.path.join(shards, file))
with open(os.path.join(shards, "pytorch_model.bin.index.json"), "w") as f:
    json.dump({"metadata": {}, "weight_map": {k: file for part, file in zip(parts, files) for k in part}}, f)
out = os.path.join(folder, "folder")
r = stlua("convert", "-q", shards, "-o", out, "--max-shard-size", 100)
if check(r.returncode == 0, "a folder of shards converts", r.stderr):
    with open(os.path.join(out, "model.safetensors.index.json")) as f:
        written = set(json.load(f)["weight_map"].values())
    got = {}
    for file in written:
        got.update(load_file(os.path.join(out, file)))
    check(len(written) > 1 and set(got) == set(state) and all(same(state[k], got[k]) for k in got),
          f"a folder of shards: {len(got)} tensors in {len(written)} shards")

# ---------------------------------------------------------------- NumPy

arrays = {}
for descr in "? u1 i1 <u2 >u2 <i4 >i4 <u8 <i8 >i8 <f2 >f2 <f4 >f4 <f8 >f8 <c8 >c8".split():
    for shape in SHAPES:
        n = int(np.prod(shape, dtype=np.int64))
        raw = np.random.default_rng(7).integers(0, 256, n * np.dtype(descr).itemsize, dtype=np.uint8)
        a = np.frombuffer((raw % 2).tobytes() if descr == "?" else raw.tobytes(), descr).reshape(shape)
        arrays[f"{descr}.{shape}.c"] = a
        arrays[f"{descr}.{shape}.f"] = np.asfortranarray(a)
npz = os.path.join(folder, "arrays.npz")
np.savez(npz, **arrays)
native = {k: np.array(a, a.dtype.newbyteorder("="), order="C") for k, a in arrays.items()}
compare("arrays of NumPy", npz, {k: torch.from_numpy(a) for k, a in native.items()})
back = os.path.join(folder, "back.npz")
for source in (npz, OUT):
    r = stlua("convert", "-q", source, "-o", back)
    if check(r.returncode == 0, "to .npz: converts", r.stderr):
        with np.load(back) as z:
            wrong = [k for k, a in native.items() if k not in z or z[k].dtype != a.dtype or z[k].shape != a.shape
                     or z[k].tobytes() != a.tobytes()]
            check(not wrong and len(z.files) == len(native), f"to .npz: {len(native)} arrays", wrong[:5])
with zipfile.ZipFile(back) as z:
    check(z.testzip() is None, "to .npz: checksums")
torch.save({"bf16": base.bfloat16(), "f8": base.to(torch.float8_e4m3fn)}, path)
r = stlua("convert", "-q", path, "-o", back)
with np.load(back) as z:
    check(np.array_equal(z["bf16"], base.bfloat16().float().numpy()), "to .npz: BF16 as F32")
    check(np.array_equal(z["f8"], base.to(torch.float8_e4m3fn).float().numpy()), "to .npz: 8-bit floats as F32")
r = script("""
local t = st.npy.load(arg[1])
assert(st.npy.save(arg[2], t) == nil)""", npz.replace("arrays", "none"), back)
check(r.returncode == 1, "st.npy.load of no file fails")
single = os.path.join(folder, "single.npy")
for name in ("<f4.(2, 3).f", ">i8.(3, 4, 5).c"):
    np.save(single, arrays[name])
    r = script("st.npy.save(arg[2], st.npy.load(arg[1]))", single, os.path.join(folder, "again.npy"))
    equal = r.returncode == 0 and np.array_equal(np.load(os.path.join(folder, "again.npy")), arrays[name])
    check(equal, f".npy both ways: {name}", r.stderr)
covers("st.npy.load(p)", "st.npy.save(p)")

# ---------------------------------------------------------------- GGUF

try:
    import gguf
    from gguf.constants import GGMLQuantizationType as Type
except ImportError as e:
    gguf = None
    skip(f"GGUF: {e}")
if gguf:
    rng = np.random.default_rng(1)
    file = os.path.join(folder, "model.gguf")
    w = gguf.GGUFWriter(file, "llama")
    w.add_name("conformance")
    w.add_context_length(2048)
    w.add_rope_freq_base(10000.0)
    w.add_tokenizer_model("gpt2")
    w.add_token_list([f"t{i}" for i in range(1000)])
    want = {}
    for dtype in (np.float32, np.float16, np.float64, np.int8, np.int16, np.int32, np.int64):
        for shape in ((5,), (2, 3), (2, 3, 4), (1, 2, 3, 4)):
            a = (rng.standard_normal(shape) * 100).astype(dtype)
            want[f"{np.dtype(dtype).name}.{len(shape)}"] = torch.from_numpy(a)
            w.add_tensor(f"{np.dtype(dtype).name}.{len(shape)}", a)
    halves = rng.integers(0, 1 << 16, (3, 8), dtype=np.uint16)
    w.add_tensor("bf16", halves.view(np.uint8), raw_dtype=Type.BF16)
    want["bf16"] = torch.from_numpy(halves.view(np.int16).copy()).view(torch.bfloat16)
    for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"):
        elements, size = gguf.GGML_QUANT_SIZES[Type[name]]
        blocks = rng.integers(0, 256, (6, 8192 // elements * size), dtype=np.uint8)
        w.add_tensor(f"random.{name}", blocks, raw_dtype=Type[name])
        want[f"random.{name}"] = torch.from_numpy(gguf.quants.dequantize(blocks, Type[name]))
        if name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"):
            real = gguf.quants.quantize(rng.standard_normal((8, 512)).astype(np.float32), Type[name])
            w.add_tensor(f"real.{name}", real, raw_dtype=Type[name])
            want[f"real.{name}"] = torch.from_numpy(gguf.quants.dequantize(real, Type[name]))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    r = convert(file)
    if check(r.returncode == 0, "GGUF: converts", r.stderr):
        got = load_file(OUT)
        check(set(got) == set(want), "GGUF: its names", set(got) ^ set(want))
        for name, t in want.items():
            g = got[name]
            if t.is_floating_point() and name.startswith(("random", "real")):
                nan = t.isnan() & g.isnan()  # random scales may be NaN, whose bits differ with the processor
                equal = g.shape == t.shape and bool(((g.view(torch.int32) == t.view(torch.int32)) | nan).all())
            else:
                equal = same(t, g)
            check(equal, f"GGUF: {name}, {t.numel()} values")
        with safe_open(OUT, "pt") as f:
            meta = f.metadata()
            check(meta.get("general.name") == "conformance" and meta.get("llama.context_length") == "2048"
                  and float(meta.get("llama.rope.freq_base", 0)) == 10000 and "tokenizer.ggml.tokens" not in meta,
                  "GGUF: its metadata", meta)
    r = convert(file, "--dtype", "F16")
    if check(r.returncode == 0, "GGUF to F16: converts", r.stderr):
        got = load_file(OUT)
        check(all(same(got[k], want[k].half()) for k in want if k.startswith("real")), "GGUF to F16: one rounding")
finish()
