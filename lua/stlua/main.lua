--- The program `stlua`: its own options, then a script or a command with the rest of the line. Returns the exit
-- status.
-- Layer: Lua, above everything but scripts.

local cli = require "stlua.cli"
local commands = require "stlua.commands"
local core = require "stlua.core"
local errors = require "stlua.errors"
local text = require "stlua.text"

local in_command = false     -- whether what runs is an installed command
local exit_status = 0        -- what such a command returned

local HELP = [[
Usage: stlua [options] FILE.lua [args]     run a script (- reads it from standard input)
       stlua [options] COMMAND [args]      run an installed command
       stlua [options]                     type Lua at a prompt; where standard input is no terminal, run it
       stlua help COMMAND [SUBCOMMAND]     how to use a command

Options:
  -e CODE        run code, in which `st` is the module stlua; may be repeated
  -l MODULE      require a module into a global of its name
  -i             go on at the prompt when that is done
  -j N           threads to work with (default: as many as this process may use)
  -q, --quiet    print nothing but results and errors
  --trace        print the Lua traceback of an error
  --version      print the version
  -h, --help     print this help

Commands:
]]

-- Every option, and whether it takes an argument.
local TAKES_ARGUMENT = {
   ["-e"] = true, ["-i"] = false, ["-l"] = true, ["-j"] = true, ["--threads"] = true, ["-q"] = false,
   ["--quiet"] = false, ["--trace"] = false, ["--version"] = false, ["-h"] = false, ["--help"] = false,
}

