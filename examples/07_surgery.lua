-- Two tuned models on one base, tensor by tensor: stlua 07_surgery.lua base math code out
local st = require "stlua"
local base, math, code, path = ...

-- The function is called once per name, while planning, with tensors that are not read yet.
local out = st.map({ st.open(base), st.open(math), st.open(code) }, function(name, b, m, c)
   if name:find("norm", 1, true) then return b end              -- untouched: its bytes are copied
   if name:find("lm_head", 1, true) then return st.drop end     -- left out
   return b + 0.6 * (m - b) + 0.4 * (c - b)                     -- one fused pass, no temporaries
end)
print(out)                                                      -- shapes, dtypes and size are known now
out:save(path, { dtype = "BF16" })
