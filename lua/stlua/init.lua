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
local elementwise = require "stlua.elementwise"
local linalg = require "stlua.linalg"
local make = require "stlua.make"
local map = require "stlua.map"
local model = require "stlua.model"
local npy = require "stlua.npy"
local ops = require "stlua.ops"
local random = require "stlua.random"
local reduce = require "stlua.reduce"
local save = require "stlua.save"
local shape = require "stlua.shape"
require "stlua.inplace"
require "stlua.print"

local st = {
   version = core.version,
   --- Names of all dtypes, in the format's order.
   dtypes = require("stlua.dtype").names,
   open = require("stlua.open").open,
   map = map.map,
   drop = map.drop,
   model = model.new,
   --- Makes a tensor from little-endian bytes: st.from_bytes("F32", { 2, 3 }, bytes).
   from_bytes = core.tensor,
   save = save.save,
   save_all = save.save_all,
   --- Number of threads; st.threads(n) sets it, 0 asks for as many as the process may use.
   threads = core.threads,
   --- Bytes that operations on whole tensors may hold; st.memory(bytes) sets it.
   memory = core.memory,
   json = require "stlua.json",
   stats = require("stlua.stats").stats,
   diff = require("stlua.diff").diff,
   --- NumPy's .npy and .npz files: load, save.
   npy = { load = npy.load, save = npy.save },
}

-- One function per operation (st.add, st.where, st.minimum, st.exp ...), st.lerp, st.clamp, st.apply; what is put
-- together from them (st.rsqrt, st.isnan ...); st.cat, st.flip ...; st.tensor, st.zeros ...; st.sum, st.sort ...
for _, functions in ipairs { ops, elementwise, shape, make, reduce, linalg, random } do
   for name, fn in pairs(functions) do
      if type(fn) == "function" then st[name] = fn end
   end
end

return st
