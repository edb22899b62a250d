--- What may have been meant where Lua met a nil: near names, and what here is called otherwise than in PyTorch. Looks,
-- and runs nothing of the user's.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local doc = require "stlua.doc"
local text = require "stlua.text"

local hint = {}

local MOST = 20000     -- names of tensors that are compared

local function public(list, prefix)
   local names = {}
   for _, item in ipairs(list) do
      local name = item.name:match("^" .. prefix .. "([%w_]+)$")
      if name then names[#names + 1] = name end
   end
   return names
end

-- Habits from Python that have no function of their own here.
local HABITS = {
   type = 't:cast("F16")', astype = 't:cast("F16")', numpy = "t:totable(), or st.npy.save(path, t)",
   load_file = "st.open(path)",
   load = "st.open(path)", save_file = "st.save(m, path)", len = "#value", type_as = "t:cast(u:dtype())",
   keys = "for name in pairs(m)", values = "for _, tensor in pairs(m)", items = "for name, tensor in pairs(m)",
   state_dict = "the model itself: m[name], pairs(m)", nelement = "t:numel()",
   help = "?name", dir = "Tab behind a dot or colon", exit = "Ctrl-D", quit = "Ctrl-D",
}

-- What PyTorch calls so is called otherwise here.
local function called_otherwise(name, list)
   if HABITS[name] then return "; here it is " .. HABITS[name] end
   local found, low = {}, name:lower()
   for _, item in ipairs(list) do
      local torch = item.entry and item.entry.torch and not item.twin and item.entry.torch.text or ""
      for word in torch:gmatch("[%w_]+") do
         if word:lower() == low then
            found[#found + 1] = doc.signature(item.name, item.entry)
            break
         end
      end
   end
   return #found > 0 and #found <= 3 and "; here it is " .. table.concat(found, " or ") or nil
end

local function tensor_names(env)
   local names = {}
   for _, value in next, env do
      if debug.getmetatable(value) == core.model_meta then
         local ok, n = pcall(core.Model.count, value)
         for i = 1, ok and math.min(n, MOST - #names) or 0 do names[#names + 1] = core.Model.name(value, i) end
      end
   end
   return names
end

local function globals(env)
   local names = {}
   for _, t in ipairs { env, _G } do
      for name in next, t do names[#names + 1] = type(name) == "string" and name or nil end
   end
   table.sort(names)
   return names
end

-- What kind of name Lua missed -> what it may have been.
local KINDS = {}

function KINDS.method(name, list)
   local names = public(list, "Tensor:")
   table.move(public(list, "Model:"), 1, #public(list, "Model:"), #names + 1, names)
   local near = text.did_you_mean(name, names)
   return HABITS[name] and called_otherwise(name, list) or near ~= "" and near or called_otherwise(name, list) or ""
end

function KINDS.field(name, list, env)
   local near = text.did_you_mean(name, public(list, "st%."))
   if near == "" then near = text.did_you_mean(name, tensor_names(env)) end
   return near ~= "" and near or called_otherwise(name, list) or ""
end

function KINDS.global(name, list, env)
   return HABITS[name] and called_otherwise(name, list) or text.did_you_mean(name, globals(env))
end

--- What to add to an error message of Lua's; "" where nothing is known.
-- @tparam string message
-- @tparam table env the user's names
-- @treturn string
function hint.about(message, env)
   local kind, name = message:match("a nil value %((%a+) '([^']+)'%)$")
   local about = KINDS[kind]
   return about and about(name, doc.catalogue(), env) or ""
end

return hint
