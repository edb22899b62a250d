-- stlua unpack: gives back what was packed, byte for byte.
--
--    stlua unpack model.packed.safetensors -o model.safetensors

local cli = require "stlua.cli"
local st = require "stlua"

local function options(parser)
   parser:argument("file", "The packed file; it stays.")
   parser:option("--base", "The file it was packed against, if it does not lie beside it."):argname("<file>")
   cli.copy_options(parser, "FILE without .packed")
end

local function run(args)
   local function unpack(path, opts)
      opts.base = args.base
      return st.unpack(path, opts)
   end
   cli.copy(unpack, args)
end

return cli.command({
   name = "unpack", summary = "Give back what was packed, byte for byte.", options = options, run = run,
}, ...)
