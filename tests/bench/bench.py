"""bench.py - `make bench`: times and memory of stlua beside cp, a PyTorch script, mergekit and sd-mecha, as
Markdown tables on standard output, each when it is complete. Progress goes to standard error.

Models are made on the spot from the layouts of real ones. In each row stlua and what its bar refers to run in turn,
first one then the other, after one round that does not count: a virtual machine's first touch of memory costs more
than a copy. Times are medians over the rounds, a ratio is the median of the rounds' ratios. The Python peers follow in
rounds of their own. Before a run its output is removed and the disk is quiet. What a row demands is its bar.

    BENCH_RUNS   rounds (5); peers run in at most three
    BENCH_DIR    where models and outputs go (a folder below TMPDIR or /var/tmp; some 40 GB for everything)
    BENCH_ONLY   a regular expression: only rows whose name matches
    BENCH_PEERS  0 leaves the Python peers out
    BENCH_KEEP   1 keeps the models for the next run
"""
import os
import re
import shutil
import subprocess
import sys

import compression
import hostile
import inspection
from harness import (DIR, HERE, MIB, ONLY, PYTHON, RUNS, STLUA, TOOLS, Cost, Row, TimedRow, absolute, at, at_most,
                     at_most_slowest, cp, cp_sync, dd, measure, median, mergekit_folder, model, ratio, say, script,
                     show, show_machine, text, torch)


def merge(*options):
    return lambda a, b, out: [STLUA, "merge", a, b, "-o", out, "--quiet", *options]


def cast(dtype):
    return lambda a, out: [STLUA, "cast", a, "-o", out, "--dtype", dtype, "--no-sync", "--quiet"]


def torch_info(path, out):
    return [PYTHON, os.path.join(HERE, "torch_peer.py"), "info", path]


def mecha(a, b, out):
    return [PYTHON, os.path.join(HERE, "mecha_peer.py"), a, b, out]


def mergekit(a, b, out):
    config = text("linear.yml", "merge_method: linear\ndtype: bfloat16\nmodels:\n" + "".join(
        "  - model: %s\n    parameters: {weight: 0.5}\n" % mergekit_folder(name) for name in ("llama-a", "llama-b")))
    return [os.path.join(os.path.dirname(PYTHON), "mergekit-yaml"), config, out, "--lazy-unpickle",
            "--no-write-model-card", "--no-copy-tokenizer", "--quiet"]


# method -> parameters of the whole, of each model besides the base
MERGES = {
    "slerp": ({"t": 0.4}, {}),
    "task_arithmetic": ({}, {"weight": 0.5}),
    "ties": ({}, {"weight": 0.5, "density": 0.5}),
    "dare_ties": ({}, {"weight": 0.5, "density": 0.5}),
    "model_stock": ({}, {}),
    "karcher": ({}, {}),
}


def merge_script(method):
    whole, each = MERGES[method]
    options = "".join(", %s = %g" % pair for pair in {**whole, **each}.items())
    code = """local models = {}
for i = 1, #arg - 1 do models[i] = st.open(arg[i]) end
%sst.merge("%s", { models = models%s }):save(arg[#arg], { sync = false })""" % (
        "" if method == "karcher" else "local base = table.remove(models, 1)\n", method,
        options + ("" if method == "karcher" else ", base = base"))
    return script("merge-%s.lua" % method, code)


def mergekit_merge(method):
    """mergekit-yaml on folders with the same weights; the first model is the base where there is one."""
    whole, each = MERGES[method]

    def command(*paths):
        folders = [mergekit_folder(os.path.basename(p)[:-len(".safetensors")]) for p in paths[:-1]]
        lines = ["merge_method: " + method, "dtype: bfloat16", "models:"]
        for folder in folders:
            lines.append("  - model: " + folder)
            if each and folder != folders[0]:
                lines.append("    parameters: {%s}" % ", ".join("%s: %g" % pair for pair in each.items()))
        if method != "karcher":
            lines.append("base_model: " + folders[0])
        if whole:
            lines.append("parameters: {%s}" % ", ".join("%s: %g" % pair for pair in whole.items()))
        config = text(method + ".yml", "\n".join(lines) + "\n")
        return [os.path.join(os.path.dirname(PYTHON), "mergekit-yaml"), config, paths[-1], "--lazy-unpickle",
                "--no-write-model-card", "--no-copy-tokenizer", "--quiet"]
    return command


