--- What scripts/merge.lua and scripts/reproduce.lua are made of.
-- Layer: Lua, above stlua.core.

local merge_job = require "stlua.merge_job"
local merge_options = require "stlua.merge_options"

return {
   add = merge_options.add, read = merge_options.read,
   order = merge_job.order, check_twice = merge_job.check_twice, build = merge_job.build, notes = merge_job.notes,
   formula = merge_job.formula, recipe = merge_job.recipe,
   dry_run = function(...) return require("stlua.dry_run").report(...) end,
   reproduce = function(...) return require("stlua.rerun").run(...) end,
}
