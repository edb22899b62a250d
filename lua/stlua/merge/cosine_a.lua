-- cosine_a: B (1 - k) + A k, k = clamp((s - low) / (high - low) - |alpha|, 0, 1); see stlua.supermerger_cosine.
return require("stlua.supermerger_cosine").method {
   summary = "Takes A where its normalised columns are like B's, measured against the whole model; reads it twice.",
   source = "supermerger cosineA",
   normalize = true, magnitude = true,
}
