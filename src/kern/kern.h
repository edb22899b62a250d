/* kern.h - pure functions on arrays, one table of them per SIMD level. Layer: kern: may include core's dtype.h and
 * st.h; no malloc, no files, no threads, no state but the table chosen once.
 *
 * Values are computed in registers: arrays of one register class (dtype.h). A kernel takes n elements; `dst` may be
 * the same array as a source of the same element size, and otherwise must not overlap any. n may be 0. Arrays are
 * aligned to their element; raw dtype arrays on the load and store side may have any alignment.
 * Every SIMD level gives the same bits (NaN results are canonical where a kernel makes them: see kern.c). */
#ifndef ST_KERN_H
#define ST_KERN_H

#include "dtype.h"
#include "fold.h"

typedef void (*st_kern_fn)(void *dst, const void *const src[3], size_t n);

/* Random numbers are functions of seed, stream and the number of the element (level_random.c). Integers are low + [0,
 * span), the F32 and F64 ones uniform in [0, 1) or normal. */
typedef enum st_gen {
    ST_G_UNIFORM_F32,
    ST_G_UNIFORM_F64,
    ST_G_NORMAL_F32,
    ST_G_NORMAL_F64,
    ST_G_INTEGER,
    ST_G_CHANCE, /* B8: true with probability span / 2^32 */
    ST_GEN_COUNT
} st_gen;
typedef struct st_random_key {
    uint64_t seed, stream;
    int64_t low;
    uint64_t span;
} st_random_key;
/* Elements [start, start + n) in the generator's register class. */
typedef void (*st_gen_fn)(void *dst, const st_random_key *s, uint64_t start, size_t n);

/* Magnitudes of F32 values as integers that order alike: their bits without the sign. Counts those above `high` and at
 * both edges; those strictly between are given out, in order, with their places: returns how many. `found` has room for
 * n and one more. */
typedef struct st_bracket {
    uint32_t low, high;
} st_bracket;
typedef struct st_bracket_seen {
    uint64_t above, at_high, at_low;
} st_bracket_seen;
typedef struct st_candidate {
    uint32_t key, place;
} st_candidate;
typedef size_t (*st_bracket_fn)(const st_bracket *b, const float *x, size_t n, st_bracket_seen *seen,
                                st_candidate *found);

/* Rows of a product of matrices, in ST_STRIP_BYTES of columns: `a` has `rows` rows of k elements, `b` k rows of as many
 * elements as fit a strip, aligned to its size. Rows of `out` are `width` elements apart. */
enum { ST_STRIP_BYTES = 64 };
typedef void (*st_product_fn)(const void *a, const void *b, size_t k, size_t rows, void *out, size_t width);
/* One panel of a matrix of n columns: `a` holds ST_PANEL_ROWS rows of it, column after column. y = A x and z += A'y,
 * for x and z (n x ST_PANEL_COLS), y (ST_PANEL_ROWS x ST_PANEL_COLS), all row-major and apart. */
enum { ST_PANEL_ROWS = 6, ST_PANEL_COLS = 16 };
typedef void (*st_panel_fn)(const float *a, size_t n, const float *x, float *z, float *y);

/* Lanes of 1, 2, 4 or 8 bytes (number `log2` of the width in the tables) into as many planes: planes[p] gets byte p,
 * the lowest first, of each of n lanes, after a transform; and back. `base` has as many lanes, or is not looked at. */
typedef enum st_planes {
    ST_PL_PLAIN,
    ST_PL_ROTATE, /* left by one bit: of a BF16 or F32 the exponent fills the top byte, the sign goes to the mantissa */
    ST_PL_DELTA,  /* zigzag of the difference to the base's integer */
    ST_PL_ORDERED, /* the same of floats, as integers that order alike */
    ST_PL_COUNT
} st_planes;
enum { ST_LANES = 4, ST_LANE_MOST = 8 };
typedef void (*st_split_fn)(uint8_t *const planes[], const void *src, const void *base, size_t n);
typedef void (*st_join_fn)(void *dst, const uint8_t *const planes[], const void *base, size_t n);

