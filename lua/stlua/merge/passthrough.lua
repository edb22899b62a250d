-- passthrough: the one model as it is, or times a scale.
return {
   summary = "Takes the tensors of one model as they are; for putting layers together anew.",
   source = "mergekit",
   max = 1,
   params = {
      { name = "scale", each = true, type = "number", optional = true, help = "factor of the tensors" },
   },
   merge = function(_, models, p)
      return p.scale[1] and models[1] * p.scale[1] or models[1]
   end,
}
