-- peft_ties: base + mean of w_i top(d_i) over the entries of the elected sign; see stlua.peft_family.
return require("stlua.peft_family").method {
   summary = "TIES as PEFT has it: a sign elected before weighting, the mean over the number of entries that agree.",
   source = "PEFT merge_utils ties",
   prune = "magnitude", elect = true,
}
