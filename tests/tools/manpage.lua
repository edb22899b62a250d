-- manpage - the manual page stlua(1) in mdoc: the program's own --help, the prompt's `?`, the parsers and the first
-- lines of the commands, README.md's commands; and what is written here. `make docs` writes it by docs.lua.

local argparse = require "argparse"
local cli = require "stlua.cli"
local commands = require "stlua.commands"
local core = require "stlua.core"
local help = require "stlua.repl.help"

local DATE = "November 25, 2026"

local HEAD = [[
.\" Written by `make docs` from the program's own texts; see tests/tools/manpage.lua.
.Dd %s
.Dt STLUA 1
.Os stlua %s
.Sh NAME
.Nm stlua
.Nd merge, cast and edit models in the safetensors format, from the command line or in Lua
.Sh SYNOPSIS
.Nm
.Op Ar options
.Ar file.lua
.Op Ar arguments
.Nm
.Op Ar options
.Ar command
.Op Ar arguments
.Nm
.Op Ar options
.Nm
.Cm help
.Ar command
.Op Ar subcommand
.Sh DESCRIPTION
.Nm
runs a Lua script, or an installed command, which is a script, too.
A word that ends in
.Pa .lua
or has a slash in it is a script of that name where there is such a file, else an installed command.
.Sq \-
is a script on standard input.
Without any
.Nm
is a prompt; where standard input is no terminal, it is run as a script.
.Pp
What gives a tensor or a model only describes it; asking for a number, a text or a file computes it.
So a merge is one streaming pass over its inputs, in tens of megabytes of memory whatever the size of the models.
.Pp
A model is a file, an index of shards
.Pq Pa model.safetensors.index.json ,
or a folder that holds either.
A file is written whole or not at all, also over one of its inputs.
.Pp
Options stand before the script or the command:
]]

local PROMPT = [[
.Sh THE PROMPT
An expression is evaluated and shown, a statement is run.
.Li \&?
prints:
]]

