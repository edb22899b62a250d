"""inspection.py - rows of bench.py about looking at models and at checkpoints: info, hash, diff, convert."""
import os
import shutil
import subprocess

from harness import MIB, PYTHON, RUNS, STLUA, Row, absolute, at, at_most, cp, dd, median, model, ratio, say, torch


def stats(a, out):
    return [STLUA, "info", "--stats", a]


def diff(a, b, out):
    return [STLUA, "diff", a, b]


def dd_both(*paths):
    return ["sh", "-c", 'for f; do dd bs=1M status=none of=/dev/null if="$f"; done', "dd", *paths[:-1]]


# ---------------------------------------------------------------- hash

def sha256(a, out):
    return [STLUA, "hash", "--no-cache", "--only", "sha256", a]


def openssl(a, out):
    return ["openssl", "dgst", "-sha256", a]


def has_sha():
    try:
        with open("/proc/cpuinfo") as f:
            return " sha_ni" in f.read()
    except OSError:
        return False


def hash_verdict(costs):
    """Bytes a second, reading included: SHA-256 of one file has one core."""
    size = os.path.getsize(model("llama-a")) / 1e9
    speed = size / median(costs["stlua"])
    shown = "%.2f GB/s%s" % (speed, "" if has_sha() else ", no SHA instructions")
    if costs.get("openssl"):
        shown += ", openssl %.2f GB/s" % (size / median(costs["openssl"]))
    return shown, speed >= 1.5 or not has_sha()


# ---------------------------------------------------------------- convert

def checkpoint():
    """An SD 1.5 checkpoint as torch.save writes it."""
    path = at("sd15.ckpt")
    if not os.path.exists(path):
        if not PYTHON:
            raise RuntimeError("a checkpoint is made by PyTorch")
        say("  making", path)
        subprocess.run(torch("checkpoint")(model("sd15-a"), path), check=True)
    return path


def convert(a, out):
    return [STLUA, "convert", a, "-o", out, "--no-sync", "--quiet"]


def convert_verdict(costs):
    r, rss = ratio(costs, "cp"), max(c.rss for c in costs["stlua"])
    shown = "%.2f" % r
    if costs.get("PyTorch"):
        shown += ", PyTorch %.1f x" % (median(costs["PyTorch"]) / median(costs["stlua"]))
    return shown, r <= 1.5 and rss <= 64 * MIB


STATS = (("BF16", "llama-a"), ("F16", "sd15-a"), ("F32", "llama-f32"))

ROWS = [
    Row("`stlua info` of a 7 GB SDXL checkpoint", "20 ms", lambda a, out: [STLUA, "info", a], absolute(seconds=0.020),
        inputs=("sdxl-a",), runs=4 * RUNS),
    *(Row("`stlua info --stats` of a 2.2 GB %s model" % dtype, "4 x `dd bs=1M of=/dev/null`", stats, at_most(4, "dd"),
          {"dd": dd}, inputs=(name,)) for dtype, name in STATS),
    Row("`stlua info --stats` of a 2.2 GB BF16 model, cold cache", "1.15 x `dd`", stats, at_most(1.15, "dd"),
        {"dd": dd}, inputs=("llama-a",), cold=True, runs=3 * RUNS),
    Row("`stlua diff` of two 2.2 GB BF16 models, cold cache", "1.15 x `dd` of both", diff, at_most(1.15, "dd"),
        {"dd": dd_both}, inputs=("llama-a", "llama-b"), fail_ok=True, cold=True, runs=3 * RUNS),
    Row("`stlua diff` of two 2.2 GB BF16 models", "4 x `dd bs=1M of=/dev/null` of both", diff, at_most(4, "dd"),
        {"dd": dd_both}, inputs=("llama-a", "llama-b"), fail_ok=True),
    Row("`stlua diff` of two 2.2 GB F16 models", "4 x `dd bs=1M of=/dev/null` of both", diff, at_most(4, "dd"),
        {"dd": dd_both}, inputs=("sd15-a", "sd15-b"), fail_ok=True),
    Row("`stlua hash`: sha256 of a 2.2 GB file", "1.5 GB/s on one core", sha256, hash_verdict,
        {"openssl": openssl} if shutil.which("openssl") else {}, inputs=("llama-a",)),
    Row("`stlua convert` of a 2.1 GB checkpoint, `--no-sync`", "1.5 x `cp`; 64 MiB", convert, convert_verdict,
        {"cp": cp}, {"PyTorch": torch("convert")}, inputs=[checkpoint]),
]
