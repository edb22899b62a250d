--- st.dequantize(m): quantised weights as ordinary ones; st.scaled_fp8(m): the other way, for ComfyUI. Everything is
-- deferred: weights are computed as they are saved, one after the other.
-- Layer: Lua, above stlua.core.

local checkpoint = require "stlua.checkpoint"
local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local formats = require "stlua.quant_formats"
local lineage = require "stlua.lineage"
local make = require "stlua.make"
local map = require "stlua.map"
local meta = require "stlua.meta"
local pattern = require "stlua.pattern"
local text = require "stlua.text"

local dequantize = {}

local MARKER = "scaled_fp8"                        -- tells ComfyUI; a tensor without a meaning of its own

local function check(who, m, opts, known)
   if not map.is_model(m) then errors.throwf("arg", "%s: a model expected, got a %s", who, type(m)) end
   known.only, known.except, known.dtype = "string|table|function", "string|table|function", "string"
   opts = errors.check_options(opts, known, who)
   local only, unused = pattern.only(opts.only)
   local except = pattern.except(opts.except, who .. ": except", m, lineage.label(m))
   return opts, function(name) return only(name) and not except(name) end, unused, opts.only ~= nil
end

local function check_used(who, m, unused)
   pattern.check_used(unused, who .. ": only", { m }, lineage.label(m))
end

-- What the metadata say of layers, without those that are floats now: nil where none is left.
local function description_without(s, stems)
   local ok, all = pcall(core.json_decode, s or "")
   if not ok or type(all) ~= "table" or type(all.layers) ~= "table" then return s end
   for stem in pairs(stems) do all.layers[stem] = nil end
   return next(all.layers) ~= nil and core.json_encode(all) or nil
end

-- A model like `m` with other tensors and without metadata that no longer holds.
local function result(m, out, call, description)
   local t = m:metadata()
   meta.drop_hashes(t)
   t[formats.METADATA] = description
   meta.set(out, t)
   return lineage.derived(out, { m }, { call = call })
end

-- ---------------------------------------------------------------- from codes to numbers

-- The dtype of weights that nobody names: what most of the model's 16-bit floats are.
local function usual_dtype(m)
   local count = m:dtype_counts()
   return (count.F16 or 0) > (count.BF16 or 0) and "F16" or "BF16"
end

