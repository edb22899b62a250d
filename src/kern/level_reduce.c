/* level_reduce.c - reductions of one block, compiled once per SIMD level. Layer: kern. Lane l takes the elements l, l +
 * 16, l + 32 ... of the block: the loops below say so, whatever width they are vectorised to. */
#include "level.h"
#include "narrow.h"

#include <string.h>

enum {
    LANES = ST_FOLD_LANES,
    STRIP = 64,   /* elements of one block before it is the next one's turn, where several are folded abreast */
    AHEAD = 2048, /* bytes: processors look ahead to the end of a page, which is hardly a block */
};

#define FOLD(name) static void name(st_partial *p, const void *x_, const void *y_, size_t n, uint64_t at)

/* The tree of lanes: a is lane l, b lane l + width. */
#define JOIN_LANES(type, joined)                         \
    for (int width = LANES / 2; width; width /= 2)       \
        for (int l = 0; l < width; l++) {                \
            const type a = lane[l], b = lane[l + width]; \
            lane[l] = (joined);                          \
        }

/* A block's lanes from `first` on, by `step` of the value v of a lane and its next element X_; result in lane[0]. */
#define LANES_OF(type, first, step, joined)                    \
    {                                                          \
        size_t i = 0;                                          \
        if (n >= LANES) {                                      \
            for (int l = 0; l < LANES; l++) {                  \
                const type v = (first);                        \
                lane[l] = (step);                              \
            }                                                  \
            i = LANES;                                         \
        } else                                                 \
            for (int l = 0; l < LANES; l++) lane[l] = (first); \
        for (; i + LANES <= n; i += LANES)                     \
            for (int l = 0; l < LANES; l++) {                  \
                const type v = lane[l];                        \
                lane[l] = (step);                              \
            }                                                  \
        for (int l = 0; i + (size_t)l < n; l++) {              \
            const type v = lane[l];                            \
            lane[l] = (step);                                  \
        }                                                      \
        JOIN_LANES(type, joined)                               \
    }

#define X_ (x[i + (size_t)l])
#define Y_ (y[i + (size_t)l])

/* v + x * y; ADD_PRODUCTS of vectors of widened F32. Of two F32 the product is exact in F64: it is rounded once, with
 * FMA and without. */
#if defined(__FMA__) && defined(__AVX2__)
#include <immintrin.h>
#define ADD_PRODUCT_f32(v, x, y) __builtin_fma((double)(x), (double)(y), v)
#define ADD_PRODUCTS(v, x, y) _mm256_fmadd_pd(x, y, v)
#else
#define ADD_PRODUCT_f32(v, x, y) ((v) + (double)(x) * (double)(y))
#define ADD_PRODUCTS(v, x, y) ((v) + (x) * (y))
#endif
#define ADD_PRODUCT_f64(v, x, y) ((v) + (x) * (y))

