--- The command line of `stlua merge`: options made from the methods' parameters, and the jobs they describe.
-- Layer: Lua, above stlua.core.

local cli = require "stlua.cli"
local errors = require "stlua.errors"
local merging = require "stlua.merging"
local text = require "stlua.text"

local merge_options = {}

-- ---------------------------------------------------------------- options and help

-- Options that the command has anyway.
local OWN = { alpha = true, weight = true }

local function option_of(name) return (name:gsub("_", "-")) end

local function shown_default(param)
   if param.default == nil then return param.optional and "" or "!" end
   return "=" .. (type(param.default) == "number" and ("%g"):format(param.default) or tostring(param.default))
end

local function takes(def)
   local count = def.min == def.max and text.plural(def.min, "model")
      or def.max and ("%d to %d models"):format(def.min, def.max) or ("%d or more models"):format(def.min)
   return count .. (def.base == "required" and " and --base" or def.base == "optional" and ", perhaps --base" or "")
end

local parameter_names = {}     -- of all methods, as options were added for them

-- The definitions of all methods; and of those whose file is wrong, name and message.
local function definitions()
   local list, broken = {}, {}
   for _, name in ipairs(merging.merge_methods()) do
      local ok, def = pcall(merging.method, name)
      if not ok and not errors.is(def) then error(def, 0) end
      if ok then list[#list + 1] = def else broken[#broken + 1] = { name, def.message } end
   end
   return list, broken
end

--- The list of methods for the help of the command: a line each, and its parameters with their defaults.
-- @tparam[opt] table defs, broken as of definitions
function merge_options.methods_text(defs, broken)
   local lines = { "Methods (--method), their parameters and defaults; ! must be given:" }
   if not defs then defs, broken = definitions() end
   for _, def in ipairs(defs) do
      local words = {}
      lines[#lines + 1] = ("   %s: %s"):format(def.name, def.summary)
      for i, param in ipairs(def.params) do words[i] = "--" .. option_of(param.name) .. shown_default(param) end
      lines[#lines + 1] = ("      %s%s%s"):format(takes(def), #words > 0 and "; " or "", table.concat(words, " "))
   end
   for _, b in ipairs(broken) do lines[#lines + 1] = ("   %s cannot be used: %s"):format(b[1], b[2]) end
   return table.concat(lines, "\n")
end

--- Adds an option for each parameter of any method. They are not in the list of options but with the methods.
function merge_options.add(parser)
   local seen, defs, broken = {}, definitions()
   parameter_names = {}
   for _, def in ipairs(defs) do
      for _, param in ipairs(def.params) do
         local name = option_of(param.name)
         if not seen[name] and not OWN[param.name] then
            if param.type == "boolean" then
               parser:flag("--" .. name):hidden(true)
               if name ~= "normalize" then parser:flag("--no-" .. name):hidden(true) end
            else
               parser:option("--" .. name):hidden(true)
            end
            parameter_names[#parameter_names + 1] = param.name
         end
         seen[name] = true
      end
   end
   parser:epilog("stlua merge CONFIG.yml takes a YAML file of mergekit: see stlua help merge-yaml.\n\n"
      .. merge_options.methods_text(defs, broken))
end

-- ---------------------------------------------------------------- reading

local problems

-- A mistake of the user; all of them are told at once.
local function wrong(format, ...) problems[#problems + 1] = format:format(...) end

-- "0.2,0.4" -> { 0.2, 0.4 }, and the texts as they were typed.
local function numbers(list, option)
   local values, texts = {}, {}
   for word in (list .. ","):gmatch("%s*(.-)%s*,") do
      local value = tonumber(word)
      if not value or value ~= value or math.abs(value) == math.huge then
         wrong("%s: '%s' is not a number", option, word)
      end
      values[#values + 1], texts[#texts + 1] = value or 0, word
   end
   return values, texts
end

-- The paths, and the weights of --weights or behind the files; nil where there are none.
local function read_weights(args)
   local paths, weights, given = {}, {}, 0
   for i, word in ipairs(args.model) do
      paths[i], weights[i] = cli.split_number(word)
      given = given + (weights[i] and 1 or 0)
   end
   if given > 0 and (args.weights or (args.alpha and not args.method)) then
      wrong("weights stand either behind the files or in --%s", args.weights and "weights" or "alpha")
   elseif given > 0 and given < #paths then
      wrong("%d of %d models have a weight: give one to all or none", given, #paths)
   end
   if args.weights then
      weights = numbers(args.weights, "--weights")
      if #weights ~= #paths and not (args.method and #weights == 1) then
         wrong("--weights has %d numbers for %d models", #weights, #paths)
      end
   elseif given == 0 then
      weights = nil
   end
   return paths, weights
end

-- The weights of a plain average; they add up to 1 unless the user said otherwise.
local function normalized(weights, count, args)
   local list, sum = {}, 0
   for i = 1, count do
      list[i] = weights and weights[i] or 1
      sum = sum + list[i]
   end
   if args.no_normalize then return list end
   if sum == 0 and count > 0 then wrong("the weights add up to 0: use --no-normalize") end
   if math.abs(sum) == math.huge then wrong("the weights add up to more than a number can be: make them smaller") end
   for i, w in ipairs(list) do list[i] = w / sum end
   return list
end

-- What was typed for a parameter of the method.
local function read_value(param, word, option)
   if param.type == "boolean" then return word end
   if param.type == "string" then return word end
   local values = numbers(word, option)
   if not param.each and #values > 1 then wrong("%s: one number expected, got %d", option, #values) end
   return param.each and #values > 1 and values or values[1]
end

-- Parameters of any method that were given, but those that are options anyway.
local function given_of_methods(args)
   local list = {}
   for _, key in ipairs(parameter_names) do
      if args[key] ~= nil or args["no_" .. key] then list[#list + 1] = key end
   end
   return list
end

-- All parameters given for the method; those of others are named.
local function read_parameters(def, args, weights)
   local given, known = {}, {}
   for _, param in ipairs(def.params) do
      local key, option = param.name, "--" .. option_of(param.name)
      known[key] = true
      if args["no_" .. key] then given[key] = false end
      if args[key] ~= nil and not OWN[key] then given[key] = read_value(param, args[key], option) end
   end
   if weights and known.weight then given.weight = #weights == 1 and weights[1] or weights end
   local has = {}
   for i, param in ipairs(def.params) do has[i] = "--" .. option_of(param.name) end
   local function foreign(key)
      wrong("%s has no --%s (it has %s)", def.name, option_of(key),
         #has > 0 and table.concat(has, " ") or "no parameters")
   end
   if weights and not known.weight then foreign "weights" end
   if args.alpha and not known.alpha then foreign "alpha" end
   for _, key in ipairs(given_of_methods(args)) do
      if not known[key] then foreign(key) end
   end
   return given
end

-- "[PARAMETER=]SPEC": the parameter, by default alpha or the method's first number.
local function read_blocks(def, list)
   local found = {}
   for _, word in ipairs(list) do
      local name, spec = word:match("^([a-z_]+)=(.*)$")
      if not name then
         name, spec = def.params.alpha and "alpha", word
         for _, param in ipairs(name and {} or def.params) do
            if param.type == "number" then name = param.name break end
         end
      end
      if not name or not def.params[name] or def.params[name].type ~= "number" then
         wrong("--block-weights: %s has no number %s", def.name, name or "that could vary")
      else
         found[name] = found[name] and found[name] .. "," .. spec or spec
      end
   end
   return next(found) and found or nil
end

local function copy(job, more)
   local t = {}
   for key, value in pairs(job) do t[key] = value end
   for key, value in pairs(more) do t[key] = value end
   return t
end

-- One job per value of --alpha, and the name each is written to.
local function sweep(job, args, path)
   local alphas, texts = numbers(args.alpha, "--alpha")
   if #alphas > 1 and not path:find("{alpha}", 1, true) then
      wrong("%d values of --alpha need {alpha} in the name, such as -o 'm-{alpha}.safetensors'", #alphas)
   end
   local entries, seen = {}, {}
   for i, t in ipairs(alphas) do
      if seen[texts[i]] then wrong("--alpha has %s twice", texts[i]) end
      seen[texts[i]] = true
      local one
      if job.method then
         one = copy(job, { parameters = copy(job.parameters, { alpha = t }) })
      else
         one = copy(job, { alpha = t })
      end
      entries[i] = { job = one, path = path:gsub("{alpha}", (texts[i]:gsub("%%", "%%%%"))) }
   end
   return entries
end

local function described(args, method)
   return { method = method, seed = args.seed, missing = args.missing, prune = args.prune,
      merge_vae = method and (args.merge_vae or nil) or nil, work = { dry = args.dry_run or nil } }
end

local function check_count(args, paths)
   if args.method then return end
   if #paths < 2 then wrong("give at least two models to average") end
   if args.alpha and #paths ~= 2 then wrong("--alpha is for two models, got %d (use --weights)", #paths) end
   if args.base then wrong("--base is for methods that take one: give --method") end
   if args.seed then wrong("--seed is for methods with chance in them: give --method") end
   for _, key in ipairs(given_of_methods(args)) do
      if key ~= "normalize" then wrong("--%s is for methods: give --method", option_of(key)) end
   end
   if args.merge_vae then wrong("--merge-vae is for methods: an average takes the VAE with the rest") end
end

--- Reads the command line.
-- @tparam table args of argparse
-- @treturn {string,...} paths of the models
-- @treturn {table,...} entries { job =, path = to write }
function merge_options.read(args)
   problems = {}
   if not args.method and #args.block_weights > 0 then args.method = "weighted_sum" end
   local paths, weights = read_weights(args)
   check_count(args, paths)
   local several = args.alpha and args.alpha:find(",", 1, true)
   local stem = cli.stem(paths[1] or args.base or "model") .. "-merged" .. (several and "-{alpha}" or "")
   local target = cli.target(args, stem)
   local job = described(args, args.method)
   if args.method then
      local def = merging.method(args.method)
      job.parameters = read_parameters(def, args, weights)
      job.block_weights = read_blocks(def, args.block_weights)
      -- Who gives the VAE a weight means it.
      for _, spec in ipairs(args.block_weights) do
         if spec:find("VAE", 1, true) then job.merge_vae = true end
      end
   elseif not args.alpha then
      job.weights = normalized(weights, #paths, args)
   end
   local entries = args.alpha and sweep(job, args, target) or { { job = job, path = target } }
   if #problems == 1 then cli.usage("merge: %s", problems[1]) end
   if #problems > 1 then
      errors.throw("usage", ("merge: %d mistakes:\n   %s"):format(#problems, table.concat(problems, "\n   ")))
   end
   return paths, entries
end

return merge_options
