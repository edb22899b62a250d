--- Discrete Fourier transforms, as functions and methods of tensors (`st.rfftn(x)`, `x:rfftn()`), with PyTorch's names.
--
-- There are no complex dtypes: complex numbers are pairs, real and imaginary part, along a last dimension of size 2, as
-- torch.view_as_real gives them. Everything is deferred, and computed whole, in F64, for lines of any length; the
-- bits depend neither on the number of threads nor on the processor. Results are F64 of F64, else F32.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local map = require "stlua.map"
local shape = require "stlua.shape"
local sizes = require "stlua.sizes"
local text = require "stlua.text"

local dim_of, integer_of = sizes.dim, sizes.integer

local fourier = {}

local KNOWN = { s = "table", dim = "number|table", norm = "string" }

-- The dimensions to transform, 1..n, in the order in which they were given: by default all, or as many as sizes.
local function dims_of(who, opts, n)
   local given, list, seen = opts.dim, {}, {}
   if type(given) == "number" then given = { given } end
   if not given then
      given = {}
      for d = opts.s and n - #opts.s + 1 or 1, n do given[#given + 1] = d end
   end
   for i, d in ipairs(given) do
      list[i] = dim_of(who, d, n)
      if seen[list[i]] then errors.throwf("arg", "%s: dimension %d is given twice", who, list[i]) end
      seen[list[i]] = true
   end
   if #list == 0 then errors.throwf("shape", "%s: no dimension to transform", who) end
   if opts.s and #opts.s ~= #list then
      errors.throwf("arg", "%s: %d sizes for %d dimensions", who, #opts.s, #list)
   end
   return list
end

-- How many elements are transformed along each of these dimensions.
local function lengths_of(who, x, dims, opts)
   local list = {}
   for i, d in ipairs(dims) do list[i] = x:shape()[d] end
   if who == "irfftn" then list[#list] = 2 * (list[#list] - 1) end
   for i = 1, opts.s and #list or 0 do
      list[i] = integer_of(opts.s[i])
      if not list[i] or list[i] < 1 then
         errors.throwf("arg", "%s: size %d must be an integer of at least 1, not %s", who, i, text.shown(opts.s[i]))
      end
   end
   return list
end

-- The other dimensions in front, then those in `dims`, then what lies behind all of the n.
local function order_for(dims, n, behind)
   local order, moved = {}, {}
   for _, d in ipairs(dims) do moved[d] = true end
   for d = 1, n do
      if not moved[d] then order[#order + 1] = d end
   end
   table.move(dims, 1, #dims, #order + 1, order)
   for d = n + 1, n + behind do order[d] = d end
   return order
end

-- The n first dimensions where they were; what was done last stays behind them.
local function turned_back(t, n, order)
   local back = {}
   for i = 1, t:ndim() do back[i <= n and order[i] or i] = i end
   return t:permute(back)
end

-- One dimension cut, or continued by zeros.
local function resized(t, d, size)
   local old = t:shape()[d]
   if size == old then return t end
   if size < old then return t:narrow(d, 1, size) end
   local pads = {}
   for i = 1, 2 * (t:ndim() - d) + 1 do pads[i] = 0 end
   pads[#pads + 1] = size - old
   return shape.pad(t, pads)
end

-- What a transform of `count` elements is multiplied by.
local function scale_of(who, norm, back, count)
   norm = norm or "backward"
   if norm == "ortho" then return 1 / math.sqrt(count) end
   if norm ~= "backward" and norm ~= "forward" then
      errors.throwf("arg", "%s: norm is one of backward, ortho, forward", who)
   end
   return (norm == "backward") == back and 1 / count or 1
end

local function transform(who, x, opts)
   if not map.is_tensor(x) then
      errors.throwf("arg", "%s: a tensor, not a %s", who, map.is_model(x) and "model (use st.map)" or type(x))
   end
   opts = errors.check_options(opts, KNOWN, who)
   local behind = who == "rfftn" and 0 or 1
   local n = x:ndim() - behind
   if n < 0 or behind == 1 and x:shape()[n + 1] ~= 2 then
      errors.throwf("shape", "%s: complex numbers are pairs along a last dimension of 2; the shape is {%s}", who,
         table.concat(x:shape(), ", "))
   end
   local dims = dims_of(who, opts, n)
   local lengths, count = lengths_of(who, x, dims, opts), 1
   for i, d in ipairs(dims) do
      local half = who == "irfftn" and i == #dims
      x = resized(x, d, half and lengths[i] // 2 + 1 or lengths[i])
      count = count * lengths[i]
   end
   local order = order_for(dims, n, behind)
   local scale = scale_of(who, opts.norm, who:find("^i") ~= nil, count)
   return turned_back(core.fft(who, x:permute(order), #dims, lengths[#lengths], scale), n, order)
end

--- Discrete Fourier transform of real numbers. Of the last dimension only the first n // 2 + 1 values are given: the
-- others are their conjugates.
--
--     > st.tensor({ 1.0, 2, 3, 4 }):rfftn()
--     Tensor[3x2 F32, 24 B]
--       10.0000   0.0000
--       -2.0000   2.0000
--       -2.0000   0.0000
-- @tparam tensor x
-- @tparam[opt] table opts `dim` = a dimension, or a list of them: by default all; `s` = as many sizes, to which they
--   are cut, or continued by zeros, before; `norm` = "backward" (nothing), "ortho" (divided by the root of the number
--   of elements) or "forward" (divided by their number)
-- @treturn tensor x's shape, the last of `dim` n // 2 + 1 long, and a dimension of 2
-- @raise "shape" for a dimension without elements, or no dimension
-- @torch torch.fft.rfftn
function fourier.rfftn(x, opts) return transform("rfftn", x, opts) end

--- The way back from rfftn, to real numbers. The imaginary parts that such a transform has not are not looked at.
--
--     > st.tensor({ 1.0, 2, 3, 4, 5 }):rfftn():irfftn { s = { 5 } }
--     Tensor[5 F32, 20 B]
--       1.0000  2.0000  3.0000  4.0000  5.0000
-- @tparam tensor x (.., 2)
-- @tparam[opt] table opts `dim` and `s` as of rfftn, but that the last size is by default 2 (n - 1): an odd one must
--   be given; `norm` = "backward" (divided by the number of elements), "ortho" or "forward" (nothing)
-- @treturn tensor
-- @raise "shape" where there is no last dimension of 2, no dimension, or one without elements
-- @torch torch.fft.irfftn
function fourier.irfftn(x, opts) return transform("irfftn", x, opts) end

--- Discrete Fourier transform of complex numbers.
-- @tparam tensor x (.., 2)
-- @tparam[opt] table opts as of rfftn
-- @treturn tensor (.., 2)
-- @raise "shape" where there is no last dimension of 2, no dimension, or one without elements
-- @torch torch.fft.fftn
function fourier.fftn(x, opts) return transform("fftn", x, opts) end

--- The way back from fftn.
-- @tparam tensor x (.., 2)
-- @tparam[opt] table opts `dim` and `s` as of rfftn, `norm` as of irfftn
-- @treturn tensor (.., 2)
-- @raise "shape" where there is no last dimension of 2, no dimension, or one without elements
-- @torch torch.fft.ifftn
function fourier.ifftn(x, opts) return transform("ifftn", x, opts) end

for name, fn in pairs(fourier) do core.Tensor[name] = fn end

return fourier
