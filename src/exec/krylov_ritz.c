/* krylov_ritz.c - what a Krylov basis says of A: singular values, when to stop, the factors. Layer: exec. */
#include "krylov.h"
#include "mem.h"

#include <math.h>
#include <string.h>

/* Shares of A's squares below it are rounding errors of F32. */
static const double ROUNDING = 3e-7;
static const double SLOWEST = 0.6, SMALL = 1e-4;

enum { CHEAP = 96 };

st_status krylov_eigen(int n, double *a, int lda, bool vectors, double *values, st_err *err)
{
    double size;
    int isize, info;
    lapack_syevd(true, vectors, n, a, lda, values, &size, -1, &isize, -1);
    int lwork = (int)size + 1, liwork = isize;
    double *work = st_malloc((size_t)lwork * sizeof *work);
    int *iwork = st_malloc((size_t)liwork * sizeof *iwork);
    if (!work || !iwork)
        info = 1;
    else
        info = lapack_syevd(true, vectors, n, a, lda, values, work, lwork, iwork, liwork);
    bool memory = work && iwork;
    st_free(work);
    st_free(iwork);
    if (!memory) return st_fail_nomem(err, (size_t)lwork * sizeof *work);
    return info ? st_fail(err, ST_INTERNAL, NULL, NULL, "no convergence of %d eigenvalues", n) : ST_OK;
}

/* Eigenvalues of t's leading part, descending. */
static st_status leading_values(krylov *k, int n, double *values, st_err *err)
{
    double *a = st_malloc((size_t)n * (size_t)n * sizeof *a);
    if (!a) return st_fail_nomem(err, (size_t)n * (size_t)n * sizeof *a);
    for (int j = 0; j < n; j++)
        memcpy(a + (size_t)j * (size_t)n, k->t + (size_t)j * (size_t)k->cap, (size_t)n * sizeof *a);
    st_status s = krylov_eigen(n, a, n, false, values, err);
    st_free(a);
    for (int i = 0; i < n / 2; i++) {
        double x = values[i];
        values[i] = values[n - 1 - i];
        values[n - 1 - i] = x;
    }
    return s;
}

int krylov_rank(const krylov *k, const double *values, int n)
{
    const st_lowrank_goal *g = k->goal;
    int most = k->a->m < k->a->n ? k->a->m : k->a->n;
    if (most > n) most = n;
    if (most > g->rank) most = (int)g->rank;
    int rank = most;
    double sum = 0;
    if (g->energy > 0)
        for (rank = 0; rank < most && sum < g->energy * k->a->total; rank++) sum += values[rank];
    if (g->ratio > 0)
        while (rank > 1 && values[rank - 1] * g->ratio * g->ratio < values[0]) rank--;
    return rank > 0 ? rank : 1;
}

static double sum_of(const double *values, int n, int rank)
{
    double sum = 0;
    for (int i = 0; i < n && i < rank; i++) sum += fmax(values[i], 0);
    return sum;
}

/* Gains fall at least as fast as a geometric series, at the rate that was seen last: what is ahead is its rest. A rate
 * better than in a flat spectrum may be that of the large values alone, which are found first: it is not believed. */
st_status krylov_is_done(krylov *k, int *wait, st_err *err)
{
    int n = k->columns, w = k->width;
    double *spare = k->eldest;
    k->eldest = k->older;
    k->neldest = k->nolder;
    k->older = k->values;
    k->nolder = k->nvalues;
    k->values = spare;
    if (n - w > 0 && k->nolder != n - w) {
        ST_TRY(leading_values(k, n - w, k->older, err));
        k->nolder = n - w;
    }
    ST_TRY(leading_values(k, n, k->values, err));
    int rank = krylov_rank(k, k->values, n);
    double now = sum_of(k->values, n, rank), before = sum_of(k->older, n - w, rank), gain = fmax(now - before, 0);
    if (k->neldest == n - 2 * w && k->neldest > 0) {
        double last = before - sum_of(k->eldest, n - 2 * w, rank);
        k->rate = last > 0 ? fmin(gain / last, 0.9) : 0.9;
    }
    k->nvalues = n;
    double rate = fmax(fmin(k->rate, 0.9), SLOWEST), ahead = gain * rate / (1 - rate),
           left = fmax(k->a->total - now, 0), allowed = k->goal->slack * left + ROUNDING * k->a->total;
    *wait = 0;
    if (ahead <= allowed) return ST_OK;
    *wait = 1;
    /* A step fewer than that needs, for rates improve; the values of a small basis cost nothing. */
    if (n > CHEAP && k->rate < 0.9) *wait = (int)fmax(1, fmin(0.75 * log(allowed / ahead) / log(rate), n / (4.0 * w)));
    return ST_OK;
}

