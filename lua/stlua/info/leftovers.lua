--- What a checkpoint holds that no program needs to make pictures: EMA, the noise schedule, states of training.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local names = require "stlua.checkpoint_names"

local leftovers = {}

local function schedule_of(model)
   local tensors, bytes = 0, 0
   for name in pairs(names.schedule) do
      local at = model:find(name)
      if at then
         local _, _, _, size = model:info(at)
         tensors, bytes = tensors + 1, bytes + size
      end
   end
   return tensors, bytes
end

--- @tparam model model a diffusion model
-- @tparam {table,...} parts as architectures.find gives them
-- @treturn {{what=string,tensors=integer,bytes=integer},...}
function leftovers.of(model, parts)
   local list, out = { names.ema, table.unpack(names.junk_of(model, parts)) }, core.array {}
   local tallies = model:_tally(list)
   if tallies[1].count > 0 then
      out[1] = { what = "EMA, a second set of weights", tensors = tallies[1].count, bytes = tallies[1].bytes }
   end
   local tensors, bytes = schedule_of(model)
   if tensors > 0 then out[#out + 1] = { what = "noise schedule", tensors = tensors, bytes = bytes } end
   tensors, bytes = 0, 0
   for i = 2, #list do tensors, bytes = tensors + tallies[i].count, bytes + tallies[i].bytes end
   if tensors > 0 then out[#out + 1] = { what = "leftovers of training", tensors = tensors, bytes = bytes } end
   return out
end

return leftovers
