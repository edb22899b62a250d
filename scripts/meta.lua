-- stlua meta: metadata shown and edited. The data of the file stay as they lie.

local cli = require "stlua.cli"
local core = require "stlua.core"
local edit = require "stlua.meta.edit"
local listing = require "stlua.info.listing"

local function options(parser)
   parser:argument("file", "A safetensors file."):args("?")
   parser:option("--set", "Set a key; may be repeated."):argname("<key=value>"):count("*")
   parser:option("--set-file", "Set a key to a file's text."):argname("<key=file>"):count("*")
   parser:option("--unset", "Remove a key, or all that match a pattern such as 'ss_*'."):argname("<key>"):count("*")
   parser:flag("--strip-private", "Take out training paths, data sets, captions and the like.")
   parser:option("--thumbnail", "Put a picture in: JPEG, PNG, WebP or GIF."):argname("<picture>")
   parser:option("--thumbnail-out", "Write the picture in it to a file."):argname("<file>")
   parser:option("--get", "Print one value as it is."):argname("<key>")
   parser:flag("--json", "Print the metadata as one JSON object.")
   parser:flag("--fields", "List the fields of modelspec, which are checked when they are set.")
   parser:flag("--unchecked", "Set fields of modelspec to anything.")
   parser:flag("--in-place", "Rewrite the header alone, where the new one fits; undone if it is interrupted.")
   parser:option("-o --output", "File to write (default: the file itself, replaced as a whole)."):argname("<out>")
   parser:flag("-n --no-replace", "Refuse to replace an existing output.")
   parser:option("--align", "Begin the data at a multiple of this, such as 4096: room for edits in place.")
      :argname("<bytes>"):convert(cli.count)
   parser:flag("--no-sync", "Do not wait until the data is safe on the disk.")
end

local function print_fields()
   local rows = {}
   for i, field in ipairs(require("stlua.meta.modelspec").fields) do
      rows[i] = { "modelspec." .. field[1], field[2], field[3] }
   end
   cli.write(require("stlua.text").columns(rows, { false, false, false }), "\n")
end

-- "key=value", at the first sign; the key of what has none is the mistake.
local function pair(word, option)
   local key, value = word:match("^([^=]+)=(.*)$")
   if not key then cli.usage("meta: %s %s: write KEY=VALUE", option, core.escape(word)) end
   return key, value
end

local function changes_of(args)
   local changes, any = {}, false
   for _, word in ipairs(args.set) do
      local key, value = pair(word, "--set")
      changes[key], any = value, true
   end
   for _, word in ipairs(args.set_file) do
      local key, path = pair(word, "--set-file")
      local value = require("stlua.whole_file")(path)
      if not value then cli.usage("meta: --set-file: %s is a folder", cli.escape(path)) end
      changes[key], any = value, true
   end
   for _, key in ipairs(args.unset) do
      if changes[key] then cli.usage("meta: %s is set and unset at once", cli.escape(key)) end
   end
   return changes, any or #args.unset > 0 or args.strip_private or args.thumbnail ~= nil or args.output ~= nil
      or args.align ~= nil
end

local function get(metadata, key)
   local value = metadata[key]
   if not value then
      local keys = {}
      for k in pairs(metadata) do keys[#keys + 1] = k end
      require("stlua.errors").throwf("name", "no metadata key %s%s", core.escape(key),
         require("stlua.text").did_you_mean(key, keys))
   end
   cli.write(core.isatty(1) and core.escape(value, 4096) or value, "\n")
end

-- The picture that is in the file before it is edited.
local function picture_of(args)
   local new_file, thumbnail = require "stlua.new_file", require "stlua.meta.thumbnail"
   new_file.check(args.thumbnail_out, "picture", thumbnail.kind)
   return thumbnail.extract(edit.meta(args.file), core.escape(args.file))
end

local function write_picture(target, bytes)
   require("stlua.new_file").write(target, bytes)
   cli.note(("%s: %s"):format(core.escape(target), core.size(#bytes)))
end

local function show(args, metadata)
   if args.get then return get(metadata, args.get) end
   if args.json then return cli.write(core.json_report(metadata), "\n") end
   local keys = {}
   for key in pairs(metadata) do keys[#keys + 1] = key end
   table.sort(keys)
   listing.metadata(metadata, keys)
end

-- What would be passed over beside another option.
local function check(args, any)
   if args.fields and (args.file or any or args.get or args.json or args.thumbnail_out) then
      cli.usage("meta: --fields lists what modelspec has: it goes with no file and no other option")
   end
   if args.fields then return end
   if not args.file then cli.usage("meta: missing argument 'file' (stlua help meta)") end
   if args.get and args.json then cli.usage("meta: give --get or --json, not both") end
   if args.no_replace and args.in_place then
      cli.usage("meta: --in-place changes the file itself: it does not go with --no-replace")
   end
end

local function run(args)
   local changes, any = changes_of(args)
   check(args, any)
   if args.fields then return print_fields() end
   local picture = args.thumbnail_out and picture_of(args)
   if picture then write_picture(args.thumbnail_out, picture) end
   local opts = { output = args.output, in_place = args.in_place, align = args.align, unset = args.unset,
      strip_private = args.strip_private, thumbnail = args.thumbnail, sync = not args.no_sync,
      replace = not args.no_replace, unchecked = args.unchecked }
   local function work() return table.pack(edit.meta(args.file, changes, opts)) end
   local metadata, remarks = table.unpack((cli.watch(work)))
   for _, remark in ipairs(remarks) do cli.note(remark) end
   if args.json or args.get or not any and not picture then show(args, metadata) end
end

return cli.command({
   name = "meta", summary = "Show and edit metadata; the data stay as they lie.", options = options, run = run,
}, ...)
