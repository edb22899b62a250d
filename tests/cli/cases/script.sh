# Scripts: a file, standard input, #!, -e, arguments, errors that name the line.
stlua "$FIXTURES/../../examples/make_samples.lua" a.safetensors b.safetensors
cat >five.lua <<'END'
#!/usr/bin/env stlua
local st = require "stlua"
local a, b = st.open(arg[1]), st.open(arg[2])
local out = 0.5 * a + 0.5 * b
out:save("out.safetensors")
print(arg[0], #arg, ...)
END
chmod +x five.lua
stlua five.lua a.safetensors b.safetensors
./five.lua a.safetensors b.safetensors
stlua - a.safetensors b.safetensors <five.lua
stlua -e 'print(#st.open "a.safetensors")' -e 'print(_VERSION)'
echo 'return { answer = 42 }' >mine.lua
stlua -l stlua -e 'print(stlua.version)'
# What lies in the current folder is a script, not a module.
stlua -e 'print(pcall(require, "mine"))' | head -c 12; echo
# A script wins over a command of the same name; a bare word is the command.
echo 'print "my own merge"' >merge.lua
stlua merge.lua
stlua merge; echo "exit $?"
printf 'local st = require "stlua"\n\nst.open("a.safetensors"):get("nrom")\n' >wrong.lua
stlua wrong.lua; echo "exit $?"
printf 'local st = require "stlua"\nlocal x = st.ones(2, 2):inverse()\nprint((x + 1):sum():item())\n' >late.lua
stlua late.lua; echo "exit $?"
echo 'local x = nil + 1' >bug.lua
stlua bug.lua; echo "exit $?"
echo 'local x = = 1' >syntax.lua
stlua syntax.lua; echo "exit $?"
stlua --trace wrong.lua 2>&1 | grep -c 'wrong.lua:3: in main chunk'
printf '\033Lua' >bytecode.lua
stlua bytecode.lua; echo "exit $?"
