/* test_convert.c - casts against values made by torch, at every SIMD level; all levels give the same bytes. */
#include "every_kernel.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#define FIXTURES "tests/fixtures/cast/"

enum { MOST = 65536 };

static size_t raw_size(st_dtype d) { return st_dtype_bits(d) / 8; }

static bool is_numeric(st_dtype d) { return st_dtype_reg(d) != ST_R_NONE; }

/* A cast as the evaluator makes it: load, change of class, store. */
static void cast(const st_kernels *k, st_dtype from, st_dtype to, const void *in, void *out, size_t n)
{
    static _Alignas(64) unsigned char a[MOST * 8], b[MOST * 8];
    st_reg rf = st_dtype_reg(from), rt = st_dtype_reg(to);
    k->load[from](a, (const void *[3]){in}, n);
    k->conv[rf][rt](b, (const void *[3]){a}, n);
    k->store[to](out, (const void *[3]){b}, n);
}

/* Float to integer is undefined in C, and so in torch, unless the truncated value fits. */
static bool is_defined(st_dtype from, st_dtype to, const void *in)
{
    if (!st_dtype_is_float(from) || st_dtype_is_float(to) || to == ST_BOOL) return true;
    bool has_sign = st_dtype_kind(to) == ST_KIND_INT;
    int bits = (int)st_dtype_bits(to) - has_sign;
    double x = trunc(st_kern_to_double(from, in));
    return x >= (has_sign ? -ldexp(1, bits) : 0) && x < ldexp(1, bits);
}

/* Casts what `in` holds and puts 0 where torch's result means nothing. */
static void defined_cast(const st_kernels *k, st_dtype from, st_dtype to, const unsigned char *in, unsigned char *out,
                         size_t n)
{
    cast(k, from, to, in, out, n);
    for (size_t i = 0; i < n; i++)
        if (!is_defined(from, to, in + i * raw_size(from))) memset(out + i * raw_size(to), 0, raw_size(to));
}

static unsigned char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("cannot open %s", path);
    unsigned char *p = malloc(1 << 20);
    *n = fread(p, 1, 1 << 20, f);
    fclose(f);
    return p;
}

/* ---------------------------------------------------------------- against torch */

/* All values of 8 and 16 bits, 65,536 random ones of the wider: the bytes' hash is torch's. */
static void exhaustive(void **state)
{
    (void)state;
    static unsigned char in[MOST * 8], out[MOST * 8];
    FILE *f = fopen(FIXTURES "hashes.txt", "r");
    assert_non_null(f);
    char line[128], source[16], target[16];
    int pairs = 0, wrong = 0;
    while (fgets(line, sizeof line, f)) {
        unsigned long long hash;
        st_dtype from, to;
        if (line[0] == '#') continue;
        assert_int_equal(sscanf(line, "%15s %15s %llx", source, target, &hash), 3);
        assert_true(st_dtype_parse(source, strlen(source), false, &from));
        assert_true(st_dtype_parse(target, strlen(target), false, &to));
        size_t size = raw_size(from), n = from == ST_BOOL ? 2 : size == 1 ? 256 : MOST;
        for (size_t i = 0; i < n; i++) {
            uint64_t v = size <= 2 ? i : st_splitmix64(i);
            memcpy(in + i * size, &v, size);
        }
        for (unsigned l = 0; st_kern_level(l); l++) {
            const st_kernels *k = st_kern_level(l);
            defined_cast(k, from, to, in, out, n);
            /* F32 to itself and the like move bytes: torch's NaNs were made canonical in the fixture. */
            for (size_t i = 0; i < n; i++) {
                const float nan32 = NAN;
                const double nan64 = NAN;
                if (to == ST_F32 && isnan(st_kern_to_double(to, out + i * 4))) memcpy(out + i * 4, &nan32, 4);
                if (to == ST_F64 && isnan(st_kern_to_double(to, out + i * 8))) memcpy(out + i * 8, &nan64, 8);
            }
            if (XXH64(out, n * raw_size(to), 0) == hash) continue;
            print_error("%s: %s to %s differs from torch\n", k->name, source, target);
            wrong++;
        }
        pairs++;
    }
    fclose(f);
    assert_int_equal(pairs, 17 * 17);
    assert_int_equal(wrong, 0);
}

