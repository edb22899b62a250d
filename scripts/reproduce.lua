-- stlua reproduce: makes a merged file again from the recipe in its metadata, and says whether the bytes are equal.
--
--    stlua reproduce merged.safetensors --models-dir models

local cli = require "stlua.cli"

local function options(parser)
   parser:argument("file", "The merged model: a file, an index or a folder.")
   parser:option("--models-dir", "Look for the inputs here, too, and in the folders below."):argname("<folder>")
      :count("*")
   parser:option("-o --output", "Keep the new file here."):argname("<out>")
end

return cli.command({
   name = "reproduce", summary = "Run the recipe of a merged model again and compare.", options = options,
   run = function(args) cli.merging().reproduce(args.file, args.models_dir, args.output) end,
}, ...)
