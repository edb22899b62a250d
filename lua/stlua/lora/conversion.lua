--- Adapters from one program's spelling into another's: names, what says the scale, matrices whole or in parts. Nothing
-- is computed where both have the same matrices.
-- Layer: Lua, above stlua.core.

local adapter = require "stlua.lora.adapter"
local architectures = require "stlua.lora.architectures"
local core = require "stlua.core"
local errors = require "stlua.errors"
local formats = require "stlua.lora.formats"
local fused = require "stlua.lora.fused"
local lineage = require "stlua.lineage"
local making = require "stlua.make"
local map = require "stlua.map"
local meta = require "stlua.meta"
local peft = require "stlua.lora.peft"
local spellings = require "stlua.lora.spellings"
local text = require "stlua.text"
local write = require "stlua.lora.write"

local convert = {}

local flat = spellings.flat

-- ---------------------------------------------------------------- places

-- A part's rows of names by the original name and by the others: XLabs' come last and have none of the first.
local function tables_of(part)
   if part.originals then return part.originals, part.others end
   part.originals, part.others = {}, {}
   for _, row in ipairs(part.rows) do
      part.originals[row[1]] = part.originals[row[1]] or row
      for i = 2, #row do part.others[row[i]] = part.others[row[i]] or { row = row, index = i - 1 } end
   end
   return part.originals, part.others
end

