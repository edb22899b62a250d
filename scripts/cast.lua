-- stlua cast: changes the dtype of floating tensors; integers are never touched.
--
--    stlua cast in.safetensors -o out.safetensors --dtype F16 --except norm
--    stlua cast flux-fp8.safetensors -o flux.safetensors --dequantize
--    stlua cast flux.safetensors -o flux-fp8.safetensors --dtype F8_E4M3 --scaled

local cli = require "stlua.cli"
local st = require "stlua"

local function options(parser)
   parser:argument("model", "Model to cast: a file, a folder or an index.")
   parser:option("--only", "Cast only tensors of these names (may be repeated)."):argname("<pattern>"):count "*"
   parser:option("--except", "Leave tensors of these names alone (may be repeated)."):argname("<pattern>"):count "*"
   parser:flag("--dequantize", "Make ordinary floats of quantised weights: scaled fp8, mxfp8, nvfp4, nf4 and fp4 of "
      .. "bitsandbytes. Without --dtype they get the dtype that they had, or that most tensors have.")
   parser:flag("--scaled", "With --dtype F8_E4M3: ComfyUI's scaled fp8. Weights of linear layers within blocks, or "
      .. "those of --only, with a scale beside each.")
   cli.output_options(parser)
end

local function list(patterns) return #patterns > 0 and patterns or nil end

-- "304 weights of nf4" for each layout.
local function tell(report)
   local layouts = {}
   for layout in pairs(report) do layouts[#layouts + 1] = layout end
   table.sort(layouts)
   for _, layout in ipairs(layouts) do cli.note(("%s of %s"):format(cli.plural(report[layout], "weight"), layout)) end
   if #layouts == 0 then cli.note("no weight is quantised") end
end

local function dequantized(model, args)
   local out, report = st.dequantize(model, { dtype = args.dtype, only = list(args.only), except = list(args.except) })
   tell(report)
   return out
end

local function scaled(model, args)
   local out, count = st.scaled_fp8(model, { dtype = args.dtype, only = list(args.only), except = list(args.except) })
   cli.note(cli.plural(count, "weight") .. " scaled")
   return out
end

local function run(args)
   if args.scaled and args.dequantize then cli.usage("cast: give --dequantize or --scaled, not both") end
   cli.check_saturate("cast", args)
   if not args.dtype and not args.dequantize then cli.usage("cast: say which --dtype, such as --dtype F16") end
   local model, ending = st.open(args.model), args.dtype or "dequantized"
   if args.dequantize then model = dequantized(model, args) end
   if args.scaled then
      model, ending = scaled(model, args), args.dtype .. "-scaled"
   elseif args.dtype then
      -- Of patterns that were used above, some meant what is gone.
      local except = list(args.except)
      if except and args.dequantize then except = require("stlua.pattern").any(except) end
      model = model:cast(args.dtype, { only = list(args.only), except = except, saturate = args.saturate })
   end
   local target = cli.target(args, cli.stem(args.model) .. "-" .. ending)
   args.dtype = nil      -- what was not chosen above keeps its dtype
   cli.save({ { model, target } }, args)
end

return cli.command({
   name = "cast", summary = "Change the dtype of a model's floating tensors.", options = options, run = run,
}, ...)
