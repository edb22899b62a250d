--- What is opened as one format and written as another: tied tensors, and what the user is told.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local meta = require "stlua.meta"

local foreign = {}

-- The names to leave out -> the one that is kept: of tensors that are stored once, the first in the alphabet. So does
-- the reference library (safetensors.torch.save_model), whose load_model finds the others by this metadata.
local function duplicates(model)
   local kept, count = {}, 0
   for _, names in ipairs(model:tied()) do
      table.sort(names)
      for i = 2, #names do kept[names[i]], count = names[1], count + 1 end
   end
   return kept, count
end

--- The model with each tied tensor once; metadata says under which name the others are found.
-- @return a model
-- @treturn {[string]=string} name left out -> name that is kept
-- @treturn integer how many
function foreign.untied(model)
   local kept, count = duplicates(model)
   if count == 0 then return model, kept, 0 end
   local out, texts = core.model(), model:metadata()
   for i = 1, model:count() do
      local name = model:name(i)
      if not kept[name] then out:add(name, model:tensor(i)) end
   end
   for name, other in pairs(kept) do texts[name] = texts[name] or other end
   meta.set(out, texts)
   return out, kept, count
end

--- Kinds of findings in the order in which they are told, and what stands before them.
foreign.kinds = { "danger", "unknown", "taken", "left", "skipped", "decoded", "untold", "beside" }
foreign.titles = {
   taken = "taken", left = "left out", beside = "beside", danger = "danger", unknown = "unknown", skipped = "skipped",
   decoded = "decoded", untold = "untold",
}

--- Findings of a kind.
-- @treturn {string,...} texts
function foreign.of_kind(model, kind)
   local list = {}
   for _, found in ipairs(model:findings()) do
      if found.kind == kind then list[#list + 1] = found.text end
   end
   return list
end

--- Whether any of a model's files is of another format than safetensors.
function foreign.is_foreign(model)
   for _, file in ipairs(model:files()) do
      if file.format ~= "safetensors" then return true end
   end
   return false
end

local SAFETY = {
   yes = "yes: it holds tensors and plain values only",
   unknown = "it needs classes of some program, which PyTorch would import (never here)",
   no = "NO: it runs code when PyTorch loads it (never here)",
}

--- Whether a file with a pickle may be given to PyTorch: "yes", "unknown", "no"; nil where there is no pickle. Here
-- nothing of it is run in any case.
function foreign.safety(model)
   local pickled = false
   for _, file in ipairs(model:files()) do
      pickled = pickled or file.format:find("PyTorch") ~= nil or file.format:find("pickle") ~= nil
   end
   if not pickled then return nil end
   if #foreign.of_kind(model, "danger") > 0 then return "no" end
   return #foreign.of_kind(model, "unknown") > 0 and "unknown" or "yes"
end

--- The same in words.
function foreign.safety_text(safety) return SAFETY[safety] end

return foreign
