--- sd-scripts' remarks in an adapter's header on what kind of network it is, and of which ranks: ss_network_module,
-- ss_network_dim, ss_network_alpha, and those of kernels in ss_network_args. One number where all modules agree.
-- Source: sd-scripts' train_network.py, extract_lora_from_models.py. Layer: Lua, above stlua.core.

local core = require "stlua.core"
local text = require "stlua.text"

local network = {}

local function common(modules, key)
   local only
   for _, m in ipairs(modules) do
      if only and only ~= m[key] then return "Dynamic" end
      only = m[key]
   end
   return only and text.number(only)
end

local function is_kernel(m)
   local shape = m.down:shape()
   return #shape > 2 and m.down:numel() > shape[1] * shape[2]
end

--- The remarks on modules.
-- @tparam {table,...} modules rank, alpha, down = the factor that is applied first
-- @tparam[opt] string args ss_network_args before
-- @treturn {[string]=string}
function network.remarks(modules, args)
   local plain, kernels = {}, {}
   for _, m in ipairs(modules) do table.insert(is_kernel(m) and kernels or plain, m) end
   local counted = #plain > 0 and plain or kernels
   local out = { ss_network_module = "networks.lora", ss_network_dim = common(counted, "rank"),
      ss_network_alpha = common(counted, "alpha"), ss_network_args = args }
   if #kernels > 0 then
      local ok, values = pcall(core.json_decode, args or "{}")
      values = ok and type(values) == "table" and values or {}
      values.conv_dim, values.conv_alpha = common(kernels, "rank"), common(kernels, "alpha")
      out.ss_network_args = core.json_encode(values)
   end
   return out
end

return network
