#!/bin/sh
# env.sh - the virtual environment of the Python peers, outside the repository and kept between runs.
#
#   tests/conformance/env.sh     prints the path of its Python, or a line `skipped: ...` and nothing else
#
# It holds what the conformance programs and `make bench` compare with. Only what is missing, or has another version, is
# installed. STLUA_VENV names another place. pip's own settings are respected (a torch for the CPU alone is enough and
# far smaller: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu).
set -u
venv=${STLUA_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/stlua/venv}
python=$venv/bin/python
# torch comes first: other packages name it as a dependency and would bring a version of their own.
packages="torch==2.13.0 safetensors==0.8.0 numpy ml_dtypes scipy transformers tokenizers peft==0.21.2 mergekit==0.1.5 \
sd-mecha==1.1.8 zipnn==0.5.4 pillow diffusers==0.42.1 gguf==0.19.0 comfy-kitchen==0.2.40 bitsandbytes==0.50.2"

skip() { echo "skipped: $*"; exit 0; }

installed() { # name[==version]
   "$python" - "$1" <<'PYTHON'
import sys
from importlib import metadata
name, _, version = sys.argv[1].partition("==")
try:
    found = metadata.version(name).split("+")[0]
except metadata.PackageNotFoundError:
    sys.exit(1)
sys.exit(bool(version) and found != version)
PYTHON
}

if [ ! -x "$python" ]; then
   python3 -m venv "$venv" >&2 || skip "python3 -m venv $venv failed"
fi
for package in $packages; do
   installed "$package" && continue
   echo "installing $package into $venv" >&2
   "$python" -m pip install --quiet --disable-pip-version-check "$package" >&2 ||
      skip "pip could not install $package (no network?)"
done
echo "$python"
