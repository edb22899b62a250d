--- NumPy's files: .npy (one array) and uncompressed .npz (several), read and written.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"

local npy = {}

-- Dtypes that NumPy has.
local KNOWN = {}
for _, d in ipairs(core.dtypes) do KNOWN[d.name] = pcall(core.npy_header, d.name, {}) or nil end

-- Floating dtypes that NumPy has not: F32 holds each of their values exactly.
local WIDEN = { BF16 = true, F8_E4M3 = true, F8_E5M2 = true, F8_E4M3FNUZ = true, F8_E5M2FNUZ = true }

--- The dtype in which a tensor is written, for NumPy to understand it.
-- @raise "dtype" for the raw sub-byte types
function npy.dtype(t)
   local name = t:dtype()
   if KNOWN[name] then return name end
   if WIDEN[name] then return "F32" end
   errors.throwf("dtype", "NumPy has no type for %s: write its raw bytes instead", name)
end

--- The header of a file that holds a tensor of this dtype and shape in C order.
-- @treturn string a multiple of 64 bytes
npy.header = core.npy_header

-- ---------------------------------------------------------------- reading

-- Whether the file says of itself that it is NumPy's, before it is opened as whatever it may be.
local function check_start(path)
   local file = io.open(path, "rb")
   local start = file and file:read(6)
   if file then file:close() end
   if not start and core.stat(path) == nil then return end      -- the core says why it cannot be opened
   start = start or ""
   if start ~= "\x93NUMPY" and not start:find("^PK[\3\5][\4\6]") then
      errors.throw("format", core.escape(path) .. ": not a NumPy file: it does not begin with \\x93NUMPY",
         { file = core.escape(path) })
   end
end

--- Reads a .npy file as a tensor in memory, or an .npz archive as a model of its arrays (which file it is, it says
-- itself). Versions 1 to 3, C and Fortran order, either byte order, all numeric types that are dtypes here.
-- @tparam string path
-- @tparam[opt] table opts `dtype`: what raw or unsigned elements of that size really are, such as "BF16"
-- @treturn tensor|model
-- @raise "format" (a wrong checksum, too), "dtype", "io"; "limit" for a compressed archive
-- @torch numpy.load
function npy.load(path, opts)
   opts = errors.check_options(opts, { dtype = "string" }, "st.npy.load")
   local want = opts.dtype and dtype.check(opts.dtype, false, "st.npy.load")
   check_start(path)
   local model = core.open_file(path, { dtype = want })
   local format = model:files()[1].format
   if format == "NumPy array" then return model:tensor(1):clone() end
   if format == "NumPy archive" then return model:check() end
   errors.throwf("format", "%s: not a NumPy file, but a %s: open it by st.open", core.escape(path), format)
end

-- ---------------------------------------------------------------- writing

local function is_tensor(x) return debug.getmetatable(x) == core.tensor_meta end

-- What the core takes: name, tensor, the dtype that it is cast to, the one that its header names. `raw`: bits of dtypes
-- that NumPy has not, as unsigned integers.
local function item(name, t, raw)
   local own = t:dtype()
   if raw and WIDEN[own] then return { name, t, own, dtype.bits[own] == 16 and "U16" or "U8" } end
   local as = npy.dtype(t)
   return { name, t, as, as }
end

-- Names and tensors of a model (in its order) or a table (sorted).
local function list_of(what, raw)
   local list = {}
   if debug.getmetatable(what) == core.model_meta then
      for name, t in pairs(what) do list[#list + 1] = item(name, t, raw) end
   else
      for name, t in pairs(what) do
         if type(name) ~= "string" or not is_tensor(t) then
            errors.throw("arg", "st.npy.save: a table of names and tensors expected")
         end
         list[#list + 1] = item(name, t, raw)
      end
      table.sort(list, function(a, b) return a[1] < b[1] end)
   end
   return list
end

--- Writes a tensor as .npy, or a model or a table of tensors as an uncompressed .npz. BF16 and 8-bit floats, which
-- NumPy has not, are written as F32, which holds them exactly. All or nothing, as a save.
--
--     > st.npy.save("t.npy", st.tensor { { 1.0, 2 }, { 3, 4 } })
--     > st.npy.load("t.npy")
--     Tensor[2x2 F32, 16 B]
--       1.0000  2.0000
--       3.0000  4.0000
-- @tparam string path
-- @param what a tensor, a model, or { name = tensor }
-- @tparam[opt] table opts `raw` = true writes such floats as the unsigned integers of their bits instead; `sync` =
--   false leaves out the syncs, `replace` = false refuses an existing file
-- @raise "dtype" for types smaller than a byte, "io", "space", "exists"
-- @torch numpy.save
function npy.save(path, what, opts)
   opts = errors.check_options(opts, { raw = "boolean", sync = "boolean", replace = "boolean" }, "st.npy.save")
   if type(path) ~= "string" then errors.throwf("arg", "st.npy.save: a path expected, got a %s", type(path)) end
   local how = { sync = opts.sync, replace = opts.replace, archive = not is_tensor(what) }
   if is_tensor(what) then return core.save_npy(path, { item("", what, opts.raw) }, how) end
   if type(what) ~= "table" and debug.getmetatable(what) ~= core.model_meta then
      errors.throwf("arg", "st.npy.save: a tensor, a model or a table of tensors expected, got a %s", type(what))
   end
   core.save_npy(path, list_of(what, opts.raw), how)
end

return npy
