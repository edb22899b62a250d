-- stlua split: one file into shards with an index, or a checkpoint into its components.
--
--    stlua split model.safetensors -o folder --max-shard-size 5GB
--    stlua split model.safetensors -o folder --shards 4
--    stlua split checkpoint.safetensors --components -o 'parts-{component}.safetensors'

local cli = require "stlua.cli"
local st = require "stlua"

local function options(parser)
   parser:argument("model", "The model: a file, a folder or an index.")
   parser:option("--shards", "How many shards to make, of about the same size."):argname("<n>"):convert(cli.count)
   parser:flag("--components", "Write the U-Net, the VAE and each text encoder of a checkpoint as a file of its own.")
   parser:flag("--whole-names", "With --components: names as they are in the checkpoint.")
   cli.output_options(parser)
end

local DEFAULT = 5000000000      -- bytes of a shard, as huggingface_hub has it

local function into_shards(model, args)
   if args.whole_names then cli.usage("split: --whole-names goes with --components") end
   if args.shards and args.max_shard_size then cli.usage("split: give --shards or --max-shard-size, not both") end
   local shards = require "stlua.shards"
   args.max_shard_size = args.max_shard_size or DEFAULT
   if args.shards then
      local count
      args.max_shard_size, count = shards.size_for(model, args.shards, args.dtype)
      if count ~= args.shards then
         cli.note(("%s, not %d: tensors stay whole"):format(cli.plural(count, "shard"), args.shards))
      end
   end
   local target = cli.target(args, cli.stem(args.model) .. "-shards")
   cli.save({ { model, target } }, args)
   cli.note(shards.table(st.open(target)))
end

local function into_components(model, args)
   if args.shards or args.max_shard_size then cli.usage("split: --components makes no shards") end
   local components = require "stlua.components"
   local parts, rest, doubles = components.of(model)
   if #parts == 0 then components.find(model, "unet") end      -- throws: there are none
   local pattern = args.output or cli.stem(args.model) .. "-{component}.safetensors"
   if not pattern:find("{component}", 1, true) then
      cli.usage("split: --components needs {component} in the name, such as -o 'm-{component}.safetensors'")
   end
   local list, targets = {}, {}
   for i, part in ipairs(parts) do targets[i] = pattern:gsub("{component}", part.name) end
   cli.keep_inputs("split", { model }, targets)
   for i, part in ipairs(parts) do
      list[i] = { components.model(model, part, args.whole_names), targets[i] }
      cli.note(("%s: %s, %s"):format(cli.escape(list[i][2]), cli.plural(#part.list, "tensor"), cli.size(part.bytes)))
   end
   for _, d in ipairs(doubles) do
      cli.note(("left out: %s under %s*, for the %s is taken from %s*"):format(cli.plural(d.tensors, "tensor"),
         cli.escape(d.prefix), d.name, cli.escape(d.kept)))
   end
   if #rest > 0 then
      cli.note(("left out: %s of no component, such as %s"):format(cli.plural(#rest, "tensor"), cli.escape(rest[1])))
   end
   cli.save(list, args)
end

local function run(args)
   cli.check_saturate("split", args)
   local model = st.open(args.model)
   if args.components then return into_components(model, args) end
   into_shards(model, args)
end

return cli.command({
   name = "split", summary = "Split a model into shards, or a checkpoint into components.", options = options,
   run = run,
}, ...)
