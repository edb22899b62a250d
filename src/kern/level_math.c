/* level_math.c - exp, log, pow, trigonometry and their like, compiled once per SIMD level. Layer: kern.
 *
 * SLEEF's "cinz" family computes with the same steps at every vector width and without FMA, so every level gives the
 * same bits; a lane's result does not depend on its neighbours, so a padded tail gives the same bits as the middle of
 * an array. Arrays only: no memory, no files, no threads. */
#include "level.h"

#include <sleef.h>
#include <string.h>

#if defined(ST_LEVEL_avx512)
#define F32_AT(name, ulp) Sleef_cinz_##name##f16_##ulp##avx512fnofma
#define F64_AT(name, ulp) Sleef_cinz_##name##d8_##ulp##avx512fnofma
typedef __m512 vec_f32;
typedef __m512d vec_f64;
#elif defined(ST_LEVEL_avx2)
#define F32_AT(name, ulp) Sleef_cinz_##name##f8_##ulp##avx
#define F64_AT(name, ulp) Sleef_cinz_##name##d4_##ulp##avx
typedef __m256 vec_f32;
typedef __m256d vec_f64;
#elif defined(__SSE2__)
#define F32_AT(name, ulp) Sleef_cinz_##name##f4_##ulp##sse2
#define F64_AT(name, ulp) Sleef_cinz_##name##d2_##ulp##sse2
typedef __m128 vec_f32;
typedef __m128d vec_f64;
#else
#define F32_AT(name, ulp) Sleef_cinz_##name##f1_##ulp##purec
#define F64_AT(name, ulp) Sleef_cinz_##name##d1_##ulp##purec
typedef float vec_f32;
typedef double vec_f64;
#endif

/* The variants within 1 unit of the last place. */
#define F32_FN(name) F32_AT(name, u10)
#define F64_FN(name) F64_AT(name, u10)

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

/* SLEEF has no sigmoid: 1 / (1 + exp(-x)), as torch computes it. */
static vec_f32 sigmoid_f32(vec_f32 x) { return 1 / (1 + F32_FN(exp)(-x)); }
static vec_f64 sigmoid_f64(vec_f64 x) { return 1 / (1 + F64_FN(exp)(-x)); }

/* Where SLEEF's `fn` is infinite too early: beyond `from` it is other(|x| - c) times `half`. */
#define BEYOND(name, type, vec, fn, other, fabs, copysign, from, c, half, odd)             \
    static vec name(vec x)                                                                 \
    {                                                                                      \
        type a[LANES(type, vec)], y[LANES(type, vec)], e[LANES(type, vec)];                \
        bool far = false;                                                                  \
        vec v = fn(x);                                                                     \
        memcpy(a, &x, sizeof x);                                                           \
        for (size_t i = 0; i < LANES(type, vec); i++) {                                    \
            far |= fabs(a[i]) > from;                                                      \
            e[i] = fabs(a[i]) - c;                                                         \
        }                                                                                  \
        if (!far) return v;                                                                \
        memcpy(y, &v, sizeof v);                                                           \
        memcpy(&v, e, sizeof v);                                                           \
        v = other(v);                                                                      \
        memcpy(e, &v, sizeof v);                                                           \
        for (size_t i = 0; i < LANES(type, vec); i++)                                      \
            if (fabs(a[i]) > from) y[i] = odd ? copysign(e[i] * half, a[i]) : e[i] * half; \
        memcpy(&v, y, sizeof v);                                                           \
        return v;                                                                          \
    }

/* SLEEF's sinh and cosh are infinite from the point on where exp(x) is near its own end. Beyond `from` both are
 * exp(x - c) times exp(c) / 2: c is chosen so that the difference is exact and the factor nearly. */
#define HYPERBOLIC_F32(name, fn, odd)                                                                   \
    BEYOND(name, float, vec_f32, fn, F32_FN(exp), __builtin_fabsf, __builtin_copysignf, 88.0f, 60.125f, \
           0x1.ac2b7ap+85f, odd)
#define HYPERBOLIC_F64(name, fn, odd)                                                                  \
    BEYOND(name, double, vec_f64, fn, F64_FN(exp), __builtin_fabs, __builtin_copysign, 709.0, 654.125, \
           0x1.a0b54b7f425dfp+942, odd)
HYPERBOLIC_F32(sinh_f32, F32_FN(sinh), true)
HYPERBOLIC_F64(sinh_f64, F64_FN(sinh), true)
HYPERBOLIC_F32(cosh_f32, F32_FN(cosh), false)
HYPERBOLIC_F64(cosh_f64, F64_FN(cosh), false)

/* SLEEF's log1p is infinite from near the end of the numbers on. Where 1 is nothing beside x, it is log(x). */
#define ITSELF(x) (x) /* of numbers below 0 there is none */
BEYOND(log1p_f32, float, vec_f32, F32_FN(log1p), F32_FN(log), ITSELF, __builtin_copysignf, 0x1p60f, 0.0f, 1.0f, false)
BEYOND(log1p_f64, double, vec_f64, F64_FN(log1p), F64_FN(log), ITSELF, __builtin_copysign, 0x1p60, 0.0, 1.0, false)

#define MATH(name, f32, f64)                                                   \
    UNARY(ST_LEVELED(st_kern_##name##_f32), float, vec_f32, f32, st_canon_f32) \
    UNARY(ST_LEVELED(st_kern_##name##_f64), double, vec_f64, f64, st_canon_f64)

MATH(exp, F32_FN(exp), F64_FN(exp))
MATH(log, F32_FN(log), F64_FN(log))
MATH(sigmoid, sigmoid_f32, sigmoid_f64)
MATH(tanh, F32_FN(tanh), F64_FN(tanh))
MATH(erf, F32_FN(erf), F64_FN(erf))
MATH(exp2, F32_FN(exp2), F64_FN(exp2))
MATH(expm1, F32_FN(expm1), F64_FN(expm1))
MATH(log2, F32_FN(log2), F64_FN(log2))
MATH(log10, F32_FN(log10), F64_FN(log10))
MATH(log1p, log1p_f32, log1p_f64)
MATH(sin, F32_FN(sin), F64_FN(sin))
MATH(cos, F32_FN(cos), F64_FN(cos))
MATH(tan, F32_FN(tan), F64_FN(tan))
MATH(asin, F32_FN(asin), F64_FN(asin))
MATH(acos, F32_FN(acos), F64_FN(acos))
MATH(atan, F32_FN(atan), F64_FN(atan))
MATH(sinh, sinh_f32, sinh_f64)
MATH(cosh, cosh_f32, cosh_f64)
MATH(erfc, F32_AT(erfc, u15), F64_AT(erfc, u15))

#define MATH2(name, f32, f64)                                                   \
    BINARY(ST_LEVELED(st_kern_##name##_f32), float, vec_f32, f32, st_canon_f32) \
    BINARY(ST_LEVELED(st_kern_##name##_f64), double, vec_f64, f64, st_canon_f64)

MATH2(pow, F32_FN(pow), F64_FN(pow))
MATH2(atan2, F32_FN(atan2), F64_FN(atan2))
MATH2(hypot, F32_AT(hypot, u05), F64_AT(hypot, u05))

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
