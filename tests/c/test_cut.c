/* test_cut.c - the largest magnitudes against a sort; masks of chance; ranks; requirements. */
#include "fixture.h"

#include "eval.h"
#include "kern.h"

#include <math.h>
#include <string.h>

typedef struct item {
    double size;
    int64_t place;
} item;

/* Larger first, NaN before all; of equal ones the first. */
static int by_size(const void *a, const void *b)
{
    const item *x = a, *y = b;
    double u = x->size != x->size ? INFINITY : x->size, v = y->size != y->size ? INFINITY : y->size;
    if (u != v) return u > v ? -1 : 1;
    return x->place < y->place ? -1 : 1;
}

static st_tensor *tensor_of(st_dtype d, const double *v, int64_t n)
{
    st_tensor *wide, *cast, *out;
    assert_ok(st_tensor_new(ST_F64, 1, &n, v, (uint64_t)n * 8, &wide, &err));
    assert_ok(st_cast(wide, d, false, &cast, &err));
    assert_ok(st_clone(ctx, cast, &out, &err));
    st_tensor_unref(wide);
    st_tensor_unref(cast);
    return out;
}

static uint8_t *mask_of(st_tensor *t, int64_t k, bool plain)
{
    st_tensor *number, *mask;
    uint8_t *out = malloc((size_t)st_tensor_numel(t) + 1);
    assert_ok(st_integer(k, &number, &err));
    assert_ok(st_top_mask(t, number, &mask, &err));
    if (plain)
        assert_ok(st_export_plain(ctx, mask, out, &err));
    else
        assert_ok(st_export(ctx, mask, 0, (uint64_t)st_tensor_numel(t), ST_BOOL, out, &err));
    st_tensor_unref(number);
    st_tensor_unref(mask);
    return out;
}

static void check(st_tensor *t, int64_t k)
{
    int64_t n = st_tensor_numel(t);
    double *v = malloc((size_t)n * sizeof *v + 1);
    item *sorted = malloc((size_t)n * sizeof *sorted + 1);
    uint8_t *want = calloc((size_t)n + 1, 1), *got = mask_of(t, k, false);
    assert_ok(st_export(ctx, t, 0, (uint64_t)n, ST_F64, v, &err));
    for (int64_t i = 0; i < n; i++) sorted[i] = (item){fabs(v[i]), i};
    qsort(sorted, (size_t)n, sizeof *sorted, by_size);
    for (int64_t i = 0; i < k && i < n; i++) want[sorted[i].place] = 1;
    for (int64_t i = 0; i < n; i++)
        if (want[i] != got[i]) fail_msg("%d of %d: element %d, %g, differs", (int)k, (int)n, (int)i, v[i]);
    free(v);
    free(sorted);
    free(want);
    free(got);
}

enum { MOST = 300001 };

/* How values lie: at random, few distinct ones, in order (which misleads a sample of places least), nearly all equal,
 * outliers in one place (which a sample overlooks). */
static double value_at(int kind, rng *r, int64_t i, int64_t n)
{
    double x = (double)(int64_t)(rng_next(r) >> 11) * 0x1p-52 - 1;
    switch (kind) {
    case 0: return x;
    case 1: return floor(x * 5);
    case 2: return (double)(i - n / 2);
    case 3: return i % 1000 == 7 ? x : 0.5;
    default: return i > n / 3 && i < n / 3 + n / 50 ? 1000 + floor(x * 100) : x;
    }
}

static void test_against_a_sort(void **state)
{
    static const int64_t sizes[] = {1, 2, 100, 16384, 16385, 32768, 32769, 100000, MOST};
    static const double parts[] = {0, 1e-5, 0.01, 0.3, 0.5, 0.999, 1};
    static const st_dtype dtypes[] = {ST_F32, ST_BF16, ST_F64, ST_F16};
    double *v = malloc(MOST * sizeof *v);
    (void)state;
    for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int kind = 0; kind < 5; kind++) {
            rng r = {(uint64_t)kind + 1};
            int64_t n = sizes[s];
            for (int64_t i = 0; i < n; i++) v[i] = value_at(kind, &r, i, n);
            st_ctx_set_threads(ctx, 1 + s % 4);
            st_tensor *t = tensor_of(dtypes[(s + (unsigned)kind) % 4], v, n);
            for (unsigned p = 0; p < sizeof parts / sizeof *parts; p++) check(t, (int64_t)(parts[p] * (double)n));
            check(t, 1);
            check(t, n - 1);
            st_tensor_unref(t);
        }
    st_ctx_set_threads(ctx, 0);
    free(v);
}

static void test_special_values(void **state)
{
    double v[] = {1, -INFINITY, 0, -0.0, 3, NAN, -3};
    (void)state;
    for (int wide = 0; wide < 2; wide++) {
        st_tensor *t = tensor_of(wide ? ST_F64 : ST_F32, v, 7);
        for (int64_t k = 2; k <= 8; k++) check(t, k); /* infinities and NaN stay even where fewer are wanted */
        uint8_t *none = mask_of(t, 0, false);
        assert_true(!none[0] && none[1] && none[5] && !none[4]);
        free(none);
        st_tensor_unref(t);
    }
}

static void test_plain_equals_fused(void **state)
{
    double *v = malloc(50000 * sizeof *v);
    rng r = {9};
    (void)state;
    for (int i = 0; i < 50000; i++) v[i] = value_at(1, &r, i, 50000);
    st_tensor *t = tensor_of(ST_F32, v, 50000);
    for (int64_t k = 1; k < 50000; k += 9999) {
        uint8_t *a = mask_of(t, k, false), *b = mask_of(t, k, true);
        assert_memory_equal(a, b, 50000);
        free(a);
        free(b);
    }
    st_tensor_unref(t);
    free(v);
}

