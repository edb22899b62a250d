/* test_reduce.c - reductions: against the obvious sums, the same bits on any number of threads and at any SIMD level,
 * one pass for several, and no more memory than tiles. */
#include "fixture.h"

#include "eval.h"
#include "kern.h"
#include "mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const int64_t lengths[] = {0, 1, 2, 15, 16, 17, 2047, 2048, 2049, 4096, 131071, 131072, 131073, 300001};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static float value_at(rng *r) { return (float)((double)(int64_t)(rng_next(r) >> 20) / (double)(1ull << 42) - 1.0); }

static float *random_floats(uint64_t seed, int64_t n)
{
    rng r = {seed};
    float *v = malloc((size_t)n * sizeof *v + 1);
    for (int64_t i = 0; i < n; i++) v[i] = value_at(&r);
    return v;
}

static st_tensor *tensor_of(st_dtype d, const void *v, int64_t n)
{
    st_tensor *t = NULL;
    assert_ok(st_tensor_new(d, 1, &n, v, (uint64_t)n * (st_dtype_bits(d) / 8), &t, &err));
    return t;
}

static st_tensor *reduced(st_reduction what, st_tensor *t, double p)
{
    st_tensor *out = NULL;
    assert_ok(st_reduce(what, t, &(st_reduce_opts){.correction = 1, .p = p}, &out, &err));
    return out;
}

/* The value of a tensor without dimensions, which is freed. */
static double number(st_tensor *t)
{
    double v = 0;
    assert_int_equal(t->numel, 1);
    assert_ok(st_export(ctx, t, 0, 1, ST_F64, &v, &err));
    st_tensor_unref(t);
    return v;
}

static void assert_near(double got, double want, double tolerance)
{
    if (got != got && want != want) return;
    if (!(fabs(got - want) <= tolerance * (fabs(want) + 1e-300))) fail_msg("%.17g instead of %.17g", got, want);
}

/* ---------------------------------------------------------------- values */

static void check_floats(int64_t n)
{
    float *v = random_floats(7, n);
    st_tensor *t = tensor_of(ST_F32, v, n);
    long double sum = 0, squares = 0, size = 0, spread = 0;
    int64_t least = 0, most = 0, nonzero = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += v[i];
        squares += (long double)v[i] * v[i];
        size += fabsf(v[i]);
        nonzero += v[i] != 0;
        if (v[i] < v[least]) least = i;
        if (v[i] > v[most]) most = i;
    }
    for (int64_t i = 0; i < n; i++) spread += (v[i] - sum / n) * (v[i] - sum / n);
    double many = (double)n;
    assert_true(fabs(number(reduced(ST_RED_SUM, t, 2)) - (double)sum) <= 1e-14 * (double)size);
    assert_near(number(reduced(ST_RED_NORM, t, 2)), sqrt((double)squares), 1e-14);
    assert_near(number(reduced(ST_RED_NORM, t, 1)), (double)size, 1e-14);
    assert_near(number(reduced(ST_RED_NORM, t, 0)), (double)nonzero, 0);
    assert_near(number(reduced(ST_RED_COUNT_NONZERO, t, 2)), (double)nonzero, 0);
    assert_near(number(reduced(ST_RED_VAR, t, 2)), n > 1 ? (double)spread / (many - 1) : NAN, 1e-13);
    if (n > 0) {
        assert_near(number(reduced(ST_RED_MIN, t, 2)), v[least], 0);
        assert_near(number(reduced(ST_RED_MAX, t, 2)), v[most], 0);
        assert_near(number(reduced(ST_RED_ARGMIN, t, 2)), (double)least, 0);
        assert_near(number(reduced(ST_RED_ARGMAX, t, 2)), (double)most, 0);
    }
    st_tensor_unref(t);
    free(v);
}

static void test_values(void **state)
{
    (void)state;
    for (int i = 0; i < LENGTHS; i++) check_floats(lengths[i]);
}

static void test_nothing(void **state)
{
    (void)state;
    st_tensor *t = tensor_of(ST_F32, "", 0), *out = NULL;
    assert_near(number(reduced(ST_RED_SUM, t, 2)), 0, 0);
    assert_near(number(reduced(ST_RED_PROD, t, 2)), 1, 0);
    assert_near(number(reduced(ST_RED_MEAN, t, 2)), NAN, 0);
    assert_near(number(reduced(ST_RED_STD, t, 2)), NAN, 0);
    assert_near(number(reduced(ST_RED_ANY, t, 2)), 0, 0);
    assert_near(number(reduced(ST_RED_ALL, t, 2)), 1, 0);
    st_reduction refused[] = {ST_RED_MIN, ST_RED_MAX, ST_RED_ARGMIN, ST_RED_ARGMAX};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(st_reduce(refused[i], t, NULL, &out, &err), ST_SHAPE);
        assert_null(out);
        assert_non_null(strstr(err.message, "no elements"));
    }
    assert_int_equal(st_median(t, &out, &err), ST_SHAPE);
    assert_int_equal(st_kth(t, 0, &out, &err), ST_ARG);
    st_tensor_unref(t);
}

