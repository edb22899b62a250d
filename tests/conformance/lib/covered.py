"""covered.py - every public function that names its counterpart in PyTorch or NumPy must have been compared with it.

Run last: CONFORMANCE_LOG in the environment names what the other programs printed, with their lines `covers NAME ...`.
The library itself says what there is: the catalogue of its documentation. Methods in place go by their own names."""
import os
import sys

from tap import check, report, script

seen = set()
with open(os.environ["CONFORMANCE_LOG"], encoding="utf-8", errors="replace") as log:
    for line in log:
        if line.startswith("covers "):
            seen.update(line.split()[1:])
r = script("""
for _, item in ipairs(require("stlua.doc").catalogue()) do
   local entry = item.entry
   if entry.torch or item.in_place then print(item.name, entry.torch and entry.torch.text or "in place") end
end""")
items = [line.split("\t") for line in r.stdout.decode().splitlines()]
if check(r.returncode == 0 and len(items) > 200, "the library lists its functions", r.stderr):
    missing = [(name, torch) for name, torch in items if name.replace(":", ".").split(".")[-1] not in seen]
    for name, torch in missing:
        report("not ok", f"{name} ({torch}): no conformance program compares it")
    check(not missing, f"all of {len(items)} functions and methods are compared with their counterparts")
sys.exit(1 if missing else 0)
