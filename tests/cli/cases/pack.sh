# stlua pack and unpack: smaller, and back byte for byte; fine-tunes as differences to a base.
stlua "$FIXTURES/../../examples/make_samples.lua" base.safetensors
cat >tune.lua <<'END'
local st = require "stlua"
st.map(st.open("base.safetensors"), function(name, t)
   return name:find("q_proj") and (t + st.randn(t:shape(), { seed = 1, name = name }) * 1e-4):cast(t:dtype()) or t
end):save("tuned.safetensors", { recipe = false })
END
stlua tune.lua
# How small it becomes is the library's affair.
stlua() { command stlua "$@" 2>err; status=$?; sizes <err >&2; return $status; }
sizes() { sed 's/: [0-9.]* KiB, [0-9.]* % of/: N, N % of/; s/from [0-9.]* KiB, [0-9]* %/from N, N %/; s/[0-9.]* KiB on the disk, [0-9.]* %/N on the disk/; s/6116\|1116/N/g'; }
stlua pack base.safetensors && stlua unpack base.packed.safetensors -o back && cmp back base.safetensors && echo same
stlua pack base.safetensors; echo "exit $?"
echo >file; stlua pack tuned.safetensors base.safetensors --base base.safetensors -o file; echo "exit $?"; rm file
stlua pack tuned.safetensors base.safetensors --base base.safetensors -o packed
stlua info packed/tuned.packed.safetensors | head -n 4 | sizes | sed 's/SHA-256 [0-9a-f]*/SHA-256 H/'
stlua -e 'local function noise(seed) return st.randn({ 8192 }, { seed = seed, name = "q" }) end
   st.model { { "q", noise(1):cast "BF16" } }:save("one.safetensors")
   st.model { { "q", (noise(1) + noise(2) * 1e-4):cast "BF16" } }:save("other.safetensors")'
stlua pack other.safetensors --base one.safetensors -o packed && rm one.safetensors other.safetensors packed/other*
stlua unpack packed/tuned.packed.safetensors -o back; echo "exit $?"
stlua unpack packed/tuned.packed.safetensors -o back --base base.safetensors && cmp back tuned.safetensors && echo same
stlua cast packed/tuned.packed.safetensors --dtype F16 -o a --pack-base base.safetensors && stlua cast tuned.safetensors --dtype F16 -o b -q && cmp a b && echo same
stlua unpack packed/tuned.packed.safetensors --base packed/base.packed.safetensors -o wrong; echo "exit $?"
stlua unpack packed/tuned.packed.safetensors --base tuned.safetensors -o wrong; echo "exit $?"
stlua pack base.safetensors base.packed.safetensors -o .; echo "exit $?"
stlua pack base.safetensors --base packed/tuned.packed.safetensors -o twice; echo "exit $?"
stlua hash --no-cache packed/base.packed.safetensors | grep -o '^  [a-z_0-9]*'
cp base.safetensors packed && stlua verify packed --quick; echo "exit $?"; rm packed/base.safetensors
cp packed/tuned.packed.safetensors wrong.packed.safetensors && mkdir other && mv wrong.packed.safetensors other && cp tuned.safetensors other/base.safetensors
stlua verify other/wrong.packed.safetensors; echo "exit $?"; rm -r other
stlua pack nothing.safetensors tuned.safetensors -o packed; echo "exit $?"
head -c 5000 packed/base.packed.safetensors >cut.safetensors; stlua info cut.safetensors; echo "exit $?"
ls . packed
