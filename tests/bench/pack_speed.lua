#!/usr/bin/env stlua
-- pack_speed.lua - seconds that packing and unpacking a file take, and the bytes they give; and decoding alone, of
-- which nothing is written.
--
--     ./stlua tests/bench/pack_speed.lua FILE FOLDER [BASE]
local st = require "stlua"
local core = require "stlua.core"

local path, folder, base = arg[1], arg[2], arg[3]
local packed, back = folder .. "/speed.packed", folder .. "/speed.back"

local function timed(name, fn)
   local start = core.clock()
   local bytes = fn()
   print(("%s\t%.6f\t%d"):format(name, core.clock() - start, bytes))
end

for _ = 1, 2 do      -- the first touch of the disk's memory does not count
   os.remove(packed)
   os.remove(back)
   st.pack(path, { output = packed, sync = false, base = base })
   st.unpack(packed, { output = back, sync = false, base = base })
end
os.remove(packed)
timed("pack", function() return select(2, st.pack(path, { output = packed, sync = false, base = base })).after end)
os.remove(back)
timed("unpack", function() return select(2, st.unpack(packed, { output = back, sync = false, base = base })) end)
os.remove(back)
timed("decode", function() return st.verify(packed, { values = false, base = base }).files[1].total end)
os.remove(packed)
