"""casts.py - casts between all numeric dtypes as PyTorch makes them, through the program: every value of 8 and 16 bits,
and of the wider dtypes every pattern of the upper 16 bits with lower bits around the halfway points, and random values.

NaNs are compared by class (ours is canonical). Float to integer is undefined in C where the target's range ends: left
out there."""
import os

import torch
from safetensors.torch import load_file, save_file

from tap import check, covers, finish, scratch, script

DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E4M3FNUZ": torch.float8_e4m3fnuz, "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "I16": torch.int16, "U16": torch.uint16, "F16": torch.float16, "BF16": torch.bfloat16, "I32": torch.int32,
    "U32": torch.uint32, "F32": torch.float32, "F64": torch.float64, "I64": torch.int64, "U64": torch.uint64,
}
BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
RANDOM = 1 << 18
# What stands below the upper 16 bits: at a halfway point of BF16 and of F16, just beside one, and far from any.
LOW = (0, 1, 0x0FFF, 0x1000, 0x1001, 0x2FFF, 0x3000, 0x7FFF, 0x8000, 0x8001, 0xFFFF)


def is_float(t):
    return t.dtype.is_floating_point


def values(dtype):
    size = dtype.itemsize
    if dtype == torch.bool:
        return torch.tensor([False, True])
    if size <= 2:
        return torch.arange(1 << 8 * size).to(torch.int32).to(BITS[size]).view(dtype)
    upper = torch.arange(1 << 16, dtype=torch.int64)
    mixed = [upper << 8 * size - 16 | low << max(8 * size - 48, 0) for low in LOW]
    random = torch.randint(-(1 << 63), (1 << 63) - 1, (RANDOM,), dtype=torch.int64)
    bits = torch.cat([*mixed, random])
    parts = [bits.to(torch.int32).view(dtype) if size == 4 else bits.view(dtype)]
    if dtype == torch.float64:  # an F64 beside a halfway point by less than F32 shows: torch rounds twice
        halves = values(torch.float32).double()
        ulp = torch.tensor([-1, 0, 1]).repeat_interleave(halves.numel())
        parts.append((halves.repeat(3).view(torch.int64) + ulp).view(dtype))
    return torch.cat(parts)


def widened(t):
    """Every dtype's values as ones that compare and test for NaN."""
    return t.double() if is_float(t) else t.view(BITS[t.element_size()])


def differing(source, want, got):
    """Indices where `got` is not what torch gives."""
    wrong = want.view(BITS[want.element_size()]) != got.view(BITS[got.element_size()])
    if is_float(want):
        wrong &= ~(widened(want).isnan() & widened(got).isnan())
    elif is_float(source) and want.dtype != torch.bool:
        info = torch.iinfo(want.dtype)
        v = source.double().trunc()
        wrong &= (v >= float(info.min)) & (v < float(info.max + 1))
    return wrong.nonzero().flatten()


torch.manual_seed(7)
folder = scratch()
inputs = {name: values(dtype) for name, dtype in DTYPES.items()}
path = os.path.join(folder, "in.safetensors")
save_file(inputs, path)
for target, dtype in DTYPES.items():
    out = os.path.join(folder, "out.safetensors")
    r = script("""
local to = arg[3]
st.map({ st.open(arg[1]) }, function(_, t) return t:cast(to) end):save(arg[2], { sync = false })""", path, out, target)
    if not check(r.returncode == 0, f"cast to {target}: runs", r.stderr):
        continue
    results = load_file(out)
    covers("t:cast(to)")
    os.unlink(out)
    for source, t in inputs.items():
        want, got = t.to(dtype), results[source]
        if got.dtype != dtype or got.shape != want.shape:
            check(False, f"{source} to {target}", f"{got.dtype} {tuple(got.shape)}")
            continue
        wrong = differing(t, want, got)
        i = wrong[:1]
        check(not len(wrong), f"{source} to {target}: {t.numel()} values",
              f"{len(wrong)} differ: {t[i].tolist()} gives {got[i].tolist()}, torch {want[i].tolist()}")
finish()
