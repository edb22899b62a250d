-- stlua info: what is in a model, without reading its values.

local cli = require "stlua.cli"
local st = require "stlua"

local CHUNK = 4096      -- rows per piece of text: a huge listing never stands in memory as a whole
local SHOWN = 200       -- bytes of one metadata value; --json has them whole

local function options(parser)
   parser:argument("model", "Model to look at: a file, a folder or an index.")
   parser:flag("--json", "Print one JSON object.")
end

-- Header and file sizes of all files together.
local function totals(model)
   local header, size = 0, 0
   for _, file in ipairs(model:files()) do
      header, size = header + file.header_bytes, size + file.size
   end
   return header, size
end

local function print_json(model, path)
   local header, size = totals(model)
   cli.write(('{"path":%s,"format":"safetensors","header_bytes":%d,"file_bytes":%d,"metadata":%s,"tensors":['):format(
      st.json.encode(path), header, size, st.json.encode((model:metadata()))))
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
   local header, size = totals(model)
   local files = #model:files()
   cli.write(("path      %s\n"):format(cli.escape(path)))
   cli.write(("format    safetensors%s\n"):format(files > 1 and (", %d files"):format(files) or ""))
   cli.write(("size      %s, header %s\n"):format(cli.size(size), cli.size(header)))
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
