--- Tensors from nothing: numbers of a script, one value everywhere, ranges, raw bytes.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local parse = require "stlua.sizes"
local text = require "stlua.text"

local make = {}

local function is_tensor(x) return debug.getmetatable(x) == core.tensor_meta end

-- The dtype of the options, or what the value makes of it, as torch chooses.
local function dtype_for(opts, value, who)
   if opts.dtype then return dtype.check(opts.dtype, false, who) end
   return type(value) == "boolean" and "BOOL" or math.type(value) == "integer" and "I64" or "F32"
end

-- One element of a dtype, without dimensions.
local function scalar(value, to)
   local t
   if type(value) == "boolean" then t = core.tensor("BOOL", {}, string.pack("B", value and 1 or 0))
   elseif math.type(value) == "integer" then t = core.tensor("I64", {}, string.pack("<i8", value))
   else t = core.tensor("F64", {}, string.pack("<d", value)) end
   return t:dtype() == to and t or t:cast(to):clone()
end

local function check_value(value, who)
   if type(value) ~= "number" and type(value) ~= "boolean" then
      errors.throwf("arg", "%s: a number or a boolean expected, got a %s", who, type(value))
   end
end

local function sizes_of(who, ...) return parse.of(who, { dtype = "string" }, ...) end

-- ---------------------------------------------------------------- one value

-- One element, repeated: no memory until it is written to.
local function filled(sizes, value, to) return core.broadcast(scalar(value, to), sizes) end

--- A tensor of zeros. Takes no memory until it is written to.
--
--     > st.zeros(2, 3, { dtype = "F16" })
--     Tensor[2x3 F16, 12 B]
--       0.0000  0.0000  0.0000
--       0.0000  0.0000  0.0000
-- @param ... sizes, one by one or as a table; then perhaps options: `dtype` = "F32"
-- @treturn tensor
-- @torch torch.zeros
function make.zeros(...)
   local sizes, opts = sizes_of("st.zeros", ...)
   return filled(sizes, 0, opts.dtype and dtype_for(opts, 0, "st.zeros") or "F32")
end

--- A tensor of ones. Takes no memory until it is written to.
-- @param ... sizes, one by one or as a table; then perhaps options: `dtype` = "F32"
-- @treturn tensor
-- @torch torch.ones
function make.ones(...)
   local sizes, opts = sizes_of("st.ones", ...)
   return filled(sizes, 1, opts.dtype and dtype_for(opts, 1, "st.ones") or "F32")
end

--- A tensor of one value. Takes no memory until it is written to.
--
--     > st.full({ 2, 2 }, 7)
--     Tensor[2x2 I64, 32 B]
--       7  7
--       7  7
-- @tparam {integer,...} sizes
-- @param value a number or a boolean
-- @tparam[opt] table opts `dtype`: by default BOOL, I64 or F32, by the value
-- @treturn tensor
-- @torch torch.full
function make.full(sizes, value, opts)
   check_value(value, "st.full")
   if type(sizes) ~= "table" then errors.throwf("arg", "st.full: a table of sizes expected, got a %s", type(sizes)) end
   opts = errors.check_options(opts, { dtype = "string" }, "st.full")
   return filled(sizes_of("st.full", sizes), value, dtype_for(opts, value, "st.full"))
end

--- A tensor of one value in the shape and dtype of another.
-- @tparam tensor t
-- @param value a number or a boolean
-- @tparam[opt] table opts `dtype`
-- @treturn tensor
-- @torch torch.full_like
function make.full_like(t, value, opts)
   check_value(value, "full_like")
   opts = errors.check_options(opts, { dtype = "string" }, "full_like")
   return filled(t:shape(), value, dtype_for({ dtype = opts.dtype or t:dtype() }, value, "full_like"))
end

--- A tensor of zeros in the shape and dtype of another.
-- @tparam tensor t
-- @tparam[opt] table opts `dtype`
-- @treturn tensor
-- @torch torch.zeros_like
function make.zeros_like(t, opts) return make.full_like(t, 0, opts) end

--- A tensor of ones in the shape and dtype of another.
-- @tparam tensor t
-- @tparam[opt] table opts `dtype`
-- @treturn tensor
-- @torch torch.ones_like
function make.ones_like(t, opts) return make.full_like(t, 1, opts) end

