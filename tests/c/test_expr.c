/* test_expr.c - random expressions: the fused evaluator gives the bits of the plain one, on any number of threads. */
#include "support.h"

#include "eval.h"
#include "shape.h"

#include <stdio.h>
#include <string.h>

enum { EXPRESSIONS = 10000, MAX_NODES = 24, LEAST = 64 /* rows of a product that is made by ranges */ };

static const st_dtype numeric[] = {ST_BOOL,        ST_U8,  ST_I8,  ST_F8_E5M2, ST_F8_E4M3, ST_F8_E4M3FNUZ,
                                   ST_F8_E5M2FNUZ, ST_I16, ST_U16, ST_F16,     ST_BF16,    ST_I32,
                                   ST_U32,         ST_F32, ST_F64, ST_I64,     ST_U64};
enum { NUMERIC = sizeof numeric / sizeof *numeric };

/* Random bits, or values near each other and near zero: both kinds matter. */
static void random_bytes(rng *r, st_dtype d, unsigned char *p, uint64_t n)
{
    size_t w = st_dtype_bits(d) / 8;
    bool wild = rng_below(r, 3) == 0;
    for (uint64_t i = 0; i < n * w; i++) p[i] = (unsigned char)rng_next(r);
    if (d == ST_BOOL)
        for (uint64_t i = 0; i < n; i++) p[i] &= 1;
    else if (!wild && st_dtype_is_float(d) && w > 1) /* exponents around one */
        for (uint64_t i = 0; i < n; i++) p[i * w + w - 1] = (unsigned char)((p[i * w + w - 1] & 0x81) | 0x3e);
}

/* A leaf of the given shape or one that broadcasts to it; in memory or as an unaligned range of a source. */
static st_tensor *random_leaf(rng *r, st_dtype d, int ndim, const int64_t *shape)
{
    int64_t own[4];
    int nd = ndim, skip = 0;
    memcpy(own, shape, sizeof own);
    if (rng_below(r, 5) == 0 && ndim) {
        skip = (int)rng_below(r, (uint64_t)ndim + 1);
        for (int i = skip; i < ndim; i++)
            if (rng_below(r, 3) == 0) own[i] = 1;
        nd = ndim - skip;
    }
    uint64_t numel, bytes;
    st_tensor *t = NULL;
    st_err err;
    st_shape_numel(nd, own + skip, &numel);
    st_dtype_bytes(d, numel, &bytes);
    unsigned char *raw = malloc(bytes + 8);
    size_t pad = rng_below(r, 8);
    random_bytes(r, d, raw + pad, numel);
    if (rng_below(r, 2)) {
        assert_ok(st_tensor_new(d, nd, own + skip, raw + pad, bytes, &t, &err));
    } else {
        mem_source *m = mem_source_new(raw, bytes + pad);
        assert_ok(st_tensor_range(&m->base, pad, d, nd, own + skip, "leaf", 4, NULL, &t, &err));
        st_source_unref(&m->base);
    }
    free(raw);
    return t;
}

static st_tensor *random_number(rng *r)
{
    static const double values[] = {0.0, 0.5, -1.0, 1.5, 3.0, 1e30, 1e-30, 0.1};
    st_tensor *t = NULL;
    st_err err;
    if (rng_below(r, 2))
        assert_ok(st_number(values[rng_below(r, 8)], &t, &err));
    else
        assert_ok(st_integer((int64_t)rng_below(r, 9) - 4, &t, &err));
    return t;
}

/* The same elements in another order, in the shape of the pool: backwards along a dimension, or permuted and cut anew.
 */
static st_tensor *random_view(rng *r, st_tensor *t, const int64_t *shape, int ndim)
{
    st_tensor *u = NULL, *v = NULL;
    st_err err;
    int order[4], dim = ndim ? (int)rng_below(r, (uint64_t)ndim) : 0;
    if (!st_shape_equal(t->ndim, t->shape, ndim, shape)) return NULL;
    if (ndim && shape[dim] && rng_below(r, 2)) {
        assert_ok(st_narrow(t, dim, shape[dim] - 1, shape[dim], -1, &u, &err));
        return u;
    }
    for (int i = 0; i < ndim; i++) order[i] = (i + dim) % ndim;
    assert_ok(st_permute(t, order, &u, &err));
    assert_ok(st_reshape(u, ndim, shape, &v, &err));
    st_tensor_unref(u);
    return v;
}

