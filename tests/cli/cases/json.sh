# --progress json: notes, progress, results and errors are JSON lines on standard error.
stlua "$FIXTURES/../../examples/make_samples.lua" a.safetensors b.safetensors
stlua merge a.safetensors b.safetensors -o m.safetensors --progress json 2>log; echo "exit $?"
sed -E 's/"seconds":[0-9.e-]+/"seconds":0/; /"event":"progress"/d' log
grep -c '"event":"progress"' log >/dev/null && echo progress was reported
stlua merge a.safetensors none.safetensors -o m.safetensors --progress json; echo "exit $?"
