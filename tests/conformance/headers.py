"""headers.py - the differential run: generated and mutated headers, read by the reference library and by libst (through
header_driver). Verdict and content must be equal; the only differences allowed are those of REASONS, and each must be
found in the bytes by code of its own, here in Python.

   headers.py [COUNT [SEED]]      the same COUNT and SEED make the same headers
"""
import collections
import copy
import json
import os
import random
import struct
import subprocess
import sys

import safetensors

from tap import check, finish, scratch

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else 1
DRIVER = os.environ.get("HEADER_DRIVER", ".build/cc/header_driver")
BATCH = 4000

BITS = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
        "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
        "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64}
DTYPES = list(BITS)

# ---------------------------------------------------------------- what may differ, and how it is recognised


class Pairs(list):
    """A JSON object with its duplicates."""


def parse(text):
    # An integer of thousands of digits is beyond every limit; Python would refuse to convert it.
    return json.loads(text, object_pairs_hook=Pairs, parse_int=lambda s: int(s) if len(s) < 30 else 1 << 64)


def tensors(top):
    return [v for k, v in top if k != "__metadata__"]


def repeated(keys):
    keys = list(keys)
    return len(set(keys)) != len(keys)


def fields(tensor, name):
    return [v for k, v in tensor if k == name] if isinstance(tensor, Pairs) else []


def numbers(top):
    for t in tensors(top):
        for name in ("shape", "data_offsets"):
            for value in fields(t, name):
                yield from (x for x in value if isinstance(x, int))


# Accepted by the reference, refused by stlua.
REASONS = {
    "a tensor's name twice": lambda top: repeated(k for k, v in top if k != "__metadata__"),
    "a metadata key twice": lambda top: any(isinstance(v, Pairs) and repeated(k for k, _ in v)
                                            for k, v in top if k == "__metadata__"),
    "a tensor written as an array": lambda top: any(not isinstance(t, Pairs) for t in tensors(top)),
    "a dtype written as an object": lambda top: any(isinstance(d, Pairs) for t in tensors(top)
                                                    for d in fields(t, "dtype")),
    "more than 64 dimensions": lambda top: any(len(s) > 64 for t in tensors(top) for s in fields(t, "shape")),
    "a number above 2^63-1": lambda top: any(x >= 1 << 63 for x in numbers(top)),
}

# ---------------------------------------------------------------- writing JSON in every legal way


class Raw(str):
    """Text that goes into the JSON as it is."""


SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


class Writer:
    def __init__(self, rng, plain):
        self.rng = rng
        self.plain = plain  # no white space, no needless escapes

    def space(self):
        if self.plain or self.rng.random() < 0.7:
            return ""
        return "".join(self.rng.choice(" \n\t\r") for _ in range(self.rng.randint(1, 3)))

    def char(self, c):
        n = ord(c)
        if c in SHORT and self.rng.random() < 0.8:
            return SHORT[c]
        if n < 0x20 or c in '"\\' or 0xd800 <= n < 0xe000 or (not self.plain and self.rng.random() < 0.1):
            units = c.encode("utf-16-be", "surrogatepass")
            form = self.rng.choice(("\\u%04x", "\\u%04X"))
            return "".join(form % struct.unpack(">H", units[i:i + 2]) for i in range(0, len(units), 2))
        if c == "/" and not self.plain and self.rng.random() < 0.3:
            return "\\/"
        return c

    def string(self, s):
        if self.plain and s.isalnum() and s.isascii():
            return '"' + s + '"'
        return '"' + "".join(map(self.char, s)) + '"'

    def value(self, v):
        space = self.space
        if isinstance(v, Raw):
            return str(v)
        if isinstance(v, str):
            return self.string(v)
        if isinstance(v, Pairs):
            inner = ",".join(space() + self.string(k) + space() + ":" + space() + self.value(x) + space() for k, x in v)
            return "{" + (inner or space()) + "}"
        if isinstance(v, list):
            return "[" + (",".join(space() + self.value(x) + space() for x in v) or space()) + "]"
        return json.dumps(v)


