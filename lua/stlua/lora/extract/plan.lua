--- What of two models goes into an extracted adapter, decided from names and shapes alone; all that does not fit is
-- told at once.
-- Layer: Lua, above stlua.core.

local errors = require "stlua.errors"
local fit = require "stlua.fit"
local pattern = require "stlua.pattern"
local spellings = require "stlua.lora.spellings"
local text = require "stlua.text"

local plan = {}

-- Patterns of the options as functions, and a check that each has matched something.
local function choosers(opts)
   local tests, checks = {}, {}
   for _, key in ipairs { "only", "except", "modules_to_save" } do
      if opts[key] then
         local test, unused = pattern.any(opts[key])
         tests[key] = test
         checks[#checks + 1] = function(names)
            for _, glob in ipairs(unused()) do
               errors.throwf("name", "lora.extract: %s: no tensor matches %s%s", key, text.quote(glob),
                  text.did_you_mean(glob, names))
            end
         end
      end
   end
   return tests, checks
end

-- The rows that count, by the patterns, and the names of the others; rows of what is saved whole are marked so.
local function choose(rows, opts)
   local tests, checks = choosers(opts)
   local chosen, names, others = {}, {}, {}
   for i, row in ipairs(rows) do
      names[i] = row.name
      local wanted = not tests.only or tests.only(row.name)
      if tests.except and tests.except(row.name) then wanted = false end
      row.save = tests.modules_to_save and tests.modules_to_save(row.name) or false
      local list = (wanted or row.save) and row.float and chosen or others
      list[#list + 1] = list == chosen and row or row.name
   end
   for _, check in ipairs(checks) do check(names) end
   return chosen, others
end

-- Whether a name is of an input or output embedding.
local function is_embedding(name)
   for _, part in ipairs { "embed_tokens", "wte", "wpe", "word_embeddings", "tok_embeddings", "token_embedding",
      "position_embedding", "embed_positions", "shared", "relative_attention_bias" } do
      if name:find("%f[%w_]" .. part .. "%f[^%w_]") then return true end
   end
   return false
end

-- Whether a name is of the layer before the vocabulary, which adapters leave alone as they do embeddings.
local function is_head(name)
   return name:find("%f[%w_]lm_head%f[^%w_]") ~= nil or name:find("%f[%w_]embed_out%f[^%w_]") ~= nil
end

-- Why a tensor is not decomposed, or nil and whether it is a kernel.
local function reason(row, opts)
   local n, name = #row.shape, row.name
   local kernel = n == 4 and row.shape[3] * row.shape[4] > 1
   if n ~= 2 and n ~= 4 then return ("has %s"):format(text.plural(n, "dimension")) end
   if row.shape[1] == 0 or row.shape[2] == 0 then return "is empty" end
   if not name:find("weight$") then return "is no weight" end
   if kernel and not opts.conv_rank then return "is a kernel (conv_rank)" end
   if not opts.include_embeddings and (is_embedding(name) or is_head(name)) then
      return "is an embedding (include_embeddings, or modules_to_save)"
   end
   return nil, kernel
end

-- Layers of GPT-2 (transformers' Conv1D) among these, by name: their weights are (in, out), as biases tell of some.
local function turned_layers(base, rows)
   local out, any = {}, false
   for _, row in ipairs(rows) do
      local module, last = row.name:match("^(.*%.(c_%a+))%.weight$")
      if last == "c_attn" or last == "c_fc" or last == "c_proj" then
         local bias = base:get(module .. ".bias")
         local n = bias and bias:numel()
         out[row.name] = true
         any = any or n == row.shape[2] and n ~= row.shape[1]
      end
   end
   return any and out or {}
end

-- The format in which most of these tensors have names, and the names: the one asked for, or another that can be
-- converted to it.
local function best_names(names, rows, format)
   local best, list, most = nil, nil, -1
   for _, try in ipairs { format, "kohya", "diffusers" } do
      local found, n = {}, 0
      for i, row in ipairs(rows) do
         found[i] = names:spell(row.name, try, format) or false
         n = n + (found[i] and 1 or 0)
      end
      if n > most then best, list, most = try, found, n end
      if most == #rows then break end
   end
   return best, list
end

-- The layers of a matrix that no format has whole: one for each part.
local function add_parts(layers, row, parts)
   for _, part in ipairs(parts) do
      layers[#layers + 1] = { name = row.name, shape = { part.count, table.unpack(row.shape, 2) }, module = part.module,
         kernel = row.kernel, own = part.own, at = part.at, embedding = false }
   end
end

--- Sorts the tensors of two models.
-- @tparam model base
-- @tparam model tuned
-- @tparam table opts of extract, checked
-- @treturn table layers = { { name =, shape =, module =, own =, kernel =, embedding =, at = the row of a part that is
--   no whole tensor }, ... } to decompose, turned = whether PEFT's factors are those of the transpose, whole = names
--   saved as they are, rest = { { name =, why = }, ... }, unchosen = names that the patterns leave out, format, via =
--   the format of `module` where it has to be converted, parts
-- @raise "name", "shape": all tensors that one model has not, or has in another shape
function plan.make(base, tuned, opts)
   local names = spellings.of(base)
   local out = { layers = {}, whole = {}, rest = {}, parts = names.parts,
      format = opts.format or names:default_format() }
   local rows, fixed
   rows, out.unchosen = choose(fit.gather { base, tuned }, opts)
   fixed = {}
   for _, row in ipairs(rows) do
      if not (row.save and row[2]) then fixed[#fixed + 1] = row end
   end
   local ok, e = pcall(fit.check, fixed, { base, tuned }, false, false, " (`only` and `except` choose among them)")
   if not ok then
      e.message = "lora.extract: " .. e.message
      error(e, 0)
   end
   local good = {}
   for _, row in ipairs(rows) do
      local why
      why, row.kernel = reason(row, opts)
      if row.save then
         out.whole[#out.whole + 1] = row.name
      elseif why then
         out.rest[#out.rest + 1] = { name = row.name, why = why }
      else
         good[#good + 1] = row
      end
   end
   local turned = out.format == "peft" and turned_layers(base, good) or {}
   out.turned = next(turned) ~= nil
   local via, modules = best_names(names, good, out.format)
   out.via = via ~= out.format and via or nil
   for i, row in ipairs(good) do
      local embedding = is_embedding(row.name)
      if out.turned and not turned[row.name] and not embedding then
         out.rest[#out.rest + 1] = { name = row.name, why = "is (out, in), which fan_in_fan_out says of no layer" }
      elseif modules[i] then
         out.layers[#out.layers + 1] = { name = row.name, shape = row.shape, module = modules[i], kernel = row.kernel,
            own = row.name:gsub("[._]weight$", ""), embedding = embedding }
      elseif names:spell_parts(row.name, via, out.format) then
         add_parts(out.layers, row, names:spell_parts(row.name, via, out.format))
      else
         out.rest[#out.rest + 1] = { name = row.name, why = ("has no name in adapters of format %s"):format(
            out.format) }
      end
   end
   return out
end

return plan
