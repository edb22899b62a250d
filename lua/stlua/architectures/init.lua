--- Which networks a model is made of, told by the names and shapes of its tensors. A new architecture is one row in one
-- of the files beside this.
-- Layer: Lua, above stlua.core.
--
-- A row:
--    id, title  what it is called; ids are unique
--    part       what it does: one of the parts in PARTS below
--    under      prefixes that its names may stand behind; "" is tried where nothing else was found
--    has        tests, all of which must hold: "NAME", "NAME [SIZES]" or "!NAME", of names behind the prefix. A size is
--               a number, 768|1024, or ? for any; more dimensions than sizes are allowed, but not behind a full stop.
--               "<*>" is a first tensor of such a name, as <cat>; without sizes .qweight stands for .weight
--    also       further tests, which a configuration beside the file (`config`, its model_type) stands in for
--    kinds      more words, where their tests hold: { WORDS, TEST, ... }; a first word "=" puts TITLE in place of the
--               row's: { "=", TITLE, TEST, ... }. Their own `pipeline` stands for the row's; false: none reads it
--    layers     a name with # for a number, of which there is one in each layer
--    embedding  the name of a matrix whose sizes are vocabulary and width
--    class, pipeline, loads   diffusers' class and pipeline; in words, what loads it otherwise
--    naming     "diffusers" where it is diffusers' and transformers' way (else the way of the original programs)
--    v          a tensor by whose spread of values prediction of v is told
--    only       at most so many tensors in the whole model
--    base       the title of the model that it goes with

local core = require "stlua.core"

local architectures = {}

-- Loaded one set after the other, as long as much of a model is not accounted for.
local SETS = { { "control", "diffusion", "encoders" }, { "language", "perception" } }

--- What parts are called, in the order in which one of them says what a model is.
architectures.parts = {
   { "unet", "U-Net" }, { "transformer", "transformer" }, { "controlnet", "ControlNet" }, { "motion", "motion module" },
   { "ip_adapter", "IP-Adapter" }, { "t2i_adapter", "T2I-Adapter" }, { "language", "language model" },
   { "encoder", "encoder" }, { "audio", "speech model" }, { "image", "image model" }, { "upscaler", "upscaler" },
   { "embedding", "textual inversion" }, { "te", "text encoder" }, { "clip_vision", "image encoder" }, { "vae", "VAE" },
}

local sets = {}

