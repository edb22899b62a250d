/* level.h - what the files compiled once per SIMD level (level_*.c) share. Layer: kern.
 *
 * The Makefile gives -DST_LEVEL=<name> and -DST_LEVEL_<name>=1; every external name carries the level, everything else
 * is static, so that no level's code can be linked into another. */
#ifndef ST_LEVEL_H
#define ST_LEVEL_H

#include "kern.h"

#ifndef ST_LEVEL
#define ST_LEVEL baseline
#define ST_LEVEL_baseline 1
#endif

#define ST_PASTE_(a, b) a##_##b
#define ST_PASTE(a, b) ST_PASTE_(a, b)
#define ST_LEVELED(name) ST_PASTE(name, ST_LEVEL)

/* Functions of floats, each for F32 and F64. */
/* clang-format off */
#define ST_MATH(X, level) \
    X(exp, level) X(log, level) X(sigmoid, level) X(tanh, level) X(erf, level) X(exp2, level) X(expm1, level) \
    X(log2, level) X(log10, level) X(log1p, level) X(sin, level) X(cos, level) X(tan, level) X(asin, level) \
    X(acos, level) X(atan, level) X(sinh, level) X(cosh, level) X(erfc, level) X(pow, level) X(atan2, level) \
    X(hypot, level)
/* clang-format on */
#define ST_DECLARE(name, level) void st_kern_##name##_##level(void *dst, const void *const src[3], size_t n);
#define ST_MATH_DECLARE(fn, level) ST_DECLARE(fn##_f32, level) ST_DECLARE(fn##_f64, level)

/* The tables of one level: what each level_*.c exports. */
#define ST_LEVEL_TABLES(level)                                                                 \
    extern const st_kern_fn st_kern_load_##level[ST_DTYPE_COUNT];                              \
    extern const st_kern_fn st_kern_store_##level[ST_DTYPE_COUNT];                             \
    extern const st_kern_fn st_kern_round_##level[ST_DTYPE_COUNT];                             \
    extern const st_kern_fn st_kern_clamp_##level[ST_DTYPE_COUNT];                             \
    extern const st_kern_fn st_kern_conv_##level[ST_REG_COUNT][ST_REG_COUNT];                  \
    extern const st_kern_fn st_kern_op_##level[ST_OP_COUNT][ST_REG_COUNT];                     \
    extern const st_gen_fn st_kern_gen_##level[ST_GEN_COUNT];                                  \
    extern const st_fold_fn st_kern_fold_##level[ST_FOLD_COUNT][ST_REG_COUNT];                 \
    extern const st_fold_abreast_fn st_kern_fold_abreast_##level[ST_FOLD_COUNT][ST_REG_COUNT]; \
    extern const st_joint_fn st_kern_gram_##level[ST_REG_COUNT];                               \
    extern const st_joint_fn st_kern_summary_##level[ST_REG_COUNT];                            \
    extern const st_fold_columns_fn st_kern_fold_columns_##level[ST_FOLD_COUNT][ST_REG_COUNT]; \
    extern const st_fold_fn st_kern_fold_bf16_##level[ST_FOLD_COUNT];                          \
    extern const st_bracket_fn st_kern_bracket_##level;                                        \
    extern const st_product_fn st_kern_product_##level[ST_REG_COUNT];                          \
    extern const st_panel_fn st_kern_panel_##level;                                            \
    extern const st_split_fn st_kern_split_##level[ST_LANES][ST_PL_COUNT];                     \
    extern const st_join_fn st_kern_join_##level[ST_LANES][ST_PL_COUNT];                       \
    /* Of level_math.c, gathered into the table of operations. */                              \
    ST_MATH(ST_MATH_DECLARE, level)                                                            \
    ST_DECLARE(pow_i64, level)                                                                 \
    ST_DECLARE(pow_u64, level)

ST_LEVEL_TABLES(baseline)
ST_LEVEL_TABLES(avx2)
ST_LEVEL_TABLES(avx512)

/* The folds that level_reduce.c has for rows and level_columns.c for columns, under the same names. Columns: F32, F64,
 * I64, U64, B8. */
#define ST_FOLD_TABLE                                                                                                 \
    [ST_F_SUM] = {sum_f32, sum_f64, sum_u64, sum_u64, NULL},                                                          \
    [ST_F_SUMABS] = {sumabs_f32, sumabs_f64, NULL, NULL, NULL},                                                       \
    [ST_F_SUMSQ] = {sumsq_f32, sumsq_f64, NULL, NULL, NULL},                                                          \
    [ST_F_PROD] = {prod_f32, prod_f64, prod_u64, prod_u64, NULL},                                                     \
    [ST_F_MOMENTS] = {moments_f32, moments_f64, NULL, NULL, NULL},                                                    \
    [ST_F_MIN] = {min_f32, min_f64, min_i64, min_u64, NULL}, [ST_F_MAX] = {max_f32, max_f64, max_i64, max_u64, NULL}, \
    [ST_F_MINABS] = {minabs_f32, minabs_f64, NULL, NULL, NULL},                                                       \
    [ST_F_MAXABS] = {maxabs_f32, maxabs_f64, NULL, NULL, NULL},                                                       \
    [ST_F_ARGMIN] = {argmin_f32, argmin_f64, argmin_i64, argmin_u64, NULL},                                           \
    [ST_F_ARGMAX] = {argmax_f32, argmax_f64, argmax_i64, argmax_u64, NULL},                                           \
    [ST_F_NONZERO] = {nonzero_f32, nonzero_f64, nonzero_u64, nonzero_u64, nonzero_b8}

/* Iterations are independent even where dst is a source: element i is read before it is written. */
#if defined(__clang__)
#define ST_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed" /* sanitizers and -O1 vectorise nothing: no news */
#else
#define ST_IVDEP _Pragma("GCC ivdep")
#endif
#define ST_EACH ST_IVDEP for (size_t i = 0; i < n; i++)

/* Raw values in a file's bytes: any alignment, any effective type. */
#define ST_RAW __attribute__((aligned(1), may_alias))
typedef int8_t st_raw_i8 ST_RAW;
typedef uint8_t st_raw_u8 ST_RAW;
typedef int16_t st_raw_i16 ST_RAW;
typedef uint16_t st_raw_u16 ST_RAW;
typedef int32_t st_raw_i32 ST_RAW;
typedef uint32_t st_raw_u32 ST_RAW;

/* The one NaN: quiet, positive, no payload. */
static inline float st_canon_f32(float x) { return x == x ? x : __builtin_nanf(""); }
static inline double st_canon_f64(double x) { return x == x ? x : __builtin_nan(""); }

#endif
