# Every example, and what came of it.
E="$FIXTURES/../../examples"
stlua "$E/make_samples.lua" a.safetensors b.safetensors c.safetensors
stlua "$E/average.lua" a.safetensors b.safetensors average.safetensors
stlua -q merge a.safetensors b.safetensors --alpha 0.5 --no-recipe -o merge.safetensors
stlua "$E/metadata.lua" average.safetensors average.safetensors stlua.recipe
cmp average.safetensors merge.safetensors && echo "average: as stlua merge"
stlua "$E/surgery.lua" a.safetensors b.safetensors c.safetensors surgery.safetensors
stlua "$E/rename.lua" a.safetensors renamed.safetensors model.
stlua info renamed.safetensors | tail -n 2
stlua "$E/drop.lua" a.safetensors dropped.safetensors '*.layers.*' lm_head.weight
stlua info dropped.safetensors | tail -n 2
stlua "$E/metadata.lua" a.safetensors titled.safetensors title 'My model'
stlua info titled.safetensors | grep -A1 metadata
