-- stlua lora: adapters applied, extracted, resized, combined, converted, looked at.
--
--    stlua lora apply model.safetensors style.safetensors:0.8 -o out.safetensors
--    stlua lora extract base.safetensors tuned.safetensors -o adapter --rank 32

local cli = require "stlua.cli"
require "stlua"

-- Each is lua/stlua/lora/NAME_command.lua.
local SUBCOMMANDS = { "apply", "extract" }

local function definition(name) return require("stlua.lora." .. name .. "_command") end

local function options(parser)
   parser:command_target("subcommand")
   for _, name in ipairs(SUBCOMMANDS) do
      local def = definition(name)
      def.options(parser:command(name, def.summary))
   end
end

return cli.command({
   name = "lora", summary = "Apply, extract and change LoRA adapters.", options = options,
   run = function(args) return definition(args.subcommand).run(args) end,
}, ...)
