--- stlua.core: JSON, read strictly and written exactly.
local support = require "core_support"
local lu, core, fails = support.lu, support.core, support.fails
local decode, encode = core.json_decode, core.json_encode

local suite = {}

function suite.test_values()
   lu.assertEquals(decode '{"a":[1,2.5,-3e2,true,false],"b":{"c":"x"}}',
      { a = { 1, 2.5, -300, true, false }, b = { c = "x" } })
   lu.assertIs(decode "null", core.null)
   lu.assertEquals(decode ' \t\r\n"x" ', "x")
   lu.assertEquals(decode '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00"', '"\\/\b\f\n\r\té😀')
   lu.assertEquals(decode '"é😀\u{7f}\u{10ffff}"', "é😀\u{7f}\u{10ffff}")
   lu.assertEquals(decode "[]", {})
   lu.assertEquals(decode '{"":1}', { [""] = 1 })
   lu.assertEquals(decode '{"A":1,"a":2}', { A = 1, a = 2 })
end

function suite.test_numbers()
   for text, value in pairs {
      ["9007199254740991"] = 9007199254740991, ["-9007199254740991"] = -9007199254740991, ["0"] = 0, ["-0"] = 0,
      ["1e3"] = 1000, ["1.0"] = 1,
   } do
      local v = decode(text)
      lu.assertEquals(v, value)
      if text ~= "-0" then lu.assertEquals(math.type(v), "integer", text) end
   end
   for text, value in pairs { ["0.1"] = 0.1, ["1e300"] = 1e300, ["5e-324"] = 5e-324, ["1.5"] = 1.5, ["1e16"] = 1e16 } do
      lu.assertEquals(decode(text), value)
      lu.assertEquals(math.type(decode(text)), "float", text)
   end
   for _, text in ipairs { "9007199254740992", "-9007199254740992", "18446744073709551615", ("9"):rep(50) } do
      fails("format", "2^53", decode, text)
   end
   fails("format", "too large for a double", decode, "1e999")
   fails("format", "more than 60 characters", decode, "0." .. ("1"):rep(80))
end

--- Text -> what the message says, with its place.
local refused = {
   [""] = "line 1, column 1: a value expected",
   [" \n "] = "line 2, column 2: a value expected",
   ["{"] = "key in quotes",
   ["["] = "a value expected",
   ["[1"] = "line 1, column 1: the array does not end",
   ['{"a":1'] = "the object does not end",
   ['{"a"}'] = "':' expected",
   ['{"a":1,}'] = "key in quotes",
   ["{a:1}"] = "key in quotes",
   ["[1,]"] = "a value expected",
   ["[1 2]"] = "',' or ']' expected",
   ['{"a":1 "b":2}'] = "',' or '}' expected",
   ["1 2"] = "something follows",
   ["[1]x"] = "something follows",
   ["[1]\0"] = "something follows",
   ["\u{feff}1"] = "byte order mark",
   ["01"] = "leading zero",
   ["-01"] = "leading zero",
   ["1."] = "a digit is missing",
   ["-"] = "a digit is missing",
   ["1e"] = "a digit is missing",
   ["+1"] = "a value expected",
   [".5"] = "a value expected",
   ["NaN"] = "a value expected",
   ["Infinity"] = "a value expected",
   ["nul"] = "a value expected",
   ["True"] = "a value expected",
   ["'a'"] = "a value expected",
   ["// x\n1"] = "a value expected",
   ['"a'] = "the string does not end",
   ['"\\'] = "unknown escape",
   ['"\\x"'] = "unknown escape",
   ['"\\u12"'] = "four hexadecimal digits",
   ['"\\u0000"'] = "\\u0000 is not supported",
   ['{"\\u0000a":1}'] = "\\u0000 is not supported",
   ['"\\ud800"'] = "half a surrogate pair",
   ['"\\udc00"'] = "half a surrogate pair",
   ['"\\ud800\\u0041"'] = "half a surrogate pair",
   ['"a\nb"'] = "control character",
   ['"a\0b"'] = "control character",
   ['"\x80"'] = "invalid UTF-8",
   ['"\xc0\x80"'] = "invalid UTF-8",
   ['"\xed\xa0\x80"'] = "invalid UTF-8",
   ['"\xf4\x90\x80\x80"'] = "invalid UTF-8",
   ['"\xe2\x82"'] = "invalid UTF-8",
   ['{"a":1,"a":2}'] = 'the key "a" is there twice',
   ['{"a":null,"a":2}'] = 'the key "a" is there twice',
   ['{"a":1,"\\u0061":2}'] = 'the key "a" is there twice',
   ['{\n  "a": 1,\n  "b": tru\n}'] = "line 3, column 8: a value expected",
}

function suite.test_what_is_refused()
   for text, part in pairs(refused) do fails("format", part, decode, text) end
   fails("arg", "string expected, got table", decode, {})
   fails("arg", "too many arguments", decode, "1", 2)
end

function suite.test_every_cut_of_a_text_is_refused()
   local text = '{"a":[1.5e+3,"\\ud83d\\ude00é",null,{"b":{}}],"c":false}'
   decode(text)
   for n = 0, #text - 1 do fails("format", "JSON, line 1", decode, text:sub(1, n)) end
