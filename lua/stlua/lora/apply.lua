--- Adapters merged into a model: everything is found and checked by names and shapes first, then each weight is one
-- deferred expression, computed in F32 and rounded once.
-- Layer: Lua, above stlua.core.

local adapter = require "stlua.lora.adapter"
local architectures = require "stlua.lora.architectures"
local blocks = require "stlua.blocks"
local change = require "stlua.lora.change"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local map = require "stlua.map"
local spellings = require "stlua.lora.spellings"
local text = require "stlua.text"

local apply = {}

local WHO = "st.lora.apply"

-- ---------------------------------------------------------------- finding

-- A part's strength: a number, or by part ("unet", "te", "te2", "te3", "model").
local function strength_of(strength, part)
   if type(strength) == "number" then return strength end
   local te = part:find("^te") and strength.te or nil
   return strength[part] or te or (part == "model" and strength.unet) or 1
end

-- "the model is Flux; style.safetensors seems to be for Wan": where names tell.
local function what_for(list, found)
   local titles, out, seen = {}, {}, {}
   for i, part in ipairs(found.parts) do titles[i] = part.layout.title end
   for _, u in ipairs(list) do
      local id = not seen[u.adapter] and architectures.of(u.adapter)
      seen[u.adapter] = true
      if id then out[#out + 1] = ("%s seems to be for %s"):format(u.adapter.label, architectures.title(id)) end
   end
   return #out > 0 and ("  the model has %s; %s"):format(table.concat(titles, ", "), table.concat(out, ", ")) or nil
end

-- What finds no place: modules, and tensors of no kind that is known.
local function unmatched(list, found)
   for _, u in ipairs(list) do
      u.label, u.near = u.adapter.label, u.module ~= nil and not u.why
      u.why = u.why or not u.module and " is no tensor of an adapter" or nil
   end
   local titles = what_for(list, found)
   errors.throw("name", ("%s of the adapters %s nothing in the model (--allow-unmatched leaves %s out):\n%s%s"):format(
      text.plural(#list, "name"), #list == 1 and "matches" or "match", #list == 1 and "it" or "them",
      titles and titles .. "\n" or "", spellings.lost(found, list)))
end

-- What a module is for and its place has not; nil where all is there.
local function lacking(m, place)
   local p = m.parts
   for _, s in ipairs(place.segments) do
      if not s.weight and change.has_weight(m) then return " has a weight, the model's module has none" end
      if not s.bias and (p.bias_diff or p.whole_bias) then return " has a bias, the model's module has none" end
   end
end

-- What each tensor of the model gets: by name a list of jobs, as change takes them.
local function assign(found, list, opts)
   local by_tensor, missing, matched = {}, {}, 0
   local function give(name, job)
      by_tensor[name] = by_tensor[name] or {}
      table.insert(by_tensor[name], job)
   end
   for _, entry in ipairs(list) do
      local label = entry.adapter.label
      for _, m in ipairs(entry.adapter.modules) do
         local place = found:place(m)
         local why = place and lacking(m, place)
         if not place or why then
            missing[#missing + 1] = { adapter = entry.adapter, module = m, name = m.name, why = why }
         end
         if place then
            matched = matched + 1
            local part = strength_of(entry.value, place.part.layout.part)
            for _, s in ipairs(place.segments) do
               local own = entry.blocks and s.weight and entry.blocks(s.weight) or 1
               local job = { module = m, segment = s, strength = part * own, label = label, invert = opts.invert }
               if s.weight then give(s.weight, job) end
               if s.bias then give(s.bias, job) end
            end
         end
      end
      for _, name in ipairs(entry.adapter.others) do
         missing[#missing + 1] = { adapter = entry.adapter, name = name }
      end
   end
   if #missing > 0 and not opts.allow_unmatched then unmatched(missing, found) end
   return by_tensor, missing, matched
end

-- ---------------------------------------------------------------- public

local KNOWN = { allow_unmatched = "boolean", invert = "boolean", blocks = "string|table" }

-- The adapters in the order in which they are applied, or taken out again.
local function read(model, adapters, strength, opts)
   if type(adapters) ~= "table" then adapters = { { adapters, strength or 1 } } end
   local list = adapter.list(adapters, { who = WHO, word = "strength", default = strength, by_part = true })
   for _, entry in ipairs(list) do
      local own = entry.given.blocks or opts.blocks
      entry.blocks = own and blocks.block_weights(model, own) or nil
   end
   if not opts.invert then return list end
   local reversed = {}
   for i, entry in ipairs(list) do reversed[#list + 1 - i] = entry end
   return reversed
end

local function notes_of(list, matched, missing, opts)
   local notes = { ("%s of %s applied"):format(text.plural(matched, "module"),
      #list == 1 and list[1].adapter.label or text.plural(#list, "adapter")) }
   if #missing > 0 then notes[2] = text.plural(#missing, "name") .. " left out: nothing in the model matches" end
   for _, entry in ipairs(list) do
      local without, dora = 0, 0
      for _, m in ipairs(entry.adapter.modules) do
         if adapter.lacks_alpha(m) then without = without + 1 end
         if m.parts.dora then dora = dora + 1 end
      end
      if without > 0 then
         notes[#notes + 1] = ("%s: %s without alpha: the scale counts as 1"):format(entry.adapter.label,
            text.plural(without, "module"))
      end
      if opts.invert and dora > 0 then
         notes[#notes + 1] = ("%s: DoRA in %s: taken out nearly, since the lengths before are lost"):format(
            entry.adapter.label, text.plural(dora, "module"))
      end
   end
   return notes
end

--- Merges adapters into a model: W + strength * alpha / rank * B A for LoRA, and what stands for it for the other kinds
-- (LoCon, LoHa, LoKr, GLoRA, DoRA, OFT, BOFT, IA3, differences, whole tensors), in every program's spelling. The
-- result is deferred, computed in F32 and rounded once to the model's dtypes.
-- @tparam model model a checkpoint
-- @tparam string|model|{...} adapters a file, a folder of PEFT, a model of its tensors, or a list of { adapter,
--   strength, blocks = as of st.block_weights }
-- @tparam[opt=1] number|table strength or by part, { unet = 0.8, te = 0.5 }
-- @tparam[opt] table opts `allow_unmatched` = true leaves out modules that match nothing, which is an error otherwise;
--   `invert` = true takes the adapters out again, the last one first: exactly but for rounding, DoRA nearly;
--   `blocks` = a factor by block, as of st.block_weights
-- @treturn model
-- @raise "name" lists all that matches nothing and the nearest names; "shape"; "arg" for NaN in an adapter, and for
--   whole tensors that cannot be taken out; "format" for what is no adapter, and for PEFT's without its configuration
function apply.apply(model, adapters, strength, opts)
   if not map.is_model(model) then errors.throwf("arg", "%s: a model expected, got a %s", WHO, type(model)) end
   opts = errors.check_options(opts, KNOWN, WHO)
   if map.is_model(adapters) then adapters = { { adapters, strength or 1 } } end
   local list = read(model, adapters, strength, opts)
   local by_tensor, missing, matched = assign(spellings.of(model), list, opts)
   local opened, operands = {}, { model }
   for i, entry in ipairs(list) do opened[i], operands[i + 1] = entry.adapter, entry.adapter.model end
   adapter.check_config(opened)
   adapter.check_finite(opened, "cannot be applied")
   local out = map.run({ model }, function(name, w)
      local jobs = by_tensor[name]
      if not jobs then return w end
      local x
      if jobs[1].segment.bias == name then
         x = change.bias(w, jobs)
      else
         local any = false
         for _, job in ipairs(jobs) do any = any or change.touches(job) end
         x = any and change.weight(w, jobs) or w
      end
      return x == w and w or x:cast(w:dtype())
   end, { node = { call = "lora" }, shapes = "any" })
   return lineage.derived(out, operands, { call = "lora" }, { merged = true,
      notes = notes_of(list, matched, missing, opts) })
end

return apply
