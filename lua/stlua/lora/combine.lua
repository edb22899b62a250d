--- Adapters added up as one: the sum of weight * scale * B A, exactly, by setting the factors side by side; or nearest
-- to it at a lower rank.
-- Layer: Lua, above stlua.core.

local adapter = require "stlua.lora.adapter"
local architectures = require "stlua.lora.architectures"
local convert = require "stlua.lora.conversion"
local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local factors = require "stlua.lora.factors"
local formats = require "stlua.lora.formats"
local lineage = require "stlua.lineage"
local map = require "stlua.map"
local math_ = require "stlua.merge_math"
local meta = require "stlua.meta"
local network = require "stlua.lora.network"
local peft = require "stlua.lora.peft"
local recompress = require "stlua.lora.recompress"
local text = require "stlua.text"
local write = require "stlua.lora.write"

local combine = {}

local WHO = "st.lora.combine"

-- ---------------------------------------------------------------- checking

-- What an adapter says it was made for.
local function base_of(a)
   local m = a.metadata
   local said = m["modelspec.architecture"] or m.ss_base_model_version
   local id = architectures.of(a)
   return id, said or id and architectures.title(id)
end

local function check_bases(list)
   local first, said = base_of(list[1].adapter)
   for i = 2, #list do
      local id, other = base_of(list[i].adapter)
      if first and id and not architectures.alike(first, id) then
         errors.throw("format", ("%s is for %s, %s for %s: adapters of different models cannot be combined"):format(
            list[1].adapter.label, core.escape(said), list[i].adapter.label, core.escape(other)))
      end
   end
end

-- Tensors of no module cannot be added up, and would be lost.
local function check_others(list)
   local wrong = {}
   for _, entry in ipairs(list) do
      for _, name in ipairs(entry.adapter.others) do
         wrong[#wrong + 1] = core.error("name", ("%s: %s is no tensor of an adapter"):format(entry.adapter.label,
            text.quote(name)))
      end
   end
   errors.throw_all(wrong, "cannot be combined")
end

local REFUSED = { lora = false, loha = false, lokr = false, difference = false }

