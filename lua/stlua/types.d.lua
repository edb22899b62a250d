---@meta stlua
-- What editors show of stlua. Written by `make docs` from the comments beside the functions.
-- luacheck: ignore

---@class stlua.Tensor
---@operator add(stlua.Tensor|number): stlua.Tensor
---@operator sub(stlua.Tensor|number): stlua.Tensor
---@operator mul(stlua.Tensor|number): stlua.Tensor
---@operator div(stlua.Tensor|number): stlua.Tensor
---@operator mod(stlua.Tensor|number): stlua.Tensor
---@operator pow(stlua.Tensor|number): stlua.Tensor
---@operator idiv(stlua.Tensor|number): stlua.Tensor
---@operator unm: stlua.Tensor
---@operator band(stlua.Tensor|number): stlua.Tensor
---@operator bor(stlua.Tensor|number): stlua.Tensor
---@operator bxor(stlua.Tensor|number): stlua.Tensor
---@operator bnot: stlua.Tensor
---@operator shl(stlua.Tensor|number): stlua.Tensor
---@operator shr(stlua.Tensor|number): stlua.Tensor
---@operator len: integer
local Tensor = {}

--- Absolute value.
---@return stlua.Tensor # deferred
function Tensor:abs() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:abs_(...) end

--- Inverse cosine, in radians.
---@return stlua.Tensor # deferred
function Tensor:acos() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:acos_(...) end

