-- .luacheckrc - what luacheck holds Lua sources to.
std = "lua54"
max_line_length = 120
include_files = { "lua/**/*.lua", "scripts/*.lua", "examples/*.lua", "src/cli/*.lua", "tests/**/*.lua" }
files["tests/lua"] = { globals = { "arg" } }
