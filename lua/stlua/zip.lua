--- As much of the zip format as .npz files need: stored entries, no compression, below 4 GiB.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"

local zip = {}

local LOCAL, CENTRAL, END = "PK\3\4", "PK\1\2", "PK\5\6"
local END_MIN, END_MAX = 22, 22 + 65535
local PIECE = 1 << 20
local LIMIT = 0xffffffff

local function bad(path, format, ...)
   local shown = core.escape(path)
   errors.throw("format", ("%s: broken zip archive: %s"):format(shown, format:format(...)), { file = shown })
end

local function read_at(file, path, at, n)
   file:seek("set", at)
   local s = n > 0 and file:read(n) or ""
   if not s or #s ~= n then bad(path, "it ends too early") end
   return s
end

-- Where the last record says that the directory lies: its offset, its size, how many entries.
local function find_directory(file, size, path)
   local n = math.min(size, END_MAX)
   if n < END_MIN then bad(path, "it is too short") end
   local tail = read_at(file, path, size - n, n)
   for i = n - END_MIN + 1, 1, -1 do
      if tail:sub(i, i + 3) == END then
         local count, bytes, at = string.unpack("<I2I4I4", tail, i + 10)
         if count == 0xffff or bytes == LIMIT or at == LIMIT then
            errors.throwf("limit", "%s: archives of zip64 are not read", core.escape(path))
         elseif at + bytes > size - n + i - 1 then
            bad(path, "its directory is said to lie at %d to %d", at, at + bytes)
         end
         return at, bytes, count
      end
   end
   bad(path, "it has no directory")
end

-- Where an entry's bytes begin: behind its local header, whose name and extra field may differ from the directory's.
local function data_start(file, path, at, name)
   local head = read_at(file, path, at, 30)
   if head:sub(1, 4) ~= LOCAL then bad(path, "no entry where %s is said to be", core.escape(name)) end
   local names, extra = string.unpack("<I2I2", head, 27)
   return at + 30 + names + extra
end

--- The entries of an archive: { name, at, size, crc }, each checked to lie inside the file.
-- @raise "format"; "limit" for compressed or encrypted entries
function zip.entries(file, size, path)
   local at, bytes, count = find_directory(file, size, path)
   local directory, list, pos = read_at(file, path, at, bytes), {}, 1
   for i = 1, count do
      if pos + 45 > #directory or directory:sub(pos, pos + 3) ~= CENTRAL then bad(path, "entry %d is missing", i) end
      local flags, method, _, crc, packed, full, names, extra, comment, _, _, _, start =
         string.unpack("<I2I2I4I4I4I4I2I2I2I2I2I4I4", directory, pos + 8)
      local name = directory:sub(pos + 46, pos + 45 + names)
      if #name ~= names then bad(path, "entry %d is cut", i) end
      pos = pos + 46 + names + extra + comment
      if method ~= 0 or flags & 1 ~= 0 then
         errors.throwf("limit", "%s: %s is compressed or encrypted; save it with numpy.savez", core.escape(path),
            core.escape(name))
      elseif packed ~= full or start + 30 > size then
         bad(path, "%s has sizes that do not fit", core.escape(name))
      end
      local first = data_start(file, path, start, name)
      if first + full > at then bad(path, "%s ends behind the entries", core.escape(name)) end
      list[i] = { name = name, at = first, size = full, crc = crc }
   end
   return list
end

--- Holds an entry's bytes against their checksum.
-- @raise "format"
function zip.check(file, entry, path)
   local crc, left = 0, entry.size
   file:seek("set", entry.at)
   while left > 0 do
      local s = file:read(math.min(left, PIECE))
      if not s then bad(path, "%s ends too early", core.escape(entry.name)) end
      crc, left = core.crc32(s, crc), left - #s
   end
   if crc ~= entry.crc then bad(path, "the checksum of %s is wrong", core.escape(entry.name)) end
end

-- Time and date 1980-01-01, so that the same tensors give the same bytes.
local STAMP = 0x00210000

--- Writes an archive: `list` of { name, value }; body(value, out) calls out with the pieces of an entry. It is asked
-- twice: the checksum stands before the bytes.
function zip.write(list, path, write, body)
   local directory, at = {}, 0
   local function put(s)
      write(s)
      at = at + #s
      if at > LIMIT then errors.throwf("limit", "%s: an archive beyond 4 GiB", core.escape(path)) end
   end
   for i, entry in ipairs(list) do
      local name, crc, size = entry[1] .. ".npy", 0, 0
      body(entry[2], function(s) crc, size = core.crc32(s, crc), size + #s end)
      if size > LIMIT or #name > 0xffff then
         errors.throwf("limit", "%s: an entry beyond 4 GiB", core.escape(path))
      end
      local about = string.pack("<I2I2I2I4I4I4I4I2I2", 20, 0x800, 0, STAMP, crc, size, size, #name, 0)
      directory[i] = CENTRAL .. string.pack("<I2", 20) .. about .. string.pack("<I2I2I2I4I4", 0, 0, 0, 0, at) .. name
      put(LOCAL .. about .. name)
      body(entry[2], put)
   end
   local first, all = at, table.concat(directory)
   if #list >= 0xffff then errors.throwf("limit", "%s: more than 65,534 entries", core.escape(path)) end
   put(all)
   put(END .. string.pack("<I2I2I2I2I4I4I2", 0, 0, #list, #list, #all, first, 0))
end

return zip
