/* test_assignment.c - the linear assignment problem against all permutations, on stacks and any number of threads,
 * refusals, a cancel, and failing allocations. */
#include "fixture.h"

#include "mem.h"
#include "tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static st_tensor *costs(st_dtype d, int ndim, const int64_t *shape, const double *v)
{
    st_tensor *t = NULL, *wide = NULL;
    uint64_t n = 1;
    for (int i = 0; i < ndim; i++) n *= (uint64_t)shape[i];
    assert_ok(st_tensor_new(ST_F64, ndim, shape, v, n * 8, &wide, &err));
    assert_ok(st_cast(wide, d, false, &t, &err));
    st_tensor_unref(wide);
    return t;
}

/* Rows and columns of all pairs. */
static void assign(st_tensor *t, bool maximize, int64_t *rows, int64_t *cols)
{
    st_tensor *out[2];
    assert_ok(st_linear_sum_assignment(t, maximize, out, &err));
    assert_int_equal(out[0]->numel, out[1]->numel);
    assert_ok(st_export(ctx, out[0], 0, out[0]->numel, ST_I64, rows, &err));
    assert_ok(st_export(ctx, out[1], 0, out[1]->numel, ST_I64, cols, &err));
    st_tensor_unref(out[0]);
    st_tensor_unref(out[1]);
}

/* The least sum of rows [i, m) of an m x n matrix, m <= n, over columns that are not taken. */
static double least(const double *c, int m, int n, int i, unsigned taken)
{
    double best = i < m ? INFINITY : 0;
    for (int j = 0; i < m && j < n; j++)
        if (!(taken >> j & 1)) best = fmin(best, c[i * n + j] + least(c, m, n, i + 1, taken | 1u << j));
    return best;
}

static double best_sum(const double *c, int m, int n, bool maximize)
{
    double a[36];
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) a[m <= n ? i * n + j : j * m + i] = maximize ? -c[i * n + j] : c[i * n + j];
    double sum = m <= n ? least(a, m, n, 0, 0) : least(a, n, m, 0, 0);
    return maximize ? -sum : sum;
}

static void check_pairs(const double *c, int m, int n, bool maximize, const int64_t *rows, const int64_t *cols)
{
    int k = m < n ? m : n;
    unsigned taken = 0;
    double sum = 0;
    for (int i = 0; i < k; i++) {
        assert_true(rows[i] >= 0 && rows[i] < m && cols[i] >= 0 && cols[i] < n);
        assert_true(i == 0 || rows[i] > rows[i - 1]);
        assert_false(taken >> cols[i] & 1);
        taken |= 1u << cols[i];
        sum += c[rows[i] * n + cols[i]];
    }
    assert_true(fabs(sum - best_sum(c, m, n, maximize)) <= 1e-12);
}

/* All shapes up to 6 x 6; few different values, so that many sums are equal. */
static void test_small(void **state)
{
    (void)state;
    rng r = {5};
    double c[36];
    int64_t rows[6], cols[6];
    for (int i = 0; i < 1500; i++) {
        int m = 1 + (int)rng_below(&r, 6), n = 1 + (int)rng_below(&r, 6);
        uint64_t values = i % 3 == 0 ? 3 : i % 3 == 1 ? 20 : 1 << 20;
        for (int e = 0; e < m * n; e++) c[e] = ((double)rng_below(&r, values) - (double)values / 4) / 16;
        st_tensor *t = costs(i % 2 ? ST_F64 : ST_F32, 2, (int64_t[]){m, n}, c);
        assign(t, i % 4 < 2, rows, cols);
        check_pairs(c, m, n, i % 4 < 2, rows, cols);
        st_tensor_unref(t);
    }
}

static void test_stacks(void **state)
{
    (void)state;
    enum { COUNT = 60, M = 3, N = 5 };
    double c[COUNT * M * N];
    int64_t rows[COUNT * M], cols[COUNT * M], again[2 * COUNT * M];
    rng r = {6};
    for (int i = 0; i < COUNT * M * N; i++) c[i] = (double)rng_below(&r, 1000);
    st_tensor *t = costs(ST_BF16, 4, (int64_t[]){4, COUNT / 4, M, N}, c);
    assert_ok(st_export(ctx, t, 0, t->numel, ST_F64, c, &err));
    for (unsigned threads = 1; threads < 5; threads++) {
        st_ctx_set_threads(ctx, threads);
        assign(t, false, again, again + COUNT * M);
        if (threads == 1) {
            memcpy(rows, again, sizeof rows);
            memcpy(cols, again + COUNT * M, sizeof cols);
        }
        assert_memory_equal(rows, again, sizeof rows);
        assert_memory_equal(cols, again + COUNT * M, sizeof cols);
    }
    for (int i = 0; i < COUNT; i++) check_pairs(c + i * M * N, M, N, false, rows + i * M, cols + i * M);
    st_ctx_set_threads(ctx, 0);
    st_tensor_unref(t);
}

