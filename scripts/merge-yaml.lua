-- stlua merge CONFIG.yml: a merge as a YAML file of mergekit describes it, written as a folder that transformers loads.
--
--    stlua merge config.yml -o merged
--    stlua merge config.yml merged --dry-run

local cli = require "stlua.cli"
local core = require "stlua.core"
local dry_run = require "stlua.dry_run"
local errors = require "stlua.errors"
local st = require "stlua"

-- mergekit's options that change nothing here, and why.
local IDLE = {
   { "--cuda --no-cuda --low-cpu-memory --no-low-cpu-memory --read-to-gpu --no-read-to-gpu --multi-gpu --no-multi-gpu "
      .. "--gpu-rich", "processors compute" },
   { "--lazy-unpickle --no-lazy-unpickle", "only headers are read ahead" },
   { "--clone-tensors --no-clone-tensors", "a layer may be used twice" },
   { "--async-write --no-async-write", "reading, computing and writing always overlap" },
   { "--trust-remote-code --no-trust-remote-code", "no code of models is run" },
   { "--lazy --no-lazy", "no intermediate files are written" },
   { "--copy-tokenizer --write-model-card --safe-serialization --no-unsafe-truncate-embeddings --no-allow-crimes "
      .. "--no-quiet", nil },      -- what is done anyway
}
local IDLE_WITH_VALUE = {
   { "--device", "processors compute" }, { "--write-threads", "all threads write" },
   { "--lora-merge-cache", "nothing is cached" }, { "--lora-merge-dtype", "nothing is cached" },
   { "-I --intermediate-dir", "no intermediate files are written" },
}

