--- st.lora.extract: an adapter of low rank from what a model has learned.
--
-- The difference of each weight is taken in F32 and approximated by a product of two thin matrices, the best of their
-- rank by its singular values. How much that loses is known exactly from norms: |D|^2 less the squares of the singular
-- values. Source: Halko, Martinsson, Tropp (2011); Golub and Underwood (1977), see src/exec/krylov.c.
-- Layer: Lua, above stlua.core.

local about = require "stlua.lora.extract.about"
local adapter = require "stlua.lora.adapter"
local certificate = require "stlua.lora.certificate"
local convert = require "stlua.lora.conversion"
local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local exact = require "stlua.lora.extract.exact"
local factors = require "stlua.lora.factors"
local lineage = require "stlua.lineage"
local map = require "stlua.map"
local peft = require "stlua.lora.peft"
local plan = require "stlua.lora.extract.plan"
local spellings = require "stlua.lora.spellings"
local text = require "stlua.text"
local write = require "stlua.lora.write"

local extract = {}

local RANK, MOST = 32, 128
-- Where the singular values go: their roots to both factors keep both in the middle of F16's range.
local SPLIT = { both = 0.5, up = 1, down = 0 }

local PATTERNS = "string|table|function"
local KNOWN = {
   rank = "number", energy = "number", sv_ratio = "number", max_rank = "number", conv_rank = "number",
   only = PATTERNS, except = PATTERNS, modules_to_save = PATTERNS, include_embeddings = "boolean",
   format = "string", dtype = "string", distribute = "string", exact = "boolean", seed = "number", base = "string",
}

local function fail(...) errors.throwf("arg", "lora.extract: " .. (...), select(2, ...)) end

local function check_ranks(opts)
   for _, key in ipairs { "rank", "max_rank", "conv_rank" } do
      local n = opts[key]
      if n and (math.type(n) ~= "integer" or n < 1) then
         fail("%s = %s: give a whole number from 1", key, tostring(n))
      end
   end
   if opts.energy and not (opts.energy > 0 and opts.energy <= 1) then
      fail("energy = %g: give a share above 0, at most 1", opts.energy)
   end
   if opts.sv_ratio and (opts.sv_ratio < 1 or opts.sv_ratio ~= opts.sv_ratio) then
      fail("sv_ratio = %g: give the largest singular value divided by the smallest to keep, such as 20", opts.sv_ratio)
   end
   if opts.rank and (opts.energy or opts.sv_ratio or opts.max_rank) then
      fail("rank goes alone; energy and sv_ratio choose one for each layer, up to max_rank")
   end
end

local function check(opts)
   opts = errors.check_options(opts, KNOWN, "lora.extract")
   check_ranks(opts)
   if opts.distribute and not SPLIT[opts.distribute] then
      fail("distribute = %s is not \"both\", \"up\" or \"down\"", text.quote(opts.distribute))
   end
   if opts.format then write.check_format(opts.format, "lora.extract", "format") end
   if opts.dtype then
      local d = dtype.check(opts.dtype, true, "lora.extract")
      if d ~= "F32" and d ~= "F16" and d ~= "BF16" then fail("dtype = %s: give F32, F16 or BF16", d) end
   end
   return opts
end

-- ---------------------------------------------------------------- computing

-- The difference of one weight, a matrix in F32 (a kernel: out x in * height * width).
local function delta(base, tuned, layer)
   local a, b = tuned:get(layer.name), base:get(layer.name)
   local to = (a:dtype() == "F64" or b:dtype() == "F64") and "F64" or "F32"
   local d = core.apply("sub", a:cast(to), b:cast(to))
   if to == "F64" then d = d:cast("F32") end
   if layer.at then d = d:narrow(1, layer.at + 1, layer.shape[1]) end
   return #layer.shape == 2 and d or d:reshape(layer.shape[1], -1)
end

-- An error about a difference names the tensor and the model that are to blame.
local function blame(e, base, tuned, layers)
   if not (errors.is(e) and e.code == "arg") then error(e, 0) end
   for _, layer in ipairs(layers) do
      for _, model in ipairs { tuned, base } do
         local t = (not e.tensor or e.tensor == layer.name) and model:get(layer.name)
         if t and not t:cast("F32"):isfinite():all():item() then
            errors.throw("arg", ("%s: %s holds NaN or infinity: no difference to it can be decomposed (except = "
               .. "leaves it out)"):format(lineage.formula(model), text.quote(layer.name)),
               { tensor = layer.name, file = (t:source()) })
         end
      end
   end
   error(e, 0)
end

-- Factors and certificates of these layers.
local function factor(base, tuned, layers, rank, opts, to)
   local list = {}
   for i, layer in ipairs(layers) do list[i] = delta(base, tuned, layer) end
   local goal = { rank = rank, energy = opts.energy, ratio = opts.sv_ratio, seed = opts.seed or 0, dtype = to,
      split = SPLIT[opts.distribute or "both"] }
   local ok, found = pcall(opts.exact and exact.factors or core.factors, list, goal)
   if not ok then blame(found, base, tuned, layers) end
   for i, layer in ipairs(layers) do
      for key, value in pairs(found[i]) do layer[key] = value end
      layer.wanted = rank
   end
