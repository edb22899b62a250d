--- What adapters make of a weight and of a bias: one deferred expression, in F32.
-- Layer: Lua, above stlua.core.
--
-- A job: module, segment (of spellings.lua), strength, invert = true to take it out again, label = the adapter's.

local adapter = require "stlua.lora.adapter"
local core = require "stlua.core"
local errors = require "stlua.errors"
local making = require "stlua.make"
local math_ = require "stlua.merge_math"
local reduce = require "stlua.reduce"
local text = require "stlua.text"
local whole = require "stlua.lora.kinds.whole"

local change = {}

local function f32(p)
   return setmetatable({}, { __index = function(t, k)
      local x = p[k]
      if x then rawset(t, k, math_.wide(x)) end
      return rawget(t, k)
   end })
end

-- What a kind's functions are told.
local function how_of(job)
   local m = job.module
   return { strength = job.strength, scale = m.scale, alpha = m.alpha, config = m.config, name = m.name,
      invert = job.invert }
end

-- The factor of what is added.
local function signed(job) return job.invert and -job.strength or job.strength end

local function rows_of(t, s)
   return s.at and t:narrow(1, s.from + 1, s.count) or t
end

-- The rows of a weight that a segment means.
local function segment_of(w, s) return s.at and w:narrow(1, s.at + 1, s.count) or w end

-- A weight with these rows changed by fn.
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
   errors.throw("shape", ("%s: %s (%s) does not fit %s"):format(job.label, text.quote(job.module.name),
      adapter.shapes(job.module), text.shape(w:shape())))
end

-- fn(), whose errors name module and adapter.
local function named(job, w, fn)
   local ok, result, second = pcall(fn)
   if ok then return result, second end
   if errors.is(result) and result.code == "shape" then wrong_shape(job, w) end
   if errors.is(result) and result.code == "arg" then
      errors.throw("arg", ("%s: %s (%s): %s"):format(job.label, text.quote(job.module.name), job.module.kind.title,
         result.message))
   end
   error(result, 0)
end

-- ---------------------------------------------------------------- what is added

-- Whether the model has the transpose of what the adapter changes.
local function is_turned(job) return (job.module.transposed == true) ~= (job.segment.turned == true) end

-- B and A of an additive module for the rows of its segment, in F32; nil for other kinds.
local function factors(job)
   local m = job.module
   if not m.kind.factors or m.parts.dora then return nil end
   local b, a = m.kind.factors(f32(m.parts))
   if not b then return nil end
   if is_turned(job) then b, a = a:t(), b:t() end
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

-- The delta of a module at scale alpha / rank, as large as the segment's rows of w.
local function delta_of(job, w)
   local m, b, a = job.module, nil, nil
   if m.kind.factors then b, a = m.kind.factors(f32(m.parts)) end
   local d = b and core.matmul(rows_of(b, job.segment), a) or rows_of(m.kind.delta(f32(m.parts)), job.segment)
   if d:numel() ~= w:numel() then wrong_shape(job, w) end
   return (d * m.scale):reshape(w:shape())
end

-- ---------------------------------------------------------------- what is not

-- The lengths of rows (or columns); of nothing 1, so that nothing stays nothing.
local function lengths(x, dims)
   local size = reduce.norm(x, 2, { dim = dims, keepdim = true })
   return size + size:eq(0)
end

