--- What the codes and scales of quantised layouts stand for, as expressions of ordinary operations: a weight in F32.
--
-- Each row tells which tensors stand beside a weight, "stem" being its name without ".weight", and how the weight comes
-- of them. Sizes are held against each other before anything is computed.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local pick = require "stlua.pick"
local shape = require "stlua.shape"
local text = require "stlua.text"

local formats = {}

--- The key of the metadata where ComfyUI describes all layers.
formats.METADATA = "_quantization_metadata"

local function apply(op, ...) return core.apply(op, ...) end

local function refuse(name, format, ...)
   errors.throw("quant", text.quote(name) .. ": " .. format:format(...), { tensor = name })
end

-- A tensor of the model as plain numbers: of its dtype, or of another one of that width.
local function codes(m, name, to)
   local t = m:get(name)
   return core.codes(t, to or t:dtype())
end

local function product(sizes)
   local n = 1
   for _, s in ipairs(sizes) do n = n * s end
   return n
end

-- ---------------------------------------------------------------- scales of whole tensors, rows and blocks

-- w times its scales: one, one for each row, or one for each of equal pieces of a row (last dimension of the scales, or
-- the one before a last of 1), or for blocks of rows and columns.
local function scaled(name, w, scale)
   local sizes, of = w:shape(), scale:shape()
   local n = scale:numel()
   w = w:cast "F32"
   scale = scale:cast "F32"
   if n == 1 then return w * scale:reshape {} end
   while #of > 2 and of[#of] == 1 do table.remove(of) end
   local rows, columns = sizes[1], product(sizes) // math.max(1, sizes[1])
   if #of == 1 then of[2] = 1 end
   local fits = #of == 2 and of[1] > 0 and of[2] > 0 and n == of[1] * of[2]
   if not fits or #sizes < 2 or rows % of[1] ~= 0 or columns % of[2] ~= 0 then
      refuse(name, "scales of %s do not fit a weight of %s", text.shape(scale:shape()), text.shape(sizes))
   end
   local blocks = w:reshape { of[1], rows // of[1], of[2], columns // of[2] }
   return (blocks * scale:reshape { of[1], 1, of[2], 1 }):reshape(sizes)
end

-- Blocks of 128 rows and columns, of which the last ones may be cut.
local function inverse_blocks(name, w, scale)
   local sizes, of = w:shape(), scale:shape()
   local edge = 128
   if #sizes ~= 2 or #of ~= 2 or of[1] ~= -(-sizes[1] // edge) or of[2] ~= -(-sizes[2] // edge) then
      refuse(name, "scales of %s do not fit a weight of %s in blocks of %d", text.shape(of), text.shape(sizes), edge)
   end
   if sizes[1] % edge == 0 and sizes[2] % edge == 0 then return scaled(name, w, scale) end
   local wide = shape.repeat_interleave(shape.repeat_interleave(scale:cast "F32", edge, 1), edge, 2)
   return w:cast "F32" * wide:narrow(1, 1, sizes[1]):narrow(2, 1, sizes[2])
end

-- ---------------------------------------------------------------- scales in tiles of the tensor cores

-- Scales lie in tiles of 128 rows and 4 columns, in each of which row r is at place r % 32 and quarter r // 32: laid
-- straight again, without what fills the last tiles up.
local function straight(name, scale, rows, columns)
   local down, across = -(-rows // 128), -(-columns // 4)
   if scale:numel() ~= down * across * 512 then
      refuse(name, "%d scales in tiles of 128 x 4, there are %d", down * across * 512, scale:numel())
   end
   return scale:reshape { down, across, 32, 4, 4 }:permute(1, 4, 3, 2, 5):reshape { down * 128, across * 4 }
      :narrow(1, 1, rows):narrow(2, 1, columns)
end

-- 2^(code - 127), exactly; 255 is NaN.
local function power_of_two(code)
   local x = code:cast "F64"
   return apply("where", apply("eq", x, 255), 0 / 0, apply("exp2", x - 127)):cast "F32"
end

local function grouped(name, w, group)
   local sizes = w:shape()
   if #sizes ~= 2 or sizes[2] % group ~= 0 then
      refuse(name, "a weight of %s cannot be cut into groups of %d", text.shape(sizes), group)
   end
   return sizes[1], sizes[2] // group
end

local function mxfp8(m, stem, name)
   local w, scale = codes(m, name), codes(m, stem .. ".weight_scale", "U8")
   local rows, columns = grouped(name, w, 32)
   local powers = power_of_two(straight(name, scale, rows, columns))
   return (w:cast "F32":reshape { rows, columns, 32 } * powers:reshape { rows, columns, 1 }):reshape(w:shape())
end

-- ---------------------------------------------------------------- four bits

-- The halves of bytes, the high one first: one dimension of 2 more. As F32, which has kernels for all of this.
local function nibbles(bytes)
   local sizes, n = bytes:shape(), bytes:ndim() + 1
   sizes[n] = 1
   local one = bytes:reshape(sizes)
   sizes[n] = 2
   -- Repeated as bytes: what is repeated is held.
   local shift = core.tensor("F32", { 2 }, ("<ff"):pack(1 / 16, 1))
   local x = apply("floor", one:expand(sizes):cast "F32" * shift)
   return x - apply("floor", x * (1 / 16)) * 16
end

-- E2M1: 0 0.5 1 1.5 2 3 4 6, and the same below 0.
local function e2m1(code)
   local size = apply("where", apply("ge", code, 8), code - 8, code)
   local value = apply("where", apply("lt", size, 4), size * 0.5,
      apply("where", apply("lt", size, 6), size - 2, size * 2 - 8))
   return apply("where", apply("ge", code, 8), -value, value)
end

local function nvfp4(m, stem, name)
   local w, scale = codes(m, name, "U8"), codes(m, stem .. ".weight_scale", "F8_E4M3")
   local second = codes(m, stem .. ".weight_scale_2")
   local sizes = w:shape()
   if #sizes ~= 2 or sizes[2] % 8 ~= 0 or second:numel() ~= 1 then
      refuse(name, "no nvfp4: %s bytes, %d scales of the whole", text.shape(sizes), second:numel())
   end
   local rows, columns = sizes[1], sizes[2] // 8
   local total = second:cast "F32":reshape {} * straight(name, scale, rows, columns):cast "F32"
   return (e2m1(nibbles(w)):reshape { rows, columns, 16 } * total:reshape { rows, columns, 1 })
      :reshape { rows, sizes[2] * 2 }
end

-- The numbers of a table by codes of four bits: a tree of choices, so that it streams.
local function looked_up(code, values)
   local function tree(first, count)
      if count == 1 then return core.tensor("F32", {}, ("<f"):pack(values[first])) end
      local half = count // 2
      return apply("where", apply("ge", code, first - 1 + half), tree(first + half, half), tree(first, half))
   end
   return tree(1, 16)
end

local QUANT_STATE = ".weight.quant_state.bitsandbytes__"

-- What bitsandbytes wrote beside a weight, checked.
local function quant_state(m, stem, name)
   for _, kind in ipairs { "nf4", "fp4" } do
      if m:find(stem .. QUANT_STATE .. kind) then
         local t = codes(m, stem .. QUANT_STATE .. kind, "U8")
         if t:numel() > 1 << 16 then refuse(name, "a description of %d bytes", t:numel()) end
         local ok, state = pcall(core.json_decode, t:bytes "U8")
         if not ok or type(state) ~= "table" then refuse(name, "its description is no JSON object") end
         return state
      end
   end
end

local function whole(v, least) return math.type(v) == "integer" and v >= least end

-- Numbers of a table in a file, as a list.
local function table_of(m, full, count, name)
   local t = codes(m, full)
   if t:numel() ~= count then refuse(name, "%s has %d values, not %d", text.quote(full), t:numel(), count) end
   return t:cast("F32"):values(1, count)
end

-- Scales of blocks, which may be codes themselves: of a table, times scales, plus an offset.
local function absmax(m, stem, name, state, blocks)
   local full = stem .. ".weight.absmax"
   local scale = codes(m, full)
   if scale:numel() ~= blocks then refuse(name, "%d scales for %d blocks", scale:numel(), blocks) end
   scale = scale:reshape { blocks }
   if not m:find(stem .. ".weight.nested_absmax") then return scale:cast "F32" end
   local size, offset = state.nested_blocksize, state.nested_offset
   if not whole(size, 1) or type(offset) ~= "number" then refuse(name, "its nested scales are not described") end
   local outer, map = codes(m, stem .. ".weight.nested_absmax"), codes(m, stem .. ".weight.nested_quant_map")
   local pieces = -(-blocks // size)
   if outer:numel() ~= pieces or map:numel() ~= 256 or scale:dtype() ~= "U8" then
      refuse(name, "%d nested scales for %d pieces, a table of %d", outer:numel(), pieces, map:numel())
   end
   local values = pick.index_select(map:cast("F32"):reshape { 256 }, 1, scale:cast "I64" + 1)
   local wide = shape.repeat_interleave(outer:cast("F32"):reshape { pieces }, size):narrow(1, 1, blocks)
   return values * wide + core.tensor("F32", {}, ("<f"):pack(offset))
end

local function bnb(m, stem, name)
   local state = quant_state(m, stem, name)
   local bytes, sizes = codes(m, name, "U8"), state.shape
   if type(sizes) ~= "table" or not whole(state.blocksize, 1) then refuse(name, "its shape is not described") end
   local n = 1
   for i, size in ipairs(sizes) do
      if not whole(size, 1) or n > (1 << 46) // size then refuse(name, "size %d of its shape is none", i) end
      n = n * size
   end
   if bytes:numel() ~= (n + 1) // 2 then
      refuse(name, "%d bytes for a weight of %s", bytes:numel(), text.shape(sizes))
   end
   local block = state.blocksize
   local blocks = -(-n // block)
   local map = table_of(m, stem .. ".weight.quant_map", 16, name)
   local values = looked_up(nibbles(bytes:reshape { bytes:numel() }), map):reshape { bytes:numel() * 2 }
   local scale = absmax(m, stem, name, state, blocks)
   if n % block == 0 then
      return (values:reshape { blocks, block } * scale:reshape { blocks, 1 }):reshape(sizes)
   end
   local wide = shape.repeat_interleave(scale, block):narrow(1, 1, n)
   return (values:narrow(1, 1, n) * wide):reshape(sizes)
end

-- ---------------------------------------------------------------- which format it is

--- What the metadata say of all layers at once: by stem; empty where they say nothing.
function formats.told(m)
   local ok, all = pcall(core.json_decode, m:metadata()[formats.METADATA] or "")
   return ok and type(all) == "table" and type(all.layers) == "table" and all.layers or {}
end

-- What ComfyUI says in a tensor beside the weight: the name of a format, and what else there is to it.
local function comfy_format(m, stem, told)
   if not m:find(stem .. ".comfy_quant") then
      local layer = told[stem]
      return type(layer) == "table" and type(layer.format) == "string" and layer or nil
   end
   local t = codes(m, stem .. ".comfy_quant", "U8")
   local ok, config = false, nil
   if t:numel() <= 1 << 16 then ok, config = pcall(core.json_decode, t:bytes "U8") end
   if not ok or type(config) ~= "table" or type(config.format) ~= "string" then
      refuse(stem .. ".comfy_quant", "it is no description of a format")
   end
   return config
end

local PLAIN = { float8_e4m3fn = true, float8_e5m2 = true, float8_e4m3fn_rowwise = true, float8_e4m3fn_blockwise = true,
   float8_e4m3fn_block3d = true, int8_tensorwise = true, int8_blockwise = true }

-- ComfyUI's scales lie in tiles that are filled up, those of other programs (NVIDIA's ModelOpt) row by row, with the
-- halves of bytes the other way round. Where nothing is filled up and the file does not say whose it is, both fit.
local function check_tiles(name, scale, sizes, group)
   local got = scale:shape()
   if #got == 2 and #sizes == 2 and got[1] == sizes[1] and got[2] * group == sizes[2] then
      refuse(name, "its scales may lie row by row, as ModelOpt has them, or in ComfyUI's tiles: the file does not say "
         .. "which (a tensor comfy_quant beside it, or _quantization_metadata)")
   end
end

local function by_weight_scale(m, stem, name, told)
   local config = comfy_format(m, stem, told)
   local w, scale = m:get(name), m:get(stem .. ".weight_scale")
   local format = config and config.format
   if m:find(stem .. ".pre_quant_scale") then refuse(name, "scales of its inputs are part of it") end
   if config and (config.convrot or config.rotation) then refuse(name, "its format %s turns it", text.quote(format)) end
   if format == "nvfp4" or not format and w:dtype() == "U8" and m:find(stem .. ".weight_scale_2") then
      if not format then check_tiles(name, scale, w:shape(), 8) end
      return "nvfp4", nvfp4(m, stem, name)
   end
   local power = scale:dtype() == "U8" or scale:dtype() == "F8_E8M0"
   if format == "mxfp8" or not format and power then
      if not format then check_tiles(name, scale, w:shape(), 32) end
      return "mxfp8", mxfp8(m, stem, name)
   end
   if format and not PLAIN[format] or power or m:find(stem .. ".weight_scale_2") then
      refuse(name, "its format %s is not known", format and text.quote(format) or "(by its scales)")
   end
   return "scaled " .. w:dtype(), scaled(name, codes(m, name), codes(m, stem .. ".weight_scale"))
end

--- A quantised weight in F32, and what its layout is called.
-- @tparam model m opened
-- @tparam string name ends in ".weight"
-- @tparam table told formats.told(m)
-- @treturn ?string nil where no tensor beside it tells how; for those that are known but not computed, an error
-- @treturn ?tensor deferred
-- @treturn ?string the dtype that the file says it had
-- @raise "quant" for what does not fit, or is not known
function formats.decode(m, name, told)
   local stem = name:match("^(.*)%.weight$")
   if not stem then return nil end
   local function has(suffix) return m:find(stem .. suffix) ~= nil end
   if has(QUANT_STATE .. "nf4") or has(QUANT_STATE .. "fp4") then
      local state = quant_state(m, stem, name)
      local names = { float16 = "F16", bfloat16 = "BF16", float32 = "F32" }
      return "bitsandbytes " .. (has(QUANT_STATE .. "nf4") and "nf4" or "fp4"), bnb(m, stem, name), names[state.dtype]
   elseif has ".scale_weight" then
      return "scaled " .. m:get(name):dtype(), scaled(name, codes(m, name), codes(m, stem .. ".scale_weight"))
   elseif has ".weight_scale" then
      return by_weight_scale(m, stem, name, told)
   elseif has ".weight_scale_inv" then
      return "fp8 in blocks of 128", inverse_blocks(name, codes(m, name), codes(m, stem .. ".weight_scale_inv"))
   end
end

--- What stands behind a weight's stem in the names of the tensors that are of no use without its codes.
formats.beside = { ".scale_weight", ".scale_input", ".weight_scale", ".weight_scale_2", ".weight_scale_inv",
   ".input_scale", ".comfy_quant", ".weight.absmax", ".weight.quant_map", ".weight.nested_absmax",
   ".weight.nested_quant_map", QUANT_STATE .. "nf4", QUANT_STATE .. "fp4" }

-- ---------------------------------------------------------------- writing

local LARGEST = { F8_E4M3 = 448.0, F8_E5M2 = 57344.0 }

--- A weight as ComfyUI's scaled fp8: codes, and a scale of the whole that brings its largest magnitude to the largest
-- number there is.
-- @tparam tensor w
-- @tparam string to F8_E4M3 or F8_E5M2
-- @treturn tensor codes
-- @treturn tensor scale, F32 without dimensions
function formats.scale(w, to)
   local largest = LARGEST[to]
   if not largest then
      errors.throwf("dtype", "a scale goes with F8_E4M3 or F8_E5M2, not with %s", to)
   end
   local x = w:cast "F32"
   local most = x:abs():amax():cast "F32"
   local scale = apply("where", apply("gt", most, 0), most / largest, 1.0):cast "F32"
   return (x / scale):cast(to, { saturate = true }), scale
end

return formats