local function check_kinds(list, expands)
   local lines, first = {}, list[1].adapter.modules[1]
   for _, entry in ipairs(list) do
      local never, unless = {}, {}
      for _, m in ipairs(entry.adapter.modules) do
         local bias = m.parts.bias_diff or m.parts.whole_bias or m.parts.base or m.transposed ~= first.transposed
         local flat = m.kind.id == "difference" and not (m.parts.diff and m.parts.diff:ndim() >= 2)
         if m.parts.dora or bias or flat or REFUSED[m.kind.id] == nil then
            never[#never + 1] = m
         elseif m.kind.id ~= "lora" and not expands then
            unless[#unless + 1] = m
         end
      end
      local wrong = { { never, "is no plain product, and cannot be combined" },
         { unless, "is no LoRA: give a rank (--rank) to have the nearest LoRA" } }
      for _, w in ipairs(wrong) do
         local ok, e = pcall(formats.refuse, entry.adapter, w[1], w[2])
         if not ok then lines[#lines + 1] = e.message end
      end
   end
   if #lines > 0 then errors.throw("format", table.concat(lines, "\n")) end
end

-- ---------------------------------------------------------------- one spelling

-- Whether the adapters name modules alike already: all in one format, and each has a module of the first.
local function alike(list, format)
   local names = {}
   for _, m in ipairs(list[1].adapter.modules) do names[m.name] = true end
   for _, entry in ipairs(list) do
      local met = false
      for _, m in ipairs(entry.adapter.modules) do met = met or names[m.name] ~= nil end
      if not met or formats.of(entry.adapter) ~= format then return false end
   end
   return true
end

-- All in one format and spelling.
local function in_format(list, opts)
   local format = opts.to or formats.written(list[1].adapter)
   if not opts.model and alike(list, format) then return format end
   local same = true
   for _, entry in ipairs(list) do same = same and formats.of(entry.adapter) == format end
   local converted = {}
   for i, entry in ipairs(list) do
      local ok, model = pcall(convert.of, entry.adapter, format, opts.model)
      if not ok and not (same and not opts.model) then error(model, 0) end
      if not ok then return format end      -- names of one format stand as they are
      converted[i] = model
   end
   for i, model in ipairs(converted) do
      list[i].adapter = adapter.of(model, list[i].adapter.label)
   end
   return format
end

-- ---------------------------------------------------------------- modules

local function shape_of(term)
   return term.tail and { term.rows, table.unpack(term.tail) } or { term.rows, term.columns }
end

-- Whether two terms are for one weight, of which a kernel of 1 x 1 may be written as a matrix.
local function fit(a, b)
   if text.shape(shape_of(a)) == text.shape(shape_of(b)) then return true end
   local point = not factors.is_convolution(a.tail) and not factors.is_convolution(b.tail)
   return point and not (a.tail and b.tail) and a.rows == b.rows and a.columns == b.columns
end

-- What one adapter adds to a module.
local function term_of(entry, m)
   local b, a, tail = factors.of(m)
   local whole
   if not b then whole, tail = factors.whole(m) end
   local shape = (whole or b):shape()
   return { module = m, adapter = entry.adapter, b = b, a = a, whole = whole, tail = tail, rows = shape[1],
      columns = (whole or a):shape()[2], factor = entry.value * m.scale, untouched = m.kind.id == "lora"
      and not m.parts.mid and not m.parts.embedding_down, embedding = m.parts.embedding_down ~= nil }
end

-- Terms without those of alpha 0, unless all are.
local function effective(terms)
   local out = {}
   for _, term in ipairs(terms) do
      if term.factor ~= 0 then out[#out + 1] = term end
   end
   return #out > 0 and out or terms
end

-- All modules in the order in which they are met, with their terms; those of weight 0 count for nothing.
local function gather(list)
   local out, by_name, wrong = {}, {}, {}
   for _, entry in ipairs(list) do
      for _, m in ipairs(entry.value ~= 0 and entry.adapter.modules or {}) do
         local term = term_of(entry, m)
         local place = by_name[m.name]
         if not place then
            place = { name = m.written or m.name, terms = {} }
            by_name[m.name] = place
            out[#out + 1] = place
         end
         local first = place.terms[1]
         if first and not fit(first, term) then
            wrong[#wrong + 1] = core.error("shape", ("%s: %s in %s, %s in %s"):format(text.quote(m.name),
               text.shape(shape_of(first)), first.adapter.label, text.shape(shape_of(term)), term.adapter.label))
         end
         place.terms[#place.terms + 1] = term
         place.tail = place.tail or term.tail
      end
   end
   errors.throw_all(wrong, "do not fit: are the adapters for different models?")
   for _, place in ipairs(out) do
      place.terms = effective(place.terms)
      for _, term in ipairs(place.terms) do term.tail = place.tail end
   end
   if #out == 0 then errors.throwf("arg", "%s: all weights are 0: nothing is left", WHO) end
   return out
end

-- The terms' dtype where it is one, else F32.
local function common_dtype(place)
   local out
   for _, term in ipairs(place.terms) do
      local own = adapter.dtype(term.module)
      if out and own ~= out then return "F32" end
      out = own
   end
   return out
end

-- A factor as it stands in the file, or changed by a number in F32.
local function scaled(t, factor, kind)
   if factor == 1 then return t:cast(kind) end
   return (math_.wide(t) * factor):cast(kind)
end

-- The largest: others are multiplied by less than 1, so that no half precision overflows.
local function scale_of(terms)
   local scale = 0
   for _, term in ipairs(terms) do scale = math.max(scale, math.abs(term.factor)) end
   return scale > 0 and scale or 1
end

-- Factors side by side. The largest scale becomes alpha / rank, the others' are multiplied in where they differ; "cat"
-- is PEFT's way: alpha is the rank, and each A has its factor.
local function side_by_side(place, mode, kind)
   local ups, downs, rank = {}, {}, 0
   kind = kind or common_dtype(place)
   local scale = mode == "cat" and 1 or scale_of(place.terms)
   for i, term in ipairs(place.terms) do
      local p, ratio = term.module.parts, term.factor / scale
      local b, a = term.b, term.a
      if term.untouched then b, a = p.up:reshape(b:shape()), p.down:reshape(a:shape()) end     -- not by way of F64
      b, a = factors.shaped(b, a, term.tail)
      ups[i] = scaled(b, mode == "cat" and 1 or ratio, kind)
      downs[i] = scaled(a, mode == "cat" and ratio or 1, kind)
      rank = rank + term.b:shape()[2]
   end
   return { name = place.name, up = core.cat(ups, 2), down = core.cat(downs, 1), rank = rank, alpha = scale * rank,
      embedding = place.terms[1].embedding }
end

-- All terms as one product, or as one matrix where some have no factors.
local function as_one(place)
   local bs, as, whole = {}, {}, nil
   for _, term in ipairs(place.terms) do
      if term.b then
         bs[#bs + 1], as[#as + 1] = term.b * term.factor, term.a
      else
         local d = term.whole * term.factor
         whole = whole and whole + d or d
      end
   end
   local b, a
   if #bs > 0 then b, a = core.cat(bs, 2), core.cat(as, 1) end
   if not whole then return b, a end
   return nil, b and whole + core.matmul(b, a) or whole
end

local function compressed(place, want, kind)
   local b, a = as_one(place)
   local first = place.terms[1]
   local before = b and b:shape()[2] or math.min(first.rows, first.columns)
   local convolution = factors.is_convolution(first.tail)
   local d = recompress.of(b, a, convolution and want.conv_rank or want.rank or before)
   local rank = recompress.rank(d, want, convolution)
   local row = recompress.certificate(d, rank, 1)
   row.module, row.rank_before = place.name, before
   local up, down = recompress.take(d, rank, kind or common_dtype(place))
   up, down = factors.shaped(up, down, first.tail)
   return { name = place.name, up = up, down = down, rank = rank, alpha = rank, embedding = first.embedding }, row
end

-- ---------------------------------------------------------------- the result

local KEPT = { "format", "modelspec.architecture", "modelspec.sai_model_spec", "modelspec.implementation",
   "modelspec.prediction_type", "ss_base_model_version", "ss_v2", peft.KEY }

-- What still holds of the first adapter's metadata.
local function metadata_of(list, modules, format)
   local first, out = convert.metadata(list[1].adapter), {}
   for _, key in ipairs(KEPT) do out[key] = first[key] end
   if format == "kohya" then meta.overlay(out, network.remarks(modules), WHO) end
   return out
end

local KNOWN = { mode = "string", rank = "number", conv_rank = "number", energy = "number", sv_ratio = "number",
   sv_fro = "number", sv_cumulative = "number", model = "any", to = "string", dtype = "string" }

local function mode_of(opts, want)
   local mode = opts.mode or ((want.rank or want.rule) and "svd" or "exact")
   if mode ~= "exact" and mode ~= "svd" and mode ~= "cat" then
      errors.throwf("arg", '%s: mode = %s is not "exact", "svd" or "cat"', WHO, text.quote(mode))
   end
   if mode == "svd" and not (want.rank or want.rule) then
      errors.throwf("arg", '%s: mode "svd" needs `rank` or a rule: %s', WHO, table.concat(recompress.rules, ", "))
   elseif mode ~= "svd" and (want.rank or want.conv_rank or want.rule) then
      errors.throwf("arg", '%s: a rank is for mode "svd": %s has the sum of all ranks', WHO, text.quote(mode))
   end
   return mode
end

local function check(list, opts)
   if opts.model ~= nil and not map.is_model(opts.model) then
      errors.throwf("arg", "%s: `model` must be a model: st.open(...)", WHO)
   end
   if opts.to then write.check_format(opts.to, WHO, "to") end
   local want = recompress.read(opts, WHO)
   local mode = mode_of(opts, want)
   if type(list) ~= "table" or map.is_model(list) then list = {} end
   list = adapter.list(list, { who = WHO, word = "weight" })
   check_bases(list)
   check_others(list)
   check_kinds(list, mode == "svd")
   local adapters = {}
   for i, entry in ipairs(list) do adapters[i] = entry.adapter end
   adapter.check_config(adapters)
   adapter.check_finite(adapters, "cannot be combined")
   return list, want, mode
end

--- Adapters as one: the sum of weight * alpha / rank * B A over all, as if each had been applied. "exact" sets their
-- factors side by side, so that ranks add up and nothing is lost (weights are not squared, there are no cross terms);
-- "svd" gives the nearest of a lower rank; "cat" is "exact" the way PEFT writes it, alpha = rank. Modules that only
-- some have, different ranks, alphas, formats and spellings, and negative weights are all fine.
--
--     > a = st.model { { "lora_unet_x.lora_down.weight", st.ones(2, 8) },
--     ..    { "lora_unet_x.lora_up.weight", st.ones(8, 2) } }
--     > both, rows = st.lora.combine({ { a, 0.6 }, { a, 0.4 } }, { rank = 2 })
--     > both["lora_unet_x.lora_up.weight"]:shape(), rows[1].error < 1e-6
--     { 8, 1 }        true
-- @tparam {{string|model,number},...} list adapters and weights (1)
-- @tparam[opt] table opts `mode` = "exact", "svd" (default where a rank is given) or "cat"; `rank`, `conv_rank`,
--   `energy`, `sv_ratio`, `sv_fro`, `sv_cumulative` as of st.lora.resize; `to` = "kohya", "diffusers" or "peft" (the
--   first adapter's); `model` = the checkpoint, where names alone do not tell the modules; `dtype` of the factors
--   (theirs where it is one, else F32)
-- @treturn model st.lora.write saves it, in PEFT's format as a folder
-- @treturn {table,...} of "svd" a row for each module: module, rank_before, rank, retained, error, norm, s
-- @raise "format" for adapters of different models, for kinds that have no product; "shape" lists all modules that do
--   not fit; "arg" for NaN
function combine.combine(list, opts)
   opts = errors.check_options(opts, KNOWN, WHO)
   local want, mode
   list, want, mode = check(list, opts)
   local kind = opts.dtype and dtype.check(opts.dtype, true, WHO)
   local operands = {}
   for _, entry in ipairs(list) do
      operands[#operands + 1] = entry.adapter.model
      operands[#operands + 1] = entry.value
   end
   local format = in_format(list, opts)
   local modules, rows = {}, {}
   for i, place in ipairs(gather(list)) do
      if mode == "svd" then
         modules[i], rows[i] = compressed(place, want, kind)
         place.terms = nil      -- nor what was computed of them
      else
         modules[i] = side_by_side(place, mode, kind)
      end
   end
   local out = write.model(modules, format, metadata_of(list, modules, format))
   return lineage.derived(out, operands, { call = "lora.combine" }, { merged = true }), rows
end

return combine
