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

-- Old diffusers: attention processors, of which the output has no number. Of a name that other programs may give, too,
-- it is the second as well, to be looked up first.
local function plain(module)
   local name = module:gsub("%.processor%.to_", ".to_"):gsub("%.to_out$", ".to_out.0")
   return name, name == module .. ".0" and module or nil
end

-- Modules by their names, and the names of other tensors.
local function group(model, label)
   local modules, by_name, others, wrong = {}, {}, {}, {}
   for i = 1, model:count() do
      local name = model:name(i)
      local module, part, suffix = kinds.split(name)
      if not module then
         others[#others + 1] = name
      else
         local written
         module, written = plain(module)
         local m = by_name[module]
         if not m then
            m = { name = module, written = written, parts = {}, tensors = {}, suffixes = {} }
            by_name[module] = m
            modules[#modules + 1] = m
         end
         if m.parts[part] then
            wrong[#wrong + 1] = core.error("format", ("%s: %s and %s are the same part of a module: leave one out")
               :format(label, text.quote(m.tensors[part]), text.quote(name)))
         end
         m.parts[part], m.tensors[part], m.suffixes[part] = model:tensor(i), name, suffix
      end
   end
   errors.throw_all(wrong, "cannot be read")
   return modules, others
end

-- Of one number, whatever its shape.
local function number_of(t) return t:cast("F64"):reshape {}:item() end

-- Scale: alpha by the rank of the file, else PEFT's configuration, else 1.
local function set_scale(m, config)
   local kind = m.kind
   m.config = config and peft.own(config, m.name) or nil
   -- Where a model has weights as (in, out), PEFT's factors are those of the transpose.
   m.transposed = m.config ~= nil and m.config.fan_in_fan_out == true and not m.parts.embedding_down
      and not m.parts.whole
   m.rank = kind.rank and kind.rank(m.parts) or nil
   -- PEFT scales products of whole matrices, too.
   if not m.rank and kind.rank and config and config.peft_type == "LOKR" then m.rank = peft.rank(config, m.name) end
   m.alpha = m.parts.alpha and number_of(m.parts.alpha) or nil
   m.scale = 1
   if kind.unscaled or not m.rank then return end
   if m.alpha then
      m.scale = m.alpha / m.rank
   elseif config then
      m.scale, m.alpha = peft.scale(config, m.name, m.rank)
   end
end

-- Parts that are no matrices: of any shape, or of the model's.
local FREE = { alpha = true, dora = true, base = true, bias_diff = true, whole = true, whole_bias = true }

--- "down [4, 8], up [8, 4]": the parts of a module and their shapes, for messages.
function adapter.shapes(m)
   local out = {}
   for part, t in pairs(m.parts) do
      if t:ndim() > 0 then out[#out + 1] = ("%s %s"):format(part, text.shape(t:shape())) end
   end
   table.sort(out)
   return table.concat(out, ", ")
end

-- Whether the factors of a module can be multiplied: an expression is made of them, which computes nothing.
local function are_factors(m)
   local kind = m.kind
   local ok, b, a = true, nil, nil
   if kind.factors then ok, b, a = pcall(kind.factors, m.parts) end
   if ok and b then return b:shape()[2] == a:shape()[1] end
   if ok and kind.delta and (kind.rank or m.parts.diff) then ok, b = pcall(kind.delta, m.parts) end
   return ok or errors.is(b) and b.code ~= "shape"
end

-- Tensors of another kind beside those of a module's: only one of them could be applied.
local function strangers(m)
   local out = {}
   for part, name in pairs(m.tensors) do
      local second = part:find("^embedding_") and m.parts.down
      if second or not kinds.has_part(m.kind, part) then out[#out + 1] = text.quote(name) end
   end
   table.sort(out)
   return #out > 0 and ("%s beside %s: a module is of one kind"):format(table.concat(out, ", "), m.kind.title) or nil
end

-- What is wrong with a module of a kind, or nil.
local function fault(m)
   local others = strangers(m)
   if others then return others end
   if m.parts.dora and m.kind.apply then return "DoRA's magnitudes are of no use to " .. m.kind.title end
   if m.parts.alpha and m.parts.alpha:numel() ~= 1 then
      return ("alpha is a number, not %s"):format(text.shape(m.parts.alpha:shape()))
   end
   for part, t in pairs(m.parts) do
      if m.kind.rank and not FREE[part] and (t:ndim() < 2 or t:numel() == 0) then
         return ("%s is no matrix, but %s"):format(text.quote(m.tensors[part]), text.shape(t:shape()))
      end
   end
   if not are_factors(m) then return ("its factors do not fit each other: %s"):format(adapter.shapes(m)) end
end

local function alone(m)
   local there = {}
   for _, name in pairs(m.tensors) do there[#there + 1] = text.quote(name) end
   table.sort(there)
   return ("%s alone %s no adapter: parts are missing"):format(table.concat(there, ", "),
      #there == 1 and "is" or "are")
end

-- All that is wrong with a file, at once.
local function classify(a)
   local wrong, kept = {}, {}
   for _, m in ipairs(a.modules) do
      m.kind = kinds.of(m.parts)
      local why = m.kind and fault(m)
      if not m.kind then
         wrong[#wrong + 1] = core.error("format", ("%s: %s"):format(a.label, alone(m)))
      elseif why then
         wrong[#wrong + 1] = core.error("format", ("%s: %s: %s"):format(a.label, text.quote(m.name), why))
      else
         local ok, e = pcall(set_scale, m, a.config)
         if not ok and not errors.is(e) then error(e, 0) end
         if not ok then wrong[#wrong + 1] = core.error(e.code, ("%s: %s"):format(a.label, e.message)) end
         kept[#kept + 1] = m
      end
   end
   errors.throw_all(wrong, "cannot be read")
   a.modules = kept
end

--- The adapter in a model of its tensors.
-- @tparam model model
-- @tparam[opt] string label for messages: by default the model's
-- @tparam[opt] table config as peft.read gives it
-- @tparam[opt] string config_text its file
-- @treturn table label; modules = { { name, written = the name before ".0" was added to ".to_out", kind, parts,
--   tensors, suffixes, rank, alpha, scale, config = PEFT's for it, transposed }, ... }, tensors being the names; others
--   = names that belong to no kind; config, config_text; metadata
function adapter.of(model, label, config, config_text)
   local a = { label = label or lineage.formula(model), model = model, metadata = model:metadata(),
      config_text = config_text }
   a.config = config or peft.of_metadata(a.metadata)
   a.modules, a.others = group(model, a.label)
   classify(a)
   local any = false
   for _, m in ipairs(a.modules) do
      -- Plain weights alone are a model, but by PEFT's names.
      local suffix = m.suffixes.whole or m.suffixes.whole_bias
      any = any or m.kind.id ~= "whole" or suffix ~= ".weight" and suffix ~= ".bias"
         or m.name:find("^base_model%.model%.") ~= nil
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

--- Whether nothing tells a module's alpha.
function adapter.lacks_alpha(m)
   return m.rank ~= nil and not m.kind.unscaled and not m.alpha
end

-- Why an adapter of PEFT's configuration cannot be used, or nil.
local function obstacle(a)
   local why = peft.obstacle(a.config)
   for _, m in ipairs(not why and not a.config.parts and a.modules or {}) do
      if adapter.lacks_alpha(m) then
         return ("%s gives no number as lora_alpha, which scales %s"):format(peft.CONFIG, text.quote(m.name))
      end
   end
   return why
end

--- Refuses an adapter whose configuration says that more is to do, or does not say the scale.
function adapter.check_obstacle(a)
   local why = a.config and obstacle(a)
   if why then errors.throwf("format", "%s: %s", a.label, why) end
end

--- Refuses what PEFT wrote and whose configuration says that more is to do, or is missing: without alpha its scale is
-- a guess.
function adapter.check_config(list)
   local wrong = {}
   for _, a in ipairs(list) do
      local why = a.config and obstacle(a)
      if why then wrong[#wrong + 1] = core.error("format", ("%s: %s"):format(a.label, why)) end
      for _, m in ipairs(a.config and {} or a.modules) do
         if m.name:find("^base_model%.model%.") and adapter.lacks_alpha(m) then
            wrong[#wrong + 1] = core.error("format", ("%s: nothing tells alpha of %s: PEFT writes it into %s, which is "
               .. "not beside the file"):format(a.label, text.quote(m.name), peft.CONFIG))
            break
         end
      end
   end
   errors.throw_all(wrong, "cannot be used")
end

--- Whether alpha / rank multiplies what is added to a module's bias: PEFT's lora_bias, no program's difference.
function adapter.is_bias_scaled(m) return m.suffixes.bias_diff == ".lora_B.bias" end

--- Whether DoRA's magnitudes are those of columns: PEFT's are of rows, but of embeddings.
function adapter.by_column(m)
   local d = m.parts.dora
   if m.parts.embedding_down then return true end
   return d:ndim() > 1 and d:shape()[1] == 1 and not m.suffixes.dora:find("magnitude")
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

local function check_what(what, who)
   if type(what) ~= "string" and not map.is_model(what) then
      errors.throwf("arg", "%s is a path or a model of its tensors, not a %s", who, type(what))
   end
end

--- Opens an adapter: a file, or a folder that PEFT or diffusers wrote.
-- @tparam string|model what
-- @tparam[opt] string label for messages: by default the file's name, or the folder's
-- @treturn table as adapter.of
function adapter.open(what, label)
   check_what(what, "an adapter")
   if map.is_model(what) then
      local files = what:files()
      return adapter.of(what, label, table.unpack(#files == 1 and { peft.beside(files[1].path) } or {}))
   end
   local stat = core.stat(what)
   if not stat or stat.type ~= "dir" then return adapter.of(open.open(what), label, peft.beside(what)) end
   local file = peft.file_in(what)
   return adapter.of(open.open(file or what), label or core.escape(text.basename(what)), peft.read(what))
end

local PARTS = { "unet", "model", "te", "te2", "te3" }

local function is_number(x) return type(x) == "number" and x == x and math.abs(x) < math.huge end

local function check_value(value, i, what)
   if is_number(value) then return end
   if not (what.by_part and type(value) == "table") then
      errors.throwf("arg", "%s: the %s of adapter %d must be a number%s", what.who, what.word, i,
         what.by_part and ", or numbers by part" or "")
   end
   for key, x in pairs(value) do
      local known = false
      for _, part in ipairs(PARTS) do known = known or part == key end
      if not known or not is_number(x) then
         errors.throwf("arg", "%s: the %s of adapter %d is a number for each of %s, not %s = %s", what.who, what.word,
            i, table.concat(PARTS, ", "), tostring(key), tostring(x))
      end
   end
end

-- Paths as labels where names of files alone are not all different.
local function labels_of(list)
   local count, out = {}, {}
   for _, what in ipairs(list) do
      local name = type(what) == "string" and text.basename(what) or what
      count[name] = (count[name] or 0) + 1
   end
   for i, what in ipairs(list) do
      if type(what) == "string" and count[text.basename(what)] > 1 then out[i] = core.escape(what) end
   end
   return out
end

--- Opens a list of adapters, each with a number: { what, { what, 0.5 }, ... }.
-- @tparam table list
-- @tparam table what who = the function and word = what it calls the number, for messages; default = 1; by_part =
--   whether a table of numbers is right, too
-- @treturn {table,...} adapter, value, given = the entry
function adapter.list(list, what)
   local sources, out = {}, {}
   for i, given in ipairs(list) do
      if type(given) ~= "table" or map.is_model(given) then given = { given } end
      local value = given[2]
      if value == nil then value = what.default or 1 end
      check_what(given[1], ("%s: adapter %d"):format(what.who, i))
      check_value(value, i, what)
      sources[i], out[i] = given[1], { value = value, given = given }
   end
   if #out == 0 then
      errors.throwf("arg", "%s: a list of adapters expected: { { adapter, %s }, ... }", what.who, what.word)
   end
   local labels = labels_of(sources)
   for i, entry in ipairs(out) do entry.adapter = adapter.open(sources[i], labels[i]) end
   return out
end

return adapter
