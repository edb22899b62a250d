/* st.h - the one door of libst, the C core of stlua.
 *
 * libst reads and writes safetensors, describes computations on tensors and streams them to files.
 * It is C11 + pthreads, knows nothing of Lua, prints nothing, never calls exit and never aborts on bad input.
 *
 * Conventions
 *   - A fallible function returns st_status and takes a caller-owned st_err last, which may be NULL.
 *     On failure every out-parameter is NULL (or untouched, where it is a number).
 *   - "new" and "open" give the caller a reference, paired with a *_free, *_close or *_unref that accepts NULL.
 *     Everything else that returns a pointer lends it: it lives as long as the object it was asked of.
 *   - Dimensions, indices and ranges are 0-based and half-open here (1-based and inclusive in Lua).
 *   - Strings that come from files are counted (pointer and length): a tensor's name may hold NUL bytes.
 *   - An st_tensor is immutable and may be shared by threads; the other objects belong to one thread at a time,
 *     except st_ctx_cancel, which may be called from anywhere, a signal handler included.
 *
 * Layer: every layer of libst may include this file; it includes none of ours.
 */
#ifndef ST_H
#define ST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ST_VERSION "0.1.0"

#if defined(__GNUC__)
#pragma GCC visibility push(default) /* libst.so exports what this file declares, and nothing else */
#define ST_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define ST_PRINTF(fmt, args)
#endif

/* ---------------------------------------------------------------- status and errors */

/* X(enumerator, code shown to Lua and in `--json`, when) */
#define ST_STATUSES(X)                                                      \
    X(OK, "ok", "success")                                                  \
    X(NOMEM, "nomem", "out of memory")                                      \
    X(IO, "io", "the system refused: open, read, write, rename, sync")      \
    X(FORMAT, "format", "a file is not what its format demands")            \
    X(LIMIT, "limit", "a named limit was exceeded")                         \
    X(DTYPE, "dtype", "the operation is not defined for this dtype")        \
    X(SHAPE, "shape", "shapes do not fit each other")                       \
    X(NAME, "name", "no such tensor, or an illegal name")                   \
    X(ARG, "arg", "an argument is wrong")                                   \
    X(QUANT, "quant", "arithmetic or a cast on a quantised tensor")         \
    X(EXISTS, "exists", "the target exists and may not be replaced")        \
    X(SPACE, "space", "not enough room on the disk")                        \
    X(CHANGED, "changed", "an input changed while it was in use")           \
    X(UNSAFE, "unsafe", "a file that would run code when PyTorch loads it") \
    X(CANCELLED, "cancelled", "the user stopped the work")                  \
    X(INTERNAL, "internal", "a defect of stlua itself")

typedef enum st_status {
#define X(id, code, when) ST_##id,
    ST_STATUSES(X)
#undef X
} st_status;

/* The code of a status: "format", "io", ... */
const char *st_status_code(st_status s);

/* What went wrong, in one sentence a person can act on. `file` and `tensor` repeat, escaped for
 * printing, what `message` names; they are empty where there is none. */
typedef struct st_err {
    st_status code;
    char message[2048];
    char file[512];
    char tensor[512];
    uint32_t origin; /* what st_tensor_set_origin gave the operation whose computation failed; 0: nothing */
} st_err;

/* Copies a counted string from a file for printing: control, bidirectional and invalid bytes escaped, the middle cut
 * when it does not fit. Always terminates. */
void st_escape(char *dst, size_t cap, const char *src, size_t len);

/* ---------------------------------------------------------------- dtypes */

/* X(enumerator and format name, bits, kind, register class). The order is the reference library's rank: files are
 * written in descending rank. Kind RAW and COMPLEX can be stored, copied, renamed, but not computed on. */
#define ST_DTYPES(X)              \
    X(BOOL, 8, BOOL, B8)          \
    X(F4, 4, RAW, NONE)           \
    X(F6_E2M3, 6, RAW, NONE)      \
    X(F6_E3M2, 6, RAW, NONE)      \
    X(U8, 8, UINT, I64)           \
    X(I8, 8, INT, I64)            \
    X(F8_E5M2, 8, FLOAT, F32)     \
    X(F8_E4M3, 8, FLOAT, F32)     \
    X(F8_E8M0, 8, RAW, NONE)      \
    X(F8_E4M3FNUZ, 8, FLOAT, F32) \
    X(F8_E5M2FNUZ, 8, FLOAT, F32) \
    X(I16, 16, INT, I64)          \
    X(U16, 16, UINT, I64)         \
    X(F16, 16, FLOAT, F32)        \
    X(BF16, 16, FLOAT, F32)       \
    X(I32, 32, INT, I64)          \
    X(U32, 32, UINT, I64)         \
    X(F32, 32, FLOAT, F32)        \
    X(C64, 64, COMPLEX, NONE)     \
    X(F64, 64, FLOAT, F64)        \
    X(I64, 64, INT, I64)          \
    X(U64, 64, UINT, U64)

typedef enum st_dtype {
#define X(id, bits, kind, reg) ST_##id,
    ST_DTYPES(X)
#undef X
        ST_DTYPE_COUNT
} st_dtype;

typedef enum st_kind { ST_KIND_BOOL, ST_KIND_UINT, ST_KIND_INT, ST_KIND_FLOAT, ST_KIND_COMPLEX, ST_KIND_RAW } st_kind;

const char *st_dtype_name(st_dtype d); /* "BF16" */
unsigned st_dtype_bits(st_dtype d);
st_kind st_dtype_kind(st_dtype d);
/* Looks a name up, exactly as the format spells it; with `fold`, in any case. False if there is none. */
bool st_dtype_parse(const char *name, size_t len, bool fold, st_dtype *out);
/* What torch, NumPy and their users call dtypes: word k, NULL behind the last, and which is meant. */
const char *st_dtype_word(size_t k, st_dtype *out);
/* The dtype that torch.result_type gives for two operands with dimensions. ST_DTYPE where there is none. */
st_status st_dtype_promote(st_dtype a, st_dtype b, st_dtype *out, st_err *err);

#define ST_MAX_DIMS 64 /* a named limit: a higher rank is refused when a file is opened */

/* ---------------------------------------------------------------- context */

/* Threads, memory budget, cancel flag and progress of one user of the library. */
typedef struct st_ctx st_ctx;

