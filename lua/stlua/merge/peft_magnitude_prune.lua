-- peft_magnitude_prune: base + sum of w_i top(d_i); see stlua.peft_family.
return require("stlua.peft_family").method {
   summary = "Prunes the differences to their largest entries, and sums them.",
   source = "PEFT merge_utils magnitude_prune",
   prune = "magnitude",
}
