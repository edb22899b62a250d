"""hostile.py - rows of bench.py about files of about 1 MB that ask a careless reader for time or memory."""
import io
import os
import struct
import subprocess
import zipfile

from harness import MIB, STLUA, Row, at, measure, remove, say

N = 1_000_000


# ---------------------------------------------------------------- safetensors

def headers():
    def header(payload, extra=b""):
        return len(payload).to_bytes(8, "little") + payload + extra

    n = N
    one = b'"t%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    rows = [one % i for i in range(n // 58)]
    long_name = b"n" * (n - 200)
    u8 = b'{"t":{"dtype":"U8","shape":['
    return {
        "deep.safetensors": header(b"[" * n),
        "deep-value.safetensors": header(b'{"t":' + b'{"a":' * (n // 5)),
        "rank.safetensors": header(u8 + b",".join([b"1"] * (n // 2 - 50)) + b'],"data_offsets":[0,1]}}', b"\0"),
        "huge-shape.safetensors": header(u8 + b",".join([b"4294967295"] * 64) + b'],"data_offsets":[0,8]}}', b"\0" * 8),
        "same-name.safetensors": header(b"{" + b",".join([one % 7] * (n // 58)) + b"}x"),
        "many-empty.safetensors": header(b"{" + b",".join(rows) + b"}x"),
        "metadata.safetensors": header(b'{"__metadata__":{' + b",".join(b'"k%d":"v"' % i for i in range(n // 14))
                                       + b"}}x"),
        "long-name.safetensors": header(b'{"' + long_name + b'":{"dtype":"U8","shape":[1],"data_offsets":[0,2]}}',
                                        b"\0"),
        "escapes.safetensors": header(b'{"' + b"\\u00e9" * (n // 6) + b'":1}'),
        "digits.safetensors": header(u8 + b"9" * n + b'],"data_offsets":[0,1]}}', b"\0"),
        "lying-length.safetensors": (99_000_000).to_bytes(8, "little") + b"{" * n,
        "spaces.safetensors": header(b"{" + b" " * n),
    }


# ---------------------------------------------------------------- PyTorch's files

def zipped(entries, how=zipfile.ZIP_STORED):
    """entries: (name, content) pairs; names may come twice."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as z:
        for name, content in entries:
            z.writestr(name, content)
    return out.getvalue()


def text(s):
    return b"X" + struct.pack("<I", len(s)) + s


def integer(n):
    return b"\x8a\x08" + struct.pack("<q", n)


def tensor(key, shape, stride, offset=0, kind=b"FloatStorage", count=4):
    """The operations of a pickle that leave a tensor on the stack."""
    numbers = [b"(" + b"".join(map(integer, each)) + b"t" for each in (shape, stride)]
    return (b"ctorch._utils\n_rebuild_tensor_v2\n((" + text(b"storage") + b"ctorch\n" + kind + b"\n" + text(key)
            + text(b"cpu") + integer(count) + b"tQ" + integer(offset) + numbers[0] + numbers[1]
            + b"\x89ccollections\nOrderedDict\n)RtR")


def checkpoint(pickle, *storages):
    return zipped([("a/data.pkl", pickle), ("a/version", b"3\n"),
                   *(("a/data/%d" % i, content) for i, content in enumerate(storages))])


def state(*pairs):
    return b"\x80\x02}(" + b"".join(text(name) + value for name, value in pairs) + b"u."


def one_tensor(shape, stride, offset=0, count=4):
    return checkpoint(state((b"w", tensor(b"0", shape, stride, offset, count=count))), b"\0" * 16)


def overlapping_zip():
    """Every entry of the directory is the same megabyte."""
    whole = zipped([("a/data/0", b"\0" * (N // 2))])
    end = whole.rindex(b"PK\x05\x06")
    start, = struct.unpack_from("<I", whole, end + 16)
    one, count = whole[start:end], 8000
    entries = b"".join(one.replace(b"a/data/0", b"a/d/%04x" % i) for i in range(count))
    tail = bytearray(whole[end:])
    struct.pack_into("<HHII", tail, 8, count, count, len(entries), start)
    return whole[:start] + entries + bytes(tail)


def pickles():
    n = N
    system = b"cposix\nsystem\n" + text(b"true") + b"\x85R0"
    many = [(b"w%d" % i, tensor(b"0", [2, 2], [2, 1])) for i in range(n // 210)]
    laughs = b"\x80\x02" + text(b"ha") + b"".join(b"q%c0h%ch%c\x86" % (i, i, i) for i in range(200)) + b"."
    return {
        "call-system.pt": checkpoint(b"\x80\x02" + b"cposix\nsystem\n" + text(b"touch hostile-was-run") + b"\x85R."),
        "calls.pt": checkpoint(b"\x80\x02" + system * (n // len(system)) + b"N."),
        "eval-in-build.pt": checkpoint(b"\x80\x02c__builtin__\neval\n" + text(b"1") + b"\x85R}b."),
        "laughs.pt": checkpoint(laughs),
        "laughs-state.pt": checkpoint(b"\x80\x02}" + text(b"state_dict") + laughs[2:-1] + b"s."),
        "deep-tuples.pt": checkpoint(b"\x80\x02N" + b"\x85" * n + b"."),
        "deep-lists.pt": checkpoint(b"\x80\x02" + b"]" * (n // 2) + b"a" * (n // 2 - 1) + b"."),
        "deep-dicts.pt": checkpoint(b"\x80\x02" + b"}N" * (n // 3) + b"}" + b"s" * (n // 3) + b"."),
        "marks.pt": checkpoint(b"\x80\x02" + b"(" * n + b"."),
        "memo.pt": checkpoint(b"\x80\x04N" + b"\x94" * n + b"."),
        "memo-index.pt": checkpoint(b"\x80\x02N" + b"".join(b"r" + struct.pack("<I", 0xffffffff - i)
                                                            for i in range(n // 5)) + b"."),
        "itself.pt": checkpoint(b"\x80\x02}q\x00" + text(b"state_dict") + b"h\x00s."),
        "big-number.pt": checkpoint(b"\x80\x02\x8b" + struct.pack("<I", n) + b"\x7f" * n + b"."),
        "digits.pt": checkpoint(b"I" + b"9" * n + b"\n."),
        "text-lies.pt": checkpoint(b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"x" * n),
        "frame-lies.pt": checkpoint(b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N." * (n // 2)),
        "globals.pt": checkpoint(b"\x80\x02" + b"".join(b"cm%d\nx\n0" % i for i in range(n // 11)) + b"N."),
        "same-keys.pt": checkpoint(b"\x80\x02}(" + b"".join(text(b"k") + b"N" for _ in range(n // 7)) + b"u."),
        "tensors.pt": checkpoint(state(*many), b"\0" * 16),
        "legacy.pt": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03." + b"\x80\x02}." + b"\x80\x02N"
                     + b"\x85" * n + b".",
        "expanded.pt": one_tensor([1 << 20, 1 << 20], [0, 0]),
        "expanded-rank.pt": one_tensor([2] * 60, [0] * 60),
        "negative.pt": one_tensor([2, 2], [-2, 1], 3),
        "beyond.pt": one_tensor([1 << 40], [1]),
        "overflow.pt": one_tensor([1 << 62, 4], [1 << 62, 1 << 62]),
        "storage-lies.pt": one_tensor([2, 2], [2, 1], count=1 << 60),
        "deflated.pt": zipped([("a/data.pkl", state()), ("a/data/0", b"\0" * 900 * N)], zipfile.ZIP_DEFLATED),
        "deflated-pickle.pt": zipped([("a/data.pkl", b"\x80\x02" + b"N0" * 60 * N + b"N.")], zipfile.ZIP_DEFLATED),
        "twice.pt": zipped([("a/data.pkl", state()), ("a/data.pkl", system)]),
        "upwards.pt": zipped([("../../a/data.pkl", state()), ("../../../etc/passwd", b"x")]),
        "entries.pt": zipped([("a/%d" % i, b"") for i in range(n // 100)]),
        "overlapping.pt": overlapping_zip(),
    }


# ---------------------------------------------------------------- GGUF, NumPy

def gguf(tensors, pairs, body):
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, pairs) + body


def named(s):
    return struct.pack("<Q", len(s)) + s


def npy(header, data=b""):
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header)) + header + data


def others():
    n = N
    array = named(b"a") + struct.pack("<IIQ", 9, 9, 1 << 60)
    row = struct.pack("<IQQIQ", 2, 1, 1, 0, 0)
    shape = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }\n"
    return {
        "tensor-count.gguf": gguf(1 << 60, 0, b"\0" * n),
        "pair-count.gguf": gguf(0, 1 << 60, b"\0" * n),
        "arrays.gguf": gguf(0, 1, array + struct.pack("<IQ", 9, 1 << 60) * (n // 12)),
        "array-of-texts.gguf": gguf(0, 1, named(b"a") + struct.pack("<IIQ", 9, 8, n // 8)
                                    + struct.pack("<Q", 0) * (n // 8)),
        "text-lies.gguf": gguf(0, 1, struct.pack("<Q", 1 << 62) + b"x" * n),
        "pairs.gguf": gguf(0, n // 20, b"".join(named(b"k%05d" % i) + struct.pack("<IB", 7, 1)
                                                for i in range(n // 20))),
        "tensors.gguf": gguf(n // 50, 0, b"".join(named(b"t%05d" % i) + row for i in range(n // 50)) + b"\0" * 64),
        "same-name.gguf": gguf(n // 50, 0, (named(b"w") + row) * (n // 50) + b"\0" * 64),
        "huge.gguf": gguf(1, 0, named(b"w") + struct.pack("<IQQIQ", 2, 1 << 32, 1 << 32, 2, 0) + b"\0" * n),
        "deep.npz": zipped([("w.npy", npy(b"{'descr': " + b"(" * n))]),
        "rank.npz": zipped([("w.npy", npy(shape % (b"1," * (n // 2))))]),
        "digits.npz": zipped([("w.npy", npy(shape % (b"9" * n)))]),
        "huge.npz": zipped([("w.npy", npy(shape % b"4294967296, 4294967296"))]),
        "entries.npz": zipped([("w%d.npy" % i, npy(shape % b"0")) for i in range(n // 250)]),
        "object.npz": zipped([("w.npy", npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", b"cos\n"))]),
    }


# ---------------------------------------------------------------- compressed

def frames(*payloads):
    done = [subprocess.run(["zstd", "-c", "-q"], input=p, stdout=subprocess.PIPE, check=True).stdout for p in payloads]
    return b"".join(done)


def zstd_files():
    n = N
    header = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}'

    def safetensors(size, rest):
        text = header % (size, size)
        return len(text).to_bytes(8, "little") + text + rest

    table = struct.pack("<III", 1, 9, 0) * (n // 12)
    footer = struct.pack("<IBI", n // 12, 0, 0x8f92eab1)
    seekable = b"\x5e\x2a\x4d\x18" + struct.pack("<I", len(table) + 9) + table + footer
    return {
        "bomb.safetensors.zst": frames(safetensors(1 << 40, b"\0" * 400 * N)) * 25,
        "header-bomb.safetensors.zst": frames((99_000_000).to_bytes(8, "little") + b" " * 99_000_000),
        "skippable.safetensors.zst": b"\x50\x2a\x4d\x18\0\0\0\0" * (n // 8),
        "empty-frames.safetensors.zst": frames(b"") * (n // 10),
        "table.safetensors.zst": frames(safetensors(16, b"\0" * 16)) + seekable,
        "cut.safetensors.zst": frames(safetensors(4 * n, os.urandom(4 * n)))[:n],
    }


# ---------------------------------------------------------------- rows

def written(cases):
    paths = []
    for name, content in cases.items():
        path = at("hostile-" + name)
        with open(path, "wb") as f:
            f.write(content)
        paths.append(path)
    return paths


def bounded(costs):
    return max(c.wall for c in costs) <= 1 and max(c.rss for c in costs) <= 64 * MIB


def refused(costs):
    every = costs["stlua"][0].every
    all_refused = all(c.status == 1 for c in every)
    return "all refused" if all_refused else "NOT all refused", all_refused and bounded(every)


def told(costs):
    """Refused, or what is in them told: no crash, no signal."""
    every = costs["stlua"][0].every
    return "%d runs" % len(every), all(c.status in (0, 1) for c in every) and bounded(every)


class HostileRow(Row):
    """Each hostile file once by each command; the table shows the worst."""

    def __init__(self, name, bar, verdict, cases, *commands):
        super().__init__(name, bar, None, verdict)
        self.cases, self.commands = cases, commands

    def run(self):
        say(self.name)
        costs, out = [], at("hostile-out.safetensors")
        for path in written(self.cases()):
            for command in self.commands:
                argv = [STLUA, command, path] + (["-o", out] if command == "convert" else [])
                cost = measure(argv, fail_ok=True)
                remove(out)
                say("  %-8s %-36s %8.3f s  %8.1f MiB  exit %d"
                    % (command, os.path.basename(path), cost.wall, cost.rss / MIB, cost.status))
                costs.append(cost)
            os.unlink(path)
        worst = max(costs, key=lambda c: c.wall)
        worst.rss, worst.every = max(c.rss for c in costs), costs
        return {"stlua": [worst]}


ROWS = [
    HostileRow("a dozen hostile headers of 1 MB, the worst", "refused in 1 s, 64 MiB", refused, headers, "info"),
    HostileRow("hostile checkpoints of 1 MB: pickles, zip archives; the worst", "1 s, 64 MiB", told, pickles, "info",
               "convert"),
    HostileRow("hostile GGUF and npz of 1 MB, the worst", "1 s, 64 MiB", told, others, "info", "convert"),
    HostileRow("hostile `.safetensors.zst` of 1 MB, the worst", "1 s, 64 MiB", told, zstd_files, "info"),
]
