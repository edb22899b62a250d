-- stlua compress: writes a file compressed with zstd; what reads safetensors here reads it as it is.
--
--    stlua compress model.safetensors
--    stlua compress model.safetensors -o small.safetensors.zst

local cli = require "stlua.cli"
local compressed = require "stlua.compressed"

local function options(parser)
   parser:argument("file", "File to compress; it stays.")
   cli.copy_options(parser, "FILE.zst")
end

return cli.command({
   name = "compress", summary = "Compress a file with zstd, to be read as it is.", options = options,
   run = function(args) cli.copy(compressed.compress, args) end,
}, ...)
