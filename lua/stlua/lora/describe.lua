--- What an adapter is: kind, format, architecture, ranks, training, and how strong it is where.
-- Layer: Lua, above stlua.core.

local adapter = require "stlua.lora.adapter"
local architectures = require "stlua.lora.architectures"
local core = require "stlua.core"
local factors = require "stlua.lora.factors"
local formats = require "stlua.lora.formats"
local reduce = require "stlua.reduce"
local spellings = require "stlua.lora.spellings"
local text = require "stlua.text"
local training = require "stlua.lora.training"

local describe = {}

local flat = spellings.flat

-- ---------------------------------------------------------------- parts and blocks

-- The part of a pipeline that a name means.
local function part_of(name, architecture)
   local n = name:match("^lora_te(%d?)_") or name:match("^text_encoder_?(%d?)[._]")
   if n then return (n == "" or n == "1") and "te" or "te" .. n end
   if name:find("clip_l") or name:find("^lycoris_text_model") then return "te" end
   if name:find("clip_g") then return "te2" end
   if name:find("t5xxl") then return "te3" end
   return (architecture == "llama" or not architecture) and "model" or "unet"
end

-- "down_blocks.1", "layers.12": the first number in the name and the word before it.
local function block_of(name, part)
   local rest = flat(name):gsub("^lora_%a+%d?_", ""):gsub("^lycoris_", ""):gsub("^base_model_model_", "")
      :gsub("^text_encoder_?%d?_", ""):gsub("^unet_", ""):gsub("^model_", ""):gsub("^diffusion_model_", "")
   if part == "unet" then rest = rest:gsub("^transformer_(%a+_)", "%1") end
   local word, number = rest:match("^([%a_]-)_(%d+)_")
   if not word then return rest:match("^(mid_block)_") or rest:match("^(middle_block)_") or "other", 0 end
   word = word:gsub("^text_model_encoder_", ""):gsub("^encoder_", "")
   return ("%s.%s"):format(word, number), math.tointeger(tonumber(number))
end

-- ---------------------------------------------------------------- strength

-- The squared norm of B A from the small matrices B'B and A A': the sum of their elementwise product.
local function squared_norm(m)
   local b, a = factors.of(m)
   if b then return reduce.sum(core.matmul(b:t(), b) * core.matmul(a, a:t())) end
   local whole = m.kind.delta and factors.whole(m)
   return whole and reduce.sum(whole * whole) or nil
end

-- Norms of the modules whose tensors are all finite, and the names of the tensors that are not.
local function measure(modules)
   local norms, bad, is_bad = {}, {}, {}
   for i, found in ipairs(adapter.not_finite(modules)) do is_bad[found[1]], bad[i] = true, found[2] end
   for i, m in ipairs(modules) do
      local square = not is_bad[m] and squared_norm(m)
      norms[i] = square and math.sqrt(math.max(square:item(), 0)) * math.abs(m.scale) or false
   end
   table.sort(bad)
   return norms, bad
end

-- ---------------------------------------------------------------- counting

