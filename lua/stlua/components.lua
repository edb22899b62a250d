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

-- A prefix that others begin with, as cond_stage_model.: what stands behind it may be anything.
local function is_wide(prefix, rows)
   for _, row in ipairs(rows) do
      for _, other in ipairs(row.under) do
         if #other > #prefix and other:sub(1, #prefix) == prefix then return true end
      end
   end
   return false
end

-- Adds the prefixes that rows know, for what is of no known network.
local function add_known(of)
   local rows = architectures.rows()
   for _, row in ipairs(rows) do
      for _, prefix in ipairs(row.under) do
         local file = prefix ~= "" and not of[prefix] and file_of(row.part, row.id)
         if file and not is_wide(prefix, rows) then of[prefix] = file end
      end
   end
end

-- Prefixes in a checkpoint and the component that stands behind each: as their tensors tell, and, where these are of no
-- known network, as the first row that knows the prefix. Of each component the prefix that its tensors tell.
local function prefixes_of(model)
   local of, told = {}, {}
   for _, part in ipairs(architectures.find(model)) do
      local file = part.prefix ~= "" and file_of(part.part, part.id)
      if file then
         of[part.prefix] = file
         told[file] = told[file] or part.prefix
      end
   end
   if checkpoint.is_one(model) or next(of) then add_known(of) end
   local list = {}
   for prefix in pairs(of) do list[#list + 1] = prefix end
   table.sort(list, function(x, y) return #x > #y or #x == #y and x < y end)      -- the longest that fits holds
   return list, of, told
end

-- A function name -> component, name within, prefix; nil for what belongs to none.
local function places(prefixes, of, told)
   return function(name)
      for _, prefix in ipairs(prefixes) do
         if name:sub(1, #prefix) == prefix and #name > #prefix then
            if told[of[prefix]] ~= prefix and checkpoint.is_waste(name) then return nil end
            return of[prefix], name:sub(#prefix + 1), prefix
         end
      end
      if #prefixes == 0 then return nil end
      if names_of.markers[name] then return "unet", name end      -- its loaders look at these, too
      local prefix, encoder, inner = name:match("^(text_encoders%.([%w_]+)%.transformer%.)(.+)$")
      return encoder, inner, prefix
   end
end

--- The components of a checkpoint.
-- @tparam model model
-- @treturn {table,...} { name =, bytes =, prefix =, list = { { name in the checkpoint, name within, tensor }, ... } }
--   as they appear first
-- @treturn {string,...} names of what belongs to none
-- @treturn {table,...} what is there a second time, under another prefix: { name =, prefix =, kept = the prefix of the
--   one above, tensors = }
function components.of(model)
   local prefixes, of, told = prefixes_of(model)
   local place_of = places(prefixes, of, told)
   local found, rest, doubles = {}, {}, {}
   local function note_double(component, prefix, kept)
      if not doubles[prefix] then
         doubles[prefix] = { name = component, prefix = prefix, kept = kept, tensors = 0 }
         doubles[#doubles + 1] = doubles[prefix]
      end
      doubles[prefix].tensors = doubles[prefix].tensors + 1
   end
   for i = 1, model:count() do
      local name = model:name(i)
      local component, inner, prefix = place_of(name)
      local part = component and found[component]
      if component and not part then
         part = { name = component, bytes = 0, list = {}, prefix = told[component] }
         found[component], found[#found + 1] = part, part
      end
      if not part then
         rest[#rest + 1] = name
      elseif prefix and prefix ~= (part.prefix or prefix) then
         note_double(component, prefix, part.prefix)
      else
         local t = model:tensor(i)
         part.prefix = part.prefix or prefix
         part.list[#part.list + 1] = { name, inner, t }
         part.bytes = part.bytes + t:nbytes()
      end
   end
   return found, rest, doubles
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
