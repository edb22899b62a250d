# stlua cat: raw bytes, NumPy, text.
cat >make.lua <<'END'
local st = require "stlua"
local f32 = st.from_bytes("F32", { 2, 3 }, string.pack("<ffffff", 1, 0.1, -2.5, 3, 0 / 0, 1 / 0))
st.model { { "m.x", f32 }, { "m.h", f32:cast "BF16" }, { "m.i", st.from_bytes("I64", { 2 }, string.pack("<i8i8", -1, 2)) },
   { "m.s", st.from_bytes("F64", {}, string.pack("<d", 0.1)) }, { "m.e", st.from_bytes("F8_E8M0", { 1 }, "\1") } }
   :save "m.safetensors"
END
stlua make.lua
for t in m.x m.h m.i m.s; do stlua cat m.safetensors $t --text; done
stlua cat m.safetensors m.x | od -An -tx1
stlua cat m.safetensors m.h --npy | od -An -c | head -n 8
stlua cat m.safetensors m.h --npy | tail -c 24 | od -An -tx1
stlua cat m.safetensors m.e | od -An -tx1
stlua cat m.safetensors m.e --npy; echo "exit $?"
stlua cat m.safetensors m.y; echo "exit $?"
stlua cat m.safetensors m.x >/dev/full; echo "exit $?"