st_status st_ctx_new(st_ctx **out, st_err *err);
void st_ctx_free(st_ctx *ctx);
/* Threads that work is spread over; 0 asks for as many as this process may use (affinity, cgroup). */
void st_ctx_set_threads(st_ctx *ctx, unsigned n);
unsigned st_ctx_threads(const st_ctx *ctx);
/* Bytes that whole-tensor operations may hold (default 1 GiB); streamed work stays far below by itself. */
void st_ctx_set_memory(st_ctx *ctx, uint64_t bytes);
uint64_t st_ctx_memory(const st_ctx *ctx);
/* Stops what runs in this context within a tile's time; async-signal-safe. Work started later fails too,
 * until st_ctx_resume. */
void st_ctx_cancel(st_ctx *ctx);
void st_ctx_resume(st_ctx *ctx);
bool st_ctx_cancelled(const st_ctx *ctx);
/* Whether a thread still ends what a cancel could not stop half-way; st_ctx_free waits for it. */
bool st_ctx_busy(st_ctx *ctx);

typedef struct st_progress {
    const char *phase;    /* "write", "sync" */
    uint64_t done, total; /* bytes of output */
    uint64_t there;       /* of them, what an earlier, interrupted save had done */
    double seconds;       /* since the work began */
} st_progress;
/* Called from the thread that called into libst, at most ten times a second and once at the end of a phase;
 * a false return cancels. */
typedef bool (*st_progress_fn)(void *user, const st_progress *p);
void st_ctx_set_progress(st_ctx *ctx, st_progress_fn fn, void *user);

/* Bytes that libst holds now, and the most it ever held (without thread stacks and OpenBLAS's own buffers). */
uint64_t st_memory_used(void);
uint64_t st_memory_peak(void);
/* Bytes taken from files so far, by this whole process: read, or copied inside the kernel. */
uint64_t st_bytes_read(void);
/* "avx512", "avx2" or "baseline": the SIMD level in use (STLUA_SIMD in the environment lowers it). */
const char *st_simd_name(void);

/* ---------------------------------------------------------------- files */

/* One tensor as a header describes it. */
typedef struct st_info {
    const char *name; /* UTF-8, `name_len` bytes, also NUL-terminated */
    size_t name_len;
    st_dtype dtype;
    int ndim;
    const int64_t *shape; /* `ndim` sizes */
    uint64_t begin, end;  /* byte offsets in the data section of safetensors; 0 in other formats */
} st_info;

typedef struct st_text { /* a counted string, also NUL-terminated */
    const char *ptr;
    size_t len;
} st_text;

/* An open file of tensors: its header, and the right to read ranges. Reference counted. */
typedef struct st_file st_file;

/* Opens a regular file. What it is, its contents say: safetensors, whose whole header is checked as the reference
 * library does (reference verdicts, and the stricter ones of src/ARCHITECTURE.md), also zstd-compressed, which is seen
 * as the plain file in all that follows; a PyTorch checkpoint, of which nothing is run; .npz and .npy; GGUF. Reads
 * headers only. FORMAT says what the file really is. */
st_status st_file_open(const char *path, st_file **out, st_err *err);

typedef struct st_open_opts {
    bool tensors_only; /* of a checkpoint that would run code take the tensors all the same; else UNSAFE */
    bool skip;         /* leave out tensors that cannot be had; else DTYPE */
    const char *key; /* of a checkpoint take this part ("state_dict", "model.ema"), "" is all; NULL: as st_note says */
    bool has_dtype;  /* of .npy and .npz: unsigned integers, and raw bytes, of this width are this dtype */
    st_dtype dtype;
    const char *base; /* of a packed file: path of the file that differences were made to; NULL: it lies beside it */
} st_open_opts;
/* `o` may be NULL. */
st_status st_file_open_with(const char *path, const st_open_opts *o, st_file **out, st_err *err);
const char *st_file_format(const st_file *f); /* "safetensors", "PyTorch checkpoint", ... */

/* X(enumerator, name, what such a note tells): what was seen in a file that is not safetensors. */
#define ST_NOTES(X)                                                                 \
    X(TAKEN, "taken", "which part of the file the tensors are of")                  \
    X(LEFT, "left", "a part that holds tensors and was not taken")                  \
    X(BESIDE, "beside", "what stands beside the tensors")                           \
    X(DANGER, "danger", "what PyTorch would run when it loads the file")            \
    X(UNKNOWN, "unknown", "a class of somebody's program")                          \
    X(SKIPPED, "skipped", "a tensor that cannot be had, and why")                   \
    X(DECODED, "decoded", "tensors that are made into numbers while they are read") \
    X(UNTOLD, "untold", "metadata that was left out")

typedef enum st_note {
#define X(id, name, what) ST_NOTE_##id,
    ST_NOTES(X)
#undef X
        ST_NOTE_COUNT
} st_note;
const char *st_note_name(st_note n);
/* The notes on a file, in order; texts are safe to print. */
size_t st_file_notes(const st_file *f);
void st_file_note(const st_file *f, size_t i, st_note *kind, st_text *text);
st_file *st_file_ref(st_file *f);
void st_file_close(st_file *f);
const char *st_file_path(const st_file *f);
uint64_t st_file_size(const st_file *f);         /* of the whole file, uncompressed */
uint64_t st_file_stored(const st_file *f);       /* of the file as it lies on the disk */
uint64_t st_file_data_start(const st_file *f);   /* of safetensors: 8 + header length; others: 0 */
uint64_t st_file_header_bytes(const st_file *f); /* without the 8 of its length; of others what tells of the tensors */
/* How it is compressed, "zstd", or NULL; and whether a tensor can be read without all that lies before it. */
const char *st_file_compression(const st_file *f);
bool st_file_seeks(const st_file *f);
/* Whether its compressed bytes seem to lack their end, as far as it is known without decoding them. */
bool st_file_cut(const st_file *f);
size_t st_file_count(const st_file *f);
/* The i-th tensor in file order (by data offset, ties in header order). */
st_info st_file_info(const st_file *f, size_t i);
/* Index of a tensor, or -1. */
int64_t st_file_find(const st_file *f, const char *name, size_t len);
/* first[i] becomes the first tensor of the same elements, in the same bytes, as the i-th, itself included: checkpoints
 * store tied tensors once. */
