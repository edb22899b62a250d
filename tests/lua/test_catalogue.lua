--- Every public function, as the catalogue of comments has it: it works with what makes sense; with what makes none it
--- throws an error object that says so.
local calls = require "calls"
local core = require "stlua.core"
local lu = require "luaunit"
local st = require "stlua"
local support = require "support"

local suite = {}
local all = calls.all()

-- A function as a script calls it, for messages name what was called as the code names it.
local function caller(c)
   local owner, name = c.name:match("^(.*)[%.:](.*)$")
   local tables = { Tensor = core.Tensor, Model = core.Model }
   local code = ("local t = ... return function(...) return (t%s(...)) end")
      :format(name == "repeat" and '["repeat"]' or "." .. name)
   local t = tables[owner] or st
   for field in not tables[owner] and owner:gmatch("%.(%w+)") or function() end do t = t[field] end
   return load(code)(t)
end

-- ---------------------------------------------------------------- sense

function suite.test_everything_works()
   lu.assertTrue(#all > 400, #all)
   for _, c in ipairs(all) do
      lu.assertNotNil(c.arguments, c.name .. ": tests/lua/calls.lua has no arguments for it")
      local ok, e = pcall(calls.result, c, calls.world())
      lu.assertTrue(ok, c.name .. ": " .. tostring(e))
   end
end

-- ---------------------------------------------------------------- nonsense

local function odd_values(w)
   return { { nil }, { true }, { support.path("nonsense") }, { {} }, { print }, { 99 }, { -99 }, { 1.5 }, { 0 / 0 },
      { math.maxinteger }, { { nonsense = 1 } }, { w.other }, { w.stack }, { io.stdout }, { coroutine.create(print) } }
end
local ODD = #odd_values({})

-- What a message may say instead of the function's name: it is about one argument of an obvious name.
local OBVIOUS = { "^unknown dtype", "^unknown option", "JSON", "^reshape", "^arithmetic on", "^%d+ tensors cannot",
   "bytes were given", "nonsense: ", "no tensor", "^linear: ", "not to be replaced" }

local function check(c, fn, what, ...)
   local ok, e = pcall(fn, ...)
   if ok then return end
   local message = tostring(e)
   lu.assertTrue(core.is_error(e), ("%s, %s: no error object: %s"):format(c.name, what, message))
   lu.assertNotNil(e.code)
   lu.assertNil(message:find("attempt to ", 1, true), ("%s, %s: %s"):format(c.name, what, message))
   lu.assertNil(message:find("%.lua:%d"), ("%s, %s: %s"):format(c.name, what, message))
   local named = message:find(c.name:match("[%w]+_?[%w]*$"):gsub("_$", ""), 1, true)
   for _, pattern in ipairs(OBVIOUS) do named = named or message:find(pattern) end
   lu.assertTrue(named ~= nil, ("%s, %s: the function is not named: %s"):format(c.name, what, message))
end

function suite.test_misuse()
   for _, c in ipairs(all) do
      local fn = caller(c)
      check(c, fn, "no arguments")
      local n = select("#", c.arguments(calls.world()))
      for i = 1, n do
         for k = 1, ODD do
            local w = calls.world()
            local args = table.pack(c.arguments(w))
            args[i] = odd_values(w)[k][1]
            check(c, fn, ("argument %d is %s"):format(i, tostring(args[i])), table.unpack(args, 1, args.n))
         end
      end
   end
end

function suite.test_unknown_options_are_refused()
   for _, c in ipairs(all) do
      if c.takes_options then
         local args = table.pack(c.arguments(calls.world()))
         local last = args[args.n]
         local has = args.n > 1 and type(last) == "table" and not getmetatable(last) and #last == 0
         if not has then args.n = args.n + 1 end
         args[args.n] = has and last or {}
         args[args.n].nonsense = 1
         local ok, e = pcall(c.fn, table.unpack(args, 1, args.n))
         lu.assertFalse(ok, c.name)
         lu.assertTrue(core.is_error(e), c.name .. ": " .. tostring(e))
         lu.assertStrContains(e.message, "nonsense", c.name)
         lu.assertStrContains(e.message, "known: ", c.name)
      end
   end
   local t = calls.world().t
   support.raises("arg", 'did you mean "saturate"', t.cast, t, "F16", { saturat = true })
   support.raises("arg", 'did you mean "dtype"', st.zeros, { 2, 3, dtyp = "F16" })
   support.raises("arg", 'did you mean "keepdim"', t.sum, t, 1, { keep_dim = true })
   lu.assertEquals(st.zeros({ 2, 3, dtype = "F16" }):dtype(), "F16")
end

function suite.test_messages_name_the_argument()
   local t, m = calls.world().t, calls.world().model
   support.raises("arg", "sum: dim 3 is out of range: there are 2", t.sum, t, 3)
   support.raises("arg", "model: list must be a table, not the number 3", st.model, 3)
   support.raises("arg", "pad: t must be a tensor, not the string \"x\"", st.pad, "x", { 1, 1 })
   support.raises("arg", "select: it is a method of a model, not of a tensor", m.select, t, "a")
   support.raises("arg", "topk: element 9 in order was asked for, there are 3", t.topk, t, 9)
end

-- A callback's error is the user's: it comes as it was thrown.
function suite.test_errors_of_callbacks_are_left_alone()
   local m = calls.world().model
   local ok, e = pcall(m.rename, m, function() error({ mine = true }) end)
   lu.assertEquals({ ok, e }, { false, { mine = true } })
   ok, e = pcall(m.rename, m, function() local x = nil return x.y end)
   lu.assertFalse(ok)
   lu.assertStrContains(tostring(e), "test_catalogue.lua:")
end

support.run("catalogue", suite)
