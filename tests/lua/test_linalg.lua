--- Linear algebra and random tensors, as a script uses them.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"

local suite = {}

local function values(t) return support.values(t) end

local function near(t, want, tolerance)
   local got = values(t)
   lu.assertEquals(#got, #want)
   for i = 1, #want do lu.assertAlmostEquals(got[i], want[i], tolerance or 1e-5) end
end

-- ---------------------------------------------------------------- products

function suite.test_products()
   local a, b = st.tensor { { 1., 2. }, { 3., 4. } }, st.tensor { { 5., 6. }, { 7., 8. } }
   lu.assertEquals(values(a:matmul(b)), { 19, 22, 43, 50 })
   lu.assertEquals(values(st.mm(a, b:t())), { 17, 23, 39, 53 })
   lu.assertEquals(values(a:matmul(st.tensor { 1., 1. })), { 3, 7 })
   lu.assertEquals(st.matmul(st.tensor { 1., 2. }, st.tensor { 3., 4. }):item(), 11)
   lu.assertEquals(values(st.outer(st.tensor { 1, 2 }, st.tensor { 3, 4, 5 })), { 3, 4, 5, 6, 8, 10 })
   local stack = st.stack { a, b }
   lu.assertEquals(stack:bmm(stack):shape(), { 2, 2, 2 })
   lu.assertEquals(values(stack:bmm(stack)), { 7, 10, 15, 22, 67, 78, 91, 106 })
   lu.assertEquals(a:cast("BF16"):matmul(b:cast("BF16")):dtype(), "BF16")
   lu.assertEquals(a:cast("F64"):matmul(b):dtype(), "F64")
   lu.assertFalse(a:matmul(b):is_leaf())
   support.raises("shape", "[2, 2] and [3]", st.matmul, a, st.tensor { 1., 2., 3. })
   support.raises("dtype", "cast to F32 or F64 first", st.matmul, a, st.tensor { { 1, 2 }, { 3, 4 } })
   support.raises("shape", "bmm: a tensor of 3 dimensions expected, this one has 2 (see matmul)", st.bmm, a, b)
   support.raises("shape", "stacks of 2 and 1 matrices", st.bmm, stack, stack:narrow(1, 1, 1))
   support.raises("arg", "matmul: a tensor, not a number", st.matmul, a, 2)
end

function suite.test_vectors_and_blocks()
   local a = st.tensor { { 1., 2. }, { 3., 4. } }
   lu.assertEquals(values(a:mv(st.tensor { 1., -1. })), { -1, -1 })
   support.raises("shape", "mv: a tensor of 1 dimension expected", a.mv, a, a)
   lu.assertEquals(st.kron(a, st.tensor { 1, 10 }):totable(), { { 1, 10, 2, 20 }, { 3, 30, 4, 40 } })
   lu.assertEquals(st.kron(st.tensor { 1, 2 }, a):totable(), { { 1, 2, 2, 4 }, { 3, 4, 6, 8 } })
   lu.assertEquals(st.kron(st.full({}, 3), a):shape(), { 2, 2 })
end

function suite.test_triangles_and_diagonals()
   local a = st.arange(1, 10):view(3, 3)
   lu.assertEquals(values(a:triu()), { 1, 2, 3, 0, 5, 6, 0, 0, 9 })
   lu.assertEquals(values(a:tril(-1)), { 0, 0, 0, 4, 0, 0, 7, 8, 0 })
   lu.assertEquals(values(st.triu(st.stack { a, a }, 2)), { 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0 })
   lu.assertEquals(values(st.tensor { { 0 / 0, 1. }, { 0 / 0, 2. } }:tril(-2)), { 0, 0, 0, 0 })      -- NaN is left out
   lu.assertEquals(a:ne(0):triu():dtype(), "BOOL")
   lu.assertEquals(values(a:diag()), { 1, 5, 9 })
   lu.assertEquals(values(a:diag(1)), { 2, 6 })
   lu.assertEquals(values(st.diag(a, -2)), { 7 })
   lu.assertEquals(a:diag(3):shape(), { 0 })
   lu.assertEquals(values(a:t():diag(1)), { 4, 8 })
   lu.assertEquals(values(st.diag(st.tensor { 0 / 0, 2. }, 1):nan_to_num(7)), { 0, 7, 0, 0, 0, 2, 0, 0, 0 })
   lu.assertEquals(a:trace():item(), 15)
   lu.assertEquals(st.zeros(0, 3):trace():item(), 0)
   support.raises("shape", "triu: a matrix expected", st.triu, st.tensor { 1 })
   support.raises("shape", "diag: a tensor of 2 dimensions expected", st.diag, st.zeros(1, 1, 1))
   support.raises("arg", "the diagonal must be an integer", st.tril, a, 0.5)
end

-- ---------------------------------------------------------------- decompositions

function suite.test_decompositions()
   local a = st.tensor { { 3., 0. }, { 4., 5. } }
   local u, s, vh = a:svd()
   near(s, { math.sqrt(45), math.sqrt(5) })
   near((u * s):matmul(vh), values(a))
   near(a:svdvals(), values(s))
   lu.assertAlmostEquals(a:norm("nuc"):item(), math.sqrt(45) + math.sqrt(5), 1e-5)
   support.raises("arg", "without options", a.norm, a, "nuc", { keepdim = true })
   lu.assertEquals(st.ones(2, 5):svd { full_matrices = true }:shape(), { 2, 2 })
   support.raises("arg", "full_matrices", a.svd, a, { full_matrix = true })
   local q, r = a:qr()
   near(q:matmul(r), values(a))
   local w, v = st.eigh(st.tensor { { 2., 9. }, { 1., 2. } })      -- the 9 is not looked at
   near(w, { 1, 3 })
   near(v:abs(), { 0.5 ^ 0.5, 0.5 ^ 0.5, 0.5 ^ 0.5, 0.5 ^ 0.5 })
   near(st.cholesky(st.tensor { { 4., 0. }, { 2., 5. } }), { 2, 0, 1, 2 })
   near(a:inverse(), { 1 / 3, 0, -4 / 15, 0.2 })
   lu.assertAlmostEquals(a:det():item(), 15, 1e-5)
   near(a:solve(st.tensor { 3., 14. }), { 1, 2 })
   near(a:solve(st.tensor { { 3. }, { 14. } }), { 1, 2 })
   near(st.tensor({ { 1., 1. }, { 1., 1. } }):pinv(), { 0.25, 0.25, 0.25, 0.25 })
   near(a:pinv { rtol = 0.5 }:matmul(a), { 0.5, 0.5, 0.5, 0.5 })      -- of the larger singular value alone
   lu.assertEquals(a:cast("BF16"):inverse():dtype(), "F32")
end

function suite.test_what_only_the_values_tell()
   local bad = support.model("bad.safetensors", { { "w", "F32", { 2, 2 }, { 1, 2, 0 / 0, 4 } },
      { "flat", "F32", { 2, 2 }, { 1, 1, 1, 1 } } })
   support.raises("arg", { "bad.safetensors", '"w"', "svd: the values hold NaN or infinity" }, function()
      return select(2, bad.w:svd()):force()
   end)
   support.raises("arg", { '"flat"', "matrix 1 is singular", "pinv takes any matrix" }, function()
      return bad.flat:inverse():force()
   end)
end

function suite.test_einsum()
   local a, b = st.tensor { { 1.0, 2 }, { 3, 4 } }, st.tensor { { 5.0, 6, 7 }, { 8, 9, 10 } }
   for equation, want in pairs {
      ["ij,jk->ik"] = { 21, 24, 27, 47, 54, 61 }, ["ij,jk"] = { 21, 24, 27, 47, 54, 61 },
      [" ij , jk -> k "] = { 68, 78, 88 },
      ["ii,ij->j"] = { 37, 42, 47 }, ["ij,ik->kj"] = { 29, 42, 33, 48, 37, 54 },
   } do
      lu.assertEquals(st.einsum(equation, a, b):values(), want, equation)
   end
   lu.assertEquals(st.einsum("ij,jk,kl->il", a, a, b):values(), a:matmul(a):matmul(b):values())
   lu.assertEquals(st.einsum("ij,jk->ik", a, st.ones(1, 2)):values(), { 3, 3, 7, 7 })      -- a size of 1 goes with any
   lu.assertEquals(st.einsum("ij,jk->ik", st.tensor { { 1, 2 } }, st.tensor { { 3 }, { 4 } }):values(), { 11 })
   support.raises("arg", "z of the output is in no operand", st.einsum, "ij,jk->iz", a, b)
   support.raises("arg", "i stands twice in the output", st.einsum, "ij,jk->ii", a, b)
   support.raises("arg", '"." is no letter', st.einsum, "...ij->ij", a)
   support.raises("arg", "it speaks of 2 tensors, 1 given", st.einsum, "ij,jk", a)
   support.raises("arg", "operand 2: a tensor expected, not a number", st.einsum, "ij,j", a, 1)
   support.raises("arg", { "an equation expected", "not a tensor" }, st.einsum, a, b)
   support.raises("shape", "j is 2 in operand 2, and 3 before", st.einsum, "ij,jk", b, b)
   support.raises("shape", "operand 1 has 2 dimensions, its term 3", st.einsum, "ijk", a)
end

-- What fails when it is computed names the line that wrote it down, and the one that asked for it.
local function late(fn)
   local ok, e = pcall(fn)
   lu.assertFalse(ok)
   local function line(text) return tonumber(text:match("test_linalg%.lua:(%d+)$")) end
   return e, e.built and line(e.built), line(e.where)
end

function suite.test_the_line_that_built_it()
   if os.getenv "STLUA_EAGER" then return end     -- then nothing is late
   local flat, here = st.ones(2, 2), debug.getinfo(1, "l").currentline
   local inverse = st.inverse(flat)
   local after = (inverse * 2 + 1):sum()                       -- an operation that only passes it on
   local _, s = st.svd(flat / 0)
   local row = flat:index_select(1, st.tensor { 3 })
   local ordered = (st.sort(row, 1))
   local e, built, where = late(function() return after:item() end)
   lu.assertEquals({ e.code, built, where }, { "arg", here + 1, here + 6 })
   lu.assertStrContains(e.message, "singular")
   e, built, where = late(function() st.model({ { "s", s } }):save(support.path("never.safetensors")) end)
   lu.assertEquals({ e.code, built, where }, { "arg", here + 3, here + 9 })
   e, built = late(function() return ordered:force() end)       -- the innermost one
   lu.assertEquals({ e.code, built }, { "arg", here + 4 })
   e, built = late(function() return flat + st.ones(3) end)     -- found at once: there is one line only
   lu.assertEquals({ e.code, built }, { "shape" })
   -- Made anew after the failure, and from a library function that builds it in several steps.
   _, built, where = late(function() return st.mv(flat:inverse(), st.ones(2)):values() end)
   lu.assertEquals({ built, where }, { here + 16, here + 16 })
end

-- A file that was cut off meanwhile.
function suite.test_the_line_whose_reading_fails()
   if os.getenv "STLUA_EAGER" then return end
   local numbers = {}
   for i = 1, 5000 do numbers[i] = i end
   local m, path = support.model("cut.safetensors", { { "w", "F32", { 50, 100 }, numbers } })
   local sorted, here = m.w:sort(2), debug.getinfo(1, "l").currentline
   local total = m.w:sum()
   local chain = (m.w * 2 + 1):reshape(-1)
   support.write(path, support.read(path):sub(1, 3000))
   for i, t in ipairs { sorted, total } do
      local e, built = late(function() return (t + 1):values() end)
      lu.assertEquals(built, here + i - 1)
      lu.assertStrContains(e.message, "cut.safetensors")
   end
   local e, built = late(function() return chain:cast "F16":values() end)
   lu.assertEquals({ built, e.tensor }, { here + 2, "w" })
   lu.assertNil((select(2, late(function() return m.w:values() end))))
end

-- What is computed together is told apart.
function suite.test_the_line_that_took_what_is_damaged()
   if os.getenv "STLUA_EAGER" then return end
   local whole = st.model { { "w", st.randn(300, 400) } }
   local path = support.path("damaged.safetensors.zst")
   whole:save(path)
   local bytes = support.read(path)
   local at = #bytes // 2
   support.write(path, bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 1) .. bytes:sub(at + 1))
   local damaged, here = st.open(path), debug.getinfo(1, "l").currentline
   local good = st.model { { "w", whole.w * 2 } }
   local bad = st.model { { "w", damaged.w * 3 } }
   local one, two = support.path("one.safetensors"), support.path("two.safetensors")
   for _, list in ipairs { { { good, one }, { bad, two } }, { { bad, two }, { good, one } } } do
      local e, built = late(function() st.save_all(list) end)
      lu.assertEquals({ e.code, e.tensor, built }, { "format", "w", here + 2 })
   end
