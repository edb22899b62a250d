--- PEFT's adapter_config.json: reading it, and the scale that it gives a module.
-- Source: peft 0.21, LoraConfig, get_pattern_key. Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local whole_file = require "stlua.whole_file"

local peft = {}

--- The file of weights in PEFT's folder.
peft.FILE = "adapter_model.safetensors"

local NAMES = { peft.FILE, "pytorch_lora_weights.safetensors", peft.FILE .. ".zst",
   "pytorch_lora_weights.safetensors.zst" }

--- The file of weights in a folder, or nil.
function peft.file_in(folder)
   for _, name in ipairs(NAMES) do
      local path = folder:gsub("/+$", "") .. "/" .. name
      if core.stat(path) then return path end
   end
   return nil
end

--- The file of the configuration in PEFT's folder.
peft.CONFIG = "adapter_config.json"

local function is_array(values) return getmetatable(values) == getmetatable(core.array {}) end

--- The configuration in a folder, and its text; nil without one.
-- @raise "format" for what is no configuration
function peft.read(folder)
   local path = folder:gsub("/+$", "") .. "/" .. peft.CONFIG
   if not core.stat(path) then return nil end
   local content = whole_file(path)
   local ok, config = pcall(core.json_decode, content)
   if not ok or type(config) ~= "table" or is_array(config) then
      errors.throw("format", ("%s: not a JSON object"):format(core.escape(path)), { file = path })
   end
   return config, content
end

