-- Which part of the library has which names; written by `make docs`, read by parts.lua.
return {
   ["stlua.ops"] = {
      st = { "abs", "acos", "add", "apply", "asin", "atan", "atan2", "bitwise_and", "bitwise_left_shift",
         "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "ceil", "clamp", "clip", "cos", "cosh",
         "div", "eq", "erf", "erfc", "exp", "exp2", "expm1", "floor", "floor_divide", "fmod", "ge", "gt", "hypot",
         "le", "lerp", "log", "log10", "log1p", "log2", "lt", "maximum", "minimum", "mul", "ne", "neg", "pow",
         "remainder", "round", "sigmoid", "sign", "sin", "sinh", "sqrt", "sub", "tan", "tanh", "trunc", "where", },
      Tensor = { "clamp", "clip", "lerp", },
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
      st = { "addcdiv", "addcmul", "gelu", "isclose", "isfinite", "isinf", "isnan", "logical_and", "logical_not",
         "logical_or", "logical_xor", "masked_fill", "nan_to_num", "reciprocal", "relu", "rsqrt", "silu",
         "softplus", "square", },
      Tensor = { "addcdiv", "addcmul", "gelu", "isclose", "isfinite", "isinf", "isnan", "logical_and",
         "logical_not", "logical_or", "logical_xor", "masked_fill", "nan_to_num", "reciprocal", "relu", "rsqrt",
         "silu", "softplus", "square", },
   },
   ["stlua.shape"] = {
      st = { "broadcast_to", "cat", "chunk", "clone", "contiguous", "dim", "expand", "expand_as", "flatten", "flip",
         "movedim", "narrow", "pad", "permute", "repeat_interleave", "reshape", "roll", "select", "size", "split",
         "squeeze", "stack", "swapaxes", "t", "tile", "transpose", "unbind", "unflatten", "unsqueeze", },
      Tensor = { "broadcast_to", "chunk", "contiguous", "dim", "expand_as", "flatten", "flip", "movedim", "pad",
         "repeat", "repeat_interleave", "roll", "size", "split", "squeeze", "swapaxes", "t", "tile", "transpose",
         "unbind", "unflatten", "unsqueeze", },
   },
   ["stlua.inplace"] = {
      Tensor = { "abs_", "acos_", "add_", "addcdiv_", "addcmul_", "asin_", "atan2_", "atan_", "bitwise_and_",
         "bitwise_left_shift_", "bitwise_not_", "bitwise_or_", "bitwise_right_shift_", "bitwise_xor_", "ceil_",
         "clamp_", "clip_", "copy_", "cos_", "cosh_", "div_", "eq_", "erf_", "erfc_", "exp2_", "exp_", "expm1_",
         "fill_", "floor_", "floor_divide_", "fmod_", "ge_", "gelu_", "gt_", "hypot_", "isclose_", "isfinite_",
         "isinf_", "isnan_", "le_", "lerp_", "log10_", "log1p_", "log2_", "log_", "logical_and_", "logical_not_",
         "logical_or_", "logical_xor_", "lt_", "masked_fill_", "maximum_", "minimum_", "mul_", "nan_to_num_", "ne_",
         "neg_", "pow_", "reciprocal_", "relu_", "remainder_", "round_", "rsqrt_", "sigmoid_", "sign_", "silu_",
         "sin_", "sinh_", "softplus_", "sqrt_", "square_", "sub_", "tan_", "tanh_", "trunc_", "zero_", },
   },
   ["stlua.make"] = {
      st = { "arange", "eye", "from_string", "full", "full_like", "linspace", "ones", "ones_like", "tensor",
         "to_string", "zeros", "zeros_like", },
      Tensor = { "full_like", "ones_like", "zeros_like", },
   },
   ["stlua.reduce"] = {
      st = { "all", "allclose", "amax", "amin", "any", "argmax", "argmin", "argsort", "cosine_similarity",
         "count_nonzero", "cumprod", "cumsum", "dot", "equal", "force", "histc", "histogram", "kthvalue",
         "log_softmax", "logsumexp", "max", "mean", "median", "min", "nanmean", "nansum", "norm", "prod",
         "quantile", "softmax", "sort", "std", "sum", "topk", "unique", "var", },
      Tensor = { "all", "allclose", "amax", "amin", "any", "argmax", "argmin", "argsort", "cosine_similarity",
         "count_nonzero", "cumprod", "cumsum", "dot", "equal", "histc", "histogram", "kthvalue", "log_softmax",
         "logsumexp", "max", "mean", "median", "min", "nanmean", "nansum", "norm", "prod", "quantile", "softmax",
         "sort", "std", "sum", "topk", "unique", "var", },
      tensor_meta = { "__le", "__lt", },
   },
   ["stlua.linalg"] = {
      st = { "bmm", "cholesky", "det", "diag", "eigh", "inverse", "kron", "linear_sum_assignment", "matmul", "mm",
         "mv", "nuclear_norm", "outer", "pinv", "qr", "solve", "svd", "svd_lowrank", "svdvals", "trace", "tril",
         "triu", },
      Tensor = { "bmm", "cholesky", "det", "diag", "eigh", "inverse", "kron", "linear_sum_assignment", "matmul",
         "mm", "mv", "nuclear_norm", "outer", "pinv", "qr", "solve", "svd", "svd_lowrank", "svdvals", "trace",
         "tril", "triu", },
   },
   ["stlua.einsum"] = {
      st = { "einsum", },
   },
   ["stlua.fourier"] = {
      st = { "fftn", "ifftn", "irfftn", "rfftn", },
      Tensor = { "fftn", "ifftn", "irfftn", "rfftn", },
   },
   ["stlua.pick"] = {
      st = { "gather", "index", "index_select", "masked_select", "nonzero", },
      Tensor = { "gather", "index", "index_select", "masked_select", "nonzero", },
   },
   ["stlua.casts"] = {
      Tensor = { "bfloat16", "bool", "double", "float", "half", "int", "long", "to", "tolist", },
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
   ["stlua.differences"] = {
   },
   ["stlua.hist"] = {
      Tensor = { "hist", },
   },
   ["stlua.unmixing"] = {
   },
   ["stlua.pruning"] = {
   },
   ["stlua.dequantize"] = {
   },
   ["stlua.merging"] = {
   },
   ["stlua.blocks"] = {
   },
   ["stlua.mergekit"] = {
   },
   ["stlua.rebasin"] = {
   },
}
