--- What the tensors of a Stable Diffusion checkpoint are for: which of them a merge leaves alone, which are waste, and
-- where a VAE belongs.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local map = require "stlua.map"
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

-- The names of a VAE's file as they are in the checkpoint; without those of training.
local function target_names(model, vae)
   local prefix
   for i = 1, model:count() do prefix = prefix or begins_with(model:name(i), VAE) end
   if not prefix then
      errors.throwf("name", "%s has no VAE (no first_stage_model.*) to put %s in place of", lineage.formula(model),
         lineage.formula(vae))
   end
   local names, found = {}, 0
   for i = 1, vae:count() do
      local name = vae:name(i)
      local inner = name:sub(#(begins_with(name, VAE) or "") + 1)
      if inner:sub(1, 4) ~= "loss" and not is_ema(inner) and model:find(prefix .. inner) then
         names[prefix .. inner], found = vae:get(name), found + 1
      end
   end
   if found == 0 then
      errors.throwf("name", "%s: no tensor of it is in the checkpoint as %s*: it must have the checkpoint's names",
         lineage.formula(vae), prefix)
   end
   return names, found
end

--- The checkpoint with the tensors of a VAE's file in place of its own, where it has them, in its own dtypes.
-- @treturn model
-- @treturn integer how many tensors these are
-- @raise "name" for a checkpoint without a VAE, or a file without tensors of it; "shape"
function checkpoint.bake(model, vae)
   local baked, count = target_names(model, vae)
   local problems = {}
   for name, t in pairs(baked) do
      local own = model:get(name):shape()
      if text.shape(own) ~= text.shape(t:shape()) then
         problems[#problems + 1] = core.error("shape", ("%s is %s, in %s %s"):format(text.quote(name), text.shape(own),
            lineage.formula(vae), text.shape(t:shape())))
      end
   end
   table.sort(problems, function(x, y) return x.message < y.message end)
   errors.throw_all(problems, "cannot be baked")
   local out = map.run({ model }, function(name, t) return baked[name] or t end, { node = { call = "bake" } })
   return lineage.derived(out, { model, vae }, { call = "bake" }, { merged = true }), count
end

return checkpoint
