/* level_math.c - exp, log and pow, compiled once per SIMD level. Layer: kern.
 *
 * SLEEF's "cinz" family computes with the same steps at every vector width and without FMA, so every level gives the
 * same bits; a lane's result does not depend on its neighbours, so a padded tail gives the same bits as the middle of
 * an array. Arrays only: no memory, no files, no threads. */
#include "level.h"

#include <sleef.h>
#include <string.h>

#if defined(ST_LEVEL_avx512)
#define F32_FN(name) Sleef_cinz_##name##f16_u10avx512fnofma
#define F64_FN(name) Sleef_cinz_##name##d8_u10avx512fnofma
typedef __m512 vec_f32;
typedef __m512d vec_f64;
#elif defined(ST_LEVEL_avx2)
#define F32_FN(name) Sleef_cinz_##name##f8_u10avx
#define F64_FN(name) Sleef_cinz_##name##d4_u10avx
typedef __m256 vec_f32;
typedef __m256d vec_f64;
#elif defined(__SSE2__)
#define F32_FN(name) Sleef_cinz_##name##f4_u10sse2
#define F64_FN(name) Sleef_cinz_##name##d2_u10sse2
typedef __m128 vec_f32;
typedef __m128d vec_f64;
#else
#define F32_FN(name) Sleef_cinz_##name##f1_u10purec
#define F64_FN(name) Sleef_cinz_##name##d1_u10purec
typedef float vec_f32;
typedef double vec_f64;
#endif

#define LANES(type, vec) (sizeof(vec) / sizeof(type))

/* Whole vectors, then one padded with ones (a value no function is slow on), then NaNs. */
#define UNARY(name, type, vec, fn, canon)                          \
    void name(void *dst, const void *const src[3], size_t n)       \
    {                                                              \
        type *d = dst;                                             \
        const type *a = src[0];                                    \
        size_t k = 0;                                              \
        vec v;                                                     \
        for (; n - k >= LANES(type, vec); k += LANES(type, vec)) { \
            memcpy(&v, a + k, sizeof v);                           \
            v = fn(v);                                             \
            memcpy(d + k, &v, sizeof v);                           \
        }                                                          \
        if (k < n) {                                               \
            type x[LANES(type, vec)];                              \
            pad_##type(x, LANES(type, vec), a + k, n - k);         \
            memcpy(&v, x, sizeof v);                               \
            v = fn(v);                                             \
            memcpy(d + k, &v, (n - k) * sizeof(type));             \
        }                                                          \
        ST_EACH d[i] = canon(d[i]);                                \
    }

#define BINARY(name, type, vec, fn, canon)                         \
    void name(void *dst, const void *const src[3], size_t n)       \
    {                                                              \
        type *d = dst;                                             \
        const type *a = src[0], *b = src[1];                       \
        size_t k = 0;                                              \
        vec v, w;                                                  \
        for (; n - k >= LANES(type, vec); k += LANES(type, vec)) { \
            memcpy(&v, a + k, sizeof v);                           \
            memcpy(&w, b + k, sizeof w);                           \
            v = fn(v, w);                                          \
            memcpy(d + k, &v, sizeof v);                           \
        }                                                          \
        if (k < n) {                                               \
            type x[LANES(type, vec)], y[LANES(type, vec)];         \
            pad_##type(x, LANES(type, vec), a + k, n - k);         \
            pad_##type(y, LANES(type, vec), b + k, n - k);         \
            memcpy(&v, x, sizeof v);                               \
            memcpy(&w, y, sizeof w);                               \
            v = fn(v, w);                                          \
            memcpy(d + k, &v, (n - k) * sizeof(type));             \
        }                                                          \
        ST_EACH d[i] = canon(d[i]);                                \
    }

#define PAD(type)                                                          \
    static void pad_##type(type *x, size_t lanes, const type *a, size_t n) \
    {                                                                      \
        for (size_t i = 0; i < lanes; i++) x[i] = i < n ? a[i] : 1;        \
    }
PAD(float)
PAD(double)

UNARY(ST_LEVELED(st_kern_exp_f32), float, vec_f32, F32_FN(exp), st_canon_f32)
UNARY(ST_LEVELED(st_kern_exp_f64), double, vec_f64, F64_FN(exp), st_canon_f64)
UNARY(ST_LEVELED(st_kern_log_f32), float, vec_f32, F32_FN(log), st_canon_f32)
UNARY(ST_LEVELED(st_kern_log_f64), double, vec_f64, F64_FN(log), st_canon_f64)
BINARY(ST_LEVELED(st_kern_pow_f32), float, vec_f32, F32_FN(pow), st_canon_f32)
BINARY(ST_LEVELED(st_kern_pow_f64), double, vec_f64, F64_FN(pow), st_canon_f64)

/* x to the y by squaring, modulo 2^64. */
static uint64_t power(uint64_t x, uint64_t y)
{
    uint64_t r = 1;
    for (; y; y >>= 1, x *= x)
        if (y & 1) r *= x;
    return r;
}

/* What torch gives for a negative exponent: the reciprocal, which is an integer for 1 and -1 only, else 0. */
static uint64_t reciprocal(uint64_t x, uint64_t y)
{
    if (x == 1) return 1;
    if (x == UINT64_MAX) return y & 1 ? x : 1;
    return 0;
}

void ST_LEVELED(st_kern_pow_i64)(void *dst, const void *const src[3], size_t n)
{
    uint64_t *d = dst;
    const uint64_t *a = src[0], *b = src[1];
    for (size_t i = 0; i < n; i++) d[i] = (int64_t)b[i] < 0 ? reciprocal(a[i], b[i]) : power(a[i], b[i]);
}

void ST_LEVELED(st_kern_pow_u64)(void *dst, const void *const src[3], size_t n)
{
    uint64_t *d = dst;
    const uint64_t *a = src[0], *b = src[1];
    for (size_t i = 0; i < n; i++) d[i] = power(a[i], b[i]);
}
