--- Every public function with arguments that make sense: what test_catalogue.lua and test_collector.lua call. A
-- function that is not here, and that no rule fits, fails the test: add a line.
local core = require "stlua.core"
local st = require "stlua"
local support = require "support"

local calls = {}

--- Fresh values for one call. `close` ends those that were not made within the call.
function calls.world()
   local w = {}
   w.t = support.tensor("F32", { 2, 3 }, { 1, -2, 3, 0.5, 0.25, -1 })
   w.u = support.tensor("F32", { 2, 3 }, { 2, 1, 0.5, 4, 2, 1 })
   w.unit = support.tensor("F32", { 2, 3 }, { 0.5, 0.25, 0.75, 0.125, 0.5, 1 })
   w.i = support.tensor("I64", { 2, 3 }, { 1, 2, 3, 3, 2, 1 })
   w.shift = support.tensor("I64", { 2, 3 }, { 1, 2, 1, 0, 2, 1 })
   w.mask = support.tensor("BOOL", { 2, 3 }, { 1, 0, 1, 0, 0, 1 })
   w.v = support.tensor("F32", { 3 }, { 1, 2, 3 })
   w.square = support.tensor("F32", { 3, 3 }, { 4, 1, 0, 1, 3, 1, 0, 1, 2 })
   w.stack = support.tensor("F32", { 2, 2, 2 }, { 1, 2, 3, 4, 5, 6, 7, 8 })
   w.one = support.tensor("F32", {}, { 2.5 })
   w.row = support.tensor("F32", { 1, 3 }, { 1, 2, 3 })
   w.model = st.model { { "a", w.t }, { "b", w.u } }
   w.other = st.model { { "a", w.u }, { "b", w.t } }
   w.more = st.model { { "c", w.t } }
   w.ints = st.model { { "a", w.i } }
   w.lora = st.model { { "lora_unet_mid_block_attentions_0_proj_in.lora_down.weight", w.t },
      { "lora_unet_mid_block_attentions_0_proj_in.lora_up.weight", st.tensor { { 1.0, 2 }, { 3, 4 }, { 0, 1 } } } }
   w.file = st.open(calls.file())
   w.path = support.path("out.safetensors")
   return w
end

local file
function calls.file()
   if not file then
      file = support.path("calls.safetensors")
      local x, y = support.tensor("BF16", { 2, 2 }, { 1, 2, 3, 4 }), support.tensor("I32", { 2 }, { 7, 8 })
      st.model({ { "x", x }, { "y", y } }, { note = "made by a test" }):save(file, { sync = false })
      st.npy.save(support.path("calls.npy"), support.tensor("F32", { 2 }, { 1, 2 }))
      st.compress(file, { output = support.path("packed.safetensors.zst"), sync = false })
      st.pack(file, { output = support.path("small.packed.safetensors"), sync = false })
   end
   return file
end

-- ---------------------------------------------------------------- arguments by name

-- The same for st.NAME(...) and t:NAME(...).
local A = {}
calls.arguments = A

local function several(names, f)
   for name in names:gmatch("%S+") do A[name] = f end
end

several("bitwise_and bitwise_or bitwise_xor", function(w) return w.i, w.shift end)
several("bitwise_left_shift bitwise_right_shift", function(w) return w.i, w.shift end)
several("bitwise_not", function(w) return w.i end)
several("asin acos", function(w) return w.unit end)
several("addcmul addcdiv", function(w) return w.t, w.u, w.u, { value = 2 } end)
several("all any sum mean prod std var amax amin count_nonzero nansum nanmean logsumexp",
   function(w) return w.t, 1, { keepdim = true } end)
several("argmax argmin median min max", function(w) return w.t, 2, { keepdim = true } end)
several("argsort sort", function(w) return w.t, 2, { descending = true } end)
several("cumsum cumprod softmax log_softmax unbind squeeze unsqueeze", function(w) return w.t, 1 end)
several("cholesky det eigh inverse linear_sum_assignment pinv nuclear_norm qr svd svdvals",
   function(w) return w.square end)
