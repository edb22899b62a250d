#!/usr/bin/env stlua
-- pack_speed.lua - seconds that packing and unpacking a file take, and the bytes they give; and decoding alone, of
-- which nothing is written.
--
--     ./stlua tests/bench/pack_speed.lua FILE FOLDER [BASE]
local st = require "stlua"
local core = require "stlua.core"

local path, folder, base = arg[1], arg[2], arg[3]
local packed, back = folder .. "/speed.packed", folder .. "/speed.back"

-- As often as the peer (zipnn_peer.py).
local TIMES = core.stat(path).size < 1 << 28 and 5 or 2

-- The least of so many calls.
local function timed(name, fn)
   local least, bytes = math.huge, nil
   for _ = 1, TIMES do
      os.remove(name == "pack" and packed or back)
      local start = core.clock()
      bytes = fn()
      least = math.min(least, core.clock() - start)
   end
   print(("%s\t%.6f\t%d"):format(name, least, bytes))
end

for _ = 1, 2 do      -- the first touch of the disk's memory does not count
   os.remove(packed)
   os.remove(back)
   st.pack(path, { output = packed, sync = false, base = base })
   st.unpack(packed, { output = back, sync = false, base = base })
end
timed("pack", function() return select(2, st.pack(path, { output = packed, sync = false, base = base })).after end)
timed("unpack", function() return select(2, st.unpack(packed, { output = back, sync = false, base = base })) end)
os.remove(back)
timed("decode", function()
   return st.verify(packed, { values = false, base = base }).files[1].total
end)
os.remove(packed)
