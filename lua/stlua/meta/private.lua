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
   "/opt/", "/srv/", "/var/", "/tmp/", "/private/", "/Volumes/", "/storage/", "/notebooks/", "~/" }

local DRIVES = { "%f[%a]%a:[\\/]+[^\\/\n\"'|<>?*]+[\\/]", "\\\\[^\\%s]+\\[^\\%s]+" }

-- Where the first absolute path begins.
local function path_at(value)
   for _, shape in ipairs(DRIVES) do
      local at = value:find(shape)
      while at and value:sub(at):find("^%a+://") do at = value:find(shape, at + 1) end
      if at then return at end
   end
   for _, beginning in ipairs(PATHS) do
      local from, to = value:find(beginning, 1, true)
      -- Not within a web address, or another path.
      while from and value:sub(1, from - 1):find("[%w._~-]$") do from, to = value:find(beginning, to, true) end
      if from then return from end
   end
end

local HOMES = { "^/home/[^/]+/*$", "^/Users/[^/]+/*$", "^%a:[\\/]+[Uu]sers[\\/]+[^\\/]+[\\/]*$" }

-- The last part of a path; nil of what is somebody's own folder, which has the name of the person.
local function last_part(path)
   for _, home in ipairs(HOMES) do
      if path:find(home) then return nil end
   end
   return path:match("[/\\]([^/\\]+)[/\\]*$")
end

-- Where a path ends that begins at `from` within a text: at the quote that closes it; else at a blank, unless the next
-- word goes on with it ("/home/Bob Smith/x").
local function path_end(value, from)
   local quote = value:sub(from - 1, from - 1):match("[\"']")
   local close = quote and value:find(quote, from, true)
   if close then return from - 1 + #value:sub(from, close - 1):match("^(.-)\\*$") end
   local _, stop = value:find("^[^%s\"',;|<>)}%]]+", from)
   while true do
      local _, more = value:find("^ [^%s\"',;|<>/\\]+[/\\][^%s\"',;|<>)}%]]*", stop + 1)
      if not more then break end
      stop = more
   end
   return from - 1 + #value:sub(from, stop):match("^(.-)[.:!?]*$")
end

local LONG = 1 << 14

--- A value of metadata without folders: of each path in it its last part stays.
-- @tparam string value
-- @treturn ?string nil where nothing is left, and of what is too long to be a text
function private.without_paths(value)
   if #value > LONG then return nil end
   local from = path_at(value)
   if from == 1 and not value:find("[\n\"'{,;]") then return last_part(value) end
   while from do
      local to = path_end(value, from)
      value = value:sub(1, from - 1) .. (last_part(value:sub(from, to)) or "~") .. value:sub(to + 1)
      from = path_at(value)
   end
   return value
end

--- What of a metadata table is private.
-- @tparam {[string]=string} metadata
-- @treturn {{key=string,why=string,paths=boolean},...} by key; paths: it is private for the paths in it alone
function private.find(metadata)
   local found = {}
   for key, value in pairs(metadata) do
      local why = KEYS[key] or nil
      local at = path_at(value)
      local only_paths = why == nil
      if at then
         local path = value:sub(at)
         path = path:match("^[^\"',;|<>\n\r\t]+") or path
         why = (why and why .. ", " or "") .. "the path " .. path:sub(1, 80)
      end
      if why then found[#found + 1] = { key = key, why = why, paths = only_paths } end
   end
   table.sort(found, function(a, b) return a.key < b.key end)
   return found
end

return private