several("matmul mm solve kron", function(w) return w.square, w.square end)
several("bmm", function(w) return w.stack, w.stack end)
several("dot outer", function(w) return w.v, w.v end)
several("einsum", function(w) return "ij,jk->ik", w.square, w.square end)
several("ones zeros rand randn", function() return 2, 3, { dtype = "F64" } end)
several("ones_like zeros_like rand_like randn_like", function(w) return w.t, { dtype = "F64" } end)
several("reshape view", function(w) return w.t, 3, 2 end)
several("cat stack", function(w) return { w.t, w.u }, 1 end)
several("tril triu diag trace", function(w) return w.square end)
several("shape dtype ndim dim size numel nbytes is_leaf is_cast quant source totable tolist contiguous bool double",
   function(w) return w.t end)
several("float half bfloat16 int long hist", function(w) return w.t end)
several("expand_as", function(w) return w.row, w.t end)
several("identical allclose equal copy_", function(w) return w.t:clone(), w.u end)

function A.block_weights()
   local v = support.tensor("F32", { 3 }, { 1, 2, 3 })
   return st.model { { "model.diffusion_model.input_blocks.0.0.bias", v },
      { "model.diffusion_model.out.2.bias", v }, { "cond_stage_model.transformer.text_model.x", v } }, "GRAD_V"
end
function A.merge_config()
   local path = support.path("calls.yml")
   local out = assert(io.open(path, "w"))
   out:write("merge_method: passthrough\nmodels: [ { model: ", calls.file(), " } ]\n")
   out:close()
   return path
end
function A.apply(w) return "add", w.t, w.u end
function A.arange() return 1, 10, 2, { dtype = "F32" } end
function A.bernoulli() return 0.5, { 2, 3 }, { seed = 3 } end
function A.broadcast_to(w) return w.row, 2, 3 end
function A.bytes(w) return w.t, "F16", 2, 3 end
function A.cast(w) return w.t, "F16", { saturate = true } end
function A.pack() return calls.file(), { output = support.path("out.packed.safetensors"), sync = false } end
function A.unpack()
   calls.file()
   return support.path("small.packed.safetensors"), { output = support.path("back.safetensors"), sync = false }
end
function A.compress() return calls.file(), { output = support.path("out.safetensors.zst"), sync = false } end
function A.decompress()
   return support.path("packed.safetensors.zst"), { output = support.path("unpacked.safetensors"), sync = false }
