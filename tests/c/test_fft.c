/* test_fft.c - Fourier transforms against sums written out, the same bytes on any number of threads, refusals, limits,
 * cancels and failing allocations. */
#include "fixture.h"

#include "eval.h"
#include "mem.h"

#include <math.h>
#include <string.h>

static double *noise(uint64_t n, uint64_t seed)
{
    rng r = {seed};
    double *v = malloc(n * sizeof *v + 1);
    for (uint64_t i = 0; i < n; i++) v[i] = (double)(int64_t)(rng_next(&r) >> 11) * 0x1p-52 - 1;
    return v;
}

static st_tensor *tensor_of(st_dtype d, int ndim, const int64_t *shape, const double *v, uint64_t n)
{
    st_tensor *wide, *cast, *out;
    assert_ok(st_tensor_new(ST_F64, ndim, shape, v, n * 8, &wide, &err));
    assert_ok(st_cast(wide, d, false, &cast, &err));
    assert_ok(st_clone(ctx, cast, &out, &err));
    st_tensor_unref(wide);
    st_tensor_unref(cast);
    return out;
}

static double *values_of(st_tensor *t)
{
    double *v = malloc(t->numel * sizeof *v + 1);
    assert_ok(st_export(ctx, t, 0, t->numel, ST_F64, v, &err));
    return v;
}

/* The sum for one frequency of a line of complex numbers. */
static void frequency(const double *x, int64_t n, int64_t k, double sign, double out[2])
{
    out[0] = out[1] = 0;
    for (int64_t j = 0; j < n; j++) {
        double angle = sign * 2 * acos(-1) * (double)(j * k % n) / (double)n, c = cos(angle), s = sin(angle);
        out[0] += x[2 * j] * c - x[2 * j + 1] * s;
        out[1] += x[2 * j] * s + x[2 * j + 1] * c;
    }
}

static void near(const double *got, const double *want, uint64_t n, double size, const char *what)
{
    for (uint64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= size))
            fail_msg("%s: element %d is %.17g, not %.17g", what, (int)i, got[i], want[i]);
}

static void one_length(int64_t n)
{
    double *x = noise((uint64_t)n * 2, (uint64_t)n), sum[2], size = 1e-14 * (double)n;
    st_tensor *t = tensor_of(ST_F64, 2, (int64_t[]){n, 2}, x, (uint64_t)n * 2), *f, *b;
    assert_ok(st_fft(ST_FFT_FORWARD, t, 1, 0, 1, &f, &err));
    assert_ok(st_fft(ST_FFT_INVERSE, t, 1, 0, 0.5, &b, &err));
    double *forward = values_of(f), *back = values_of(b);
    for (int64_t k = 0; k < n; k += n < 300 ? 1 : n / 37) {
        frequency(x, n, k, -1, sum);
        near(forward + 2 * k, sum, 2, size, "forward");
        frequency(x, n, k, 1, sum);
        back[2 * k] *= 2, back[2 * k + 1] *= 2;
        near(back + 2 * k, sum, 2, size, "inverse");
    }
    free(forward);
    free(back);
    st_tensor_unref(f);
    st_tensor_unref(b);
    /* Real numbers: the same transform's first half, and the way back. */
    for (int64_t i = 0; i < n; i++) x[2 * i + 1] = 0;
    double *line = malloc((size_t)n * sizeof *line);
    for (int64_t i = 0; i < n; i++) line[i] = x[2 * i];
    st_tensor *r = tensor_of(ST_F64, 1, &n, line, (uint64_t)n), *half, *real;
    assert_ok(st_fft(ST_FFT_REAL, r, 1, 0, 1, &half, &err));
    assert_ok(st_fft(ST_FFT_TO_REAL, half, 1, n, 1 / (double)n, &real, &err));
    assert_int_equal(half->shape[0], n / 2 + 1);
    double *spectrum = values_of(half), *again = values_of(real);
    for (int64_t k = 0; k <= n / 2; k += n < 300 ? 1 : n / 37) {
        frequency(x, n, k, -1, sum);
        near(spectrum + 2 * k, sum, 2, size, "real");
    }
    near(again, line, (uint64_t)n, 1e-14, "there and back");
    free(spectrum);
    free(again);
    free(line);
    free(x);
    st_tensor *all[] = {t, r, half, real};
    for (int i = 0; i < 4; i++) st_tensor_unref(all[i]);
}