end

-- Lines without end, of code made as it runs, do not fill the memory: they go nameless then.
function suite.test_lines_of_generated_code()
   support.write(support.path("lines.lua"), [[
local st = require "stlua"
local x = st.ones(2, 2)
local function built(name)
   local s = load("local x = ... local s = x:inverse() return s", "=" .. name)(x)
   return select(2, pcall(s.force, s)).built
end
print(built("first"))
for i = 1, 66000 do load("local x = ... local s = x:sum() return s", "=line " .. i)(x) end
print(built("last"))
print(built("first"))]])
   lu.assertEquals(support.stlua("lines.lua"), "first:1\nnil\nfirst:1\n")
end

function suite.test_low_rank()
   local a = st.randn({ 150, 4 }, { seed = 1 }):matmul(st.randn({ 4, 120 }, { seed = 2 }))
   local u, s, v, certificate = a:svd_lowrank(4, { niter = 1, seed = 3 })
   lu.assertEquals({ u:shape(), s:shape(), v:shape() }, { { 150, 4 }, { 4 }, { 120, 4 } })
   lu.assertTrue(((u * s):matmul(v:t()) - a):norm() < 1e-4 * a:norm())
   local norm, kept, held = table.unpack(values(certificate))
   lu.assertAlmostEquals(norm, a:norm():item(), 1e-3)
   lu.assertAlmostEquals(kept, 1, 1e-5)
   lu.assertAlmostEquals(held, 1, 1e-5)
   lu.assertEquals(#select(2, a:svd_lowrank()), 6)
   support.raises("arg", "rank 200 of a 150 x 120 matrix", a.svd_lowrank, a, 200)
   support.raises("arg", "niter", a.svd_lowrank, a, 2, { iter = 1 })
end

-- What is saved is what was computed, with the inputs in a file.
function suite.test_saved()
   local m = support.model("m.safetensors", { { "w", "BF16", { 2, 3 }, { 1, 2, 3, 4, 5, 6 } } })
   local made = st.model { { "g", m.w:matmul(m.w:t()) }, { "s", m.w:svdvals() } }
   made:save(support.path("g.safetensors"), { sync = false })
   local out = st.open(support.path("g.safetensors"))
   lu.assertEquals(out.g:dtype(), "BF16")
   lu.assertEquals(values(out.g), { 14, 32, 32, 77 })
   near(out.s, { 9.50803, 0.77287 })
end

-- ---------------------------------------------------------------- random

function suite.test_seeds()
   st.manual_seed(5)
   local first, second = values(st.randn(4)), values(st.randn(4))
   lu.assertNotEquals(first, second)
   st.manual_seed(5)
   lu.assertEquals(values(st.randn(4)), first)
   lu.assertEquals(values(st.randn(4, { seed = 1 })), values(st.randn({ 4 }, { seed = 1 })))
   lu.assertNotEquals(values(st.rand(4, { seed = 1, name = "a" })), values(st.rand(4, { seed = 1, name = "b" })))
   -- Element i is the same in any shape and in any part.
   local part = st.rand(12, { seed = 1 }):narrow(1, 7, 6)
   lu.assertEquals(values(st.rand(2, 6, { seed = 1 }):narrow(1, 2, 1)), values(part))
   st.manual_seed(0)
end

function suite.test_kinds()
   local u = st.rand(1000, { seed = 1, dtype = "F64" })
   lu.assertTrue(u:min() >= 0 and u:max() < 1)
   lu.assertAlmostEquals(u:mean():item(), 0.5, 0.05)
   local i = st.randint(-2, 3, { 1000 }, { seed = 1, dtype = "I8" })
   lu.assertEquals({ i:dtype(), i:min():item(), i:max():item() }, { "I8", -2, 2 })
   lu.assertEquals(st.randint(1, { 3 }):sum():item(), 0)
   local mask = st.bernoulli(0.25, { 10000 }, { seed = 1 })
   lu.assertEquals(mask:dtype(), "BOOL")
   lu.assertAlmostEquals(mask:sum():item(), 2500, 200)
   lu.assertEquals(values(st.tensor({ 0., 1., 1. }):bernoulli()), { 0, 1, 1 })
   lu.assertEquals(st.zeros(2, 3, { dtype = "BF16" }):randn_like():dtype(), "BF16")
   lu.assertEquals(st.rand_like(st.zeros(2, 3)):shape(), { 2, 3 })
   lu.assertEquals(st.randn(0, 3):numel(), 0)
   support.raises("arg", "do not fit U8", st.randint, 0, 300, { 2 }, { dtype = "U8" })
   support.raises("dtype", "use randint", st.rand, 3, { dtype = "I32" })
   support.raises("arg", "seed", st.rand, 3, { sead = 1 })
   support.raises("arg", "a probability from 0 to 1", st.bernoulli, 1.5, { 2 })
end

function suite.test_assignment()
   local cost = st.tensor { { 4.0, 1, 3 }, { 2, 0, 5 }, { 3, 2, 2 } }
   local rows, columns = cost:linear_sum_assignment()
   lu.assertEquals(support.values(rows), { 1, 2, 3 })
   lu.assertEquals(support.values(columns), { 2, 1, 3 })
   rows, columns = st.linear_sum_assignment(cost:narrow(2, 1, 2):cast("F16"), { maximize = true })
   lu.assertEquals(support.values(rows), { 1, 3 })
   lu.assertEquals(support.values(columns), { 1, 2 })
   rows, columns = st.linear_sum_assignment(st.stack({ cost, -cost }, 1))
   lu.assertEquals(rows:shape(), { 2, 3 })
   lu.assertEquals(support.values(columns), { 2, 1, 3, 1, 3, 2 })
   lu.assertEquals(st.linear_sum_assignment(st.zeros(0, 4)):numel(), 0)
   support.raises("dtype", "cast to F32 or F64 first", st.linear_sum_assignment, st.tensor { { 1, 2 } })
   support.raises("shape", "a matrix, or a stack", st.linear_sum_assignment, st.zeros(3))
   support.raises("arg", "maximise", st.linear_sum_assignment, cost, { maximise = true })
   support.raises("arg", "NaN or infinity", function() return st.linear_sum_assignment(cost / 0):force() end)
end

-- It is there before anything else of linear algebra was used.
function suite.test_nuclear_norm_comes_first()
   local i = 0
   while arg[i - 1] do i = i - 1 end
   local script = support.path("first.lua")
   support.write(script, 'print(require("stlua").zeros(2, 3):norm("nuc"):item())')
   local p = assert(io.popen(("'%s' '%s'"):format(arg[i], script)))
   lu.assertEquals(p:read "l", "0.0")
   p:close()
   support.raises("arg", { '"nuc"', 'not "max"' }, st.norm, st.ones(2, 2), "max")
end

support.run("linalg", suite)
