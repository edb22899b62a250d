--- The picture in a model's metadata: modelspec's thumbnail, a data URL.
-- Layer: Lua, above stlua.core.

local errors = require "stlua.errors"
local whole_file = require "stlua.whole_file"

local thumbnail = {}

local KEY = "modelspec.thumbnail"
local MOST = 16 * 1024 * 1024     -- bytes of a picture that goes into a header

-- How pictures begin, and what they are called.
local KINDS = {
   { "^\x89PNG\r\n\x1a\n", "png" }, { "^\xff\xd8\xff", "jpeg" }, { "^GIF8[79]a", "gif" }, { "^RIFF....WEBP", "webp" },
}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local VALUE = {}
for i = 1, 64 do VALUE[ALPHABET:byte(i)] = i - 1 end

--- @treturn string
function thumbnail.encode(bytes)
   local out, n = {}, 0
   for i = 1, #bytes, 3 do
      local a, b, c = bytes:byte(i, i + 2)
      local bits = a << 16 | (b or 0) << 8 | (c or 0)
      n = n + 1
      local s = ""
      for shift = 18, 0, -6 do
         local at = (bits >> shift & 63) + 1
         s = s .. ALPHABET:sub(at, at)
      end
      out[n] = c and s or s:sub(1, b and 3 or 2) .. (b and "=" or "==")
   end
   return table.concat(out)
end

--- Bytes of a base64 text; nil where it is none.
function thumbnail.decode(s)
   s = s:gsub("%s+", "")
   local body = s:match("^([%w+/]*)=?=?$")
   if not body or #body % 4 == 1 then return nil end
   local out, n = {}, 0
   for i = 1, #body, 4 do
      local a, b, c, d = body:byte(i, i + 3)
      local bits = VALUE[a] << 18 | VALUE[b] << 12 | (VALUE[c] or 0) << 6 | (VALUE[d] or 0)
      n = n + 1
      out[n] = (">I3"):pack(bits):sub(1, d and 3 or c and 2 or 1)
   end
   return table.concat(out)
end

--- The kind of picture that bytes are, or nil.
function thumbnail.kind(bytes)
   for _, kind in ipairs(KINDS) do
      if bytes:find(kind[1]) then return kind[2] end
   end
end

--- What metadata says of its picture, without decoding it.
-- @treturn ?table { kind =, bytes = about how many }; kind is nil where it is no data URL of a picture
function thumbnail.of(metadata)
   local url = metadata[KEY]
   if not url or url == "" then return nil end
   local kind, rest = url:match("^data:image/([%w.+-]+);base64,()")
   return { kind = kind, bytes = kind and (#url - rest + 1) * 3 // 4 or 0 }
end

--- The picture itself.
-- @treturn string bytes
-- @raise "name" where there is none, "format" where it is no picture
function thumbnail.extract(metadata, label)
   local url = metadata[KEY]
   if not url or url == "" then errors.throwf("name", "%s: no thumbnail (no %s in its metadata)", label, KEY) end
   local body = url:match("^data:image/[%w.+-]+;base64,(.*)$")
   local bytes = body and thumbnail.decode(body)
   if not bytes then errors.throwf("format", "%s: %s is no picture in base64", label, KEY) end
   if not thumbnail.kind(bytes) then
      errors.throwf("format", "%s: %s is no JPEG, PNG, WebP or GIF picture", label, KEY)
   end
   return bytes
end

--- A picture's file as the metadata value.
-- @raise "format" for what is no picture, "limit" for a large one
function thumbnail.read(path)
   local bytes = whole_file(path) or ""
   local kind = thumbnail.kind(bytes)
   if not kind then errors.throwf("format", "%s: no JPEG, PNG, WebP or GIF picture", path) end
   if #bytes > MOST then
      errors.throwf("limit", "%s: %d bytes, at most %d go into a header; 256 x 256 pixels are what is shown", path,
         #bytes,
         MOST)
   end
   return "data:image/" .. kind .. ";base64," .. thumbnail.encode(bytes)
end

thumbnail.key = KEY

return thumbnail
