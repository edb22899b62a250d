--- What `make` runs: stlua src/cli/compile.lua OUT FOLDER NAMED FILE... compiles FOLDER/FILE..., as they will be
-- called below the folder NAMED, and argparse where it lies, into OUT. The format is told in cli_compiled.c.

local compiled = require "stlua.compiled"

local out, folder, named = ...
local directory, texts = {}, {}

local function add(path, name)
   local input <close> = assert(io.open(path, "rb"))
   local source, chunk = input:read "a", "@" .. name
   local code = string.dump(assert(load(source, chunk, "t")))
   directory[#directory + 1] = string.pack("=s4s4", chunk, string.pack("=I4I4", #source, #code))
   texts[#texts + 1] = source .. code
end

for i = 4, select("#", ...) do
   local file = select(i, ...)
   add(folder .. "/" .. file, named .. "/" .. file)
end
local argparse = assert(package.searchpath("argparse", package.path))
add(argparse, argparse)

local output = assert(io.open(out, "wb"))
assert(output:write(string.pack("=s4s4s4", compiled.made_by, table.concat(directory), table.concat(texts))))
assert(output:close())
