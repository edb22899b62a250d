--- The parts of a checkpoint that programs also take as files of their own: U-Net or transformer, VAE, text encoders.
-- Which prefixes they stand behind is told by the rows of the architectures.
-- Layer: Lua, above stlua.core.

local architectures = require "stlua.architectures"
local checkpoint = require "stlua.checkpoint"
local core = require "stlua.core"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local meta = require "stlua.meta"
local names_of = require "stlua.checkpoint_names"
local text = require "stlua.text"

local components = {}

-- What files of a part are called by those who write them; text encoders by what they are.
local FILES = { unet = "unet", transformer = "unet", vae = "vae" }
local ENCODERS = { ["clip-l"] = "clip_l", ["clip-l-nai"] = "clip_l", ["clip-l-bare"] = "clip_l", ["clip-g"] = "clip_g",
   ["openclip-g"] = "clip_g", ["clip-h"] = "clip_h", ["clip-h-bare"] = "clip_h", ["openclip-h"] = "clip_h",
   t5 = "t5xxl" }

local function file_of(part, id)
   if part == "te" then return ENCODERS[id] or (id:gsub("%W", "_")) end
   return FILES[part]
end

-- Prefixes in a checkpoint and the component that stands behind each: as their tensors tell, and, where these are of no
-- known network, as the first row that knows the prefix.
local function prefixes_of(model)
   local of = {}
   for _, part in ipairs(architectures.find(model)) do
      if part.prefix ~= "" then of[part.prefix] = file_of(part.part, part.id) end
   end
   if checkpoint.is_one(model) or next(of) then
      for _, row in ipairs(architectures.rows()) do
         for _, prefix in ipairs(row.under) do
            if prefix ~= "" then of[prefix] = of[prefix] or file_of(row.part, row.id) end
         end
      end
   end
   local list = {}
   for prefix in pairs(of) do list[#list + 1] = prefix end
   table.sort(list, function(x, y) return #x > #y or #x == #y and x < y end)      -- the longest that fits holds
   return list, of
end

--- The components of a checkpoint.
-- @tparam model model
-- @treturn {table,...} { name =, bytes =, list = { { name in the checkpoint, name within, tensor }, ... } } as they
--   appear first
-- @treturn {string,...} names of what belongs to none
function components.of(model)
   local prefixes, of = prefixes_of(model)
   local function place_of(name)
      for _, prefix in ipairs(prefixes) do
         if name:sub(1, #prefix) == prefix and #name > #prefix then return of[prefix], name:sub(#prefix + 1) end
      end
      if #prefixes == 0 then return nil end
      if names_of.markers[name] then return "unet", name end      -- its loaders look at these, too
      return name:match("^text_encoders%.([%w_]+)%.transformer%.(.+)$")
   end
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

local function names_of_parts(list)
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
         lineage.formula(model), table.concat(names_of_parts(encoders), ", "))
   end
   local names = names_of_parts(found)
   if #names == 0 then errors.throwf("name", "%s is no checkpoint: it has no components", lineage.formula(model)) end
   errors.throwf("name", "%s has no %s%s (it has %s)", lineage.formula(model), core.escape(name),
      text.did_you_mean(name, names), table.concat(names, ", "))
end

return components
