-- IA3 (Liu et al. 2022, arXiv 2205.05638): rows, or columns, times 1 + m w (LyCORIS), or times l (PEFT, whose l is 1
-- where nothing was learned).
local errors = require "stlua.errors"

-- A factor for each row or each column of w.
local function factors_of(w, p, m)
   local f, on_input
   if p.l then
      f, on_input = 1 + m * (p.l - 1), p.l:ndim() > 1 and p.l:shape()[1] == 1 and w:shape()[1] ~= 1
   else
      f, on_input = 1 + m * p.whole, p.on_input:reshape {}:item() ~= 0
   end
   local shape, d = {}, on_input and 2 or 1
   for i = 1, w:ndim() do shape[i] = 1 end
   shape[d] = w:shape()[d]
   return f:reshape(shape)
end

return {
   title = "IA3",
   suffixes = { [".on_input"] = "on_input", [".ia3_l"] = "l", [".ia3_l.default"] = "l" },
   -- "weight" is the suffix of a whole tensor unless .on_input stands beside it.
   needs = { { "whole", "on_input" }, { "l" } },
   unscaled = true,
   apply = function(w, p, how)
      local f = factors_of(w, p, how.strength)
      if not how.invert then return w * f end
      if not f:ne(0):all():item() then errors.throw("arg", "a factor is 0: what was there is lost") end
      return w / f
   end,
}
