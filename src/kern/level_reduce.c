/* level_reduce.c - reductions of one block, compiled once per SIMD level. Layer: kern. Lane l takes the elements l, l +
 * 16, l + 32 ... of the block: the loops below say so, whatever width they are vectorised to. */
#include "level.h"

enum { LANES = ST_FOLD_LANES };

#define FOLD(name) static void name(st_partial *p, const void *x_, const void *y_, size_t n, uint64_t at)

/* Runs `step` on every element (its lane in `l`), 16 at a time. */
#define EACH_LANE(step)                                   \
    size_t i = 0;                                         \
    for (; i + LANES <= n; i += LANES)                    \
        for (int l = 0; l < LANES; l++) lane[l] = (step); \
    for (int l = 0; i + (size_t)l < n; l++) lane[l] = (step)

/* The tree of lanes: a is lane l, b lane l + width. */
#define JOIN_LANES(type, joined)                         \
    for (int width = LANES / 2; width; width /= 2)       \
        for (int l = 0; l < width; l++) {                \
            const type a = lane[l], b = lane[l + width]; \
            lane[l] = (joined);                          \
        }

/* A block's lanes from `first` on, by `step` of the element e; result in lane[0]. */
#define LANES_OF(type, elem, first, step, joined)      \
    const elem *x = x_;                                \
    type lane[LANES];                                  \
    for (int l = 0; l < LANES; l++) lane[l] = (first); \
    {                                                  \
        EACH_LANE(step);                               \
    }                                                  \
    JOIN_LANES(type, joined)

#define NAN_OF_F32 __builtin_nanf("")
#define NAN_OF_F64 __builtin_nan("")
#define NAN_OF_I64 0 /* never */
#define NAN_OF_U64 0
#define X_ (x[i + (size_t)l])
#define Y_ (y[i + (size_t)l])

