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

-- Each that is asked for, one after the other; statistics tell of tensors all that their list does.
local function list(args, pattern)
   local listing = require "stlua.info.listing"
   local model, missing = info.look(args.model, {})
   if missing then cli.note("warning: " .. require("stlua.info.incomplete").told(missing)) end
   if args.metadata then listing.metadata(model) end
   if not (args.stats or args.tensors) then return end
   if args.metadata then cli.write("\n") end
   return (args.stats and listing.stats or listing.tensors)(model, pattern)
end

local function write_json(args, pattern)
   local report, model = info.info(args.model, { stats = args.stats })
   if model then
      local wanted = { tensors = args.tensors ~= nil, pattern = pattern, stats = args.stats }
      return require("stlua.info.listing").json(report, model, wanted)
   end
   if args.tensors or args.stats then
      cli.usage("info: %s holds several models: --tensors and --stats tell of one: name it", cli.escape(args.model))
   end
   cli.write(core.json_report(report), "\n")
end

local function run(args)
   -- `--tensors FILE`: what follows is the pattern only where a model follows, too.
   local pattern = args.tensors and args.tensors[1]
   if not args.model and pattern then args.model, pattern = pattern, nil end
   if not args.model then cli.usage("info: missing argument 'model' (stlua help info)") end
   if args.html and (args.json or args.tensors or args.metadata) then
      cli.usage("info: --html writes all into the page: of the others only --stats goes with it")
   end
   if args.html then return require("stlua.info.info_page").write(args.html, args.model, args.stats) end
   if args.json then return write_json(args, pattern) end
   if args.metadata or args.stats or args.tensors then return list(args, pattern) end
   cli.write(tostring((info.info(args.model))), "\n")
end

return cli.command({
   name = "info", summary = "Tell what a model is, where it goes, and what is in it.", options = options, run = run,
   only = "model",
}, ...)