-- What a name means: all of an original module, part `index` of it, or its attention alone.
local function locate(place)
   local originals, others = tables_of(place.part)
   local hit = others[place.path]
   if not hit then
      return { part = place.part, original = place.path, row = originals[place.path], style = "original" }
   end
   local row = hit.row
   return { part = place.part, original = row[1], row = originals[row[1]], style = "diffusers",
      index = #row > 2 and hit.index or nil, attention = row.attention_rows }
end

-- The fallback for models that no table knows: names with dots say themselves where they belong.
local function dotted(a, to)
   local out = {}
   for i, m in ipairs(a.modules) do
      local name = m.written or m.name
      local path = name:match("^base_model%.model%.(.+)$") or name:match("^diffusion_model%.(.+)$") or name
      if not path:find(".", 1, true) or to == "diffusers" then return nil end
      out[i] = { name = to == "kohya" and "lora_unet_" .. flat(path) or "base_model.model." .. path, module = m }
   end
   return out
end

local function unknown(a, missing, names, id, given)
   local why = "of a model that is not known by its names: give it (--model, opts.model):"
   if given then
      why = "that the model has not:"
   elseif id then
      why = ("of no name that %s has: give the model (--model, opts.model):"):format(architectures.title(id))
   end
   local lost = {}
   for i, m in ipairs(missing) do lost[i] = { name = m.name, near = true } end
   errors.throw("name", ("%s: %s %s\n%s"):format(a.label, text.plural(#missing, "module"), why,
      spellings.lost(names, lost)))
end

-- The names to go by: the model's, else those of the architecture that the adapter seems to be for.
local function names_for(a, model)
   if model then return spellings.of(model) end
   local id = architectures.of(a)
   return id and architectures.spellings(id, a.modules) or nil, id
end

-- ---------------------------------------------------------------- refusing

local COMMON = { down = true, up = true, alpha = true }
local HINT = ": `stlua lora resize` makes LoRA of it"

-- Why a module cannot be written in a format, or nil.
local function obstacle(m, to)
   local kind = m.kind.id
   if kind ~= "lora" then
      if to == "kohya" and not (m.parts.l or m.name:find("^base_model%.")) then return nil end
      if to == "peft" and kind == "whole" then return nil end
      local expands = kind == "loha" or kind == "lokr" or kind == "difference"
      return ("%s has no form in format %s%s"):format(m.kind.title, to, expands and HINT or "")
   end
   if m.parts.embedding_down and to ~= "peft" then
      return ("LoRA of an embedding has no form in format %s"):format(to)
   end
   if m.parts.mid and to ~= "kohya" then return ("a middle tensor has no form in format %s%s"):format(to, HINT) end
   if m.transposed and to ~= "peft" then return ("factors of the transpose have no form in format %s"):format(to) end
   if m.parts.whole_bias and (to ~= "peft" or m.suffixes.whole_bias ~= ".base_layer.bias") then
      return ("a whole bias beside LoRA has no form in format %s"):format(to)
   end
   if m.parts.bias_diff and (to == "kohya" or m.suffixes.bias_diff ~= ".lora_B.bias") then
      return ("a bias beside LoRA has no form in format %s"):format(to)
   end
end

local function check_kinds(a, to)
   local reasons, list = {}, {}
   for _, m in ipairs(a.modules) do
      local why = obstacle(m, to)
      if why then
         if not reasons[why] then
            reasons[why] = {}
            list[#list + 1] = why
         end
         table.insert(reasons[why], m)
      end
   end
   if #list == 0 then return end
   for i, why in ipairs(list) do list[i] = ("%s: %s: %s"):format(a.label, why, formats.listed(reasons[why])) end
   errors.throw("format", table.concat(list, "\n"))
end

-- ---------------------------------------------------------------- converting

-- DoRA's magnitudes: a vector in PEFT, with the weight's dimensions in kohya's programs.
local function magnitudes(m, to)
   local d = m.parts.dora
   if not d then return nil end
   local rows, conv = m.parts.up:shape()[1], m.parts.down:ndim() == 4
   if adapter.by_column(m) or d:numel() ~= rows then
      errors.throw("format", ("%s: magnitudes by column (%s) have no form in format peft"):format(text.quote(m.name),
         text.shape(d:shape())))
   end
   if to == "kohya" then return conv and d:reshape(rows, 1, 1, 1) or d:reshape(rows, 1) end
   return conv and d:reshape(1, rows, 1, 1) or d:reshape(rows)
end

-- A module under another name, its tensors untouched.
local function renamed(m, name, to)
   if m.parts.embedding_down then
      return { name = name, up = m.parts.embedding_down:t(), down = m.parts.embedding_up:t(), rank = m.rank,
         alpha = adapter.alpha(m), embedding = true, base = m.parts.base, dora = m.parts.dora }
   end
   return { name = name, up = m.parts.up, down = m.parts.down, mid = m.parts.mid, rank = m.rank,
      alpha = adapter.alpha(m), alpha_tensor = m.parts.alpha, dora = m.parts.dora and magnitudes(m, to),
      bias = m.parts.bias_diff, whole_bias = m.parts.whole_bias }
end

local function factors(m)
   return { up = m.parts.up, down = m.parts.down, rank = m.rank, alpha = adapter.alpha(m) }
end

-- Joining and splitting is for plain matrices.
local function check_plain(m, a)
   local plain = m.kind.id == "lora" and m.parts.down and m.parts.down:ndim() == 2
   for part in pairs(m.parts) do plain = plain and COMMON[part] end
   if plain then return end
   errors.throw("format", ("%s: %s: %s cannot be split or joined (only plain LoRA of a matrix): %s"):format(a.label,
      text.quote(m.name), formats.kind_of(m), adapter.shapes(m)))
end

local BY_ROWS = { up = true, diff = true, bias_diff = true, whole = true, whole_bias = true }

-- A module of a matrix whose halves stand in the other order: LoRA, differences and whole tensors have them as rows.
local function swapped(m, a)
   if m.kind.id ~= "difference" and m.kind.id ~= "whole" then check_plain(m, a) end
   local parts = {}
   for part, t in pairs(m.parts) do parts[part] = BY_ROWS[part] and fused.swap_halves(t) or t end
   return setmetatable({ parts = parts }, { __index = m })
end

local function check_rows(m, want, a)
   local rows = m.parts.up:shape()[1]
   if rows ~= want then
      errors.throw("shape", ("%s: %s has %d rows, the model %d there"):format(a.label, text.quote(m.name), rows, want))
   end
end

local function sum(list, n)
   local s = 0
   for i = 1, n or #list do s = s + list[i] end
   return s
end

-- All that an adapter has for one original module: `entries`, each a module and what its name means.
local function group(list)
   local groups, by_key = {}, {}
   for _, entry in ipairs(list) do
      local key = entry.at.part.prefix .. "\0" .. entry.at.original
      local g = by_key[key]
      if not g then
         g = { part = entry.at.part, original = entry.at.original, row = entry.at.row, entries = {} }
         by_key[key] = g
         groups[#groups + 1] = g
      end
      g.entries[#g.entries + 1] = entry
   end
   return groups
end

local Job = {}
Job.__index = Job

function Job:name(part, path)
   local prefix = self.names:prefix(part, self.to)
   return self.to == "kohya" and prefix .. flat(path) or prefix .. path
end

function Job:add(m) self.modules[#self.modules + 1] = m end

-- A module of any kind under another name.
function Job:carry(m, name)
   if m.kind.id == "lora" then return self:add(renamed(m, name, self.to)) end
   local parts = {}
   for part in pairs(m.parts) do parts[#parts + 1] = part end
   table.sort(parts)
   for _, part in ipairs(parts) do self.others[#self.others + 1] = { name .. m.suffixes[part], m.parts[part] } end
end

-- One module to one: other names, and halves in the other order where the styles differ in that.
function Job:rename(g, entry, style)
   local m = entry.module
   local path = style == "diffusers" and g.row and g.row[2] or g.original
   if g.row and g.row.halves_swapped and entry.at.style ~= style then m = swapped(m, self.adapter) end
   self:carry(m, self:name(g.part, path))
end

-- Parts of a matrix as the whole.
function Job:join(g)
   local counts, parts = self.names:part_rows(g.part, g.row), {}
   for _, entry in ipairs(g.entries) do
      check_plain(entry.module, self.adapter)
      check_rows(entry.module, counts[entry.at.index], self.adapter)
      parts[entry.at.index] = factors(entry.module)
   end
   local m = fused.join(parts, counts)
   m.name = self:name(g.part, g.original)
   self:add(m)
end

-- A whole matrix in parts; of XLabs' single blocks the first three.
function Job:split(g, entry)
   local counts = self.names:part_rows(g.part, g.row)
   if entry.at.attention then counts = { table.unpack(counts, 1, 3) } end
   check_plain(entry.module, self.adapter)
   check_rows(entry.module, sum(counts), self.adapter)
   local parts, shared = fused.split(factors(entry.module), counts)
   self.shared = self.shared + (shared and 1 or 0)
   for i = 1, #counts do
      if parts[i] then
         parts[i].name = self:name(g.part, g.row[i + 1])
         self:add(parts[i])
      end
   end
end

-- XLabs' attention of a single block as the matrix that it is the first rows of.
function Job:pad(g, entry)
   local counts, m = self.names:part_rows(g.part, g.row), entry.module
   check_plain(m, self.adapter)
   check_rows(m, sum(counts, 3), self.adapter)
   local out = renamed(m, self:name(g.part, g.original), self.to)
   out.up = core.cat({ out.up, making.zeros(counts[4], m.rank, { dtype = out.up:dtype() }) }, 1)
   self:add(out)
end

local function clash(g, a)
   local modules = {}
   for i, entry in ipairs(g.entries) do modules[i] = entry.module end
   errors.throw("name", ("%s: several modules for %s: %s"):format(a.label, text.quote(g.original),
      formats.listed(modules)))
end

function Job:group(g)
   local _, style = self.names:prefix(g.part, self.to)
   local in_parts, first, seen = g.row and #g.row > 2, g.entries[1], {}
   for _, entry in ipairs(g.entries) do
      local index = entry.at.index or 0
      if seen[index] or seen[0] or index == 0 and next(seen) then clash(g, self.adapter) end
      seen[index] = true
   end
   if in_parts and style == "original" then
      if first.at.index then return self:join(g) end
      if first.at.attention then return self:pad(g, first) end
   elseif in_parts and not first.at.index then
      return self:split(g, first)
   elseif in_parts then
      for _, entry in ipairs(g.entries) do
         self:carry(entry.module, self:name(g.part, g.row[entry.at.index + 1]))
      end
      return
   end
   self:rename(g, first, style)
end

-- Groups of places, all of them with a name in the format.
local function place_all(a, names, id, to, given)
   local list, missing, unnamed, parts = {}, {}, {}, {}
   for _, m in ipairs(a.modules) do
      local place = names:place(m)
      if not place then
         missing[#missing + 1] = m
      elseif not names:prefix(place.part, to) then
         unnamed[#unnamed + 1] = m
      else
         parts[place.part] = true
         list[#list + 1] = { module = m, at = locate(place) }
      end
   end
   if #missing > 0 then unknown(a, missing, names, id, given) end
   if #unnamed > 0 then
      errors.throw("name", ("%s: format %s has no names for %s: %s%s"):format(a.label, to,
         text.plural(#unnamed, "module"), formats.listed(unnamed),
         to == "peft" and " (a folder of PEFT is for one model: convert to diffusers)" or ""))
   end
   if to == "peft" and next(parts, next(parts)) then
      errors.throw("format", ("%s: a PEFT folder is for one model, this adapter for several (diffusion model, text "
         .. "encoders): convert to diffusers"):format(a.label))
   end
   return group(list)
end

-- ---------------------------------------------------------------- public

--- The modules of an adapter as write.model takes them.
-- @tparam table a as adapter.of gives it
-- @tparam string to
-- @tparam[opt] model model
-- @treturn {table,...} modules
-- @treturn {{string,tensor},...} other tensors
-- @treturn {string,...} notes
function convert.modules(a, to, model)
   check_kinds(a, to)
   local names, id = names_for(a, model)
   local job = setmetatable({ adapter = a, names = names, to = to, modules = {}, others = {}, shared = 0 }, Job)
   local plain = not names and dotted(a, to)
   if plain then
      for _, entry in ipairs(plain) do job:carry(entry.module, entry.name) end
   elseif not names then
      unknown(a, a.modules)
   else
      for _, g in ipairs(place_all(a, names, id, to, model ~= nil)) do job:group(g) end
   end
   local notes = {}
   for i, name in ipairs(a.others) do
      job.others[#job.others + 1] = { name, a.model:get(name) }
      if i == 1 then notes[1] = text.plural(#a.others, "tensor") .. " of no module: kept as they are" end
   end
   if job.shared > 0 then
      notes[#notes + 1] = text.plural(job.shared, "module") .. " with one A for all parts: each part has a copy"
   end
   return job.modules, job.others, notes
end

--- The metadata that go on, with the configuration that came with the adapter unless it is as it would be made anew.
function convert.metadata(a)
   local out = {}
   for key, value in pairs(a.metadata) do out[key] = value end
   if a.config_text then out[peft.KEY] = a.config_text end
   local modules = {}
   for i, m in ipairs(a.modules) do
      if not m.rank then return out end
      modules[i] = { name = m.name, rank = m.rank, alpha = adapter.alpha(m), dora = m.parts.dora,
         bias = adapter.is_bias_scaled(m) and m.parts.bias_diff or nil }
   end
   for key, format in pairs { [peft.KEY] = "peft", [peft.DIFFUSERS_KEY] = "diffusers" } do
      if out[key] and write.is_plain(format, modules, out[key]) then out[key] = nil end
   end
   return out
end

--- An opened adapter as a model in a format.
function convert.of(a, to, model)
   local modules, others, notes = convert.modules(a, to, model)
   local metadata = convert.metadata(a)
   meta.drop_hashes(metadata)
   local out = write.model(modules, to, metadata, others)
   return lineage.derived(out, { a.model }, { call = "lora.convert" }, { notes = notes })
end

--- An adapter in another program's spelling: kohya's (ComfyUI, A1111, `lora_unet_...`), diffusers' or PEFT's. Matrices
-- that one has whole and the other in parts (Flux, SD 3) are split and joined; the scale goes into `.alpha` tensors,
-- `lora_adapter_metadata` or `adapter_config.json`. There and back gives the same bytes.
--
-- Names with underscores are read by the rules of the architecture that they seem to be of (Stable Diffusion 1, 2 and
-- XL, Flux, SD 3, Qwen-Image, Wan, Z-Image, language models); for others a model must tell.
--
--     > lora = st.model { { "lora_unet_double_blocks_0_img_attn_proj.lora_down.weight", st.ones(2, 8) },
--     ..    { "lora_unet_double_blocks_0_img_attn_proj.lora_up.weight", st.ones(8, 2) } }
--     > st.lora.convert(lora, { to = "diffusers" }):name(1)
--     transformer.transformer_blocks.0.attn.to_out.0.lora_A.weight
-- @tparam string|model what a file, a folder, a model of its tensors
-- @tparam table opts `to` = "kohya", "diffusers" or "peft"; `model` = the checkpoint that the adapter is for
-- @treturn model st.lora.write saves it, in PEFT's format as a folder
-- @raise "format" for kinds that the format does not know; "name" for modules that nothing tells the place of; "shape"
function convert.convert(what, opts)
   opts = errors.check_options(opts, { to = "string", model = "any" }, "st.lora.convert")
   local to = write.check_format(opts.to, "st.lora.convert", "to")
   if opts.model ~= nil and not map.is_model(opts.model) then
      errors.throw("arg", "st.lora.convert: `model` must be a model: st.open(...)")
   end
   local a = adapter.open(what)
   adapter.check_config { a }
   return convert.of(a, to, opts.model)
end

return convert