#define SUMS(name, fold, reg, type, elem, field, first, step, joined) \
    FOLD(name)                                                        \
    {                                                                 \
        (void)y_;                                                     \
        LANES_OF(type, elem, first, step, joined)                     \
        st_partial r = {.field = lane[0], .n = n, .at = at};          \
        st_fold_join(ST_F_##fold, ST_R_##reg, p, &r);                 \
    }

#define DOTS(name, reg, type, elem, field, step)             \
    FOLD(name)                                               \
    {                                                        \
        const elem *y = y_;                                  \
        LANES_OF(type, elem, 0, step, a + b)                 \
        st_partial r = {.field = lane[0], .n = n, .at = at}; \
        st_fold_join(ST_F_DOT, ST_R_##reg, p, &r);           \
    }

/* The extreme in the class itself, NaN where there is one. The place is only looked for when it is news. */
#define EXTREMES(name, fold, reg, elem, field, first, of, cmp)                         \
    FOLD(name)                                                                         \
    {                                                                                  \
        (void)y_;                                                                      \
        LANES_OF(elem, elem, first, (of)cmp lane[l] ? (of) : lane[l], b cmp a ? b : a) \
        int bad = 0;                                                                   \
        for (size_t k = 0; k < n; k++) bad |= x[k] != x[k];                            \
        st_partial r = {.field = bad ? NAN_OF_##reg : lane[0], .n = n, .at = at};      \
        if ((ST_F_##fold == ST_F_ARGMIN || ST_F_##fold == ST_F_ARGMAX) &&              \
            st_fold_replaces(ST_F_##fold, ST_R_##reg, p, &r)) {                        \
            size_t k = 0;                                                              \
            while (bad ? x[k] == x[k] : x[k] != lane[0]) k++;                          \
            r.at = at + k;                                                             \
        }                                                                              \
        st_fold_join(ST_F_##fold, ST_R_##reg, p, &r);                                  \
    }

/* Two looks at the block, which is in the first-level cache: its mean, then the squares around that. */
#define MOMENTS(name, reg, elem)                                            \
    FOLD(name)                                                              \
    {                                                                       \
        (void)y_;                                                           \
        LANES_OF(double, elem, 0.0, lane[l] + (double)X_, a + b)            \
        st_partial r = {.f = lane[0] / (double)n, .n = n, .at = at};        \
        const double mean = r.f;                                            \
        for (int l = 0; l < LANES; l++) lane[l] = 0;                        \
        {                                                                   \
            EACH_LANE(lane[l] + ((double)X_ - mean) * ((double)X_ - mean)); \
        }                                                                   \
        JOIN_LANES(double, a + b)                                           \
        r.squares = lane[0];                                                \
        st_fold_join(ST_F_MOMENTS, ST_R_##reg, p, &r);                      \
    }

#define FLOATS(c, reg, elem, fabs, inf)                                                         \
    SUMS(sum_##c, SUM, reg, double, elem, f, 0.0, lane[l] + (double)X_, a + b)                  \
    SUMS(sumabs_##c, SUMABS, reg, double, elem, f, 0.0, lane[l] + (double)fabs(X_), a + b)      \
    SUMS(sumsq_##c, SUMSQ, reg, double, elem, f, 0.0, lane[l] + (double)X_ * (double)X_, a + b) \
    SUMS(prod_##c, PROD, reg, double, elem, f, 1.0, lane[l] * (double)X_, a * b)                \
    MOMENTS(moments_##c, reg, elem)                                                             \
    EXTREMES(min_##c, MIN, reg, elem, f, inf, X_, <)                                            \
    EXTREMES(max_##c, MAX, reg, elem, f, -inf, X_, >)                                           \
    EXTREMES(minabs_##c, MINABS, reg, elem, f, inf, fabs(X_), <)                                \
    EXTREMES(maxabs_##c, MAXABS, reg, elem, f, -inf, fabs(X_), >)                               \
    EXTREMES(argmin_##c, ARGMIN, reg, elem, f, inf, X_, <)                                      \
    EXTREMES(argmax_##c, ARGMAX, reg, elem, f, -inf, X_, >)                                     \
    SUMS(nonzero_##c, NONZERO, reg, uint64_t, elem, u, 0, lane[l] + (X_ != 0), a + b)           \
    DOTS(dot_##c, reg, double, elem, f, lane[l] + (double)X_ * (double)Y_)

FLOATS(f32, F32, float, __builtin_fabsf, __builtin_inff())
FLOATS(f64, F64, double, __builtin_fabs, __builtin_inf())

/* Sums and products wrap: their bits are the same with and without sign. */
#define INTEGERS(c, reg, elem, field, least, most)              \
    EXTREMES(min_##c, MIN, reg, elem, field, most, X_, <)       \
    EXTREMES(max_##c, MAX, reg, elem, field, least, X_, >)      \
    EXTREMES(argmin_##c, ARGMIN, reg, elem, field, most, X_, <) \
    EXTREMES(argmax_##c, ARGMAX, reg, elem, field, least, X_, >)

INTEGERS(i64, I64, int64_t, i, INT64_MIN, INT64_MAX)
INTEGERS(u64, U64, uint64_t, u, 0, UINT64_MAX)
SUMS(sum_u64, SUM, U64, uint64_t, uint64_t, u, 0, lane[l] + X_, a + b)
SUMS(prod_u64, PROD, U64, uint64_t, uint64_t, u, 1, lane[l] * X_, a *b)
SUMS(nonzero_u64, NONZERO, U64, uint64_t, uint64_t, u, 0, lane[l] + (X_ != 0), a + b)
SUMS(nonzero_b8, NONZERO, B8, uint64_t, uint8_t, u, 0, lane[l] + (X_ != 0), a + b)
DOTS(dot_u64, U64, uint64_t, uint64_t, u, lane[l] + X_ * Y_)

/* Columns: F32, F64, I64, U64, B8. */
const st_fold_fn ST_LEVELED(st_kern_fold)[ST_FOLD_COUNT][ST_REG_COUNT] = {
    [ST_F_SUM] = {sum_f32, sum_f64, sum_u64, sum_u64, NULL},
    [ST_F_SUMABS] = {sumabs_f32, sumabs_f64, NULL, NULL, NULL},
    [ST_F_SUMSQ] = {sumsq_f32, sumsq_f64, NULL, NULL, NULL},
    [ST_F_PROD] = {prod_f32, prod_f64, prod_u64, prod_u64, NULL},
    [ST_F_MOMENTS] = {moments_f32, moments_f64, NULL, NULL, NULL},
    [ST_F_MIN] = {min_f32, min_f64, min_i64, min_u64, NULL},
    [ST_F_MAX] = {max_f32, max_f64, max_i64, max_u64, NULL},
    [ST_F_MINABS] = {minabs_f32, minabs_f64, NULL, NULL, NULL},
    [ST_F_MAXABS] = {maxabs_f32, maxabs_f64, NULL, NULL, NULL},
    [ST_F_ARGMIN] = {argmin_f32, argmin_f64, argmin_i64, argmin_u64, NULL},
    [ST_F_ARGMAX] = {argmax_f32, argmax_f64, argmax_i64, argmax_u64, NULL},
    [ST_F_NONZERO] = {nonzero_f32, nonzero_f64, nonzero_u64, nonzero_u64, nonzero_b8},
    [ST_F_DOT] = {dot_f32, dot_f64, dot_u64, dot_u64, NULL},
};
