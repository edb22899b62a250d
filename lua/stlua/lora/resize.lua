--- Adapters of a lower rank: the nearest there is, module by module, with a certificate of what is lost.
-- Layer: Lua, above stlua.core.

local adapter = require "stlua.lora.adapter"
local convert = require "stlua.lora.conversion"
local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local factors = require "stlua.lora.factors"
local formats = require "stlua.lora.formats"
local lineage = require "stlua.lineage"
local meta = require "stlua.meta"
local network = require "stlua.lora.network"
local recompress = require "stlua.lora.recompress"
local text = require "stlua.text"
local write = require "stlua.lora.write"

local resize = {}

local EXPANDS = { lora = true, loha = true, lokr = true, difference = true }

-- A difference of a vector has no rank; whole tensors and it go on as they are.
local function passes(m)
   local diff = m.parts.diff
   return m.kind.id == "whole" or (m.kind.id == "difference" and not (diff and diff:ndim() >= 2))
end

local function check(a, want)
   local refused = {}
   for _, m in ipairs(a.modules) do
      if not passes(m) and (m.parts.dora or not EXPANDS[m.kind.id]) then refused[#refused + 1] = m end
   end
   formats.refuse(a, refused, "is no plain product, and its rank cannot be changed")
   if not want.rank and not want.rule then
      errors.throwf("arg", "st.lora.resize: give `rank`, or a rule: %s", table.concat(recompress.rules, ", "))
   end
end

-- Plain LoRA that is small enough already goes on as it is.
local function is_small(m, want, convolution)
   local most = convolution and want.conv_rank or want.rank
   return m.kind.id == "lora" and not m.parts.mid and not want.rule and m.rank <= most
end

local function as_it_is(m)
   return { name = m.name, rank = m.rank, alpha = adapter.alpha(m), source = m }
end

-- A module of lower rank. Alpha follows the rank, so that the scale stays.
local function shrink(m, want, kind)
   local b, a, tail = factors.of(m)
   if not b then a, tail = factors.whole(m) end
   local convolution = factors.is_convolution(tail)
   if is_small(m, want, convolution) then return as_it_is(m) end
   local before = b and b:shape()[2] or math.min(table.unpack(a:shape()))
   if m.kind.id == "lora" then before = m.rank end
   local d = recompress.of(b, a, convolution and want.conv_rank or want.rank or before)
   local rank = recompress.rank(d, want, convolution)
   local row = recompress.certificate(d, rank, m.scale)
   row.module, row.rank_before = m.name, before
   local up, down = recompress.take(d, rank, kind or adapter.dtype(m))
   up, down = factors.shaped(up, down, tail)
   return { name = m.name, up = up, down = down, rank = rank, alpha = m.scale * rank, source = m,
      embedding = m.parts.embedding_down ~= nil, bias = adapter.is_bias_scaled(m) and m.parts.bias_diff or nil }, row
end

-- The tensors under their old names; alpha where there was one, and where nothing else says the scale.
local function add_tensors(out, m, format)
   local src = m.source
   local function add(part, fallback, t) out:add(src.tensors[part] or m.name .. fallback, t) end
   if m.embedding then
      add("embedding_down", ".lora_embedding_A", m.up:t())
      add("embedding_up", ".lora_embedding_B", m.down:t())
   elseif m.up then
      add("down", write.suffix(format, "down"), m.down)
      add("up", write.suffix(format, "up"), m.up)
      if src.parts.bias_diff then add("bias_diff", "", src.parts.bias_diff) end
   else
      for part, t in pairs(src.parts) do add(part, "", t) end
      return
   end
   for _, part in ipairs { "base", "whole_bias" } do
      if src.parts[part] then add(part, "", src.parts[part]) end
   end
   if src.parts.alpha or format == "kohya" and (src.kind.id ~= "lora" or m.alpha ~= m.rank) then
      add("alpha", ".alpha", write.alpha_tensor(m))
   end
end

-- sd-scripts' remarks on ranks, where they stand.
local function note_ranks(metadata, modules)
   if not metadata.ss_network_dim then return end
   local list, plain = {}, true
   for i, m in ipairs(modules) do
      local p = m.source.parts
      list[i] = { rank = m.rank, alpha = m.alpha, down = m.down or p.down or p.embedding_down }
      plain = plain and m.source.kind.id == "lora"
   end
   local remarks = network.remarks(list, metadata.ss_network_args)
   if plain then remarks.ss_network_module = nil end
   meta.overlay(metadata, remarks, "st.lora.resize")
end

local function notes_of(kept, passed)
   local notes = {}
   if #kept > 0 then
      notes[1] = ("%s of no higher rank than asked for: as before"):format(text.plural(#kept, "module"))
   end
   if passed > 0 then notes[#notes + 1] = ("%s without a rank: as before"):format(text.plural(passed, "module")) end
   return notes
end

local function build(a, modules, format)
   local out = core.model()
   for _, m in ipairs(modules) do add_tensors(out, m, format) end
   for _, name in ipairs(a.others) do out:add(name, a.model:get(name)) end
   local ranked = {}
   for _, m in ipairs(modules) do
      if m.rank then ranked[#ranked + 1] = m end
   end
   local metadata = convert.metadata(a)
   meta.drop_hashes(metadata)
   note_ranks(metadata, ranked)
   if a.config and #ranked > 0 then write.set_config(format, ranked, metadata) end
   meta.set(out, metadata)
   return out
end

local KNOWN = { rank = "number", conv_rank = "number", energy = "number", sv_ratio = "number", sv_fro = "number",
   sv_cumulative = "number", dtype = "string" }

--- An adapter of lower rank: the best approximation that there is (of each module's change, in the Frobenius norm), at
-- the same scale. LoHa, LoKr and differences become LoRA; middle tensors are folded. Modules whose rank is not above
-- what is asked for stay as they are.
--
--     > lora = st.model { { "lora_unet_x.lora_down.weight", st.ones(4, 8) },
--     ..    { "lora_unet_x.lora_up.weight", st.ones(8, 4) } }
--     > small, rows = st.lora.resize(lora, { rank = 1 })
--     > rows[1].rank, rows[1].error < 1e-6
--     1       true
-- @tparam string|model what a file, a folder, a model of its tensors
-- @tparam table opts `rank` at most; `conv_rank` of convolutions with more than one element (as rank); and one rule, if
--   ranks are to differ: `energy` = the least share of the squared norm, `sv_fro` = its root, `sv_cumulative` = the
--   least share of the singular values' sum, `sv_ratio` = all values above the largest divided by it;
--   `dtype` of the new factors (as before)
-- @treturn model st.lora.write saves it, in PEFT's format as a folder
-- @treturn {table,...} a row for each module: module, rank_before, rank, retained (the share
--   of the squared norm), error, norm, s (singular values)
-- @raise "format" for DoRA, OFT and what else is no product; "arg" for NaN
function resize.resize(what, opts)
   opts = errors.check_options(opts, KNOWN, "st.lora.resize")
   local want = recompress.read(opts, "st.lora.resize")
   local kind = opts.dtype and dtype.check(opts.dtype, true, "st.lora.resize")
   local a = adapter.open(what)
   check(a, want)
   adapter.check_obstacle(a)
   adapter.check_finite({ a }, "cannot be resized")
   local format, modules, rows, kept, passed = formats.written(a), {}, {}, {}, 0
   for i, m in ipairs(a.modules) do
      local row
      if passes(m) then
         modules[i], passed = { name = m.name, source = m }, passed + 1
      else
         modules[i], row = shrink(m, want, kind)
         rows[#rows + 1] = row
         if not row then kept[#kept + 1] = m end
      end
   end
   local out = lineage.derived(build(a, modules, format), { a.model }, { call = "lora.resize" },
      { merged = true, notes = notes_of(kept, passed) })
   return out, rows
end

return resize
