# stlua info: a table for people, one JSON object for programs.
stlua "$FIXTURES/../../examples/make_samples.lua" a.safetensors
stlua info a.safetensors
stlua info --json a.safetensors | head -c 420; echo
stlua info --json a.safetensors | tail -c 150
stlua -e 'local j = st.json.decode(io.popen("stlua info --json a.safetensors"):read "a")
   for k, v in pairs { path = "string", format = "string", header_bytes = "number", file_bytes = "number",
      metadata = "table", tensors = "table" } do assert(type(j[k]) == v, k); j[k] = nil end
   assert(next(j) == nil); print "exactly these keys"'
stlua info nothing.safetensors; echo "exit $?"
