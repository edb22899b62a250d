-- transcript - types the examples of a text at the prompt's engine and prints the text with what comes of them. Lines
-- that begin with "> " or ".. " are typed; what follows them is what is shown. They stand in blocks of a page that are
-- marked `stlua-session`, which are one session, or many with --fresh; or, indented by four, in the comments of a Lua
-- file, each of which is a session of its own. To refresh a text after a change: in a folder with the sample models,
--
--   stlua tests/lua/transcript.lua examples/README.md >new.md

local repl = require "stlua.repl"

local fresh = ... == "--fresh"
local path = select(fresh and 2 or 1, ...)
local prefix = ""      -- before each line of what is shown

-- Blanks for tabs, as a terminal has them.
local function expand(line)
   return (line:gsub("([^\t]*)\t", function(s) return s .. (" "):rep(8 - utf8.len(s) % 8) end))
end

local function put(s)
   for line in s:gmatch("([^\n]*)\n") do
      print(((prefix .. expand(line)):gsub("%s+$", "")))
   end
end

local function start() return repl.new { write = put, write_error = put, time = false } end

local engine = start()

local function typed_in(s) return s:match("^[>.]%.? (.*)$") or s:match("^%.%.$") and "" end

local function page()
   local inside = false
   for line in io.lines(path) do
      if line:find("^```") then
         inside = line == "```stlua-session"
         if inside and fresh then engine = start() end
      end
      local typed = inside and typed_in(line)
      if not inside or typed or line:find("^```") then print(line) end
      if typed then engine:line(typed) end
   end
end

local function comments()
   local inside = false
   for line in io.lines(path) do
      local indent, rest = line:match("^(%s*%-%-%s%s%s%s%s)(.*)$")
      local typed = indent and (inside or rest:find("^> ")) and typed_in(rest)
      if typed then
         if not inside then engine, prefix = start(), indent end
         inside = true
      elseif not indent then
         inside = false
      end
      if typed or not inside then print(line) end
      if typed then engine:line(typed) end
   end
end

if path:find("%.lua$") then comments() else page() end
