# The script and the commands that the README shows do what it says.
README="$FIXTURES/../../README.md"
stlua "$FIXTURES/../../examples/make_samples.lua" a.safetensors b.safetensors c.safetensors model.safetensors >/dev/null
sed -n '/^```lua/,/^```$/p' "$README" | grep -v '^```' >script.lua
stlua script.lua && stlua info merged.safetensors | grep '^tensors'
grep -E '^stlua (merge|cast|info|cat)' "$README" >commands.sh
sh -e commands.sh >/dev/null && ls
