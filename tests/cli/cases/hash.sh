# stlua hash: every hash by name, one alone, JSON, the cache and a way around it.
export XDG_CACHE_HOME="$PWD/cache"
cat >make.lua <<'END'
local st = require "stlua"
st.model({ { "a", st.from_bytes("U8", { 5 }, "hello") }, { "b", st.tensor { 1, 2 } } }, { ss_steps = "10", note = "x" })
   :save "m.safetensors"
END
stlua make.lua
printf 'not a model' >text.ckpt
touch -d '2020-01-01' m.safetensors
stlua hash m.safetensors text.ckpt
test "$(stlua hash --only sha256 text.ckpt m.safetensors)" = "$(sha256sum text.ckpt m.safetensors)" && echo same
stlua hash m.safetensors --json
stlua hash m.safetensors --json --only autov2
echo "== cached: what a process that cannot read the file would say"
cut -f 2- cache/stlua/hashes | sort | head -3
sed -i 's/\t[0-9a-f]*$/\t00000000/' cache/stlua/hashes
stlua hash m.safetensors --only sshs_legacy_hash
stlua hash m.safetensors --only sshs_legacy_hash --no-cache
printf 'garbage\n1\t2\n' >>cache/stlua/hashes
stlua hash m.safetensors --only autov2
printf 'x' >>m.safetensors
stlua hash m.safetensors --only autov3
echo "== wrong"
stlua hash nothing; echo "exit $?"
stlua hash; echo "exit $?"
HOME= XDG_CACHE_HOME=relative stlua hash text.ckpt --only autov1
XDG_CACHE_HOME=/proc/none stlua hash text.ckpt --only autov1
