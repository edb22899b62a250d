--- Git Re-Basin: a model's hidden units brought into the order of another's. What can be permuted in which
-- architecture is in `rebasin/`, how these are read in `rebasin_groups`, the matching in `rebasin_match`.
-- Layer: Lua, above stlua.core.

local errors = require "stlua.errors"
local groups = require "stlua.rebasin_groups"
local map = require "stlua.map"
local match = require "stlua.rebasin_match"

local rebasin = {}

local ROUNDS = 100

--- Finds the permutations; for a caller that has its own way through the tensors.
-- @treturn function(name, tensor) the tensor of B permuted
-- @treturn table as the second result of rebasin
function rebasin.matched(a, b, opts)
   local spec = groups.of(a, b, opts)
   local gains, rounds = match.run(spec, a, b, opts.seed or 0, opts.iterations or ROUNDS)
   local info = { architecture = spec.arch.name, groups = #spec.groups, moved = {}, gains = gains, rounds = rounds }
   for _, group in ipairs(spec.groups) do
      if group.moved then info.moved[#info.moved + 1] = group.name end
   end
   return function(name, t) return groups.permuted(spec, name, t) end, info
end

local KNOWN = { architecture = "string", head_dim = "number", seed = "number", iterations = "number" }

--- Git Re-Basin by weight matching (Ainsworth, Hayase and Srinivasa, 2022, arXiv 2209.04836, algorithm 1): B with its
-- hidden units (channels, heads, channels of an MLP) in the order that brings its weights nearest to A's. The result
-- computes what B computes, but for rounding; merged with A by any method it gives more than B does where the two were
-- trained apart. Fine-tuned models of one base are in order already: nothing moves.
--
-- The permutations are found at once, reading both models; the result is deferred. Memory: three matrices of units x
-- units in F32 (380 MB for an MLP of 5,632) and pieces of two tensors.
-- @tparam model a
-- @tparam model b of the same architecture: Llama and its like, Stable Diffusion 1, the U-Net of Stable Diffusion XL
-- @tparam[opt] table opts `architecture` = "llama", "sd15" or "sdxl", by default told by the tensors; `head_dim` = the
--   size of an attention head (of Llama, which must be given: 0 leaves heads in place); `iterations` = 100 rounds at
--   most; `seed` = 0, of the order in which groups of units are looked at
-- @treturn model B, permuted
-- @treturn table { architecture =, groups = how many there are, moved = names of those that were permuted, gains = what
--   each improvement added to the sum of A * B over all weights, rounds = }
-- @raise "name" for a model of no known architecture, or with tensors that the architecture has no rule for; "shape"
--   where the models differ; "arg" for options, "limit" for more memory than st.memory() allows
function rebasin.rebasin(a, b, opts)
   for i, m in ipairs { a, b } do
      if not map.is_model(m) then errors.throwf("arg", "st.rebasin: argument %d must be a model", i) end
   end
   opts = errors.check_options(opts, KNOWN, "st.rebasin")
   for name, least in pairs { iterations = 1, head_dim = 0 } do
      if opts[name] and (math.type(opts[name]) ~= "integer" or opts[name] < least) then
         errors.throwf("arg", "st.rebasin: %s is %s; it must be a whole number of at least %d", name, opts[name], least)
      end
   end
   local permuted, info = rebasin.matched(a, b, opts)
   local model = map.run({ b }, permuted, { fixed = "copy", node = { call = "rebasin" }, operands = { a, b } })
   return model, info
end

return rebasin
