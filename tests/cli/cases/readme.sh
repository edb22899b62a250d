# The script and the commands that the README shows do what it says. Its make targets are there.
ROOT="$FIXTURES/../.."
stlua "$ROOT/examples/make_samples.lua" a.safetensors b.safetensors c.safetensors model.safetensors >/dev/null
block() { # kind: the blocks of the page that are marked so
   awk -v kind="\`\`\`$1" '/^```/ { inside = !inside; mine = inside && $0 == kind; next } mine' "$ROOT/README.md"
}
block lua >script.lua
stlua script.lua && stlua info merged.safetensors | grep '^tensors'
block >commands.sh
grep -vE '^(stlua|make) ' commands.sh && echo "commands that nobody runs"
make() { grep -q "^$1:.*## " "$ROOT/Makefile" || echo "no target $1"; }
HOME=$PWD
mkdir -p .local/share/bash-completion/completions
set -e
. ./commands.sh >log
cat .local/share/bash-completion/completions/stlua | head -n 1
grep 'no target' log || ls
