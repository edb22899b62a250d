/* test_linalg.c - products against sums written out, decompositions by what they must satisfy, the same bytes on any
 * number of threads, refusals, and failing allocations. */
#include "support.h"

#include "eval.h"
#include "mem.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static st_ctx *ctx;
static st_err err;

/* ---------------------------------------------------------------- small matrices in F64 */

typedef struct mat {
    int64_t m, n;
    double *v;
} mat;

static mat mat_new(int64_t m, int64_t n) { return (mat){m, n, calloc((size_t)(m * n) + 1, sizeof(double))}; }

/* All values of a tensor; of a stack as one tall matrix. */
static mat values_of(st_tensor *t)
{
    int64_t n = t->ndim ? t->shape[t->ndim - 1] : 1;
    mat r = mat_new(n ? (int64_t)t->numel / n : 0, n);
    assert_ok(st_export(ctx, t, 0, t->numel, ST_F64, r.v, &err));
    return r;
}

static mat product(const mat *a, bool ta, const mat *b, bool tb)
{
    int64_t m = ta ? a->n : a->m, k = ta ? a->m : a->n, n = tb ? b->m : b->n;
    mat c = mat_new(m, n);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            for (int64_t e = 0; e < k; e++)
                c.v[i * n + j] +=
                    (ta ? a->v[e * a->n + i] : a->v[i * a->n + e]) * (tb ? b->v[j * b->n + e] : b->v[e * b->n + j]);
    return c;
}

static double norm_of(const mat *a)
{
    double s = 0;
    for (int64_t i = 0; i < a->m * a->n; i++) s += a->v[i] * a->v[i];
    return sqrt(s);
}

static double distance(const mat *a, const mat *b)
{
    double s = 0;
    assert_int_equal(a->m * a->n, b->m * b->n);
    for (int64_t i = 0; i < a->m * a->n; i++) s += (a->v[i] - b->v[i]) * (a->v[i] - b->v[i]);
    return sqrt(s);
}

/* Largest entry of |A'A - 1|. */
static double columns_off(const mat *a)
{
    mat g = product(a, true, a, false);
    double worst = 0;
    for (int64_t i = 0; i < g.m; i++)
        for (int64_t j = 0; j < g.n; j++) worst = fmax(worst, fabs(g.v[i * g.n + j] - (i == j)));
    free(g.v);
    return worst;
}

static double eps_of(st_dtype d) { return d == ST_F64 ? DBL_EPSILON : (double)FLT_EPSILON; }

/* ---------------------------------------------------------------- tensors */

static st_tensor *normal(st_dtype d, int ndim, const int64_t *shape, uint64_t seed)
{
    st_tensor *t = NULL, *made = NULL;
    uint64_t bytes;
    assert_ok(st_randn(d, ndim, shape, &(st_seed){.seed = seed}, &made, &err));
    bytes = st_tensor_nbytes(made);
    void *raw = malloc(bytes + 1);
    assert_ok(st_export(ctx, made, 0, made->numel, d, raw, &err));
    assert_ok(st_tensor_new(d, ndim, shape, raw, bytes, &t, &err));
    free(raw);
    st_tensor_unref(made);
    return t;
}

static st_tensor *matrix(st_dtype d, int64_t m, int64_t n, uint64_t seed)
{
    return normal(d, 2, (int64_t[]){m, n}, seed);
}

static st_tensor *tensor_of(st_dtype d, int64_t m, int64_t n, const double *v)
{
    st_tensor *t = NULL, *wide = NULL;
    assert_ok(st_tensor_new(ST_F64, 2, (int64_t[]){m, n}, v, (uint64_t)(m * n) * 8, &wide, &err));
    assert_ok(st_cast(wide, d, false, &t, &err));
    st_tensor_unref(wide);
    return t;
}

static st_tensor *turned(st_tensor *t)
{
    st_tensor *v = NULL;
    assert_ok(st_permute(t, (int[]){1, 0}, &v, &err));
    return v;
}

/* The same values as a range of a source: nothing is in memory yet. */
static st_tensor *in_source(st_tensor *t)
{
    st_tensor *r = NULL;
    mem_source *m = mem_source_new(t->values, st_tensor_nbytes(t));
    assert_ok(st_tensor_range(&m->base, 0, t->dtype, t->ndim, t->shape, "weights", 7, NULL, &r, &err));
    st_source_unref(&m->base);
    return r;
}

static void unref_all(int n, st_tensor **t)
{
    for (int i = 0; i < n; i++) st_tensor_unref(t[i]);
}

static int setup(void **state)
{
    (void)state;
    return st_ctx_new(&ctx, &err) != ST_OK;
}

static int teardown(void **state)
{
    (void)state;
    st_ctx_free(ctx);
    return 0;
}

/* ---------------------------------------------------------------- products */

static void check_product(st_tensor *a, st_tensor *b)
{
    st_tensor *c = NULL;
    mat x = values_of(a), y = values_of(b), want = product(&x, false, &y, false);
    assert_ok(st_matmul(a, b, &c, &err));
    mat got = values_of(c);
    double bound = 2 * sqrt((double)x.n) * eps_of(c->dtype) * norm_of(&x) * norm_of(&y);
    assert_true(distance(&got, &want) <= bound);
    free(x.v), free(y.v), free(want.v), free(got.v);
    st_tensor_unref(c);
}

