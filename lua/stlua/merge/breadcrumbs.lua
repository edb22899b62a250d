-- breadcrumbs: see stlua.task_vectors for the rule and its parameters.
return require("stlua.task_vectors").method {
   summary = "Leaves out the largest and the smallest entries of the differences to the base.",
   source = "Model Breadcrumbs (Davari and Belilovsky, 2023); mergekit",
   sparsifier = "magnitude_outliers",
   consensus = false,
}
