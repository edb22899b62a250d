--- Texts of what is not written in Lua: methods that C provides, and the family of functions made from the core's list
-- of operations. The one place where they are described; see doc.lua.
-- Layer: Lua; holds no code.

-- ---------------------------------------------------------------- numbers and names

--- Version of stlua, such as "0.1.0".
-- @field st.version

--- What a callback of st.map returns to leave a tensor out.
-- @field st.drop

--- JSON for configurations and metadata values: decode, encode, array, null.
-- @field st.json

--- NumPy's files, .npy and uncompressed .npz: load, save.
-- @field st.npy

--- Low-rank adapters: apply, extract and what else there is to do with them (src/LORA.md).
-- @field st.lora

--- Stands for JSON's null: Lua tables cannot hold nil.
-- @field st.json.null

--- Makes a tensor from raw bytes.
--
--     > st.from_bytes("U8", { 2, 2 }, "\1\2\3\4")
--     Tensor[2x2 U8, 4 B]
--       1  2
--       3  4
-- @function st.from_bytes
-- @tparam string dtype such as "F32"
-- @tparam {integer,...} shape
-- @tparam string bytes little-endian, exactly as many as dtype and shape need
-- @treturn tensor
-- @raise "arg", "dtype"

--- Threads to work with; as many as this process may use unless it is told otherwise.
-- @function st.threads
-- @tparam[opt] integer n sets the number; 0 asks for as many as there may be
-- @treturn integer threads in use

--- Bytes that operations on whole tensors may hold (1 GiB); streamed work needs far less by itself.
-- @function st.memory
-- @tparam[opt] integer bytes sets it
-- @treturn integer

--- Text to value. Objects and arrays become tables, null becomes `st.json.null`.
--
--     > st.json.decode('{"layers": [1, 2], "tied": true}')
--     { layers = { 1, 2 }, tied = true }
-- @function st.json.decode
-- @tparam string text at most 64 MB and 64 levels deep
-- @return the value
-- @raise "format" for anything that is not JSON, for a key that stands twice, for `\u0000`, for integers beyond 2^53

--- Value to text, keys sorted.
--
--     > st.json.encode { rank = 8, layers = { 1, 2 } }
--     {"layers":[1,2],"rank":8}
-- @function st.json.encode
-- @param value a table, string, number, boolean or `st.json.null`
-- @tparam[opt] table opts `indent` = number of blanks per level (none: one line)
-- @treturn string

--- Marks a table as an array, so that an empty one is written `[]`.
-- @function st.json.array
-- @tparam table t
-- @treturn table the same

-- ---------------------------------------------------------------- operations, as functions

--- Sum, elementwise: `a + b`.
-- @elementwise add a b

--- Difference, elementwise: `a - b`.
-- @elementwise sub a b

--- Product, elementwise: `a * b`.
-- @elementwise mul a b

--- Quotient, elementwise: `a / b`. Integers give floats.
-- @elementwise div a b

--- Power, elementwise: `a ^ b`.
-- @elementwise pow a b

--- The smaller of two values, elementwise; NaN where either is NaN.
-- @elementwise minimum a b

--- The larger of two values, elementwise; NaN where either is NaN.
-- @elementwise maximum a b

