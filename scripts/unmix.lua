-- stlua unmix: which mix of other models a model is.
--
--    stlua unmix mix.safetensors a.safetensors b.safetensors

local cli = require "stlua.cli"
local st = require "stlua"

local function options(parser)
   parser:argument("model", "The model to look into: a file, a folder or an index.")
   parser:argument("source", "Models that it may be a mix of (up to 8)."):args("+")
   parser:flag("--free", "Weights need not add up to 1.")
   parser:flag("--non-negative", "No weight is below 0.")
   parser:option("--only", "Look only at tensors of these names (may be repeated)."):argname("<pattern>"):count "*"
   parser:flag("--tensors", "A line for each tensor instead of each block.")
   parser:flag("--json", "Print one JSON object.")
end

local function run(args)
   local sources = {}
   if #args.source < 2 and not args.free then cli.usage("unmix: give two sources or more, or --free") end
   for i, path in ipairs(args.source) do sources[i] = st.open(path) end
   local model = st.open(args.model)
   local u = cli.counting("compare", function(progress)
      return st.unmix(model, sources, { free = args.free, non_negative = args.non_negative,
         only = #args.only > 0 and args.only or nil, progress = progress })
   end)
   local labels = cli.labels { args.model, table.unpack(args.source) }
   u.label = table.remove(labels, 1)
   u.labels = labels
   local unmix = require "stlua.unmixing"
   if args.json then
      cli.write(unmix.json(u, args.model, args.source), "\n")
   else
      cli.write(args.tensors and unmix.by_tensor(u) or tostring(u), "\n")
   end
   return u.all and 0 or 1
end

return cli.command({
   name = "unmix", summary = "Find out which mix of other models a model is.", options = options, run = run,
}, ...)
