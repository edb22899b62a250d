# stlua diff: what differs, by tensor and block; statuses as cmp's; hostile names.
cat >make.lua <<'LUA'
local st = require "stlua"
local function make(path, more, meta)
   local list = {}
   for i = 0, 2 do
      for _, kind in ipairs { "attn.q_proj", "mlp.up_proj" } do
         local x = st.arange(1, 8, 1, { dtype = "F32" })
         if more and i == 1 then x = x * (kind:find "mlp" and 1.5 or 1.01) end
         list[#list + 1] = { ("model.layers.%d.%s.weight"):format(i, kind), x:cast "F16" }
      end
   end
   list[#list + 1] = { "model.norm.weight", (more and st.ones(3) or st.ones(4)) }
   list[#list + 1] = { more and "lm_head.weight" or "head.weight", st.ones(2) }
   list[#list + 1] = { "ids", st.arange(0, 3):cast(more and "I32" or "I64") }
   list[#list + 1] = { "evil\27[31m\u{202e}</script>", more and st.zeros(1) or st.ones(1) }
   st.model(list, meta):save(path)
end
make("a.safetensors", false, { format = "pt", title = "first" })
make("b.safetensors", true, { format = "pt", title = "second\27[2J", author = "me" })
LUA
stlua make.lua
stlua diff a.safetensors b.safetensors; echo "exit $?"
echo "--- the same"
stlua diff a.safetensors a.safetensors; echo "exit $?"
stlua diff a.safetensors b.safetensors --only '*.layers.0.*' --only '*.layers.2.*'; echo "exit $?"
stlua diff a.safetensors b.safetensors --only '*.layers.0.*' --ignore-metadata; echo "exit $?"
echo "--- trouble"
stlua diff a.safetensors none.safetensors; echo "exit $?"
stlua diff a.safetensors b.safetensors --only lyaers; echo "exit $?"
stlua diff a.safetensors; echo "exit $?"
echo "--- json"
stlua diff a.safetensors b.safetensors --json --only '*.layers.1.*'; echo "exit $?"
echo "--- many"
stlua -e 'local a, b = {}, {}
   for i = 1, 30 do a[i], b[i] = { "t." .. i, st.ones(2) }, { "t." .. i, st.full({ 2 }, 1 + i / 100) } end
   st.model(a):save("m.safetensors") st.model(b):save("n.safetensors")'
stlua diff m.safetensors n.safetensors
stlua diff m.safetensors n.safetensors --all | wc -l
echo "--- report"
stlua diff a.safetensors b.safetensors --html report.html >/dev/null; echo "exit $?"
stlua diff a.safetensors b.safetensors --html b.safetensors; echo "exit $?"
stlua diff a.safetensors b.safetensors --html report.html >/dev/null; echo "exit $?"
grep -o '<h2[^>]*>[^<]*' report.html | sed 's/.*>//'
ls