/* Every way in which an operand may lie: in memory, in a file, narrow, transposed, a part, an expression. */
static void test_operands(void **state)
{
    static const st_dtype dtypes[] = {ST_F32, ST_F64, ST_BF16, ST_F16, ST_F8_E4M3};
    (void)state;
    for (size_t i = 0; i < 25; i++) {
        st_tensor *a = matrix(dtypes[i % 5], 70, 33, i), *b = matrix(dtypes[i / 5], 33, 41, i + 100), *bt = turned(b);
        st_tensor *stored = in_source(a), *again = NULL, *part[2] = {NULL}, *sum = NULL;
        mat bv = values_of(bt);
        st_tensor *tall = tensor_of(b->dtype, 41, 33, bv.v), *late = turned(tall), *file = NULL, *file_t = NULL;
        assert_ok(st_force(ctx, tall, &err));
        check_product(a, b);
        check_product(stored, b);
        check_product(a, late); /* transposed in memory */
        again = turned(a);
        check_product(bt, again);
        assert_ok(st_narrow(a, 0, 3, 20, 2, &part[0], &err)); /* every other row */
        assert_ok(st_narrow(late, 1, 5, 9, 1, &part[1], &err));
        check_product(part[0], part[1]);
        assert_ok(st_apply(ST_OP_ADD, (st_tensor *[]){a, stored}, &sum, &err));
        check_product(sum, late);
        file = matrix(dtypes[i / 5], 41, 33, i + 200);
        file_t = in_source(file);
        st_tensor *file_turned = turned(file_t);
        check_product(stored, file_turned); /* both can be read by strips */
        unref_all(
            13, (st_tensor *[]){a, b, bt, stored, again, part[0], part[1], sum, tall, late, file, file_t, file_turned});
        free(bv.v);
    }
}

