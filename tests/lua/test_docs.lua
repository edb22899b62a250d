--- Nothing that the documentation shows is wrong: the examples in the comments of the library, the sessions and the
-- scripts of all pages. (README.md's commands run in tests/cli/cases/readme.sh, the course's in examples.sh.)
local support = require "support"
local doc = require "stlua.doc"
local lu = require "luaunit"

local suite = {}

support.path("")
local pipe = io.popen("pwd")
local root = pipe:read("l")
pipe:close()

local function lines_of(command)
   local list = {}
   for line in assert(io.popen(command)):lines() do list[#list + 1] = line end
   return list
end

-- Runs the program; what it prints. It must end well.
local function run(arguments, what)
   local out, err, status = support.stlua(arguments)
   lu.assertEquals({ status, err }, { 0, "" }, what)
   return out
end

local function samples()
   run(("'%s/examples/make_samples.lua' a.safetensors b.safetensors c.safetensors"):format(root), "the sample models")
end

-- What a text becomes when its examples are typed again.
local function transcript(path, options)
   return run(("'%s/tests/lua/transcript.lua' %s '%s'"):format(root, options or "", path), path)
end

local function check_same(path, got)
   local want, number = support.read(path), 0
   if got == want then return end
   local new = got:gmatch("([^\n]*)\n")
   for line in want:gmatch("([^\n]*)\n") do
      number = number + 1
      lu.assertEquals(new(), line, ("%s:%d is not what is shown"):format(path, number))
   end
   lu.assertEquals(got, want, path)
end

local function examples_in(source)
   return select(2, ("\n" .. source):gsub("\n%s*%-%-\n%s*%-%-     > ", "%0"))
end

function suite.test_examples_in_comments()
   samples()
   local found = 0
   for _, path in ipairs(lines_of(("find '%s/lua/stlua' -name '*.lua' ! -name '*.d.lua'"):format(root))) do
      local count = examples_in(support.read(path))
      found = found + count
      if count > 0 then check_same(path, transcript(path)) end
   end
   local known = {}
   for _, item in ipairs(doc.catalogue()) do
      local example = item.entry and item.entry.example
      if example and not known[example] then
         known[example] = true
         known[#known + 1] = example
      end
   end
   lu.assertTrue(found >= 60, found .. " examples")
   lu.assertEquals(#known, found, "examples that help shows, and those in the sources")
end

function suite.test_sessions_of_the_pages()
   samples()
   local page = root .. "/examples/README.md"
   check_same(page, transcript(page))
   page = root .. "/src/MANUAL.md"
   lu.assertStrContains(support.read(page), "\n```stlua-session\n> st.arange(3)\n")
   check_same(page, transcript(page, "--fresh"))
end

-- The blocks of a page: { kind, text, line }.
local function blocks(page)
   local list, block, number = {}, nil, 0
   for line in io.lines(page) do
      number = number + 1
      local fence = line:match("^%s*```(.*)$")
      if fence and block then
         block = nil
      elseif fence then
         block = { kind = fence, text = "", line = number }
         list[#list + 1] = block
      elseif block then
         block.text = block.text .. line .. "\n"
      end
   end
   lu.assertNil(block, page .. ": a block without an end")
   return list
end

function suite.test_scripts_of_the_pages()
   samples()
   local kinds, scripts = { [""] = true, lua = true, ["stlua-session"] = true }, 0
   for _, page in ipairs(lines_of(("cd '%s' && ls README.md src/*.md examples/*.md"):format(root))) do
      for _, block in ipairs(blocks(root .. "/" .. page)) do
         local where = ("%s:%d"):format(page, block.line)
         lu.assertTrue(kinds[block.kind], where .. ": nobody runs a block of " .. block.kind)
         if block.kind == "lua" then
            scripts = scripts + 1
            support.write(support.path("page.lua"), block.text)
            run("page.lua", where)
         end
      end
   end
   lu.assertTrue(scripts > 0)
end

support.run("docs", suite)
