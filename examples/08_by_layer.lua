-- A blend that changes from layer to layer: stlua 08_by_layer.lua a b out 0.2 0.8
-- The first layer takes 0.2 of b, the last one 0.8; what is in no layer takes the mean of the two.
local st = require "stlua"
local a, b, out, first, last = ...
first, last = tonumber(first), tonumber(last)
a, b = st.open(a), st.open(b)

local function layer_of(name) return tonumber(name:match("%.(%d+)%.")) end

local top = 0
for name in pairs(a) do top = math.max(top, layer_of(name) or 0) end

st.map({ a, b }, function(name, x, y)
   local layer = layer_of(name)
   local t = layer and first + (last - first) * layer / math.max(top, 1) or (first + last) / 2
   return st.lerp(x, y, t)
end):save(out)
