--- `stlua lora apply`: adapters merged into a checkpoint.
-- Layer: Lua, above stlua.core.

local cli = require "stlua.cli"
local apply = require "stlua.lora.apply"
local open = require "stlua.open"
local text = require "stlua.text"
local tool_options = require "stlua.lora.tool_options"

local command = { summary = "Merge adapters into a model, in one streaming pass." }

function command.options(parser)
   parser:argument("model", "The model: a file, a folder or an index.")
   parser:argument("adapter", "Adapters, each FILE or FOLDER, with a strength if you like: FILE:0.8, or FILE:0.8:0.5 "
      .. "for the diffusion model and the text encoders."):args("+")
   parser:option("--block-weights", "A factor for each block of Stable Diffusion 1, 2, XL or Flux, as of "
      .. "`stlua merge`."):argname("<spec>")
   parser:flag("--invert", "Take the adapters out of a model that they were merged into.")
   parser:flag("--allow-unmatched", "Leave out what of an adapter matches nothing in the model.")
   cli.output_options(parser)
end

function command.run(args)
   local list, terms, recipe = tool_options.adapters(args.adapter, "lora apply", "strength", true)
   table.insert(terms, 1, cli.escape(text.basename(args.model)))
   cli.note("result = " .. table.concat(terms, args.invert and " - " or " + "), "formula")
   local out = apply.apply(open.open(args.model), list, nil, { allow_unmatched = args.allow_unmatched,
      invert = args.invert, blocks = args.block_weights })
   for _, note in ipairs(out:notes()) do cli.note("note: " .. note) end
   cli.save({ { out, cli.target(args, text.stem(args.model) .. "-lora"),
      recipe = { lora = recipe, invert = args.invert, block_weights = args.block_weights } } }, args)
end

return command
