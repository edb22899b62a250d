/* test_reduce_columns.c - reductions down columns: against the same taken along rows of the transpose, at the places
 * where the work is cut, on any number of threads, and the same bits at every SIMD level. */
#include "fixture.h"

#include "kern.h"

#include <math.h>
#include <string.h>

/* Random values of a dtype, many of them equal, some 0; with `special` also -0, NaN and infinities. */
static st_tensor *random_tensor(st_dtype d, int ndim, const int64_t *shape, uint64_t seed, bool special)
{
    rng r = {seed};
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) n *= shape[i];
    double *v = malloc((size_t)n * sizeof *v + 1);
    static const double odd[] = {-0.0, 0.0, INFINITY, -INFINITY, NAN};
    for (int64_t i = 0; i < n; i++) {
        uint64_t x = rng_next(&r);
        v[i] = d == ST_BOOL ? (double)(x % 2) : (double)(int64_t)(x % 2001) - 1000;
        if (st_dtype_is_float(d)) v[i] /= 64;
        if (special && x >> 32 & 1) v[i] = odd[(x >> 40) % 5];
    }
    st_tensor *wide, *cast, *out;
    assert_ok(st_tensor_new(ST_F64, ndim, shape, v, (uint64_t)n * 8, &wide, &err));
    assert_ok(st_cast(wide, d, false, &cast, &err));
    assert_ok(st_clone(ctx, cast, &out, &err));
    st_tensor_unref(wide);
    st_tensor_unref(cast);
    free(v);
    return out;
}

static double *values(st_tensor *t)
{
    double *v = malloc(t ? (size_t)st_tensor_numel(t) * sizeof *v + 1 : 1);
    assert_ok(st_export(ctx, t, 0, (uint64_t)st_tensor_numel(t), ST_F64, v, &err));
    return v;
}

static const char *const names[] = {
#define X(id, name) name,
    ST_REDUCTIONS(X)
#undef X
};

/* Over the middle of three dimensions: as it lies, and as rows of what is put in order first. */
static void compare(st_dtype d, const int64_t shape[3], st_reduction what, double p, bool special)
{
    st_tensor *t = random_tensor(d, 3, shape, 11, special), *turned, *flat, *columns, *rows;
    st_reduce_opts o = {.dims = (int[]){1}, .ndims = 1, .correction = 1, .p = p};
    assert_ok(st_reduce(what, t, &o, &columns, &err));
    assert_ok(st_permute(t, (int[]){0, 2, 1}, &turned, &err));
    assert_ok(st_clone(ctx, turned, &flat, &err));
    assert_ok(
        st_reduce(what, flat, &(st_reduce_opts){.dims = (int[]){2}, .ndims = 1, .correction = 1, .p = p}, &rows, &err));
    double *got = values(columns), *want = values(rows);
    for (int64_t i = 0; i < st_tensor_numel(rows); i++) {
        bool both_nan = got[i] != got[i] && want[i] != want[i];
        double limit = 1e-12 * (1 + fabs(want[i])) * (double)shape[1];
        if (!both_nan && got[i] != want[i] && !(fabs(got[i] - want[i]) <= limit))
            fail_msg("%s of %s [%d, %d, %d], element %d: %.17g instead of %.17g", names[what], st_dtype_name(d),
                     (int)shape[0], (int)shape[1], (int)shape[2], (int)i, got[i], want[i]);
    }
    st_tensor *all[] = {t, turned, flat, columns, rows};
    for (int i = 0; i < 5; i++) st_tensor_unref(all[i]);
    free(got);
    free(want);
}