-- Whether a tensor of a quantised layout only says what the codes of another one mean.
local function stands_beside(m, name)
   for _, suffix in ipairs(formats.beside) do
      if name:sub(-#suffix) == suffix and m:find(name:sub(1, -#suffix - 1) .. ".weight") then return true end
   end
   return false
end

-- Decodes what is chosen: name -> tensor, the stems of these, and how many of each layout.
local function decode_all(m, test, to)
   local decoded, stems, report, problems = {}, {}, {}, {}
   local told = formats.told(m)
   for i = 1, m:count() do
      local name, t = m:name(i), m:tensor(i)
      local is_code = t:quant() and not stands_beside(m, name)
      if is_code and test(name) then
         local ok, layout, value, own = pcall(formats.decode, m, name, told)
         if not ok then
            if not errors.is(layout) then error(layout, 0) end
            problems[#problems + 1] = layout
         elseif not layout then
            problems[#problems + 1] = core.error("quant", ("%s: %s is not known well enough to be dequantised"):format(
               text.quote(name), t:quant()), { tensor = name })
         else
            decoded[name], stems[name:match("^(.*)%.weight$")] = value:cast(to or own or usual_dtype(m)), true
            report[layout] = (report[layout] or 0) + 1
         end
      end
   end
   errors.throw_all(problems, "cannot be dequantised")
   return decoded, stems, report
end

-- Whether a tensor goes with the codes.
local function goes(name, stems, all)
   for _, suffix in ipairs(formats.beside) do
      if name:sub(-#suffix) == suffix and stems[name:sub(1, -#suffix - 1)] then return true end
   end
   return all and (name == MARKER or name:sub(-#MARKER - 1) == "." .. MARKER)
end

--- Quantised weights as ordinary floats: scaled fp8 (of ComfyUI and sd-scripts; by tensor, row or block), mxfp8, nvfp4,
-- fp8 in blocks of 128 (DeepSeek), nf4 and fp4 of bitsandbytes. Scales, tables and markers go. Values are those of the
-- formulas in F32, rounded once to the result's dtype.
-- @tparam model m opened from a file
-- @tparam[opt] table opts `dtype` of the results (default: what the file says they had, else F16 or BF16, whichever
--   most of the other tensors have); `only`, `except` = patterns of names
-- @treturn model
-- @treturn table layout -> how many weights
-- @raise "quant" for layouts that are not known (GPTQ, AWQ ...), and for scales that do not fit their weights; "name"
--   for a pattern that matches nothing
function dequantize.dequantize(m, opts)
   local test, unused
   opts, test, unused = check("st.dequantize", m, opts, {})
   local to = opts.dtype and dtype.check(opts.dtype, true, "st.dequantize")
   local decoded, stems, report = decode_all(m, test, to)
   check_used("st.dequantize", m, unused)
   local out = core.model()
   local all = not (opts.only or opts.except)
   for i = 1, m:count() do
      local name = m:name(i)
      if not goes(name, stems, all) then out:add(name, decoded[name] or m:tensor(i)) end
   end
   local left = not all and description_without(m:metadata()[formats.METADATA], stems) or nil
   return result(m, out, "dequantize", left), report
end

-- ---------------------------------------------------------------- from numbers to codes

-- Weights of linear layers within blocks. First and last layers, embeddings and norms stay as they are.
local function is_linear(name, t)
   local inside = name:find("%.%d+%.") and not name:find("norm") and not name:find("embed")
   return name:find("%.weight$") and #t:shape() == 2 and inside and not checkpoint.is_vae(name)
      and not checkpoint.is_waste(name)
end

local COMPONENTS = { "^(model%.diffusion_model%.)", "^(text_encoders%.[%w_]+%.transformer%.)" }

-- Where ComfyUI looks for the marker of a component.
local function marker_of(name)
   for _, prefix in ipairs(COMPONENTS) do
      local found = name:match(prefix)
      if found then return found .. MARKER end
   end
   return MARKER
end

--- A model with weights as ComfyUI's scaled fp8: each weight's largest magnitude becomes the largest number there is,
-- 448 in F8_E4M3, and its scale stands beside it. By default weights of linear layers within blocks.
-- @tparam model m
-- @tparam[opt] table opts `dtype` = "F8_E4M3" (default) or "F8_E5M2"; `only`, `except` = patterns of names; with `only`
--   any floating weight of two dimensions or more that matches
-- @treturn model
-- @treturn integer how many weights
-- @raise "dtype"; "name" for a pattern that matches nothing
function dequantize.scaled_fp8(m, opts)
   local test, unused, named
   opts, test, unused, named = check("st.scaled_fp8", m, opts, {})
   local to = dtype.check(opts.dtype or "F8_E4M3", true, "st.scaled_fp8")
   local out, markers, count = core.model(), {}, 0
   for i = 1, m:count() do
      local name, t = m:name(i), m:tensor(i)
      local wide = dtype.is_float(t:dtype()) and dtype.bits[t:dtype()] > 8 and t:numel() > 0
      local fits = named and name:find("%.weight$") and #t:shape() >= 2 or is_linear(name, t)
      if test(name) and fits and wide then
         local codes, scale = formats.scale(t, to)
         out:add(name, codes)
         out:add(name:gsub("%.weight$", ".scale_weight"), scale)
         markers[marker_of(name)] = true
         count = count + 1
      else
         out:add(name, t)
      end
   end
   check_used("st.scaled_fp8", m, unused)
   local list = {}
   for marker in pairs(markers) do list[#list + 1] = marker end
   table.sort(list)
   -- Two elements tell ComfyUI not to multiply in fp8: activations are not scaled.
   for _, marker in ipairs(list) do out:add(marker, make.zeros(2, { dtype = to })) end
   return result(m, out, "scaled_fp8", (m:metadata()[formats.METADATA])), count
end

return dequantize
