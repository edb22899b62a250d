"""zipnn_peer.py - seconds that ZipNN takes, and the bytes it makes: from file to file, or in memory where no folder is
given. Two threads, as stlua.

    python zipnn_peer.py FILE DTYPE [FOLDER]
"""
import os
import sys
import time

from zipnn import ZipNN

path, dtype, folder = (sys.argv[1:] + [None])[:3]
z = ZipNN(input_format="byte", bytearray_dtype=dtype, threads=2)
AGAIN = 5 if os.path.getsize(path) < 1 << 28 else 2      # the least of so many calls


def convert(source, call, target):
    with open(source, "rb") as f:
        content = f.read()
    with open(target, "wb") as f:
        f.write(call(bytearray(content)))       # a copy: it changes what it is given


def timed(name, source, call, target):
    least = None
    for _ in range(AGAIN):
        if os.path.exists(target):
            os.unlink(target)
        start = time.perf_counter()
        convert(source, call, target)
        taken = time.perf_counter() - start
        least = min(least or taken, taken)
    print("%s\t%.6f\t%d" % (name, least, os.path.getsize(target)))


def from_file_to_file():
    packed, back = os.path.join(folder, "speed.znn"), os.path.join(folder, "speed.znn-back")
    convert(path, z.compress, packed)      # what is touched first does not count
    convert(packed, z.decompress, back)
    timed("pack", path, z.compress, packed)
    timed("unpack", packed, z.decompress, back)
    with open(path, "rb") as a, open(back, "rb") as b:
        assert a.read() == b.read()
    os.unlink(packed)
    os.unlink(back)


def in_memory():
    with open(path, "rb") as f:
        content = f.read()
    best = {}

    def timed_call(name, call, given):
        start = time.perf_counter()
        made = call(given)
        taken = time.perf_counter() - start
        best[name] = min(best.get(name, (taken, 0)), (taken, len(made)))
        return made

    for _ in range(AGAIN):
        packed = timed_call("pack", z.compress, bytearray(content))
        timed_call("decode", z.decompress, bytearray(packed))
    for name, (taken, size) in best.items():
        print("%s\t%.6f\t%d" % (name, taken, size))


from_file_to_file() if folder else in_memory()