--- A mask: where two values are equal. (Lua's `==` asks whether two tensors are one object.)
-- @elementwise eq a b

--- A mask: where two values differ.
-- @elementwise ne a b

--- A mask: where a < b.
-- @elementwise lt a b

--- A mask: where a <= b.
-- @elementwise le a b

--- A mask: where a > b.
-- @elementwise gt a b

--- A mask: where a >= b.
-- @elementwise ge a b

--- Elements of `a` where the mask is true, of `b` where it is false.
--
--     > t = st.tensor { -1.0, 2, -3 }
--     > st.where(t:gt(0), t, 0)
--     Tensor[3 F32, 12 B]
--       0.0000  2.0000  0.0000
-- @function st.where
-- @param mask a BOOL tensor
-- @param a tensor or number
-- @param b tensor or number
-- @return a deferred tensor
-- @torch torch.where

--- The opposite: `-x`.
-- @elementwise neg x

--- Absolute value.
-- @elementwise abs x

--- -1, 0 or 1 by the sign.
-- @elementwise sign x

--- Square root.
-- @elementwise sqrt x

--- e to the power of x.
-- @elementwise exp x

--- Natural logarithm.
-- @elementwise log x

--- Rounds down to an integer.
-- @elementwise floor x

--- Rounds up to an integer.
-- @elementwise ceil x

--- Rounds to the nearest integer, halves to the even one.
-- @elementwise round x

--- Rounds towards zero.
-- @elementwise trunc x

--- Remainder with the sign of `a`, as C's fmod.
-- @elementwise fmod a b

--- Remainder with the sign of `b`, as Lua's `%`.
-- @elementwise remainder a b

--- Quotient rounded down, as Lua's `//`.
-- @elementwise floor_divide a b

--- Bits that are set in both; of integers and masks.
-- @elementwise bitwise_and a b

--- Bits that are set in either; of integers and masks.
-- @elementwise bitwise_or a b

--- Bits that are set in one of the two; of integers and masks.
-- @elementwise bitwise_xor a b

--- All bits flipped; of a mask, its opposite.
-- @elementwise bitwise_not x

--- Bits of `a` moved left by `b` places.
-- @elementwise bitwise_left_shift a b

--- Bits of `a` moved right by `b` places; the sign stays.
-- @elementwise bitwise_right_shift a b

--- 1 / (1 + exp(-x)).
-- @elementwise sigmoid x

--- Hyperbolic tangent.
-- @elementwise tanh x

--- Error function.
-- @elementwise erf x

--- 2 to the power of x.
-- @elementwise exp2 x

--- exp(x) - 1, exact near zero.
-- @elementwise expm1 x

--- Logarithm to base 2.
-- @elementwise log2 x

--- Logarithm to base 10.
-- @elementwise log10 x

--- log(1 + x), exact near zero.
-- @elementwise log1p x

--- Sine.
-- @elementwise sin x

--- Cosine.
-- @elementwise cos x

--- Tangent.
-- @elementwise tan x

--- Inverse sine, in radians.
-- @elementwise asin x

--- Inverse cosine, in radians.
-- @elementwise acos x

--- Inverse tangent, in radians.
-- @elementwise atan x

--- The angle of the point (x, y), in radians: the inverse tangent of y / x in the right quadrant.
-- @elementwise atan2 y x

--- Hyperbolic sine.
-- @elementwise sinh x

--- Hyperbolic cosine.
-- @elementwise cosh x

--- 1 - erf(x), exact for large x.
-- @elementwise erfc x

--- sqrt(a * a + b * b), without overflow between.
-- @elementwise hypot a b

-- ---------------------------------------------------------------- methods of tensors

--- Its dtype, in the format's spelling: "BF16".
-- @function Tensor:dtype
-- @treturn string

--- Its sizes: { 2, 3 }; an empty table for a tensor without dimensions.
-- @function Tensor:shape
-- @treturn {integer,...}

--- Number of dimensions.
-- @function Tensor:ndim
-- @treturn integer
-- @torch Tensor.ndim

--- Number of elements.
-- @function Tensor:numel
-- @treturn integer
-- @torch Tensor.numel

--- Size in bytes, as it would be saved.
-- @function Tensor:nbytes
-- @treturn integer
-- @torch Tensor.nbytes

--- True for values of a file or in memory, false for work still to be done.
-- @function Tensor:is_leaf
-- @treturn boolean

--- True if the last operation is a cast.
-- @function Tensor:is_cast
-- @treturn boolean

--- The quantised layout that a file's tensor belongs to, such as "bnb nf4". Such tensors can be copied, not computed
-- with.
-- @function Tensor:quant
-- @treturn ?string

--- Where a file's tensor lies; nothing for one that is computed.
-- @function Tensor:source
-- @treturn ?string the file
-- @treturn ?string its name there

--- Computes and gives raw little-endian bytes.
-- @function Tensor:bytes
-- @tparam[opt] string dtype of the bytes (default: its own)
-- @tparam[opt=1] integer first element, in row-major order
-- @tparam[opt] integer count of elements (default: all that follow)
-- @treturn string
-- @raise "limit" for more than st.memory() allows

--- Computes and gives elements in row-major order, as numbers or booleans.
--
--     > st.tensor({ { 1, 2 }, { 3, 4 } }):values(2, 2)
--     { 2, 3 }
-- @function Tensor:values
-- @tparam[opt=1] integer first
-- @tparam[opt] integer count (default: all that follow)
-- @treturn {number,...}
-- @raise "limit" for more than st.memory() allows

--- Computes and gives the only element as a number or boolean.
--
--     > st.tensor({ 1.5 }):item()
--     1.5
--     > st.tensor({ 1, 2 }):item()
--     item() wants a tensor of one element, this one has 2
-- @function Tensor:item
-- @treturn number
-- @raise "shape" unless there is exactly one
-- @torch Tensor.item

--- Computes and gives nested tables of numbers or booleans.
--
--     > st.tensor({ { 1, 2 }, { 3, 4 } }):totable()
--     { { 1, 2 }, { 3, 4 } }
-- @function Tensor:totable
-- @treturn table
-- @torch Tensor.tolist

--- Computes all values now and keeps them in memory: later uses read them. In a loop whose steps build on one another
-- force each step: a chain of operations on whole tensors (products of matrices, sorts, decompositions) that is never
-- forced is computed anew for every use, and grows with every step.
-- @function Tensor:force
-- @treturn tensor the same
-- @raise "limit" for more than st.memory() allows

--- True if both have the same dtype, shape and bytes. Streams: neither is held in memory.
--
--     > t = st.tensor { 1.0, 2 }
--     > t:identical(t:clone()), t:identical(t:cast "F64")
--     true    false
-- @function Tensor:identical
-- @tparam tensor other
-- @treturn boolean
-- @torch torch.equal

--- The same values in another dtype, rounded to nearest even. Floats become integers towards 0: those beyond the
-- integers' range its nearest end, NaN 0.
--
--     > st.tensor({ 1 / 3 }):cast("BF16"):item()
--     0.333984375
--     > st.tensor({ 1e6 }):cast("F16"), st.tensor({ 1e6 }):cast("F16", { saturate = true }):item()
--     Tensor[1 F16, 2 B]
--       inf
--     65504.0
-- @function Tensor:cast
-- @tparam string dtype in any case
-- @tparam[opt] table opts `saturate` = true clamps to the largest finite value, where torch would give infinity or NaN
-- @treturn tensor
-- @torch Tensor.to

--- Interpolates towards another tensor: st.lerp(t, other, weight).
-- @function Tensor:lerp
-- @param other tensor or number
-- @param weight number or tensor
-- @treturn tensor
-- @torch torch.lerp

--- Limits values to [low, high]; either may be nil.
-- @function Tensor:clamp
-- @param low number, tensor or nil
-- @param high number, tensor or nil
-- @treturn tensor
-- @torch torch.clamp

--- The same elements in another shape: a view of the tensor where its elements lie so, else a tensor of its own.
--
--     > st.arange(6):reshape(2, -1)
--     Tensor[2x3 I64, 48 B]
--       0  1  2
--       3  4  5
-- @function st.reshape
-- @tparam tensor t
-- @param sizes one by one or as a table; one of them may be -1: what the others leave
-- @treturn tensor
-- @raise "shape"
-- @torch torch.reshape

--- As reshape, but always a view: through it the tensor can be written to.
--
--     > t = st.arange(4)
--     > t:view(2, 2)[{ 2, 1 }] = 9
--     > t
--     Tensor[4 I64, 32 B]
--       0  1  9  3
--     > t:view(3)
--     view: [4] has 4 elements, which do not fit [3]
-- @function Tensor:view
-- @param sizes one by one or as a table; one of them may be -1
-- @treturn tensor
-- @raise "shape" where only a copy has that shape
-- @torch Tensor.view

--- Dimensions in another order: dimension d of the result is the d-th that is given. A view.
--
--     > st.zeros(2, 3, 4):permute(3, 1, 2):shape()
--     { 4, 2, 3 }
-- @function st.permute
-- @tparam tensor t
-- @param dims each once, one by one or as a table; negative from the end
-- @treturn tensor
-- @torch torch.permute

--- Broadcasts to a shape: sizes of 1 are repeated, dimensions may be added in front. A view; takes no memory.
--
--     > st.tensor({ 1, 2 }):expand(2, -1)
--     Tensor[2x2 I64, 32 B]
--       1  2
--       1  2
-- @function st.expand
-- @tparam tensor t
-- @param sizes one by one or as a table; -1 keeps a size
-- @treturn tensor
-- @torch Tensor.expand

--- A part of one dimension: `length` elements from `first` on. A view.
--
--     > st.arange(6):narrow(1, 2, 3)
--     Tensor[3 I64, 24 B]
--       1  2  3
-- @function st.narrow
-- @tparam tensor t
-- @tparam integer dim negative from the end
-- @tparam integer first negative from the end
-- @tparam integer length
-- @tparam[opt=1] integer step distance of the elements; negative goes backwards
-- @treturn tensor
-- @torch torch.narrow

--- One element of a dimension, which the result has no longer: `t:select(1, i)` is `t[i]`. A view.
--
--     > t = st.tensor { { 1, 2 }, { 3, 4 } }
--     > t:select(2, -1)
--     Tensor[2 I64, 16 B]
--       2  4
-- @function st.select
-- @tparam tensor t
-- @tparam integer dim negative from the end
-- @tparam integer index negative from the end
-- @treturn tensor
-- @torch torch.select

--- A copy in memory, computed now, of the declared dtype: it can be written to where a file's tensor cannot.
--
--     > t = st.open("a.safetensors")["model.layers.0.norm.weight"]:clone()
--     > t[1] = 0
--     > t[1]
--     0.0
-- @function st.clone
-- @tparam tensor t
-- @treturn tensor
-- @raise "limit" for more than st.memory() allows
-- @torch torch.clone

-- ---------------------------------------------------------------- methods of models

--- Number of tensors; `#m` is the same.
-- @function Model:count
-- @treturn integer

--- The name of a tensor.
-- @function Model:name
-- @tparam integer i position in the model's order; -1 is the last
-- @treturn string

--- What is known of a tensor without reading it.
--
--     > st.open("a.safetensors"):info(1)
--     position_ids    I64     { 1, 77 }       616     0       616
-- @function Model:info
-- @tparam integer i position
-- @treturn string name
-- @treturn string dtype
-- @treturn {integer,...} shape
-- @treturn integer size in bytes
-- @treturn ?integer begin of its bytes in the file's data, where it is a file's
-- @treturn ?integer end

--- The position of a tensor.
-- @function Model:find
-- @tparam string name
-- @treturn ?integer

--- The tensor at a position.
-- @function Model:tensor
-- @tparam integer i
-- @treturn tensor

--- Appends a tensor to a model that was made by `st.model`.
-- @function Model:add
-- @tparam string name
-- @tparam tensor t
-- @treturn model the same
-- @raise "name" for one that is there already

--- Metadata: a table of texts, and the keys in the file's order.
--
--     > st.open("a.safetensors"):metadata()
--     { format = "pt" }       { "format" }
-- @function Model:metadata
-- @treturn {[string]=string} texts by key
-- @treturn {string,...} keys

--- Sets one metadata text of this very model; `with_metadata` gives a changed model instead.
-- @function Model:set_meta
-- @tparam string key
-- @tparam[opt] string value nil removes the key
-- @treturn model the same

--- The files behind an opened model: none for a computed one.
-- @function Model:files
-- @treturn {table,...} { path, format, size, header_bytes, data_start }; of a compressed file, whose size is that of
-- the plain one, also { compression = "zstd", stored = bytes on the disk, seeks = whether a tensor can be read by
-- itself, cut = whether its end seems to be missing }

--- What was seen in files that are not safetensors: of `kind` "taken" (the part of a checkpoint that the tensors are
-- of), "left" (a part that holds tensors, too), "beside" (other values), "danger" (what Python would run), "unknown"
-- (classes of somebody's program), "skipped" (tensors that cannot be had), "decoded" (tensors made into numbers while
-- they are read), "untold" (metadata that was left out).
-- @function Model:findings
-- @treturn {table,...} { kind, text, file }

--- Holds the files behind a model against the checksums in them: .npz archives and PyTorch checkpoints have some. All
-- of such a file is read.
-- @function Model:check
-- @treturn model the same
-- @raise "format"

--- Names of tensors that a checkpoint stores once, such as an embedding and the output layer tied to it.
-- @function Model:tied
-- @treturn {{string,...},...} lists of names

--- SHA-256 of the header of a file: it changes with names, shapes, dtypes and metadata.
-- @function Model:header_sha256
-- @tparam integer i which of the files
-- @treturn string

--- SHA-256 of a whole file, which is read for it.
-- @function Model:file_sha256
-- @tparam integer i which of the files
-- @treturn string

--- Number of tensors of each dtype.
--
--     > st.open("a.safetensors"):dtype_counts()
--     { BF16 = 30, I64 = 1 }
-- @function Model:dtype_counts
-- @treturn {[string]=integer} such as { BF16 = 199, I64 = 1 }

--- A listing as text, made fast for models with many thousand tensors.
-- @function Model:rows
-- @tparam[opt=1] integer first
-- @tparam[opt=-1] integer last
-- @tparam[opt="table"] string style "table" (aligned columns) or "json"
-- @treturn string
-- @treturn ?integer widths of the columns name, dtype, shape and size of a table

--- Releases the files now; otherwise the collector does it.
-- @function Model:close

-- ---------------------------------------------------------------- at the prompt

--- The user's own globals at the prompt, with kind, size, dtype and shape. Printed as a table.
-- @function who
-- @treturn {table,...} { name, kind, bytes, dtype, shape }