-- { { value =, count = }, ... } by value.
local function histogram(values)
   local count, out = {}, {}
   for _, v in ipairs(values) do count[v] = (count[v] or 0) + 1 end
   for v, n in pairs(count) do out[#out + 1] = { value = v, count = n } end
   table.sort(out, function(a, b) return a.value < b.value end)
   return core.array(out)
end

local function kinds_of(modules)
   local out = {}
   for i, entry in ipairs(formats.by_kind(modules)) do out[i] = { kind = entry[1], count = #entry[2] } end
   return out
end

local ORDER = { unet = 1, model = 2, te = 3, te2 = 4, te3 = 5 }

-- Sums over parts and over their blocks, in order.
local function sums(modules, norms, architecture)
   local parts, blocks, by_key = {}, {}, {}
   for i, m in ipairs(modules) do
      local part = part_of(m.name, architecture)
      local block, number = block_of(m.name, part)
      for _, entry in ipairs { { parts, part, part }, { blocks, part .. " " .. block, part, block, number } } do
         local list, key = entry[1], entry[2]
         local sum = by_key[key]
         if not sum then
            sum = { part = entry[3], block = entry[4], number = entry[5], modules = 0, norm = 0, first = i }
            by_key[key] = sum
            list[#list + 1] = sum
         end
         sum.modules, sum.norm = sum.modules + 1, sum.norm + (norms[i] or 0) ^ 2
      end
   end
   local function before(a, b)
      local p, q = ORDER[a.part] or 9, ORDER[b.part] or 9
      if p ~= q then return p < q end
      if a.part ~= b.part then return a.part < b.part end
      local x, y = (a.block or ""):match("^[^.]*"), (b.block or ""):match("^[^.]*")
      if x ~= y then return x < y end
      return (a.number or 0) < (b.number or 0)
   end
   for _, list in ipairs { parts, blocks } do
      table.sort(list, before)
      for _, sum in ipairs(list) do sum.norm, sum.first = math.sqrt(sum.norm), nil end
   end
   return parts, blocks
end

-- ---------------------------------------------------------------- warnings

local function warnings_of(a, info, norms, bad)
   local out = {}
   local function warn(...) out[#out + 1] = (...):format(select(2, ...)) end
   for i, name in ipairs(bad) do
      if i <= 5 then warn("%s holds NaN or infinite values", text.quote(name)) end
   end
   if #bad > 5 then warn("... and %d more", #bad - 5) end
   local without, zero, large = 0, 0, 0
   for i, m in ipairs(a.modules) do
      if adapter.lacks_alpha(m) then without = without + 1 end
      if norms[i] == 0 then zero = zero + 1 end
      local down = m.parts.down
      local most = down and m.parts.up and math.min(down:numel() // m.rank, m.parts.up:shape()[1])
      if most and m.rank > most then large = large + 1 end
   end
   if without > 0 then warn("%s without alpha: the scale counts as 1", text.plural(without, "module")) end
   if zero > 0 then warn("%s without any effect", text.plural(zero, "module")) end
   if large > 0 then warn("%s of a rank above that of the matrix", text.plural(large, "module")) end
   local te = #info.parts > 0
   for _, part in ipairs(info.parts) do te = te and part.part:find("^te") ~= nil end
   if te then warn("text encoders only") end
   if #a.others > 0 then
      warn("%s of no module, such as %s", text.plural(#a.others, "tensor"), text.quote(a.others[1]))
   end
   return core.array(out)
end

-- ---------------------------------------------------------------- text

local function counted(list)
   local out = {}
   for i, e in ipairs(list) do
      local shown = type(e.value) == "number" and text.number(e.value) or e.value
      out[i] = #list == 1 and tostring(shown) or ("%s (%d)"):format(shown, e.count)
      if i == 12 and #list > 12 then
         out[i] = ("... and %d more"):format(#list - 11)
         break
      end
   end
   return table.concat(out, ", ")
end

local function shortened(s) return core.escape(#s > 160 and s:sub(1, 157) .. "..." or s) end

local WIDTH = 30

-- "down_blocks.0  ########    3.2": a bar for each block, the longest for the strongest.
local function bars(info)
   local rows, most = { { "part", "block", "modules", "norm", "" } }, 0
   for _, block in ipairs(info.blocks) do most = math.max(most, block.norm) end
   for _, block in ipairs(info.blocks) do
      local n = most > 0 and math.floor(WIDTH * block.norm / most + 0.5) or 0
      rows[#rows + 1] = { block.part, block.block, tostring(block.modules), ("%.4g"):format(block.norm), ("#"):rep(n) }
   end
   return text.columns(rows, { false, false, true, true, false })
end

local function training_lines(add, t)
   for _, field in ipairs(t.fields) do add(field.key, shortened(field.value)) end
   for _, trigger in ipairs(t.triggers) do add("trigger", shortened(trigger)) end
   local shown = {}
   for i, f in ipairs(t.folders) do
      shown[i] = ("%s (%s images, %s times)"):format(core.escape(f.name), f.images or "?", f.repeats or "?")
   end
   if #shown > 0 then add("data", table.concat(shown, ", ")) end
   shown = {}
   for i, tag in ipairs(t.tags) do shown[i] = ("%s (%g)"):format(core.escape(tag.tag), tag.count) end
   if #shown > 0 then
      local rest = t.tag_count > #shown and (" of %d"):format(t.tag_count) or ""
      add("tags", table.concat(shown, ", ") .. rest)
   end
end

-- { value, count } of the kinds, and "unet 722" for each part.
local function words_of(o)
   local kinds, parts = {}, {}
   for i, k in ipairs(o.kinds) do kinds[i] = { value = k.kind, count = k.count } end
   for i, p in ipairs(o.parts) do parts[i] = ("%s %d"):format(p.part, p.modules) end
   return kinds, table.concat(parts, ", ")
end

local function as_text(info)
   local rows = {}
   local function add(key, value) rows[#rows + 1] = { key, value } end
   local kinds, parts = words_of(info)
   add("adapter", info.label)
   add("kind", counted(kinds))
   add("format", info.format)
   add("for", info.title or "not known by its names")
   add("modules", ("%d: %s"):format(info.modules, parts))
   if #info.ranks > 0 then add("rank", counted(info.ranks)) end
   if #info.alphas > 0 then add("alpha", counted(info.alphas)) end
   add("norm", ("%.4g"):format(info.norm))
   training_lines(add, info.training)
   for _, w in ipairs(info.warnings) do add("warning", w) end
   return text.columns(rows, { false, false }) .. "\n\n" .. bars(info)
end

-- ---------------------------------------------------------------- public

--- What names and shapes tell of an adapter, without its values.
-- @tparam table a as adapter.of gives it
-- @treturn table label, format, kinds, architecture, title, modules, parts, ranks, alphas
function describe.overview(a)
   local ranks, alphas = {}, {}
   for _, m in ipairs(a.modules) do
      if m.rank then ranks[#ranks + 1] = m.rank end
      if m.rank and not m.kind.unscaled and m.alpha then alphas[#alphas + 1] = adapter.alpha(m) end
   end
   local id = architectures.of(a)
   local o = { label = a.label, format = formats.of(a), kinds = kinds_of(a.modules), architecture = id,
      title = id and architectures.title(id) or nil, modules = #a.modules, ranks = histogram(ranks),
      alphas = histogram(alphas) }
   o.parts = core.array {}
   for i, sum in ipairs((sums(a.modules, {}, id))) do o.parts[i] = { part = sum.part, modules = sum.modules } end
   return o
end

--- An overview as rows of a table for people.
-- @treturn {{string,string},...}
function describe.overview_rows(o)
   local kinds, parts = words_of(o)
   local rank = #o.ranks > 0 and ", rank " .. counted(o.ranks) or ""
   local alpha = #o.alphas > 0 and ", alpha " .. counted(o.alphas) or ""
   return { { "what", ("%s for %s%s%s"):format(counted(kinds), o.title or "a model that its names do not tell", rank,
      alpha) },
      { "format", o.format }, { "modules", ("%d: %s (stlua lora info measures them)"):format(o.modules, parts) } }
end

--- What a training program wrote down, as rows.
-- @tparam table t as training.of gives it
-- @treturn {{string,string},...}
function describe.training_rows(t)
   local rows = {}
   training_lines(function(key, value) rows[#rows + 1] = { key, value } end, t)
   return rows
end

--- What there is to know of an adapter. The strength of a module is the Frobenius norm of what it adds to the weight,
-- alpha / rank * B A, computed from the factors; of a part or block the root of the sum of squares. Of kinds that add
-- nothing (OFT, IA3, GLoRA, whole tensors) there is no norm, and of DoRA it is that of B A.
--
--     > lora = st.model { { "lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight", st.ones(2, 8, 3, 3) },
--     ..    { "lora_unet_down_blocks_0_resnets_0_conv1.lora_up.weight", st.ones(8, 2, 1, 1) } }
--     > t = st.lora.info(lora)
--     > t.format, t.title, t.norm
--     kohya   Stable Diffusion 1      48.0
-- @tparam string|model what a file, a folder, a model of its tensors
-- @treturn table label, format, kinds, architecture and title (nil where names do not tell), modules, parts, blocks,
--   ranks, alphas = lists of { value, count }, norm, training, warnings
-- @treturn string the same for people
-- @raise "format" for what is no adapter
function describe.info(what)
   local a = adapter.open(what)
   local norms, bad = measure(a.modules)
   local info, square = describe.overview(a), 0
   for i = 1, #a.modules do square = square + (norms[i] or 0) ^ 2 end
   local id = info.architecture
   info.norm = math.sqrt(square)
   info.parts, info.blocks = sums(a.modules, norms, id)
   info.training = training.of(a.metadata, a.config and not a.config.parts and a.config or nil)
   info.warnings = warnings_of(a, info, norms, bad)
   return info, as_text(info)
end

return describe