/* One NaN anywhere is the least and the greatest; the first of several is the one that is found. */
static void test_nan(void **state)
{
    (void)state;
    for (int64_t at = 0; at < 6000; at += 997) {
        float *v = random_floats(3, 6000);
        v[at] = v[5999] = NAN;
        st_tensor *t = tensor_of(ST_F32, v, 6000);
        assert_near(number(reduced(ST_RED_MIN, t, 2)), NAN, 0);
        assert_near(number(reduced(ST_RED_MAX, t, 2)), NAN, 0);
        assert_near(number(reduced(ST_RED_NORM, t, INFINITY)), NAN, 0);
        assert_near(number(reduced(ST_RED_ARGMAX, t, 2)), (double)at, 0);
        assert_near(number(reduced(ST_RED_ARGMIN, t, 2)), (double)at, 0);
        st_tensor_unref(t);
        free(v);
    }
}

static void test_integers(void **state)
{
    (void)state;
    int64_t n = 5000, want = 0;
    uint64_t product = 1;
    int64_t *v = malloc((size_t)n * 8);
    rng r = {5};
    for (int64_t i = 0; i < n; i++) {
        v[i] = (int64_t)rng_next(&r);
        want = (int64_t)((uint64_t)want + (uint64_t)v[i]);
        product *= (uint64_t)(v[i] | 1);
    }
    st_tensor *t = tensor_of(ST_I64, v, n), *sum = reduced(ST_RED_SUM, t, 2), *out = NULL;
    int64_t got;
    assert_int_equal(sum->dtype, ST_I64);
    assert_ok(st_export(ctx, sum, 0, 1, ST_I64, &got, &err));
    assert_true(got == want);
    for (int64_t i = 0; i < n; i++) v[i] |= 1;
    st_tensor *odd = tensor_of(ST_I64, v, n), *prod = reduced(ST_RED_PROD, odd, 2);
    assert_ok(st_export(ctx, prod, 0, 1, ST_I64, &got, &err));
    assert_true((uint64_t)got == product);
    assert_int_equal(st_reduce(ST_RED_MEAN, t, NULL, &out, &err), ST_DTYPE);
    assert_int_equal(st_reduce(ST_RED_STD, t, NULL, &out, &err), ST_DTYPE);
    st_tensor *all[] = {t, sum, odd, prod};
    for (int i = 0; i < 4; i++) st_tensor_unref(all[i]);
    free(v);
}

/* Large equal values with small differences: sums of squares would lose them all. */
static void test_variance_keeps_its_digits(void **state)
{
    (void)state;
    enum { N = 200000 };
    double *v = malloc(N * sizeof *v);
    for (int i = 0; i < N; i++) v[i] = 1e9 + i % 3;
    st_tensor *t = tensor_of(ST_F64, v, N);
    double mean = 0, want = 0;
    for (int i = 0; i < N; i++) mean += (double)(i % 3) / N;
    for (int i = 0; i < N; i++) want += (i % 3 - mean) * (i % 3 - mean);
    assert_near(number(reduced(ST_RED_VAR, t, 2)), want / (N - 1), 1e-9);
    st_tensor_unref(t);
    free(v);
}

/* ---------------------------------------------------------------- the same bits */

/* Everything there is, over a row that is cut into several segments, as one list of numbers. */
static void measure(st_tensor *t, st_tensor *u, double out[24])
{
    int n = 0;
    st_tensor *dot = NULL, *median = NULL, *q = NULL;
    for (int what = 0; what < ST_RED_DOT; what++) out[n++] = number(reduced((st_reduction)what, t, 2));
    out[n++] = number(reduced(ST_RED_NORM, t, 3));
    out[n++] = number(reduced(ST_RED_NORM, t, INFINITY));
    assert_ok(st_dot(t, u, &dot, &err));
    out[n++] = number(dot);
    assert_ok(st_median(t, &median, &err));
    out[n++] = number(median);
    assert_ok(st_quantile(t, (double[]){0.123}, 1, true, ST_IP_LINEAR, &q, &err));
    out[n++] = number(q);
}

static void test_threads_give_the_same_bits(void **state)
{
    (void)state;
    enum { N = 700001 };
    float *v = random_floats(1, N), *w = random_floats(2, N);
    st_tensor *t = tensor_of(ST_F32, v, N), *u = tensor_of(ST_F32, w, N);
    double want[24] = {0}, got[24] = {0};
    st_ctx_set_threads(ctx, 1);
    measure(t, u, want);
    for (unsigned threads = 2; threads <= 16; threads++) {
        st_ctx_set_threads(ctx, threads);
        measure(t, u, got);
        if (memcmp(got, want, sizeof got) != 0) fail_msg("%u threads give other bits than one", threads);
    }
    st_ctx_set_threads(ctx, 0);
    st_tensor_unref(t);
    st_tensor_unref(u);
    free(v);
    free(w);
}

