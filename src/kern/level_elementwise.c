/* level_elementwise.c - the operations of ST_OPS on register arrays, compiled once per SIMD level. Layer: kern.
 * One line per operation and class; level_math.c has exp, log, pow and their like. Arrays only: no memory, no files, no
 * threads.
 *
 * Floats: a kernel whose result is a NaN gives the canonical one (see kern.c), except neg, abs and where, which move
 * bits. Integers wrap: they are computed without sign. */
#include "level.h"

#define KERNEL(name) static void name(void *dst, const void *const src[3], size_t n)

#define UNARY(name, type, expr)  \
    KERNEL(name)                 \
    {                            \
        type *d = dst;           \
        const type *a = src[0];  \
        ST_EACH                  \
        {                        \
            const type x = a[i]; \
            d[i] = (type)(expr); \
        }                        \
    }

#define BINARY(name, type, result, expr)     \
    KERNEL(name)                             \
    {                                        \
        result *d = dst;                     \
        const type *a = src[0], *b = src[1]; \
        ST_EACH                              \
        {                                    \
            const type x = a[i], y = b[i];   \
            d[i] = (result)(expr);           \
        }                                    \
    }

#define WHERE(name, type)                    \
    KERNEL(name)                             \
    {                                        \
        type *d = dst;                       \
        const uint8_t *c = src[0];           \
        const type *a = src[1], *b = src[2]; \
        ST_EACH                              \
        {                                    \
            const type x = a[i], y = b[i];   \
            d[i] = c[i] ? x : y;             \
        }                                    \
    }

