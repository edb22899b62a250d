--- Quantised layouts in plain words: what the core tells by names beside each other, told apart further by dtypes and
-- shapes; and what a file's own notes say.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"

local quantised = {}

local function is_gptq(model, use)
   local _, _, codes = model:info(use.first)
   local name = model:name(use.first):gsub("qweight$", "scales")
   local at = model:find(name)
   if not at or #codes ~= 2 then return nil end
   local _, _, scales = model:info(at)
   -- GPTQ packs eight rows into one, AWQ eight columns.
   return codes[2] == scales[2]
end

-- "nf4" or "fp4" of bitsandbytes, from the name of its state.
local function bnb_kind(model, use)
   local name = model:name(use.first)
   return model:find(name .. ".quant_state.bitsandbytes__fp4") and "fp4" or "nf4"
end

-- One row per layout that has several forms: a name for people.
local REFINE = {
   ["GPTQ or AWQ"] = function(model, use)
      local gptq = is_gptq(model, use)
      return gptq == nil and "GPTQ or AWQ" or gptq and "GPTQ" or "AWQ"
   end,
   ["bitsandbytes 4-bit"] = function(model, use) return "bitsandbytes " .. bnb_kind(model, use) end,
   ["scaled weight"] = function(_, use)
      if use.codes == "U8" then return "nvfp4" end
      if use.codes == "I8" then return "int8 with scales" end
      if use.codes:find("^F8_E4M3") and (use.scales == "U8" or use.scales == "F8_E8M0") then return "mxfp8" end
      return use.codes:find("^F8") and "scaled fp8" or "weights with scales"
   end,
}

-- What a comfy_quant tensor says: a small text in JSON.
local function comfy_format(model, use)
   local name = model:name(use.first):gsub("%.weight$", ".comfy_quant")
   local at = model:find(name)
   if not at then return nil end
   local t = model:tensor(at)
   if t:dtype() ~= "U8" or t:numel() > 65536 then return nil end
   local ok, value = pcall(function() return core.json_decode(t:bytes()) end)
   return ok and type(value) == "table" and type(value.format) == "string" and value.format or nil
end
REFINE.comfy_quant = function(model, use)
   return core.escape(comfy_format(model, use) or "ComfyUI's quantisation", 40)
end

-- Layers by format, as the header's own note tells.
local function noted(metadata)
   local s = metadata._quantization_metadata
   if not s or #s > 4 * 1024 * 1024 then return nil end
   local ok, value = pcall(core.json_decode, s)
   local layers = ok and type(value) == "table" and type(value.layers) == "table" and value.layers
   if not layers then return nil end
   local count = {}
   for _, layer in pairs(layers) do
      local format = type(layer) == "table" and type(layer.format) == "string" and layer.format or "unknown"
      count[format] = (count[format] or 0) + 1
   end
   local out = {}
   for format, n in pairs(count) do out[#out + 1] = { layout = core.escape(format, 40), weights = n } end
   table.sort(out, function(a, b) return a.layout < b.layout end)
   return out
end

--- The quantised layouts in a model.
-- @tparam {[string]=integer} dtypes tensors by dtype
-- @tparam {table,...} uses as model:_quants() gives them
-- @treturn {{layout=string,weights=integer},...} none for ordinary models
function quantised.of(model, metadata, dtypes, uses)
   local out, by_name = core.array {}, {}
   for _, use in ipairs(uses) do
      local refine = REFINE[use.layout]
      local layout = refine and refine(model, use) or use.layout
      if not by_name[layout] then
         by_name[layout] = { layout = layout, weights = 0 }
         out[#out + 1] = by_name[layout]
      end
      by_name[layout].weights = by_name[layout].weights + use.weights
   end
   if #out == 0 then out = core.array(noted(metadata) or {}) end
   if #out == 0 then
      for _, name in ipairs { "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ" } do
         if dtypes[name] then out[#out + 1] = { layout = "plain " .. name .. ", without scales",
            weights = dtypes[name] } end
      end
   end
   return out
end

return quantised
