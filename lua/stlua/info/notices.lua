--- What is wrong, or odd, about a file: one line each.
-- Layer: Lua, above stlua.core. Reads the last 64 KiB of files and small tensors.

local core = require "stlua.core"
local errors = require "stlua.errors"
local text = require "stlua.text"

local notices = {}

local TAIL, HEAD = 65536, 1024
local LONG = 65536                -- bytes of a metadata value from which on it is odd
local EXPECTED = { ["modelspec.thumbnail"] = true, ssmd_cover_images = true, ss_tag_frequency = true, workflow = true,
   prompt = true, _quantization_metadata = true }

-- ---------------------------------------------------------------- files that are two things at once

-- A zip reader looks for this from the end of a file: a record that reaches exactly there.
local function zip_end(tail)
   local at = 0
   while true do
      at = tail:find("PK\5\6", at + 1, true)
      if not at then return false end
      local length = #tail >= at + 21 and ("<I2"):unpack(tail, at + 20)
      if length and at + 21 + length == #tail then return true end
   end
end

-- Opcodes of a pickle that take in the bytes of a length that is no text.
local function is_pickle(head)
   local protocol = head:byte(2) or 0
   return head:byte(1) == 0x80 and protocol >= 2 and protocol <= 5 and head:find("^[cBCXTUGIJKLMNS(%]})\x8a-\x97]",
      3) ~= nil
end

local function polyglot(path)
   local file = io.open(path, "rb")
   if not file then return nil end
   local head = file:read(HEAD) or ""
   local size = file:seek("end") or 0
   file:seek("set", math.max(0, size - TAIL))
   local tail = file:read(TAIL) or ""
   file:close()
   if zip_end(tail) then return "it ends as a zip archive does: programs that unpack files see another one in it" end
   if head:find("%PDF-", 9, true) then return "it begins as a PDF document does, for programs that look for one" end
   if is_pickle(head) then return "its first bytes are those of a Python pickle: do not give it to torch.load" end
end

-- ---------------------------------------------------------------- values

-- Where position_ids lie behind a text encoder's prefix.
local IDS = { "text_model.embeddings.position_ids", "embeddings.position_ids" }

local function broken_at(t)
   local n = t:numel()
   if n > 4096 then return nil end
   local ok, list = pcall(t.values, t, 1, n)
   if not ok then
      if not errors.is(list) then error(list, 0) end
      return nil
   end
   for i, v in ipairs(list) do
      if v ~= i - 1 then return i - 1, v end
   end
end

local function positions(model, parts, warn)
   for _, part in ipairs(parts) do
      for _, name in ipairs(IDS) do
         local at = model:find(part.prefix .. name)
         if at then
            local t = model:tensor(at)
            local place, value = broken_at(t)
            local shown = text.quote(part.prefix .. name)
            if place then
               warn("%s is broken: %s stands for %d: a merge has averaged it, or a cast rounded it", shown,
                  text.number(value), place)
            elseif t:dtype() ~= "I64" then
               warn("%s is %s, not I64", shown, t:dtype())
            end
         end
      end
   end
end

-- ---------------------------------------------------------------- metadata

local function of_metadata(metadata, keys, warn)
   if #keys == 0 or #keys == 1 and metadata.format then return end
   for key, value in pairs(metadata) do
      if #value > LONG and not EXPECTED[key] then
         warn("the metadata value of %s has %s", text.quote(key), core.size(#value))
      end
   end
   local found = require("stlua.meta.private").find(metadata)
   if #found > 0 then
      warn("private things in the metadata: %s; `stlua meta --strip-private` takes them out",
         text.some(found, 3, function(entry)
            return ("%s (%s)"):format(core.escape(entry.key, 60), core.escape(entry.why, 100))
         end))
   end
end

-- Each gets the subject (info/init.lua) and warn(format, ...).
notices.list = {
   function(subject, warn)
      if subject.missing then warn("%s", require("stlua.info.incomplete").told(subject.missing)) end
   end,
   function(subject, warn)
      for _, file in ipairs(subject.files) do
         local what = file.format == "safetensors" and polyglot(file.path)
         if what then warn("%s: %s", core.escape(text.basename(file.path)), what) end
      end
   end,
   function(subject, warn)
      for _, file in ipairs(subject.files) do
         if file.cut then
            warn("%s ends where no compressed file does, it may be cut off: `stlua verify %s` tells",
               core.escape(text.basename(file.path)), core.escape(file.path))
         end
      end
   end,
   function(subject, warn) positions(subject.model, subject.parts, warn) end,
   function(subject, warn) of_metadata(subject.metadata, subject.keys, warn) end,
   function(subject, warn)
      for _, file in ipairs(subject.files) do
         if file.header_bytes > 25000000 then
            warn("a header of %s: programs that read models over a network refuse it", core.size(file.header_bytes))
         end
      end
   end,
   function(subject, warn)
      for _, part in ipairs(subject.parts) do
         if part.id == "clip-l-nai" then warn("the text encoder has old names (NAI): programs must rename them") end
      end
   end,
}

--- All warnings about a model.
-- @treturn {string,...} each made safe to print
function notices.of(subject)
   local out = core.array {}
   local function warn(format, ...) out[#out + 1] = format:format(...) end
   for _, notice in ipairs(notices.list) do notice(subject, warn) end
   return out
end

return notices
