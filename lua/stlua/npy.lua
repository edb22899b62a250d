--- NumPy's files: .npy (one array) and uncompressed .npz (several), read and written. Nothing in a file is believed:
-- lengths are held against its size before memory is taken.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local new_file = require "stlua.new_file"
local text = require "stlua.text"
local zip = require "stlua.zip"

local npy = {}

local DESCR = {
   BOOL = "|b1", U8 = "|u1", I8 = "|i1", U16 = "<u2", I16 = "<i2", U32 = "<u4", I32 = "<i4", U64 = "<u8", I64 = "<i8",
   F16 = "<f2", F32 = "<f4", F64 = "<f8", C64 = "<c8",
}
local OF_DESCR = {}
for name, descr in pairs(DESCR) do OF_DESCR[descr:sub(2)] = name end

-- Floating dtypes that NumPy has not: F32 holds each of their values exactly.
local WIDEN = { BF16 = true, F8_E4M3 = true, F8_E5M2 = true, F8_E4M3FNUZ = true, F8_E5M2FNUZ = true }

local CHUNK = 1 << 18           -- elements per write
local HEADER_MAX = 1 << 16      -- bytes; NumPy itself stops at 10,000

--- The dtype in which a tensor is written, for NumPy to understand it.
-- @raise "dtype" for the raw sub-byte types
function npy.dtype(t)
   local name = t:dtype()
   if DESCR[name] then return name end
   if WIDEN[name] then return "F32" end
   errors.throwf("dtype", "NumPy has no type for %s: write its raw bytes instead", name)
end