--- Sum, elementwise: `a + b`.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:add(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:add_(...) end

--- x + value * a / b.
---@param a any
---@param b any tensors or models
---@param opts? table `value` = 1
function Tensor:addcdiv(a, b, opts) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:addcdiv_(...) end

--- x + value * a * b.
---@param a any
---@param b any tensors or models
---@param opts? table `value` = 1
function Tensor:addcmul(a, b, opts) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:addcmul_(...) end

--- True (BOOL) where no element is 0.
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function Tensor:all(dim, opts) end

--- True if all values are close, as isclose tells. Shapes broadcast. Computes, streaming.
---@param b stlua.Tensor or a number
---@param opts? table `rtol` = 1e-5, `atol` = 1e-8, `equal_nan` = false
---@return boolean
function Tensor:allclose(b, opts) end

--- The largest elements along any dimensions, without places.
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function Tensor:amax(dim, opts) end

--- The smallest elements along any dimensions, without places.
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function Tensor:amin(dim, opts) end

--- True (BOOL) where any element is not 0. NaN is not 0.
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function Tensor:any(dim, opts) end

--- The place of the first maximum (or NaN), from 1: in row-major order, or along a dimension.
--- ```lua
--- > st.tensor({ 3, 9, 4 }):argmax():item()
--- 2
--- ```
---@param dim? integer
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred, I64
function Tensor:argmax(dim, opts) end

--- The place of the first minimum (or NaN), from 1: in row-major order, or along a dimension.
---@param dim? integer
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred, I64
function Tensor:argmin(dim, opts) end

--- The places that sort a tensor along a dimension, stably.
---@param dim? integer
---@param opts? table `dim`, `descending`, `stable` (always so)
---@return stlua.Tensor # I64
function Tensor:argsort(dim, opts) end

--- Inverse sine, in radians.
---@return stlua.Tensor # deferred
function Tensor:asin() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:asin_(...) end

--- Inverse tangent, in radians.
---@return stlua.Tensor # deferred
function Tensor:atan() end

--- The angle of the point (x, y), in radians: the inverse tangent of y / x in the right quadrant.
---@param x stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:atan2(x) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:atan2_(...) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:atan_(...) end

--- Ones and zeros: 1 with the probability that the tensor has there, in its dtype; or with a number for p a mask (BOOL)
--- of the sizes given. A mask of a tensor's own shape: st.bernoulli(0.1, t:shape(), { seed = 7, name = name }).
---@param sizes? table for a number
---@param opts? table `seed`, `name`
---@return stlua.Tensor
function Tensor:bernoulli(sizes, opts) end

--- The same as cast("BF16").
---@return stlua.Tensor
function Tensor:bfloat16() end

--- Bits that are set in both; of integers and masks.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:bitwise_and(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:bitwise_and_(...) end

--- Bits of `a` moved left by `b` places.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:bitwise_left_shift(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:bitwise_left_shift_(...) end

--- All bits flipped; of a mask, its opposite.
---@return stlua.Tensor # deferred
function Tensor:bitwise_not() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:bitwise_not_(...) end

--- Bits that are set in either; of integers and masks.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:bitwise_or(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:bitwise_or_(...) end

--- Bits of `a` moved right by `b` places; the sign stays.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:bitwise_right_shift(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:bitwise_right_shift_(...) end

--- Bits that are set in one of the two; of integers and masks.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:bitwise_xor(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:bitwise_xor_(...) end

--- Products of two stacks of equally many matrices.
---@param b stlua.Tensor (count, k, n)
---@return stlua.Tensor # (count, m, n)
function Tensor:bmm(b) end

--- The same as cast("BOOL").
---@return stlua.Tensor
function Tensor:bool() end

--- The same as expand. A view.
---@param sizes any one by one or as a table; -1 keeps a size
---@return stlua.Tensor
function Tensor:broadcast_to(sizes) end

--- Computes and gives raw little-endian bytes.
---@param dtype? string of the bytes (default: its own)
---@param first? integer element, in row-major order
---@param count? integer of elements (default: all that follow)
---@return string
function Tensor:bytes(dtype, first, count) end

--- The same values in another dtype, rounded to nearest even. Floats become integers towards 0: those beyond the
--- integers' range its nearest end, NaN 0.
--- ```lua
--- > st.tensor({ 1 / 3 }):cast("BF16"):item()
--- 0.333984375
--- > st.tensor({ 1e6 }):cast("F16"), st.tensor({ 1e6 }):cast("F16", { saturate = true }):item()
--- Tensor[1 F16, 2 B]
---   inf
--- 65504.0
--- ```
---@param dtype string in any case
---@param opts? table `saturate` = true clamps to the largest finite value, where torch would give infinity or NaN
---@return stlua.Tensor
function Tensor:cast(dtype, opts) end

--- Rounds up to an integer.
---@return stlua.Tensor # deferred
function Tensor:ceil() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:ceil_(...) end

--- The lower triangular factor L of a positive definite matrix a = L L'. Only the lower triangle is looked at.
---@return stlua.Tensor # (.., n, n)
function Tensor:cholesky() end

--- At most `count` parts of equal size (the last may be smaller) along a dimension. Views.
---@param count integer
---@param dim? integer
---@return stlua.Tensor[]
function Tensor:chunk(count, dim) end

--- Limits values to [low, high]; either may be nil.
---@param low any number, tensor or nil
---@param high any number, tensor or nil
---@return stlua.Tensor
function Tensor:clamp(low, high) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:clamp_(...) end

--- The same as clamp.
---@param low? number|stlua.Tensor
---@param high? number|stlua.Tensor
function Tensor:clip(low, high) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:clip_(...) end

--- A copy in memory, computed now, of the declared dtype: it can be written to where a file's tensor cannot.
--- ```lua
--- > t = st.open("a.safetensors")["model.layers.0.norm.weight"]:clone()
--- > t[1] = 0
--- > t[1]
--- 0.0
--- ```
---@return stlua.Tensor
function Tensor:clone() end

--- The same elements as a tensor of its own, no view: it can be seen in any shape, and writing to it leaves `t` alone.
--- (PyTorch gives `t` itself where it can.)
---@return stlua.Tensor
function Tensor:contiguous() end

--- Writes another tensor's values into this one, broadcast and cast.
---@param other stlua.Tensor or a number
---@return stlua.Tensor # the same
function Tensor:copy_(other) end

--- Cosine.
---@return stlua.Tensor # deferred
function Tensor:cos() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:cos_(...) end

--- Hyperbolic cosine.
---@return stlua.Tensor # deferred
function Tensor:cosh() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:cosh_(...) end

--- Cosine of the angle between two tensors: a.b / (max(|a|, eps) * max(|b|, eps)). Over all elements, which are
--- read once, unless a dimension is given (torch's default is its dimension 1).
--- ```lua
--- > a, b = st.tensor { 1.0, 0 }, st.tensor { 3.0, 4 }
--- > a:cosine_similarity(b):item()
--- 0.6
--- ```
---@param b stlua.Tensor
---@param opts? table `dim`, `keepdim`, `eps` (1e-8)
---@return stlua.Tensor # deferred
function Tensor:cosine_similarity(b, opts) end

--- How many elements are not 0, as I64.
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function Tensor:count_nonzero(dim, opts) end

--- Products from the first element on along a dimension; integers become I64.
---@param dim? integer needed unless there is one dimension only
---@return stlua.Tensor # deferred
function Tensor:cumprod(dim) end

--- Sums from the first element on along a dimension; integers become I64.
--- ```lua
--- > st.tensor({ 1, 2, 3 }):cumsum()
--- Tensor[3 I64, 24 B]
---   1  3  6
--- ```
---@param dim? integer needed unless there is one dimension only
---@return stlua.Tensor # deferred
function Tensor:cumsum(dim) end

--- Determinant.
---@return stlua.Tensor # (..)
function Tensor:det() end

--- A diagonal of a matrix, as a vector; or of a vector the square matrix that has it there, and 0 elsewhere.
---@param diagonal? integer 1 is above the main one, -1 below
---@return stlua.Tensor
function Tensor:diag(diagonal) end

--- The same as ndim: number of dimensions.
---@return integer
function Tensor:dim() end

--- Quotient, elementwise: `a / b`. Integers give floats.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:div(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:div_(...) end

--- Scalar product of all elements, accumulated in F64. Unlike torch's it takes any two tensors of equally many
--- elements.
---@param b stlua.Tensor
---@return stlua.Tensor # deferred, without dimensions
function Tensor:dot(b) end

--- The same as cast("F64").
---@return stlua.Tensor
function Tensor:double() end

--- Its dtype, in the format's spelling: "BF16".
---@return string
function Tensor:dtype() end

--- Eigenvalues, ascending, and eigenvectors of symmetric matrices, of which only the lower triangle is looked at.
--- Signs as in svd.
---@return stlua.Tensor # eigenvalues (.., n)
---@return stlua.Tensor # eigenvectors (.., n, n), in columns
function Tensor:eigh() end

--- A mask: where two values are equal. (Lua's `==` asks whether two tensors are one object.)
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:eq(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:eq_(...) end

--- True if two tensors have one shape and equal values; NaN equals nothing. Computes, streaming. (`identical` compares
--- dtype and bytes.)
---@param b stlua.Tensor
---@return boolean
function Tensor:equal(b) end

--- Error function.
---@return stlua.Tensor # deferred
function Tensor:erf() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:erf_(...) end

--- 1 - erf(x), exact for large x.
---@return stlua.Tensor # deferred
function Tensor:erfc() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:erfc_(...) end

--- e to the power of x.
---@return stlua.Tensor # deferred
function Tensor:exp() end

--- 2 to the power of x.
---@return stlua.Tensor # deferred
function Tensor:exp2() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:exp2_(...) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:exp_(...) end

--- Broadcasts to a shape: sizes of 1 are repeated, dimensions may be added in front. A view; takes no memory.
--- ```lua
--- > st.tensor({ 1, 2 }):expand(2, -1)
--- Tensor[2x2 I64, 32 B]
---   1  2
---   1  2
--- ```
---@param sizes any one by one or as a table; -1 keeps a size
---@return stlua.Tensor
function Tensor:expand(sizes) end

--- Broadcasts to the sizes of another tensor. A view.
---@param other stlua.Tensor
function Tensor:expand_as(other) end

--- exp(x) - 1, exact near zero.
---@return stlua.Tensor # deferred
function Tensor:expm1() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:expm1_(...) end

--- Discrete Fourier transform of complex numbers.
---@param opts? table as of rfftn
---@return stlua.Tensor # (.., 2)
function Tensor:fftn(opts) end

--- Writes one number everywhere.
--- ```lua
--- > t = st.zeros(2, 2)
--- > t[1]:fill_(7)
--- Tensor[2 F32, 8 B]
---   7.0000  7.0000
--- > t
--- Tensor[2x2 F32, 16 B]
---   7.0000  7.0000
---   0.0000  0.0000
--- ```
---@param value number
---@return stlua.Tensor # the same
function Tensor:fill_(value) end

--- Dimensions first..last as one; all by default.
--- ```lua
--- > st.zeros(2, 3, 4):flatten(2):shape()
--- { 2, 12 }
--- ```
---@param first? integer
---@param last? integer
function Tensor:flatten(first, last) end

--- The elements of the given dimensions in reverse. A view.
--- ```lua
--- > st.tensor({ 1, 2, 3 }):flip(1)
--- Tensor[3 I64, 24 B]
---   3  2  1
--- ```
---@param ... any dimensions, one by one or as a table
function Tensor:flip(...) end

--- The same as cast("F32").
---@return stlua.Tensor
function Tensor:float() end

--- Rounds down to an integer.
---@return stlua.Tensor # deferred
function Tensor:floor() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:floor_(...) end

--- Quotient rounded down, as Lua's `//`.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:floor_divide(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:floor_divide_(...) end

--- Remainder with the sign of `a`, as C's fmod.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:fmod(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:fmod_(...) end

--- Computes all values now and keeps them in memory: later uses read them. In a loop whose steps build on one another
--- force each step: a chain of operations on whole tensors (products of matrices, sorts, decompositions) that is never
--- forced is computed anew for every use, and grows with every step.
---@return stlua.Tensor # the same
function Tensor:force() end

--- A tensor of one value in the shape and dtype of another.
---@param value any a number or a boolean
---@param opts? table `dtype`
---@return stlua.Tensor
function Tensor:full_like(value, opts) end

--- Elements along a dimension by a tensor of places: the result has the shape of `index`, which is not larger than `t`
--- in the other dimensions.
---@param dim integer
---@param index stlua.Tensor integers, of as many dimensions as `t`
---@return stlua.Tensor # deferred
function Tensor:gather(dim, index) end

--- A mask: where a >= b.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:ge(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:ge_(...) end

--- x times the normal distribution's share below x, by erf: 0.5 * x * (1 + erf(x / sqrt(2))).
function Tensor:gelu() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:gelu_(...) end

--- A mask: where a > b.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:gt(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:gt_(...) end

--- The same as cast("F16").
---@return stlua.Tensor
function Tensor:half() end

--- Counts a tensor's values in equal parts of a range, and draws them as bars when printed. Streams: the tensor is read
--- twice. NaN, infinities and what lies outside a given range are left out, and their numbers told. Bins of integers
--- and booleans hold whole numbers: one each where there is room.
--- ```lua
--- > st.manual_seed(1)
--- > st.randn(1000):hist { bins = 5, width = 20 }
--- Histogram[1,000 values, F32]
--- from    to  count
--- -3.1  -1.8     33  █▍
--- -1.8  -0.5    261  ██████████▌
--- -0.5   0.8    497  ████████████████████
---  0.8   2.1    188  ███████▋
---  2.1   3.4     21  ▉
--- ```
---
--- `opts`: `bins` = 16 (at most, for integers); `min`, `max`: the range (default: from the smallest finite element
--- to the largest); `width` = 40, of the longest bar
---@param opts? table
---
--- `result`: { counts, edges (one more than counts; none where there is nothing to count), numel, nan, inf, outside
--- }. Printed, a histogram.
---@return table
function Tensor:hist(opts) end

--- The counts of histogram, with the range as numbers.
---@param bins? integer
---@param low? number with low = high the range is from the smallest element to the largest
---@param high? number
---@return stlua.Tensor # deferred, I64
function Tensor:histc(bins, low, high) end

--- How many elements fall into each of equal parts of a range, the last one closed. Elements outside, and NaN, are
--- not counted. Counts are I64 (torch's are floats, which lose count at 2^24).
--- ```lua
--- > counts, edges = st.tensor({ 0.0, 1, 1, 4 }):histogram(2, { min = 0, max = 4 })
--- > counts
--- Tensor[2 I64, 16 B]
---   3  1
--- > edges
--- { 0.0, 2.0, 4.0 }
--- ```
---@param bins? integer
---@param opts? table `min`, `max`: the range (default: from the smallest element to the largest)
---@return stlua.Tensor # deferred, `bins` counts
---@return number[] # the bins + 1 edges: only with `min` and `max`, else they are not known before the counts
function Tensor:histogram(bins, opts) end

--- sqrt(a * a + b * b), without overflow between.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:hypot(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:hypot_(...) end

--- True if both have the same dtype, shape and bytes. Streams: neither is held in memory.
--- ```lua
--- > t = st.tensor { 1.0, 2 }
--- > t:identical(t:clone()), t:identical(t:cast "F64")
--- true    false
--- ```
---@param other stlua.Tensor
---@return boolean
function Tensor:identical(other) end

--- The way back from fftn.
---@param opts? table `dim` and `s` as of rfftn, `norm` as of irfftn
---@return stlua.Tensor # (.., 2)
function Tensor:ifftn(opts) end

--- The function for t[key]: st.index(t, 2), st.index(t, { { 1, 4 }, {} }). With several keys, one for each dimension:
--- st.index(t, { 1, 4 }, {}) is the same.
---@param ... any integers, and slices { first, last, step }
---@return stlua.Tensor|number # a view; of one element its number
function Tensor:index(...) end

--- Slices of a dimension by their places, in that order: rows of a table of embeddings, say. Only these are read.
---@param dim integer
---@param index stlua.Tensor integers, of one dimension (or none)
---@return stlua.Tensor # deferred
function Tensor:index_select(dim, index) end

--- The same as cast("I32").
---@return stlua.Tensor
function Tensor:int() end

--- Inverse.
---@return stlua.Tensor # (.., n, n)
function Tensor:inverse() end

--- The way back from rfftn, to real numbers. The imaginary parts that such a transform has not are not looked at.
--- ```lua
--- > st.tensor({ 1.0, 2, 3, 4, 5 }):rfftn():irfftn { s = { 5 } }
--- Tensor[5 F32, 20 B]
---   1.0000  2.0000  3.0000  4.0000  5.0000
--- ```
---
--- `opts`: `dim` and `s` as of rfftn, but that the last size is by default 2 (n - 1): an odd one must be given;
--- `norm` = "backward" (divided by the number of elements), "ortho" or "forward" (nothing)
---@param opts? table
---@return stlua.Tensor
function Tensor:irfftn(opts) end

--- True if the last operation is a cast.
---@return boolean
function Tensor:is_cast() end

--- True for values of a file or in memory, false for work still to be done.
---@return boolean
function Tensor:is_leaf() end

--- A mask: where two values are close: |a - b| <= atol + rtol * |b|, or equal, infinite ones too.
---@param b any tensors, numbers or models
---@param opts? table `rtol` = 1e-5, `atol` = 1e-8, `equal_nan` = false
function Tensor:isclose(b, opts) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:isclose_(...) end

--- A mask: where x is neither infinite nor NaN.
function Tensor:isfinite() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:isfinite_(...) end

--- A mask: where x is infinite.
function Tensor:isinf() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:isinf_(...) end

--- A mask: where x is not a number.
--- ```lua
--- > st.tensor({ 1, 0 / 0 }):isnan()
--- Tensor[2 BOOL, 2 B]
---   false   true
--- ```
function Tensor:isnan() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:isnan_(...) end

--- Computes and gives the only element as a number or boolean.
--- ```lua
--- > st.tensor({ 1.5 }):item()
--- 1.5
--- > st.tensor({ 1, 2 }):item()
--- item() wants a tensor of one element, this one has 2
--- ```
---@return number
function Tensor:item() end

--- Kronecker's product: all products of an element of `a` with one of `b`, in blocks of b's shape. Elementwise, so of
--- any dtype.
---@param b stlua.Tensor dimensions that one has not are added in front
---@return stlua.Tensor
function Tensor:kron(b) end

--- The k-th smallest element; NaN counts as the largest. Over all elements it is found by counting, in two
--- streaming passes (torch's default is the last dimension); along a dimension rows are sorted in memory.
--- ```lua
--- > st.tensor({ 7.0, 1, 5, 3 }):kthvalue(2):item()
--- 3.0
--- ```
---@param k integer from 1
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
---@return stlua.Tensor? # along a dimension: I64, the places
function Tensor:kthvalue(k, opts) end

--- A mask: where a <= b.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:le(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:le_(...) end

--- Interpolates towards another tensor: st.lerp(t, other, weight).
---@param other any tensor or number
---@param weight any number or tensor
---@return stlua.Tensor
function Tensor:lerp(other, weight) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:lerp_(...) end

--- The linear assignment problem: pairs of a row and a column, no row and no column twice, as many as the matrix has
--- of the fewer, whose costs add up to the least. As scipy.optimize.linear_sum_assignment. Exact, in F64; a random
--- matrix of 5,632 rows takes seconds, costs that are products of two vectors minutes. Of equal sums always the same
--- one is found.
--- ```lua
--- > rows, columns = st.linear_sum_assignment(st.tensor { { 4.0, 1, 3 }, { 2, 0, 5 }, { 3, 2, 2 } })
--- > columns
--- Tensor[3 I64, 24 B]
---   2  1  3
--- ```
---@param opts? table `maximize` = true: the largest sum
---@return stlua.Tensor # rows, ascending (.., k), k the smaller of m and n, I64
---@return stlua.Tensor # columns (.., k), I64
function Tensor:linear_sum_assignment(opts) end

--- Natural logarithm.
---@return stlua.Tensor # deferred
function Tensor:log() end

--- Logarithm to base 10.
---@return stlua.Tensor # deferred
function Tensor:log10() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:log10_(...) end

--- log(1 + x), exact near zero.
---@return stlua.Tensor # deferred
function Tensor:log1p() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:log1p_(...) end

--- Logarithm to base 2.
---@return stlua.Tensor # deferred
function Tensor:log2() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:log2_(...) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:log_(...) end

--- The logarithm of softmax, exact where that is near 0.
---@param dim? integer
---@return stlua.Tensor # deferred
function Tensor:log_softmax(dim) end

--- A mask: where both are other than 0.
---@param b any tensors, numbers, booleans or models
function Tensor:logical_and(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:logical_and_(...) end

--- A mask: where x is 0.
function Tensor:logical_not() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:logical_not_(...) end

--- A mask: where one or both are other than 0.
---@param b any tensors, numbers, booleans or models
function Tensor:logical_or(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:logical_or_(...) end

--- A mask: where just one is other than 0.
---@param b any tensors, numbers, booleans or models
function Tensor:logical_xor(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:logical_xor_(...) end

--- The logarithm of the sum of all exp(x), without overflow.
---@param dim? integer|table (PyTorch has no default)
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function Tensor:logsumexp(dim, opts) end

--- The same as cast("I64").
---@return stlua.Tensor
function Tensor:long() end

--- A mask: where a < b.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:lt(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:lt_(...) end

--- x with another value where the mask is true; the dtype stays that of x.
--- ```lua
--- > t = st.tensor { -1.0, 2 }
--- > t:masked_fill(t:lt(0), 0)
--- Tensor[2 F32, 8 B]
---   0.0000  2.0000
--- ```
---@param mask any a BOOL tensor
---@param value any a number, or a tensor
function Tensor:masked_fill(mask, value) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:masked_fill_(...) end

--- The elements where a mask is true, as a vector. Shapes broadcast. Computes: how many there are is not known before.
---@param mask stlua.Tensor BOOL
---@return stlua.Tensor
function Tensor:masked_select(mask) end

--- Matrix product. Two vectors give their scalar product, a vector counts as a row on the left and as a column on
--- the right; stacks broadcast. Floats narrower than F32 are multiplied in F32; a large one is never held whole in F32
--- when it is the left operand, or a transposed right one, as in x:matmul(w:t()). A product with a small inner size, at
--- most 512 and a quarter of both sides, is not held either: w + up:matmul(down) is made as it is written.
--- ```lua
--- > a = st.tensor { { 1.0, 2 }, { 3, 4 } }
--- > a:matmul(st.eye(2) * 2)
--- Tensor[2x2 F32, 16 B]
---   2.0000  4.0000
---   6.0000  8.0000
--- > a:matmul(st.ones(2))
--- Tensor[2 F32, 8 B]
---   3.0000  7.0000
--- ```
---@param b stlua.Tensor (.., k, n)
---@return stlua.Tensor # (.., m, n) of the common dtype
function Tensor:matmul(b) end

--- The largest element, NaN if there is one: over all; along a dimension with the places, as a second result; or,
--- with a tensor as operand, elementwise.
--- ```lua
--- > values, places = st.tensor({ { 3, 9 }, { 8, 1 } }):max(2)
--- > values
--- Tensor[2 I64, 16 B]
---   9  8
--- > places
--- Tensor[2 I64, 16 B]
---   2  1
--- > st.max(st.tensor { 1, 5 }, st.tensor { 4, 2 })
--- Tensor[2 I64, 16 B]
---   4  5
--- ```
---@param dim? integer|stlua.Tensor a dimension, or the other operand
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
---@return stlua.Tensor? # along a dimension: I64, the first place of each maximum
function Tensor:max(dim, opts) end

--- The larger of two values, elementwise; NaN where either is NaN.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:maximum(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:maximum_(...) end

--- Mean of the elements; NaN of none.
--- ```lua
--- > st.tensor({ 1.0, 2, 6 }):mean():item()
--- 3.0
--- ```
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function Tensor:mean(dim, opts) end

--- The lower median; NaN if there is one. Over all elements it is found by counting, in two streaming passes; along
--- a dimension rows are sorted in memory.
--- ```lua
--- > st.tensor({ 7.0, 1, 5, 3 }):median():item()
--- 3.0
--- ```
---@param dim? integer
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
---@return stlua.Tensor? # along a dimension: I64, the places
function Tensor:median(dim, opts) end

--- The smallest element, NaN if there is one: over all; along a dimension with the places, as a second result; or,
--- with a tensor as operand, elementwise.
---@param dim? integer|stlua.Tensor a dimension, or the other operand
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
---@return stlua.Tensor? # along a dimension: I64, the first place of each minimum
function Tensor:min(dim, opts) end

--- The smaller of two values, elementwise; NaN where either is NaN.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:minimum(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:minimum_(...) end

--- Product of two matrices: matmul for exactly two dimensions.
---@param b stlua.Tensor (k, n)
---@return stlua.Tensor # (m, n)
function Tensor:mm(b) end

--- One dimension moved to another place, the others keep their order. A view.
---@param from integer
---@param to integer
function Tensor:movedim(from, to) end

--- Product, elementwise: `a * b`.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:mul(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:mul_(...) end

--- Product of a matrix and a vector: matmul for just these.
---@param b stlua.Tensor (k)
---@return stlua.Tensor # (m)
function Tensor:mv(b) end

--- x with numbers in place of NaN and the infinities.
---@param nan? number
---@param posinf? number by default the largest number of the dtype
---@param neginf? number by default the smallest
function Tensor:nan_to_num(nan, posinf, neginf) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:nan_to_num_(...) end

--- Mean of the elements that are not NaN; NaN of none.
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function Tensor:nanmean(dim, opts) end

--- Sum of the elements that are not NaN.
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function Tensor:nansum(dim, opts) end

--- A part of one dimension: `length` elements from `first` on. A view.
--- ```lua
--- > st.arange(6):narrow(1, 2, 3)
--- Tensor[3 I64, 24 B]
---   1  2  3
--- ```
---@param dim integer negative from the end
---@param first integer negative from the end
---@param length integer
---@param step? integer distance of the elements; negative goes backwards
---@return stlua.Tensor
function Tensor:narrow(dim, first, length, step) end

--- Size in bytes, as it would be saved.
---@return integer
function Tensor:nbytes() end

--- Number of dimensions.
---@return integer
function Tensor:ndim() end

--- A mask: where two values differ.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:ne(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:ne_(...) end

--- The opposite: `-x`.
---@return stlua.Tensor # deferred
function Tensor:neg() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:neg_(...) end

--- Where elements are not 0: a row of places for each, one place for each dimension. Computes: how many there are is
--- not known before.
---@return stlua.Tensor # I64, of (elements, dimensions)
function Tensor:nonzero() end

--- Norm of the elements as of one vector: (sum |x|^p)^(1/p).
--- ```lua
--- > st.tensor({ 3.0, 4 }):norm():item()
--- 5.0
--- > st.tensor({ 3.0, -4 }):norm(1):item()
--- 7.0
--- ```
---
--- `p`: any number, math.huge, -math.huge, 0 (counts), "fro" (2), or "nuc": the sum of the singular values
---@param p? number|string
---@param opts? table `dim`, `keepdim`, `p`
---@return stlua.Tensor # deferred
function Tensor:norm(p, opts) end

--- Sum of the singular values; also a:norm("nuc").
---@return stlua.Tensor # (..)
function Tensor:nuclear_norm() end

--- Number of elements.
---@return integer
function Tensor:numel() end

--- A tensor of ones in the shape and dtype of another.
---@param opts? table `dtype`
---@return stlua.Tensor
function Tensor:ones_like(opts) end

--- All products of an element of one vector with one of another. Elementwise, so of any dtype.
--- ```lua
--- > st.outer(st.tensor { 1.0, 2 }, st.tensor { 3.0, 4 })
--- Tensor[2x2 F32, 16 B]
---   3.0000  4.0000
---   6.0000  8.0000
--- ```
---@param b stlua.Tensor (n)
---@return stlua.Tensor # (m, n)
function Tensor:outer(b) end

--- Adds elements of one value around: `pads` holds how many before and behind, of the last dimension, then of the one
--- before it, and so on. Negative numbers cut.
--- ```lua
--- > st.tensor({ 1, 2 }):pad { 1, 2 }
--- Tensor[5 I64, 40 B]
---   0  1  2  0  0
--- ```
---@param pads integer[]
---@param opts? table `value` = 0
function Tensor:pad(pads, opts) end

--- Dimensions in another order: dimension d of the result is the d-th that is given. A view.
--- ```lua
--- > st.zeros(2, 3, 4):permute(3, 1, 2):shape()
--- { 4, 2, 3 }
--- ```
---@param dims any each once, one by one or as a table; negative from the end
---@return stlua.Tensor
function Tensor:permute(dims) end

--- Pseudo-inverse of Moore and Penrose, by svd: singular values up to rtol times the largest count as 0.
---@param opts? table `rtol`: by default the larger of m and n times the precision of F32 (F64)
---@return stlua.Tensor # (.., n, m)
function Tensor:pinv(opts) end

--- Power, elementwise: `a ^ b`.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:pow(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:pow_(...) end

--- Product of the elements; of integers in I64, wrapping.
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function Tensor:prod(dim, opts) end

--- Orthonormal and triangular factor: a = Q R, reduced, with the signs of Householder's reflections.
---@return stlua.Tensor # Q (.., m, k), k the smaller of m and n
---@return stlua.Tensor # R (.., k, n)
function Tensor:qr() end

--- The quantised layout that a file's tensor belongs to, such as "bnb nf4". Such tensors can be copied, not computed
--- with.
---@return string?
function Tensor:quant() end

--- Quantiles. Over all elements they are found by counting, in streaming passes, as F64; along a dimension rows are
--- sorted in memory. NaN if there is a NaN.
--- ```lua
--- > t = st.tensor { 0.0, 1, 2, 3 }
--- > t:quantile(0.5):item()
--- 1.5
--- > t:quantile { 0.1, 0.9 }
--- Tensor[2 F64, 16 B]
---   0.3000  2.7000
--- > t:quantile(0.5, { interpolation = "lower" }):item()
--- 1.0
--- ```
---@param q number|table between 0 and 1; over all elements also a list, whose quantiles come as one tensor
---
--- `opts`: `dim`, `keepdim`; `interpolation` = "linear" (default), "lower", "higher", "nearest", "midpoint"
---@param opts? table
---@return stlua.Tensor # deferred
function Tensor:quantile(q, opts) end

--- Numbers from [0, 1) in the shape and dtype of a tensor.
---@param opts? table `dtype`, `seed`, `name`
---@return stlua.Tensor
function Tensor:rand_like(opts) end

--- Normal numbers in the shape and dtype of a tensor.
---@param opts? table `dtype`, `seed`, `name`
---@return stlua.Tensor
function Tensor:randn_like(opts) end

--- 1 / x.
function Tensor:reciprocal() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:reciprocal_(...) end

--- x where it is positive, else 0.
function Tensor:relu() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:relu_(...) end

--- Remainder with the sign of `b`, as Lua's `%`.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:remainder(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:remainder_(...) end

--- The tensor repeated along its dimensions; further dimensions come in front. Also t["repeat"], as PyTorch calls it:
--- `repeat` is a word of Lua.
--- ```lua
--- > st.tensor({ 1, 2 }):tile(2, 2)
--- Tensor[2x4 I64, 64 B]
---   1  2  1  2
---   1  2  1  2
--- ```
---@param ... any how often, for each dimension, one by one or as a table
Tensor["repeat"] = function(self, ...) end

--- Each element, or each slice of a dimension, repeated in place: of 1, 2 three times 1, 1, 1, 2, 2, 2.
---@param count integer
---@param dim? integer without it the tensor is taken as one row
function Tensor:repeat_interleave(count, dim) end

--- The same elements in another shape: a view of the tensor where its elements lie so, else a tensor of its own.
--- ```lua
--- > st.arange(6):reshape(2, -1)
--- Tensor[2x3 I64, 48 B]
---   0  1  2
---   3  4  5
--- ```
---@param sizes any one by one or as a table; one of them may be -1: what the others leave
---@return stlua.Tensor
function Tensor:reshape(sizes) end

--- Discrete Fourier transform of real numbers. Of the last dimension only the first n // 2 + 1 values are given: the
--- others are their conjugates.
--- ```lua
--- > st.tensor({ 1.0, 2, 3, 4 }):rfftn()
--- Tensor[3x2 F32, 24 B]
---   10.0000   0.0000
---   -2.0000   2.0000
---   -2.0000   0.0000
--- ```
---
--- `opts`: `dim` = a dimension, or a list of them: by default all; `s` = as many sizes, to which they are cut, or
--- continued by zeros, before; `norm` = "backward" (nothing), "ortho" (divided by the root of the number of
--- elements) or "forward" (divided by their number)
---@param opts? table
---@return stlua.Tensor # x's shape, the last of `dim` n // 2 + 1 long, and a dimension of 2
function Tensor:rfftn(opts) end

--- Elements moved along a dimension by `shift` places; those that leave at one end come in at the other.
--- ```lua
--- > st.tensor({ 1, 2, 3, 4 }):roll(1)
--- Tensor[4 I64, 32 B]
---   4  1  2  3
--- ```
---@param shift integer
---@param dim? integer without it the tensor is taken as one row
function Tensor:roll(shift, dim) end

--- Rounds to the nearest integer, halves to the even one.
---@return stlua.Tensor # deferred
function Tensor:round() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:round_(...) end

--- 1 / sqrt(x).
function Tensor:rsqrt() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:rsqrt_(...) end

--- One element of a dimension, which the result has no longer: `t:select(1, i)` is `t[i]`. A view.
--- ```lua
--- > t = st.tensor { { 1, 2 }, { 3, 4 } }
--- > t:select(2, -1)
--- Tensor[2 I64, 16 B]
---   2  4
--- ```
---@param dim integer negative from the end
---@param index integer negative from the end
---@return stlua.Tensor
function Tensor:select(dim, index) end

--- Its sizes: { 2, 3 }; an empty table for a tensor without dimensions.
---@return integer[]
function Tensor:shape() end

--- 1 / (1 + exp(-x)).
---@return stlua.Tensor # deferred
function Tensor:sigmoid() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:sigmoid_(...) end

--- -1, 0 or 1 by the sign.
---@return stlua.Tensor # deferred
function Tensor:sign() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:sign_(...) end

--- x * sigmoid(x).
function Tensor:silu() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:silu_(...) end

--- Sine.
---@return stlua.Tensor # deferred
function Tensor:sin() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:sin_(...) end

--- Hyperbolic sine.
---@return stlua.Tensor # deferred
function Tensor:sinh() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:sinh_(...) end

--- All sizes, as shape gives them, or that of one dimension.
---@param dim? integer negative from the end
---@return integer[]|integer
function Tensor:size(dim) end

--- exp(x) over the sum of all exp(x) along a dimension.
---@param dim? integer
---@return stlua.Tensor # deferred
function Tensor:softmax(dim) end

--- log(1 + exp(x)), without overflow: max(x, 0) + log1p(exp(-|x|)).
function Tensor:softplus() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:softplus_(...) end

--- The solution X of a X = b. b is a vector (or a stack of them, as many as there are matrices) or a matrix of columns.
--- ```lua
--- > st.solve(st.tensor { { 2.0, 0 }, { 0, 4 } }, st.tensor { 2.0, 2 })
--- Tensor[2 F32, 8 B]
---   1.0000  0.5000
--- ```
---@param b stlua.Tensor (.., n) or (.., n, columns)
---@return stlua.Tensor # of b's shape, stacks broadcast
function Tensor:solve(b) end

--- Sorts along a dimension, stably; NaN counts as the largest.
--- ```lua
--- > values, places = st.tensor({ 7, 1, 5 }):sort({ descending = true })
--- > values
--- Tensor[3 I64, 24 B]
---   7  5  1
--- > places
--- Tensor[3 I64, 24 B]
---   1  3  2
--- ```
---@param dim? integer
---@param opts? table `dim`, `descending`, `stable` (always so)
---@return stlua.Tensor # values
---@return stlua.Tensor # their places before, I64
function Tensor:sort(dim, opts) end

--- Where a file's tensor lies; nothing for one that is computed.
---@return string? # the file
---@return string? # its name there
function Tensor:source() end

--- Parts of `size` elements along a dimension, the last with what is left; or parts of the given sizes. Views.
--- ```lua
--- > parts = st.arange(5):split(2)
--- > #parts, parts[2]
--- 3
--- Tensor[2 I64, 16 B]
---   2  3
--- ```
---@param size integer[]|integer
---@param dim? integer
---@return stlua.Tensor[]
function Tensor:split(size, dim) end

--- Square root.
---@return stlua.Tensor # deferred
function Tensor:sqrt() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:sqrt_(...) end

--- x * x.
function Tensor:square() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:square_(...) end

--- Without dimensions of size 1: all of them, or this one. A view.
--- ```lua
--- > st.zeros(1, 3, 1):squeeze():shape()
--- { 3 }
--- ```
---@param dim? integer stays if its size is not 1
function Tensor:squeeze(dim) end

--- What the values of tensors are like: least, greatest, mean, standard deviation (over n - 1), and how many are NaN or
--- infinite. NaN carries over into the first four; `finite` has those of the finite values then. Every tensor is read
--- once, those with infinities twice, with NaN three times.
--- ```lua
--- > s = st.stats(st.tensor { 1.0, 2, 3 })
--- > s.min, s.max, s.mean, s.std, s.nan
--- 1.0     3.0     2.0     1.0     0
--- ```
---
--- `result`: of a tensor: { min, max, mean, std, nan, inf, finite, numel, dtype, shape }; of a model: such a table
--- for each name, in order with `name` added, and by name. One that cannot be computed on has `skipped` = why.
--- Printed, a table.
---@return table
function Tensor:stats() end

--- Standard deviation: the root of the variance.
--- ```lua
--- > st.tensor({ 1.0, 2, 3 }):std():item()
--- 1.0
--- ```
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`, `correction` (1)
---@return stlua.Tensor # deferred
function Tensor:std(dim, opts) end

--- Difference, elementwise: `a - b`.
---@param b stlua.Tensor|number
---@return stlua.Tensor # deferred
function Tensor:sub(b) end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:sub_(...) end

--- Sum of the elements; of integers and booleans in I64, wrapping.
--- ```lua
--- > t = st.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
--- > t:sum():item()
--- 21
--- > t:sum(2)
--- Tensor[2 I64, 16 B]
---    6  15
--- > t:sum(2, { keepdim = true }):shape()
--- { 2, 1 }
--- ```
---@param dim? integer|table one dimension or a list of them (default: all)
---@param opts? table `dim`; `keepdim` = true keeps reduced dimensions with size 1
---@return stlua.Tensor # deferred
function Tensor:sum(dim, opts) end

--- Singular values and vectors: a = U diag(S) Vh, S descending. Signs: in each column of U the entry of largest
--- magnitude (the first of equal ones) is positive. Unlike torch.linalg.svd it gives the reduced factors unless told.
--- ```lua
--- > a = st.tensor { { 3.0, 0 }, { 0, 2 } }
--- > u, s, vh = a:svd()
--- > s
--- Tensor[2 F32, 8 B]
---   3.0000  2.0000
--- > ((u * s):matmul(vh) - a):abs():amax() < 1e-6
--- true
--- ```
---@param opts? table `full_matrices` = true: square U and Vh
---@return stlua.Tensor # U (.., m, k), k the smaller of m and n
---@return stlua.Tensor # S (.., k)
---@return stlua.Tensor # Vh (.., k, n)
function Tensor:svd(opts) end

--- The k largest singular values and vectors by subspace iteration from a random start (Halko, Martinsson and Tropp,
--- 2011, algorithms 4.4 and 5.1; k + max(8, k / 4) columns are iterated): far less work than svd, on a matrix of which
--- no more than parts need be in memory. Where k is about half of the smaller size or more, the exact way is taken.
---
--- The fourth result certifies the others: { the matrix's Frobenius norm, the share of its square that the k values
--- hold, the share that the whole subspace holds }. No k values can hold more than the second plus 1 minus the third.
--- ```lua
--- > a = st.outer(st.ones(40), st.arange(30):cast "F32")      -- of rank 1
--- > u, s, v, certificate = a:svd_lowrank(1)
--- > u:shape(), s:shape(), v:shape()
--- { 40, 1 }       { 1 }   { 30, 1 }
--- > (certificate[2] > 0.9999), ((u * s):matmul(v:t()) - a):abs():amax() < 1e-3
--- true    true
--- ```
---@param k? integer
---@param opts? table `niter` = 2 iterations; `seed` = 0
---@return stlua.Tensor # U (m, k)
---@return stlua.Tensor # S (k)
---@return stlua.Tensor # V (n, k): not transposed, as in PyTorch
---@return stlua.Tensor # the certificate (3)
function Tensor:svd_lowrank(k, opts) end

--- Singular values, descending.
---@return stlua.Tensor # (.., k)
function Tensor:svdvals() end

--- The same as transpose. A view.
---@param a integer
---@param b integer
function Tensor:swapaxes(a, b) end

--- The transposed matrix; a vector or a number as it is. A view.
--- ```lua
--- > st.tensor({ { 1, 2, 3 }, { 4, 5, 6 } }):t()
--- Tensor[3x2 I64, 48 B]
---   1  4
---   2  5
---   3  6
--- ```
function Tensor:t() end

--- Tangent.
---@return stlua.Tensor # deferred
function Tensor:tan() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:tan_(...) end

--- Hyperbolic tangent.
---@return stlua.Tensor # deferred
function Tensor:tanh() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:tanh_(...) end

--- The tensor repeated along its dimensions; further dimensions come in front. Also t["repeat"], as PyTorch calls it:
--- `repeat` is a word of Lua.
--- ```lua
--- > st.tensor({ 1, 2 }):tile(2, 2)
--- Tensor[2x4 I64, 64 B]
---   1  2  1  2
---   1  2  1  2
--- ```
---@param ... any how often, for each dimension, one by one or as a table
function Tensor:tile(...) end

--- The same as cast.
---@param dtype string in any case
---@param opts? table as of cast
---@return stlua.Tensor
function Tensor:to(dtype, opts) end

--- The same as totable.
---@return table
function Tensor:tolist() end

--- The k largest elements along a dimension, in order.
--- ```lua
--- > values, places = st.tensor({ 7, 1, 5, 3 }):topk(2)
--- > values
--- Tensor[2 I64, 16 B]
---   7  5
--- > places
--- Tensor[2 I64, 16 B]
---   1  3
--- ```
---@param k integer
---@param opts? table `dim` (-1), `largest` = false for the smallest, `sorted` (always so)
---@return stlua.Tensor # values
---@return stlua.Tensor # their places, I64
function Tensor:topk(k, opts) end

--- Computes and gives nested tables of numbers or booleans.
--- ```lua
--- > st.tensor({ { 1, 2 }, { 3, 4 } }):totable()
--- { { 1, 2 }, { 3, 4 } }
--- ```
---@return table
function Tensor:totable() end

--- Sum of the main diagonal of a matrix.
---@return stlua.Tensor # without dimensions: F64, or I64 of integers
function Tensor:trace() end

--- Two dimensions exchanged. A view.
--- ```lua
--- > st.zeros(2, 3, 4):transpose(1, -1):shape()
--- { 4, 3, 2 }
--- ```
---@param a integer
---@param b integer
function Tensor:transpose(a, b) end

--- The lower triangle of matrices, the rest 0.
---@param diagonal? integer the highest one that stays: 1 is above the main one, -1 below
---@return stlua.Tensor
function Tensor:tril(diagonal) end

--- The upper triangle of matrices, the rest 0.
---@param diagonal? integer the lowest one that stays: 1 is above the main one, -1 below
---@return stlua.Tensor
function Tensor:triu(diagonal) end

--- Rounds towards zero.
---@return stlua.Tensor # deferred
function Tensor:trunc() end

--- The operation of the same name without `_`, whose result is written into the tensor. Returns the tensor.
---@param ... any the other operands
function Tensor:trunc_(...) end

--- All tensors t[1], t[2], ... along a dimension, as a list. Views.
--- ```lua
--- > q, k = table.unpack(st.tensor({ { 1, 2 }, { 3, 4 } }):unbind())
--- > k
--- Tensor[2 I64, 16 B]
---   3  4
--- ```
---@param dim? integer
---@return stlua.Tensor[]
function Tensor:unbind(dim) end

--- One dimension as several. A view.
---@param dim integer
---@param sizes integer[] whose product is its size; one may be -1
function Tensor:unflatten(dim, sizes) end

--- The distinct values of all elements, in order. Computes: how many there are is not known before.
--- ```lua
--- > values, counts = st.tensor({ 3, 1, 3 }):unique { counts = true }
--- > values
--- Tensor[2 I64, 16 B]
---   1  3
--- > counts
--- Tensor[2 I64, 16 B]
---   1  2
--- ```
---@param opts? table `inverse`, `counts` = true for the further results, in this order
---@return stlua.Tensor # values
---@return stlua.Tensor? # inverse: for each element the place of its value, I64
---@return stlua.Tensor? # counts: how often each value is there, I64
function Tensor:unique(opts) end

--- A new dimension of size 1. A view.
--- ```lua
--- > st.zeros(2, 3):unsqueeze(2):shape()
--- { 2, 1, 3 }
--- ```
---@param dim integer where it is in the result
function Tensor:unsqueeze(dim) end

--- Computes and gives elements in row-major order, as numbers or booleans.
--- ```lua
--- > st.tensor({ { 1, 2 }, { 3, 4 } }):values(2, 2)
--- { 2, 3 }
--- ```
---@param first? integer
---@param count? integer (default: all that follow)
---@return number[]
function Tensor:values(first, count) end

--- Variance: the squares around the mean, over n - correction. Means and squares of blocks are joined as by Chan,
--- Golub and LeVeque (1983), so that nothing cancels.
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`, `correction` (1; 0 gives the population's)
---@return stlua.Tensor # deferred
function Tensor:var(dim, opts) end

--- As reshape, but always a view: through it the tensor can be written to.
--- ```lua
--- > t = st.arange(4)
--- > t:view(2, 2)[{ 2, 1 }] = 9
--- > t
--- Tensor[4 I64, 32 B]
---   0  1  9  3
--- > t:view(3)
--- view: [4] has 4 elements, which do not fit [3]
--- ```
---@param sizes any one by one or as a table; one of them may be -1
---@return stlua.Tensor
function Tensor:view(sizes) end

--- Elements of `a` where the mask is true, of `b` where it is false.
--- ```lua
--- > t = st.tensor { -1.0, 2, -3 }
--- > st.where(t:gt(0), t, 0)
--- Tensor[3 F32, 12 B]
---   0.0000  2.0000  0.0000
--- ```
---@param a any tensor or number
---@param b any tensor or number
---@return any # a deferred tensor
function Tensor:where(a, b) end

--- Writes 0 everywhere.
---@return stlua.Tensor # the same
function Tensor:zero_() end

--- A tensor of zeros in the shape and dtype of another.
---@param opts? table `dtype`
---@return stlua.Tensor
function Tensor:zeros_like(opts) end

---@class stlua.Model
---@operator add(stlua.Model|number): stlua.Model
---@operator sub(stlua.Model|number): stlua.Model
---@operator mul(stlua.Model|number): stlua.Model
---@operator div(stlua.Model|number): stlua.Model
---@operator pow(stlua.Model|number): stlua.Model
---@operator unm: stlua.Model
---@operator concat(stlua.Model|number): stlua.Model
---@operator len: integer
---@field [string] stlua.Tensor
local Model = {}

--- Appends a tensor to a model that was made by `st.model`.
---@param name string
---@param t stlua.Tensor
---@return stlua.Model # the same
function Model:add(name, t) end

--- Casts floating tensors; integers and booleans are never touched.
--- ```lua
--- > a = st.open("a.safetensors")
--- > a:cast("F16", { except = "norm" }):dtype_counts()
--- { BF16 = 4, F16 = 26, I64 = 1 }
--- ```
---@param to string a floating dtype, in any case: "BF16", "F16", "F8_E4M3" ...
---@param opts? table `only`, `except` = patterns; `saturate` = true clamps to the largest finite value
---@return stlua.Model
function Model:cast(to, opts) end

--- Holds the files behind a model against the checksums in them: .npz archives and PyTorch checkpoints have some. All
--- of such a file is read.
---@return stlua.Model # the same
function Model:check() end

--- Releases the files now; otherwise the collector does it.
function Model:close() end

--- Number of tensors; `#m` is the same.
---@return integer
function Model:count() end

--- Number of tensors of each dtype.
--- ```lua
--- > st.open("a.safetensors"):dtype_counts()
--- { BF16 = 30, I64 = 1 }
--- ```
---@return table<string, integer> # such as { BF16 = 199, I64 = 1 }
function Model:dtype_counts() end

--- SHA-256 of a whole file, which is read for it.
---@param i integer which of the files
---@return string
function Model:file_sha256(i) end

--- The files behind an opened model: none for a computed one.
---
--- `result`: { path, format, size, header_bytes, data_start }; of a compressed file, whose size is that of the
--- plain one, also { compression = "zstd", stored = bytes on the disk, seeks = whether a tensor can be read by
--- itself, cut = whether its end seems to be missing }
---@return table[]
function Model:files() end

--- The position of a tensor.
---@param name string
---@return integer?
function Model:find(name) end

--- What was seen in files that are not safetensors: of `kind` "taken" (the part of a checkpoint that the tensors are
--- of), "left" (a part that holds tensors, too), "beside" (other values), "danger" (what Python would run), "unknown"
--- (classes of somebody's program), "skipped" (tensors that cannot be had), "decoded" (tensors made into numbers while
--- they are read), "untold" (metadata that was left out).
---@return table[] # { kind, text, file }
function Model:findings() end

--- How the model was computed, such as "0.5 * a.safetensors + 0.5 * b.safetensors".
---@return string
function Model:formula() end

--- The tensor of that name, whatever methods there are.
--- ```lua
--- > a = st.open("a.safetensors")
--- > a:get("lm_head.weight"):shape()
--- { 256, 64 }
--- > a:get("lm_haed.weight")
--- a.safetensors: no tensor "lm_haed.weight"; did you mean "lm_head.weight"?
--- ```
function Model:get(name) end

--- SHA-256 of the header of a file: it changes with names, shapes, dtypes and metadata.
---@param i integer which of the files
---@return string
function Model:header_sha256(i) end

--- What is known of a tensor without reading it.
--- ```lua
--- > st.open("a.safetensors"):info(1)
--- position_ids    I64     { 1, 77 }       616     0       616
--- ```
---@param i integer position
---@return string # name
---@return string # dtype
---@return integer[] # shape
---@return integer # size in bytes
---@return integer? # begin of its bytes in the file's data, where it is a file's
---@return integer? # end
function Model:info(i) end

--- The union of two models, with the metadata of the first: `a .. b`, where names that both hold may be allowed.
--- ```lua
--- > a = st.model { { "x", st.zeros(2) } }
--- > b = st.model { { "x", st.ones(2) }, { "y", st.ones(2) } }
--- > m = a:merge(b, { clash = "second" })
--- > #m, m.x
--- 2
--- Tensor[2 F32, 8 B]
---   1.0000  1.0000
--- ```
---@param other stlua.Model
---@param opts? table `clash` = "error" (default), "first" or "second": whose tensor is taken
---@return stlua.Model
function Model:merge(other, opts) end

--- Metadata: a table of texts, and the keys in the file's order.
--- ```lua
--- > st.open("a.safetensors"):metadata()
--- { format = "pt" }       { "format" }
--- ```
---@return table<string, string> # texts by key
---@return string[] # keys
function Model:metadata() end

--- The name of a tensor.
---@param i integer position in the model's order; -1 is the last
---@return string
function Model:name(i) end

--- Remarks on how the model came about, one line each: dtypes that differed, tensors that were missing.
---@return string[]
function Model:notes() end

--- Renames tensors. `m:rename("model.*", "*")` cuts a prefix, `m:rename("attn", "attention")` replaces text,
--- `m:rename { old = "new" }` renames single tensors, `m:rename(function(name) ... end)` does the rest (nil keeps a
--- name).
--- ```lua
--- > a = st.open("a.safetensors"):select("*.0.norm*", "lm_head")
--- > a:rename("model.*", "*"):name(1)
--- lm_head.weight
--- > a:rename { ["lm_head.weight"] = "output.weight" }:name(2)
--- model.layers.0.norm.weight
--- > a:rename(function(name) return name:upper() end):name(1)
--- LM_HEAD.WEIGHT
--- > a:rename(function() return "x" end)
--- "lm_head.weight" and "model.layers.0.norm.weight" would both be "x"
--- ```
---@return stlua.Model
function Model:rename(what, to) end

--- A listing as text, made fast for models with many thousand tensors.
---@param first? integer
---@param last? integer
---@param style? string "table" (aligned columns) or "json"
---@return string
---@return integer? # widths of the columns name, dtype, shape and size of a table
function Model:rows(first, last, style) end

--- Computes and writes one model. All or nothing: on any failure the old file is left whole.
--- ```lua
--- > half = 0.5 * st.open("a.safetensors") + 0.5 * st.open("b.safetensors")
--- > half:save("half.safetensors", { dtype = "F16" })
--- 332312
--- > st.open("half.safetensors"):dtype_counts()
--- { F16 = 30, I64 = 1 }
--- ```
---@param path string the file, or with `max_shard_size` the folder
---
--- `opts`: `dtype` of all floating tensors, `saturate` (F8: clamp instead of NaN or infinity); `sync` = false
--- leaves out the syncs, `replace` = false refuses an existing file, `force` = true lets a folder replace another
--- model; `max_shard_size` = "5GB" writes shards and an index; `align` = 64 or 4096 aligns the data section;
--- `files` = { ["config.json"] = text, ... } go into the folder of shards in the same step; `only_file` = the name
--- of its file of weights where one is enough, "model.safetensors" if not told; `compress` = "zstd" writes
--- compressed files, whose names end in .safetensors.zst and which every function reads; a path that ends so says
--- it, too; `metadata` = keys to set (false removes one); `recipe` = false leaves the recipe out, a table adds to
--- it; `hash_inputs` = true adds the SHA-256 of whole inputs to the recipe; `resume` = true keeps what is done,
--- under a hidden name beside the file, if the save is interrupted or killed, and goes on from it when the same is
--- saved again: same inputs (they must be files), same operations, same options. The bytes are those of a save in
--- one go. The next save to that file removes what it cannot go on from
---@param opts? table
---@return integer # bytes written; of compressed files those before compression
---@return integer? # of compressed files, what they take on the disk
function Model:save(path, opts) end

--- The tensors whose names match any of the patterns, in the model's order.
--- ```lua
--- > a = st.open("a.safetensors")
--- > a:select("*.layers.0.*norm*", "lm_head")
--- Model[2 tensors, 32.1 KiB: 2 BF16]
---   = select(a.safetensors)
---   lm_head.weight              BF16 [256, 64]  32.0 KiB
---   model.layers.0.norm.weight  BF16 [64]          128 B
---   metadata: format
--- ```
---
--- `...`: patterns ("*" and "?" are wild, plain text matches anywhere), a list of them, or a function name ->
--- boolean
---@param ... any
---@return stlua.Model
function Model:select(...) end

--- Puts a tensor into this very model: in the place of the one of that name, or behind the last. `m[name] = t` is the
--- same. Models that were computed from this one before do not change.
--- ```lua
--- > m = st.model {}
--- > m.a = st.ones(2)
--- > m:set("b", st.zeros(2))
--- Model[2 tensors, 16 B: 2 F32]
---   = model
---   note: "a" was set by the script
---   note: "b" was set by the script
---   a  F32 [2]  8 B
---   b  F32 [2]  8 B
--- > #m, m:name(2)
--- 2       b
--- ```
---@param name string
---@param t stlua.Tensor
---@return stlua.Model # the same
function Model:set(name, t) end

--- Sets one metadata text of this very model; `with_metadata` gives a changed model instead.
---@param key string
---@param value? string nil removes the key
---@return stlua.Model # the same
function Model:set_meta(key, value) end

--- What the values of tensors are like: least, greatest, mean, standard deviation (over n - 1), and how many are NaN or
--- infinite. NaN carries over into the first four; `finite` has those of the finite values then. Every tensor is read
--- once, those with infinities twice, with NaN three times.
--- ```lua
--- > s = st.stats(st.tensor { 1.0, 2, 3 })
--- > s.min, s.max, s.mean, s.std, s.nan
--- 1.0     3.0     2.0     1.0     0
--- ```
---
--- `result`: of a tensor: { min, max, mean, std, nan, inf, finite, numel, dtype, shape }; of a model: such a table
--- for each name, in order with `name` added, and by name. One that cannot be computed on has `skipped` = why.
--- Printed, a table.
---@return table
function Model:stats() end

--- A table of what is in the model: one line for each kind of tensor, with how many there are, parameters and size.
--- Numbered layers that are alike are one line.
---@return string
function Model:summary() end

--- The tensor at a position.
---@param i integer
---@return stlua.Tensor
function Model:tensor(i) end

--- Names of tensors that a checkpoint stores once, such as an embedding and the output layer tied to it.
---@return {string[] # lists of names
function Model:tied() end

--- The same tensors under changed metadata.
--- ```lua
--- > a = st.open("a.safetensors"):with_metadata { title = "Mine", format = false }
--- > a:metadata()
--- { title = "Mine" }      { "title" }
--- ```
---@param changes table key -> string or number; false removes a key
---@return stlua.Model
function Model:with_metadata(changes) end

--- All tensors but those whose names match any of the patterns.
--- ```lua
--- > a = st.open("a.safetensors")
--- > #a, #a:without("mlp", "*.norm.*")
--- 31      19
--- ```
---@param ... any as of select; a pattern that matches nothing leaves nothing out
---@return stlua.Model
function Model:without(...) end

---@class stlua
local st = {}

--- Absolute value.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.abs(x) end

--- Inverse cosine, in radians.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.acos(x) end

--- Sum, elementwise: `a + b`.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.add(a, b) end

--- x + value * a / b.
---@param x any
---@param a any
---@param b any tensors or models
---@param opts? table `value` = 1
function st.addcdiv(x, a, b, opts) end

--- x + value * a * b.
---@param x any
---@param a any
---@param b any tensors or models
---@param opts? table `value` = 1
function st.addcmul(x, a, b, opts) end

--- True (BOOL) where no element is 0.
---@param t stlua.Tensor
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function st.all(t, dim, opts) end

--- True if all values are close, as isclose tells. Shapes broadcast. Computes, streaming.
---@param a stlua.Tensor
---@param b stlua.Tensor or a number
---@param opts? table `rtol` = 1e-5, `atol` = 1e-8, `equal_nan` = false
---@return boolean
function st.allclose(a, b, opts) end

--- The largest elements along any dimensions, without places.
---@param t stlua.Tensor
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function st.amax(t, dim, opts) end

--- The smallest elements along any dimensions, without places.
---@param t stlua.Tensor
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function st.amin(t, dim, opts) end

--- True (BOOL) where any element is not 0. NaN is not 0.
---@param t stlua.Tensor
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function st.any(t, dim, opts) end

--- Applies an operation by name; what st.add, st.where, st.exp ... and the operators of models do.
---@param name string
---@param ... any tensors and numbers, or models and numbers
---@return any # a deferred tensor, or a model
function st.apply(name, ...) end

--- The numbers first, first + step ... as long as they are below `stop` (above it for a negative step). With one
--- argument: 0, 1 ... stop - 1. These are values, not positions, so they are PyTorch's: `stop` is left out.
--- ```lua
--- > st.arange(3)
--- Tensor[3 I64, 24 B]
---   0  1  2
--- > st.arange(10, 0, -4)
--- Tensor[3 I64, 24 B]
---   10   6   2
--- ```
---@param first number
---@param stop? number
---@param step? number
---@param opts? table `dtype`: by default I64 for integers, else F32
---@return stlua.Tensor
function st.arange(first, stop, step, opts) end

--- The place of the first maximum (or NaN), from 1: in row-major order, or along a dimension.
--- ```lua
--- > st.tensor({ 3, 9, 4 }):argmax():item()
--- 2
--- ```
---@param t stlua.Tensor
---@param dim? integer
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred, I64
function st.argmax(t, dim, opts) end

--- The place of the first minimum (or NaN), from 1: in row-major order, or along a dimension.
---@param t stlua.Tensor
---@param dim? integer
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred, I64
function st.argmin(t, dim, opts) end

--- The places that sort a tensor along a dimension, stably.
---@param t stlua.Tensor
---@param dim? integer
---@param opts? table `dim`, `descending`, `stable` (always so)
---@return stlua.Tensor # I64
function st.argsort(t, dim, opts) end

--- Inverse sine, in radians.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.asin(x) end

--- Inverse tangent, in radians.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.atan(x) end

--- The angle of the point (x, y), in radians: the inverse tangent of y / x in the right quadrant.
---@param y stlua.Tensor|number|stlua.Model
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.atan2(y, x) end

--- Ones and zeros: 1 with the probability that the tensor has there, in its dtype; or with a number for p a mask (BOOL)
--- of the sizes given. A mask of a tensor's own shape: st.bernoulli(0.1, t:shape(), { seed = 7, name = name }).
---@param p stlua.Tensor|number from 0 to 1; what lies outside counts as 0 or 1
---@param sizes? table for a number
---@param opts? table `seed`, `name`
---@return stlua.Tensor
function st.bernoulli(p, sizes, opts) end

--- Bits that are set in both; of integers and masks.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.bitwise_and(a, b) end

--- Bits of `a` moved left by `b` places.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.bitwise_left_shift(a, b) end

--- All bits flipped; of a mask, its opposite.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.bitwise_not(x) end

--- Bits that are set in either; of integers and masks.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.bitwise_or(a, b) end

--- Bits of `a` moved right by `b` places; the sign stays.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.bitwise_right_shift(a, b) end

--- Bits that are set in one of the two; of integers and masks.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.bitwise_xor(a, b) end

--- A number for each tensor of a diffusion model, by the block it belongs to: for any parameter of st.merge that takes
--- a function. Blocks of Stable Diffusion 1 and 2 are BASE, IN00-IN11, M00, OUT00-OUT11; of XL BASE, IN00-IN08, M00,
--- OUT00-OUT08, VAE; of Flux CLIP, T5, IN, D00-D18, S00-S37, OUT, VAE.
---@param model stlua.Model any of the models that are merged; its names tell the architecture
---
--- `spec`: numbers in the order of the blocks, all of them or all but the first; the name of a preset, such as
--- "GRAD_V"; "IN00-IN03=0.2,OUT*=0.7"; BLOCKS:ELEMENTS:RATIO as supermerger has it, such as "OUT03
--- OUT04:attn1:0.5"; or several of these, of which the last that applies holds. A table is a list of numbers, or {
--- ["IN*"] = 0.2 }
---@param spec string|table
---@return fun(...): any # name -> number, or nil for a block that the spec does not name
function st.block_weights(model, spec) end

--- Products of two stacks of equally many matrices.
---@param a stlua.Tensor (count, m, k)
---@param b stlua.Tensor (count, k, n)
---@return stlua.Tensor # (count, m, n)
function st.bmm(a, b) end

--- The same as expand. A view.
---@param t stlua.Tensor
---@param sizes any one by one or as a table; -1 keeps a size
---@return stlua.Tensor
function st.broadcast_to(t, sizes) end

--- Tensors one behind the other along a dimension; all other sizes agree. Of files' tensors in one dtype it is as
--- light as a file's.
--- ```lua
--- > st.cat { st.tensor { 1, 2 }, st.tensor { 3 } }
--- Tensor[3 I64, 24 B]
---   1  2  3
--- > st.cat({ st.zeros(2, 3), st.ones(2, 1) }, 2):shape()
--- { 2, 4 }
--- ```
---@param tensors stlua.Tensor[]
---@param dim? integer
function st.cat(tensors, dim) end

--- Rounds up to an integer.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.ceil(x) end

--- The lower triangular factor L of a positive definite matrix a = L L'. Only the lower triangle is looked at.
---@param a stlua.Tensor (.., n, n)
---@return stlua.Tensor # (.., n, n)
function st.cholesky(a) end

--- At most `count` parts of equal size (the last may be smaller) along a dimension. Views.
---@param t stlua.Tensor
---@param count integer
---@param dim? integer
---@return stlua.Tensor[]
function st.chunk(t, count, dim) end

--- Limits values to [low, high]; either may be nil. As torch.clamp: where low > high the result is high.
--- ```lua
--- > st.tensor({ -2.0, 0.5, 3 }):clamp(-1, 1)
--- Tensor[3 F32, 12 B]
---   -1.0000   0.5000   1.0000
--- ```
---@param x any tensor or model
---@param low? number|stlua.Tensor
---@param high? number|stlua.Tensor
function st.clamp(x, low, high) end

--- The same as clamp.
---@param x any tensor or model
---@param low? number|stlua.Tensor
---@param high? number|stlua.Tensor
function st.clip(x, low, high) end

--- A copy in memory, computed now, of the declared dtype: it can be written to where a file's tensor cannot.
--- ```lua
--- > t = st.open("a.safetensors")["model.layers.0.norm.weight"]:clone()
--- > t[1] = 0
--- > t[1]
--- 0.0
--- ```
---@param t stlua.Tensor
---@return stlua.Tensor
function st.clone(t) end

--- Writes a safetensors file compressed with zstd, to be read as it is by every function and command, any tensor by
--- itself; `zstd -d` restores it. The header, its padding and the order of tensors stay as they are. The file stays.
--- ```lua
--- > to, bytes = st.compress("a.safetensors", { output = "small.safetensors.zst" })
--- > to
--- small.safetensors.zst
--- > st.open(to):files()[1].size == st.open("a.safetensors"):files()[1].size
--- true
--- ```
---@param path string
---
--- `opts`: `output` = the file to write (the same name with .zst, which may not be there yet); `sync`, `replace` as
--- of m:save
---@param opts? table
---@return string # the file that was written
---@return integer # its bytes
function st.compress(path, opts) end

--- The same elements as a tensor of its own, no view: it can be seen in any shape, and writing to it leaves `t` alone.
--- (PyTorch gives `t` itself where it can.)
---@param t stlua.Tensor
---@return stlua.Tensor
function st.contiguous(t) end

--- Cosine.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.cos(x) end

--- Hyperbolic cosine.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.cosh(x) end

--- Cosine of the angle between two tensors: a.b / (max(|a|, eps) * max(|b|, eps)). Over all elements, which are
--- read once, unless a dimension is given (torch's default is its dimension 1).
--- ```lua
--- > a, b = st.tensor { 1.0, 0 }, st.tensor { 3.0, 4 }
--- > a:cosine_similarity(b):item()
--- 0.6
--- ```
---@param a stlua.Tensor
---@param b stlua.Tensor
---@param opts? table `dim`, `keepdim`, `eps` (1e-8)
---@return stlua.Tensor # deferred
function st.cosine_similarity(a, b, opts) end

--- How many elements are not 0, as I64.
---@param t stlua.Tensor
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function st.count_nonzero(t, dim, opts) end

--- Products from the first element on along a dimension; integers become I64.
---@param t stlua.Tensor
---@param dim? integer needed unless there is one dimension only
---@return stlua.Tensor # deferred
function st.cumprod(t, dim) end

--- Sums from the first element on along a dimension; integers become I64.
--- ```lua
--- > st.tensor({ 1, 2, 3 }):cumsum()
--- Tensor[3 I64, 24 B]
---   1  3  6
--- ```
---@param t stlua.Tensor
---@param dim? integer needed unless there is one dimension only
---@return stlua.Tensor # deferred
function st.cumsum(t, dim) end

--- Restores the file that was compressed, byte for byte. Files that `zstd` made will do, too.
--- ```lua
--- > to = st.decompress("small.safetensors.zst", { output = "back.safetensors" })
--- > st.open(to):file_sha256(1) == st.open("a.safetensors"):file_sha256(1)
--- true
--- ```
---@param path string
---@param opts? table as of st.compress; without `output` the same name without .zst
---@return string # the file that was written
---@return integer # its bytes
function st.decompress(path, opts) end

--- Quantised weights as ordinary floats: scaled fp8 (of ComfyUI and sd-scripts; by tensor, row or block), mxfp8, nvfp4,
--- fp8 in blocks of 128 (DeepSeek), nf4 and fp4 of bitsandbytes. Scales, tables and markers go. Values are those of the
--- formulas in F32, rounded once to the result's dtype.
---@param m stlua.Model opened from a file
---
--- `opts`: `dtype` of the results (default: what the file says they had, else F16 or BF16, whichever most of the
--- other tensors have); `only`, `except` = patterns of names
---@param opts? table
---@return stlua.Model
---@return table # layout -> how many weights
function st.dequantize(m, opts) end

--- Determinant.
---@param a stlua.Tensor (.., n, n)
---@return stlua.Tensor # (..)
function st.det(a) end

--- A diagonal of a matrix, as a vector; or of a vector the square matrix that has it there, and 0 elsewhere.
---@param a stlua.Tensor (m, n) or (n)
---@param diagonal? integer 1 is above the main one, -1 below
---@return stlua.Tensor
function st.diag(a, diagonal) end

--- Compares two models, or two tensors, name by name. Every pair is read once; what has the same bytes is not looked
--- at further.
--- ```lua
--- > a = st.open("a.safetensors"):select("*norm*")
--- > b = st.map(a, function(name, t) return name:find("%.3%.") and t * 2 or t end)
--- > st.diff(a, b)
--- name                        changed  max |a - b|  |a - b| / |a|   cosine
--- model.layers.3.norm.weight    100 %      0.09912              1  1.00000  ████████████████████████
--- 3 tensors equal, 1 differ
--- ```
---@param a stlua.Model|stlua.Tensor
---@param b stlua.Model|stlua.Tensor
---@param opts? table of models: `only` = patterns of names; `progress` = function(done, total), in bytes of `a`
---
--- `result`: of tensors: { equal, identical (the bytes are), differing (elements; NaN equals NaN), max_abs,
--- distance = \|a - b\|, relative = \|a - b\| / \|a\|, cosine, norms, dot, dtypes, shapes, numel, not_finite = how
--- many are NaN or infinite in each, where there are any (the numbers are those of the other elements) }. Without
--- numbers where shapes differ or nothing can be computed. Of models: such a table for each common name, in the
--- order of `a`, with `name`, `block` and `kind` added; and `equal` (how many are), `only_a`, `only_b` (names),
--- `metadata` ({ key, a, b } of what differs), `same` (nothing differs), `same_tensors`, `blocks` ({ name, tensors,
--- differ, numel, differing, max_abs, relative, cosine, kinds = the same by kind }; relative and cosine of the
--- tensors that differ). Printed, a table of what differs, the largest change first.
---@return table
function st.diff(a, b, opts) end

--- The same as ndim: number of dimensions.
---@param t stlua.Tensor
---@return integer
function st.dim(t) end

--- Quotient, elementwise: `a / b`. Integers give floats.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.div(a, b) end

--- Scalar product of all elements, accumulated in F64. Unlike torch's it takes any two tensors of equally many
--- elements.
---@param a stlua.Tensor
---@param b stlua.Tensor
---@return stlua.Tensor # deferred, without dimensions
function st.dot(a, b) end

--- What a callback of st.map returns to leave a tensor out.
st.drop = {}

--- Names of all dtypes, in the format's order.
st.dtypes = {}

--- Eigenvalues, ascending, and eigenvectors of symmetric matrices, of which only the lower triangle is looked at.
--- Signs as in svd.
---@param a stlua.Tensor (.., n, n)
---@return stlua.Tensor # eigenvalues (.., n)
---@return stlua.Tensor # eigenvectors (.., n, n), in columns
function st.eigh(a) end

--- Sums of products of elements, as an equation of letters says that name the dimensions: a letter that the output has
--- not is summed over, one that stands twice in a term is a diagonal. Without `->` the output has the letters that stand
--- once, sorted. Operands are joined from left to right.
--- ```lua
--- > a = st.tensor { { 1.0, 2 }, { 3, 4 } }
--- > st.einsum("ij,jk->ik", a, a)
--- Tensor[2x2 F32, 16 B]
---    7.0000  10.0000
---   15.0000  22.0000
--- > st.einsum("ii", a):item()
--- 5.0
--- ```
---@param equation string such as "bij,bjk->bik"; no "..."
---@param ... stlua.Tensor one for each term
---@return stlua.Tensor
function st.einsum(equation, ...) end

--- A mask: where two values are equal. (Lua's `==` asks whether two tensors are one object.)
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.eq(a, b) end

--- True if two tensors have one shape and equal values; NaN equals nothing. Computes, streaming. (`identical` compares
--- dtype and bytes.)
---@param a stlua.Tensor
---@param b stlua.Tensor
---@return boolean
function st.equal(a, b) end

--- Error function.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.erf(x) end

--- 1 - erf(x), exact for large x.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.erfc(x) end

--- e to the power of x.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.exp(x) end

--- 2 to the power of x.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.exp2(x) end

--- Broadcasts to a shape: sizes of 1 are repeated, dimensions may be added in front. A view; takes no memory.
--- ```lua
--- > st.tensor({ 1, 2 }):expand(2, -1)
--- Tensor[2x2 I64, 32 B]
---   1  2
---   1  2
--- ```
---@param t stlua.Tensor
---@param sizes any one by one or as a table; -1 keeps a size
---@return stlua.Tensor
function st.expand(t, sizes) end

--- Broadcasts to the sizes of another tensor. A view.
---@param t stlua.Tensor
---@param other stlua.Tensor
function st.expand_as(t, other) end

--- exp(x) - 1, exact near zero.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.expm1(x) end

--- The matrix with ones on its diagonal and zeros elsewhere.
--- ```lua
--- > st.eye(2)
--- Tensor[2x2 F32, 16 B]
---   1.0000  0.0000
---   0.0000  1.0000
--- ```
---@param rows integer
---@param columns? integer as many as rows
---@param opts? table `dtype` = "F32"
---@return stlua.Tensor
function st.eye(rows, columns, opts) end

--- Discrete Fourier transform of complex numbers.
---@param x stlua.Tensor (.., 2)
---@param opts? table as of rfftn
---@return stlua.Tensor # (.., 2)
function st.fftn(x, opts) end

--- Dimensions first..last as one; all by default.
--- ```lua
--- > st.zeros(2, 3, 4):flatten(2):shape()
--- { 2, 12 }
--- ```
---@param t stlua.Tensor
---@param first? integer
---@param last? integer
function st.flatten(t, first, last) end

--- The elements of the given dimensions in reverse. A view.
--- ```lua
--- > st.tensor({ 1, 2, 3 }):flip(1)
--- Tensor[3 I64, 24 B]
---   3  2  1
--- ```
---@param t stlua.Tensor
---@param ... any dimensions, one by one or as a table
function st.flip(t, ...) end

--- Rounds down to an integer.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.floor(x) end

--- Quotient rounded down, as Lua's `//`.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.floor_divide(a, b) end

--- Remainder with the sign of `a`, as C's fmod.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.fmod(a, b) end

--- Computes several tensors at once and keeps their values: reductions over equally many elements share one pass,
--- so that what they read in common is read once.
---@param ... stlua.Tensor as many as there are
---@return stlua.Tensor # the same ones
function st.force(...) end

--- Makes a tensor from raw bytes.
--- ```lua
--- > st.from_bytes("U8", { 2, 2 }, "\1\2\3\4")
--- Tensor[2x2 U8, 4 B]
---   1  2
---   3  4
--- ```
---@param dtype string such as "F32"
---@param shape integer[]
---@param bytes string little-endian, exactly as many as dtype and shape need
---@return stlua.Tensor
function st.from_bytes(dtype, shape, bytes) end

--- A tensor of one row from raw little-endian bytes; st.from_bytes takes dtype and shape first.
--- ```lua
--- > st.from_string("\1\2\0\0", { dtype = "U16" })
--- Tensor[2 U16, 4 B]
---   513    0
--- ```
---@param bytes string
---@param opts? table `dtype` = "U8"; `shape`: by default one dimension
---@return stlua.Tensor
function st.from_string(bytes, opts) end

--- A tensor of one value. Takes no memory until it is written to.
--- ```lua
--- > st.full({ 2, 2 }, 7)
--- Tensor[2x2 I64, 32 B]
---   7  7
---   7  7
--- ```
---@param sizes integer[]
---@param value any a number or a boolean
---@param opts? table `dtype`: by default BOOL, I64 or F32, by the value
---@return stlua.Tensor
function st.full(sizes, value, opts) end

--- A tensor of one value in the shape and dtype of another.
---@param t stlua.Tensor
---@param value any a number or a boolean
---@param opts? table `dtype`
---@return stlua.Tensor
function st.full_like(t, value, opts) end

--- Elements along a dimension by a tensor of places: the result has the shape of `index`, which is not larger than `t`
--- in the other dimensions.
---@param t stlua.Tensor
---@param dim integer
---@param index stlua.Tensor integers, of as many dimensions as `t`
---@return stlua.Tensor # deferred
function st.gather(t, dim, index) end

--- A mask: where a >= b.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.ge(a, b) end

--- x times the normal distribution's share below x, by erf: 0.5 * x * (1 + erf(x / sqrt(2))).
---@param x any tensor or model
function st.gelu(x) end

--- A mask: where a > b.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.gt(a, b) end

--- The hashes of files, computed on all threads and remembered in the user's cache folder (by device, inode, size and
--- times).
--- ```lua
--- > st.hash("a.safetensors").autov2 == st.hash("a.safetensors").sha256:sub(1, 10)
--- true
--- ```
---@param what string[]|string one path, or several
---
--- `opts`: `cache` = false neither looks there nor writes; `whole` = true with it gives only what is of the whole
--- file: autov1, autov2 and sha256, in half of the time
---@param opts? table
---
--- `result`: autov1, autov2, autov3, sha256, sshs_model_hash, sshs_legacy_hash, data_sha256: what the file has,
--- those of the data only of safetensors files; of several paths, a list of such tables
---@return table
function st.hash(what, opts) end

--- Counts a tensor's values in equal parts of a range, and draws them as bars when printed. Streams: the tensor is read
--- twice. NaN, infinities and what lies outside a given range are left out, and their numbers told. Bins of integers
--- and booleans hold whole numbers: one each where there is room.
--- ```lua
--- > st.manual_seed(1)
--- > st.randn(1000):hist { bins = 5, width = 20 }
--- Histogram[1,000 values, F32]
--- from    to  count
--- -3.1  -1.8     33  █▍
--- -1.8  -0.5    261  ██████████▌
--- -0.5   0.8    497  ████████████████████
---  0.8   2.1    188  ███████▋
---  2.1   3.4     21  ▉
--- ```
---@param t stlua.Tensor
---
--- `opts`: `bins` = 16 (at most, for integers); `min`, `max`: the range (default: from the smallest finite element
--- to the largest); `width` = 40, of the longest bar
---@param opts? table
---
--- `result`: { counts, edges (one more than counts; none where there is nothing to count), numel, nan, inf, outside
--- }. Printed, a histogram.
---@return table
function st.hist(t, opts) end

--- The counts of histogram, with the range as numbers.
---@param t stlua.Tensor
---@param bins? integer
---@param low? number with low = high the range is from the smallest element to the largest
---@param high? number
---@return stlua.Tensor # deferred, I64
function st.histc(t, bins, low, high) end

--- How many elements fall into each of equal parts of a range, the last one closed. Elements outside, and NaN, are
--- not counted. Counts are I64 (torch's are floats, which lose count at 2^24).
--- ```lua
--- > counts, edges = st.tensor({ 0.0, 1, 1, 4 }):histogram(2, { min = 0, max = 4 })
--- > counts
--- Tensor[2 I64, 16 B]
---   3  1
--- > edges
--- { 0.0, 2.0, 4.0 }
--- ```
---@param t stlua.Tensor
---@param bins? integer
---@param opts? table `min`, `max`: the range (default: from the smallest element to the largest)
---@return stlua.Tensor # deferred, `bins` counts
---@return number[] # the bins + 1 edges: only with `min` and `max`, else they are not known before the counts
function st.histogram(t, bins, opts) end

--- sqrt(a * a + b * b), without overflow between.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.hypot(a, b) end

--- The way back from fftn.
---@param x stlua.Tensor (.., 2)
---@param opts? table `dim` and `s` as of rfftn, `norm` as of irfftn
---@return stlua.Tensor # (.., 2)
function st.ifftn(x, opts) end

--- The function for t[key]: st.index(t, 2), st.index(t, { { 1, 4 }, {} }). With several keys, one for each dimension:
--- st.index(t, { 1, 4 }, {}) is the same.
---@param t stlua.Tensor
---@param ... any integers, and slices { first, last, step }
---@return stlua.Tensor|number # a view; of one element its number
function st.index(t, ...) end

--- Slices of a dimension by their places, in that order: rows of a table of embeddings, say. Only these are read.
---@param t stlua.Tensor
---@param dim integer
---@param index stlua.Tensor integers, of one dimension (or none)
---@return stlua.Tensor # deferred
function st.index_select(t, dim, index) end

--- What a model is: architecture and variant, parts and their parameters, dtypes and quantised layouts, what it says of
--- itself, where it goes, what is wrong with it. Reads headers, a few small tensors and the last bytes of files.
--- ```lua
--- > i = st.info("a.safetensors")
--- > i.kind, i.parameters, i.dtypes
--- unknown 164173  { BF16 = 30, I64 = 1 }
--- ```
---@param what string|stlua.Model a path as st.open takes it, a folder of several models, or a model
---@param opts? table `component`, `variant` as of st.open
---
--- `result`: the fields that `stlua info --json` prints; printed, the screen. Of a folder of several models, or a
--- diffusers pipeline: what, names and models = a table for each
---@return table
function st.info(what, opts) end

--- Inverse.
---@param a stlua.Tensor (.., n, n)
---@return stlua.Tensor # (.., n, n)
function st.inverse(a) end

--- The way back from rfftn, to real numbers. The imaginary parts that such a transform has not are not looked at.
--- ```lua
--- > st.tensor({ 1.0, 2, 3, 4, 5 }):rfftn():irfftn { s = { 5 } }
--- Tensor[5 F32, 20 B]
---   1.0000  2.0000  3.0000  4.0000  5.0000
--- ```
---@param x stlua.Tensor (.., 2)
---
--- `opts`: `dim` and `s` as of rfftn, but that the last size is by default 2 (n - 1): an odd one must be given;
--- `norm` = "backward" (divided by the number of elements), "ortho" or "forward" (nothing)
---@param opts? table
---@return stlua.Tensor
function st.irfftn(x, opts) end

--- A mask: where two values are close: |a - b| <= atol + rtol * |b|, or equal, infinite ones too.
---@param a any
---@param b any tensors, numbers or models
---@param opts? table `rtol` = 1e-5, `atol` = 1e-8, `equal_nan` = false
function st.isclose(a, b, opts) end

--- A mask: where x is neither infinite nor NaN.
---@param x any tensor or model
function st.isfinite(x) end

--- A mask: where x is infinite.
---@param x any tensor or model
function st.isinf(x) end

--- A mask: where x is not a number.
--- ```lua
--- > st.tensor({ 1, 0 / 0 }):isnan()
--- Tensor[2 BOOL, 2 B]
---   false   true
--- ```
---@param x any tensor or model
function st.isnan(x) end

--- JSON for configurations and metadata values: decode, encode, array, null.
st.json = {}

--- Kronecker's product: all products of an element of `a` with one of `b`, in blocks of b's shape. Elementwise, so of
--- any dtype.
---@param a stlua.Tensor
---@param b stlua.Tensor dimensions that one has not are added in front
---@return stlua.Tensor
function st.kron(a, b) end

--- The k-th smallest element; NaN counts as the largest. Over all elements it is found by counting, in two
--- streaming passes (torch's default is the last dimension); along a dimension rows are sorted in memory.
--- ```lua
--- > st.tensor({ 7.0, 1, 5, 3 }):kthvalue(2):item()
--- 3.0
--- ```
---@param t stlua.Tensor
---@param k integer from 1
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
---@return stlua.Tensor? # along a dimension: I64, the places
function st.kthvalue(t, k, opts) end

--- A mask: where a <= b.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.le(a, b) end

--- Linear interpolation, (1 - t) * a + t * b, computed as torch.lerp does (ATen/native/Lerp.h): a + t * (b - a)
--- where |t| < 0.5, else b - (b - a) * (1 - t). So t = 0 gives exactly a, t = 1 exactly b. (torch's vector code fuses
--- the multiplication with the addition where the processor can: one result in a thousand may differ in its last bit.)
--- ```lua
--- > st.lerp(st.zeros(3), st.tensor { 1.0, 2, 4 }, 0.25)
--- Tensor[3 F32, 12 B]
---   0.2500  0.5000  1.0000
--- > a, b = st.open("a.safetensors"), st.open("b.safetensors")
--- > st.lerp(a, b, 0.3):formula()
--- lerp(a.safetensors, b.safetensors, 0.3)
--- ```
---@param a any
---@param b any tensors, numbers or models
---@param t any a number, or (with tensors) a tensor of weights
---@return any # a deferred tensor, a model, or a number when all are numbers
function st.lerp(a, b, t) end

--- The linear assignment problem: pairs of a row and a column, no row and no column twice, as many as the matrix has
--- of the fewer, whose costs add up to the least. As scipy.optimize.linear_sum_assignment. Exact, in F64; a random
--- matrix of 5,632 rows takes seconds, costs that are products of two vectors minutes. Of equal sums always the same
--- one is found.
--- ```lua
--- > rows, columns = st.linear_sum_assignment(st.tensor { { 4.0, 1, 3 }, { 2, 0, 5 }, { 3, 2, 2 } })
--- > columns
--- Tensor[3 I64, 24 B]
---   2  1  3
--- ```
---@param a stlua.Tensor costs (.., m, n), finite
---@param opts? table `maximize` = true: the largest sum
---@return stlua.Tensor # rows, ascending (.., k), k the smaller of m and n, I64
---@return stlua.Tensor # columns (.., k), I64
function st.linear_sum_assignment(a, opts) end

--- `count` numbers at equal distances from `first` to `last`, both included.
--- ```lua
--- > st.linspace(0, 1, 5)
--- Tensor[5 F32, 20 B]
---   0.0000  0.2500  0.5000  0.7500  1.0000
--- ```
---@param first number
---@param last number
---@param count integer
---@param opts? table `dtype` = "F32"
---@return stlua.Tensor
function st.linspace(first, last, count, opts) end

--- Natural logarithm.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.log(x) end

--- Logarithm to base 10.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.log10(x) end

--- log(1 + x), exact near zero.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.log1p(x) end

--- Logarithm to base 2.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.log2(x) end

--- The logarithm of softmax, exact where that is near 0.
---@param t stlua.Tensor
---@param dim? integer
---@return stlua.Tensor # deferred
function st.log_softmax(t, dim) end

--- A mask: where both are other than 0.
---@param a any
---@param b any tensors, numbers, booleans or models
function st.logical_and(a, b) end

--- A mask: where x is 0.
---@param x any tensor or model
function st.logical_not(x) end

--- A mask: where one or both are other than 0.
---@param a any
---@param b any tensors, numbers, booleans or models
function st.logical_or(a, b) end

--- A mask: where just one is other than 0.
---@param a any
---@param b any tensors, numbers, booleans or models
function st.logical_xor(a, b) end

--- The logarithm of the sum of all exp(x), without overflow.
---@param t stlua.Tensor
---@param dim? integer|table (PyTorch has no default)
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function st.logsumexp(t, dim, opts) end

--- Low-rank adapters: apply, extract and what else there is to do with them (src/LORA.md).
st.lora = {}

--- A mask: where a < b.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.lt(a, b) end

--- Sets the seed of the calls that follow, and begins with its first stream again.
--- ```lua
--- > st.manual_seed(1)
--- > a = st.randn(3)
--- > st.manual_seed(1)
--- > a:identical(st.randn(3))
--- true
--- ```
---@param seed integer
function st.manual_seed(seed) end

--- Makes a model by asking a callback for each tensor. Nothing is computed until the result is saved, printed or read.
---
--- `fn(name, t1, t2, ...)` gets one deferred tensor per model and returns a tensor, or `st.drop` to leave it out.
--- Results keep the dtype that the first model has for the name, unless the callback cast them. Integer and boolean
--- tensors of several models are never interpolated: where the callback computed with them they are copied if all are
--- equal, else it is an error.
--- ```lua
--- > a, b = st.open("a.safetensors"), st.open("b.safetensors")
--- > m = st.map({ a, b }, function(name, x, y)
--- ..    if name:find("lm_head", 1, true) then return st.drop end
--- ..    if name:find("norm", 1, true) then return x end
--- ..    return 0.5 * x + 0.5 * y
--- .. end)
--- > #a, #m, m["model.layers.0.norm.weight"]:is_leaf()
--- 31      30      true
--- ```
---@param models stlua.Model[]|stlua.Model
---@param fn fun(...): any
---
--- `opts`: `names` = "union" (default) or "intersection"; `missing` = "error" (default), "first" (copied from the
--- first model that has it), "skip", or "pass" (the callback gets nil); `shapes` = "same" (default) or "any";
--- `dtype`, `saturate`: the dtype of all floating results that the callback did not cast
---@param opts? table
---@return stlua.Model
function st.map(models, fn, opts) end

--- x with another value where the mask is true; the dtype stays that of x.
--- ```lua
--- > t = st.tensor { -1.0, 2 }
--- > t:masked_fill(t:lt(0), 0)
--- Tensor[2 F32, 8 B]
---   0.0000  2.0000
--- ```
---@param x any tensor
---@param mask any a BOOL tensor
---@param value any a number, or a tensor
function st.masked_fill(x, mask, value) end

--- The elements where a mask is true, as a vector. Shapes broadcast. Computes: how many there are is not known before.
---@param t stlua.Tensor
---@param mask stlua.Tensor BOOL
---@return stlua.Tensor
function st.masked_select(t, mask) end

--- Matrix product. Two vectors give their scalar product, a vector counts as a row on the left and as a column on
--- the right; stacks broadcast. Floats narrower than F32 are multiplied in F32; a large one is never held whole in F32
--- when it is the left operand, or a transposed right one, as in x:matmul(w:t()). A product with a small inner size, at
--- most 512 and a quarter of both sides, is not held either: w + up:matmul(down) is made as it is written.
--- ```lua
--- > a = st.tensor { { 1.0, 2 }, { 3, 4 } }
--- > a:matmul(st.eye(2) * 2)
--- Tensor[2x2 F32, 16 B]
---   2.0000  4.0000
---   6.0000  8.0000
--- > a:matmul(st.ones(2))
--- Tensor[2 F32, 8 B]
---   3.0000  7.0000
--- ```
---@param a stlua.Tensor (.., m, k)
---@param b stlua.Tensor (.., k, n)
---@return stlua.Tensor # (.., m, n) of the common dtype
function st.matmul(a, b) end

--- The largest element, NaN if there is one: over all; along a dimension with the places, as a second result; or,
--- with a tensor as operand, elementwise.
--- ```lua
--- > values, places = st.tensor({ { 3, 9 }, { 8, 1 } }):max(2)
--- > values
--- Tensor[2 I64, 16 B]
---   9  8
--- > places
--- Tensor[2 I64, 16 B]
---   2  1
--- > st.max(st.tensor { 1, 5 }, st.tensor { 4, 2 })
--- Tensor[2 I64, 16 B]
---   4  5
--- ```
---@param t stlua.Tensor
---@param dim? integer|stlua.Tensor a dimension, or the other operand
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
---@return stlua.Tensor? # along a dimension: I64, the first place of each maximum
function st.max(t, dim, opts) end

--- The larger of two values, elementwise; NaN where either is NaN.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.maximum(a, b) end

--- Mean of the elements; NaN of none.
--- ```lua
--- > st.tensor({ 1.0, 2, 6 }):mean():item()
--- 3.0
--- ```
---@param t stlua.Tensor
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function st.mean(t, dim, opts) end

--- The lower median; NaN if there is one. Over all elements it is found by counting, in two streaming passes; along
--- a dimension rows are sorted in memory.
--- ```lua
--- > st.tensor({ 7.0, 1, 5, 3 }):median():item()
--- 3.0
--- ```
---@param t stlua.Tensor
---@param dim? integer
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
---@return stlua.Tensor? # along a dimension: I64, the places
function st.median(t, dim, opts) end

--- Bytes that operations on whole tensors may hold (1 GiB); streamed work needs far less by itself.
---@param bytes? integer sets it
---@return integer
function st.memory(bytes) end

--- Merges models, or tensors of one name, by a method; `stlua help merge` and `st.merge_methods()` tell which there
--- are. The result is deferred. On models integers and booleans are never interpolated, and results keep the dtypes of
--- the first model (of the base, or of A where the method says so), as st.map has it.
---@param method string such as "ties"
---
--- `opts`: `models` = a list of models, or of tensors; `base` = what they were trained from, where the method takes
--- one; its parameters by name, each a number, a list (one value per model), or a function of the tensor's name
--- (and the model's number) that gives one of them, nil for the default; `seed` = 0 for methods with chance in
--- them; of tensors `name`, which chance hangs on. With models also `missing`, `names`, `shapes`, `dtype` and
--- `saturate`, as of st.map; `keep` = patterns of the names that are copied from the first model, `drop` = of those
--- that are left out. Where the first model has 8 or 9 input channels (for inpainting) and the others 4, these are
--- merged and the rest is kept
---@param opts table
---@return stlua.Model|stlua.Tensor
function st.merge(method, opts) end

--- Reads a merge that a YAML file of mergekit describes. Models are opened and everything is checked; all problems are
--- one error. Nothing is computed or downloaded: ids of the Hugging Face hub are looked up in its local cache.
--- Several documents are one chain of merges, where only the last result is written.
---@param path string of the YAML file
---
--- `opts`: `models_dir` = a folder of models, searched before the cache; `cache` = the hub's cache, if it is not
--- where the environment says; `allow_crimes` = true merges different architectures; `seed` for methods with chance
--- in them; `copy_tokenizer` = false, `model_card` = false leave those files out; `name` of the result, for the
--- card; `source` = the YAML text, if it is not in the file; `found` = folders of models by what the file calls
--- them, `owner/name` or `owner/name@revision`, which are looked up nowhere else
---@param opts? table
---
--- `result`: { model = deferred, files = { [name] = text } and recipe for `save`, notes = remarks, report = text,
--- bytes = size of the result, source = the YAML text }
---@return table
function st.merge_config(path, opts) end

--- Names of all merge methods on Lua's path, sorted.
---@return string[]
function st.merge_methods() end

--- The metadata of a file; with changes, after they were made. The tensors stay in their order and at their places, so
--- that hashes of the data hold. What an interrupted edit in place has left is undone first.
--- ```lua
--- > st.meta("a.safetensors", { title = "Mine", format = false }, { output = "titled.safetensors" })
--- { title = "Mine" }      {}
--- > st.meta("titled.safetensors").title
--- Mine
--- ```
---@param path string a safetensors file
---@param changes? table key -> string or number; false removes a key. Keys of modelspec are checked
---
--- `opts`: `output` = another file to write, by default the file itself is replaced, as a whole or not at all;
--- `in_place` = true rewrites its header alone, where there is room; `unset` = patterns of keys to remove;
--- `strip_private` = true takes out paths and data of training; `thumbnail` = a picture's file to put in; `align` =
--- 4096 leaves room for edits in place; `replace` = false refuses an existing output; `sync` = false; `unchecked` =
--- true sets keys of modelspec to anything
---@param opts? table
---@return table<string, string>
---@return string[] # what strip_private did, and other remarks
function st.meta(path, changes, opts) end

--- The smallest element, NaN if there is one: over all; along a dimension with the places, as a second result; or,
--- with a tensor as operand, elementwise.
---@param t stlua.Tensor
---@param dim? integer|stlua.Tensor a dimension, or the other operand
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
---@return stlua.Tensor? # along a dimension: I64, the first place of each minimum
function st.min(t, dim, opts) end

--- The smaller of two values, elementwise; NaN where either is NaN.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.minimum(a, b) end

--- Product of two matrices: matmul for exactly two dimensions.
---@param a stlua.Tensor (m, k)
---@param b stlua.Tensor (k, n)
---@return stlua.Tensor # (m, n)
function st.mm(a, b) end

--- Makes a model from tensors.
---@param list {string[] in order
---@param metadata? table
---@return stlua.Model
function st.model(list, metadata) end

--- One dimension moved to another place, the others keep their order. A view.
---@param t stlua.Tensor
---@param from integer
---@param to integer
function st.movedim(t, from, to) end

--- Product, elementwise: `a * b`.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.mul(a, b) end

--- Product of a matrix and a vector: matmul for just these.
---@param a stlua.Tensor (m, k)
---@param b stlua.Tensor (k)
---@return stlua.Tensor # (m)
function st.mv(a, b) end

--- x with numbers in place of NaN and the infinities.
---@param x any tensor or model
---@param nan? number
---@param posinf? number by default the largest number of the dtype
---@param neginf? number by default the smallest
function st.nan_to_num(x, nan, posinf, neginf) end

--- Mean of the elements that are not NaN; NaN of none.
---@param t stlua.Tensor
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function st.nanmean(t, dim, opts) end

--- Sum of the elements that are not NaN.
---@param t stlua.Tensor
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function st.nansum(t, dim, opts) end

--- A part of one dimension: `length` elements from `first` on. A view.
--- ```lua
--- > st.arange(6):narrow(1, 2, 3)
--- Tensor[3 I64, 24 B]
---   1  2  3
--- ```
---@param t stlua.Tensor
---@param dim integer negative from the end
---@param first integer negative from the end
---@param length integer
---@param step? integer distance of the elements; negative goes backwards
---@return stlua.Tensor
function st.narrow(t, dim, first, length, step) end

--- A mask: where two values differ.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.ne(a, b) end

--- The opposite: `-x`.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.neg(x) end

--- Where elements are not 0: a row of places for each, one place for each dimension. Computes: how many there are is
--- not known before.
---@param t stlua.Tensor
---@return stlua.Tensor # I64, of (elements, dimensions)
function st.nonzero(t) end

--- Norm of the elements as of one vector: (sum |x|^p)^(1/p).
--- ```lua
--- > st.tensor({ 3.0, 4 }):norm():item()
--- 5.0
--- > st.tensor({ 3.0, -4 }):norm(1):item()
--- 7.0
--- ```
---@param t stlua.Tensor
---
--- `p`: any number, math.huge, -math.huge, 0 (counts), "fro" (2), or "nuc": the sum of the singular values
---@param p? number|string
---@param opts? table `dim`, `keepdim`, `p`
---@return stlua.Tensor # deferred
function st.norm(t, p, opts) end

--- NumPy's files, .npy and uncompressed .npz: load, save.
st.npy = {}

--- Sum of the singular values; also a:norm("nuc").
---@param a stlua.Tensor (.., m, n)
---@return stlua.Tensor # (..)
function st.nuclear_norm(a) end

--- A tensor of ones. Takes no memory until it is written to.
---@param ... any sizes, one by one or as a table; then perhaps options: `dtype` = "F32"
---@return stlua.Tensor
function st.ones(...) end

--- A tensor of ones in the shape and dtype of another.
---@param t stlua.Tensor
---@param opts? table `dtype`
---@return stlua.Tensor
function st.ones_like(t, opts) end

--- Opens a model. Only headers are read; values are read when something is computed from them.
--- What a file is, its contents say: safetensors, a PyTorch checkpoint (.ckpt, .pt, .pth, .bin), .npz or .npy, GGUF.
--- Nothing that a checkpoint names is imported or run.
--- ```lua
--- > a = st.open("a.safetensors")
--- > #a, a:name(1), a["lm_head.weight"]:dtype()
--- 31      position_ids    BF16
--- ```
---
--- `path`: a file, an index (*.safetensors.index.json, *.bin.index.json), or a folder: its index, else
--- model.safetensors (or diffusion_pytorch_model.safetensors), else its only .safetensors file, else the same of
--- checkpoints. A safetensors file may be compressed with zstd (src/COMPRESSION.md)
---@param path string
---
--- `opts`: `component` = "unet" of a diffusers pipeline; `variant` = "fp16" for model.fp16.safetensors and alike;
--- `base` = path of the file that a packed file is the difference to, if it does not lie beside it; of files that
--- are not safetensors: `tensors_only` = true takes the tensors of a checkpoint that would run something dangerous
--- in Python; `skip` = true leaves out tensors that cannot be had; `key` = "state_dict" takes that part of a
--- checkpoint, "" all of it under dotted names
---@param opts? table
---@return stlua.Model
function st.open(path, opts) end

--- All products of an element of one vector with one of another. Elementwise, so of any dtype.
--- ```lua
--- > st.outer(st.tensor { 1.0, 2 }, st.tensor { 3.0, 4 })
--- Tensor[2x2 F32, 16 B]
---   3.0000  4.0000
---   6.0000  8.0000
--- ```
---@param a stlua.Tensor (m)
---@param b stlua.Tensor (n)
---@return stlua.Tensor # (m, n)
function st.outer(a, b) end

--- Writes a file packed: the bytes of each tensor apart by what they mean, exponents beside exponents, and compressed.
--- BF16 weights become two thirds; nothing is lost: `st.unpack` gives the file back byte for byte, and `st.open` and all
--- commands read a packed file as if it were plain (src/COMPRESSION.md). With a base, tensors are kept as the
--- difference to the base's, and equal ones cost next to nothing; the base is then needed to read the file, and found
--- beside it or by `base`. The file stays.
--- ```lua
--- > to, stats = st.pack("a.safetensors", { output = "small.safetensors" })
--- > to, stats.tensors, stats.after < stats.before
--- small.safetensors       31      true
--- ```
---@param path string a .safetensors file
---
--- `opts`: `output` = the file to write (the same name with .packed before .safetensors, which may not be there
--- yet); `base` = path of the base; `base_sha256` = its SHA-256, where it is known already; `sync`, `replace` as of
--- m:save
---@param opts? table
---@return string # the file that was written
---
--- `result`: before, after (bytes), tensors, deltas (of them packed as differences), as_base, as_earlier (equal to
--- the base's tensor, to another of the file), base_sha256
---@return table
function st.pack(path, opts) end

--- Adds elements of one value around: `pads` holds how many before and behind, of the last dimension, then of the one
--- before it, and so on. Negative numbers cut.
--- ```lua
--- > st.tensor({ 1, 2 }):pad { 1, 2 }
--- Tensor[5 I64, 40 B]
---   0  1  2  0  0
--- ```
---@param t stlua.Tensor
---@param pads integer[]
---@param opts? table `value` = 0
function st.pad(t, pads, opts) end

--- Dimensions in another order: dimension d of the result is the d-th that is given. A view.
--- ```lua
--- > st.zeros(2, 3, 4):permute(3, 1, 2):shape()
--- { 4, 2, 3 }
--- ```
---@param t stlua.Tensor
---@param dims any each once, one by one or as a table; negative from the end
---@return stlua.Tensor
function st.permute(t, dims) end

--- Pseudo-inverse of Moore and Penrose, by svd: singular values up to rtol times the largest count as 0.
---@param a stlua.Tensor (.., m, n)
---@param opts? table `rtol`: by default the larger of m and n times the precision of F32 (F64)
---@return stlua.Tensor # (.., n, m)
function st.pinv(a, opts) end

--- Power, elementwise: `a ^ b`.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.pow(a, b) end

--- Product of the elements; of integers in I64, wrapping.
---@param t stlua.Tensor
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`
---@return stlua.Tensor # deferred
function st.prod(t, dim, opts) end

--- A checkpoint without what only training reads: averaged weights (EMA), the state of optimizers, the noise schedule,
--- heads that no program looks at. Broken position_ids are repaired. Of models that are no checkpoints of Stable
--- Diffusion and its like only the state of training goes.
---@param m stlua.Model
---
--- `opts`: `ema` = "drop" (default), "use" (the averaged weights take the place of the others), "keep"; `vae` = a
--- model that is baked in; `drop`, `keep` = patterns of names that go, or stay, in any case
---@param opts? table
---@return stlua.Model
---
--- `result`: what was done: { dropped = { { what =, tensors =, bytes = }, ... }, averaged = tensors that EMA took
--- the place of, repaired = names of position_ids, baked = tensors of the VAE, before =, after = bytes }
---@return table
function st.prune(m, opts) end

--- Orthonormal and triangular factor: a = Q R, reduced, with the signs of Householder's reflections.
---@param a stlua.Tensor (.., m, n)
---@return stlua.Tensor # Q (.., m, k), k the smaller of m and n
---@return stlua.Tensor # R (.., k, n)
function st.qr(a) end

--- Quantiles. Over all elements they are found by counting, in streaming passes, as F64; along a dimension rows are
--- sorted in memory. NaN if there is a NaN.
--- ```lua
--- > t = st.tensor { 0.0, 1, 2, 3 }
--- > t:quantile(0.5):item()
--- 1.5
--- > t:quantile { 0.1, 0.9 }
--- Tensor[2 F64, 16 B]
---   0.3000  2.7000
--- > t:quantile(0.5, { interpolation = "lower" }):item()
--- 1.0
--- ```
---@param t stlua.Tensor floats
---@param q number|table between 0 and 1; over all elements also a list, whose quantiles come as one tensor
---
--- `opts`: `dim`, `keepdim`; `interpolation` = "linear" (default), "lower", "higher", "nearest", "midpoint"
---@param opts? table
---@return stlua.Tensor # deferred
function st.quantile(t, q, opts) end

--- Numbers from [0, 1), all equally likely.
---
--- `...`: sizes, one by one or as a table; then perhaps options: `dtype` = "F32" (a float; F64 has 53 random bits),
--- `seed`, `name`
---@param ... any
---@return stlua.Tensor
function st.rand(...) end

--- Numbers from [0, 1) in the shape and dtype of a tensor.
---@param t stlua.Tensor
---@param opts? table `dtype`, `seed`, `name`
---@return stlua.Tensor
function st.rand_like(t, opts) end

--- Integers from low up to, not including, high (as in PyTorch), all equally likely.
--- ```lua
--- > st.manual_seed(1)
--- > st.randint(1, 7, { 5 })
--- Tensor[5 I64, 40 B]
---   2  3  6  3  4
--- ```
---@param low? integer
---@param high integer
---@param sizes table
---@param opts? table `dtype` = "I64" (any integer but U64), `seed`, `name`
---@return stlua.Tensor
function st.randint(low, high, sizes, opts) end

--- Numbers from the normal distribution of mean 0 and deviation 1, by the method of Box and Muller.
---@param ... any sizes, one by one or as a table; then perhaps options: `dtype` = "F32" (a float), `seed`, `name`
---@return stlua.Tensor
function st.randn(...) end

--- Normal numbers in the shape and dtype of a tensor.
---@param t stlua.Tensor
---@param opts? table `dtype`, `seed`, `name`
---@return stlua.Tensor
function st.randn_like(t, opts) end

--- Git Re-Basin by weight matching (Ainsworth, Hayase and Srinivasa, 2022, arXiv 2209.04836, algorithm 1): B with its
--- hidden units (channels, heads, channels of an MLP) in the order that brings its weights nearest to A's. The result
--- computes what B computes, but for rounding; merged with A by any method it gives more than B does where the two were
--- trained apart. Fine-tuned models of one base are in order already: nothing moves.
---
--- The permutations are found at once, reading both models; the result is deferred. Memory: three matrices of units x
--- units in F32 (380 MB for an MLP of 5,632) and pieces of two tensors.
---@param a stlua.Model
---
--- `b`: of the same architecture: Llama and its like, Stable Diffusion 1, the U-Net of Stable Diffusion XL
---@param b stlua.Model
---
--- `opts`: `architecture` = "llama", "sd15" or "sdxl", by default told by the tensors; `head_dim` = the size of an
--- attention head (of Llama, which must be given: 0 leaves heads in place); `iterations` = 100 rounds at most;
--- `seed` = 0, of the order in which groups of units are looked at
---@param opts? table
---@return stlua.Model # B, permuted
---
--- `result`: { architecture =, groups = how many there are, moved = names of those that were permuted, gains = what
--- each improvement added to the sum of A * B over all weights, rounds = }
---@return table
function st.rebasin(a, b, opts) end

--- 1 / x.
---@param x any tensor or model
function st.reciprocal(x) end

--- x where it is positive, else 0.
---@param x any tensor or model
function st.relu(x) end

--- Remainder with the sign of `b`, as Lua's `%`.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.remainder(a, b) end

--- Each element, or each slice of a dimension, repeated in place: of 1, 2 three times 1, 1, 1, 2, 2, 2.
---@param t stlua.Tensor
---@param count integer
---@param dim? integer without it the tensor is taken as one row
function st.repeat_interleave(t, count, dim) end

--- The same elements in another shape: a view of the tensor where its elements lie so, else a tensor of its own.
--- ```lua
--- > st.arange(6):reshape(2, -1)
--- Tensor[2x3 I64, 48 B]
---   0  1  2
---   3  4  5
--- ```
---@param t stlua.Tensor
---@param sizes any one by one or as a table; one of them may be -1: what the others leave
---@return stlua.Tensor
function st.reshape(t, sizes) end

--- Discrete Fourier transform of real numbers. Of the last dimension only the first n // 2 + 1 values are given: the
--- others are their conjugates.
--- ```lua
--- > st.tensor({ 1.0, 2, 3, 4 }):rfftn()
--- Tensor[3x2 F32, 24 B]
---   10.0000   0.0000
---   -2.0000   2.0000
---   -2.0000   0.0000
--- ```
---@param x stlua.Tensor
---
--- `opts`: `dim` = a dimension, or a list of them: by default all; `s` = as many sizes, to which they are cut, or
--- continued by zeros, before; `norm` = "backward" (nothing), "ortho" (divided by the root of the number of
--- elements) or "forward" (divided by their number)
---@param opts? table
---@return stlua.Tensor # x's shape, the last of `dim` n // 2 + 1 long, and a dimension of 2
function st.rfftn(x, opts) end

--- Elements moved along a dimension by `shift` places; those that leave at one end come in at the other.
--- ```lua
--- > st.tensor({ 1, 2, 3, 4 }):roll(1)
--- Tensor[4 I64, 32 B]
---   4  1  2  3
--- ```
---@param t stlua.Tensor
---@param shift integer
---@param dim? integer without it the tensor is taken as one row
function st.roll(t, shift, dim) end

--- Rounds to the nearest integer, halves to the even one.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.round(x) end

--- 1 / sqrt(x).
---@param x any tensor or model
function st.rsqrt(x) end

--- Computes and writes one model. All or nothing: on any failure the old file is left whole.
--- ```lua
--- > half = 0.5 * st.open("a.safetensors") + 0.5 * st.open("b.safetensors")
--- > half:save("half.safetensors", { dtype = "F16" })
--- 332312
--- > st.open("half.safetensors"):dtype_counts()
--- { F16 = 30, I64 = 1 }
--- ```
---@param model any
---@param path string the file, or with `max_shard_size` the folder
---
--- `opts`: `dtype` of all floating tensors, `saturate` (F8: clamp instead of NaN or infinity); `sync` = false
--- leaves out the syncs, `replace` = false refuses an existing file, `force` = true lets a folder replace another
--- model; `max_shard_size` = "5GB" writes shards and an index; `align` = 64 or 4096 aligns the data section;
--- `files` = { ["config.json"] = text, ... } go into the folder of shards in the same step; `only_file` = the name
--- of its file of weights where one is enough, "model.safetensors" if not told; `compress` = "zstd" writes
--- compressed files, whose names end in .safetensors.zst and which every function reads; a path that ends so says
--- it, too; `metadata` = keys to set (false removes one); `recipe` = false leaves the recipe out, a table adds to
--- it; `hash_inputs` = true adds the SHA-256 of whole inputs to the recipe; `resume` = true keeps what is done,
--- under a hidden name beside the file, if the save is interrupted or killed, and goes on from it when the same is
--- saved again: same inputs (they must be files), same operations, same options. The bytes are those of a save in
--- one go. The next save to that file removes what it cannot go on from
---@param opts? table
---@return integer # bytes written; of compressed files those before compression
---@return integer? # of compressed files, what they take on the disk
function st.save(model, path, opts) end

--- Saves several models in one pass over their common inputs; all files appear or none.
--- ```lua
--- > a, b = st.open("a.safetensors"), st.open("b.safetensors")
--- > list = {}
--- > for t = 1, 3 do list[t] = { st.lerp(a, b, t / 4), ("blend-%d.safetensors"):format(t) } end
--- > st.save_all(list) > 0
--- true
--- ```
---@param list table[] entries { model, path, ...options of save }
---@param opts? table options for all of them; `resume` in one of them is meant for all
---@return integer # bytes written
---@return integer? # as of m:save, where some are compressed
function st.save_all(list, opts) end

--- A model with weights as ComfyUI's scaled fp8: each weight's largest magnitude becomes the largest number there is,
--- 448 in F8_E4M3, and its scale stands beside it. By default weights of linear layers within blocks.
---@param m stlua.Model
---
--- `opts`: `dtype` = "F8_E4M3" (default) or "F8_E5M2"; `only`, `except` = patterns of names; with `only` any
--- floating weight of two dimensions or more that matches
---@param opts? table
---@return stlua.Model
---@return integer # how many weights
function st.scaled_fp8(m, opts) end

--- One element of a dimension, which the result has no longer: `t:select(1, i)` is `t[i]`. A view.
--- ```lua
--- > t = st.tensor { { 1, 2 }, { 3, 4 } }
--- > t:select(2, -1)
--- Tensor[2 I64, 16 B]
---   2  4
--- ```
---@param t stlua.Tensor
---@param dim integer negative from the end
---@param index integer negative from the end
---@return stlua.Tensor
function st.select(t, dim, index) end

--- 1 / (1 + exp(-x)).
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.sigmoid(x) end

--- -1, 0 or 1 by the sign.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.sign(x) end

--- x * sigmoid(x).
---@param x any tensor or model
function st.silu(x) end

--- Sine.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.sin(x) end

--- Hyperbolic sine.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.sinh(x) end

--- All sizes, as shape gives them, or that of one dimension.
---@param t stlua.Tensor
---@param dim? integer negative from the end
---@return integer[]|integer
function st.size(t, dim) end

--- exp(x) over the sum of all exp(x) along a dimension.
---@param t stlua.Tensor
---@param dim? integer
---@return stlua.Tensor # deferred
function st.softmax(t, dim) end

--- log(1 + exp(x)), without overflow: max(x, 0) + log1p(exp(-|x|)).
---@param x any tensor or model
function st.softplus(x) end

--- The solution X of a X = b. b is a vector (or a stack of them, as many as there are matrices) or a matrix of columns.
--- ```lua
--- > st.solve(st.tensor { { 2.0, 0 }, { 0, 4 } }, st.tensor { 2.0, 2 })
--- Tensor[2 F32, 8 B]
---   1.0000  0.5000
--- ```
---@param a stlua.Tensor (.., n, n)
---@param b stlua.Tensor (.., n) or (.., n, columns)
---@return stlua.Tensor # of b's shape, stacks broadcast
function st.solve(a, b) end

--- Sorts along a dimension, stably; NaN counts as the largest.
--- ```lua
--- > values, places = st.tensor({ 7, 1, 5 }):sort({ descending = true })
--- > values
--- Tensor[3 I64, 24 B]
---   7  5  1
--- > places
--- Tensor[3 I64, 24 B]
---   1  3  2
--- ```
---@param t stlua.Tensor
---@param dim? integer
---@param opts? table `dim`, `descending`, `stable` (always so)
---@return stlua.Tensor # values
---@return stlua.Tensor # their places before, I64
function st.sort(t, dim, opts) end

--- Parts of `size` elements along a dimension, the last with what is left; or parts of the given sizes. Views.
--- ```lua
--- > parts = st.arange(5):split(2)
--- > #parts, parts[2]
--- 3
--- Tensor[2 I64, 16 B]
---   2  3
--- ```
---@param t stlua.Tensor
---@param size integer[]|integer
---@param dim? integer
---@return stlua.Tensor[]
function st.split(t, size, dim) end

--- Square root.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.sqrt(x) end

--- x * x.
---@param x any tensor or model
function st.square(x) end

--- Without dimensions of size 1: all of them, or this one. A view.
--- ```lua
--- > st.zeros(1, 3, 1):squeeze():shape()
--- { 3 }
--- ```
---@param t stlua.Tensor
---@param dim? integer stays if its size is not 1
function st.squeeze(t, dim) end

--- Tensors of one shape along a new dimension.
--- ```lua
--- > st.stack { st.tensor { 1, 2 }, st.tensor { 3, 4 } }
--- Tensor[2x2 I64, 32 B]
---   1  2
---   3  4
--- ```
---@param tensors stlua.Tensor[]
---@param dim? integer where it is in the result
function st.stack(tensors, dim) end

--- What the values of tensors are like: least, greatest, mean, standard deviation (over n - 1), and how many are NaN or
--- infinite. NaN carries over into the first four; `finite` has those of the finite values then. Every tensor is read
--- once, those with infinities twice, with NaN three times.
--- ```lua
--- > s = st.stats(st.tensor { 1.0, 2, 3 })
--- > s.min, s.max, s.mean, s.std, s.nan
--- 1.0     3.0     2.0     1.0     0
--- ```
---@param m stlua.Model|stlua.Tensor
---
--- `result`: of a tensor: { min, max, mean, std, nan, inf, finite, numel, dtype, shape }; of a model: such a table
--- for each name, in order with `name` added, and by name. One that cannot be computed on has `skipped` = why.
--- Printed, a table.
---@return table
function st.stats(m) end

--- Standard deviation: the root of the variance.
--- ```lua
--- > st.tensor({ 1.0, 2, 3 }):std():item()
--- 1.0
--- ```
---@param t stlua.Tensor
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`, `correction` (1)
---@return stlua.Tensor # deferred
function st.std(t, dim, opts) end

--- Difference, elementwise: `a - b`.
---@param a stlua.Tensor|number|stlua.Model
---@param b stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.sub(a, b) end

--- Sum of the elements; of integers and booleans in I64, wrapping.
--- ```lua
--- > t = st.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
--- > t:sum():item()
--- 21
--- > t:sum(2)
--- Tensor[2 I64, 16 B]
---    6  15
--- > t:sum(2, { keepdim = true }):shape()
--- { 2, 1 }
--- ```
---@param t stlua.Tensor
---@param dim? integer|table one dimension or a list of them (default: all)
---@param opts? table `dim`; `keepdim` = true keeps reduced dimensions with size 1
---@return stlua.Tensor # deferred
function st.sum(t, dim, opts) end

--- Singular values and vectors: a = U diag(S) Vh, S descending. Signs: in each column of U the entry of largest
--- magnitude (the first of equal ones) is positive. Unlike torch.linalg.svd it gives the reduced factors unless told.
--- ```lua
--- > a = st.tensor { { 3.0, 0 }, { 0, 2 } }
--- > u, s, vh = a:svd()
--- > s
--- Tensor[2 F32, 8 B]
---   3.0000  2.0000
--- > ((u * s):matmul(vh) - a):abs():amax() < 1e-6
--- true
--- ```
---@param a stlua.Tensor (.., m, n)
---@param opts? table `full_matrices` = true: square U and Vh
---@return stlua.Tensor # U (.., m, k), k the smaller of m and n
---@return stlua.Tensor # S (.., k)
---@return stlua.Tensor # Vh (.., k, n)
function st.svd(a, opts) end

--- The k largest singular values and vectors by subspace iteration from a random start (Halko, Martinsson and Tropp,
--- 2011, algorithms 4.4 and 5.1; k + max(8, k / 4) columns are iterated): far less work than svd, on a matrix of which
--- no more than parts need be in memory. Where k is about half of the smaller size or more, the exact way is taken.
---
--- The fourth result certifies the others: { the matrix's Frobenius norm, the share of its square that the k values
--- hold, the share that the whole subspace holds }. No k values can hold more than the second plus 1 minus the third.
--- ```lua
--- > a = st.outer(st.ones(40), st.arange(30):cast "F32")      -- of rank 1
--- > u, s, v, certificate = a:svd_lowrank(1)
--- > u:shape(), s:shape(), v:shape()
--- { 40, 1 }       { 1 }   { 30, 1 }
--- > (certificate[2] > 0.9999), ((u * s):matmul(v:t()) - a):abs():amax() < 1e-3
--- true    true
--- ```
---@param a stlua.Tensor (m, n)
---@param k? integer
---@param opts? table `niter` = 2 iterations; `seed` = 0
---@return stlua.Tensor # U (m, k)
---@return stlua.Tensor # S (k)
---@return stlua.Tensor # V (n, k): not transposed, as in PyTorch
---@return stlua.Tensor # the certificate (3)
function st.svd_lowrank(a, k, opts) end

--- Singular values, descending.
---@param a stlua.Tensor (.., m, n)
---@return stlua.Tensor # (.., k)
function st.svdvals(a) end

--- The same as transpose. A view.
---@param t stlua.Tensor
---@param a integer
---@param b integer
function st.swapaxes(t, a, b) end

--- The transposed matrix; a vector or a number as it is. A view.
--- ```lua
--- > st.tensor({ { 1, 2, 3 }, { 4, 5, 6 } }):t()
--- Tensor[3x2 I64, 48 B]
---   1  4
---   2  5
---   3  6
--- ```
---@param t stlua.Tensor of at most 2 dimensions
function st.t(t) end

--- Tangent.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.tan(x) end

--- Hyperbolic tangent.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.tanh(x) end

--- A tensor of the numbers or booleans in nested tables: st.tensor { { 1, 2 }, { 3, 4 } }. Of a tensor, a copy.
--- ```lua
--- > st.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
--- Tensor[2x3 I64, 48 B]
---   1  2  3
---   4  5  6
--- > st.tensor({ 1, 2 }, { dtype = "BF16" })
--- Tensor[2 BF16, 4 B]
---   1.0000  2.0000
--- ```
---@param values any nested tables of equal lengths, a number, or a tensor
---@param opts? table `dtype`: by default BOOL for booleans, I64 for integers, F32 where there is a float
---@return stlua.Tensor
function st.tensor(values, opts) end

--- Threads to work with; as many as this process may use unless it is told otherwise.
---@param n? integer sets the number; 0 asks for as many as there may be
---@return integer # threads in use
function st.threads(n) end

--- The tensor repeated along its dimensions; further dimensions come in front. Also t["repeat"], as PyTorch calls it:
--- `repeat` is a word of Lua.
--- ```lua
--- > st.tensor({ 1, 2 }):tile(2, 2)
--- Tensor[2x4 I64, 64 B]
---   1  2  1  2
---   1  2  1  2
--- ```
---@param t stlua.Tensor
---@param ... any how often, for each dimension, one by one or as a table
function st.tile(t, ...) end

--- The raw little-endian bytes of a tensor: t:bytes().
---@param t stlua.Tensor
---@return string
function st.to_string(t) end

--- The k largest elements along a dimension, in order.
--- ```lua
--- > values, places = st.tensor({ 7, 1, 5, 3 }):topk(2)
--- > values
--- Tensor[2 I64, 16 B]
---   7  5
--- > places
--- Tensor[2 I64, 16 B]
---   1  3
--- ```
---@param t stlua.Tensor
---@param k integer
---@param opts? table `dim` (-1), `largest` = false for the smallest, `sorted` (always so)
---@return stlua.Tensor # values
---@return stlua.Tensor # their places, I64
function st.topk(t, k, opts) end

--- Sum of the main diagonal of a matrix.
---@param a stlua.Tensor (m, n)
---@return stlua.Tensor # without dimensions: F64, or I64 of integers
function st.trace(a) end

--- Two dimensions exchanged. A view.
--- ```lua
--- > st.zeros(2, 3, 4):transpose(1, -1):shape()
--- { 4, 3, 2 }
--- ```
---@param t stlua.Tensor
---@param a integer
---@param b integer
function st.transpose(t, a, b) end

--- The lower triangle of matrices, the rest 0.
---@param a stlua.Tensor (.., m, n)
---@param diagonal? integer the highest one that stays: 1 is above the main one, -1 below
---@return stlua.Tensor
function st.tril(a, diagonal) end

--- The upper triangle of matrices, the rest 0.
---@param a stlua.Tensor (.., m, n)
---@param diagonal? integer the lowest one that stays: 1 is above the main one, -1 below
---@return stlua.Tensor
function st.triu(a, diagonal) end

--- Rounds towards zero.
---@param x stlua.Tensor|number|stlua.Model
---@return any # a deferred tensor, or a model
function st.trunc(x) end

--- All tensors t[1], t[2], ... along a dimension, as a list. Views.
--- ```lua
--- > q, k = table.unpack(st.tensor({ { 1, 2 }, { 3, 4 } }):unbind())
--- > k
--- Tensor[2 I64, 16 B]
---   3  4
--- ```
---@param t stlua.Tensor
---@param dim? integer
---@return stlua.Tensor[]
function st.unbind(t, dim) end

--- One dimension as several. A view.
---@param t stlua.Tensor
---@param dim integer
---@param sizes integer[] whose product is its size; one may be -1
function st.unflatten(t, dim, sizes) end

--- The distinct values of all elements, in order. Computes: how many there are is not known before.
--- ```lua
--- > values, counts = st.tensor({ 3, 1, 3 }):unique { counts = true }
--- > values
--- Tensor[2 I64, 16 B]
---   1  3
--- > counts
--- Tensor[2 I64, 16 B]
---   1  2
--- ```
---@param t stlua.Tensor
---@param opts? table `inverse`, `counts` = true for the further results, in this order
---@return stlua.Tensor # values
---@return stlua.Tensor? # inverse: for each element the place of its value, I64
---@return stlua.Tensor? # counts: how often each value is there, I64
function st.unique(t, opts) end

--- Which mix of other models is this one? Finds the weights w with m = w1 a + w2 b + ..., by least squares, for each
--- block and for all of it: it uncovers the recipe of a merge that nobody wrote down. One streaming pass over all
--- models.
--- ```lua
--- > a, b = st.open("a.safetensors"), st.open("b.safetensors")
--- > st.unmix((0.7 * a + 0.3 * b):cast "F16", { a, b })
--- cast(0.7 * a.safetensors + 0.3 * b.safetensors) as a mix of
---    A = a.safetensors
---    B = b.safetensors
--- block                 mix              residual
--- embed_tokens-lm_head  0.70 A + 0.30 B    <0.1 %
--- all: 0.70 A + 0.30 B, residual <0.1 %
--- left out: 1 tensor not floating
--- ```
---@param m stlua.Model
---@param sources stlua.Model[] up to 8
---
--- `opts`: `free` = true: weights need not add up to 1; `non_negative` = true: none is below 0; `only` = patterns
--- of names; `progress` = function(done, total), in bytes of `m`
---@param opts? table
---
--- `result`: { all, blocks (in order, with `name`), tensors, left_out = names by reason, label, labels }. A fit is
--- { weights (by source; nil where a source equals another one or is a mix of the others), errors (of weights, if
--- what is left is noise), residual = what is left, as a share of how far the models lie from the mean of the
--- sources; relative = as a share of \|m\|; same = { [i] = sources equal to i }, dependent, tensors, numel }.
--- Printed, a table
---@return table
function st.unmix(m, sources, opts) end

--- Writes what a packed file was packed from, byte for byte. The file stays.
--- ```lua
--- > to = st.unpack("small.safetensors", { output = "again.safetensors" })
--- > st.open(to):file_sha256(1) == st.open("a.safetensors"):file_sha256(1)
--- true
--- ```
---@param path string a packed file
---
--- `opts`: `output` = the file to write (the same name without .packed); `base` = path of the file it was packed
--- against, if that lies elsewhere; `sync`, `replace` as of m:save
---@param opts? table
---@return string # the file that was written
---@return integer # its bytes
function st.unpack(path, opts) end

--- A new dimension of size 1. A view.
--- ```lua
--- > st.zeros(2, 3):unsqueeze(2):shape()
--- { 2, 1, 3 }
--- ```
---@param t stlua.Tensor
---@param dim integer where it is in the result
function st.unsqueeze(t, dim) end

--- Variance: the squares around the mean, over n - correction. Means and squares of blocks are joined as by Chan,
--- Golub and LeVeque (1983), so that nothing cancels.
---@param t stlua.Tensor
---@param dim? integer|table
---@param opts? table `dim`, `keepdim`, `correction` (1; 0 gives the population's)
---@return stlua.Tensor # deferred
function st.var(t, dim, opts) end

--- Reads all files of a model: compares every checksum of a compressed one, checks the header of a plain one, and
--- counts the values that are NaN or infinite, which make no file a damaged one. All that is wrong is told.
--- ```lua
--- > v = st.verify("a.safetensors")
--- > v
--- a.safetensors: good: its header fits the file; a plain file has no checksums
--- > v.ok, v.nan, v.inf
--- true    0       0
--- ```
---@param path string as of st.open
---
--- `opts`: `values` = false does not look at the values; `base` = path of a packed file's base, if it does not lie
--- beside it
---@param opts? table
---
--- `result`: { ok =, path =, files = { { path =, compression =, checked = whether all its bytes have checksums,
--- total = damaged places, damaged = { { tensor =, first = offset in the plain file, bytes =, message = } ... } }
--- ... }, problems = { text ... }, nan =, inf =, values = { { name =, dtype =, shape =, nan =, inf = } ... } }.
--- Printed, a text
---@return table
function st.verify(path, opts) end

--- Version of stlua, such as "0.1.0".
st.version = ""

--- Elements of `a` where the mask is true, of `b` where it is false.
--- ```lua
--- > t = st.tensor { -1.0, 2, -3 }
--- > st.where(t:gt(0), t, 0)
--- Tensor[3 F32, 12 B]
---   0.0000  2.0000  0.0000
--- ```
---@param mask any a BOOL tensor
---@param a any tensor or number
---@param b any tensor or number
---@return any # a deferred tensor
function st.where(mask, a, b) end

--- A tensor of zeros. Takes no memory until it is written to.
--- ```lua
--- > st.zeros(2, 3, { dtype = "F16" })
--- Tensor[2x3 F16, 12 B]
---   0.0000  0.0000  0.0000
---   0.0000  0.0000  0.0000
--- ```
---@param ... any sizes, one by one or as a table; then perhaps options: `dtype` = "F32"
---@return stlua.Tensor
function st.zeros(...) end

--- A tensor of zeros in the shape and dtype of another.
---@param t stlua.Tensor
---@param opts? table `dtype`
---@return stlua.Tensor
function st.zeros_like(t, opts) end

--- Marks a table as an array, so that an empty one is written `[]`.
---@param t table
---@return table # the same
function st.json.array(t) end

--- Text to value. Objects and arrays become tables, null becomes `st.json.null`.
--- ```lua
--- > st.json.decode('{"layers": [1, 2], "tied": true}')
--- { layers = { 1, 2 }, tied = true }
--- ```
---@param text string at most 64 MB and 64 levels deep
---@return any # the value
function st.json.decode(text) end

--- Value to text, keys sorted.
--- ```lua
--- > st.json.encode { rank = 8, layers = { 1, 2 } }
--- {"layers":[1,2],"rank":8}
--- ```
---@param value any a table, string, number, boolean or `st.json.null`
---@param opts? table `indent` = number of blanks per level (none: one line)
---@return string
function st.json.encode(value, opts) end

--- Stands for JSON's null: Lua tables cannot hold nil.
st.json.null = {}

--- Reads a .npy file as a tensor in memory, or an .npz archive as a model of its arrays (which file it is, it says
--- itself). Versions 1 to 3, C and Fortran order, either byte order, all numeric types that are dtypes here.
---@param path string
---@param opts? table `dtype`: what raw or unsigned elements of that size really are, such as "BF16"
---@return stlua.Tensor|stlua.Model
function st.npy.load(path, opts) end

--- Writes a tensor as .npy, or a model or a table of tensors as an uncompressed .npz. BF16 and 8-bit floats, which
--- NumPy has not, are written as F32, which holds them exactly. All or nothing, as a save.
--- ```lua
--- > st.npy.save("t.npy", st.tensor { { 1.0, 2 }, { 3, 4 } })
--- > st.npy.load("t.npy")
--- Tensor[2x2 F32, 16 B]
---   1.0000  2.0000
---   3.0000  4.0000
--- ```
---@param path string
---@param what any a tensor, a model, or { name = tensor }
---
--- `opts`: `raw` = true writes such floats as the unsigned integers of their bits instead; `sync` = false leaves
--- out the syncs, `replace` = false refuses an existing file
---@param opts? table
function st.npy.save(path, what, opts) end

--- Merges adapters into a model: W + strength * alpha / rank * B A for LoRA, and what stands for it for the other kinds
--- (LoCon, LoHa, LoKr, GLoRA, DoRA, OFT, BOFT, IA3, differences, whole tensors), in every program's spelling. The
--- result is deferred, computed in F32 and rounded once to the model's dtypes.
---@param model stlua.Model a checkpoint
---
--- `adapters`: a file, a folder of PEFT, a model of its tensors, or a list of { adapter, strength, blocks = as of
--- st.block_weights }
---@param adapters {...}|string|stlua.Model
---@param strength? number|table or by part, { unet = 0.8, te = 0.5 }
---
--- `opts`: `allow_unmatched` = true leaves out modules that match nothing, which is an error otherwise; `invert` =
--- true takes the adapters out again, the last one first: exactly but for rounding, DoRA nearly; `blocks` = a
--- factor by block, as of st.block_weights
---@param opts? table
---@return stlua.Model
function st.lora.apply(model, adapters, strength, opts) end

--- Adapters as one: the sum of weight * alpha / rank * B A over all, as if each had been applied. "exact" sets their
--- factors side by side, so that ranks add up and nothing is lost (weights are not squared, there are no cross terms);
--- "svd" gives the nearest of a lower rank; "cat" is "exact" the way PEFT writes it, alpha = rank. Modules that only
--- some have, different ranks, alphas, formats and spellings, and negative weights are all fine.
--- ```lua
--- > a = st.model { { "lora_unet_x.lora_down.weight", st.ones(2, 8) },
--- ..    { "lora_unet_x.lora_up.weight", st.ones(8, 2) } }
--- > both, rows = st.lora.combine({ { a, 0.6 }, { a, 0.4 } }, { rank = 2 })
--- > both["lora_unet_x.lora_up.weight"]:shape(), rows[1].error < 1e-6
--- { 8, 1 }        true
--- ```
---@param list {string|stlua.Model[] adapters and weights (1)
---
--- `opts`: `mode` = "exact", "svd" (default where a rank is given) or "cat"; `rank`, `conv_rank`, `energy`,
--- `sv_ratio`, `sv_fro`, `sv_cumulative` as of st.lora.resize; `to` = "kohya", "diffusers" or "peft" (the first
--- adapter's); `model` = the checkpoint, where names alone do not tell the modules; `dtype` of the factors (theirs
--- where it is one, else F32)
---@param opts? table
---@return stlua.Model # st.lora.write saves it, in PEFT's format as a folder
---@return table[] # of "svd" a row for each module: module, rank_before, rank, retained, error, norm, s
function st.lora.combine(list, opts) end

--- An adapter in another program's spelling: kohya's (ComfyUI, A1111, `lora_unet_...`), diffusers' or PEFT's. Matrices
--- that one has whole and the other in parts (Flux, SD 3) are split and joined; the scale goes into `.alpha` tensors,
--- `lora_adapter_metadata` or `adapter_config.json`. There and back gives the same bytes.
---
--- Names with underscores are read by the rules of the architecture that they seem to be of (Stable Diffusion 1, 2 and
--- XL, Flux, SD 3, Qwen-Image, Wan, Z-Image, language models); for others a model must tell.
--- ```lua
--- > lora = st.model { { "lora_unet_double_blocks_0_img_attn_proj.lora_down.weight", st.ones(2, 8) },
--- ..    { "lora_unet_double_blocks_0_img_attn_proj.lora_up.weight", st.ones(8, 2) } }
--- > st.lora.convert(lora, { to = "diffusers" }):name(1)
--- transformer.transformer_blocks.0.attn.to_out.0.lora_A.weight
--- ```
---@param what string|stlua.Model a file, a folder, a model of its tensors
---@param opts table `to` = "kohya", "diffusers" or "peft"; `model` = the checkpoint that the adapter is for
---@return stlua.Model # st.lora.write saves it, in PEFT's format as a folder
function st.lora.convert(what, opts) end

--- The adapter that leads from one model to another. Differences are taken in F32; for each weight the best factors of
--- a rank are found by block Krylov subspaces from a random start, until no more than 1.001 times the smallest possible
--- residual is left, as its growth tells; the bits hang on the seed and not on the number of threads. Computed at once,
--- a layer a thread; what is held are these layers and all factors.
---
--- In the result each of `layers` is a certificate: name, module, shape, rank, norm of the difference, retained (the
--- share of its square that the factors hold, exact), captured (the share that the whole subspace holds), ahead (an
--- estimate of the share that the best factors may hold besides), rounding (the share that the dtype's rounding of
--- the factors adds to the residual, to first order), error and stored_error (norms of the residual relative to the
--- difference's, before and after rounding), s (singular values).
--- ```lua
--- > base = st.model { { "model.layers.0.mlp.up_proj.weight", st.zeros(96, 80) } }
--- > d = st.randn({ 96, 3 }, { seed = 1 }):matmul(st.randn({ 3, 80 }, { seed = 2 }))
--- > tuned = st.model { { "model.layers.0.mlp.up_proj.weight", d } }
--- > found = st.lora.extract(base, tuned, { rank = 3 })
--- > found.model:name(1), found.model:tensor(1):shape()
--- base_model.model.model.layers.0.mlp.up_proj.lora_A.weight       { 3, 80 }
--- > found.layers[1].retained > 0.999999, found.config.lora_alpha
--- true    3
--- ```
---@param base stlua.Model
---@param tuned stlua.Model with the same tensors
---
--- `opts`: `rank` = 32; or `energy` = 0.95, the smallest rank that holds this share of each difference's square,
--- and `sv_ratio` = 20, no singular value below the largest divided by this, both up to `max_rank` = 128, which
--- alone is a rank; `conv_rank` decomposes kernels of more than 1 x 1, too, as out x (in * height * width); `only`,
--- `except`, `modules_to_save` = patterns of tensors, the last saved whole; `include_embeddings` = true; `format` =
--- "peft", "kohya" or "diffusers": by default "peft" for language models, else "kohya"; `dtype` = F16 for kohya,
--- else the tuned model's where that has 16 bits, else F32; `distribute` = "both", roots of the singular values on
--- both factors; "up" or "down", all on that one; `exact` = true decomposes with LAPACK; `seed` = 0; `base` = what
--- PEFT's configuration calls the base model
---@param opts? table
---
--- `result`: model (st.lora.write saves it, in PEFT's format as a folder), layers, format, dtype, rank, config
--- (PEFT's, as a table), differing = names of tensors that differ and are not in the adapter, equal = modules that
--- do not differ, notes
---@return table
function st.lora.extract(base, tuned, opts) end

--- What there is to know of an adapter. The strength of a module is the Frobenius norm of what it adds to the weight,
--- alpha / rank * B A, computed from the factors; of a part or block the root of the sum of squares. Of kinds that add
--- nothing (OFT, IA3, GLoRA, whole tensors) there is no norm, and of DoRA it is that of B A.
--- ```lua
--- > lora = st.model { { "lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight", st.ones(2, 8, 3, 3) },
--- ..    { "lora_unet_down_blocks_0_resnets_0_conv1.lora_up.weight", st.ones(8, 2, 1, 1) } }
--- > t = st.lora.info(lora)
--- > t.format, t.title, t.norm
--- kohya   Stable Diffusion 1      48.0
--- ```
---@param what string|stlua.Model a file, a folder, a model of its tensors
---
--- `result`: label, format, kinds, architecture and title (nil where names do not tell), modules, parts, blocks,
--- ranks, alphas = lists of { value, count }, norm, training, warnings
---@return table
---@return string # the same for people
function st.lora.info(what) end

--- An adapter of lower rank: the best approximation that there is (of each module's change, in the Frobenius norm), at
--- the same scale. LoHa, LoKr and differences become LoRA; middle tensors are folded. Modules whose rank is not above
--- what is asked for stay as they are.
--- ```lua
--- > lora = st.model { { "lora_unet_x.lora_down.weight", st.ones(4, 8) },
--- ..    { "lora_unet_x.lora_up.weight", st.ones(8, 4) } }
--- > small, rows = st.lora.resize(lora, { rank = 1 })
--- > rows[1].rank, rows[1].error < 1e-6
--- 1       true
--- ```
---@param what string|stlua.Model a file, a folder, a model of its tensors
---
--- `opts`: `rank` at most; `conv_rank` of convolutions with more than one element (as rank); and one rule, if ranks
--- are to differ: `energy` = the least share of the squared norm, `sv_fro` = its root, `sv_cumulative` = the least
--- share of the singular values' sum, `sv_ratio` = all values above the largest divided by it; `dtype` of the new
--- factors (as before)
---@param opts table
---@return stlua.Model # st.lora.write saves it, in PEFT's format as a folder
---
--- `result`: a row for each module: module, rank_before, rank, retained (the share of the squared norm), error,
--- norm, s (singular values)
---@return table[]
function st.lora.resize(what, opts) end

--- Writes an adapter: one in PEFT's format as a folder of adapter_model.safetensors and adapter_config.json, any
--- other as a file. All or nothing, as m:save, which writes every one as a file: there a header has the configuration.
--- ```lua
--- > lora = st.model { { "base_model.model.q.lora_A.weight", st.ones(2, 8) },
--- ..    { "base_model.model.q.lora_B.weight", st.ones(8, 2) } }
--- > st.lora.write(st.lora.resize(lora, { rank = 1 }), "small") > 0
--- true
--- ```
---@param model stlua.Model as st.lora.extract, resize, combine and convert give it
---@param path string a file; a folder for PEFT, unless it ends in .safetensors
---@param opts? table as of m:save
---@return integer # bytes written
function st.lora.write(model, path, opts) end

return st
