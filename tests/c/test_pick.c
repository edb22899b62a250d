/* test_pick.c - elements by place and by mask, running products: against loops, in both evaluators, on any number of
 * threads, and when memory runs out. */
#include "support.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 37, COLUMNS = 700, PICKED = 50 };

static st_ctx *ctx;
static st_err err;
static float values[ROWS * COLUMNS];
static int64_t places[PICKED];

static int setup(void **state)
{
    (void)state;
    rng r = {3};
    for (int i = 0; i < ROWS * COLUMNS; i++) values[i] = (float)(int64_t)(rng_next(&r) % 2001 - 1000);
    for (int i = 0; i < PICKED; i++) places[i] = (int64_t)rng_below(&r, ROWS);
    return st_ctx_new(&ctx, &err) == ST_OK ? 0 : -1;
}
static int teardown(void **state)
{
    (void)state;
    st_ctx_free(ctx);
    return 0;
}

static st_tensor *tensor(st_dtype d, int ndim, const int64_t *shape, const void *v)
{
    uint64_t n = st_dtype_bits(d) / 8;
    st_tensor *t = NULL;
    for (int i = 0; i < ndim; i++) n *= (uint64_t)shape[i];
    assert_ok(st_tensor_new(d, ndim, shape, v, n, &t, &err));
    return t;
}

static st_tensor *matrix(void) { return tensor(ST_F32, 2, (int64_t[]){ROWS, COLUMNS}, values); }

/* Rows of a computed tensor; from a view of it, too. */
static void test_slices(void **state)
{
    (void)state;
    enum { N = PICKED * COLUMNS };
    static float plain[N], fused[N];
    st_tensor *t = matrix(), *one = NULL, *out = NULL, *turned = NULL, *sums = NULL;
    st_tensor *p = tensor(ST_I64, 1, (int64_t[]){PICKED}, places);
    assert_ok(st_integer(1, &one, &err));
    assert_ok(st_apply(ST_OP_ADD, (st_tensor *[]){t, one}, &sums, &err));
    assert_ok(st_index_select(sums, 0, p, &out, &err));
    assert_ok(st_export_plain(ctx, out, plain, &err));
    for (unsigned threads = 1; threads < 5; threads++) {
        st_ctx_set_threads(ctx, threads);
        assert_ok(st_export(ctx, out, 0, N, ST_F32, fused, &err));
        assert_memory_equal(plain, fused, sizeof plain);
    }
    for (int i = 0; i < N; i++) assert_true(plain[i] == values[places[i / COLUMNS] * COLUMNS + i % COLUMNS] + 1);
    st_tensor_unref(out);
    assert_ok(st_permute(t, (int[]){1, 0}, &turned, &err));
    assert_ok(st_index_select(turned, 1, p, &out, &err)); /* single elements */
    assert_ok(st_export(ctx, out, 0, N, ST_F32, fused, &err));
    for (int i = 0; i < N; i++) assert_true(fused[i] == values[places[i % PICKED] * COLUMNS + i / PICKED]);
    st_tensor *every[] = {t, one, out, turned, sums, p};
    for (int i = 0; i < 6; i++) st_tensor_unref(every[i]);
}

/* Several pieces of elements and of places. */
static void test_masks(void **state)
{
    (void)state;
    enum { N = 200001 };
    uint8_t *mask = malloc(N);
    int64_t *want = malloc(N * sizeof *want), *got = malloc(N * sizeof *got), n = N, found = 0;
    rng r = {9};
    for (int i = 0; i < N; i++) {
        mask[i] = rng_below(&r, 5) == 0;
        if (mask[i]) want[found++] = i;
    }
    st_tensor *m = tensor(ST_BOOL, 1, &n, mask), *numbers = NULL, *at = NULL, *chosen = NULL, *none = NULL;
    assert_ok(st_iota(n, &numbers, &err));
    assert_ok(st_masked_select(ctx, NULL, m, &at, &err));
    assert_ok(st_masked_select(ctx, numbers, m, &chosen, &err));
    assert_int_equal(st_tensor_numel(at), found);
    assert_ok(st_export(ctx, at, 0, (uint64_t)found, ST_I64, got, &err));
    assert_memory_equal(got, want, (size_t)found * sizeof *want);
    bool same = false;
    assert_ok(st_tensor_identical(ctx, at, chosen, &same, &err));
    assert_true(same);
    memset(mask, 0, N);
    st_tensor_unref(m);
    m = tensor(ST_BOOL, 1, &n, mask);
    assert_ok(st_masked_select(ctx, numbers, m, &none, &err));
    assert_int_equal(st_tensor_numel(none), 0);
    st_tensor *every[] = {m, numbers, at, chosen, none};
    for (int i = 0; i < 5; i++) st_tensor_unref(every[i]);
    free(mask);
    free(want);
    free(got);
}

