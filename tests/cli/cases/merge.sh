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
echo "--- nothing is ignored"
stlua merge a.safetensors b.safetensors --density 0.5 --lambda 3 --merge-vae -o z.safetensors; echo "exit $?"
stlua merge a.safetensors b.safetensors --weights 1e308,1e308 -o z.safetensors; echo "exit $?"
mkdir folder && cp b.safetensors folder/model.safetensors
stlua merge a.safetensors folder folder/model.safetensors -o z.safetensors; echo "exit $?"
stlua merge a.safetensors b.safetensors --base a.safetensors --method add_difference -o z.safetensors; echo "exit $?"
echo "--- a dry run sees what is wrong with the target"
stlua merge a.safetensors b.safetensors --dry-run -o nodir/z.safetensors 2>&1 | tail -n 1
stlua merge a.safetensors b.safetensors --dry-run -o folder 2>&1 | tail -n 1
stlua merge a.safetensors b.safetensors --dry-run -o a.safetensors/z.safetensors 2>&1 | tail -n 1
stlua merge a.safetensors b.safetensors --dry-run -o a.safetensors --max-shard-size 1MB 2>&1 | tail -n 1
stlua merge a.safetensors b.safetensors --dry-run -o z.safetensors --align 3 2>&1 | tail -n 1
stlua merge a.safetensors absent.safetensors --method weighted_sum --alpha x2 --dry-run -o z.safetensors; echo "exit $?"
stlua merge a.safetensors absent.safetensors --base c.safetensors --method ties --weight 1 --density 2 --dry-run -o z.safetensors
[ -e z.safetensors ] || echo "nothing was written"
