-- Whole tensors in place of the model's: PEFT's modules_to_save, ComfyUI's set_weight.
local errors = require "stlua.errors"

-- Part of the way from x to v, or back.
local function moved(x, v, how)
   local m = how.strength
   if not how.invert then return m == 1 and v or x + m * (v - x) end
   if m == 1 then errors.throw("arg", "it took the place of what was there, which is lost") end
   return (x - m * v) / (1 - m)
end

return {
   title = "whole tensor",
   suffixes = { [".weight"] = "whole", [".bias"] = "whole_bias", [".set_weight"] = "whole",
      [".set_bias"] = "whole_bias", [".modules_to_save.weight"] = "whole", [".modules_to_save.bias"] = "whole_bias",
      [".modules_to_save.default.weight"] = "whole", [".modules_to_save.default.bias"] = "whole_bias",
      -- PEFT saves the biases of the modules that an adapter is for with it, where they were trained.
      [".base_layer.bias"] = "whole_bias" },
   needs = { { "whole" }, { "whole_bias" } },
   unscaled = true,
   apply = function(w, p, how) return moved(w, p.whole, how) end,
   apply_bias = function(b, p, how) return moved(b, p.whole_bias, how) end,
}