static void test_misuse(void **state)
{
    (void)state;
    int64_t far[2] = {0, ROWS}, before[1] = {-1}, few = 3;
    st_tensor *t = matrix(), *out = NULL, *p = tensor(ST_I64, 1, (int64_t[]){2}, far),
              *q = tensor(ST_I64, 1, (int64_t[]){1}, before), *mask = tensor(ST_BOOL, 1, &few, "\1\0\1");
    float row[2 * COLUMNS];
    assert_int_equal(st_index_select(t, 2, p, &out, &err), ST_ARG);
    assert_int_equal(st_index_select(t, 0, mask, &out, &err), ST_SHAPE);
    assert_int_equal(st_masked_select(ctx, t, mask, &out, &err), ST_SHAPE);
    assert_int_equal(st_cumprod(t, 2, &out, &err), ST_ARG);
    assert_null(out);
    assert_ok(st_index_select(t, 0, p, &out, &err));
    assert_int_equal(st_export(ctx, out, 0, 2 * COLUMNS, ST_F32, row, &err), ST_ARG);
    assert_non_null(strstr(err.message, "index 38 is out of range: dimension 1 has 37"));
    assert_int_equal(err.origin, 0);
    st_tensor *user = NULL;
    st_tensor_set_origin(out, 7);
    st_tensor_set_origin(out, 8); /* the first one stays */
    assert_ok(st_apply(ST_OP_ADD, (st_tensor *[]){out, out}, &user, &err));
    st_tensor_set_origin(user, 9); /* not computed whole */
    assert_int_equal(st_export(ctx, user, 0, 2 * COLUMNS, ST_F32, row, &err), ST_ARG);
    assert_int_equal(err.origin, 7);
    st_tensor_unref(user);
    st_tensor_unref(out);
    assert_ok(st_index_select(t, 0, q, &out, &err));
    assert_int_equal(st_export(ctx, out, 0, COLUMNS, ST_F32, row, &err), ST_ARG);
    st_ctx_set_memory(ctx, 1000);
    st_tensor *limited = NULL, *all = NULL;
    assert_ok(st_apply(ST_OP_EQ, (st_tensor *[]){t, t}, &all, &err));
    assert_int_equal(st_masked_select(ctx, t, all, &limited, &err), ST_LIMIT);
    st_ctx_set_memory(ctx, 1u << 30);
    st_tensor *every[] = {t, out, p, q, mask, all};
    for (int i = 0; i < 6; i++) st_tensor_unref(every[i]);
}

/* Any allocation may fail: an error, and nothing lost. */
static void test_memory_may_run_out(void **state)
{
    (void)state;
    uint64_t before = st_memory_used();
    st_ctx_set_threads(ctx, 1);
    for (uint64_t n = 1;; n++) {
        st_tensor *t = NULL, *p = NULL, *slices = NULL, *mask = NULL, *chosen = NULL, *products = NULL;
        st_mem_fail_at(n, false);
        st_status s = st_tensor_new(ST_F32, 2, (int64_t[]){ROWS, COLUMNS}, values, sizeof values, &t, &err);
        if (s == ST_OK) s = st_tensor_new(ST_I64, 1, (int64_t[]){PICKED}, places, sizeof places, &p, &err);
        if (s == ST_OK) s = st_index_select(t, 0, p, &slices, &err);
        if (s == ST_OK) s = st_force(ctx, slices, &err);
        if (s == ST_OK) s = st_apply(ST_OP_GT, (st_tensor *[]){t, t}, &mask, &err);
        if (s == ST_OK) s = st_masked_select(ctx, t, mask, &chosen, &err);
        if (s == ST_OK) s = st_cumprod(t, 0, &products, &err);
        if (s == ST_OK) s = st_force(ctx, products, &err);
        st_mem_fail_at(0, false);
        st_tensor *every[] = {t, p, slices, mask, chosen, products};
        for (int i = 0; i < 6; i++) st_tensor_unref(every[i]);
        assert_true(st_memory_used() == before);
        if (s == ST_OK) break;
        assert_int_equal(s, ST_NOMEM);
        assert_true(n < 10000);
    }
    st_ctx_set_threads(ctx, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
