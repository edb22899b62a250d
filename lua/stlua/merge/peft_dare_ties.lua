-- peft_dare_ties: base + mean of w_i m_i d_i / density over the entries of the elected sign; see stlua.peft_family.
return require("stlua.peft_family").method {
   summary = "DARE with signs as PEFT has it: entries kept by chance, scaled up, averaged where they agree.",
   source = "PEFT merge_utils dare_ties",
   prune = "random", elect = true,
}