/* torch.matmul's rules for dimensions. */
static void test_shapes(void **state)
{
    static const struct {
        int na, nb, nc;
        int64_t a[4], b[4], c[4];
    } cases[] = {
        {1, 1, 0, {5}, {5}, {0}},
        {1, 2, 1, {5}, {5, 3}, {3}},
        {2, 1, 1, {3, 5}, {5}, {3}},
        {3, 1, 2, {2, 3, 5}, {5}, {2, 3}},
        {1, 3, 2, {5}, {2, 5, 3}, {2, 3}},
        {3, 2, 3, {2, 4, 5}, {5, 3}, {2, 4, 3}},
        {2, 3, 3, {4, 5}, {2, 5, 3}, {2, 4, 3}},
        {3, 3, 3, {1, 4, 5}, {6, 5, 3}, {6, 4, 3}},
        {4, 3, 4, {2, 1, 4, 5}, {3, 5, 2}, {2, 3, 4, 2}},
        {2, 2, 2, {0, 5}, {5, 3}, {0, 3}},
        {2, 2, 2, {2, 0}, {0, 3}, {2, 3}},
        {3, 2, 3, {0, 4, 5}, {5, 3}, {0, 4, 3}},
        {2, 2, 2, {1, 1}, {1, 1}, {1, 1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        st_tensor *a = normal(ST_F32, cases[i].na, cases[i].a, i), *b = normal(ST_F32, cases[i].nb, cases[i].b, i + 50),
                  *c = NULL;
        assert_ok(st_matmul(a, b, &c, &err));
        assert_int_equal(c->ndim, cases[i].nc);
        if (c->ndim) assert_memory_equal(c->shape, cases[i].c, (size_t)c->ndim * sizeof(int64_t));
        mat got = values_of(c), plain = values_of(c);
        assert_ok(st_export_plain(ctx, c, plain.v, &err));
        for (uint64_t e = 0; e < c->numel; e++) {
            assert_true((float)got.v[e] == ((float *)plain.v)[e]);
            if (a->numel == 0 && b->numel == 0) assert_true(got.v[e] == 0);
        }
        free(got.v), free(plain.v);
        unref_all(3, (st_tensor *[]){a, b, c});
    }
}

/* A stack is what its matrices are. */
static void test_stacks(void **state)
{
    st_tensor *a = normal(ST_F32, 4, (int64_t[]){2, 1, 4, 5}, 1), *b = normal(ST_F32, 3, (int64_t[]){3, 5, 2}, 2),
              *c = NULL;
    mat x = values_of(a), y = values_of(b);
    (void)state;
    assert_ok(st_matmul(a, b, &c, &err));
    mat got = values_of(c);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++) {
            mat xi = {4, 5, x.v + i * 20}, yj = {5, 2, y.v + j * 10}, part = {4, 2, got.v + (i * 3 + j) * 8};
            mat want = product(&xi, false, &yj, false);
            assert_true(distance(&part, &want) < 1e-5);
            free(want.v);
        }
    free(x.v), free(y.v), free(got.v);
    unref_all(3, (st_tensor *[]){a, b, c});
}

/* Several pieces of the inner dimension, several panels in each direction. */
static void test_long_and_wide(void **state)
{
    static const int64_t sizes[][3] = {{3, 5000, 4}, {1030, 5, 1100}, {2100, 3, 2050}, {1, 4097, 1}};
    (void)state;
    for (int i = 0; i < 4; i++) {
        st_tensor *a = matrix(ST_F32, sizes[i][0], sizes[i][1], 1), *b = matrix(ST_F32, sizes[i][1], sizes[i][2], 2);
        check_product(a, b);
        unref_all(2, (st_tensor *[]){a, b});
    }
}

/* Stacks that are views: read where they lie, they give the bits of their copies. */
static void test_stacks_of_views(void **state)
{
    st_tensor *base = normal(ST_F32, 3, (int64_t[]){3, 6, 4}, 1), *one = normal(ST_F32, 3, (int64_t[]){1, 6, 5}, 2),
              *view[4];
    (void)state;
    assert_ok(st_permute(base, (int[]){0, 2, 1}, &view[0], &err)); /* (3, 4, 6), each transposed */
    assert_ok(st_permute(base, (int[]){2, 0, 1}, &view[1], &err)); /* (4, 3, 6): strides that BLAS has not */
    assert_ok(st_narrow(view[0], 0, 2, 3, -1, &view[2], &err));    /* backwards */
    assert_ok(st_expand(one, 3, (int64_t[]){3, 6, 5}, &view[3], &err));
    for (int i = 0; i < 3; i++) {
        st_tensor *copy[2] = {NULL}, *x = NULL, *y = NULL, *right = i == 1 ? one : view[3];
        mat v = values_of(view[i]), w = values_of(right);
        assert_ok(st_tensor_new(ST_F64, 3, view[i]->shape, v.v, (uint64_t)(v.m * v.n) * 8, &copy[0], &err));
        assert_ok(st_tensor_new(ST_F64, 3, right->shape, w.v, (uint64_t)(w.m * w.n) * 8, &copy[1], &err));
        assert_ok(st_matmul(view[i], right, &x, &err));
        assert_ok(st_matmul(copy[0], copy[1], &y, &err));
        mat got = values_of(x), want = values_of(y);
        assert_true(distance(&got, &want) < 1e-5 * norm_of(&want));
        free(v.v), free(w.v), free(got.v), free(want.v);
        unref_all(4, (st_tensor *[]){copy[0], copy[1], x, y});
    }
    unref_all(4, view);
    unref_all(2, (st_tensor *[]){base, one});
}

/* Results of any number of threads, in memory and by strips, are the same bytes. Large enough for several panels,
 * pieces and strips. */
static void test_threads_and_strips(void **state)
{
    enum { M = 1100, K = 2300, N = 600 };
    st_tensor *a = matrix(ST_BF16, M, K, 1), *b = matrix(ST_F32, K, N, 2), *file = in_source(a), *wide = NULL;
    static float want[M * N], got[M * N];
    (void)state;
    assert_ok(st_cast(a, ST_F32, false, &wide, &err));
    assert_ok(st_force(ctx, wide, &err));
    for (unsigned threads = 1; threads <= 8; threads++)
        for (int by_strips = 0; by_strips < 2; by_strips++) {
            st_tensor *c = NULL;
            st_ctx_set_threads(ctx, threads);
            assert_ok(st_matmul(by_strips ? file : wide, b, &c, &err));
            assert_ok(st_export(ctx, c, 0, M * N, ST_F32, got, &err));
            if (threads == 1 && !by_strips) memcpy(want, got, sizeof want);
            assert_memory_equal(got, want, sizeof want);
            st_tensor_unref(c);
        }
    st_ctx_set_threads(ctx, 0);
    unref_all(4, (st_tensor *[]){a, b, file, wide});
}

/* ---------------------------------------------------------------- decompositions */

static const int64_t shapes[][2] = {{1, 1}, {5, 5}, {9, 4}, {4, 9}, {60, 60}, {90, 33}, {33, 90}, {1, 7}, {7, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void check_signs(const mat *u)
{
    for (int64_t c = 0; c < u->n; c++) {
        double best = 0;
        for (int64_t r = 0; r < u->m; r++)
            if (fabs(u->v[r * u->n + c]) > fabs(best)) best = u->v[r * u->n + c];
        assert_true(best > 0);
    }
}

static void check_svd(st_tensor *a, bool full)
{
    st_tensor *t[3], *values = NULL;
    assert_ok(st_svd(a, full, t, &err));
    assert_ok(st_svdvals(a, &values, &err));
    mat x = values_of(a), u = values_of(t[0]), s = values_of(t[1]), vh = values_of(t[2]), only = values_of(values);
    int64_t k = x.m < x.n ? x.m : x.n;
    double tol = 20 * (double)(x.m + x.n) * eps_of(t[0]->dtype);
    assert_int_equal(t[0]->dtype, a->dtype == ST_F64 ? ST_F64 : ST_F32);
    assert_int_equal(u.n, full ? x.m : k);
    assert_int_equal(vh.m, full ? x.n : k);
    assert_true(columns_off(&u) < tol);
    mat us = mat_new(x.m, k), v = mat_new(x.n, vh.m), reduced = {k, x.n, vh.v};
    for (int64_t i = 0; i < x.n; i++)
        for (int64_t j = 0; j < vh.m; j++) v.v[i * vh.m + j] = vh.v[j * x.n + i];
    assert_true(columns_off(&v) < tol);
    for (int64_t i = 0; i < x.m; i++)
        for (int64_t j = 0; j < k; j++) us.v[i * k + j] = u.v[i * u.n + j] * s.v[j];
    mat back = product(&us, false, &reduced, false);
    assert_true(distance(&back, &x) <= tol * norm_of(&x));
    for (int64_t i = 0; i < k; i++) {
        assert_true(s.v[i] >= 0 && (i == 0 || s.v[i] <= s.v[i - 1]));
        assert_true(fabs(s.v[i] - only.v[i]) <= tol * s.v[0]);
    }
    if (!full) check_signs(&u);
    free(x.v), free(u.v), free(s.v), free(vh.v), free(only.v), free(us.v), free(v.v), free(back.v);
    unref_all(3, t);
    st_tensor_unref(values);
}

static void test_svd(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++)
        for (int f = 0; f < 2; f++) {
            st_tensor *a = matrix(ST_F32, shapes[i][0], shapes[i][1], 7),
                      *b = matrix(ST_F64, shapes[i][0], shapes[i][1], 8);
            st_tensor *c = matrix(ST_BF16, shapes[i][0], shapes[i][1], 9);
            check_svd(a, f), check_svd(b, f), check_svd(c, f);
            unref_all(3, (st_tensor *[]){a, b, c});
        }
    double zero[12] = {0}, one[12];
    for (int i = 0; i < 12; i++) one[i] = 1;
    st_tensor *z = tensor_of(ST_F32, 3, 4, zero), *o = tensor_of(ST_F32, 3, 4, one), *n = NULL;
    check_svd(z, true), check_svd(o, true); /* of rank 0 and 1 */
    assert_ok(st_nuclear_norm(o, &n, &err));
    mat v = values_of(n);
    assert_int_equal(n->ndim, 0);
    assert_true(fabs(v.v[0] - sqrt(12)) < 1e-5);
    free(v.v);
    unref_all(3, (st_tensor *[]){z, o, n});
}

static void test_qr(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        st_tensor *a = matrix(i % 2 ? ST_F64 : ST_F32, shapes[i][0], shapes[i][1], 3), *t[2];
        assert_ok(st_qr(a, t, &err));
        mat x = values_of(a), q = values_of(t[0]), r = values_of(t[1]), back = product(&q, false, &r, false);
        double tol = 20 * (double)(x.m + x.n) * eps_of(a->dtype);
        assert_true(columns_off(&q) < tol);
        assert_true(distance(&back, &x) <= tol * norm_of(&x));
        for (int64_t row = 0; row < r.m; row++)
            for (int64_t c = 0; c < row && c < r.n; c++) assert_true(r.v[row * r.n + c] == 0);
        free(x.v), free(q.v), free(r.v), free(back.v);
        unref_all(3, (st_tensor *[]){a, t[0], t[1]});
    }
}

/* a + a', whose upper triangle is then spoilt: only the lower one counts. */
static st_tensor *symmetric(st_dtype d, int64_t n, double shift, mat *whole)
{
    st_tensor *a = matrix(ST_F64, n, n, 21);
    mat x = values_of(a), g = product(&x, false, &x, true), spoilt = mat_new(n, n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            g.v[i * n + j] += shift * (i == j);
            spoilt.v[i * n + j] = j > i ? 1e3 : g.v[i * n + j];
        }
    st_tensor *t = tensor_of(d, n, n, spoilt.v);
    *whole = g;
    free(x.v), free(spoilt.v);
    st_tensor_unref(a);
    return t;
}

static void test_symmetric(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        int64_t n = (int64_t[]){1, 2, 3, 17, 50, 64}[i];
        mat g;
        st_tensor *a = symmetric(i % 2 ? ST_F64 : ST_F32, n, 1, &g), *t[2], *l = NULL;
        double tol = 40 * (double)n * eps_of(a->dtype);
        assert_ok(st_eigh(a, t, &err));
        mat w = values_of(t[0]), v = values_of(t[1]), gv = product(&g, false, &v, false);
        assert_true(columns_off(&v) < tol);
        check_signs(&v);
        for (int64_t c = 0; c < n; c++) {
            assert_true(c == 0 || w.v[c] >= w.v[c - 1]);
            for (int64_t r = 0; r < n; r++) gv.v[r * n + c] -= w.v[c] * v.v[r * n + c];
        }
        assert_true(norm_of(&gv) <= tol * norm_of(&g));
        assert_ok(st_cholesky(a, &l, &err));
        mat f = values_of(l), back = product(&f, false, &f, true);
        assert_true(distance(&back, &g) <= tol * norm_of(&g));
        for (int64_t r = 0; r < n; r++)
            for (int64_t c = r + 1; c < n; c++) assert_true(f.v[r * n + c] == 0);
        free(g.v), free(w.v), free(v.v), free(gv.v), free(f.v), free(back.v);
        unref_all(4, (st_tensor *[]){a, t[0], t[1], l});
    }
}

