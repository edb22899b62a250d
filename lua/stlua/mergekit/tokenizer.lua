--- Tokenizers: whether two models number the same tokens the same way, and the files to go with the result.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local json = require "stlua.json"
local jsonedit = require "stlua.mergekit.jsonedit"
local text = require "stlua.text"

local tokenizer = {}

--- Files that go with a model: of the tokenizer, of generation, of what prepares inputs.
tokenizer.files = {
   "tokenizer_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer.model", "added_tokens.json",
   "vocab.json", "vocab.txt", "merges.txt", "chat_template.jinja", "chat_template.json", "generation_config.json",
   "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json",
}

-- Files that hold a vocabulary, the first that is there counts.
local VOCABULARIES = { "tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt" }

-- The text of the vocabulary, up to the merges behind it where it stands as usual: found without looking at each of a
-- hundred thousand tokens. (A token named merges has a number behind it, no list.)
local function vocabulary(s)
   local first = s:find '"vocab"%s*:%s*{'
   local behind = first and s:find('"merges"%s*:%s*%[', first)
   if behind then return s:sub(first, behind) end
   return jsonedit.get(s, { "model", "vocab" })
end

local function wrong(format, ...) errors.throwf("format", format, ...) end

-- A part of the file as a table.
local function table_of(s, what, label)
   local t = s and json.decode(s) or {}
   return type(t) == "table" and t or wrong("%s of %s is no list or object", what, label)
end

-- Token -> number, of a tokenizer.json: the model's vocabulary and the tokens added to it.
local function numbers(s, label)
   local map, vocab = {}, jsonedit.get(s, { "model", "vocab" })
   for token, id in pairs(table_of(vocab, "model.vocab", label)) do
      if type(id) == "table" then token, id = id[1], token - 1 end      -- unigram: a list of { token, score }
      if type(token) ~= "string" or not math.tointeger(id) then
         wrong("model.vocab of %s holds other than tokens and numbers", label)
      end
      map[token] = id
   end
   for _, entry in ipairs(table_of(jsonedit.get(s, { "added_tokens" }), "added_tokens", label)) do
      local id = type(entry) == "table" and type(entry.content) == "string" and math.tointeger(entry.id)
      if not id then wrong("added_tokens of %s holds other than { content, id }", label) end
      map[entry.content] = id
   end
   return map
end

-- The tokens that two maps number differently: how many, and the first in order.
local function differences(a, b)
   local count, first = 0, nil
   local function look(token)
      count = count + 1
      if not first or token < first then first = token end
   end
   for token, id in pairs(a) do
      if b[token] ~= id then look(token) end
   end
   for token in pairs(b) do
      if a[token] == nil then look(token) end
   end
   return count, first
end

local function compare_json(a, b, one, other)
   -- What looks for parts of them takes them to be valid, and objects.
   if not (a:find "^%s*{" and b:find "^%s*{") then wrong "one is no JSON object" end
   local added = { "added_tokens" }
   if vocabulary(a) == vocabulary(b) and jsonedit.get(a, added) == jsonedit.get(b, added) then return true end
   one.numbers, other.numbers = one.numbers or numbers(a, one.label), other.numbers or numbers(b, other.label)
   local x, y = one.numbers, other.numbers
   local count, first = differences(x, y)
   if count == 0 then return true end
   local function number(map) return map[first] and ("number %d"):format(map[first]) or "absent" end
   return false, ("%s differ, such as %s: %s in %s, %s in %s"):format(text.plural(count, "token"), text.quote(first),
      number(x), one.label, number(y), other.label)
end

-- What is wrong with a file as JSON, or nil.
local function damage(s, label)
   local ok, result = pcall(json.decode, s)
   if not ok then return ("%s: %s"):format(label, result.message) end
   return not s:find "^%s*{" and label .. ": it is no JSON object" or nil
end