/* ---------------------------------------------------------------- the factors */

static double *widened(const float *x, size_t n)
{
    double *wide = st_malloc(n * sizeof *wide);
    for (size_t i = 0; wide && i < n; i++) wide[i] = (double)x[i];
    return wide;
}

/* x'x, in F64. */
static st_status gram_of(const float *x, size_t rows, int n, double *gram, st_err *err)
{
    double *wide = widened(x, rows * (size_t)n);
    if (!wide) return st_fail_nomem(err, rows * (size_t)n * sizeof *wide);
    blas_gemm(true, 'T', 'N', n, n, (int)rows, wide, (int)rows, wide, (int)rows, 0, gram, n);
    st_free(wide);
    return ST_OK;
}

/* Eigenvectors of t, in F64, by rows of ascending values; `a` has room for them. */
static st_status eigenvectors(krylov *k, double *a, double *values, int *rank, st_err *err)
{
    size_t n = (size_t)k->columns;
    ST_TRY(krylov_eigen((int)n, a, (int)n, true, values, err));
    for (size_t i = 0; i < n; i++) k->values[i] = values[n - 1 - i];
    *rank = krylov_rank(k, k->values, (int)n);
    return ST_OK;
}

/* The eigenvectors of v'A'A v for its largest values, in F32, largest first: columns x rank. t was summed in F32:
 * values that are small beside the first are lost in it, and come from A v instead. */
static st_status best_directions(krylov *k, int *rank, float **out, double *captured, st_err *err)
{
    size_t n = (size_t)k->columns;
    double *a = st_malloc(n * n * sizeof *a), *values = st_malloc(n * sizeof *values);
    *out = NULL;
    st_status s = a && values ? ST_OK : st_fail_nomem(err, n * n * sizeof *a);
    for (size_t j = 0; s == ST_OK && j < n; j++) memcpy(a + j * n, k->t + j * (size_t)k->cap, n * sizeof *a);
    if (s == ST_OK) s = eigenvectors(k, a, values, rank, err);
    if (s == ST_OK && k->values[*rank - 1] < SMALL * k->values[0]) {
        s = gram_of(k->av, (size_t)k->a->m, (int)n, a, err);
        if (s == ST_OK) s = eigenvectors(k, a, values, rank, err);
    }
    *captured = 0;
    for (size_t i = 0; s == ST_OK && i < n; i++) *captured += values[i];
    if (s == ST_OK) {
        *out = st_malloc(n * (size_t)*rank * sizeof **out);
        if (!*out) s = st_fail_nomem(err, n * (size_t)*rank * sizeof **out);
    }
    for (size_t j = 0; s == ST_OK && j < (size_t)*rank; j++)
        for (size_t i = 0; i < n; i++) (*out)[j * n + i] = (float)a[(n - 1 - j) * n + i];
    st_free(a);
    st_free(values);
    return s;
}

/* x (rows x n) = x change, in F64. */
static st_status rotate(float *x, size_t rows, int n, const double *change, st_err *err)
{
    size_t count = rows * (size_t)n;
    double *from = widened(x, count), *to = st_malloc(count * sizeof *to);
    if (from && to) {
        blas_gemm(true, 'N', 'N', (int)rows, n, n, from, (int)rows, change, n, 0, to, (int)rows);
        for (size_t i = 0; i < count; i++) x[i] = (float)to[i];
    }
    bool memory = from && to;
    st_free(from);
    st_free(to);
    return memory ? ST_OK : st_fail_nomem(err, 2 * count * sizeof *to);
}

