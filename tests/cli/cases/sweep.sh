# A sweep reads the inputs once, and each file is what a single merge gives (the recipe aside, which is the same too).
stlua "$FIXTURES/../../examples/make_samples.lua" a.safetensors b.safetensors
stlua merge a.safetensors b.safetensors --alpha 0.2,0.4,0.6 -o 'm-{alpha}.safetensors'
for t in 0.2 0.4 0.6; do
   stlua -q merge a.safetensors b.safetensors --alpha $t -o single.safetensors
   cmp single.safetensors m-$t.safetensors && echo "$t: equal"
done
stlua merge a.safetensors b.safetensors --alpha 0.1,0.9
stlua merge a.safetensors b.safetensors --alpha 0.2,0.4 -o m.safetensors; echo "exit $?"
stlua merge a.safetensors b.safetensors --alpha 0.2,0.2 -o 'm-{alpha}'; echo "exit $?"
stlua merge a.safetensors b.safetensors a.safetensors --alpha 0.2 -o x; echo "exit $?"
ls
