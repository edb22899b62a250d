--- What command scripts share: option parsing with exit status 2, common options, derived names, notes, progress,
-- summary.
-- A command ends in `return cli.command({ name=, summary=, options=, run= }, ...)`; see scripts/.
-- Layer: Lua, above stlua.core.

local commands = require "stlua.commands"
local compressed = require "stlua.compressed"
local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local progress = require "stlua.progress"
local text = require "stlua.text"

local cli = {}

-- Set by the options in front of the command and by those behind it.
local settings = { quiet = false, json = false, trouble = 1 }

--- Turns all notes off (`stlua --quiet ...`).
function cli.set_quiet() settings.quiet = true end

--- True when notes, progress and errors are JSON lines (`--progress json`).
function cli.is_json() return settings.json end

--- The exit status of a command that fails.
function cli.trouble() return settings.trouble end

--- Throws a usage error: the program prints one line and exits with 2.
function cli.usage(format, ...)
   errors.throw("usage", format:format(...))
end

-- Converters for argparse: value, or nil and a message.

--- A floating dtype in any case.
function cli.float_dtype(value) return dtype.parse(value, true) end

--- A positive integer.
function cli.count(value)
   local n = math.tointeger(tonumber(value))
   if not n or n < 1 then return nil, ("'%s' is not a positive whole number"):format(value) end
   return n
end

--- A whole number.
function cli.integer(value)
   local n = math.tointeger(tonumber(value))
   if not n then return nil, ("'%s' is not a whole number"):format(value) end
   return n
end

--- What the commands that merge are made of; loaded when one of them runs.
function cli.merging() return require "stlua.merge_command" end

local function size(value)
   local bytes, message = text.parse_bytes(value)
   if not bytes then return nil, message end
   return bytes
end

--- "5GB" as a number of bytes; nil and a message for anything else.
cli.parse_size = size

--- The options that every command has.
function cli.common_options(parser)
   parser:option("-j --threads", "Threads to work with (default: as many as this process may use).")
      :argname("<n>"):convert(cli.count)
   parser:flag("-q --quiet", "Print nothing but results and errors.")
   parser:option("--pack-base", "The base of packed files, if it does not lie beside them."):argname("<file>")
   parser:option("--memory", "What work on whole tensors may hold, such as 4GB (default: 1GiB).")
      :argname("<size>"):convert(size)
   parser:option("--progress", "Notes, progress and errors as JSON lines on standard error."):choices { "json" }
end

--- The options of commands that write a model.
function cli.output_options(parser)
   parser:option("-o --output", "File to write, replaced if it exists (default: a new name, which is printed).")
      :argname("<out>")
   parser:flag("-n --no-replace", "Refuse to replace an existing file.")
   parser:flag("-f --force", "Let a folder of shards replace one that holds another model.")
   parser:option("--dtype", "Dtype of all floating tensors, such as BF16 or F8_E4M3.")
      :argname("<dtype>"):convert(cli.float_dtype)
   parser:flag("--saturate", "Clamp to the largest finite value where the dtype cannot hold a value.")
   parser:option("--max-shard-size", "Write a folder of shards of at most this size, such as 5GB.")
      :argname("<size>"):convert(size)
   parser:option("--compress", "Write compressed files, .safetensors.zst; a name that ends so asks for it, too.")
      :argname("<how>"):choices(compressed.ways)
   parser:option("--align", "Align the data section to this many bytes, such as 4096.")
      :argname("<bytes>"):convert(cli.count)
   parser:flag("--no-sync", "Do not wait until the data is safe on the disk.")
   parser:flag("--resume", "Keep what is done if the save is interrupted; the same command then goes on from it.")
   parser:flag("--no-recipe", "Leave the recipe out of the metadata.")
   parser:flag("--hash-inputs", "Add the SHA-256 of whole input files to the recipe.")
end

--- The options of commands that write a file as it is, in another form.
-- @tparam argparse parser
-- @tparam string default the name that is made up
function cli.copy_options(parser, default)
   local output = ("File to write, replaced if it exists (default: %s, which is printed)."):format(default)
   parser:option("-o --output", output)
      :argname("<out>")
   parser:flag("-n --no-replace", "Refuse to replace an existing file.")
   parser:flag("--no-sync", "Do not wait until the data is safe on the disk.")
