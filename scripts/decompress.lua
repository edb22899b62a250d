-- stlua decompress: restores the file that was compressed, byte for byte.
--
--    stlua decompress model.safetensors.zst
--    stlua decompress model.safetensors.zst -o model.safetensors

local cli = require "stlua.cli"
local compressed = require "stlua.compressed"

local function options(parser)
   parser:argument("file", "File to restore; it stays.")
   cli.copy_options(parser, "FILE without .zst")
end

return cli.command({
   name = "decompress", summary = "Restore a compressed file, byte for byte.", options = options,
   run = function(args) cli.copy(compressed.decompress, args) end,
}, ...)
