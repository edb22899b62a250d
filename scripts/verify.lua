-- stlua verify: whether files are whole. Exit status 0: all are; 1: some are damaged; 2: some could not be looked at.
--
--    stlua verify model.safetensors.zst
--    stlua verify --json models/*/ | jq '.models[] | select(.ok | not)'

local cli = require "stlua.cli"
local core = require "stlua.core"
local errors = require "stlua.errors"
local st = require "stlua"

local function options(parser)
   parser:argument("files", "Models to check: files, indexes, or folders of one or of several."):args "+"
   parser:flag("--quick", "Do not look at the values, only at headers and checksums.")
   parser:flag("--json", "Print one JSON object.")
end

-- What programs get of one model.
local function as_json(result)
   for _, file in ipairs(result.files) do
      file.damaged = st.json.array(file.damaged)
   end
   return { path = result.path, ok = result.ok, files = st.json.array(result.files),
      problems = st.json.array(result.problems), nan = result.nan, inf = result.inf,
      values = st.json.array(result.values) }
end

-- Every model that the paths name: a folder or a pipeline of several stands for all in it.
local function models(paths)
   local list = {}
   for _, path in ipairs(paths) do
      local stat = core.stat(path)
      local folder = stat and stat.type == "dir" and require "stlua.info.folder"
      local names = folder and select(2, folder.look(path))
      for _, name in ipairs(names or {}) do list[#list + 1] = folder.join(path, name) end
      if not names then list[#list + 1] = path end
   end
   return list
end

local function run(args)
   local status, list = 0, {}
   for i, path in ipairs(models(args.files)) do
      local ok, result = pcall(cli.watch, st.verify, path, { values = not args.quick })
      if not ok then
         if not errors.is(result) or result.code == "cancelled" then error(result, 0) end
         status = 2
         list[i] = { path = path, ok = false, error = result.message }
         if not args.json then cli.complain(result.message) end
      else
         if not result.ok then status = math.max(status, 1) end
         list[i] = as_json(result)
         if not args.json then cli.write(tostring(result), "\n") end
      end
   end
   if args.json then cli.write(core.json_report { models = st.json.array(list) }, "\n") end
   return status
end

return cli.command({
   name = "verify", summary = "Check whether files are whole, and their values numbers.", options = options, run = run,
}, ...)
