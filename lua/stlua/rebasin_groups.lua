--- Which axes of which tensors must be permuted together: groups, made from an architecture's rules and the shapes of a
-- model.
--
-- An architecture is one file, `stlua/rebasin/NAME.lua` on Lua's path, which returns a table:
--
--    summary   one line: which models it is for
--    tensors   names that only such a model has all of; { name, columns = size of its second dimension } asks for more
--    options   option -> what it is, of those that must be given (nil: none)
--    kinds     kind -> { count = units of a group, or width = elements of a unit in its smallest axis (a number or an
--              option; 0: the group stays), needs = a tensor without which it stays, free = { PART = true } }; without
--              count and width a unit is one element
--    rules     a list of { name, axis of dimension 1, of dimension 2, ... }. In a name `#` stands for a number and `*`
--              for any text; %1, %2 stand for these in an axis. An axis is "" (stays), or GROUP[:PART], whose kind is
--              the last word of GROUP, or 2*GROUP[:PART] for one that holds the group's units twice, alike
--    still     optional function(name): true for tensors that stay and have no rule
--
-- All axes of a group have its units in their order: permuting the group moves units. In a part that is free the
-- elements of a unit may change their order, too, each unit in its own way, the same in all axes of the part.
-- Layer: Lua, above stlua.core.

local core = require "stlua.core"
local errors = require "stlua.errors"
local fit = require "stlua.fit"
local on_path = require "stlua.on_path"
local text = require "stlua.text"

local groups = {}

local FOLDER = "stlua/rebasin"

local function refuse(code, name, format, ...)
   errors.throw(code, "rebasin: " .. format:format(...), { tensor = name })
end

-- ---------------------------------------------------------------- architectures

local loaded = {}

local function architecture(name)
   if not loaded[name] then
      loaded[name] = require("stlua.rebasin." .. name)
      loaded[name].name = name
   end
   return loaded[name]
end

-- Whether a model has the tensor, with as many columns as it should.
local function has(by_name, wanted)
   local name, columns = wanted, nil
   if type(wanted) == "table" then name, columns = wanted[1], wanted.columns end
   local row = by_name[name]
   return row ~= nil and row[1] ~= nil and (not columns or row.shape[2] == columns)
end

local function fits(arch, by_name)
   for _, wanted in ipairs(arch.tensors) do
      if not has(by_name, wanted) then return false end
   end
   return true
end

local function describe(arch)
   local names = {}
   for i, wanted in ipairs(arch.tensors) do
      names[i] = type(wanted) == "table" and ("%s (%d columns)"):format(wanted[1], wanted.columns) or wanted
   end
   return ("   %s (%s): needs %s"):format(arch.name, arch.summary, table.concat(names, ", "))
end

--- The architecture of a model, told by its tensors; or the one of that name.
local function find(by_name, wanted)
   local known = on_path.names(FOLDER)
   for _, name in ipairs(known) do
      if wanted == name or not wanted and fits(architecture(name), by_name) then return architecture(name) end
   end
   if wanted then
      errors.throwf("arg", "rebasin: no architecture %s%s (known: %s)", text.quote(wanted),
         text.did_you_mean(wanted, known), table.concat(known, ", "))
   end
   local lines = {}
   for i, name in ipairs(known) do lines[i] = describe(architecture(name)) end
   errors.throwf("name", "rebasin: the model is of no known architecture; known are\n%s", table.concat(lines, "\n"))
end

local function check_options(arch, opts)
   for name, what in pairs(arch.options or {}) do
      if opts[name] == nil then errors.throwf("arg", "rebasin: %s: give %s, %s", arch.name, name, what) end
   end
   if opts.head_dim ~= nil and not (arch.options and arch.options.head_dim) then
      errors.throwf("arg", "rebasin: %s takes no head_dim: its heads are known", arch.name)
   end
end

-- ---------------------------------------------------------------- rules

local function compiled(arch)
   if not arch.patterns then
      arch.patterns = {}
      for i, rule in ipairs(arch.rules) do
         local found = rule[1]:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", "(.+)"):gsub("#", "(%%d+)")
         arch.patterns[i] = "^" .. found .. "$"
      end
   end
   return arch.patterns
