-- Whole tensors in place of the model's: PEFT's modules_to_save, ComfyUI's set_weight.
return {
   title = "whole tensor",
   suffixes = { [".weight"] = "whole", [".bias"] = "whole_bias", [".set_weight"] = "whole",
      [".set_bias"] = "whole_bias", [".modules_to_save.weight"] = "whole", [".modules_to_save.bias"] = "whole_bias",
      [".modules_to_save.default.weight"] = "whole", [".modules_to_save.default.bias"] = "whole_bias" },
   needs = { { "whole" }, { "whole_bias" } },
   unscaled = true,
   apply = function(w, p, m) return m == 1 and p.whole or w + m * (p.whole - w) end,
   apply_bias = function(b, p, m) return m == 1 and p.whole_bias or b + m * (p.whole_bias - b) end,
}
