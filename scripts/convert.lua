-- stlua convert: PyTorch checkpoints, NumPy archives and GGUF as safetensors; safetensors as .npz.
--
--    stlua convert model.ckpt -o model.safetensors
--    stlua convert model.safetensors -o model.npz
--
-- Nothing that a checkpoint names is imported or run.

local cli = require "stlua.cli"
local errors = require "stlua.errors"
local foreign = require "stlua.foreign"
local st = require "stlua"
local text = require "stlua.text"

local SHARDS = "5GB"      -- of a model that came in shards

local function options(parser)
   parser:argument("model", "Model to convert: a .ckpt, .pt, .pth, .bin, .npz, .gguf or .safetensors file, a folder "
      .. "or an index.")
   parser:flag("--tensors-only", "Take the tensors of a checkpoint that would run something dangerous in Python.")
   parser:flag("--skip", "Leave out tensors that cannot be had, such as complex128 or unknown quantised types.")
   parser:option("--key", "Take this part of a checkpoint, such as state_dict; '' takes all of it under dotted names.")
      :argname("<key>")
   parser:flag("--keep-tied", "Write tied tensors under each of their names (default: once, as safetensors does).")
   cli.output_options(parser)
end

-- What the user should know of the file: at most a few lines of each kind.
local function tell(model)
   local shown = { taken = 1, left = 8, danger = 8, skipped = 8, decoded = 8, untold = 4 }
   for _, kind in ipairs { "taken", "left", "danger", "skipped", "decoded", "untold" } do
      local list = foreign.of_kind(model, kind)
      for i = 1, math.min(#list, shown[kind]) do cli.note(("%s: %s"):format(foreign.titles[kind], list[i])) end
      if #list > shown[kind] then
         cli.note(("%s: and %d more (stlua info lists them)"):format(foreign.titles[kind], #list - shown[kind]))
      end
   end
end

local function without_ties(model)
   local out, kept, count = foreign.untied(model)
   local names = {}
   for name in pairs(kept) do names[#names + 1] = name end
   table.sort(names)
   for i = 1, math.min(#names, 4) do
      cli.note(("tied: %s is %s, written once"):format(cli.escape(names[i]), cli.escape(kept[names[i]])))
   end
   if count > 4 then cli.note(("tied: and %d more"):format(count - 4)) end
   return out
end

-- The model without what NumPy has no type for; without --skip that is an error.
local function for_numpy(model, args)
   local npy, left, names = require "stlua.npy", {}, {}
   for name, t in pairs(model) do
      if not pcall(npy.dtype, t) then left[name], names[#names + 1] = t:dtype(), name end
   end
   if #names == 0 then return model end
   local shown = text.some(names, 4, function(name) return ("%s (%s)"):format(cli.escape(name), left[name]) end)
   if not args.skip then errors.throwf("dtype", "NumPy has no type for %s: --skip leaves such tensors out", shown) end
   cli.note(("skipped: %s: NumPy has no such type"):format(shown))
   return model:without(function(name) return left[name] end)
end

local function save_npz(model, target, args)
   local size = 0
   if args.dtype then model = model:cast(args.dtype, { saturate = args.saturate }) end
   model = for_numpy(model, args)
   local how = { sync = not args.no_sync, replace = not args.no_replace }
   local _, _, seconds = cli.watch(function() st.npy.save(target, model, how) end)
   for i = 1, #model do size = size + select(4, model:info(i)) end
   cli.note(("%s: %s, %s in %.2f s"):format(cli.escape(target), text.plural(#model, "array"), cli.size(size), seconds))
end

-- What is written is told by the name: another format's would lie.
local OTHERS = { npy = true, gguf = true, pt = true, pth = true, ckpt = true, bin = true }

local function check_name(output)
   local ending = output and output:lower():match("%.(%w+)$")
   if OTHERS[ending] then
      cli.usage("convert: %s: .safetensors and .npz can be written, .%s cannot", cli.escape(output), ending)
   end
end

local SAFETENSORS_ONLY = { "compress", "align", "max_shard_size", "resume", "force", "hash_inputs", "no_recipe" }

local function is_npz(output) return output ~= nil and output:lower():find("%.npz$") ~= nil end

local function check_options(args)
   for _, key in ipairs(is_npz(args.output) and SAFETENSORS_ONLY or {}) do
      if args[key] then cli.usage("convert: --%s is for safetensors files, not for .npz", (key:gsub("_", "-"))) end
   end
end

local function check_key(args, model)
   for _, file in ipairs(args.key and model:files() or {}) do
      if not file.format:find("^PyTorch checkpoint") then
         cli.usage("convert: --key takes a part of a PyTorch checkpoint: %s is none, but %s",
            cli.escape(file.path), file.format)
      end
   end
end

local function run(args)
   check_name(args.output)
   check_options(args)
   cli.check_saturate("convert", args)
   local model = st.open(args.model, { tensors_only = args.tensors_only, skip = args.skip, key = args.key })
   check_key(args, model)
   local sharded = #model:files() > 1
   tell(model)
   if #model == 0 then errors.throwf("name", "%s: there is no tensor in it to convert", cli.escape(args.model)) end
   if not args.keep_tied then model = without_ties(model) end
   if is_npz(args.output) then return save_npz(model, args.output, args) end
   local shards = sharded and not args.max_shard_size and not (args.output or ""):find("%.safetensors$") and SHARDS
   local stem = cli.stem(args.model) .. (shards and "-safetensors" or "")
   local target = args.output or stem .. ((shards or args.max_shard_size) and "" or ".safetensors")
   cli.save({ { model, target, max_shard_size = shards or nil } }, args)
end

return cli.command({
   name = "convert", summary = "Convert checkpoints, GGUF and .npz to safetensors, or safetensors to .npz.",
   options = options, run = run,
}, ...)