/* The inverse of the upper factor of the Gram matrix g, which is nearly the identity, by columns. */
static void unfactor(int n, const double *g, double *r)
{
    memset(r, 0, (size_t)n * (size_t)n * sizeof *r);
    for (int i = 0; i < n; i++) {
        double *m = r + (size_t)i * (size_t)n, length = g[(size_t)i * (size_t)n + (size_t)i];
        m[i] = 1;
        for (int j = 0; j < i; j++) {
            const double *q = r + (size_t)j * (size_t)n;
            double sum = 0;
            for (int p = 0; p <= j; p++) sum += q[p] * g[(size_t)i * (size_t)n + (size_t)p];
            for (int p = 0; p <= j; p++) m[p] -= sum * q[p];
            length -= sum * sum;
        }
        double d = length > 0 ? 1 / sqrt(length) : 0;
        for (int p = 0; p <= i; p++) m[p] *= d;
    }
}

/* Roundings of F32 are taken out: right becomes orthonormal, left's columns orthogonal, s their lengths. */
static st_status polish(const krylov *k, krylov_factors *f, st_err *err)
{
    int r = f->rank;
    size_t square = (size_t)r * (size_t)r, m = (size_t)k->a->m, n = (size_t)k->a->n;
    double *block = st_malloc((4 * square + (size_t)r) * sizeof *block);
    if (!block) return st_fail_nomem(err, 4 * square * sizeof *block);
    double *g = block, *inverse = g + square, *h = inverse + square, *change = h + square, *values = change + square;
    st_status s = gram_of(f->right, n, r, g, err);
    if (s == ST_OK) s = gram_of(f->left, m, r, h, err);
    if (s == ST_OK) {
        unfactor(r, g, inverse);
        blas_gemm(true, 'N', 'N', r, r, r, h, r, inverse, r, 0, g, r);
        blas_gemm(true, 'T', 'N', r, r, r, inverse, r, g, r, 0, h, r);
        s = krylov_eigen(r, h, r, true, values, err);
    }
    if (s == ST_OK) {
        for (int j = 0; j < r; j++) /* largest first */
            memcpy(g + (size_t)j * (size_t)r, h + (size_t)(r - 1 - j) * (size_t)r, (size_t)r * sizeof *g);
        blas_gemm(true, 'N', 'N', r, r, r, inverse, r, g, r, 0, change, r);
        s = rotate(f->right, n, r, change, err);
    }
    if (s == ST_OK) s = rotate(f->left, m, r, change, err);
    for (int i = 0; s == ST_OK && i < r; i++) {
        f->s[i] = sqrt(fmax(values[r - 1 - i], 0));
        f->retained += f->s[i] * f->s[i];
    }
    st_free(block);
    return s;
}

st_status krylov_finish(krylov *k, krylov_factors *out, st_err *err)
{
    int m = k->a->m, n = k->a->n, held = k->columns;
    float *best;
    double rate = fmax(fmin(k->rate, 0.9), SLOWEST);
    ST_TRY(best_directions(k, &out->rank, &best, &out->captured, err));
    size_t r = (size_t)out->rank;
    out->right = st_malloc((size_t)n * r * sizeof(float));
    out->left = st_malloc((size_t)m * r * sizeof(float));
    out->s = st_calloc(r, sizeof(double));
    st_status s = out->right && out->left && out->s ? ST_OK : st_fail_nomem(err, (size_t)(m + n) * r * sizeof(float));
    if (s == ST_OK) {
        blas_gemm(false, 'N', 'N', n, out->rank, held, k->v, n, best, held, 0, out->right, n);
        blas_gemm(false, 'N', 'N', m, out->rank, held, k->av, m, best, held, 0, out->left, m);
        s = polish(k, out, err);
    }
    st_free(best);
    out->columns = held;
    if (s == ST_OK && held < k->limit) {
        double gain = out->retained - sum_of(k->older, held - k->width, out->rank);
        out->ahead = fmax(gain, 0) * rate / (1 - rate);
    }
    return s;
}
