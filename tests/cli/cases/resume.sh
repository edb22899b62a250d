# --resume: after kill -9, and after a signal that asks, the same command goes on and gives the same bytes. Something
# slow, so that there is time to kill it: a mark is written a quarter of a second after the start.
unset STLUA_EAGER # what is saved is to be computed while it is written
cat >make.lua <<'E'
local st = require "stlua"
for i, name in ipairs { "a", "b", "c" } do
   local m = st.model {}
   for t = 1, 16 do m:add(("t%02d"):format(t), st.randn({ 400, 400 }, { seed = 20 * i + t })) end
   m:save(name .. ".safetensors", { sync = false })
end
E
stlua make.lua
merge="stlua --quiet merge a.safetensors b.safetensors --base c.safetensors --method rotate -j 1 --no-sync"
$merge -o want.safetensors
started() { # until there is a mark, at most half a minute
   for i in $(seq 1 3000); do [ -n "$(find . -name ".$1.*.stlua-journal" -size +0)" ] && return; sleep 0.01; done
   echo "no mark"
}
left() { ls -A | sed -n 's/[0-9a-f]\{16\}/KEY/p'; }
told() { sed 's/[0-9.]* [%KM]i*B* /N /g; s/, [0-9.]* MiB.*//' "$1"; }

$merge --resume -o killed.safetensors & pid=$!
started killed.safetensors
kill -9 $pid
{ wait $pid; } 2>/dev/null
echo "ended with $?"
left
stlua merge a.safetensors b.safetensors --base c.safetensors --method rotate -j 1 --no-sync --resume \
   -o killed.safetensors 2>told
told told
left
cmp killed.safetensors want.safetensors && echo same

# Two files in one pass, and a signal that asks.
two="stlua merge a.safetensors b.safetensors --base c.safetensors --method rotate --alpha 1,0.5 -j 1 --no-sync"
$two --resume -o 'asked-{alpha}.safetensors' 2>told & pid=$!
started asked-1.safetensors
kill -TERM $pid
wait $pid; echo "ended with $?"
told told
left
$two --resume -o 'asked-{alpha}.safetensors' 2>told
told told
left
$two -o 'want-{alpha}.safetensors' 2>/dev/null
for alpha in 1 0.5; do cmp asked-$alpha.safetensors want-$alpha.safetensors && echo same; done

# Another save to the target removes what it cannot use.
$merge --resume -o killed.safetensors & pid=$!
started killed.safetensors
kill -9 $pid
{ wait $pid; } 2>/dev/null
stlua --quiet merge a.safetensors b.safetensors --no-sync -o killed.safetensors
left

# A YAML merge's folder, with the files beside the weights.
cat >rotate.yml <<'Y'
merge_method: rotate
base_model: c.safetensors
models: [{ model: a.safetensors }, { model: b.safetensors }]
Y
yaml="stlua --quiet merge rotate.yml --num-threads 1 --no-sync"
$yaml -o want-folder
$yaml --resume -o folder & pid=$!
started folder
kill -9 $pid
{ wait $pid; } 2>/dev/null
echo "ended with $?"
stlua merge rotate.yml --num-threads 1 --no-sync --resume -o folder 2>told
told told
cmp folder/model.safetensors want-folder/model.safetensors && ls -A folder
