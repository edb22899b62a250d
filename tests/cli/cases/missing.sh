# Tensors that do not fit are all listed before any work; --missing says what else to do.
cat >make.lua <<'END'
local st = require "stlua"
local function f32(shape, n) return st.from_bytes("F32", shape, ("\0\0\128\63"):rep(n)) end
st.model { { "both", f32({ 2 }, 2) }, { "only.a", f32({ 2, 3 }, 6) }, { "odd", f32({ 2 }, 2) } }:save "a.safetensors"
st.model { { "both", f32({ 2 }, 2) }, { "only.b", f32({}, 1) }, { "odd", f32({ 1, 2 }, 2) } }:save "b.safetensors"
st.model { { "both", f32({ 2 }, 2) }, { "only.c", f32({}, 1) }, { "odd", f32({ 2 }, 2):cast "F16" } }:save "c.safetensors"
END
stlua make.lua
stlua merge a.safetensors b.safetensors -o m.safetensors; echo "exit $?"
stlua merge a.safetensors b.safetensors --missing skip -o m.safetensors; echo "exit $?"
stlua merge a.safetensors c.safetensors --missing skip -o skip.safetensors && stlua info skip.safetensors --tensors | tail -n 3
stlua merge a.safetensors c.safetensors --missing first -o first.safetensors && stlua info first.safetensors --tensors | tail -n 5
mkdir d && cp a.safetensors d
stlua merge a.safetensors d/a.safetensors -o same.safetensors
ls
