--- st.hash: the hashes by which programs and sites know a model's file.
-- Layer: Lua, above stlua.core.

local cache = require "stlua.hash.cache"
local core = require "stlua.core"
local errors = require "stlua.errors"

local hash = {}

-- Known names, in the order in which they are shown: name, field of the core's answer, digits that are kept, what it
-- is.
hash.kinds = {
   { "autov1", "autov1", 8, "64 KiB of the file, by old versions of A1111" },
   { "autov2", "sha256", 10, "beginning of sha256, what A1111 shows and images name" },
   { "autov3", "data_sha256", 12, "beginning of the data's sha256, which metadata do not change" },
   { "sha256", "sha256", 64, "the whole file" },
   { "sshs_model_hash", "sshs_model", 64, "the data in the reference library's order, by sd-scripts" },
   { "sshs_legacy_hash", "sshs_legacy", 8, "AutoV1 of the file as training saved it, by sd-scripts" },
   { "data_sha256", "data_sha256", 64, "the data, modelspec.hash_sha256 less its 0x" },
}

-- Those for which the data need not be looked at apart.
hash.whole = { autov1 = true, autov2 = true, sha256 = true }

-- What is shown for what the core found.
local function named(found)
   local out = {}
   for _, kind in ipairs(hash.kinds) do
      local digits = found[kind[2]]
      out[kind[1]] = digits and digits:sub(1, kind[3])
   end
   return out
end

-- Fills `found` for the paths that are not in the cache.
local function compute(paths, found, use_cache, whole)
   local wanted, at, before = {}, {}, {}
   for i, path in ipairs(paths) do
      if not found[i] then
         wanted[#wanted + 1], at[#at + 1] = path, i
         before[#before + 1] = core.stat(path) or false
      end
   end
   if #wanted == 0 then return end
   for k, digits in ipairs(core.hash_files(wanted, whole)) do
      found[at[k]] = digits
      local after = core.stat(wanted[k])
      -- What changed meanwhile, or so lately that a later change may bear the same time, is not remembered.
      local settled = after and before[k] and after.identity == before[k].identity and after.mtime < os.time() - 2
      if use_cache and settled then cache.put(after.identity, digits) end
   end
end

--- The hashes of files, computed on all threads and remembered in the user's cache folder (by device, inode, size and
-- times).
--
--     > st.hash("a.safetensors").autov2 == st.hash("a.safetensors").sha256:sub(1, 10)
--     true
-- @tparam string|{string,...} what one path, or several
-- @tparam[opt] table opts `cache` = false neither looks there nor writes; `whole` = true with it gives only what
--   is of the whole file: autov1, autov2 and sha256, in half of the time
-- @treturn table autov1, autov2, autov3, sha256, sshs_model_hash, sshs_legacy_hash, data_sha256: what the file has,
--   those of the data only of safetensors files; of several paths, a list of such tables
-- @raise "io"; "changed" for a file that is written meanwhile
function hash.hash(what, opts)
   opts = errors.check_options(opts, { cache = "boolean", whole = "boolean" }, "st.hash")
   local paths = type(what) == "table" and what or { what }
   for i, path in ipairs(paths) do
      if type(path) ~= "string" or path == "" then
         errors.throwf("arg", "st.hash: path %d is %s", i, path == "" and "empty" or "a " .. type(path))
      end
   end
   local found, use_cache = {}, opts.cache ~= false
   for i, path in ipairs(paths) do
      local stat = use_cache and core.stat(path)
      found[i] = stat and stat.type == "file" and cache.get(stat.identity) or nil
   end
   compute(paths, found, use_cache, opts.whole and not use_cache)
   local out = {}
   for i = 1, #paths do out[i] = named(found[i]) end
   if type(what) == "table" then return out end
   return out[1]
end

return hash
