--- st.unmix(m, { a, b, ... }): which mix of other models a model is, block by block. Inner products of all pairs are
-- taken in one streaming pass; what follows is arithmetic on a handful of numbers (mixture.lua).
-- Layer: Lua, above stlua.core.

local anatomy = require "stlua.anatomy"
local checkpoint = require "stlua.checkpoint"
local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local lineage = require "stlua.lineage"
local map = require "stlua.map"
local mixture = require "stlua.mixture"
local pattern = require "stlua.pattern"
local text = require "stlua.text"

local unmix = {}

local MOST = 8            -- sources: all choices of them are tried where no weight may be negative
local UNSURE = 0.05       -- an error of a weight that is worth a word
local POOR = 0.3          -- a residual that no mix has

-- ---------------------------------------------------------------- products

-- The tensors of one name, or nil and why it is left out.
local function tensors_of(name, m, sources)
   local list = { m:get(name) }
   for i, s in ipairs(sources) do
      if not s:find(name) then return nil, "missing" end
      list[i + 1] = s:get(name)
   end
   for _, t in ipairs(list) do
      if not dtype.is_float(t:dtype()) then return nil, "dtype" end
      if t:quant() then return nil, "quantised" end
      if text.shape(t:shape()) ~= text.shape(list[1]:shape()) then return nil, "shape" end
   end
   if list[1]:numel() == 0 then return nil, "empty" end
   return list
end

