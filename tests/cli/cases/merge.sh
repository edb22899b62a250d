# stlua merge: formulas, weights, derived names, replacing.
stlua "$FIXTURES/../../examples/make_samples.lua" a.safetensors b.safetensors c.safetensors
sum() { stlua cat "$1" model.layers.0.norm.weight --text | head -c 40; echo; }
stlua merge.lua a.safetensors b.safetensors -o merged.safetensors
stlua merge a.safetensors b.safetensors c.safetensors -o three.safetensors
stlua merge a.safetensors b.safetensors --alpha 0.25 -o t.safetensors
stlua merge a.safetensors b.safetensors c.safetensors --weights 2,1,1 -o w.safetensors
stlua merge a.safetensors:0.75 b.safetensors:0.25 -o s.safetensors
stlua merge a.safetensors:1.5 b.safetensors:-0.5 -o n.safetensors
stlua merge a.safetensors b.safetensors --weights 1,1 --no-normalize --dtype f32 -o u.safetensors
for f in merged three t w s n u; do sum $f.safetensors; done
# Without -o the name is printed and nothing is ever replaced.
stlua merge a.safetensors b.safetensors
stlua merge a.safetensors b.safetensors; echo "exit $?"
stlua merge a.safetensors b.safetensors -o merged.safetensors -n; echo "exit $?"
stlua -q merge a.safetensors b.safetensors -o merged.safetensors
stlua merge a.safetensors b.safetensors -o merged.safetensors --quiet
# Over one of its inputs.
stlua merge a.safetensors b.safetensors -o a.safetensors
cmp a.safetensors merged.safetensors && echo "the same, over an input"
ls
