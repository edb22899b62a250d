--- `stlua lora extract`: an adapter from two models, with a certificate of what it loses.
-- Layer: Lua, above stlua.core.

local cli = require "stlua.cli"
local core = require "stlua.core"
local extract = require "stlua.lora.extract"
local open = require "stlua.open"
local text = require "stlua.text"
local tool_options = require "stlua.lora.tool_options"
local write = require "stlua.lora.write"

local command = { summary = "Make an adapter of low rank from what a model has learned." }

local function share(value)
   local x = tonumber(value)
   if not x or x <= 0 or x > 1 then return nil, ("'%s' is not a share above 0, at most 1"):format(value) end
   return x
end

local function ratio(value)
   local x = tonumber(value)
   if not x or x < 1 then return nil, ("'%s' is not a number of at least 1"):format(value) end
   return x
end

local function what_goes_in(parser)
   parser:option("--only", "Decompose only tensors whose names match."):argname("<pattern>"):count "*"
   parser:option("--except", "Leave out tensors whose names match."):argname("<pattern>"):count "*"
   parser:flag("--include-embeddings", "Decompose embeddings and the layer before the vocabulary, too.")
   parser:option("--modules-to-save", "Save tensors whose names match as they are."):argname("<pattern>"):count "*"
end

function command.options(parser)
   parser:argument("models", "The base model, and the one tuned from it."):args("*")
   parser:option("--base", "The base model."):argname("<model>")
   parser:option("--tuned", "The model tuned from it."):argname("<model>")
   parser:option("-r --rank", "Rank of each layer (default: 32)."):argname("<n>"):convert(cli.count)
   parser:option("--energy", "The smallest rank that holds this share of a layer's difference, such as 0.95.")
      :argname("<share>"):convert(share)
   parser:option("--sv-ratio", "Leave out singular values below the largest divided by this, such as 20.")
      :argname("<ratio>"):convert(ratio)
   parser:option("--max-rank", "At most this rank (default with --energy or --sv-ratio: 128).")
      :argname("<n>"):convert(cli.count)
   parser:option("--conv-rank", "Decompose kernels of more than 1 x 1, too, with this rank.")
      :argname("<n>"):convert(cli.count)
   what_goes_in(parser)
   parser:option("--format", "How it is written down (default: peft for language models, else kohya).")
      :choices(write.formats)
   parser:option("--distribute", "Where the singular values go: their roots to both factors (default), or all to the "
      .. "up or the down one."):choices { "both", "up", "down" }
   parser:flag("--exact", "Decompose with LAPACK: slow, for comparison.")
   parser:option("--seed", "Of the random start (default: 0)."):argname("<n>"):convert(cli.integer)
   tool_options.add_report(parser)
   cli.output_options(parser)
end

-- The two models, however they were given.
local function paths_of(args)
   local list = args.models
   local base = args.base or table.remove(list, 1)
   local tuned = args.tuned or table.remove(list, 1)
   if not base or not tuned then cli.usage("lora extract: give the base model and the tuned one") end
   if #list > 0 then cli.usage("lora extract: %s: two models are enough", list[1]) end
   return base, tuned
end

local function listed(list) return list and #list > 0 and list or nil end

local function options_of(args, base)
   return {
      rank = args.rank, energy = args.energy, sv_ratio = args.sv_ratio, max_rank = args.max_rank,
      conv_rank = args.conv_rank, only = listed(args.only), except = listed(args.except),
      modules_to_save = listed(args.modules_to_save), include_embeddings = args.include_embeddings,
      format = args.format, dtype = args.dtype, distribute = args.distribute, exact = args.exact, seed = args.seed,
      base = base,
   }
end

local function tell(found, args)
   local chosen = (args.energy or args.sv_ratio) and ("ranks up to %d"):format(found.rank)
      or ("rank %d%s"):format(found.rank, (args.rank or args.max_rank) and "" or " (default)")
   cli.note(("%s, format %s%s, factors in %s%s"):format(chosen, found.format, args.format and "" or " (default)",
      found.dtype, args.dtype and "" or " (default)"))
   for _, note in ipairs(found.notes) do cli.note("note: " .. note) end
end


function command.run(args)
   local base, tuned = paths_of(args)
   local options, stem = options_of(args, base), text.stem(tuned) .. "-lora"
   tool_options.check_target(stem, args)
   local found = cli.watch(extract.extract, open.open(base), open.open(tuned), options)
   tell(found, args)
   tool_options.report(found.layers, args, { format = found.format, dtype = found.dtype,
      differing = core.array(found.differing) })
   args.dtype, options.base = nil, nil      -- the factors and the recipe have them
   tool_options.save(found.model, stem, { command = "lora extract", base = text.basename(base),
      tuned = text.basename(tuned), parameters = options }, args)
end

return command