st_status st_file_tied(const st_file *f, size_t *first, st_err *err);
size_t st_file_meta_count(const st_file *f);
void st_file_meta(const st_file *f, size_t i, st_text *key, st_text *value); /* in header order */
/* SHA-256 of the header (the 8 length bytes and the JSON; of other formats what tells of the tensors), 64 hexadecimal
 * digits and a NUL. */
st_status st_file_header_sha256(st_file *f, char out[65], st_err *err);
/* The same of the whole file, which is read for it. */
st_status st_file_sha256(st_file *f, char out[65], st_err *err);

typedef struct st_copy_opts {
    bool no_sync;     /* leave out fsync of file and folder */
    bool no_replace;  /* an existing target is an error */
    const char *base; /* to decompress a packed file: as in st_open_opts */
} st_copy_opts;
/* ---- packed files
 * A packed file (io/pack.h) is opened as what it was packed from: the functions above speak of the original. */
typedef struct st_pack_info {
    const char *base;        /* escaped name of the base, or NULL: none is needed; lent by the file */
    const char *base_sha256; /* its SHA-256, NULL where the file does not say */
    bool has_base;           /* it is there */
} st_pack_info;
bool st_file_packed(const st_file *f, st_pack_info *info); /* false: it is a plain file */

typedef struct st_pack_opts {
    st_file *base;           /* tensors become differences to those of the same name; may be NULL */
    const char *base_sha256; /* of the base file, if it is known; else it is computed */
    bool no_sync, no_replace;
} st_pack_opts;
typedef struct st_pack_stats {
    uint64_t before, after;                      /* bytes of the files */
    size_t tensors, deltas, as_base, as_earlier; /* of them packed as differences, as equal to the base's, to others */
    char base_sha256[65];                        /* empty without a base */
} st_pack_stats;
/* Writes `f` packed: planes of bytes, compressed, whose bytes st_file_open gives back exactly. The same file gives the
 * same bytes on any number of threads. `o` and `stats` may be NULL. */
st_status st_file_pack(st_ctx *ctx, st_file *f, const char *path, const st_pack_opts *o, st_pack_stats *stats,
                       st_err *err);

/* Writes the file `path` zstd-compressed to `to`, or a compressed one as it was before, byte for byte; *bytes is what
 * `to` then has on the disk. By the rules of a save: all or nothing. ARG where it is compressed, or plain, already. */
st_status st_file_compress(st_ctx *ctx, const char *path, const char *to, const st_copy_opts *opts, uint64_t *bytes,
                           st_err *err);
st_status st_file_decompress(st_ctx *ctx, const char *path, const char *to, const st_copy_opts *opts, uint64_t *bytes,
                             st_err *err);

/* Writes a small file of these bytes, a page or a picture, by the rules of a save. */
st_status st_file_write(st_ctx *ctx, const char *path, const void *bytes, size_t n, st_err *err);

/* A damaged place of a file, in the plain file's bytes. */
typedef struct st_damage {
    uint64_t begin, end;
    char tensor[512];   /* the first that it belongs to; empty: none, or not known */
    char message[1024]; /* as in st_err */
} st_damage;
typedef struct st_verdict {
    st_damage *list; /* in the order of the file, the first thousand */
    size_t n;
    uint64_t total;
    const char *compression; /* as st_file_compression */
    bool checked;            /* every byte has a checksum that was compared */
} st_verdict;
/* Reads the whole of a compressed file and compares its checksums; of a plain one, which has none, the header is
 * checked. A damaged file is no failure, but a list; st_verdict_free it. */
st_status st_file_verify(st_ctx *ctx, const char *path, const st_open_opts *o, st_verdict *v, st_err *err);
void st_verdict_free(st_verdict *v);

/* Hashes by which programs know a file, in hexadecimal digits. Those of the data are empty for what is no safetensors
 * file, as is the last where it would hang on an order that is left open. */
typedef struct st_hashes {
    char sha256[65];      /* of the whole file; AutoV2 is its beginning */
    char data_sha256[65]; /* of what lies behind the header; AutoV3 is its beginning */
    char autov1[9];       /* of 64 KiB at 1 MiB, or what the file has of them */
    char sshs_model[65];  /* of the data as the reference library would order them (sd-scripts) */
    char sshs_legacy[9];  /* AutoV1 of the file as that library would write it, with the ss_ keys as its metadata */
} st_hashes;
/* The hashes of `n` files, on all threads of the context; `whole`: only those that need no look at the data apart,
 * sha256 and autov1, in half of the time. The first failure ends all. */
st_status st_hash_files(st_ctx *ctx, const char *const *paths, size_t n, bool whole, st_hashes *out, st_err *err);

/* Other metadata for a file; all else of it stays as it lies, byte for byte: the order of the tensors and their data.
 */
typedef struct st_meta_change {
    const st_text *keys, *values; /* `n` of each: all that there will be */
    size_t n;
    bool no_sync, no_replace;
    uint32_t align; /* as of st_save_opts */
} st_meta_change;
/* Writes the file anew, to `path`, by the save protocol. `path` may be the file's own. */
st_status st_meta_write(st_ctx *ctx, st_file *f, const st_meta_change *c, const char *path, st_err *err);
/* Writes the header alone, into the file itself; SPACE when it has not the room. `header_sha256` is that of the header
 * that the change was made for. The old header stands behind the data until the new one is safe: whatever ends the
 * process or the machine in between, readers refuse the file and st_meta_undo brings the old one back. Refused for a
 * file that has several names, or that this process has open. */
st_status st_meta_edit(const char *path, const char *header_sha256, const st_meta_change *c, st_err *err);
/* Undoes what an interrupted st_meta_edit left; *did tells whether there was anything. */
st_status st_meta_undo(const char *path, bool *did, st_err *err);

/* Checks a header held in memory, as st_file_open does: `buf` holds the first `len` bytes of a file of `file_size`
 * bytes (len >= 8 + header length unless the file is shorter). For tests and fuzzers. */
typedef struct st_header st_header;
st_status st_header_parse(const char *label, const void *buf, size_t len, uint64_t file_size, st_header **out,
                          st_err *err);
void st_header_free(st_header *h);
size_t st_header_count(const st_header *h);
st_info st_header_info(const st_header *h, size_t i);
size_t st_header_meta_count(const st_header *h);
void st_header_meta(const st_header *h, size_t i, st_text *key, st_text *value);

