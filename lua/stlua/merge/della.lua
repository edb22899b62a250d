-- della: see stlua.task_vectors for the rule and its parameters.
return require("stlua.task_vectors").method {
   summary = "Drops entries of the differences by chance, small ones rather than large ones, and elects a sign for each.",
   source = "DELLA-Merging (Deep and others, 2024); mergekit",
   sparsifier = "della",
   consensus = true,
   normalize = true,
   rescale = true,
}
