--- `stlua info --html`: what info tells, as a page for a browser.
-- Layer: Lua, above stlua.core.

local errors = require "stlua.errors"
local html = require "stlua.html"
local info = require "stlua.info"
local page = require "stlua.html.report"
local text = require "stlua.text"

local info_page = {}

-- What stands elsewhere on the page.
local ELSEWHERE = { file = true, size = true, tensors = true, warning = true, metadata = true, thumbnail = true }

local function facts_of(report)
   local facts = {}
   for _, row in ipairs(info.rows(report)) do
      local last = facts[#facts]
      if last and (row[1] == last[1] or row[1] == "") then
         last[2] = last[2] .. "\n" .. row[2]
      elseif not ELSEWHERE[row[1]] then
         facts[#facts + 1] = { row[1], row[2] }
      end
   end
   return facts
end

-- A picture in the metadata, as a page can show it.
local function picture_of(metadata)
   local mime, base64 = (metadata["modelspec.thumbnail"] or ""):match("^data:(image/%w+);base64,(.+)$")
   return mime and { mime, base64 } or nil
end

--- Writes the page about a model.
-- @tparam string path of the page
-- @tparam string what path of the model
-- @tparam[opt] boolean stats read the values, and tell what they are like
-- @raise "arg" for a folder of several models
function info_page.write(path, what, stats)
   html.check(path)
   local report, model = info.info(what, {})
   if not model then
      errors.throwf("arg", "%s holds several models: name one for a page", text.quote(what))
   end
   html.write(path, page.model(model, { path = what, summary = report.what, facts = facts_of(report),
      warnings = report.warnings, picture = picture_of(report.metadata or {}),
      stats = stats and require("stlua").stats(model) or nil }))
end

return info_page