/* Chosen values with all results: what differs is shown. */
static void edges(void **state)
{
    (void)state;
    static const st_dtype sources[] = {ST_F32, ST_F64, ST_I32, ST_I64, ST_U64, ST_F16, ST_BF16};
    static unsigned char out[MOST];
    int wrong = 0;
    for (size_t s = 0; s < sizeof sources / sizeof *sources; s++) {
        st_dtype from = sources[s];
        char path[64];
        snprintf(path, sizeof path, FIXTURES "edges_%s.bin", st_dtype_name(from));
        size_t bytes, row = raw_size(from);
        for (int d = 0; d < ST_DTYPE_COUNT; d++) row += is_numeric((st_dtype)d) ? raw_size((st_dtype)d) : 0;
        unsigned char *in = slurp(path, &bytes), *want = in + bytes / row * raw_size(from);
        size_t n = bytes / row;
        assert_true(n > 0 && bytes % row == 0 && n * 8 <= sizeof out);
        for (int d = 0; d < ST_DTYPE_COUNT; d++) {
            st_dtype to = (st_dtype)d;
            if (!is_numeric(to)) continue;
            for (unsigned l = 0; st_kern_level(l); l++) {
                defined_cast(st_kern_level(l), from, to, in, out, n);
                for (size_t i = 0; i < n; i++) {
                    const unsigned char *got = out + i * raw_size(to), *torch = want + i * raw_size(to);
                    if (memcmp(got, torch, raw_size(to)) == 0) continue;
                    print_error("%s: %s %.17g to %s: %.17g, torch %.17g\n", st_kern_level(l)->name, st_dtype_name(from),
                                st_kern_to_double(from, in + i * raw_size(from)), st_dtype_name(to),
                                st_kern_to_double(to, got), st_kern_to_double(to, torch));
                    wrong++;
                }
            }
            want += n * raw_size(to);
        }
        free(in);
    }
    assert_int_equal(wrong, 0);
}

/* ---------------------------------------------------------------- what torch leaves open */

static void float_to_integer_saturates(void **state)
{
    (void)state;
    const float f[] = {INFINITY,       -INFINITY,      NAN,   0x1p63f, -0x1p63f, 0x1p64f, -1, 1e30f,
                       0x1.fffffep63f, 0x1.fffffep62f, -0.9f, 0.9f};
    const int64_t i[] = {INT64_MAX, INT64_MIN, 0,         INT64_MAX,          INT64_MIN, INT64_MAX,
                         -1,        INT64_MAX, INT64_MAX, 0x7fffff8000000000, 0,         0};
    const uint64_t u[] = {UINT64_MAX,         0, 0, 1ull << 63, 0, UINT64_MAX, 0, UINT64_MAX, 0xffffff0000000000,
                          0x7fffff8000000000, 0, 0};
    enum { N = sizeof f / sizeof *f };
    double d[N];
    int64_t gi[N];
    uint64_t gu[N];
    for (unsigned l = 0; st_kern_level(l); l++) {
        const st_kernels *k = st_kern_level(l);
        k->conv[ST_R_F32][ST_R_I64](gi, (const void *[3]){f}, N);
        assert_memory_equal(gi, i, sizeof i);
        k->conv[ST_R_F32][ST_R_U64](gu, (const void *[3]){f}, N);
        assert_memory_equal(gu, u, sizeof u);
        k->conv[ST_R_F32][ST_R_F64](d, (const void *[3]){f}, N);
        k->conv[ST_R_F64][ST_R_I64](gi, (const void *[3]){d}, N);
        assert_memory_equal(gi, i, sizeof i);
        k->conv[ST_R_F64][ST_R_U64](gu, (const void *[3]){d}, N);
        assert_memory_equal(gu, u, sizeof u);
    }
}

static void clamp_stops_at_the_largest(void **state)
{
    (void)state;
    for (unsigned l = 0; st_kern_level(l); l++) {
        const st_kernels *k = st_kern_level(l);
        for (int d = 0; d < ST_DTYPE_COUNT; d++) {
            if (!is_numeric((st_dtype)d)) {
                assert_null(k->clamp[d]);
                continue;
            }
            if (st_dtype_reg((st_dtype)d) == ST_R_F32) {
                float max = (float)st_dtype_max((st_dtype)d), x[] = {INFINITY, -INFINITY, NAN, max, -max, -0.0f, 1};
                k->clamp[d](x, (const void *[3]){x}, 7);
                assert_true(x[0] == max && x[1] == -max && isnan(x[2]) && x[3] == max && x[4] == -max && x[6] == 1);
                assert_true(signbit(x[5]));
            } else if (d == ST_F64) {
                double x[] = {INFINITY, -INFINITY, 1};
                k->clamp[d](x, (const void *[3]){x}, 3);
                assert_true(x[0] == st_dtype_max(ST_F64) && x[1] == -x[0] && x[2] == 1);
            } else if (d != ST_BOOL && d != ST_I64 && d != ST_U64) {
                bool has_sign = st_dtype_kind((st_dtype)d) == ST_KIND_INT;
                int64_t high = (1ll << (st_dtype_bits((st_dtype)d) - has_sign)) - 1, low = has_sign ? -high - 1 : 0;
                int64_t x[] = {INT64_MAX, INT64_MIN, high, low, 5};
                k->clamp[d](x, (const void *[3]){x}, 5);
                assert_true(x[0] == high && x[1] == low && x[2] == high && x[3] == low && x[4] == 5);
            }
        }
    }
}

