/* kern_speed.c - speed of the kernels at every SIMD level, in cache: GB/s of bytes read and written.
 * make .build/bench/kern_speed; .build/bench/kern_speed [SUBSTRING] shows the kernels whose name holds it. */
#include "kern.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { N = 2048 }; /* the evaluator's block */

static _Alignas(64) unsigned char a[N * 8], b[N * 8], c[N * 8], out[N * 8];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds per call: the best of several runs of some milliseconds. */
static double seconds(st_kern_fn fn, const void *const src[3])
{
    double best = 1;
    for (int run = 0; run < 5; run++) {
        unsigned calls = 0;
        double start = now(), spent;
        do {
            for (int i = 0; i < 64; i++) fn(out, src, N);
            calls += 64;
            spent = now() - start;
        } while (spent < 0.002);
        if (spent / calls < best) best = spent / calls;
    }
    return best;
}

static const char *filter = "";

/* One line: a kernel of every level. `at` finds it in a level's table. */
static void line(const char *what, const char *of, const st_kern_fn *slot, const st_kernels *base, size_t bytes,
                 const void *const src[3])
{
    char name[64];
    snprintf(name, sizeof name, "%s %s", what, of);
    if (!*slot || !strstr(name, filter)) return;
    printf("%-24s", name);
    for (unsigned l = 0; st_kern_level(l); l++) {
        const st_kernels *k = st_kern_level(l);
        st_kern_fn fn;
        if (strcmp(what, "load") == 0) fn = k->load[slot - base->load];
        else if (strcmp(what, "store") == 0) fn = k->store[slot - base->store];
        else if (strcmp(what, "round") == 0) fn = k->round[slot - base->round];
        else if (strcmp(what, "clamp") == 0) fn = k->clamp[slot - base->clamp];
        else if (strcmp(what, "conv") == 0) fn = k->conv[0][slot - base->conv[0]];
        else fn = k->op[0][slot - base->op[0]];
        printf(" %10.1f", (double)bytes * N / seconds(fn, src) * 1e-9);
    }
    putchar('\n');
}

int main(int argc, char **argv)
{
    if (argc > 1) filter = argv[1];
    float *f = (float *)a, *g = (float *)b;
    const st_kernels *base = st_kern_level(0);
    static const char *const regs[] = {"F32", "F64", "I64", "U64", "B8"};
    static const char *const ops[] = {
#define X(id, name, arity, result) name,
        ST_OPS(X)
#undef X
    };
    static const int arity[] = {
#define X(id, name, n, result) n,
        ST_OPS(X)
#undef X
    };
    printf("%-24s", "GB/s");
    for (unsigned l = 0; st_kern_level(l); l++) printf(" %10s", st_kern_level(l)->name);
    putchar('\n');

    const void *src[3] = {a, b, c};
    for (int d = 0; d < ST_DTYPE_COUNT; d++) {
        st_reg r = st_dtype_reg((st_dtype)d);
        if (r == ST_R_NONE) continue;
        size_t reg = st_reg_size(r), raw = st_dtype_bits((st_dtype)d) / 8;
        for (int i = 0; i < N * 8; i++) a[i] = (unsigned char)(i * 37 & 0x3f);
        line("load", st_dtype_name((st_dtype)d), &base->load[d], base, reg + raw, src);
        for (int i = 0; i < N; i++) {
            f[i] = (float)i * 0.01f;
            if (r == ST_R_F64) ((double *)a)[i] = f[i];
        }
        line("store", st_dtype_name((st_dtype)d), &base->store[d], base, reg + raw, src);
        line("round", st_dtype_name((st_dtype)d), &base->round[d], base, 2 * reg, src);
        line("clamp", st_dtype_name((st_dtype)d), &base->clamp[d], base, 2 * reg, src);
    }
    for (int r = 0; r < ST_REG_COUNT; r++) {
        size_t size = st_reg_size((st_reg)r);
        for (int i = 0; i < N; i++) {
            if (r == ST_R_F32) f[i] = (float)(i % 64 + 1) * 0.1f, g[i] = (float)(i % 7) * 0.5f;
            else if (r == ST_R_F64) ((double *)a)[i] = (i % 64 + 1) * 0.1, ((double *)b)[i] = (i % 7) * 0.5;
            else if (r == ST_R_B8) a[i] = i & 1, b[i] = i >> 1 & 1;
            else ((int64_t *)a)[i] = i, ((int64_t *)b)[i] = i % 7;
            c[i] = i & 1;
        }
        for (int t = 0; t < ST_REG_COUNT; t++) {
            char of[16];
            snprintf(of, sizeof of, "%s-%s", regs[r], regs[t]);
            line("conv", of, &base->conv[r][t], base, size + st_reg_size((st_reg)t), src);
        }
        for (int o = 0; o < ST_OP_COUNT; o++) {
            const void *where[3] = {c, a, b};
            size_t result = o >= ST_OP_EQ && o <= ST_OP_GE ? 1 : size;
            size_t read = o == ST_OP_WHERE ? 1 + 2 * size : (size_t)arity[o] * size;
            line(ops[o], regs[r], &base->op[o][r], base, read + result, o == ST_OP_WHERE ? where : src);
        }
    }
    return 0;
}
