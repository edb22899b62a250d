-- Which part of the library has which names; written by `make docs`, read by parts.lua.
return {
   ["stlua.ops"] = {
      st = { "abs", "add", "apply", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or",
         "bitwise_right_shift", "bitwise_xor", "ceil", "clamp", "cos", "div", "eq", "erf", "exp", "exp2", "expm1",
         "floor", "floor_divide", "fmod", "ge", "gt", "le", "lerp", "log", "log10", "log1p", "log2", "lt",
         "maximum", "minimum", "mul", "ne", "neg", "pow", "remainder", "round", "sigmoid", "sign", "sin", "sqrt",
         "sub", "tan", "tanh", "trunc", "where", },
      Tensor = { "clamp", "lerp", },
      model_meta = { "__add", "__div", "__mul", "__pow", "__sub", "__unm", },
   },
   ["stlua.map"] = {
   },
   ["stlua.save"] = {
   },
   ["stlua.model"] = {
      Model = { "cast", "formula", "get", "merge", "notes", "rename", "save", "select", "set", "with_metadata",
         "without", },
      model_meta = { "__complete", "__concat", "__newindex", },
   },
   ["stlua.print"] = {
      Model = { "summary", },
      tensor_meta = { "__tostring", },
      model_meta = { "__tostring", },
   },
   ["stlua.elementwise"] = {
      st = { "addcdiv", "addcmul", "gelu", "isfinite", "isinf", "isnan", "logical_and", "logical_not", "logical_or",
         "logical_xor", "masked_fill", "reciprocal", "relu", "rsqrt", "silu", "softplus", "square", },
      Tensor = { "addcdiv", "addcmul", "gelu", "isfinite", "isinf", "isnan", "logical_and", "logical_not",
         "logical_or", "logical_xor", "masked_fill", "reciprocal", "relu", "rsqrt", "silu", "softplus", "square", },
   },
   ["stlua.shape"] = {
      st = { "cat", "chunk", "clone", "expand", "expand_as", "flatten", "flip", "movedim", "narrow", "pad",
         "permute", "reshape", "roll", "select", "split", "squeeze", "stack", "t", "tile", "transpose", "unbind",
         "unflatten", "unsqueeze", },
      Tensor = { "chunk", "expand_as", "flatten", "flip", "movedim", "pad", "repeat", "roll", "split", "squeeze",
         "t", "tile", "transpose", "unbind", "unflatten", "unsqueeze", },
   },
   ["stlua.inplace"] = {
      Tensor = { "abs_", "add_", "addcdiv_", "addcmul_", "bitwise_and_", "bitwise_left_shift_", "bitwise_not_",
         "bitwise_or_", "bitwise_right_shift_", "bitwise_xor_", "ceil_", "clamp_", "copy_", "cos_", "div_", "eq_",
         "erf_", "exp2_", "exp_", "expm1_", "fill_", "floor_", "floor_divide_", "fmod_", "ge_", "gelu_", "gt_",
         "isfinite_", "isinf_", "isnan_", "le_", "lerp_", "log10_", "log1p_", "log2_", "log_", "logical_and_",
         "logical_not_", "logical_or_", "logical_xor_", "lt_", "masked_fill_", "maximum_", "minimum_", "mul_",
         "ne_", "neg_", "pow_", "reciprocal_", "relu_", "remainder_", "round_", "rsqrt_", "sigmoid_", "sign_",
         "silu_", "sin_", "softplus_", "sqrt_", "square_", "sub_", "tan_", "tanh_", "trunc_", "zero_", },
   },
   ["stlua.make"] = {
      st = { "arange", "eye", "from_string", "full", "full_like", "linspace", "ones", "ones_like", "tensor",
         "to_string", "zeros", "zeros_like", },
      Tensor = { "full_like", "ones_like", "zeros_like", },
   },
   ["stlua.reduce"] = {
      st = { "all", "amax", "amin", "any", "argmax", "argmin", "argsort", "cosine_similarity", "count_nonzero",
         "cumsum", "dot", "force", "histogram", "kthvalue", "max", "mean", "median", "min", "norm", "prod",
         "quantile", "sort", "std", "sum", "topk", "unique", "var", },
      Tensor = { "all", "amax", "amin", "any", "argmax", "argmin", "argsort", "cosine_similarity", "count_nonzero",
         "cumsum", "dot", "histogram", "kthvalue", "max", "mean", "median", "min", "norm", "prod", "quantile",
         "sort", "std", "sum", "topk", "unique", "var", },
      tensor_meta = { "__le", "__lt", },
   },
   ["stlua.linalg"] = {
      st = { "bmm", "cholesky", "det", "eigh", "inverse", "matmul", "mm", "nuclear_norm", "outer", "pinv", "qr",
         "solve", "svd", "svd_lowrank", "svdvals", },
      Tensor = { "bmm", "cholesky", "det", "eigh", "inverse", "matmul", "mm", "nuclear_norm", "outer", "pinv", "qr",
         "solve", "svd", "svd_lowrank", "svdvals", },
   },
   ["stlua.random"] = {
      st = { "bernoulli", "manual_seed", "rand", "rand_like", "randint", "randn", "randn_like", },
      Tensor = { "bernoulli", "rand_like", "randn_like", },
   },
   ["stlua.npy"] = {
   },
   ["stlua.stats"] = {
      Tensor = { "stats", },
      Model = { "stats", },
   },
   ["stlua.diff"] = {
   },
   ["stlua.hist"] = {
      Tensor = { "hist", },
   },
   ["stlua.merging"] = {
   },
   ["stlua.mergekit"] = {
   },
}