--- The configuration beside a file of PEFT's own name.
function peft.beside(path)
   local folder = path:match("^(.*)/[^/]*$") or "."
   if path:gsub("%.zst$", ""):sub(-#peft.FILE) ~= peft.FILE then return nil end
   return peft.read(folder)
end

--- A JSON object as a table; nil for anything else.
function peft.decode(s)
   local ok, values = pcall(core.json_decode, s or "")
   return ok and type(values) == "table" and not is_array(values) and values or nil
end

--- The configuration in a header: what newer diffusers write, one set of values per part of a pipeline; or PEFT's, of
-- an adapter that was made here and is not in its folder yet.
function peft.of_metadata(metadata)
   local parts = peft.decode(metadata[peft.DIFFUSERS_KEY])
   if parts then return { parts = parts } end
   return peft.decode(metadata[peft.KEY])
end

--- Where the configuration stands in the header of an adapter that is no folder.
peft.KEY = "stlua.adapter_config"
peft.DIFFUSERS_KEY = "lora_adapter_metadata"

--- The part of a pipeline that a module's name begins with, as diffusers spells it, and the name behind it.
function peft.part_of(module)
   local part, rest = module:match("^(text_encoder_%d)%.(.+)$")
   if not part then part, rest = module:match("^(text_encoder)%.(.+)$") end
   if not part then part, rest = module:match("^(%a+)%.(.+)$") end
   return part, rest
end

-- "text_encoder.r" = 8 as the configuration of the part that a module's name begins with, and the name behind it.
local function of_part(config, module)
   local part, behind = peft.part_of(module)
   local out, found = {}, false
   for key, value in pairs(config.parts) do
      local own, rest = key:match("^([%w_]+)%.(.+)$")
      if own == part then
         out[rest], found = value, true
      end
   end
   if not found then return nil, module end
   return out, behind
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
      elseif c:find("[(){}|^$]") or c:find("[*+?]") and regex:find("^[*+?]", i + 1) then
         c = nil
      end
      if not c then return nil end
      out[#out + 1] = c
      i = i + 1
   end
   return table.concat(out)
end

local MOST = 1000     -- ways that a pattern's alternatives can be combined

-- The first of `chars` in a regular expression that stands for itself at this depth of groups; nil where there is none.
local function find_at_top(regex, chars, from)
   local depth, i = 0, from
   while i <= #regex do
      local c = regex:sub(i, i)
      if depth == 0 and chars:find(c, 1, true) then return i end
      if c == "\\" then
         i = i + 1
      elseif c == "[" then
         i = regex:find("]", i + 2, true) or #regex
      elseif c == "(" then
         depth = depth + 1
      elseif c == ")" then
         depth = depth - 1
      end
      i = i + 1
   end
end

-- Adds the regular expressions without groups that one with groups and alternatives stands for, each behind `front`;
-- false where a group is repeated, or there are too many.
local function add_alternatives(out, front, regex)
   local bar = find_at_top(regex, "|", 1)
   if bar then
      return add_alternatives(out, front, regex:sub(1, bar - 1)) and add_alternatives(out, front, regex:sub(bar + 1))
   end
   local open = find_at_top(regex, "(", 1)
   if not open then
      out[#out + 1] = front .. regex
      return #out <= MOST
   end
   local close = find_at_top(regex, ")", open + 1)
   local rest = close and regex:sub(close + 1)
   if not close or rest:find("^[*+{]") then return false end
   local inner, choices = regex:sub(open + 1, close - 1):gsub("^%?:", ""), {}
   if inner:find("^%?") or not add_alternatives(choices, "", inner) then return false end
   if rest:sub(1, 1) == "?" then
      choices[#choices + 1], rest = "", rest:sub(2)
   end
   for _, choice in ipairs(choices) do
      if not add_alternatives(out, front .. regex:sub(1, open - 1) .. choice, rest) then return false end
   end
   return true
end

-- A pattern as Lua's, one for each of its alternatives, and whether it is anchored.
local function compiled(regex)
   local list, out = {}, {}
   local ok = add_alternatives(list, "", regex)
   for i, one in ipairs(ok and list or {}) do
      local body = to_lua((one:gsub("^%^", ""):gsub("%$$", "")))
      out[i] = body and { body, one:sub(1, 1) == "^" }
      ok = ok and body ~= nil
   end
   if not ok then
      errors.throwf("arg", "adapter_config.json: the pattern \"%s\" is not supported: characters, classes, groups and "
         .. "alternatives are, and repetitions of single characters", core.escape(regex))
   end
   return out
end

local patterns = setmetatable({}, { __mode = "v" })

-- PEFT's rule: the pattern is a module's whole name, or its end behind a dot.
local function matches(regex, module)
   local list = patterns[regex] or compiled(regex)
   patterns[regex] = list
   for _, one in ipairs(list) do
      local body, anchored = table.unpack(one)
      if module:find("^" .. body .. "$") or not anchored and module:find("^.*%." .. body .. "$") then return true end
   end
   return false
end

-- PEFT takes the first pattern that matches, and saves them sorted.
local function by_pattern(by_key, module, default)
   if type(by_key) ~= "table" then return default end
   local keys = {}
   for key in pairs(by_key) do keys[#keys + 1] = key end
   table.sort(keys)
   for _, key in ipairs(keys) do
      if matches(key, module) then return by_key[key] end
   end
   return default
end

--- The configuration that counts for a module, and its name as the patterns see it.
function peft.own(config, module)
   if config.parts then config, module = of_part(config, module) end
   return config, (module:gsub("^base_model%.model%.", ""))
end

--- The factor of B A for a module: alpha / r, with rslora alpha / sqrt(r), r and alpha by pattern.
-- @treturn number scale
-- @treturn ?number alpha
function peft.scale(config, module, rank)
   config, module = peft.own(config, module)
   if not config then return 1 end
   local alpha = by_pattern(config.alpha_pattern, module, config.lora_alpha or config.alpha)
   if type(alpha) ~= "number" then return 1 end
   return alpha / (config.use_rslora == true and math.sqrt(rank) or rank), alpha
end

--- Whether a module is among feedforward_modules, whose input IA3 scales: endings of names, or a regular expression.
function peft.is_feedforward(config, module)
   local name, list = select(2, peft.own(config, module)), config.feedforward_modules
   if type(list) == "string" then
      for _, one in ipairs(compiled(list)) do
         if name:find("^" .. one[1] .. "$") then return true end
      end
   end
   for _, ending in ipairs(type(list) == "table" and list or {}) do
      if name:sub(-#ending) == ending then return true end
   end
   return false
end

local TYPES = { LORA = true, LOHA = true, LOKR = true, IA3 = true, OFT = true, BOFT = true }
-- What changes the formula, or cannot be merged.
local VARIANTS = { "use_qalora", "use_bdlora", "alora_invocation_tokens", "arrow_config", "monteclora_config",
   "kasa_config", "layer_replication" }
-- Beginnings of what changes the base before training: factors alone do not tell the weight.
local BASES = { "pissa", "corda", "olora", "loftq", "lora_ga" }

--- Why an adapter of this configuration cannot be merged, or nil.
function peft.obstacle(config)
   local kind = config.peft_type
   if type(kind) == "string" and not TYPES[kind] then
      return ("PEFT's %s is not supported: LORA, LOHA, LOKR, IA3, OFT and BOFT are"):format(core.escape(kind))
   end
   for _, key in ipairs(VARIANTS) do
      if config[key] and config[key] ~= core.null then return ("%s is not supported"):format(key) end
   end
   local init = config.init_lora_weights
   for _, base in ipairs(BASES) do
      if type(init) == "string" and init:lower():sub(1, #base) == base then
         return ('it is for a base that PEFT changes first (init_lora_weights = "%s"): save it with '
            .. "path_initial_model_for_weight_conversion"):format(core.escape(init))
      end
   end
end

--- The rank that the configuration says a module has, or nil.
function peft.rank(config, module)
   config, module = peft.own(config, module)
   return config and by_pattern(config.rank_pattern, module, config.r)
end

return peft