end

function suite.test_random_bytes_do_no_harm()
   local text = '{"a":[1.5e+3,"\\ud83d\\ude00é",null,{"b":{}}],"c":false}'
   math.randomseed(1)
   for _ = 1, 5000 do
      local at = math.random(#text)
      local changed = text:sub(1, at - 1) .. string.char(math.random(0, 255)) .. text:sub(at + math.random(0, 2))
      local ok, v = pcall(decode, changed)
      if ok then lu.assertEquals(decode(encode(v)), v) else lu.assertTrue(core.is_error(v)) end
   end
end

function suite.test_limits()
   lu.assertEquals(decode(("["):rep(64) .. ("]"):rep(64)), decode(("[ "):rep(64) .. ("]"):rep(64)))
   fails("limit", "more than 64 deep", decode, ("["):rep(65) .. ("]"):rep(65))
   fails("limit", "more than 64 deep", decode, ("["):rep(1000000))
   fails("limit", "more than 64 deep", decode, ('{"a":'):rep(1000000))
   fails("limit", "64 MiB", decode, (" "):rep((64 << 20) + 1))
   fails("limit", "4,000,000 values", decode, "[" .. ("1,"):rep(4000000) .. "1]")
end

function suite.test_writing()
   lu.assertEquals(encode { b = 1, a = { 1, 2.5, true, "x" }, ["B"] = core.null },
      '{"B":null,"a":[1,2.5,true,"x"],"b":1}')
   lu.assertEquals(encode(nil), "null")
   lu.assertEquals(encode {}, "{}")
   lu.assertEquals(encode(core.array {}), "[]")
   lu.assertEquals(encode(core.array()), "[]")
   lu.assertEquals(encode(decode "[[],{}]"), "[[],{}]")
   lu.assertEquals(encode 'a"\\\n\t\1/é', '"a\\"\\\\\\n\\t\\u0001/é"')
   lu.assertEquals(encode({ a = { 1, {} }, b = core.array() }, { indent = 2 }),
      '{\n  "a": [\n    1,\n    {}\n  ],\n  "b": []\n}')
end

function suite.test_numbers_survive()
   for _, v in ipairs { 0.1, 0.1 + 0.2, 1 / 3, 1e300, 5e-324, 2.0 ^ 53, -0.5, 9007199254740991, math.pi } do
      local text = encode(v)
      lu.assertEquals(tonumber(text), v)
      lu.assertEquals(decode(text), v)
   end
   lu.assertEquals(encode(1.0), "1.0")
   lu.assertEquals(encode(1), "1")
   lu.assertEquals(encode(0.1), "0.1")
   fails("limit", "cannot be written", encode, 1 << 53)
   fails("arg", "no infinity and no NaN", encode, { 1 / 0 })
   fails("arg", "no infinity and no NaN", encode, 0 / 0)
end

function suite.test_what_cannot_be_written()
   fails("arg", "holes", encode, { 1, nil, 3 })
   fails("arg", "holes", encode, { 1, a = 2 })
   fails("arg", "holes", encode, core.array { a = 1 })
   fails("arg", "not strings", encode, { [1.5] = 1 })
   fails("arg", "not strings", encode, { [true] = 1 })
   fails("format", "NUL or invalid UTF-8 at byte 2", encode, "a\0")
   fails("format", "invalid UTF-8 at byte 1", encode, { ["\xff"] = 1 })
   fails("arg", "a function cannot", encode, print)
   fails("arg", "a userdata cannot", encode, core.model())
   fails("arg", "value expected", encode)
   fails("arg", 'unknown option "ident"; did you mean "indent"? (known: indent)', encode, 1, { ident = 1 })
   fails("arg", "from 0 to 16", encode, 1, { indent = 17 })
   local loop = {}
   loop[1] = loop
   fails("limit", "holds itself", encode, loop)
end

-- Reports hold whatever files do, and are safe on a terminal.
function suite.test_reports()
   local report = core.json_report
   lu.assertEquals(report "a\0b\xff\xe2\x82", [["a\u0000b\ufffd\ufffd\ufffd"]])
   lu.assertEquals(report { ["\xff"] = 1 }, [[{"\ufffd":1}]])
   for text, want in pairs { ["\u{9b}31m"] = [["\u009b31m"]], ["\u{202e}x"] = [["\u202ex"]],
      ["\u{2066}"] = [["\u2066"]], ["\x7f"] = [["\u007f"]], ["\u{e9}\u{1f600}"] = '"\u{e9}\u{1f600}"',
      ["\27[2J\b"] = [["\u001b[2J\b"]] } do
      lu.assertEquals(report(text), want)
      lu.assertEquals(encode(text), want)
      lu.assertEquals(core.json_decode(want), text)
   end
end

function suite.test_many_keys_are_sorted()
   local t, keys = {}, {}
   for i = 1, 3000 do
      local k = tostring(i * 7919 % 3001)
      t[k], keys[i] = i, k
   end
   table.sort(keys)
   local i = 0
   for k in encode(t):gmatch '"(%d+)":' do
      i = i + 1
      lu.assertEquals(k, keys[i])
   end
   lu.assertEquals(i, 3000)
end

support.run("core_json", suite)
