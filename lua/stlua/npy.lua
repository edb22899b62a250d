--- NumPy's .npy format (version 1.0), for `stlua cat --npy`.
-- Layer: Lua, above stlua.core.

local errors = require "stlua.errors"

local npy = {}

local DESCR = {
   BOOL = "|b1", U8 = "|u1", I8 = "|i1", U16 = "<u2", I16 = "<i2", U32 = "<u4", I32 = "<i4", U64 = "<u8", I64 = "<i8",
   F16 = "<f2", F32 = "<f4", F64 = "<f8", C64 = "<c8",
}
-- Floating dtypes that NumPy has not: F32 holds each of their values exactly.
local WIDEN = { BF16 = true, F8_E4M3 = true, F8_E5M2 = true, F8_E4M3FNUZ = true, F8_E5M2FNUZ = true }

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

return npy
