/* level_columns.c - reductions down columns, a row at a time, compiled once per SIMD level. Layer: kern. Each column is
 * folded by itself, in the order of its rows: every level gives the same bits. */
#include "level.h"

/* The value of column i is `first` of its first element x, then `step` of the value v and the next. */
#define COLUMNS(name, elem, type, first, step)                                                    \
    static void name(const st_columns *c, size_t column, const void *x_, size_t n, uint64_t seen) \
    {                                                                                             \
        const elem *xs = x_;                                                                      \
        type *value = (type *)(void *)(c->value + column);                                        \
        if (seen == 0) ST_EACH                                                                    \
            {                                                                                     \
                const elem x = xs[i];                                                             \
                value[i] = (type)(first);                                                         \
            }                                                                                     \
        else                                                                                      \
            ST_EACH                                                                               \
            {                                                                                     \
                const elem x = xs[i];                                                             \
                const type v = value[i];                                                          \
                value[i] = (type)(step);                                                          \
            }                                                                                     \
    }

/* The first NaN stays: nothing replaces it. */
#define PLACES(name, elem, type, cmp)                                                             \
    static void name(const st_columns *c, size_t column, const void *x_, size_t n, uint64_t seen) \
    {                                                                                             \
        const elem *xs = x_;                                                                      \
        type *value = (type *)(void *)(c->value + column);                                        \
        uint64_t *at = c->at + column;                                                            \
        ST_EACH                                                                                   \
        {                                                                                         \
            const type x = (type)xs[i], v = value[i];                                             \
            const bool news = (seen == 0) | (x cmp v) | ((x != x) & (v == v));                    \
            value[i] = news ? x : v;                                                              \
            at[i] = news ? seen : at[i];                                                          \
        }                                                                                         \
    }

/* Welford (1962): mean and squares around it, one more element at a time. */
#define MOMENTS(name, elem)                                                                       \
    static void name(const st_columns *c, size_t column, const void *x_, size_t n, uint64_t seen) \
    {                                                                                             \
        const elem *xs = x_;                                                                      \
        double *mean = (double *)(void *)(c->value + column), *squares = c->squares + column;     \
        const double part = 1 / (double)(seen + 1);                                               \
        ST_EACH                                                                                   \
        {                                                                                         \
            const double x = (double)xs[i], m = seen ? mean[i] : 0, s = seen ? squares[i] : 0;    \
            const double away = x - m, next = m + away * part;                                    \
            mean[i] = next;                                                                       \
            squares[i] = s + away * (x - next);                                                   \
        }                                                                                         \
    }

#define FLOATS(r, elem, fabs)                                                                            \
    COLUMNS(sum_##r, elem, double, x, v + (double)x)                                                     \
    COLUMNS(sumabs_##r, elem, double, fabs(x), v + (double)fabs(x))                                      \
    COLUMNS(sumsq_##r, elem, double, (double)x *(double)x, v + (double)x * (double)x)                    \
    COLUMNS(prod_##r, elem, double, x, v *(double)x)                                                     \
    MOMENTS(moments_##r, elem)                                                                           \
    COLUMNS(min_##r, elem, double, x, (((double)x < v) | (x != x)) ? (double)x : v)                      \
    COLUMNS(max_##r, elem, double, x, (((double)x > v) | (x != x)) ? (double)x : v)                      \
    COLUMNS(minabs_##r, elem, double, fabs(x), (((double)fabs(x) < v) | (x != x)) ? (double)fabs(x) : v) \
    COLUMNS(maxabs_##r, elem, double, fabs(x), (((double)fabs(x) > v) | (x != x)) ? (double)fabs(x) : v) \
    PLACES(argmin_##r, elem, double, <)                                                                  \
    PLACES(argmax_##r, elem, double, >)                                                                  \
    COLUMNS(nonzero_##r, elem, uint64_t, x != 0, v + (x != 0))

FLOATS(f32, float, __builtin_fabsf)
FLOATS(f64, double, __builtin_fabs)

#define INTEGERS(r, type)                          \
    COLUMNS(min_##r, type, type, x, x < v ? x : v) \
    COLUMNS(max_##r, type, type, x, x > v ? x : v) \
    PLACES(argmin_##r, type, type, <)              \
    PLACES(argmax_##r, type, type, >)

/* Sums and products wrap: their bits are the same with and without sign. */
INTEGERS(i64, int64_t)
INTEGERS(u64, uint64_t)
COLUMNS(sum_u64, uint64_t, uint64_t, x, v + x)
COLUMNS(prod_u64, uint64_t, uint64_t, x, v *x)
COLUMNS(nonzero_u64, uint64_t, uint64_t, x != 0, v + (x != 0))
COLUMNS(nonzero_b8, uint8_t, uint64_t, x != 0, v + (x != 0))

const st_fold_columns_fn ST_LEVELED(st_kern_fold_columns)[ST_FOLD_COUNT][ST_REG_COUNT] = {ST_FOLD_TABLE};