/* All the same but which NaN it is: that is decided at the end. */
static bool same_partial(st_reg reg, st_partial a, st_partial b)
{
    bool floats = reg == ST_R_F32 || reg == ST_R_F64;
    if (floats && a.f != a.f && b.f != b.f) a.f = b.f = 0;
    if (floats && a.squares != a.squares && b.squares != b.squares) a.squares = b.squares = 0;
    return memcmp(&a, &b, sizeof a) == 0;
}

static void check_fold(st_fold fold, st_reg reg, const void *x, const void *y, size_t n)
{
    st_partial want, got;
    for (unsigned level = 0; st_kern_level(level); level++) {
        st_fold_fn fn = st_kern_level(level)->fold[fold][reg];
        if (!fn) return;
        memset(&got, 0, sizeof got);
        fn(&got, x, y, n, 100);
        fn(&got, x, y, n, 100 + n);
        if (level == 0) want = got;
        if (!same_partial(reg, got, want))
            fail_msg("%s: fold %d of class %d, %zu elements, differs", st_kern_level(level)->name, (int)fold, (int)reg,
                     n);
    }
}

/* Several folds in one. */
static void check_joint(bool summary, st_reg reg, const void *x, const void *y, size_t n)
{
    static const st_fold folds[2][ST_JOINT_MOST] = {{ST_F_SUMSQ, ST_F_SUMSQ, ST_F_DOT},
                                                    {ST_F_SUM, ST_F_SUMSQ, ST_F_MIN, ST_F_MAX}};
    for (unsigned level = 0; st_kern_level(level); level++) {
        const st_kernels *k = st_kern_level(level);
        st_joint_fn fn = (summary ? k->summary : k->gram)[reg];
        st_partial want[ST_JOINT_MOST] = {{.f = 3}, {.f = 5}, {.f = -7}, {.f = 9}}, got[ST_JOINT_MOST];
        assert_int_equal(fn != NULL, reg == ST_R_F32);
        if (!fn) continue;
        memcpy(got, want, sizeof got);
        fn((st_partial *[]){&got[0], &got[1], &got[2], &got[3]}, x, y, n);
        for (int i = 0; i < (summary ? 4 : 3); i++) {
            st_kern_level(0)->fold[folds[summary][i]][reg](&want[i], !summary && i == 1 ? y : x, y, n, 0);
            assert_true(same_partial(reg, got[i], want[i]));
        }
    }
}

/* What products and sums of F32 may stumble over: signs, the smallest and the largest; in some rounds no number. */
static float odd_value(rng *r, int round)
{
    static const uint32_t bits[] = {0, 0x80000000, 1, 0x807fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x3f800001};
    static const uint32_t none[] = {0x7f800000, 0xff800000, 0x7fc00001, 0xff800001};
    bool number = round % 3 || rng_below(r, 50);
    uint32_t b = number ? bits[rng_below(r, 8)] : none[rng_below(r, 4)];
    float f;
    memcpy(&f, &b, sizeof f);
    return rng_below(r, 4) ? value_at(r) : f;
}

/* NaN and infinities included. Only the value of a NaN is compared: which one it is is decided at the end. */
static void test_levels_give_the_same_bits(void **state)
{
    (void)state;
    static _Alignas(8) unsigned char x[2048 * 8], y[2048 * 8];
    rng r = {9};
    for (int round = 0; round < 60; round++) {
        size_t n = round < 40 ? 1 + rng_below(&r, 2048) : 1 + (size_t)(round - 40);
        for (int reg = 0; reg < ST_REG_COUNT; reg++) {
            for (size_t i = 0; i < n; i++) {
                float f = round % 2 ? value_at(&r) : odd_value(&r, round), g = odd_value(&r, round + 1);
                double d = value_at(&r) * 1e3, e = odd_value(&r, round);
                uint64_t a = rng_next(&r), b = rng_next(&r);
                if (reg == ST_R_F32) memcpy(x + 4 * i, &f, 4), memcpy(y + 4 * i, &g, 4);
                if (reg == ST_R_F64) memcpy(x + 8 * i, &d, 8), memcpy(y + 8 * i, &e, 8);
                if (reg == ST_R_I64 || reg == ST_R_U64) memcpy(x + 8 * i, &a, 8), memcpy(y + 8 * i, &b, 8);
                if (reg == ST_R_B8) x[i] = a & 1;
            }
            for (int fold = 0; fold < ST_FOLD_COUNT; fold++) check_fold((st_fold)fold, (st_reg)reg, x, y, n);
            for (int which = 0; which < 2; which++) check_joint(which, (st_reg)reg, x, y, n);
        }
    }
}

