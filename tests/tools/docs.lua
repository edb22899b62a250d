-- docs - writes what the comments beside the functions say as the reference manual (src/MANUAL.md) and as stubs for
-- editors (lua/stlua/types.d.lua); which part of the library has which names (lua/stlua/names.lua); and the manual page
-- of the program (src/cli/stlua.1, by manpage.lua).
--
--   ./stlua tests/tools/docs.lua [--check]      --check compares with the files that are there, and changes none
--
-- Fails, naming them, for public functions without a comment.

local core = require "stlua.core"
local doc = require "stlua.doc"
local library = require "stlua.parts"
local merging = require "stlua.merging"
local reserved = require("stlua.repl.show").reserved

local manual_page = dofile "tests/tools/manpage.lua"

local MANUAL, STUBS, NAMES_OF_PARTS = "src/MANUAL.md", "lua/stlua/types.d.lua", "lua/stlua/names.lua"
local MANUAL_PAGE = "src/cli/stlua.1"

local OPERATORS = {
   { "__add", "a + b", "add" }, { "__sub", "a - b", "sub" }, { "__mul", "a * b", "mul" }, { "__div", "a / b", "div" },
   { "__mod", "a % b", "mod" }, { "__pow", "a ^ b", "pow" }, { "__idiv", "a // b", "idiv" }, { "__unm", "-a", "unm" },
   { "__band", "a & b", "band" }, { "__bor", "a | b", "bor" }, { "__bxor", "a ~ b", "bxor" },
   { "__bnot", "~a", "bnot" }, { "__shl", "a << b", "shl" }, { "__shr", "a >> b", "shr" },
   { "__concat", "a .. b", "concat" }, { "__len", "#a", "len" },
}
local UNARY = { __unm = true, __bnot = true, __len = true }

