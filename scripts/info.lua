-- stlua info: what a model is, without reading its values.

-- Of the library only that part is loaded which looks at headers: all of it takes as long as the rest of the work.

local cli = require "stlua.cli"
local core = require "stlua.core"
local info = require "stlua.info"

local function options(parser)
   parser:argument("model", "Model to look at: a file, a folder or an index."):args("?")
   parser:flag("--json", "Print one JSON object.")
   parser:option("--tensors", "List the tensors; with a pattern those whose names match."):args("?")
      :argname("<pattern>")
   parser:flag("--metadata", "Print the metadata, whole values.")
   parser:flag("--stats", "Read all values: least, greatest, mean, standard deviation, NaN and infinities of each "
      .. "tensor.")
   parser:option("--html", "Write a page to look at in a browser, with all in it; with --stats what the values are "
      .. "like, too."):argname("<file>")
end

local function run(args)
   -- `--tensors FILE`: what follows is the pattern only where a model follows, too.
   local pattern = args.tensors and args.tensors[1]
   if not args.model and pattern then args.model, pattern = pattern, nil end
   if not args.model then cli.usage("info: missing argument 'model' (stlua help info)") end
   if args.html then return require("stlua.info.info_page").write(args.html, args.model, args.stats) end
   local listed = args.metadata or args.stats or args.tensors or args.json
   local listing = listed and require "stlua.info.listing"
   if listed and not args.json then
      local model = require("stlua.open").open(args.model, { tensors_only = true, skip = true })
      if args.metadata then return listing.metadata(model) end
      return (args.stats and listing.stats or listing.tensors)(model, pattern)
   end
   local report, model = info.info(args.model, { stats = args.stats })
   if not args.json then
      cli.write(tostring(report), "\n")
   elseif not model then      -- a folder of several
      cli.write(core.json_encode(report), "\n")
   else
      listing.json(report, model, { tensors = args.tensors ~= nil, pattern = pattern, stats = args.stats })
   end
end

return cli.command({
   name = "info", summary = "Tell what a model is, where it goes, and what is in it.", options = options, run = run,
   only = "model",
}, ...)