end

-- argparse is loaded when a command wants it: scripts do without.
local function new_parser(def)
   local argparse = require "argparse"
   local parser = argparse("stlua " .. def.name, def.summary)
      :help_max_width(100):help_description_margin(32):usage_max_width(100)
   def.options(parser)
   cli.common_options(parser)
   return parser
end

-- The subcommand of this name; one of the words that a command line begins with.
local function subcommand(parser, word)
   for _, command in ipairs(parser._commands) do
      if command._name == word then return command end
   end
end

--- The help text of a command, or of a subcommand that words behind it name.
-- @tparam table def
-- @tparam[opt] {string,...} words
function cli.help(def, words)
   local parser, title = new_parser(def), def.name
   for _, word in ipairs(words or {}) do
      local inner = subcommand(parser, word)
      if not inner then
         local names = {}
         for i, command in ipairs(parser._commands) do names[i] = command._name end
         cli.usage("%s: no subcommand %s%s (stlua help %s)", title, text.quote(word), text.did_you_mean(word, names),
            title)
      end
      parser, title = inner, title .. " " .. word
   end
   return parser:get_help()
end

-- "lora apply" of the words of a command line, as far as they name subcommands.
local function topic_of(def, parser, ...)
   local topic = def.name
   for _, word in ipairs { ... } do
      parser = subcommand(parser, word)
      if not parser then break end
      topic = topic .. " " .. word
   end
   return topic
end

-- The words of a command line. One word that is no option needs no parser where the command says what it is: to load
-- that takes longer than what `stlua info` does.
local function parse(def, ...)
   local word = ...
   if def.only and select("#", ...) == 1 and word:sub(1, 1) ~= "-" then return true, { [def.only] = word } end
   return new_parser(def):pparse { ... }
end

--- Runs a command, or lets it describe itself to `help` and `completion`.
-- @tparam table def name, summary, options(parser), run(args); only = the name of the argument that may stand alone;
--   trouble = exit status of a failure, if it is not 1
-- @param ... the script's arguments
function cli.command(def, ...)
   if ... == commands.describe then return def end
   local ok, args = parse(def, ...)
   if not ok then
      local topic = topic_of(def, new_parser(def), ...)
      cli.usage("%s: %s (stlua help %s)", topic, args:gsub("\nDid you mean", "; did you mean"), topic)
   end
   if args.threads then core.threads(args.threads) end
   if args.pack_base then require("stlua.open").pack_base = args.pack_base end
   if args.memory then core.memory(args.memory) end
   settings.quiet = settings.quiet or args.quiet or false
   settings.json = args.progress == "json"
   settings.trouble = def.trouble or 1
   return def.run(args)
end

--- Whether the words of a command line name a YAML file.
function cli.names_yaml(...)
   for _, word in ipairs { ... } do
      if type(word) == "string" and word:find("%.ya?ml$") then return true end
   end
   return false
end

--- Runs another installed command with these words.
function cli.run_command(name, ...)
   return commands.load(commands.find(name))(...)
end

--- A line for the user on standard error; nothing when quiet.
-- @tparam string line
-- @tparam[opt="note"] string event its kind in JSON
function cli.note(line, event)
   if settings.json then
      io.stderr:write(core.json_report { event = event or "note", text = line }, "\n")
   elseif not settings.quiet then
      io.stderr:write(line, "\n")
   end
end

--- An error that does not end the command, told as main tells others.
function cli.complain(message)
   if settings.json then
      io.stderr:write(core.json_report { event = "error", message = message }, "\n")
   else
      io.stderr:write("stlua: ", message, "\n")
   end
end

--- Writes to standard output; a full disk is an error like any other.
function cli.write(...)
   local ok, message = io.stdout:write(...)
   if not ok then errors.throw("io", "standard output: " .. message) end
end

--- Refuses to write binary data to a terminal.
function cli.refuse_terminal()
   if core.isatty(1) then cli.usage("binary data on a terminal: redirect it to a file (> FILE), or use --text") end
end

