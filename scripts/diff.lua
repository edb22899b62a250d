-- stlua diff: where two models differ, and how much.
--
--    stlua diff a.safetensors b.safetensors --only '*attn*'
--    stlua diff a.safetensors b.safetensors --html report.html

local cli = require "stlua.cli"
local st = require "stlua"

local function options(parser)
   parser:argument("a", "The first model: a file, a folder or an index.")
   parser:argument("b", "The second.")
   parser:option("--only", "Compare only tensors of these names (may be repeated)."):argname("<pattern>"):count "*"
   parser:flag("--all", "List all tensors that differ, not the 20 that differ most.")
   parser:flag("--ignore-metadata", "Let models with the same tensors count as the same.")
   parser:flag("--json", "Print one JSON object.")
   parser:option("--html", "Write a report to look at in a browser: one page, with all in it."):argname("<file>")
   parser:epilog("Exit status: 0 where nothing differs, 1 where something does, 2 for trouble.")
end

local PREVIEW = 1 << 20      -- lines of a table that has no limit

local function show(d, args)
   local labels = cli.labels { args.a, args.b }
   cli.write(("%s and %s\n"):format(labels[1], labels[2]))
   cli.write(require("stlua.diff_text").summary(d, args.all and PREVIEW or nil, true), "\n")
end

local function run(args)
   if args.html then require("stlua.html").check(args.html) end
   local a, b = st.open(args.a), st.open(args.b)
   local d = cli.counting("compare", function(progress)
      return st.diff(a, b, { only = #args.only > 0 and args.only or nil, progress = progress })
   end)
   if args.json then
      cli.write(require("stlua.diff_json").encode(d, args.a, args.b), "\n")
   else
      show(d, args)
   end
   if args.html then
      require("stlua.html").write(args.html, require("stlua.html.report").diff(d, a, b, { args.a, args.b }))
   end
   return (args.ignore_metadata and d.same_tensors or d.same) and 0 or 1
end

return cli.command({
   name = "diff", summary = "Show where two models differ, and how much.", options = options, run = run, trouble = 2,
}, ...)
