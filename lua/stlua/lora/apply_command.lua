--- `stlua lora apply`: adapters merged into a checkpoint.
-- Layer: Lua, above stlua.core.

local cli = require "stlua.cli"
local apply = require "stlua.lora.apply"
local open = require "stlua.open"
local text = require "stlua.text"

local command = { summary = "Merge adapters into a model, in one streaming pass." }

function command.options(parser)
   parser:argument("model", "The model: a file, a folder or an index.")
   parser:argument("adapter", "Adapters, each FILE or FOLDER, with a strength if you like: FILE:0.8, or FILE:0.8:0.5 "
      .. "for the diffusion model and the text encoders."):args("+")
   parser:option("--block-weights", "A factor for each block of Stable Diffusion 1, 2, XL or Flux, as of "
      .. "`stlua merge`."):argname("<spec>")
   parser:flag("--invert", "Take the adapters out of a model that they were merged into.")
   parser:flag("--allow-unmatched", "Leave out modules of an adapter that match nothing in the model.")
   cli.output_options(parser)
end

-- "file:0.8:0.5" -> the file, strength by part.
local function split(word)
   local path, strength, wrong = cli.split_number(word)
   if wrong then cli.usage("lora apply: %s: the strength '%s' is not a number", word, wrong) end
   local inner, unet = cli.split_number(path)
   if unet then return inner, { unet = unet, model = unet, te = strength } end
   return path, strength or 1
end

local function shown(strength)
   if type(strength) == "number" then return text.number(strength) end
   return ("%s (text encoders %s)"):format(text.number(strength.unet), text.number(strength.te))
end

function command.run(args)
   local list, paths, recipe = {}, {}, {}
   for i, word in ipairs(args.adapter) do
      local path, strength = split(word)
      list[i], paths[i] = { path, strength }, path
      recipe[i] = { adapter = text.basename(path), strength = strength }
   end
   local labels = cli.labels(paths)
   local terms = { cli.escape(text.basename(args.model)) }
   for i, entry in ipairs(list) do
      terms[i + 1] = ("%s * %s"):format(shown(entry[2]), labels[i])
   end
   cli.note("result = " .. table.concat(terms, args.invert and " - " or " + "), "formula")
   local model = open.open(args.model)
   local out = apply.apply(model, list, nil, { allow_unmatched = args.allow_unmatched, invert = args.invert,
      blocks = args.block_weights })
   for _, note in ipairs(out:notes()) do cli.note("note: " .. note) end
   cli.save({ { out, cli.target(args, text.stem(args.model) .. "-lora"),
      recipe = { lora = recipe, invert = args.invert, block_weights = args.block_weights } } }, args)
end

return command
