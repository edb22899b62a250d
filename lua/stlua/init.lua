--- stlua: models of tensors in safetensors files, described in Lua and computed in C.
--
--     local st = require "stlua"
--     local a, b = st.open("a.safetensors"), st.open("b.safetensors")
--     st.lerp(a, b, 0.3):save("merged.safetensors")
--
-- What gives a tensor or a model only describes it; asking for a number, a text or a file computes it.
-- All functions throw error objects { code, message, ... }; `require "stlua.safe"` returns nil, message, code
-- instead.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local parts = require "stlua.parts"

local st = {
   version = core.version,
   --- Names of all dtypes, in the format's order.
   dtypes = require("stlua.dtype").names,
   open = require("stlua.open").open,
   drop = require "stlua.dropped",
   --- Makes a tensor from little-endian bytes: st.from_bytes("F32", { 2, 3 }, bytes).
   from_bytes = core.tensor,
   --- Number of threads; st.threads(n) sets it, 0 asks for as many as the process may use.
   threads = core.threads,
   --- Bytes that operations on whole tensors may hold; st.memory(bytes) sets it.
   memory = core.memory,
   json = require "stlua.json",
   --- NumPy's .npy and .npz files: load, save.
   npy = {},
   --- Low-rank adapters: apply, extract and what else people do with them (src/LORA.md).
   lora = {},
}

parts.later(st, "map", "stlua.map")
parts.later(st, "info", "stlua.info")
parts.later(st, "hash", "stlua.hash")
parts.later(st, "meta", "stlua.meta.edit")
parts.later(st, "merge", "stlua.merging")
parts.later(st, "merge_methods", "stlua.merging")
parts.later(st, "block_weights", "stlua.blocks")
parts.later(st, "rebasin", "stlua.rebasin")
parts.later(st, "merge_config", "stlua.mergekit", "load")
parts.later(st, "model", "stlua.model", "new")
parts.later(st, "save", "stlua.save")
parts.later(st, "save_all", "stlua.save")
parts.later(st, "pack", "stlua.packing")
parts.later(st, "unpack", "stlua.packing")
parts.later(st, "compress", "stlua.compressed")
parts.later(st, "decompress", "stlua.compressed")
parts.later(st, "verify", "stlua.checking")
parts.later(st, "stats", "stlua.stats")
parts.later(st, "diff", "stlua.differences")
parts.later(st, "hist", "stlua.hist")
parts.later(st, "unmix", "stlua.unmixing")
parts.later(st, "prune", "stlua.pruning")
parts.later(st, "dequantize", "stlua.dequantize")
parts.later(st, "scaled_fp8", "stlua.dequantize")
parts.later(st.npy, "load", "stlua.npy")
parts.later(st.npy, "save", "stlua.npy")
parts.later(st.lora, "apply", "stlua.lora.apply")
parts.later(st.lora, "combine", "stlua.lora.combine")
parts.later(st.lora, "convert", "stlua.lora.conversion")
parts.later(st.lora, "info", "stlua.lora.describe")
parts.later(st.lora, "resize", "stlua.lora.resize")
parts.later(st.lora, "write", "stlua.lora.write")
parts.later(st.lora, "extract", "stlua.lora.extract")

-- One function per operation (st.add, st.where, st.minimum, st.exp ...), st.lerp, st.clamp, st.apply; what is put
-- together from them (st.rsqrt, st.isnan ...); st.cat, st.flip ...; st.tensor, st.zeros ...; st.sum, st.sort ...;
-- and the methods of tensors and models.
parts.install(st)

return st
