# compress, decompress, verify, and saves to .zst.
stlua "$FIXTURES/../../examples/make_samples.lua" a.safetensors b.safetensors
sizes() { sed 's/[0-9.]* [KM]iB compressed, [0-9]* %/N compressed/; s/[0-9.]* [KM]iB on the disk, [0-9.]* %/N on the disk/; s/: [0-9.]* KiB from \([0-9.]* KiB\), [0-9]* %/: N from \1/'; }
told() { "$@" 2>told; status=$?; sizes <told; return $status; }
told stlua compress a.safetensors; echo "exit $?"
told stlua compress a.safetensors; echo "exit $?"
told stlua compress a.safetensors -o a.safetensors.zst; echo "exit $?"
told stlua compress a.safetensors -n -o a.safetensors.zst; echo "exit $?"
told stlua compress a.safetensors -o small.safetensors; echo "exit $?"
told stlua compress a.safetensors.zst; echo "exit $?"
told stlua compress nothing.safetensors; echo "exit $?"
stlua --quiet decompress a.safetensors.zst -o back.safetensors && cmp a.safetensors back.safetensors && echo same
told stlua decompress a.safetensors; echo "exit $?"
told stlua decompress a.safetensors -o c.safetensors; echo "exit $?"
told stlua decompress a.safetensors.zst -o a.safetensors.zst; echo "exit $?"
ls
stlua info a.safetensors.zst | sizes | head -n 8
stlua info --json a.safetensors.zst | grep -o '"compression.*"file_bytes"' | sed 's/_bytes":[0-9]*/_bytes":N/'

# A merge straight to .zst has the content of a plain one.
told stlua merge a.safetensors.zst b.safetensors -o m.safetensors.zst
stlua --quiet merge a.safetensors.zst b.safetensors -o m.safetensors
stlua --quiet decompress m.safetensors.zst -o m2.safetensors && cmp m.safetensors m2.safetensors && echo same
if command -v zstd >/dev/null; then zstd -q -t m.safetensors.zst && zstd -q -dc m.safetensors.zst | cmp - m.safetensors; fi
told stlua merge a.safetensors b.safetensors --compress zstd --max-shard-size 100KB -o shards
ls shards
stlua verify shards
stlua cat shards lm_head.weight >1 && stlua cat m.safetensors.zst lm_head.weight >2 && cmp 1 2 && echo same
stlua --quiet cast a.safetensors --dtype F16 --compress zstd
stlua cast a.safetensors --dtype F16 --compress lz4 -o x.safetensors.zst; echo "exit $?"
stlua cast a.safetensors --dtype F16 --compress zstd -o x.safetensors; echo "exit $?"
stlua cast a.safetensors --dtype F16 --compress none -o x.safetensors.zst; echo "exit $?"
stlua cast a.safetensors --dtype F16 --resume -o x.safetensors.zst; echo "exit $?"

# Damage in one place, then in two. Where frames lie, and how damage shows, is the library's affair.
flip() { stlua -e 'local f = io.open("a.safetensors.zst", "r+b") f:seek("set", '$1') local c = f:read(1)
   f:seek("set", '$1') f:write(string.char(c:byte() ~ 1)) f:close()'; }
found() { "$@" >found 2>&1; status=$?
   sed 's/at byte [0-9]*/at byte N/g; s/one: its [a-z ]*/one: WHY/g; s/"stored":[0-9]*/"stored":N/' found; return $status; }
flip 100000
found stlua verify a.safetensors.zst; echo "exit $?"
stlua info a.safetensors.zst | tail -n 1
flip 100
found stlua verify a.safetensors.zst; echo "exit $?"
found stlua info a.safetensors.zst; echo "exit $?"
found stlua verify a.safetensors a.safetensors.zst nothing.safetensors; echo "exit $?"
found stlua verify --json a.safetensors.zst nothing.safetensors; echo "exit $?"
found stlua --quiet decompress a.safetensors.zst -o restored.safetensors; echo "exit $?"
head -c 1000 b.safetensors >cut.safetensors
stlua verify cut.safetensors; echo "exit $?"

# Values that are no numbers are told, and are no damage.
stlua -e 'st.model { { "x", st.tensor { 1.0, 0 / 0, 1 / 0 } }, { "y", st.ones(3) } }:save("nan.safetensors")'
stlua verify nan.safetensors; echo "exit $?"
stlua verify --quick nan.safetensors; echo "exit $?"
