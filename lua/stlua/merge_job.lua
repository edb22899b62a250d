--- A merge as `stlua merge` is told it and a recipe keeps it: a table without paths, from which the model is built.
--
-- A job: weights (a list) or alpha for plain averages, or method and parameters (name -> value); block_weights
-- (parameter -> spec); seed, missing, merge_vae, prune; base and vae, which of the inputs these are (nil: there is
-- none). All other inputs are the models. Not kept in a recipe: work, a table in which jobs that differ in alpha alone
-- share what a method prepares; work.dry asks to read no values.
-- Layer: Lua, above stlua.core.

local blocks = require "stlua.blocks"
local channels = require "stlua.channels"
local checkpoint = require "stlua.checkpoint"
local core = require "stlua.core"
local errors = require "stlua.errors"
local map = require "stlua.map"
local merging = require "stlua.merging"
local ops = require "stlua.ops"
local text = require "stlua.text"

local merge_job = {}

--- The order of inputs in a job: models as they were given, the base where the method's results take it, the VAE last.
-- @treturn {table,...} inputs { role = "model", "base" or "vae", path = }
function merge_job.order(job, paths, base, vae)
   local inputs = {}
   for i, path in ipairs(paths) do inputs[i] = { role = "model", path = path } end
   if base then
      local like_model = job.method and merging.method(job.method).like == "model"
      table.insert(inputs, like_model and #inputs > 0 and 2 or 1, { role = "base", path = base })
   end
   if vae then inputs[#inputs + 1] = { role = "vae", path = vae } end
   for i, input in ipairs(inputs) do
      if input.role ~= "model" then job[input.role] = i end
   end
   return inputs
end

--- Refuses a model that is given twice, also as a folder and as the file in it: it would count twice.
-- @tparam {table,...} inputs as of order
-- @tparam {model,...} opened
-- @raise "usage"
function merge_job.check_twice(inputs, opened)
   local seen = {}
   for i, input in ipairs(inputs) do
      for _, file in ipairs(input.role ~= "vae" and opened[i]:files() or {}) do
         local stat = core.stat(file.path)
         local other = stat and seen[stat.id]
         if other and other ~= input then
            errors.throwf("usage", "merge: %s and %s are the same model, given twice: %s", text.quote(other.path),
               text.quote(input.path), (input.role == "base" or other.role == "base")
               and "the base stands for itself, name it once" or "give it a larger weight instead")
         end
         if stat then seen[stat.id] = input end
      end
   end
end

-- Opened inputs by their roles.
local function by_role(job, opened)
   local models = {}
   for i, m in ipairs(opened) do
      if i ~= job.base and i ~= job.vae then models[#models + 1] = m end
   end
   return models, job.base and opened[job.base], job.vae and opened[job.vae]
end

local function weighted_sum(weights)
   return function(_, ...)
      local sum = weights[1] * (...)
      for i = 2, #weights do sum = sum + weights[i] * (select(i, ...)) end
      return sum
   end
end

-- What is copied and what is left out: of checkpoints alone. With methods the VAE is left alone unless it is asked for.
local function rules(job, first)
   local keep
   if checkpoint.is_one(first) then
      local alone = job.method and not job.merge_vae
      keep = function(name)
         return checkpoint.is_fixed(name) or (alone and checkpoint.is_vae(name) and "any")
      end
   end
   return keep, job.prune and checkpoint.waste_of(first) or nil
end

local function average(job, models, keep, drop)
   local fn = job.alpha and function(_, a, b) return ops.lerp(a, b, job.alpha) end or weighted_sum(job.weights)
   return map.run(models, channels.wrap(fn), { missing = job.missing, keep = keep, drop = drop,
      shapes = channels.may_differ, node = { call = "merge" } })
end

-- The parameters of a method, with block weights in place of numbers.
local function parameters(job, first)
   local opts = {}
   for name, value in pairs(job.parameters or {}) do opts[name] = value end
   for name, spec in pairs(job.block_weights or {}) do
      local by_block, plain = blocks.block_weights(first, spec), opts[name]
      opts[name] = function(tensor, i)
         local w = by_block(tensor)
         if w == nil then w = type(plain) == "table" and plain[i] or type(plain) ~= "table" and plain or nil end
         return w
      end
   end
   return opts
end

--- Refuses parameters of a method that are wrong whatever the inputs are.
-- @tparam table job
-- @tparam integer count of inputs
function merge_job.check_parameters(job, count)
   if not job.method then return end
   local opts = {}
   for name, value in pairs(job.parameters or {}) do opts[name] = value end
   for name in pairs(job.block_weights or {}) do opts[name] = function() end end
   merging.check_parameters(merging.method(job.method), opts, count - (job.base and 1 or 0) - (job.vae and 1 or 0))
end

local function by_method(job, models, base, keep, drop)
   local opts = parameters(job, models[1] or base)
   opts.models, opts.base, opts.seed, opts.work = models, base, job.seed, job.work
   opts.missing, opts.keep, opts.drop = job.missing, keep, drop
   return merging.merge(job.method, opts)
end

--- Builds the model that a job describes.
-- @tparam table job
-- @tparam {model,...} opened its inputs in order
-- @treturn model
function merge_job.build(job, opened)
   local models, base, vae = by_role(job, opened)
   local keep, drop = rules(job, opened[1])
   local result = job.method and by_method(job, models, base, keep, drop) or average(job, models, keep, drop)
   return vae and checkpoint.bake(result, vae) or result
end

--- Remarks about the inputs of a job.
function merge_job.notes(job, opened)
   local models = by_role(job, opened)
   return checkpoint.notes(models)
end

-- "0.5 * {1} + 0.5 * {2}": a recipe puts names for the numbers, and so does the program for the user.
local function weighted(weights)
   local terms = {}
   for i, w in ipairs(weights) do terms[i] = ("%.6g * {%d}"):format(w, i) end
   return (table.concat(terms, " + "):gsub("%+ %-", "- "))
end

local function shown(value)
   if type(value) ~= "table" then return type(value) == "number" and text.number(value) or tostring(value) end
   local parts = {}
   for i, v in ipairs(value) do parts[i] = shown(v) end
   return table.concat(parts, ",")
end

-- "add_difference({1}, {3}, base {2}, alpha=0.5)".
local function call(job, count)
   local parts = {}
   for i = 1, count do
      if i ~= job.base and i ~= job.vae then parts[#parts + 1] = ("{%d}"):format(i) end
   end
   if job.base then parts[#parts + 1] = ("base {%d}"):format(job.base) end
   local named = {}
   for name, value in pairs(job.parameters or {}) do named[#named + 1] = name .. "=" .. shown(value) end
   for name, spec in pairs(job.block_weights or {}) do named[#named + 1] = name .. " by blocks " .. spec end
   table.sort(named)
   table.move(named, 1, #named, #parts + 1, parts)
   return ("%s(%s)"):format(job.method, table.concat(parts, ", "))
end

--- How a job is computed, with {1}, {2} ... for its inputs.
-- @tparam table job
-- @tparam integer count of inputs
function merge_job.formula(job, count)
   local weights = job.alpha and { 1 - job.alpha, job.alpha } or job.weights
   local formula = job.method and call(job, count) or weighted(weights)
   if job.vae then formula = ("%s, VAE of {%d}"):format(formula, job.vae) end
   return formula
end

local IN_RECIPE = { "method", "block_weights", "seed", "base", "vae", "merge_vae", "prune" }

--- What a recipe tells about a job beside its formula and inputs.
-- @tparam table job
-- @tparam integer count of inputs
-- @tparam table output options that the bytes hang on: dtype, saturate, align, max_shard_size
function merge_job.recipe(job, count, output)
   local recipe = { command = "merge", formula = merge_job.formula(job, count) }
   recipe.output = next(output) and output or nil
   recipe.parameters = { alpha = job.alpha, weights = not job.alpha and job.weights or nil, missing = job.missing }
   for name, value in pairs(job.parameters or {}) do recipe.parameters[name] = value end
   if not next(recipe.parameters) then recipe.parameters = nil end
   for _, key in ipairs(IN_RECIPE) do recipe[key] = job[key] end
   return recipe
end

--- The job of a recipe.
-- @tparam table recipe decoded
-- @treturn table job
-- @raise "arg" for recipes of other programs and scripts
function merge_job.of_recipe(recipe)
   if recipe.command ~= "merge" then
      errors.throwf("arg", "the recipe is of %s, which is not run again: only merges are",
         recipe.script and "the script " .. text.quote(recipe.script) or text.quote(tostring(recipe.command)))
   end
   local job, given = {}, {}
   for name, value in pairs(recipe.parameters or {}) do given[name] = value end
   job.missing, given.missing = given.missing, nil
   for _, key in ipairs(IN_RECIPE) do job[key] = recipe[key] end
   if job.method then
      job.parameters = given
   else
      job.alpha, job.weights = given.alpha, given.weights
   end
   return job
end

return merge_job