local function documented(prefix, but)
   local found = {}
   for _, item in ipairs(doc.catalogue()) do
      if item.name:sub(1, #prefix) == prefix and not (but and item.name:sub(1, #but) == but) then
         found[#found + 1] = item
      end
   end
   return found
end

-- ---------------------------------------------------------------- manual

-- Text for a cell of a table, or a line of a list.
local function one_line(s) return (s:gsub("%s+", " "):gsub("|", "\\|")) end

local function add_entry(out, item)
   local entry = item.entry
   local function add(s) out[#out + 1] = s end
   add(("### `%s`\n\n%s\n"):format(doc.signature(item.name, entry), entry.text))
   for _, p in ipairs(doc.described(entry)) do
      local kind = p.type ~= "any" and (" (%s%s)"):format(p.type, p.optional and ", optional" or "") or ""
      local default = p.default and (" Default: `%s`."):format(p.default) or ""
      add(("- `%s`%s%s%s"):format(p.name:gsub(", ", "`, `"), kind, p.text ~= "" and ": " .. p.text or "", default))
   end
   for _, r in ipairs(entry.returns) do
      add(("- gives %s"):format(one_line((r.type ~= "any" and r.type .. " " or "") .. r.text)))
   end
   if entry.raise then add("- errors: " .. entry.raise.text) end
   if entry.torch then add(("- in PyTorch: `%s`"):format(entry.torch.text)) end
   if #entry.params + #entry.returns > 0 or entry.raise or entry.torch then add("") end
   if entry.example then add("```stlua-session\n" .. entry.example .. "\n```\n") end
end

-- Elementwise operations have a table of their own; methods that are functions, too, and those in place a list.
local function add_section(out, title, items)
   local twins, in_place = {}, {}
   out[#out + 1] = "## " .. title .. "\n"
   for _, item in ipairs(items) do
      local name = ("`%s`"):format(item.name:match("[%w_]+$"))
      if item.in_place then
         in_place[#in_place + 1] = name
      elseif item.twin then
         twins[#twins + 1] = name
      elseif not item.entry.elementwise then
         add_entry(out, item)
      end
   end
   if #twins > 0 then
      out[#out + 1] = "Functions of the module that are methods, too, `t:sum(2)` for `st.sum(t, 2)`:\n"
         .. table.concat(twins, " ") .. ".\n"
   end
   if #in_place > 0 then
      out[#out + 1] = "In place, for those above; the tensor itself changes and is the result:\n"
         .. table.concat(in_place, " ") .. ".\n"
   end
end

local function add_elementwise(out)
   out[#out + 1] = [[
## Elementwise operations

Functions of tensors, numbers and models; of tensors also methods (`t:exp()`, `t:add(u)`). Shapes broadcast as NumPy's,
result dtypes are those of `torch.result_type`.

| | PyTorch | |
| --- | --- | --- |]]
   for _, item in ipairs(documented "st.") do
      local entry = item.entry
      if entry.elementwise then
         out[#out + 1] = ("| `%s` | `%s` | %s |"):format(doc.signature(item.name, entry), entry.torch.text,
            one_line(entry.text))
      end
   end
   out[#out + 1] = ""
end

local function add_operators(out)
   out[#out + 1] = "## Operators\n\n| | tensors | models |\n| --- | --- | --- |"
   local function mark(meta, event) return rawget(meta, event) and "yes" or "" end
   for _, op in ipairs(OPERATORS) do
      local tensor, model = mark(core.tensor_meta, op[1]), mark(core.model_meta, op[1])
      if tensor .. model ~= "" then out[#out + 1] = ("| `%s` | %s | %s |"):format(one_line(op[2]), tensor, model) end
   end
   out[#out + 1] = [[

Arithmetic is elementwise, with numbers on either side; models are taken tensor by tensor. `a .. b` is the union of two
models. `#t` is a tensor's first dimension, `#m` the number of a model's tensors. `m["name"]` is a tensor,
`for name, t in pairs(m)` goes through all of them.

## Indexing and assignment

Positions count from 1, negative ones from the end; ranges include their last position. `t[i]` is a number of a
vector, else a view of one dimension less; `t[{ i, j }]` an element; `t[{ { 1, 4 }, {} }]` a slice:
`{ first, last, step }` for each dimension, `{}` for all of it. A negative step goes backwards.

`t[2] = 5` and `t[{ { 1, 4 }, {} }] = u` write into a tensor in memory (`u` is broadcast and cast), as do the methods
that end in `_`; through a view the tensor it was made of is written. Expressions, models and copies that were made
before keep the values they saw. Tensors of files and of models are read-only: `t:clone()` is a copy that can be
changed, `m:set(name, t)` puts it into a model.

```stlua-session
> t = st.arange(12):reshape(3, 4)
> t[-1]
Tensor[4 I64, 32 B]
   8   9  10  11
> t[{ 2, 3 }]
6
> t[{ { 1, 2 }, { 2, 4, 2 } }]
Tensor[2x2 I64, 32 B]
  1  3
  5  7
> sum = t:sum()
> t[{ {}, 1 }] = -1
> t
Tensor[3x4 I64, 96 B]
  -1   1   2   3
  -1   5   6   7
  -1   9  10  11
> sum, t:sum()
Tensor[I64, 8 B]
  66
Tensor[I64, 8 B]
  51
> st.open("a.safetensors")["lm_head.weight"][1] = 0
a tensor of a model is read-only: change a copy (t:clone()) and put that into the model (m:set)
```
]]
end

-- What a parameter takes: its default, its range, and what it is for.
local function parameter_line(param)
   local kind = param.each and "a number per model" or param.integer and "a whole number" or param.type
   if param.choices then kind = "`" .. table.concat(param.choices, "`, `") .. "`" end
   local range = param.min and param.max and (", %g to %g"):format(param.min, param.max)
      or param.min and (", at least %g"):format(param.min) or ""
   local default = param.default ~= nil and (" (default %s)"):format(tostring(param.default)) or ""
   return ("- `%s`%s: %s%s; %s"):format(param.name, default, kind, range, one_line(param.help or ""))
end

local function add_methods(out)
   out[#out + 1] = [[
## Merge methods

By `st.merge(name, { models = ..., base = ..., ... })`, or `stlua merge --method name`, where a parameter
`rescale_rule` is the option `--rescale-rule`. Each is one file in `lua/stlua/merge/`. A number may be a function of the
tensor's name, such as `st.block_weights` gives. A, B are the models in their order, C is the base.
]]
   for _, name in ipairs(merging.merge_methods()) do
      local def = merging.method(name)
      local count = def.min == def.max and tostring(def.min) or def.max and ("%d to %d"):format(def.min, def.max)
         or ("%d or more"):format(def.min)
      local base = { required = ", and a base", optional = ", perhaps a base" }
      out[#out + 1] = ("### `%s`\n\n%s Models: %s%s%s. Source: %s.\n"):format(name, one_line(def.summary), count,
         base[def.base] or "", def.like == "model" and "; the result has A's dtypes and metadata" or "",
         def.source or "")
      for _, param in ipairs(def.params) do out[#out + 1] = parameter_line(param) end
      if #def.params > 0 then out[#out + 1] = "" end
   end
end

local function add_torch(out)
   out[#out + 1] = "## Others by PyTorch's names\n\n| PyTorch | here | |\n| --- | --- | --- |"
   local rows, seen = {}, {}
   for _, item in ipairs(doc.catalogue()) do
      local torch = item.entry.torch
      if torch and not item.entry.elementwise and not seen[torch.text] then
         seen[torch.text] = true
         rows[#rows + 1] = ("| `%s` | `%s` | %s |"):format(torch.text, doc.signature(item.name, item.entry),
            one_line(item.entry.summary))
      end
   end
   table.sort(rows)
   out[#out + 1] = table.concat(rows, "\n") .. "\n"
end

local function manual()
   local out = { [[
# Reference manual

Written by `make docs` from the comments beside the functions; `?st.lerp` at the prompt shows the same texts.

What gives a tensor or a model only describes it; asking for a number, a text or a file computes it. So does printing:
of most deferred tensors only the values that are shown, of a product of matrices, a sort or a decomposition all.

All functions throw error objects `{ code, message, ... }`; `require "stlua.safe"` has the same functions, which return
nil, message, code. Further fields, where they are known: `where`, the line of the script that asked for what failed;
`built`, the line that wrote down a deferred operation which only fails when it is computed; `file` and `tensor`.
]] }
   add_section(out, 'Functions of `local st = require "stlua"`', documented("st.", "st.json."))
   add_elementwise(out)
   add_section(out, "JSON", documented("st.json."))
   add_section(out, "Methods of tensors", documented "Tensor:")
   add_section(out, "Methods of models", documented "Model:")
   add_operators(out)
   add_methods(out)
   add_section(out, "At the prompt", documented "who")
   add_torch(out)
   return (table.concat(out, "\n"):gsub("\n\n\n+", "\n\n"):gsub("%s+$", "\n"))
end

-- ---------------------------------------------------------------- stubs

local NAMES = { model = "stlua.Model", tensor = "stlua.Tensor", ["function"] = "fun(...): any" }

local function type_text(t)
   local optional = t:match("^%?(.*)$")
   if optional then return type_text(optional) .. "?" end
   local key, value = t:match("^{%[(%w+)%]=(.*)}$")
   if key then return ("table<%s, %s>"):format(key, type_text(value)) end
   local parts = {}
   for part in t:gmatch("[^|{]*%b{}[^|]*") do parts[#parts + 1] = part end
   for part in t:gsub("%b{}", ""):gmatch("[^|]+") do parts[#parts + 1] = part end
   for i, part in ipairs(parts) do
      local element = part:match("^{(.-),.*}$")
      parts[i] = element and type_text(element) .. "[]" or NAMES[part] or part
   end
   return table.concat(parts, "|")
end

local function comment(s) return "--- " .. s:gsub("\n", "\n--- "):gsub("%-%-%- \n", "---\n") end

-- A tag in one line; where that is too long its text goes before, on lines of its own.
local function add_tag(out, tag, name, s)
   s = one_line(s)
   if #tag + #s < 116 then
      out[#out + 1] = tag .. " " .. s
      return
   end
   local line = "---"
   table.insert(out, "---")
   for word in (("`%s`: %s"):format(name, s:gsub("^# ", ""))):gmatch("%S+") do
      if #line + #word > 115 then
         table.insert(out, line)
         line = "---"
      end
      line = line .. " " .. word
   end
   table.insert(out, line)
   table.insert(out, tag)
end

local function add_stub(out, item)
   local entry = item.entry
   if item.kind == "value" then
      out[#out + 1] = ("%s\n%s = %s\n"):format(comment(entry.text), item.name,
         type(item.value) == "string" and '""' or "{}")
      return
   end
   local names = {}
   out[#out + 1] = comment(entry.text .. (entry.example and "\n```lua\n" .. entry.example .. "\n```" or ""))
   for _, p in ipairs(entry.params) do
      names[#names + 1] = p.name
      local optional = p.optional and p.name ~= "..." and "?" or ""
      add_tag(out, ("---@param %s%s %s"):format(p.name, optional, type_text(p.type)), p.name, p.text)
   end
   for _, r in ipairs(entry.returns) do
      add_tag(out, "---@return " .. type_text(r.type), "result", "# " .. r.text)
   end
   if #names == 0 and (entry.args or "") ~= "" then names[1] = entry.args end
   local owner, mark, name = item.name:match("^(.-)([.:])([%w_]+)$")
   if owner and reserved[name] then      -- such as t["repeat"]
      if mark == ":" then table.insert(names, 1, "self") end
      out[#out + 1] = ('%s["%s"] = function(%s) end\n'):format(owner, name, table.concat(names, ", "))
   else
      out[#out + 1] = ("function %s(%s) end\n"):format(item.name, table.concat(names, ", "))
   end
end

local function add_class(out, name, meta, operand)
   out[#out + 1] = ("---@class stlua.%s"):format(name)
   for _, op in ipairs(OPERATORS) do
      if rawget(meta, op[1]) then
         local result = op[1] == "__len" and "integer" or "stlua." .. name
         out[#out + 1] = ("---@operator %s%s: %s"):format(op[3], UNARY[op[1]] and "" or "(" .. operand .. ")", result)
      end
   end
   if name == "Model" then out[#out + 1] = "---@field [string] stlua.Tensor" end
   out[#out + 1] = ("local %s = {}\n"):format(name)
   for _, item in ipairs(documented(name .. ":")) do add_stub(out, item) end
end

local function stubs()
   local out = { "---@meta stlua\n-- What editors show of stlua. Written by `make docs` from the comments beside the "
      .. "functions.\n-- luacheck: ignore\n" }
   add_class(out, "Tensor", core.tensor_meta, "stlua.Tensor|number")
   add_class(out, "Model", core.model_meta, "stlua.Model|number")
   out[#out + 1] = "---@class stlua\nlocal st = {}\n"
   for _, item in ipairs(documented("st.")) do add_stub(out, item) end
   out[#out + 1] = "return st\n"
   return (table.concat(out, "\n"):gsub("[ \t]+\n", "\n"):gsub(" # *\n", "\n"))
end

-- ---------------------------------------------------------------- parts

-- What a part adds to a table shows when it is loaded once more: its functions are new ones.
local function names_of(part)
   local before = {}
   for key, t in pairs(library.tables) do
      before[key] = {}
      for name, value in pairs(t) do before[key][name] = value end
   end
   package.loaded[part[1]] = nil
   local functions, names = require(part[1]), { st = {} }
   for name, value in pairs(part.all and functions or {}) do
      if type(value) == "function" then table.insert(names.st, name) end
   end
   for key, t in pairs(library.tables) do
      names[key] = {}
      for name, value in pairs(t) do
         if type(value) == "function" and before[key][name] ~= value then table.insert(names[key], name) end
      end
   end
   return names
end

local function names_of_parts()
   local out = { [[
-- Which part of the library has which names; written by `make docs`, read by parts.lua.
return {]] }
   for _, part in ipairs(library.list) do
      local names = names_of(part)
      out[#out + 1] = ('   ["%s"] = {'):format(part[1])
      for _, key in ipairs { "st", "Tensor", "Model", "tensor_meta", "model_meta" } do
         table.sort(names[key])
         local line = ("      %s = {"):format(key)
         for _, name in ipairs(names[key]) do
            local word = (' "%s",'):format(name)
            if #line + #word > 116 then
               out[#out + 1] = line
               line = "        "
            end
            line = line .. word
         end
         if #names[key] > 0 then out[#out + 1] = line .. " }," end
      end
      out[#out + 1] = "   },"
   end
   return table.concat(out, "\n") .. "\n}\n"
end

-- ---------------------------------------------------------------- files

local function read(path)
   local file = io.open(path, "r")
   local s = file and file:read("a")
   if file then file:close() end
   return s
end

local missing = {}
for _, item in ipairs(doc.catalogue()) do
   if not item.entry then missing[#missing + 1] = item.name end
end
if #missing > 0 then
   print("no comment describes " .. table.concat(missing, ", ") .. " (see lua/stlua/reference.lua)")
   os.exit(1)
end

local texts = { [MANUAL] = manual(), [STUBS] = stubs(), [NAMES_OF_PARTS] = names_of_parts(),
   [MANUAL_PAGE] = manual_page() }
local wrong = false
for path, s in pairs(texts) do
   if ... ~= "--check" then
      local file = assert(io.open(path, "w"))
      assert(file:write(s))
      assert(file:close())
   elseif read(path) ~= s then
      print(path .. " is not what the comments say: run `make docs`")
      wrong = true
   end
end
os.exit(not wrong)
