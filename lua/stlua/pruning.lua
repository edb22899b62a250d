--- st.prune(m): a checkpoint without what only training reads; EMA weights in the place of the others, a VAE baked in,
-- position_ids repaired. Only names are looked at, and a few integers read; values go by when the result is saved.
-- Layer: Lua, above stlua.core.

local checkpoint = require "stlua.checkpoint"
local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local make = require "stlua.make"
local map = require "stlua.map"
local meta = require "stlua.meta"
local pattern = require "stlua.pattern"
local shape = require "stlua.shape"
local text = require "stlua.text"

local prune = {}

local EMA = "model_ema."

-- ---------------------------------------------------------------- EMA

-- The EMA weight of each tensor: "model." is left out, and all dots are.
local function ema_of(model)
   local by_name, averaged, double = {}, {}, {}
   for i = 1, model:count() do
      local name = model:name(i)
      if name:sub(1, 6) == "model." then
         local flat = name:sub(7):gsub("%.", "")
         double[flat] = by_name[flat] and true or nil
         by_name[flat] = name
      end
   end
   local count = 0
   for i = 1, model:count() do
      local name = model:name(i)
      local own = name:sub(1, #EMA) == EMA and by_name[name:sub(#EMA + 1)]
      if own then
         if double[name:sub(#EMA + 1)] then
            errors.throwf("name", "%s: two tensors may be meant by %s", lineage.formula(model), text.quote(name))
         end
         averaged[own], count = name, count + 1
      end
   end
   return averaged, count
end

-- A weight's average, in the weight's dtype.
local function averaged_value(model, name, own)
   local t = model:get(name)
   if text.shape(t:shape()) ~= text.shape(own:shape()) then
      errors.throwf("shape", "%s is %s, its weight %s", text.quote(name), text.shape(t:shape()),
         text.shape(own:shape()))
   end
   return t:dtype() == own:dtype() and t or t:cast(own:dtype())
end

-- ---------------------------------------------------------------- position_ids

local MOST = 4096     -- ids that are looked at: no text encoder has as many

-- What the ids of a text encoder must be, if these are not: 0 to n - 1 as I64. Averaged and cast they are off by less
-- than 1; what is off by more is something else.
local function repaired(name, t)
   local n = t:numel()
   if not name:find("embeddings%.position_ids$") or n == 0 or n > MOST then return nil end
   local kind = dtype.kind[t:dtype()]
   if t:quant() or kind == "raw" or kind == "complex" or kind == "bool" or #t:shape() > 2 then return nil end
   local right = t:dtype() == "I64"
   for i, v in ipairs(t:values(1, n)) do
      local near = type(v) == "number" and math.abs(v - (i - 1)) < 1      -- false of NaN
      if not near then return nil end
      right = right and v == i - 1
   end
   if right then return nil end
   return shape.reshape(make.arange(0, n, 1, { dtype = "I64" }), t:shape())
end

-- ---------------------------------------------------------------- the function

local KNOWN = { ema = "string", vae = "userdata", drop = "string|table|function", keep = "string|table|function" }

local function check(m, opts)
   if not map.is_model(m) then errors.throwf("arg", "st.prune: a model expected, got a %s", type(m)) end
   opts = errors.check_options(opts, KNOWN, "st.prune")
   local ema = opts.ema or "drop"
   if ema ~= "drop" and ema ~= "use" and ema ~= "keep" then
      errors.throwf("arg", 'st.prune: ema = %s is not "drop", "use" or "keep"', text.quote(ema))
   end
   if opts.vae ~= nil and not map.is_model(opts.vae) then errors.throw("arg", "st.prune: vae must be a model") end
   return opts, ema
end

local function bytes_of(model)
   local n = 0
   for i = 1, model:count() do n = n + model:tensor(i):nbytes() end
   return n
end

-- Counts what is left out, by what it is.
local function note_dropped(report, why, t)
   local entry = report.dropped[why]
   if not entry then
      entry = { what = why, tensors = 0, bytes = 0 }
      report.dropped[why], report.dropped[#report.dropped + 1] = entry, entry
   end
   entry.tensors, entry.bytes = entry.tensors + 1, entry.bytes + t:nbytes()
end

-- Why a tensor is left out, or nil.
local function reason(name, opts, ema, is_checkpoint, waste)
   if opts.keep and opts.keep(name) then return nil end
   if opts.drop and opts.drop(name) then return "asked for" end
   local why = waste(name)
   if why == "EMA" and ema == "keep" then return nil end
   -- Elsewhere such names may be weights; the state of training is none anywhere.
   if not is_checkpoint and why ~= "state of training" then return nil end
   return why
end

--- A checkpoint without what only training reads: averaged weights (EMA), the state of optimizers, the noise schedule,
-- heads that no program looks at. Broken position_ids are repaired. Of models that are no checkpoints of Stable
-- Diffusion and its like only the state of training goes.
-- @tparam model m
-- @tparam[opt] table opts `ema` = "drop" (default), "use" (the averaged weights take the place of the others), "keep";
--   `vae` = a model that is baked in; `drop`, `keep` = patterns of names that go, or stay, in any case
-- @treturn model
-- @treturn table what was done: { dropped = { { what =, tensors =, bytes = }, ... }, averaged = tensors that EMA took
--   the place of, repaired = names of position_ids, baked = tensors of the VAE, before =, after = bytes }
-- @raise "name" for a pattern that nothing matches, where there is no EMA to use, or a VAE does not fit
function prune.prune(m, opts)
   local ema
   opts, ema = check(m, opts)
   local tests, unused = {}, {}
   for _, key in ipairs { "keep", "drop" } do
      if opts[key] then tests[key], unused[key] = pattern.any(opts[key]) end
   end
   for i = 1, m:count() do
      for _, test in pairs(tests) do test(m:name(i)) end
   end
   for _, key in ipairs { "keep", "drop" } do
      pattern.check_used(unused[key] or {}, "st.prune: " .. key, { m }, lineage.label(m))
   end
   local report = { dropped = {}, averaged = 0, repaired = {}, baked = 0, before = bytes_of(m) }
   local averaged = {}
   if ema == "use" then
      averaged, report.averaged = ema_of(m)
      if report.averaged == 0 then
         errors.throwf("name", "%s has no EMA weights (no model_ema.*) to use", lineage.formula(m))
      end
   end
   local out, is_checkpoint = core.model(), checkpoint.is_one(m)
   local waste = checkpoint.waste_of(m)
   for i = 1, m:count() do
      local name, t = m:name(i), m:tensor(i)
      local why = reason(name, tests, ema, is_checkpoint, waste)
      if why then
         note_dropped(report, why, t)
      else
         if averaged[name] then t = averaged_value(m, averaged[name], t) end
         local ids = repaired(name, t)
         if ids then report.repaired[#report.repaired + 1] = name end
         out:add(name, ids or t)
      end
   end
   local t = m:metadata()
   meta.drop_hashes(t)
   meta.set(out, t)
   lineage.derived(out, { m }, { call = "prune" }, { merged = ema == "use" or lineage.of(m).merged })
   if opts.vae then
      out, report.baked = checkpoint.bake(out, opts.vae)
   end
   report.after = bytes_of(out)
   return out, report
end

return prune
