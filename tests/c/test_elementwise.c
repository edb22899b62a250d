/* test_elementwise.c - operations on special values against torch's results, and what torch has no word on. (That all
 * SIMD levels agree on all kernels is test_convert.c's levels_agree.) */
#include "every_kernel.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FIXTURES "tests/fixtures/ops/"

enum { K = 16 }; /* values in a fixture */

#define EACH_LEVEL(k) for (const st_kernels *k = st_kern_level(0); k; k = level_after(k))
static const st_kernels *level_after(const st_kernels *k)
{
    unsigned l = 0;
    while (st_kern_level(l) != k) l++;
    return st_kern_level(l + 1);
}

static double as_double(st_reg r, const void *p, size_t i)
{
    size_t size = st_reg_size(r);
    return st_kern_to_double(st_reg_dtype(r), (const char *)p + i * size);
}

/* Distance in units of the last place; huge between a number and a NaN or values of other sign. */
static uint64_t ulps(st_reg r, const void *a, const void *b)
{
    if (isnan(as_double(r, a, 0)) || isnan(as_double(r, b, 0)))
        return isnan(as_double(r, a, 0)) && isnan(as_double(r, b, 0)) ? 0 : UINT64_MAX;
    uint64_t x = 0, y = 0;
    memcpy(&x, a, st_reg_size(r));
    memcpy(&y, b, st_reg_size(r));
    return x > y ? x - y : y - x;
}

/* Bits as torch's (neg and abs of NaN aside, whose sign is free); exp, log, pow and their like within 2 units of the
 * last place. */
static void against_torch(void **state)
{
    (void)state;
    static const int arity[] = {
#define X(id, name, n, result) n,
        ST_OPS(X)
#undef X
    };
    static const char *const names[] = {
#define X(id, name, n, result) name,
        ST_OPS(X)
#undef X
    };
    static const st_reg regs[] = {ST_R_F32, ST_R_F64, ST_R_I64};
    int wrong = 0, compared = 0;
    for (size_t c = 0; c < 3; c++) {
        st_reg r = regs[c];
        size_t size = st_reg_size(r);
        static unsigned char data[1 << 16], a[K * K * 8], b[K * K * 8], out[K * K * 8];
        char path[64];
        snprintf(path, sizeof path, FIXTURES "%s.bin", st_reg_name((int)r));
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        size_t bytes = fread(data, 1, sizeof data, f);
        fclose(f);
        for (int i = 0; i < K * K; i++) {
            memcpy(a + (size_t)i * size, data + (size_t)(i / K) * size, size);
            memcpy(b + (size_t)i * size, data + (size_t)(i % K) * size, size);
        }
        const unsigned char *want = data + K * size;
        for (int op = 0; op < ST_OP_COUNT; op++) {
            if (op == ST_OP_WHERE || !st_kern_level(0)->op[op][r]) continue;
            bool mask = op >= ST_OP_EQ && op <= ST_OP_GE;
            st_reg result = mask ? ST_R_B8 : r;
            size_t n = arity[op] == 2 ? K * K : K, each = st_reg_size(result);
            bool math = op == ST_OP_EXP || op == ST_OP_LOG || op == ST_OP_POW || op >= ST_OP_SIGMOID;
            bool loose = r != ST_R_I64 && math;
            const void *src[3] = {arity[op] == 2 ? a : data, b, NULL};
            assert_true(want + n * each <= data + bytes);
            EACH_LEVEL(k)
            {
                k->op[op][r](out, src, n);
                for (size_t i = 0; i < n; i++, compared++) {
                    const unsigned char *got = out + i * each, *torch = want + i * each;
                    bool sign_free = (op == ST_OP_NEG || op == ST_OP_ABS) && isnan(as_double(r, torch, 0));
                    if (memcmp(got, torch, each) == 0 || (loose && ulps(r, got, torch) <= 2) ||
                        (sign_free && isnan(as_double(r, got, 0))))
                        continue;
                    print_error("%s: %s(%.9g, %.9g) in %s: %.17g, torch %.17g\n", k->name, names[op],
                                as_double(r, src[0], i), arity[op] == 2 ? as_double(r, b, i) : 0, st_reg_name((int)r),
                                as_double(result, got, 0), as_double(result, torch, 0));
                    wrong++;
                }
            }
            want += n * each;
        }
        assert_ptr_equal(want, data + bytes);
    }
    assert_int_equal(wrong, 0);
    assert_true(compared > 5000);
}