static void test_solve_and_inverse(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        int64_t n = (int64_t[]){1, 2, 5, 30, 64}[i];
        mat g;
        st_tensor *unused = symmetric(ST_F32, n, (double)n, &g), *a = tensor_of(i % 2 ? ST_F64 : ST_F32, n, n, g.v);
        st_tensor *b = matrix(a->dtype, n, 3, 5), *row = normal(a->dtype, 1, &n, 6), *x = NULL, *y = NULL, *inv = NULL;
        double tol = 200 * (double)n * eps_of(a->dtype);
        assert_ok(st_solve(a, b, &x, &err));
        assert_ok(st_solve(a, row, &y, &err));
        assert_ok(st_inverse(a, &inv, &err));
        assert_int_equal(y->ndim, 1);
        mat xv = values_of(x), bv = values_of(b), iv = values_of(inv), yv = values_of(y), rv = values_of(row);
        mat back = product(&g, false, &xv, false), one = product(&g, false, &iv, false), ycol = {n, 1, yv.v};
        mat backy = product(&g, false, &ycol, false), rcol = {n, 1, rv.v};
        assert_true(distance(&back, &bv) <= tol * norm_of(&bv));
        assert_true(distance(&backy, &rcol) <= tol * norm_of(&rcol));
        for (int64_t e = 0; e < n * n; e++) assert_true(fabs(one.v[e] - (e / n == e % n)) < tol);
        free(g.v), free(xv.v), free(bv.v), free(iv.v), free(yv.v), free(rv.v), free(back.v), free(one.v), free(backy.v);
        unref_all(7, (st_tensor *[]){unused, a, b, row, x, y, inv});
    }
}

static double det_of(const double *v, int64_t n)
{
    st_tensor *a = tensor_of(ST_F64, n, n, v), *d = NULL;
    double x;
    assert_ok(st_det(a, &d, &err));
    assert_ok(st_export(ctx, d, 0, 1, ST_F64, &x, &err));
    unref_all(2, (st_tensor *[]){a, d});
    return x;
}

