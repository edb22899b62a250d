/* test_product.c - products of matrices with a small inner size: every element is the sum written out, wherever a range
 * begins, at every SIMD level, on any number of threads; nothing large is held; operands of all kinds; failures. */
#include "support.h"

#include "eval.h"
#include "hold.h"
#include "mem.h"
#include "product.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static st_ctx *ctx;
static st_err err;

static int setup(void **state)
{
    (void)state;
    return st_ctx_new(&ctx, NULL) != ST_OK;
}

static int teardown(void **state)
{
    (void)state;
    st_mem_fail_at(0, false);
    st_ctx_free(ctx);
    return 0;
}

static void unref_all(int n, st_tensor *const *t)
{
    for (int i = 0; i < n; i++) st_tensor_unref(t[i]);
}

static double value(rng *r) { return (double)(int64_t)(rng_next(r) >> 11) * 0x1p-52 - 1; }

/* Values from [-1, 1), in memory or as a range of a source. */
static st_tensor *matrix(rng *r, st_dtype d, int64_t m, int64_t n, bool in_source)
{
    int64_t shape[2] = {m, n};
    st_tensor *t = NULL, *all = NULL;
    double *v = malloc((size_t)(m * n) * sizeof *v);
    for (int64_t i = 0; i < m * n; i++) v[i] = value(r);
    assert_ok(st_tensor_new(ST_F64, 2, shape, v, (uint64_t)(m * n) * sizeof *v, &all, &err));
    size_t bytes = (size_t)(m * n) * st_dtype_bits(d) / 8;
    assert_ok(st_export(ctx, all, 0, (uint64_t)(m * n), d, v, &err));
    if (in_source) {
        mem_source *s = mem_source_new(v, bytes);
        assert_ok(st_tensor_range(&s->base, 0, d, 2, shape, "factor", 6, NULL, &t, &err));
        st_source_unref(&s->base);
    } else {
        assert_ok(st_tensor_new(d, 2, shape, v, bytes, &t, &err));
    }
    st_tensor_unref(all);
    free(v);
    return t;
}

static st_tensor *times(st_tensor *a, st_tensor *b)
{
    st_tensor *t = NULL;
    assert_ok(st_matmul(a, b, &t, &err));
    return t;
}

/* The node itself: results of st_matmul may be views of it. */
static st_tensor *node_of(st_tensor *t) { return st_view_is_plain(t) ? t->args[0] : t; }

static st_tensor *apply(st_op op, st_tensor *a, st_tensor *b)
{
    st_tensor *t = NULL;
    assert_ok(st_apply(op, (st_tensor *[]){a, b}, &t, &err));
    return t;
}

static st_tensor *transposed(st_tensor *t)
{
    st_tensor *u = NULL;
    assert_ok(st_permute(t, (int[]){1, 0}, &u, &err));
    return u;
}

static void *values_of(st_tensor *t, st_dtype d)
{
    void *v = malloc(t->numel * st_dtype_bits(d) / 8 + 1);
    assert_ok(st_export(ctx, t, 0, t->numel, d, v, &err));
    return v;
}

/* ---------------------------------------------------------------- values */

#define SUMS(name, type)                                                                                  \
    static void name(const type *a, const type *b, int64_t m, int64_t k, int64_t n, type *out)            \
    {                                                                                                     \
        for (int64_t i = 0; i < m; i++, out += n) {                                                       \
            for (int64_t j = 0; j < n; j++) out[j] = 0;                                                   \
            for (int64_t e = 0; e < k; e++)                                                               \
                for (int64_t j = 0; j < n; j++) out[j] += a[i * k + e] * b[e * n + j];                    \
            for (int64_t j = 0; j < n; j++) out[j] = out[j] == out[j] ? out[j] : (type)__builtin_nan(""); \
        }                                                                                                 \
    }
SUMS(sums_f32, float)
SUMS(sums_f64, double)

