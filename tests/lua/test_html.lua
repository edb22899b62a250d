--- Report pages: hostile texts in markup, attributes and data; the page's policy; what stands in the reports.
local support = require "support"
local lu = require "luaunit"
local st = require "stlua"
local html = require "stlua.html"
local report = require "stlua.html.report"
local sections = require "stlua.html.page_sections"

local suite = {}

local HOSTILE = {
   "</script><script>alert(1)</script>", "<!--", "]]>", '" onmouseover="alert(1)', "' x='",
   "<img src=x onerror=alert(1)>", "\27[31m\0\1\127", "\u{202e}gnp.exe\u{2066}\u{200f}", "\xff\xfe broken",
   "&lt;b&gt;", "a\nb", "</title>", "\u{2028}x", "${1}`", "</style><b>", "\\u003cb\\u003e",
}

local VOID = { meta = true, input = true, img = true, br = true, wbr = true }

-- Reads markup strictly: every tag is closed in order, attributes are quoted. Gives the tags' counts and all
-- attributes.
local function parse(page)
   local counts, attributes, stack, at = {}, {}, {}, page:find("<html")
   while true do
      local first, last, slash, tag, rest = page:find("<(/?)([%w]+)([^<>]*)>", at)
      if not first then break end
      lu.assertNil(page:sub(at, first - 1):find("[<>]"), page:sub(at, first - 1))
      counts[tag] = (counts[tag] or 0) + (slash == "" and 1 or 0)
      if slash == "/" then
         lu.assertEquals(table.remove(stack), tag)
      else
         local left = rest:gsub('%s+([%w%-]+)="([^"]*)"', function(name, value)
            attributes[#attributes + 1] = { tag, name, value }
            return ""
         end)
         lu.assertTrue(left:gsub("%s+[%w]+", "") == "" or left == "/", rest)
         if not VOID[tag] and left ~= "/" then stack[#stack + 1] = tag end
      end
      at = last + 1
      if slash == "" and (tag == "script" or tag == "style") then at = page:find("</" .. tag, at, true) end
   end
   lu.assertEquals(stack, {})
   return counts, attributes
end

function suite.test_text()
   lu.assertEquals(html.text("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;")
   lu.assertEquals(html.text("\u{202e}\27x\n"), "\\u202e\\u001bx\\u000a")
   lu.assertEquals(html.text("x\ny", true), "x\ny")
   lu.assertEquals(html.plain('q"\\'), 'q"\\')
   -- Long texts are cut at no character, wherever the pieces end.
   for shift = 0, 3 do
      local long = ("x"):rep(shift) .. ("ä€😀"):rep(3000)
      lu.assertEquals(html.plain(long), long)
   end
   lu.assertEquals(html.plain("\x80" .. ("\x80"):rep(2000)), ("\\x80"):rep(2001))
   for _, s in ipairs(HOSTILE) do
      lu.assertNil(html.text(s):find("[<>\"'\0-\31\127]"), s)
      lu.assertNotNil(utf8.len(html.text(s)))
      local json = html.json { html.plain(s) }
      lu.assertNil(json:find("[<>&]"), s)
      lu.assertEquals(st.json.decode(json)[1], html.plain(s))
   end
end

-- The SHA-256 of a text in base64, by the system's own program.
local function sha256(s)
   support.write(support.path("hash"), s)
   local pipe = io.popen(("sha256sum '%s'"):format(support.path("hash")))
   local hex = pipe:read("a"):match("^%x+")
   pipe:close()
   local bits, out = hex:gsub("%x", function(x)
      local n, b = tonumber(x, 16), ""
      for i = 3, 0, -1 do b = b .. (n >> i & 1) end
      return b
   end), {}
   local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
   for six in (bits .. "00"):gmatch("......") do
      local n = tonumber(six, 2) + 1
      out[#out + 1] = digits:sub(n, n)
   end
   return table.concat(out) .. "="
end

function suite.test_policy()
   for _, module in ipairs { "style", "behaviour" } do
      local part = require("stlua.html." .. module)
      lu.assertEquals(part.hash, sha256(part.text), module .. ".lua: its hash is out of date")
      lu.assertNil(part.text:find("</", 1, true))
   end
   local page = html.page("t", { { title = "s", html = "" } }, "lead")
   local policy = page:match('Content%-Security%-Policy" content="([^"]*)"')
   lu.assertStrContains(policy, "default-src 'none'")
   lu.assertNotStrContains(policy, "unsafe")
   lu.assertStrContains(page, "<script>" .. require("stlua.html.behaviour").text .. "</script>")
   lu.assertStrContains(page, "<style>" .. require("stlua.html.style").text .. "</style>")
end

local function check_page(page)
   local counts, attributes = parse(page)
   for _, a in ipairs(attributes) do
      lu.assertFalse(a[2]:find("^on") ~= nil or a[2] == "style" or a[2] == "srcset", table.concat(a, " "))
      if a[2] == "href" then lu.assertEquals(a[3], "#first") end
      if a[2] == "src" then lu.assertStrContains(a[3], "data:image/") end
   end
   -- But for our script, whose namespace of SVG is a name and no address.
   local without = page:gsub("<script>.-</script>", "")
   lu.assertNil(without:find("https?:"))
   lu.assertNil(page:find("[\0-\9\11-\31\127]"))
   lu.assertNil(page:find("\u{202e}", 1, true))
   lu.assertNotNil(utf8.len(page))
   return counts
end

local function hostile_model(factor)
   local list, metadata = {}, {}
   for i, s in ipairs(HOSTILE) do
      if utf8.len(s) then
         list[#list + 1] = { ("model.layers.%d.%s.weight"):format(i, s), st.full({ 64 }, factor * i) }
         metadata[s .. i] = s .. factor
      end
   end
   list[#list + 1] = { "same", st.ones(2) }
   list[#list + 1] = { "bad", st.full({ 2 }, factor == 1 and 0.0 or 0 / 0) }
   list[#list + 1] = { factor == 1 and "<mine>" or "<yours>", st.ones(factor) }
   return st.model(list, metadata)
end

function suite.test_hostile_report()
   local a, b = hostile_model(1), hostile_model(2)
   local d = st.diff(a, b)
   local page = report.diff(d, a, b, { "</title><b>.safetensors", "b.safetensors" })
   local counts = check_page(page)
   lu.assertEquals({ counts.script, counts.style, counts.b, counts.h1 }, { 2, 1, 6, 1 })
   for _, s in ipairs { "Where it changed", "Only in the first", "&lt;mine&gt;", "Differences of the metadata" } do
      lu.assertStrContains(page, s)
   end
   local data = st.json.decode(page:match('<script type="application/json">(.-)</script>'))
   lu.assertEquals({ #data.rows, #data.columns, data.columns[1].title }, { #d, 10, "name" })
   counts = check_page(report.model(a, { path = "<x>.safetensors", warnings = HOSTILE, summary = HOSTILE[1],
      facts = { { HOSTILE[1], HOSTILE[4] } }, stats = a:stats(), picture = { "image/png", "aGFsbG8=" } }))
   lu.assertEquals({ counts.script, counts.img }, { 2, 1 })
   lu.assertEquals(sections.picture("image/png", '"><script>'), "")
   lu.assertEquals(sections.picture("text/html", "aGFsbG8="), "")
   -- Nothing at all.
   local none = st.model {}
   check_page(report.model(none, { path = "none" }))
   check_page(report.diff(st.diff(none, none), none, none, { "none", "none" }))
end

function suite.test_command()
   hostile_model(1):save(support.path("h1.safetensors"))
   hostile_model(2):save(support.path("h2.safetensors"))
   local _, err, status = support.stlua("diff h1.safetensors h2.safetensors --html report.html")
   lu.assertEquals({ err, status }, { "", 1 })
   check_page(support.read(support.path("report.html")))
   _, err, status = support.stlua("diff h1.safetensors h2.safetensors --html nowhere/report.html")
   lu.assertEquals(status, 2)
   lu.assertStrContains(err, "nowhere/report.html")
   -- It is told before the work, not after it.
   support.raises("io", "the folder nowhere does not exist", html.check, "nowhere/report.html")
   support.raises("io", "is a folder", html.check, support.path "")
end

-- What info tells is on its page: lines of one key together, a thumbnail, statistics; nothing of a folder of several.
function suite.test_info()
   local m = hostile_model(1):with_metadata { ["modelspec.thumbnail"] = "data:image/jpeg;base64,aGFsbG8=" }
   m:save(support.path("i.safetensors"))
   local out, err, status = support.stlua("info i.safetensors --html info.html --stats")
   lu.assertEquals({ out, err, status }, { "", "", 0 })
   local page = support.read(support.path("info.html"))
   lu.assertEquals(check_page(page).img, 1)
   for _, s in ipairs { "What it is", ">what</th>", "What is where", "Metadata", ">std</th>" } do
      lu.assertStrContains(page, s)
   end
   err, status = select(2, support.stlua("info . --html info.html"))
   lu.assertEquals(status, 1)
   lu.assertStrContains(err, "several models")
end

-- Numbers are shown alike by the page and by its script.
function suite.test_numbers()
   local show = sections.show
   lu.assertEquals({ show.number(0), show.number(0.0123456), show.number(1.5e-7), show.number(12346.0),
      show.number(-2e9), show.share(0.0001), show.share(0.5), show.share(1), show.count(1234567) },
      { "0", "0.01235", "1.500e-7", "12350", "-2.000e+9", "<0.1 %", "50.0 %", "100 %", "1,234,567" })
end

-- A model of very many tensors is a page of bounded pictures.
function suite.test_many()
   local list, x = {}, st.zeros(1)
   for i = 1, 5000 do list[i] = { ("b%d.%d.k%d.weight"):format(i, i, i), x } end
   local page = report.model(st.model(list), { path = "m" })
   local counts = check_page(page)
   lu.assertTrue(counts.td < 128 * 30 + 2000)
end

-- Written as a model is: nothing beside the page is touched, and one that cannot be written leaves nothing.
function suite.test_a_page_is_written_beside_nothing()
   local page, part = support.path("page.html"), support.path("page.html.part")
   support.write(part, "somebody's")
   for _, title in ipairs { "one", "two" } do
      html.write(page, html.page(title, {}, ""))
      lu.assertStrContains(support.read(page), "<title>" .. title)
   end
   lu.assertEquals(support.read(part), "somebody's")
   support.raises("exists", "is no page", html.write, part, "x")
   support.raises("io", "nowhere/page.html", html.write, support.path("nowhere/page.html"), "x")
   lu.assertEquals(support.read(part), "somebody's")
end

support.run("html", suite)
