-- stlua for luarocks: the Makefile builds and installs, the C libraries are the system's.
rockspec_format = "3.0"
package = "stlua"
version = "0.1.0-1"
source = { url = "git+file://." }
description = {
   summary = "Read, merge, cast and write safetensors models from Lua",
   detailed = "A tensor toolkit: a C core streams model files, Lua describes what becomes of them.",
   license = "MIT",
}
dependencies = { "lua >= 5.4, < 5.5", "argparse" }
external_dependencies = {
   CJSON = { header = "cjson/cJSON.h" },
   ZSTD = { header = "zstd.h" },
   OPENBLAS = { header = "cblas.h" },
   SLEEF = { header = "sleef.h" },
   CRYPTO = { header = "openssl/evp.h" },
   XXHASH = { header = "xxhash.h" },
   LIBEDIT = { header = "histedit.h" },
}
build = {
   type = "make",
   build_variables = { CC = "$(CC)", LUA = "$(LUA)", PREFIX = "$(PREFIX)" },
   install_variables = { PREFIX = "$(PREFIX)", BINDIR = "$(BINDIR)", LUADIR = "$(LUADIR)", LUALIBDIR = "$(LIBDIR)" },
}
