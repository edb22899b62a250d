-- dare_linear: see stlua.task_vectors for the rule and its parameters.
return require("stlua.task_vectors").method {
   summary = "Drops entries of the differences to the base by chance, and sums the rest.",
   source = "DARE (Yu and others, 2023); mergekit",
   sparsifier = "random",
   consensus = false,
   rescale = true,
}
