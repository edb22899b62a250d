--- Which program's format an adapter is in, and what stands in the way of writing it in another.
-- Layer: Lua, above stlua.core.

local errors = require "stlua.errors"
local text = require "stlua.text"

local formats = {}

-- By the suffix of a factor.
local BY_SUFFIX = {
   [".lora_down.weight"] = "kohya", [".lora_up.weight"] = "kohya",
   [".lora.down.weight"] = "diffusers (old)", ["_lora.down.weight"] = "diffusers (old)",
   [".lora_linear_layer.down.weight"] = "diffusers (old)", [".down.weight"] = "XLabs",
}

-- Of one module, as far as its names tell.
local function of_module(m)
   local suffix = m.suffixes.down or m.suffixes.embedding_down
   if suffix and suffix:find("^%.lora_A") or m.parts.embedding_down then
      if m.name:find("^base_model%.model%.") then return "peft" end
      return m.name:find("^diffusion_model%.") and "native" or "diffusers"
   end
   if suffix then return BY_SUFFIX[suffix] end
   if m.name:find("^lora_") or m.name:find("^lycoris_") or not m.name:find(".", 1, true) then return "kohya" end
   return m.name:find("^base_model%.model%.") and "peft" or nil
end

--- The format of an adapter: "kohya", "peft", "diffusers", "diffusers (old)", "XLabs", "native" (the checkpoint's own
-- names), or "other". The commonest counts.
function formats.of(a)
   local count, best = {}, "other"
   for _, m in ipairs(a.modules) do
      local f = of_module(m)
      if f then
         count[f] = (count[f] or 0) + 1
         if best == "other" or count[f] > count[best] then best = f end
      end
   end
   return best
end

--- One of the formats that are written, nearest to the adapter's own.
function formats.written(a)
   local f = formats.of(a)
   return (f == "kohya" or f == "peft") and f or f:find("^diffusers") and "diffusers" or "kohya"
end

--- "a", "b" and 3 more: names of modules for a message.
function formats.listed(modules)
   return text.some(modules, 5, function(module) return text.quote(module.name) end)
end

--- What a module is, in a word or two: its kind, DoRA, an embedding.
function formats.kind_of(m)
   if m.parts.dora then return "DoRA" end
   if m.parts.embedding_down then return "LoRA of an embedding" end
   if m.parts.mid then return "LoCon with a middle tensor" end
   return m.kind.title
end

--- Modules by what they are: { { kind, modules }, ... }.
function formats.by_kind(modules)
   local kinds, list = {}, {}
   for _, m in ipairs(modules) do
      local kind = formats.kind_of(m)
      if not kinds[kind] then
         kinds[kind] = {}
         list[#list + 1] = { kind, kinds[kind] }
      end
      table.insert(kinds[kind], m)
   end
   return list
end

--- Throws one error with a line for each kind among these modules, saying what is `wrong` with them.
function formats.refuse(a, modules, wrong, code)
   if #modules == 0 then return end
   local lines = {}
   for i, entry in ipairs(formats.by_kind(modules)) do
      lines[i] = ("%s: %s %s: %s"):format(a.label, entry[1], wrong, formats.listed(entry[2]))
   end
   errors.throw(code or "format", table.concat(lines, "\n"))
end

return formats
