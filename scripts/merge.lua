-- stlua merge: weighted averages of models, in one streaming pass.
--
--    stlua merge a.safetensors b.safetensors -o merged.safetensors
--    stlua merge a b --alpha 0.2,0.4,0.6 -o 'm-{alpha}.safetensors'
--    stlua merge config.yml -o folder          a YAML file of mergekit: scripts/merge-yaml.lua

local cli = require "stlua.cli"
local st = require "stlua"

local function options(parser)
   parser:argument("model", "Models to merge: files, folders or indexes, each with a weight as FILE:0.3 if you like.")
      :args("2+")
   parser:option("--alpha", "Interpolate two models: (1 - t) * A + t * B. Several values, such as 0.2,0.4, make one "
      .. "file each, where -o has {alpha} in its name."):argname("<t>")
   parser:option("--weights", "One weight per model, such as 0.5,0.3,0.2 (default: equal)."):argname("<list>")
   parser:flag("--no-normalize", "Use the weights as they are, not divided by their sum.")
   parser:option("--missing", "A tensor that some model has not: error (the default), first (copy it from the first "
      .. "model that has it) or skip."):choices { "error", "first", "skip" }
   cli.output_options(parser)
   parser:epilog("stlua merge CONFIG.yml takes a YAML file of mergekit: see stlua help merge-yaml.")
end

-- "0.2,0.4" -> { 0.2, 0.4 }, and the texts as they were typed.
local function numbers(list, option)
   local values, texts = {}, {}
   for word in (list .. ","):gmatch("%s*(.-)%s*,") do
      local value = tonumber(word)
      if not value or value ~= value or math.abs(value) == math.huge then
         cli.usage("merge: %s: '%s' is not a number", option, word)
      end
      values[#values + 1], texts[#texts + 1] = value, word
   end
   return values, texts
end

-- Splits "FILE:0.3" where no file has that whole name.
local function split_weight(word)
   local path, weight = word:match("^(.+):([^:/]+)$")
   if path and tonumber(weight) and not cli.exists(word) then return path, tonumber(weight) end
   return word
end

-- Paths and weights of the command line; weights add up to 1 unless the user said otherwise.
local function read_weights(args)
   local paths, weights = {}, {}
   for i, word in ipairs(args.model) do paths[i], weights[i] = split_weight(word) end
   local given = 0
   for i = 1, #paths do given = given + (weights[i] and 1 or 0) end
   if given > 0 and (args.weights or args.alpha) then
      cli.usage("merge: weights stand either behind the files or in --%s", args.weights and "weights" or "alpha")
   elseif given > 0 and given < #paths then
      cli.usage("merge: %d of %d models have a weight: give one to all or none", given, #paths)
   end
   if args.weights then weights = numbers(args.weights, "--weights") end
   if #weights == 0 then
      for i = 1, #paths do weights[i] = 1 end
   elseif #weights ~= #paths then
      cli.usage("merge: --weights has %d numbers for %d models", #weights, #paths)
   end
   local sum = 0
   for _, w in ipairs(weights) do sum = sum + w end
   if not args.no_normalize then
      if sum == 0 then cli.usage("merge: the weights add up to 0: use --no-normalize") end
      for i, w in ipairs(weights) do weights[i] = w / sum end
   end
   return paths, weights
end

-- "0.5 * {1} + 0.5 * {2}": the recipe puts names for the numbers, and so do we for the user.
local function formula(weights)
   local terms = {}
   for i, w in ipairs(weights) do terms[i] = ("%.6g * {%d}"):format(w, i) end
   return (table.concat(terms, " + "):gsub("%+ %-", "- "))
end

local function weighted_sum(weights)
   return function(_, ...)
      local sum = weights[1] * (...)
      for i = 2, #weights do sum = sum + weights[i] * (select(i, ...)) end
      return sum
   end
end

-- What to make: one entry per file, { path =, formula =, parameters =, fn = the callback of st.map }.
local function average(args, weights, path)
   return { { path = path, formula = formula(weights), parameters = { weights = weights, missing = args.missing },
      fn = weighted_sum(weights) } }
end

local function sweep(args, paths, path)
   if #paths ~= 2 then cli.usage("merge: --alpha is for two models, got %d (use --weights)", #paths) end
   local alphas, texts = numbers(args.alpha, "--alpha")
   if #alphas > 1 and not path:find("{alpha}", 1, true) then
      cli.usage("merge: %d values of --alpha need {alpha} in the name, such as -o 'm-{alpha}.safetensors'", #alphas)
   end
   local entries, seen = {}, {}
   for i, t in ipairs(alphas) do
      if seen[texts[i]] then cli.usage("merge: --alpha has %s twice", texts[i]) end
      seen[texts[i]] = true
      entries[i] = { path = path:gsub("{alpha}", (texts[i]:gsub("%%", "%%%%"))), formula = formula { 1 - t, t },
         parameters = { alpha = t, missing = args.missing }, fn = function(_, a, b) return st.lerp(a, b, t) end }
   end
   return entries
end

local function run(args)
   local paths, weights = read_weights(args)
   local several = args.alpha and args.alpha:find(",", 1, true)
   local target = cli.target(args, cli.stem(paths[1]) .. "-merged" .. (several and "-{alpha}" or ""))
   local entries = args.alpha and sweep(args, paths, target) or average(args, weights, target)
   local labels = cli.labels(paths)
   for _, e in ipairs(entries) do
      local title = several and cli.basename(e.path) or "merged"
      cli.note(title .. " = " .. e.formula:gsub("{(%d+)}", function(i) return labels[tonumber(i)] end), "formula")
   end

   local models, results = {}, {}
   for i, path in ipairs(paths) do models[i] = st.open(path) end
   for i, e in ipairs(entries) do
      results[i] = { st.map(models, e.fn, { missing = args.missing }), e.path,
         recipe = { command = "merge", formula = e.formula, parameters = e.parameters } }
   end
   for _, note in ipairs(results[1][1]:notes()) do cli.note("note: " .. note) end
   cli.save(results, args)
end

if cli.names_yaml(...) then return cli.run_command("merge-yaml", ...) end

return cli.command({
   name = "merge", summary = "Average models: equal shares, --alpha or --weights.", options = options, run = run,
}, ...)
