-- breadcrumbs_ties: see stlua.task_vectors for the rule and its parameters.
return require("stlua.task_vectors").method {
   summary = "Leaves out the largest and the smallest entries of the differences, and elects a sign for each.",
   source = "Model Breadcrumbs (Davari and Belilovsky, 2023) with the signs of TIES; mergekit",
   sparsifier = "magnitude_outliers",
   consensus = true,
}