-- "5B" is five billion bytes, as mergekit counts; "5GB" will do as well.
local function shard_size(value)
   local digits, unit = value:upper():match("^(%d+)([KMB]?)$")
   if not digits then
      local bytes = cli.parse_size(value)
      if bytes then return bytes end
      return nil, ("'%s' is not a size: write 5B, 500M or 5GB"):format(value)
   end
   local bytes = tonumber(digits) * ({ [""] = 1, K = 1e3, M = 1e6, B = 1e9 })[unit]
   return math.tointeger(bytes < 1 and 2 ^ 52 or bytes // 1)
end

local function whole_number(value)
   local n = math.tointeger(tonumber(value))
   if not n then return nil, ("'%s' is not a whole number"):format(value) end
   return n
end

local function mergekit_options(parser)
   for _, entry in ipairs(IDLE) do
      for flag in entry[1]:gmatch("%S+") do parser:flag(flag):hidden(true) end
   end
   for _, entry in ipairs(IDLE_WITH_VALUE) do parser:option(entry[1]):hidden(true) end
   parser:flag("--no-safe-serialization"):hidden(true)
   parser:flag("--unsafe-truncate-embeddings"):hidden(true)
   parser:flag("-v"):count("*"):hidden(true)
   parser:option("--num-threads"):hidden(true):convert(cli.count)
   parser:option("--out-path"):hidden(true)
end

local function options(parser)
   parser:argument("config", "mergekit's YAML file."):argname("<config.yml>")
   parser:argument("out", "Folder to write."):args("?"):argname("<out>")
   parser:option("-o --output", "Folder to write (the second argument will do as well).")
      :argname("<out>")
   parser:flag("--dry-run", "Check everything from the headers, print what would be done, and write nothing.")
   parser:flag("-n --no-replace", "Refuse to replace an existing folder.")
   parser:flag("-f --force", "Let the folder replace one that holds another model.")
   parser:option("--models-dir", "Folder of models for the file's hub ids: owner/name, owner--name or name in it.")
      :argname("<folder>")
   parser:option("--transformers-cache", "Cache of the Hugging Face hub (default: HF_HUB_CACHE, HF_HOME/hub or "
      .. "~/.cache/huggingface/hub). Nothing is downloaded."):argname("<folder>")
   parser:option("--out-shard-size", "Size of the files, such as 5B, 500M or 2GiB (default: 5B).")
      :argname("<size>"):convert(shard_size)
   parser:option("--random-seed", "For methods with chance in them (default: 0)."):argname("<n>")
      :convert(whole_number)
   parser:flag("--allow-crimes", "Merge models of different architectures.")
   parser:flag("--no-copy-tokenizer", "Leave the tokenizer's files out.")
   parser:flag("--no-write-model-card", "Leave README.md and mergekit_config.yml out.")
   parser:flag("--no-sync", "Do not wait until the data is safe on the disk.")
   parser:flag("--resume", "Keep what is done if the merge is interrupted; the same command then goes on from it.")
   parser:flag("--no-recipe", "Leave the recipe out of the metadata.")
   parser:flag("--hash-inputs", "Add the SHA-256 of whole input files to the recipe.")
   mergekit_options(parser)
end

local function note_idle(args)
   for _, list in ipairs { IDLE, IDLE_WITH_VALUE } do
      for _, entry in ipairs(list) do
         for flag in entry[1]:gmatch("%-%-%S+") do
            if args[flag:sub(3):gsub("-", "_")] and entry[2] then
               cli.note(("note: %s has no effect: %s"):format(flag, entry[2]))
            end
         end
      end
   end
end

local function refuse_unsupported(args)
   if args.no_safe_serialization then cli.usage("merge: only safetensors are written, no pickles") end
   if args.unsafe_truncate_embeddings then
      cli.usage("merge: --unsafe-truncate-embeddings is not supported: models of different vocabularies are refused")
   end
end

-- The folder to write, from whichever of the three ways it was given.
local function target(args)
   local given
   for _, name in ipairs { "output", "out", "out_path" } do
      if args[name] and given and args[name] ~= given then cli.usage("merge: give one folder to write, not two") end
      given = given or args[name]
   end
   args.output = given
   if given and cli.is_weights(given) then
      cli.usage("merge: %s: a YAML merge writes a folder, with config.json and the tokenizer", given)
   end
   return cli.target({ output = given, max_shard_size = true }, cli.stem(args.config):gsub("%.ya?ml$", "") .. "-merged")
end

-- The first file in a folder that makes it one of a model, or nil.
local function model_in(folder)
   for _, entry in ipairs(core.listdir(folder)) do
      local name = entry.name
      if name:find "%.safetensors$" or name:find "%.safetensors%.zst$" or name:find "%.safetensors%.index%.json$" then
         return name
      end
   end
end

-- Why the folder could not be written, as saving would say; or nil.
local function wrong_target(out, args)
   local path = out:gsub("(.)/+$", "%1")
   local base = path:match "[^/]*$"
   local shown = cli.escape(out)
   if base == "" or base == "." or base == ".." then return shown .. ": a folder that is replaced needs a name" end
   local stat, wrong = core.stat(path), dry_run.place_problem(path, shown)
   if wrong or not stat then return wrong end
   if stat.type ~= "dir" then return shown .. " is no folder: name another" end
   wrong = dry_run.exists_problem(shown, args)
   if wrong then return wrong end
   local part = not args.force and model_in(path)
   return part and ("%s holds a model already (%s): give -f to replace it"):format(shown, cli.escape(part)) or nil
end

-- What would be written, and what would go wrong with it.
local function tell(merge, out, args)
   cli.write(merge.report, "\n")
   local wrong = { wrong_target(out, args) }
   wrong[#wrong + 1] = dry_run.room(out, merge.bytes, ("%s at most for work on whole tensors"):format(
      cli.size((st.memory()))))
   io.stdout:flush()
   if #wrong > 0 then errors.throw("io", "merge would fail: " .. table.concat(wrong, "\n")) end
   cli.write("nothing was written (--dry-run)\n")
end

local function run(args)
   refuse_unsupported(args)
   note_idle(args)
   local out = target(args)
   if args.num_threads then st.threads(args.num_threads) end
   local merge = st.merge_config(args.config, { models_dir = args.models_dir, cache = args.transformers_cache,
      allow_crimes = args.allow_crimes, seed = args.random_seed, copy_tokenizer = not args.no_copy_tokenizer,
      model_card = not args.no_write_model_card, name = cli.basename(out) })
   for _, note in ipairs(merge.notes) do cli.note("note: " .. note) end
   args.max_shard_size = args.out_shard_size or 5000000000
   if args.dry_run then return tell(merge, out, args) end
   merge.recipe.output = { max_shard_size = args.max_shard_size }
   cli.save({ { merge.model, out, files = merge.files, recipe = merge.recipe } }, args)
end

return cli.command({
   name = "merge-yaml", summary = "Merge as a YAML file of mergekit says (stlua merge CONFIG.yml).", options = options,
   run = run,
}, ...)
