-- della_linear: see stlua.task_vectors for the rule and its parameters.
return require("stlua.task_vectors").method {
   summary = "Drops entries of the differences by chance, small ones rather than large ones, and sums the rest.",
   source = "DELLA-Merging (Deep and others, 2024); mergekit",
   sparsifier = "della",
   consensus = false,
   rescale = true,
}
