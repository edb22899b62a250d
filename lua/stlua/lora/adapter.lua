--- Reading an adapter: which modules it has, of which kind, at which scale - for every format that st.lora knows.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local elementwise = require "stlua.elementwise"
local errors = require "stlua.errors"
local kinds = require "stlua.lora.kinds"
local lineage = require "stlua.lineage"
local map = require "stlua.map"
local open = require "stlua.open"
local peft = require "stlua.lora.peft"
local text = require "stlua.text"

local adapter = {}

-- Old diffusers: attention processors, of which the output has no number.
local function plain(module)
   module = module:gsub("%.processor%.to_", ".to_"):gsub("%.to_out$", ".to_out.0")
   return module
end

local function group(model)
   local modules, by_name, others = {}, {}, {}
   for i = 1, model:count() do
      local name = model:name(i)
      local module, part, suffix = kinds.split(name)
      if not module then
         others[#others + 1] = name
      else
         module = plain(module)
         local m = by_name[module]
         if not m then
            m = { name = module, parts = {}, tensors = {}, suffixes = {} }
            by_name[module] = m
            modules[#modules + 1] = m
         end
         m.parts[part], m.tensors[part], m.suffixes[part] = model:tensor(i), name, suffix
      end
   end
   return modules, others
end

-- Of one number, whatever its shape.
local function number_of(t) return t:cast("F64"):reshape {}:item() end

-- Scale: alpha by the rank of the file, else PEFT's configuration, else 1.
local function set_scale(m, config)
   local kind = m.kind
   m.rank = kind.rank and kind.rank(m.parts) or nil
   m.alpha = m.parts.alpha and number_of(m.parts.alpha) or nil
   m.scale = 1
   if kind.unscaled or not m.rank then return end
   if m.alpha then
      m.scale = m.alpha / m.rank
   elseif config then
      m.scale, m.alpha = peft.scale(config, m.name, m.rank)
   end
end

-- All that is wrong with a file, at once.
local function classify(a)
   local wrong, kept = {}, {}
   for _, m in ipairs(a.modules) do
      m.kind = kinds.of(m.parts)
      if m.kind then
         set_scale(m, a.config)
         kept[#kept + 1] = m
      else
         local there = {}
         for _, name in pairs(m.tensors) do there[#there + 1] = text.quote(name) end
         table.sort(there)
         wrong[#wrong + 1] = core.error("format", ("%s: %s alone %s no adapter: parts are missing"):format(a.label,
            table.concat(there, ", "), #there == 1 and "is" or "are"))
      end
   end
   errors.throw_all(wrong, "cannot be read")
   a.modules = kept
end

--- The adapter in a model of its tensors.
-- @tparam model model
-- @tparam[opt] table config as peft.read gives it
-- @tparam[opt] string config_text its file
-- @treturn table label; modules = { { name, kind, parts, tensors, suffixes, rank, alpha, scale }, ... }, tensors being
--   the names; others = names that belong to no kind; config, config_text; metadata
function adapter.of(model, config, config_text)
   local a = { label = lineage.formula(model), model = model, metadata = model:metadata(), config_text = config_text }
   a.config = config or peft.of_metadata(a.metadata)
   a.modules, a.others = group(model)
   classify(a)
   local any = false
   for _, m in ipairs(a.modules) do
      -- Plain weights alone are a model.
      local suffix = m.suffixes.whole or m.suffixes.whole_bias
      any = any or m.kind.id ~= "whole" or suffix ~= ".weight" and suffix ~= ".bias"
   end
   if not any then
      errors.throwf("format", "%s: no tensor of it is part of an adapter (LoRA, LoHa, LoKr, OFT, IA3, differences)",
         a.label)
   end
   return a
end

--- Tensors that hold NaN or infinite values, found in one pass.
-- @tparam {table,...} modules
-- @treturn {{table,string},...} module and name of each
function adapter.not_finite(modules)
   local asked, answers, bad = {}, {}, {}
   for _, m in ipairs(modules) do
      for part, t in pairs(m.parts) do
         if dtype.is_float(t:dtype()) and t:numel() > 0 then
            asked[#asked + 1], answers[#answers + 1] = { m, m.tensors[part] }, elementwise.isfinite(t):all()
         end
      end
   end
   if #answers > 0 then core.force_all(answers) end
   for i, answer in ipairs(answers) do
      if not answer:item() then bad[#bad + 1] = asked[i] end
   end
   return bad
end

--- Refuses values that are not finite, with errors that name tensor and file: they would spoil everything without a
-- word.
function adapter.check_finite(list, title)
   local bad = {}
   for _, a in ipairs(list) do
      for _, found in ipairs(adapter.not_finite(a.modules)) do
         bad[#bad + 1] = core.error("arg", ("%s: %s holds NaN or infinite values"):format(a.label,
            text.quote(found[2])), { tensor = found[2] })
      end
   end
   table.sort(bad, function(x, y) return x.message < y.message end)
   errors.throw_all(bad, title)
end

--- The dtype of a module's factors, or of its difference.
function adapter.dtype(m)
   local p = m.parts
   local t = p.down or p.embedding_down or p.w1b or p.k2 or p.k2b or p.diff
   return t and t:dtype() or nil
end

--- The alpha whose share of the rank is the scale, whatever a configuration said.
function adapter.alpha(m)
   if m.alpha and m.alpha / m.rank == m.scale then return m.alpha end
   return m.scale * m.rank
end

--- Opens an adapter: a file, or a folder that PEFT or diffusers wrote.
-- @tparam string|model what
-- @treturn table as adapter.of
function adapter.open(what)
   if map.is_model(what) then
      local files = what:files()
      return adapter.of(what, table.unpack(#files == 1 and { peft.beside(files[1].path) } or {}))
   end
   if type(what) ~= "string" then
      errors.throwf("arg", "an adapter is a path or a model of its tensors, not a %s", type(what))
   end
   local stat = core.stat(what)
   if not stat or stat.type ~= "dir" then return adapter.of(open.open(what), peft.beside(what)) end
   local file = peft.file_in(what)
   return adapter.of(open.open(file or what), peft.read(what))
end

return adapter