/* A model.safetensors.index.json: which shard holds which tensor. Shard names are checked: relative, no "..", no
 * drive, root, backslash or NUL, ending in ".safetensors", ".safetensors.zst", or in ".bin", ".pt" or ".pth" of
 * checkpoints. */
typedef struct st_index st_index;
st_status st_index_open(const char *path, st_index **out, st_err *err);
st_status st_index_parse(const char *label, const void *buf, size_t len, st_index **out, st_err *err);
void st_index_free(st_index *x);
size_t st_index_shards(const st_index *x);
const char *st_index_shard(const st_index *x, size_t i); /* in order of first mention */
size_t st_index_count(const st_index *x);                /* tensors mapped */
void st_index_entry(const st_index *x, size_t i, st_text *name, size_t *shard);
int64_t st_index_find(const st_index *x, const char *name, size_t len); /* entry of a tensor, or -1 */
bool st_index_total_size(const st_index *x, uint64_t *out); /* metadata.total_size, if it is there and whole */

/* ---------------------------------------------------------------- tensors: expressions */

/* A tensor is an expression: a range of a file, values in memory, or an operation on other tensors. Building one checks
 * shapes and dtypes at once and computes nothing. Arithmetic is done in F32 (F64 where an operand is F64, integers
 * in 64 bits, wrapped to the declared dtype); rounding to the declared float dtype happens at a cast, a save or an
 * export. */
typedef struct st_tensor st_tensor;

/* X(enumerator, name, operands, result dtype): SAME = torch.result_type of the operands; FLOAT = the same, integers
 * become F32; BOOL = a mask; WHERE = result_type of operands 2 and 3, operand 1 is a mask. Meanings are PyTorch's. */
#define ST_OPS(X)                                  \
    X(ADD, "add", 2, SAME)                         \
    X(SUB, "sub", 2, SAME)                         \
    X(MUL, "mul", 2, SAME)                         \
    X(DIV, "div", 2, FLOAT)                        \
    X(POW, "pow", 2, SAME)                         \
    X(MINIMUM, "minimum", 2, SAME)                 \
    X(MAXIMUM, "maximum", 2, SAME)                 \
    X(EQ, "eq", 2, BOOL)                           \
    X(NE, "ne", 2, BOOL)                           \
    X(LT, "lt", 2, BOOL)                           \
    X(LE, "le", 2, BOOL)                           \
    X(GT, "gt", 2, BOOL)                           \
    X(GE, "ge", 2, BOOL)                           \
    X(WHERE, "where", 3, WHERE)                    \
    X(NEG, "neg", 1, SAME)                         \
    X(ABS, "abs", 1, SAME)                         \
    X(SIGN, "sign", 1, SAME)                       \
    X(SQRT, "sqrt", 1, FLOAT)                      \
    X(EXP, "exp", 1, FLOAT)                        \
    X(LOG, "log", 1, FLOAT)                        \
    X(FLOOR, "floor", 1, SAME)                     \
    X(CEIL, "ceil", 1, SAME)                       \
    X(ROUND, "round", 1, SAME)                     \
    X(TRUNC, "trunc", 1, SAME)                     \
    X(FMOD, "fmod", 2, SAME)                       \
    X(REMAINDER, "remainder", 2, SAME)             \
    X(FLOOR_DIVIDE, "floor_divide", 2, SAME)       \
    X(BITWISE_AND, "bitwise_and", 2, SAME)         \
    X(BITWISE_OR, "bitwise_or", 2, SAME)           \
    X(BITWISE_XOR, "bitwise_xor", 2, SAME)         \
    X(BITWISE_NOT, "bitwise_not", 1, SAME)         \
    X(LEFT_SHIFT, "bitwise_left_shift", 2, SAME)   \
    X(RIGHT_SHIFT, "bitwise_right_shift", 2, SAME) \
    X(SIGMOID, "sigmoid", 1, FLOAT)                \
    X(TANH, "tanh", 1, FLOAT)                      \
    X(ERF, "erf", 1, FLOAT)                        \
    X(EXP2, "exp2", 1, FLOAT)                      \
    X(EXPM1, "expm1", 1, FLOAT)                    \
    X(LOG2, "log2", 1, FLOAT)                      \
    X(LOG10, "log10", 1, FLOAT)                    \
    X(LOG1P, "log1p", 1, FLOAT)                    \
    X(SIN, "sin", 1, FLOAT)                        \
    X(COS, "cos", 1, FLOAT)                        \
    X(TAN, "tan", 1, FLOAT)                        \
    X(ASIN, "asin", 1, FLOAT)                      \
    X(ACOS, "acos", 1, FLOAT)                      \
    X(ATAN, "atan", 1, FLOAT)                      \
    X(ATAN2, "atan2", 2, FLOAT)                    \
    X(SINH, "sinh", 1, FLOAT)                      \
    X(COSH, "cosh", 1, FLOAT)                      \
    X(ERFC, "erfc", 1, FLOAT)                      \
    X(HYPOT, "hypot", 2, FLOAT)

typedef enum st_op {
#define X(id, name, arity, result) ST_OP_##id,
    ST_OPS(X)
#undef X
        ST_OP_COUNT
} st_op;

st_tensor *st_tensor_ref(st_tensor *t);
void st_tensor_unref(st_tensor *t);
st_dtype st_tensor_dtype(const st_tensor *t);
int st_tensor_ndim(const st_tensor *t);
const int64_t *st_tensor_shape(const st_tensor *t);
int64_t st_tensor_numel(const st_tensor *t);
uint64_t st_tensor_nbytes(const st_tensor *t); /* as it would be saved */
/* True for a range of a file or values in memory, false for work still to be done. */
bool st_tensor_is_leaf(const st_tensor *t);
/* True if the outermost operation is an explicit cast. */
bool st_tensor_is_cast(const st_tensor *t);
/* The name of the quantised layout that a file's tensor belongs to ("bnb nf4"), or NULL. */
const char *st_tensor_quant(const st_tensor *t);
/* Where it comes from: file and name of a file's tensor; NULL otherwise. */
const char *st_tensor_file(const st_tensor *t);
const char *st_tensor_name(const st_tensor *t);