typedef struct st_kernels {
    const char *name;
    /* Raw little-endian values of a dtype to its register class, and back. NULL for dtypes that are not computed on.
     * Stores round to nearest even as torch's plain cast does; stores of integers keep the low bits. */
    const st_kern_fn *load;  /* [ST_DTYPE_COUNT] */
    const st_kern_fn *store; /* [ST_DTYPE_COUNT] */
    /* Rounds a register to a dtype's precision and back, in the dtype's own class (F16: F32 -> F16 -> F32; I8: the low
     * 8 bits, sign-extended). NULL where it would do nothing (F32, F64, I64, U64, BOOL). */
    const st_kern_fn *round; /* [ST_DTYPE_COUNT] */
    /* Clamps to the dtype's range in its own class: floats to the largest finite magnitude (NaN stays), integers to
     * their limits. NULL where it would do nothing (I64, U64, BOOL). */
    const st_kern_fn *clamp; /* [ST_DTYPE_COUNT] */
    /* Register class to register class: [from][to], all of them (a class to itself copies). Floats to integers truncate
     * and saturate, NaN gives 0; to B8 it is `!= 0`; I64 <-> U64 keep the bits. */
    const st_kern_fn (*conv)[ST_REG_COUNT]; /* [ST_REG_COUNT] */
    /* Operations by the register class of their operands (of operands 2 and 3 for WHERE, whose first is B8).
     * Comparisons give B8. NULL where the operation is not defined for the class: B8 has EQ NE, WHERE, the bit
     * operations, and MINIMUM, MAXIMUM, MUL (and), ADD (or); SQRT EXP LOG DIV and their like exist for floats only. */
    const st_kern_fn (*op)[ST_REG_COUNT]; /* [ST_OP_COUNT] */
    const st_gen_fn *generate;            /* [ST_GEN_COUNT] */
    /* Reductions of a block (fold.h) by register class; NULL where there is none. */
    const st_fold_fn (*fold)[ST_REG_COUNT];                 /* [ST_FOLD_COUNT] */
    const st_fold_abreast_fn (*fold_abreast)[ST_REG_COUNT]; /* [ST_FOLD_COUNT] */
    const st_fold_columns_fn (*fold_columns)[ST_REG_COUNT]; /* [ST_FOLD_COUNT] */
    const st_joint_fn *gram, *summary;                      /* [ST_REG_COUNT] */
    /* F32 folds that take raw BF16 instead, of any alignment, and give the same bits; NULL where there is none. */
    const st_fold_fn *fold_bf16; /* [ST_FOLD_COUNT] */
    const st_bracket_fn *bracket;
    const st_product_fn *product;            /* [ST_REG_COUNT]: F32 and F64 */
    const st_panel_fn *panel;                /* its bits hang on the level */
    const st_split_fn (*split)[ST_PL_COUNT]; /* [ST_LANES] */
    const st_join_fn (*join)[ST_PL_COUNT];   /* [ST_LANES] */
} st_kernels;

/* The best level of this processor; STLUA_SIMD=baseline|avx2|avx512 in the environment caps it. */
const st_kernels *st_kern(void);
/* The n-th level this processor can run, from baseline up; NULL past the last. For tests. */
const st_kernels *st_kern_level(unsigned n);

/* One raw value as a double, for printing: I64 and U64 may lose bits, dtypes that are not computed on give NaN. */
double st_kern_to_double(st_dtype d, const void *raw);

/* Keys that order as unsigned integers as the values of a register class do: -0 as 0, every NaN behind all else
 * (st_key_nan). Half as many bits for F32, whose keys are below 2^32. */
void st_kern_keys(st_reg r, const void *x, uint64_t *keys, size_t n);
uint64_t st_key_nan(st_reg r); /* no value of an integer class has a key that is this and means NaN: ask floats only */
void st_kern_unkey(st_reg r, uint64_t key, void *x);

/* dst[i] = src[i * stride], elements of `width` bytes (1, 2, 4, 8) of any alignment; the arrays do not overlap. */
void st_kern_gather(void *dst, const void *src, int64_t stride, size_t width, size_t n);
/* The same of rows: dst[r * n + i] = src[r * row_stride + i * stride]. */
void st_kern_gather_rows(void *dst, const void *src, int64_t row_stride, size_t rows, int64_t stride, size_t n,
                         size_t width);
/* dst[i * stride] = src[i], the same the other way. */
void st_kern_scatter(void *dst, int64_t stride, const void *src, size_t width, size_t n);

/* X(enumerator, elements of a block, its bytes, its function): ggml's quantised types that are made into F32. */
#define ST_QUANTISED(X)     \
    X(Q4_0, 32, 18, q4_0)   \
    X(Q4_1, 32, 20, q4_1)   \
    X(Q5_0, 32, 22, q5_0)   \
    X(Q5_1, 32, 24, q5_1)   \
    X(Q8_0, 32, 34, q8_0)   \
    X(Q4_K, 256, 144, q4_k) \
    X(Q5_K, 256, 176, q5_k) \
    X(Q6_K, 256, 210, q6_k)

typedef enum st_q {
#define X(id, elements, bytes, fn) ST_Q_##id,
    ST_QUANTISED(X)
#undef X
        ST_Q_COUNT
} st_q;

typedef struct st_quantised {
    const char *name;
    unsigned elements, bytes;
    void (*block)(const unsigned char *b, float *y);
} st_quantised;
extern const st_quantised st_kern_quantised[ST_Q_COUNT];

/* n blocks, of any alignment, as floats. */
void st_kern_dequantise(st_q type, const void *blocks, size_t n, float *out);
/* The bytes of each of n elements of `width` bytes (2, 4, 8) in the other order. */
void st_kern_swap(const void *src, void *dst, size_t width, size_t n);

#endif