/* Rounding a register is a store followed by a load. */
static void round_is_store_and_load(void **state)
{
    (void)state;
    enum { N = 4096 };
    static uint64_t reg[N], rounded[N], stored[N], loaded[N];
    for (unsigned l = 0; st_kern_level(l); l++) {
        const st_kernels *k = st_kern_level(l);
        for (int d = 0; d < ST_DTYPE_COUNT; d++) {
            if (!k->round[d]) continue;
            for (uint64_t i = 0; i < N; i++) reg[i] = st_splitmix64(i);
            size_t size = st_reg_size(st_dtype_reg((st_dtype)d));
            k->round[d](rounded, (const void *[3]){reg}, N);
            k->store[d](stored, (const void *[3]){reg}, N);
            k->load[d](loaded, (const void *[3]){stored}, N);
            assert_memory_equal(rounded, loaded, N * size);
        }
    }
}

/* NaN comes out as one pattern, whatever went in; files' F32 and F64 pass a load and a store unchanged. */
static void nan_is_canonical(void **state)
{
    (void)state;
    static const struct {
        st_dtype d;
        uint16_t nan;
    } formats[] = {{ST_BF16, 0x7fc0},  {ST_F16, 0x7e00},       {ST_F8_E4M3, 0x7f},
                   {ST_F8_E5M2, 0x7f}, {ST_F8_E4M3FNUZ, 0x80}, {ST_F8_E5M2FNUZ, 0x80}};
    uint32_t nans[40], back[40];
    for (unsigned i = 0; i < 40; i++) nans[i] = 0x7f800001u + (i & 1) * 0x80000000u + i * 0x12345u;
    for (unsigned l = 0; st_kern_level(l); l++) {
        const st_kernels *k = st_kern_level(l);
        for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
            uint16_t out[40] = {0};
            k->store[formats[f].d](out, (const void *[3]){nans}, 40);
            for (int i = 0; i < 40; i++) {
                uint16_t got = raw_size(formats[f].d) == 2 ? out[i] : ((uint8_t *)out)[i];
                assert_int_equal(got, formats[f].nan);
            }
        }
        k->load[ST_F32](back, (const void *[3]){nans}, 40);
        k->store[ST_F32](back, (const void *[3]){back}, 40);
        assert_memory_equal(back, nans, sizeof nans);
    }
}

/* ---------------------------------------------------------------- levels */

enum { LONGEST = 70, PAD = 16 };

/* Random bytes, with special floats among them: zeros, infinities, NaNs, subnormals. */
static void fill(unsigned char *p, size_t bytes, size_t size, bool flag, uint64_t seed)
{
    static const uint32_t special32[] = {0,          0x80000000, 0x7f800000, 0xff800000, 0x7f800001,
                                         0xffc12345, 1,          0x807fffff, 0x3f800000};
    for (size_t i = 0; i < bytes; i++) p[i] = (unsigned char)(st_splitmix64(seed + i) & (flag ? 1 : 255));
    if (flag) return;
    for (size_t i = 0; i + size <= bytes; i += size) {
        uint64_t r = st_splitmix64(seed + i * 31);
        if (r % 4) continue;
        uint32_t v = special32[r / 4 % 9];
        if (size == 4) memcpy(p + i, &v, 4);
        if (size == 8) memcpy(p + i + 4, &v, 4); /* the upper half: an F64 of that kind */
    }
}

/* Every kernel, every length up to LONGEST, raw sides at odd addresses, over itself where sizes allow: the bytes are
 * those of the first level, and nothing is written behind the last element. */
