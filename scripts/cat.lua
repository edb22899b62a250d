-- stlua cat: the values of one tensor on standard output.
--
--    stlua cat model.safetensors lm_head.weight --npy > head.npy

local cli = require "stlua.cli"
local npy = require "stlua.npy"
local st = require "stlua"

local CHUNK = 1 << 18      -- elements per write

local function options(parser)
   parser:argument("model", "Model: a file, a folder or an index.")
   parser:argument("tensor", "Name of the tensor.")
   parser:mutex(
      parser:flag("--npy", "Write a NumPy file (BF16 and 8-bit floats as F32, which holds them exactly)."),
      parser:flag("--text", "Write numbers, one row of the last dimension per line."))
end

local function write_bytes(tensor, dtype)
   local n = tensor:numel()
   for first = 1, n, CHUNK do
      cli.write(tensor:bytes(dtype, first, math.min(CHUNK, n - first + 1)))
   end
end

-- As many digits as bring back the same value.
local function word(value, format)
   if math.type(value) ~= "float" then return tostring(value) end
   return value == value and format:format(value) or "nan"
end

local function write_text(tensor)
   local shape, format = tensor:shape(), tensor:dtype() == "F64" and "%.17g" or "%.9g"
   local columns = math.max(1, shape[#shape] or 1)
   local column = 0
   for first = 1, tensor:numel(), CHUNK do
      local words = tensor:values(first, math.min(CHUNK, tensor:numel() - first + 1))
      for i, value in ipairs(words) do
         column = column % columns + 1
         words[i] = word(value, format) .. (column == columns and "\n" or " ")
      end
      cli.write(table.concat(words))
   end
end

-- That others of a file cannot be had is no matter here.
local function tensor_of(path, name)
   local ok, model = pcall(st.open, path)
   if ok then return model:get(name) end
   local some, rest = pcall(st.open, path, { skip = true })
   return some and rest[name] or error(model, 0)
end

local function run(args)
   local tensor = tensor_of(args.model, args.tensor)
   if args.text then return write_text(tensor) end
   cli.refuse_terminal()
   if not args.npy then return write_bytes(tensor) end
   local dtype = npy.dtype(tensor)
   cli.write(npy.header(dtype, tensor:shape()))
   write_bytes(tensor, dtype)
end

return cli.command({
   name = "cat", summary = "Write the values of one tensor to standard output.", options = options, run = run,
}, ...)
