--- `stlua lora info`: what an adapter is.
-- Layer: Lua, above stlua.core.

local cli = require "stlua.cli"
local core = require "stlua.core"
local describe = require "stlua.lora.describe"

local command = { summary = "Show kind, architecture, ranks, training and strength of an adapter." }

function command.options(parser)
   parser:argument("adapter", "The adapter: a file, or a folder of PEFT.")
   parser:flag("--json", "Print one JSON object.")
end

function command.run(args)
   local info, shown = describe.info(args.adapter)
   cli.write(args.json and core.json_report(info) or shown, "\n")
end

return command
