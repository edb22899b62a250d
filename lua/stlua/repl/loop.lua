--- The prompt on a terminal: reads lines by stlua.terminal (a library that the program alone can load), keeps the
-- history, hands lines to the engine. Where standard input is no terminal lines are read plainly.
-- Layer: Lua, above the engine.

local complete = require "stlua.repl.complete"
local core = require "stlua.core"
local errors = require "stlua.errors"
local repl = require "stlua.repl"
local text = require "stlua.text"

local loop = {}

local MAX_SHOWN = 200                       -- candidates
local KEPT, TOO_MANY = 10000, 20000         -- lines of history: kept when the file has grown too long

local function is_dumb() return (os.getenv("TERM") or "dumb") == "dumb" end

-- NO_COLOR: https://no-color.org
local function may_color(descriptor)
   return core.isatty(descriptor) and (os.getenv("NO_COLOR") or "") == "" and not is_dumb()
end

--- Where the history is kept: below XDG_STATE_HOME, else ~/.local/state; nil without a home.
function loop.history_path()
   local state, home = os.getenv("XDG_STATE_HOME"), os.getenv("HOME")
   if not state or state:sub(1, 1) ~= "/" then state = home and home ~= "" and home .. "/.local/state" end
   return state and state .. "/stlua/history" or nil
end

-- Loads the history into the editor. Gives the file that takes new lines, or nil: then nothing is kept.
local function open_history(terminal)
   local path = loop.history_path()
   if not path or not terminal.private_file(path) then return nil end
   local lines = {}
   local file = io.open(path, "r")
   for line in file and file:lines() or function() end do lines[#lines + 1] = line end
   if file then file:close() end
   if #lines > TOO_MANY then
      lines = table.move(lines, #lines - KEPT + 1, #lines, 1, {})
      file = io.open(path, "w")
      if file then file:write(table.concat(lines, "\n"), "\n"):close() end
   end
   for _, line in ipairs(lines) do terminal.remember(line) end
   file = io.open(path, "a")
   if file then file:setvbuf("line") end
   return file
end

--- Names side by side, as `ls` lays them out.
function loop.layout(names, width)
   local widest, n = 0, math.min(#names, MAX_SHOWN)
   local shown = {}
   for i = 1, n do
      shown[i] = core.escape(names[i], math.max(16, math.min(width - 1, 4096)))
      widest = math.max(widest, utf8.len(shown[i]) or #shown[i])
   end
   local columns = math.max(1, (width + 1) // (widest + 2))
   local rows = (n + columns - 1) // columns
   local lines = {}
   for r = 1, rows do
      local cells = {}
      for i = r, n, rows do cells[#cells + 1] = shown[i] .. (" "):rep(widest - (utf8.len(shown[i]) or #shown[i])) end
      lines[r] = table.concat(cells, "  "):gsub("%s+$", "")
   end
   if #names > n then lines[rows + 1] = ("... %d more"):format(#names - n) end
   return table.concat(lines, "\n")
end

-- What Tab does: at the beginning of a line it indents, for pasted code holds tabs.
local function tab(engine, terminal)
   return function(line, cursor)
      if not line:sub(1, cursor):find("%S") then return "   " end
      local list, first, suffix = engine:complete(line, cursor)
      local insert, names = complete.action(list, line:sub(first, cursor), suffix)
      return insert, #names > 0 and loop.layout(names, terminal.width()) or ""
   end
end

-- Words with which people try to leave.
local function wants_to_leave(engine, line)
   local word = line:match("^%s*(%a+)%s*%(?%)?%s*;?%s*$")
   return (word == "quit" or word == "exit") and engine.env[word] == nil
end

-- Evaluates a line; whatever an interrupt meets, the prompt comes back.
local function evaluate(engine, terminal, line)
   local ok, e = terminal.run(engine.line, engine, line)
   if ok then return end
   if not (errors.is(e) and e.code == "cancelled") then error(e, 0) end
   engine:abandon()
   io.stderr:write("interrupted\n")
end

local function session(engine, terminal)
   local history, last = open_history(terminal), nil
   local colored = may_color(1)
   local function prompt(mark) return colored and ("\1\27[1m\1%s\1\27[0m\1 "):format(mark) or mark .. " " end
   local on_tab = tab(engine, terminal)
   io.stdout:write("stlua ", core.version, "  ? for help, Ctrl-D leaves\n")
   while true do
      io.stdout:flush()
      local line, why = terminal.readline(prompt(engine.pending and ".." or ">"), on_tab)
      if line then
         if line:find("%S") and line ~= last then
            terminal.remember(line)
            if history then history:write(line, "\n") end
            last = line
         end
         if not engine.pending and wants_to_leave(engine, line) then break end
         evaluate(engine, terminal, line)
      elseif why == "interrupt" then
         core.resume()
         engine:abandon()
         io.stdout:write("^C\n")
      elseif why == "end" then
         io.stdout:write("\n")
         break
      else
         errors.throw("cancelled", "stopped by a signal")
      end
   end
   if history then history:close() end
end

local function on_terminal(engine, terminal)
   local ok, e = pcall(session, engine, terminal)
   terminal.done()
   if not ok then error(e, 0) end
end

-- Without a terminal an interrupt ends the program, as it would end a script.
local function on_lines(engine)
   for line in io.lines() do
      if not engine.pending and wants_to_leave(engine, line) then break end
      engine:line(line)
      if core.cancelled() then errors.throw("cancelled", "interrupted") end
   end
   if engine.pending then
      errors.throw("lua", ("the input ends within a piece of code: %s"):format(text.quote(engine.pending)))
   end
end

--- Reads and evaluates until the input ends.
-- @tparam[opt] table opts `trace` and `ignore` as of repl.new
function loop.run(opts)
   local interactive = core.isatty(0) and core.isatty(1) and not is_dumb()
   local engine = repl.new { color = may_color(2), trace = opts and opts.trace, ignore = opts and opts.ignore }
   if interactive then
      on_terminal(engine, require "stlua.terminal")
   else
      on_lines(engine)
   end
end

return loop
