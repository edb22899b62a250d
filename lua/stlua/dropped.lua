--- st.drop: what a callback of st.map returns to leave a tensor out.
-- Layer: Lua.

return setmetatable({}, { __name = "st.drop", __tostring = function() return "st.drop" end })
