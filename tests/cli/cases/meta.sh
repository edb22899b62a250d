# stlua meta: metadata shown, set, removed; private things out; a picture in and out; in place; what modelspec allows.
cat >make.lua <<'END'
local st = require "stlua"
st.model({ { "b", st.from_bytes("U8", { 5 }, "hello") }, { "a", st.tensor { 1, 2 } } }, { ss_steps = "10", note = "x \27[31m",
   ss_sd_model_name = "/home/bob/models/base.safetensors", ss_dataset_dirs = '{"/home/bob/cats": {}}',
   sshs_legacy_hash = "12345678", ss_output_name = "cat" }):save "m.safetensors"
END
stlua make.lua
stlua hash --no-cache --only autov3 m.safetensors
stlua meta m.safetensors
stlua meta m.safetensors --json
stlua meta m.safetensors --get note | od -c | head -1
echo "== edited: the data stay"
stlua meta m.safetensors --set note=y --set modelspec.title='A title' --set modelspec.architecture=stable-diffusion-xl-v1-bse
stlua meta m.safetensors --set modelspec.sai_model_spec=1.0.1 --set modelspec.implementation=x \
   --set modelspec.architecture=stable-diffusion-xl-v1-base/lora --set modelspec.resolution=1024x1024
stlua meta m.safetensors --unset 'modelspec.*' --unset note
stlua meta m.safetensors --strip-private -o stripped.safetensors && stlua meta stripped.safetensors
stlua hash --no-cache --only autov3 m.safetensors stripped.safetensors
stlua meta m.safetensors --set-file note=.; echo "exit $?"
cp m.safetensors aligned.safetensors && stlua meta aligned.safetensors --align 4096 && stlua info --json aligned.safetensors | grep -o '"header_bytes":[0-9]*'
echo "== a picture"
printf '\211PNG\r\n\032\n0123456789' >in.png
stlua meta m.safetensors --thumbnail in.png && stlua meta m.safetensors --get modelspec.thumbnail
stlua meta m.safetensors --thumbnail-out out.png && cmp in.png out.png && echo same
stlua meta stripped.safetensors --thumbnail-out none.png; echo "exit $?"
stlua meta m.safetensors --thumbnail-out ./m.safetensors; echo "exit $?"
stlua meta m.safetensors --thumbnail-out nowhere/out.png; echo "exit $?"
stlua meta m.safetensors --thumbnail make.lua; echo "exit $?"
before=$(cksum <m.safetensors)
stlua meta m.safetensors --set lost=1 --thumbnail-out nowhere/out.png; echo "exit $?"
test "$(cksum <m.safetensors)" = "$before" && echo untouched
stlua meta m.safetensors --unset modelspec.thumbnail --thumbnail-out taken.png -o without.safetensors --get ss_steps &&
   cmp in.png taken.png && echo same
echo "== in place"
stlua meta m.safetensors --set big="$(head -c 300 /dev/zero | tr '\0' x)" -o wide.safetensors --align 4096
stlua meta wide.safetensors --unset big --set small=1 --in-place && stlua meta wide.safetensors --get small
stlua meta wide.safetensors --set big="$(head -c 9000 /dev/zero | tr '\0' x)" --in-place 2>&1 | sed 's/needs [0-9]*/needs N/'
ln wide.safetensors second.safetensors && stlua meta wide.safetensors --set small=2 --in-place; echo "exit $?"
stlua meta second.safetensors --get small
printf 'x' >text && stlua meta m.safetensors --set-file text=text && stlua meta m.safetensors --get text
echo "== wrong"
stlua meta m.safetensors --set modelspec.titel=x; echo "exit $?"
stlua meta m.safetensors --set modelspec.prediction_type=w; echo "exit $?"
stlua meta m.safetensors --set modelspec.prediction_type=w --unchecked && stlua meta m.safetensors --unset nothing; echo "exit $?"
stlua meta m.safetensors --get ss_stepps; echo "exit $?"
stlua meta m.safetensors --set noequals; echo "exit $?"
stlua meta m.safetensors --set a=1 --in-place -o x; echo "exit $?"
stlua meta m.safetensors --set a=1 --in-place -n; echo "exit $?"
stlua meta m.safetensors --get note --json; echo "exit $?"
stlua meta --fields --set a=1; echo "exit $?"
stlua meta; echo "exit $?"
stlua meta nothing.safetensors; echo "exit $?"
echo '{"weight_map":{}}' >model.safetensors.index.json; stlua meta model.safetensors.index.json --set a=b; echo "exit $?"
echo "== an edit that was interrupted"
cp "$FIXTURES/interrupted_edit.safetensors" . && chmod +w interrupted_edit.safetensors
stlua info interrupted_edit.safetensors; echo "exit $?"
stlua meta interrupted_edit.safetensors
stlua meta interrupted_edit.safetensors --get note
stlua cat interrupted_edit.safetensors b
stlua meta --fields | head -5
stlua meta interrupted_edit.safetensors --set a=1 --unset a; echo "exit $?"
