# The course: every command of examples/README.md, what it prints, and what came of it.
E="$FIXTURES/../../examples"
cp "$E"/*.lua .
awk '/^```/ { inside = !inside; mine = inside && $0 == "```"; next } mine' "$E/README.md" >commands.sh
while read -r line; do
   echo "\$ $line"
   sh -c "$line" </dev/null || echo "exit $?"
done <commands.sh
# Nothing of the course is left out.
for f in [0-9]*.lua; do grep -q "^stlua $f " commands.sh || echo "$f is not run"; done
for f in [0-9]*.lua; do grep -q "]($f)" "$E/README.md" || echo "$f is not listed"; done
stlua -q merge a.safetensors b.safetensors --alpha 0.5 --no-recipe -o merge.safetensors
stlua 05_metadata.lua average.safetensors average.safetensors stlua.recipe
cmp average.safetensors merge.safetensors && echo "average: as stlua merge"
stlua info renamed.safetensors --tensors | tail -n 2
stlua info dropped.safetensors --tensors | tail -n 2
stlua info titled.safetensors --metadata
