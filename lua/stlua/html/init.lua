--- One page for a browser, with all in it: no other file, nothing from a network. Whatever comes from a model is
-- hostile text: it is put in through html.text, and a page's policy lets no script and no style but ours run.
--
-- A page is a list of sections (stlua.html.page_sections makes them), each { title =, html =, class =, id = }.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local behaviour = require "stlua.html.behaviour"
local new_file = require "stlua.new_file"
local style = require "stlua.html.style"

local html = {}

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }
local PIECE = 512      -- bytes; core.escape makes at most six of each and gives at most 4,096

-- Where a piece of text ends that begins at `from`: not within a character.
local function piece_end(s, from)
   local last = math.min(#s, from + PIECE - 1)
   for _ = 1, 3 do
      if last < #s and last > from and s:byte(last + 1) & 0xC0 == 0x80 then last = last - 1 end
   end
   return last
end

--- A text without control characters, marks of writing direction and bytes that are no UTF-8: they are shown as such.
-- @tparam string s of any length
-- @tparam[opt] boolean lines keep line feeds
function html.plain(s, lines)
   local out, at = {}, 1
   while at <= #s do
      local last = piece_end(s, at)
      out[#out + 1] = core.escape(s:sub(at, last), 4096):gsub('\\(["\\])', "%1")
      at = last + 1
   end
   local plain = table.concat(out)
   return lines and plain:gsub("\\u000a", "\n") or plain
end

--- A text to stand in an element or in an attribute's quotes.
-- @tparam string s
-- @tparam[opt] boolean lines keep line feeds
function html.text(s, lines)
   return (html.plain(tostring(s), lines):gsub("[&<>\"']", ENTITIES))
end

--- A value as JSON that may stand in a script element: no "<" in it ends that.
function html.json(value)
   return (core.json_report(value):gsub("[<>&]", { ["<"] = "\\u003c", [">"] = "\\u003e", ["&"] = "\\u0026" }))
end

local PAGE = [[
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:;
 style-src 'sha256-%s'; script-src 'sha256-%s'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>%s</title>
<style>%s</style>
</head>
<body>
<a class="skip" href="#first">Skip to the contents</a>
<header><h1>%s</h1>%s</header>
<main id="first">
%s</main>
<footer><p>Made by stlua %s. This page holds all its data and asks no network for anything.</p></footer>
<script>%s</script>
</body>
</html>
]]

local function section(s)
   local class = s.class and (' class="%s"'):format(s.class) or ""
   return ("<section%s aria-labelledby=\"%s\">\n<h2 id=\"%s\">%s</h2>\n%s</section>\n"):format(class, s.id, s.id,
      html.text(s.title), s.html)
end

--- A whole page.
-- @tparam string title plain text, as everything here but `html`
-- @tparam {table,...} sections { title =, html = markup, class = of the section }; nil entries are not allowed
-- @tparam[opt] string|table lead a line of text below the title, or { lead = that, html = markup behind it }
-- @treturn string
function html.page(title, sections, lead)
   local parts = {}
   for i, s in ipairs(sections) do
      s.id = "s" .. i
      parts[i] = section(s)
   end
   local more = type(lead) == "table" and lead or { lead = lead }
   local under = (more.lead and ('<p class="lead">%s</p>'):format(html.text(more.lead)) or "") .. (more.html or "")
   return PAGE:format(style.hash, behaviour.hash, html.text(title), style.text, html.text(title), under,
      table.concat(parts), core.version, behaviour.text)
end

--- Whether a page may be written there: for before the long work.
-- @raise "exists" where a file is that is no page
function html.check(path)
   new_file.check(path, "page", function(head) return head:lower():find("^<!doctype html") end)
end

--- Writes a page; a page that is there is replaced when all is written.
-- @raise "io"; "exists"
function html.write(path, page)
   html.check(path)
   new_file.write(path, page)
end

return html
