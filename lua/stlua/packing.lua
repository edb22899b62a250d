--- Packed files: st.pack and st.unpack.
-- Layer: Lua, above stlua.core.

local compressed = require "stlua.compressed"
local core = require "stlua.core"
local errors = require "stlua.errors"
local open = require "stlua.open"

local pack = {}

local function one_file(path)
   local model = open.open(path)
   if #model:files() ~= 1 then
      errors.throwf("arg", "st.pack: %s is not one file: join its shards first", core.escape(path))
   end
   return model
end

-- A difference to a difference could not be read: a base is found by one name alone.
local function base_of(path)
   local model = one_file(path)
   local packed = model:files()[1].packed
   if packed and packed.base then
      errors.throwf("arg", "st.pack: the base %s is itself packed as the difference to %s: unpack it first",
         core.escape(path), core.escape(packed.base))
   end
   return model
end

--- Writes a file packed: the bytes of each tensor apart by what they mean, exponents beside exponents, and compressed.
-- BF16 weights become two thirds; nothing is lost: `st.unpack` gives the file back byte for byte, and `st.open` and all
-- commands read a packed file as if it were plain (src/COMPRESSION.md). With a base, tensors are kept as the
-- difference to the base's, and equal ones cost next to nothing; the base is then needed to read the file, and found
-- beside it or by `base`. The file stays.
--
--     > to, stats = st.pack("a.safetensors", { output = "small.safetensors" })
--     > to, stats.tensors, stats.after < stats.before
--     small.safetensors       31      true
-- @tparam string path a .safetensors file
-- @tparam[opt] table opts `output` = the file to write (the same name with .packed before .safetensors, which may not
--   be there yet); `base` = path of the base; `base_sha256` = its SHA-256, where it is known already; `sync`, `replace`
--   as of m:save
-- @treturn string the file that was written
-- @treturn table before, after (bytes), tensors, deltas (of them packed as differences), as_base, as_earlier (equal to
--   the base's tensor, to another of the file), base_sha256
-- @raise as m:save
function pack.pack(path, opts)
   local function derive(name) return (name:gsub("%.safetensors$", "")) .. ".packed.safetensors" end
   return compressed.convert(path, opts, "st.pack", derive, function(from, to, how, given)
      how.base, how.base_sha256 = given.base and base_of(given.base), given.base_sha256
      return core.pack(one_file(from), to, how)
   end, { base = "string", base_sha256 = "string" }, function(_, given) return { given.base } end)
end

--- Writes what a packed file was packed from, byte for byte. The file stays.
--
--     > to = st.unpack("small.safetensors", { output = "again.safetensors" })
--     > st.open(to):file_sha256(1) == st.open("a.safetensors"):file_sha256(1)
--     true
-- @tparam string path a packed file
-- @tparam[opt] table opts `output` = the file to write (the same name without .packed); `base` = path of the file it
--   was packed against, if that lies elsewhere; `sync`, `replace` as of m:save
-- @treturn string the file that was written
-- @treturn integer its bytes
-- @raise as m:save; "io" where the base is missing; "format" for damage; "arg" for a wrong base and for a plain
--   file. Nothing is written then
function pack.unpack(path, opts)
   local function derive(name)
      local plain, count = name:gsub("%.packed%.safetensors$", ".safetensors")
      if count == 0 then
         errors.throwf("arg", "st.unpack: %s: its name does not end in .packed.safetensors; give an output",
            core.escape(name))
      end
      return plain
   end
   return compressed.convert(path, opts, "st.unpack", derive, function(from, to, how, given)
      how.base = given.base or open.pack_base
      return core.decompress(from, to, how)
   end, { base = "string" })
end

return pack
