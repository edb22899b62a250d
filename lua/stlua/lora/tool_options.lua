--- What the commands on adapters share: adapters with numbers, ranks and rules, reports, saving in any format.
-- Layer: Lua, above stlua.core.

local certificate = require "stlua.lora.certificate"
local cli = require "stlua.cli"
local core = require "stlua.core"
local errors = require "stlua.errors"
local text = require "stlua.text"
local write = require "stlua.lora.write"

local tool_options = {}

local function number(value)
   local n = tonumber(value)
   if not n then return nil, ("'%s' is not a number"):format(value) end
   return n
end

-- ---------------------------------------------------------------- adapters

-- "FILE:0.8" -> the file and the number; "FILE:0.8:0.5" -> numbers by part, where these are allowed.
local function split(word, who, what, by_part)
   local path, value, wrong = cli.split_number(word)
   local front, tail = word:match("^(.+):([^:/]*)$")
   local inner, unet
   if by_part and front then inner, unet = cli.split_number(front) end
   if unet and not value and cli.exists(inner) then wrong = tail end
   if wrong then cli.usage("%s: %s: the %s '%s' is not a number", who, word, what, wrong) end
   if unet and value then return inner, { unet = unet, model = unet, te = value } end
   return path, value or 1
end

local function shown(value)
   if type(value) == "number" then return text.number(value) end
   return ("%s (text encoders %s)"):format(text.number(value.unet), text.number(value.te))
end

--- The adapters of a command line.
-- @tparam {string,...} words
-- @tparam string who the command, and `what` it calls the number, for messages
-- @tparam string what
-- @tparam[opt] boolean by_part whether a second number, for the text encoders, is right
-- @treturn {table,...} { path, value } as st.lora.apply and combine take them
-- @treturn {string,...} "0.8 * style.safetensors" for people
-- @treturn {table,...} for the recipe
function tool_options.adapters(words, who, what, by_part)
   local list, paths, terms, recipe = {}, {}, {}, {}
   for i, word in ipairs(words) do
      local path, value = split(word, who, what, by_part)
      list[i], paths[i], recipe[i] = { path, value }, path, { adapter = text.basename(path), [what] = value }
   end
   for i, label in ipairs(cli.labels(paths)) do terms[i] = ("%s * %s"):format(shown(list[i][2]), label) end
   return list, terms, recipe
end

-- ---------------------------------------------------------------- ranks

--- The options that choose ranks, and the report on them.
function tool_options.add_ranks(parser)
   parser:option("-r --rank", "The rank, at most."):argname("<n>"):convert(cli.count)
   parser:option("--conv-rank", "The rank of convolutions of more than 1 x 1 (as --rank)."):argname("<n>")
      :convert(cli.count)
   parser:option("--energy", "Of each layer the least rank that keeps this share of the squared norm, such as 0.95.")
      :argname("<share>"):convert(number)
   parser:option("--sv-ratio", "Keep singular values above the largest divided by this."):argname("<ratio>")
      :convert(number)
   parser:option("--sv-fro", "The least rank that keeps this share of the norm."):argname("<share>"):convert(number)
   parser:option("--sv-cumulative", "The least rank that keeps this share of the singular values' sum.")
      :argname("<share>"):convert(number)
   tool_options.add_report(parser)
end

--- The options as st.lora.resize and combine take them.
function tool_options.ranks(args)
   return { rank = args.rank, conv_rank = args.conv_rank, energy = args.energy, sv_ratio = args.sv_ratio,
      sv_fro = args.sv_fro, sv_cumulative = args.sv_cumulative, dtype = args.dtype }
end

-- ---------------------------------------------------------------- reports

--- The option --report.
function tool_options.add_report(parser)
   parser:option("--report", "Print the certificate of each layer: table (default), json or plot.")
      :args("?"):argname("<how>"):choices(certificate.reports)
end

--- Says what was kept: a line, and the report that was asked for.
-- @tparam ?{table,...} rows of certificate.lua
-- @tparam table args
-- @tparam[opt] table about more for the JSON object
function tool_options.report(rows, args, about)
   rows = rows or {}
   local how = args.report and (args.report[1] or "table")
   if #rows > 0 then cli.note(certificate.line(rows), "certificate") end
   if how and (#rows > 0 or how == "json") then cli.write(certificate.report(how, rows, about), "\n") end
end

-- ---------------------------------------------------------------- saving

local function holds_a_model(folder)
   for _, entry in ipairs(core.listdir(folder)) do
      if text.is_weights(entry.name) then return entry.name end
   end
end

local function check_target(path, args)
   local stat = core.stat(path)
   if not stat then return end
   local other = stat.type == "dir" and not args.force and holds_a_model(path)
   if other then
      errors.throwf("exists", "%s: the folder holds a model already (%s): --force replaces it", core.escape(path),
         core.escape(other))
   elseif stat.type == "file" and (not args.output or args.no_replace) then
      errors.throwf("exists", "%s: the file exists already and is not to be replaced", core.escape(path))
   end
end

--- Refuses a target that a save would refuse, before anything is computed.
-- @tparam string stem the name where -o gives none
-- @tparam table args
function tool_options.check_target(stem, args)
   check_target(args.output or stem, args)
   if not args.output then check_target(stem .. cli.ending(args), args) end
end

-- In the dtype that was asked for, but alpha: rounded, it would be another scale.
local function cast(model, args)
   local to = args.dtype
   args.dtype = nil
   if not to then return model end
   return model:cast(to, { except = function(name) return name:find("%.alpha$") ~= nil end, saturate = args.saturate })
end

--- Saves an adapter as a file, or in PEFT's format as a folder.
-- @tparam model model
-- @tparam string stem the name where -o gives none
-- @tparam table recipe
-- @tparam table args
function tool_options.save(model, stem, recipe, args)
   for _, note in ipairs(model:notes()) do cli.note("note: " .. note) end
   model = cast(model, args)
   local entry = write.as_saved(model, args.output)
   entry[1], entry.recipe = model, recipe
   entry[2] = args.output or entry.only_file and stem or cli.target(args, stem)
   cli.save({ entry }, args)
end

return tool_options
