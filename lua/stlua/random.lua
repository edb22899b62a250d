--- Random tensors. Element i is a function of the seed, the stream and i alone (Philox4x32-10: Salmon and others,
-- "Parallel random numbers: as easy as 1, 2, 3", 2011), so values depend on nothing else: not on threads, processor, or
-- what is computed first. They are made when they are needed and take no memory.
--
-- A call takes the next stream of the seed that manual_seed set (0 at first): a script gives the same numbers each time
-- it is run. With `seed` in the options a call stands alone, and gives the same numbers each time it is made; with
-- `name`, the stream of that name: st.rand(t:shape(), { seed = 7, name = name }) gives each tensor of a model its own.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local map = require "stlua.map"
local parse = require "stlua.sizes"
local text = require "stlua.text"

local parse_sizes, integer_of = parse.of, parse.integer

local random = {}

local default_seed, streams = 0, 0

local OPTIONS = { dtype = "string", seed = "number", name = "string" }

-- Seed and stream of a call.
local function key(opts)
   if opts.seed then return opts.seed, opts.name or 0 end
   if opts.name then return default_seed, opts.name end
   streams = streams + 1
   return default_seed, streams
end

local function make(who, kind, default, list, opts, ...)
   local to = dtype.check(opts.dtype or default, false, who)
   local seed, stream = key(opts)
   return core.random(kind, to, list, seed, stream, ...)
end

local function integer(who, v)
   local n = integer_of(v)
   if not n then errors.throwf("arg", "%s: an integer expected, not %s", who, text.shown(v)) end
   return n
end

--- Sets the seed of the calls that follow, and begins with its first stream again.
--
--     > st.manual_seed(1)
--     > a = st.randn(3)
--     > st.manual_seed(1)
--     > a:identical(st.randn(3))
--     true
-- @tparam integer seed
-- @torch torch.manual_seed
function random.manual_seed(seed)
   default_seed, streams = integer("st.manual_seed", seed), 0
end

--- Numbers from [0, 1), all equally likely.
-- @param ... sizes, one by one or as a table; then perhaps options: `dtype` = "F32" (a float; F64 has 53 random bits),
-- `seed`, `name`
-- @treturn tensor
-- @torch torch.rand
function random.rand(...)
   local sizes, opts = parse_sizes("st.rand", OPTIONS, ...)
   return make("st.rand", "rand", "F32", sizes, opts)
end

--- Numbers from the normal distribution of mean 0 and deviation 1, by the method of Box and Muller.
-- @param ... sizes, one by one or as a table; then perhaps options: `dtype` = "F32" (a float), `seed`, `name`
-- @treturn tensor
-- @torch torch.randn
function random.randn(...)
   local sizes, opts = parse_sizes("st.randn", OPTIONS, ...)
   return make("st.randn", "randn", "F32", sizes, opts)
end

--- Integers from low up to, not including, high (as in PyTorch), all equally likely.
--
--     > st.manual_seed(1)
--     > st.randint(1, 7, { 5 })
--     Tensor[5 I64, 40 B]
--       2  3  6  3  4
-- @tparam[opt=0] integer low
-- @tparam integer high
-- @tparam table sizes
-- @tparam[opt] table opts `dtype` = "I64" (any integer but U64), `seed`, `name`
-- @treturn tensor
-- @raise "arg" where there is no such integer, or one that the dtype does not hold
-- @torch torch.randint
function random.randint(low, high, sizes, opts)
   if type(high) == "table" then low, high, sizes, opts = 0, low, high, sizes end
   low, high = integer("st.randint", low), integer("st.randint", high)
   if type(sizes) ~= "table" then
      errors.throwf("arg", "st.randint: a table of sizes expected, not a %s", type(sizes))
   end
   opts = errors.check_options(opts, OPTIONS, "st.randint")
   return make("st.randint", "randint", "I64", sizes, opts, low, high)
end

-- The tensor's shape and dtype, where the options do not say otherwise.
local function like(who, kind, t, opts)
   if not map.is_tensor(t) then errors.throwf("arg", "%s: a tensor expected, not a %s", who, type(t)) end
   opts = errors.check_options(opts, OPTIONS, who)
   return make(who, kind, t:dtype(), t:shape(), opts)
end

--- Numbers from [0, 1) in the shape and dtype of a tensor.
-- @tparam tensor t
-- @tparam[opt] table opts `dtype`, `seed`, `name`
-- @treturn tensor
-- @torch torch.rand_like
function random.rand_like(t, opts) return like("st.rand_like", "rand", t, opts) end

--- Normal numbers in the shape and dtype of a tensor.
-- @tparam tensor t
-- @tparam[opt] table opts `dtype`, `seed`, `name`
-- @treturn tensor
-- @torch torch.randn_like
function random.randn_like(t, opts) return like("st.randn_like", "randn", t, opts) end

--- Ones and zeros: 1 with the probability that the tensor has there, in its dtype; or with a number for p a mask (BOOL)
-- of the sizes given. A mask of a tensor's own shape: st.bernoulli(0.1, t:shape(), { seed = 7, name = name }).
-- @tparam tensor|number p from 0 to 1; what lies outside counts as 0 or 1
-- @tparam[opt] table sizes for a number
-- @tparam[opt] table opts `seed`, `name`
-- @treturn tensor
-- @torch torch.bernoulli
function random.bernoulli(p, sizes, opts)
   local known = { seed = "number", name = "string" }
   if map.is_tensor(p) then
      opts = errors.check_options(sizes, known, "st.bernoulli")
      local wide = p:dtype() == "F64" and "F64" or "F32"
      return core.cast(core.apply("lt", make("st.bernoulli", "rand", wide, p:shape(), opts), p), p:dtype())
   end
   if type(p) ~= "number" or not (p >= 0 and p <= 1) then
      errors.throwf("arg", "st.bernoulli: a tensor, or a probability from 0 to 1, expected, not %s", tostring(p))
   end
   if type(sizes) ~= "table" then
      errors.throwf("arg", "st.bernoulli: a table of sizes expected, not a %s", type(sizes))
   end
   opts = errors.check_options(opts, known, "st.bernoulli")
   return core.apply("lt", make("st.bernoulli", "rand", "F32", sizes, opts), p)
end

core.Tensor.bernoulli = random.bernoulli
core.Tensor.rand_like, core.Tensor.randn_like = random.rand_like, random.randn_like

return random
