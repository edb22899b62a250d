-- ties: see stlua.task_vectors for the rule and its parameters.
return require("stlua.task_vectors").method {
   summary = "Trims the differences to the base to their largest entries, elects a sign for each, and averages those that agree.",
   source = "TIES-Merging (Yadav and others, 2023); mergekit",
   sparsifier = "magnitude",
   consensus = true,
   normalize = true,
}
