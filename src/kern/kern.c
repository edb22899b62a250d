/* kern.c - chooses the SIMD level, once. Layer: kern; asks the processor and the environment, nothing else.
 *
 * Same bits at every level
 *   Integer arithmetic is exact, IEEE + - * / and square root are defined to the bit, and SLEEF's cinz functions are
 *   the same steps at every width. What is left is the NaN that arithmetic makes: whose payload survives, and the sign,
 *   hang on the order of operands that a compiler chose. So there are two kinds of kernels:
 *   - those that compute a float (add .. pow, minimum, maximum, sqrt, exp, log) or narrow to 16 or 8 bits write the one
 *     canonical NaN: quiet, positive, no payload. F64 0x7ff8000000000000, F32 0x7fc00000, BF16 0x7fc0, F16 0x7e00,
 *     F8_E4M3 and F8_E5M2 0x7f, FNUZ 0x80.
 *   - those that move or widen (load, stores of F32 and F64, F32 <-> F64, clamp, neg, abs, where) keep a NaN's sign and
 *     as much of its payload as fits, quiet where the processor's own conversion quiets it. A load and a store of F32
 *     or F64 give the file's bytes back. */
#include "level.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* clang-format off */
#define TABLES(level)                                                                                   \
    {#level, st_kern_load_##level, st_kern_store_##level, st_kern_round_##level, st_kern_clamp_##level, \
     st_kern_conv_##level, st_kern_op_##level, st_kern_gen_##level, st_kern_fold_##level,               \
     st_kern_fold_abreast_##level, st_kern_fold_columns_##level, st_kern_gram_##level,                  \
     st_kern_summary_##level, st_kern_fold_bf16_##level, &st_kern_bracket_##level,                      \
     st_kern_product_##level, &st_kern_panel_##level, st_kern_split_##level, st_kern_join_##level}
/* clang-format on */

static const st_kernels levels[] = {
    TABLES(baseline),
#if defined(__x86_64__)
    TABLES(avx2),
    TABLES(avx512),
#endif
};

#if defined(__x86_64__)
static bool has_f16c_and_fma(void) /* the former is not among the names of clang's __builtin_cpu_supports */
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) && (c & bit_FMA);
}

static unsigned supported(void)
{
    if (!__builtin_cpu_supports("avx2") || !has_f16c_and_fma()) return 1;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return 2;
    return 3;
}
#else
static unsigned supported(void) { return 1; }
#endif

const st_kernels *st_kern_level(unsigned n) { return n < supported() ? &levels[n] : NULL; }

const st_kernels *st_kern(void)
{
    /* Threads that come here together choose the same. */
    static _Atomic(const st_kernels *) chosen;
    const st_kernels *k = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (k) return k;
    unsigned top = supported() - 1;
    const char *cap = getenv("STLUA_SIMD");
    for (unsigned i = 0; cap && i < top; i++)
        if (strcmp(cap, levels[i].name) == 0) top = i;
    k = &levels[top];
    atomic_store_explicit(&chosen, k, memory_order_relaxed);
    return k;
}

const char *st_simd_name(void) { return st_kern()->name; }

double st_kern_to_double(st_dtype d, const void *raw)
{
    const st_kernels *k = &levels[0];
    if (!k->load[d]) return __builtin_nan("");
    union {
#define X(id, type, size) type id;
        ST_REGS(X)
#undef X
    } reg;
    double value;
    k->load[d](&reg, (const void *[3]){raw}, 1);
    k->conv[st_dtype_reg(d)][ST_R_F64](&value, (const void *[3]){&reg}, 1);
    return value;
}
