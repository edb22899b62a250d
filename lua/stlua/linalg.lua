--- Linear algebra, as functions and methods of tensors (`st.svd(a)`, `a:svd()`), with PyTorch's names.
--
-- The last two dimensions are a matrix, those before them a stack. Everything is deferred, and computed whole by
-- OpenBLAS in F32, or F64 where an operand is F64, but for products with a small inner size; integers are refused. The
-- bits do not depend on the number of threads, but on the kind of processor. Decompositions of BF16, F16 and F8, which
-- PyTorch has not, give F32. Values that are NaN or infinite are refused, when they are computed, by all but the
-- products.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local map = require "stlua.map"
local integer_of = require("stlua.sizes").integer
local text = require "stlua.text"

local linalg = {}

local function check_tensor(who, t)
   if not map.is_tensor(t) then
      errors.throwf("arg", "%s: a tensor, not a %s", who, map.is_model(t) and "model (use st.map)" or type(t))
   end
end

local function check_ndim(who, t, ndim)
   check_tensor(who, t)
   if t:ndim() ~= ndim then
      errors.throwf("shape", "%s: a tensor of %d dimension%s expected, this one has %d (see matmul)", who, ndim,
         ndim == 1 and "" or "s", t:ndim())
   end
end

-- ---------------------------------------------------------------- products

--- Matrix product. Two vectors give their scalar product, a vector counts as a row on the left and as a column on
-- the right; stacks broadcast. Floats narrower than F32 are multiplied in F32; a large one is never held whole in F32
-- when it is the left operand, or a transposed right one, as in x:matmul(w:t()). A product with a small inner size, at
-- most 512 and a quarter of both sides, is not held either: w + up:matmul(down) is made as it is written.
--
--     > a = st.tensor { { 1.0, 2 }, { 3, 4 } }
--     > a:matmul(st.eye(2) * 2)
--     Tensor[2x2 F32, 16 B]
--       2.0000  4.0000
--       6.0000  8.0000
--     > a:matmul(st.ones(2))
--     Tensor[2 F32, 8 B]
--       3.0000  7.0000
-- @tparam tensor a (.., m, k)
-- @tparam tensor b (.., k, n)
-- @treturn tensor (.., m, n) of the common dtype
-- @raise "shape" where the inner sizes differ, "dtype" for integers: cast them first
-- @torch torch.matmul
function linalg.matmul(a, b)
   check_tensor("matmul", a)
   check_tensor("matmul", b)
   return core.matmul(a, b)
end

--- Product of two matrices: matmul for exactly two dimensions.
-- @tparam tensor a (m, k)
-- @tparam tensor b (k, n)
-- @treturn tensor (m, n)
-- @torch torch.mm
function linalg.mm(a, b)
   check_ndim("mm", a, 2)
   check_ndim("mm", b, 2)
   return core.matmul(a, b)
end

--- Product of a matrix and a vector: matmul for just these.
-- @tparam tensor a (m, k)
-- @tparam tensor b (k)
-- @treturn tensor (m)
-- @torch torch.mv
function linalg.mv(a, b)
   check_ndim("mv", a, 2)
   check_ndim("mv", b, 1)
   return core.matmul(a, b)
end

--- Products of two stacks of equally many matrices.
-- @tparam tensor a (count, m, k)
-- @tparam tensor b (count, k, n)
-- @treturn tensor (count, m, n)
-- @torch torch.bmm
function linalg.bmm(a, b)
   check_ndim("bmm", a, 3)
   check_ndim("bmm", b, 3)
   if #a ~= #b then errors.throwf("shape", "bmm: stacks of %d and %d matrices (matmul repeats one matrix)", #a, #b) end
   return core.matmul(a, b)
end