/* A number of the caller's for whoever asked for the operation that made this tensor: errors found only when it is
 * computed bring it along. Operations keep the first one they get; views and casts pass it on to what they are of. To
 * be called before anybody else has the tensor. */
void st_tensor_set_origin(st_tensor *t, uint32_t origin);

/* Values in memory: copies `nbytes` = the exact size for dtype and shape. */
st_status st_tensor_new(st_dtype dtype, int ndim, const int64_t *shape, const void *values, uint64_t nbytes,
                        st_tensor **out, st_err *err);
/* The bytes of a tensor that is a leaf as numbers of a dtype of the same width: the codes and scales of a quantised
 * layout for who knows what they mean. */
st_status st_tensor_codes(st_tensor *t, st_dtype dtype, st_tensor **out, st_err *err);
/* A number, of torch's weak kind: it takes part in result_type only by its kind (BOOL, I64 or F64). */
st_status st_number(double value, st_tensor **out, st_err *err);
st_status st_integer(int64_t value, st_tensor **out, st_err *err);
/* An operation on as many operands as ST_OPS says. Shapes broadcast as in NumPy. */
st_status st_apply(st_op op, st_tensor *const *args, st_tensor **out, st_err *err);
/* Rounds to nearest even. Out of range as torch's plain cast; with `saturate` floats clamp to the largest finite value.
 * Float to integer truncates and saturates, NaN gives 0. */
st_status st_cast(st_tensor *t, st_dtype dtype, bool saturate, st_tensor **out, st_err *err);
/* The same elements in another order; nothing is moved until they are computed. */
st_status st_reshape(st_tensor *t, int ndim, const int64_t *shape, st_tensor **out, st_err *err);
/* Dimension d of the result is dimension order[d]. */
st_status st_permute(st_tensor *t, const int *order, st_tensor **out, st_err *err);
/* `count` elements of a dimension from `start` on, every step-th; a negative step goes backwards. */
st_status st_narrow(st_tensor *t, int dim, int64_t start, int64_t count, int64_t step, st_tensor **out, st_err *err);
/* Broadcasts to a shape: sizes of 1 are repeated, dimensions may be added in front. */
st_status st_expand(st_tensor *t, int ndim, const int64_t *shape, st_tensor **out, st_err *err);
/* ---------------------------------------------------------------- tensors: linear algebra */

/* Products and decompositions of matrices, and of stacks of them (the last two dimensions are a matrix), computed
 * whole by OpenBLAS in F32, or F64 when an operand is F64; other dtypes than floats are refused. Bits are equal on
 * any number of threads of one kind of processor. Values that are NaN or infinite are refused by decompositions, when
 * they are computed. Decompositions of narrower floats give F32. */

/* torch.matmul: vectors, matrices, stacks that broadcast. */
st_status st_matmul(st_tensor *a, st_tensor *b, st_tensor **out, st_err *err);
/* out = U, S, Vh with a = U diag(S) Vh, S descending: k = min(m, n) columns of U and rows of Vh, or with `full`
 * square ones. Signs: in each column of U the entry of largest magnitude (the first of equal ones) is positive. */
st_status st_svd(st_tensor *a, bool full, st_tensor *out[3], st_err *err);
st_status st_svdvals(st_tensor *a, st_tensor **out, st_err *err);
/* Sum of the singular values of each matrix. */
st_status st_nuclear_norm(st_tensor *a, st_tensor **out, st_err *err);
/* out = Q (m x k), R (k x n): Householder's, with LAPACK's signs. */
st_status st_qr(st_tensor *a, st_tensor *out[2], st_err *err);
/* out = eigenvalues, ascending, and eigenvectors in columns, of the symmetric matrix in the lower triangle of a.
 * Signs as in st_svd. */
st_status st_eigh(st_tensor *a, st_tensor *out[2], st_err *err);
/* The lower factor L of a = L L', from the lower triangle; ARG when it is not positive definite. */
st_status st_cholesky(st_tensor *a, st_tensor **out, st_err *err);
st_status st_det(st_tensor *a, st_tensor **out, st_err *err);
/* ARG for a singular matrix, when it is computed. */
st_status st_inverse(st_tensor *a, st_tensor **out, st_err *err);
/* X of a X = b, for b a vector, a matrix or stacks of either, told apart as torch.linalg.solve does. */
st_status st_solve(st_tensor *a, st_tensor *b, st_tensor **out, st_err *err);
/* Moore and Penrose's inverse: singular values up to rtol times the largest count as 0. rtol < 0: max(m, n) times the
 * dtype's precision, as torch. */
st_status st_pinv(st_tensor *a, double rtol, st_tensor **out, st_err *err);

/* The k largest singular values and vectors of a matrix by subspace iteration from a random start (Halko, Martinsson
 * and Tropp, 2011, algorithms 4.4 and 5.1), niter times over; exact, by st_svd's way, where k is more than about half
 * of min(m, n). out = U (m x k), S, V (n x k) as torch.svd_lowrank gives them, and a certificate of three numbers:
 * a's Frobenius norm, and the shares of its square that the k values and that the whole subspace hold. What the best
 * rank k can hold is at most the first share plus 1 minus the second. Shares are good to 1e-6 in F32. Signs as in
 * st_svd. */
st_status st_svd_lowrank(st_tensor *a, int64_t k, int niter, uint64_t seed, st_tensor *out[4], st_err *err);

/* Pairs of a row and a column of each matrix, no row and no column twice, as many as its smaller size, whose values add
 * up to the least (with `maximize` the most): out = rows, ascending, and columns (.., k), I64. Exact, in F64; of equal
 * sums always the same one. */
st_status st_linear_sum_assignment(st_tensor *cost, bool maximize, st_tensor *out[2], st_err *err);

/* ---------------------------------------------------------------- tensors: factors of many matrices */

typedef struct st_lowrank_goal {
    int64_t rank;   /* at most; what a matrix cannot have is clamped */
    double energy;  /* above 0: the smallest rank that holds this share of the sum of squares */
    double ratio;   /* above 0: and that has no singular value below the largest divided by this */
    double slack;   /* the residual's squares may be more than the best rank's by this share, about: 0.0006 */
    double split;   /* left = U S^split, right = S^(1 - split) V' */
    st_dtype dtype; /* of the factors */
    uint64_t seed;
} st_lowrank_goal;