# ---------------------------------------------------------------- legal headers

NAMES = ["a", "b", "weight", "model.layers.0.mlp.weight", "", "__metadata", "__metadata__x", "A", "é", "日本", "😀",
         "a/b", "../x", "C:\\x", 'q"q', "nul\0name", "tab\t", "\x7f", "\u202e", "dtype", "shape", "x" * 300, " ", "ß",
         "\x01\x1f", "\u2028", "\uffff", "\U0010ffff"]


def some_name(rng):
    return rng.choice(NAMES) + (str(rng.randrange(4)) if rng.random() < 0.5 else "")


def some_json(rng, depth=0):
    """Any JSON value, for fields that nobody reads."""
    kind = rng.randrange(12 if depth < 4 else 9)
    if kind < 3:
        return Raw(rng.choice(["0", "-0", "1", "1.5", "-1e5", "1E+3", "1e-400", "18446744073709551616", "0.0", "1e308",
                               "123456789012345678901234567890e270", "0e999", "-0.0e-0", "1" * 300, "2e307",
                               "17976931348623157e292", "0." + "0" * 400 + "1e9"]))
    if kind < 5:
        return some_name(rng)
    if kind < 9:
        return rng.choice([None, True, False, Pairs(), [], 7])
    if kind < 11:
        return [some_json(rng, depth + 1) for _ in range(rng.randrange(4))]
    return Pairs((some_name(rng), some_json(rng, depth + 1)) for _ in range(rng.randrange(4)))


def some_shape(rng, bits):
    shape = [rng.choice((0, 1, 1, 2, 2, 3, 4, 5, 8)) for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 4)))]
    count = 1
    for d in shape:
        count *= d
    if count * bits % 8:
        shape.append(4)
        count *= 4
    if count * bits > 16384:
        return [4], 4 * bits // 8
    return shape, count * bits // 8


def some_model(rng):
    """A legal header as Pairs of Pairs, and the size of its data."""
    top, at = Pairs(), 0
    names = list(dict.fromkeys(some_name(rng) for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 4, 6)))))
    for name in names:
        dtype = rng.choice(DTYPES)
        shape, size = some_shape(rng, BITS[dtype])
        tensor = Pairs([("dtype", dtype), ("shape", shape), ("data_offsets", [at, at + size])])
        at += size
        if rng.random() < 0.3:
            rng.shuffle(tensor)
        if rng.random() < 0.1:
            tensor.insert(rng.randrange(4), (rng.choice(("extra", "Dtype", "", "shape ")), some_json(rng)))
        top.append((name, tensor))
    if rng.random() < 0.4:
        rng.shuffle(top)
    if rng.random() < 0.4:
        meta = None if rng.random() < 0.1 else Pairs(
            (k, some_name(rng)) for k in dict.fromkeys(some_name(rng) for _ in range(rng.randrange(4))))
        top.insert(rng.choice((0, 0, len(top))), ("__metadata__", meta))
    return top, at


# ---------------------------------------------------------------- mutations of the description

