-- dare_ties: see stlua.task_vectors for the rule and its parameters.
return require("stlua.task_vectors").method {
   summary = "Drops entries of the differences to the base by chance, and elects a sign for each.",
   source = "DARE (Yu and others, 2023) with the signs of TIES; mergekit",
   sparsifier = "random",
   consensus = true,
   rescale = true,
}
