--- Adapters as they are written: tensors by each format's names, with what says the scale - kohya's .alpha tensors,
-- PEFT's adapter_config.json, diffusers' lora_adapter_metadata.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local map = require "stlua.map"
local meta = require "stlua.meta"
local peft = require "stlua.lora.peft"
local save = require "stlua.save"
local text = require "stlua.text"

local write = {}

--- The formats that there are.
write.formats = { "kohya", "diffusers", "peft" }

local SUFFIXES = {
   kohya = { down = ".lora_down.weight", up = ".lora_up.weight", mid = ".lora_mid.weight", dora = ".dora_scale" },
   diffusers = { down = ".lora_A.weight", up = ".lora_B.weight", dora = ".lora_magnitude_vector",
      bias = ".lora_B.bias" },
   peft = { down = ".lora_A.weight", up = ".lora_B.weight", dora = ".lora_magnitude_vector", bias = ".lora_B.bias",
      base = ".base_layer.weight", whole_bias = ".base_layer.bias",
      embedding_down = ".lora_embedding_A", embedding_up = ".lora_embedding_B" },
}

--- Where a converted adapter keeps the text of the configuration that it came with, so that it can be had back.
write.KEPT = { [peft.KEY] = "stlua.kept.adapter_config", [peft.DIFFUSERS_KEY] = "stlua.kept.lora_adapter_metadata" }

--- Throws unless this is a format that can be written.
-- @tparam any format
-- @tparam string who
-- @tparam string option what gave it
function write.check_format(format, who, option)
   for _, f in ipairs(write.formats) do
      if f == format then return format end
   end
   errors.throwf("arg", "%s: `%s` must be one of %s, not %s", who, option, table.concat(write.formats, ", "),
      format == nil and "nothing" or text.quote(tostring(format)))
end

--- The suffix of a part in a format, nil where it has none.
function write.suffix(format, part) return SUFFIXES[format][part] end

-- ---------------------------------------------------------------- configurations

local function most_common(list)
   local count, best = {}, nil
   for _, v in ipairs(list) do count[v] = (count[v] or 0) + 1 end
   for v, n in pairs(count) do
      if not best or n > count[best] or n == count[best] and v < best then best = v end
   end
   return best
end