static void test_det(void **state)
{
    (void)state;
    assert_true(det_of(NULL, 0) == 1);
    assert_true(det_of((double[]){3}, 1) == 3);
    assert_true(det_of((double[]){0, 1, 1, 0}, 2) == -1);
    assert_true(det_of((double[]){1, 2, 2, 4}, 2) == 0);
    assert_true(fabs(det_of((double[]){2, 0, 1, 1, 3, 2, 1, 1, 1}, 3) - 0) < 1e-12); /* 2(3-2) + 1(1-3) */
    assert_true(fabs(det_of((double[]){0, 2, 0, 0, 0, 3, 4, 0, 0}, 3) - 24) < 1e-12);
}

/* The four conditions of Penrose, of rank 2. */
static void test_pinv(void **state)
{
    (void)state;
    for (int f = 0; f < 2; f++) {
        st_tensor *x = matrix(ST_F64, f ? 9 : 5, 2, 1), *y = matrix(ST_F64, 2, f ? 4 : 7, 2), *a = NULL, *p = NULL;
        assert_ok(st_matmul(x, y, &a, &err));
        assert_ok(st_pinv(a, -1, &p, &err));
        mat av = values_of(a), pv = values_of(p), ap = product(&av, false, &pv, false),
            pa = product(&pv, false, &av, false);
        mat apa = product(&ap, false, &av, false), pap = product(&pa, false, &pv, false);
        assert_true(distance(&apa, &av) < 1e-12 * norm_of(&av));
        assert_true(distance(&pap, &pv) < 1e-12 * norm_of(&pv));
        for (int64_t i = 0; i < ap.m; i++)
            for (int64_t j = 0; j < i; j++) assert_true(fabs(ap.v[i * ap.m + j] - ap.v[j * ap.m + i]) < 1e-12);
        for (int64_t i = 0; i < pa.m; i++)
            for (int64_t j = 0; j < i; j++) assert_true(fabs(pa.v[i * pa.m + j] - pa.v[j * pa.m + i]) < 1e-12);
        free(av.v), free(pv.v), free(ap.v), free(pa.v), free(apa.v), free(pap.v);
        unref_all(4, (st_tensor *[]){x, y, a, p});
    }
}

/* Results of a stack are those of its matrices, bit for bit, on any number of threads. */
static void test_factors_of_stacks(void **state)
{
    enum { COUNT = 7, N = 12 };
    st_tensor *a = normal(ST_F32, 3, (int64_t[]){COUNT, N, N}, 4), *one = NULL;
    mat all = values_of(a);
    (void)state;
    for (unsigned threads = 1; threads <= 8; threads++) {
        st_tensor *t[3], *q[3];
        st_ctx_set_threads(ctx, threads);
        assert_ok(st_svd(a, false, t, &err));
        mat u = values_of(t[0]);
        for (int i = 0; i < COUNT; i++) {
            one = tensor_of(ST_F32, N, N, all.v + i * N * N);
            assert_ok(st_svd(one, false, q, &err));
            mat v = values_of(q[0]);
            assert_memory_equal(v.v, u.v + i * N * N, N * N * sizeof(double));
            free(v.v);
            unref_all(3, q);
            st_tensor_unref(one);
        }
        free(u.v);
        unref_all(3, t);
    }
    st_ctx_set_threads(ctx, 0);
    free(all.v);
    st_tensor_unref(a);
}

static void test_nothing(void **state)
{
    static const int64_t empty[][2] = {{0, 0}, {0, 3}, {3, 0}};
    (void)state;
    for (int i = 0; i < 3; i++) {
        st_tensor *a = matrix(ST_F32, empty[i][0], empty[i][1], 1), *t[3], *q[2], *p = NULL, *s = NULL;
        assert_ok(st_svd(a, true, t, &err));
        assert_ok(st_qr(a, q, &err));
        assert_ok(st_pinv(a, -1, &p, &err));
        assert_ok(st_svdvals(a, &s, &err));
        mat u = values_of(t[0]), vh = values_of(t[2]);
        assert_int_equal(u.m, empty[i][0]);
        assert_int_equal(vh.m, empty[i][1]);
        for (int64_t e = 0; e < u.m * u.m; e++) assert_true(u.v[e] == (e / u.m == e % u.m));
        for (int64_t e = 0; e < vh.m * vh.m; e++) assert_true(vh.v[e] == (e / vh.m == e % vh.m));
        assert_int_equal(p->shape[0], empty[i][1]);
        assert_int_equal(s->numel, 0);
        assert_ok(st_force(ctx, p, &err));
        assert_ok(st_force(ctx, q[0], &err));
        free(u.v), free(vh.v);
        unref_all(8, (st_tensor *[]){a, t[0], t[1], t[2], q[0], q[1], p, s});
    }
}

/* ---------------------------------------------------------------- low rank */

/* Singular values 1, 1/2, 1/4 ... under noise. */
static st_tensor *decaying(st_dtype d, int64_t m, int64_t n, int rank, double noise)
{
    st_tensor *x = matrix(ST_F64, m, rank, 31), *y = matrix(ST_F64, rank, n, 32), *q[2], *p[2],
              *e = matrix(ST_F64, m, n, 33);
    st_tensor *yt = turned(y);
    assert_ok(st_qr(x, q, &err));
    assert_ok(st_qr(yt, p, &err));
    mat u = values_of(q[0]), v = values_of(p[0]), noisy = values_of(e);
    for (int64_t i = 0; i < m; i++)
        for (int r = 0; r < rank; r++) u.v[i * rank + r] *= pow(0.5, r);
    mat a = product(&u, false, &v, true);
    for (int64_t i = 0; i < m * n; i++) a.v[i] += noise * noisy.v[i];
    st_tensor *t = tensor_of(d, m, n, a.v);
    free(u.v), free(v.v), free(noisy.v), free(a.v);
    unref_all(8, (st_tensor *[]){x, y, q[0], q[1], p[0], p[1], e, yt});
    return t;
}