/* The kernels alone: all numbers of rows, and NaN. */
static void test_levels(void **state)
{
    enum { K = 7, ROWS = 40, N = ST_STRIP_BYTES / 4 };
    _Alignas(64) static float a[ROWS * K], b[K * N], want[ROWS * N], got[ROWS * N];
    _Alignas(64) static double wa[ROWS * K], wb[K * N / 2], wide_want[ROWS * N / 2], wide_got[ROWS * N / 2];
    rng r = {1};
    (void)state;
    for (int i = 0; i < ROWS * K; i++) wa[i] = value(&r), a[i] = (float)wa[i];
    for (int i = 0; i < K * N; i++) b[i] = (float)value(&r);
    for (int i = 0; i < K * N / 2; i++) wb[i] = value(&r);
    a[5 * K] = -__builtin_nanf("7");
    b[3 * N + 2] = INFINITY;
    sums_f32(a, b, ROWS, K, N, want);
    sums_f64(wa, wb, ROWS, K, N / 2, wide_want);
    const st_kernels *level;
    for (unsigned l = 0; (level = st_kern_level(l)) != NULL; l++)
        for (size_t rows = 0; rows <= ROWS; rows++) {
            memset(got, 0, sizeof got);
            memset(wide_got, 0, sizeof wide_got);
            level->product[ST_R_F32](a, b, K, rows, got, N);
            level->product[ST_R_F64](wa, wb, K, rows, wide_got, N / 2);
            assert_memory_equal(got, want, rows * N * sizeof *got);
            assert_memory_equal(wide_got, wide_want, rows * N / 2 * sizeof *wide_got);
        }
}

static const struct {
    int64_t m, k, n;
} shapes[] = {{64, 1, 64},   {64, 16, 64},   {100, 7, 131},    {1000, 3, 17},
              {13, 3, 2049}, {301, 64, 333}, {1300, 320, 1281}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void test_whole(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        int64_t m = shapes[i].m, k = shapes[i].k, n = shapes[i].n;
        rng r = {(uint64_t)i};
        st_tensor *a = matrix(&r, ST_F32, m, k, i % 2), *b = matrix(&r, ST_BF16, k, n, i % 3 == 0), *t = times(a, b);
        float *va = values_of(a, ST_F32), *vb = values_of(b, ST_F32), *got = values_of(t, ST_F32);
        float *want = malloc((size_t)(m * n) * sizeof *want), *plain = malloc((size_t)(m * n) * sizeof *plain);
        assert_true(st_is_ranged(node_of(t)));
        sums_f32(va, vb, m, k, n, want);
        assert_memory_equal(got, want, (size_t)(m * n) * sizeof *want);
        assert_ok(st_export_plain(ctx, t, plain, &err));
        assert_memory_equal(plain, want, (size_t)(m * n) * sizeof *want);
        assert_ok(st_force(ctx, node_of(t), &err));
        assert_memory_equal(st_held(node_of(t)), want, (size_t)(m * n) * sizeof *want);
        void *all[] = {va, vb, got, want, plain};
        for (int j = 0; j < 5; j++) free(all[j]);
        unref_all(3, (st_tensor *[]){a, b, t});
    }
}

/* What is not worth it, or too much: computed whole, as ever. */
static void test_others(void **state)
{
    static const int64_t sizes[][3] = {{63, 1, 64}, {64, 17, 64}, {4000, 4, 15}, {2100, 513, 2100}, {64, 0, 64}};
    rng r = {3};
    (void)state;
    for (int i = 0; i < 5; i++) {
        st_tensor *a = matrix(&r, ST_F32, sizes[i][0], sizes[i][1], false),
                  *b = matrix(&r, ST_F32, sizes[i][1], sizes[i][2], false), *t = times(a, b);
        assert_false(st_is_product(node_of(t)));
        unref_all(3, (st_tensor *[]){a, b, t});
    }
}

/* Ranges that begin and end anywhere. */
static void ranges_of(st_tensor *t, uint64_t seed)
{
    rng r = {seed};
    size_t width = st_dtype_bits(t->dtype) / 8;
    char *all = values_of(t, t->dtype), *part = malloc(t->numel * width);
    for (int i = 0; i < 300; i++) {
        uint64_t start = rng_below(&r, t->numel), most = t->numel - start, count = 1 + rng_below(&r, most);
        if (i % 3) count = 1 + rng_below(&r, most < 700 ? most : 700);
        assert_ok(st_export(ctx, t, start, count, t->dtype, part, &err));
        assert_memory_equal(part, all + start * width, count * width);
    }
    free(all);
    free(part);
}

static void test_ranges(void **state)
{
    rng r = {4};
    (void)state;
    for (int wide = 0; wide < 2; wide++) {
        st_dtype d = wide ? ST_F64 : ST_F32;
        st_tensor *a = matrix(&r, d, 203, 9, true), *b = matrix(&r, d, 9, 157, false), *t = times(a, b);
        st_tensor *w = matrix(&r, ST_BF16, 203, 157, true), *sum = apply(ST_OP_ADD, w, t), *turned = transposed(sum);
        assert_true(st_is_ranged(node_of(t)));
        ranges_of(t, 1);
        ranges_of(sum, 2);
        ranges_of(turned, 3);
        unref_all(6, (st_tensor *[]){a, b, t, w, sum, turned});
    }
}