end

local function compute(base, tuned, p, opts, to)
   local rank = opts.max_rank or (opts.energy or opts.sv_ratio) and MOST or opts.rank or RANK
   local plain, kernels = {}, {}
   for _, layer in ipairs(p.layers) do table.insert(layer.kernel and kernels or plain, layer) end
   factor(base, tuned, plain, rank, opts, to)
   factor(base, tuned, kernels, opts.conv_rank, opts, to)
   return rank
end

-- ---------------------------------------------------------------- the adapter

-- Names of those of the rest that differ, by the reason why they were left out.
local function differing(base, tuned, rest)
   local list, by_reason, order = {}, {}, {}
   for _, r in ipairs(rest) do
      if not tuned:get(r.name):identical(base:get(r.name)) then
         list[#list + 1] = r.name
         if not by_reason[r.why] then
            by_reason[r.why] = {}
            order[#order + 1] = r.why
         end
         table.insert(by_reason[r.why], r.name)
      end
   end
   local notes = {}
   for i, why in ipairs(order) do
      local names = by_reason[why]
      notes[i] = ("%s %s and %s not in the adapter: %s%s %s"):format(text.plural(#names, "tensor"),
         #names == 1 and "differs" or "differ", #names == 1 and "is" or "are", core.escape(names[1]),
         #names > 1 and " and others, each" or "", why)
   end
   return list, notes
end

-- Layers with factors, those without a difference, and remarks on ranks.
local function sort_layers(layers)
   local used, equal, clamped = {}, {}, 0
   for _, layer in ipairs(layers) do
      if layer.rank > 0 then
         used[#used + 1] = layer
         local n = layer.shape[2] * (layer.shape[3] or 1) * (layer.shape[4] or 1)
         if math.min(layer.shape[1], n) < layer.wanted then clamped = clamped + 1 end
      else
         equal[#equal + 1] = layer.own
      end
   end
   return used, equal, clamped
end

local function module_of(name) return (name:gsub("%.%a+$", "")) end

-- Modules of which a tensor is saved whole.
local function saved_modules(names)
   local set, list = {}, {}
   for _, name in ipairs(names) do
      local module = module_of(name)
      if not set[module] then
         set[module] = true
         list[#list + 1] = module
      end
   end
   return list
end

local function config_of(base, p, used, equal, opts)
   if p.format ~= "peft" then return nil end
   local left_out = table.move(equal, 1, #equal, 1, {})
   for _, r in ipairs(p.rest) do left_out[#left_out + 1] = module_of(r.name) end
   for _, name in ipairs(p.unchosen) do left_out[#left_out + 1] = module_of(name) end
   return about.config(used, { base = opts.base, left_out = left_out, saved = saved_modules(p.whole), turned = p.turned,
      causal = base:find("lm_head.weight") ~= nil or base:find("model.embed_tokens.weight") ~= nil })
end

-- The name of a tensor that is saved whole: PEFT's, or ComfyUI's, which tells it from a model's.
local function whole_name(name, format)
   if format == "peft" then return "base_model.model." .. name end
   local module, kind = spellings.split(name)
   return module .. ".set_" .. kind
end

-- The adapter, of layers that give their factors away; and remarks.
local function build(base, tuned, p, used, config)
   local modules, others, _ = {}, {}, nil
   for i, layer in ipairs(used) do
      local tail = #layer.shape > 2 and { table.unpack(layer.shape, 2) } or nil
      local up, down = factors.shaped(layer.left, layer.right, tail)
      if p.turned and not layer.embedding then up, down = down:t(), up:t() end
      modules[i] = { name = layer.module, up = up, down = down, rank = layer.rank, alpha = layer.rank,
         embedding = layer.embedding and p.format == "peft" }
      layer.left, layer.right = nil, nil
   end
   for i, name in ipairs(p.whole) do
      others[i] = { whole_name(name, p.format), tuned:get(name) }
   end
   local notes
   if p.via then
      modules, _, notes = convert.modules(adapter.of(write.model(modules, p.via)), p.format, base)
      config = nil
   end
   local metadata = about.metadata(p.format, modules, p.parts, config)
   return lineage.derived(write.model(modules, p.format, metadata, others), { base, tuned }, { call = "lora.extract" },
      { merged = true }), notes or {}
end

-- Refuses factors that are beyond a dtype's range.
local function check_stored(layers, to)
   local lines = {}
   for _, layer in ipairs(layers) do
      local x = layer.stored_error
      if x ~= x or x == math.huge then
         lines[#lines + 1] = ("  %s: norm of the difference %g"):format(text.quote(layer.name), layer.norm)
      end
   end
   if #lines > 0 then
      fail("the factors of %s are beyond the range of %s: give dtype = F32 or BF16 (--dtype):\n%s",
         text.plural(#lines, "layer"), to, table.concat(lines, "\n"))
   end
end

local function default_dtype(p, tuned)
   if p.format == "kohya" then return "F16" end
   local own = p.layers[1] and tuned:get(p.layers[1].name):dtype() or "F32"
   return (own == "F16" or own == "BF16") and own or "F32"
end

--- The adapter that leads from one model to another. Differences are taken in F32; for each weight the best factors of
-- a rank are found by block Krylov subspaces from a random start, until no more than 1.001 times the smallest possible
-- residual is left, as its growth tells; the bits hang on the seed and not on the number of threads. Computed at once,
-- a layer a thread; what is held are these layers and all factors.
--
-- In the result each of `layers` is a certificate: name, module, shape, rank, norm of the difference, retained (the
-- share of its square that the factors hold, exact), captured (the share that the whole subspace holds), ahead (an
-- estimate of the share that the best factors may hold besides), rounding (the share that the dtype's rounding of
-- the factors adds to the residual, to first order), error and stored_error (norms of the residual relative to the
-- difference's, before and after rounding), s (singular values).
--
--     > base = st.model { { "model.layers.0.mlp.up_proj.weight", st.zeros(96, 80) } }
--     > d = st.randn({ 96, 3 }, { seed = 1 }):matmul(st.randn({ 3, 80 }, { seed = 2 }))
--     > tuned = st.model { { "model.layers.0.mlp.up_proj.weight", d } }
--     > found = st.lora.extract(base, tuned, { rank = 3 })
--     > found.model:name(1), found.model:tensor(1):shape()
--     base_model.model.model.layers.0.mlp.up_proj.lora_A.weight       { 3, 80 }
--     > found.layers[1].retained > 0.999999, found.config.lora_alpha
--     true    3
-- @tparam model base
-- @tparam model tuned with the same tensors
-- @tparam[opt] table opts
--   `rank` = 32; or `energy` = 0.95, the smallest rank that holds this share of each difference's square, and
--   `sv_ratio` = 20, no singular value below the largest divided by this, both up to `max_rank` = 128, which alone is a
--   rank;
--   `conv_rank` decomposes kernels of more than 1 x 1, too, as out x (in * height * width);
--   `only`, `except`, `modules_to_save` = patterns of tensors, the last saved whole; `include_embeddings` = true;
--   `format` = "peft", "kohya" or "diffusers": by default "peft" for language models, else "kohya";
--   `dtype` = F16 for kohya, else the tuned model's where that has 16 bits, else F32;
--   `distribute` = "both", roots of the singular values on both factors; "up" or "down", all on that one;
--   `exact` = true decomposes with LAPACK; `seed` = 0; `base` = what PEFT's configuration calls the base model
-- @treturn table model (st.lora.write saves it, in PEFT's format as a folder), layers, format, dtype, rank, config
--   (PEFT's, as a table), differing = names of tensors that differ and are not in the adapter, equal = modules that do
--   not differ, notes
-- @raise "name", "shape": all tensors that do not fit; "arg" for NaN and infinities, naming the tensor and the file
function extract.extract(base, tuned, opts)
   if not (map.is_model(base) and map.is_model(tuned)) then
      fail("two models expected, the base and the tuned one, not %s and %s", type(base), type(tuned))
   end
   opts = check(opts)
   local p = plan.make(base, tuned, opts)
   local to = opts.dtype and dtype.check(opts.dtype, true, "lora.extract") or default_dtype(p, tuned)
   local rank = compute(base, tuned, p, opts, to)
   local used, equal, clamped = sort_layers(p.layers)
   local list, notes = differing(base, tuned, p.rest)
   if clamped > 0 and not (opts.energy or opts.sv_ratio or opts.max_rank) then
      notes[#notes + 1] = ("the rank is clamped in %s, which %s smaller"):format(text.plural(clamped, "layer"),
         clamped == 1 and "is" or "are")
   end
   if #equal > 0 then
      notes[#notes + 1] = ("%s %s not differ: left out"):format(text.plural(#equal, "layer"),
         #equal == 1 and "does" or "do")
   end
   if #used == 0 and #p.whole == 0 then
      fail("nothing differs that an adapter can hold%s", #notes > 0 and ": " .. table.concat(notes, "; ") or "")
   end
   for _, layer in ipairs(used) do certificate.complete(layer) end
   check_stored(used, to)
   local model, more = build(base, tuned, p, used, config_of(base, p, used, equal, opts))
   table.move(more, 1, #more, #notes + 1, notes)
   return { model = model, layers = used, format = p.format, dtype = to, rank = rank, differing = list, equal = equal,
      config = p.format == "peft" and peft.decode(model:metadata()[peft.KEY]) or nil, notes = notes }
end

return extract