--- Whether two models number the same tokens the same way.
-- @tparam table one as of refs.open
-- @tparam table other
-- @treturn ?boolean nil where one has no tokenizer files
-- @treturn ?string what differs
function tokenizer.same(one, other)
   for _, name in ipairs(VOCABULARIES) do
      local a, b = one.read(name), other.read(name)
      if a and b then
         if a == b then return true end
         if name ~= "tokenizer.json" then return false, ("%s is not the same file in %s and %s"):format(name, one.label,
            other.label) end
         local ok, same, reason = pcall(compare_json, a, b, one, other)
         if ok then return same, reason end
         if not errors.is(same) and type(same) ~= "string" then error(same, 0) end
         local why = damage(a, one.label) or damage(b, other.label)
            or errors.is(same) and same.message or "they are not as tokenizers writes them"
         return false, ("tokenizer.json of %s and %s differ, and cannot be read: %s"):format(one.label, other.label,
            why)
      end
   end
end

-- ---------------------------------------------------------------- what a configuration asks for

-- The model whose tokenizer goes with the result.
local function chosen(config, sources, donor)
   local source = config.tokenizer and config.tokenizer.source
   return type(source) == "table" and sources[source] or donor
end

local function check_padding(config, model, problems)
   local pad = config.tokenizer.pad
   if not pad then return end
   local layers = require "stlua.mergekit.layers"
   local name = layers.embeddings(model)
   if not name then return end
   local _, _, shape = model:info((model:find(name)))
   if shape[1] % pad ~= 0 then
      problems:add(config.tokenizer.line, "tokenizer.pad_to_multiple_of: %s has %d rows, which is no multiple of %d; "
         .. "padding the embeddings is not possible yet", core.escape(name), shape[1], pad)
   end
end

--- Compares the vocabularies of all models, and gives the one whose tokenizer goes with the result. With a tokenizer
-- setting other vocabularies are a problem, without one a remark.
-- @tparam table config
-- @tparam {table,...} list opened models
-- @tparam table sources ref -> opened model
-- @tparam table donor
-- @tparam table problems
-- @treturn table
function tokenizer.choose(config, list, sources, donor, problems)
   local owner = chosen(config, sources, donor)
   for _, source in ipairs(list) do
      local same, reason = true, nil
      if source ~= owner then same, reason = tokenizer.same(owner, source) end
      if same == false and config.tokenizer then
         problems:add(config.tokenizer.line, "the vocabularies are not the same: %s; a tokenizer that is joined from "
            .. "several, which re-indexes the embeddings, is not possible yet", reason)
      elseif same == false then
         problems:note(nil, "the vocabularies are not the same: %s", reason)
      elseif same == nil and config.tokenizer then
         problems:note(nil, "%s or %s has no tokenizer files: taken for the same", owner.label, source.label)
      end
   end
   if config.tokenizer then check_padding(config, owner.model, problems) end
   return owner
end

-- ---------------------------------------------------------------- chat templates

local function template_of(source)
   local s = source.read "chat_template.jinja"
   if s then return s end
   local ok, config = pcall(json.decode, source.read "tokenizer_config.json" or "{}")
   local template = ok and type(config) == "table" and config.chat_template
   if type(template) == "table" then
      for _, entry in ipairs(template) do
         if type(entry) == "table" and entry.name == "default" then
            template = entry.template
            break
         end
      end
   end
   return type(template) == "string" and template or nil
end

-- The template that most models have; of equally many, the first.
local function most_frequent(list)
   local count, best = {}, nil
   for _, source in ipairs(list) do
      local template = template_of(source)
      local key = template and template:gsub("^%s+", ""):gsub("%s+$", "")
      if key then count[key] = (count[key] or 0) + 1 end
   end
   for _, source in ipairs(list) do
      local template = template_of(source)
      local key = template and template:gsub("^%s+", ""):gsub("%s+$", "")
      if key and (not best or count[key] > count[best]) then best = key end
   end
   return best
end

--- The text of chat_template.jinja that a configuration asks for, or nil.
function tokenizer.template(config, list, problems)
   local given = config.chat_template
   if not given then return nil end
   if given == "auto" then
      local found = most_frequent(list)
      if not found then problems:note(nil, "chat_template: auto: no model has a template") end
      return found
   elseif given:find("{", 1, true) then
      return given
   end
   problems:add(nil, "chat_template: %s is neither auto nor the text of a template (which holds a `{`); templates by "
      .. "name are not known: write the text itself", text.quote(given))
end

return tokenizer