static void test_lengths(void **state)
{
    (void)state;
    for (int64_t n = 1; n <= 130; n++) one_length(n);
    static const int64_t more[] = {169, 243, 512, 625, 1021, 1024, 2 * 1021, 3 * 5 * 7 * 11 * 13, 40961, 65536, 131072};
    for (unsigned i = 0; i < sizeof more / sizeof *more; i++) one_length(more[i]);
}

/* Two dimensions of four, with others in front: line by line. */
static void test_dimensions(void **state)
{
    enum { A = 3, B = 21, C = 19 };
    double *x = noise(A * B * C * 2, 5), *want = malloc(A * B * C * 2 * sizeof *want), line[2 * B], sum[2];
    st_tensor *t = tensor_of(ST_F64, 4, (int64_t[]){A, B, C, 2}, x, A * B * C * 2), *out;
    (void)state;
    assert_ok(st_fft(ST_FFT_FORWARD, t, 2, 0, 1, &out, &err));
    for (int a = 0; a < A; a++) {
        double *rows = malloc(B * C * 2 * sizeof *rows);
        for (int b = 0; b < B; b++)
            for (int c = 0; c < C; c++) frequency(x + (a * B + b) * C * 2, C, c, -1, rows + (b * C + c) * 2);
        for (int c = 0; c < C; c++) {
            for (int b = 0; b < B; b++) memcpy(line + 2 * b, rows + (b * C + c) * 2, 16);
            for (int b = 0; b < B; b++) {
                frequency(line, B, b, -1, sum);
                memcpy(want + ((a * B + b) * C + c) * 2, sum, 16);
            }
        }
        free(rows);
    }
    double *got = values_of(out);
    near(got, want, A * B * C * 2, 1e-11, "two dimensions");
    free(got);
    free(want);
    free(x);
    st_tensor_unref(t);
    st_tensor_unref(out);
}

static void test_threads(void **state)
{
    int64_t shape[] = {5, 36, 35, 2};
    double *x = noise(5 * 36 * 70, 6);
    void *bytes[2];
    (void)state;
    for (int kind = ST_FFT_FORWARD; kind <= ST_FFT_TO_REAL; kind++) {
        for (unsigned threads = 1; threads <= 4; threads += 3) {
            st_tensor *t = tensor_of(ST_BF16, 4, shape, x, 5 * 36 * 70), *out;
            st_ctx_set_threads(ctx, threads);
            assert_ok(st_fft((st_fft_kind)kind, t, 3, 69, 1, &out, &err));
            assert_true(out->dtype == ST_F32);
            assert_ok(st_force(ctx, out, &err));
            bytes[threads > 1] = malloc(st_tensor_nbytes(out));
            assert_ok(st_export(ctx, out, 0, out->numel, ST_F32, bytes[threads > 1], &err));
            if (threads > 1) assert_memory_equal(bytes[0], bytes[1], st_tensor_nbytes(out));
            st_tensor_unref(t);
            st_tensor_unref(out);
        }
        free(bytes[0]);
        free(bytes[1]);
    }
    st_ctx_set_threads(ctx, 0);
    free(x);
}

static void refused(st_fft_kind kind, st_tensor *t, int dims, int64_t n, const char *says)
{
    st_tensor *out;
    assert_int_equal(st_fft(kind, t, dims, n, 1, &out, &err), ST_SHAPE);
    assert_null(out);
    if (!strstr(err.message, says)) fail_msg("\"%s\" does not say \"%s\"", err.message, says);
}

