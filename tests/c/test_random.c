/* test_random.c - random numbers: Philox against its published vectors, the same values however they are asked for, and
 * the moments and distributions that each kind must have. */
#include "support.h"

#include "eval.h"
#include "kern.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- Philox */

/* The paper's algorithm, written again from it. */
static void philox(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    for (int r = 0; r < 10; r++) {
        uint64_t a = (uint64_t)c[0] * 0xD2511F53u, b = (uint64_t)c[2] * 0xCD9E8D57u;
        uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k0, (uint32_t)b, (uint32_t)(a >> 32) ^ c[3] ^ k1, (uint32_t)a};
        memcpy(c, next, sizeof next);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* kat_vectors of the authors' Random123 library. */
static void test_published_vectors(void **state)
{
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t c[4];
        memcpy(c, known[i].counter, sizeof c);
        philox(c, known[i].key[0], known[i].key[1]);
        assert_memory_equal(c, known[i].want, sizeof c);
    }
}

/* Every level's words are those of the algorithm: 53 bits of each pair are seen through F64, all of them as an integer.
 */
static void test_kernels_are_philox(void **state)
{
    rng r = {11};
    (void)state;
    for (int i = 0; i < 2000; i++) {
        st_random_key key = {.seed = rng_next(&r), .stream = rng_next(&r), .low = 0, .span = UINT64_MAX};
        uint64_t element = rng_next(&r) >> rng_below(&r, 64) >> 1, block = element / 2;
        uint32_t c[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)key.stream, (uint32_t)(key.stream >> 32)};
        philox(c, (uint32_t)key.seed, (uint32_t)(key.seed >> 32));
        uint64_t word = (uint64_t)c[2 * (element % 2) + 1] << 32 | c[2 * (element % 2)];
        for (unsigned l = 0; st_kern_level(l); l++) {
            uint64_t whole;
            double fraction;
            st_kern_level(l)->generate[ST_G_INTEGER](&whole, &key, element, 1);
            st_kern_level(l)->generate[ST_G_UNIFORM_F64](&fraction, &key, element, 1);
            assert_true(whole == word - 1); /* word * (2^64 - 1) / 2^64 */
            assert_true(fraction == ldexp((double)(word >> 11), -53));
        }
    }
}

/* ---------------------------------------------------------------- the same however asked */

static const size_t widths[ST_GEN_COUNT] = {4, 8, 4, 8, 8};

/* Any piece of any length from any level is that piece of the whole. */
static void test_pieces(void **state)
{
    enum { N = 3000 };
    static char whole[N * 8], piece[N * 8];
    rng r = {5};
    (void)state;
    for (int g = 0; g < ST_GEN_COUNT; g++) {
        st_random_key key = {.seed = 42, .stream = 7, .low = -5, .span = 11};
        st_kern_level(0)->generate[g](whole, &key, 0, N);
        for (unsigned l = 0; st_kern_level(l); l++)
            for (int i = 0; i < 200; i++) {
                uint64_t at = rng_below(&r, N + 1), n = rng_below(&r, N - at + 1);
                st_kern_level(l)->generate[g](piece, &key, at, n);
                assert_memory_equal(piece, whole + at * widths[g], n * widths[g]);
            }
    }
}

static st_tensor *normal(st_dtype d, int64_t n, uint64_t seed, const char *name)
{
    st_tensor *t = NULL;
    st_err err;
    st_seed s = {.seed = seed, .name = name, .name_len = name ? strlen(name) : 0};
    assert_ok(st_randn(d, 1, &n, &s, &t, &err));
    return t;
}

