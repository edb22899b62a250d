--- `stlua lora convert`: an adapter in another program's spelling.
-- Layer: Lua, above stlua.core.

local cli = require "stlua.cli"
local convert = require "stlua.lora.conversion"
local open = require "stlua.open"
local text = require "stlua.text"
local tool_options = require "stlua.lora.tool_options"
local write = require "stlua.lora.write"

local command = { summary = "Write an adapter in another program's format." }

function command.options(parser)
   parser:argument("adapter", "The adapter: a file, or a folder of PEFT.")
   parser:option("--to", "kohya (ComfyUI, A1111), diffusers, or peft (a folder).")
      :choices(write.formats)
   parser:option("--model", "The checkpoint that the adapter is for, where its names alone do not tell the modules.")
      :argname("<model>")
   cli.output_options(parser)
end

function command.run(args)
   if not args.to then cli.usage("lora convert: give --to kohya, diffusers or peft") end
   local out = convert.convert(args.adapter, { to = args.to, model = args.model and open.open(args.model) or nil })
   tool_options.save(out, text.stem(args.adapter) .. "-" .. args.to, nil, args)
end

return command
