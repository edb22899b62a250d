--- What the tensors of a Stable Diffusion checkpoint are for: which of them a merge leaves alone, which are waste, and
-- where a VAE belongs.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local map = require "stlua.map"
local meta = require "stlua.meta"
local names_of = require "stlua.checkpoint_names"
local text = require "stlua.text"

local checkpoint = {}

local SCHEDULE, MARKERS, VAE = names_of.schedule, names_of.markers, names_of.vae

local function begins_with(name, list)
   for _, prefix in ipairs(list) do
      if name:sub(1, #prefix) == prefix then return prefix end
   end
end

local function is_ema(name) return name:sub(1, #names_of.ema) == names_of.ema end

--- Whether the tensor belongs to the VAE.
function checkpoint.is_vae(name) return begins_with(name, VAE) ~= nil end

--- Whether a merge copies it from the first model: averaged weights of training (EMA), the noise schedule, markers,
-- position_ids, logit_scale.
function checkpoint.is_fixed(name)
   return is_ema(name) or SCHEDULE[name] or MARKERS[name] or name == "denoiser.sigmas"
      or name:find("position_ids$") ~= nil or name:find("logit_scale$") ~= nil
end

--- What pruning leaves out, by what it is: "EMA", "noise schedule", "state of training", "unread" (heads and trees that
-- no program looks at); nil for all else.
-- @tparam string name
-- @tparam[opt] {string,...} junk beginnings of names, those of checkpoint_names
function checkpoint.waste(name, junk)
   if is_ema(name) then return "EMA" end
   if SCHEDULE[name] then return "noise schedule" end
   local beginning = begins_with(name, junk or names_of.junk)
   return beginning and (names_of.training[beginning] and "state of training" or "unread")
end

--- Whether pruning leaves it out.
function checkpoint.is_waste(name) return checkpoint.waste(name) ~= nil end

--- checkpoint.waste for one model: what a network of it stands behind (a ControlNet), and what it has under no other
-- name, is none.
-- @tparam model model
-- @treturn function name -> what it is, or nil
function checkpoint.waste_of(model)
   local junk = names_of.junk_of(model, (require "stlua.architectures".find(model)))
   return function(name) return checkpoint.waste(name, junk) end
end

--- True for the checkpoints of Stable Diffusion and its like: the others have none of these rules.
function checkpoint.is_one(model)
   for i = 1, model:count() do
      if model:name(i):sub(1, 22) == "model.diffusion_model." then return true end
   end
   return false
end

--- Remarks about models that do not go together: the markers that only some have.
function checkpoint.notes(models)
   local notes = {}
   for name in pairs(MARKERS) do
      local with, without = {}, {}
      for _, m in ipairs(models) do table.insert(m:find(name) and with or without, lineage.formula(m)) end
      if #with > 0 and #without > 0 then
         notes[#notes + 1] = ("%s is in %s and not in %s: they predict differently"):format(name,
            table.concat(with, ", "), table.concat(without, ", "))
      end
   end
   table.sort(notes)
   return notes
end

local function is_training(inner) return inner:sub(1, 4) == "loss" or is_ema(inner) end

-- A VAE's tensors by their names without prefix, and these names; without those of training. Of a whole checkpoint only
-- what is its VAE.
local function inside(model)
   local prefix
   for i = 1, model:count() do prefix = prefix or begins_with(model:name(i), VAE) end
   local by, names, skip = {}, {}, #(prefix or "")
   for i = 1, model:count() do
      local name = model:name(i)
      local inner = name:sub(skip + 1)
      if (not prefix or name:sub(1, skip) == prefix) and not is_training(inner) then
         by[inner], names[#names + 1] = model:tensor(i), inner
      end
   end
   return by, names, prefix
end

-- diffusers' names, of which a few are those of the original program.
local function refuse_diffusers(vae)
   local _, names = inside(vae)
   for _, name in ipairs(names) do
      if name:find("^decoder%.up_blocks%.") or name:find("^decoder%.mid_block%.") then
         errors.throwf("name", "%s: its names are diffusers' (%s): give the VAE in the names of the original program, "
            .. "such as decoder.up.0.block.0.conv1.weight", lineage.formula(vae), text.quote(name))
      end
   end
end

-- Throws why a VAE does not fit.
local function unfit(vae, format, ...)
   refuse_diffusers(vae)
   errors.throw("name", lineage.formula(vae) .. format:format(...))
end

local function missing_in(other, names)
   local list = {}
   for _, name in ipairs(names) do
      if not other[name] then list[#list + 1] = name end
   end
   return list
end

-- Refuses a VAE that has other tensors than the checkpoint's own: of two halves comes no whole.
local function check_same(model, own, own_names, prefix, vae)
   local new, names = inside(vae)
   local extra, lost = missing_in(own, names), missing_in(new, own_names)
   if #extra == #names then
      unfit(vae, ": no tensor of it is in the checkpoint as %s*: it must have the checkpoint's names", prefix)
   end
   local parts = {}
   if #extra > 0 then
      parts[1] = ("the checkpoint has not %d of its %s, such as %s"):format(#extra, text.plural(#names, "tensor"),
         text.quote(extra[1]))
   end
   if #lost > 0 then
      parts[#parts + 1] = ("it has not %d of the checkpoint's %s, such as %s"):format(#lost,
         text.plural(#own_names, "tensor"), text.quote(prefix .. lost[1]))
   end
   if #parts > 0 then
      unfit(vae, " does not fit the VAE of %s: %s: give a whole VAE of the same kind", lineage.formula(model),
         table.concat(parts, "; "))
   end
   return new
end

local function check_shapes(own, new, prefix, vae)
   local problems = {}
   for name, t in pairs(own) do
      local mine, other = text.shape(t:shape()), text.shape(new[name]:shape())
      if mine ~= other then
         problems[#problems + 1] = core.error("shape", ("%s is %s, in %s %s"):format(text.quote(prefix .. name), mine,
            lineage.formula(vae), other))
      end
   end
   table.sort(problems, function(x, y) return x.message < y.message end)
   errors.throw_all(problems, "cannot be baked")
end

-- A checkpoint that has no VAE, with the tensors of one behind its own.
local function with_vae(model, vae)
   if not checkpoint.is_one(model) then
      errors.throwf("name", "%s has no VAE (no first_stage_model.*) to put %s in place of, and is no checkpoint",
         lineage.formula(model), lineage.formula(vae))
   end
   local by, names = inside(vae)
   if not by["decoder.conv_in.weight"] then unfit(vae, " is no VAE: it has no decoder.conv_in.weight") end
   refuse_diffusers(vae)
   local out = core.model()
   for i = 1, model:count() do out:add(model:name(i), model:tensor(i)) end
   for _, name in ipairs(names) do out:add(VAE[1] .. name, by[name]) end
   local t = model:metadata()
   meta.drop_hashes(t)
   meta.set(out, t)
   return out, #names
end

--- The checkpoint with the tensors of a VAE's file in place of its own, in its own dtypes; one without a VAE gets them
-- as they are.
-- @treturn model
-- @treturn integer how many tensors these are
-- @raise "name" for what is no checkpoint, or a file that has other tensors than the checkpoint's VAE; "shape"
function checkpoint.bake(model, vae)
   local own, own_names, prefix = inside(model)
   local count = #own_names
   local out
   if prefix then
      local new = check_same(model, own, own_names, prefix, vae)
      check_shapes(own, new, prefix, vae)
      out = map.run({ model }, function(name, t)
         return name:sub(1, #prefix) == prefix and new[name:sub(#prefix + 1)] or t
      end, { node = { call = "bake" } })
   else
      out, count = with_vae(model, vae)
   end
   return lineage.derived(out, { model, vae }, { call = "bake" }, { merged = true }), count
end

return checkpoint
