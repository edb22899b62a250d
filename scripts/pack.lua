-- stlua pack: makes models smaller without loss; with a base, fine-tunes become differences to it.
--
--    stlua pack model.safetensors
--    stlua pack tuned1.safetensors tuned2.safetensors --base base.safetensors -o packed

local cli = require "stlua.cli"
local core = require "stlua.core"
local same_file = require "stlua.compressed".same_file
local st = require "stlua"
local text = require "stlua.text"

local function options(parser)
   parser:argument("file", "Files to pack."):args "+"
   parser:option("--base", "File that they are fine-tuned from: they become differences to it."):argname("<file>")
   cli.copy_options(parser, "names that end in .packed.safetensors; of several files, the folder to write to")
end

local ENDING = ".packed.safetensors"

-- The names to write, one per file; what is wrong with any of them is told before the first is read.
local function targets(args)
   local out = {}
   local folder = args.output and (#args.file > 1 or cli.is_folder(args.output)) and (args.output:gsub("(.)/+$", "%1"))
   if folder and core.stat(folder) and not cli.is_folder(folder) then
      cli.usage("pack: several files go to a folder, which %s is not", cli.escape(args.output))
   end
   for i, path in ipairs(args.file) do
      local name = cli.stem(path) .. ENDING
      out[i] = folder and folder .. "/" .. name or args.output      -- nil: beside the file
      for _, other in ipairs(out[i] and args.file or {}) do
         if other ~= path and same_file(other, out[i]) then
            cli.usage("pack: %s would become %s, which is to be packed itself", cli.escape(path), cli.escape(other))
         end
      end
      for k = 1, i - 1 do
         if out[i] and out[k] == out[i] then
            cli.usage("pack: %s and %s would both become %s", cli.escape(args.file[k]), cli.escape(path),
               cli.escape(out[i]))
         end
      end
   end
   return out, folder
end

local function sum_up(out, s)
   local parts = {}
   local function part(n, what) if n > 0 then parts[#parts + 1] = what:format(n) end end
   part(s.deltas, s.deltas == 1 and "%d difference to the base" or "%d differences to the base")
   part(s.as_base, "%d equal to the base's")
   part(s.as_earlier, "%d equal to others")
   cli.note(("%s: %s, %.1f %% of %s%s"):format(cli.escape(out), cli.size(s.after),
      s.before > 0 and 100 * s.after / s.before or 0, cli.size(s.before),
      #parts > 0 and (" (%s: %s)"):format(text.plural(s.tensors, "tensor"), table.concat(parts, ", ")) or ""), "packed")
end

local function run(args)
   local before, after, sha256 = 0, 0, nil
   local names, folder = targets(args)
   if folder then core.mkdir(folder, true) end
   for i, path in ipairs(args.file) do
      local to, stats = cli.watch(st.pack, path, {
         output = names[i], base = args.base, base_sha256 = sha256, sync = not args.no_sync,
         replace = args.output ~= nil and not args.no_replace,
      })
      sum_up(to, stats)
      before, after, sha256 = before + stats.before, after + stats.after, stats.base_sha256
      if not args.output then cli.write(to, "\n") end
   end
   if #args.file > 1 then
      cli.note(("%d files: %s, %.1f %% of %s"):format(#args.file, cli.size(after), 100 * after / before,
         cli.size(before)))
   end
end

return cli.command({
   name = "pack", summary = "Make models smaller without loss; fine-tunes as differences to a base.",
   options = options, run = run,
}, ...)
