--- Einstein's sum convention, put together from permutations, products of stacks of matrices and sums.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local map = require "stlua.map"
local text = require "stlua.text"

local einsum = {}

local function fail(code, equation, message, ...)
   errors.throwf(code, "einsum: %s: " .. message, text.quote(equation), ...)
end

-- The letters of one term, as a list.
local function letters(equation, term)
   if term:find("[^%a]") then
      fail("arg", equation, "%s is no letter of a dimension (`...` is not known here)",
         text.quote(term:match("[^%a]")))
   end
   local out = {}
   for letter in term:gmatch "%a" do out[#out + 1] = letter end
   return out
end

-- The letters that stand once in all terms, sorted: the output where none is written.
local function implied(terms)
   local count, out = {}, {}
   for _, term in ipairs(terms) do
      for _, letter in ipairs(term) do count[letter] = (count[letter] or 0) + 1 end
   end
   for letter, n in pairs(count) do
      if n == 1 then out[#out + 1] = letter end
   end
   table.sort(out)
   return out
end

-- The terms of an equation, each a list of letters, and that of the output.
local function parse(equation, count)
   local plain = equation:gsub("%s", "")
   local left, right = plain:match "^(.-)%->(.*)$"
   local terms = {}
   for term in ((left or plain) .. ","):gmatch "(.-)," do terms[#terms + 1] = letters(equation, term) end
   if #terms ~= count then
      fail("arg", equation, "it speaks of %s, %d given", text.plural(#terms, "tensor"), count)
   end
   return terms, right and letters(equation, right) or implied(terms)
end

-- Letter -> size. A size of 1 goes with any other.
local function sizes_of(equation, terms, tensors)
   local sizes = {}
   for i, term in ipairs(terms) do
      local shape = tensors[i]:shape()
      if #shape ~= #term then
         fail("shape", equation, "operand %d has %s, its term %d", i, text.plural(#shape, "dimension"), #term)
      end
      for d, letter in ipairs(term) do
         local known = sizes[letter]
         if known and known ~= shape[d] and known ~= 1 and shape[d] ~= 1 then
            fail("shape", equation, "%s is %d in operand %d, and %d before", letter, shape[d], i, known)
         end
         if not known or known == 1 then sizes[letter] = shape[d] end
      end
   end
   return sizes
end

local function check_output(equation, output, sizes)
   local seen = {}
   for _, letter in ipairs(output) do
      if seen[letter] then fail("arg", equation, "%s stands twice in the output", letter) end
      if not sizes[letter] then fail("arg", equation, "%s of the output is in no operand", letter) end
      seen[letter] = true
   end
end

-- Puts the dimensions of `t` into the order of `wanted`, all of its letters.
local function arranged(t, term, wanted)
   local place, order = {}, {}
   for d, letter in ipairs(term) do place[letter] = d end
   for d, letter in ipairs(wanted) do order[d] = place[letter] end
   return #order > 0 and t:permute(order) or t
end

-- The diagonal of the dimensions a < b; it stands last.
local function diagonal(t, term, a, b)
   local n, rest, shape = t:shape()[a], {}, {}
   for d = 1, #term do
      if d ~= a and d ~= b then rest[#rest + 1], shape[#shape + 1] = d, t:shape()[d] end
   end
   local order, flat, out = { table.unpack(rest) }, { table.unpack(shape) }, {}
   order[#order + 1], order[#order + 2] = a, b
   flat[#flat + 1] = n * n
   for i, d in ipairs(rest) do out[i] = term[d] end
   out[#out + 1] = term[a]
   return t:permute(order):reshape(flat):narrow(#flat, 1, n, n + 1), out
end

-- Each letter once, no letter of size 1 that is larger elsewhere, and none that nobody asks for any more.
local function simplify(t, term, sizes, wanted)
   local d = 1
   while d <= #term do
      local twin
      for e = d + 1, #term do twin = twin or term[e] == term[d] and e or nil end
      local single = sizes[term[d]] ~= 1 and (t:shape()[d] == 1 and d or twin and t:shape()[twin] == 1 and twin)
      if single then
         t, term = t:squeeze(single), { table.unpack(term) }
         table.remove(term, single)
      elseif twin then
         t, term = diagonal(t, term, d, twin)
         d = 1
      else
         d = d + 1
      end
   end
   local kept, summed = {}, {}
   for i, letter in ipairs(term) do
      if wanted[letter] then kept[#kept + 1] = letter else summed[#summed + 1] = i end
   end
   return #summed > 0 and t:sum(summed) or t, kept
end

local function union(set, list)
   local out = {}
   for letter in pairs(set) do out[letter] = true end
   for _, letter in ipairs(list) do out[letter] = true end
   return out
end

-- The letters that the output or an operand behind the i-th has.
local function wanted_after(i, terms, output)
   local set = union({}, output)
   for k = i + 1, #terms do set = union(set, terms[k]) end
   return set
end

-- Letters of `term` by whether the other operand has them, and whether they are still wanted.
local function split(term, other, wanted)
   local has, batch, inner, own = {}, {}, {}, {}
   for _, letter in ipairs(other) do has[letter] = true end
   for _, letter in ipairs(term) do
      local list = not has[letter] and own or wanted[letter] and batch or inner
      list[#list + 1] = letter
   end
   return batch, inner, own
end

local function join(...)
   local out = {}
   for _, list in ipairs { ... } do table.move(list, 1, #list, #out + 1, out) end
   return out
end

local function shape_of(list, sizes)
   local out = {}
   for i, letter in ipairs(list) do out[i] = sizes[letter] end
   return out
end

local function numel_of(list, sizes)
   local n = 1
   for _, letter in ipairs(list) do n = n * sizes[letter] end
   return n
end

-- Two operands become one: a product of stacks of matrices, or elementwise where nothing is summed or OpenBLAS has
-- not the dtype.
local function contract(a, la, b, lb, sizes, wanted)
   local batch, inner, left = split(la, lb, wanted)
   local right = select(3, split(lb, la, wanted))
   local out = join(batch, left, right)
   local count, k = numel_of(batch, sizes), numel_of(inner, sizes)
   local m, n = numel_of(left, sizes), numel_of(right, sizes)
   a = arranged(a, la, join(batch, left, inner)):reshape { count, m, k }
   b = arranged(b, lb, join(batch, inner, right)):reshape { count, k, n }
   local product
   if #inner > 0 and dtype.is_float(a:dtype()) and dtype.is_float(b:dtype()) then
      product = core.matmul(a, b)
   else
      product = core.apply("mul", a:reshape { count, m, k, 1 }, b:reshape { count, 1, k, n })
      if #inner > 0 then product = product:sum { 3 } end
   end
   return product:reshape(shape_of(out, sizes)), out
end

--- Sums of products of elements, as an equation of letters says that name the dimensions: a letter that the output has
-- not is summed over, one that stands twice in a term is a diagonal. Without `->` the output has the letters that stand
-- once, sorted. Operands are joined from left to right.
--
--     > a = st.tensor { { 1.0, 2 }, { 3, 4 } }
--     > st.einsum("ij,jk->ik", a, a)
--     Tensor[2x2 F32, 16 B]
--        7.0000  10.0000
--       15.0000  22.0000
--     > st.einsum("ii", a):item()
--     5.0
-- @tparam string equation such as "bij,bjk->bik"; no "..."
-- @tparam tensor ... one for each term
-- @treturn tensor
-- @raise "arg" for an equation that cannot be read; "shape" where the tensors do not fit it
-- @torch torch.einsum
function einsum.einsum(equation, ...)
   local tensors = { ... }
   if type(equation) ~= "string" then
      errors.throwf("arg", "einsum: an equation expected, such as \"ij,jk->ik\", not %s", text.shown(equation))
   end
   for i = 1, select("#", ...) do
      if not map.is_tensor(tensors[i]) then
         errors.throwf("arg", "einsum: operand %d: a tensor expected, not a %s", i, type(tensors[i]))
      end
   end
   local terms, output = parse(equation, select("#", ...))
   local sizes = sizes_of(equation, terms, tensors)
   check_output(equation, output, sizes)
   local out, have = simplify(tensors[1], terms[1], sizes, wanted_after(1, terms, output))
   for i = 2, #terms do
      local wanted = wanted_after(i, terms, output)
      local t, term = simplify(tensors[i], terms[i], sizes, union(wanted, have))
      out, have = simplify(out, have, sizes, union(wanted, term))     -- what the operand had in size 1 alone
      out, have = contract(out, have, t, term, sizes, wanted)
   end
   return arranged(out, have, output)
end

return einsum