--- All products of an element of one vector with one of another. Elementwise, so of any dtype.
--
--     > st.outer(st.tensor { 1.0, 2 }, st.tensor { 3.0, 4 })
--     Tensor[2x2 F32, 16 B]
--       3.0000  4.0000
--       6.0000  8.0000
-- @tparam tensor a (m)
-- @tparam tensor b (n)
-- @treturn tensor (m, n)
-- @torch torch.outer
function linalg.outer(a, b)
   check_ndim("outer", a, 1)
   check_ndim("outer", b, 1)
   return core.apply("mul", a:reshape { #a, 1 }, b)
end

--- Kronecker's product: all products of an element of `a` with one of `b`, in blocks of b's shape. Elementwise, so of
-- any dtype.
-- @tparam tensor a
-- @tparam tensor b dimensions that one has not are added in front
-- @treturn tensor
-- @torch torch.kron
function linalg.kron(a, b)
   check_tensor("kron", a)
   check_tensor("kron", b)
   local n, m, wide, narrow, out = a:shape(), b:shape(), {}, {}, {}
   while #n < #m do table.insert(n, 1, 1) end
   while #m < #n do table.insert(m, 1, 1) end
   for d = 1, #n do
      wide[2 * d - 1], wide[2 * d] = n[d], 1
      narrow[2 * d - 1], narrow[2 * d] = 1, m[d]
      out[d] = n[d] * m[d]
   end
   return core.apply("mul", a:reshape(wide), b:reshape(narrow)):reshape(out)
end

-- ---------------------------------------------------------------- triangles and diagonals

-- Which diagonal is meant.
local function number_of(who, k)
   local n = integer_of(k or 0)
   if not n then errors.throwf("arg", "%s: the diagonal must be an integer, not %s", who, text.shown(k)) end
   return n
end

-- A mask of rows x columns: true where column - row is at least (`op` "ge"), at most ("le") or just ("eq") k.
local function band(who, rows, columns, op, k)
   return core.apply(op, core.apply("sub", core.iota(columns), core.iota(rows):reshape(rows, 1)), number_of(who, k))
end

local function triangle(who, a, op, k)
   check_tensor(who, a)
   local sizes = a:shape()
   if #sizes < 2 then errors.throwf("shape", "%s: a matrix expected, not %d dimensions", who, #sizes) end
   return core.apply("where", band(who, sizes[#sizes - 1], sizes[#sizes], op, k), a, false)
end

--- The upper triangle of matrices, the rest 0.
-- @tparam tensor a (.., m, n)
-- @tparam[opt=0] integer diagonal the lowest one that stays: 1 is above the main one, -1 below
-- @treturn tensor
-- @torch torch.triu
function linalg.triu(a, diagonal) return triangle("triu", a, "ge", diagonal) end

--- The lower triangle of matrices, the rest 0.
-- @tparam tensor a (.., m, n)
-- @tparam[opt=0] integer diagonal the highest one that stays: 1 is above the main one, -1 below
-- @treturn tensor
-- @torch torch.tril
function linalg.tril(a, diagonal) return triangle("tril", a, "le", diagonal) end

-- The diagonal k of a matrix: every (columns + 1)-th element.
local function diagonal_of(a, k)
   local rows, columns = table.unpack(a:shape())
   local count = math.min(rows + math.min(k, 0), columns - math.max(k, 0))
   local first = count > 0 and (k > 0 and k or -k * columns) + 1 or 1
   return a:reshape(-1):narrow(1, first, math.max(count, 0), columns + 1)
end

-- A square matrix with `v` on the diagonal k, and 0 elsewhere.
local function with_diagonal(v, k)
   local n = #v + math.abs(k)
   local gap = core.cast(core.broadcast(core.iota(1), { math.abs(k) }), v:dtype())
   local row = k == 0 and v or core.cat(k > 0 and { gap, v } or { v, gap }, 1)
   return core.apply("where", band("diag", n, n, "eq", k), row, false)
end

--- A diagonal of a matrix, as a vector; or of a vector the square matrix that has it there, and 0 elsewhere.
-- @tparam tensor a (m, n) or (n)
-- @tparam[opt=0] integer diagonal 1 is above the main one, -1 below
-- @treturn tensor
-- @torch torch.diag
function linalg.diag(a, diagonal)
   check_tensor("diag", a)
   local k = number_of("diag", diagonal)
   if a:ndim() == 1 then return with_diagonal(a, k) end
   check_ndim("diag", a, 2)
   local line = diagonal_of(a, k)
   return core.broadcast(line, line:shape())      -- not a view: as PyTorch's, it can be written to apart
end

--- Sum of the main diagonal of a matrix.
-- @tparam tensor a (m, n)
-- @treturn tensor without dimensions: F64, or I64 of integers
-- @torch torch.trace
function linalg.trace(a)
   check_ndim("trace", a, 2)
   return core.reduce("sum", diagonal_of(a, 0))
end

-- ---------------------------------------------------------------- decompositions

--- Singular values and vectors: a = U diag(S) Vh, S descending. Signs: in each column of U the entry of largest
-- magnitude (the first of equal ones) is positive. Unlike torch.linalg.svd it gives the reduced factors unless told.
--
--     > a = st.tensor { { 3.0, 0 }, { 0, 2 } }
--     > u, s, vh = a:svd()
--     > s
--     Tensor[2 F32, 8 B]
--       3.0000  2.0000
--     > ((u * s):matmul(vh) - a):abs():amax() < 1e-6
--     true
-- @tparam tensor a (.., m, n)
-- @tparam[opt] table opts `full_matrices` = true: square U and Vh
-- @treturn tensor U (.., m, k), k the smaller of m and n
-- @treturn tensor S (.., k)
-- @treturn tensor Vh (.., k, n)
-- @raise "arg", when computed, for NaN, infinity or no convergence
-- @torch torch.linalg.svd
function linalg.svd(a, opts)
   check_tensor("svd", a)
   opts = errors.check_options(opts, { full_matrices = "boolean" }, "svd")
   return core.svd(a, opts.full_matrices)
end

--- Singular values, descending.
-- @tparam tensor a (.., m, n)
-- @treturn tensor (.., k)
-- @torch torch.linalg.svdvals
function linalg.svdvals(a)
   check_tensor("svdvals", a)
   return core.svdvals(a)
end

--- The k largest singular values and vectors by subspace iteration from a random start (Halko, Martinsson and Tropp,
-- 2011, algorithms 4.4 and 5.1; k + max(8, k / 4) columns are iterated): far less work than svd, on a matrix of which
-- no more than parts need be in memory. Where k is about half of the smaller size or more, the exact way is taken.
--
-- The fourth result certifies the others: { the matrix's Frobenius norm, the share of its square that the k values
-- hold, the share that the whole subspace holds }. No k values can hold more than the second plus 1 minus the third.
--
--     > a = st.outer(st.ones(40), st.arange(30):cast "F32")      -- of rank 1
--     > u, s, v, certificate = a:svd_lowrank(1)
--     > u:shape(), s:shape(), v:shape()
--     { 40, 1 }       { 1 }   { 30, 1 }
--     > (certificate[2] > 0.9999), ((u * s):matmul(v:t()) - a):abs():amax() < 1e-3
--     true    true
-- @tparam tensor a (m, n)
-- @tparam[opt=6] integer k
-- @tparam[opt] table opts `niter` = 2 iterations; `seed` = 0
-- @treturn tensor U (m, k)
-- @treturn tensor S (k)
-- @treturn tensor V (n, k): not transposed, as in PyTorch
-- @treturn tensor the certificate (3)
-- @raise "arg" for a k that the matrix has not
-- @torch torch.svd_lowrank
function linalg.svd_lowrank(a, k, opts)
   check_tensor("svd_lowrank", a)
   if type(k) == "table" then k, opts = nil, k end
   opts = errors.check_options(opts, { niter = "number", seed = "number" }, "svd_lowrank")
   return core.svd_lowrank(a, k or 6, opts.niter or 2, opts.seed or 0)
end

--- Orthonormal and triangular factor: a = Q R, reduced, with the signs of Householder's reflections.
-- @tparam tensor a (.., m, n)
-- @treturn tensor Q (.., m, k), k the smaller of m and n
-- @treturn tensor R (.., k, n)
-- @torch torch.linalg.qr
function linalg.qr(a)
   check_tensor("qr", a)
   return core.qr(a)
end

--- Eigenvalues, ascending, and eigenvectors of symmetric matrices, of which only the lower triangle is looked at.
-- Signs as in svd.
-- @tparam tensor a (.., n, n)
-- @treturn tensor eigenvalues (.., n)
-- @treturn tensor eigenvectors (.., n, n), in columns
-- @torch torch.linalg.eigh
function linalg.eigh(a)
   check_tensor("eigh", a)
   return core.eigh(a)
end

--- The lower triangular factor L of a positive definite matrix a = L L'. Only the lower triangle is looked at.
-- @tparam tensor a (.., n, n)
-- @treturn tensor (.., n, n)
-- @raise "arg", when computed, for a matrix that is not positive definite
-- @torch torch.linalg.cholesky
function linalg.cholesky(a)
   check_tensor("cholesky", a)
   return core.cholesky(a)
end

-- ---------------------------------------------------------------- what is computed from them

--- Determinant.
-- @tparam tensor a (.., n, n)
-- @treturn tensor (..)
-- @torch torch.linalg.det
function linalg.det(a)
   check_tensor("det", a)
   return core.det(a)
end

--- Inverse.
-- @tparam tensor a (.., n, n)
-- @treturn tensor (.., n, n)
-- @raise "arg", when computed, for a singular matrix (pinv takes any)
-- @torch torch.linalg.inv
function linalg.inverse(a)
   check_tensor("inverse", a)
   return core.inverse(a)
end

--- The solution X of a X = b. b is a vector (or a stack of them, as many as there are matrices) or a matrix of columns.
--
--     > st.solve(st.tensor { { 2.0, 0 }, { 0, 4 } }, st.tensor { 2.0, 2 })
--     Tensor[2 F32, 8 B]
--       1.0000  0.5000
-- @tparam tensor a (.., n, n)
-- @tparam tensor b (.., n) or (.., n, columns)
-- @treturn tensor of b's shape, stacks broadcast
-- @raise "arg", when computed, for a singular matrix
-- @torch torch.linalg.solve
function linalg.solve(a, b)
   check_tensor("solve", a)
   check_tensor("solve", b)
   return core.solve(a, b)
end

--- Pseudo-inverse of Moore and Penrose, by svd: singular values up to rtol times the largest count as 0.
-- @tparam tensor a (.., m, n)
-- @tparam[opt] table opts `rtol`: by default the larger of m and n times the precision of F32 (F64)
-- @treturn tensor (.., n, m)
-- @torch torch.linalg.pinv
function linalg.pinv(a, opts)
   check_tensor("pinv", a)
   return core.pinv(a, errors.check_options(opts, { rtol = "number" }, "pinv").rtol)
end

--- Sum of the singular values; also a:norm("nuc").
-- @tparam tensor a (.., m, n)
-- @treturn tensor (..)
-- @torch torch.linalg.matrix_norm
function linalg.nuclear_norm(a)
   check_tensor("nuclear_norm", a)
   return core.nuclear_norm(a)
end

-- ---------------------------------------------------------------- assignments

--- The linear assignment problem: pairs of a row and a column, no row and no column twice, as many as the matrix has
-- of the fewer, whose costs add up to the least. As scipy.optimize.linear_sum_assignment. Exact, in F64; a random
-- matrix of 5,632 rows takes seconds, costs that are products of two vectors minutes. Of equal sums always the same
-- one is found.
--
--     > rows, columns = st.linear_sum_assignment(st.tensor { { 4.0, 1, 3 }, { 2, 0, 5 }, { 3, 2, 2 } })
--     > columns
--     Tensor[3 I64, 24 B]
--       2  1  3
-- @tparam tensor a costs (.., m, n), finite
-- @tparam[opt] table opts `maximize` = true: the largest sum
-- @treturn tensor rows, ascending (.., k), k the smaller of m and n, I64
-- @treturn tensor columns (.., k), I64
-- @raise "dtype" for integers: cast them first; "arg", when computed, for NaN or infinity
function linalg.linear_sum_assignment(a, opts)
   check_tensor("linear_sum_assignment", a)
   opts = errors.check_options(opts, { maximize = "boolean" }, "linear_sum_assignment")
   local rows, columns = core.linear_sum_assignment(a, opts.maximize)
   return core.apply("add", rows, 1), core.apply("add", columns, 1)
end

for name, fn in pairs(linalg) do core.Tensor[name] = fn end

return linalg