#define COMPARISONS(r, type)              \
    BINARY(eq_##r, type, uint8_t, x == y) \
    BINARY(ne_##r, type, uint8_t, x != y) \
    BINARY(lt_##r, type, uint8_t, x < y)  \
    BINARY(le_##r, type, uint8_t, x <= y) \
    BINARY(gt_##r, type, uint8_t, x > y)  \
    BINARY(ge_##r, type, uint8_t, x >= y)

/* Of two equal values (0 and -0) minimum and maximum give the second, as torch's vector code does; sign of NaN is 0. */
#define FLOATS(r, type, canon, sqrt, fabs)                         \
    BINARY(add_##r, type, type, canon(x + y))                      \
    BINARY(sub_##r, type, type, canon(x - y))                      \
    BINARY(mul_##r, type, type, canon(x *y))                       \
    BINARY(div_##r, type, type, canon(x / y))                      \
    BINARY(min_##r, type, type, canon(x != x ? x : x < y ? x : y)) \
    BINARY(max_##r, type, type, canon(x != x ? x : x > y ? x : y)) \
    COMPARISONS(r, type)                                           \
    WHERE(where_##r, type)                                         \
    UNARY(neg_##r, type, -x)                                       \
    UNARY(abs_##r, type, fabs(x))                                  \
    UNARY(sign_##r, type, (type)(x > 0) - (type)(x < 0))           \
    UNARY(sqrt_##r, type, canon(sqrt(x)))

FLOATS(f32, float, st_canon_f32, __builtin_sqrtf, __builtin_fabsf)
FLOATS(f64, double, st_canon_f64, __builtin_sqrt, __builtin_fabs)

/* Rounding, and division with a remainder: the library's functions are exact, so every level agrees. The remainder has
 * the divisor's sign, as Lua's % has; the quotient that goes with it is corrected as torch does (BinaryOpsKernel.cpp).
 */
#define ROUNDING(r, type, canon, suffix)                              \
    static inline type remainder_of_##r(type x, type y)               \
    {                                                                 \
        type m = __builtin_fmod##suffix(x, y);                        \
        return m != 0 && (y < 0) != (m < 0) ? m + y : m;              \
    }                                                                 \
    static inline type quotient_of_##r(type x, type y)                \
    {                                                                 \
        if (y == 0) return x / y;                                     \
        type m = __builtin_fmod##suffix(x, y), q = (x - m) / y;       \
        if (m != 0 && (y < 0) != (m < 0)) q -= 1;                     \
        if (q == 0) return __builtin_copysign##suffix(0, x / y);      \
        type f = __builtin_floor##suffix(q);                          \
        return q - f > (type)0.5 ? f + 1 : f;                         \
    }                                                                 \
    UNARY(floor_##r, type, canon(__builtin_floor##suffix(x)))         \
    UNARY(ceil_##r, type, canon(__builtin_ceil##suffix(x)))           \
    UNARY(round_##r, type, canon(__builtin_rint##suffix(x)))          \
    UNARY(trunc_##r, type, canon(__builtin_trunc##suffix(x)))         \
    BINARY(fmod_##r, type, type, canon(__builtin_fmod##suffix(x, y))) \
    BINARY(remainder_##r, type, type, canon(remainder_of_##r(x, y)))  \
    BINARY(floor_divide_##r, type, type, canon(quotient_of_##r(x, y)))

ROUNDING(f32, float, st_canon_f32, f)
ROUNDING(f64, double, st_canon_f64, )

#define INTEGERS(r, type)                      \
    BINARY(min_##r, type, type, x < y ? x : y) \
    BINARY(max_##r, type, type, x > y ? x : y) \
    COMPARISONS(r, type)

INTEGERS(i64, int64_t)
INTEGERS(u64, uint64_t)

/* The bits of these are the same with and without sign. */
BINARY(add_u64, uint64_t, uint64_t, x + y)
BINARY(sub_u64, uint64_t, uint64_t, x - y)
BINARY(mul_u64, uint64_t, uint64_t, x *y)
UNARY(neg_u64, uint64_t, 0 - x)
WHERE(where_u64, uint64_t)

UNARY(abs_i64, int64_t, x < 0 ? 0 - (uint64_t)x : (uint64_t)x)
UNARY(abs_u64, uint64_t, x)
UNARY(sign_i64, int64_t, (x > 0) - (x < 0))
UNARY(sign_u64, uint64_t, x > 0)

UNARY(copy_u64, uint64_t, x)
BINARY(and_u64, uint64_t, uint64_t, x &y)
BINARY(or_u64, uint64_t, uint64_t, x | y)
BINARY(xor_u64, uint64_t, uint64_t, x ^ y)
UNARY(not_u64, uint64_t, ~x)

/* By zero: 0. (torch throws an error, which nothing here can.) By -1: without the overflow that the processor traps. */
BINARY(fmod_i64, int64_t, int64_t, y == 0 || y == -1 ? 0 : x % y)
BINARY(fmod_u64, uint64_t, uint64_t, y == 0 ? 0 : x % y)
BINARY(remainder_i64, int64_t, int64_t, y == 0 || y == -1 ? 0 : x % y && (x % y < 0) != (y < 0) ? x % y + y : x % y)
BINARY(floor_divide_i64, int64_t, int64_t,
       y == 0    ? 0
       : y == -1 ? (int64_t)(0 - (uint64_t)x)
                 : x / y - (x % y && (x < 0) != (y < 0)))
BINARY(floor_divide_u64, uint64_t, uint64_t, y == 0 ? 0 : x / y)

/* Bits that are shifted out are gone, whatever the count; a negative count is a large one. */
BINARY(left_shift_u64, uint64_t, uint64_t, y > 63 ? 0 : x << y)
// cppcheck-suppress shiftTooManyBitsSigned ; arithmetic on every compiler we know
BINARY(right_shift_i64, int64_t, int64_t, x >> ((uint64_t)y > 63 ? 63 : y))
BINARY(right_shift_u64, uint64_t, uint64_t, y > 63 ? 0 : x >> y)

/* Booleans are 0 or 1. */
BINARY(add_b8, uint8_t, uint8_t, x | y)
BINARY(mul_b8, uint8_t, uint8_t, x &y)
BINARY(eq_b8, uint8_t, uint8_t, x == y)
BINARY(ne_b8, uint8_t, uint8_t, x != y)
UNARY(not_b8, uint8_t, !x)
UNARY(copy_b8, uint8_t, x)
BINARY(lt_b8, uint8_t, uint8_t, x < y)
BINARY(le_b8, uint8_t, uint8_t, x <= y)
BINARY(gt_b8, uint8_t, uint8_t, x > y)
BINARY(ge_b8, uint8_t, uint8_t, x >= y)
WHERE(where_b8, uint8_t)

#define MATH(fn)                                                                         \
    {                                                                                    \
        ST_LEVELED(st_kern_##fn##_f32), ST_LEVELED(st_kern_##fn##_f64), NULL, NULL, NULL \
    }

/* Columns: F32, F64, I64, U64, B8, in the order of ST_REGS. */
const st_kern_fn ST_LEVELED(st_kern_op)[ST_OP_COUNT][ST_REG_COUNT] = {
    [ST_OP_ADD] = {add_f32, add_f64, add_u64, add_u64, add_b8},
    [ST_OP_SUB] = {sub_f32, sub_f64, sub_u64, sub_u64, NULL},
    [ST_OP_MUL] = {mul_f32, mul_f64, mul_u64, mul_u64, mul_b8},
    [ST_OP_DIV] = {div_f32, div_f64, NULL, NULL, NULL},
    [ST_OP_POW] = {ST_LEVELED(st_kern_pow_f32), ST_LEVELED(st_kern_pow_f64), ST_LEVELED(st_kern_pow_i64),
                   ST_LEVELED(st_kern_pow_u64), NULL},
    [ST_OP_MINIMUM] = {min_f32, min_f64, min_i64, min_u64, mul_b8},
    [ST_OP_MAXIMUM] = {max_f32, max_f64, max_i64, max_u64, add_b8},
    [ST_OP_EQ] = {eq_f32, eq_f64, eq_i64, eq_u64, eq_b8},
    [ST_OP_NE] = {ne_f32, ne_f64, ne_i64, ne_u64, ne_b8},
    [ST_OP_LT] = {lt_f32, lt_f64, lt_i64, lt_u64, lt_b8},
    [ST_OP_LE] = {le_f32, le_f64, le_i64, le_u64, le_b8},
    [ST_OP_GT] = {gt_f32, gt_f64, gt_i64, gt_u64, gt_b8},
    [ST_OP_GE] = {ge_f32, ge_f64, ge_i64, ge_u64, ge_b8},
    [ST_OP_WHERE] = {where_f32, where_f64, where_u64, where_u64, where_b8},
    [ST_OP_NEG] = {neg_f32, neg_f64, neg_u64, neg_u64, NULL},
    [ST_OP_ABS] = {abs_f32, abs_f64, abs_i64, abs_u64, copy_b8},
    [ST_OP_SIGN] = {sign_f32, sign_f64, sign_i64, sign_u64, copy_b8},
    [ST_OP_SQRT] = {sqrt_f32, sqrt_f64, NULL, NULL, NULL},
    [ST_OP_EXP] = MATH(exp),
    [ST_OP_LOG] = MATH(log),
    [ST_OP_FLOOR] = {floor_f32, floor_f64, copy_u64, copy_u64, NULL},
    [ST_OP_CEIL] = {ceil_f32, ceil_f64, copy_u64, copy_u64, NULL},
    [ST_OP_ROUND] = {round_f32, round_f64, copy_u64, copy_u64, NULL},
    [ST_OP_TRUNC] = {trunc_f32, trunc_f64, copy_u64, copy_u64, NULL},
    [ST_OP_FMOD] = {fmod_f32, fmod_f64, fmod_i64, fmod_u64, NULL},
    [ST_OP_REMAINDER] = {remainder_f32, remainder_f64, remainder_i64, fmod_u64, NULL},
    [ST_OP_FLOOR_DIVIDE] = {floor_divide_f32, floor_divide_f64, floor_divide_i64, floor_divide_u64, NULL},
    [ST_OP_BITWISE_AND] = {NULL, NULL, and_u64, and_u64, mul_b8},
    [ST_OP_BITWISE_OR] = {NULL, NULL, or_u64, or_u64, add_b8},
    [ST_OP_BITWISE_XOR] = {NULL, NULL, xor_u64, xor_u64, ne_b8},
    [ST_OP_BITWISE_NOT] = {NULL, NULL, not_u64, not_u64, not_b8},
    [ST_OP_LEFT_SHIFT] = {NULL, NULL, left_shift_u64, left_shift_u64, NULL},
    [ST_OP_RIGHT_SHIFT] = {NULL, NULL, right_shift_i64, right_shift_u64, NULL},
    [ST_OP_SIGMOID] = MATH(sigmoid),
    [ST_OP_TANH] = MATH(tanh),
    [ST_OP_ERF] = MATH(erf),
    [ST_OP_EXP2] = MATH(exp2),
    [ST_OP_EXPM1] = MATH(expm1),
    [ST_OP_LOG2] = MATH(log2),
    [ST_OP_LOG10] = MATH(log10),
    [ST_OP_LOG1P] = MATH(log1p),
    [ST_OP_SIN] = MATH(sin),
    [ST_OP_COS] = MATH(cos),
    [ST_OP_TAN] = MATH(tan),
    [ST_OP_ASIN] = MATH(asin),
    [ST_OP_ACOS] = MATH(acos),
    [ST_OP_ATAN] = MATH(atan),
    [ST_OP_ATAN2] = MATH(atan2),
    [ST_OP_SINH] = MATH(sinh),
    [ST_OP_COSH] = MATH(cosh),
    [ST_OP_ERFC] = MATH(erfc),
    [ST_OP_HYPOT] = MATH(hypot),
};
