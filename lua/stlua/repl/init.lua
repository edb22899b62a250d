--- The engine of the prompt, without a terminal: evaluates lines, keeps results, completes, helps.
-- Layer: Lua, above the module stlua; knows nothing of where its lines come from (repl/loop.lua does).

local complete = require "stlua.repl.complete"
local core = require "stlua.core"
local count_dtypes = require("stlua.dtype").count
local errors = require "stlua.errors"
local help = require "stlua.repl.help"
local hint = require "stlua.repl.hint"
local map = require "stlua.map"
local show = require "stlua.repl.show"
local text = require "stlua.text"

local repl = {}
repl.__index = repl

local SLOW = 0.1      -- seconds from which a line's time is told
local LINES = 12      -- of one error
local CHUNK = "stdin"
local RED, DIM, PLAIN = "\27[31m", "\27[2m", "\27[0m"

--- The names of all globals now: `new` takes them for those that are not the user's.
function repl.globals()
   local names = {}
   for name in next, _G do names[name] = true end
   return names
end

--- Makes an engine. What is typed runs in a table of its own that reads the real globals and never writes them.
-- @tparam[opt] table opts
--   `write`, `write_error` = functions that take a text (default: standard output and error);
--   `color` = true colours errors; `trace` = true prints Lua tracebacks; `time` = false tells no times;
--   `ignore` = globals that `who` leaves out (default: all there are now)
function repl.new(opts)
   opts = errors.check_options(opts, { write = "function", write_error = "function", color = "boolean",
      trace = "boolean", time = "boolean", ignore = "table" }, "repl.new")
   local self = setmetatable({ pending = nil, trace = opts.trace, color = opts.color, time = opts.time ~= false,
      ignore = opts.ignore or repl.globals() }, repl)
   self.write = opts.write or function(s) io.stdout:write(s) end
   self.write_error = opts.write_error or function(s) io.stderr:write(s) end
   self.preset = { st = require "stlua", who = function() return self:who() end }
   self.env = setmetatable({}, { __index = _G })
   for name, value in pairs(self.preset) do self.env[name] = value end
   return self
end

-- ---------------------------------------------------------------- evaluating

-- More lines would help; a quoted text cannot go on, though.
local function is_incomplete(message)
   return message:find("near <eof>$") and not message:find("unfinished string near <eof>$")
end

local function pass(...) return ... end

-- A local would be gone with its line. At the beginning of a piece of code it becomes a name that stays, so that lines
-- of a script can be pasted. Not so `local x <const>`.
local function without_local(code)
   local head, rest = code:match("^(%s*)local%s+(.*)$")
   if not head then return code end
   if rest:find("^function%s") then return head .. rest end
   local at = rest:match("^[%a_][%w_]*()")
   while at and rest:find("^%s*,", at) do at = rest:match("^%s*,%s*[%a_][%w_]*()", at) end
   if not at then return code end
   local after = rest:sub(at)
   if after:find("^%s*=[^=]") then return head .. rest end
   if after:find("^%s*;?%s*$") then return head .. rest:sub(1, at - 1) .. " = nil" .. after end
   return code
end

-- Compiles as an expression, else as a statement. Nil and "incomplete", or nil and the message.
local function compile(code, env)
   local chunk, first = load("return " .. code, "=" .. CHUNK, "t", env)
   if chunk then
      -- As the argument of a function, which `...` is, a call is no tail call: errors know that they came from here.
      local bare = code:gsub("[;%s]+$", "")
      return load("return (...)(" .. bare .. "\n)", "=" .. CHUNK, "t", env) or chunk, nil, true
   end
   local second
   chunk, second = load(code, "=" .. CHUNK, "t", env)
   if chunk then return chunk, nil, false end
   if is_incomplete(first) or is_incomplete(second) then return nil, "incomplete" end
   return nil, second
end

-- What went wrong, as one clean text. A position within the line just typed, or within the library, is no help.
local function message_of(self, e, code)
   if errors.is(e) then
      if e.code == "cancelled" then return "interrupted" end
      return errors.describe(e, function(line)
         return not line:find("^" .. CHUNK .. ":") and not line:find("/stlua/[%w_/]+%.lua:%d+$")
      end)
   end
   local s = show.value(e)
   if type(e) == "nil" then s = "error(nil)" end
   if not code:find("\n.") then s = s:gsub("^" .. CHUNK .. ":%d+: ", "") end
   return s .. hint.about(s, self.env)
end

local function keep(env, results)
   if results.n == 0 then return end
   rawset(env, "_", results[1])
   for i = 1, results.n do rawset(env, "_" .. i, results[i]) end
   local i = results.n + 1
   while rawget(env, "_" .. i) ~= nil do
      rawset(env, "_" .. i, nil)
      i = i + 1
   end
end

-- The bare word, where it is nobody's variable.
local function asks_for_help(self, code)
   return code:find("^%s*help%s*%(?%)?%s*;?%s*$") and self.env.help == nil and "?"
end