/* A product of two matrices whose inner size is small, or NULL. */
static st_tensor *random_product(rng *r, const int64_t *shape)
{
    static const st_dtype floats[] = {ST_F16, ST_BF16, ST_F32, ST_F32, ST_F64, ST_F8_E4M3};
    int64_t k = 1 + (int64_t)rng_below(r, 12), left[4] = {shape[0], k}, right[4] = {k, shape[1]};
    st_tensor *a = random_leaf(r, floats[rng_below(r, 6)], 2, left), *t = NULL,
              *b = random_leaf(r, floats[rng_below(r, 6)], 2, right);
    if (a->ndim == 2 && b->ndim == 2) st_matmul(a, b, &t, NULL); /* not if one is to be broadcast */
    st_tensor_unref(a);
    st_tensor_unref(b);
    if (t && !st_shape_equal(2, t->shape, 2, shape)) {
        st_tensor_unref(t);
        t = NULL;
    }
    return t;
}

/* A pool of nodes that grows by random operations on random members: deep, wide and shared. Its last node is the
 * result. */
static st_tensor *random_expression(rng *r, const int64_t *shape, int ndim)
{
    st_tensor *pool[MAX_NODES + 4];
    size_t n = 0, want = 1 + rng_below(r, MAX_NODES);
    st_dtype common = numeric[rng_below(r, NUMERIC)];
    for (int i = 0; i < 3; i++)
        pool[n++] = random_leaf(r, rng_below(r, 3) ? common : numeric[rng_below(r, NUMERIC)], ndim, shape);
    for (size_t tries = 0; n < want + 3 && tries < 100; tries++) {
        st_tensor *t = NULL, *number = random_number(r);
        if (ndim == 2 && shape[0] >= LEAST && rng_below(r, 5) == 0) {
            t = random_product(r, shape);
        } else if (rng_below(r, 8) == 0) {
            t = random_view(r, pool[rng_below(r, n)], shape, ndim);
        } else if (rng_below(r, 6) == 0) {
            st_cast(pool[rng_below(r, n)], numeric[rng_below(r, NUMERIC)], rng_below(r, 2), &t, NULL);
        } else {
            st_tensor *args[3];
            for (int i = 0; i < 3; i++) args[i] = rng_below(r, 4) == 0 ? number : pool[rng_below(r, n)];
            st_apply((st_op)rng_below(r, ST_OP_COUNT), args, &t, NULL);
        }
        st_tensor_unref(number);
        if (t) pool[n++] = t;
    }
    st_tensor *result = st_tensor_ref(pool[n - 1]);
    for (size_t i = 0; i < n; i++) st_tensor_unref(pool[i]);
    return result;
}

static void compare(st_ctx *ctx, st_tensor *t, uint64_t seed, const char *what, const void *want)
{
    st_err err;
    uint64_t bytes = st_tensor_nbytes(t);
    unsigned char *got = malloc(bytes + 1);
    assert_ok(st_export(ctx, t, 0, t->numel, t->dtype, got, &err));
    if (memcmp(got, want, bytes) != 0)
        fail_msg("expression %llu: %s differs from the plain evaluator", (unsigned long long)seed, what);
    free(got);
}

static unsigned alone; /* expressions of which a few elements were computed alone */

/* A few elements, computed alone, are those of the whole. */
static void compare_points(st_ctx *ctx, st_tensor *t, rng *r, uint64_t seed, const unsigned char *want)
{
    st_err err;
    unsigned char got[64 * 8];
    bool done;
    uint64_t start = rng_below(r, t->numel), most = t->numel - start, width = st_dtype_bits(t->dtype) / 8;
    uint64_t count = 1 + rng_below(r, most < 64 ? most : 64);
    assert_ok(st_export_points(ctx, t, start, count, true, t->dtype, got, &done, &err));
    alone += done;
    if (done && memcmp(got, want + start * width, count * width) != 0)
        fail_msg("expression %llu: elements %llu + %llu alone differ", (unsigned long long)seed,
                 (unsigned long long)start, (unsigned long long)count);
}

