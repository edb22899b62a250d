-- peft_dare_linear: base + sum of w_i m_i d_i / density, m_i by chance; see stlua.peft_family.
return require("stlua.peft_family").method {
   summary = "DARE as PEFT has it: entries kept by chance and divided by the density, then summed.",
   source = "PEFT merge_utils dare_linear",
   prune = "random",
}