static void booleans(void **state)
{
    (void)state;
    const uint8_t a[] = {0, 0, 1, 1}, b[] = {0, 1, 0, 1};
    const struct {
        st_op op;
        uint8_t want[4];
    } cases[] = {{ST_OP_ADD, {0, 1, 1, 1}},     {ST_OP_MUL, {0, 0, 0, 1}}, {ST_OP_MINIMUM, {0, 0, 0, 1}},
                 {ST_OP_MAXIMUM, {0, 1, 1, 1}}, {ST_OP_EQ, {1, 0, 0, 1}},  {ST_OP_NE, {0, 1, 1, 0}}};
    EACH_LEVEL(k)
    {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            uint8_t out[4];
            k->op[cases[i].op][ST_R_B8](out, (const void *[3]){a, b}, 4);
            assert_memory_equal(out, cases[i].want, 4);
        }
        assert_null(k->op[ST_OP_SUB][ST_R_B8]);
        assert_null(k->op[ST_OP_DIV][ST_R_I64]);
        assert_null(k->op[ST_OP_EXP][ST_R_U64]);
    }
}

static void where_moves_bits(void **state)
{
    (void)state;
    const uint8_t mask[] = {1, 0, 1, 0};
    const uint32_t a[] = {0x7f800001, 1, 0xffc12345, 3}, b[] = {4, 0xff800001, 6, 7},
                   want[] = {0x7f800001, 0xff800001, 0xffc12345, 7};
    EACH_LEVEL(k)
    {
        uint32_t out[4];
        k->op[ST_OP_WHERE][ST_R_F32](out, (const void *[3]){mask, a, b}, 4);
        assert_memory_equal(out, want, sizeof want);
    }
}

/* torch does not compute on U64: here it is arithmetic modulo 2^64. */
static void unsigned_wraps(void **state)
{
    (void)state;
    const uint64_t big = UINT64_MAX - 1, a[] = {big, 3, 1ull << 63, 3, 0}, b[] = {3, big, 2, 41, 0};
    const struct {
        st_op op;
        uint64_t want[5];
    } cases[] = {
        {ST_OP_ADD, {1, 1, (1ull << 63) + 2, 44, 0}},
        {ST_OP_SUB, {big - 3, 5, (1ull << 63) - 2, UINT64_MAX - 37, 0}},
        {ST_OP_MUL, {UINT64_MAX - 5, UINT64_MAX - 5, 0, 123, 0}},
        {ST_OP_MINIMUM, {3, 3, 2, 3, 0}},
        {ST_OP_MAXIMUM, {big, big, 1ull << 63, 41, 0}},
        {ST_OP_POW, {UINT64_MAX - 7, 0x8e38e38e38e38e39u, 0, 0xfa2a1cf67b5fb863u, 1}},
        {ST_OP_NEG, {2, UINT64_MAX - 2, 1ull << 63, UINT64_MAX - 2, 0}},
        {ST_OP_ABS, {big, 3, 1ull << 63, 3, 0}},
        {ST_OP_SIGN, {1, 1, 1, 1, 0}},
    };
    EACH_LEVEL(k)
    {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            uint64_t out[5];
            k->op[cases[i].op][ST_R_U64](out, (const void *[3]){a, b}, 5);
            for (int j = 0; j < 5; j++)
                if (out[j] != cases[i].want[j])
                    fail_msg("%s: case %zu, element %d: %#llx", k->name, i, j, (unsigned long long)out[j]);
        }
        uint8_t lt[5];
        const uint8_t want[] = {0, 1, 0, 1, 0};
        k->op[ST_OP_LT][ST_R_U64](lt, (const void *[3]){a, b}, 5);
        assert_memory_equal(lt, want, 5);
    }
}