local TAIL = [[
.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev NO_COLOR
If it is set, and not empty, the prompt uses no colours.
.It Ev XDG_STATE_HOME
Where the history of the prompt is kept.
.It Ev STLUA_EAGER
If it is set, every operation is computed when it is written: slower, and the same results.
To find out which line of a script is at fault.
.It Ev STLUA_SIMD
.Cm baseline ,
.Cm avx2
or
.Cm avx512 :
the most that is used of the processor's instructions.
All give the same bits.
.It Ev LUA_PATH , LUA_CPATH
Where Lua finds modules, as in
.Xr lua 1 .
The current folder is left out of them.
.El
.Sh FILES
.Bl -tag -width Ds
.It Pa \(ti/.local/state/stlua/history
What was typed at the prompt, or
.Pa $XDG_STATE_HOME/stlua/history .
.It Pa PREFIX/share/stlua/scripts
The installed commands.
.El
.Sh EXIT STATUS
.Bl -tag -width Ds
.It 0
All went well.
.It 1
An error, which is told in one line on standard error.
.It 2
Wrong usage: an unknown option or command, a missing argument.
.It 130
Interrupted by Ctrl-C.
No file is left behind.
.El
]]

local SEE_ALSO = [[
.Sh SEE ALSO
.Xr lua 1
.Pp
.Ic stlua help Ar command
tells the options of a command,
.Li \&?st.lerp
at the prompt what a function does.
The source has a reference manual
.Pq Pa src/MANUAL.md
and a course
.Pq Pa examples/README.md .
]]

-- ---------------------------------------------------------------- mdoc

local ESCAPES = { ["\\"] = "\\e", ["-"] = "\\-", ["'"] = "\\(aq", ["`"] = "\\(ga", ["^"] = "\\(ha", ["~"] = "\\(ti" }

-- Text as it is, letter by letter.
local function literal(s)
   return (s:gsub("[\\%-'`^~]", ESCAPES):gsub("^%.", "\\&."):gsub("\n%.", "\n\\&."))
end

-- A word behind a macro: no macro itself.
local function argument(s)
   s = literal(s):gsub('"', "\\(dq")
   if s:find("^%u%l$") or s:find("^%u%l%l$") or s:find("^[%.,:;%(%)%[%]%?!|]$") then s = "\\&" .. s end
   return s:find("%s") and '"' .. s .. '"' or s
end

-- Prose: each sentence on a line of its own; what is an option keeps its dashes.
local function prose(s)
   s = s:gsub("\\", "\\e"):gsub("`([^`]*)`", "%1"):gsub("%f[%S\0]%-%-?%w[%w%-]*", literal)
   s = s:gsub("([^%.][%.%?!]%)?) +(%u)", "%1\n%2")
   return (s:gsub("^[%.']", "\\&%0"):gsub("\n([%.'])", "\n\\&%1"))
end

local function display(lines, out)
   out[#out + 1] = ".Bd -literal -offset 2n"
   for _, line in ipairs(lines) do out[#out + 1] = literal(line) end
   out[#out + 1] = ".Ed"
end

local function flag(name) return "Fl " .. argument(name:sub(2)) end

-- What a parser calls "<out>", "[<x>]", "{a,b}" or "...".
local function placeholder(word)
   local inner = word:match("^%[(.*)%]$")
   if inner then return "Oo " .. placeholder(inner) .. " Oc" end
   if word == "..." then return "No ..." end
   local choices = word:match("^{(.*)}$")
   if choices then return "Cm " .. choices:gsub("[^,]+", argument):gsub(",", " | Cm ") end
   return "Ar " .. argument(word:match("^<(.*)>$") or word)
end

local function placeholders(element)
   local words = {}
   for i, word in ipairs(element:_get_argument_list()) do words[i] = placeholder(word) end
   return table.concat(words, " ")
end

-- ---------------------------------------------------------------- parts

-- The options of the program, from the lines "  -e CODE    text" of its help.
local function own_options(out)
   local pipe = assert(io.popen("./stlua --help"))
   local text = pipe:read("a"):match("\nOptions:\n(.-)\n\n")
   pipe:close()
   out[#out + 1] = ".Bl -tag -width Ds"
   for names, meaning in text:gmatch("  (%-[^\n]-)%s%s+([^\n]*)") do
      local words = {}
      for word in names:gmatch("[^%s,]+") do
         if word:sub(1, 1) ~= "-" then words[#words] = words[#words] .. " Ar " .. argument(word:lower())
         else words[#words + 1] = flag(word) end
      end
      out[#out + 1] = ".It " .. table.concat(words, " , ")
      out[#out + 1] = prose(meaning:sub(1, 1):upper() .. meaning:sub(2) .. ".")
   end
   out[#out + 1] = ".El"
end

local function parser_of(name, define)
   local parser = argparse(name)
   define(parser)
   return parser
end

local function label(option)
   local names, values = {}, placeholders(option)
   for i, alias in ipairs(option._public_aliases) do
      names[i] = flag(alias) .. (values ~= "" and " " .. values or "")
   end
   return table.concat(names, " , ")
end

-- A key for what two parsers share.
local function key(option) return label(option) .. " " .. option:_get_description() end

-- The keys of the output options, where a parser has all of them; else none.
local function output_keys(parser)
   local keys, missing = {}, 0
   for _, option in ipairs(parser_of("output", function(p) p:add_help(false) cli.output_options(p) end)._options) do
      keys[key(option)] = true
      missing = missing + 1
   end
   for _, option in ipairs(parser._options) do
      if keys[key(option)] then missing = missing - 1 end
   end
   return missing == 0 and keys or {}
end

-- A parser's arguments, and its options but those of `known`, which another list has.
local function add_options(out, parser, known)
   local rows = {}
   for _, element in ipairs(parser._arguments) do
      rows[#rows + 1] = { ".It Ar " .. argument(element._name), element:_get_description() }
   end
   for _, option in ipairs(parser._options) do
      if not known[key(option)] and #option._public_aliases > 0 then
         rows[#rows + 1] = { ".It " .. label(option), option:_get_description() }
      end
   end
   if #rows > 0 then out[#out + 1] = ".Bl -tag -width Ds" end
   for _, row in ipairs(rows) do
      out[#out + 1] = row[1]
      if row[2] ~= "" then out[#out + 1] = prose(row[2]) end
   end
   if #rows > 0 then out[#out + 1] = ".El" end
end

-- The examples that a command's first comment holds.
local function examples_of(name)
   local lines = {}
   for line in io.lines(commands.find(name)) do
      if not line:find("^%-%-") then break end
      lines[#lines + 1] = line:match("^%-%-%s%s%s+(stlua .*)$")
   end
   return lines
end

local COMMON = "Options of all commands"
local OUTPUT = "Options of commands that write a model"

local function add_parser(out, title, summary, parser)
   out[#out + 1] = ".Ss " .. argument(title)
   local synopsis = {}
   for _, element in ipairs(parser._arguments) do synopsis[#synopsis + 1] = placeholders(element) end
   if #parser._commands > 0 then synopsis[#synopsis + 1] = "Ar command" end
   out[#out + 1] = (".Nm Cm %s Oo Ar options Oc %s"):format(title, table.concat(synopsis, " "))
   out[#out + 1] = ".Pp\n" .. prose(summary)
   local known = output_keys(parser)
   add_options(out, parser, known)
   if next(known) then out[#out + 1] = (".Pp\nAlso takes the\n.Sx %s ."):format(OUTPUT) end
   for _, command in ipairs(parser._commands) do
      add_parser(out, title .. " " .. command._name, command:_get_description(), command)
   end
end

local function add_commands(out)
   out[#out + 1] = ".Sh COMMANDS"
   out[#out + 1] = ".Nm\n.Cm help\n.Ar command\nprints these texts, too."
   for _, name in ipairs(commands.names()) do
      local def = commands.definition(name)
      if def then
         add_parser(out, name, def.summary, parser_of(name, function(p) p:add_help(false) def.options(p) end))
         local examples = examples_of(name)
         if #examples > 0 then display(examples, out) end
      end
   end
   out[#out + 1] = ".Ss " .. OUTPUT
   add_options(out, parser_of("output", function(p) p:add_help(false) cli.output_options(p) end), {})
   out[#out + 1] = ".Ss " .. COMMON
   add_options(out, parser_of("common", cli.common_options), {})
end

-- The commands that README.md shows: a test runs them.
local function readme_commands()
   local lines, inside = {}, false
   for line in io.lines("README.md") do
      if line:find("^```") then inside = line == "```" and not inside
      elseif inside and line:find("^stlua ") then lines[#lines + 1] = line end
   end
   return lines
end

--- The whole page.
return function()
   local out = { HEAD:format(DATE, core.version):sub(1, -2) }
   own_options(out)
   add_commands(out)
   out[#out + 1] = PROMPT:sub(1, -2)
   local lines = {}
   for line in (help.answer("?", {}) .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = line end
   display(lines, out)
   out[#out + 1] = TAIL .. ".Sh EXAMPLES"
   display(readme_commands(), out)
   out[#out + 1] = SEE_ALSO
   return table.concat(out, "\n")
end