local function unknown_option(word, name)
   local names = {}
   for option in pairs(TAKES_ARGUMENT) do names[#names + 1] = option end
   table.sort(names)
   cli.usage("unknown option %s%s (stlua --help)", word, text.did_you_mean(name, names))
end

-- Splits the command line: a list of { option, argument }, and the position of the first word that is not ours.
local function parse(argv)
   local options, i = {}, 1
   while i <= #argv do
      local word = argv[i]
      if word == "-" or word:sub(1, 1) ~= "-" then break end
      i = i + 1
      if word == "--" then break end
      local name, value = word, nil
      if word:find("^%-[elj].") then
         name, value = word:sub(1, 2), word:sub(3)
      elseif word:find("^%-%-%w+=") then
         name, value = word:match("^(.-)=(.*)$")
      end
      if TAKES_ARGUMENT[name] == nil or (value and not TAKES_ARGUMENT[name]) then
         unknown_option(word, name)
      elseif TAKES_ARGUMENT[name] and not value then
         value, i = argv[i], i + 1
         if not value then cli.usage("option %s needs an argument (stlua --help)", name) end
      end
      options[#options + 1] = { name, value }
   end
   return options, i
end

local function print_help()
   local lines = { HELP:sub(1, -2) }
   for _, name in ipairs(commands.names()) do
      local def = commands.definition(name)
      lines[#lines + 1] = ("  %-13s  %s"):format(name, def and def.summary or "")
   end
   cli.write(table.concat(lines, "\n"), "\n")
end

local function unknown(word)
   local names, is_script = commands.names(), word:find("%.lua$") ~= nil
   for i, name in ipairs(names) do names[i] = is_script and name .. ".lua" or name end
   if not is_script then names[#names + 1] = "help" end
   for _, entry in ipairs(core.listdir(".")) do
      if entry.name:find("%.lua$") then names[#names + 1] = entry.name end
   end
   cli.usage("no %s %s%s (stlua --help)", is_script and "script" or "command", text.quote(word),
      text.did_you_mean(word, names))
end

local function help(topic, ...)
   if not topic then return print_help() end
   local def = commands.definition(topic)
   if not def then return unknown(topic) end
   cli.write(cli.help(def, { ... }), "\n")
end

-- A word on the command line -> the script it means, and whether that is an installed command.
local function find_script(word)
   local stat = word ~= "" and core.stat(word)
   local is_file = stat and stat.type == "file"
   if is_file and (word:find("%.lua$") or word:find("/", 1, true)) then return word, false end
   local command = commands.find(word)
   if command then return command, true end
   if is_file then return word, false end
   unknown(word)
end

local function run_script(word, argv, first)
   _G.arg = { [0] = word, [-1] = argv[0] or "stlua" }
   table.move(argv, first, #argv, 1, _G.arg)
   if word == "-" then return commands.load(nil)(table.unpack(_G.arg)) end
   local path
   path, in_command = find_script(word)
   _G.arg[0] = path
   local status = commands.load(path)(table.unpack(_G.arg))
   if in_command and math.type(status) == "integer" then exit_status = status end
end

local function run_code(code)
   local env = setmetatable({ st = require "stlua" }, { __index = _G, __newindex = _G })
   local chunk, message = load(code, "=(command line)", "t", env)
   if not chunk then error(message, 0) end
   chunk()
end

-- The one line that the user sees, and the exit status.
local function report(e, traceback)
   local code, status, message = errors.is(e) and e.code or "lua", cli.trouble(), tostring(e)
   if code == "cancelled" then return 130 end      -- who stopped it knows
   if code == "usage" then
      status = 2
   elseif errors.is(e) and not in_command then      -- lines matter in the user's own script
      message = errors.describe(e, function(line) return not line:find("lua/stlua/", 1, true) end)
   end
   if cli.is_json() then
      io.stderr:write(core.json_report { event = "error", code = code, message = message }, "\n")
   else
      io.stderr:write("stlua: ", message, "\n")
   end
   if traceback then io.stderr:write(traceback, "\n") end
   return status
end

-- Options that act before anything runs. Returns whether one of them was all that was wanted.
local function set_options(options)
   for _, option in ipairs(options) do
      local name, value = option[1], option[2]
      if name == "-h" or name == "--help" then return true, print_help() end
      if name == "--version" then return true, cli.write("stlua ", core.version, "\n") end
      if name == "-q" or name == "--quiet" then cli.set_quiet() end
      if name == "-j" or name == "--threads" then
         local n, message = cli.count(value)
         if not n then cli.usage("%s %s", name, message) end
         core.threads(n)
      end
   end
end

-- Runs -l, -e and the script or command. Returns whether there was any.
local function run_words(options, argv, first)
   local ran = false
   for _, option in ipairs(options) do
      if option[1] == "-l" then
         _G[option[2]] = require(option[2])
         ran = true
      elseif option[1] == "-e" then
         run_code(option[2])
         ran = true
      end
   end
   local word = argv[first]
   if word == "help" then
      help(table.unpack(argv, first + 1))
   elseif word then
      run_script(word, argv, first + 1)
   end
   return ran or word ~= nil
end

local function has(options, name)
   for _, option in ipairs(options) do
      if option[1] == name then return true end
   end
   return false
end

-- -i: what fails before the prompt is told, and can be looked at there.
local function run_then_prompt(options, argv, first, trace)
   local ignore = require("stlua.repl").globals()
   ignore.arg = true
   local traceback
   local ok, e = xpcall(run_words, function(e)
      traceback = trace and debug.traceback("", 2):gsub("^%s+", "") or nil
      return e
   end, options, argv, first)
   if not ok then report(e, traceback) end
   require("stlua.repl.loop").run { trace = trace, ignore = ignore }
end

local function dispatch(argv, trace)
   local options, first = parse(argv)
   if set_options(options) then return end
   if has(options, "-i") then return run_then_prompt(options, argv, first, trace) end
   if run_words(options, argv, first) then return end
   if core.isatty(0) then
      require("stlua.repl.loop").run { trace = trace }
   else
      run_script("-", argv, first)
   end
end

--- Runs the program.
-- @tparam {string,...} argv the words of the command line; argv[0] is the program
-- @treturn integer exit status: 0, 1 error, 2 usage, 130 interrupted; or what a command returns
return function(argv)
   local trace = false
   for _, word in ipairs(argv) do
      if word:sub(1, 1) ~= "-" then break end
      trace = trace or word == "--trace"
   end
   local traceback
   local ok, e = xpcall(dispatch, function(e)
      if trace then traceback = debug.traceback("", 2):gsub("^%s+", "") end
      return e
   end, argv, trace)
   if ok then
      local flushed, message = io.stdout:flush()
      if flushed then return exit_status end
      e = core.error("io", "standard output: " .. message)
   end
   return report(e, traceback)
end