/* BF16 folded as it lies, at any address, gives what it gives widened. */
static void test_raw_bf16(void **state)
{
    (void)state;
    static unsigned char raw[2048 * 2 + 1];
    static float x[2048];
    rng r = {10};
    for (int round = 0; round < 80; round++) {
        size_t n = round < 40 ? 1 + rng_below(&r, 2048) : 1 + (size_t)(round - 40);
        for (size_t i = 0; i < n; i++) {
            uint16_t bits = (uint16_t)rng_next(&r); /* every second round without Inf and NaN */
            if (round % 2 && (bits & 0x7f80) == 0x7f80) bits &= 0xbfff;
            uint32_t wide = (uint32_t)bits << 16;
            memcpy(raw + 1 + 2 * i, &bits, 2);
            memcpy(&x[i], &wide, 4);
        }
        for (int fold = 0; fold < ST_FOLD_COUNT; fold++)
            for (unsigned l = 0; st_kern_level(l); l++) {
                st_partial want = {.f = 3}, got = want;
                if (!st_kern_level(l)->fold_bf16[fold]) continue;
                st_kern_level(0)->fold[fold][ST_R_F32](&want, x, NULL, n, 0);
                st_kern_level(l)->fold_bf16[fold](&got, raw + 1, NULL, n, 0);
                assert_int_equal(got.n, want.n);
                if (want.f == want.f || got.f == got.f) assert_memory_equal(&got.f, &want.f, sizeof got.f);
            }
    }
}

/* Blocks folded side by side, into places apart from one another, give what each gives by itself. */
static void test_abreast(void **state)
{
    (void)state;
    enum { APART = 3, BLOCKS = ST_FOLD_ABREAST * APART, N = BLOCKS * ST_FOLD_BLOCK };
    float *f = random_floats(11, N);
    double *d = malloc(N * sizeof *d);
    for (int i = 0; i < N; i++) d[i] = f[i] * 1e3;
    for (int fold = 0; fold < ST_FOLD_COUNT; fold++)
        for (int reg = 0; reg < ST_REG_COUNT; reg++)
            for (unsigned l = 0; st_kern_level(l); l++) {
                st_partial got[BLOCKS];
                size_t bytes = ST_FOLD_BLOCK * st_reg_size((st_reg)reg);
                const char *x = reg == ST_R_F32 ? (char *)f : (char *)d;
                st_fold_abreast_fn fn = st_kern_level(l)->fold_abreast[fold][reg];
                bool sums = fold == ST_F_SUM || fold == ST_F_SUMABS || fold == ST_F_SUMSQ;
                assert_int_equal(fn != NULL, sums && (reg == ST_R_F32 || reg == ST_R_F64));
                if (!fn) continue;
                for (size_t k = 0; k < APART; k++) fn(got + k, x + k * bytes, APART);
                for (size_t k = 0; k < BLOCKS; k++) {
                    st_partial want = {.f = 0};
                    st_kern_level(0)->fold[fold][reg](&want, x + k * bytes, NULL, ST_FOLD_BLOCK, 0);
                    assert_int_equal(got[k].n, want.n);
                    assert_memory_equal(&got[k].f, &want.f, sizeof want.f);
                }
            }
    free(f);
    free(d);
}

static st_tensor *op2(st_op op, st_tensor *a, st_tensor *b)
{
    st_tensor *t = NULL;
    assert_ok(st_apply(op, (st_tensor *[]){a, b}, &t, &err));
    return t;
}

/* What lies in memory is folded side by side, what is computed block after block: the same bits. */
static void test_computed_gives_the_same_bits(void **state)
{
    (void)state;
    enum { N = 700001 };
    float *f = random_floats(12, N);
    double *d = malloc(N * sizeof *d);
    for (int i = 0; i < N; i++) d[i] = f[i] / 3.0;
    for (int round = 0; round < 2; round++)
        for (int64_t n = N; n > 100; n /= 2) {
            st_tensor *t = round ? tensor_of(ST_F64, d, n) : tensor_of(ST_F32, f, n);
            st_tensor *neg = op2(ST_OP_NEG, t, NULL), *same = op2(ST_OP_NEG, neg, NULL);
            const st_reduction what[] = {ST_RED_SUM, ST_RED_MEAN, ST_RED_NORM};
            for (int i = 0; i < 3; i++)
                for (int p = 1; p <= 2; p++) {
                    double lying = number(reduced(what[i], t, p)), computed = number(reduced(what[i], same, p));
                    assert_memory_equal(&lying, &computed, sizeof lying);
                }
            st_tensor_unref(same);
            st_tensor_unref(neg);
            st_tensor_unref(t);
        }
    free(f);
    free(d);
}

/* ---------------------------------------------------------------- one pass */

static st_tensor *of_source(mem_source *m, st_dtype d, int64_t n)
{
    st_tensor *t = NULL;
    assert_ok(st_tensor_range(&m->base, 0, d, 1, &n, "x", 1, NULL, &t, &err));
    return t;
}