/* left (m x rank) right (rank x n) is the matrix, about; neither is there for a matrix of zeros. Shares are of the sum
 * of its squares, and good to 1e-6. */
typedef struct st_lowrank {
    st_tensor *left, *right;
    double *s;             /* `rank` singular values, descending */
    int64_t rank, columns; /* of the subspace that they were found in */
    double norm;           /* Frobenius norm */
    double retained;       /* share of the exact factors; 1 less it is the residual */
    double captured;       /* share of the whole subspace */
    double ahead;          /* share that the best factors may retain above it, estimated from how it grew */
    double rounding;       /* share of what the dtype's rounding of the factors adds to the residual */
} st_lowrank;

/* Factors of the matrices list[0..n), each F32 or narrower and read no more often than needed: by block Krylov
 * subspaces, to the end where that takes all columns. Matrices are computed side by side, as many as a part of the
 * context's memory holds. out[i] are st_lowrank_free'd, also after a failure. ARG for NaN and infinities. Bits do not
 * depend on the number of threads. */
st_status st_lowrank_factors(st_ctx *ctx, st_tensor *const *list, size_t n, const st_lowrank_goal *goal,
                             st_lowrank *out, st_err *err);
void st_lowrank_free(st_lowrank *l);

/* ---------------------------------------------------------------- tensors: random numbers */

/* Element i is a function of (seed, stream, i) alone: Philox4x32-10, see src/kern/level_random.c. The stream may be
 * named, by a tensor's name for instance; without a name (NULL) it is number `stream`. Made when needed, so a large
 * one costs no memory. */
typedef struct st_seed {
    uint64_t seed, stream;
    const char *name;
    size_t name_len;
} st_seed;
/* Uniform in [0, 1), normal with mean 0 and deviation 1: of F64 with 53 random bits, of other floats with 24 (32 in a
 * normal's radius), before they are rounded to the dtype. */
st_status st_rand(st_dtype dtype, int ndim, const int64_t *shape, const st_seed *seed, st_tensor **out, st_err *err);
st_status st_randn(st_dtype dtype, int ndim, const int64_t *shape, const st_seed *seed, st_tensor **out, st_err *err);
/* Integers in [low, high), which must fit the dtype. */
st_status st_randint(st_dtype dtype, int ndim, const int64_t *shape, int64_t low, int64_t high, const st_seed *seed,
                     st_tensor **out, st_err *err);
/* BOOL, each true with probability p (to 32 bits). */
st_status st_chance(double p, int ndim, const int64_t *shape, const st_seed *seed, st_tensor **out, st_err *err);

/* Where some elements of a tensor lie among all of its, taken in row-major order: what a view is made of, and an
 * assignment goes to. Made by st_place_of, moved by the others, which leave it alone when they fail. */
typedef struct st_place {
    const st_tensor *of; /* borrowed; named in messages */
    int ndim;
    int64_t shape[ST_MAX_DIMS], strides[ST_MAX_DIMS], start;
} st_place;
void st_place_of(const st_tensor *t, st_place *p); /* all of it */
st_status st_place_permute(st_place *p, const int *order, st_err *err);
st_status st_place_narrow(st_place *p, int dim, int64_t start, int64_t count, int64_t step, st_err *err);
st_status st_place_expand(st_place *p, int ndim, const int64_t *shape, st_err *err);
/* *fits is false, and the place as it was, where the elements would have to be moved to lie in that shape. */
st_status st_place_reshape(st_place *p, int ndim, const int64_t *shape, const char *who, bool *fits, st_err *err);
/* The elements at a place of `t`. */
st_status st_view(st_tensor *t, const st_place *p, st_tensor **out, st_err *err);
/* Tensors one behind the other along a dimension, in the result_type of all. What lies in files or memory in one dtype
 * streams; anything else is put together when it is needed. */
st_status st_cat(st_tensor *const *parts, int n, int dim, st_tensor **out, st_err *err);
/* 0, 1, ... count - 1 as I64. */
st_status st_iota(int64_t count, st_tensor **out, st_err *err);
/* Values in memory of the tensor's dtype, computed now. */
st_status st_clone(st_ctx *ctx, st_tensor *t, st_tensor **out, st_err *err);
/* Writes `value`, broadcast and cast, to a place of *t. Who else holds the tensor goes on seeing the old values: it
 * is written where it is only if the caller's reference is the last, else *t becomes another. A file's tensor is
 * refused. */
st_status st_assign(st_ctx *ctx, st_tensor **t, const st_place *where, st_tensor *value, st_err *err);
/* Computes elements [start, start + count) in row-major order and writes them as `dtype` (a cast from the tensor's
 * own). */
st_status st_export(st_ctx *ctx, st_tensor *t, uint64_t start, uint64_t count, st_dtype dtype, void *out, st_err *err);
/* Computes all and keeps the values, in the compute dtype, inside the tensor: later uses read them. */
st_status st_force(st_ctx *ctx, st_tensor *t, st_err *err);
/* The obvious evaluator, one operation at a time over whole tensors: the reference the other is tested against. Writes
 * st_tensor_nbytes bytes. */
st_status st_export_plain(st_ctx *ctx, st_tensor *t, void *out, st_err *err);
/* True in *out if both hold the same bytes (same dtype, shape, raw values; NaN equal to the same NaN). Streams. */
st_status st_tensor_identical(st_ctx *ctx, st_tensor *a, st_tensor *b, bool *out, st_err *err);

/* ---------------------------------------------------------------- reductions */

/* X(enumerator, name). Deferred, as all operations. Floats are accumulated in F64, in an order fixed by index: the
 * bits are the same on every number of threads and at every SIMD level. */
#define ST_REDUCTIONS(X)              \
    X(SUM, "sum")                     \
    X(PROD, "prod")                   \
    X(MEAN, "mean")                   \
    X(VAR, "var")                     \
    X(STD, "std")                     \
    X(NORM, "norm")                   \
    X(MIN, "min")                     \
    X(MAX, "max")                     \
    X(ARGMIN, "argmin")               \
    X(ARGMAX, "argmax")               \
    X(ANY, "any")                     \
    X(ALL, "all")                     \
    X(COUNT_NONZERO, "count_nonzero") \
    X(DOT, "dot")

typedef enum st_reduction {
#define X(id, name) ST_RED_##id,
    ST_REDUCTIONS(X)
#undef X
        ST_REDUCTION_COUNT
} st_reduction;

