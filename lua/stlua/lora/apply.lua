--- Adapters merged into a model: everything is found and checked by names and shapes first, then each weight is one
-- deferred expression, computed in F32 and rounded once.
-- Layer: Lua, above stlua.core.

local adapter = require "stlua.lora.adapter"
local blocks = require "stlua.blocks"
local core = require "stlua.core"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local making = require "stlua.make"
local map = require "stlua.map"
local math_ = require "stlua.merge_math"
local spellings = require "stlua.lora.spellings"
local reduce = require "stlua.reduce"
local text = require "stlua.text"

local apply = {}

-- ---------------------------------------------------------------- finding

-- A part's strength: a number, or by part ("unet", "te", "te2", "te3", "model").
local function strength_of(strength, part)
   if type(strength) == "number" then return strength end
   local te = part:find("^te") and strength.te or nil
   return strength[part] or te or (part == "model" and strength.unet) or 1
end

local function unmatched(list, found)
   local lines = { ("%s of the adapters %s nothing in the model (--allow-unmatched leaves them out):"):format(
      text.plural(#list, "module"), #list == 1 and "matches" or "match") }
   for i, u in ipairs(list) do
      if i > 1000 then break end
      local near = #list <= 200 and found:nearest(u.module.name) or nil
      lines[#lines + 1] = ("  %s: %s%s"):format(u.adapter.label, text.quote(u.module.name),
         near and "; near: " .. text.quote(near) or "")
   end
   errors.throw("name", table.concat(lines, "\n"))
end

-- What each tensor of the model gets: by name a list of { module, segment, strength, bias = whether it is a bias }.
local function assign(found, list, opts)
   local by_tensor, missing, matched = {}, {}, 0
   local function give(name, job)
      by_tensor[name] = by_tensor[name] or {}
      table.insert(by_tensor[name], job)
   end
   for _, entry in ipairs(list) do
      for _, m in ipairs(entry.adapter.modules) do
         local place = found:find(m.name)
         if not place then
            missing[#missing + 1] = { adapter = entry.adapter, module = m }
         else
            matched = matched + 1
            local part = strength_of(entry.strength, place.part.layout.part)
            for _, s in ipairs(place.segments) do
               local own = entry.blocks and s.weight and entry.blocks(s.weight) or 1
               local job = { module = m, segment = s, strength = part * own, label = entry.adapter.label }
               if s.weight then give(s.weight, job) end
               if s.bias then give(s.bias, job) end
            end
         end
      end
   end
   if #missing > 0 and not opts.allow_unmatched then unmatched(missing, found) end
   return by_tensor, missing, matched
end

-- ---------------------------------------------------------------- computing

local function f32(p)
   return setmetatable({}, { __index = function(t, k)
      local x = p[k]
      if x then rawset(t, k, math_.wide(x)) end
      return rawget(t, k)
   end })
end

local function rows_of(t, s)
   return s.at and t:narrow(1, s.from + 1, s.count) or t
end

-- The rows of a weight that a segment means, changed by fn.
local function in_rows(w, s, fn)
   local rows = w:shape()[1]
   if not s.at or s.count == rows then return fn(w) end
   local pieces = {}
   if s.at > 0 then pieces[1] = w:narrow(1, 1, s.at) end
   pieces[#pieces + 1] = fn(w:narrow(1, s.at + 1, s.count))
   local last = s.at + s.count
   if last < rows then pieces[#pieces + 1] = w:narrow(1, last + 1, rows - last) end
   return core.cat(pieces, 1)
end

local function wrong_shape(job, w)
   local shapes = {}
   for part, t in pairs(job.module.parts) do
      if t:ndim() > 0 then shapes[#shapes + 1] = ("%s %s"):format(part, text.shape(t:shape())) end
   end
   table.sort(shapes)
   errors.throw("shape", ("%s: %s (%s) does not fit %s"):format(job.label, text.quote(job.module.name),
      table.concat(shapes, ", "), text.shape(w:shape())))
end

-- B and A of an additive module for the rows of its segment, in F32; nil for other kinds.
local function factors(job)
   local m = job.module
   if not m.kind.factors or m.parts.dora then return nil end
   local b, a = m.kind.factors(f32(m.parts))
   if not b then return nil end
   return rows_of(b, job.segment), a
end

-- Zeros above and below the rows of a segment.
local function in_place(b, s, rows)
   if not s.at or s.count == rows then return b end
   local r, pieces = b:shape()[2], {}
   if s.at > 0 then pieces[1] = making.zeros(s.at, r) end
   pieces[#pieces + 1] = b
   local last = s.at + s.count
   if last < rows then pieces[#pieces + 1] = making.zeros(rows - last, r) end
   return core.cat(pieces, 1)
end

-- Several products are one: B1 A1 + B2 A2 = (B1 B2) (A1 over A2), so that they go by in one pass.
local function add_products(w, products)
   if #products == 0 then return w end
   local bs, as = {}, {}
   for i, p in ipairs(products) do bs[i], as[i] = p.b, p.a end
   local b = #bs == 1 and bs[1] or core.cat(bs, 2)
   local a = #as == 1 and as[1] or core.cat(as, 1)
   return w + core.matmul(b, a):reshape(w:shape())
end

-- W + dW with rows (or columns, where there are as many magnitudes) at the length that was learned, as LyCORIS and PEFT
-- have it; strength goes part of the way.
local function dora(w, changed, magnitude, strength)
   local rows, columns = w:shape()[1], w:numel() // w:shape()[1]
   local flat = changed:reshape(rows, columns)
   local scale
   if magnitude:shape()[1] == rows or magnitude:ndim() == 1 then
      scale = magnitude:reshape(rows, 1) / reduce.norm(flat, 2, { dim = 2, keepdim = true })
      flat = flat * scale
   else
      local inner = w:reshape(rows, w:shape()[2], columns // w:shape()[2])
      local c = changed:reshape(inner:shape())
      scale = magnitude:reshape(1, w:shape()[2], 1) / reduce.norm(c, 2, { dim = { 1, 3 }, keepdim = true })
      flat = c * scale
   end
   local result = flat:reshape(w:shape())
   return strength == 1 and result or w + strength * (result - w)
end

-- The delta of a module at scale alpha / rank, as large as the segment's rows of w.
local function delta_of(job, w)
   local m, b, a = job.module, nil, nil
   if m.kind.factors then b, a = m.kind.factors(f32(m.parts)) end
   local d = b and core.matmul(rows_of(b, job.segment), a) or rows_of(m.kind.delta(f32(m.parts)), job.segment)
   if d:numel() ~= w:numel() then wrong_shape(job, w) end
   return (d * m.scale):reshape(w:shape())
end

-- One job on the rows of its segment.
local function change(job, w)
   local m, kind = job.module, job.module.kind
   if kind.apply then
      if m.parts.whole and not m.parts.on_input and m.parts.whole:numel() ~= w:numel() then wrong_shape(job, w) end
      return kind.apply(w, f32(m.parts), job.strength, m.scale, m.alpha)
   elseif m.parts.dora then
      return dora(w, w + delta_of(job, w), math_.wide(m.parts.dora), job.strength)
   elseif kind.id == "difference" and not m.parts.diff then
      return w
   end
   return w + job.strength * delta_of(job, w)
end

-- The weight under all its jobs, in the adapters' order; products that follow each other are added at once.
local function weight(w, jobs)
   for _, job in ipairs(jobs) do
      local base = job.module.parts.base
      if base and base:numel() ~= w:numel() then w = base end     -- with a larger vocabulary
   end
   local x, products, rows = math_.wide(w), {}, w:shape()[1]
   for _, job in ipairs(jobs) do
      local b, a = factors(job)
      if b then
         if (job.segment.count or rows) ~= b:shape()[1] or rows * a:shape()[2] ~= w:numel()
            or b:shape()[2] ~= a:shape()[1] then
            wrong_shape(job, w)
         end
         products[#products + 1] = { b = in_place(b * (job.strength * job.module.scale), job.segment, rows), a = a }
      else
         x = add_products(x, products)
         products = {}
         x = in_rows(x, job.segment, function(part) return change(job, part) end)
      end
   end
   return add_products(x, products)
end

local function bias(b, jobs)
   local x, touched = math_.wide(b), false
   for _, job in ipairs(jobs) do
      local m, s = job.module, job.segment
      local d = m.parts.bias_diff
      if d then
         touched = true
         d = rows_of(math_.wide(d):flatten(), s)
         if d:numel() ~= (s.count or b:numel()) then wrong_shape(job, b) end
         x = in_rows(x, s, function(part) return part + (job.strength * m.scale) * d:reshape(part:shape()) end)
      elseif m.kind.apply_bias and m.parts.whole_bias then
         touched = true
         x = in_rows(x, s, function(part) return m.kind.apply_bias(part, f32(m.parts), job.strength) end)
      end
   end
   return touched and x or b
end

local function touches_weight(jobs)
   for _, job in ipairs(jobs) do
      local p = job.module.parts
      if job.strength ~= 0 and not (job.module.kind.id == "difference" and not p.diff)
         and not (job.module.kind.id == "whole" and not p.whole) then
         return true
      end
   end
   return false
end

-- ---------------------------------------------------------------- public

local KNOWN = { allow_unmatched = "boolean", invert = "boolean", blocks = "string|table", dtype = "string" }

local function read_list(model, adapters, strength, opts)
   if type(adapters) ~= "table" then adapters = { { adapters, strength or 1 } } end
   local list = {}
   for i, entry in ipairs(adapters) do
      if type(entry) ~= "table" or not entry[1] then entry = { entry, strength or 1 } end
      local s = entry[2] == nil and 1 or entry[2]
      if type(s) ~= "number" and type(s) ~= "table" or s ~= s then
         errors.throwf("arg", "st.lora.apply: the strength of adapter %d must be a number, or numbers by part", i)
      end
      local own = entry.blocks or opts.blocks
      list[i] = { adapter = adapter.open(entry[1]), strength = s,
         blocks = own and blocks.block_weights(model, own) or nil }
      if opts.invert then
         list[i].strength = type(s) == "number" and -s or s
         if type(s) == "table" then
            list[i].strength = {}
            for k, v in pairs(s) do list[i].strength[k] = -v end
         end
      end
   end
   return list
end

--- Merges adapters into a model: W + strength * alpha / rank * B A for LoRA, and what stands for it for the other kinds
-- (LoCon, LoHa, LoKr, GLoRA, DoRA, OFT, BOFT, IA3, differences, whole tensors), in every program's spelling. The
-- result is deferred, computed in F32 and rounded once to the model's dtypes.
-- @tparam model model a checkpoint
-- @tparam string|model|{...} adapters a file, a folder of PEFT, a model of its tensors, or a list of { adapter,
--   strength, blocks = as of st.block_weights }
-- @tparam[opt=1] number|table strength or by part, { unet = 0.8, te = 0.5 }
-- @tparam[opt] table opts `allow_unmatched` = true leaves out modules that match nothing, which is an error otherwise;
--   `invert` = true takes the adapters out again (exactly but for rounding, where they add);
--   `blocks` = a factor by block, as of st.block_weights
-- @treturn model
-- @raise "name" lists all modules that match nothing and the nearest names; "shape"; "arg" for NaN in an adapter;
--   "format" for what is no adapter
function apply.apply(model, adapters, strength, opts)
   if not map.is_model(model) then errors.throwf("arg", "st.lora.apply: a model expected, got a %s", type(model)) end
   opts = errors.check_options(opts, KNOWN, "st.lora.apply")
   if map.is_model(adapters) then adapters = { { adapters, strength or 1 } } end
   local list = read_list(model, adapters, strength, opts)
   local by_tensor, missing, matched = assign(spellings.of(model), list, opts)
   local opened = {}
   for i, entry in ipairs(list) do opened[i] = entry.adapter end
   adapter.check_finite(opened, "cannot be applied")
   local operands = { model }
   for _, entry in ipairs(list) do operands[#operands + 1] = entry.adapter.model end
   local out = map.run({ model }, function(name, w)
      local jobs = by_tensor[name]
      if not jobs then return w end
      local is_bias = jobs[1].segment.bias == name
      if not is_bias and not touches_weight(jobs) then return w end
      local x = (is_bias and bias or weight)(w, jobs)
      return x == w and w or x:cast(w:dtype())
   end, { node = { call = "lora" }, shapes = "any" })
   local notes = { ("%s of %s applied"):format(text.plural(matched, "module"),
      #list == 1 and list[1].adapter.label or text.plural(#list, "adapter")) }
   if #missing > 0 then notes[2] = text.plural(#missing, "module") .. " left out: nothing in the model matches" end
   return lineage.derived(out, operands, { call = "lora" }, { merged = true, notes = notes })
end

return apply