-- PEFT takes a pattern for a module's whole name or its end behind a dot: "^" where another module ends so.
local function pattern_of(name, names)
   for other in pairs(names) do
      if other:sub(-#name - 1) == "." .. name then return "^" .. name end
   end
   return name
end

local function plain(x) return math.tointeger(x) or x end

-- r, alpha and what differs from them: { name = , rank =, alpha =, dora = } of one model.
local function ranks_of(modules)
   local ranks, alphas, names, out = {}, {}, {}, { rank_pattern = {}, alpha_pattern = {}, target_modules = {} }
   for i, m in ipairs(modules) do
      ranks[i], alphas[i], names[m.name] = m.rank, m.alpha, true
      out.target_modules[i] = m.name
      out.use_dora = out.use_dora or m.dora
      out.lora_bias = out.lora_bias or m.bias
   end
   table.sort(out.target_modules)
   core.array(out.target_modules)
   out.r, out.lora_alpha = most_common(ranks), plain(most_common(alphas))
   for _, m in ipairs(modules) do
      if m.rank ~= out.r then out.rank_pattern[pattern_of(m.name, names)] = m.rank end
      if m.alpha ~= out.lora_alpha then out.alpha_pattern[pattern_of(m.name, names)] = plain(m.alpha) end
   end
   out.use_rslora, out.use_dora, out.lora_bias = false, out.use_dora or false, out.lora_bias or false
   return out
end

--- PEFT's configuration of plain LoRA, without ranks and modules.
function write.config_defaults()
   return { peft_type = "LORA", bias = "none", fan_in_fan_out = false, inference_mode = true, lora_dropout = 0,
      init_lora_weights = true, use_rslora = false, use_dora = false, lora_bias = false, task_type = core.null,
      base_model_name_or_path = core.null, modules_to_save = core.null }
end

-- An alpha that went through a tensor is rounded to F32.
local function off(x, y) return math.abs(x - y) > 2e-7 * math.abs(y) end

local function is_lora(config) return config.peft_type == nil or config.peft_type == "LORA" end

-- Whether a configuration, as it is, says of these modules what is true.
local function holds(config, modules)
   if not is_lora(config) then return false end
   for _, m in ipairs(modules) do
      if peft.rank(config, m.name) ~= m.rank or off(peft.scale(config, m.name, m.rank), m.alpha / m.rank) then
         return false
      end
      if not config.parts and (config.use_dora == true) ~= (m.dora == true) then return false end
   end
   return true
end

-- Fields of LoHa's and LoKr's configurations that LoRA has not.
local OF_OTHERS = { "peft_type", "alpha", "init_weights", "decompose_both", "decompose_factor", "rank_dropout",
   "rank_dropout_scale", "module_dropout", "use_effective_conv2d" }

--- PEFT's adapter_config.json.
-- @tparam {table,...} modules { name without base_model.model., rank, alpha, dora, bias }
-- @tparam[opt] table given a configuration whose other fields are kept
-- @treturn table
function write.config(modules, given)
   local out = write.config_defaults()
   for key, value in pairs(given or {}) do out[key] = value end
   if not is_lora(out) then
      for _, key in ipairs(OF_OTHERS) do out[key] = nil end
      out.peft_type = "LORA"
   end
   for key, value in pairs(ranks_of(modules)) do out[key] = value end
   return out
end

-- Modules by the part of the pipeline that diffusers' names begin with.
local function by_part(modules)
   local parts = {}
   for _, m in ipairs(modules) do
      local part, rest = peft.part_of(m.name)
      if not part then errors.throwf("name", "diffusers' names begin with a part, not \"%s\"", core.escape(m.name)) end
      parts[part] = parts[part] or {}
      table.insert(parts[part], { name = rest, rank = m.rank, alpha = m.alpha, dora = m.dora, bias = m.bias })
   end
   return parts
end

local function diffusers_metadata(modules)
   local out = {}
   for part, list in pairs(by_part(modules)) do
      for key, value in pairs(ranks_of(list)) do out[part .. "." .. key] = value end
   end
   return out
end

-- The configuration's text, as it is made here. `before` gives what else stands in it.
local function config_text(format, modules, before)
   local short = {}
   for i, m in ipairs(modules) do
      local name = format == "peft" and m.name:gsub("^base_model%.model%.", "") or m.name
      short[i] = { name = name, rank = m.rank, alpha = m.alpha or m.rank, dora = m.dora ~= nil, bias = m.bias ~= nil }
   end
   if before then
      local config = format == "peft" and before or { parts = before }
      if holds(config, short) then return nil end
   end
   local new = format == "peft" and write.config(short, before) or diffusers_metadata(short)
   return core.json_encode(new, { indent = 2 })
end

--- Whether a configuration is just what would be made here anew, so that there is nothing to keep.
function write.is_plain(format, modules, config)
   local ok, made = pcall(config_text, format, modules)
   return ok and made == config
end

-- Diffusers wants "format" in the header; whether it was there before is remembered.
local function set_format(format, metadata)
   if format == "kohya" then
      if metadata["stlua.kept.format"] then metadata.format = nil end
      metadata["stlua.kept.format"] = nil
   elseif not metadata.format then
      metadata.format, metadata["stlua.kept.format"] = "pt", "none"
   end
end

--- What says the scale, put into the metadata. A configuration that came with the adapter stays as it is, letter for
-- letter, while it holds.
-- @tparam string format
-- @tparam {table,...} modules { name, rank, alpha, dora, bias }
-- @tparam table metadata changed
function write.set_config(format, modules, metadata)
   local key = format == "peft" and peft.KEY or format == "diffusers" and peft.DIFFUSERS_KEY
   local texts = {}
   for own, kept in pairs(write.KEPT) do
      texts[own] = metadata[own] or metadata[kept]
      metadata[own], metadata[kept] = nil, nil
      if own ~= key then metadata[kept] = texts[own] end
   end
   if not key then return end
   metadata[key] = config_text(format, modules, peft.decode(texts[key])) or texts[key]
end

-- ---------------------------------------------------------------- models

--- The scale's tensor: in the factors' dtype, as kohya's programs write it, if that holds the number.
function write.alpha_tensor(m)
   if m.alpha_tensor then return m.alpha_tensor end
   local t = core.tensor("F32", {}, ("<f"):pack(m.alpha))
   local kind = (m.down or m.up):dtype()
   local narrow = dtype.is_float(kind) and t:cast(kind)
   return narrow and narrow:cast("F64"):item() == t:item() and narrow or t
end

local ORDER = { "down", "up", "mid", "dora", "bias", "whole_bias" }

-- An embedding's factors are those of the transpose.
local function add_module(add, m, format)
   if m.embedding then
      add(m.name .. write.suffix(format, "embedding_down"), m.up:t())
      add(m.name .. write.suffix(format, "embedding_up"), m.down:t())
      for _, part in ipairs { "dora", "base" } do
         if m[part] then add(m.name .. write.suffix(format, part), m[part]) end
      end
   else
      for _, part in ipairs(ORDER) do
         if m[part] then add(m.name .. write.suffix(format, part), m[part]) end
      end
   end
   if format == "kohya" then add(m.name .. ".alpha", write.alpha_tensor(m)) end
end

--- A model of the tensors of an adapter.
-- @tparam {table,...} modules { name = as the format spells it, prefix and all; up = (out, r), down = (r, in), those of
--    a convolution with its four dimensions; alpha = number, or nil for 1 as scale; rank; mid, dora, bias, whole_bias,
--    base = tensors; alpha_tensor; embedding = true for a matrix (V, d) whose factors PEFT saves transposed }
-- @tparam string format "kohya", "diffusers" or "peft"
-- @tparam[opt] table metadata what is there already
-- @tparam[opt] {{string,tensor},...} others tensors that go along
-- @treturn model in format "peft" its metadata hold the configuration, which write.write puts beside it
function write.model(modules, format, metadata, others)
   local out = core.model()
   local taken = {}
   for key, value in pairs(metadata or {}) do taken[key] = value end
   for _, m in ipairs(modules) do
      m.alpha = m.alpha or m.rank
      add_module(function(name, t) out:add(name, t) end, m, format)
   end
   for _, entry in ipairs(others or {}) do out:add(entry[1], entry[2]) end
   write.set_config(format, modules, taken)
   set_format(format, taken)
   meta.set(out, taken)
   return out
end

-- ---------------------------------------------------------------- saving

local WHOLE = 2 ^ 52     -- bytes: one shard

--- What a save needs beyond the model: of PEFT's format the folder's files, and the configuration out of the header; a
-- file, which a name that ends in .safetensors (or .safetensors.zst) asks for, keeps it there.
-- @tparam model model
-- @tparam ?string path
-- @treturn table { only_file =, files =, max_shard_size =, metadata = } or empty
function write.as_saved(model, path)
   local config = model:metadata()[peft.KEY]
   if not config or path and text.is_weights(path) then return {} end
   return { only_file = peft.FILE, files = { ["adapter_config.json"] = config }, max_shard_size = math.floor(WHOLE),
      metadata = { [peft.KEY] = false } }
end

--- Writes an adapter: one in PEFT's format as a folder of adapter_model.safetensors and adapter_config.json, any
-- other as a file. All or nothing, as m:save, which writes every one as a file: there a header has the configuration.
--
--     > lora = st.model { { "base_model.model.q.lora_A.weight", st.ones(2, 8) },
--     ..    { "base_model.model.q.lora_B.weight", st.ones(8, 2) } }
--     > st.lora.write(st.lora.resize(lora, { rank = 1 }), "small") > 0
--     true
-- @tparam model model as st.lora.extract, resize, combine and convert give it
-- @tparam string path a file; a folder for PEFT, unless it ends in .safetensors
-- @tparam[opt] table opts as of m:save
-- @treturn integer bytes written
-- @raise as m:save
function write.write(model, path, opts)
   if not map.is_model(model) then errors.throwf("arg", "st.lora.write: a model expected, got a %s", type(model)) end
   local more = write.as_saved(model, path)
   for key, value in pairs(errors.check_options(opts, save.options, "st.lora.write")) do
      for k, v in pairs(key == "metadata" and type(value) == "table" and more.metadata or {}) do value[k] = v end
      more[key] = value
   end
   return save.save(model, path, more)
end

return write
