--- The parts of a checkpoint that programs also take as files of their own: U-Net, VAE, text encoders.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local meta = require "stlua.meta"
local text = require "stlua.text"

local components = {}

-- What the names of each begin with in a checkpoint. In a file of its own they stand without it.
local PREFIXES = {
   { "unet", "model.diffusion_model." }, { "vae", "first_stage_model." }, { "vae", "vae." },
   { "clip_l", "cond_stage_model.transformer." }, { "clip_h", "cond_stage_model.model." },
   { "clip_l", "conditioner.embedders.0.transformer." }, { "clip_g", "conditioner.embedders.0.model." },
   { "clip_g", "conditioner.embedders.1.model." }, { "clip_l", "text_encoders.clip_l.transformer." },
   { "clip_g", "text_encoders.clip_g.transformer." }, { "t5xxl", "text_encoders.t5xxl.transformer." },
}

-- What a loader of the U-Net alone looks at, too.
local WITH_UNET = { v_pred = true, ztsnr = true, ["edm_vpred.sigma_max"] = true, ["edm_vpred.sigma_min"] = true,
   edm_mean = true, edm_std = true }

-- Component and name within it; nil for what belongs to none.
local function place_of(name)
   for _, entry in ipairs(PREFIXES) do
      local prefix = entry[2]
      if name:sub(1, #prefix) == prefix and #name > #prefix then return entry[1], name:sub(#prefix + 1) end
   end
   local encoder, inner = name:match("^text_encoders%.([%w_]+)%.transformer%.(.+)$")
   if encoder then return encoder, inner end
   if WITH_UNET[name] then return "unet", name end
end

--- The components of a checkpoint.
-- @tparam model model
-- @treturn {table,...} { name =, bytes =, list = { { name in the checkpoint, name within, tensor }, ... } } as they
--   appear first
-- @treturn {string,...} names of what belongs to none
function components.of(model)
   local found, rest = {}, {}
   for i = 1, model:count() do
      local name = model:name(i)
      local component, inner = place_of(name)
      if component then
         local part = found[component]
         if not part then
            part = { name = component, bytes = 0, list = {} }
            found[component], found[#found + 1] = part, part
         end
         local t = model:tensor(i)
         part.list[#part.list + 1] = { name, inner, t }
         part.bytes = part.bytes + t:nbytes()
      else
         rest[#rest + 1] = name
      end
   end
   return found, rest
end

local function names_of(list)
   local names = {}
   for i, part in ipairs(list) do names[i] = part.name end
   return names
end

--- One component as a model of its own.
-- @tparam model model
-- @tparam table part of components.of
-- @tparam boolean whole_names names as in the checkpoint
function components.model(model, part, whole_names)
   local out = core.model()
   for _, entry in ipairs(part.list) do out:add(whole_names and entry[1] or entry[2], entry[3]) end
   local t = model:metadata()
   meta.drop_hashes(t)
   meta.set(out, t)
   return lineage.derived(out, { model }, { call = part.name })
end

--- The component of that name; "clip" is the only text encoder.
-- @raise "name"
function components.find(model, name)
   local found, encoders = components.of(model), {}
   for _, part in ipairs(found) do
      if part.name == name then return part end
      if part.name ~= "unet" and part.name ~= "vae" then encoders[#encoders + 1] = part end
   end
   if name == "clip" and #encoders == 1 then return encoders[1] end
   if name == "clip" and #encoders > 1 then
      errors.throwf("name", "%s has several text encoders: name one of %s, or split it into components",
         lineage.formula(model), table.concat(names_of(encoders), ", "))
   end
   local names = names_of(found)
   if #names == 0 then errors.throwf("name", "%s is no checkpoint: it has no components", lineage.formula(model)) end
   errors.throwf("name", "%s has no %s%s (it has %s)", lineage.formula(model), core.escape(name),
      text.did_you_mean(name, names), table.concat(names, ", "))
end

return components