typedef struct st_reduce_opts {
    const int *dims; /* dimensions to reduce; none: all of them */
    int ndims;
    bool keepdim;      /* reduced dimensions stay, with size 1 */
    double correction; /* VAR, STD: divide by n less this (torch: 1) */
    double p;          /* NORM: any number, infinities included */
} st_reduce_opts;

/* Every reduction but DOT; opts may be NULL (all, correction 1, p 2). Over all dimensions the result is F64 for
 * floats, I64 for integers; over some, floats keep their dtype, as in torch. MIN and MAX keep the dtype, ARG* and
 * counts are I64 (0-based, of the flattened elements when over all), ANY and ALL BOOL. DTYPE for MEAN, VAR, STD and
 * NORM of integers. */
st_status st_reduce(st_reduction what, st_tensor *t, const st_reduce_opts *opts, st_tensor **out, st_err *err);
/* The sum of a * b over all elements, which must be equally many. */
st_status st_dot(st_tensor *a, st_tensor *b, st_tensor **out, st_err *err);
/* The mean of n directions on the sphere as coefficients of each (F64), from their inner products, n x n, and each
 * one's share, which add up to 1: at most `steps` steps of Karcher's, until one is shorter than `tol`. */
st_status st_sphere_mean(st_tensor *products, st_tensor *shares, int64_t steps, double tol, st_tensor **out,
                         st_err *err);
/* A rotation (N x N, F64) with its first n columns kept and the others turned until its logarithm has no part in the
 * last N - n rows and columns, up to `tol`, in at most `steps` steps: its powers lead from n directions, of which the
 * columns are the coordinates, to n others by the shortest way. */
st_status st_stiefel(st_tensor *w, int64_t n, int64_t steps, double tol, st_tensor **out, st_err *err);
/* `value`, one number, where `holds` is true; else computing it fails with ARG and the message. Both may be deferred.
 */
st_status st_require(st_tensor *value, st_tensor *holds, const char *message, st_tensor **out, st_err *err);
/* st_force of several: reductions over equally many elements are computed in one pass, so that what they read in
 * common is read once. Saving and exporting do the same for the reductions in one expression. */
st_status st_force_all(st_ctx *ctx, st_tensor *const *tensors, size_t n, st_err *err);

/* The k-th smallest of all elements (0-based; NaN is larger than all), in the tensor's dtype. Found by counting, in
 * two to four streaming passes: nothing is stored or sorted. */
st_status st_kth(st_tensor *t, int64_t k, st_tensor **out, st_err *err);
/* A BOOL mask of the k elements of largest magnitude, of equal ones of those that stand first; NaN are larger than all.
 * k is one number, which may itself be deferred. Floats only. */
st_status st_top_mask(st_tensor *t, st_tensor *k, st_tensor **out, st_err *err);
/* The lower median of all elements, NaN if there is one. */
st_status st_median(st_tensor *t, st_tensor **out, st_err *err);

/* X(enumerator, name): what a quantile between two elements is. */
#define ST_INTERPOLATIONS(X) \
    X(LINEAR, "linear")      \
    X(LOWER, "lower")        \
    X(HIGHER, "higher")      \
    X(NEAREST, "nearest")    \
    X(MIDPOINT, "midpoint")
typedef enum st_interpolation {
#define X(id, name) ST_IP_##id,
    ST_INTERPOLATIONS(X)
#undef X
        ST_IP_COUNT
} st_interpolation;

/* Quantiles of all elements, F64, NaN if there is a NaN: `n` of them (one with `scalar`: without dimensions). Floats
 * only. */
st_status st_quantile(st_tensor *t, const double *q, int64_t n, bool scalar, st_interpolation how, st_tensor **out,
                      st_err *err);
/* How many elements fall into each of `bins` equal parts of [low, high], the last one closed: I64. With low = high the
 * range is that of the values. Elements outside, and NaN, are not counted. */
st_status st_histogram(st_tensor *t, int64_t bins, double low, double high, st_tensor **out, st_err *err);

/* Places (0-based, I64) of the elements from `start` on, `count` of them, in order along a dimension: stable, NaN the
 * largest. */
st_status st_order(st_tensor *t, int dim, int64_t start, int64_t count, bool descending, st_tensor **out, st_err *err);
/* How many elements of its row along a dimension stand before each in ascending order, as F32: equal ones in the order
 * in which they lie, NaN the largest. */
st_status st_rank(st_tensor *t, int dim, st_tensor **out, st_err *err);
/* The place of the lower median along a dimension, which becomes 1 long; of the first NaN if there is one. */
st_status st_median_place(st_tensor *t, int dim, st_tensor **out, st_err *err);
/* Elements along a dimension by their places (torch.take_along_dim; shapes are equal but there). */
st_status st_take(st_tensor *t, int dim, st_tensor *places, st_tensor **out, st_err *err);
/* Sums and products from the first element on; integers become I64. */
st_status st_cumsum(st_tensor *t, int dim, st_tensor **out, st_err *err);
st_status st_cumprod(st_tensor *t, int dim, st_tensor **out, st_err *err);
/* Slices of a dimension by their places (0-based I64, of one dimension): only these are read. */
st_status st_index_select(st_tensor *t, int dim, st_tensor *places, st_tensor **out, st_err *err);
/* The elements of `t` where the mask, of as many elements, is not 0, in order; without `t` (NULL) their places (0-based
 * I64). Computes: how many there are is not known before. */
st_status st_masked_select(st_ctx *ctx, st_tensor *t, st_tensor *mask, st_tensor **out, st_err *err);
/* The distinct values in order, how often each is there, and for each element the number (0-based) of its value.
 * Computes: how many there are is not known before. */
st_status st_unique(st_ctx *ctx, st_tensor *t, st_tensor **values, st_tensor **counts, st_tensor **inverse,
                    st_err *err);

/* ---------------------------------------------------------------- Fourier transforms */

typedef enum st_fft_kind {
    ST_FFT_FORWARD, /* complex to complex */
    ST_FFT_INVERSE,
    ST_FFT_REAL,    /* real to complex: of the last dimension the first n / 2 + 1 */
    ST_FFT_TO_REAL, /* the way back */
} st_fft_kind;

