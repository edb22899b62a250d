-- stlua completion: what a shell needs to complete stlua's commands and options.
--
--    stlua completion bash > ~/.local/share/bash-completion/completions/stlua

local argparse = require "argparse"
local cli = require "stlua.cli"
local commands = require "stlua.commands"

local function options(parser)
   parser:argument("shell", "The shell."):choices { "bash", "zsh", "fish" }
end

-- One parser that knows all commands.
local function whole_program()
   local root = argparse("stlua", "Models of tensors, in Lua.")
   root:flag("--version", "Print the version.")
   root:option("-e", "Run code."):argname("<code>")
   root:option("-l", "Require a module."):argname("<module>")
   root:option("-j --threads", "Threads to work with."):argname("<n>")
   root:flag("-q --quiet", "Print nothing but results and errors.")
   root:flag("--trace", "Print the traceback of an error.")
   root:command("help", "Show how to use a command.")
   for _, name in ipairs(commands.names()) do
      local def = commands.definition(name)
      if def then
         local command = root:command(name, def.summary)
         def.options(command)
         cli.common_options(command)
      end
   end
   return root
end

local function run(args)
   local root = whole_program()
   cli.write(root["get_" .. args.shell .. "_complete"](root))
end

return cli.command({
   name = "completion", summary = "Print completion for bash, zsh or fish.", options = options, run = run,
}, ...)
