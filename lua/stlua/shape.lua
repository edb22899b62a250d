--- Other shapes of tensors, joins and parts. Each is a function of `require "stlua"` and a method of tensors (but
-- those that take a list). What only reorders or cuts is a view: writing to it writes to the tensor it was made of.
-- Dimensions count from 1, negative ones from the end.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local parse = require "stlua.sizes"
local text = require "stlua.text"

local Tensor = core.Tensor
local dim_of, integer_of = parse.dim, parse.integer
local shape = { reshape = Tensor.reshape, permute = Tensor.permute, expand = Tensor.expand, narrow = Tensor.narrow,
   select = Tensor.select, clone = Tensor.clone }

local function integer(who, what, v, low)
   local n = integer_of(v)
   if not n or low and n < low then
      errors.throwf("arg", "%s: %s must be an integer%s, not %s", who, what, low and " of at least " .. low or "",
         text.shown(v))
   end
   return n
end

-- Integers given one by one or as a table: a list of their own.
local function list_of(who, ...)
   local given, list = ..., {}
   if type(given) ~= "table" or select("#", ...) > 1 then given = { ... } end
   for i = 1, #given do
      list[i] = integer_of(given[i])
      if not list[i] then errors.throwf("arg", "%s: integers expected, got %s", who, text.shown(given[i])) end
   end
   return list
end

-- ---------------------------------------------------------------- dimensions

--- Two dimensions exchanged. A view.
--
--     > st.zeros(2, 3, 4):transpose(1, -1):shape()
--     { 4, 3, 2 }
-- @tparam tensor t
-- @tparam integer a
-- @tparam integer b
-- @torch torch.transpose
function shape.transpose(t, a, b)
   local order, n = {}, t:ndim()
   a, b = dim_of("transpose", a, n), dim_of("transpose", b, n)
   for d = 1, n do order[d] = d end
   order[a], order[b] = b, a
   return t:permute(order)
end

--- The same as transpose. A view.
-- @tparam tensor t
-- @tparam integer a
-- @tparam integer b
-- @torch torch.swapaxes
function shape.swapaxes(t, a, b) return shape.transpose(t, a, b) end

--- The transposed matrix; a vector or a number as it is. A view.
--
--     > st.tensor({ { 1, 2, 3 }, { 4, 5, 6 } }):t()
--     Tensor[3x2 I64, 48 B]
--       1  4
--       2  5
--       3  6
-- @tparam tensor t of at most 2 dimensions
-- @torch torch.t
function shape.t(t)
   if t:ndim() > 2 then errors.throwf("shape", "t: a matrix expected, not %d dimensions (see transpose)", t:ndim()) end
   return t:ndim() == 2 and t:permute(2, 1) or t:view(t:shape())
end