static void check_one(st_ctx *ctx, uint64_t seed, unsigned threads)
{
    rng r = {seed * 0x2545f4914f6cdd1du + 1};
    int64_t shape[4];
    int ndim = (int)rng_below(&r, 4);
    for (int i = 0; i < ndim; i++) shape[i] = (int64_t)rng_below(&r, ndim == 1 ? 9000 : i == 0 ? 40 : 12);
    if (seed % 20 == 0) { /* with products */
        ndim = 2;
        for (int i = 0; i < 2; i++) shape[i] = LEAST + (int64_t)rng_below(&r, 30);
    }
    st_tensor *t = random_expression(&r, shape, ndim);
    st_err err;
    unsigned char *want = malloc(st_tensor_nbytes(t) + 1);
    assert_ok(st_export_plain(ctx, t, want, &err));
    st_ctx_set_threads(ctx, threads);
    if (t->numel && !st_is_raw(t)) compare_points(ctx, t, &r, seed, want);
    compare(ctx, t, seed, "the fused evaluator", want);
    if (seed % 4 == 0) {
        assert_ok(st_force(ctx, t, &err));
        compare(ctx, t, seed, "the forced tensor", want);
    }
    free(want);
    st_tensor_unref(t);
}

static void test_fused_equals_plain(void **state)
{
    st_ctx *ctx;
    st_err err;
    (void)state;
    assert_ok(st_ctx_new(&ctx, &err));
    for (uint64_t seed = 0; seed < EXPRESSIONS; seed++) check_one(ctx, seed, 2);
    assert_true(alone > EXPRESSIONS / 2);
    st_ctx_free(ctx);
}

/* A long leaf in memory, or as a range of a source that does not begin at 0. */
static st_tensor *long_leaf(rng *r, int64_t n, bool in_source)
{
    st_tensor *t = NULL;
    st_err err;
    size_t bytes = 2 * (size_t)n;
    unsigned char *raw = malloc(bytes + 6);
    random_bytes(r, ST_BF16, raw, (uint64_t)n + 3);
    if (in_source) {
        mem_source *m = mem_source_new(raw, bytes + 6);
        assert_ok(st_tensor_range(&m->base, 6, ST_BF16, 1, &n, "long", 4, NULL, &t, &err));
        st_source_unref(&m->base);
    } else {
        assert_ok(st_tensor_new(ST_BF16, 1, &n, raw, bytes, &t, &err));
    }
    free(raw);
    return t;
}

/* Many tiles, so that threads share the work. */
static void test_threads_give_the_same_bytes(void **state)
{
    enum { N = (1 << 20) + 13 };
    st_ctx *ctx;
    st_err err;
    st_tensor *k = NULL, *t = NULL, *u = NULL;
    rng r = {7};
    unsigned char *plain = malloc(2 * N);
    (void)state;
    assert_ok(st_ctx_new(&ctx, &err));
    st_tensor *a = long_leaf(&r, N, false), *b = long_leaf(&r, N, true);
    assert_ok(st_number(0.3, &k, &err));
    assert_ok(st_apply(ST_OP_MUL, (st_tensor *[]){a, k}, &t, &err));
    assert_ok(st_apply(ST_OP_POW, (st_tensor *[]){b, t}, &u, &err));
    assert_ok(st_export_plain(ctx, u, plain, &err));
    for (unsigned threads = 1; threads <= 16; threads++) {
        st_ctx_set_threads(ctx, threads);
        compare(ctx, u, threads, "this number of threads", plain);
    }
    st_tensor *all[] = {a, b, k, t, u};
    for (int i = 0; i < 5; i++) st_tensor_unref(all[i]);
    free(plain);
    st_ctx_free(ctx);
}

/* Very many operations deep: neither freeing nor compiling may use the C stack. */
static void test_deep_expressions(void **state)
{
    st_ctx *ctx;
    st_err err;
    st_tensor *t = NULL, *one = NULL;
    float v = 0, got = 0;
    (void)state;
    assert_ok(st_ctx_new(&ctx, &err));
    assert_ok(st_tensor_new(ST_F32, 0, NULL, &v, 4, &t, &err));
    assert_ok(st_integer(1, &one, &err));
    for (int i = 0; i < 200000; i++) {
        st_tensor *u = NULL;
        assert_ok(st_apply(ST_OP_ADD, (st_tensor *[]){t, one}, &u, &err));
        st_tensor_unref(t);
        t = u;
    }
    assert_ok(st_export(ctx, t, 0, 1, ST_F32, &got, &err));
    assert_true(got == 200000.0f);
    st_tensor_unref(t);
    st_tensor_unref(one);
    st_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused_equals_plain),
        cmocka_unit_test(test_threads_give_the_same_bytes),
        cmocka_unit_test(test_deep_expressions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
