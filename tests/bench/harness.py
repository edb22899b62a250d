"""harness.py - what bench.py is made of: models, measuring a command, rows and their verdicts, the table."""
import gzip
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HERE = os.path.join(ROOT, "tests", "bench")
TOOLS = os.path.join(ROOT, ".build", "bench")
STLUA = os.environ.get("STLUA", os.path.join(ROOT, "stlua"))
RUNS = int(os.environ.get("BENCH_RUNS", "5"))
PEER_RUNS = min(RUNS, 3)
DIR = os.environ.get("BENCH_DIR") or os.path.join(os.environ.get("TMPDIR", "/var/tmp"), "stlua-bench")
ONLY = re.compile(os.environ.get("BENCH_ONLY", ""))
PYTHON = os.environ.get("BENCH_PYTHON")
MIB = 1 << 20


def say(*words):
    print(*words, file=sys.stderr, flush=True)


# ---------------------------------------------------------------- models

def layout(name):
    with gzip.open(os.path.join(HERE, "layouts", name + ".tsv.gz")) as f:
        return f.read()


def many_tensors(count):
    rows = b"".join(b"model.layers.%d.block.%d.weight\tBF16\t4x4\n" % (i // 100, i % 100) for i in range(count))
    return b"name\tdtype\tshape\n" + rows


# name -> layout, seed, dtype, limit in bytes
MODELS = {
    "llama-a": (lambda: layout("llama-1.1b"), 1, "-", 0),
    "llama-b": (lambda: layout("llama-1.1b"), 2, "-", 0),
    "llama-c": (lambda: layout("llama-1.1b"), 9, "-", 0),
    "llama-f32": (lambda: layout("llama-1.1b"), 3, "F32", 2_200_000_000),
    "sd15-a": (lambda: layout("sd15-checkpoint"), 4, "-", 0),
    "sd15-b": (lambda: layout("sd15-checkpoint"), 5, "-", 0),
    "sdxl-a": (lambda: layout("sdxl-checkpoint"), 6, "-", 0),
    "sdxl-b": (lambda: layout("sdxl-checkpoint"), 7, "-", 0),
    "many": (lambda: many_tensors(100_000), 8, "-", 0),
}


def at(name):
    return os.path.join(DIR, name)


def model(name):
    path = at(name + ".safetensors")
    if not os.path.exists(path):
        rows, seed, dtype, limit = MODELS[name]
        say("  making", name)
        maker = [os.path.join(TOOLS, "make_model"), path + ".part", str(seed), dtype, str(limit)]
        subprocess.run(maker, input=rows(), check=True)
        os.rename(path + ".part", path)
    return path


def mergekit_folder(name):
    """What mergekit calls a model: a folder with the weights and a configuration."""
    folder = at(name + "-folder")
    os.makedirs(folder, exist_ok=True)
    link = os.path.join(folder, "model.safetensors")
    if not os.path.islink(link):
        os.symlink(model(name), link)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32000,
                   "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32,
                   "num_key_value_heads": 4, "torch_dtype": "bfloat16", "tie_word_embeddings": False}, f)
    return folder


def text(name, content):
    with open(at(name), "w") as f:
        f.write(content)
    return at(name)


# ---------------------------------------------------------------- measuring

class Cost:
    """What one run took."""

    def __init__(self, wall, user, system, kib, status):
        self.wall, self.cpu, self.rss = float(wall), float(user) + float(system), int(kib) * 1024
        self.status = int(status)


