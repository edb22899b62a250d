--- The kinds of adapters, by the suffixes of their tensors' names: a new one is a file in lua/stlua/lora/kinds and a
-- line here.
-- Layer: Lua, above stlua.core.
--
-- A kind: title; suffixes = { [suffix] = part }, parts of two kinds having two names; needs = the sets of parts of
-- which one must be there; rank(p) of the parts; unscaled where alpha / rank does not multiply. What it does to a
-- weight, one of
--    factors(p) -> B (out, r), A (r, in * k * k): B A is added; nil where delta is to be asked
--    delta(p) -> a tensor that is added, as large as the weight
--    apply(w, p, how) -> the new weight; how has strength, scale = alpha / rank, alpha, the module's name, config =
--    PEFT's, and invert = true for the weight that was there before
-- and apply_bias(b, p, how) where it does something to a bias. The part "bias_diff" is added to one, "whole_bias" takes
-- its place.

local kinds = { list = {} }

for _, id in ipairs { "low_rank", "loha", "lokr", "glora", "oft", "peft_oft", "peft_boft", "ia3", "difference",
   "whole" } do
   local kind = require("stlua.lora.kinds." .. id)
   kind.id = kind.id or id
   kinds.list[#kinds.list + 1] = kind
end

-- Of no kind alone: scale, and DoRA's magnitudes (arXiv 2402.09353).
local SHARED = {
   [".alpha"] = "alpha", [".dora_scale"] = "dora", [".lora_magnitude_vector"] = "dora",
   [".lora_magnitude_vector.weight"] = "dora", [".lora_magnitude_vector.default.weight"] = "dora",
   -- PEFT saves embeddings that an adapter is for with it, since their vocabulary may have grown.
   [".base_layer.weight"] = "base",
}

local suffixes = {}
local function add(list)
   for suffix, part in pairs(list) do suffixes[#suffixes + 1] = { suffix, part } end
end
add(SHARED)
for _, kind in ipairs(kinds.list) do add(kind.suffixes) end
table.sort(suffixes, function(a, b) return #a[1] > #b[1] or #a[1] == #b[1] and a[1] < b[1] end)

-- XLabs numbers the stream behind the module's name.
local function xlabs(name)
   local module, stream, side = name:match("^(.+%.processor%.%a+_lora)(%d?)%.(%a+)%.weight$")
   if module and (side == "down" or side == "up") and name:find("_blocks%.%d+%.processor") then
      return module .. stream, side
   end
end

--- The module and the part that a tensor's name means; nil for any other name.
-- @tparam string name
-- @treturn ?string module
-- @treturn ?string part
-- @treturn ?string suffix
function kinds.split(name)
   local module, part = xlabs(name)
   if module then return module, part, "." .. part .. ".weight" end
   for _, s in ipairs(suffixes) do
      local suffix = s[1]
      if #name > #suffix and name:sub(-#suffix) == suffix then return name:sub(1, -#suffix - 1), s[2], suffix end
   end
   return nil
end

--- The kind whose parts these are, or nil.
function kinds.of(parts)
   for _, kind in ipairs(kinds.list) do
      for _, set in ipairs(kind.needs) do
         local all = true
         for _, part in ipairs(set) do all = all and parts[part] ~= nil end
         if all then return kind end
      end
   end
   return nil
end

-- Parts that a module of any kind may have.
local ANY = { bias_diff = true, whole_bias = true }
for _, part in pairs(SHARED) do ANY[part] = true end

--- Whether a part is one of a kind, or may stand beside any.
function kinds.has_part(kind, part)
   if ANY[part] then return true end
   for _, own in pairs(kind.suffixes) do
      if own == part then return true end
   end
   for _, set in ipairs(kind.needs) do
      for _, own in ipairs(set) do
         if own == part then return true end
      end
   end
   return false
end

return kinds
