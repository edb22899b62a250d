/* linalg_lowrank.c - the largest singular values and vectors of a matrix, by subspace iteration. Layer: exec.
 *
 *   Y = A Omega, Omega (n x l) normal;  niter times: Q = orth(Y), Z = orth(A'Q), Y = A Z;  Q = orth(Y), B' = A'Q
 *   B' = P R;  R = S' of a small SVD in F64;  U = Q VR, V = P UR
 *
 * (Halko, Martinsson, Tropp: "Finding structure with randomness", SIAM Review 53, 2011, algorithms 4.4 and 5.1.) Tall
 * matrices are column-major here, so that their columns lie in one piece. A is read by strips of rows, again in each of
 * its 2 niter + 2 uses unless it fits into memory: a large difference of two models never exists whole. Strips and
 * panels hang on the shape alone, so the bits do not depend on threads or memory. */
#include "hold.h"
#include "linalg.h"
#include "mem.h"

#include <math.h>
#include <string.h>

enum {
    PANEL = 512,       /* rows, or columns, of A in one call of OpenBLAS */
    STRIP = 32 << 20,  /* bytes of A in one piece, about */
    ALWAYS_EXACT = 64, /* matrices of this size are not worth an approximation */
};

typedef struct lowrank {
    st_ctx *ctx;
    const char *what;
    st_tensor *a;
    bool wide;
    size_t width;
    int m, n, k, l;
    int strip;  /* rows */
    void *rows; /* of the strip, or all */
    bool whole; /* rows holds all of A, once `loaded` */
    bool loaded;
    void *squares; /* sums per panel of rows, which are added up in their order */
    void *y, *z;   /* m x l, n x l; Omega begins as z */
    void *tau, *work;
    int lwork;
} lowrank;

/* ---------------------------------------------------------------- products with A */

/* One product with the strip of rows [row, row + count), over panels. */
typedef struct sweep {
    lowrank *r;
    const char *strip;
    int row, count, panels;
    bool down; /* Z += A'Q rather than Y = A X */
    bool measure;
    const char *x;
    char *out;
    _Atomic int next;
} sweep;

#define SUM_OF_SQUARES(type)                                                            \
    static double squares_##type(const type *v, uint64_t n)                             \
    {                                                                                   \
        double lane[8] = {0}; /* fixed lanes: the compiler may not reorder one sum */   \
        uint64_t i = 0;                                                                 \
        for (; i + 8 <= n; i += 8)                                                      \
            for (int j = 0; j < 8; j++) lane[j] += (double)v[i + j] * (double)v[i + j]; \
        for (; i < n; i++) lane[0] += (double)v[i] * (double)v[i];                      \
        for (int j = 1; j < 8; j++) lane[0] += lane[j];                                 \
        return lane[0];                                                                 \
    }
SUM_OF_SQUARES(float)
SUM_OF_SQUARES(double)

static double squares(bool wide, const void *v, uint64_t n)
{
    return wide ? squares_double(v, n) : squares_float(v, n);
}

static void multiply_panel(const sweep *s, int panel)
{
    const lowrank *r = s->r;
    int at = panel * PANEL, total = s->down ? r->n : s->count, now = total - at < PANEL ? total - at : PANEL;
    if (s->down) { /* columns of A: rows of Z */
        blas_gemm(r->wide, 'N', 'N', now, r->l, s->count, s->strip + (size_t)at * r->width, r->n,
                  s->x + (size_t)s->row * r->width, r->m, s->row != 0, s->out + (size_t)at * r->width, r->n);
        return;
    }
    const char *a = s->strip + (size_t)at * (size_t)r->n * r->width;
    blas_gemm(r->wide, 'T', 'N', now, r->l, r->n, a, r->n, s->x, r->n, 0, s->out + (size_t)(s->row + at) * r->width,
              r->m);
    if (s->measure) ((double *)r->squares)[(s->row + at) / PANEL] = squares(r->wide, a, (uint64_t)now * (uint64_t)r->n);
}

static st_status sweep_worker(void *arg, unsigned worker, st_err *err)
{
    sweep *s = arg;
    (void)worker;
    (void)err;
    for (int i; !st_ctx_stopped(s->r->ctx) && (i = s->next++) < s->panels;) multiply_panel(s, i);
    return ST_OK;
}

