--- `stlua lora resize`: an adapter of lower rank.
-- Layer: Lua, above stlua.core.

local cli = require "stlua.cli"
local resize = require "stlua.lora.resize"
local text = require "stlua.text"
local tool_options = require "stlua.lora.tool_options"

local command = { summary = "Make an adapter of lower rank, as near as there is." }

function command.options(parser)
   parser:argument("adapter", "The adapter: a file, or a folder of PEFT.")
   tool_options.add_ranks(parser)
   cli.output_options(parser)
end

function command.run(args)
   local want = tool_options.ranks(args)
   if not (want.rank or want.energy or want.sv_ratio or want.sv_fro or want.sv_cumulative) then
      cli.usage("lora resize: give --rank, --energy, --sv-ratio, --sv-fro or --sv-cumulative")
   end
   local stem = text.stem(args.adapter) .. "-resized"
   tool_options.check_target(stem, args)
   local out, rows = resize.resize(args.adapter, want)
   tool_options.report(rows, args)
   tool_options.save(out, stem, { lora_resize = want }, args)
end

return command
