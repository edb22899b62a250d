--- Hashes that were computed before: a small text in the user's cache folder, one line for each file.
-- Layer: Lua, above stlua.core. Touches $XDG_CACHE_HOME/stlua/hashes, or ~/.cache/stlua/hashes. Nothing that goes wrong
-- there is an error: the hashes are computed then.

local core = require "stlua.core"

local cache = {}

local MOST = 2 * 1024 * 1024      -- bytes of the file, beyond which the older half goes
local FIELDS = { "sha256", "data_sha256", "autov1", "sshs_model", "sshs_legacy" }
local DIGITS = { sha256 = 64, data_sha256 = 64, autov1 = 8, sshs_model = 64, sshs_legacy = 8 }

-- The folder, made where it is wanted.
local function folder(make)
   local base, home = os.getenv "XDG_CACHE_HOME", os.getenv "HOME"
   if not base or base:sub(1, 1) ~= "/" then
      if not home or home:sub(1, 1) ~= "/" then return nil end
      base = home .. "/.cache"
   end
   local path = base .. "/stlua"
   if make then
      pcall(core.mkdir, base)
      pcall(core.mkdir, path)
   end
   return path
end

--- Where it is, or nil.
function cache.path(make)
   local path = folder(make)
   return path and path .. "/hashes"
end

-- What a line has; nil for any other line.
local function parse(line)
   local words = {}
   for word in (line .. "\t"):gmatch("([^\t]*)\t") do words[#words + 1] = word end
   if #words ~= #FIELDS + 1 then return nil end
   local found = {}
   for i, field in ipairs(FIELDS) do
      local word = words[i + 1]
      if word ~= "-" then
         if #word ~= DIGITS[field] or word:find("[^0-9a-f]") then return nil end
         found[field] = word
      end
   end
   return found.sha256 and found.autov1 and found or nil
end

local all      -- the whole text, with a line's end before and behind; read once

local function read()
   all = "\n"
   local path = cache.path()
   local stat = path and core.stat(path)
   local file = stat and stat.type == "file" and stat.size <= 2 * MOST and io.open(path, "rb")
   if not file then return end
   all = "\n" .. (file:read("a") or "") .. "\n"
   file:close()
end

--- What is known of a file.
-- @tparam string identity as core.stat gives it
-- @treturn ?table as core.hash_files gives it
function cache.get(identity)
   if not all then read() end
   local last, from = nil, 1
   while true do      -- of several lines the last one counts
      local at = all:find("\n" .. identity .. "\t", from, true)
      if not at then break end
      last, from = at + 1, at + 1
   end
   return last and parse(all:match("[^\n]*", last))
end

-- The newer half of what is there, in a file that takes the place of the old one.
local function shorten(path)
   local file = io.open(path, "rb")
   if not file then return end
   file:seek("set", file:seek("end") // 2)
   file:read("l")
   local rest = file:read("a") or ""
   file:close()
   local new = ("%s.%d.tmp"):format(path, os.time())
   local out = io.open(new, "wb")
   if not out then return end
   local ok = out:write(rest)
   if not (out:close() and ok and os.rename(new, path)) then os.remove(new) end
end

--- Remembers what was found.
function cache.put(identity, found)
   local path = cache.path(true)
   local file = path and io.open(path, "ab")
   if not file then return end
   local words = { identity }
   for i, field in ipairs(FIELDS) do words[i + 1] = found[field] or "-" end
   file:setvbuf "full"      -- one write: lines of two processes do not mix
   local line = table.concat(words, "\t") .. "\n"
   file:write(line)
   if all then all = all .. line end
   local size = file:seek "end"
   file:close()
   if size and size > MOST then shorten(path) end
end

return cache