#define SUMS(name, fold, reg, type, elem, field, first, step, joined) \
    FOLD(name)                                                        \
    {                                                                 \
        const elem *x = x_;                                           \
        type lane[LANES];                                             \
        (void)y_;                                                     \
        LANES_OF(type, first, step, joined)                           \
        st_partial r = {.field = lane[0], .n = n, .at = at};          \
        st_fold_join(ST_F_##fold, ST_R_##reg, p, &r);                 \
    }

#define ABREAST(name, elem, step)                                                    \
    static void name##_abreast(st_partial *p, const void *x_, size_t apart)          \
    {                                                                                \
        double lanes[ST_FOLD_ABREAST][LANES] = {{0}};                                \
        for (size_t from = 0; from < ST_FOLD_BLOCK; from += STRIP)                   \
            for (size_t k = 0; k < ST_FOLD_ABREAST; k++) {                           \
                const elem *x = (const elem *)x_ + k * apart * ST_FOLD_BLOCK + from; \
                double lane[LANES];                                                  \
                memcpy(lane, lanes[k], sizeof lane);                                 \
                for (size_t i = 0; i < STRIP; i += LANES)                            \
                    for (int l = 0; l < LANES; l++) {                                \
                        const double v = lane[l];                                    \
                        lane[l] = (step);                                            \
                    }                                                                \
                memcpy(lanes[k], lane, sizeof lane);                                 \
            }                                                                        \
        for (size_t k = 0; k < ST_FOLD_ABREAST; k++) {                               \
            double *lane = lanes[k];                                                 \
            JOIN_LANES(double, a + b)                                                \
            p[k * apart] = (st_partial){.f = lane[0], .n = ST_FOLD_BLOCK};           \
        }                                                                            \
    }

#define DOTS(name, reg, type, elem, field, step)             \
    FOLD(name)                                               \
    {                                                        \
        const elem *x = x_, *y = y_;                         \
        type lane[LANES];                                    \
        LANES_OF(type, 0, step, a + b)                       \
        st_partial r = {.field = lane[0], .n = n, .at = at}; \
        st_fold_join(ST_F_DOT, ST_R_##reg, p, &r);           \
    }

/* Extremes are taken of integers that order as the values do: such loops vectorise, in any order. */
#define NUMBER(name, type, bits, all)                                          \
    typedef bits name __attribute__((may_alias));                              \
    static inline bits key_of_##name(bits b) { return b < 0 ? b ^ (all) : b; } \
    static inline bits size_of_##name(bits b) { return b & (all); }            \
    static inline type value_of_##name(bits key)                               \
    {                                                                          \
        bits b = key_of_##name(key);                                           \
        type x;                                                                \
        memcpy(&x, &b, sizeof x);                                              \
        return x;                                                              \
    }

NUMBER(n32, float, int32_t, INT32_MAX)
NUMBER(n64, double, int64_t, INT64_MAX)

/* Keeps a block's extreme; its place is only looked for when it is news. */
#define KEEP(fold, reg, is_it)                                        \
    if ((ST_F_##fold == ST_F_ARGMIN || ST_F_##fold == ST_F_ARGMAX) && \
        st_fold_replaces(ST_F_##fold, ST_R_##reg, p, &r)) {           \
        size_t k = 0;                                                 \
        while (!(is_it)) k++;                                         \
        r.at = at + k;                                                \
    }                                                                 \
    st_fold_join(ST_F_##fold, ST_R_##reg, p, &r)

/* NaN where there is one. */
#define FLOAT_EXTREMES(name, fold, reg, elem, num, key, cmp, inf)                \
    FOLD(name)                                                                   \
    {                                                                            \
        const elem *x = x_, infinity = inf;                                      \
        const num *b = x_;                                                       \
        num best = key##_of_##num(b[0]), largest = 0, limit;                     \
        (void)y_;                                                                \
        for (size_t k = 0; k < n; k++) {                                         \
            const num own = key##_of_##num(b[k]), size = size_of_##num(b[k]);    \
            best = own cmp best ? own : best;                                    \
            largest = size > largest ? size : largest;                           \
        }                                                                        \
        memcpy(&limit, &infinity, sizeof limit);                                 \
        const bool bad = largest > limit;                                        \
        const elem found = bad ? (elem)__builtin_nan("") : value_of_##num(best); \
        st_partial r = {.f = found, .n = n, .at = at};                           \
        KEEP(fold, reg, bad ? x[k] != x[k] : x[k] == found);                     \
    }

#define EXTREMES(name, fold, reg, elem, field, cmp)                        \
    FOLD(name)                                                             \
    {                                                                      \
        const elem *x = x_;                                                \
        elem best = x[0];                                                  \
        (void)y_;                                                          \
        for (size_t k = 0; k < n; k++) best = x[k] cmp best ? x[k] : best; \
        st_partial r = {.field = best, .n = n, .at = at};                  \
        KEEP(fold, reg, x[k] == best);                                     \
    }

/* Two looks at the block, which is in the first-level cache: its mean, then the squares around that. */
#define MOMENTS(name, reg, elem)                                                    \
    FOLD(name)                                                                      \
    {                                                                               \
        const elem *x = x_;                                                         \
        double lane[LANES];                                                         \
        (void)y_;                                                                   \
        LANES_OF(double, 0.0, v + (double)X_, a + b)                                \
        st_partial r = {.f = lane[0] / (double)n, .n = n, .at = at};                \
        const double mean = r.f;                                                    \
        LANES_OF(double, 0.0, v + ((double)X_ - mean) * ((double)X_ - mean), a + b) \
        r.squares = lane[0];                                                        \
        st_fold_join(ST_F_MOMENTS, ST_R_##reg, p, &r);                              \
    }

#define FLOATS(c, reg, elem, num, fabs, inf)                                             \
    SUMS(sum_##c, SUM, reg, double, elem, f, 0.0, v + (double)X_, a + b)                 \
    SUMS(sumabs_##c, SUMABS, reg, double, elem, f, 0.0, v + (double)fabs(X_), a + b)     \
    SUMS(sumsq_##c, SUMSQ, reg, double, elem, f, 0.0, ADD_PRODUCT_##c(v, X_, X_), a + b) \
    SUMS(prod_##c, PROD, reg, double, elem, f, 1.0, v *(double)X_, a *b)                 \
    ABREAST(sum_##c, elem, v + (double)X_)                                               \
    ABREAST(sumabs_##c, elem, v + (double)fabs(X_))                                      \
    ABREAST(sumsq_##c, elem, ADD_PRODUCT_##c(v, X_, X_))                                 \
    MOMENTS(moments_##c, reg, elem)                                                      \
    FLOAT_EXTREMES(min_##c, MIN, reg, elem, num, key, <, inf)                            \
    FLOAT_EXTREMES(max_##c, MAX, reg, elem, num, key, >, inf)                            \
    FLOAT_EXTREMES(minabs_##c, MINABS, reg, elem, num, size, <, inf)                     \
    FLOAT_EXTREMES(maxabs_##c, MAXABS, reg, elem, num, size, >, inf)                     \
    FLOAT_EXTREMES(argmin_##c, ARGMIN, reg, elem, num, key, <, inf)                      \
    FLOAT_EXTREMES(argmax_##c, ARGMAX, reg, elem, num, key, >, inf)                      \
    SUMS(nonzero_##c, NONZERO, reg, uint64_t, elem, u, 0, v + (X_ != 0), a + b)          \
    DOTS(dot_##c, reg, double, elem, f, ADD_PRODUCT_##c(v, X_, Y_))

FLOATS(f32, F32, float, n32, __builtin_fabsf, __builtin_inff())
FLOATS(f64, F64, double, n64, __builtin_fabs, __builtin_inf())

#define INTEGERS(c, reg, elem, field)                 \
    EXTREMES(min_##c, MIN, reg, elem, field, <)       \
    EXTREMES(max_##c, MAX, reg, elem, field, >)       \
    EXTREMES(argmin_##c, ARGMIN, reg, elem, field, <) \
    EXTREMES(argmax_##c, ARGMAX, reg, elem, field, >)

/* Sums and products wrap: their bits are the same with and without sign. */
INTEGERS(i64, I64, int64_t, i)
INTEGERS(u64, U64, uint64_t, u)
SUMS(sum_u64, SUM, U64, uint64_t, uint64_t, u, 0, v + X_, a + b)
SUMS(prod_u64, PROD, U64, uint64_t, uint64_t, u, 1, v *X_, a *b)
SUMS(nonzero_u64, NONZERO, U64, uint64_t, uint64_t, u, 0, v + (X_ != 0), a + b)
DOTS(dot_u64, U64, uint64_t, uint64_t, u, v + X_ * Y_)

/* Counts of bytes, in bytes: a lane has fewer than 256 of a block's elements. */
FOLD(nonzero_b8)
{
    enum { WIDE = 32 };
    _Static_assert(ST_FOLD_BLOCK / WIDE < 256, "a byte counts them");
    const uint8_t *x = x_;
    uint8_t lane[WIDE] = {0};
    st_partial r = {.n = n, .at = at};
    size_t i = 0;
    (void)y_;
    for (; i + WIDE <= n; i += WIDE)
        for (size_t l = 0; l < WIDE; l++) lane[l] = (uint8_t)(lane[l] + (X_ != 0));
    for (size_t l = 0; l < WIDE; l++) r.u += lane[l];
    for (; i < n; i++) r.u += x[i] != 0;
    st_fold_join(ST_F_NONZERO, ST_R_B8, p, &r);
}

/* BF16 widened where it is folded. Said with vectors because compilers find twice as many instructions: a BF16 behind a
 * zero is an F32, so that eight of them become two fours of F32 by interleaving. */
typedef st_raw_u16 eight __attribute__((vector_size(16), aligned(1), may_alias));
typedef float four __attribute__((vector_size(16)));
typedef double wide_four __attribute__((vector_size(32)));

/* Not __builtin_convertvector: gcc 12 converts two at a time for that. */
#define WIDEN(w, v, ...)                                                          \
    {                                                                             \
        const four f = (four)__builtin_shufflevector((eight){0}, v, __VA_ARGS__); \
        w = (wide_four){f[0], f[1], f[2], f[3]};                                  \
    }

#define BF16_SUMS(name, fold, step)                                 \
    FOLD(name)                                                      \
    {                                                               \
        const st_raw_u16 *x = x_;                                   \
        wide_four acc[LANES / 4] = {{0}};                           \
        double lane[LANES];                                         \
        size_t i = 0;                                               \
        (void)y_;                                                   \
        for (; i + LANES <= n; i += LANES) {                        \
            __builtin_prefetch((const char *)(x + i) + AHEAD);      \
            for (int half = 0; half < 2; half++) {                  \
                const eight e = *(const eight *)(x + i + 8 * half); \
                wide_four w;                                        \
                WIDEN(w, e, 0, 8, 1, 9, 2, 10, 3, 11)               \
                acc[2 * half] += step(w);                           \
                WIDEN(w, e, 4, 12, 5, 13, 6, 14, 7, 15)             \
                acc[2 * half + 1] += step(w);                       \
            }                                                       \
        }                                                           \
        memcpy(lane, acc, sizeof lane);                             \
        for (; i < n; i++) {                                        \
            const wide_four w = {(double)st_of_bf16(x[i])};         \
            lane[i % LANES] += step(w)[0];                          \
        }                                                           \
        JOIN_LANES(double, a + b)                                   \
        st_partial r = {.f = lane[0], .n = n, .at = at};            \
        st_fold_join(ST_F_##fold, ST_R_F32, p, &r);                 \
    }

typedef float some_four __attribute__((vector_size(16), aligned(1), may_alias));

static void gram_f32(st_partial *const *to, const void *x_, const void *y_, size_t n)
{
    const float *x = x_, *y = y_;
    wide_four acc[3][LANES / 4] = {{{0}}};
    double lanes[3][LANES];
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES / 4; k++) {
            const some_four a = *(const some_four *)(x + i + 4 * k), b = *(const some_four *)(y + i + 4 * k);
            const wide_four v = {a[0], a[1], a[2], a[3]}, w = {b[0], b[1], b[2], b[3]};
            acc[0][k] = ADD_PRODUCTS(acc[0][k], v, v);
            acc[1][k] = ADD_PRODUCTS(acc[1][k], w, w);
            acc[2][k] = ADD_PRODUCTS(acc[2][k], v, w);
        }
    memcpy(lanes, acc, sizeof lanes);
    for (size_t l = 0; i < n; i++, l++) {
        lanes[0][l] = ADD_PRODUCT_f32(lanes[0][l], x[i], x[i]);
        lanes[1][l] = ADD_PRODUCT_f32(lanes[1][l], y[i], y[i]);
        lanes[2][l] = ADD_PRODUCT_f32(lanes[2][l], x[i], y[i]);
    }
    for (size_t k = 0; k < 3; k++) {
        double *lane = lanes[k];
        JOIN_LANES(double, a + b)
        st_partial r = {.f = lane[0], .n = n};
        st_fold_join(ST_F_DOT, ST_R_F32, to[k], &r);
    }
}

static void sums_f32(st_partial *sum, st_partial *squares, const float *x, size_t n)
{
    wide_four acc[2][LANES / 4] = {{{0}}};
    double lanes[2][LANES];
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES / 4; k++) {
            const some_four a = *(const some_four *)(x + i + 4 * k);
            const wide_four v = {a[0], a[1], a[2], a[3]};
            acc[0][k] += v;
            acc[1][k] = ADD_PRODUCTS(acc[1][k], v, v);
        }
    memcpy(lanes, acc, sizeof lanes);
    for (size_t l = 0; i < n; i++, l++) {
        lanes[0][l] += (double)x[i];
        lanes[1][l] = ADD_PRODUCT_f32(lanes[1][l], x[i], x[i]);
    }
    for (size_t k = 0; k < 2; k++) {
        double *lane = lanes[k];
        JOIN_LANES(double, a + b)
        st_partial r = {.f = lane[0], .n = n};
        st_fold_join(ST_F_SUM, ST_R_F32, k ? squares : sum, &r);
    }
}

static void summary_f32(st_partial *const *to, const void *x_, const void *y_, size_t n)
{
    const n32 *b = x_;
    n32 least = INT32_MAX, greatest = INT32_MIN, largest = 0, limit;
    const float infinity = __builtin_inff();
    (void)y_;
    sums_f32(to[0], to[1], x_, n);
    for (size_t k = 0; k < n; k++) {
        const n32 own = key_of_n32(b[k]), size = size_of_n32(b[k]);
        least = own < least ? own : least;
        greatest = own > greatest ? own : greatest;
        largest = size > largest ? size : largest;
    }
    memcpy(&limit, &infinity, sizeof limit);
    const bool bad = largest > limit;
    st_partial min = {.f = bad ? __builtin_nanf("") : value_of_n32(least), .n = n};
    st_partial max = {.f = bad ? __builtin_nanf("") : value_of_n32(greatest), .n = n};
    st_fold_join(ST_F_MIN, ST_R_F32, to[2], &min);
    st_fold_join(ST_F_MAX, ST_R_F32, to[3], &max);
}

const st_joint_fn ST_LEVELED(st_kern_gram)[ST_REG_COUNT] = {[ST_R_F32] = gram_f32};
const st_joint_fn ST_LEVELED(st_kern_summary)[ST_REG_COUNT] = {[ST_R_F32] = summary_f32};

typedef int64_t bits_four __attribute__((vector_size(32)));
#define AS_IS(w) (w)
#define SIZE(w) ((wide_four)((bits_four)(w)&INT64_MAX))
#define SQUARE(w) ((w) * (w))
BF16_SUMS(sum_bf16, SUM, AS_IS)
BF16_SUMS(sumabs_bf16, SUMABS, SIZE)
BF16_SUMS(sumsq_bf16, SUMSQ, SQUARE)

const st_fold_fn ST_LEVELED(st_kern_fold_bf16)[ST_FOLD_COUNT] = {
    [ST_F_SUM] = sum_bf16, [ST_F_SUMABS] = sumabs_bf16, [ST_F_SUMSQ] = sumsq_bf16};
const st_fold_fn ST_LEVELED(st_kern_fold)[ST_FOLD_COUNT][ST_REG_COUNT] = {
    ST_FOLD_TABLE, [ST_F_DOT] = {dot_f32, dot_f64, dot_u64, dot_u64, NULL}};
const st_fold_abreast_fn ST_LEVELED(st_kern_fold_abreast)[ST_FOLD_COUNT][ST_REG_COUNT] = {
    [ST_F_SUM] = {sum_f32_abreast, sum_f64_abreast},
    [ST_F_SUMABS] = {sumabs_f32_abreast, sumabs_f64_abreast},
    [ST_F_SUMSQ] = {sumsq_f32_abreast, sumsq_f64_abreast}};