/* As often as the probability says, the same at every level, from any place on. */
static void test_chance(void **state)
{
    enum { N = 1 << 20 };
    static const double chances[] = {0, 1.0 / 3, 0.5, 1.0 / 256, 1e-4, 1 - 1e-5, 1};
    uint8_t *a = malloc(N), *b = malloc(N);
    (void)state;
    for (unsigned c = 0; c < sizeof chances / sizeof *chances; c++) {
        st_random_key key = {.seed = 7, .stream = c, .span = (uint64_t)(chances[c] * 0x1p32 + 0.5)};
        int64_t n = 0;
        st_kern_level(0)->generate[ST_G_CHANCE](a, &key, 0, N);
        for (int i = 0; i < N; i++) n += a[i];
        double spread = sqrt(N * chances[c] * (1 - chances[c]));
        assert_true(fabs((double)n - N * chances[c]) <= 5 * spread);
        for (unsigned l = 0; st_kern_level(l); l++) {
            st_kern_level(l)->generate[ST_G_CHANCE](b, &key, 12345, N - 12345);
            assert_memory_equal(a + 12345, b, N - 12345);
        }
    }
    free(a);
    free(b);
}

static void test_bracket_levels(void **state)
{
    enum { N = 5003 };
    static float x[N];
    static st_candidate found[2][N + 1];
    rng r = {4};
    (void)state;
    for (int i = 0; i < N; i++) x[i] = (float)value_at(1, &r, i, N) / 4;
    float edges[2] = {0.25f, 1.0f};
    st_bracket b;
    memcpy(&b, edges, sizeof b);
    st_bracket_seen seen[2] = {{0}};
    size_t n = (*st_kern_level(0)->bracket)(&b, x, N, &seen[0], found[0]);
    uint64_t above = 0, inside = 0;
    for (int i = 0; i < N; i++) {
        above += fabsf(x[i]) > 1;
        inside += fabsf(x[i]) > 0.25f && fabsf(x[i]) < 1;
    }
    assert_int_equal(n, inside);
    assert_int_equal(seen[0].above, above);
    for (unsigned l = 1; st_kern_level(l); l++) {
        seen[1] = (st_bracket_seen){0};
        assert_int_equal((*st_kern_level(l)->bracket)(&b, x, N, &seen[1], found[1]), n);
        assert_memory_equal(&seen[0], &seen[1], sizeof *seen);
        assert_memory_equal(found[0], found[1], n * sizeof **found);
    }
}

static void test_rank(void **state)
{
    float v[2][4] = {{3, -1, 3, 0}, {NAN, 5, -INFINITY, 5}}, got[2][4];
    const float want[2][4] = {{2, 0, 3, 1}, {3, 1, 0, 2}};
    st_tensor *t, *ranks;
    (void)state;
    assert_ok(st_tensor_new(ST_F32, 2, (int64_t[]){2, 4}, v, sizeof v, &t, &err));
    assert_ok(st_rank(t, 1, &ranks, &err));
    assert_ok(st_export(ctx, ranks, 0, 8, ST_F32, got, &err));
    assert_memory_equal(got, want, sizeof want);
    st_tensor_unref(ranks);
    assert_int_equal(st_rank(t, 2, &ranks, &err), ST_ARG);
    st_tensor_unref(t);
}

static void test_require(void **state)
{
    st_tensor *value, *yes, *out;
    double got = 0;
    (void)state;
    for (uint8_t holds = 0; holds < 2; holds++) {
        assert_ok(st_tensor_new(ST_F64, 0, NULL, (double[]){2.5}, 8, &value, &err));
        assert_ok(st_tensor_new(ST_BOOL, 0, NULL, &holds, 1, &yes, &err));
        assert_ok(st_require(value, yes, "it must hold", &out, &err));
        st_status s = st_export(ctx, out, 0, 1, ST_F64, &got, &err);
        if (holds)
            assert_true(s == ST_OK && got == 2.5);
        else
            assert_true(s == ST_ARG && strstr(err.message, "it must hold"));
        st_tensor_unref(value);
        st_tensor_unref(yes);
        st_tensor_unref(out);
    }
}

static void test_misuse(void **state)
{
    st_tensor *whole, *k, *two, *out;
    (void)state;
    assert_ok(st_iota(5, &whole, &err));
    assert_ok(st_integer(2, &k, &err));
    assert_ok(st_iota(2, &two, &err));
    assert_int_equal(st_top_mask(whole, k, &out, &err), ST_DTYPE);
    assert_null(out);
    st_tensor *floats;
    assert_ok(st_cast(whole, ST_F32, false, &floats, &err));
    assert_int_equal(st_top_mask(floats, two, &out, &err), ST_SHAPE);
    assert_int_equal(st_chance(1.5, 0, NULL, &(st_seed){.seed = 1}, &out, &err), ST_ARG);
    assert_int_equal(st_chance(NAN, 0, NULL, &(st_seed){.seed = 1}, &out, &err), ST_ARG);
    st_tensor *all[] = {whole, k, two, floats};
    for (int i = 0; i < 4; i++) st_tensor_unref(all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_a_sort),
        cmocka_unit_test(test_special_values),
        cmocka_unit_test(test_plain_equals_fused),
        cmocka_unit_test(test_chance),
        cmocka_unit_test(test_bracket_levels),
        cmocka_unit_test(test_rank),
        cmocka_unit_test(test_require),
        cmocka_unit_test(test_misuse),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
