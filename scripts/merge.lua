-- stlua merge: weighted averages of models, and all merge methods, in one streaming pass.
--
--    stlua merge a.safetensors b.safetensors -o merged.safetensors
--    stlua merge a b --alpha 0.2,0.4,0.6 -o 'm-{alpha}.safetensors'
--    stlua merge a b --base c --method add_difference --alpha 0.8 -o merged.safetensors
--    stlua merge config.yml -o folder          a YAML file of mergekit: scripts/merge-yaml.lua

local cli = require "stlua.cli"
local st = require "stlua"

local merge = cli.merging()

local function options(parser)
   parser:argument("model", "Models to merge: files, folders or indexes, each with a weight as FILE:0.3 if you like.")
      :args("*")
   parser:option("--alpha", "Interpolate two models: (1 - t) * A + t * B; or the alpha of a method. Several values, "
      .. "such as 0.2,0.4, make one file each, where -o has {alpha} in its name."):argname("<t>")
   parser:option("--weights --weight", "One weight per model, such as 0.5,0.3,0.2 (default of an average: equal).")
      :argname("<list>")
   parser:flag("--no-normalize", "Use the weights as they are, not divided by their sum.")
   parser:option("--method", "A merge method: see the list below, and --list-methods."):argname("<name>")
   parser:option("--base", "The model that the others were made from, for methods that take one."):argname("<model>")
   parser:option("--block-weights", "A number for each block of Stable Diffusion 1, 2, XL or Flux in place of one "
      .. "parameter (alpha, or NAME=...): numbers, a preset such as GRAD_V, IN00-IN03=0.2,OUT*=0.7, or "
      .. "BLOCKS:ELEMENTS:RATIO; blocks without one take --alpha (0.5). Alone it means --method weighted_sum.")
      :argname("<spec>"):count("*")
   parser:option("--seed", "Seed of the methods with chance in them (0)."):argname("<n>"):convert(cli.integer)
   parser:option("--missing", "A tensor that some model has not: error (the default), first (copy it from the first "
      .. "model that has it) or skip."):choices { "error", "first", "skip" }
   parser:option("--vae", "Put this VAE in place of the checkpoint's own, if it has one."):argname("<file>")
   parser:flag("--merge-vae", "Methods merge the VAE of a checkpoint, too, instead of copying the first model's.")
   parser:flag("--prune", "Leave out what only training reads: EMA, its state, the noise schedule.")
   parser:flag("--dry-run", "Report from the headers what would be written, and what is wrong; write nothing.")
   parser:flag("--list-methods", "Print the names of all methods.")
   cli.output_options(parser)
   merge.add(parser)
end

-- Of the options those that the bytes of the file hang on.
local function output_of(args)
   return { dtype = args.dtype, saturate = args.saturate, align = args.align, max_shard_size = args.max_shard_size }
end

-- Says how the file is computed, by the names of the inputs.
local function tell(entry, inputs, several)
   local paths = {}
   for i, input in ipairs(inputs) do paths[i] = input.path end
   local labels = cli.labels(paths)
   local title = several and cli.basename(entry.path) or "merged"
   local formula = merge.formula(entry.job, #inputs):gsub("{(%d+)}", function(i) return labels[tonumber(i)] end)
   cli.note(title .. " = " .. formula, "formula")
end

local function run(args)
   if args.list_methods then return cli.write(table.concat(st.merge_methods(), "\n"), "\n") end
   local paths, entries = merge.read(args)
   local inputs = merge.order(entries[1].job, paths, args.base, args.vae)
   for _, e in ipairs(entries) do e.job.base, e.job.vae = entries[1].job.base, entries[1].job.vae end
   if args.dry_run then return merge.dry_run(inputs, entries, args) end
   for _, e in ipairs(entries) do tell(e, inputs, #entries > 1) end
   local opened, results = {}, {}
   for i, input in ipairs(inputs) do opened[i] = st.open(input.path) end
   merge.check_twice(inputs, opened)
   for i, e in ipairs(entries) do
      results[i] = { merge.build(e.job, opened), e.path, recipe = merge.recipe(e.job, #inputs, output_of(args)) }
   end
   for _, note in ipairs(merge.notes(entries[1].job, opened)) do cli.note("note: " .. note) end
   for _, note in ipairs(results[1][1]:notes()) do cli.note("note: " .. note) end
   cli.save(results, args)
end

if cli.names_yaml(...) then return cli.run_command("merge-yaml", ...) end

return cli.command({
   name = "merge", summary = "Average models, or merge them by a method.", options = options, run = run,
}, ...)
