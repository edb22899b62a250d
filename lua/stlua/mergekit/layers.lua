--- What the names of a model's tensors tell of its build, without a table of architectures: stacks of numbered layers,
-- what comes before and after them, the head and the embeddings it may be tied to.
-- Layer: Lua, above stlua.core.

local layers = {}

-- Last part of a stack's prefix, as model families have it.
local STACKS = { layers = true, layer = true, h = true, block = true, blocks = true, encoder_layers = true,
   decoder_layers = true, transformer_blocks = true, resblocks = true }

--- Keys of config.json that count layers.
layers.COUNT_KEYS = { "num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers",
   "num_encoder_layers", "num_decoder_layers", "depth" }

local HEADS = { "lm_head.weight", "embed_out.weight", "output.weight", "transformer.output_layer.weight" }
local EMBEDDINGS = { "embed_tokens%.weight$", "wte%.weight$", "embed_in%.weight$", "tok_embeddings%.weight$",
   "word_embeddings%.weight$", "^shared%.weight$", "embeddings%.weight$" }

-- Families whose head is the embeddings unless their config says otherwise.
local TIED_BY_DEFAULT = { gemma = true, gemma2 = true, gemma3 = true, gemma3_text = true, cohere = true, cohere2 = true,
   gpt2 = true, t5 = true }

-- Buffers that files of old versions hold and new ones do not.
local BUFFERS = { "rotary_emb%.inv_freq$", "%.masked_bias$", "position_ids$" }

--- "model.layers.", 3, "mlp.up_proj.weight" of "model.layers.3.mlp.up_proj.weight"; nil where no number stands.
function layers.split(name)
   local prefix, number, rest = name:match("^(.-%.)(%d+)%.(.+)$")
   if not prefix then
      number, rest = name:match("^(%d+)%.(.+)$")
      prefix = number and ""
   end
   return prefix, tonumber(number), rest
end

local function counted_in_config(config, n)
   if not config then return false end
   for _, key in ipairs(layers.COUNT_KEYS) do
      if config[key] == n then return true end
   end
   for _, value in pairs(config) do
      if type(value) == "table" then
         for _, key in ipairs(layers.COUNT_KEYS) do
            if value[key] == n then return true end
         end
      end
   end
   return false
end

-- The numbers that stand behind each prefix: { prefix, seen = set, count = highest + 1, whole = no gaps }.
local function numbered(model)
   local list, by = {}, {}
   for i = 1, model:count() do
      local prefix, number = layers.split(model:name(i))
      if prefix then
         local entry = by[prefix]
         if not entry then
            entry = { prefix = prefix, seen = {}, different = 0, count = 0 }
            by[prefix], list[#list + 1] = entry, entry
         end
         if not entry.seen[number] then entry.seen[number], entry.different = true, entry.different + 1 end
         entry.count = math.max(entry.count, number + 1)
      end
   end
   return list
end

--- The layout of a model, worked out once for each.
-- @tparam table source as of refs.open
-- @treturn table { stacks = { { prefix =, count = }, ... }, by_prefix = prefix -> stack }
function layers.of(source)
   if source.layout then return source.layout end
   local layout = { stacks = {}, by_prefix = {} }
   for _, entry in ipairs(numbered(source.model)) do
      local last = entry.prefix:match("([^.]*)%.$") or ""
      local named = STACKS[last] or counted_in_config(source.config, entry.count)
      if named and entry.different == entry.count then
         table.insert(layout.stacks, entry)
         layout.by_prefix[entry.prefix] = entry
      end
   end
   source.layout = layout
   return layout
end

--- Where a tensor lies: its stack, layer and name within it; nil for what is in no layer.
function layers.place(layout, name)
   local prefix, number, rest = layers.split(name)
   local stack = prefix and layout.by_prefix[prefix]
   if stack then return stack, number, rest end
end

--- Whether a tensor outside the layers comes before them: embeddings do, final norms and heads come after.
function layers.is_before(name)
   if name:find("embed_out", 1, true) then return false end
   return name:find("emb", 1, true) ~= nil or name:find("%f[%w]wte%f[%W]") ~= nil
      or name:find("%f[%w]wpe%f[%W]") ~= nil or name == "shared.weight" or name:find("relative_pe", 1, true) ~= nil
      or name:find("rotary", 1, true) ~= nil
end

function layers.is_buffer(name)
   for _, pattern in ipairs(BUFFERS) do
      if name:find(pattern) then return true end
   end
   return false
end

local HEAD_NAMES = {}
for _, name in ipairs(HEADS) do HEAD_NAMES[name] = true end

--- Whether the name is that of an output head.
function layers.is_head(name)
   return HEAD_NAMES[name:gsub("^language_model%.", "")] == true
end

--- Whether a tensor has one row per token.
function layers.is_vocabulary(name)
   if layers.is_head(name) then return true end
   for _, pattern in ipairs(EMBEDDINGS) do
      if name:find(pattern) then return true end
   end
   return false
end

--- Name of a model's input embeddings, or nil.
function layers.embeddings(model)
   for _, pattern in ipairs(EMBEDDINGS) do
      for i = 1, model:count() do
         local name = model:name(i)
         if name:find(pattern) and not layers.split(name) then return name end
      end
   end
end

--- Name of a model's own head, or nil.
function layers.head(model)
   for _, name in ipairs(HEADS) do
      if model:find(name) then return name end
      if model:find("language_model." .. name) then return "language_model." .. name end
   end
end

--- Whether a model's head is its embeddings, as its config says; else whether it has no head of its own.
function layers.is_tied(source)
   local config = source.config or {}
   local inner = type(config.text_config) == "table" and config.text_config or {}
   local said = config.tie_word_embeddings
   if type(said) ~= "boolean" then said = inner.tie_word_embeddings end
   if type(said) == "boolean" then return said end
   if TIED_BY_DEFAULT[config.model_type] then return true end
   return layers.head(source.model) == nil
end

return layers
