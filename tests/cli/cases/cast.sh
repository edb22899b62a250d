# stlua cast: floating tensors only, chosen by name; integers never.
stlua "$FIXTURES/../../examples/make_samples.lua" in.safetensors
types() { stlua info "$1" | grep -E '^tensors'; }
stlua cast in.safetensors --dtype F16 -o f16.safetensors && types f16.safetensors
stlua cast in.safetensors --dtype f32 --only norm --only '*q_proj*' --except '*.0.*' -o some.safetensors && types some.safetensors
stlua cast in.safetensors --dtype F8_E4M3 --saturate && types in-F8_E4M3.safetensors
stlua cast in.safetensors --dtype F16 --only nrom -o x; echo "exit $?"
stlua cast in.safetensors --dtype F17 -o x; echo "exit $?"
stlua cast in.safetensors --dtype F16 --max-shard-size 100kB && ls in-F16
ls
echo "--- scaled fp8 and back"
stlua cast in.safetensors --dtype F8_E4M3 --scaled && types in-F8_E4M3-scaled.safetensors
stlua cast in-F8_E4M3-scaled.safetensors --dequantize -o back.safetensors && types back.safetensors
stlua cast in.safetensors --dtype F16 --scaled; echo "exit $?"
