-- git_rebasin: B's hidden units are brought into A's order, then (1 - alpha) A + alpha B. With alpha 1 it is B as
-- st.rebasin gives it.
local between = require("stlua.merge_math").between
local merging = require "stlua.merging"
local text = require "stlua.text"

-- The permuted B, tensor by tensor; with --dry-run only what the headers tell is checked.
local function prepare(_, p, models)
   if not models then merging.refuse("git_rebasin merges models, not single tensors: they are permuted together") end
   if p.dry then
      require("stlua.rebasin_groups").of(models[1], models[2], p)
      return nil
   end
   local permuted, info = require("stlua.rebasin").matched(models[1], models[2], p)
   return { permuted = permuted, notes = { ("git_rebasin: %s: %d of %s permuted, after %s"):format(info.architecture,
      #info.moved, text.plural(info.groups, "group"), text.plural(info.rounds, "round")) } }
end

return {
   summary = "B's hidden units in A's order (Git Re-Basin, weight matching), then (1 - alpha) A + alpha B.",
   source = "Git Re-Basin: Merging Models modulo Permutation Symmetries (Ainsworth et al., 2022), algorithm 1",
   min = 2, max = 2,
   holds = 3,
   params = {
      { name = "alpha", type = "number", default = 0.5, help = "share of B" },
      { name = "architecture", type = "string", optional = true,
         help = "llama, sd15 or sdxl; by default told by the tensors" },
      { name = "head_dim", type = "number", optional = true, min = 0, integer = true,
         help = "size of an attention head, for llama; 0 leaves heads in place" },
      { name = "iterations", type = "number", default = 100, min = 1, integer = true, help = "rounds at most" },
   },
   prepare = prepare,
   merge = function(_, models, p)
      local a, b = models[1], models[2]
      if p.shared then b = p.shared.permuted(p.name, b) end
      return between(a, b, p.alpha)
   end,
}