static void check_lowrank(st_tensor *a, int64_t k, double near)
{
    st_tensor *t[4], *best = NULL;
    assert_ok(st_svd_lowrank(a, k, 2, 1, t, &err));
    assert_ok(st_svdvals(a, &best, &err));
    mat x = values_of(a), u = values_of(t[0]), s = values_of(t[1]), v = values_of(t[2]), c = values_of(t[3]),
        all = values_of(best);
    double eps = eps_of(t[0]->dtype), total = 0, kept = 0, tol = 100 * (double)k * eps;
    assert_true(u.m == x.m && u.n == k && v.m == x.n && v.n == k);
    assert_true(columns_off(&u) < tol && columns_off(&v) < tol);
    check_signs(&u);
    mat us = mat_new(x.m, k);
    for (int64_t i = 0; i < x.m; i++)
        for (int64_t j = 0; j < k; j++) us.v[i * k + j] = u.v[i * k + j] * s.v[j];
    mat back = product(&us, false, &v, true);
    double error = distance(&back, &x), norm = norm_of(&x);
    for (int64_t i = 0; i < all.n; i++) {
        total += all.v[i] * all.v[i];
        if (i < k) kept += all.v[i] * all.v[i];
        if (i < k) assert_true(fabs(s.v[i] - all.v[i]) <= near * all.v[0]);
    }
    /* The certificate: norm, share of the k values, share of the subspace. */
    assert_true(fabs(c.v[0] - norm) < 1e-5 * norm);
    assert_true(fabs(c.v[1] - (1 - error * error / (norm * norm))) < 1e-5);
    assert_true(c.v[2] >= c.v[1] - 1e-6 && c.v[2] <= 1);
    assert_true(kept / total <= c.v[1] + 1 - c.v[2] + 1e-5); /* the bound on the best */
    assert_true(error <= sqrt(fmax(total - kept, 0)) * (1 + near) + 1e-5 * norm);
    free(x.v), free(u.v), free(s.v), free(v.v), free(c.v), free(all.v), free(us.v), free(back.v);
    unref_all(4, t);
    st_tensor_unref(best);
}

static void test_lowrank(void **state)
{
    (void)state;
    st_tensor *a[] = {
        decaying(ST_F32, 300, 200, 60, 0),    decaying(ST_F64, 200, 300, 60, 0),
        decaying(ST_F32, 300, 200, 30, 1e-4), decaying(ST_BF16, 1100, 180, 40, 1e-5),
        decaying(ST_F32, 50, 60, 20, 1e-3),   decaying(ST_F32, 200, 200, 1, 0),
    };
    for (int i = 0; i < 6; i++) {
        check_lowrank(a[i], 5, 1e-3);
        check_lowrank(a[i], 1, 1e-3);
        check_lowrank(a[i], 45, 5e-2); /* among the noise; of the 50 x 60 matrix by the exact way */
    }
    unref_all(6, a);
}

/* Bits do not depend on threads, nor on the memory that decides whether the matrix is read once or again and again. */
static void test_lowrank_is_one_result(void **state)
{
    enum { M = 2500, N = 5000, K = 6 }; /* two strips */
    st_tensor *x = matrix(ST_F32, M, K, 3), *y = matrix(ST_F32, K, N, 4), *a = NULL, *file;
    static float want[M * K], got[M * K], v[N * K], whole[M * N];
    float certificate[3];
    (void)state;
    assert_ok(st_matmul(x, y, &a, &err));
    assert_ok(st_export(ctx, a, 0, M * N, ST_F32, whole, &err));
    mem_source *m = mem_source_new(whole, sizeof whole);
    assert_ok(st_tensor_range(&m->base, 0, ST_F32, 2, a->shape, "weights", 7, NULL, &file, &err));
    st_source_unref(&m->base);
    for (unsigned i = 0; i < 4; i++) {
        st_tensor *t[4];
        st_ctx_set_threads(ctx, (unsigned[]){1, 2, 5, 8}[i]);
        st_ctx_set_memory(ctx, i % 2 ? 45 << 20 : 1 << 30);
        assert_ok(st_svd_lowrank(file, K, 1, 9, t, &err));
        assert_ok(st_export(ctx, t[0], 0, M * K, ST_F32, i ? got : want, &err));
        assert_ok(st_export(ctx, t[2], 0, N * K, ST_F32, v, &err));
        assert_ok(st_export(ctx, t[3], 0, 3, ST_F32, certificate, &err));
        assert_true(certificate[1] > 0.99999f && certificate[2] > 0.99999f); /* its rank is K */
        if (i) assert_memory_equal(got, want, sizeof want);
        unref_all(4, t);
    }
    st_ctx_set_memory(ctx, 1 << 30);
    st_ctx_set_threads(ctx, 0);
    unref_all(4, (st_tensor *[]){x, y, a, file});
}

/* Factors of many matrices: residuals against all singular values; equal bits on any number of threads; a matrix that
 * is read again and again gives the same product as one that is kept. */
