--- Patterns on names: globs, plain texts, renamings.
local support = require "support"
local lu = require "luaunit"
local pattern = require "stlua.pattern"
local st = require "stlua"

local suite = {}

local function matches(glob, name) return pattern.compile(glob)(name) ~= nil end

function suite.test_matching()
   for _, case in ipairs {
      -- pattern, name, whether it matches
      { "norm", "model.layers.0.norm.weight", true }, { "norm", "model.nor.m", false },
      { "layers.1.", "layers.10.x", false }, { "layers.1.", "layers.1.x", true },
      { "*", "anything.at.all", true }, { "*", "", true },
      { "model.*.weight", "model.layers.0.norm.weight", true },       -- a star crosses dots
      { "model.*.weight", "model.weight", false },
      { "*.weight", "x.weight", true }, { "*.weight", "x.weight.1", false }, { "model.*", "xmodel.a", false },
      { "a?c", "abc", true }, { "a?c", "ac", false }, { "a?c", "a\u{e9}c", true }, { "a?c", "xabc", false },
      { "*a*a*a", "aaa", true }, { "*a*a*a", "aa", false }, { "*.bias", ".bias", true }, { "*b", "bab", true },
      { "a*?", "a", false }, { "a*?", "ab", true }, { "?*?", "ab", true }, { "**", "x", true },
      { "x.[0-9]", "x.[0-9]", true }, { "x.[0-9]", "x.1", false },    -- brackets are plain
      { "%a+", "%a+", true }, { "%a+", "abc", false }, { "^a", "ba", false }, { "^a", "b^a", true },
      { "a$", "a$b", true }, { "a$", "a", false },
      { "\\*", "a*b", true }, { "\\*", "ab", false }, { "a\\?*", "a?bc", true }, { "a\\?*", "abbc", false },
      { "\\\\", "a\\b", true }, { "a.*", "a.\0b", true }, { "\0", "x\0", true },
   } do
      lu.assertEquals(matches(case[1], case[2]), case[3], case[1] .. " on " .. case[2])
   end
end

function suite.test_a_hostile_pattern_is_linear()
   local start = os.clock()
   lu.assertFalse(matches(("a*"):rep(30) .. "b", ("a"):rep(60000)))
   lu.assertTrue(os.clock() - start < 0.5)
end

function suite.test_lists_and_functions()
   local test, unused = pattern.any { "a*", "zz", "b" }
   lu.assertTrue(test "abc")
   lu.assertTrue(test "xb")
   lu.assertFalse(test "q")
   lu.assertEquals(unused(), { "zz" })
   lu.assertTrue(pattern.any(function(name) return #name == 1 end)("x"))
   lu.assertFalse(pattern.any {}("x"))
end

function suite.test_renaming()
   for _, case in ipairs {
      { "model.*", "*", "model.a.b", "a.b" }, { "model.*", "*", "a.model", nil },
      { "*.attn.*.w", "x.*.y.*", "l0.attn.q.w", "x.l0.y.q" }, { "a*", "b", "aaa", "b" },
      { "first_stage_model.", "vae.", "first_stage_model.x", "vae.x" }, { "a", "bb", "a.a", "bb.bb" },
      { ".", "%", "a.b", "a%b" }, { "x*", "%1*", "xy", "%1y" }, { "x", "", "xyx", "y" }, { "a", "a\\*", "a", "a*" },
   } do
      lu.assertEquals(pattern.renamer(case[1], case[2])(case[3]), case[4], case[1] .. " to " .. case[2])
   end
   support.raises("arg", "the old one's `*`", pattern.renamer, "a*", "**")
   support.raises("arg", "the old one's `*`", pattern.renamer, "a", "*")
   support.raises("arg", "the old one's `*`", pattern.renamer, "a?", "b?")
end

function suite.test_wrong_patterns()
   support.raises("arg", "may not be empty", pattern.compile, "")
   support.raises("arg", "must be a string, not a number", pattern.compile, 1)
end

-- A list of misspellings is told in a moment and on a screen, each name once.
function suite.test_patterns_that_match_nothing()
   local m, wrong = st.model {}, {}
   for i = 1, 2000 do m:set(("model.layers.%d.weight"):format(i), st.zeros(1)) end
   for i = 1, 300 do wrong[i] = ("modle.layers.%d.wieght"):format(i) end
   local _, unused = pattern.any(wrong)
   local start = os.clock()
   local ok, e = pcall(pattern.check_used, unused, "f", { m, m }, "m")
   lu.assertFalse(ok)
   lu.assertTrue(os.clock() - start < 2)
   lu.assertStrContains(e.message,
      'f: no tensor of m matches "modle.layers.1.wieght"; did you mean "model.layers.1.weight"')
   lu.assertEquals(select(2, e.message:match("^[^\n]*"):gsub('"model.layers.1.weight"', "")), 1)
   lu.assertEquals(select(2, e.message:gsub("\n", "")), 5)
   lu.assertStrContains(e.message, "nor 295 more patterns")
   lu.assertNil(pattern.check_used({}, "f", { m }))
end

support.run("pattern", suite)