/* dot / (|a| |b|) and the mean of a in one expression reads each of a and b as often as the sum of a alone reads a. */
static void test_one_pass_for_several(void **state)
{
    (void)state;
    enum { N = 400000 };
    float *v = random_floats(1, N), *w = random_floats(2, N);
    mem_source *ma = mem_source_new(v, N * 4), *mb = mem_source_new(w, N * 4);
    st_tensor *a = of_source(ma, ST_F32, N), *b = of_source(mb, ST_F32, N), *dot = NULL;
    assert_ok(st_dot(a, b, &dot, &err));
    st_tensor *na = reduced(ST_RED_NORM, a, 2), *nb = reduced(ST_RED_NORM, b, 2), *mean = reduced(ST_RED_MEAN, a, 2);
    st_tensor *product = op2(ST_OP_MUL, na, nb), *cosine = op2(ST_OP_DIV, dot, product);
    st_tensor *all = op2(ST_OP_ADD, cosine, mean);
    /* The reads of one pass: as many as a program over a and b makes. */
    st_tensor *both = NULL;
    assert_ok(st_dot(a, b, &both, &err));
    number(both);
    uint64_t ra = ma->reads, rb = mb->reads;
    double got = number(st_tensor_ref(all));
    assert_true(ma->reads - ra == ra);
    assert_true(mb->reads - rb == rb);
    /* The values are there now. */
    number(st_tensor_ref(all));
    assert_true(ma->reads == 2 * ra);
    double xy = 0, xx = 0, yy = 0, sum = 0;
    for (int i = 0; i < N; i++) {
        xy += (double)v[i] * w[i];
        xx += (double)v[i] * v[i];
        yy += (double)w[i] * w[i];
        sum += v[i];
    }
    assert_near(got, xy / sqrt(xx * yy) + sum / N, 1e-9);
    st_tensor *every[] = {a, b, dot, na, nb, mean, product, cosine, all};
    for (int i = 0; i < 9; i++) st_tensor_unref(every[i]);
    st_source_unref(&ma->base);
    st_source_unref(&mb->base);
    free(v);
    free(w);
}

/* A dot product brings its operands' norms along where they are asked for, each norm once: as each by itself. */
static void test_norms_beside_products(void **state)
{
    (void)state;
    enum { N = 300001 };
    float *v = random_floats(21, N), *w = random_floats(22, N);
    st_tensor *a = tensor_of(ST_F32, v, N), *b = tensor_of(ST_F32, w, N);
    st_tensor *const pairs[][2] = {{a, b}, {b, a}, {a, a}, {a, b}};
    st_tensor *t[8], *alone[8];
    for (int round = 0; round < 2; round++) {
        st_tensor **to = round ? t : alone;
        for (int i = 0; i < 4; i++) assert_ok(st_dot(pairs[i][0], pairs[i][1], &to[i], &err));
        for (int i = 0; i < 4; i++) to[4 + i] = reduced(ST_RED_NORM, i % 2 ? b : a, 2);
        if (round) assert_ok(st_force_all(ctx, t, 8, &err));
    }
    for (int i = 0; i < 8; i++) {
        double one = number(alone[i]), together = number(t[i]);
        assert_memory_equal(&one, &together, sizeof one);
    }
    st_tensor_unref(a);
    st_tensor_unref(b);
    free(v);
    free(w);
}

/* The values of a tensor, which is freed. */
static double *numbers(st_tensor *t)
{
    double *v = malloc(t->numel * sizeof *v);
    assert_ok(st_export(ctx, t, 0, t->numel, ST_F64, v, &err));
    st_tensor_unref(t);
    return v;
}

/* What `stats` asks of a tensor is folded in one look, each number with the bits that it has alone; also where there
 * are NaN, in rows and down columns. */
static void test_summaries(void **state)
{
    (void)state;
    enum { ROWS = 3, N = 100003, ASKED = 10 };
    static const st_reduction what[ASKED] = {ST_RED_MAX, ST_RED_MEAN, ST_RED_MIN,  ST_RED_NORM, ST_RED_SUM,
                                             ST_RED_MAX, ST_RED_MEAN, ST_RED_NORM, ST_RED_MIN,  ST_RED_ARGMAX};
    for (int round = 0; round < 3; round++) {
        float *v = random_floats(31, ROWS * N);
        if (round == 1) v[N + 7] = (float)NAN;
        st_tensor *a = tensor_of(ST_F32, v, ROWS * N), *rows, *t[ASKED + 1];
        assert_ok(st_reshape(a, 2, (int64_t[]){ROWS, N}, &rows, &err));
        st_tensor_unref(a);
        const st_reduce_opts o = {.ndims = 1, .dims = (int[]){round < 2}, .p = 2};
        for (int i = 0; i < ASKED; i++) assert_ok(st_reduce(what[i], rows, &o, &t[i], &err));
        assert_ok(st_force_all(ctx, t, ASKED, &err));
        for (int i = 0; i < ASKED; i++) {
            size_t bytes = t[i]->numel * sizeof(double);
            assert_ok(st_reduce(what[i], rows, &o, &t[ASKED], &err));
            double *together = numbers(t[i]), *alone = numbers(t[ASKED]);
            assert_memory_equal(together, alone, bytes);
            free(together);
            free(alone);
        }
        st_tensor_unref(rows);
        free(v);
    }
}

