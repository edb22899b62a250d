--- What the commands on adapters share: ranks and rules, reports, saving in any format.
-- Layer: Lua, above stlua.core.

local certificates = require "stlua.lora.certificates"
local cli = require "stlua.cli"
local core = require "stlua.core"
local write = require "stlua.lora.write"

local tool_options = {}

local function number(value)
   local n = tonumber(value)
   if not n then return nil, ("'%s' is not a number"):format(value) end
   return n
end

--- The options that choose ranks, and the report on them.
function tool_options.add_ranks(parser)
   parser:option("--rank", "The rank, at most."):argname("<n>"):convert(cli.count)
   parser:option("--conv-rank", "The rank of convolutions of more than 1x1 (as --rank)."):argname("<n>")
      :convert(cli.count)
   parser:option("--energy", "Of each module the least rank that keeps this share of the squared norm, such as 0.95.")
      :argname("<share>"):convert(number)
   parser:option("--sv-ratio", "Keep singular values above the largest divided by this."):argname("<ratio>")
      :convert(number)
   parser:option("--sv-fro", "The least rank that keeps this share of the norm."):argname("<share>"):convert(number)
   parser:option("--sv-cumulative", "The least rank that keeps this share of the singular values' sum.")
      :argname("<share>"):convert(number)
   parser:option("--report", "What is kept of each module, on standard output."):choices { "table", "json" }
end

--- The options as st.lora.resize and combine take them.
function tool_options.ranks(args)
   return { rank = args.rank, conv_rank = args.conv_rank, energy = args.energy, sv_ratio = args.sv_ratio,
      sv_fro = args.sv_fro, sv_cumulative = args.sv_cumulative, dtype = args.dtype }
end

--- Says what was kept: a line, and the table or JSON that was asked for.
function tool_options.report(rows, args)
   if not rows or #rows == 0 then return end
   cli.note("kept: " .. certificates.line(rows), "certificate")
   if args.report == "table" then cli.write(certificates.table(rows), "\n") end
   if args.report == "json" then
      cli.write(core.json_encode { modules = core.array(rows), total = certificates.total(rows) }, "\n")
   end
end

--- Saves an adapter as a file, or in PEFT's format as a folder.
-- @tparam model model
-- @tparam string stem the name where -o gives none
-- @tparam table recipe
-- @tparam table args
function tool_options.save(model, stem, recipe, args)
   for _, note in ipairs(model:notes()) do cli.note("note: " .. note) end
   local entry = write.as_saved(model, args.output)
   entry[1], entry.recipe = model, recipe
   entry[2] = args.output or entry.only_file and stem or cli.target(args, stem)
   cli.save({ entry }, args)
end

return tool_options
