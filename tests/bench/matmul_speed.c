/* matmul_speed.c - st_matmul against one bare call of OpenBLAS's sgemm on the same number of threads: best of several,
 * taken in turns. matmul_speed [threads [runs]] prints one line per shape, times in ms. */
#include "st.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef void (*gemm_fn)(const char *, const char *, const int *, const int *, const int *, const float *, const float *,
                        const int *, const float *, const int *, const float *, float *, const int *);

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void check(st_status s, const st_err *err)
{
    if (s == ST_OK) return;
    fprintf(stderr, "matmul_speed: %s\n", err->message);
    exit(1);
}

/* The same values as a plain array and as a tensor in memory. */
static float *values(st_ctx *ctx, int64_t rows, int64_t cols, uint64_t seed, st_tensor **t)
{
    st_err err;
    int64_t shape[2] = {rows, cols};
    float *v = malloc((size_t)(rows * cols) * sizeof *v);
    check(v ? ST_OK : ST_NOMEM, &(st_err){.message = "no memory"});
    check(st_randn(ST_F32, 2, shape, &(st_seed){.seed = seed}, t, &err), &err);
    check(st_export(ctx, *t, 0, (uint64_t)(rows * cols), ST_F32, v, &err), &err);
    st_tensor_unref(*t);
    check(st_tensor_new(ST_F32, 2, shape, v, (uint64_t)(rows * cols) * sizeof *v, t, &err), &err);
    return v;
}

static void compare(st_ctx *ctx, gemm_fn gemm, void (*set_threads)(int), int m, int n, int k, int runs)
{
    st_err err;
    st_tensor *a, *b, *c;
    const float one = 1, zero = 0;
    float *pa = values(ctx, m, k, 1, &a), *pb = values(ctx, k, n, 2, &b),
          *out = malloc((size_t)m * (size_t)n * sizeof *out);
    double bare = 1e9, ours = 1e9;
    check(st_matmul(a, b, &c, &err), &err);
    for (int i = 0; i < runs && out; i++) {
        set_threads((int)st_ctx_threads(ctx));
        double t = now();
        gemm("N", "N", &n, &m, &k, &one, pb, &n, pa, &k, &zero, out, &n);
        t = now() - t;
        if (t < bare) bare = t;
        set_threads(1);
        t = now();
        st_tensor *again;
        check(st_matmul(a, b, &again, &err), &err);
        check(st_force(ctx, again, &err), &err);
        t = now() - t;
        st_tensor_unref(again);
        if (t < ours) ours = t;
    }
    printf("%5d x %5d x %5d   bare %7.1f   matmul %7.1f   ratio %.3f   %.0f GFLOP/s\n", m, k, n, bare * 1e3, ours * 1e3,
           ours / bare, 2e-9 * m * n * k / ours);
    free(pa);
    free(pb);
    free(out);
    st_tensor_unref(a);
    st_tensor_unref(b);
    st_tensor_unref(c);
}

int main(int argc, char **argv)
{
    st_ctx *ctx;
    st_err err;
    void *blas = dlopen("libopenblas.so.0", RTLD_NOW);
    union {
        void *p;
        gemm_fn gemm;
        void (*set_threads)(int);
    } gemm, threads;
    gemm.p = blas ? dlsym(blas, "sgemm_") : NULL;
    threads.p = blas ? dlsym(blas, "openblas_set_num_threads") : NULL;
    if (!gemm.p || !threads.p) return fprintf(stderr, "matmul_speed: no OpenBLAS\n"), 1;
    check(st_ctx_new(&ctx, &err), &err);
    st_ctx_set_threads(ctx, argc > 1 ? (unsigned)atoi(argv[1]) : 2);
    int runs = argc > 2 ? atoi(argv[2]) : 7;
    static const int shapes[][3] = {
        {2048, 2048, 2048}, {4096, 2048, 2048}, {512, 4096, 4096}, {1000, 1000, 1000}, {256, 256, 256}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        compare(ctx, gemm.gemm, threads.set_threads, shapes[i][0], shapes[i][1], shapes[i][2], runs);
    st_ctx_free(ctx);
    return 0;
}