-- The rows of the first `n` sets, in the order in which they are tried.
local function rows_of(n)
   if not sets[n] then
      local rows = n > 1 and table.move(rows_of(n - 1), 1, #rows_of(n - 1), 1, {}) or {}
      for _, file in ipairs(SETS[n]) do
         local list = require("stlua.architectures." .. file)
         table.move(list, 1, #list, #rows + 1, rows)
      end
      sets[n] = rows
   end
   return sets[n]
end

--- All rows, in the order in which they are tried.
function architectures.rows() return rows_of(#SETS) end

--- The row of that id.
function architectures.row(id)
   for _, row in ipairs(architectures.rows()) do
      if row.id == id then return row end
   end
end

-- ---------------------------------------------------------------- tests

local function fits(sizes, shape)
   local d = 0
   for size in sizes:gmatch("[^,%s]+") do
      d = d + 1
      if size == "." then return shape[d] == nil end
      if size ~= "?" then
         local any = false
         for number in size:gmatch("%d+") do any = any or tonumber(number) == shape[d] end
         if not any then return false end
      elseif not shape[d] then
         return false
      end
   end
   return true
end

-- Where a name is; GPTQ and AWQ have their codes in the place of a weight.
local function find_weight(model, name)
   return model:find(name) or name:sub(-7) == ".weight" and model:find(name:sub(1, -7) .. "qweight") or nil
end

-- Where the name of a test is, or nil.
local function find_test(model, name, any_size)
   if name == "<*>" then return model:count() > 0 and model:name(1):find("^<.*>$") and 1 or nil end
   return any_size and find_weight(model, name) or model:find(name)
end

--- Whether a test of a row holds for the names behind a prefix.
function architectures.holds(model, prefix, test)
   local no, name, sizes = test:match("^(!?)(%S+)%s*%[?([^%]]*)%]?$")
   local at = find_test(model, prefix .. name, sizes == "")
   if no == "!" then return at == nil end
   if not at then return false end
   if sizes == "" then return true end
   local _, _, shape = model:info(at)
   return fits(sizes, shape)
end

local function all_hold(model, prefix, tests, from)
   for i = from or 1, #tests do
      if not architectures.holds(model, prefix, tests[i]) then return false end
   end
   return true
end

--- Whether a row's network stands behind a prefix.
-- @tparam[opt] string told the model_type of a configuration beside the file
function architectures.is(model, row, prefix, told)
   if row.only and model:count() > row.only or not all_hold(model, prefix, row.has) then return false end
   if not row.also or all_hold(model, prefix, row.also) then return true end
   return row.config ~= nil and row.config == told
end

-- ---------------------------------------------------------------- what was found

local function words_of(model, row, prefix)
   local title, words, pipeline = row.title, {}, nil
   for _, kind in ipairs(row.kinds or {}) do
      local replaces = kind[1] == "="
      if all_hold(model, prefix, kind, replaces and 3 or 2) then
         if kind.pipeline ~= nil then pipeline = kind.pipeline end
         if replaces then
            title = kind[2]
         else
            words[#words + 1] = kind[1]
         end
      end
   end
   return title, words, pipeline
end

-- How many layers there are: names are asked for one after the other.
local function count_layers(model, prefix, name)
   local before, after = name:match("^(.-)#(.*)$")
   local n = 0
   while find_weight(model, ("%s%s%d%s"):format(prefix, before, n, after)) do n = n + 1 end
   return n
end

local function describe(model, row, prefix)
   local title, words, pipeline = words_of(model, row, prefix)
   local part = { id = row.id, row = row, prefix = prefix, part = row.part, title = title, base = row.base,
      words = core.array(words), pipeline = row.pipeline }
   if pipeline ~= nil then part.pipeline, part.special = pipeline, true end
   if row.layers then part.layers = count_layers(model, prefix, row.layers) end
   local at = row.embedding and model:find(prefix .. row.embedding)
   if at then
      local _, _, shape = model:info(at)
      part.vocabulary, part.width = shape[1], shape[2]
   end
   return part
end

-- Rows by the prefixes that they know.
local function rows_by_prefix(rows)
   local by, list = {}, {}
   for _, row in ipairs(rows) do
      for _, prefix in ipairs(row.under) do
         if not by[prefix] then
            by[prefix] = {}
            if prefix ~= "" then list[#list + 1] = prefix end
         end
         table.insert(by[prefix], row)
      end
   end
   return by, list
end

-- The first row that holds behind a prefix; of several, the one that a configuration names.
local function first_row(model, prefix, told, rows)
   local found
   for _, row in ipairs(rows) do
      if architectures.is(model, row, prefix, told) then
         if not told or row.config == told then return row end
         found = found or row
      end
   end
   return found
end

-- The part that a configuration names where no names tell one, if it has layers of that kind.
local function told_part(model, told)
   for _, row in ipairs(told and rows_of(#SETS) or {}) do
      for _, prefix in ipairs(row.config == told and row.layers and row.under or {}) do
         if count_layers(model, prefix, row.layers) > 0 then return describe(model, row, prefix) end
      end
   end
end

-- Saved with a wrapper around it, names have one more word in front: "module.", "model.", "params_ema.".
local function wrapped(model)
   local first = model:count() > 0 and model:name(1):match("^[^.]+%.")
   if not first then return nil end
   local tally = model:_tally({ first })[1]
   return tally.count == model:count() and first or nil
end

-- The networks that these rows tell.
local function find_in(model, told, rows)
   local by, prefixes = rows_by_prefix(rows)
   local parts, tallies = {}, model:_tally(prefixes)
   for i, prefix in ipairs(prefixes) do
      local row = tallies[i].count > 0 and first_row(model, prefix, told, by[prefix])
      if row then parts[#parts + 1] = describe(model, row, prefix) end
   end
   if #parts > 0 then return parts end
   local row, prefix = first_row(model, "", told, by[""]), ""
   if not row then
      prefix = wrapped(model)
      row = prefix and first_row(model, prefix, told, by[""])
   end
   return { row and describe(model, row, prefix) }
end

-- Gives each part the tally of what stands behind its prefix; gives that of all other tensors.
local function add_tallies(model, parts)
   local list = {}
   for i, part in ipairs(parts) do list[i] = part.prefix end
   local tallies = model:_tally(list)
   local rest, taken = tallies[#parts + 1], 0
   for i, part in ipairs(parts) do
      part.tally = tallies[i]
      if part.prefix == "" then part.tally, rest = rest, part.tally end
      taken = taken + part.tally.bytes
   end
   return rest, taken
end

--- The networks in a model.
-- @tparam model model
-- @tparam[opt] string told the model_type of a configuration beside the file
-- @treturn {table,...} parts in the order of architectures.parts: id, row, prefix, part, title, words; pipeline, and
--   special where a kind names it; layers, vocabulary, width; tally = { count =, numel =, bytes =, dtypes = } of the
--   tensors behind the prefix
-- @treturn table tally of the tensors that no part stands for
function architectures.find(model, told)
   local parts, rest, taken
   for n = 1, #SETS do
      parts = find_in(model, told, rows_of(n))
      rest, taken = add_tallies(model, parts)
      if rest.bytes * 50 < taken then break end
   end
   if #parts == 0 then
      parts = { told_part(model, told) }
      rest = add_tallies(model, parts)
   end
   local place = {}
   for i, part in ipairs(architectures.parts) do place[part[1]] = i end
   table.sort(parts, function(a, b)
      if place[a.part] ~= place[b.part] then return place[a.part] < place[b.part] end
      return a.prefix < b.prefix
   end)
   return parts, rest
end

return architectures