--- The header of a file that holds a tensor of this dtype and shape in C order.
-- @treturn string a multiple of 64 bytes
function npy.header(name, shape)
   local dims = #shape == 1 and shape[1] .. "," or table.concat(shape, ", ")
   local dict = ("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }"):format(DESCR[name], dims)
   local pad = -(10 + #dict + 1) % 64
   return "\x93NUMPY\1\0" .. string.pack("<s2", dict .. (" "):rep(pad) .. "\n")
end

-- ---------------------------------------------------------------- reading

local function bad(path, format, ...)
   local shown = core.escape(path)
   errors.throw("format", ("%s: not a NumPy file: %s"):format(shown, format:format(...)), { file = shown })
end

-- The three entries of a header's dictionary.
local function parse_header(path, dict)
   local descr = dict:match("'descr'%s*:%s*'([^']*)'") or dict:match('"descr"%s*:%s*"([^"]*)"')
   local order = dict:match("['\"]fortran_order['\"]%s*:%s*(%a+)")
   local list = dict:match("['\"]shape['\"]%s*:%s*%(([%d%sL,]*)%)")
   if not descr then bad(path, "its header names no simple type (structured arrays cannot be tensors)") end
   if not list or (order ~= "True" and order ~= "False") then bad(path, "its header lacks the shape or the order") end
   local shape = {}
   for size in list:gmatch("%d+") do
      local n = math.tointeger(tonumber(size))
      if not n then bad(path, "a size of %s", core.escape(size, 40)) end
      shape[#shape + 1] = n
   end
   return descr, order == "True", shape
end

-- Elements of a shape, refused where so many bytes do not follow.
local function count_elements(path, shape, width, left)
   local n = 1
   for _, size in ipairs(shape) do
      if size == 0 then return 0 end
   end
   for _, size in ipairs(shape) do
      if size > left // (n * width) then
         bad(path, "a shape of (%s) needs more than the %d bytes that follow", table.concat(shape, ", "), left)
      end
      n = n * size
   end
   return n
end

-- The dtype for a type such as "<f4", and whether its bytes are in the other order.
local function dtype_of(path, descr, want)
   local swap, kind = descr:sub(1, 1) == ">", descr:sub(2)
   local name, width = OF_DESCR[kind], tonumber(kind:match("%d+$"))
   if want and width and dtype.bits[want] == 8 * width and (not name or dtype.kind[name] == "uint") then name = want end
   if not name and kind == "V2" then
      errors.throwf("dtype", "%s: two raw bytes per element: if they are BF16, load it with { dtype = \"BF16\" }",
         core.escape(path))
   elseif not name or not descr:find("^[<>|=]") then
      errors.throwf("dtype", "%s: no dtype for NumPy's type %s", core.escape(path), text.quote(descr))
   end
   return name, swap and width > 1
end

-- Every element's bytes the other way round (of complex numbers, each half).
local function swapped(bytes, name)
   local width = dtype.bits[name] // 8
   if name == "C64" then width = 4 end
   return core.tensor("U8", { #bytes // width, width }, bytes):narrow(2, width, width, -1):bytes()
end

-- Reads an array whose first byte is the next one of `file` and which takes at most `left` bytes.
local function read_array(file, path, left, want)
   local start = file:read(10) or ""
   if #start < 10 or start:sub(1, 6) ~= "\x93NUMPY" then bad(path, "it does not begin with \\x93NUMPY") end
   local version = start:byte(7)
   if version < 1 or version > 3 then bad(path, "version %d of the format is not known", version) end
   if version > 1 then start = start .. (file:read(2) or "") end
   if #start < (version > 1 and 12 or 10) then bad(path, "it ends in its header") end
   local length = string.unpack(version > 1 and "<I4" or "<I2", start, 9)
   left = left - #start
   if length > left or length > HEADER_MAX then bad(path, "a header of %d bytes", length) end
   local descr, fortran, shape = parse_header(path, length > 0 and file:read(length) or "")
   left = left - length

   local name, swap = dtype_of(path, descr, want)
   local size = count_elements(path, shape, dtype.bits[name] // 8, left) * (dtype.bits[name] // 8)
   local bytes = size > 0 and file:read(size) or ""
   if #bytes ~= size then bad(path, "it was cut while it was read") end
   if swap then bytes = swapped(bytes, name) end
   if not fortran then return core.tensor(name, shape, bytes) end
   local back, order = {}, {}
   for d = 1, #shape do back[d], order[d] = shape[#shape + 1 - d], #shape + 1 - d end
   return core.tensor(name, back, bytes):permute(order)
end

local function open(path)
   local file, why = io.open(path, "rb")
   if not file then errors.throw("io", ("%s: cannot open: %s"):format(core.escape(path), why:gsub("^.*: ", ""))) end
   local size = file:seek("end")
   if not size or not file:seek("set", 0) then errors.throwf("io", "%s: not a regular file", core.escape(path)) end
   return file, size
end

--- Reads a .npy file as a tensor in memory, or an .npz archive as a model of its arrays (which file it is, it says
-- itself). Versions 1 to 3, C and Fortran order, either byte order, all numeric types that are dtypes here.
-- @tparam string path
-- @tparam[opt] table opts `dtype`: what raw or unsigned elements of that size really are, such as "BF16"
-- @treturn tensor|model
-- @raise "format", "dtype", "io"; "limit" for a compressed archive
-- @torch numpy.load
function npy.load(path, opts)
   opts = errors.check_options(opts, { dtype = "string" }, "st.npy.load")
   local want = opts.dtype and dtype.check(opts.dtype, false, "st.npy.load")
   local file <close>, size = open(path)
   local magic = file:read(4)
   file:seek("set", 0)
   if magic ~= "PK\3\4" and magic ~= "PK\5\6" then return read_array(file, path, size, want) end
   local out = core.model()
   for _, entry in ipairs(zip.entries(file, size, path)) do
      file:seek("set", entry.at)
      local t = read_array(file, path .. ":" .. entry.name, entry.size, want)
      zip.check(file, entry, path)
      out:add((entry.name:gsub("%.npy$", "")), t)
   end
   return out
end

-- ---------------------------------------------------------------- writing

-- Calls `write` with the pieces of a .npy file. `raw`: bits of dtypes that NumPy has not, as unsigned integers.
local function pieces(t, raw, write)
   local as, name = npy.dtype(t), nil
   if raw and WIDEN[t:dtype()] then as, name = t:dtype(), dtype.bits[t:dtype()] == 16 and "U16" or "U8" end
   write(npy.header(name or as, t:shape()))
   for first = 1, t:numel(), CHUNK do
      write(t:bytes(as, first, math.min(CHUNK, t:numel() - first + 1)))
   end
end

local function is_tensor(x) return debug.getmetatable(x) == core.tensor_meta end

-- Names and tensors of a model (in its order) or a table (sorted).
local function list_of(what)
   local list = {}
   if debug.getmetatable(what) == core.model_meta then
      for name, t in pairs(what) do list[#list + 1] = { name, t } end
   else
      for name, t in pairs(what) do
         if type(name) ~= "string" or not is_tensor(t) then
            errors.throw("arg", "st.npy.save: a table of names and tensors expected")
         end
         list[#list + 1] = { name, t }
      end
      table.sort(list, function(a, b) return a[1] < b[1] end)
   end
   return list
end

--- Writes a tensor as .npy, or a model or a table of tensors as an uncompressed .npz. BF16 and 8-bit floats, which
-- NumPy has not, are written as F32, which holds them exactly.
--
--     > st.npy.save("t.npy", st.tensor { { 1.0, 2 }, { 3, 4 } })
--     > st.npy.load("t.npy")
--     Tensor[2x2 F32, 16 B]
--       1.0000  2.0000
--       3.0000  4.0000
-- @tparam string path
-- @param what a tensor, a model, or { name = tensor }
-- @tparam[opt] table opts `raw` = true writes such floats as the unsigned integers of their bits instead
-- @raise "dtype" for types smaller than a byte, "io", "limit" for an archive beyond 4 GiB
-- @torch numpy.save
function npy.save(path, what, opts)
   opts = errors.check_options(opts, { raw = "boolean" }, "st.npy.save")
   if type(path) ~= "string" then errors.throwf("arg", "st.npy.save: a path expected, got a %s", type(path)) end
   if is_tensor(what) then
      return new_file(path, function(write) pieces(what, opts.raw, write) end)
   end
   if type(what) ~= "table" and debug.getmetatable(what) ~= core.model_meta then
      errors.throwf("arg", "st.npy.save: a tensor, a model or a table of tensors expected, got a %s", type(what))
   end
   local list = list_of(what)
   new_file(path, function(write)
      zip.write(list, path, write, function(t, out) pieces(t, opts.raw, out) end)
   end)
end

return npy