/* ---------------------------------------------------------------- operands */

/* Computed with the product in memory, and as it is. */
static void same_when_held(st_tensor *product, st_tensor *t)
{
    assert_true(st_is_ranged(node_of(product)));
    char *ranged = values_of(t, t->dtype);
    size_t bytes = t->numel * st_dtype_bits(t->dtype) / 8;
    assert_true(st_is_ranged(node_of(product))); /* nobody held it */
    char *plain = malloc(bytes);
    assert_ok(st_export_plain(ctx, t, plain, &err));
    assert_memory_equal(plain, ranged, bytes);
    assert_ok(st_force(ctx, node_of(product), &err));
    char *held = values_of(t, t->dtype);
    assert_memory_equal(held, ranged, bytes);
    free(ranged);
    free(plain);
    free(held);
}

static void test_operands(void **state)
{
    enum { M = 130, K = 8, N = 77 };
    rng r = {5};
    (void)state;
    st_tensor *half = NULL, *flipped = NULL, *one = NULL, *wide = NULL;
    st_tensor *a = matrix(&r, ST_BF16, K, M, true), *b = matrix(&r, ST_F16, K, N, true),
              *w = matrix(&r, ST_F32, M, N, false);
    assert_ok(st_number(0.5, &half, &err));
    st_tensor *at = transposed(a), *scaled = apply(ST_OP_MUL, b, half);
    assert_ok(st_narrow(b, 1, N - 1, N, -1, &flipped, &err));
    assert_ok(st_narrow(b, 0, 0, 1, 1, &one, &err)); /* a row, expanded: its base is small */
    assert_ok(st_expand(one, 2, (int64_t[]){K, N}, &wide, &err));
    st_tensor *norm = NULL, *by_norm;
    assert_ok(st_reduce(ST_RED_NORM, b, NULL, &norm, &err));
    by_norm = apply(ST_OP_DIV, b, norm); /* something must be known first */
    st_tensor *right[] = {b, scaled, flipped, wide, by_norm};
    for (int i = 0; i < 5; i++) {
        st_tensor *p = times(at, right[i]), *t = apply(ST_OP_SUB, w, p);
        same_when_held(p, t);
        unref_all(2, (st_tensor *[]){p, t});
    }
    unref_all(10, (st_tensor *[]){half, flipped, one, wide, a, b, w, at, scaled, norm});
    st_tensor_unref(by_norm);
}

/* A product as an operand of one, and of what wants it whole. */
static void test_products_of_products(void **state)
{
    rng r = {6};
    (void)state;
    st_tensor *a = matrix(&r, ST_F32, 400, 2, false), *b = matrix(&r, ST_F32, 2, 64, false), *p = times(a, b),
              *c = matrix(&r, ST_F32, 64, 300, false), *pt = transposed(p), *d = matrix(&r, ST_F32, 400, 16, false);
    assert_true(st_is_ranged(node_of(p)));
    st_tensor *q = times(p, c), *s = times(pt, d); /* the first with an inner size of 64: ranged as well */
    assert_true(st_is_ranged(node_of(q)));
    ranges_of(q, 7);
    assert_true(st_is_ranged(node_of(p)));
    float *x = values_of(s, ST_F32);
    assert_true(isfinite(x[0]));
    free(x);
    unref_all(8, (st_tensor *[]){a, b, p, c, pt, d, q, s});
}

static void test_reductions(void **state)
{
    enum { M = 700, K = 5, N = 900 };
    rng r = {8};
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        st_tensor *a = matrix(&r, ST_BF16, M, K, true), *b = matrix(&r, ST_BF16, K, N, true),
                  *w = matrix(&r, ST_BF16, M, N, true), *p = times(a, b), *t = apply(ST_OP_ADD, w, p), *red = NULL;
        st_reduce_opts o = {.dims = (int[]){kind == 1}, .ndims = kind < 2, .keepdim = true, .correction = 1, .p = 2};
        assert_ok(st_reduce(kind == 3 ? ST_RED_VAR : ST_RED_NORM, kind == 2 ? p : t, &o, &red, &err));
        st_tensor *scaled = apply(ST_OP_DIV, t, red); /* as DoRA has it */
        char *first = values_of(scaled, ST_F32);
        for (unsigned threads = 1; threads <= 5; threads++) {
            st_tensor *again = NULL;
            assert_ok(st_reduce(kind == 3 ? ST_RED_VAR : ST_RED_NORM, kind == 2 ? p : t, &o, &again, &err));
            st_tensor *same = apply(ST_OP_DIV, t, again);
            st_ctx_set_threads(ctx, threads);
            if (threads == 5) assert_ok(st_force(ctx, node_of(p), &err));
            char *got = values_of(same, ST_F32);
            assert_memory_equal(got, first, (size_t)M * N * 4);
            free(got);
            unref_all(2, (st_tensor *[]){again, same});
        }
        st_ctx_set_threads(ctx, 0);
        free(first);
        unref_all(7, (st_tensor *[]){a, b, w, p, t, red, scaled});
    }
}