static void test_misuse(void **state)
{
    st_tensor *t, *pairs, *none, *number, *out;
    double v[12] = {0};
    (void)state;
    t = tensor_of(ST_F32, 2, (int64_t[]){4, 3}, v, 12);
    pairs = tensor_of(ST_F32, 3, (int64_t[]){2, 3, 2}, v, 12);
    none = tensor_of(ST_F32, 3, (int64_t[]){0, 3, 2}, v, 0);
    number = tensor_of(ST_F32, 0, NULL, v, 1);
    refused(ST_FFT_FORWARD, t, 1, 0, "a last dimension of 2; the last one here has 3");
    refused(ST_FFT_INVERSE, number, 1, 0, "ifftn: complex numbers are pairs");
    refused(ST_FFT_REAL, number, 1, 0, "rfftn over 1 dimensions of a tensor with 0");
    refused(ST_FFT_REAL, t, 0, 0, "over 0 dimensions");
    refused(ST_FFT_FORWARD, pairs, 3, 0, "over 3 dimensions of a tensor with 2 besides the pairs");
    refused(ST_FFT_FORWARD, none, 2, 0, "dimension 1, which has no elements");
    refused(ST_FFT_TO_REAL, pairs, 1, 6, "to 6 elements needs 4 pairs along the last dimension, there are 3");
    refused(ST_FFT_TO_REAL, pairs, 1, 0, "to 0 elements");
    /* No lines at all. */
    assert_ok(st_fft(ST_FFT_TO_REAL, none, 1, 5, 1, &out, &err));
    assert_ok(st_force(ctx, out, &err));
    assert_true(out->ndim == 2 && out->shape[0] == 0 && out->shape[1] == 5);
    st_tensor *all[] = {t, pairs, none, number, out};
    for (int i = 0; i < 5; i++) st_tensor_unref(all[i]);
}

static void test_limits_and_cancel(void **state)
{
    enum { N = 100003 };
    double *x = noise(2 * N, 8);
    int64_t shapes[2][2] = {{N, 2}, {2 * N, 1}};
    (void)state;
    for (int real = 0; real < 2; real++) {
        st_tensor *t = tensor_of(ST_F64, 2, shapes[real], x, 2 * N), *out;
        st_fft_kind kind = real ? ST_FFT_REAL : ST_FFT_FORWARD;
        assert_ok(st_fft(kind, t, 1 + real, 0, 1, &out, &err));
        st_ctx_set_memory(ctx, 6 << 20);
        assert_int_equal(st_force(ctx, out, &err), ST_LIMIT);
        assert_non_null(strstr(err.message, "raise it with --memory"));
        st_ctx_set_memory(ctx, 1 << 30);
        st_ctx_cancel(ctx);
        assert_int_equal(st_force(ctx, out, &err), ST_CANCELLED);
        st_ctx_resume(ctx);
        assert_ok(st_force(ctx, out, &err));
        st_tensor_unref(t);
        st_tensor_unref(out);
    }
    free(x);
}

static st_status there_and_back(st_tensor *t)
{
    st_tensor *f = NULL, *out = NULL;
    st_status s = st_fft(ST_FFT_REAL, t, 2, 0, 1, &f, &err);
    if (s == ST_OK) s = st_fft(ST_FFT_TO_REAL, f, 2, t->shape[1], 1, &out, &err);
    if (s == ST_OK) s = st_force(ctx, out, &err);
    st_tensor_unref(f);
    st_tensor_unref(out);
    return s;
}

static void test_allocations_fail(void **state)
{
    double *x = noise(34 * 19, 9);
    st_tensor *t = tensor_of(ST_F32, 2, (int64_t[]){34, 19}, x, 34 * 19);
    (void)state;
    st_ctx_set_threads(ctx, 1);
    assert_ok(there_and_back(t));
    uint64_t used = st_memory_used();
    st_status s = ST_NOMEM;
    for (uint64_t at = 1; s != ST_OK; at++) {
        st_mem_fail_at(at, false);
        s = there_and_back(t);
        st_mem_fail_at(0, false);
        if (s != ST_OK) assert_int_equal(s, ST_NOMEM);
        assert_int_equal(st_memory_used(), used);
    }
    st_ctx_set_threads(ctx, 0);
    st_tensor_unref(t);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),           cmocka_unit_test(test_dimensions),
        cmocka_unit_test(test_threads),           cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_limits_and_cancel), cmocka_unit_test(test_allocations_fail),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