-- W + dW with rows (or columns, where there are as many magnitudes) at the length that was learned, as LyCORIS and PEFT
-- have it; strength goes part of the way. w0 is the weight whose lengths count.
local function dora(job, w, w0)
   local d, magnitude = delta_of(job, w), math_.wide(job.module.parts.dora)
   local changed = w + d
   local measured = w0 == w and changed or w0 + d
   local rows, columns, factor = w:shape()[1], w:numel() // w:shape()[1]
   if not adapter.by_column(job.module) then
      magnitude = magnitude:flatten()
      if #magnitude ~= rows then magnitude = rows_of(magnitude, job.segment) end      -- of a fused matrix
      changed = changed:reshape(rows, columns)
      factor = magnitude:reshape(rows, 1) / lengths(measured:reshape(rows, columns), 2)
   else
      local inner = w:shape()[2]
      changed = changed:reshape(rows, inner, columns // inner)
      factor = magnitude:reshape(1, inner, 1) / lengths(measured:reshape(rows, inner, columns // inner), { 1, 3 })
   end
   local result = (changed * factor):reshape(w:shape())
   return signed(job) == 1 and result or w + signed(job) * (result - w)
end

-- One job on the rows of its segment; w0 is the weight before any.
local function changed(job, w, w0)
   local m, kind = job.module, job.module.kind
   if is_turned(job) and w:ndim() == 2 and not job.turned then
      local x = w:t()
      return changed(setmetatable({ turned = true }, { __index = job }), x, w0 == w and x or w0:t()):t()
   elseif kind == whole then
      local v = rows_of(math_.wide(m.parts.whole), job.segment)
      if v:numel() ~= w:numel() then wrong_shape(job, w) end
      return whole.apply(w, { whole = v:reshape(w:shape()) }, how_of(job))
   elseif kind.apply then
      return kind.apply(w, f32(m.parts), how_of(job))
   elseif m.parts.dora then
      return dora(job, w, w0)
   end
   return w + signed(job) * delta_of(job, w)
end

-- ---------------------------------------------------------------- all jobs

--- Whether a module is for a weight: some are for biases alone.
function change.has_weight(m)
   return not (m.kind.id == "difference" and not m.parts.diff) and not (m.kind == whole and not m.parts.whole)
end

--- Whether a job does anything to a weight.
function change.touches(job) return job.strength ~= 0 and change.has_weight(job.module) end

-- Whether a DoRA's lengths are those of the model's weight, whatever came before: PEFT's. Other programs take them of
-- the weight as it is by then; so does taking out, when the model's is not there.
local function of_base(job)
   local suffix = job.module.suffixes.dora
   return suffix ~= nil and suffix:find("magnitude") ~= nil and not job.invert
end

-- The embedding that PEFT saved, where its vocabulary is larger than the model's.
local function with_base(job, w)
   local base = job.module.parts.base
   if not base or text.shape(base:shape()) == text.shape(w:shape()) then return w end
   local s, own = base:shape(), w:shape()
   if #s ~= 2 or #own ~= 2 or s[1] < own[1] or s[2] ~= own[2] then wrong_shape(job, w) end
   return base
end

--- The weight under all its jobs, in order; products that follow each other are added at once.
function change.weight(w, jobs)
   for _, job in ipairs(jobs) do
      w = with_base(job, w)
   end
   local x, products, rows = math_.wide(w), {}, w:shape()[1]
   local original = x
   for _, job in ipairs(jobs) do
      local b, a = named(job, w, function() return factors(job) end)
      if b then
         if (job.segment.count or rows) ~= b:shape()[1] or rows * a:shape()[2] ~= w:numel()
            or b:shape()[2] ~= a:shape()[1] then
            wrong_shape(job, w)
         end
         products[#products + 1] = { b = in_place(b * (signed(job) * job.module.scale), job.segment, rows), a = a }
      elseif change.touches(job) then
         x = add_products(x, products)
         products = {}
         local before = x
         local w0 = before ~= original and of_base(job) and original
         x = named(job, w, function()
            return in_rows(before, job.segment, function(part)
               return changed(job, part, w0 and segment_of(w0, job.segment) or part)
            end)
         end)
      end
   end
   return add_products(x, products)
end

-- What an adapter has for a bias: another one, and what is added to it.
local function bias(job, b)
   local m, s = job.module, job.segment
   local x, d = b, m.parts.bias_diff
   if m.parts.whole_bias then
      local v = rows_of(math_.wide(m.parts.whole_bias):flatten(), s)
      if v:numel() ~= (s.count or b:numel()) then wrong_shape(job, b) end
      x = in_rows(x, s, function(part)
         return whole.apply_bias(part, { whole_bias = v:reshape(part:shape()) }, how_of(job))
      end)
   elseif m.kind.apply_bias and m.kind ~= whole then
      x = in_rows(x, s, function(part) return m.kind.apply_bias(part, f32(m.parts), how_of(job)) end)
   end
   if d then
      d = rows_of(math_.wide(d):flatten(), s)
      if d:numel() ~= (s.count or b:numel()) then wrong_shape(job, b) end
      local factor = signed(job) * (adapter.is_bias_scaled(m) and m.scale or 1)
      x = in_rows(x, s, function(part) return part + factor * d:reshape(part:shape()) end)
   end
   return x
end

--- A bias under all jobs for its module; the same where none has anything for it.
function change.bias(b, jobs)
   local wide = math_.wide(b)
   local x = wide
   for _, job in ipairs(jobs) do
      local before = x
      if job.strength ~= 0 then x = named(job, b, function() return bias(job, before) end) end
   end
   return x == wide and b or x
end

return change