static void test_factors(void **state)
{
    enum { N = 4, K = 6 };
    const st_lowrank_goal goal = {.rank = K, .slack = 0.0006, .split = 0.5, .dtype = ST_F32, .seed = 3};
    st_tensor *a[N] = {decaying(ST_F32, 300, 200, 60, 1e-3), matrix(ST_F32, 150, 260, 5), matrix(ST_BF16, 33, 7, 6),
                       decaying(ST_F32, 90, 400, 3, 0)};
    static float want[N][300 * K], got[300 * K];
    (void)state;
    for (unsigned run = 0; run < 4; run++) {
        st_lowrank out[N];
        st_ctx_set_threads(ctx, (unsigned[]){1, 2, 5, 2}[run]);
        st_ctx_set_memory(ctx, run == 3 ? 100 << 10 : 1 << 30);
        assert_ok(st_lowrank_factors(ctx, a, N, &goal, out, &err));
        st_ctx_set_memory(ctx, 1 << 30);
        for (int i = 0; i < N; i++) {
            uint64_t n = st_tensor_numel(out[i].left);
            assert_true(out[i].rank == K && n <= 300 * K);
            assert_ok(st_export(ctx, out[i].left, 0, n, ST_F32, run ? got : want[i], &err));
            if (run == 1 || run == 2) assert_memory_equal(got, want[i], n * sizeof *got);
            st_tensor *values = NULL;
            assert_ok(st_svdvals(a[i], &values, &err));
            mat x = values_of(a[i]), l = values_of(out[i].left), r = values_of(out[i].right), s = values_of(values);
            mat back = product(&l, false, &r, false);
            double best = 0, norm = norm_of(&x), error = distance(&back, &x);
            for (int64_t j = K; j < s.n; j++) best += s.v[j] * s.v[j];
            assert_true(error * error <= 1.001 * best + 1e-6 * norm * norm);
            assert_true(fabs(1 - out[i].retained - error * error / (norm * norm)) < 2e-6);
            free(x.v), free(l.v), free(r.v), free(s.v), free(back.v);
            st_tensor_unref(values);
        }
        for (int i = 0; i < N; i++) st_lowrank_free(&out[i]);
    }
    st_ctx_set_threads(ctx, 0);
    unref_all(N, a);
}

/* The kernel of every level against sums in double precision. */
static void test_panel(void **state)
{
    enum { LEN = 37, R = ST_PANEL_ROWS, C = ST_PANEL_COLS };
    float a[LEN * R], x[LEN * C], z[LEN * C], y[R * C];
    (void)state;
    for (int i = 0; i < LEN * R; i++) a[i] = sinf((float)i);
    for (int i = 0; i < LEN * C; i++) x[i] = cosf((float)(3 * i));
    for (unsigned level = 0; st_kern_level(level); level++) {
        for (int i = 0; i < LEN * C; i++) z[i] = 1;
        (*st_kern_level(level)->panel)(a, LEN, x, z, y);
        for (int j = 0; j < C; j++) {
            for (int i = 0; i < R; i++) {
                double sum = 0;
                for (int k = 0; k < LEN; k++) sum += (double)a[k * R + i] * (double)x[k * C + j];
                assert_true(fabs((double)y[i * C + j] - sum) < 1e-5);
            }
            for (int k = 0; k < LEN; k++) {
                double sum = 1;
                for (int i = 0; i < R; i++) sum += (double)a[k * R + i] * (double)y[i * C + j];
                assert_true(fabs((double)z[k * C + j] - sum) < 1e-4);
            }
        }
    }
}

/* ---------------------------------------------------------------- refusals */

static void refused(st_status s, st_status code, const char *text)
{
    if (s != code || !strstr(err.message, text))
        fail_msg("status %d, \"%s\" does not hold \"%s\"", (int)s, err.message, text);
}

static void test_refusals(void **state)
{
    st_tensor *a = matrix(ST_F32, 3, 4, 1), *b = matrix(ST_F32, 3, 4, 2), *i = NULL, *x = NULL, *t[4], *number = NULL;
    int64_t n = 4;
    (void)state;
    assert_ok(st_cast(a, ST_I32, false, &i, &err));
    assert_ok(st_number(1, &number, &err));
    refused(st_matmul(a, b, &x, &err), ST_SHAPE, "[3, 4] and [3, 4]");
    refused(st_matmul(a, i, &x, &err), ST_DTYPE, "cast to F32 or F64 first");
    refused(st_matmul(a, number, &x, &err), ST_SHAPE, "at least one dimension");
    refused(st_svd(i, false, t, &err), ST_DTYPE, "svd is not defined for I32");
    refused(st_inverse(a, &x, &err), ST_SHAPE, "inverse needs square matrices; the shape is [3, 4]");
    refused(st_solve(a, b, &x, &err), ST_SHAPE, "square");
    refused(st_svd_lowrank(a, 4, 2, 0, t, &err), ST_ARG, "rank 4 of a 3 x 4 matrix: give 1 to 3");
    refused(st_svd_lowrank(a, 0, 2, 0, t, &err), ST_ARG, "rank 0");
    refused(st_svd_lowrank(a, 1, -1, 0, t, &err), ST_ARG, "niter is -1");
    assert_null(x);
    assert_null(t[0]);
    st_tensor *vector = normal(ST_F32, 1, &n, 1);
    refused(st_svd(vector, false, t, &err), ST_SHAPE, "needs a matrix, or a stack of them");
    unref_all(5, (st_tensor *[]){a, b, i, number, vector});
}

