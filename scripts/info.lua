-- stlua info: what is in a model, without reading its values.

local cli = require "stlua.cli"
local st = require "stlua"

local CHUNK = 4096      -- rows per piece of text: a huge listing never stands in memory as a whole
local SHOWN = 200       -- bytes of one metadata value; --json has them whole

local function options(parser)
   parser:argument("model", "Model to look at: a file, a folder or an index.")
   parser:flag("--json", "Print one JSON object.")
end

-- Header and file sizes of all files together; and where some are compressed, what they take on the disk and whether
-- each can be read from any place.
local function totals(model)
   local header, size, stored, compressed, seeks = 0, 0, 0, false, true
   for _, file in ipairs(model:files()) do
      header, size, stored = header + file.header_bytes, size + file.size, stored + (file.stored or file.size)
      compressed = compressed or file.compression ~= nil
      seeks = seeks and file.seeks ~= false
   end
   return header, size, compressed and stored or nil, seeks
end

local function print_json(model, path)
   local header, size, stored, seeks = totals(model)
   local compression = stored and ('"compression":"zstd","stored_bytes":%d,"random_access":%s,'):format(stored, seeks)
   cli.write(('{"path":%s,"format":"safetensors",%s"header_bytes":%d,"file_bytes":%d,"metadata":%s,"tensors":['):format(
      st.json.encode(path), compression or "", header, size, st.json.encode((model:metadata()))))
   for first = 1, #model, CHUNK do
      cli.write(first > 1 and "," or "", (model:rows(first, math.min(first + CHUNK - 1, #model), "json")))
   end
   cli.write("]}\n")
end

local function print_metadata(model)
   local values, keys = model:metadata()
   for i, key in ipairs(keys) do
      local value = values[key]
      local length = #value > SHOWN and (" (%d bytes)"):format(#value) or ""
      local shown = cli.escape(value, SHOWN) .. length
      cli.write(("%-9s %s = %s\n"):format(i == 1 and "metadata" or "", cli.escape(key), shown))
   end
end

local function print_table(model, path)
   local header, size, stored, seeks = totals(model)
   local files = #model:files()
   local compression = stored and ", compressed with zstd" .. (seeks and "" or ", read from its beginning on")
   cli.write(("path      %s\n"):format(cli.escape(path)))
   local count = files > 1 and (", %d files"):format(files) or ""
   cli.write(("format    safetensors%s%s\n"):format(count, compression or ""))
   cli.write(("size      %s, header %s\n"):format(cli.sizes(size, stored), cli.size(header)))
   cli.write(("tensors   %d%s\n"):format(#model, #model > 0 and ": " .. cli.count_dtypes(model) or ""))
   print_metadata(model)
   if #model == 0 then return end
   local rows, name, dtype, shape, bytes = model:rows(1, math.min(CHUNK, #model))
   local row = ("%%-%ds  %%-%ds  %%-%ds  %%%ds\n"):format(name, dtype, shape, bytes)
   cli.write("\n", row:format("name", "dtype", "shape", "size"), rows)
   for first = CHUNK + 1, #model, CHUNK do
      cli.write((model:rows(first, math.min(first + CHUNK - 1, #model), "table", name, dtype, shape, bytes)))
   end
end

local function run(args)
   local model = st.open(args.model)
   if args.json then
      print_json(model, args.model)
   else
      print_table(model, args.model)
   end
end

return cli.command({
   name = "info", summary = "Show the tensors and the metadata of a model.", options = options, run = run,
}, ...)
