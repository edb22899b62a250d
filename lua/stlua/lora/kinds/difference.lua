-- Differences at full size: of a weight and a bias (LyCORIS' full), of a norm's (LyCORIS' norms).
return {
   title = "difference",
   suffixes = { [".diff"] = "diff", [".diff_b"] = "bias_diff", [".w_norm"] = "diff", [".b_norm"] = "bias_diff" },
   needs = { { "diff" }, { "bias_diff" } },
   unscaled = true,
   delta = function(p) return p.diff end,
}
