--- PyTorch's words for casts and for a tensor as Lua tables, as methods.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local text = require "stlua.text"

local Tensor = core.Tensor

--- The same as cast.
-- @tparam string dtype in any case
-- @tparam[opt] table opts as of cast
-- @treturn tensor
-- @torch Tensor.to
function Tensor:to(dtype, opts)
   if type(dtype) ~= "string" then
      errors.throwf("arg", "to: the name of a dtype expected, such as \"F32\", not %s", text.shown(dtype))
   end
   return self:cast(dtype, opts)
end

--- The same as cast("F32").
-- @treturn tensor
-- @torch Tensor.float
function Tensor:float() return self:cast("F32") end

--- The same as cast("F64").
-- @treturn tensor
-- @torch Tensor.double
function Tensor:double() return self:cast("F64") end

--- The same as cast("F16").
-- @treturn tensor
-- @torch Tensor.half
function Tensor:half() return self:cast("F16") end

--- The same as cast("BF16").
-- @treturn tensor
-- @torch Tensor.bfloat16
function Tensor:bfloat16() return self:cast("BF16") end

--- The same as cast("I32").
-- @treturn tensor
-- @torch Tensor.int
function Tensor:int() return self:cast("I32") end

--- The same as cast("I64").
-- @treturn tensor
-- @torch Tensor.long
function Tensor:long() return self:cast("I64") end

--- The same as cast("BOOL").
-- @treturn tensor
-- @torch Tensor.bool
function Tensor:bool() return self:cast("BOOL") end

--- The same as totable.
-- @treturn table
-- @torch Tensor.tolist
function Tensor:tolist() return self:totable() end
