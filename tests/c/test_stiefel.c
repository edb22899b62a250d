/* test_stiefel.c - the shortest way between directions: what stays, what vanishes, the same bytes on any number of
 * threads, refusals, failing allocations. */
#include "fixture.h"

#include "eval.h"
#include "mem.h"

#include <math.h>
#include <string.h>

enum { N = 7, GIVEN = 4 };

static void multiply(const double *a, const double *b, bool turned, double *c)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0;
            for (int k = 0; k < N; k++) sum += a[i * N + k] * (turned ? b[j * N + k] : b[k * N + j]);
            c[i * N + j] = sum;
        }
}

/* A rotation: planes turned by `angle` and less, one after the other. */
static void rotation(double angle, double w[N * N])
{
    double turn[N * N], next[N * N];
    memset(w, 0, N * N * sizeof *w);
    for (int i = 0; i < N; i++) w[i * N + i] = 1;
    for (int i = 0; i < N; i++)
        for (int j = i + 1; j < N; j++) {
            double a = angle * sin(1.0 + 3 * i + 5 * j);
            memset(turn, 0, sizeof turn);
            for (int k = 0; k < N; k++) turn[k * N + k] = 1;
            turn[i * N + i] = turn[j * N + j] = cos(a);
            turn[i * N + j] = sin(a);
            turn[j * N + i] = -sin(a);
            multiply(w, turn, false, next);
            memcpy(w, next, sizeof next);
        }
}

/* log W of a W near 1: the sum of -(1 - W)^k / k. */
static void logarithm(const double *w, double *l)
{
    double x[N * N], power[N * N], next[N * N];
    for (int i = 0; i < N * N; i++) x[i] = power[i] = (i % (N + 1) == 0) - w[i];
    for (int i = 0; i < N * N; i++) l[i] = -x[i];
    for (int k = 2; k < 400; k++) {
        multiply(power, x, false, next);
        memcpy(power, next, sizeof next);
        for (int i = 0; i < N * N; i++) l[i] -= power[i] / k;
    }
}

static st_tensor *tensor_of(const double *w)
{
    st_tensor *t = NULL;
    assert_ok(st_tensor_new(ST_F64, 2, (int64_t[]){N, N}, w, N * N * 8, &t, &err));
    return t;
}

static void test_what_stays(void **state)
{
    double w[N * N], got[2][N * N], l[N * N], square[N * N];
    (void)state;
    rotation(0.15, w);
    st_tensor *t = tensor_of(w), *out;
    for (int threads = 0; threads < 2; threads++) {
        st_ctx_set_threads(ctx, threads ? 4 : 1);
        assert_ok(st_stiefel(t, GIVEN, 100, 1e-10, &out, &err));
        assert_ok(st_export(ctx, out, 0, N * N, ST_F64, got[threads], &err));
        st_tensor_unref(out);
    }
    st_ctx_set_threads(ctx, 0);
    assert_memory_equal(got[0], got[1], sizeof *got);
    multiply(*got, *got, true, square);
    logarithm(*got, l);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            if (j < GIVEN) assert_true((*got)[i * N + j] == w[i * N + j]);
            assert_true(fabs(square[i * N + j] - (i == j)) < 1e-13);
            if (i >= GIVEN && j >= GIVEN) assert_true(fabs(l[i * N + j]) < 1e-9);
        }
    /* No steps: as it was. */
    assert_ok(st_stiefel(t, GIVEN, 0, 0, &out, &err));
    assert_ok(st_export(ctx, out, 0, N * N, ST_F64, *got, &err));
    assert_memory_equal(*got, w, sizeof w);
    st_tensor_unref(out);
    st_tensor_unref(t);
}

static void test_misuse(void **state)
{
    double w[N * N];
    st_tensor *narrow, *out;
    (void)state;
    rotation(0.2, w);
    st_tensor *t = tensor_of(w);
    assert_int_equal(st_stiefel(t, N, 9, 0, &out, &err), ST_SHAPE);
    assert_int_equal(st_stiefel(t, 0, 9, 0, &out, &err), ST_SHAPE);
    assert_null(out);
    assert_ok(st_cast(t, ST_F32, false, &narrow, &err));
    assert_int_equal(st_stiefel(narrow, GIVEN, 9, 0, &out, &err), ST_SHAPE);
    assert_ok(st_stiefel(t, GIVEN, 9, 0, &out, &err));
    st_ctx_cancel(ctx);
    assert_int_equal(st_force(ctx, out, &err), ST_CANCELLED);
    st_ctx_resume(ctx);
    st_tensor_unref(narrow);
    st_tensor_unref(out);
    w[3] = NAN;
    st_tensor *bad = tensor_of(w);
    assert_ok(st_stiefel(bad, GIVEN, 9, 0, &out, &err));
    assert_int_equal(st_force(ctx, out, &err), ST_ARG);
    st_tensor_unref(bad);
    st_tensor_unref(out);
    st_tensor_unref(t);
}

static void test_allocations_fail(void **state)
{
    double w[N * N];
    st_tensor *out;
    st_status s = ST_NOMEM;
    (void)state;
    rotation(0.1, w);
    st_tensor *t = tensor_of(w);
    st_ctx_set_threads(ctx, 1);
    uint64_t used = st_memory_used();
    for (uint64_t at = 1; s != ST_OK; at++) {
        st_mem_fail_at(at, false);
        s = st_stiefel(t, GIVEN, 2, 0, &out, &err);
        if (s == ST_OK) s = st_force(ctx, out, &err);
        st_mem_fail_at(0, false);
        if (s != ST_OK) assert_int_equal(s, ST_NOMEM);
        st_tensor_unref(out);
        assert_int_equal(st_memory_used(), used);
    }
    st_ctx_set_threads(ctx, 0);
    st_tensor_unref(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_stays),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_allocations_fail),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
