--- Patterns on tensor names. Plain text matches anywhere in the name; with `*` (any text, dots too) or `?` (one
-- character) the pattern must match the whole name; a backslash makes the next character plain.
-- Layer: Lua, knows nothing of tensors.

local errors = require "stlua.errors"
local text = require "stlua.text"

local pattern = {}

local TOLD = 5     -- patterns that matched nothing: the nearest names are looked for among all

-- Cuts a glob at its stars: each segment is a list of Lua pattern items of one character each.
local function segments(glob)
   local segs, seg, plain, wild = {}, {}, {}, false
   local i = 1
   while i <= #glob do
      local c = glob:sub(i, i)
      if c == "\\" and i < #glob then
         i = i + 1
         c = glob:sub(i, i)
         seg[#seg + 1] = c:gsub("%W", "%%%0")
         plain[#plain + 1] = c
      elseif c == "*" then
         wild = true
         segs[#segs + 1], seg = table.concat(seg), {}
      elseif c == "?" then
         wild = true
         seg[#seg + 1] = utf8.charpattern
      else
         seg[#seg + 1] = c:gsub("[^%w\128-\255]", "%%%0")
         plain[#plain + 1] = c
      end
      i = i + 1
   end
   segs[#segs + 1] = table.concat(seg)
   return segs, not wild and table.concat(plain) or nil
end

-- Matches a glob's segments from left to right, each at its first place, the last at the end: linear in practice,
-- where one Lua pattern with many `.*` would not be. Returns the texts of the stars, or nil.
local function match(segs, name)
   local n = #segs
   if n == 1 then
      return name:find("^" .. segs[1] .. "$") and {} or nil
   end
   local _, stop = name:find("^" .. segs[1])
   if not stop then return nil end
   local stars, from = {}, stop + 1
   for i = 2, n - 1 do
      local first, last = name:find(segs[i], from)
      if not first then return nil end
      stars[i - 1] = name:sub(from, first - 1)
      from = last + 1
   end
   local last = name:find(segs[n] .. "$", from)
   if not last then return nil end
   stars[n - 1] = name:sub(from, last - 1)
   return stars
end

--- Compiles one pattern.
-- @tparam string glob
-- @treturn function name -> list of the texts that the stars matched, or nil
function pattern.compile(glob)
   if type(glob) ~= "string" then errors.throwf("arg", "a pattern must be a string, not a %s", type(glob)) end
   if glob == "" then errors.throw("arg", "a pattern may not be empty (\"*\" matches every name)") end
   local segs, plain = segments(glob)
   if plain then
      return function(name) return name:find(plain, 1, true) and {} or nil end
   end
   return function(name) return match(segs, name) end
end

--- Compiles a pattern, a list of patterns or a function into one test: true where any matches.
-- @tparam string|table|function what
-- @treturn function name -> boolean
-- @treturn function () -> list of the patterns that have matched nothing so far
function pattern.any(what)
   if type(what) == "function" then
      return function(name) return not not what(name) end, function() return {} end
   end
   local list = type(what) == "table" and what or { what }
   local tests, used = {}, {}
   for i, glob in ipairs(list) do tests[i] = pattern.compile(glob) end
   local function test(name)
      local hit = false
      for i, one in ipairs(tests) do
         -- Every pattern is tried, so that `unused` tells the truth about each.
         if not (hit and used[i]) and one(name) then hit, used[i] = true, true end
      end
      return hit
   end
   local function unused()
      local out = {}
      for i, glob in ipairs(list) do
         if not used[i] then out[#out + 1] = glob end
      end
      return out
   end
   return test, unused
end

--- Refuses patterns that matched nothing: where they say what to take, they are misspelt.
-- @tparam function unused as any gives it; or what it would give
-- @tparam string who names the function, or function and option, in the message
-- @tparam {model,...} models in which the names were looked for
-- @tparam[opt] string|function label what the names are of, or a function that tells it where it is needed
-- @raise "name", with the first few of them, and the nearest names
function pattern.check_used(unused, who, models, label)
   local misses = type(unused) == "table" and unused or unused()
   if #misses == 0 then return end
   local names, lines, seen = {}, {}, {}
   for _, m in ipairs(models) do
      for i = 1, m:count() do
         local name = m:name(i)
         if not seen[name] then names[#names + 1], seen[name] = name, true end
      end
   end
   if type(label) == "function" then label = label() end
   local parts, of = text.parts(names), label and " of " .. label or ""
   for i = 1, math.min(#misses, TOLD) do
      local glob = misses[i]
      local hint = text.did_you_mean(glob, names)
      if hint == "" then hint = text.did_you_mean(glob, parts) end
      lines[i] = ("%s: no tensor%s matches %s%s"):format(who, of, text.quote(glob), hint)
   end
   if #misses > TOLD then lines[#lines + 1] = ("  ... nor %d more patterns"):format(#misses - TOLD) end
   errors.throw("name", table.concat(lines, "\n"))
end

--- The same as any, where nothing means all names.
-- @tparam ?string|table|function what
function pattern.only(what)
   if what then return pattern.any(what) end
   return function() return true end, function() return {} end
end

--- The test of what is to be left alone in a model; each pattern must match one of its names.
-- @tparam ?string|table|function what
-- @tparam string who as of check_used
-- @tparam model model
-- @tparam[opt] string|function label as of check_used
-- @treturn function name -> boolean
-- @raise "name"
function pattern.except(what, who, model, label)
   if not what then return function() return false end end
   local test, unused = pattern.any(what)
   if type(what) ~= "function" then
      for i = 1, model:count() do test(model:name(i)) end
   end
   pattern.check_used(unused, who, { model }, label)
   return test
end

--- Compiles a renaming: the stars of `to` take, in order, what the stars of `from` matched; a plain `from` is
-- replaced wherever it stands in a name.
-- @tparam string from
-- @tparam string to
-- @treturn function name -> new name, or nil where `from` does not match
function pattern.renamer(from, to)
   local find = pattern.compile(from)
   local segs, plain = segments(from)
   local parts, literal = segments(to)
   local holes = #parts - 1
   if holes > #segs - 1 or (not literal and to:gsub("\\.", ""):find("?", 1, true)) then
      errors.throwf("arg", "cannot rename %s to %s: the new name may have the old one's `*` and no other",
         text.quote(from), text.quote(to))
   end
   if plain then
      return function(name)
         if not find(name) then return nil end
         local out, at = {}, 1
         while true do
            local first, last = name:find(plain, at, true)
            if not first then break end
            out[#out + 1] = name:sub(at, first - 1) .. literal
            at = last + 1
         end
         return table.concat(out) .. name:sub(at)
      end
   end
   for i, part in ipairs(parts) do parts[i] = part:gsub("%%(.)", "%1") end
   return function(name)
      local stars = find(name)
      if not stars then return nil end
      local out = { parts[1] }
      for i = 1, holes do out[#out + 1] = stars[i] .. parts[i + 1] end
      return table.concat(out)
   end
end

return pattern
