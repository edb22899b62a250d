--- Reductions, selection and sorting, as methods of tensors and functions (`t:sum()`, `st.sum(t)`), with PyTorch's
-- names.
--
-- Over all dimensions a result is a deferred tensor without dimensions: F64 (I64 for integers, counts and places),
-- so that nothing is lost before it is used; `:item()`, printing and comparing with a number compute it. Over some
-- dimensions floats keep their dtype. All are accumulated in F64 in an order fixed by index: the bits hang neither
-- on threads nor on the processor. Dimensions count from 1, from -1 at the end; so do the places that argmax, sort
-- and their like give.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local elementwise = require "stlua.elementwise"
local errors = require "stlua.errors"
local map = require "stlua.map"
local integer_of = require("stlua.sizes").integer
local text = require "stlua.text"

local reduce = {}

-- ---------------------------------------------------------------- arguments

local function is_dims(x) return type(x) == "number" or (type(x) == "table" and #x > 0) end

local function check_dims(who, dim)
   for _, d in ipairs(type(dim) == "table" and dim or { dim }) do
      if not integer_of(d) then
         errors.throwf("arg", "%s: a dimension must be an integer, not %s", who, text.shown(d))
      end
   end
end

-- (dim, opts) or (opts) -> dims or nil, options.
local function arguments(who, dim, opts, known)
   if dim ~= nil and not is_dims(dim) then
      if opts ~= nil then errors.throwf("arg", "%s: a dimension or a list of them, not a %s", who, type(dim)) end
      dim, opts = nil, dim
   end
   known.dim, known.keepdim = "number|table", "boolean"
   opts = errors.check_options(opts, known, who)
   if dim == nil then dim = opts.dim end
   if type(dim) == "table" and #dim == 0 then dim = nil end
   check_dims(who, dim)
   return dim, opts
end

local function check_tensor(who, t)
   if not map.is_tensor(t) then
      errors.throwf("arg", "%s: a tensor, not a %s", who, map.is_model(t) and "model (use st.map)" or type(t))
   end
end

-- One dimension, `absent` when there is none.
local function one_dim(who, dim, absent)
   if dim == nil then return absent end
   if type(dim) == "table" and #dim == 1 then dim = dim[1] end
   if type(dim) ~= "number" then errors.throwf("arg", "%s: one dimension", who) end
   return dim
end

local function from_one(places) return core.apply("add", places, 1) end

local function drop(t, dim, keepdim)
   if keepdim or t:ndim() == 0 then return t end
   return core.drop_dim(t, dim)
end

local function size(t, dim)
   local shape = t:shape()
   if #shape == 0 then return 1 end
   local n = shape[dim > 0 and dim or #shape + 1 + dim]
   if not n then errors.throwf("arg", "dimension %d of a tensor with %d", dim, #shape) end
   return n
end

-- ---------------------------------------------------------------- sums and their like

local function plain(name, t, dim, opts)
   check_tensor(name, t)
   local dims, o = arguments(name, dim, opts, {})
   return core.reduce(name, t, dims, o.keepdim)
end

--- Sum of the elements; of integers and booleans in I64, wrapping.
--
--     > t = st.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
--     > t:sum():item()
--     21
--     > t:sum(2)
--     Tensor[2 I64, 16 B]
--        6  15
--     > t:sum(2, { keepdim = true }):shape()
--     { 2, 1 }
-- @tparam tensor t
-- @tparam[opt] integer|table dim one dimension or a list of them (default: all)
-- @tparam[opt] table opts `dim`; `keepdim` = true keeps reduced dimensions with size 1
-- @treturn tensor deferred
-- @torch torch.sum
function reduce.sum(t, dim, opts) return plain("sum", t, dim, opts) end

-- 0 in place of NaN.
local function without_nan(who, t)
   check_tensor(who, t)
   return dtype.is_float(t:dtype()) and core.apply("where", core.apply("ne", t, t), 0, t) or t
end

--- Sum of the elements that are not NaN.
-- @tparam tensor t
-- @tparam[opt] integer|table dim
-- @tparam[opt] table opts `dim`, `keepdim`
-- @treturn tensor deferred
-- @torch torch.nansum
function reduce.nansum(t, dim, opts) return plain("sum", without_nan("nansum", t), dim, opts) end

--- Mean of the elements that are not NaN; NaN of none.
-- @tparam tensor t
-- @tparam[opt] integer|table dim
-- @tparam[opt] table opts `dim`, `keepdim`
-- @treturn tensor deferred
-- @raise "dtype" for integers: cast them first
-- @torch torch.nanmean
function reduce.nanmean(t, dim, opts)
   local sum = plain("sum", without_nan("nanmean", t), dim, opts)
   if not dtype.is_float(t:dtype()) then
      errors.throwf("dtype", "nanmean is not defined for %s; cast it first", t:dtype())
   end
   return sum / plain("sum", core.apply("eq", t, t), dim, opts)
end

--- Product of the elements; of integers in I64, wrapping.
-- @tparam tensor t
-- @tparam[opt] integer|table dim
-- @tparam[opt] table opts `dim`, `keepdim`
-- @treturn tensor deferred
-- @torch torch.prod
function reduce.prod(t, dim, opts) return plain("prod", t, dim, opts) end

--- Mean of the elements; NaN of none.
--
--     > st.tensor({ 1.0, 2, 6 }):mean():item()
--     3.0
-- @tparam tensor t
-- @tparam[opt] integer|table dim
-- @tparam[opt] table opts `dim`, `keepdim`
-- @treturn tensor deferred
-- @raise "dtype" for integers: cast them first
-- @torch torch.mean
function reduce.mean(t, dim, opts) return plain("mean", t, dim, opts) end

--- True (BOOL) where any element is not 0. NaN is not 0.
-- @tparam tensor t
-- @tparam[opt] integer|table dim
-- @tparam[opt] table opts `dim`, `keepdim`
-- @treturn tensor deferred
-- @torch torch.any
function reduce.any(t, dim, opts) return plain("any", t, dim, opts) end

--- True (BOOL) where no element is 0.
-- @tparam tensor t
-- @tparam[opt] integer|table dim
-- @tparam[opt] table opts `dim`, `keepdim`
-- @treturn tensor deferred
-- @torch torch.all
function reduce.all(t, dim, opts) return plain("all", t, dim, opts) end

--- How many elements are not 0, as I64.
-- @tparam tensor t
-- @tparam[opt] integer|table dim
-- @tparam[opt] table opts `dim`, `keepdim`
-- @treturn tensor deferred
-- @torch torch.count_nonzero
function reduce.count_nonzero(t, dim, opts) return plain("count_nonzero", t, dim, opts) end

local function spread(name, t, dim, opts)
   check_tensor(name, t)
   local dims, o = arguments(name, dim, opts, { correction = "number" })
   return core.reduce(name, t, dims, o.keepdim, o.correction or 1)
end

--- Variance: the squares around the mean, over n - correction. Means and squares of blocks are joined as by Chan,
-- Golub and LeVeque (1983), so that nothing cancels.
-- @tparam tensor t
-- @tparam[opt] integer|table dim
-- @tparam[opt] table opts `dim`, `keepdim`, `correction` (1; 0 gives the population's)
-- @treturn tensor deferred
-- @raise "dtype" for integers
-- @torch torch.var
function reduce.var(t, dim, opts) return spread("var", t, dim, opts) end

--- Standard deviation: the root of the variance.
--
--     > st.tensor({ 1.0, 2, 3 }):std():item()
--     1.0
-- @tparam tensor t
-- @tparam[opt] integer|table dim
-- @tparam[opt] table opts `dim`, `keepdim`, `correction` (1)
-- @treturn tensor deferred
-- @raise "dtype" for integers
-- @torch torch.std
function reduce.std(t, dim, opts) return spread("std", t, dim, opts) end

-- The one norm that is of matrices.
local function nuclear(t, dims, keepdim)
   if dims or keepdim then errors.throw("arg", "norm: \"nuc\" is of the last two dimensions, without options") end
   return core.nuclear_norm(t)
end

--- Norm of the elements as of one vector: (sum |x|^p)^(1/p).
--
--     > st.tensor({ 3.0, 4 }):norm():item()
--     5.0
--     > st.tensor({ 3.0, -4 }):norm(1):item()
--     7.0
-- @tparam tensor t
-- @tparam[opt=2] number|string p any number, math.huge, -math.huge, 0 (counts), "fro" (2), or "nuc": the sum of the
--   singular values
-- @tparam[opt] table opts `dim`, `keepdim`, `p`
-- @treturn tensor deferred
-- @raise "dtype" for integers
-- @torch torch.norm
function reduce.norm(t, p, opts)
   check_tensor("norm", t)
   if type(p) == "table" and opts == nil then p, opts = nil, p end
   local dims, o = arguments("norm", nil, opts, { p = "number|string" })
   p = p or o.p or 2
   if p == "nuc" then return nuclear(t, dims, o.keepdim) end
   if p == "fro" then p = 2 end
   if type(p) ~= "number" then
      errors.throwf("arg", "norm: p must be a number, \"fro\" or \"nuc\", not %s", text.shown(p))
   end
   return core.reduce("norm", t, dims, o.keepdim, p)
end

--- Scalar product of all elements, accumulated in F64. Unlike torch's it takes any two tensors of equally many
-- elements.
-- @tparam tensor a
-- @tparam tensor b
-- @treturn tensor deferred, without dimensions
-- @raise "shape"
-- @torch torch.dot
function reduce.dot(a, b)
   check_tensor("dot", a)
   check_tensor("dot", b)
   return core.dot(a, b)
end

--- Cosine of the angle between two tensors: a.b / (max(|a|, eps) * max(|b|, eps)). Over all elements, which are
-- read once, unless a dimension is given (torch's default is its dimension 1).
--
--     > a, b = st.tensor { 1.0, 0 }, st.tensor { 3.0, 4 }
--     > a:cosine_similarity(b):item()
--     0.6
-- @tparam tensor a
-- @tparam tensor b
-- @tparam[opt] table opts `dim`, `keepdim`, `eps` (1e-8)
-- @treturn tensor deferred
-- @torch torch.nn.functional.cosine_similarity
function reduce.cosine_similarity(a, b, opts)
   check_tensor("cosine_similarity", a)
   check_tensor("cosine_similarity", b)
   local dims, o = arguments("cosine_similarity", nil, opts, { eps = "number" })
   local eps = o.eps or 1e-8
   local dot, na, nb
   if dims == nil then
      dot, na, nb = core.dot(a, b), core.reduce("norm", a), core.reduce("norm", b)
   else
      dot = core.reduce("sum", core.apply("mul", a, b), dims, o.keepdim)
      na, nb = core.reduce("norm", a, dims, o.keepdim), core.reduce("norm", b, dims, o.keepdim)
   end
   return dot / (core.apply("maximum", na, eps) * core.apply("maximum", nb, eps))
end

-- ---------------------------------------------------------------- extremes

local function extreme(name, of_two, t, other, opts)
   if map.is_tensor(other) or not map.is_tensor(t) then return core.apply(of_two, t, other) end
   local dims, o = arguments(name, other, opts, {})
   if dims == nil then return core.reduce(name, t, nil, o.keepdim) end
   local dim = one_dim(name .. " (amin and amax take several)", dims)
   return core.reduce(name, t, dim, o.keepdim), from_one(core.reduce("arg" .. name, t, dim, o.keepdim))
end

--- The smallest element, NaN if there is one: over all; along a dimension with the places, as a second result; or,
-- with a tensor as operand, elementwise.
-- @tparam tensor t
-- @tparam[opt] integer|tensor dim a dimension, or the other operand
-- @tparam[opt] table opts `dim`, `keepdim`
-- @treturn tensor deferred
-- @treturn ?tensor along a dimension: I64, the first place of each minimum
-- @raise "shape" of no elements
-- @torch torch.min
function reduce.min(t, dim, opts) return extreme("min", "minimum", t, dim, opts) end

--- The largest element, NaN if there is one: over all; along a dimension with the places, as a second result; or,
-- with a tensor as operand, elementwise.
--
--     > values, places = st.tensor({ { 3, 9 }, { 8, 1 } }):max(2)
--     > values
--     Tensor[2 I64, 16 B]
--       9  8
--     > places
--     Tensor[2 I64, 16 B]
--       2  1
--     > st.max(st.tensor { 1, 5 }, st.tensor { 4, 2 })
--     Tensor[2 I64, 16 B]
--       4  5
-- @tparam tensor t
-- @tparam[opt] integer|tensor dim a dimension, or the other operand
-- @tparam[opt] table opts `dim`, `keepdim`
-- @treturn tensor deferred
-- @treturn ?tensor along a dimension: I64, the first place of each maximum
-- @raise "shape" of no elements
-- @torch torch.max
function reduce.max(t, dim, opts) return extreme("max", "maximum", t, dim, opts) end

local function bare(name, public, t, dim, opts)
   check_tensor(public, t)
   local dims, o = arguments(public, dim, opts, {})
   return core.reduce(name, t, dims, o.keepdim)
end

--- The smallest elements along any dimensions, without places.
-- @tparam tensor t
-- @tparam[opt] integer|table dim
-- @tparam[opt] table opts `dim`, `keepdim`
-- @treturn tensor deferred
-- @torch torch.amin
function reduce.amin(t, dim, opts) return bare("min", "amin", t, dim, opts) end

--- The largest elements along any dimensions, without places.
-- @tparam tensor t
-- @tparam[opt] integer|table dim
-- @tparam[opt] table opts `dim`, `keepdim`
-- @treturn tensor deferred
-- @torch torch.amax
function reduce.amax(t, dim, opts) return bare("max", "amax", t, dim, opts) end

local function place(name, t, dim, opts)
   check_tensor(name, t)
   local dims, o = arguments(name, dim, opts, {})
   return from_one(core.reduce(name, t, one_dim(name, dims), o.keepdim))
end

--- The place of the first minimum (or NaN), from 1: in row-major order, or along a dimension.
-- @tparam tensor t
-- @tparam[opt] integer dim
-- @tparam[opt] table opts `dim`, `keepdim`
-- @treturn tensor deferred, I64
-- @torch torch.argmin
function reduce.argmin(t, dim, opts) return place("argmin", t, dim, opts) end

--- The place of the first maximum (or NaN), from 1: in row-major order, or along a dimension.
--
--     > st.tensor({ 3, 9, 4 }):argmax():item()
--     2
-- @tparam tensor t
-- @tparam[opt] integer dim
-- @tparam[opt] table opts `dim`, `keepdim`
-- @treturn tensor deferred, I64
-- @torch torch.argmax
function reduce.argmax(t, dim, opts) return place("argmax", t, dim, opts) end

-- ---------------------------------------------------------------- selection

-- Values and places along a dimension, which becomes `count` long.
local function picked(t, dim, places)
   return core.take(t, dim, places), from_one(places)
end

--- The k-th smallest element; NaN counts as the largest. Over all elements it is found by counting, in two
-- streaming passes (torch's default is the last dimension); along a dimension rows are sorted in memory.
--
--     > st.tensor({ 7.0, 1, 5, 3 }):kthvalue(2):item()
--     3.0
-- @tparam tensor t
-- @tparam integer k from 1
-- @tparam[opt] table opts `dim`, `keepdim`
-- @treturn tensor deferred
-- @treturn ?tensor along a dimension: I64, the places
-- @torch torch.kthvalue
function reduce.kthvalue(t, k, opts)
   check_tensor("kthvalue", t)
   local dim, o = arguments("kthvalue", nil, opts, {})
   if dim == nil then return core.kth(t, k) end
   dim = one_dim("kthvalue", dim)
   local values, places = picked(t, dim, core.order(t, dim, k, 1))
   return drop(values, dim, o.keepdim), drop(places, dim, o.keepdim)
end

--- The lower median; NaN if there is one. Over all elements it is found by counting, in two streaming passes; along
-- a dimension rows are sorted in memory.
--
--     > st.tensor({ 7.0, 1, 5, 3 }):median():item()
--     3.0
-- @tparam tensor t
-- @tparam[opt] integer dim
-- @tparam[opt] table opts `dim`, `keepdim`
-- @treturn tensor deferred
-- @treturn ?tensor along a dimension: I64, the places
-- @raise "shape" of no elements
-- @torch torch.median
function reduce.median(t, dim, opts)
   check_tensor("median", t)
   local o
   dim, o = arguments("median", dim, opts, {})
   if dim == nil then return core.median(t) end
   dim = one_dim("median", dim)
   local values, places = picked(t, dim, core.median_place(t, dim))
   return drop(values, dim, o.keepdim), drop(places, dim, o.keepdim)
end

-- The places around a quantile of n sorted values, from 1, and how far the second counts.
local function around(q, n, how)
   local at = q * (n - 1)
   local low = math.floor(at)
   if how == "higher" then low = math.ceil(at)
   elseif how == "nearest" then
      local half = at - low
      if half > 0.5 or (half == 0.5 and low % 2 == 1) then low = low + 1 end
   end
   if (how ~= "linear" and how ~= "midpoint") or at == low then return low + 1, low + 1, 0 end
   return low + 1, low + 2, how == "midpoint" and 0.5 or at - low
end

local function quantile_along(t, q, dim, how)
   local low, high, weight = around(q, size(t, dim), how)
   local a = core.take(t, dim, core.order(t, dim, low, 1))
   if weight > 0 then
      a = core.cast(a, "F64")
      local b = core.cast(core.take(t, dim, core.order(t, dim, high, 1)), "F64")
      local between = weight < 0.5 and a + (b - a) * weight or b - (b - a) * (1 - weight)
      a = core.cast(core.apply("where", core.apply("eq", a, b), a, between), t:dtype())      -- equal: two infinities
   end
   local nan = core.reduce("any", core.apply("ne", t, t), dim, true)
   return core.apply("where", nan, 0 / 0, a)
end

local HOW = { linear = true, lower = true, higher = true, nearest = true, midpoint = true }

--- Quantiles. Over all elements they are found by counting, in streaming passes, as F64; along a dimension rows are
-- sorted in memory. NaN if there is a NaN.
--
--     > t = st.tensor { 0.0, 1, 2, 3 }
--     > t:quantile(0.5):item()
--     1.5
--     > t:quantile { 0.1, 0.9 }
--     Tensor[2 F64, 16 B]
--       0.3000  2.7000
--     > t:quantile(0.5, { interpolation = "lower" }):item()
--     1.0
-- @tparam tensor t floats
-- @tparam number|table q between 0 and 1; over all elements also a list, whose quantiles come as one tensor
-- @tparam[opt] table opts `dim`, `keepdim`; `interpolation` = "linear" (default), "lower", "higher", "nearest",
-- "midpoint"
-- @treturn tensor deferred
-- @raise "shape" of no elements, "dtype"
-- @torch torch.quantile
function reduce.quantile(t, q, opts)
   check_tensor("quantile", t)
   local dim, o = arguments("quantile", nil, opts, { interpolation = "string" })
   local how = o.interpolation or "linear"
   if not HOW[how] then
      errors.throwf("arg", "quantile: interpolation is linear, lower, higher, nearest or midpoint, not %s", how)
   end
   if type(q) ~= "number" and type(q) ~= "table" then
      errors.throwf("arg", "quantile: q must be a number from 0 to 1 or a list of them, not %s", text.shown(q))
   end
   if dim == nil then return core.quantile(t, q, how) end
   dim = one_dim("quantile", dim)
   if type(q) ~= "number" or not (q >= 0 and q <= 1) then
      errors.throw("arg", "quantile: along a dimension one number from 0 to 1")
   end
   if size(t, dim) == 0 then errors.throw("shape", "quantile of no elements: there is none") end
   return drop(quantile_along(t, q, dim, how), dim, o.keepdim)
end

--- How many elements fall into each of equal parts of a range, the last one closed. Elements outside, and NaN, are
-- not counted. Counts are I64 (torch's are floats, which lose count at 2^24).
--
--     > counts, edges = st.tensor({ 0.0, 1, 1, 4 }):histogram(2, { min = 0, max = 4 })
--     > counts
--     Tensor[2 I64, 16 B]
--       3  1
--     > edges
--     { 0.0, 2.0, 4.0 }
-- @tparam tensor t
-- @tparam[opt=100] integer bins
-- @tparam[opt] table opts `min`, `max`: the range (default: from the smallest element to the largest)
-- @treturn tensor deferred, `bins` counts
-- @treturn {number,...} the bins + 1 edges: only with `min` and `max`, else they are not known before the counts
-- @torch torch.histogram
function reduce.histogram(t, bins, opts)
   check_tensor("histogram", t)
   opts = errors.check_options(opts, { min = "number", max = "number" }, "histogram")
   bins = bins or 100
   local low, high = opts.min or 0, opts.max or 0
   local counts = core.histogram(t, bins, low, high)
   if low == high then return counts end
   local edges, step = {}, (high - low) / bins
   for i = 0, bins do edges[i + 1] = 2 * i < bins and low + step * i or high - step * (bins - i) end
   return counts, edges
end

--- The counts of histogram, with the range as numbers.
-- @tparam tensor t
-- @tparam[opt=100] integer bins
-- @tparam[opt] number low with low = high the range is from the smallest element to the largest
-- @tparam[opt] number high
-- @treturn tensor deferred, I64
-- @torch torch.histc
function reduce.histc(t, bins, low, high)
   return (reduce.histogram(t, bins, { min = low, max = high }))
end

-- ---------------------------------------------------------------- order

--- Sorts along a dimension, stably; NaN counts as the largest.
--
--     > values, places = st.tensor({ 7, 1, 5 }):sort({ descending = true })
--     > values
--     Tensor[3 I64, 24 B]
--       7  5  1
--     > places
--     Tensor[3 I64, 24 B]
--       1  3  2
-- @tparam tensor t
-- @tparam[opt=-1] integer dim
-- @tparam[opt] table opts `dim`, `descending`, `stable` (always so)
-- @treturn tensor values
-- @treturn tensor their places before, I64
-- @raise "limit" for rows larger than st.memory() allows
-- @torch torch.sort
function reduce.sort(t, dim, opts)
   check_tensor("sort", t)
   local o
   dim, o = arguments("sort", dim, opts, { descending = "boolean", stable = "boolean" })
   dim = one_dim("sort", dim, -1)
   return picked(t, dim, core.order(t, dim, 1, size(t, dim), o.descending))
end

--- The places that sort a tensor along a dimension, stably.
-- @tparam tensor t
-- @tparam[opt=-1] integer dim
-- @tparam[opt] table opts `dim`, `descending`, `stable` (always so)
-- @treturn tensor I64
-- @torch torch.argsort
function reduce.argsort(t, dim, opts)
   return (select(2, reduce.sort(t, dim, opts)))
end

--- The k largest elements along a dimension, in order.
--
--     > values, places = st.tensor({ 7, 1, 5, 3 }):topk(2)
--     > values
--     Tensor[2 I64, 16 B]
--       7  5
--     > places
--     Tensor[2 I64, 16 B]
--       1  3
-- @tparam tensor t
-- @tparam integer k
-- @tparam[opt] table opts `dim` (-1), `largest` = false for the smallest, `sorted` (always so)
-- @treturn tensor values
-- @treturn tensor their places, I64
-- @torch torch.topk
function reduce.topk(t, k, opts)
   check_tensor("topk", t)
   local dim, o = arguments("topk", nil, opts, { largest = "boolean", sorted = "boolean" })
   dim = one_dim("topk", dim, -1)
   return picked(t, dim, core.order(t, dim, 1, k, o.largest ~= false))
end

local function running(name, t, dim)
   check_tensor(name, t)
   if dim == nil and t:ndim() > 1 then errors.throwf("arg", "%s: along which dimension?", name) end
   return core[name](t, one_dim(name, dim, 1))
end

--- Sums from the first element on along a dimension; integers become I64.
--
--     > st.tensor({ 1, 2, 3 }):cumsum()
--     Tensor[3 I64, 24 B]
--       1  3  6
-- @tparam tensor t
-- @tparam[opt] integer dim needed unless there is one dimension only
-- @treturn tensor deferred
-- @torch torch.cumsum
function reduce.cumsum(t, dim) return running("cumsum", t, dim) end

--- Products from the first element on along a dimension; integers become I64.
-- @tparam tensor t
-- @tparam[opt] integer dim needed unless there is one dimension only
-- @treturn tensor deferred
-- @torch torch.cumprod
function reduce.cumprod(t, dim) return running("cumprod", t, dim) end

--- The distinct values of all elements, in order. Computes: how many there are is not known before.
--
--     > values, counts = st.tensor({ 3, 1, 3 }):unique { counts = true }
--     > values
--     Tensor[2 I64, 16 B]
--       1  3
--     > counts
--     Tensor[2 I64, 16 B]
--       1  2
-- @tparam tensor t
-- @tparam[opt] table opts `inverse`, `counts` = true for the further results, in this order
-- @treturn tensor values
-- @treturn ?tensor inverse: for each element the place of its value, I64
-- @treturn ?tensor counts: how often each value is there, I64
-- @raise "limit" for more than st.memory() allows
-- @torch torch.unique
function reduce.unique(t, opts)
   check_tensor("unique", t)
   opts = errors.check_options(opts, { inverse = "boolean", counts = "boolean" }, "unique")
   local values, counts, inverse = core.unique(t)
   local results = { values }
   if opts.inverse then results[#results + 1] = from_one(inverse) end
   if opts.counts then results[#results + 1] = counts end
   return table.unpack(results)
end

--- Computes several tensors at once and keeps their values: reductions over equally many elements share one pass,
-- so that what they read in common is read once.
-- @tparam tensor ... as many as there are
-- @treturn tensor the same ones
function reduce.force(...)
   core.force_all { ... }
   return ...
end

-- ---------------------------------------------------------------- sums of exponentials

-- The largest element along dimensions, which is taken off before exp so that nothing overflows; 0 where there is none.
local function largest(t, dims)
   return t:numel() == 0 and 0 or core.reduce("max", t, dims, true)
end

--- exp(x) over the sum of all exp(x) along a dimension.
-- @tparam tensor t
-- @tparam[opt=-1] integer dim
-- @treturn tensor deferred
-- @torch torch.softmax
function reduce.softmax(t, dim)
   check_tensor("softmax", t)
   dim = one_dim("softmax", dim, -1)
   local e = core.apply("exp", core.apply("sub", t, largest(t, dim)))
   return e / core.reduce("sum", e, dim, true)
end

--- The logarithm of softmax, exact where that is near 0.
-- @tparam tensor t
-- @tparam[opt=-1] integer dim
-- @treturn tensor deferred
-- @torch torch.log_softmax
function reduce.log_softmax(t, dim)
   check_tensor("log_softmax", t)
   dim = one_dim("log_softmax", dim, -1)
   local x = core.apply("sub", t, largest(t, dim))
   return x - core.apply("log", core.reduce("sum", core.apply("exp", x), dim, true))
end

--- The logarithm of the sum of all exp(x), without overflow.
-- @tparam tensor t
-- @tparam[opt] integer|table dim (PyTorch has no default)
-- @tparam[opt] table opts `dim`, `keepdim`
-- @treturn tensor deferred
-- @torch torch.logsumexp
function reduce.logsumexp(t, dim, opts)
   check_tensor("logsumexp", t)
   local dims, o = arguments("logsumexp", dim, opts, {})
   if dims == nil then t = core.cast(t, "F64") end      -- as the sum over all is
   local top = largest(t, dims)
   if top ~= 0 then top = core.apply("where", elementwise.isfinite(top), top, 0) end      -- infinity - infinity is NaN
   local sum = core.reduce("sum", core.apply("exp", core.apply("sub", t, top)), dims, true)
   local result = core.apply("add", core.apply("log", sum), top)
   return o.keepdim and result or result:reshape(core.reduce("sum", t, dims):shape())
end

-- ---------------------------------------------------------------- one answer about two tensors

--- True if two tensors have one shape and equal values; NaN equals nothing. Computes, streaming. (`identical` compares
-- dtype and bytes.)
-- @tparam tensor a
-- @tparam tensor b
-- @treturn boolean
-- @torch torch.equal
function reduce.equal(a, b)
   check_tensor("equal", a)
   check_tensor("equal", b)
   local x, y = a:shape(), b:shape()
   if table.concat(x, " ") ~= table.concat(y, " ") then return false end
   return core.reduce("all", core.apply("eq", a, b)):item()
end

--- True if all values are close, as isclose tells. Shapes broadcast. Computes, streaming.
-- @tparam tensor a
-- @tparam tensor b or a number
-- @tparam[opt] table opts `rtol` = 1e-5, `atol` = 1e-8, `equal_nan` = false
-- @treturn boolean
-- @torch torch.allclose
function reduce.allclose(a, b, opts)
   check_tensor("allclose", a)
   return core.reduce("all", elementwise.isclose(a, b, opts)):item()
end

-- ---------------------------------------------------------------- methods and comparisons

for name, fn in pairs(reduce) do
   if type(fn) == "function" and name ~= "force" then core.Tensor[name] = fn end
end

-- A number, or the only element of a tensor: what `<` and `<=` compare. Lua makes their result true or false.
local function value(x)
   if type(x) == "number" then return x end
   if map.is_tensor(x) and x:numel() == 1 then
      local v = x:item()
      if type(v) == "boolean" then v = v and 1 or 0 end
      return v
   end
   if map.is_tensor(x) then
      errors.throwf("shape", "`<` compares single numbers, this tensor has %d elements: a:lt(b) compares elementwise",
         x:numel())
   end
   errors.throwf("arg", "attempt to compare a %s with a tensor", map.is_model(x) and "model" or type(x))
end

function core.tensor_meta.__lt(a, b) return value(a) < value(b) end
function core.tensor_meta.__le(a, b) return value(a) <= value(b) end

return reduce