static void levels_agree(void **state)
{
    (void)state;
    static _Alignas(64) unsigned char src[3][LONGEST * 8 + PAD], want[LONGEST * 8 + 2 * PAD],
        got[LONGEST * 8 + 2 * PAD];
    st_any_kernel base, k;
    unsigned tested = 0;
    for (unsigned i = 0; st_kernel_at(st_kern_level(0), i, &base); i++) {
        for (unsigned l = 0; st_kern_level(l); l++) {
            st_kernel_at(st_kern_level(l), i, &k);
            assert_true(!k.fn == !base.fn);
            for (size_t n = 0; base.fn && n <= LONGEST; n++) {
                size_t in_at = base.raw_in ? n % 8 : 0, out_at = base.raw_out ? n % 7 : 0;
                const void *from[3] = {NULL};
                for (int s = 0; s < base.sources; s++) {
                    fill(src[s] + in_at, n * base.in[s], base.in[s], base.flag[s],
                         i * 1000003u + n * 101 + (unsigned)s * 7);
                    from[s] = src[s] + in_at;
                }
                memset(want, 0xa5, sizeof want);
                memset(got, 0xa5, sizeof got);
                base.fn(want + out_at, from, n);
                k.fn(got + out_at, from, n);
                if (memcmp(want, got, sizeof got)) fail_msg("%s at %s, n = %zu", base.name, st_kern_level(l)->name, n);
                for (size_t b = out_at + n * base.out; b < sizeof got; b++)
                    if (got[b] != 0xa5)
                        fail_msg("%s at %s, n = %zu: writes too far", base.name, st_kern_level(l)->name, n);
                for (int s = 0; s < base.sources; s++) {
                    if (base.in[s] != base.out || base.raw_in || base.raw_out) continue;
                    unsigned char keep[LONGEST * 8];
                    memcpy(keep, src[s], n * base.out);
                    k.fn(src[s], from, n);
                    if (memcmp(src[s], want, n * base.out))
                        fail_msg("%s at %s, n = %zu, over its source %d", base.name, st_kern_level(l)->name, n, s);
                    memcpy(src[s], keep, n * base.out);
                }
                tested++;
            }
        }
    }
    assert_true(tested > 10000);
}

/* An element's result depends on its value alone, not on its place or its neighbours. */
static void position_does_not_matter(void **state)
{
    (void)state;
    enum { N = 67 };
    static _Alignas(64) unsigned char src[3][N * 8], all[N * 8], one[8];
    st_any_kernel k;
    for (unsigned l = 0; st_kern_level(l); l++) {
        for (unsigned i = 0; st_kernel_at(st_kern_level(l), i, &k); i++) {
            if (!k.fn) continue;
            const void *from[3] = {src[0], src[1], src[2]};
            for (int s = 0; s < k.sources; s++) fill(src[s], N * k.in[s], k.in[s], k.flag[s], i + (unsigned)s * 7919);
            k.fn(all, from, N);
            for (size_t e = 0; e < N; e++) {
                const void *at[3] = {src[0] + e * k.in[0], src[1] + e * k.in[1], src[2] + e * k.in[2]};
                k.fn(one, at, 1);
                if (memcmp(one, all + e * k.out, k.out))
                    fail_msg("%s at %s, element %zu", k.name, st_kern_level(l)->name, e);
            }
        }
    }
}

static void level_is_capped(void **state)
{
    (void)state;
    assert_string_equal(st_kern()->name, "baseline"); /* STLUA_SIMD, set by main */
    assert_string_equal(st_simd_name(), "baseline");
    assert_string_equal(st_kern_level(0)->name, "baseline");
    unsigned levels = 1;
    while (st_kern_level(levels)) levels++;
    assert_null(st_kern_level(levels + 1));
    print_message("# %u levels, up to %s\n", levels, st_kern_level(levels - 1)->name);
}

static void to_double(void **state)
{
    (void)state;
    const uint16_t bf16 = 0x4049;
    const int8_t i8 = -3;
    const uint64_t u64 = 1ull << 63;
    assert_true(st_kern_to_double(ST_BF16, &bf16) == 3.140625);
    assert_true(st_kern_to_double(ST_I8, &i8) == -3);
    assert_true(st_kern_to_double(ST_U64, &u64) == 0x1p63);
    assert_true(isnan(st_kern_to_double(ST_F8_E8M0, &i8)));
}

int main(void)
{
    setenv("STLUA_SIMD", "baseline", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(level_is_capped),
        cmocka_unit_test(exhaustive),
        cmocka_unit_test(edges),
        cmocka_unit_test(float_to_integer_saturates),
        cmocka_unit_test(clamp_stops_at_the_largest),
        cmocka_unit_test(round_is_store_and_load),
        cmocka_unit_test(nan_is_canonical),
        cmocka_unit_test(levels_agree),
        cmocka_unit_test(position_does_not_matter),
        cmocka_unit_test(to_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