/* Arithmetic on NaNs of any sign and payload gives the one NaN. */
static void nan_results_are_canonical(void **state)
{
    (void)state;
    static const st_op ops[] = {ST_OP_ADD,     ST_OP_SUB,     ST_OP_MUL,  ST_OP_DIV, ST_OP_POW,
                                ST_OP_MINIMUM, ST_OP_MAXIMUM, ST_OP_SQRT, ST_OP_EXP, ST_OP_LOG};
    enum { N = 37 };
    uint32_t a[N], b[N], out[N];
    uint64_t c[N], d[N], out64[N];
    for (uint32_t i = 0; i < N; i++) {
        a[i] = i % 3 == 2 ? 0x40000000 : 0xff800001u + i * 0x1234;
        b[i] = i % 3 == 1 ? 0x40000000 : 0x7fa00001u + i * 0x4321;
        c[i] = i % 3 == 2 ? 0x4000000000000000u : 0xfff0000000000001u + i * 0x1234;
        d[i] = i % 3 == 1 ? 0x4000000000000000u : 0x7ff4000000000001u + i * 0x4321;
    }
    EACH_LEVEL(k)
    {
        for (size_t o = 0; o < sizeof ops / sizeof *ops; o++) {
            k->op[ops[o]][ST_R_F32](out, (const void *[3]){a, b}, N);
            k->op[ops[o]][ST_R_F64](out64, (const void *[3]){c, d}, N);
            for (int i = 0; i < N; i++) {
                if (i % 3 == 2 && ops[o] >= ST_OP_SQRT) continue; /* of a number */
                if (out[i] != 0x7fc00000 || out64[i] != 0x7ff8000000000000u)
                    fail_msg("%s: operation %d, element %d: %#x %#llx", k->name, (int)ops[o], i, out[i],
                             (unsigned long long)out64[i]);
            }
        }
        const float minus[] = {-1, 0, INFINITY};
        k->op[ST_OP_SQRT][ST_R_F32](out, (const void *[3]){minus}, 1);
        assert_int_equal(out[0], 0x7fc00000);
        k->op[ST_OP_MUL][ST_R_F32](out, (const void *[3]){minus + 1, minus + 2}, 1);
        assert_int_equal(out[0], 0x7fc00000);
    }
}

/* exp, log, log1p and pow of many values: all levels alike, and near the C library's in double. */
static void functions_over_many_values(void **state)
{
    (void)state;
    enum { N = 1 << 15 };
    static uint64_t a[N], b[N], first[N], out[N];
    static const st_op ops[] = {ST_OP_EXP, ST_OP_LOG, ST_OP_LOG1P, ST_OP_POW};
    for (uint64_t round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < N; i++) {
            /* Random bits; then values of everyday size. */
            a[i] = st_splitmix64(i);
            b[i] = st_splitmix64(i + N);
            if (round == 0) continue;
            float x[2] = {(float)(a[i] % 20000) * 0.004f - (a[i] & 1 << 20 ? 0 : 40), (float)(a[i] >> 40) * 1e-6f};
            float y[2] = {(float)(b[i] % 1000) * 0.01f - 5, (float)(b[i] >> 50) * 1e-3f};
            memcpy(&a[i], x, 8);
            memcpy(&b[i], y, 8);
        }
        for (size_t o = 0; o < sizeof ops / sizeof *ops; o++) {
            for (int wide = 0; wide < 2; wide++) {
                st_reg r = wide ? ST_R_F64 : ST_R_F32;
                size_t n = wide ? N : 2 * N;
                st_kern_level(0)->op[ops[o]][r](first, (const void *[3]){a, b}, n);
                EACH_LEVEL(k)
                {
                    k->op[ops[o]][r](out, (const void *[3]){a, b}, n);
                    if (memcmp(out, first, sizeof out))
                        fail_msg("%s: operation %d in %s", k->name, (int)ops[o], st_reg_name((int)r));
                }
                if (wide) continue;
                for (size_t i = 0; i < n; i++) {
                    double x = as_double(r, a, i), y = as_double(r, b, i), got = as_double(r, first, i);
                    float want = (float)(ops[o] == ST_OP_EXP     ? exp(x)
                                         : ops[o] == ST_OP_LOG   ? log(x)
                                         : ops[o] == ST_OP_LOG1P ? log1p(x)
                                                                 : pow(x, y));
                    if (ulps(r, (const float *)first + i, &want) > 1)
                        fail_msg("operation %d of %.9g, %.9g: %.9g, not %.9g", (int)ops[o], x, y, got, (double)want);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_torch),
        cmocka_unit_test(booleans),
        cmocka_unit_test(where_moves_bits),
        cmocka_unit_test(unsigned_wraps),
        cmocka_unit_test(nan_results_are_canonical),
        cmocka_unit_test(functions_over_many_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
