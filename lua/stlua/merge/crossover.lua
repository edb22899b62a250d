-- crossover: A's low frequencies and B's high ones, by the Fourier transform over all dimensions of a tensor. The
-- transform is linear: A + F'(f F(B - A)) is what (1 - f) F(A) + f F(B) goes back to, for half the work.
local core = require "stlua.core"
local fourier = require "stlua.fourier"
local math_ = require "stlua.merge_math"
local ops = require "stlua.ops"
local shape_ = require "stlua.shape"

-- 0 to 1 in n equal steps of a size in F32, the second half counted from the end.
local function steps(n)
   local i = core.iota(n):cast("F64")
   local step = n > 1 and string.unpack("<f", string.pack("<f", 1 / (n - 1))) or 0
   return ops.where(i:lt(n // 2), i * step, 1 - (n - 1 - i) * step)
end

-- The frequencies of a dimension of n elements as parts of the highest; those of its second half are negative.
local function frequencies(n)
   local i = core.iota(n):cast("F64")
   return ops.minimum(i, n - i) / math.max(n // 2, 1)
end

-- How high the frequencies are, from 0 to 1: the root of the mean of their squares over the dimensions. In F32, as it
-- is compared with alpha there.
local function heights(shape)
   local n, lines, sum = #shape, {}, 0
   for d, size in ipairs(shape) do
      local sizes = {}
      for e = 1, n do sizes[e] = 1 end
      sizes[d] = d == n and size // 2 + 1 or size
      local line = d < n and frequencies(size) or steps(sizes[d]) * (size > 1 and 1 or 0)
      lines[d] = line:cast("F32"):reshape(sizes)
      sum = sum + lines[d] * lines[d]
   end
   return n == 1 and lines[1] or (sum / n):sqrt()
end

-- B's share by the height: a step at 1 - alpha that `tilt` turns round, once from 0 to 4: upright at 0 and 2 (where
-- alpha is A's share, in sd-mecha too), flat at 1 and 3.
local function share(height, alpha, tilt)
   tilt = tilt % 4
   if tilt > 2 and 4 - tilt >= 1e-10 then return 1 - share(height, 1 - alpha, tilt - 2) end
   if tilt < 1e-10 or 4 - tilt < 1e-10 then return height:gt(1 - alpha):cast("F32") end
   if 2 - tilt < 1e-10 then return height:lt(1 - alpha):cast("F32") end
   local slope = 1 / math.tan(math.pi * tilt / 2)
   local level = tilt <= 1 and alpha * slope + alpha - slope or alpha - alpha * slope
   return ops.clamp(height * slope + level, 0, 1)
end

return {
   summary = "Takes the low frequencies of A and the high ones of B, over all dimensions of the tensor.",
   source = "sd-mecha crossover",
   min = 2, max = 2,
   holds = 6,
   params = {
      { name = "alpha", type = "number", default = 0.5, min = 0, max = 1,
         help = "share of B, from the high frequencies down" },
      { name = "tilt", type = "number", default = 0,
         help = "how one passes into the other: 0 at once, 0.5 on a slope of 45 degrees, 1 evenly (as weighted_sum), "
            .. "2 at once, with low and high exchanged; 4 is 0 again" },
   },
   merge = function(_, models, p)
      local a, b = models[1], models[2]
      if p.alpha == 0 then return a elseif p.alpha == 1 then return b end
      local plain = ops.lerp(a, b, p.alpha)
      if p.tilt == 1 or a:ndim() == 0 or a:numel() == 0 then return plain end
      local x, y, shape = math_.wide(a), math_.wide(b), a:shape()
      local spectrum = fourier.rfftn(y:cast("F64") - x:cast("F64"))
      local filter = shape_.unsqueeze(share(heights(shape), p.alpha, p.tilt), -1)
      local part = fourier.irfftn(spectrum * filter, { s = shape })
      return ops.where(math_.allclose(x, y), plain, x + part:cast("F32"))
   end,
}