/* What only the values tell: refused when computed, with the tensor's name. */
static void test_bad_values(void **state)
{
    enum { N = 200 };
    static double v[N * N];
    (void)state;
    for (int bad = 0; bad < 2; bad++) {
        for (int e = 0; e < N * N; e++) v[e] = 1;
        v[N * N - 7] = bad ? NAN : INFINITY;
        st_tensor *wide = tensor_of(ST_F64, N, N, v), *file, *t[4], *x = NULL;
        assert_ok(st_force(ctx, wide, &err));
        float *raw = malloc(N * N * 4);
        assert_ok(st_export(ctx, wide, 0, N * N, ST_F32, raw, &err));
        mem_source *m = mem_source_new(raw, N * N * 4);
        assert_ok(st_tensor_range(&m->base, 0, ST_F32, 2, (int64_t[]){N, N}, "weights", 7, NULL, &file, &err));
        st_source_unref(&m->base);
        free(raw);
        assert_ok(st_svd(file, false, t, &err));
        refused(st_force(ctx, t[1], &err), ST_ARG, "\"weights\": svd: the values hold NaN or infinity");
        unref_all(3, t);
        assert_ok(st_svd_lowrank(file, 4, 1, 0, t, &err));
        refused(st_force(ctx, t[0], &err), ST_ARG, "\"weights\": svd_lowrank: the values hold NaN or infinity");
        unref_all(4, t);
        assert_ok(st_inverse(file, &x, &err));
        refused(st_force(ctx, x, &err), ST_ARG, "NaN");
        unref_all(3, (st_tensor *[]){wide, file, x});
    }
    st_tensor *s = tensor_of(ST_F32, 2, 2, (double[]){1, 2, 2, 4}), *inv = NULL, *chol = NULL, *sol = NULL;
    assert_ok(st_inverse(s, &inv, &err));
    refused(st_force(ctx, inv, &err), ST_ARG, "matrix 1 is singular (pivot 2 is 0)");
    assert_ok(st_solve(s, s, &sol, &err));
    refused(st_force(ctx, sol, &err), ST_ARG, "singular");
    assert_ok(st_cholesky(s, &chol, &err));
    refused(st_force(ctx, chol, &err), ST_ARG, "not positive definite (leading minor 2)");
    unref_all(4, (st_tensor *[]){s, inv, chol, sol});
}

static void test_limits(void **state)
{
    st_tensor *a = matrix(ST_BF16, 300, 300, 1), *t[3], *c = NULL;
    (void)state;
    st_ctx_set_memory(ctx, 300000);
    assert_ok(st_svd(a, false, t, &err));
    refused(st_force(ctx, t[1], &err), ST_LIMIT, "raise it with --memory");
    assert_ok(st_matmul(a, a, &c, &err));
    refused(st_force(ctx, c, &err), ST_LIMIT, "raise it with --memory");
    st_ctx_set_memory(ctx, 1 << 30);
    st_ctx_cancel(ctx);
    assert_int_equal(st_force(ctx, c, &err), ST_CANCELLED);
    st_ctx_resume(ctx);
    assert_ok(st_force(ctx, c, &err));
    unref_all(5, (st_tensor *[]){a, t[0], t[1], t[2], c});
}

/* ---------------------------------------------------------------- failing allocations */

static st_status everything(st_tensor *a, st_tensor *b)
{
    st_tensor *out[24] = {NULL};
    st_status s = st_matmul(a, b, &out[0], &err);
    if (s == ST_OK) s = st_svd(a, false, &out[1], &err);
    if (s == ST_OK) s = st_qr(a, &out[4], &err);
    if (s == ST_OK) s = st_eigh(a, &out[6], &err);
    if (s == ST_OK) s = st_inverse(a, &out[8], &err);
    if (s == ST_OK) s = st_solve(a, b, &out[9], &err);
    if (s == ST_OK) s = st_pinv(a, 0.1, &out[10], &err);
    if (s == ST_OK) s = st_det(a, &out[11], &err);
    if (s == ST_OK) s = st_nuclear_norm(a, &out[12], &err);
    if (s == ST_OK) s = st_svd_lowrank(a, 3, 1, 0, &out[13], &err); /* by iteration */
    if (s == ST_OK) s = st_svd_lowrank(a, 70, 1, 0, &out[17], &err);
    for (int i = 0; s == ST_OK && i < 21; i++) s = st_force(ctx, out[i], &err);
    unref_all(24, out);
    return s;
}

static void test_allocations_fail(void **state)
{
    enum { N = 80 };
    mat g;
    st_tensor *a = symmetric(ST_F32, N, N, &g), *b = matrix(ST_BF16, N, 5, 2);
    (void)state;
    assert_ok(st_force(ctx, a, &err));
    st_ctx_set_threads(ctx, 1);
    assert_ok(everything(a, b));
    uint64_t used = st_memory_used();
    st_status s = ST_NOMEM;
    for (uint64_t at = 1; s != ST_OK; at++) {
        st_mem_fail_at(at, false);
        s = everything(a, b);
        st_mem_fail_at(0, false);
        if (s != ST_OK) assert_int_equal(s, ST_NOMEM);
        assert_int_equal(st_memory_used(), used);
    }
    st_ctx_set_threads(ctx, 0);
    free(g.v);
    unref_all(2, (st_tensor *[]){a, b});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operands),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_stacks),
        cmocka_unit_test(test_long_and_wide),
        cmocka_unit_test(test_stacks_of_views),
        cmocka_unit_test(test_threads_and_strips),
        cmocka_unit_test(test_svd),
        cmocka_unit_test(test_qr),
        cmocka_unit_test(test_symmetric),
        cmocka_unit_test(test_solve_and_inverse),
        cmocka_unit_test(test_det),
        cmocka_unit_test(test_pinv),
        cmocka_unit_test(test_factors_of_stacks),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_lowrank),
        cmocka_unit_test(test_lowrank_is_one_result),
        cmocka_unit_test(test_factors),
        cmocka_unit_test(test_panel),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_allocations_fail),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
