/* level_product.c - products of matrices whose inner size is small, compiled once per SIMD level. Layer: kern.
 *
 * The right operand lies in strips of 64 bytes of columns, one row of a strip behind the other: a strip and a few rows
 * of the left operand stay in the first-level cache, sums in registers. Each element is one sum over the inner
 * dimension, in order, product by product: its bits hang on its row and its column alone. */
#include "level.h"

/* Rows whose sums fit into the registers together. */
#if defined(ST_LEVEL_avx512)
enum { VECTOR = 64, ROWS = 12 };
#elif defined(ST_LEVEL_avx2)
enum { VECTOR = 32, ROWS = 6 };
#else
enum { VECTOR = 16, ROWS = 3 };
#endif
enum { VECTORS = ST_STRIP_BYTES / VECTOR };

#define ALWAYS static inline __attribute__((always_inline)) void

#define PRODUCT(name, type, bits)                                                                                      \
    typedef type name##_v __attribute__((vector_size(VECTOR)));                                                        \
    typedef type name##_raw __attribute__((vector_size(VECTOR), aligned(sizeof(type)), may_alias));                    \
    typedef bits name##_bits __attribute__((vector_size(VECTOR)));                                                     \
                                                                                                                       \
    ALWAYS name##_rows(const type *a, const type *b, size_t k, int rows, type *out, size_t width)                      \
    {                                                                                                                  \
        const name##_v none = {0}, nan = none + (type)__builtin_nan("");                                               \
        name##_v sum[ROWS][VECTORS];                                                                                   \
        for (int r = 0; r < rows; r++)                                                                                 \
            for (int v = 0; v < VECTORS; v++) sum[r][v] = none;                                                        \
        for (size_t i = 0; i < k; i++)                                                                                 \
            for (int r = 0; r < rows; r++)                                                                             \
                for (int v = 0; v < VECTORS; v++)                                                                      \
                    sum[r][v] += ((const name##_v *)(const void *)b)[i * VECTORS + v] * a[r * k + i];                  \
        for (int r = 0; r < rows; r++)                                                                                 \
            for (int v = 0; v < VECTORS; v++) {                                                                        \
                const name##_bits is = (name##_bits)(sum[r][v] == sum[r][v]); /* not NaN */                            \
                ((name##_raw *)(void *)(out + r * width))[v] =                                                         \
                    (name##_raw)(((name##_bits)sum[r][v] & is) | ((name##_bits)nan & ~is));                            \
            }                                                                                                          \
    }                                                                                                                  \
                                                                                                                       \
    static void name(const void *a_, const void *b, size_t k, size_t rows, void *out_, size_t width)                   \
    {                                                                                                                  \
        const type *a = a_;                                                                                            \
        type *out = out_;                                                                                              \
        for (; rows >= ROWS; rows -= ROWS, a += ROWS * k, out += ROWS * width) name##_rows(a, b, k, ROWS, out, width); \
        for (; rows >= ROWS / 3; rows -= ROWS / 3, a += ROWS / 3 * k, out += ROWS / 3 * width)                         \
            name##_rows(a, b, k, ROWS / 3, out, width);                                                                \
        for (; rows; rows--, a += k, out += width) name##_rows(a, b, k, 1, out, width);                                \
    }

PRODUCT(product_f32, float, int32_t)
PRODUCT(product_f64, double, int64_t)

const st_product_fn ST_LEVELED(st_kern_product)[ST_REG_COUNT] = {[ST_R_F32] = product_f32, [ST_R_F64] = product_f64};
