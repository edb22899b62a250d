--- PEFT's adapter_config.json: reading it, and the scale that it gives a module.
-- Source: peft 0.21, LoraConfig, get_pattern_key. Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"

local peft = {}

local FILE = "adapter_model.safetensors"
local NAMES = { FILE, "pytorch_lora_weights.safetensors" }

local function read_text(path)
   local file, message = io.open(path, "rb")
   if not file then errors.throw("io", message, { file = path }) end
   local s = file:read("a")
   file:close()
   return s
end

--- The file of weights in a folder, or nil.
function peft.file_in(folder)
   for _, name in ipairs(NAMES) do
      local path = folder:gsub("/+$", "") .. "/" .. name
      if core.stat(path) then return path end
   end
   return nil
end

--- The configuration in a folder; nil without one.
-- @raise "format" for what is no configuration
function peft.read(folder)
   local path = folder:gsub("/+$", "") .. "/adapter_config.json"
   if not core.stat(path) then return nil end
   local ok, config = pcall(core.json_decode, read_text(path))
   if not ok or type(config) ~= "table" then
      errors.throw("format", ("%s: not a JSON object"):format(core.escape(path)), { file = path })
   end
   return config
end

--- The configuration beside a file of PEFT's own name.
function peft.beside(path)
   local folder = path:match("^(.*)/[^/]*$") or "."
   return path:sub(-#FILE) == FILE and peft.read(folder) or nil
end

--- What newer diffusers write into the header: one set of values per part of a pipeline.
function peft.of_metadata(metadata)
   local ok, values = pcall(core.json_decode, metadata.lora_adapter_metadata or "")
   if not ok or type(values) ~= "table" then return nil end
   return { parts = values }
end

-- "text_encoder.r" = 8 as the configuration of the part that a module's name begins with.
local function of_part(config, module)
   local part = module:match("^(text_encoder_%d)%.") or module:match("^(text_encoder)%.") or module:match("^(%a+)%.")
   local out, found = {}, false
   for key, value in pairs(config.parts) do
      local own, rest = key:match("^([%w_]+)%.(.+)$")
      if own == part then
         out[rest], found = value, true
      end
   end
   return found and out or nil
end

local ESCAPES = { d = "%d", w = "[%w_]", s = "%s", ["."] = "%.", ["-"] = "%-", ["_"] = "_" }

-- A regular expression as Lua's pattern: characters, classes and repetitions, which is what people write here.
local function to_lua(regex)
   local out, i = {}, 1
   while i <= #regex do
      local c = regex:sub(i, i)
      if c == "\\" then
         i = i + 1
         c = ESCAPES[regex:sub(i, i)]
      elseif c == "[" then
         local class = regex:match("^%[[%w_%-^]+%]", i)
         i = class and i + #class - 1 or i
         c = class
      elseif c == "-" or c == "%" then
         c = "%" .. c
      elseif c:find("[(){}|^$]") then
         c = nil
      end
      if not c then return nil end
      out[#out + 1] = c
      i = i + 1
   end
   return table.concat(out)
end

-- PEFT's rule: the pattern is a module's whole name, or its end behind a dot.
local function matches(regex, module)
   local anchored = regex:sub(1, 1) == "^"
   local body = to_lua((regex:gsub("^%^", ""):gsub("%$$", "")))
   if not body then
      errors.throwf("arg", "adapter_config.json: the pattern \"%s\" has groups or alternatives, which are not "
         .. "supported: write one pattern for each", core.escape(regex))
   end
   return module:find("^" .. body .. "$") ~= nil or not anchored and module:find("^.*%." .. body .. "$") ~= nil
end

local function by_pattern(patterns, module, default)
   if type(patterns) ~= "table" then return default end
   local keys = {}
   for key in pairs(patterns) do keys[#keys + 1] = key end
   table.sort(keys, function(a, b) return #a > #b or #a == #b and a < b end)
   for _, key in ipairs(keys) do
      if matches(key, module) then return patterns[key] end
   end
   return default
end

--- The factor of B A for a module: alpha / r, with rslora alpha / sqrt(r), r and alpha by pattern.
-- @treturn number scale
-- @treturn ?number alpha
function peft.scale(config, module, rank)
   if config.parts then config = of_part(config, module) end
   if not config then return 1 end
   module = module:gsub("^base_model%.model%.", "")
   local alpha = by_pattern(config.alpha_pattern, module, config.lora_alpha)
   if type(alpha) ~= "number" then return 1 end
   return alpha / (config.use_rslora == true and math.sqrt(rank) or rank), alpha
end

return peft