def drop_caches(paths):
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3\n")
    except OSError:
        for path in paths:
            fd = os.open(path, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def warm(paths):
    for path in paths:
        with open(path, "rb", buffering=0) as f:
            buffer = bytearray(8 * MIB)
            while f.readinto(buffer):
                pass


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def measure(argv, fail_ok=False):
    read_end, write_end = os.pipe()
    environment = dict(os.environ, HF_HUB_OFFLINE="1", PYTHONDONTWRITEBYTECODE="1")

    def give_pipe():
        os.dup2(write_end, 3)

    with open(at("last.log"), "wb") as log:
        # dup2 leaves 3 open across exec even if the pipe itself was given that number.
        process = subprocess.Popen([os.path.join(TOOLS, "measure"), *argv], stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, close_fds=False, preexec_fn=give_pipe, env=environment)
        os.close(write_end)
        with os.fdopen(read_end) as f:
            words = f.read().split()
        process.wait()
    cost = Cost(*words)
    if cost.status and not fail_ok:
        with open(at("last.log"), errors="replace") as log:
            say(log.read()[-2000:])
        raise RuntimeError("exit status %d: %s" % (cost.status, " ".join(argv)))
    return cost


# ---------------------------------------------------------------- rows

class Row:
    """One line of the table. `own` and the others are commands; `verdict` gets the costs and says (ratio, holds).
    `inputs` are names of models, or functions that make a file and give its path."""

    def __init__(self, name, bar, own, verdict, base=None, peers=(), inputs=(), cold=False, runs=None, fail_ok=False,
                 out="out.safetensors"):
        self.name, self.bar, self.own, self.verdict = name, bar, own, verdict
        self.base = base or {}            # label -> command: what the bar refers to
        self.peers = dict(peers)          # label -> command: Python programs
        self.inputs, self.cold, self.fail_ok, self.out = inputs, cold, fail_ok, at(out)
        self.runs = runs or RUNS
        self.peer_runs = PEER_RUNS

    def run(self):
        say(self.name)
        paths = [name() if callable(name) else model(name) for name in self.inputs]
        costs = {}
        self.rounds({"stlua": self.own, **self.base}, self.runs, paths, costs, warm_up=self.runs > 1)
        if PYTHON and self.peers:
            self.rounds(self.peers, self.peer_runs, paths, costs)
        return costs

    def rounds(self, contenders, count, paths, costs, warm_up=False):
        out = self.out
        order = list(contenders.items())
        for number in range(-1 if warm_up else 0, count):
            if not self.cold:
                warm(paths)
            for label, command in order:
                argv = command(*paths, out)
                remove(out)
                if self.cold:
                    drop_caches(paths)
                os.sync()
                cost = measure(argv, self.fail_ok)
                if number >= 0:
                    cost.bytes = os.path.getsize(out) if os.path.isfile(out) else None
                    costs.setdefault(label, []).append(cost)
                    say("  %-10s %8.3f s  cpu %7.2f s  %8.1f MiB" % (label, cost.wall, cost.cpu, cost.rss / MIB))
            order.reverse()
        remove(out)


class TimedRow(Row):
    """One operation of programs that time several themselves: lines "operation <tab> seconds [<tab> bytes]". Rows with
    the same `programs`, a function to {label: argv}, share their runs, in turn."""

    results = {}      # programs -> label -> operation -> costs

    def __init__(self, name, bar, verdict, programs, operation):
        super().__init__(name, bar, None, verdict)
        self.programs, self.operation = programs, operation

    def run(self):
        say(self.name)
        if self.programs not in self.results:
            self.results[self.programs] = self.measure_all()
        return {label: costs[self.operation] for label, costs in self.results[self.programs].items()
                if self.operation in costs}

    def measure_all(self):
        results, programs = {}, list(self.programs().items())
        for _ in range(RUNS):
            for label, argv in programs:
                whole = measure(argv)
                with open(at("last.log")) as log:
                    for line in log:
                        operation, *numbers = line.rstrip("\n").split("\t")
                        cost = Cost(numbers[0], 0, 0, whole.rss // 1024, 0)
                        cost.bytes = int(numbers[1]) if len(numbers) > 1 else None
                        results.setdefault(label, {}).setdefault(operation, []).append(cost)
                        say("  %-10s %-22s %8.1f ms" % (label, operation, cost.wall * 1000))
            programs.reverse()
        return results


def median(costs, field="wall"):
    return statistics.median(getattr(c, field) for c in costs)


def ratio(costs, other):
    """Median of the rounds' ratios of stlua to the other."""
    return statistics.median(a.wall / b.wall for a, b in zip(costs["stlua"], costs[other]))


def at_most(limit, other, peers_at_least=None):
    def verdict(costs):
        if not costs.get(other):
            return "-", True      # without the Python peers
        r = ratio(costs, other)
        shown, holds = "%.2f" % r, r <= limit
        for label in ("mergekit", "sd-mecha"):
            if peers_at_least and costs.get(label):
                times = median(costs[label]) / median(costs["stlua"])
                shown += ", %s %.1f x" % (label, times)
                holds = holds and times >= peers_at_least
        return shown, holds
    return verdict


def at_most_slowest(limit, others):
    def verdict(costs):
        rounds = zip(costs["stlua"], *(costs[o] for o in others))
        r = statistics.median(own.wall / max(o.wall for o in rest) for own, *rest in rounds)
        return "%.2f" % r, r <= limit
    return verdict


def absolute(seconds=None, mib=None):
    def verdict(costs):
        own = costs["stlua"]
        wall, rss = median(own), max(c.rss for c in own)
        holds = (seconds is None or wall <= seconds) and (mib is None or rss <= mib * MIB)
        return "-", holds
    return verdict


def torch(job, *extra):
    return lambda *paths: [PYTHON, os.path.join(HERE, "torch_peer.py"), job, *paths, *extra]


def cp(a, *rest):
    return ["cp", "--reflink=never", a, rest[-1]]


def dd(a, out):
    return ["dd", "bs=1M", "of=/dev/null", "status=none", "if=" + a]


def cp_sync(a, *rest):
    return ["sh", "-c", 'cp --reflink=never "$0" "$1" && sync "$1"', a, rest[-1]]


def script(name, code):
    """A script whose arguments are the inputs and the output."""
    return lambda *paths: [STLUA, "--quiet", text(name, 'local st = require "stlua"\n' + code + "\n"), *paths]


# ---------------------------------------------------------------- the table

def seconds(value):
    return "%.0f ms" % (value * 1000) if value < 0.1 else "%.2f s" % value if value < 10 else "%.1f s" % value


def size(value):
    return "%.1f GB" % (value / 1e9) if value > 1e9 else "%.0f MiB" % (value / MIB)


def cell(costs):
    peak = max(c.rss for c in costs)
    if not any(c.cpu for c in costs):      # timed by the program itself
        return "%s, %s" % (seconds(median(costs)), size(peak))
    return "%s, CPU %s, %s" % (seconds(median(costs)), seconds(median(costs, "cpu")), size(peak))


def processor():
    try:
        with open("/proc/cpuinfo") as f:
            found = re.search(r"^model name\s*:\s*(.*)$", f.read(), re.M)
            return found.group(1) if found else platform.machine()
    except OSError:
        return platform.processor() or platform.machine()


def show_machine():
    print("%s, %s, %d cores, Linux %s; medians of %d rounds (peers %d), the highest peak of resident memory." % (
        time.strftime("%Y-%m-%d"), processor(), len(os.sched_getaffinity(0)), platform.release().split("-")[0], RUNS,
        PEER_RUNS), flush=True)


def show(title, results):
    if not results:
        return
    print("\n## %s\n" % title)
    print("| work | bar | stlua | beside | ratio | holds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row, costs in results:
        if isinstance(costs, Exception):
            print("| %s | %s | failed | | - | **no** |" % (row.name, row.bar))
            continue
        beside = "; ".join("%s %s" % (label, cell(c)) for label, c in costs.items() if label != "stlua" and c)
        shown, holds = row.verdict(costs)
        cells = (row.name, row.bar, cell(costs["stlua"]), beside, shown, "yes" if holds else "**no**")
        print("|", " | ".join(cells), "|", flush=True)