--- "2.0 GiB", and of what is compressed "2.0 GiB (1.6 GiB compressed, 78 %)".
-- @tparam integer bytes
-- @tparam ?integer stored
function cli.sizes(bytes, stored)
   if not stored then return core.size(bytes) end
   local share = bytes > 0 and math.floor(100 * stored / bytes + 0.5) or 100
   return ("%s (%s compressed, %d %%)"):format(core.size(bytes), core.size(stored), share)
end

--- True where the path exists.
function cli.exists(path) return core.stat(path) ~= nil end

--- True where it is a folder.
function cli.is_folder(path)
   local stat = core.stat(path)
   return stat ~= nil and stat.type == "dir"
end

--- "FILE:0.3" as the file and the number. What is the whole name of a file is one.
-- @treturn string path
-- @treturn ?number
-- @treturn ?string what stands behind a file and is no number
function cli.split_number(word)
   if cli.exists(word) then return word end
   local path, tail = word:match("^(.+):([^:/]+)$")
   if path and tonumber(tail) then return path, tonumber(tail) end
   return word, nil, path and cli.exists(path) and tail or nil
end

cli.basename, cli.stem, cli.is_weights, cli.plural = text.basename, text.stem, text.is_weights, text.plural

--- "2.0 GiB"; and text from files made safe to print.
cli.size, cli.escape = core.size, core.escape