HUGE = [1 << 31, 1 << 32, 1 << 53, (1 << 53) + 1, (1 << 61), (1 << 62), (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64]
SPELLINGS = ["-0", "-1", "+1", "01", "00", "1.0", "1e0", "1E2", "0x10", '"1"', "true", "null", "1_0", "1.", ".5", "NaN",
             "Infinity", "[1]", "{}", "18446744073709551615", "18446744073709551616", "9223372036854775808", "1e400",
             "١", "0e0", "-", "1e", "1e+"]
WRONG = [None, True, 3, 1.5, "x", [], Pairs(), [1, 2, 3], ["F32"], Pairs([("F32", None)])]
BAD_DTYPES = ["f32", "F32 ", "FLOAT", "BF", "", "I4", "U4", "C128", "F8", "F8_E4M3FN", "float32", "F4_", "F16\0", "Ｆ32"]


def pick(rng, top):
    """A random tensor's place, or None."""
    places = [i for i, (k, v) in enumerate(top) if isinstance(v, Pairs) and k != "__metadata__"]
    return rng.choice(places) if places else None


def change(tensor, name, value):
    for i, (k, _) in enumerate(tensor):
        if k == name:
            tensor[i] = (k, value)
            return


def field(tensor, name):
    found = fields(tensor, name)
    return found[0] if found and isinstance(found[0], list) else []


def m_offset(rng, top, t):
    pair = list(field(t, "data_offsets"))
    if not pair:
        return
    i = rng.randrange(len(pair))
    if isinstance(pair[i], int):
        pair[i] = max(0, pair[i] + rng.choice((-8, -1, 1, 1, 4, 1 << 32))) if rng.random() < 0.8 else rng.choice(HUGE)
    change(t, "data_offsets", rng.choice((pair, pair, pair, pair[::-1], pair[:1], pair + [0], [pair[0]] * 2)))


def m_shape(rng, top, t):
    shape = list(field(t, "shape"))
    how = rng.randrange(7)
    if how == 0:
        shape.append(rng.choice((0, 1, 2)))
    elif how == 1 and shape:
        shape.pop(rng.randrange(len(shape)))
    elif how == 2:
        shape.insert(rng.randrange(len(shape) + 1), rng.choice(HUGE))
    elif how == 3:
        shape = rng.choice(([0] + [rng.choice(HUGE)] * rng.randint(1, 3), [rng.choice(HUGE)] * rng.randint(1, 3) + [0]))
    elif how == 4:
        shape += [1] * rng.choice((30, 60, 62, 63, 64, 65, 66, 200))
    elif how == 5:
        rng.shuffle(shape)
    else:
        shape = [rng.choice((1 << 32, 1 << 31, 3, 0, 1 << 29)) for _ in range(3)]
    change(t, "shape", shape)


def m_spelling(rng, top, t):
    name = rng.choice(("shape", "data_offsets"))
    values = list(field(t, name))
    if values:
        values[rng.randrange(len(values))] = Raw(rng.choice(SPELLINGS))
        change(t, name, values)


def m_dtype(rng, top, t):
    change(t, "dtype", rng.choice(BAD_DTYPES) if rng.random() < 0.5 else rng.choice(DTYPES))


def m_dtype_object(rng, top, t):
    d = fields(t, "dtype")
    if d and isinstance(d[0], str):
        change(t, "dtype", Pairs([(d[0], rng.choice((None, None, None, 1, Pairs())))]))


def m_wrong(rng, top, t):
    change(t, rng.choice(("dtype", "shape", "data_offsets")), copy.deepcopy(rng.choice(WRONG)))


def m_missing(rng, top, t):
    if t:
        t.pop(rng.randrange(len(t)))


def m_twice(rng, top, t):
    if t:
        t.insert(rng.randrange(len(t) + 1), rng.choice(t))


def m_unknown(rng, top, t):
    t.insert(rng.randrange(len(t) + 1), (rng.choice(("extra", "offsets", "", "DTYPE")), some_json(rng)))


def m_deep(rng, top, t):
    n = rng.choice((1, 60, 124, 125, 126, 127, 128, 500))
    o, c = rng.choice((("[", "]"), ('{"a":', "}"), ('[{"a":[', "]}]")))
    core = rng.choice(("1", "{}", "[]", '""')) if "a" in o else rng.choice(("", "1", "{}", "[]"))
    n = max(1, n // 3) if len(o) > 6 else n
    t.append(("deep", Raw(o * n + core + c * n)))


def m_array(rng, top, t):
    for i, (k, v) in enumerate(top):
        if v is t:
            order = ("dtype", "shape", "data_offsets") if rng.random() < 0.9 else ("shape", "dtype", "data_offsets")
            top[i] = (k, [x for name in order for x in fields(t, name)[:1]] + ([1] if rng.random() < 0.1 else []))
            return


def m_duplicate(rng, top, t):
    """A second tensor of the same name: the same, or one that follows on."""
    i = next(i for i, (k, v) in enumerate(top) if v is t)
    other = rng.choice(top)[1]
    other = Pairs(other if isinstance(other, Pairs) and rng.random() < 0.3 else t)
    top.insert(rng.randrange(len(top) + 1), (top[i][0], other))


def m_alias(rng, top, t):
    """Two names on one range, or a zero-size tensor anywhere."""
    end = rng.choice((0, 1, 3, 8, 1000, (field(t, "data_offsets") or [0, 0])[-1]))
    extra = Pairs(t) if rng.random() < 0.3 else Pairs([("dtype", "U8"), ("shape", [0]), ("data_offsets", [end, end])])
    top.insert(rng.randrange(len(top) + 1), ("alias", extra))


def m_metadata(rng, top):
    value = rng.choice((None, Pairs(), [], "x", 1, Pairs([("k", 1)]), Pairs([("k", None)]), Pairs([("k", ["v"])]),
                        Pairs([("k", "1"), ("k", "2")]), Pairs([("k", "1"), ("k", "1"), ("l", "")]),
                        Pairs([("k", Raw('"\\ud800"'))]), Pairs([("k", Raw("{}"))]), Pairs([("", "\0")])))
    top.insert(rng.randrange(len(top) + 1), ("__metadata__", value))


def m_top(rng, top):
    top.insert(rng.randrange(len(top) + 1), (some_name(rng), copy.deepcopy(rng.choice(WRONG))))


TENSOR = [m_offset, m_offset, m_shape, m_shape, m_spelling, m_dtype, m_dtype_object, m_wrong, m_missing, m_twice,
          m_unknown, m_unknown, m_deep, m_array, m_duplicate, m_alias]


def mutate_model(rng, top):
    i = pick(rng, top)
    if i is None or rng.random() < 0.12:
        rng.choice((m_metadata, m_metadata, m_top))(rng, top)
    else:
        rng.choice(TENSOR)(rng, top, top[i][1])


# ---------------------------------------------------------------- mutations of the bytes

TOKENS = [t.encode() for t in
          ['"', "\\", ",", ":", "{", "}", "[", "]", "null", "true", "false", "\\u0000", "\\ud83d", "\\ude00", "\\u00e9",
           "/*x*/", "//", "'", "-", "+", ".", "0", "1", "e", "\ufeff", "\u00a0", "\x0c", "\x0b", "\\/", "\\x", "\\u12",
           "__metadata__", "data_offsets", "F8_E8M0", " ", "\n", ",,", "[[", "]]", "9" * 25]]
TOKENS += [b"\0", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80", b"\xf0\x9f\x98\x80"]


def mutate_text(rng, text):
    at = rng.randrange(len(text) + 1)
    how = rng.randrange(9)
    if how == 0 and text:
        at = min(at, len(text) - 1)
        return text[:at] + bytes([text[at] ^ 1 << rng.randrange(8)]) + text[at + 1:]
    if how == 1:
        return text[:at] + rng.choice(TOKENS) + text[at:]
    if how == 2:
        return text[:at] + text[at + rng.randint(1, 3):]
    if how == 3:
        return text[:at] + rng.choice(TOKENS) + text[at + rng.randint(1, 4):]
    if how == 4:
        end = min(len(text), at + rng.randint(1, 40))
        return text[:end] + text[at:end] + text[end:]
    if how == 5:
        return text[:at]
    if how == 6:
        return rng.choice((b" ", b"\n\t", b"\0", b"\xef\xbb\xbf", b"\x0c", b"//", b"[")) + text
    if how == 7:
        return text + rng.choice((b" ", b"   \n", b"\0", b"{}", b",", b"x", b"\xff", b"]", b"}", b"\x0c"))
    digits = [i for i, c in enumerate(text) if 48 <= c < 58]
    if not digits:
        return text
    at = rng.choice(digits)
    return text[:at] + rng.choice((b"0", b"9", b"1", b"", b"00", b"1.0", b"-1", b"1e1")) + text[at + 1:]


def generate(rng):
    """One file: bytes."""
    top, size = some_model(rng)
    style = rng.random()
    changes = 0 if style < 0.3 else rng.choice((1, 1, 1, 2, 3))
    late = 0
    for _ in range(changes):
        if rng.random() < 0.6:
            mutate_model(rng, top)
        else:
            late += 1
    text = Writer(rng, rng.random() < 0.6).value(top).encode("utf-8", "surrogatepass")
    for _ in range(late):
        text = mutate_text(rng, text)
    if rng.random() < 0.3:
        text += b" " * (-len(text) % 8)
    data = rng.randbytes(size)
    length = len(text)
    if changes and rng.random() < 0.06:
        length = rng.choice((0, 1, 7, length - 1, length + 1, length + size, length + size + 1, 100_000_000,
                             100_000_001, (1 << 63) - 8, 1 << 63, (1 << 64) - 8, (1 << 64) - 1, 1 << 32)) % (1 << 64)
    elif changes and rng.random() < 0.06:
        data = rng.choice((data[:-1], data + b"\0", b"", data * 2))
    blob = struct.pack("<Q", length) + text + data
    return blob[:rng.randrange(len(blob))] if changes and rng.random() < 0.01 else blob


# ---------------------------------------------------------------- the two readers

Tensor = collections.namedtuple("Tensor", "name dtype shape begin end")


def drive(blobs):
    stdin = b"".join(struct.pack("<I", len(b)) + b for b in blobs)
    run = subprocess.run([DRIVER], input=stdin, capture_output=True, check=False)
    lines = run.stdout.decode("utf-8", "replace").split("\n")[:-1]
    if run.returncode or len(lines) != len(blobs):
        raise SystemExit(f"not ok the driver ended with {run.returncode} after {len(lines)} headers\n"
                         f"{run.stderr.decode()}")
    return lines


def unhex(text):
    return bytes.fromhex(text).decode("utf-8")


def ours(line):
    """(tensors in file order, metadata pairs), or the refusal as text."""
    verdict, first, second = line.split("\t")
    if verdict != "ok":
        return f"{first}: {second}"
    found = []
    for item in first.split():
        name, dtype, shape, begin, end = item.split(":")
        dims = [int(d) for d in shape.split(",")] if shape else []
        found.append(Tensor(unhex(name), dtype, dims, int(begin), int(end)))
    pairs = [tuple(unhex(x) for x in item.split("=")) for item in second.split(" ")] if second else []
    return found, pairs


def reference(blob):
    """{name: {dtype, shape, data}}, or the refusal as text."""
    try:
        return dict(safetensors.deserialize(blob))
    except safetensors.SafetensorError as e:
        return str(e)


def reference_metadata(blob, path):
    with open(path, "wb") as f:
        f.write(blob)
    with safetensors.safe_open(path, framework="np") as f:
        return f.metadata() or {}


def header_of(blob):
    length, = struct.unpack_from("<Q", blob)
    return parse(blob[8:8 + length].decode("utf-8")), 8 + length


def content_differs(blob, mine, theirs, path):
    """Why the contents are not equal, or None. Offsets and order come from a third reader, Python's own JSON."""
    found, pairs = mine
    top, start = header_of(blob)
    if {t.name for t in found} != set(theirs) or len(found) != len(theirs):
        return "names"
    described = {k: dict(v) for k, v in top if k != "__metadata__"}
    for t in found:
        r, d = theirs[t.name], described[t.name]
        if t.dtype != r["dtype"] or t.shape != r["shape"]:
            return f"dtype or shape of {t.name!r}"
        if [t.begin, t.end] != d["data_offsets"] or blob[start + t.begin:start + t.end] != bytes(r["data"]):
            return f"bytes of {t.name!r}"
    if sorted(found, key=lambda t: (t.begin, t.end)) != found:
        return "file order"
    meta = [pair for k, v in top if k == "__metadata__" for pair in v or ()]
    if pairs != meta:
        return "metadata"
    if meta and reference_metadata(blob, path) != dict(pairs):
        return "metadata as the reference reads it"
    return None


def explanations(blob):
    top, _ = header_of(blob)
    return [reason for reason, holds in REASONS.items() if holds(top)]


# ---------------------------------------------------------------- the run


def compare(blob, line, path, tally):
    """What is wrong, or None."""
    mine, theirs = ours(line), reference(blob)
    if isinstance(theirs, str):
        tally["refused"] += 1
        return None if isinstance(mine, str) else f"accepted, the reference says: {theirs}"
    if not isinstance(mine, str):
        tally["accepted"] += 1
        what = content_differs(blob, mine, theirs, path)
        return what and f"the content differs: {what}"
    why = explanations(blob)
    if not why:
        return f"refused, the reference accepts: {mine}"
    tally["explained"] += 1
    for reason in why:
        tally[reason] += 1
    return None


def pinned():
    """The corpus of tests/c/header_cases.h: (verdict, text, bytes)."""
    data = subprocess.run([DRIVER, "--cases"], capture_output=True, check=True).stdout
    at = 0
    while at < len(data):
        end = data.index(b"\0", at)
        size, = struct.unpack_from("<I", data, end + 1)
        yield int(data[at:at + 1]), data[at + 1:end].decode(), data[end + 5:end + 5 + size]
        at = end + 5 + size


def check_pinned(path):
    """Each case has the verdict that its table gives it: taken by both, refused by both, refused by stlua alone."""
    cases, tally, wrong = list(pinned()), collections.Counter(), []
    for (verdict, text, blob), line in zip(cases, drive([blob for _, _, blob in cases])):
        tally.clear()
        what = compare(blob, line, path, tally)
        found = next(i for i, k in enumerate(("accepted", "refused", "explained")) if tally[k] or (what and i == 2))
        if what or found != verdict:
            wrong.append(f"{text}: {what or ('taken by both', 'refused by both', 'refused by stlua alone')[found]}")
    check(cases and not wrong, f"{len(cases)} pinned headers have their verdicts", *wrong)


def main():
    rng = random.Random(SEED)
    path = os.path.join(scratch(), "blob.safetensors")
    check_pinned(path)
    tally, wrong, done = collections.Counter(), [], 0
    while done < COUNT:
        blobs = [generate(rng) for _ in range(min(BATCH, COUNT - done))]
        for blob, line in zip(blobs, drive(blobs)):
            what = compare(blob, line, path, tally)
            if what:
                wrong.append(f"{what}\n    {blob[:400]!r}")
        done += len(blobs)
    accepted = tally["accepted"] + tally["explained"]
    reasons = ", ".join(f"{reason} {tally[reason]}" for reason in REASONS)
    check(not wrong, f"{COUNT} headers (seed {SEED}) mean the same to both: {tally['accepted']} accepted, "
          f"{tally['refused']} refused, {tally['explained']} "
          f"refused by stlua alone ({reasons})", f"{len(wrong)} differ", *wrong[:8])
    check(accepted * 5 >= COUNT, f"the reference accepts {accepted} of {COUNT}: at least a fifth")
    check(all(tally[reason] for reason in REASONS), "every reason for a difference was met",
          *[reason for reason in REASONS if not tally[reason]])
    finish()


main()
