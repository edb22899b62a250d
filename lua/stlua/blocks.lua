--- Block weights of diffusion models: which block a tensor belongs to, and one number for each block.
-- Layer: Lua, above stlua.core.

local errors = require "stlua.errors"
local map = require "stlua.map"
local pattern = require "stlua.pattern"
local presets = require "stlua.block_presets"
local text = require "stlua.text"

local blocks = {}

-- ---------------------------------------------------------------- architectures

local function series(list, prefix, first, last)
   for i = first, last do list[#list + 1] = ("%s%02d"):format(prefix, i) end
   return list
end

local function unet_blocks(last)
   local list = series({ "BASE" }, "IN", 0, last)
   list[#list + 1] = "M00"
   return series(list, "OUT", 0, last)
end

local FLUX = series(series({ "CLIP", "T5", "IN" }, "D", 0, 18), "S", 0, 37)
FLUX[#FLUX + 1] = "OUT"

-- The U-Nets of Stable Diffusion. time_embed is the first block in supermerger and meh, BASE in sd-mecha.
local function unet_block(last)
   return function(name)
      local inside = name:match("diffusion_model%.(.*)$") or name
      if inside:find("^time_embed") or inside:find("^label_emb") then return "IN00" end
      if inside:find("^out%.") then return ("OUT%02d"):format(last) end
      local kind, number = inside:match("^(%w+)_blocks?%.(%d+)%.")
      if kind == "input" then return ("IN%02d"):format(tonumber(number)) end
      if kind == "output" then return ("OUT%02d"):format(tonumber(number)) end
      if kind == "middle" then return "M00" end
      if last == 8 and name:find("^first_stage_model%.") then return "VAE" end
      return "BASE"
   end
end

local function flux_block(name)
   if name:find("vae", 1, true) then return "VAE" end
   if name:find("t5xxl", 1, true) then return "T5" end
   if name:find("text_encoders.clip", 1, true) then return "CLIP" end
   local kind, number = name:match("(%w+)_blocks%.(%d+)%.")
   if kind == "double" then return ("D%02d"):format(tonumber(number)) end
   if kind == "single" then return ("S%02d"):format(tonumber(number)) end
   if name:find("final_layer", 1, true) then return "OUT" end
   return "IN"
end

local ARCHITECTURES = {
   sd = { name = "Stable Diffusion 1 or 2", ids = unet_blocks(11), block = unet_block(11) },
   sdxl = { name = "Stable Diffusion XL", ids = unet_blocks(8), block = unet_block(8), more = { "VAE" } },
   flux = { name = "Flux", ids = FLUX, block = flux_block, more = { "VAE" } },
}

--- The architecture of a model, told by its names.
-- @return nil for others; else a table with name, ids (in the order of the weights), block = function(name) -> id
function blocks.architecture(model)
   local unet, deep = false, false
   for i = 1, model:count() do
      local name = model:name(i)
      if name:find("double_blocks.", 1, true) then return ARCHITECTURES.flux end
      unet = unet or name:find("input_blocks.0.", 1, true) ~= nil
      deep = deep or name:find("input_blocks.11.", 1, true) ~= nil
   end
   return unet and (deep and ARCHITECTURES.sd or ARCHITECTURES.sdxl) or nil
end

-- ---------------------------------------------------------------- reading

local function refuse(format, ...) errors.throw("arg", "block weights: " .. format:format(...)) end

local function place_of(arch)
   local place = {}
   for i, id in ipairs(arch.ids) do place[id] = i end
   for i, id in ipairs(arch.more or {}) do place[id] = #arch.ids + i end
   return place
end

local function all_ids(arch)
   return table.move(arch.more or {}, 1, #(arch.more or {}), #arch.ids + 1, { table.unpack(arch.ids) })
end

-- Blocks named by "IN00", "IN00-IN03" or "OUT*": a set.
local function block_set(arch, word)
   local place, ids, set = place_of(arch), all_ids(arch), {}
   local first, last = word:match("^(%w+)%-(%w+)$")
   if first and place[first] and place[last] then
      if place[first] > place[last] then refuse("%s runs backwards", text.quote(word)) end
      for i = place[first], place[last] do set[ids[i]] = true end
      return set
   end
   local test = pattern.compile(word)
   for _, id in ipairs(ids) do
      if id == word or (word:find("[*?]") and test(id)) then set[id] = true end
   end
   if not next(set) then
      refuse("%s has no block %s%s (it has %s)", arch.name, text.quote(word), text.did_you_mean(word, ids),
         table.concat(ids, " "))
   end
   return set
end

-- As many numbers as blocks; without the first, which is the base (or, of Flux, CLIP); 26 for SDXL, of which the
-- deeper blocks are left out, as supermerger does; 21 with the VAE.
local function add_list(arch, weights, list)
   local ids, n = arch.ids, #arch.ids
   if n == 20 and (#list == 26 or #list == 25) then
      local short = #list == 26 and { list[1] } or {}
      local from = #list - 25
      table.move(list, from + 1, from + 9, #short + 1, short)
      table.move(list, from + 13, from + 22, #short + 1, short)
      list = short
   end
   local skipped = #list == n - 1 and 1 or 0
   if #list ~= n - skipped and not (arch.more and #list == n + #arch.more) then
      refuse("%d numbers for %s, which has %d blocks (%s .. %s)", #list, arch.name, n, ids[1], ids[n])
   end
   local all = all_ids(arch)
   for i, w in ipairs(list) do weights[all[i + skipped]] = w end
   -- A VAE without a number of its own goes with the base.
   if n == 20 and #list <= n then weights.VAE = weights.BASE end
end

local function number_of(word, item)
   local w = tonumber(word)
   if not w or w ~= w or math.abs(w) == math.huge then
      refuse("%s: %s is not a number", text.quote(item), text.quote(word))
   end
   return w
end

-- "IN04 NOT attn" -> the words, and whether they are excluded.
local function words_of(part)
   local rest, list = part:match("^%s*NOT%s+(.*)$"), {}
   for word in (rest or part):gmatch("%S+") do list[#list + 1] = word end
   return list, rest ~= nil
end

-- BLOCKS:ELEMENTS:RATIO -> { blocks = set or nil, elements, not_blocks, not_elements, ratio }.
local function elemental(arch, item)
   local where, what, ratio = item:match("^([^:]*):([^:]*):([^:]*)$")
   if not where then refuse("%s: write BLOCKS:ELEMENTS:RATIO, such as OUT03 OUT04:attn1:0.5", text.quote(item)) end
   local rule = { ratio = number_of(ratio, item) }
   local named
   named, rule.not_blocks = words_of(where)
   rule.elements, rule.not_elements = words_of(what)
   for _, word in ipairs(named) do
      rule.blocks = rule.blocks or {}
      for id in pairs(block_set(arch, word)) do rule.blocks[id] = true end
   end
   return rule
end

local function applies(rule, id, name)
   if rule.blocks and (rule.blocks[id] ~= nil) == rule.not_blocks then return false end
   if #rule.elements == 0 then return true end
   local found = false
   for _, element in ipairs(rule.elements) do found = found or name:find(element, 1, true) ~= nil end
   return found ~= rule.not_elements
end

-- The items of a text: numbers first, then presets, patterns and elements in their order.
local function read_text(arch, spec)
   local weights, rules, numbers, others = {}, {}, {}, {}
   for item in (spec:gsub("\n", ",") .. ","):gmatch("%s*(.-)%s*,") do
      if tonumber(item) and #others == 0 then
         numbers[#numbers + 1] = number_of(item, item)
      elseif item ~= "" then
         others[#others + 1] = item
      end
   end
   if #numbers > 0 then add_list(arch, weights, numbers) end
   for _, item in ipairs(others) do
      local word, value = item:match("^([^=:]+)=([^=:]+)$")
      if presets[item] then
         add_list(arch, weights, presets[item])
      elseif word then
         for id in pairs(block_set(arch, word:match("^%s*(.-)%s*$"))) do weights[id] = number_of(value, item) end
      elseif item:find(":", 1, true) then
         rules[#rules + 1] = elemental(arch, item)
      else
         local names = {}
         for name in pairs(presets) do names[#names + 1] = name end
         table.sort(names)
         refuse("no preset %s%s (presets: %s)", text.quote(item), text.did_you_mean(item, names),
            table.concat(names, " "))
      end
   end
   if not next(weights) and #rules == 0 then refuse("give numbers, a preset, or BLOCK=NUMBER") end
   return weights, rules
end

-- A table: a list of numbers, or patterns and their numbers, of which no two may be about one block.
local function read_table(arch, spec)
   local weights, owner = {}, {}
   if #spec > 0 then
      for i, w in ipairs(spec) do
         if type(w) ~= "number" then refuse("number %d is a %s", i, type(w)) end
      end
      add_list(arch, weights, spec)
      return weights, {}
   end
   for word, w in pairs(spec) do
      if type(word) ~= "string" or type(w) ~= "number" then refuse("a table holds numbers by blocks") end
      for id in pairs(block_set(arch, word)) do
         if owner[id] then refuse("%s and %s are both about %s", text.quote(owner[id]), text.quote(word), id) end
         weights[id], owner[id] = w, word
      end
   end
   return weights, {}
end

--- A number for each tensor of a diffusion model, by the block it belongs to: for any parameter of st.merge that takes
-- a function. Blocks of Stable Diffusion 1 and 2 are BASE, IN00-IN11, M00, OUT00-OUT11; of XL BASE, IN00-IN08, M00,
-- OUT00-OUT08, VAE; of Flux CLIP, T5, IN, D00-D18, S00-S37, OUT, VAE.
-- @tparam model model any of the models that are merged; its names tell the architecture
-- @tparam string|table spec numbers in the order of the blocks, all of them or all but the first; the name of a
--   preset, such as "GRAD_V"; "IN00-IN03=0.2,OUT*=0.7"; BLOCKS:ELEMENTS:RATIO as supermerger has it, such as
--   "OUT03 OUT04:attn1:0.5"; or several of these, of which the last that applies holds. A table is a list of numbers,
--   or { ["IN*"] = 0.2 }
-- @treturn function name -> number, or nil for a block that the spec does not name
-- @raise "arg" for a model of another kind, a block that it has not, or a number of weights that does not fit
function blocks.block_weights(model, spec)
   if not map.is_model(model) then errors.throwf("arg", "st.block_weights: a model expected, got a %s", type(model)) end
   if type(spec) ~= "string" and type(spec) ~= "table" then
      errors.throwf("arg", "st.block_weights: a text or a table expected, got a %s", type(spec))
   end
   local arch = blocks.architecture(model)
   if not arch then refuse("this is no Stable Diffusion 1, 2, XL or Flux model: no input_blocks or double_blocks") end
   local weights, rules = (type(spec) == "string" and read_text or read_table)(arch, spec)
   return function(name)
      local id = arch.block(name)
      local w = weights[id]
      for _, rule in ipairs(rules) do
         if applies(rule, id, name) then w = rule.ratio end
      end
      return w
   end
end

return blocks
