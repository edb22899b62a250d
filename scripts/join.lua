-- stlua join: shards into one file.
--
--    stlua join folder -o model.safetensors
--    stlua join model-0000*.safetensors -o model.safetensors

local cli = require "stlua.cli"
local st = require "stlua"

local function options(parser)
   parser:argument("model", "A folder of shards, an index, or the files themselves (whose names must differ).")
      :args("+")
   parser:flag("--partial", "Join what is there, though the names of the files tell of more shards.")
   cli.output_options(parser)
end

-- "model" of "model-00001-of-00004.safetensors" and of a folder.
local function stem_of(path)
   local stem = cli.stem(path)
   return stem:match("^(.-)%-%d+%-of%-%d+$") or stem
end

local function run(args)
   cli.check_saturate("join", args)
   local list = {}
   for i, path in ipairs(args.model) do list[i] = st.open(path) end
   if not args.partial then require("stlua.shards").check_whole(list) end
   local model = require("stlua.shards").joined(list)
   local files = #list > 1 and #list or #model:files()
   local target = cli.target(args, stem_of(args.model[1]) .. "-joined")
   cli.keep_inputs("join", list, { target })
   cli.note(("%s, %s"):format(cli.plural(files, "file"), cli.plural(model:count(), "tensor")))
   cli.save({ { model, target } }, args)
end

return cli.command({
   name = "join", summary = "Join shards into one file.", options = options, run = run,
}, ...)