static void test_threads_tiles_and_evaluators(void **state)
{
    enum { N = 1000003 };
    st_ctx *ctx;
    st_err err;
    static uint16_t want[N], got[N];
    (void)state;
    assert_ok(st_ctx_new(&ctx, &err));
    st_tensor *a = normal(ST_BF16, N, 1, "a"), *b = normal(ST_F32, N, 1, "b"), *t = NULL;
    assert_ok(st_apply(ST_OP_MUL, (st_tensor *[]){a, b}, &t, &err));
    assert_int_equal(st_tensor_dtype(t), ST_F32);
    assert_false(st_tensor_is_leaf(a));
    st_tensor_unref(b);
    assert_ok(st_cast(t, ST_BF16, false, &b, &err));
    assert_ok(st_export_plain(ctx, b, want, &err));
    for (unsigned threads = 1; threads <= 8; threads++) {
        st_ctx_set_threads(ctx, threads);
        memset(got, 0, sizeof got);
        assert_ok(st_export(ctx, b, 0, N, ST_BF16, got, &err));
        assert_memory_equal(got, want, sizeof got);
        assert_ok(st_export(ctx, b, 12345, 7777, ST_BF16, got, &err));
        assert_memory_equal(got, want + 12345, 7777 * sizeof *got);
    }
    assert_ok(st_force(ctx, b, &err));
    assert_ok(st_export(ctx, b, 0, N, ST_BF16, got, &err));
    assert_memory_equal(got, want, sizeof got);
    st_tensor_unref(b);
    st_tensor_unref(t);
    st_tensor_unref(a);
    st_ctx_free(ctx);
}

/* Seeds, names and stream numbers each give numbers of their own. */
static void test_keys(void **state)
{
    enum { N = 1000 };
    st_ctx *ctx;
    st_err err;
    float v[4][N];
    int64_t n = N;
    (void)state;
    assert_ok(st_ctx_new(&ctx, &err));
    st_tensor *t[4] = {normal(ST_F32, N, 1, "x"), normal(ST_F32, N, 2, "x"), normal(ST_F32, N, 1, "y"), NULL};
    assert_ok(st_randn(ST_F32, 1, &n, &(st_seed){.seed = 1, .stream = 3}, &t[3], &err));
    for (int i = 0; i < 4; i++) {
        assert_ok(st_export(ctx, t[i], 0, N, ST_F32, v[i], &err));
        for (int j = 0; j < i; j++) {
            int same = 0;
            for (int e = 0; e < N; e++) same += v[i][e] == v[j][e];
            assert_in_range(same, 0, 3);
        }
        st_tensor_unref(t[i]);
    }
    st_ctx_free(ctx);
}

/* ---------------------------------------------------------------- distributions */