/* A reduction of something that hangs on another reduction takes a second pass, and one more for the result itself. */
static void test_passes_in_order(void **state)
{
    (void)state;
    enum { N = 300000 };
    float *v = random_floats(4, N);
    mem_source *m = mem_source_new(v, N * 4);
    st_tensor *a = of_source(m, ST_F32, N), *mean = reduced(ST_RED_MEAN, a, 2), *most = reduced(ST_RED_MAX, a, 2);
    st_tensor *centred = op2(ST_OP_SUB, a, mean), *norm = reduced(ST_RED_NORM, centred, 2);
    st_tensor *scaled = op2(ST_OP_DIV, centred, norm), *out = op2(ST_OP_MUL, scaled, most);
    float *got = malloc(N * sizeof *got);
    number(reduced(ST_RED_SUM, a, 2));
    uint64_t pass = m->reads;
    assert_ok(st_export(ctx, out, 0, N, ST_F32, got, &err));
    assert_true(m->reads - pass <= 3 * pass);
    double sum = 0, squares = 0, top = -1;
    for (int i = 0; i < N; i++) sum += v[i];
    for (int i = 0; i < N; i++) {
        squares += (v[i] - sum / N) * (v[i] - sum / N);
        if (v[i] > top) top = v[i];
    }
    for (int i = 0; i < N; i += 1000) assert_true(fabs(got[i] - (v[i] - sum / N) / sqrt(squares) * top) < 1e-6);
    st_tensor *every[] = {a, mean, most, centred, norm, scaled, out};
    for (int i = 0; i < 7; i++) st_tensor_unref(every[i]);
    st_source_unref(&m->base);
    free(v);
    free(got);
}

/* A hundred million elements, of which only a hundred are stored: nothing of that size may be held. */
static void test_memory_is_tiles(void **state)
{
    (void)state;
    int64_t n = 100, wide[2] = {1000000, 100};
    float *v = random_floats(6, n);
    st_tensor *t = tensor_of(ST_F32, v, n), *big = NULL, *sum, *q = NULL;
    double want = 0;
    for (int i = 0; i < n; i++) want += v[i];
    assert_ok(st_expand(t, 2, wide, &big, &err));
    uint64_t before = st_memory_used();
    st_ctx_set_threads(ctx, 2);
    st_ctx_set_memory(ctx, 1 << 20);
    sum = reduced(ST_RED_SUM, big, 2);
    assert_near(number(sum), want * 1e6, 1e-9);
    assert_ok(st_quantile(big, (double[]){0}, 1, true, ST_IP_LINEAR, &q, &err));
    number(q);
    st_ctx_set_memory(ctx, 1u << 30);
    st_ctx_set_threads(ctx, 0);
    assert_true(st_memory_used() <= before + 4096);
    assert_true(st_memory_peak() < 24u << 20);
    st_tensor_unref(big);
    st_tensor_unref(t);
    free(v);
}

/* ---------------------------------------------------------------- rows */

/* Rows of every length around the blocks give what each row alone gives, to the bit. */
static void test_rows_are_reduced_alike(void **state)
{
    (void)state;
    static const int64_t rows_of[] = {1, 3, 2047, 2048, 2049, 40000, 140000};
    for (int i = 0; i < 7; i++) {
        int64_t len = rows_of[i], shape[2] = {3, len};
        float *v = random_floats(8, 3 * len);
        st_tensor *t = NULL, *sums = NULL;
        assert_ok(st_tensor_new(ST_F32, 2, shape, v, (uint64_t)(3 * len) * 4, &t, &err));
        int dim = 1;
        assert_ok(st_reduce(ST_RED_NORM, t, &(st_reduce_opts){.dims = &dim, .ndims = 1, .p = 2}, &sums, &err));
        assert_int_equal(sums->dtype, ST_F32);
        float got[3];
        assert_ok(st_export(ctx, sums, 0, 3, ST_F32, got, &err));
        for (int r = 0; r < 3; r++) {
            st_tensor *row = tensor_of(ST_F32, v + r * len, len);
            assert_true(got[r] == (float)number(reduced(ST_RED_NORM, row, 2)));
            st_tensor_unref(row);
        }
        st_tensor_unref(sums);
        st_tensor_unref(t);
        free(v);
    }
}

