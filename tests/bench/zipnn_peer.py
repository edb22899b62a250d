"""zipnn_peer.py - seconds that ZipNN takes from file to file, and the bytes it writes. Two threads, as stlua.

    python zipnn_peer.py FILE DTYPE FOLDER
"""
import os
import sys
import time

from zipnn import ZipNN

path, dtype, folder = sys.argv[1:]
packed, back = os.path.join(folder, "speed.znn"), os.path.join(folder, "speed.znn-back")
z = ZipNN(input_format="byte", bytearray_dtype=dtype, threads=2)


def convert(source, call, target):
    with open(source, "rb") as f:
        content = f.read()
    with open(target, "wb") as f:
        f.write(call(bytearray(content)))       # a copy: it changes what it is given


def timed(name, source, call, target):
    if os.path.exists(target):
        os.unlink(target)
    start = time.perf_counter()
    convert(source, call, target)
    print("%s\t%.6f\t%d" % (name, time.perf_counter() - start, os.path.getsize(target)))


convert(path, z.compress, packed)      # what is touched first does not count
convert(packed, z.decompress, back)
timed("pack", path, z.compress, packed)
timed("unpack", packed, z.decompress, back)
with open(path, "rb") as a, open(back, "rb") as b:
    assert a.read() == b.read()
os.unlink(packed)
os.unlink(back)
