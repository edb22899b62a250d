-- IA3 (Liu et al. 2022, arXiv 2205.05638): rows, or columns, times 1 + m w (LyCORIS), or times l (PEFT, whose l is 1
-- where nothing was learned).
local errors = require "stlua.errors"
local peft = require "stlua.lora.peft"

-- Whether PEFT's l is for columns: (1, in) of a matrix; of a kernel it is (1, n, 1, 1) in any case.
local function is_on_input(rows, l, how)
   if l:ndim() == 4 and how.config then return peft.is_feedforward(how.config, how.name) end
   if l:ndim() == 4 then return l:numel() ~= rows end
   return l:ndim() > 1 and l:shape()[1] == 1 and rows ~= 1
end

-- x times f, or divided by it.
local function times(x, f, how)
   if not how.invert then return x * f end
   if not f:ne(0):all():item() then errors.throw("arg", "a factor is 0: what was there is lost") end
   return x / f
end

return {
   title = "IA3",
   suffixes = { [".on_input"] = "on_input", [".ia3_l"] = "l", [".ia3_l.default"] = "l" },
   -- "weight" is the suffix of a whole tensor unless .on_input stands beside it.
   needs = { { "whole", "on_input" }, { "l" } },
   unscaled = true,
   -- A factor for each row or each column of w.
   apply = function(w, p, how)
      local f, on_input
      if p.l then
         f, on_input = 1 + how.strength * (p.l - 1), is_on_input(w:shape()[1], p.l, how)
      else
         f, on_input = 1 + how.strength * p.whole, p.on_input:reshape {}:item() ~= 0
      end
      local shape, d = {}, on_input and 2 or 1
      for i = 1, w:ndim() do shape[i] = 1 end
      shape[d] = w:shape()[d]
      return times(w, f:reshape(shape), how)
   end,
   -- PEFT's factors are those of what comes out, of which the bias is a part.
   apply_bias = function(b, p, how)
      if not p.l or is_on_input(b:numel(), p.l, how) then return b end
      return times(b, (1 + how.strength * (p.l - 1)):reshape(b:shape()), how)
   end,
}