/* Both evaluators, through an expression that goes on with the results. */
static void test_plain_equals_fused(void **state)
{
    (void)state;
    int64_t shape[3] = {5, 300, 7};
    float *v = random_floats(11, 5 * 300 * 7);
    st_tensor *t = NULL;
    assert_ok(st_tensor_new(ST_F32, 3, shape, v, 5 * 300 * 7 * 4, &t, &err));
    for (int what = 0; what < ST_RED_DOT; what++)
        for (int dim = 0; dim < 3; dim++) {
            st_tensor *r = NULL;
            st_reduce_opts o = {.dims = &dim, .ndims = what == ST_RED_ARGMIN ? 1 : dim > 0, .keepdim = true, .p = 2};
            assert_ok(st_reduce((st_reduction)what, t, &o, &r, &err));
            st_tensor *sum = op2(ST_OP_ADD, t, r);
            size_t bytes = st_tensor_nbytes(sum);
            void *a = malloc(bytes), *b = malloc(bytes);
            assert_ok(st_export_plain(ctx, sum, a, &err));
            assert_ok(st_export(ctx, sum, 0, sum->numel, sum->dtype, b, &err));
            assert_memory_equal(a, b, bytes);
            st_tensor_unref(sum);
            st_tensor_unref(r);
            free(a);
            free(b);
        }
    st_tensor_unref(t);
    free(v);
}

/* ---------------------------------------------------------------- selection and order */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void check_selection(st_dtype d, int64_t n)
{
    float *v = random_floats((uint64_t)n, n);
    st_tensor *f = tensor_of(ST_F32, v, n), *t = NULL, *thousand = NULL, *scaled = NULL;
    double *sorted = malloc((size_t)n * sizeof *sorted);
    assert_ok(st_number(1000, &thousand, &err));
    scaled = op2(ST_OP_MUL, f, thousand);
    assert_ok(st_cast(scaled, d, false, &t, &err));
    assert_ok(st_export(ctx, t, 0, (uint64_t)n, ST_F64, sorted, &err));
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    for (int64_t k = 0; k < n; k += 1 + n / 5) {
        st_tensor *kth = NULL;
        assert_ok(st_kth(t, k, &kth, &err));
        assert_true(number(kth) == sorted[k]);
    }
    st_tensor *places = NULL, *taken = NULL;
    double *got = malloc((size_t)n * sizeof *got);
    assert_ok(st_order(t, 0, 0, n, false, &places, &err));
    assert_ok(st_take(t, 0, places, &taken, &err));
    assert_ok(st_export(ctx, taken, 0, (uint64_t)n, ST_F64, got, &err));
    assert_memory_equal(got, sorted, (size_t)n * sizeof *got);
    st_tensor *every[] = {f, t, thousand, scaled, places, taken};
    for (int i = 0; i < 6; i++) st_tensor_unref(every[i]);
    free(v);
    free(sorted);
    free(got);
}

static void test_selection(void **state)
{
    (void)state;
    static const st_dtype dtypes[] = {ST_F32, ST_F64, ST_BF16, ST_F16, ST_I64, ST_I8, ST_U8, ST_F8_E4M3};
    for (int d = 0; d < 8; d++)
        for (int i = 1; i < LENGTHS - 3; i++) check_selection(dtypes[d], lengths[i]);
}

/* Equal keys keep their order, forwards and backwards. */
static void test_sorting_is_stable(void **state)
{
    (void)state;
    enum { N = 5000 };
    uint8_t v[N];
    int64_t places[N];
    rng r = {12};
    for (int i = 0; i < N; i++) v[i] = (uint8_t)rng_below(&r, 7);
    st_tensor *t = tensor_of(ST_U8, v, N);
    for (int down = 0; down < 2; down++) {
        st_tensor *order = NULL;
        assert_ok(st_order(t, 0, 0, N, down, &order, &err));
        assert_ok(st_export(ctx, order, 0, N, ST_I64, places, &err));
        for (int i = 1; i < N; i++) {
            int a = v[places[i - 1]], b = v[places[i]];
            assert_true(down ? a >= b : a <= b);
            assert_true(a != b || places[i - 1] < places[i]);
        }
        st_tensor_unref(order);
    }
    st_tensor_unref(t);
}

