--- Progress of a save: one line that rewrites itself on a terminal, JSON lines for programs, nothing otherwise.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"

local progress = {}

local function clock(seconds)
   return ("%d:%02d"):format(seconds // 60, math.floor(seconds % 60))
end

--- The line for a terminal: "write  42%  0.9 of 2.0 GiB  1.5 GB/s  0:01 left".
function progress.line(phase, done, total, seconds, there)
   if phase == "sync" then return ("%s ..."):format(phase) end
   local share = total > 0 and done / total or 1
   local line = ("%s %3d%%  %s of %s"):format(phase, math.floor(share * 100), core.size(done), core.size(total))
   local own = done - (there or 0) -- an earlier save's part says nothing about the speed
   if seconds > 0.2 and own > 0 then
      line = ("%s  %.1f GB/s  %s left"):format(line, own / seconds / 1e9, clock((total - done) * seconds / own))
   end
   return line
end

local function show_line(out, line)
   out:write("\r", line, "\27[K")
   out:flush()
end

local function write_event(out, phase, done, total, seconds)
   local event = { event = "progress", phase = phase, done = done, total = total, seconds = seconds }
   out:write(core.json_report(event), "\n")
   out:flush()
end

local INTERVAL = 0.1      -- seconds

--- Reports on what is counted in Lua.
-- @tparam string mode as of start
-- @tparam file out
-- @tparam string phase
-- @treturn function (done, total) in bytes, to be called as often as one likes; without arguments at the end
function progress.counter(mode, out, phase)
   local began, last, shown = core.clock(), 0, false
   return function(done, total)
      local now = core.clock()
      if not done then
         if shown and mode == "terminal" then out:write("\r\27[K") end
      elseif mode ~= "none" and now - last >= INTERVAL and now - began >= INTERVAL then
         last, shown = now, true
         if mode == "json" then
            write_event(out, phase, done, total, now - began)
         else
            show_line(out, progress.line(phase, done, total, now - began))
         end
      end
   end
end

--- Reports on saves until the returned function is called, which gives the seconds the last one took, and the bytes
-- that an earlier, interrupted one had written.
-- @tparam string mode "terminal", "json" or "none"
-- @tparam file out where to write, normally io.stderr
-- @tparam[opt] function resumed called with the bytes that are there, and all bytes, when a save goes on
-- @treturn function
function progress.start(mode, out, resumed)
   local last, before, shown = 0, 0, false
   core.progress(function(phase, done, total, seconds, there)
      if there > before and resumed then resumed(there, total) end
      last, before = seconds, there
      if mode == "terminal" then
         show_line(out, progress.line(phase, done, total, seconds, there))
         shown = true
      elseif mode == "json" then
         write_event(out, phase, done, total, seconds)
      end
   end)
   return function()
      core.progress(nil)
      if shown then out:write("\r\27[K") end
      return last, before
   end
end

return progress
