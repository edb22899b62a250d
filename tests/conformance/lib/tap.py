"""tap.py - what the conformance programs share: reporting, a scratch folder, running stlua."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

STLUA = os.environ.get("STLUA", "./stlua")
counts = {"ok": 0, "not ok": 0, "skip": 0}
covered = set()


def report(verdict, text):
    counts[verdict] += 1
    print(verdict, " ".join(str(text).split()), flush=True)


def check(condition, text, *details):
    """One check; the details are shown when it fails."""
    report("ok" if condition else "not ok", text)
    if not condition:
        for line in "\n".join(str(d) for d in details).splitlines()[:20]:
            print("#", line)
    return bool(condition)


def skip(text):
    report("skip", text)


def covers(*codes):
    """Records the functions and methods that pieces of Lua code call, whose result was compared with the reference's.
    lib/covered.py holds them against all that the library has."""
    for code in codes:
        covered.update(re.findall(r"""(?:[.:]|\[")([A-Za-z_]\w*)(?:"\])?\s*[({'"]""", code))


def finish():
    print("covers", *sorted(covered))
    sys.exit(1 if counts["not ok"] else 0)


def scratch():
    """A folder that is gone when the program ends."""
    import atexit
    folder = tempfile.mkdtemp(prefix="stlua-conformance-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def stlua(*args, stdin=None):
    """Runs the program; the result has returncode, stdout (bytes) and stderr (text)."""
    result = subprocess.run([STLUA, *map(str, args)], input=stdin, capture_output=True)
    result.stderr = result.stderr.decode("utf-8", "replace")
    return result


def script(code, *args):
    """Runs Lua code with `st` at hand and the arguments in `...`."""
    folder = tempfile.mkdtemp(prefix="stlua-conformance-")
    path = os.path.join(folder, "script.lua")
    with open(path, "w") as f:
        f.write('local st = require "stlua"\n' + code + "\n")
    try:
        return stlua(path, *args)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
