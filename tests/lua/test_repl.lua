--- The prompt's engine without a terminal: evaluating, results, errors, who, completion, help.
local support = require "support"
local complete = require "stlua.repl.complete"
local core = require "stlua.core"
local doc = require "stlua.doc"
local loop = require "stlua.repl.loop"
local lu = require "luaunit"
local repl = require "stlua.repl"
local show = require "stlua.repl.show"

local suite = {}

-- An engine, and a function that gives what it printed since the last call: output, errors.
local function engine(opts)
   local out, err = {}, {}
   opts = opts or {}
   opts.write = function(s) out[#out + 1] = s end
   opts.write_error = function(s) err[#err + 1] = s end
   return repl.new(opts), function()
      local o, e = table.concat(out), table.concat(err)
      out, err = {}, {}
      return o, e
   end
end

-- Feeds lines; gives what the last one printed.
local function say(e, printed, ...)
   for _, line in ipairs { ... } do
      printed()
      e:line(line)
   end
   return printed()
end

local function sample(name)
   return (support.model(name, {
      { "lm_head.weight", "F32", { 2 }, { 1, 2 } },
      { "model.embed.weight", "F32", { 2 }, { 1, 2 } },
      { "model.layers.0.mlp.weight", "F32", { 2 }, { 1, 2 } },
      { "model.layers.2.mlp.weight", "F32", { 2 }, { 1, 2 } },
      { "model.layers.10.mlp.weight", "F32", { 2 }, { 1, 2 } },
      { "model.layers.10.norm", "F32", { 2 }, { 1, 2 } },
   }))
end

-- ---------------------------------------------------------------- evaluating

function suite.test_eval()
   local e = engine()
   for code, want in pairs {
      ["1 + 1"] = { "ok", 2 }, ["x = 1"] = { "ok" }, [""] = { "ok" }, ["  "] = { "ok" }, ["-- note"] = { "ok" },
      ["return 3"] = { "ok", 3 }, ["for i = 1, 2 do"] = { "incomplete" }, ["1 +"] = { "incomplete" },
      ["f("] = { "incomplete" }, ["x ="] = { "incomplete" }, ["[[a"] = { "incomplete" }, ["--[[a"] = { "incomplete" },
      ["local function f()"] = { "incomplete" }, ["1 1"] = { "error" }, ["'a"] = { "error" }, ["end"] = { "error" },
      ["error()"] = { "error" }, ["nil"] = { "ok", nil }, ["#'abc'"] = { "ok", 3 },
   } do
      local status, result = e:eval(code)
      lu.assertEquals(status, want[1], code)
      if want[2] ~= nil then lu.assertEquals(result[1], want[2], code) end
   end
end

function suite.test_all_results_are_printed()
   local e, printed = engine()
   lu.assertEquals(say(e, printed, "1, nil, 'a', nil"), "1\tnil\ta\tnil\n")
   lu.assertEquals(say(e, printed, "nil"), "nil\n")
   lu.assertEquals(say(e, printed, "(function() end)()"), "")
   lu.assertEquals(say(e, printed, "1, 2;"), "")
   lu.assertEquals(say(e, printed, "'a;'"), "a;\n")
   lu.assertEquals(say(e, printed, "3; -- quiet"), "")
   lu.assertEquals(say(e, printed, "'one\\ntwo', 3"), "one\ntwo\n3\n")
end

function suite.test_results_are_kept()
   local e, printed = engine()
   say(e, printed, "7, 8, 9")
   lu.assertEquals(say(e, printed, "_, _1, _2, _3"), "7\t7\t8\t9\n")
   lu.assertEquals(say(e, printed, "'only'", "x = 1", "_, _1, _2"), "only\tonly\tnil\n")
end

function suite.test_lines()
   local e, printed = engine()
   lu.assertEquals(e:line("for i = 1, 2 do"), "incomplete")
   lu.assertEquals(e:line(""), "incomplete")
   e:line("x = i")
   lu.assertEquals(e:line("end"), "ok")
   lu.assertEquals(say(e, printed, "x"), "2\n")
   e:line("f(")
   e:abandon()
   lu.assertEquals(say(e, printed, "x"), "2\n")
end

function suite.test_globals_of_the_prompt_are_its_own()
   local e, printed = engine()
   say(e, printed, "stlua_test_global = 1", "function stlua_test_function() end")
   lu.assertNil(rawget(_G, "stlua_test_global"))
   lu.assertNil(rawget(_G, "stlua_test_function"))
   lu.assertNil(rawget(_G, "st"))
   lu.assertEquals(say(e, printed, "print == require '_G'.print, st.version"), "true\t" .. core.version .. "\n")
end

function suite.test_errors()
   local e, printed = engine()
   local function message(...) return select(2, say(e, printed, ...)) end
   lu.assertEquals(message("error('no luck')"), "no luck\n")
   lu.assertEquals(message("x.y.z = 1"), "attempt to index a nil value (global 'x')\n")
   lu.assertEquals(message("st.open('/no/such/file')"), "/no/such/file: no such file or folder\n")
   lu.assertEquals(message("error { code = 1 }"), "{ code = 1 }\n")
   lu.assertEquals(message("error(nil)"), "error(nil)\n")
   lu.assertEquals(message("do", "error 'there'", "end"), "stdin:2: there\n")
   lu.assertEquals(message("error(setmetatable({}, { __tostring = function() error 'twice' end }))"),
      "(table whose __tostring fails: stdin:1: twice)\n")
   lu.assertStrContains(message("1 1"), "near '1'")
   e, printed = engine { color = true, trace = true }
   lu.assertStrContains(message("error('no luck')"), "\27[31mno luck\27[0m\nstack traceback:")
end

-- Lines of a script can be pasted: what they call local is there for the next line.
function suite.test_a_local_stays()
   local e, printed = engine()
   say(e, printed, "local x = 1", "local a, b = 2, 3", "local function f(v) return v + x end", "local nothing",
      "local st = require 'stlua'", "  local late =", "4")
   lu.assertEquals(say(e, printed, "x, a, b, f(1), nothing, late"), "1\t2\t3\t2\tnil\t4\n")
   lu.assertNil(rawget(_G, "x"))
   lu.assertEquals(say(e, printed, "do local x = 5 end", "x"), "1\n")
   lu.assertEquals(say(e, printed, "local t = {}", "function t.f() local x = 6 return x end", "t.f(), x"), "6\t1\n")
end

function suite.test_a_constant_lasts_for_its_line()
   local e, printed = engine()
   lu.assertStrContains(select(2, say(e, printed, "local x <const> = 1")), "without `local`")
   lu.assertEquals(select(2, say(e, printed, "local x <const> = 1")), "")
end

function suite.test_an_equals_sign_in_front_prints()
   local e, printed = engine()
   lu.assertEquals(say(e, printed, "= 1 + 1"), "2\n")
end

function suite.test_a_long_error_is_cut()
   local e, printed = engine()
   e.env.m = sample("long.safetensors")
   e.env.long = table.concat({ "first", ("line\n"):rep(40), "last" }, "\n")
   local _, message = say(e, printed, "error(long)")
   lu.assertEquals(select(2, message:gsub("\n", "")), 13)
   lu.assertStrContains(message, "... 31 more lines")
   lu.assertEquals(select(2, say(e, printed, "error('a\\nb')")), "a\nb\n")
end

function suite.test_hints()
   local e, printed = engine()
   e.env.m = sample("hints.safetensors")
   e.env.t = e.env.m["lm_head.weight"]
   local function message(line) return select(2, say(e, printed, line)) end
   for line, want in pairs {
      ["t:shap()"] = 'did you mean "shape"', ["st.lepr(1)"] = 'did you mean "lerp"',
      ["prin(1)"] = 'did you mean "print"', ["m:keys()"] = "here it is for name in pairs(m)",
      ["m['lm_haed.weight']:shape()"] = 'did you mean "lm_head.weight"',
      ["len(t)"] = "here it is #value", ["tt:shape()"] = 'did you mean "st" or "t"?',
   } do
      lu.assertStrContains(message(line), want)
   end
   lu.assertEquals(message("zzzzzz.y = 1"), "attempt to index a nil value (global 'zzzzzz')\n")
   lu.assertEquals(message("zzzzzz.y"), "attempt to index a nil value (global 'zzzzzz')\n")
   e.env.m:close()
   lu.assertStrContains(message("m2:shape()"), "global 'm2'")
end

function suite.test_functions_are_shown_as_they_are_called()
   local e, printed = engine()
   lu.assertEquals(say(e, printed, "st.lerp"), "function st.lerp(a, b, t)\n")
   lu.assertEquals(say(e, printed, "{ st.lerp }"), "{ function st.lerp(a, b, t) }\n")
   lu.assertStrMatches(say(e, printed, "print"), "function: .*\n")
   lu.assertStrMatches(say(e, printed, "function() end"), "function: .*\n")
end

function suite.test_a_slow_line_tells_its_time()
   local e, printed = engine()
   say(e, printed, "clock = require('stlua.core').clock", "t = clock()")
   lu.assertStrMatches(select(2, say(e, printed, "while clock() - t < 0.3 do end")), "[%d.]+ m?s\n")
   lu.assertEquals(select(2, say(e, printed, "1")), "")
   lu.assertEquals(show.time(1.84, 8464000000), "1.84 s  4.6 GB/s")
   lu.assertEquals(show.time(0.1204, 1000), "120 ms")
   lu.assertEquals(show.time(75.5, 0), "1:15 min")
end

function suite.test_an_interrupt_is_answered()
   local e, printed = engine()
   local _, message = say(e, printed, "error(require('stlua.core').error('cancelled', 'interrupted'))")
   lu.assertEquals(message, "interrupted\n")
   lu.assertFalse(core.cancelled())
end

-- ---------------------------------------------------------------- showing

function suite.test_tables()
   local loops = { name = "a" }
   loops.self = loops
   lu.assertEquals(show.value { 1, "two", x = true, ["a b"] = { 1 }, ["end"] = 2 },
      '{ 1, "two", ["a b"] = { 1 }, ["end"] = 2, x = true }')
   lu.assertEquals(show.value(loops), '{ name = "a", self = { (itself) } }')
   lu.assertEquals(show.value { { { { 1 } } } }, "{ { { { ... } } } }")
   lu.assertEquals(show.value {}, "{}")
   local many = {}
   for i = 1, 100 do many[i] = i end
   lu.assertStrContains(show.value(many), "... 70 more")
   lu.assertEquals(show.value(setmetatable({}, { __index = error, __pairs = error, __len = error })), "{}")
   lu.assertStrContains(show.value { t = support.tensor("F32", { 2, 3 }, { 1, 2, 3, 4, 5, 6 }) },
      "{ t = Tensor[2x3 F32, 24 B] }")
end

function suite.test_texts_cannot_command_the_terminal()
   lu.assertEquals(show.value "a\27[31m\tb\n\7", "a\\x1B[31m\tb\n\\x07")
   lu.assertEquals(show.value { "\27\n" }, '{ "\\x1B\\n" }')
   lu.assertEquals(show.value "\u{9B}31m", "\\u{9B}31m")
end

-- ---------------------------------------------------------------- who

function suite.test_who()
   local e, printed = engine()
   lu.assertEquals(say(e, printed, "who()"), "no globals yet\n")
   e.env.m = sample("who.safetensors")
   local out = say(e, printed, "t = m['lm_head.weight']", "n = 3", "list = { 1, 2 }", "who()")
   lu.assertEquals(out, [[
name  kind     size  dtype  shape
list  table                 2 entries
m     model    48 B  6 F32  6 tensors
n     integer
t     tensor    8 B  F32    [2]
]])
   lu.assertEquals(e.env.who()[4].bytes, 8)
   e.env.m:close()
   lu.assertStrContains(say(e, printed, "who()"), "m     closed")
end

function suite.test_who_knows_what_a_script_left()
   local ignore = repl.globals()
   _G.stlua_left = 1
   local e, printed = engine { ignore = ignore }
   lu.assertStrContains(say(e, printed, "who()"), "stlua_left  integer")
   _G.stlua_left = nil
end

-- ---------------------------------------------------------------- completion

-- Candidates for a line, joined; "|" in the line is the cursor.
local function candidates(e, line)
   local cursor = line:find("|", 1, true)
   local list, first, suffix = e:complete((line:gsub("|", "")), cursor and cursor - 1)
   return table.concat(list, " "), first, suffix
end

function suite.test_late_errors_name_the_line_that_built()
   local e = engine()
   e.env.built = load("local x = st.ones(2, 2):inverse() return x", "=script.lua", "t", e.env)()
   local status, result = e:eval("built:force()")
   lu.assertEquals(status, "error")
   lu.assertStrMatches(result.message, "inverse: matrix 1 is singular .*%(built at script.lua:1%)")
end

function suite.test_completes_names()
   local e = engine()
   e.env.apple, e.env.t = 1, { one = 1, other = print, ["not a name"] = 2 }
   lu.assertEquals(candidates(e, "appl"), "apple")
   lu.assertEquals(candidates(e, "print(appl|) + 1"), "apple")
   lu.assertEquals(candidates(e, "retu"), "return")
   lu.assertEquals(candidates(e, "x = st.ler"), "lerp")
   lu.assertEquals(candidates(e, "t."), "one other")
   lu.assertEquals(candidates(e, "t:"), "other")
   lu.assertEquals(candidates(e, "string.for"), "format")
   lu.assertEquals(candidates(e, "('x'):rep"), "")
   lu.assertEquals(candidates(e, "_G.t"):match("%f[%w]table%f[%W]"), "table")
   e.env.t1 = e.env.t
   lu.assertEquals(candidates(e, "t1."), "one other")
   lu.assertEquals(candidates(e, "1."), "")
   lu.assertEquals(candidates(e, "a.."), "")
   lu.assertEquals(candidates(e, "-- appl"), "")
   lu.assertEquals(candidates(e, "[[ appl"), "")
   lu.assertEquals(candidates(e, "?st.ler"), "lerp")
   lu.assertEquals(candidates(e, "nothing.here."), "")
end

function suite.test_completes_methods()
   local e = engine()
   e.env.m = sample("methods.safetensors")
   lu.assertEquals(candidates(e, "m:sel"), "select")
   lu.assertEquals(candidates(e, "m['lm_head.weight']:num"), "numel")
   lu.assertEquals(candidates(e, "st.open('x'):sel"), "select")
   lu.assertEquals(candidates(e, "m:select('a'):cas"), "cast")
   lu.assertEquals(candidates(e, "m['no such'].x"), "")
   e.env.t = e.env.m["lm_head.weight"]
   lu.assertEquals(candidates(e, "t:ad"):match("%S+ %S+"), "add add_")
   lu.assertNil((" " .. candidates(e, "t:") .. " "):find(" add_ ", 1, true))      -- twins would fill the screen
   lu.assertNil((" " .. candidates(e, "m:")):find(" _", 1, true))
end

function suite.test_completes_dtypes()
   local e = engine()
   e.env.m = sample("dtypes.safetensors")
   lu.assertEquals(candidates(e, 'm:cast("BF'), "BF16")
   lu.assertEquals(candidates(e, "m['lm_head.weight']:cast('bf"), "bf16")
   lu.assertEquals(candidates(e, 'st.zeros(2, { dtype = "F8_E4M3F'), "F8_E4M3FNUZ")
   lu.assertEquals({ candidates(e, 'm:cast "I3') }, { "I32", 9, '"' })
end

function suite.test_completes_tensor_names()
   local e = engine()
   e.env.m = sample("names.safetensors")
   lu.assertEquals({ candidates(e, 'm["') }, { "lm_head. model.", 4, '"]' })
   lu.assertEquals(candidates(e, 'm["mo'), "model.embed. model.layers.")
   lu.assertEquals(candidates(e, 'm["model.layers.'), "model.layers.0. model.layers.2. model.layers.10.")
   lu.assertEquals(candidates(e, "m['model.layers.10."), "model.layers.10.mlp. model.layers.10.norm")
   lu.assertEquals({ candidates(e, 'x = m:get("lm') }, { "lm_head.weight", 12, '"' })
   lu.assertEquals(candidates(e, 'm:select("lm_head.weight", "model.emb'), "model.embed.weight")
   lu.assertEquals(candidates(e, 'm["lm_head.weight"]:cast("mo'), "")
   lu.assertEquals(candidates(e, 'm["\\'), "")
   lu.assertEquals(candidates(e, 'm["no such'), "")
end

function suite.test_completes_keys_and_files()
   local e = engine()
   e.env.t = { ["with blank"] = 1, plain = 2 }
   lu.assertEquals(candidates(e, "t['wi"), "with blank")
   support.shell("mkdir -p @/dir/folder && touch @/dir/b.safetensors @/dir/a.txt @/dir/.hidden")
   local dir = support.path("dir/")
   lu.assertEquals({ candidates(e, 'st.open("' .. dir) },
      { ("%sfolder/ %sb.safetensors %sa.txt"):format(dir, dir, dir), 10, '"' })
   lu.assertEquals(candidates(e, "'" .. dir .. "b"), dir .. "b.safetensors")
   lu.assertEquals(candidates(e, "'" .. dir .. "."), dir .. ".hidden")
   lu.assertEquals(candidates(e, "'/no/such/folder/"), "")
   e.env.m = sample("save.safetensors")
   lu.assertEquals(candidates(e, 'm:save("' .. dir .. "b"), dir .. "b.safetensors")
end

function suite.test_completes_options()
   local e = engine()
   e.env.m = sample("options.safetensors")
   lu.assertEquals({ candidates(e, 'm:cast("F16", { o') }, { "only", 17, " = " })
   lu.assertEquals(candidates(e, 'm:save("x", { sync = false, dt'), "dtype")
   lu.assertEquals(candidates(e, 'st.open("x", {'), "base component key skip tensors_only variant")
   lu.assertEquals(candidates(engine(), "st.zeros(2, { "), "dtype")
   e.env.t = e.env.m["lm_head.weight"]
   lu.assertEquals(candidates(e, "t:sum(1, { k"), "keepdim")
   lu.assertEquals(candidates(e, 'st.open("x", { component = prin'), "print")
end

function suite.test_runs_no_code()
   local e = engine()
   local function fail() error "was run" end
   local trap = setmetatable({ seen = 1 }, { __index = fail, __len = fail, __pairs = fail, __call = fail,
      __tostring = fail, __newindex = fail, __eq = fail, __name = "trap" })
   e.env.trap, e.env.inner = trap, { trap = trap }
   e.env.odd = setmetatable({}, { __complete = fail })
   e.env.run = fail
   for _, line in ipairs { "trap.", "trap:", "trap.s", "trap.no.x", 'trap["', "trap['no'].", "inner.trap.no.", "run().",
      "trap().", 'odd["', "odd.",
      "trap(", "trap(1, {", 'trap:x("', "?trap.x" } do
      local ok, e2 = pcall(e.complete, e, line)
      lu.assertTrue(ok, line .. ": " .. tostring(e2))
   end
   lu.assertEquals(candidates(e, "trap."), "seen")
   lu.assertEquals(candidates(e, "?trap."), "seen")
   e:eval("?trap.x.y")
end

function suite.test_values_offer_names()
   local e = engine()
   e.env.v = setmetatable({}, { __complete = function() return { "a.b", "a.c", 'quo"te', "d" } end })
   lu.assertEquals(candidates(e, 'v["'), "a. d")
   lu.assertEquals(candidates(e, 'v["a'), "a.b a.c")
end

function suite.test_completion_survives_odd_lines()
   local e = engine()
   e.env.m = sample("odd.safetensors")
   local pieces = { "m", '"', "'", "[", "]", "(", ")", "{", "}", ".", ":", "\\", " ", "st", ",", "model", "[[", "--",
      "=", "\0", "\xff", "1" }
   math.randomseed(7)
   for _ = 1, 3000 do
      local line = {}
      for i = 1, math.random(12) do line[i] = pieces[math.random(#pieces)] end
      local s = table.concat(line)
      local list, first = e:complete(s)
      lu.assertTrue(first >= 1 and first <= #s + 1, s)
      for _, name in ipairs(list) do lu.assertEquals(name:sub(1, #s - first + 1), s:sub(first), s) end
   end
end

function suite.test_what_tab_does()
   lu.assertEquals({ complete.action({ "select" }, "se", "") }, { "lect", {} })
   lu.assertEquals({ complete.action({ "model.a" }, "mo", '"]') }, { 'del.a"]', {} })
   lu.assertEquals({ complete.action({ "model." }, "mo", '"]') }, { "del.", {} })
   lu.assertEquals({ complete.action({ "a.one", "a.ones" }, "a.", "") }, { "one", {} })
   lu.assertEquals({ complete.action({ "a.x", "a.y" }, "a.", "") }, { "", { "x", "y" } })
   lu.assertEquals({ complete.action({ "\u{E4}", "\u{F6}" }, "", "") }, { "", { "\u{E4}", "\u{F6}" } })
   lu.assertEquals({ complete.action({}, "a.", "") }, { "", {} })
   lu.assertEquals(loop.layout({ "a", "bb", "c", "d", "e" }, 10), "a   d\nbb  e\nc")
   local many = {}
   for i = 1, 1000 do many[i] = "n" .. i end
   lu.assertStrContains(loop.layout(many, 80), "... 800 more")
end

-- ---------------------------------------------------------------- help

function suite.test_help()
   local e, printed = engine()
   e.env.m = sample("help.safetensors")
   e.env.t = e.env.m["lm_head.weight"]
   local function help(question) return (say(e, printed, question)) end
   lu.assertStrContains(help "?", "?st.lerp")
   lu.assertStrContains(help "?st.lerp", "st.lerp(a, b, t)\n  Linear interpolation")
   lu.assertEquals(help "?lerp", help "?st.lerp")
   lu.assertEquals(help "?st.lerp()", help "?st.lerp")
   lu.assertEquals(help "?st.lerp(m, m", help "?st.lerp")
   lu.assertEquals(help "?m:select('x')", help "?m:select")
   lu.assertEquals(help "help", help "?")
   lu.assertEquals(help "help()", help "?")
   lu.assertStrContains(help "?st.lerp", "\n    a, b: ")
   lu.assertStrContains(help "?m.select", "Model:select(...)")
   lu.assertEquals(help "?Model.select", help "?m:select")
   lu.assertStrContains(help "?t.item", "in PyTorch: Tensor.item")
   lu.assertStrContains(help "?m", "Model:save(path, [opts])")
   lu.assertStrContains(help "?Tensor", "Tensor:shape()")
   lu.assertStrContains(help "??interpol", "st.lerp(a, b, t)")
   lu.assertStrContains(help "??torch.where", "st.where(mask, a, b)")
   lu.assertStrContains(help "??xyzzy", "nothing in the help texts")
   lu.assertStrContains(help "?st.lrep", 'did you mean "st.lerp"')
   lu.assertStrContains(help "?who", "globals")
   lu.assertNil(e.env._)
   lu.assertStrContains(help "?st.arange", "\n\n    > st.arange(3)\n    Tensor[3 I64, 24 B]\n      0  1  2\n")
end

function suite.test_help_on_a_function_of_the_user()
   support.write(support.path("own.lua"), "--- Doubles.\n-- @tparam number x\nfunction own(x) return 2 * x end\n")
   local e, printed = engine()
   loadfile(support.path("own.lua"), "t", e.env)()
   lu.assertStrContains(say(e, printed, "?own"), "own(x)\n  Doubles.")
end

function suite.test_everything_public_is_documented()
   for _, item in ipairs(doc.catalogue()) do lu.assertNotNil(item.entry, item.name .. " has no text") end
end

function suite.test_comments()
   local list = doc.parse [[
--- Adds. It is
-- quick.
--
--     > 1 + 1
--     2
-- @tparam number a the first
--   of two
-- @tparam[opt=1] ?integer b
-- @param c, d more
-- @treturn {number,...} sum
-- @raise "arg"
-- @torch torch.add
local function add(a, b, c, d) end

   --- Its name.
   name = "x",
--- Method.
function M:go(...) end
--- Elsewhere.
-- @function st.far
-- @treturn string]]
   lu.assertEquals(#list, 4)
   local add = list[1]
   lu.assertEquals({ add.name, add.args, add.line, add.summary, add.text, add.torch.text, add.raise.text },
      { "add", "a, b, c, d", 13, "Adds.", "Adds. It is\nquick.", "torch.add", '"arg"' })
   lu.assertEquals(add.example, "> 1 + 1\n2")
   lu.assertEquals(add.params[1], { name = "a", type = "number", text = "the first of two", optional = false })
   lu.assertEquals(add.params[2], { name = "b", type = "integer", text = "", optional = true, default = "1" })
   lu.assertEquals({ add.params[3].name, add.params[4].name, add.params[4].text }, { "c", "d", "more" })
   lu.assertEquals(add.returns, { { type = "{number,...}", text = "sum" } })
   lu.assertEquals(doc.signature("add", add), "add(a, [b], c, d)")
   lu.assertEquals({ list[2].name, list[3].name, list[3].args, list[4].name }, { "name", "M:go", "...", "st.far" })
end

support.run("repl", suite)
