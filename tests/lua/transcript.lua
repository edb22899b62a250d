-- transcript - types the sessions of a page at the prompt's engine and prints the page with what comes of them. In a
-- block marked `stlua-session` lines that begin with "> " or ".. " are typed; what follows them is what is shown. To
-- refresh the page after a change: in a folder with the sample models,
--
--   stlua tests/lua/transcript.lua examples/README.md >new.md

local repl = require "stlua.repl"

local function put(s) io.stdout:write(s) end
local engine = repl.new { write = put, write_error = put, time = false }
local inside = false
for line in io.lines((assert(..., "give the page"))) do
   if line:find("^```") then inside = line == "```stlua-session" end
   local typed = inside and (line:match("^[>.]%.? (.*)$") or line:match("^%.%.$") and "")
   if not inside or typed or line:find("^```") then print(line) end
   if typed then engine:line(typed) end
end
