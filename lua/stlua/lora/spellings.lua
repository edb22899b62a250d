--- Which tensors of a checkpoint the modules of an adapter are, by whatever name a program gives them. Names are never
-- taken apart: the table is built from the checkpoint's own, spelled in every way, dots and underscores being equal.
-- Layer: Lua, above stlua.core.
--
-- A place is a list of segments, each a module of the checkpoint or some of its rows:
--    { module =, weight = tensor's name, bias = its name, at =, count =, from = }
-- rows [at, at + count) of it (all without `at`) are rows [from, from + count) of the adapter's module; from 0. Of one
-- that is `turned` the checkpoint has the transpose.

local errors = require "stlua.errors"
local layouts = require "stlua.lora.layouts"
local text = require "stlua.text"

local spellings = {}
local Spellings = {}
Spellings.__index = Spellings

--- A name as it is compared: dots and underscores are equal.
function spellings.flat(name) return (name:gsub("%.", "_")) end

local flat = spellings.flat

-- ---------------------------------------------------------------- the checkpoint's modules

--- A tensor's module and "weight" or "bias": "a.b" and "weight" of "a.b.weight"; "attn.in_proj_weight" is a weight as
-- well, and the scale of a norm, and what has no such ending.
function spellings.split(name)
   for _, kind in ipairs { "weight", "bias" } do
      local module = name:match("^(.+)[._]" .. kind .. "$")
      if module then return module, kind end
   end
   return name:match("^(.+)%.scale$") or name, "weight"
end

local split = spellings.split

-- All modules below a prefix: list in the model's order, by path: { weight =, bias = }.
local function modules_of(model, prefix)
   local m = { list = {}, by_path = {} }
   for i = 1, model:count() do
      local name = model:name(i)
      if name:sub(1, #prefix) == prefix then
         local path, kind = split(name:sub(#prefix + 1))
         if not m.by_path[path] then
            m.list[#m.list + 1] = path
            m.by_path[path] = {}
         end
         m.by_path[path][kind] = m.by_path[path][kind] or name
      end
   end
   function m.has(beginning)
      for _, path in ipairs(m.list) do
         if path:sub(1, #beginning) == beginning then return true end
      end
      return false
   end
   function m.count(beginning)
      local n = 0
      for _, path in ipairs(m.list) do
         local number = path:sub(1, #beginning) == beginning and path:match("^%d+", #beginning + 1)
         if number and #number < 4 then n = math.max(n, tonumber(number) + 1) end     -- no model has 1000
      end
      return n
   end
   return m
end

-- Whether the checkpoint has this part behind the prefix.
local function present(model, layout, prefix)
   local function has(path)
      return model:find(prefix .. path .. ".weight") or model:find(prefix .. path .. "_weight")
   end
   for _, path in ipairs(layout.has) do
      if not has(path) then return false end
   end
   return not (layout.lacks and has(layout.lacks))
end

local function find_parts(model)
   local parts, taken = {}, {}
   for _, layout in ipairs(layouts) do
      for _, prefix in ipairs(layout.prefixes) do
         local free = not taken[prefix] and (prefix ~= "" or #parts == 0)
         if free and (layout.last or present(model, layout, prefix)) then
            taken[prefix] = true
            parts[#parts + 1] = { layout = layout, prefix = prefix, modules = modules_of(model, prefix) }
         end
      end
   end
   return parts
end

-- ---------------------------------------------------------------- spellings

-- Rows of each part of a fused matrix: thirds; of four, three are as wide as the input.
local function sizes(model, entry, n)
   local shape = model:get(entry.weight or entry.bias):shape()
   if n == 3 then return { shape[1] // 3, shape[1] // 3, shape[1] // 3 } end
   local width = shape[2]
   return { width, width, width, shape[1] - 3 * width }
end

local function add(part, path, segments)
   local key, place = flat(path), { part = part, path = path, segments = segments }
   part.exact[path] = part.exact[path] or place
   if not part.index[key] then
      part.index[key] = place
      part.spelled[#part.spelled + 1] = path
   end
end

-- Paths of the checkpoint that differ in dots and underscores alone.
local function add_twins(part)
   part.twins = {}
   for _, path in ipairs(part.modules.list) do
      local first = part.index[flat(path)].path
      if first ~= path then part.twins[flat(path)] = { first, path } end
   end
end

local function segment(part, path, more)
   local entry = part.modules.by_path[path]
   local s = { module = part.prefix .. path, weight = entry.weight, bias = entry.bias }
   s.turned = part.layout.turned and part.layout.turned[path] and entry.weight == s.module or nil
   for k, v in pairs(more or {}) do s[k] = v end
   return s
end

local function halves_swapped(model, part, path)
   local entry = part.modules.by_path[path]
   local half = model:get(entry.weight or entry.bias):shape()[1] // 2
   return { segment(part, path, { at = 0, count = half, from = half }),
      segment(part, path, { at = half, count = half, from = 0 }) }
end

-- The checkpoint has the original: the other names are parts of its rows.
local function add_parts(model, part, row)
   local entry = part.modules.by_path[row[1]]
   if row.attention_rows then
      local width = model:get(entry.weight):shape()[2]
      return add(part, row[2], { segment(part, row[1], { at = 0, count = 3 * width, from = 0 }) })
   elseif #row == 2 then
      local place = row.halves_swapped and halves_swapped(model, part, row[1]) or { segment(part, row[1]) }
      return add(part, row[2], place)
   end
   local at = 0
   for i, count in ipairs(sizes(model, entry, #row - 1)) do
      add(part, row[i + 1], { segment(part, row[1], { at = at, count = count, from = 0 }) })
      at = at + count
   end
end

-- The checkpoint has the parts: the original is all of them, one behind the other.
local function add_whole(model, part, row)
   local by_path, segments, from = part.modules.by_path, {}, 0
   if row.halves_swapped then return add(part, row[1], halves_swapped(model, part, row[2])) end
   if #row == 2 then return add(part, row[1], { segment(part, row[2]) }) end
   for i = 2, #row do
      local entry = by_path[row[i]]
      local count = model:get(entry.weight or entry.bias):shape()[1]
      segments[i - 1] = segment(part, row[i], { at = 0, count = count, from = from })
      from = from + count
   end
   add(part, row[1], segments)
end

-- A third name, for an original that the checkpoint has by its second: XLabs'.
local function add_third(part, row)
   local place = part.index[flat(row[1])]
   if not place or #row ~= 2 then return end
   add(part, row[2], row.attention_rows and { table.unpack(place.segments, 1, 3) } or place.segments)
end

local function build(model, part)
   local by_path = part.modules.by_path
   part.index, part.exact, part.spelled = {}, {}, {}
   part.rows = part.layout.rows and part.layout.rows(part.modules) or {}
   for _, path in ipairs(part.modules.list) do add(part, path, { segment(part, path) }) end
   add_twins(part)
   for _, row in ipairs(part.rows) do
      local others = true
      for i = 2, #row do others = others and by_path[row[i]] ~= nil end
      if by_path[row[1]] then
         add_parts(model, part, row)
      elseif others and not row.attention_rows then
         add_whole(model, part, row)
      else
         add_third(part, row)
      end
   end
end

-- ---------------------------------------------------------------- asking

--- The names of a checkpoint.
-- @tparam model model
-- @treturn table with find, nearest, spell; parts = { { layout =, prefix = }, ... }
function spellings.of(model)
   local self = setmetatable({ model = model, parts = find_parts(model) }, Spellings)
   for _, part in ipairs(self.parts) do build(model, part) end
   return self
end

-- The place of a name behind its prefix: letter for letter, else whatever its dots and underscores.
local function place_of(part, module, size)
   local path = module:sub(size + 1)
   if part.exact[path] then return part.exact[path] end
   local twins = part.twins[flat(path)]
   if twins then
      errors.throwf("name", "%s may be %s or %s of the model: dots in its name would tell", text.quote(module),
         text.quote(part.prefix .. twins[1]), text.quote(part.prefix .. twins[2]))
   end
   return part.index[flat(path)]
end

-- The place of a module that is named as the checkpoint names it, which says that nothing is turned.
local function own_place(part, module)
   local place = module:sub(1, #part.prefix) == part.prefix and part.exact[module:sub(#part.prefix + 1)]
   if not place or not place.segments[1].turned then return place end
   local s = {}
   for k, v in pairs(place.segments[1]) do s[k] = k ~= "turned" and v or nil end
   return { part = part, path = place.path, segments = { s } }
end

--- The place of an adapter's module.
-- @tparam string module as the adapter spells it, without the suffix
-- @treturn ?table { part =, path =, segments = }
-- @raise "name" where two modules of the checkpoint have this name but for dots and underscores
function Spellings:find(module)
   local key = flat(module)
   for _, part in ipairs(self.parts) do
      local own = own_place(part, module)
      if own then return own end
   end
   for _, part in ipairs(self.parts) do
      for _, prefix in ipairs(part.layout.read) do
         local p = flat(prefix)
         if key:sub(1, #p) == p then
            local place = place_of(part, module, #p)
            if place then return place end
         end
      end
   end
   return nil
end

--- The place of a module as adapter.of gives it, by the name that is written, else the usual one.
function Spellings:place(m) return m.written and self:find(m.written) or self:find(m.name) end

--- The spelling nearest to a name that is not there, with the same beginning; nil where none is near.
function Spellings:nearest(module)
   for _, part in ipairs(self.parts) do
      for _, prefix in ipairs(part.layout.read) do
         if module:sub(1, #prefix) == prefix then
            local rest, all = module:sub(#prefix + 1), {}
            local dotted = rest:find(".", 1, true)
            for i, path in ipairs(part.spelled) do all[i] = dotted and path or flat(path) end
            local near = text.nearest(rest, all, 1)[1]
            if near then return prefix .. near end
            break
         end
      end
   end
   return nil
end

local MOST = 1000     -- lines of one message
local SEARCHED = 200  -- names that near ones are looked for, which takes time

--- Lines of a message about names that lead nowhere.
-- @tparam ?table names as spellings.of gives them
-- @tparam {table,...} list { name =, label = the adapter's or nil, near = whether to look for a near one, why = }
-- @treturn string
function spellings.lost(names, list)
   local lines = {}
   for i, lost in ipairs(list) do
      if i > MOST then break end
      local near = names and lost.near and i <= SEARCHED and names:nearest(lost.name) or nil
      lines[i] = ("  %s%s%s%s"):format(lost.label and lost.label .. ": " or "", text.quote(lost.name), lost.why or "",
         near and "; near: " .. text.quote(near) or "")
   end
   if #list > MOST then lines[#lines + 1] = ("  ... and %d more"):format(#list - MOST) end
   return table.concat(lines, "\n")
end

-- A module's path in a style; nil where that has other matrices: whole ones in parts, parts in whole ones, halves in
-- the other order.
local function styled(part, path, style)
   for _, row in ipairs(part.rows) do
      local same = #row == 2 and not row.halves_swapped
      if style == "diffusers" and row[1] == path then return same and row[2] or nil end
      for i = 2, style == "original" and not row.attention_rows and #row or 1 do
         if row[i] == path then return same and row[1] or nil end
      end
   end
   return path
end

--- What stands before a module's name in a format, and the style of the name behind it; nil where there is none. The
-- encoders have numbers where there are several; PEFT knows single models, and the diffusers' names of those.
function Spellings:prefix(part, format)
   local layout = part.layout
   local own = layout[format]
   if format == "peft" and not own and layout.part == "unet" then return "base_model.model.", layout.diffusers[2] end
   if not own then return nil end
   local encoders = 0
   for _, p in ipairs(self.parts) do encoders = encoders + (p.layout.part:find("^te") and 1 or 0) end
   if format == "kohya" and encoders > 1 then return layout.kohya_of_several or own[1], own[2] end
   if format == "diffusers" and layout.part == "te3" and encoders < 3 then      -- of Flux, of Chroma
      return encoders == 2 and "text_encoder_2." or "text_encoder.", own[2]
   end
   return own[1], own[2]
end

--- How many rows each part of a fused matrix has, which one style has whole and the other in parts.
-- @tparam table part
-- @tparam table row of part.rows
-- @treturn {integer,...}
function Spellings:part_rows(part, row)
   local by_path = part.modules.by_path
   if by_path[row[1]] then return sizes(self.model, by_path[row[1]], #row - 1) end
   local out = {}
   for i = 2, #row do
      local entry = by_path[row[i]]
      out[i - 1] = self.model:get(entry.weight or entry.bias):shape()[1]
   end
   return out
end

-- The part that a tensor is of, its module's path there, prefix and style of a format; nil where it has no names.
local function spelling(self, tensor, format, final)
   for _, part in ipairs(self.parts) do
      if tensor:sub(1, #part.prefix) == part.prefix then
         local path = split(tensor:sub(#part.prefix + 1))
         local prefix, style = self:prefix(part, format)
         if not part.modules.by_path[path] or not prefix or final and not self:prefix(part, final) then return nil end
         return part, path, prefix, style
      end
   end
end

local function written(format, prefix, path) return format == "kohya" and prefix .. flat(path) or prefix .. path end

--- The name that a format has for a module of the checkpoint, nil where it has none: convert makes it of another
-- format's, where that one has other matrices.
-- @tparam string tensor a weight's name
-- @tparam string format "kohya", "diffusers" or "peft"
-- @tparam[opt] string final a format that must have names for this part of the checkpoint, too
-- @treturn ?string
function Spellings:spell(tensor, format, final)
   local part, path, prefix, style = spelling(self, tensor, format, final)
   path = part and styled(part, path, style)
   return path and written(format, prefix, path) or nil
end

--- The names that a format has for the parts of a matrix that the checkpoint has whole.
-- @tparam string tensor
-- @tparam string format
-- @tparam[opt] string final as of spell
-- @treturn ?{table,...} { module = name, own = path in that style, at = row, count = rows }; nil where there are none
function Spellings:spell_parts(tensor, format, final)
   local part, path, prefix, style = spelling(self, tensor, format, final)
   for _, row in ipairs(style == "diffusers" and part.rows or {}) do
      if row[1] == path and #row > 2 then
         local out, at = {}, 0
         for i, count in ipairs(self:part_rows(part, row)) do
            out[i] = { module = written(format, prefix, row[i + 1]), own = part.prefix .. row[i + 1], at = at,
               count = count }
            at = at + count
         end
         return out
      end
   end
   return nil
end

--- The format that programs expect for adapters of this checkpoint: "peft" for language models, else "kohya".
function Spellings:default_format()
   return self.parts[1] and self.parts[1].layout.peft and "peft" or "kohya"
end

return spellings
