--- Files compressed with zstd and restored as they are: st.compress, st.decompress; and what a name tells about it.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local text = require "stlua.text"

local compressed = {}

-- What `compress` of a save may be.
local WAYS = { "zstd", "none" }

compressed.ways = WAYS

--- How a save compresses: what was asked for, else what the name of a file says.
-- @tparam ?string way
-- @tparam string path
-- @tparam boolean folder whether shards are written, whose names follow
-- @tparam string who for messages
-- @treturn ?string "zstd" or nil
function compressed.way(way, path, folder, who)
   local named = path:find("%.zst$") ~= nil
   local known = way == nil
   for _, name in ipairs(WAYS) do known = known or way == name end
   if not known then
      errors.throwf("arg", '%s: compress = %s is not known: it may be "%s"', who, text.quote(way),
         table.concat(WAYS, '" or "'))
   end
   if folder then return way == "zstd" and "zstd" or nil end
   if way == "none" and named then
      errors.throwf("arg", "%s: a name that ends in .zst is for what is compressed", core.escape(path))
   elseif way == "zstd" and not named then
      errors.throwf("arg", "%s: let the name of a compressed file end in .zst: no other program takes it for "
         .. "safetensors", core.escape(path))
   end
   return named and "zstd" or nil
end

--- Whether two paths are names of one file that is there.
function compressed.same_file(a, b)
   local here, there = core.stat(a), core.stat(b)
   return here ~= nil and there ~= nil and here.id == there.id
end

local OPTIONS = { output = "string", sync = "boolean", replace = "boolean" }

--- What all ways to rewrite a file share: the target, which is never the file itself.
-- @tparam string path
-- @tparam ?table opts output, sync, replace and what `more` names
-- @tparam string who for messages
-- @tparam function derive path -> the output where none is given
-- @tparam function run (path, output, { sync =, replace = }, opts) -> result
-- @tparam[opt] {string=string,...} more further options and their types
-- @tparam[opt] function reads (path, opts) -> paths of further files that the result hangs on
-- @treturn string output
-- @return the result
function compressed.convert(path, opts, who, derive, run, more, reads)
   if type(path) ~= "string" or path == "" then errors.throwf("arg", "%s: expected the name of a file", who) end
   local known = {}
   for name, kind in pairs(OPTIONS) do known[name] = kind end
   for name, kind in pairs(more or {}) do known[name] = kind end
   opts = errors.check_options(opts, known, who)
   local to = opts.output or derive(path)
   if compressed.same_file(path, to) then
      errors.throwf("arg", "%s: %s would be replaced by itself; give another output", who, core.escape(path))
   end
   for _, base in ipairs(reads and reads(path, opts) or {}) do
      if compressed.same_file(base, to) then
         errors.throwf("arg", "%s: %s is the base, without which nothing can be read; give another output", who,
            core.escape(to))
      end
   end
   local replace = opts.replace
   if replace == nil then replace = opts.output ~= nil end
   return to, run(path, to, { sync = opts.sync, replace = replace }, opts)
end

--- Writes a safetensors file compressed with zstd, to be read as it is by every function and command, any tensor by
-- itself; `zstd -d` restores it. The header, its padding and the order of tensors stay as they are. The file stays.
--
--     > to, bytes = st.compress("a.safetensors", { output = "small.safetensors.zst" })
--     > to
--     small.safetensors.zst
--     > st.open(to):files()[1].size == st.open("a.safetensors"):files()[1].size
--     true
-- @tparam string path
-- @tparam[opt] table opts `output` = the file to write (the same name with .zst, which may not be there yet);
--   `sync`, `replace` as of m:save
-- @treturn string the file that was written
-- @treturn integer its bytes
-- @raise as m:save; "arg" for a file that is compressed already
function compressed.compress(path, opts)
   local function derive(name) return name .. ".zst" end
   return compressed.convert(path, opts, "st.compress", derive, function(from, to, how)
      compressed.way("zstd", to, false, "st.compress")
      return core.compress(from, to, how)
   end)
end

--- Restores the file that was compressed, byte for byte. Files that `zstd` made will do, too.
--
--     > to = st.decompress("small.safetensors.zst", { output = "back.safetensors" })
--     > st.open(to):file_sha256(1) == st.open("a.safetensors"):file_sha256(1)
--     true
-- @tparam string path
-- @tparam[opt] table opts as of st.compress; without `output` the same name without .zst
-- @treturn string the file that was written
-- @treturn integer its bytes
-- @raise as m:save; "format" for a damaged file, of which nothing is written; "arg" for one that is not compressed
function compressed.decompress(path, opts)
   local function derive(name)
      local plain = name:match("^(.*[^/])%.zst$")
      if not plain then
         errors.throwf("arg", "st.decompress: %s: its name does not end in .zst; give an output", core.escape(name))
      end
      return plain
   end
   return compressed.convert(path, opts, "st.decompress", derive, function(from, to, how)
      compressed.way("none", to, false, "st.decompress")
      return core.decompress(from, to, how)
   end)
end

return compressed