static void test_misuse(void **state)
{
    (void)state;
    float v[6] = {0};
    int64_t shape[2] = {2, 3};
    int twice[2] = {1, 1}, far = 2;
    st_tensor *t = NULL, *out = NULL, *flat = tensor_of(ST_F32, v, 5);
    assert_ok(st_tensor_new(ST_F32, 2, shape, v, sizeof v, &t, &err));
    assert_int_equal(st_reduce(ST_RED_SUM, t, &(st_reduce_opts){.dims = twice, .ndims = 2}, &out, &err), ST_ARG);
    assert_int_equal(st_reduce(ST_RED_SUM, t, &(st_reduce_opts){.dims = &far, .ndims = 1}, &out, &err), ST_ARG);
    assert_int_equal(st_dot(t, flat, &out, &err), ST_SHAPE);
    assert_int_equal(st_order(t, 2, 0, 1, false, &out, &err), ST_ARG);
    assert_int_equal(st_order(t, 1, 0, 4, false, &out, &err), ST_ARG);
    assert_int_equal(st_order(t, 1, INT64_MAX, INT64_MAX, false, &out, &err), ST_ARG);
    assert_int_equal(st_kth(t, 6, &out, &err), ST_ARG);
    assert_int_equal(st_kth(t, -1, &out, &err), ST_ARG);
    assert_int_equal(st_quantile(t, (double[]){1.5}, 1, true, ST_IP_LINEAR, &out, &err), ST_ARG);
    assert_int_equal(st_quantile(t, (double[]){NAN}, 1, true, ST_IP_LINEAR, &out, &err), ST_ARG);
    assert_int_equal(st_histogram(t, 0, 0, 1, &out, &err), ST_ARG);
    assert_int_equal(st_histogram(t, 3, 2, 1, &out, &err), ST_ARG);
    assert_int_equal(st_take(t, 1, flat, &out, &err), ST_SHAPE);
    assert_null(out);
    /* An index that lies outside is found when it is used. */
    int64_t places[4] = {0, 1, 2, 3}, two[2] = {2, 2};
    st_tensor *p = NULL;
    assert_ok(st_tensor_new(ST_I64, 2, two, places, sizeof places, &p, &err));
    assert_ok(st_take(t, 1, p, &out, &err));
    assert_int_equal(st_export(ctx, out, 0, 4, ST_F32, v, &err), ST_ARG);
    st_tensor *every[] = {t, flat, p, out};
    for (int i = 0; i < 4; i++) st_tensor_unref(every[i]);
}

/* Any allocation may fail: an error, and nothing lost. */
static void test_memory_may_run_out(void **state)
{
    (void)state;
    enum { N = 5000 };
    float *v = random_floats(1, N);
    uint64_t before = st_memory_used();
    st_ctx_set_threads(ctx, 1);
    for (uint64_t n = 1;; n++) {
        st_tensor *t = NULL, *norm = NULL, *median = NULL, *q = NULL, *order = NULL, *u[3] = {NULL, NULL, NULL},
                  *h = NULL;
        double x;
        int64_t len = N;
        st_mem_fail_at(n, false);
        st_status s = st_tensor_new(ST_F32, 1, &len, v, N * 4, &t, &err);
        if (s == ST_OK) s = st_reduce(ST_RED_NORM, t, &(st_reduce_opts){.p = 3}, &norm, &err);
        if (s == ST_OK) s = st_export(ctx, norm, 0, 1, ST_F64, &x, &err);
        if (s == ST_OK) s = st_median(t, &median, &err);
        if (s == ST_OK) s = st_export(ctx, median, 0, 1, ST_F64, &x, &err);
        if (s == ST_OK) s = st_quantile(t, (double[]){0.5}, 1, true, ST_IP_LINEAR, &q, &err);
        if (s == ST_OK) s = st_force(ctx, q, &err);
        if (s == ST_OK) s = st_order(t, 0, 0, N, false, &order, &err);
        if (s == ST_OK) s = st_force(ctx, order, &err);
        if (s == ST_OK) s = st_unique(ctx, t, &u[0], &u[1], &u[2], &err);
        if (s == ST_OK) s = st_histogram(t, 10, 0, 0, &h, &err);
        if (s == ST_OK) s = st_force(ctx, h, &err);
        st_mem_fail_at(0, false);
        st_tensor *every[] = {t, norm, median, q, order, u[0], u[1], u[2], h};
        for (int i = 0; i < 9; i++) st_tensor_unref(every[i]);
        assert_true(st_memory_used() == before);
        if (s == ST_OK) break;
        assert_int_equal(s, ST_NOMEM);
        assert_true(n < 10000);
    }
    st_ctx_set_threads(ctx, 0);
    free(v);
}

static void test_cancel(void **state)
{
    (void)state;
    float *v = random_floats(1, 1000);
    st_tensor *t = tensor_of(ST_F32, v, 1000), *sum = reduced(ST_RED_SUM, t, 2);
    double x;
    st_ctx_cancel(ctx);
    assert_int_equal(st_export(ctx, sum, 0, 1, ST_F64, &x, &err), ST_CANCELLED);
    st_ctx_resume(ctx);
    assert_ok(st_export(ctx, sum, 0, 1, ST_F64, &x, &err));
    st_tensor_unref(t);
    st_tensor_unref(sum);
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_tiles), /* first: it looks at the peak */
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_nan),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_variance_keeps_its_digits),
        cmocka_unit_test(test_threads_give_the_same_bits),
        cmocka_unit_test(test_levels_give_the_same_bits),
        cmocka_unit_test(test_abreast),
        cmocka_unit_test(test_computed_gives_the_same_bits),
        cmocka_unit_test(test_raw_bf16),
        cmocka_unit_test(test_one_pass_for_several),
        cmocka_unit_test(test_norms_beside_products),
        cmocka_unit_test(test_summaries),
        cmocka_unit_test(test_passes_in_order),
        cmocka_unit_test(test_rows_are_reduced_alike),
        cmocka_unit_test(test_plain_equals_fused),
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_sorting_is_stable),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_memory_may_run_out),
        cmocka_unit_test(test_cancel),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