--- Bytes of a model's values as they will be saved.
-- @tparam model model
-- @tparam ?string to dtype of floating tensors
function cli.bytes_saved(model, to)
   local bytes = 0
   for i = 1, model:count() do
      local t = model:tensor(i)
      bytes = bytes + (to and dtype.is_float(t:dtype()) and t:numel() * dtype.bits[to] // 8 or t:nbytes())
   end
   return bytes
end

--- "201 BF16, 1 I64": a model's tensors by dtype.
cli.count_dtypes = dtype.count

--- Short names for files in messages: the last parts of their paths, as many as tell them apart.
function cli.labels(paths)
   local labels, depth = {}, {}
   local function label(i)
      local parts = {}
      for part in paths[i]:gmatch("[^/]+") do parts[#parts + 1] = part end
      local first = math.max(1, #parts - depth[i])
      return table.concat(parts, "/", first), first == 1
   end
   for i = 1, #paths do depth[i] = 0 end
   for _ = 1, 64 do
      local count, clash = {}, false
      for i = 1, #paths do
         labels[i] = label(i)
         count[labels[i]] = (count[labels[i]] or 0) + 1
      end
      for i = 1, #paths do
         local _, whole = label(i)
         if count[labels[i]] > 1 and not whole then
            depth[i] = depth[i] + 1
            clash = true
         end
      end
      if not clash then break end
   end
   local count, seen = {}, {}
   for _, l in ipairs(labels) do count[l] = (count[l] or 0) + 1 end
   for i, l in ipairs(labels) do
      seen[l] = (seen[l] or 0) + 1
      labels[i] = core.escape(count[l] > 1 and ("%s#%d"):format(l, seen[l]) or l)
   end
   return labels
end

--- The name to write to: -o, or `stem` with the right ending, which may not exist yet.
function cli.target(args, stem)
   return args.output or stem .. (args.max_shard_size and "" or cli.ending(args))
end

--- What the name of a file ends in that is made up for it.
function cli.ending(args) return args.compress == "zstd" and ".safetensors.zst" or ".safetensors" end

--- Refuses --saturate where nothing is cast.
function cli.check_saturate(who, args)
   if args.saturate and not args.dtype then cli.usage("%s: --saturate goes with --dtype", who) end
end

--- Refuses to write a part of a model, or what it is put together from, over the file that is read.
-- @tparam string who the command, for the message
-- @tparam {model,...} models
-- @tparam {string,...} targets
function cli.keep_inputs(who, models, targets)
   for _, model in ipairs(models) do
      for _, file in ipairs(model:files()) do
         for _, target in ipairs(targets) do
            if compressed.same_file(file.path, target) then
               cli.usage("%s: %s is read, and would be replaced: give another name with -o", who, core.escape(target))
            end
         end
      end
   end
end

local function options_of(args, recipe)
   return {
      dtype = args.dtype, saturate = args.saturate, sync = not args.no_sync, force = args.force,
      replace = args.output ~= nil and not args.no_replace, max_shard_size = args.max_shard_size, align = args.align,
      recipe = not args.no_recipe and recipe, hash_inputs = args.hash_inputs, resume = args.resume,
      compress = args.compress,
   }
end

local function progress_mode()
   return settings.json and "json" or (not settings.quiet and core.isatty(2)) and "terminal" or "none"
end

--- Runs fn(report) and shows how far it is: fn calls report(done, total), in bytes, now and then.
-- @tparam string phase such as "compare"
-- @tparam function fn
-- @return its result
function cli.counting(phase, fn)
   local report = progress.counter(progress_mode(), io.stderr, phase)
   local ok, result = pcall(fn, report)
   report()
   if not ok then error(result, 0) end
   return result
end

-- fn(...) with its progress shown: its results, two at most, the seconds, and the bytes that an earlier save had
-- written.
local function watch(resumed, fn, ...)
   local stop = progress.start(progress_mode(), io.stderr, resumed)
   local ok, result, second = pcall(fn, ...)
   local seconds, there = stop()
   if not ok then error(result, 0) end
   return result, second, seconds, there
end

--- Runs fn(...) and shows its progress.
-- @return its result
-- @return ?its second result
-- @treturn number seconds
function cli.watch(fn, ...) return watch(nil, fn, ...) end

--- Runs st.compress or its like with the options that copy_options read, shows progress, sums up, prints the name if
-- the user did not choose it.
function cli.copy(fn, args)
   local to, bytes, seconds = cli.watch(fn, args.file, { output = args.output, sync = not args.no_sync,
      replace = args.output ~= nil and not args.no_replace })
   local before = core.stat(args.file).size
   if settings.json then
      io.stderr:write(core.json_report { event = "saved", paths = core.array { to }, before = before, bytes = bytes,
         seconds = seconds }, "\n")
   else
      local share = before > 0 and math.floor(100 * bytes / before + 0.5) or 100
      cli.note(("%s: %s from %s, %d %%, in %.2f s"):format(core.escape(to), core.size(bytes), core.size(before), share,
         seconds))
   end
   if not args.output then cli.write(to, "\n") end
end

--- Saves with the options that output_options read, shows progress, sums up, prints names that the user did not
-- choose.
-- @tparam {table,...} list { model, path, recipe = table, files = other files of the folder, only_file =,
--   max_shard_size =, metadata = }
-- @tparam table args
function cli.save(list, args)
   local jobs, tensors, names = {}, 0, {}
   for i, entry in ipairs(list) do
      local job = options_of(args, entry.recipe)
      job[1], job[2], job.files, job.only_file = entry[1], entry[2], entry.files, entry.only_file
      job.max_shard_size, job.metadata = job.max_shard_size or entry.max_shard_size, entry.metadata
      jobs[i], names[i] = job, entry[2]
      tensors = tensors + entry[1]:count()
   end
   local what = core.escape(#names == 1 and names[1] or ("%d files"):format(#names))
   local function resumed(there, total)
      local percent = math.floor(there / total * 100)
      cli.note(("%s: going on from %d %% (%s are there)"):format(what, percent, core.size(there)), "resumed")
   end
   local ok, bytes, stored, seconds, there = pcall(watch, resumed, require("stlua.save").save_all, jobs)
   if not ok then
      -- The program ends without a word when it is interrupted; what it leaves is worth one.
      if args.resume and errors.is(bytes) and bytes.code == "cancelled" then cli.note(bytes.message) end
      error(bytes, 0)
   end
   if settings.json then
      io.stderr:write(core.json_report { event = "saved", paths = core.array(names), tensors = tensors, bytes = bytes,
         stored = stored, seconds = seconds }, "\n")
   else
      -- The rate of a moment means nothing.
      local rate = seconds > 0.1 and (" (%.1f GB/s)"):format((bytes - there) / seconds / 1e9) or ""
      cli.note(("%s: %s, %s in %.2f s%s"):format(what, text.plural(tensors, "tensor"), cli.sizes(bytes, stored),
         seconds, rate))
   end
   if not args.output then cli.write(table.concat(names, "\n"), "\n") end
end

return cli