--- Evaluates a piece of code: an expression, a statement, or `?name`, `??word`.
-- @tparam string code one or several lines
-- @treturn string "ok", "incomplete" (more lines are needed) or "error"
-- @return the results as of table.pack, `silent` when the code ends in `;`; or { message =, error =, traceback = }
function repl:eval(code)
   core.resume()      -- an interrupt belongs to the line that it met
   local question = code:match("^%s*(%?.*)$") or asks_for_help(self, code)
   if question then return "ok", table.pack(help.answer(question, self.env)) end
   if not code:find("%S") then return "ok", table.pack() end
   code = without_local(code:gsub("^%s*=", ""))      -- `= x` printed x in older Luas
   local chunk, problem, expression = compile(code, self.env)
   if problem == "incomplete" then return "incomplete" end
   if not chunk then return "error", { message = message_of(self, problem, code), error = problem } end
   local traceback
   local results = table.pack(xpcall(chunk, function(e)
      traceback = debug.traceback("", 2):gsub("^%s+", "")
      return e
   end, pass))
   if not results[1] then
      local e = results[2]
      return "error", { message = message_of(self, e, code), error = e, traceback = traceback }
   end
   results = table.move(results, 2, results.n, 1, { n = results.n - 1 })
   results.silent = code:find(";%s*$") ~= nil or code:find(";%s*%-%-[^\n\"']*$") ~= nil
   if expression then keep(self.env, results) end
   return "ok", results
end

-- ---------------------------------------------------------------- line by line

local function colored(self, color, s)
   return self.color and color .. s .. PLAIN or s
end

-- A local of a line that is complete is gone with it.
local function warn_of_local(self, code)
   if self.warned or not without_local(code):find("^%s*local%s") then return end
   self.warned = true
   self.write_error(colored(self, DIM, "note: a local lasts for its line only; without `local` the name stays") .. "\n")
end

-- A model that does not fit is told tensor by tensor: a script may want all, a person the first.
local function shortened(message)
   local at, lines = 0, 0
   repeat
      at, lines = message:find("\n", at + 1, true), lines + 1
   until not at or lines == LINES
   local rest = at and select(2, message:gsub("\n", "", nil)) - LINES + 1
   if not rest or rest < 2 then return message end
   return ("%s\n  ... %d more lines"):format(message:sub(1, at - 1), rest)
end

local function report(self, failure)
   self.write_error(colored(self, RED, shortened(failure.message)) .. "\n")
   if self.trace and failure.traceback then self.write_error(failure.traceback .. "\n") end
end

-- Evaluates and makes the text of the results, which may compute, too.
local function run(self, code)
   local status, results = self:eval(code)
   if status ~= "ok" then return status, results end
   if results.silent then return status end
   local ok, shown = pcall(show.results, results)
   if ok then return status, shown end
   return "error", { message = message_of(self, shown, code) }
end

--- Takes one typed line, prints what comes of it.
-- @tparam string line
-- @treturn string "ok", "error", or "incomplete": the next line continues it
function repl:line(line)
   local code = self.pending and self.pending .. "\n" .. line or line
   local began, read = core.clock(), core.bytes_read()
   local status, result = run(self, code)
   local seconds = core.clock() - began
   self.pending = status == "incomplete" and code or nil
   if status == "ok" then
      if result then self.write(result .. "\n") end
      warn_of_local(self, code)
   elseif status == "error" then
      report(self, result)
   end
   if self.time and seconds > SLOW and not self.pending then
      self.write_error(colored(self, DIM, show.time(seconds, core.bytes_read() - read)) .. "\n")
   end
   return status
end

--- Forgets the lines of an incomplete piece of code.
function repl:abandon()
   self.pending = nil
end

-- ---------------------------------------------------------------- who

local function describe(name, value)
   local row = { name = name, kind = type(value), bytes = nil, dtype = "", shape = "" }
   if map.is_tensor(value) then
      row.kind, row.bytes, row.dtype, row.shape = "tensor", value:nbytes(), value:dtype(), text.shape(value:shape())
   elseif map.is_model(value) then
      row.kind, row.bytes = "model", select(2, value:_outline(1))
      row.dtype, row.shape = count_dtypes(value), text.plural(#value, "tensor")
   elseif row.kind == "string" then
      row.bytes = #value
   elseif row.kind == "table" then
      local n = 0
      for _ in next, value do n = n + 1 end
      row.shape = n == 1 and "1 entry" or ("%d entries"):format(n)
   elseif row.kind == "number" then
      row.kind = math.type(value)
   end
   return row
end

-- A closed model or tensor can tell nothing.
local function describe_safely(name, value)
   local ok, row = pcall(describe, name, value)
   return ok and row or { name = name, kind = "closed", dtype = "", shape = "" }
end

local who_meta = { __tostring = function(list)
   if #list == 0 then return "no globals yet" end
   local rows = { { "name", "kind", "size", "dtype", "shape" } }
   for i, row in ipairs(list) do
      rows[i + 1] = { row.name, row.kind, row.bytes and core.size(row.bytes) or "", row.dtype, row.shape }
   end
   return text.columns(rows, { false, false, true })
end }

--- The user's globals: those typed at the prompt, and those a script left.
-- @treturn {table,...} { name, kind, bytes, dtype, shape }, sorted by name; tostring makes a table of it
function repl:who()
   local found, list = {}, {}
   for name, value in next, _G do
      if not self.ignore[name] then found[name] = value end
   end
   for name, value in next, self.env do
      if value ~= self.preset[name] then found[name] = value end
   end
   for name, value in pairs(found) do
      if type(name) == "string" and not name:find("^_%d*$") then list[#list + 1] = describe_safely(name, value) end
   end
   table.sort(list, function(a, b) return a.name < b.name end)
   return setmetatable(list, who_meta)
end

--- Candidates for what stands before the cursor. Runs no code of the user's.
-- @tparam string line
-- @tparam[opt] integer cursor bytes before the cursor (default: all)
-- @treturn {string,...} candidates, each a replacement of line:sub(first, cursor)
-- @treturn integer first
-- @treturn string what may follow a candidate that is the only one, such as `"]`
function repl:complete(line, cursor)
   return complete.candidates(line:sub(1, cursor or #line), self.env)
end

return repl