-- ---------------------------------------------------------------- numbers of a script

local PACKED = 200      -- values per string.pack: they lie on the stack

-- The values of nested tables, flat, with their shape. All branches must be alike.
local function flatten(value)
   local flat, sizes = {}, {}
   local x, depth = value, 0
   while type(x) == "table" do
      depth = depth + 1
      sizes[depth] = #x
      if depth > 64 then errors.throw("limit", "st.tensor: tables nested deeper than 64") end
      x = x[1]
   end
   local function walk(v, level)
      if level > depth then
         if type(v) ~= "number" and type(v) ~= "boolean" then
            errors.throwf("arg", "st.tensor: numbers or booleans expected, got a %s", type(v))
         end
         flat[#flat + 1] = v
         return
      end
      if type(v) ~= "table" or #v ~= sizes[level] then
         errors.throwf("shape", "st.tensor: tables of one depth must have one length: %s where %d were expected",
            type(v) == "table" and tostring(#v) or "a " .. type(v), sizes[level])
      end
      for i = 1, #v do walk(v[i], level + 1) end
   end
   walk(value, 1)
   return flat, sizes
end

-- BOOL where all are booleans, I64 where all others are integers, else F64.
local function widest(flat)
   local kind = "BOOL"
   for _, v in ipairs(flat) do
      if math.type(v) == "float" then return "F64" end
      if type(v) == "number" then kind = "I64" end
   end
   return #flat == 0 and "F64" or kind
end

local FORMAT = { BOOL = "B", I64 = "i8", F64 = "d" }

local function pack(flat, wide)
   local parts = {}
   for i, v in ipairs(flat) do
      if type(v) == "boolean" then v = v and 1 or 0 end
      flat[i] = wide == "F64" and v + 0.0 or v
   end
   for i = 1, #flat, PACKED do
      local last = math.min(i + PACKED - 1, #flat)
      parts[#parts + 1] = string.pack("<" .. FORMAT[wide]:rep(last - i + 1), table.unpack(flat, i, last))
   end
   return table.concat(parts)
end

--- A tensor of the numbers or booleans in nested tables: st.tensor { { 1, 2 }, { 3, 4 } }. Of a tensor, a copy.
--
--     > st.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
--     Tensor[2x3 I64, 48 B]
--       1  2  3
--       4  5  6
--     > st.tensor({ 1, 2 }, { dtype = "BF16" })
--     Tensor[2 BF16, 4 B]
--       1.0000  2.0000
-- @param values nested tables of equal lengths, a number, or a tensor
-- @tparam[opt] table opts `dtype`: by default BOOL for booleans, I64 for integers, F32 where there is a float
-- @treturn tensor
-- @raise "shape" for tables of different lengths
-- @torch torch.tensor
function make.tensor(values, opts)
   opts = errors.check_options(opts, { dtype = "string" }, "st.tensor")
   local to = opts.dtype and dtype.check(opts.dtype, false, "st.tensor")
   if is_tensor(values) then return (to and values:cast(to) or values):clone() end
   local flat, sizes = flatten(values)
   local wide = widest(flat)
   local t = core.tensor(wide, sizes, pack(flat, wide))
   to = to or wide == "F64" and "F32" or wide
   return to == wide and t or t:cast(to):clone()
end

--- A tensor of one row from raw little-endian bytes; st.from_bytes takes dtype and shape first.
--
--     > st.from_string("\1\2\0\0", { dtype = "U16" })
--     Tensor[2 U16, 4 B]
--       513    0
-- @tparam string bytes
-- @tparam[opt] table opts `dtype` = "U8"; `shape`: by default one dimension
-- @treturn tensor
-- @raise "arg" where the bytes do not fill the shape
-- @torch torch.frombuffer
function make.from_string(bytes, opts)
   if type(bytes) ~= "string" then errors.throwf("arg", "st.from_string: a string expected, got a %s", type(bytes)) end
   opts = errors.check_options(opts, { dtype = "string", shape = "table" }, "st.from_string")
   local to = dtype.check(opts.dtype or "U8", false, "st.from_string")
   return core.tensor(to, opts.shape or { #bytes * 8 // dtype.bits[to] }, bytes)
end

--- The raw little-endian bytes of a tensor: t:bytes().
-- @tparam tensor t
-- @treturn string
-- @raise "limit" for more than st.memory() allows
function make.to_string(t)
   return t:bytes()
end

-- ---------------------------------------------------------------- ranges

local function check_finite(who, ...)
   for i = 1, select("#", ...) do
      local v = select(i, ...)
      if type(v) ~= "number" or v ~= v or math.abs(v) == math.huge then
         errors.throwf("arg", "%s: finite numbers expected, got %s", who, tostring(v))
      end
   end
end

--- The numbers first, first + step ... as long as they are below `stop` (above it for a negative step). With one
-- argument: 0, 1 ... stop - 1. These are values, not positions, so they are PyTorch's: `stop` is left out.
--
--     > st.arange(3)
--     Tensor[3 I64, 24 B]
--       0  1  2
--     > st.arange(10, 0, -4)
--     Tensor[3 I64, 24 B]
--       10   6   2
-- @tparam number first
-- @tparam[opt] number stop
-- @tparam[opt=1] number step
-- @tparam[opt] table opts `dtype`: by default I64 for integers, else F32
-- @treturn tensor
-- @torch torch.arange
function make.arange(first, stop, step, opts)
   if type(stop) == "table" then stop, opts = nil, stop end
   if type(step) == "table" then step, opts = nil, step end
   if stop == nil then first, stop = 0, first end
   step = step or 1
   opts = errors.check_options(opts, { dtype = "string" }, "st.arange")
   check_finite("st.arange", first, stop, step)
   if step == 0 then errors.throw("arg", "st.arange: the step is 0") end
   local integers = math.type(first) == "integer" and math.type(step) == "integer" and math.type(stop) == "integer"
   local to = dtype.check(opts.dtype or integers and "I64" or "F32", false, "st.arange")
   local count = integers and -((first - stop) // step) or math.ceil((stop - first) / step)
   local i = core.iota(math.max(0, count))
   local t = core.apply("add", core.apply("mul", integers and i or i:cast("F64"), step), first)
   return t:dtype() == to and t or t:cast(to)
end

--- `count` numbers at equal distances from `first` to `last`, both included.
--
--     > st.linspace(0, 1, 5)
--     Tensor[5 F32, 20 B]
--       0.0000  0.2500  0.5000  0.7500  1.0000
-- @tparam number first
-- @tparam number last
-- @tparam integer count
-- @tparam[opt] table opts `dtype` = "F32"
-- @treturn tensor
-- @torch torch.linspace
function make.linspace(first, last, count, opts)
   opts = errors.check_options(opts, { dtype = "string" }, "st.linspace")
   local to = dtype.check(opts.dtype or "F32", false, "st.linspace")
   check_finite("st.linspace", first, last)
   local n = parse.integer(count)
   if not n or n < 0 then
      errors.throwf("arg", "st.linspace: the count must be an integer of at least 0, not %s", text.shown(count))
   end
   count = n
   local i = core.iota(count):cast("F64")
   if count < 2 then return (i + first):cast(to) end
   -- From both ends to the middle, as torch does: both are exact.
   local step = (last - first) / (count - 1)
   return core.apply("where", i:lt(count // 2), i * step + first, last - ((count - 1) - i) * step):cast(to)
end

--- The matrix with ones on its diagonal and zeros elsewhere.
--
--     > st.eye(2)
--     Tensor[2x2 F32, 16 B]
--       1.0000  0.0000
--       0.0000  1.0000
-- @tparam integer rows
-- @tparam[opt] integer columns as many as rows
-- @tparam[opt] table opts `dtype` = "F32"
-- @treturn tensor
-- @torch torch.eye
function make.eye(rows, columns, opts)
   if type(columns) == "table" then columns, opts = nil, columns end
   opts = errors.check_options(opts, { dtype = "string" }, "st.eye")
   columns = columns or rows
   local to = dtype.check(opts.dtype or "F32", false, "st.eye")
   return core.iota(rows):reshape(-1, 1):eq(core.iota(columns)):cast(to)
end

core.Tensor.zeros_like, core.Tensor.ones_like = make.zeros_like, make.ones_like
core.Tensor.full_like = make.full_like

return make