/* out = A x, or A'x. */
static st_status multiply(lowrank *r, bool down, const char *x, char *out, bool measure, st_err *err)
{
    for (int row = 0; row < r->m; row += r->strip) {
        int count = r->m - row < r->strip ? r->m - row : r->strip;
        uint64_t start = (uint64_t)row * (uint64_t)r->n, n = (uint64_t)count * (uint64_t)r->n;
        char *strip = (char *)r->rows + (r->whole ? start * r->width : 0);
        if (!r->loaded) ST_TRY(linalg_load(r->ctx, r->what, r->a, r->wide, start, n, strip, err));
        sweep s = {
            .r = r, .strip = strip, .row = row, .count = count, .down = down, .measure = measure, .x = x, .out = out};
        s.panels = ((down ? r->n : count) + PANEL - 1) / PANEL;
        ST_TRY(st_ctx_run(r->ctx, s.panels < BLAS_THREADS ? (unsigned)s.panels : BLAS_THREADS, sweep_worker, &s, err));
    }
    r->loaded = r->whole;
    return ST_OK;
}

/* ---------------------------------------------------------------- orthonormal columns */

/* Columns of y (rows x l) become orthonormal, by Householder's reflections: stable whatever the condition. With `upper`
 * (l x l, F64) the triangular factor is kept. */
static st_status orthonormalise(lowrank *r, char *y, int rows, double *upper, st_err *err)
{
    if (st_ctx_cancelled(r->ctx)) return st_fail_cancelled(err);
    int info = lapack_geqrf(r->wide, rows, r->l, y, rows, r->tau, r->work, r->lwork);
    for (int c = 0; upper && c < r->l; c++)
        for (int i = 0; i < r->l; i++) {
            const char *at = y + ((size_t)c * (size_t)rows + (size_t)i) * r->width;
            upper[(size_t)c * (size_t)r->l + (size_t)i] = i <= c ? linalg_get(r->wide, at, 0) : 0;
        }
    if (info == 0) info = lapack_orgqr(r->wide, rows, r->l, r->l, y, rows, r->tau, r->work, r->lwork);
    if (info) return linalg_fail(err, ST_INTERNAL, r->a, "%s: LAPACK refused its argument %d", r->what, -info);
    return ST_OK;
}

static st_status iterate(lowrank *r, int niter, uint64_t seed, st_err *err)
{
    const st_random_key key = {.seed = seed};
    st_kern()->generate[r->wide ? ST_G_NORMAL_F64 : ST_G_NORMAL_F32](r->z, &key, 0, (size_t)r->n * (size_t)r->l);
    ST_TRY(multiply(r, false, r->z, r->y, true, err));
    for (int i = 0; i < niter; i++) {
        ST_TRY(orthonormalise(r, r->y, r->m, NULL, err));
        ST_TRY(multiply(r, true, r->y, r->z, false, err));
        ST_TRY(orthonormalise(r, r->z, r->n, NULL, err));
        ST_TRY(multiply(r, false, r->z, r->y, false, err));
    }
    ST_TRY(orthonormalise(r, r->y, r->m, NULL, err));
    return multiply(r, true, r->y, r->z, false, err);
}

/* ---------------------------------------------------------------- the small decomposition */

/* SVD of the l x l matrix a = u diag(s) vt, all in F64; `copy` is a's, for a second try by another way. */
static st_status small_svd(const lowrank *r, double *a, double *copy, double *s, double *u, double *vt, st_err *err)
{
    int l = r->l, info = 1;
    double sizes[2], *work;
    void *ints = NULL;
    ST_TRY(linalg_alloc(r->ctx, r->what, r->a, 8 * (uint64_t)l, sizeof(int), &ints, err));
    lapack_gesdd(true, 'S', l, l, a, l, s, u, l, vt, l, &sizes[0], -1, ints);
    lapack_gesvd(true, 'S', l, l, a, l, s, u, l, vt, l, &sizes[1], -1);
    int lwork = (int)fmax(sizes[0], sizes[1]);
    work = st_malloc((size_t)lwork * sizeof *work);
    if (work) info = lapack_gesdd(true, 'S', l, l, a, l, s, u, l, vt, l, work, lwork, ints);
    if (work && info > 0) info = lapack_gesvd(true, 'S', l, l, copy, l, s, u, l, vt, l, work, lwork);
    st_free(work);
    st_free(ints);
    if (!work) return st_fail_nomem(err, (size_t)lwork * sizeof *work);
    if (info) return linalg_fail(err, ST_ARG, r->a, "%s: no convergence: scale the values, or use F64", r->what);
    return ST_OK;
}

