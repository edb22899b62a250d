-- stlua prune: a checkpoint without what only training reads; a VAE in or out of it.
--
--    stlua prune checkpoint.safetensors -o small.safetensors --dtype F16
--    stlua prune checkpoint.safetensors --ema use --bake-vae vae.safetensors -o good.safetensors
--    stlua prune checkpoint.safetensors --extract vae -o vae.safetensors

local cli = require "stlua.cli"
local components = require "stlua.components"
local st = require "stlua"

local function options(parser)
   parser:argument("model", "The checkpoint: a file, a folder or an index.")
   parser:option("--ema", "Averaged weights of training: drop them (the default), use them in the place of the others, "
      .. "or keep both."):choices { "drop", "use", "keep" }:argname("<what>")
   parser:option("--drop", "Leave out tensors of these names, too (may be repeated)."):argname("<pattern>"):count "*"
   parser:option("--keep", "Keep tensors of these names in any case (may be repeated)."):argname("<pattern>"):count "*"
   parser:option("--bake-vae", "Put this VAE in place of the checkpoint's own, if it has one."):argname("<file>")
   parser:option("--extract", "Write one part alone, in the names of its own files: unet, vae, clip, or a text encoder "
      .. "such as clip_g or t5xxl."):argname("<part>")
   parser:flag("--whole-names", "With --extract: names as they are in the checkpoint.")
   cli.output_options(parser)
end

local function patterns(list) return #list > 0 and list or nil end

-- A line for each thing that was done.
local function tell(report)
   for _, entry in ipairs(report.dropped) do
      cli.note(("dropped %s: %s, %s"):format(entry.what, cli.plural(entry.tensors, "tensor"), cli.size(entry.bytes)))
   end
   if report.averaged > 0 then cli.note(cli.plural(report.averaged, "weight") .. " from EMA") end
   if report.baked > 0 then cli.note(("baked %s of the VAE"):format(cli.plural(report.baked, "tensor"))) end
   for _, name in ipairs(report.repaired) do cli.note(("repaired %s"):format(cli.escape(name))) end
   if #report.dropped + report.averaged + report.baked + #report.repaired == 0 then cli.note("nothing to drop") end
end

local function run(args)
   cli.check_saturate("prune", args)
   if args.whole_names and not args.extract then cli.usage("prune: --whole-names goes with --extract") end
   local model = st.open(args.model)
   local out, report = st.prune(model, { ema = args.ema, drop = patterns(args.drop), keep = patterns(args.keep),
      vae = args.bake_vae and st.open(args.bake_vae) })
   tell(report)
   local ending = "pruned"
   if args.extract then
      local part = components.find(out, args.extract)
      out, ending = components.model(out, part, args.whole_names), part.name
   end
   local target = cli.target(args, cli.stem(args.model) .. "-" .. ending)
   if args.extract then cli.keep_inputs("prune", { model }, { target }) end
   local after = cli.bytes_saved(out, args.dtype)
   cli.note(("%s of values become %s: %s saved"):format(cli.size(report.before), cli.size(after),
      cli.size(math.max(0, report.before - after))))
   cli.save({ { out, target, recipe = { command = "prune" } } }, args)
end

return cli.command({
   name = "prune", summary = "Drop what only training reads; take a VAE out or put one in.", options = options,
   run = run,
}, ...)