/* ---------------------------------------------------------------- memory, failures */

/* A product of 16 MiB is printed, reduced and cut through with a limit of 1 MiB. */
static void test_memory(void **state)
{
    enum { M = 2048, K = 4, N = 2048 };
    rng r = {9};
    float few[8], again[8];
    double norm;
    (void)state;
    st_tensor *a = matrix(&r, ST_F32, M, K, true), *b = matrix(&r, ST_F32, K, N, true), *p = times(a, b), *n = NULL,
              *turned = transposed(p);
    st_ctx_set_memory(ctx, 1 << 20);
    assert_ok(st_export(ctx, p, 3 * N + 7, 8, ST_F32, few, &err));
    assert_ok(st_reduce(ST_RED_NORM, p, NULL, &n, &err));
    assert_ok(st_export(ctx, n, 0, 1, ST_F64, &norm, &err));
    assert_true(norm > 100 && norm < 10000);
    for (uint64_t i = 0; i < 8; i++) assert_ok(st_export(ctx, turned, (7 + i) * M + 3, 1, ST_F32, &again[i], &err));
    assert_memory_equal(few, again, sizeof few);
    assert_int_equal(st_force(ctx, node_of(p), &err), ST_LIMIT);
    st_ctx_set_memory(ctx, 1 << 14); /* not even the operands */
    assert_int_equal(st_export(ctx, p, 0, 8, ST_F32, few, &err), ST_LIMIT);
    assert_non_null(strstr(err.message, "matmul"));
    assert_string_equal(err.tensor, "factor");
    st_ctx_set_memory(ctx, 1 << 30);
    unref_all(5, (st_tensor *[]){a, b, p, n, turned});
}

static void test_failures(void **state)
{
    rng r = {10};
    (void)state;
    st_tensor *a = matrix(&r, ST_F32, 300, 6, true), *b = matrix(&r, ST_F32, 6, 300, true), *bt = transposed(b),
              *c = times(a, b), *back = transposed(bt), *w = matrix(&r, ST_F32, 300, 300, false);
    st_tensor *d = times(a, back), *sum = apply(ST_OP_ADD, c, d), *t = apply(ST_OP_ADD, sum, w);
    float *got = malloc(300 * 300 * 4);
    st_ctx_set_threads(ctx, 1);
    assert_ok(st_export(ctx, t, 0, t->numel, ST_F32, got, &err));
    uint64_t used = st_memory_used();
    st_status s = ST_NOMEM;
    for (uint64_t at = 1; s != ST_OK; at++) {
        st_mem_fail_at(at, false);
        s = st_export(ctx, t, 0, t->numel, ST_F32, got, &err);
        st_mem_fail_at(0, false);
        if (s != ST_OK) assert_int_equal(s, ST_NOMEM);
        assert_int_equal(st_memory_used(), used);
    }
    mem_source *m = (mem_source *)(void *)b->source;
    m->broken = true;
    st_tensor_set_origin(c, 77);
    assert_int_equal(st_export(ctx, c, 0, 1000, ST_F32, got, &err), ST_IO);
    assert_int_equal(err.origin, 77);
    m->broken = false;
    st_ctx_set_threads(ctx, 0);
    st_ctx_cancel(ctx);
    assert_int_equal(st_export(ctx, t, 0, t->numel, ST_F32, got, &err), ST_CANCELLED);
    assert_int_equal(st_force(ctx, node_of(c), &err), ST_CANCELLED);
    st_ctx_resume(ctx);
    assert_int_equal(st_memory_used(), used);
    free(got);
    unref_all(9, (st_tensor *[]){a, b, bt, c, back, w, d, sum, t});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),     cmocka_unit_test(test_whole),    cmocka_unit_test(test_others),
        cmocka_unit_test(test_ranges),     cmocka_unit_test(test_operands), cmocka_unit_test(test_products_of_products),
        cmocka_unit_test(test_reductions), cmocka_unit_test(test_memory),   cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