--- One dimension moved to another place, the others keep their order. A view.
-- @tparam tensor t
-- @tparam integer from
-- @tparam integer to
-- @torch torch.movedim
function shape.movedim(t, from, to)
   local order, n = {}, t:ndim()
   from, to = dim_of("movedim", from, n), dim_of("movedim", to, n)
   for d = 1, n do
      if d ~= from then order[#order + 1] = d end
   end
   table.insert(order, to, from)
   return t:permute(order)
end

--- A new dimension of size 1. A view.
--
--     > st.zeros(2, 3):unsqueeze(2):shape()
--     { 2, 1, 3 }
-- @tparam tensor t
-- @tparam integer dim where it is in the result
-- @torch torch.unsqueeze
function shape.unsqueeze(t, dim)
   local sizes = t:shape()
   table.insert(sizes, dim_of("unsqueeze", dim, #sizes, 1), 1)
   return t:view(sizes)
end

--- Without dimensions of size 1: all of them, or this one. A view.
--
--     > st.zeros(1, 3, 1):squeeze():shape()
--     { 3 }
-- @tparam tensor t
-- @tparam[opt] integer dim stays if its size is not 1
-- @torch torch.squeeze
function shape.squeeze(t, dim)
   local sizes, out = t:shape(), {}
   dim = dim and dim_of("squeeze", dim, #sizes)
   for d, size in ipairs(sizes) do
      if size ~= 1 or (dim and d ~= dim) then out[#out + 1] = size end
   end
   return t:view(out)
end

--- Dimensions first..last as one; all by default.
--
--     > st.zeros(2, 3, 4):flatten(2):shape()
--     { 2, 12 }
-- @tparam tensor t
-- @tparam[opt=1] integer first
-- @tparam[opt=-1] integer last
-- @torch torch.flatten
function shape.flatten(t, first, last)
   local sizes, out = t:shape(), {}
   if #sizes == 0 then return t:reshape(1) end
   first, last = dim_of("flatten", first or 1, #sizes), dim_of("flatten", last or -1, #sizes)
   if first > last then errors.throwf("arg", "flatten: dimension %d is behind %d", first, last) end
   for d, size in ipairs(sizes) do
      if d > first and d <= last then out[#out] = out[#out] * size else out[#out + 1] = size end
   end
   return t:reshape(out)
end

--- One dimension as several. A view.
-- @tparam tensor t
-- @tparam integer dim
-- @tparam {integer,...} sizes whose product is its size; one may be -1
-- @torch torch.unflatten
function shape.unflatten(t, dim, sizes)
   local old, out, parts = t:shape(), {}, list_of("unflatten", sizes)
   dim = dim_of("unflatten", dim, #old)
   local rest, open = old[dim], nil
   for i, size in ipairs(parts) do
      if size == -1 and not open then open = i
      elseif size > 0 and rest % size == 0 then rest = rest // size
      elseif not (size == 0 and old[dim] == 0) then rest = -1 break end
   end
   if rest < 0 or (not open and rest ~= 1 and old[dim] ~= 0) then
      errors.throwf("shape", "unflatten: sizes (%s) do not make up %d", table.concat(parts, ", "), old[dim])
   end
   for d, size in ipairs(old) do
      if d ~= dim then out[#out + 1] = size else
         for i, part in ipairs(parts) do out[#out + 1] = i == open and rest or part end
      end
   end
   return t:view(out)
end

--- The same as expand. A view.
-- @tparam tensor t
-- @param sizes one by one or as a table; -1 keeps a size
-- @treturn tensor
-- @torch torch.broadcast_to
function shape.broadcast_to(t, ...) return t:expand(...) end

--- The same elements as a tensor of its own, no view: it can be seen in any shape, and writing to it leaves `t` alone.
-- (PyTorch gives `t` itself where it can.)
-- @tparam tensor t
-- @treturn tensor
-- @torch Tensor.contiguous
function shape.contiguous(t) return core.broadcast(t, t:shape()) end

--- Broadcasts to the sizes of another tensor. A view.
-- @tparam tensor t
-- @tparam tensor other
-- @torch Tensor.expand_as
function shape.expand_as(t, other) return t:expand(other:shape()) end

-- ---------------------------------------------------------------- order

--- The elements of the given dimensions in reverse. A view.
--
--     > st.tensor({ 1, 2, 3 }):flip(1)
--     Tensor[3 I64, 24 B]
--       3  2  1
-- @tparam tensor t
-- @param ... dimensions, one by one or as a table
-- @torch torch.flip
function shape.flip(t, ...)
   local of, seen = t:shape(), {}
   t = t:expand(of)      -- a view, even where nothing is to be flipped
   for _, given in ipairs(list_of("flip", ...)) do
      local d = dim_of("flip", given, #of)
      if seen[d] then errors.throwf("arg", "flip: dimension %d is named twice", given) end
      seen[d] = true
      if of[d] > 0 then t = t:narrow(d, of[d], of[d], -1) end
   end
   return t
end

--- Elements moved along a dimension by `shift` places; those that leave at one end come in at the other.
--
--     > st.tensor({ 1, 2, 3, 4 }):roll(1)
--     Tensor[4 I64, 32 B]
--       4  1  2  3
-- @tparam tensor t
-- @tparam integer shift
-- @tparam[opt] integer dim without it the tensor is taken as one row
-- @torch torch.roll
function shape.roll(t, shift, dim)
   shift = integer("roll", "the shift", shift)
   if not dim then
      local flat = t:reshape(-1)
      return shape.roll(flat, shift, 1):reshape(t:shape())
   end
   dim = dim_of("roll", dim, t:ndim())
   local n = t:shape()[dim]
   if n == 0 or shift % n == 0 then return core.cat({ t }, dim) end
   shift = shift % n
   return core.cat({ t:narrow(dim, n - shift + 1, shift), t:narrow(dim, 1, n - shift) }, dim)
end

--- The tensor repeated along its dimensions; further dimensions come in front. Also t["repeat"], as PyTorch calls it:
-- `repeat` is a word of Lua.
--
--     > st.tensor({ 1, 2 }):tile(2, 2)
--     Tensor[2x4 I64, 64 B]
--       1  2  1  2
--       1  2  1  2
-- @tparam tensor t
-- @param ... how often, for each dimension, one by one or as a table
-- @torch Tensor.repeat
function shape.tile(t, ...)
   local times, sizes = list_of("tile", ...), t:shape()
   while #times < #sizes do table.insert(times, 1, 1) end
   while #sizes < #times do table.insert(sizes, 1, 1) end
   local apart, wide, out = {}, {}, {}
   for d, n in ipairs(times) do
      integer("tile", "a count", n, 0)
      table.move({ 1, sizes[d] }, 1, 2, #apart + 1, apart)
      table.move({ n, sizes[d] }, 1, 2, #wide + 1, wide)
      out[d] = n * sizes[d]
   end
   if #apart > 64 then errors.throw("limit", "tile: more than 32 dimensions") end
   return core.broadcast(t:reshape(apart), wide):reshape(out)      -- not a view, even where every count is 1
end

--- Each element, or each slice of a dimension, repeated in place: of 1, 2 three times 1, 1, 1, 2, 2, 2.
-- @tparam tensor t
-- @tparam integer count
-- @tparam[opt] integer dim without it the tensor is taken as one row
-- @torch torch.repeat_interleave
function shape.repeat_interleave(t, count, dim)
   count = integer("repeat_interleave", "the count", count, 0)
   if not dim then t, dim = t:reshape(-1), 1 end
   local wide, out = t:shape(), t:shape()
   dim = dim_of("repeat_interleave", dim, #out)
   out[dim] = out[dim] * count
   table.insert(wide, dim + 1, count)
   return core.broadcast(shape.unsqueeze(t, dim + 1), wide):reshape(out)
end

-- ---------------------------------------------------------------- parts and joins

local function check_list(who, tensors)
   if type(tensors) == "table" then return end
   local given = text.shown(tensors)
   errors.throwf("arg", "%s: a list of tensors expected, got %s%s", who, given,
      given == "a tensor" and (": put them in a table: st.%s({ a, b })"):format(who) or "")
end

--- Tensors one behind the other along a dimension; all other sizes agree. Of files' tensors in one dtype it is as
-- light as a file's.
--
--     > st.cat { st.tensor { 1, 2 }, st.tensor { 3 } }
--     Tensor[3 I64, 24 B]
--       1  2  3
--     > st.cat({ st.zeros(2, 3), st.ones(2, 1) }, 2):shape()
--     { 2, 4 }
-- @tparam {tensor,...} tensors
-- @tparam[opt=1] integer dim
-- @raise "shape"
-- @torch torch.cat
function shape.cat(tensors, dim)
   check_list("cat", tensors)
   return core.cat(tensors, dim or 1)
end

--- Tensors of one shape along a new dimension.
--
--     > st.stack { st.tensor { 1, 2 }, st.tensor { 3, 4 } }
--     Tensor[2x2 I64, 32 B]
--       1  2
--       3  4
-- @tparam {tensor,...} tensors
-- @tparam[opt=1] integer dim where it is in the result
-- @raise "shape"
-- @torch torch.stack
function shape.stack(tensors, dim)
   local list = {}
   check_list("stack", tensors)
   for i, t in ipairs(tensors) do list[i] = shape.unsqueeze(t, dim or 1) end
   return core.cat(list, dim or 1)
end

--- Parts of `size` elements along a dimension, the last with what is left; or parts of the given sizes. Views.
--
--     > parts = st.arange(5):split(2)
--     > #parts, parts[2]
--     3
--     Tensor[2 I64, 16 B]
--       2  3
-- @tparam tensor t
-- @tparam integer|{integer,...} size
-- @tparam[opt=1] integer dim
-- @treturn {tensor,...}
-- @torch torch.split
function shape.split(t, size, dim)
   dim = dim_of("split", dim or 1, t:ndim())
   local n, sizes = t:shape()[dim], type(size) == "table" and list_of("split", size)
   if not sizes then
      size = integer("split", "the size of a part", size, 1)
      sizes = {}
      for first = 1, math.max(n, 1), size do sizes[#sizes + 1] = math.min(size, n - first + 1) end
   end
   local parts, first = {}, 1
   for i, count in ipairs(sizes) do
      integer("split", "the size of a part", count, 0)
      if count > n - first + 1 then break end
      parts[i] = t:narrow(dim, first, count)
      first = first + count
   end
   if first ~= n + 1 or #parts ~= #sizes then
      errors.throwf("shape", "split: parts of (%s) do not make up dimension %d of size %d",
         table.concat(sizes, ", "), dim, n)
   end
   return parts
end

--- At most `count` parts of equal size (the last may be smaller) along a dimension. Views.
-- @tparam tensor t
-- @tparam integer count
-- @tparam[opt=1] integer dim
-- @treturn {tensor,...}
-- @torch torch.chunk
function shape.chunk(t, count, dim)
   dim = dim_of("chunk", dim or 1, t:ndim())
   count = integer("chunk", "the number of parts", count, 1)
   local n = t:shape()[dim]
   if n == 0 then
      local parts = {}
      for i = 1, count do parts[i] = t:narrow(dim, 1, 0) end
      return parts
   end
   return shape.split(t, -(-n // count), dim)
end

--- All tensors t[1], t[2], ... along a dimension, as a list. Views.
--
--     > q, k = table.unpack(st.tensor({ { 1, 2 }, { 3, 4 } }):unbind())
--     > k
--     Tensor[2 I64, 16 B]
--       3  4
-- @tparam tensor t
-- @tparam[opt=1] integer dim
-- @treturn {tensor,...}
-- @torch torch.unbind
function shape.unbind(t, dim)
   dim = dim_of("unbind", dim or 1, t:ndim())
   local parts = {}
   for i = 1, t:shape()[dim] do parts[i] = t:select(dim, i) end
   return parts
end

-- A tensor of one value, of the shape of `t` but for one size.
local function strip(t, dim, size, value)
   local sizes = t:shape()
   sizes[dim] = size
   return core.cast(core.tensor("F64", {}, string.pack("<d", value)), t:dtype()):expand(sizes)
end

--- Adds elements of one value around: `pads` holds how many before and behind, of the last dimension, then of the one
-- before it, and so on. Negative numbers cut.
--
--     > st.tensor({ 1, 2 }):pad { 1, 2 }
--     Tensor[5 I64, 40 B]
--       0  1  2  0  0
-- @tparam tensor t
-- @tparam {integer,...} pads
-- @tparam[opt] table opts `value` = 0
-- @torch torch.nn.functional.pad
function shape.pad(t, pads, opts)
   local value = errors.check_options(opts, { value = "number" }, "pad").value or 0
   local n = t:ndim()
   pads = list_of("pad", pads)
   local joined = false
   if #pads % 2 ~= 0 or #pads > 2 * n then
      errors.throwf("arg", "pad: two numbers for each dimension, from the last on, expected: got %d for %d dimensions",
         #pads, n)
   end
   for i = 1, #pads, 2 do
      local dim, before, behind = n - i // 2, pads[i], pads[i + 1]
      local size, list = t:shape()[dim], {}
      local cut = math.max(-before, 0) + math.max(-behind, 0)
      if cut > size then errors.throwf("shape", "pad: %d elements are to be cut off %d", cut, size) end
      if before > 0 then list[1] = strip(t, dim, before, value) end
      list[#list + 1] = cut > 0 and t:narrow(dim, math.max(-before, 0) + 1, size - cut) or t
      if behind > 0 then list[#list + 1] = strip(t, dim, behind, value) end
      joined = #list > 1 or joined
      t = #list > 1 and core.cat(list, dim) or list[1]
   end
   return joined and t or shape.contiguous(t)      -- neither the tensor itself nor a view of it
end

-- ---------------------------------------------------------------- PyTorch's words for what a tensor says of itself

--- The same as ndim: number of dimensions.
-- @tparam tensor t
-- @treturn integer
-- @torch Tensor.dim
function shape.dim(t) return t:ndim() end

--- All sizes, as shape gives them, or that of one dimension.
-- @tparam tensor t
-- @tparam[opt] integer dim negative from the end
-- @treturn {integer,...}|integer
-- @torch Tensor.size
function shape.size(t, dim)
   local sizes = t:shape()
   return dim == nil and sizes or sizes[dim_of("size", dim, #sizes)]
end

local LISTS = { cat = true, stack = true }
for name, fn in pairs(shape) do
   if not LISTS[name] then Tensor[name] = fn end
end
Tensor["repeat"] = shape.tile

return shape
