# stlua convert: checkpoints, NumPy archives and GGUF as safetensors; what is said of them by stlua info.
cp -r "$FIXTURES/checkpoints/." .
stlua info lightning.ckpt; stlua info --tensors lightning.ckpt
stlua convert lightning.ckpt
stlua convert lightning.ckpt -o out.safetensors
stlua info out.safetensors; echo "exit $?"
stlua convert -q --key '' lightning.ckpt -o all.safetensors; stlua info all.safetensors | head -5
# What is left out is told, and what --key may be.
stlua convert numpy_beside.pt -o beside.safetensors; stlua info numpy_beside.pt
stlua convert model_ema.pt -o averaged.safetensors
stlua convert lightning.ckpt --key nosuch; echo "exit $?"
# Tied tensors are written once, unless they are to be kept.
stlua convert views.pt -o once.safetensors
stlua info --tensors once.safetensors; stlua info --metadata once.safetensors
stlua convert --keep-tied views_legacy.pt -o both.safetensors
# Nothing is run.
stlua info evil_system.pt
stlua convert evil_system.pt -o never.safetensors; echo "exit $?"
stlua cast evil_system.pt --dtype F16; echo "exit $?"
stlua convert --tensors-only evil_system.pt -o harmless.safetensors; echo "exit $?"
ls run-by-accident never.safetensors
# What cannot be had.
stlua convert unsupported.pt -o rest.safetensors; echo "exit $?"
stlua convert --skip unsupported.pt -o rest.safetensors; echo "exit $?"
stlua convert --tensors-only evil_0.pkl -o none.safetensors; echo "exit $?"
# GGUF, NumPy both ways, shards.
stlua info small.gguf
stlua convert small.gguf -o gguf.safetensors --dtype F16
stlua info --json unsupported.gguf | grep -o '"findings".*}\]'
stlua meta unsupported.gguf; stlua cat unsupported.gguf ok | wc -c; stlua cat unsupported.gguf other; echo "exit $?"
stlua convert plain.pt -o plain.npz
stlua convert -n plain.pt -o plain.npz; echo "exit $?"
stlua convert plain.pt -o other.npz --max-shard-size 1kB; echo "exit $?"
stlua convert plain.pt -o other.npz --no-recipe; echo "exit $?"
stlua convert plain.safetensors --key state_dict -o other.safetensors; echo "exit $?"
stlua convert plain.npz -o back.safetensors
stlua -e 'local a, b = st.open "plain.safetensors", st.open "back.safetensors"
   for name, t in pairs(a) do assert(t:identical(b[name]), name) end'; echo "exit $?"
stlua info compressed.npz; echo "exit $?"
stlua -e 'st.model({ { "s", st.from_string("x", { dtype = "F8_E8M0" }) }, { "w", st.ones(2) } }):save("odd.safetensors", { recipe = false })'
stlua convert odd.safetensors -o odd.npz; echo "exit $?"
stlua convert odd.safetensors -o odd.npz --skip; echo "exit $?"
stlua convert sharded -o shards
stlua info shards
stlua cat plain.pt bias --text
# Broken files.
head -c 1000 plain.pt >cut.pt; stlua info cut.pt; echo "exit $?"
{ cat plain.pt; echo more; } >long.pt; stlua info long.pt; echo "exit $?"
{ echo more; cat plain.pt; } >prefix.pt; stlua info prefix.pt; echo "exit $?"
head -c 900 plain_legacy.pt >cut.pt; stlua info cut.pt; echo "exit $?"
# Checksums are looked at.
stlua verify plain.pt arrays.npz small.gguf
printf 'x' | dd of=plain.pt bs=1 seek="$(grep -abo 'little' plain.pt | cut -d: -f1)" conv=notrunc 2>/dev/null
stlua verify plain.pt; echo "exit $?"
stlua info plain.pt; echo "exit $?"
stlua compress arrays.npz; echo "exit $?"
# A name that would lie.
stlua convert small.gguf -o small.ckpt; echo "exit $?"
ls small.ckpt
