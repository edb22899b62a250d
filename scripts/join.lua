-- stlua join: shards into one file.
--
--    stlua join folder -o model.safetensors
--    stlua join model-0000*.safetensors -o model.safetensors

local cli = require "stlua.cli"
local errors = require "stlua.errors"
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

-- A model to join; of an index that lacks shards those that are there, if that is wanted.
local function parts(path, partial)
   local ok, model = pcall(st.open, path)
   if ok then return { model } end
   if not errors.is(model) or model.code ~= "io" then error(model, 0) end
   local incomplete = require "stlua.info.incomplete"
   local there, missing = incomplete.open(path, {}, {})
   if not there then error(model, 0) end
   if not partial then errors.throw("io", incomplete.named(missing) .. ": --partial joins what is there") end
   return missing.models
end

local function run(args)
   cli.check_saturate("join", args)
   local list, files = {}, 0
   for _, path in ipairs(args.model) do
      for _, model in ipairs(parts(path, args.partial)) do
         list[#list + 1] = model
         files = files + #model:files()
      end
   end
   if not args.partial then require("stlua.shards").check_whole(list) end
   local model = require("stlua.shards").joined(list)
   local target = cli.target(args, stem_of(args.model[1]) .. "-joined")
   cli.keep_inputs("join", list, { target })
   cli.note(("%s, %s"):format(cli.plural(files, "file"), cli.plural(model:count(), "tensor")))
   cli.save({ { model, target } }, args)
end

return cli.command({
   name = "join", summary = "Join shards into one file.", options = options, run = run,
}, ...)
