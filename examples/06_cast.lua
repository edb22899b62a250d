-- A smaller model, but for tensors that must stay exact: stlua 06_cast.lua in out F8_E4M3 norm lm_head
local st = require "stlua"
local path, out, dtype = ...
local except = { select(4, ...) }

local before = st.open(path)
local after = before:cast(dtype, { except = except, saturate = true })      -- integers are never cast
after:save(out)

-- What the cast costs: the largest and the relative error of each tensor that changed, in one pass.
print(st.diff(before, st.open(out)))
