-- IA3 (Liu et al. 2022, arXiv 2205.05638): rows, or columns, times 1 + m w (LyCORIS), or times l (PEFT, whose l is 1
-- where nothing was learned).
local function along(w, v, on_input)
   local shape = {}
   for d = 1, w:ndim() do shape[d] = 1 end
   shape[on_input and 2 or 1] = v:numel()
   return v:reshape(shape)
end

return {
   title = "IA3",
   suffixes = { [".on_input"] = "on_input", [".ia3_l"] = "l", [".ia3_l.default"] = "l" },
   -- "weight" is the suffix of a whole tensor unless .on_input stands beside it.
   needs = { { "whole", "on_input" }, { "l" } },
   apply = function(w, p, m)
      if p.l then return w * (1 + m * (p.l:reshape(p.l:shape()) - 1)) end
      return w * (1 + m * along(w, p.whole, p.on_input:reshape {}:item() ~= 0))
   end,
}