/* Narrow rows lie side by side, wide ones are cut, long columns are shared out. */
static const int64_t shapes[][3] = {{1, 5, 2},    {3, 7, 5},    {1, 1, 9},     {2, 3, 1023},  {1, 4, 1025},
                                    {1, 2, 8191}, {1, 3, 8193}, {1, 2, 20000}, {1, 70000, 3}, {2, 40000, 4}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void test_as_rows(void **state)
{
    (void)state;
    static const st_dtype dtypes[] = {ST_F64, ST_F32, ST_BF16, ST_I16, ST_U64, ST_BOOL};
    for (int s = 0; s < SHAPES; s++)
        for (int d = 0; d < 6; d++)
            for (int what = 0; what < ST_REDUCTION_COUNT; what++) {
                bool floats = what == ST_RED_MEAN || what == ST_RED_VAR || what == ST_RED_STD || what == ST_RED_NORM;
                if (what == ST_RED_DOT || (floats && !st_dtype_is_float(dtypes[d]))) continue;
                if (what == ST_RED_PROD && st_dtype_is_float(dtypes[d]) && shapes[s][1] > 10) continue; /* overflows */
                if (dtypes[d] == ST_BF16 && (what == ST_RED_SUM || what == ST_RED_NORM) && shapes[s][1] > 10)
                    continue; /* a tie between two roundings to BF16 may go either way */
                compare(dtypes[d], shapes[s], (st_reduction)what, 2, false);
                if (what == ST_RED_NORM)
                    for (int p = 0; p < 4; p++)
                        compare(dtypes[d], shapes[s], ST_RED_NORM, (double[]){0, 1, INFINITY, -INFINITY}[p], false);
            }
}

static void test_special_values(void **state)
{
    (void)state;
    static const st_reduction exact[] = {ST_RED_MIN,           ST_RED_MAX, ST_RED_ARGMIN, ST_RED_ARGMAX,
                                         ST_RED_COUNT_NONZERO, ST_RED_SUM, ST_RED_VAR};
    for (int s = 0; s < SHAPES; s++)
        for (int i = 0; i < 7; i++) {
            compare(ST_F32, shapes[s], exact[i], 2, true);
            compare(ST_F64, shapes[s], exact[i], 2, true);
        }
}

/* All reductions of one tensor in one pass, and each by itself; on one thread and on many. */
static void test_same_bits(void **state)
{
    (void)state;
    static const st_reduction of[] = {ST_RED_SUM, ST_RED_STD, ST_RED_NORM, ST_RED_PROD};
    for (int s = 0; s < SHAPES; s++) {
        st_tensor *t = random_tensor(ST_F64, 3, shapes[s], 5, false), *out[4];
        double *first[4] = {NULL};
        for (unsigned threads = 1; threads <= 5; threads += 2) {
            st_ctx_set_threads(ctx, threads);
            st_reduce_opts o = {.dims = (int[]){1}, .ndims = 1, .correction = 1, .p = 2};
            for (int i = 0; i < 4; i++) assert_ok(st_reduce(of[i], t, &o, &out[i], &err));
            if (threads > 1) assert_ok(st_force_all(ctx, out, 4, &err));
            for (int i = 0; i < 4; i++) {
                double *v = values(out[i]);
                if (first[i]) assert_memory_equal(v, first[i], (size_t)st_tensor_numel(out[i]) * 8);
                if (first[i])
                    free(v);
                else
                    first[i] = v;
                st_tensor_unref(out[i]);
            }
        }
        for (int i = 0; i < 4; i++) free(first[i]);
        st_tensor_unref(t);
    }
    st_ctx_set_threads(ctx, 0);
}

/* Each kernel of each level against the baseline's. */
static void test_levels(void **state)
{
    enum { N = 77, ROWS = 5 };
    (void)state;
    static union {
        float f[N * ROWS];
        double d[N * ROWS];
        uint8_t b[N * ROWS * 8];
    } x[ST_REG_COUNT];
    rng r = {3};
    for (int c = 0; c < ST_REG_COUNT; c++)
        for (int i = 0; i < N * ROWS * 8; i++) x[c].b[i] = (uint8_t)rng_next(&r);
    for (int i = 0; i < N * ROWS; i++) {
        x[ST_R_F32].f[i] = i % 13 == 0 ? NAN : (float)(int64_t)(rng_next(&r) % 1000) / 8 - 60;
        x[ST_R_F64].d[i] = i % 17 == 0 ? NAN : (double)(int64_t)(rng_next(&r) % 1000) / 8 - 60;
        x[ST_R_B8].b[i] &= 1;
    }
    const st_kernels *base = st_kern_level(0), *level;
    for (unsigned l = 1; (level = st_kern_level(l)); l++)
        for (int fold = 0; fold < ST_FOLD_COUNT; fold++)
            for (int c = 0; c < ST_REG_COUNT; c++) {
                uint64_t v[2][N] = {{0}}, at[2][N] = {{0}};
                double squares[2][N] = {{0}};
                assert_int_equal(!base->fold_columns[fold][c], !level->fold_columns[fold][c]);
                if (!base->fold_columns[fold][c]) continue;
                for (uint64_t row = 0; row < ROWS; row++) {
                    const char *from = (const char *)x[c].b + row * N * st_reg_size((st_reg)c);
                    base->fold_columns[fold][c](&(st_columns){v[0], squares[0], at[0]}, 0, from, N, row);
                    level->fold_columns[fold][c](&(st_columns){v[1], squares[1], at[1]}, 0, from, N, row);
                }
                for (int i = 0; i < N; i++) { /* any NaN is as good */
                    double a, b;
                    memcpy(&a, &v[0][i], 8);
                    memcpy(&b, &v[1][i], 8);
                    if (!(a != a && b != b)) assert_int_equal(v[0][i], v[1][i]);
                    assert_int_equal(at[0][i], at[1][i]);
                    if (squares[0][i] == squares[0][i]) assert_memory_equal(&squares[0][i], &squares[1][i], 8);
                }
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_rows),
        cmocka_unit_test(test_special_values),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_levels),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