/* Discrete Fourier transforms over the last `dims` dimensions; complex numbers are a further dimension of 2. Computed
 * in F64, times `scale`; F64 of F64, else F32. `n` is the length of the last dimension where the result is real. */
st_status st_fft(st_fft_kind kind, st_tensor *t, int dims, int64_t n, double scale, st_tensor **out, st_err *err);

/* ---------------------------------------------------------------- models */

/* Ordered names -> tensors, and metadata. */
typedef struct st_model st_model;

st_status st_model_new(st_model **out, st_err *err);
void st_model_free(st_model *m);
/* One file. */
st_status st_model_open_file(const char *path, st_model **out, st_err *err);
st_status st_model_open_with(const char *path, const st_open_opts *o, st_model **out, st_err *err);
/* All shards of an index; every mapped tensor must be in its shard. Metadata is the first shard's. `path` names the
 * index. */
st_status st_model_open_index(const char *path, st_model **out, st_err *err);
st_status st_model_open_index_with(const char *path, const st_open_opts *o, st_model **out, st_err *err);
size_t st_model_count(const st_model *m);
/* The i-th entry; `shape` lives as long as the model. begin and end are 0 for what is not a file's range. */
st_info st_model_info(const st_model *m, size_t i);
int64_t st_model_find(const st_model *m, const char *name, size_t len); /* -1 if there is none */
/* Borrows nothing: a reference the caller gives back. */
st_status st_model_tensor(st_model *m, size_t i, st_tensor **out, st_err *err);
/* Appends; a name that is there already is an error, as are "__metadata__" and names over 64 KiB. Takes its own
 * reference. */
st_status st_model_add(st_model *m, const char *name, size_t len, st_tensor *t, st_err *err);
/* The same, but a name that is there gets the new tensor, in its place. */
st_status st_model_set(st_model *m, const char *name, size_t len, st_tensor *t, st_err *err);
/* Metadata: strings. `value` NULL removes a key. */
st_status st_model_set_meta(st_model *m, const char *key, size_t klen, const char *value, size_t vlen, st_err *err);
size_t st_model_meta_count(const st_model *m);
void st_model_meta(const st_model *m, size_t i, st_text *key, st_text *value);
/* Weights that are codes of a quantised layout, told by the tensors beside them. */
typedef struct st_quant_use {
    const char *layout;     /* "scaled fp8", a constant string */
    st_dtype codes, scales; /* of the weight, and of the first of the tensors beside it */
    size_t weights;         /* how many there are of the three above */
    size_t first, beside;   /* entries of the first such weight and of its scales */
} st_quant_use;
/* Fills at most `cap` of them, in order of first appearance; returns how many. */
size_t st_model_quants(const st_model *m, st_quant_use *list, size_t cap);
/* Files behind a model opened from disk (0 for a computed one). */
size_t st_model_files(const st_model *m);
st_file *st_model_file(const st_model *m, size_t i);

/* Holds the entries of a zip archive (.npz, checkpoints) against their checksums: all of the file is read. FORMAT.
 * Other formats have none. *all (may be NULL): every byte of a tensor was held against one. */
st_status st_file_check(st_file *f, bool *all, st_err *err);

/* ---------------------------------------------------------------- saving */

/* A small file that goes into the folder together with the shards, such as config.json; one of that name that was there
 * is replaced. */
typedef struct st_companion {
    const char *name;
    const void *bytes;
    size_t n;
} st_companion;

typedef enum st_compression { ST_COMPRESS_NONE, ST_COMPRESS_ZSTD } st_compression;

typedef struct st_save_opts {
    bool has_dtype; /* cast floating tensors to `dtype` */
    st_dtype dtype;
    bool saturate;
    bool no_sync;       /* leave out fsync of file and folder */
    bool no_replace;    /* an existing target is an error */
    bool force;         /* a folder save may replace a folder that holds another model */
    uint32_t align;     /* data section starts at a multiple of it: 0 or 8 canonical, 64, 4096 */
    uint64_t max_shard; /* bytes; 0 = one file. With it `path` is a folder. */
    const char
        *only_file; /* name of a folder's file of weights where one is enough, lent: NULL = "model.safetensors" */
    const st_companion *companions; /* lent until st_plan_free; with max_shard only */
    size_t ncompanions;
    st_compression compress; /* names of shards then end in .zst */
    bool resume; /* keep what is done when the save fails or is killed, and go on from it if it is there; of one target
                  * it is meant for the whole plan */
} st_save_opts;

/* Several models saved in one pass over their inputs: what they read in common is read once. */
typedef struct st_plan st_plan;

st_status st_plan_new(st_ctx *ctx, st_plan **out, st_err *err);
void st_plan_free(st_plan *p);
/* The model is lent until st_plan_free; opts may be NULL. */
st_status st_plan_add(st_plan *p, st_model *m, const char *path, const st_save_opts *opts, st_err *err);
/* Bytes the plan will write, before they are compressed: known before it runs. */
uint64_t st_plan_bytes(const st_plan *p);
/* After it has run: what they take on the disk. */
uint64_t st_plan_stored(const st_plan *p);
/* Writes everything, or nothing: on any failure no target is changed and no temporary file stays. Free space is
 * checked first. With `resume` what is done stays, under hidden names beside the targets, for a plan with the same
 * inputs and expressions to go on from, and the message says so; the next save to a target removes what it cannot use.
 */
st_status st_plan_run(st_plan *p, st_err *err);

/* ---------------------------------------------------------------- NumPy's files */

/* The header of a .npy file that holds a tensor of this dtype and shape in C order: at most 2,048 bytes, a multiple of
 * 64. DTYPE for what NumPy has no type for. */
st_status st_npy_header(st_dtype dtype, int ndim, const int64_t *shape, char out[2048], size_t *len, st_err *err);

typedef struct st_npy_item {
    const char *name; /* of an archive's entry; ".npy" is added */
    size_t name_len;
    st_tensor *t;
    st_dtype as;    /* it is cast to this one, such as F32 for BF16 */
    st_dtype named; /* what its header says: `as`, or unsigned integers of the same width, which then are its bits */
} st_npy_item;
/* Writes one array as .npy, or any number as an uncompressed .npz (with `archive`), by the same protocol as a save. */
st_status st_npy_save(st_ctx *ctx, const char *path, const st_npy_item *items, size_t n, bool archive,
                      const st_save_opts *opts, st_err *err);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
