--- Help at the prompt: `?` in general, `?st.lerp` and `?m.select` about one thing, `??word` for a search. The texts are
-- the comments beside the functions (doc.lua).
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local doc = require "stlua.doc"
local show = require "stlua.repl.show"
local text = require "stlua.text"

local help = {}

local GENERAL = [[
Type an expression to see its value, a statement to run it; several lines are fine. `st` is the module stlua.

  m = st.open("model.safetensors")      reads the header only
  m                                     what is in it: m:summary() tells more
  m["lm_head.weight"]                   shape, dtype and the corners of the values
  (0.5 * a + 0.5 * b):save("out.safetensors")

  value;           a semicolon silences         _  _1  _2        the last line's values
  Tab              completes names, methods, tensor names in m["..., files in other strings
  Ctrl-R           searches the history         Ctrl-C           interrupts; clears the line
  who()            your globals                 Ctrl-D           leaves

  ?st.lerp         help on one thing; also ?m.select of a value you have
  ??cast           searches all help texts]]

-- Joins and wraps paragraphs; indented lines stay as they are.
local function wrap(s, width, indent)
   local lines, line = {}, ""
   local function flush()
      if line ~= "" then lines[#lines + 1] = indent .. line end
      line = ""
   end
   for raw in (s .. "\n"):gmatch("(.-)\n") do
      if raw == "" or raw:find("^%s%s") then
         flush()
         lines[#lines + 1] = raw ~= "" and indent .. raw or ""
      else
         for word in raw:gmatch("%S+") do
            if #line + #word + 1 > width - #indent then flush() end
            line = line == "" and word or line .. " " .. word
         end
      end
   end
   flush()
   return table.concat(lines, "\n")
end

local WIDTH = 96

--- The help text of an entry, as shown at the prompt.
-- @tparam string name public name
-- @tparam table entry its comment
-- @treturn string
function help.text(name, entry)
   local lines = { doc.signature(name, entry), wrap(entry.text, WIDTH, "  ") }
   for _, p in ipairs(doc.described(entry)) do
      local default = p.default and " (default " .. p.default .. ")" or ""
      if p.text ~= "" or p.type ~= "any" then
         local kind = p.type ~= "any" and p.type .. (p.text ~= "" and ". " or "") or ""
         lines[#lines + 1] = wrap(("%s: %s%s%s"):format(p.name, kind, p.text, default), WIDTH, "    ")
      end
   end
   for _, r in ipairs(entry.returns) do
      lines[#lines + 1] = wrap(("gives %s"):format(((r.type ~= "any" and r.type .. " " or "") .. r.text)
         :gsub("%s+$", "")), WIDTH, "    ")
   end
   if entry.raise then lines[#lines + 1] = wrap("errors: " .. entry.raise.text, WIDTH, "    ") end
   if entry.torch then lines[#lines + 1] = wrap("in PyTorch: " .. entry.torch.text, WIDTH, "    ") end
   if entry.example then lines[#lines + 1] = "\n    " .. entry.example:gsub("\n", "\n    ") end
   return table.concat(lines, "\n")
end

local TYPE_OF = { [core.tensor_meta] = "Tensor:", [core.model_meta] = "Model:" }

-- Looks a dotted name up among the user's values, raw: what it is, and for tensors and models their kind of method.
local function value_of(path, env)
   local value, kind = nil, nil
   for key in path:gmatch("[^%.:]+") do
      if value == nil then
         value = rawget(env, key)
         if value == nil then value = rawget(_G, key) end
      elseif type(value) == "table" then
         value = rawget(value, key)
      else
         return nil, kind and kind .. key
      end
      if value == nil then return nil end
      kind = TYPE_OF[debug.getmetatable(value)]
   end
   return value, kind and kind:sub(1, -2)
end

-- All public things whose last part is that name.
local function by_last_part(name)
   local found = {}
   for _, item in ipairs(doc.catalogue()) do
      if item.entry and item.name:match("[^%.:]+$"):lower() == name:lower() then found[#found + 1] = item end
   end
   return found
end

local function texts_of(items)
   local parts = {}
   for i, item in ipairs(items) do parts[i] = help.text(item.name, item.entry) end
   return table.concat(parts, "\n\n")
end

local function listing(items)
   local rows = {}
   for i, item in ipairs(items) do
      local summary = item.entry.summary
      if #summary > 76 then summary = summary:sub(1, 73):gsub("[\128-\191]*$", "") .. "..." end
      rows[i] = { doc.signature(item.name, item.entry), summary }
   end
   return text.columns(rows, {})
end

-- Methods of a type, or members of st.
local function members(prefix)
   local found = {}
   for _, item in ipairs(doc.catalogue()) do
      if item.entry and item.name:sub(1, #prefix) == prefix then found[#found + 1] = item end
   end
   return found
end

local function nothing_about(name)
   local names = {}
   for _, item in ipairs(doc.catalogue()) do names[#names + 1] = item.name end
   return ("no help on %s%s (??%s searches the texts)"):format(text.quote(name), text.did_you_mean(name, names),
      name:match("[%w_]+$") or "word")
end

-- Help on one thing: a public name in any of its spellings, or a value of the user's.
local function about(name, env)
   local list = doc.catalogue()
   local item = list[name] or list[(name:gsub("^(%u%w*)%.", "%1:"))] or list["st." .. name]
   if item and item.entry then return help.text(item.name, item.entry) end
   for _, type_name in ipairs { "Tensor", "Model", "st" } do
      if name:lower() == type_name:lower() then
         return listing(members(type_name == "st" and "st." or type_name .. ":"))
      end
   end
   local value, kind = value_of(name, env)
   if kind and list[kind] and list[kind].entry then return help.text(kind, list[kind].entry) end
   if kind == "Tensor" or kind == "Model" then return show.line(value) .. "\n\n" .. listing(members(kind .. ":")) end
   for _, one in ipairs(type(value) == "function" and list or {}) do
      if one.value == value and one.entry then return help.text(one.name, one.entry) end
   end
   local own = type(value) == "function" and doc.of(value)
   if own then return help.text(name, own) end
   local found = by_last_part(name)
   if #found > 0 then return texts_of(found) end
   return nothing_about(name)
end

local function search(word)
   local found, low = {}, word:lower()
   for _, item in ipairs(doc.catalogue()) do
      local entry = item.entry
      if entry then
         local all = { item.name, entry.text, entry.torch and entry.torch.text or "" }
         for _, p in ipairs(entry.params) do all[#all + 1] = p.name .. " " .. p.text end
         if table.concat(all, "\n"):lower():find(low, 1, true) then found[#found + 1] = item end
      end
   end
   if #found == 0 then return ("nothing in the help texts has %s in it"):format(text.quote(word)) end
   return listing(found)
end

--- Answers a line that begins with a question mark.
-- @tparam string question
-- @tparam table env the user's names
-- @treturn string
function help.answer(question, env)
   local word = question:match("^%?%?%s*(.-)%s*$")
   if word then return word == "" and listing(members("")) or search(word) end
   local name = question:gsub("%(.*$", ""):match("^%?%s*(.-)[%s;%)]*$")      -- of a call, the function
   return name == "" and GENERAL or about(name, env)
end

return help
