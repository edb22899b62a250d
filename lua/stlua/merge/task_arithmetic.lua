-- task_arithmetic: see stlua.task_vectors for the rule and its parameters.
return require("stlua.task_vectors").method {
   summary = "Sums the weighted differences to the base.",
   source = "Editing models with task arithmetic (Ilharco and others, 2022); mergekit",
   consensus = false,
}
