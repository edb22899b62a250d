--- Where models come from: labels for messages, formulas and the files a result was computed from.
-- The records live beside the models in a weak table, so the core knows nothing of them.
-- Layer: Lua, above stlua.core.
--
-- A record: label (base name of what was opened) or node (how it was computed), leaves (records of the opened
-- models, in order of first use), merged (true once values of it were computed by a formula or from several
-- models), raw (name -> tensor before the cast to the first model's dtype), notes (remarks for people).

local core = require "stlua.core"
local text = require "stlua.text"

local lineage = {}

local records = setmetatable({}, { __mode = "k" })

--- The record of a model; models built by hand get one that says so.
function lineage.of(model)
   local record = records[model]
   if not record then
      record = { label = "model", model = model, leaves = {}, notes = {} }
      records[model] = record
   end
   return record
end

--- The formula of a model for a message that may never be written: a function that gives it.
function lineage.label(model)
   return function() return lineage.formula(model) end
end

--- Remembers a model that was opened from `path`.
function lineage.opened(model, path)
   local record = { label = core.escape(text.basename(path)), model = model, notes = {} }
   record.leaves = { record }
   records[model] = record
   return model
end

--- Remembers a model computed from others.
-- @param model
-- @tparam {model|number,...} operands
-- @tparam table node {call = "lerp"} or {infix = " + ", rank = 1}: how to write it
-- @tparam[opt] table more of {merged=, raw=, notes=}
function lineage.derived(model, operands, node, more)
   local record = { model = model, leaves = {}, notes = {}, node = node, args = {}, merged = more and more.merged,
      raw = more and more.raw }
   local seen = {}
   for i, operand in ipairs(operands) do
      local source = type(operand) ~= "number" and lineage.of(operand) or nil
      record.args[i] = source or operand
      if source then
         record.merged = record.merged or source.merged
         for _, leaf in ipairs(source.leaves) do
            if not seen[leaf] then
               seen[leaf] = true
               record.leaves[#record.leaves + 1] = leaf
            end
         end
         table.move(source.notes, 1, #source.notes, #record.notes + 1, record.notes)
      end
   end
   if more and more.notes then table.move(more.notes, 1, #more.notes, #record.notes + 1, record.notes) end
   records[model] = record
   return model
end

local ATOM = 9
local MAX_TERMS = 200     -- a formula longer than this tells nobody anything

local function render(record, labels, budget)
   budget.left = budget.left - 1
   if budget.left < 0 then return "...", ATOM end
   if type(record) == "number" then
      local s = text.number(record)
      return record < 0 and "(" .. s .. ")" or s, ATOM
   end
   local node = record.node
   if not node then return labels[record] or record.label, ATOM end
   local parts = {}
   if node.call then
      for i, arg in ipairs(record.args) do parts[i] = render(arg, labels, budget) end
      return node.call .. "(" .. table.concat(parts, ", ") .. ")", ATOM
   end
   for i, arg in ipairs(record.args) do
      local s, rank = render(arg, labels, budget)
      if rank < node.rank or (rank == node.rank and i > 1 and not node.associative) then s = "(" .. s .. ")" end
      parts[i] = s
   end
   if #parts == 1 then return node.infix .. parts[1], node.rank end
   return table.concat(parts, node.infix), node.rank
end

--- Base names of opened models; equal ones are told apart by number ("model.safetensors#2").
-- @treturn table record -> label
function lineage.labels(leaves)
   local count, seen, labels = {}, {}, {}
   for _, leaf in ipairs(leaves) do count[leaf.label] = (count[leaf.label] or 0) + 1 end
   for _, leaf in ipairs(leaves) do
      local label = leaf.label
      seen[label] = (seen[label] or 0) + 1
      labels[leaf] = count[label] > 1 and ("%s#%d"):format(label, seen[label]) or label
   end
   return labels
end

--- How a model was computed, such as "0.5 * a.safetensors + 0.5 * b.safetensors"; an opened one's label.
function lineage.formula(model)
   local record = lineage.of(model)
   return (render(record, lineage.labels(record.leaves), { left = MAX_TERMS }))
end

return lineage