def dd_and_cp(*paths):
    """What no merge can do without: every input read once, an output written."""
    return ["sh", "-c", 'for f; do out=$f; done; for f; do [ "$f" = "$out" ] || dd bs=1M status=none of=/dev/null '
            'if="$f"; done; cp --reflink=never "$1" "$out"', "dd", *paths]


def merge_verdict(limit, times, mib):
    def verdict(costs):
        r = ratio(costs, "dd + cp")
        shown, holds = "%.2f" % r, r <= limit and max(c.rss for c in costs["stlua"]) <= mib * MIB
        if costs.get("mergekit"):
            faster = median(costs["mergekit"]) / median(costs["stlua"])
            shown, holds = shown + ", mergekit %.1f x" % faster, holds and faster >= times
        return shown, holds
    return verdict


class MergeRow(Row):
    """A merge method: mergekit takes minutes, so it runs once."""

    def __init__(self, method, inputs, limit, times, mib):
        bar = "%g x `dd` of the inputs + `cp`; %g x faster than mergekit; %d MiB" % (limit, times, mib)
        super().__init__("`%s` of %d 2.2 GB models, `--no-sync`" % (method, len(inputs)), bar, merge_script(method),
                         merge_verdict(limit, times, mib), {"dd + cp": dd_and_cp},
                         {"mergekit": mergekit_merge(method)}, inputs)
        self.peer_runs = 1


def extract(a, b, out):
    return [STLUA, "lora", "extract", a, b, "-o", out, "--rank", "32", "--no-sync", "--quiet"]


def mergekit_extract(a, b, out):
    base, tuned = (mergekit_folder(os.path.basename(p)[:-len(".safetensors")]) for p in (a, b))
    return [os.path.join(os.path.dirname(PYTHON), "mergekit-extract-lora"), "--model", tuned, "--base-model", base,
            "--out-path", out + "-mergekit", "--max-rank", "32", "--skip-undecomposable", "--lazy-unpickle",
            "-e", "embed_tokens", "-e", "lm_head"]


def extract_verdict(costs):
    own, holds, shown = costs["stlua"], max(c.rss for c in costs["stlua"]) <= 512 * MIB, []
    for label, times in (("svd_lowrank", 1.5), ("mergekit", 20)):
        if costs.get(label):
            faster = median(costs[label]) / median(own)
            shown.append("%s %.1f x" % (label, faster))
            holds = holds and faster >= times
    return ", ".join(shown) or "-", holds


class ExtractRow(Row):
    """An adapter of rank 32 from two models, which differ by noise: the slowest spectrum there is. mergekit takes
    minutes, so the peers run once."""

    def __init__(self):
        bar = "20 x faster than mergekit-extract-lora, 1.5 x than `torch.svd_lowrank(q=40, niter=2)`; 512 MiB"
        super().__init__("`lora extract`, rank 32, of two 2.2 GB models, `--no-sync`", bar, extract, extract_verdict,
                         None, {"svd_lowrank": torch("extract"), "mergekit": mergekit_extract}, LLAMAS)
        self.peer_runs = 1


def adapter():
    """Of rank 32, between two of the models."""
    path = at("adapter.safetensors")
    if not os.path.exists(path):
        say("  making adapter")
        subprocess.run(extract(model("llama-a"), model("llama-b"), path), check=True)
    return path


def apply(a, b, out):
    return [STLUA, "lora", "apply", a, adapter(), "-o", out, "--no-sync", "--quiet"]


def apply_verdict(costs):
    r = ratio(costs, "average")
    allowed = 64 * MIB + os.path.getsize(adapter())
    return "%.2f" % r, r <= 1.5 and max(c.rss for c in costs["stlua"]) <= allowed


def in_memory():
    programs = {"stlua": [STLUA, os.path.join(HERE, "in_memory.lua")]}
    if PYTHON:
        programs["PyTorch"] = [PYTHON, os.path.join(HERE, "in_memory.py")]
    return programs


def matmul_verdict(costs):
    r = median(costs["stlua"]) / median(costs["OpenBLAS"])
    return "%.2f" % r, r <= 1.1


