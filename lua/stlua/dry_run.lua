--- `stlua merge --dry-run`: what would be written, whether there is room for it, and all that is wrong, told from the
-- headers of the inputs alone. Nothing is written.
-- Layer: Lua, above stlua.core.

local cli = require "stlua.cli"
local core = require "stlua.core"
local dtype = require "stlua.dtype"
local errors = require "stlua.errors"
local merge_job = require "stlua.merge_job"
local merging = require "stlua.merging"
local new_file = require "stlua.new_file"
local open = require "stlua.open"
local text = require "stlua.text"

local dry_run = {}

-- Runs fn; an error goes to the list. Returns its result, or nil.
local function attempt(problems, fn, ...)
   local ok, result = pcall(fn, ...)
   if ok then return result end
   if not errors.is(result) or result.code == "cancelled" then error(result, 0) end
   for _, known in ipairs(problems) do
      if known == result.message then return nil, result end
   end
   problems[#problems + 1] = result.message
   return nil, result
end

-- Bytes of the data, and the largest tensor in F32.
local function sizes(model, to)
   local total, largest = 0, 0
   for i = 1, model:count() do
      local t = model:tensor(i)
      local n, own = t:numel(), t:dtype()
      total = total + (to and dtype.is_float(own) and n * dtype.bits[to] // 8 or t:nbytes())
      largest = math.max(largest, 4 * n)
   end
   return total, largest
end

-- Bytes free where a path lies, by df; nil where it does not tell.
local function free_bytes(path)
   local folder = path:match("^(.*/)[^/]*$") or "."
   local pipe = io.popen(("df -Pk '%s' 2>/dev/null"):format(folder:gsub("'", "'\\''")))
   local out = pipe and pipe:read("a") or ""
   if pipe then pipe:close() end
   local blocks = out:match("\n[^\n]-%s+%d+%s+%d+%s+(%d+)%s+%d+%%")
   return blocks and tonumber(blocks) * 1024
end

--- Writes what there is to write and how much room there is for it.
-- @tparam string path of the target
-- @tparam integer bytes
-- @tparam string memory what it takes, in words
-- @treturn ?string what is wrong: too little room
function dry_run.room(path, bytes, memory)
   local free = free_bytes(path)
   cli.write(("to write %s, free %s; memory %s\n"):format(core.size(bytes), free and core.size(free) or "unknown",
      memory))
   if free and free < bytes then
      return ("%s needed, %s free: make room, or give -o on another disk"):format(core.size(bytes), core.size(free))
   end
   return nil
end

-- Every worker holds tiles; some methods hold a tensor several times over.
local function memory_need(job, largest)
   local tiles = (12 + 2 * core.threads()) * 1024 * 1024
   local held = job.method and merging.method(job.method).holds or 0
   return tiles + held * largest
end

--- What is wrong with the folder that a target is in, or nil.
-- @tparam string path
-- @tparam string shown the same for messages
function dry_run.place_problem(path, shown)
   local folder, kind = new_file.folder((path:gsub("(.)/+$", "%1")))
   if not kind then return ("%s: the folder %s does not exist: create it first"):format(shown, core.escape(folder)) end
   return kind ~= "dir" and ("%s: %s is no folder"):format(shown, core.escape(folder)) or nil
end

--- Why a target that is there is not replaced, or nil.
function dry_run.exists_problem(shown, args)
   if args.output and not args.no_replace then return nil end
   return ("%s exists: %s"):format(shown, args.output and "leave out --no-replace" or "give -o to replace it")
end

--- What is wrong with a target before a byte is written, in words; nil if nothing is seen.
-- @tparam string path
-- @tparam table args of the command line: output, no_replace, max_shard_size, align
-- @treturn ?string
function dry_run.target_problem(path, args)
   local shown, stat = core.escape(path), core.stat(path)
   local align = args.align and math.tointeger(args.align)
   if path == "" then return "-o is empty: give the name of a file" end
   local place = dry_run.place_problem(path, shown)
   if place then return place end
   if align and (align < 8 or align > 1048576 or align % 8 ~= 0) then
      return ("--align %d: a multiple of 8 up to 1048576 is expected"):format(align)
   end
   if not stat then return nil end
   if stat.type == "dir" and not args.max_shard_size then return shown .. ": this is a folder: name a file in it" end
   if stat.type ~= "dir" and args.max_shard_size then
      return shown .. ": this is no folder: shards are saved to a folder"
   end
   return dry_run.exists_problem(shown, args)
end

-- Whether models fit, where something else is wrong before that is seen: as a plain average of them would tell.
local function compare(job, opened, problems)
   local models, weights = {}, {}
   for i, m in pairs(opened) do
      if i ~= job.vae then models[#models + 1], weights[#weights + 1] = m, 1 end
   end
   if #models < 2 then return end
   attempt(problems, merge_job.build, { missing = job.missing, prune = job.prune, weights = weights }, models)
end

-- What one file would be.
local function describe(entry, opened, args, problems)
   problems[#problems + 1] = dry_run.target_problem(entry.path, args)
   local result, e = attempt(problems, merge_job.build, entry.job, opened)
   if not result then
      if e.code == "arg" then compare(entry.job, opened, problems) end
      return nil
   end
   local bytes, largest = sizes(result, args.dtype)
   cli.write(("%s: %s, %s\n"):format(core.escape(entry.path), text.plural(result:count(), "tensor"), core.size(bytes)))
   for _, note in ipairs(result:notes()) do cli.write("   note: ", note, "\n") end
   return bytes, memory_need(entry.job, largest)
end

--- Reports; throws when something is wrong.
-- @tparam {table,...} inputs { path = }
-- @tparam {table,...} entries { job =, path = }
-- @tparam table args of the command line
function dry_run.report(inputs, entries, args)
   local problems, opened, total, memory = {}, {}, 0, 0
   for i, input in ipairs(inputs) do
      opened[i] = attempt(problems, open.open, input.path)
      if opened[i] then
         cli.write(("%s: %s (%s)\n"):format(core.escape(input.path), text.plural(opened[i]:count(), "tensor"),
            cli.count_dtypes(opened[i])))
      end
   end
   if #problems > 0 then
      compare(entries[1].job, opened, problems)
      attempt(problems, merge_job.check_parameters, entries[1].job, #inputs)
   end
   if #problems == 0 then attempt(problems, merge_job.check_twice, inputs, opened) end
   for _, entry in ipairs(#problems == 0 and entries or {}) do
      local bytes, need = describe(entry, opened, args, problems)
      total, memory = total + (bytes or 0), math.max(memory, need or 0)
   end
   if #problems == 0 then
      for _, note in ipairs(merge_job.notes(entries[1].job, opened)) do cli.write("note: ", note, "\n") end
      problems[1] = dry_run.room(entries[1].path, total, "about " .. core.size(memory))
   end
   io.stdout:flush()
   if #problems > 0 then errors.throw("arg", "merge would fail: " .. table.concat(problems, "\n")) end
   cli.write("nothing was written (--dry-run)\n")
end

return dry_run