/* The first k columns of an l x l matrix, or rows with `transposed`, in the class of the result. */
static void take_columns(const lowrank *r, const double *from, bool transposed, char *to)
{
    uint64_t l = (uint64_t)r->l, k = (uint64_t)r->k;
    for (uint64_t c = 0; c < k; c++)
        for (uint64_t i = 0; i < l; i++) linalg_put(r->wide, to, c * l + i, from[transposed ? i * l + c : c * l + i]);
}

/* Norm and shares; of a matrix of zeros nothing is lost. */
static void certify(bool wide, double total, double captured, double retained, void *out)
{
    linalg_put(wide, out, 0, sqrt(total));
    linalg_put(wide, out, 1, total > 0 ? fmin(retained / total, 1) : 1);
    linalg_put(wide, out, 2, total > 0 ? fmin(captured / total, 1) : 1);
}

/* Q in y and A'Q in z become U, S, V and the certificate in `out`. */
static st_status finish(lowrank *r, char *out, st_err *err)
{
    uint64_t l = (uint64_t)r->l, k = (uint64_t)r->k, square = l * l;
    double total = 0, retained = 0, *f;
    void *block;
    ST_TRY(linalg_alloc(r->ctx, r->what, r->a, 5 * square + l, sizeof(double), &block, err));
    f = block;
    double *upper = f, *copy = f + square, *u = copy + square, *vt = u + square, *s = vt + square;
    char *part = (char *)(s + l);
    st_status st = orthonormalise(r, r->z, r->n, upper, err);
    double captured = squares(true, upper, square);
    if (st == ST_OK && !isfinite(captured))
        st = linalg_fail(err, ST_ARG, r->a, "%s: the values are too large: scale them, or use F64", r->what);
    memcpy(copy, upper, square * sizeof *copy);
    if (st == ST_OK) st = small_svd(r, upper, copy, s, u, vt, err);
    if (st == ST_OK) {
        char *us = out, *ss = us + (uint64_t)r->m * k * r->width, *vs = ss + k * r->width;
        take_columns(r, vt, true, part);
        blas_gemm(r->wide, 'T', 'T', r->k, r->m, r->l, part, r->l, r->y, r->m, 0, us, r->k);
        take_columns(r, u, false, part);
        blas_gemm(r->wide, 'N', 'N', r->n, r->k, r->l, r->z, r->n, part, r->l, 0, vs, r->n);
        linalg_fix_signs(r->wide, us, (uint64_t)r->m, k, vs, (uint64_t)r->n, k);
        for (uint64_t i = 0; i < k; i++) {
            linalg_put(r->wide, ss, i, s[i]);
            retained += s[i] * s[i];
        }
        for (int i = 0; i < (r->m + PANEL - 1) / PANEL; i++) total += ((const double *)r->squares)[i];
        certify(r->wide, total, captured, retained, vs + (uint64_t)r->n * k * r->width);
    }
    st_free(block);
    return st;
}

/* ---------------------------------------------------------------- the operation */

/* Columns of the subspace. */
static int64_t subspace(int64_t k, int64_t most)
{
    int64_t l = k + (k / 4 > 8 ? k / 4 : 8);
    return l < most ? l : most;
}

static st_status reserve(lowrank *r, st_err *err)
{
    int most = r->m > r->n ? r->m : r->n;
    uint64_t l = (uint64_t)r->l, panels = ((uint64_t)r->m + PANEL - 1) / PANEL, size = (uint64_t)r->m * (uint64_t)r->n;
    double answers[2];
    r->strip = (int)((uint64_t)STRIP / r->width / (uint64_t)r->n / PANEL * PANEL);
    if (r->strip < PANEL) r->strip = PANEL;
    r->whole = size * r->width <= st_ctx_memory(r->ctx) / 2 || r->m <= r->strip;
    lapack_geqrf(r->wide, most, r->l, NULL, most, NULL, &answers[0], -1);
    lapack_orgqr(r->wide, most, r->l, r->l, NULL, most, NULL, &answers[1], -1);
    r->lwork =
        (int)(fmax(linalg_get(r->wide, &answers[0], 0), linalg_get(r->wide, &answers[1], 0)) * (1 + 0x1p-20)) + 1;
    ST_TRY(linalg_alloc(r->ctx, r->what, r->a, r->whole ? size : (uint64_t)r->strip * (uint64_t)r->n, r->width,
                        &r->rows, err));
    ST_TRY(linalg_alloc(r->ctx, r->what, r->a, (uint64_t)r->m * l, r->width, &r->y, err));
    ST_TRY(linalg_alloc(r->ctx, r->what, r->a, (uint64_t)r->n * l, r->width, &r->z, err));
    ST_TRY(linalg_alloc(r->ctx, r->what, r->a, l, r->width, &r->tau, err));
    ST_TRY(linalg_alloc(r->ctx, r->what, r->a, (uint64_t)r->lwork, r->width, &r->work, err));
    return linalg_alloc(r->ctx, r->what, r->a, panels, sizeof(double), &r->squares, err);
}

