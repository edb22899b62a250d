--- st.info: what a model is and what to do with it, told from its header and a few small reads.
-- Layer: Lua, above stlua.core.

local architectures = require "stlua.architectures"
local core = require "stlua.core"
local errors = require "stlua.errors"
local open = require "stlua.open"

local info = {}

local CONFIG_MOST = 1024 * 1024
local AS_IT_IS = { tensors_only = true, skip = true }      -- looked at, whatever is wrong with it

-- ---------------------------------------------------------------- the subject

-- config.json beside a file: what kind of model the one says who saved it.
local function config_beside(path)
   local name = (path:match("^(.*/)[^/]*$") or "") .. "config.json"
   local stat = core.stat(name)
   if not stat or stat.type ~= "file" or stat.size > CONFIG_MOST then return nil end
   local ok, value = pcall(function() return core.json_decode(require("stlua.whole_file")(name)) end)
   if not ok or type(value) ~= "table" then return nil end
   local list = type(value.architectures) == "table" and value.architectures or {}
   local function word(s) return type(s) == "string" and s ~= "" and s or nil end
   return { model_type = word(value.model_type), architecture = word(list[1]) or word(value._class_name) }
end

-- Suffixes of factors: names that only an adapter has. Whether it is one, lora.adapter decides.
local FACTORS = { "lora", "%.hada_w1_", "%.lokr_w%d", "%.oft_blocks", "%.diff$", "%.diff_b$", "%.on_input$",
   "%.[ab][12]%.weight$" }

local function may_be_adapter(model)
   local count = model:count()
   for k = 0, 15 do
      local name = count > 0 and model:name(1 + k * (count - 1) // 15)
      for _, pattern in ipairs(name and FACTORS or {}) do
         if name:find(pattern) then return true end
      end
   end
   return false
end

local function adapter_of(model)
   if not may_be_adapter(model) then return nil end
   require "stlua"      -- all that works on values
   local ok, a = pcall(require("stlua.lora.adapter").open, model)
   if ok then return a end
   if not errors.is(a) then error(a, 0) end
   return nil
end

local function subject_of(model, path, opts, missing)
   local metadata, keys = model:metadata()
   local files = missing and missing.files or model:files()
   local subject = { model = model, path = path, metadata = metadata, keys = keys, files = files, stats = opts.stats,
      missing = missing,
      format = files[1] and files[1].format or "safetensors" }
   local stat = core.stat(path)
   subject.is_folder = stat ~= nil and stat.type == "dir"
   subject.config = files[1] and config_beside(files[1].path)
   subject.adapter = adapter_of(model)
   local told = subject.config and subject.config.model_type
   subject.parts, subject.rest = {}, nil
   if subject.adapter then
      subject.rest = model:_tally({})[1]
   else
      subject.parts, subject.rest = architectures.find(model, told)
   end
   local main = subject.parts[1]
   subject.is_diffusion = main and (main.part == "unet" or main.part == "transformer") or false
   return subject
end

-- ---------------------------------------------------------------- the report

local meta = {}

--- The lines of a report: { { key, text }, ... }.
function info.rows(report)
   local rows = {}
   for _, section in ipairs(require "stlua.info.sections") do
      if section.show then section.show(report, function(key, line) rows[#rows + 1] = { key, line } end) end
   end
   return rows
end

-- Keys on the left, texts on the right.
function meta.__tostring(report)
   local rows, width = info.rows(report), 0
   for _, row in ipairs(rows) do width = math.max(width, #row[1]) end
   local lines, before = {}, nil
   for i, row in ipairs(rows) do
      local key = row[1] == before and "" or row[1]
      lines[i] = key .. (" "):rep(width + 2 - #key) .. row[2]
      before = row[1]
   end
   return table.concat(lines, "\n")
end

--- Opens a model to look at its tensors, whatever is wrong with it; of an index that lacks shards what is there.
-- @tparam string path as of st.open
-- @tparam table opts `component`, `variant` as of st.open
-- @treturn model
-- @treturn ?table what is missing, as of incomplete.open
-- @raise what st.open raises
function info.look(path, opts)
   local ok, model = pcall(open.open, path, { component = opts.component, variant = opts.variant, tensors_only = true,
      skip = true })
   if ok then return model end
   if not errors.is(model) or model.code ~= "io" then error(model, 0) end
   local part, missing = require("stlua.info.incomplete").open(path, opts, AS_IT_IS)
   if not part then error(model, 0) end
   return part, missing
end

local function report_of(model, path, opts, missing)
   local subject, report = subject_of(model, path, opts, missing), {}
   for _, section in ipairs(require "stlua.info.sections") do
      if section.gather then section.gather(subject, report) end
   end
   return setmetatable(report, meta)
end

--- What a model is: architecture and variant, parts and their parameters, dtypes and quantised layouts, what it says of
-- itself, where it goes, what is wrong with it. Reads headers, a few small tensors and the last bytes of files.
--
--     > i = st.info("a.safetensors")
--     > i.kind, i.parameters, i.dtypes
--     unknown 164173  { BF16 = 30, I64 = 1 }
-- @tparam string|model what a path as st.open takes it, a folder of several models, or a model
-- @tparam[opt] table opts `component`, `variant` as of st.open
-- @treturn table the fields that `stlua info --json` prints; printed, the screen. Of a folder of several models, or a
--   diffusers pipeline: what, names and models = a table for each
-- @raise what st.open raises
function info.info(what, opts)
   opts = errors.check_options(opts, { component = "string", variant = "string", stats = "boolean" }, "st.info")
   if debug.getmetatable(what) == core.model_meta then return report_of(what, what:formula(), opts), what end
   if type(what) == "string" and not opts.component and not opts.variant then
      local stat = core.stat(what)
      local folder = stat and stat.type == "dir" and require "stlua.info.folder"
      local kind, names
      if folder then kind, names = folder.look(what) end
      if kind then
         return folder.report(what, kind, names, function(path)
            local model, missing = info.look(path, {})
            return report_of(model, path, opts, missing)
         end)
      end
   end
   local model, missing = info.look(what, opts)
   return report_of(model, what, opts, missing), model
end

return info
