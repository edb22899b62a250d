--- `stlua lora combine`: several adapters as one.
-- Layer: Lua, above stlua.core.

local cli = require "stlua.cli"
local combine = require "stlua.lora.combine"
local open = require "stlua.open"
local tool_options = require "stlua.lora.tool_options"
local write = require "stlua.lora.write"

local command = { summary = "Add adapters up as one, exactly or at a lower rank." }

function command.options(parser)
   parser:argument("adapter", "Adapters, each FILE or FOLDER, with a weight if you like: FILE:0.6."):args("+")
   parser:option("--mode", "exact: ranks add up, nothing is lost (the default); svd: the nearest of a lower rank (the "
      .. "default where one is given); cat: exact, with alpha = rank as PEFT writes it.")
      :choices { "exact", "svd", "cat" }
   tool_options.add_ranks(parser)
   parser:option("--to", "The format to write (the first adapter's)."):choices(write.formats)
   parser:option("--model", "The checkpoint that the adapters are for, where their names do not tell the modules.")
      :argname("<model>")
   cli.output_options(parser)
end

function command.run(args)
   local list, terms, recipe = tool_options.adapters(args.adapter, "lora combine", "weight")
   tool_options.check_target("combined", args)
   local opts = tool_options.ranks(args)
   opts.mode, opts.to, opts.model = args.mode, args.to, args.model and open.open(args.model) or nil
   local out, rows = combine.combine(list, opts)
   cli.note("combined = " .. table.concat(terms, " + "), "formula")
   tool_options.report(rows, args)
   local ranks = tool_options.ranks(args)
   ranks.mode, ranks.adapters = args.mode, recipe
   tool_options.save(out, "combined", { lora_combine = ranks }, args)
end

return command