/* A hidden permutation: the only zeros. */
static void test_permutation(void **state)
{
    (void)state;
    enum { N = 300 };
    static double c[N * N];
    static int64_t rows[N], cols[N];
    int at[N];
    rng r = {7};
    for (int i = 0; i < N; i++) at[i] = i;
    for (int i = N - 1; i > 0; i--) {
        int j = (int)rng_below(&r, (uint64_t)i + 1), k = at[i];
        at[i] = at[j];
        at[j] = k;
    }
    for (int i = 0; i < N * N; i++) c[i] = i % N == at[i / N] ? 0 : 1 + (double)rng_below(&r, 1000);
    st_tensor *t = costs(ST_F32, 2, (int64_t[]){N, N}, c);
    assign(t, false, rows, cols);
    for (int i = 0; i < N; i++) assert_true(rows[i] == i && cols[i] == at[i]);
    st_tensor_unref(t);
}

static void test_refusals(void **state)
{
    (void)state;
    double c[4] = {1, 2, 3, NAN};
    st_tensor *out[2], *t = costs(ST_F64, 2, (int64_t[]){2, 2}, c), *v = costs(ST_F64, 1, (int64_t[]){3}, c),
                       *ints = costs(ST_I64, 2, (int64_t[]){1, 3}, c), *none = costs(ST_F32, 2, (int64_t[]){0, 3}, c);
    assert_int_equal(st_linear_sum_assignment(v, false, out, &err), ST_SHAPE);
    assert_int_equal(st_linear_sum_assignment(ints, false, out, &err), ST_DTYPE);
    assert_non_null(strstr(err.message, "cast to F32 or F64 first"));
    assert_ok(st_linear_sum_assignment(t, false, out, &err));
    assert_int_equal(st_force(ctx, out[0], &err), ST_ARG);
    assert_non_null(strstr(err.message, "NaN or infinity"));
    st_tensor_unref(out[0]);
    st_tensor_unref(out[1]);
    assert_ok(st_linear_sum_assignment(none, false, out, &err));
    assert_ok(st_force(ctx, out[0], &err));
    assert_int_equal(out[0]->numel, 0);
    st_tensor_unref(out[0]);
    st_tensor_unref(out[1]);
    st_tensor_unref(t), st_tensor_unref(v), st_tensor_unref(ints), st_tensor_unref(none);
}

static st_status once(st_tensor *t)
{
    st_tensor *out[2];
    st_status s = st_linear_sum_assignment(t, false, out, &err);
    if (s == ST_OK) s = st_force(ctx, out[1], &err);
    st_tensor_unref(out[0]);
    st_tensor_unref(out[1]);
    return s;
}

static void test_cancel_and_memory(void **state)
{
    (void)state;
    double c[12] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8};
    st_tensor *t = costs(ST_F16, 2, (int64_t[]){4, 3}, c);
    st_ctx_cancel(ctx);
    assert_int_equal(once(t), ST_CANCELLED);
    st_ctx_resume(ctx);
    st_ctx_set_memory(ctx, 20);
    assert_int_equal(once(t), ST_LIMIT);
    st_ctx_set_memory(ctx, 1 << 30);
    st_ctx_set_threads(ctx, 1);
    uint64_t used = st_memory_used();
    st_status s = ST_NOMEM;
    for (uint64_t at = 1; s != ST_OK; at++) {
        st_mem_fail_at(at, false);
        s = once(t);
        st_mem_fail_at(0, false);
        if (s != ST_OK) assert_int_equal(s, ST_NOMEM);
        assert_int_equal(st_memory_used(), used);
    }
    st_ctx_set_threads(ctx, 0);
    st_tensor_unref(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_stacks),
        cmocka_unit_test(test_permutation),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_cancel_and_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
