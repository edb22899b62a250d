-- passthrough: a model as it is, or scaled.
return {
   summary = "The model as it is, or scaled: for layers stacked from several models.",
   source = "mergekit",
   max = 1,
   params = { { name = "scale", each = true, type = "number", optional = true, help = "a factor (default: none)" } },
   merge = function(_, models, p)
      local scale = p.scale[1]
      return scale and models[1] * scale or models[1]
   end,
}
