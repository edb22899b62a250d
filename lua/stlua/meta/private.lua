--- What metadata tells of the person who made a file: folders, user names, data sets.
-- Layer: Lua, above stlua.core.

local private = {}

-- Keys that are about somebody's computer or data whatever they hold.
local KEYS = { ss_dataset_dirs = "folders of training images", ss_tag_frequency = "captions of training images",
   ss_bucket_info = "sizes of training images", ss_reg_dataset_dirs = "folders of training images",
   ss_datasets = "data sets of training", ss_training_started_at = "time of training",
   ss_training_finished_at = "time of training", ss_session_id = "identity of a training session",
   ss_output_name = false, ot_config = "configuration of training", prompt = "the prompt of a workflow",
   workflow = "a whole workflow" }

-- Beginnings of absolute paths.
local PATHS = { "/home/", "/Users/", "/root/", "/mnt/", "/media/", "/workspace/", "/content/", "/kaggle/", "/data/",
   "/opt/", "/srv/", "/var/", "/tmp/", "/private/", "/Volumes/", "/storage/", "/notebooks/" }

local DRIVES = { "%f[%a]%a:[\\/]+[^\\/\n\"'|<>?*]+[\\/]", "\\\\[^\\%s]+\\[^\\%s]+" }

local function path_in(value)
   for _, shape in ipairs(DRIVES) do
      local at = value:find(shape)
      while at and value:sub(at):find("^%a+://") do at = value:find(shape, at + 1) end
      if at then return value:sub(at) end
   end
   for _, beginning in ipairs(PATHS) do
      local from, to = value:find(beginning, 1, true)
      -- Not within a web address, or another path.
      while from and value:sub(1, from - 1):find("[%w._~-]$") do from, to = value:find(beginning, to, true) end
      if from then return value:sub(from) end
   end
end

--- What of a metadata table is private.
-- @tparam {[string]=string} metadata
-- @treturn {{key=string,why=string},...} by key
function private.find(metadata)
   local found = {}
   for key, value in pairs(metadata) do
      local why = KEYS[key] or nil
      local path = path_in(value)
      if path then
         path = path:match("^[^\"',;|<>\n\r\t]+") or path
         why = (why and why .. ", " or "") .. "the path " .. path:sub(1, 80)
      end
      if why then found[#found + 1] = { key = key, why = why } end
   end
   table.sort(found, function(a, b) return a.key < b.key end)
   return found
end

return private
