-- stlua hash: the hashes by which programs and sites know a file.

local cli = require "stlua.cli"
local core = require "stlua.core"
local hash = require "stlua.hash"

local NAMES = {}
for i, kind in ipairs(hash.kinds) do NAMES[i] = kind[1] end

local function options(parser)
   parser:argument("files", "Files to hash: models, or any others."):args("+")
   parser:flag("--json", "Print one JSON object.")
   parser:option("--only", "Print that hash alone, as sha256sum does: one line for each file."):choices(NAMES)
   parser:flag("--no-cache", "Read the files, whatever is known of them, and remember nothing.")
end

-- Every hash of a file on a line of its own.
local function print_all(path, found)
   cli.write(core.escape(path, 4096), "\n")
   for _, kind in ipairs(hash.kinds) do
      if found[kind[1]] then cli.write(("  %-16s  %-64s  %s\n"):format(kind[1], found[kind[1]], kind[4])) end
   end
end

-- Nobody else has the hashes of a file that was compressed here.
local function warn_of_compressed(path)
   local ok, model = pcall(require("stlua.open").open, path, { tensors_only = true, skip = true })
   local file = ok and model:files()[1]
   if not file or not file.compression then return end
   cli.note(("%s: these are the hashes of the compressed file; those of the model: stlua %s it first"):format(
      core.escape(path), file.packed and "unpack" or "decompress"))
end

local function run(args)
   local whole = args.only and hash.whole[args.only] and args.no_cache
   local list = cli.watch(hash.hash, args.files, { cache = not args.no_cache, whole = whole })
   local all = core.array {}
   for i, path in ipairs(args.files) do
      local found = list[i]
      if args.json then
         all[i] = args.only and { [args.only] = found[args.only] } or found
         all[i].path = path
      elseif args.only then
         cli.write(("%s  %s\n"):format(found[args.only] or "-", core.escape(path, 4096)))
      else
         print_all(path, found)
         if not found.data_sha256 then warn_of_compressed(path) end
      end
   end
   if args.json then cli.write(core.json_report { files = all }, "\n") end
end

return cli.command({
   name = "hash", summary = "Print the hashes by which programs know a file: AutoV1 to V3, sha256, sshs.",
   options = options, run = run,
}, ...)