-- The Gram matrix of a, what the others differ from it by, and what the mix does.
local function products(list)
   local vectors, a = { list[2] }, list[2]
   for i = 3, #list do vectors[#vectors + 1] = list[i] - a end
   vectors[#vectors + 1] = list[1] - a
   local deferred = {}
   for i = 1, #vectors do
      for j = 1, i do deferred[#deferred + 1] = vectors[i]:dot(vectors[j]) end
   end
   core.force_all(deferred)
   local gram, n = { count = list[1]:numel() }, 0
   for i = 1, #vectors do
      gram[i] = {}
      for j = 1, i do
         n = n + 1
         gram[i][j] = deferred[n]:item()
         gram[j][i] = gram[i][j]
      end
   end
   return gram
end

local function is_finite(gram)
   for i = 1, #gram do
      if gram[i][i] - gram[i][i] ~= 0 then return false end
   end
   return true
end

local function add(sum, gram)
   sum.count, sum.tensors = sum.count + gram.count, (sum.tensors or 0) + 1
   for i, row in ipairs(gram) do
      for j, v in ipairs(row) do sum[i][j] = sum[i][j] + v end
   end
end

-- Products of every tensor: { { name =, gram = }, ... }, and the names that are left out, by reason.
local function measure(m, sources, opts)
   local test, unused = pattern.only(opts.only)
   local ignored = checkpoint.is_one(m) and checkpoint.is_fixed or function() return false end
   local found, left_out, total, done = {}, {}, 0, 0
   for i = 1, m:count() do total = total + m:tensor(i):nbytes() end
   for i = 1, m:count() do
      local name = m:name(i)
      if test(name) and not ignored(name) then
         local list, why = tensors_of(name, m, sources)
         local gram = list and products(list)
         if gram and not is_finite(gram) then gram, why = nil, "not finite" end
         if gram then
            found[#found + 1] = { name = name, gram = gram }
         else
            left_out[why] = left_out[why] or {}
            table.insert(left_out[why], name)
         end
      end
      done = done + m:tensor(i):nbytes()
      if opts.progress then opts.progress(done, total) end
   end
   pattern.check_used(unused, "st.unmix: only", { m })
   return found, left_out
end

-- ---------------------------------------------------------------- text

local function letter(i) return string.char(64 + i) end

local function numbered(v) return ("%.2f"):format(v == 0 and 0.0 or v) end

-- "0.70 A + 0.30 B"; sources that are equal share a weight.
local function formula(fit, k)
   local parts = {}
   for i = 1, k do
      local w = fit.weights[i]
      if w and (math.abs(w) >= 0.005 or #parts == 0 and i == k) then
         local names = { letter(i) }
         for _, j in ipairs(fit.same[i] or {}) do names[#names + 1] = letter(j) end
         local name = #names > 1 and "(" .. table.concat(names, " or ") .. ")" or names[1]
         local sign = #parts == 0 and (w < 0 and "-" or "") or (w < 0 and " - " or " + ")
         parts[#parts + 1] = sign .. numbered(math.abs(w)) .. " " .. name
      end
   end
   return table.concat(parts)
end

local function percent(share)
   if share < 1e-5 then return "0 %" end
   return share < 0.001 and "<0.1 %" or share < 0.0995 and ("%.1f %%"):format(100 * share)
      or ("%.0f %%"):format(100 * share)
end

-- What is to be said about a fit beside its numbers.
local function remark(fit, k)
   local words = {}
   for _, i in ipairs(fit.dependent) do words[#words + 1] = ("%s is a mix of the others here"):format(letter(i)) end
   local unsure = {}
   for i = 1, k do
      if fit.weights[i] and fit.errors[i] > UNSURE then
         unsure[#unsure + 1] = ("%s +- %.2g"):format(letter(i), fit.errors[i])
      end
   end
   if #unsure > 0 then words[#words + 1] = "uncertain: " .. table.concat(unsure, ", ") end
   return table.concat(words, "; ")
end

-- Neighbours that say the same are one line, "IN00-IN11".
local function lines_of(list, k)
   local rows = {}
   for _, fit in ipairs(list) do
      local cells = { fit.name, formula(fit, k), percent(fit.residual), remark(fit, k) }
      local before = rows[#rows]
      local alike = before and before[2] == cells[2] and before[4] == cells[4]
         and math.abs(before.residual - fit.residual) < 0.02
      if alike then
         before.last, before.residual = fit.name, math.max(before.residual, fit.residual)
         before[3] = percent(before.residual)
      else
         rows[#rows + 1] = { fit.name, cells[2], cells[3], cells[4], residual = fit.residual }
      end
   end
   for _, row in ipairs(rows) do
      row[1] = core.escape(row[1], 100) .. (row.last and "-" .. core.escape(row.last, 100) or "")
   end
   return rows
end

local function verdict(u)
   if not u.all then return "no tensor could be compared" end
   local all = formula(u.all, #u.labels)
   local said = ("all: %s, residual %s"):format(all, percent(u.all.residual))
   if u.all.residual <= POOR then return said end
   local numel, poor = 0, 0
   for _, fit in ipairs(u.blocks) do
      numel, poor = numel + fit.numel, poor + (fit.residual > POOR and fit.numel or 0)
   end
   if poor < 0.1 * numel then return said .. ": the blocks are mixed differently" end
   return said .. (": not a mix of %s"):format(#u.labels > 1 and "these" or "this one")
end

-- Why tensors are left out.
local REASONS = { "missing", "shape", "dtype", "quantised", "empty", "not finite" }
local SAID = { missing = "not in all models", shape = "of different shapes", dtype = "not floating",
   quantised = "quantised", empty = "empty", ["not finite"] = "with NaN or infinities" }

local function show(u, list)
   local out = { u.label .. " as a mix of" }
   for i, label in ipairs(u.labels) do out[#out + 1] = ("   %s = %s"):format(letter(i), label) end
   local rows = lines_of(list or u.blocks, #u.labels)
   if #rows > 0 then
      table.insert(rows, 1, { list == u.tensors and "tensor" or "block", "mix", "residual", "" })
      out[#out + 1] = text.columns(rows, { false, false, true, false })
   end
   out[#out + 1] = verdict(u)
   for _, reason in ipairs(REASONS) do
      local names = u.left_out[reason]
      if names then out[#out + 1] = ("left out: %s %s"):format(text.plural(#names, "tensor"), SAID[reason]) end
   end
   return table.concat(out, "\n")
end

--- The result as text, with a line for each tensor instead of each block.
function unmix.by_tensor(u) return show(u, u.tensors) end

-- A list with a place for each source: null where there is no number.
local function by_source(values, k)
   local out = {}
   for i = 1, k do out[i] = values[i] or core.null end
   return core.array(out)
end

local function fit_as_json(fit, k)
   local same = {}
   for i, others in pairs(fit.same) do same[#same + 1] = core.array { i, table.unpack(others) } end
   return { name = fit.name, weights = by_source(fit.weights, k), errors = by_source(fit.errors, k),
      residual = fit.residual, relative = fit.relative or core.null, tensors = fit.tensors, numel = fit.numel,
      same = core.array(same), dependent = core.array(fit.dependent) }
end

--- The result as one JSON object; sources are counted from 1.
-- @tparam table u
-- @tparam string model path
-- @tparam {string,...} sources paths
-- @treturn string
function unmix.json(u, model, sources)
   local k = #sources
   local function list(fits)
      local out = {}
      for i, fit in ipairs(fits) do out[i] = fit_as_json(fit, k) end
      return core.array(out)
   end
   local left_out = {}
   for reason, names in pairs(u.left_out) do left_out[reason] = core.array(names) end
   return core.json_report { model = model, sources = core.array(sources), all = u.all and fit_as_json(u.all, k),
      blocks = list(u.blocks), tensors = list(u.tensors), left_out = left_out }
end

-- ---------------------------------------------------------------- the function

local KNOWN = { free = "boolean", non_negative = "boolean", only = "string|table|function", progress = "function" }

local function check(m, sources, opts)
   if not map.is_model(m) then errors.throwf("arg", "st.unmix: a model expected, got a %s", type(m)) end
   if type(sources) ~= "table" then
      errors.throwf("arg", "st.unmix: a list of models expected, got a %s", type(sources))
   end
   for i, s in ipairs(sources) do
      if not map.is_model(s) then errors.throwf("arg", "st.unmix: source %d is a %s, not a model", i, type(s)) end
   end
   opts = errors.check_options(opts, KNOWN, "st.unmix")
   local least = opts.free and 1 or 2
   if #sources < least or #sources > MOST then
      errors.throwf("arg", "st.unmix: %d to %d sources, got %d", least, MOST, #sources)
   end
   return opts
end

--- Which mix of other models is this one? Finds the weights w with m = w1 a + w2 b + ..., by least squares, for each
-- block and for all of it: it uncovers the recipe of a merge that nobody wrote down. One streaming pass over all
-- models.
--
--     > a, b = st.open("a.safetensors"), st.open("b.safetensors")
--     > st.unmix((0.7 * a + 0.3 * b):cast "F16", { a, b })
--     cast(0.7 * a.safetensors + 0.3 * b.safetensors) as a mix of
--        A = a.safetensors
--        B = b.safetensors
--     block                 mix              residual
--     embed_tokens-lm_head  0.70 A + 0.30 B    <0.1 %
--     all: 0.70 A + 0.30 B, residual <0.1 %
--     left out: 1 tensor not floating
-- @tparam model m
-- @tparam {model,...} sources up to 8
-- @tparam[opt] table opts `free` = true: weights need not add up to 1; `non_negative` = true: none is below 0; `only` =
--   patterns of names; `progress` = function(done, total), in bytes of `m`
-- @treturn table { all, blocks (in order, with `name`), tensors, left_out = names by reason, label, labels }. A fit is
--   { weights (by source; nil where a source equals another one or is a mix of the others), errors (of weights, if what
--   is left is noise), residual = what is left, as a share of how far the models lie from the mean of the sources;
--   relative = as a share of |m|; same = { [i] = sources equal to i }, dependent, tensors, numel }. Printed, a table
-- @raise "arg"; "name" for a pattern in `only` that matches nothing
function unmix.unmix(m, sources, opts)
   opts = check(m, sources, opts)
   local k = #sources
   local found, left_out = measure(m, sources, opts)
   local names, of_block, all = {}, {}, mixture.zero(k)
   for i, row in ipairs(found) do names[i] = row.name end
   local place, labels = anatomy.of(names, m)
   local u = { label = lineage.formula(m), labels = {}, blocks = {}, tensors = {}, left_out = left_out }
   for i, s in ipairs(sources) do u.labels[i] = lineage.formula(s) end
   local function solve(gram, name)
      local fit = mixture.solve(gram, k, opts, gram.count)
      fit.name, fit.numel, fit.tensors = name, gram.count, gram.tensors or 1
      return fit
   end
   for i, row in ipairs(found) do
      local block = place(row.name)
      of_block[block] = of_block[block] or mixture.zero(k)
      add(of_block[block], row.gram)
      add(all, row.gram)
      u.tensors[i] = solve(row.gram, row.name)
   end
   for i, block in ipairs(labels) do u.blocks[i] = solve(of_block[block], block) end
   if #found > 0 then u.all = solve(all, "all") end
   return setmetatable(u, { __tostring = show })
end

return unmix
