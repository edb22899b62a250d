/* linalg_factor.c - the decompositions that every matrix has: SVD and QR. Layer: exec.
 *
 * LAPACK sees the transpose of what we mean: the LQ factors of A' are R' and Q' of A, the left singular vectors of A'
 * are the rows of Vh, and so on. */
#include "linalg.h"
#include "mem.h"

#include <string.h>

/* ---------------------------------------------------------------- svd */

enum { SVD_REDUCED, SVD_FULL, SVD_VALUES };

/* Where the parts of matrix i begin. A' = V S U' as LAPACK sees it, so its "U" is Vh in row-major order, its "VT" is U.
 */
typedef struct svd_parts {
    void *u, *s, *vh;
    int ucols, vrows;
} svd_parts;

static svd_parts parts_of(const linalg_job *j, uint64_t i)
{
    svd_parts p = {.ucols = j->d.k, .vrows = j->d.k};
    uint64_t m = (uint64_t)j->d.m, n = (uint64_t)j->d.n, k = (uint64_t)j->d.k, count = j->d.count;
    if (j->t->param[0] == SVD_VALUES) return p.s = j->out + i * k * j->width, p;
    if (j->t->param[0] == SVD_FULL) {
        p.ucols = j->d.m;
        p.vrows = j->d.n;
    }
    uint64_t u = m * (uint64_t)p.ucols, v = (uint64_t)p.vrows * n;
    p.u = j->out + i * u * j->width;
    p.s = j->out + (count * u + i * k) * j->width;
    p.vh = j->out + (count * (u + k) + i * v) * j->width;
    return p;
}

static const char jobs[] = {[SVD_REDUCED] = 'S', [SVD_FULL] = 'A', [SVD_VALUES] = 'N'};

static st_status svd_end(const linalg_job *j, const svd_parts *p, int info, st_err *err)
{
    uint64_t m = (uint64_t)j->d.m, n = (uint64_t)j->d.n;
    if (info) return linalg_fail_info(j, info, "no convergence: scale the values, or use F64", err);
    if (p->u) linalg_fix_signs(j->wide, p->u, m, (uint64_t)p->ucols, p->vh, n, (uint64_t)j->d.k);
    return ST_OK;
}

/* Divide and conquer; where that does not converge, QR iteration on a new copy. */
static st_status svd_one(const linalg_job *j, uint64_t i, linalg_scratch *w, st_err *err)
{
    svd_parts p = parts_of(j, i);
    char how = jobs[j->t->param[0]];
    int m = j->d.m, n = j->d.n, lwork;
    double answer;
    void *a = linalg_matrix(j, i);
    lapack_gesdd(j->wide, how, n, m, a, n, p.s, p.vh, n, p.u, p.ucols, &answer, -1, w->ints);
    ST_TRY(linalg_reserve(j, w, &answer, &lwork, err));
    int info = lapack_gesdd(j->wide, how, n, m, a, n, p.s, p.vh, n, p.u, p.ucols, w->work, lwork, w->ints);
    w->again = info > 0;
    return w->again ? ST_OK : svd_end(j, &p, info, err);
}

static st_status svd_again(const linalg_job *j, uint64_t i, linalg_scratch *w, st_err *err)
{
    svd_parts p = parts_of(j, i);
    char how = jobs[j->t->param[0]];
    int m = j->d.m, n = j->d.n, lwork;
    double answer;
    void *a = linalg_matrix(j, i);
    lapack_gesvd(j->wide, how, n, m, a, n, p.s, p.vh, n, p.u, p.ucols, &answer, -1);
    ST_TRY(linalg_reserve(j, w, &answer, &lwork, err));
    return svd_end(j, &p, lapack_gesvd(j->wide, how, n, m, a, n, p.s, p.vh, n, p.u, p.ucols, w->work, lwork), err);
}

/* Square factors of a matrix without elements: the identity. */
static void svd_of_nothing(const linalg_job *j, void *out)
{
    uint64_t side = (uint64_t)(j->d.m > j->d.n ? j->d.m : j->d.n);
    memset(out, 0, j->t->numel * j->width);
    for (uint64_t i = 0; i < j->d.count; i++)
        for (uint64_t r = 0; r < side; r++) linalg_put(j->wide, out, i * side * side + r * side + r, 1);
}