enum { SAMPLE = 1 << 20 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double normal_cdf(double x) { return 0.5 * erfc(-x / sqrt(2)); }
static double uniform_cdf(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

/* Kolmogorov and Smirnov: the largest distance of the distributions, times sqrt(n), is above 1.95 once in a thousand.
 * The seed is fixed, so this either holds or does not. */
static void check_distribution(double *v, double (*cdf)(double), double mean, double deviation)
{
    double sum = 0, squares = 0, neighbours = 0, worst = 0;
    for (size_t i = 0; i < SAMPLE; i++) {
        sum += v[i] - mean;
        squares += (v[i] - mean) * (v[i] - mean);
        if (i) neighbours += (v[i] - mean) * (v[i - 1] - mean);
    }
    double limit = 4 / sqrt((double)SAMPLE); /* four deviations of the sample's own mean */
    assert_true(fabs(sum / SAMPLE) < limit * deviation);
    assert_true(fabs(squares / SAMPLE / (deviation * deviation) - 1) < 1.5 * limit);
    assert_true(fabs(neighbours / SAMPLE / (deviation * deviation)) < limit);
    qsort(v, SAMPLE, sizeof *v, by_value);
    for (size_t i = 0; i < SAMPLE; i++) {
        double p = cdf(v[i]), above = fabs((double)(i + 1) / SAMPLE - p), below = fabs((double)i / SAMPLE - p);
        worst = fmax(worst, fmax(above, below));
    }
    assert_true(worst * sqrt((double)SAMPLE) < 1.95);
}

static void test_distributions(void **state)
{
    st_ctx *ctx;
    st_err err;
    int64_t n = SAMPLE;
    double *v = malloc(SAMPLE * sizeof *v);
    (void)state;
    assert_ok(st_ctx_new(&ctx, &err));
    for (int wide = 0; wide < 2; wide++) {
        st_dtype d = wide ? ST_F64 : ST_F32;
        st_tensor *u = NULL, *g = normal(d, SAMPLE, 99, "g");
        assert_ok(st_rand(d, 1, &n, &(st_seed){.seed = 4}, &u, &err));
        assert_ok(st_export(ctx, u, 0, SAMPLE, ST_F64, v, &err));
        for (size_t i = 0; i < SAMPLE; i++) assert_true(v[i] >= 0 && v[i] < 1);
        check_distribution(v, uniform_cdf, 0.5, sqrt(1.0 / 12));
        assert_ok(st_export(ctx, g, 0, SAMPLE, ST_F64, v, &err));
        check_distribution(v, normal_cdf, 0, 1);
        assert_true(v[0] < -4.3 && v[SAMPLE - 1] > 4.3); /* there are tails; v is sorted now */
        st_tensor_unref(u);
        st_tensor_unref(g);
    }
    free(v);
    st_ctx_free(ctx);
}

/* ---------------------------------------------------------------- integers */

static void test_integers(void **state)
{
    enum { N = 100000, SPAN = 10 };
    st_ctx *ctx;
    st_err err;
    st_tensor *t = NULL;
    int64_t n = N, extremes[2];
    static int8_t v[N];
    int count[SPAN] = {0};
    double chi = 0;
    (void)state;
    assert_ok(st_ctx_new(&ctx, &err));
    assert_ok(st_randint(ST_I8, 1, &n, -3, -3 + SPAN, &(st_seed){.seed = 8}, &t, &err));
    assert_ok(st_export(ctx, t, 0, N, ST_I8, v, &err));
    for (int i = 0; i < N; i++) {
        assert_in_range(v[i] + 3, 0, SPAN - 1);
        count[v[i] + 3]++;
    }
    for (int i = 0; i < SPAN; i++) chi += (count[i] - N / SPAN) * (double)(count[i] - N / SPAN) / (N / SPAN);
    assert_true(chi > 1 && chi < 30); /* 9 degrees of freedom: outside about once in a thousand */
    st_tensor_unref(t);
    n = 2; /* the widest span, and one of a single number */
    assert_ok(st_randint(ST_I64, 1, &n, INT64_MIN, INT64_MAX, &(st_seed){.seed = 8}, &t, &err));
    assert_ok(st_export(ctx, t, 0, 2, ST_I64, extremes, &err));
    assert_true(extremes[0] != extremes[1]);
    st_tensor_unref(t);
    assert_ok(st_randint(ST_I64, 1, &n, 7, 8, &(st_seed){.seed = 8}, &t, &err));
    assert_ok(st_export(ctx, t, 0, 2, ST_I64, extremes, &err));
    assert_true(extremes[0] == 7 && extremes[1] == 7);
    st_tensor_unref(t);
    st_ctx_free(ctx);
}

static void test_refusals(void **state)
{
    st_err err;
    st_tensor *t = NULL;
    int64_t n = 3;
    st_seed s = {0};
    (void)state;
    assert_int_equal(st_rand(ST_I32, 1, &n, &s, &t, &err), ST_DTYPE);
    assert_non_null(strstr(err.message, "use randint"));
    assert_int_equal(st_randn(ST_F8_E8M0, 1, &n, &s, &t, &err), ST_DTYPE);
    assert_int_equal(st_randint(ST_F32, 1, &n, 0, 5, &s, &t, &err), ST_DTYPE);
    assert_int_equal(st_randint(ST_U64, 1, &n, 0, 5, &s, &t, &err), ST_DTYPE);
    assert_int_equal(st_randint(ST_I32, 1, &n, 5, 5, &s, &t, &err), ST_ARG);
    assert_int_equal(st_randint(ST_U8, 1, &n, -1, 5, &s, &t, &err), ST_ARG);
    assert_int_equal(st_randint(ST_U8, 1, &n, 0, 257, &s, &t, &err), ST_ARG);
    assert_ok(st_randint(ST_U8, 1, &n, 0, 256, &s, &t, &err));
    st_tensor_unref(t);
    n = -1;
    assert_int_equal(st_rand(ST_F32, 1, &n, &s, &t, &err), ST_SHAPE);
    assert_null(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_vectors),
        cmocka_unit_test(test_kernels_are_philox),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_threads_tiles_and_evaluators),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
