--- Where in a model a tensor stands, told by names alone: its block ("IN03", "layers.7") and its kind of layer
-- ("attn1.to_q", "mlp.down_proj"). The rows and columns of tables about models.
-- Layer: Lua, above stlua.core.

local blocks = require "stlua.blocks"
local checkpoint = require "stlua.checkpoint"

local anatomy = {}

--- The kind of what is a block by itself.
anatomy.ITSELF = "itself"

local function set(words)
   local t = {}
   for word in words:gmatch("%S+") do t[word] = true end
   return t
end

local MANY = 32      -- blocks without a number; more are put together

-- ---------------------------------------------------------------- kinds

-- Words that say nothing of what stands in them.
local CONTAINERS = set [[layers layer blocks block resblocks transformer_blocks model text_model transformer
   diffusion_model first_stage_model resnets encoder decoder]]

local function without_ending(name) return (name:gsub("%.weight$", ""):gsub("%.bias$", "")) end

-- Parts of a name without its numbers; one at the end, which says which layer it is, is told beside them.
local function parts_of(inner)
   local parts, number = {}, nil
   for part in inner:gmatch("[^.]+") do
      if part:find("%D") then
         parts[#parts + 1], number = part, nil
      else
         number = part
      end
   end
   return parts, number
end

-- The kind of layer: the last two words of what stands behind the block. A bias is of its weight's kind.
local function kind_of(rest)
   local parts, number = parts_of(without_ending(rest))
   if #parts == 0 then return anatomy.ITSELF end
   local last, before = parts[#parts], parts[#parts - 1]
   if number then last = last .. "." .. number end
   if not before or CONTAINERS[before] then return last end
   return before:gsub("_%d+$", "") .. "." .. last
end

-- ---------------------------------------------------------------- blocks

local function is_bare(rest) return rest == "weight" or rest == "bias" end

-- "model.layers.7.mlp.up_proj.weight" -> "model.layers", 7, "mlp.up_proj.weight": up to the first number. Adapters have
-- names with "_" in place of dots. The middle of a U-Net is one block.
local function numbered(name)
   local middle, inside = name:match("^(.-mid_block)[._](.*)$")
   if middle then return middle, nil, inside end
   local prefix, number, rest = name:match("^(.-)%.(%d+)%.(.*)$")
   if not prefix then
      prefix, number, rest = name:match("^([%w_]-)_(%d+)_(.*)$")
      rest = rest and rest:gsub("_%d+_", "_")
   end
   if not prefix or prefix == "" or #number > 9 or is_bare(rest) then return nil end
   return prefix, math.tointeger(tonumber(number)), rest
end

-- What has no number, such as an embedding, is a block by itself.
local function generic(name)
   local prefix, number, rest = numbered(name)
   if prefix then return prefix, number, kind_of(rest) end
   return without_ending(name), nil, anatomy.ITSELF
end

-- Where there are many of those the block is the first part of the name, or "top".
local function coarse(name)
   local prefix, number, rest = numbered(name)
   if prefix then return prefix, number, kind_of(rest) end
   local inner = without_ending(name)
   local first, after = inner:match("^([^.]+)%.(.+)$")
   return first or "top", nil, kind_of(after or inner)
end

-- And where that does not help all of them are one.
local function coarsest(name)
   local prefix, number, rest = numbered(name)
   if prefix then return prefix, number, kind_of(rest) end
   return "top", nil, anatomy.ITSELF
end

local function choose(names)
   for _, way in ipairs { generic, coarse } do
      local seen, count = {}, 0
      for _, name in ipairs(names) do
         local prefix, number = way(name)
         if not number and not seen[prefix] then seen[prefix], count = true, count + 1 end
      end
      if count <= MANY then return way end
   end
   return coarsest
end

-- What the block weights call BASE, by its parts.
local function base_block(name)
   if checkpoint.is_vae(name) then return "VAE" end
   if name:find("^cond_stage_model%.") or name:find("^conditioner%.") or name:find("^text_encoders?%.") then
      return "TEXT"
   end
   return "BASE"
end

local function by_architecture(arch)
   return function(name)
      local id = arch.block(name)
      if id == "BASE" then id = base_block(name) end
      if id == "BASE" then return id, nil, anatomy.ITSELF end
      local inside = name:match("diffusion_model%.(.*)$") or name
      local prefix, _, rest = numbered(inside)
      return id, nil, kind_of(prefix and rest or inside)
   end
end

-- ---------------------------------------------------------------- labels and order

local function words_of(prefix)
   local words = {}
   for word in prefix:gmatch("[^.]+") do words[#words + 1] = word end
   return words
end

-- The first word in which one of several paths differs from another, and the last: "clip_l.layers".
local function told_apart(prefix, group)
   local words = words_of(prefix)
   for i, word in ipairs(words) do
      for _, other in ipairs(group) do
         if words_of(other)[i] ~= word then
            return i < #words and word .. "." .. words[#words] or word
         end
      end
   end
   return words[#words] or prefix
end

-- Short names for the prefixes of blocks: the last word or two, where that is enough.
local function short_names(list)
   local groups, order, short, owner = {}, {}, {}, {}
   for _, block in ipairs(list) do
      local prefix = block.prefix
      local plain = block.number or prefix:find("mid_block$")
      local last = plain and prefix:match("[^.]*$") or kind_of(prefix)
      if not groups[last] then groups[last], order[#order + 1] = {}, last end
      if not groups[last][prefix] then
         groups[last][prefix] = true
         table.insert(groups[last], prefix)
      end
   end
   for _, last in ipairs(order) do
      local group = groups[last]
      for _, prefix in ipairs(group) do
         local name = #group == 1 and last or #group > MANY and prefix or told_apart(prefix, group)
         if owner[name] then name = prefix end
         short[prefix], owner[name] = name, prefix
      end
   end
   return short
end

-- What stands behind all layers of a model.
local LAST = { "norm", "lm_head", "head", "out", "ln_f", "final", "conv_norm_out", "conv_out", "proj_out", "score",
   "classifier", "pooler" }

local function is_last(prefix)
   local word = prefix:match("[^.]*$")
   for _, beginning in ipairs(LAST) do
      if word:sub(1, #beginning) == beginning then return true end
   end
   return false
end

-- Blocks in the order of a model: those of an architecture as their weights are ordered, others by name and number,
-- with what has no number in front or at the end.
local function order_of(list, arch)
   local place = {}
   for i, id in ipairs(arch and arch.ids or {}) do place[id] = i end
   local function rank(block)
      if arch then return place[block.prefix] or 1000 end
      return block.number and 1 or is_last(block.prefix) and 2 or 0
   end
   table.sort(list, function(x, y)
      local p, q = rank(x), rank(y)
      if p ~= q then return p < q end
      if x.prefix ~= y.prefix then return x.prefix < y.prefix end
      return (x.number or -1) < (y.number or -1)
   end)
end

--- The blocks and kinds of the tensors of some names.
-- @tparam {string,...} names
-- @tparam[opt] model model whose names tell the architecture (Stable Diffusion, Flux); others have generic blocks
-- @treturn function name -> block, kind
-- @treturn {string,...} blocks in their order
-- @treturn {string,...} kinds, sorted
function anatomy.of(names, model)
   local arch = model and blocks.architecture(model)
   local place_of, found = arch and by_architecture(arch) or choose(names), {}
   local list, by_key, kinds = {}, {}, {}
   for _, name in ipairs(names) do
      local prefix, number, kind = place_of(name)
      local key = number and prefix .. "." .. number or prefix
      local block = by_key[key]
      if not block then
         block = { prefix = prefix, number = number }
         by_key[key], list[#list + 1] = block, block
      end
      found[name] = { block, kind }
      if not kinds[kind] then kinds[kind], kinds[#kinds + 1] = true, kind end
   end
   order_of(list, arch)
   local short, labels = short_names(list), {}
   for i, block in ipairs(list) do
      block.label = short[block.prefix] .. (block.number and "." .. block.number or "")
      labels[i] = block.label
   end
   table.sort(kinds)
   return function(name) return found[name][1].label, found[name][2] end, labels, kinds
end

return anatomy
