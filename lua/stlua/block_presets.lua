--- Known sets of block weights (merge-block-weighted-gui, supermerger), by their formulas: one number for each of
-- IN00..IN11, M00, OUT00..OUT11, and one for BASE.
-- Layer: Lua, data.

local LAST = 24      -- blocks count from 0

-- A value that grows without end, folded into 0..1..0..1.
local function folded(x)
   x = x % 2
   return x > 1 and 2 - x or x
end

local function smooth(t) return t * t * (3 - 2 * t) end
local function outer(count) return function(i) return (i < count or i > LAST - count) and 1 or 0 end end

-- The first and the last of a range on the way in, mirrored on the way out; `soft` halves the ends.
local function ring(first, last, soft)
   return function(i)
      local k = math.min(i, LAST - i)
      if k < first or k > last then return 0 end
      return soft and (k == first or k == last) and 0.5 or 1
   end
end

local function at_t(fn) return function(i) return fn(i / LAST) end end

local FORMULAS = {
   GRAD_V = function(i) return math.abs(i - 12) / 12 end,
   GRAD_A = function(i) return 1 - math.abs(i - 12) / 12 end,
   FLAT_25 = function() return 0.25 end,
   FLAT_75 = function() return 0.75 end,
   WRAP08 = outer(4), WRAP12 = outer(6), WRAP14 = outer(7), WRAP16 = outer(8),
   MID12_50 = function(i) return i >= 5 and i <= 18 and 0.5 or 0 end,
   OUT07 = function(i) return i > 17 and 1 or 0 end,
   OUT12 = function(i) return i > 12 and 1 or 0 end,
   OUT12_5 = function(i) return i > 12 and 1 or i == 12 and 0.5 or 0 end,
   RING08_SOFT = ring(5, 9, true), RING08_5 = ring(6, 9), RING10_5 = ring(5, 9), RING10_3 = ring(6, 10),
   SMOOTHSTEP = at_t(smooth),
   COSINE = at_t(function(t) return (1 + math.cos(math.pi * t)) / 2 end),
   TRUE_CUBIC_HERMITE = at_t(function(t)
      return t == 0 and 0 or 1 / 24 + t * (25 / 6 + t * (-77 / 8 + t * 77 / 12))
   end),
   FAKE_CUBIC_HERMITE = at_t(function(t) return t + 19 / 6 * t * (1 - t) * (1 - 2 * t) end),
   ALL_A = function() return 0 end,
   ALL_B = function() return 1 end,
}
for n = 2, 4 do
   FORMULAS["SMOOTHSTEP*" .. n] = at_t(function(t) return folded(n * smooth(t)) end)
   FORMULAS["SMOOTHSTEP/" .. n] = at_t(function(t) return smooth(folded(n * t)) end)
end

-- Their reverses: 1 less the value.
local REVERSES = { ["REVERSE-SMOOTHSTEP"] = "SMOOTHSTEP", REVERSE_COSINE = "COSINE",
   TRUE_REVERSE_CUBIC_HERMITE = "TRUE_CUBIC_HERMITE", FAKE_REVERSE_CUBIC_HERMITE = "FAKE_CUBIC_HERMITE" }
for n = 2, 4 do
   REVERSES["R_SMOOTHSTEP*" .. n], REVERSES["R_SMOOTHSTEP/" .. n] = "SMOOTHSTEP*" .. n, "SMOOTHSTEP/" .. n
end
for name, of in pairs(REVERSES) do
   FORMULAS[name] = function(i) return 1 - FORMULAS[of](i) end
end

local presets = {}
for name, fn in pairs(FORMULAS) do
   local list = { name == "ALL_B" and 1 or 0 }      -- BASE
   for i = 0, LAST do list[i + 2] = fn(i) end
   presets[name] = list
end

return presets
