-- How much of what tuning changed is of low rank: stlua 10_low_rank.lua base tuned out 8
-- Writes the base plus the best change of that rank in each matrix, as a LoRA adapter would hold it.
local st = require "stlua"
local base, tuned, out, rank = ...
rank = math.tointeger(tonumber(rank))

st.map({ st.open(base), st.open(tuned) }, function(name, b, t)
   local delta = t - b
   local is_float = t:dtype():find("F", 1, true)              -- F16, BF16, F8_E4M3 ... but not I64
   if not is_float or t:ndim() ~= 2 or math.min(table.unpack(t:shape())) <= rank then return t end

   -- U (m, k), S (k), V (n, k), and a certificate whose second number is the share that is held.
   local u, s, v, certificate = delta:svd_lowrank(rank)
   print(("%-40s rank %d holds %5.1f %% of the change"):format(name, rank, 100 * certificate[2]))
   return b + (u * s):matmul(v:t())
end):save(out)