end

-- The axes of a tensor as its rule has them, with %1 ... filled in; nil where no rule is about it.
local function axes_of(arch, name)
   for i, found in ipairs(compiled(arch)) do
      if name:find(found) then
         local captures, axes = { name:match(found) }, {}
         for d = 2, #arch.rules[i] do
            axes[d - 1] = arch.rules[i][d]:gsub("%%(%d)", function(k) return captures[tonumber(k)] end)
         end
         return axes
      end
   end
end

local function group_of(spec, name, by_name)
   local kind = spec.arch.kinds[name:match("[^.]+$")]
   if kind.needs and not has(by_name, kind.needs) or kind.width and spec.opts[kind.width] == 0 then return nil end
   local group = spec.by_group[name]
   if not group then
      group = { name = name, kind = kind, axes = {}, parts = {}, units = nil, inner = {}, moved = false }
      spec.by_group[name] = group
      spec.groups[#spec.groups + 1] = group
   end
   return group
end

local function product(shape)
   local n = 1
   for _, size in ipairs(shape) do n = n * size end
   return n
end

local function add_axis(spec, row, dim, word, by_name)
   local times, rest = word:match("^(%d+)%*(.*)$")
   local name, part = (rest or word):match("^([^:]+):?(.*)$")
   local group = name and group_of(spec, name, by_name)
   if not group then return end
   local axis = { tensor = row.name, dim = dim, size = row.shape[dim], outer = tonumber(times or 1), part = part,
      group = group, elements = product(row.shape) }
   if not axis.size or axis.size % axis.outer ~= 0 then
      refuse("shape", row.name, "%s is %s: dimension %d should hold %s%s", text.quote(row.name), text.shape(row.shape),
         dim, name, axis.outer > 1 and (" %d times"):format(axis.outer) or "")
   end
   group.axes[#group.axes + 1] = axis
   spec.axes[row.name] = spec.axes[row.name] or {}
   table.insert(spec.axes[row.name], axis)
end

-- ---------------------------------------------------------------- sizes

local function smallest(axes)
   local least = math.huge
   for _, axis in ipairs(axes) do least = math.min(least, axis.size // axis.outer) end
   return least
end

-- How many units a group has.
local function count_units(group, opts)
   local kind, least = group.kind, smallest(group.axes)
   if kind.count then return kind.count end
   local width = type(kind.width) == "string" and opts[kind.width] or kind.width or 1
   if least % width ~= 0 then
      local axis = group.axes[1]
      refuse("shape", axis.tensor, "%s: %d elements of %s are no multiple of %d%s", text.quote(axis.tensor), least,
         group.name, width, type(kind.width) == "string" and (" (%s)"):format(kind.width) or "")
   end
   return least // width
end

-- Of a free part the narrowest axis tells the elements of a unit that move; wider ones hold them several times, alike.
local function set_widths(group)
   for _, axis in ipairs(group.axes) do
      local part = group.parts[axis.part] or { name = axis.part, axes = {}, free = false }
      group.parts[axis.part] = part
      part.axes[#part.axes + 1] = axis
   end
   for name, part in pairs(group.parts) do
      part.width = smallest(part.axes) // group.n
      part.free = (group.kind.free or {})[name] == true and part.width > 1
   end
end

local function check_axis(group, axis)
   local width = group.parts[axis.part].free and group.parts[axis.part].width or 1
   local exact = group.kind.count or group.kind.width or axis.size == axis.outer * group.n
   if not exact or axis.size % (axis.outer * group.n * width) ~= 0 or axis.size == 0 then
      refuse("shape", axis.tensor, "%s: dimension %d has %d elements, %s has %d units%s", text.quote(axis.tensor),
         axis.dim, axis.size, group.name, axis.outer * group.n, width > 1 and (" of %d"):format(width) or "")
   end
end

--- 1 .. n.
function groups.identity(n)
   local list = {}
   for i = 1, n do list[i] = i end
   return list
end

local function set_sizes(group, opts)
   group.n = count_units(group, opts)
   set_widths(group)
   for _, axis in ipairs(group.axes) do check_axis(group, axis) end
   group.units = groups.identity(group.n)
end

--- The groups of two models.
-- @tparam model a
-- @tparam model b
-- @tparam table opts `architecture` (nil: told by the tensors) and what that asks for
-- @treturn table { arch =, groups = a list, axes = tensor's name -> list of axes, names = of these tensors }
-- @raise "name" for a model of no known architecture, or with tensors that the architecture has no rule for; "shape"
--   where the models differ in what is permuted, or sizes do not fit the architecture; "arg" for an option
function groups.of(a, b, opts)
   local rows, by_name, used = fit.gather { a, b }, {}, {}
   for _, row in ipairs(rows) do by_name[row.name] = row end
   local arch = find(by_name, opts.architecture)
   check_options(arch, opts)
   local spec = { arch = arch, opts = opts, groups = {}, by_group = {}, axes = {}, names = {} }
   for _, row in ipairs(rows) do
      local axes = axes_of(arch, row.name)
      if not axes and not (arch.still and arch.still(row.name)) then
         refuse("name", row.name, "%s has no rule for %s %s: what a permutation would change there is not known",
            arch.name, text.quote(row.name), text.shape(row.shape))
      end
      for dim, word in ipairs(axes or {}) do add_axis(spec, row, dim, word, by_name) end
      if spec.axes[row.name] then used[#used + 1], spec.names[#spec.names + 1] = row, row.name end
   end
   fit.check(used, { a, b }, false, false)
   for _, group in ipairs(spec.groups) do set_sizes(group, opts) end
   return spec
end

-- ---------------------------------------------------------------- permuting

-- For each place of an axis the one, from 0, whose element goes there.
local function places(axis)
   local group, list = axis.group, {}
   local free = group.parts[axis.part].free and group.inner[axis.part]
   local width = group.parts[axis.part].free and group.parts[axis.part].width or axis.size // (axis.outer * group.n)
   local across = axis.size // (axis.outer * group.n * width)
   for o = 0, axis.outer - 1 do
      for i = 1, group.n do
         for m = 0, across - 1 do
            local first = ((o * group.n + group.units[i] - 1) * across + m) * width
            for d = 1, width do list[#list + 1] = first + (free and free[i][d] or d) - 1 end
         end
      end
   end
   return list
end

local function tensor_of(list)
   local parts = {}
   for i = 1, #list, 4096 do
      local n = math.min(4096, #list - i + 1)
      parts[#parts + 1] = string.pack("<" .. ("i8"):rep(n), table.unpack(list, i, i + n - 1))
   end
   return core.tensor("I64", { #list }, table.concat(parts))
end

--- An I64 tensor: for each place of an axis the one, from 0, whose element goes there. Nil where all stay.
function groups.places(axis)
   local group = axis.group
   if not group.moved then return nil end
   group.places = group.places or {}
   local key = ("%d %d %s"):format(axis.size, axis.outer, axis.part)
   group.places[key] = group.places[key] or tensor_of(places(axis))
   return group.places[key]
end

--- Gives a group another order.
-- @tparam table group
-- @tparam {integer,...} units for each place the unit that goes there
-- @tparam table inner free part -> for each place a list: for each place in the unit the one that goes there
function groups.set(group, units, inner)
   group.units, group.inner, group.places, group.moved = units, inner, nil, false
   for i, u in ipairs(units) do group.moved = group.moved or u ~= i end
   for _, lists in pairs(inner) do
      for _, list in ipairs(lists) do
         for d, e in ipairs(list) do group.moved = group.moved or d ~= e end
      end
   end
end

--- A tensor with its axes permuted, all but those of `except`.
-- @tparam table spec
-- @tparam string name
-- @tparam tensor t
-- @tparam[opt] table except a group
-- @treturn tensor deferred; `t` itself where nothing moves
function groups.permuted(spec, name, t, except)
   for _, axis in ipairs(spec.axes[name] or {}) do
      local at = axis.group ~= except and groups.places(axis)
      if at then t = core.index_select(t, axis.dim, at) end
   end
   return t
end

return groups