static st_status svd_compute(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    linalg_job j = linalg_job_of(ctx, t, out);
    j.one = svd_one;
    j.again = svd_again;
    if (j.d.k == 0) return svd_of_nothing(&j, out), ST_OK;
    return linalg_run(&j, false, err);
}

static const st_whole SVD = {"svd", svd_compute};
static const st_whole SVDVALS = {"svdvals", svd_compute};

st_status st_svd(st_tensor *a, bool full, st_tensor *out[3], st_err *err)
{
    st_dtype d;
    out[0] = out[1] = out[2] = NULL;
    ST_TRY(linalg_check("svd", &a, 1, 2, &d, err));
    linalg_dims s = linalg_dims_of(a);
    linalg_part parts[] = {{s.m, full ? s.m : s.k, false}, {s.k, -1, false}, {full ? s.n : s.k, s.n, false}};
    int64_t mode = full ? SVD_FULL : SVD_REDUCED;
    return linalg_results(&SVD, linalg_factor_dtype(d), &a, 1, &mode, 1, parts, 3, out, err);
}

st_status st_svdvals(st_tensor *a, st_tensor **out, st_err *err)
{
    st_dtype d;
    *out = NULL;
    ST_TRY(linalg_check("svdvals", &a, 1, 2, &d, err));
    linalg_part values = {linalg_dims_of(a).k, -1, false};
    return linalg_results(&SVDVALS, linalg_factor_dtype(d), &a, 1, &(int64_t){SVD_VALUES}, 1, &values, 1, out, err);
}

/* ---------------------------------------------------------------- qr */

/* R is the upper triangle of the first k rows. */
static void copy_r(const linalg_job *j, const char *a, void *r)
{
    uint64_t n = (uint64_t)j->d.n, k = (uint64_t)j->d.k;
    memset(r, 0, k * n * j->width);
    for (uint64_t i = 0; i < k; i++)
        memcpy((char *)r + (i * n + i) * j->width, a + (i * n + i) * j->width, (n - i) * j->width);
}

static st_status qr_one(const linalg_job *j, uint64_t i, linalg_scratch *w, st_err *err)
{
    uint64_t m = (uint64_t)j->d.m, n = (uint64_t)j->d.n, k = (uint64_t)j->d.k;
    char *q = j->out + i * m * k * j->width, *r = j->out + (j->d.count * m * k + i * k * n) * j->width,
         *a = linalg_matrix(j, i);
    double answer[2];
    int lwork, lwork2;
    lapack_gelqf(j->wide, j->d.n, j->d.m, a, j->d.n, NULL, &answer[0], -1);
    lapack_orglq(j->wide, j->d.k, j->d.m, j->d.k, a, j->d.n, NULL, &answer[1], -1);
    ST_TRY(linalg_reserve(j, w, &answer[1], &lwork2, err));
    ST_TRY(linalg_reserve(j, w, &answer[0], &lwork, err));
    void *tau;
    ST_TRY(linalg_alloc(j->ctx, j->what, j->t->args[0], k, j->width, &tau, err));
    int info = lapack_gelqf(j->wide, j->d.n, j->d.m, a, j->d.n, tau, w->work, lwork);
    if (info == 0) {
        copy_r(j, a, r);
        info = lapack_orglq(j->wide, j->d.k, j->d.m, j->d.k, a, j->d.n, tau, w->work, lwork2);
    }
    st_free(tau);
    if (info) return linalg_fail_info(j, info, "no QR factors", err);
    for (uint64_t row = 0; row < m; row++) memcpy(q + row * k * j->width, a + row * n * j->width, k * j->width);
    return ST_OK;
}

static st_status qr_compute(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    linalg_job j = linalg_job_of(ctx, t, out);
    j.one = qr_one;
    return linalg_run(&j, false, err);
}

static const st_whole QR = {"qr", qr_compute};

st_status st_qr(st_tensor *a, st_tensor *out[2], st_err *err)
{
    st_dtype d;
    out[0] = out[1] = NULL;
    ST_TRY(linalg_check("qr", &a, 1, 2, &d, err));
    linalg_dims s = linalg_dims_of(a);
    linalg_part parts[] = {{s.m, s.k, false}, {s.k, s.n, false}};
    return linalg_results(&QR, linalg_factor_dtype(d), &a, 1, NULL, 0, parts, 2, out, err);
}