class MatmulRow(Row):
    """matmul_speed takes both times itself, in turn, the best of several; the sum over its shapes is shown."""

    def run(self):
        say(self.name)
        own, bare = 0, 0
        whole = measure([os.path.join(TOOLS, "matmul_speed"), "2", str(3 * RUNS)])
        with open(at("last.log")) as log:
            for line in log:
                say(" ", line.rstrip())
                numbers = re.search(r"bare +([0-9.]+) +matmul +([0-9.]+)", line)
                bare, own = bare + float(numbers.group(1)) / 1000, own + float(numbers.group(2)) / 1000
        return {"stlua": [Cost(own, 0, 0, whole.rss // 1024, 0)], "OpenBLAS": [Cost(bare, 0, 0, whole.rss // 1024, 0)]}


TOTAL = """local total, list = 0, {}
for _, t in pairs(st.open(arg[1])) do list[#list + 1] = t:%s() end
require("stlua.core").force_all(list)
for _, t in ipairs(list) do total = total + t:item() end
print(total)"""

NATURAL = """st.map({st.open(arg[1]), st.open(arg[2])}, function(_, a, b)
   return 0.5 * a + 0.5 * b
end):save(arg[3], {sync = false})"""
LERP = "st.lerp(st.open(arg[1]), st.open(arg[2]), 0.5):save(arg[3], {sync = false})"
RENAME = 'st.open(arg[1]):rename(function(name) return "backbone." .. name end):save(arg[2], {sync = false})'
DROP = 'st.open(arg[1]):without("lm_head"):save(arg[2], {sync = false})'
METADATA = 'st.open(arg[1]):with_metadata({format = "pt", title = "edited"}):save(arg[2], {sync = false})'

LLAMA3 = ("llama-a", "llama-b", "llama-c")
LLAMAS, SD15S, SDXLS = ("llama-a", "llama-b"), ("sd15-a", "sd15-b"), ("sdxl-a", "sdxl-b")

AVERAGES = [
    Row("average of two 2.2 GB BF16 models, `--no-sync`", "1.3 x `cp`; 8 x faster than mergekit",
        merge("--no-sync"), at_most(1.3, "cp", 8), {"cp": cp}, {"PyTorch": torch("average"), "mergekit": mergekit},
        LLAMAS),
    Row("the same, synced", "1.3 x `cp` + `sync`", merge(), at_most(1.3, "cp+sync"), {"cp+sync": cp_sync}, (), LLAMAS),
    Row("average of two SD 1.5 F16 checkpoints, `--no-sync`", "1.3 x `cp`; 8 x faster than sd-mecha",
        merge("--no-sync"), at_most(1.3, "cp", 8), {"cp": cp}, {"PyTorch": torch("average"), "sd-mecha": mecha},
        SD15S),
    Row("average of two 2.2 GB models, cold cache", "1.15 x the slower of `dd` of the inputs and `cp`",
        merge("--no-sync"), at_most_slowest(1.15, ("dd", "cp")),
        {"dd": lambda a, b, out: ["sh", "-c", 'for f; do dd bs=1M status=none of=/dev/null if="$f"; done', "dd", a, b],
         "cp": cp}, (), LLAMAS, cold=True),
    Row("`0.5*a + 0.5*b` in `st.map`", "1.15 x `st.lerp`", script("natural.lua", NATURAL), at_most(1.15, "st.lerp"),
        {"st.lerp": script("lerp.lua", LERP)}, (), LLAMAS),
]

METHODS = [
    MergeRow("slerp", LLAMAS, 2, 10, 128),
    MergeRow("task_arithmetic", LLAMA3, 2, 6, 64),
    MergeRow("ties", LLAMA3, 5, 25, 256),
    MergeRow("dare_ties", LLAMA3, 3, 15, 128),
    MergeRow("model_stock", LLAMA3, 2, 5, 128),
    MergeRow("karcher", LLAMA3, 3, 6, 128),
]

EDITS = [
    Row("cast BF16 to F16, 2.2 GB", "1.3 x `cp`", cast("F16"), at_most(1.3, "cp"), {"cp": cp},
        {"PyTorch": torch("cast", "F16")}, ("llama-a",)),
    Row("cast BF16 to F8_E4M3, 2.2 GB", "1.3 x `cp`", cast("F8_E4M3"), at_most(1.3, "cp"), {"cp": cp},
        {"PyTorch": torch("cast", "F8_E4M3")}, ("llama-a",)),
    Row("cast F32 to BF16, 2.2 GB", "1.3 x `cp`", cast("BF16"), at_most(1.3, "cp"), {"cp": cp},
        {"PyTorch": torch("cast", "BF16")}, ("llama-f32",)),
    Row("rename every tensor of a 2.2 GB model", "1.1 x `cp`", script("rename.lua", RENAME), at_most(1.1, "cp"),
        {"cp": cp}, (), ("llama-a",)),
    Row("drop a tensor of a 2.2 GB model", "1.1 x `cp`", script("drop.lua", DROP), at_most(1.1, "cp"),
        {"cp": cp}, (), ("llama-a",)),
    Row("edit the metadata of a 2.2 GB model", "1.1 x `cp`", script("metadata.lua", METADATA), at_most(1.1, "cp"),
        {"cp": cp}, (), ("llama-a",)),
]

LORA = [
    ExtractRow(),
    Row("`lora apply`, rank 32, to a 2.2 GB model, `--no-sync`",
        "1.5 x the average of two such models; 64 MiB + the factors", apply, apply_verdict,
        {"average": merge("--no-sync")}, (), LLAMAS),
]

LOOKS = [
    Row("`stlua info` of an SD 1.5 checkpoint", "10 ms", lambda a, out: [STLUA, "info", a], absolute(seconds=0.010),
        None, {"Python": torch_info}, ("sd15-a",), runs=4 * RUNS),
    Row("`stlua info` of 100,000 tensors", "100 ms, 64 MiB", lambda a, out: [STLUA, "info", a],
        absolute(seconds=0.100, mib=64), None, {"Python": torch_info}, ("many",), runs=2 * RUNS),
]

NUMBERS = [
    Row("sum of every tensor of a 2.2 GB BF16 file", "3 x `dd bs=1M of=/dev/null`", script("sum.lua", TOTAL % "sum"),
        at_most(3, "dd"), {"dd": dd}, (), ("llama-a",)),
    Row("norm of every tensor of a 2.2 GB BF16 file", "3 x `dd bs=1M of=/dev/null`", script("norm.lua", TOTAL % "norm"),
        at_most(3, "dd"), {"dd": dd}, (), ("llama-a",)),
    MatmulRow("matrix products, five shapes, 2 threads", "1.1 x a bare call of OpenBLAS", None, matmul_verdict),
    *(TimedRow("in memory, 8192 x 8192: " + name, "PyTorch on 2 threads", at_most(1, "PyTorch"), in_memory, operation)
      for operation, name in (
        ("sum F32", "sum of F32"), ("sum BF16", "sum of BF16"), ("norm F32", "norm of F32"),
        ("norm BF16", "norm of BF16"), ("max F32", "max of F32"), ("sum down columns F32", "sum down the columns, F32"),
        ("x + y F32", "`x + y`, F32"), ("lerp F32", "lerp, F32"), ("lerp BF16", "lerp, BF16"),
        ("chain F32", "`((x - y) * 0.3 + y):clamp(-1, 1):abs()`, F32"), ("exp F32", "exp, F32"),
        ("sigmoid F32", "sigmoid, F32"), ("where F32", "`where(x > 0, x, y)`, F32"))),
]

MEMORY = [
    Row("memory: average of two 2.2 GB models, 2 threads", "64 MiB", merge("--no-sync", "-j", "2"), absolute(mib=64),
        None, (), LLAMAS, runs=1),
    Row("memory: average of two 2.2 GB models, 16 threads", "64 MiB", merge("--no-sync", "-j", "16"),
        absolute(mib=64), None, (), LLAMAS, runs=1),
    Row("memory: average of two 7 GB SDXL checkpoints, 2 threads", "64 MiB", merge("--no-sync", "-j", "2"),
        absolute(mib=64), None, (), SDXLS, runs=1),
    Row("memory: average of two 7 GB SDXL checkpoints, 16 threads", "64 MiB", merge("--no-sync", "-j", "16"),
        absolute(mib=64), None, (), SDXLS, runs=1),
]

SECTIONS = {
    "Averages": AVERAGES,
    "Merge methods": METHODS,
    "Casts and edits": EDITS,
    "LoRA": LORA,
    "`.safetensors.zst`": compression.ZSTD_ROWS,
    "`pack`": compression.PACK_ROWS,
    "Looking at models": [*LOOKS, *inspection.ROWS],
    "Numbers and arrays": NUMBERS,
    "Memory": MEMORY,
    "Hostile files": hostile.ROWS,
}


def results_of(rows):
    for row in rows:
        try:
            yield row, row.run()
        except (RuntimeError, OSError, subprocess.CalledProcessError) as e:
            say("  failed:", e)
            yield row, e


def main():
    os.makedirs(DIR, exist_ok=True)
    failed = False
    show_machine()
    for title, rows in SECTIONS.items():
        results = list(results_of([row for row in rows if ONLY.search(row.name)]))
        show(title, results)
        failed |= any(isinstance(costs, Exception) for _, costs in results)
    if not os.environ.get("BENCH_KEEP"):
        shutil.rmtree(DIR)
    sys.exit(failed)


main()
