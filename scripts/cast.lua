-- stlua cast: changes the dtype of floating tensors; integers are never touched.
--
--    stlua cast in.safetensors -o out.safetensors --dtype F16 --except norm

local cli = require "stlua.cli"
local st = require "stlua"

local function options(parser)
   parser:argument("model", "Model to cast: a file, a folder or an index.")
   parser:option("--only", "Cast only tensors of these names (may be repeated)."):argname("<pattern>"):count "*"
   parser:option("--except", "Leave tensors of these names alone (may be repeated)."):argname("<pattern>"):count "*"
   cli.output_options(parser)
end

local function run(args)
   if not args.dtype then cli.usage("cast: say which --dtype, such as --dtype F16") end
   local model = st.open(args.model)
   local out = model:cast(args.dtype, {
      only = #args.only > 0 and args.only or nil,
      except = #args.except > 0 and args.except or nil,
      saturate = args.saturate,
   })
   local target = cli.target(args, cli.stem(args.model) .. "-" .. args.dtype)
   args.dtype = nil      -- what was not chosen above keeps its dtype
   cli.save({ { out, target } }, args)
end

return cli.command({
   name = "cast", summary = "Change the dtype of a model's floating tensors.", options = options, run = run,
}, ...)