end
function A.chunk(w) return w.t, 2, 2 end
function A.clip(w) return w.t, -1, 1 end
function A.merge(w) return "linear", { models = { w.model, w.other }, weight = 0.5 } end
function A.merge_methods() return nil end
function A.clamp(w) return w.t, -1, 1 end
function A.cosine_similarity(w) return w.t, w.u, { dim = 1 } end
function A.diff(w) return w.model, w.other end
function A.unmix(w) return w.model, { w.other, w.model }, { free = true } end
function A.prune(w) return w.model, { ema = "drop" } end
function A.dequantize(w) return w.model, { dtype = "F32" } end
function A.scaled_fp8(w) return w.model, { dtype = "F8_E4M3" } end
function A.expand(w) return w.row, 2, 3 end
function A.eye() return 2, 3, { dtype = "F64" } end
several("fftn ifftn irfftn", function(w) return w.stack, { dim = 1 } end)
function A.rfftn(w) return w.t, { dim = 2, norm = "ortho" } end
function A.fill_(w) return w.t:clone(), 3 end
function A.flatten(w) return w.stack, 1, 2 end
function A.flip(w) return w.t, 1, 2 end
function A.from_bytes() return "I16", { 2 }, "\1\0\2\0" end
function A.from_string() return "text", { dtype = "U8" } end
function A.full() return { 2, 2 }, 1.5, { dtype = "F16" } end
function A.full_like(w) return w.t, 7, { dtype = "I32" } end
function A.gather(w) return w.t, 2, w.i end
function A.histc(w) return w.t, 4 end
function A.histogram(w) return w.t, 4, { min = -3, max = 3 } end
function A.index(w) return w.t, 1 end
function A.index_select(w) return w.t, 2, st.tensor { 3, 1 } end
function A.item(w) return w.one end
function A.kthvalue(w) return w.t, 2, { dim = 2 } end
function A.lerp(w) return w.t, w.u, 0.3 end
function A.linspace() return 0, 1, 5, { dtype = "F64" } end
function A.manual_seed() return 7 end
function A.map(w) return { w.model, w.other }, function(_, a, b) return a + b end, { missing = "error" } end
function A.masked_fill(w) return w.t, w.mask, 0 end
function A.info(w) return w.file, {} end
function A.hash() return calls.file(), { cache = false } end
function A.meta() return calls.file(), nil, {} end
function A.masked_select(w) return w.t, w.mask end
function A.memory() return nil end
function A.model(w) return { { "a", w.t }, { "b", w.u } }, { note = "n" } end
function A.movedim(w) return w.stack, 1, 3 end
function A.mv(w) return w.square, w.v end
function A.narrow(w) return w.t, 2, 1, 2 end
function A.norm(w) return w.t, 2, { dim = 1 } end
function A.verify() return calls.file(), { values = true } end
function A.open() return calls.file(), {} end
function A.pad(w) return w.t, { 1, 1 }, { value = 5 } end
function A.permute(w) return w.t, 2, 1 end
function A.quantile(w) return w.t, 0.5, { dim = 2 } end
function A.randint() return 1, 6, { 2, 3 }, { seed = 3 } end
A["repeat"] = function(w) return w.t, 2, 1 end
function A.rebasin()
   local list = {}
   local function add(name, ...) list[#list + 1] = { name, st.ones(...) } end
   add("model.embed_tokens.weight", 3, 4)
   add("model.norm.weight", 4)
   add("model.layers.0.self_attn.q_proj.weight", 4, 4)
   add("model.layers.0.mlp.gate_proj.weight", 4, 4)
   return st.model(list), st.model(list), { head_dim = 0 }
end
function A.repeat_interleave(w) return w.t, 2, 1 end
function A.roll(w) return w.t, 1, 2 end
function A.save(w) return w.model, w.path, { sync = false } end
function A.save_all(w) return { { w.model, w.path } }, { sync = false } end
function A.select(w) return w.t, 1, 2 end
function A.split(w) return w.t, 1, 1 end
function A.stats(w) return w.model end
function A.svd_lowrank(w) return w.square, 2, { seed = 1 } end
function A.swapaxes(w) return w.t, 1, 2 end
function A.tensor() return { { 1, 2 }, { 3, 4 } }, { dtype = "F16" } end
function A.threads() return nil end
function A.tile(w) return w.t, 2, 1 end
function A.to(w) return w.t, "F16" end
function A.to_string() return st.from_string("text") end
function A.topk(w) return w.t, 2, { dim = 2 } end
function A.transpose(w) return w.t, 1, 2 end
function A.unflatten(w) return w.t, 2, { 3, 1 } end
function A.unique(w) return w.i, { counts = true } end
function A.values(w) return w.t, 2, 3 end
function A.where(w) return w.mask, w.t, w.u end
function A.zero_(w) return w.t:clone() end

A["json.array"] = function() return { 1, 2 } end
A["json.decode"] = function() return '{"a":[1,2]}' end
A["json.encode"] = function() return { a = { 1, 2 } }, { indent = 2 } end
A["lora.extract"] = function(w)
   return st.model { { "a.weight", w.t } }, st.model { { "a.weight", w.u } }, { rank = 2 }
end
A["lora.apply"] = function(w)
   local down, up = w.unit:narrow(1, 1, 1), w.v:narrow(1, 1, 2):reshape(2, 1)
   local factors = { { "a.lora_A.weight", down }, { "a.lora_B.weight", up } }
   return st.model { { "a.weight", w.t } }, st.model(factors), 0.5, { allow_unmatched = false }
end
A["npy.load"] = function() return support.path("calls.npy") end
A["npy.save"] = function(w) return support.path("out.npy"), w.t end

A["lora.combine"] = function(w) return { { w.lora, 0.5 }, { w.lora, 0.25 } }, { rank = 1 } end
-- With a model: to make the names of a known one takes minutes under a hostile collector.
A["lora.convert"] = function(w)
   local factors = { { "base_model.model.a.lora_A.weight", w.unit:narrow(1, 1, 1) },
      { "base_model.model.a.lora_B.weight", w.v:narrow(1, 1, 2):reshape(2, 1) },
      { "base_model.model.a.alpha", w.one } }
   return st.model(factors), { to = "kohya", model = st.model { { "a.weight", w.t } } }
end
A["lora.info"] = function(w) return w.lora end
A["lora.resize"] = function(w) return w.lora, { rank = 1 } end
A["lora.write"] = function(w) return w.lora, w.path, { sync = false } end

local M = {}      -- of models
function M.add(w) return st.model { { "x", w.t } }, "z", w.u end
function M.cast(w) return w.model, "F16", { only = "a" } end
function M.close() return st.open(calls.file()) end
function M.file_sha256(w) return w.file, 1 end
function M.find(w) return w.model, "b" end
function M.get(w) return w.model, "b" end
function M.header_sha256(w) return w.file, 1 end
function M.info(w) return w.file, 1 end
function M.merge(w) return w.model, w.more, {} end
function M.name(w) return w.model, 2 end
function M.rename(w) return w.model, { a = "c" } end
function M.rows(w) return w.file, 1, 2, "table" end
function M.save(w) return w.model, w.path, { sync = false } end
function M.select(w) return w.model, "a" end
function M.set(w) return st.model { { "x", w.t } }, "x", w.u end
function M.set_meta(w) return st.model { { "x", w.t } }, "k", "v" end
function M.tensor(w) return w.model, 2 end
function M.with_metadata(w) return w.model, { k = "v" } end
function M.without(w) return w.model, "a" end

-- ---------------------------------------------------------------- the list

-- By the number of operands: elementwise functions and others of one or two tensors.
local function by_rule(entry)
   local n = 0
   for _, p in ipairs(entry.params) do n = n + (p.optional and 0 or 1) end
   if n == 1 then return function(w) return w.t end end
   if n == 2 then return function(w) return w.t, w.u end end
end

local function in_place(f)
   return function(w)
      local list = table.pack(f(w))
      list[1] = list[1]:clone()
      return table.unpack(list, 1, list.n)
   end
end

local function arguments_of(item, list)
   local kind, name = item.name:match("^(%w+)[%.:](.*)$")
   if kind == "Model" then
      return M[name] or function(w) return w.file end
   end
   if A[name] then return A[name] end
   local base = item.in_place and name:sub(1, -2)
   if base and A[base] then return in_place(A[base]) end
   local entry = list["st." .. (base or name)] or item
   local f = entry.entry and by_rule(entry.entry)
   return base and f and in_place(f) or f
end

--- All public functions: { name, fn, arguments = function(world) -> arguments, takes_options }.
function calls.all()
   local found, list = {}, require "stlua.doc".catalogue()
   package.loaded["stlua.doc"] = nil         -- the comments of all modules: a large heap, and it is collected often
   for _, item in ipairs(list) do
      if item.kind == "function" and type(item.value) == "function" then
         local options = false
         for _, p in ipairs(item.entry.params) do options = options or p.name == "opts" end
         found[#found + 1] = { name = item.name, fn = item.value, arguments = arguments_of(item, list),
            takes_options = options }
      end
   end
   return found
end

-- ---------------------------------------------------------------- results as texts

local function model_text(m)
   local parts = {}
   for name, t in pairs(m) do parts[#parts + 1] = name .. "=" .. calls.text(t) end
   return "model{" .. table.concat(parts, ",") .. "}"
end

local function table_text(v)
   local parts = {}
   for key, value in pairs(v) do parts[#parts + 1] = tostring(key) .. "=" .. calls.text(value) end
   table.sort(parts)
   return "{" .. table.concat(parts, ",") .. "}"
end

--- A text that is equal for equal results.
function calls.text(v)
   local mt = debug.getmetatable(v)
   if mt == core.tensor_meta then
      local bytes = v:bytes():gsub(".", function(c) return ("%02x"):format(c:byte()) end)
      return ("%s[%s]%s"):format(v:dtype(), table.concat(v:shape(), ","), bytes)
   end
   if mt == core.model_meta then
      local ok, text = pcall(model_text, v)
      return ok and text or "closed"
   end
   if type(v) == "table" then return table_text(v) end
   if type(v) == "function" or type(v) == "userdata" then return type(v) end
   return tostring(v)
end

--- What a function gives within such a world, as a text.
function calls.result(c, world)
   st.manual_seed(1)
   return calls.text(table.pack(c.fn(c.arguments(world))))
end

return calls