static st_status lowrank_compute(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    linalg_dims d = linalg_dims_of(t->args[0]);
    lowrank r = {.ctx = ctx, .what = t->whole->name, .a = t->args[0], .wide = t->dtype == ST_F64, .m = d.m, .n = d.n};
    r.width = r.wide ? 8 : 4;
    r.k = (int)t->param[0];
    r.l = (int)subspace(r.k, d.k);
    ST_TRY(blas_load(err));
    st_status s = reserve(&r, err);
    if (s == ST_OK) s = iterate(&r, (int)t->param[1], (uint64_t)t->param[2], err);
    if (s == ST_OK) s = finish(&r, out, err);
    void *all[] = {r.rows, r.y, r.z, r.tau, r.work, r.squares};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) st_free(all[i]);
    return s;
}

static const st_whole LOWRANK = {"svd_lowrank", lowrank_compute};

/* The certificate of an exact decomposition, from all singular values. */
static st_status exact_certificate(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    uint64_t n = t->args[0]->numel, k = (uint64_t)t->param[0];
    double total = 0, retained = 0, *s = st_malloc(n * sizeof *s);
    if (!s) return st_fail_nomem(err, n * sizeof *s);
    st_status st = st_export(ctx, t->args[0], 0, n, ST_F64, s, err);
    for (uint64_t i = 0; st == ST_OK && i < n; i++) {
        total += s[i] * s[i];
        if (i < k) retained = total;
    }
    certify(t->dtype == ST_F64, total, total, retained, out);
    st_free(s);
    return st;
}

static const st_whole EXACT = {"svd_lowrank", exact_certificate};

static st_status exact(st_tensor *a, int64_t k, st_tensor *out[4], st_err *err)
{
    st_tensor *usv[3], *vh = NULL;
    ST_TRY(st_svd(a, false, usv, err));
    st_status s = st_narrow(usv[0], 1, 0, k, 1, &out[0], err);
    if (s == ST_OK) s = st_narrow(usv[1], 0, 0, k, 1, &out[1], err);
    if (s == ST_OK) s = st_narrow(usv[2], 0, 0, k, 1, &vh, err);
    if (s == ST_OK) s = st_permute(vh, (int[]){1, 0}, &out[2], err);
    if (s == ST_OK) s = st_node_new(ST_N_WHOLE, usv[1]->dtype, 1, (int64_t[]){3}, 1, &usv[1], &out[3], err);
    if (s == ST_OK) {
        out[3]->whole = &EXACT;
        out[3]->param[0] = k;
    }
    st_tensor_unref(vh);
    for (int i = 0; i < 3; i++) st_tensor_unref(usv[i]);
    for (int i = 0; s != ST_OK && i < 4; i++) {
        st_tensor_unref(out[i]);
        out[i] = NULL;
    }
    return s;
}

st_status st_svd_lowrank(st_tensor *a, int64_t k, int niter, uint64_t seed, st_tensor *out[4], st_err *err)
{
    st_dtype dtype;
    for (int i = 0; i < 4; i++) out[i] = NULL;
    ST_TRY(linalg_check("svd_lowrank", &a, 1, 2, &dtype, err));
    if (a->ndim != 2)
        return linalg_fail(err, ST_SHAPE, a, "svd_lowrank takes one matrix; this tensor has %d dimensions", a->ndim);
    linalg_dims d = linalg_dims_of(a);
    if (k < 1 || k > d.k)
        return linalg_fail(err, ST_ARG, a, "svd_lowrank: rank %lld of a %d x %d matrix: give 1 to %d", (long long)k,
                           d.m, d.n, d.k);
    if (niter < 0 || niter > 1000)
        return linalg_fail(err, ST_ARG, a, "svd_lowrank: niter is %d: give 0 to 1000", niter);
    if (d.k <= ALWAYS_EXACT || 2 * subspace(k, d.k) > d.k) return exact(a, k, out, err);
    const linalg_part parts[] = {{d.m, k, false}, {k, -1, false}, {d.n, k, true}, {3, -1, false}};
    const int64_t params[] = {k, niter, (int64_t)seed};
    return linalg_results(&LOWRANK, linalg_factor_dtype(dtype), &a, 1, params, 3, parts, 4, out, err);
}
