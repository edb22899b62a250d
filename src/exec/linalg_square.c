/* linalg_square.c - what square matrices have: eigenvalues, Cholesky's factor, determinant, inverse, solutions; and the
 * pseudo-inverse and the nuclear norm, which any matrix has. Layer: exec. A symmetric matrix's lower triangle is the
 * upper one for LAPACK, which sees transposes. */
#include "linalg.h"
#include "mem.h"
#include "shape.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

/* Checks a stack of square matrices, of floats. */
static st_status check_square(const char *what, st_tensor *a, st_dtype *dtype, st_err *err)
{
    char text[160];
    ST_TRY(linalg_check(what, &a, 1, 2, dtype, err));
    *dtype = linalg_factor_dtype(*dtype);
    if (a->shape[a->ndim - 2] == a->shape[a->ndim - 1]) return ST_OK;
    st_shape_text(text, sizeof text, a->ndim, a->shape);
    return linalg_fail(err, ST_SHAPE, a, "%s needs square matrices; the shape is %s", what, text);
}

/* One result of the operand's own shape. */
static st_status same_shape(const st_whole *whole, st_tensor *a, st_tensor **out, st_err *err)
{
    st_dtype d;
    *out = NULL;
    ST_TRY(check_square(whole->name, a, &d, err));
    linalg_dims s = linalg_dims_of(a);
    return linalg_results(whole, d, &a, 1, NULL, 0, &(linalg_part){s.m, s.n, false}, 1, out, err);
}

/* ---------------------------------------------------------------- eigh */

/* The vectors come as columns, which in row-major order are rows: the public result is a transposed view. */
static st_status eigh_one(const linalg_job *j, uint64_t i, linalg_scratch *w, st_err *err)
{
    uint64_t n = (uint64_t)j->d.n, size = linalg_matrix_size(j);
    char *values = j->out + i * n * j->width, *vectors = j->out + (j->d.count * n + i * size) * j->width;
    double answer;
    int lwork, liwork = 8 * j->d.n + 1, ints;
    memcpy(vectors, linalg_matrix(j, i), size * j->width);
    lapack_syevd(j->wide, true, j->d.n, vectors, j->d.n, values, &answer, -1, &ints, -1);
    ST_TRY(linalg_reserve(j, w, &answer, &lwork, err));
    int info = lapack_syevd(j->wide, true, j->d.n, vectors, j->d.n, values, w->work, lwork, w->ints, liwork);
    if (info) return linalg_fail_info(j, info, "no convergence: scale the values, or use F64", err);
    for (uint64_t v = 0; v < n; v++) linalg_fix_signs(j->wide, vectors + v * n * j->width, n, 1, NULL, 0, 1);
    return ST_OK;
}

static st_status eigh_compute(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    linalg_job j = linalg_job_of(ctx, t, out);
    j.one = eigh_one;
    return linalg_run(&j, false, err);
}

static const st_whole EIGH = {"eigh", eigh_compute};

st_status st_eigh(st_tensor *a, st_tensor *out[2], st_err *err)
{
    st_dtype d;
    out[0] = out[1] = NULL;
    ST_TRY(check_square("eigh", a, &d, err));
    int n = linalg_dims_of(a).n;
    linalg_part parts[] = {{n, -1, false}, {n, n, true}};
    return linalg_results(&EIGH, d, &a, 1, NULL, 0, parts, 2, out, err);
}

/* ---------------------------------------------------------------- cholesky */

static st_status cholesky_one(const linalg_job *j, uint64_t i, linalg_scratch *w, st_err *err)
{
    uint64_t n = (uint64_t)j->d.n;
    char *a = linalg_matrix(j, i), why[96];
    (void)w;
    int info = lapack_potrf(j->wide, j->d.n, a, j->d.n);
    snprintf(why, sizeof why, "matrix %llu is not positive definite (leading minor %d)", (unsigned long long)i + 1,
             info);
    if (info) return linalg_fail_info(j, info, why, err);
    for (uint64_t r = 0; r < n; r++) memset(a + (r * n + r + 1) * j->width, 0, (n - r - 1) * j->width);
    return ST_OK;
}

static st_status cholesky_compute(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    linalg_job j = linalg_job_of(ctx, t, out);
    j.one = cholesky_one;
    return linalg_run(&j, true, err);
}

static const st_whole CHOLESKY = {"cholesky", cholesky_compute};

st_status st_cholesky(st_tensor *a, st_tensor **out, st_err *err) { return same_shape(&CHOLESKY, a, out, err); }

/* ---------------------------------------------------------------- det, inverse, solve */

/* The product of the pivots, in F64; each exchange of rows turns the sign. */
static st_status det_one(const linalg_job *j, uint64_t i, linalg_scratch *w, st_err *err)
{
    uint64_t n = (uint64_t)j->d.n;
    double det = 1;
    char *a = linalg_matrix(j, i);
    int info = lapack_getrf(j->wide, j->d.n, a, j->d.n, w->ints);
    if (info < 0) return linalg_fail_info(j, info, "", err);
    for (uint64_t r = 0; r < n; r++) {
        double pivot = linalg_get(j->wide, a, r * n + r);
        det *= (uint64_t)w->ints[r] == r + 1 ? pivot : -pivot;
    }
    linalg_put(j->wide, j->out, i, info > 0 ? 0 : det);
    return ST_OK;
}

static st_status det_compute(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    linalg_job j = linalg_job_of(ctx, t, out);
    j.one = det_one;
    for (uint64_t i = 0; j.d.n == 0 && i < j.d.count; i++) linalg_put(j.wide, out, i, 1);
    return j.d.n ? linalg_run(&j, false, err) : ST_OK;
}

static const st_whole DET = {"det", det_compute};

st_status st_det(st_tensor *a, st_tensor **out, st_err *err)
{
    st_dtype d;
    *out = NULL;
    ST_TRY(check_square("det", a, &d, err));
    return linalg_results(&DET, d, &a, 1, NULL, 0, &(linalg_part){-1, -1, false}, 1, out, err);
}

static st_status fail_singular(const linalg_job *j, uint64_t i, int info, st_err *err)
{
    char why[96];
    snprintf(why, sizeof why, "matrix %llu is singular (pivot %d is 0); pinv takes any matrix",
             (unsigned long long)i + 1, info);
    return linalg_fail_info(j, info, why, err);
}

static st_status inverse_one(const linalg_job *j, uint64_t i, linalg_scratch *w, st_err *err)
{
    void *a = linalg_matrix(j, i);
    double answer;
    int n = j->d.n, lwork;
    int info = lapack_getrf(j->wide, n, a, n, w->ints);
    if (info) return fail_singular(j, i, info, err);
    lapack_getri(j->wide, n, a, n, w->ints, &answer, -1);
    ST_TRY(linalg_reserve(j, w, &answer, &lwork, err));
    info = lapack_getri(j->wide, n, a, n, w->ints, w->work, lwork);
    return info ? fail_singular(j, i, info, err) : ST_OK;
}

static st_status inverse_compute(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    linalg_job j = linalg_job_of(ctx, t, out);
    j.one = inverse_one;
    return linalg_run(&j, true, err);
}

static const st_whole INVERSE = {"inverse", inverse_compute};

st_status st_inverse(st_tensor *a, st_tensor **out, st_err *err) { return same_shape(&INVERSE, a, out, err); }

/* The right sides lie in the result, each column a row, and become the solutions. */
static st_status solve_one(const linalg_job *j, uint64_t i, linalg_scratch *w, st_err *err)
{
    const st_tensor *b = j->t->args[1];
    int n = j->d.n, columns = (int)b->shape[b->ndim - 2];
    void *a = linalg_matrix(j, i);
    int info = lapack_getrf(j->wide, n, a, n, w->ints);
    if (info) return fail_singular(j, i, info, err);
    info =
        lapack_getrs_t(j->wide, n, columns, a, n, w->ints, j->out + i * (uint64_t)n * (uint64_t)columns * j->width, n);
    return info ? linalg_fail_info(j, info, "", err) : ST_OK;
}

static st_status solve_compute(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    linalg_job j = linalg_job_of(ctx, t, out);
    j.one = solve_one;
    j.filled = true;
    ST_TRY(linalg_load(ctx, j.what, t->args[1], j.wide, 0, t->args[1]->numel, out, err));
    return linalg_run(&j, false, err);
}

static const st_whole SOLVE = {"solve", solve_compute};

/* `t` with its last two dimensions exchanged. */
static st_status transposed(st_tensor *t, st_tensor **out, st_err *err)
{
    int order[ST_MAX_DIMS];
    for (int d = 0; d < t->ndim; d++) order[d] = d;
    order[t->ndim - 2] = t->ndim - 1;
    order[t->ndim - 1] = t->ndim - 2;
    return st_permute(t, order, out, err);
}

/* b (.., n, columns) and a, of one stack each, to the solutions. */
static st_status solve_stacks(st_tensor *a, st_tensor *b, st_dtype dtype, st_tensor **out, st_err *err)
{
    int64_t shape[ST_MAX_DIMS];
    int n;
    st_tensor *args[2] = {NULL}, *right = NULL;
    ST_TRY(st_shape_broadcast(a->ndim - 2, a->shape, b->ndim - 2, b->shape, &n, shape, err));
    shape[n] = shape[n + 1] = a->shape[a->ndim - 1];
    st_status s = st_expand(a, n + 2, shape, &args[0], err);
    shape[n + 1] = b->shape[b->ndim - 1];
    if (s == ST_OK) s = st_expand(b, n + 2, shape, &right, err);
    if (s == ST_OK) s = transposed(right, &args[1], err);
    linalg_part x = {a->shape[a->ndim - 1], b->shape[b->ndim - 1], true};
    if (s == ST_OK) s = linalg_results(&SOLVE, dtype, args, 2, NULL, 0, &x, 1, out, err);
    st_tensor_unref(args[0]);
    st_tensor_unref(args[1]);
    st_tensor_unref(right);
    return s;
}

st_status st_solve(st_tensor *a, st_tensor *b, st_tensor **out, st_err *err)
{
    st_dtype d;
    st_tensor *column = NULL, *x = NULL;
    int64_t shape[ST_MAX_DIMS];
    *out = NULL;
    ST_TRY(check_square("solve", a, &d, err));
    ST_TRY(linalg_check("solve", (st_tensor *[]){a, b}, 2, 1, &d, err));
    bool vector = b->ndim == 1 || (b->ndim == a->ndim - 1 && st_shape_equal(b->ndim, b->shape, b->ndim, a->shape));
    if (b->shape[b->ndim - (vector ? 1 : 2)] != a->shape[a->ndim - 1])
        return linalg_fail(err, ST_SHAPE, b, "solve: %lld right-hand values per column for matrices of size %lld",
                           (long long)b->shape[b->ndim - (vector ? 1 : 2)], (long long)a->shape[a->ndim - 1]);
    if (!vector) return solve_stacks(a, b, linalg_factor_dtype(d), out, err);
    if (b->ndim) memcpy(shape, b->shape, (size_t)b->ndim * sizeof *shape);
    shape[b->ndim] = 1;
    st_status s = st_reshape(b, b->ndim + 1, shape, &column, err);
    if (s == ST_OK) s = solve_stacks(a, column, linalg_factor_dtype(d), &x, err);
    if (s == ST_OK) s = st_reshape(x, x->ndim - 1, x->shape, out, err);
    st_tensor_unref(column);
    st_tensor_unref(x);
    return s;
}

/* ---------------------------------------------------------------- pinv, nuclear norm */

/* 1 / s where s is large enough, else 0. */
static st_status invert_values(st_tensor *s, double rtol, st_tensor **out, st_err *err)
{
    st_tensor *largest = NULL, *r = NULL, *limit = NULL, *large = NULL, *one = NULL, *zero = NULL, *inverse = NULL;
    st_status st = st_narrow(s, s->ndim - 1, 0, 1, 1, &largest, err);
    if (st == ST_OK) st = st_number(rtol, &r, err);
    if (st == ST_OK) st = st_number(1, &one, err);
    if (st == ST_OK) st = st_number(0, &zero, err);
    if (st == ST_OK) st = st_apply(ST_OP_MUL, (st_tensor *[]){largest, r}, &limit, err);
    if (st == ST_OK) st = st_apply(ST_OP_GT, (st_tensor *[]){s, limit}, &large, err);
    if (st == ST_OK) st = st_apply(ST_OP_DIV, (st_tensor *[]){one, s}, &inverse, err);
    if (st == ST_OK) st = st_apply(ST_OP_WHERE, (st_tensor *[]){large, inverse, zero}, out, err);
    st_tensor *all[] = {largest, r, limit, large, one, zero, inverse};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) st_tensor_unref(all[i]);
    return st;
}

/* V diag(x) U' with Vh and U given. */
static st_status recompose(st_tensor *vh, st_tensor *x, st_tensor *u, st_tensor **out, st_err *err)
{
    st_tensor *v = NULL, *row = NULL, *scaled = NULL, *ut = NULL;
    int64_t shape[ST_MAX_DIMS];
    int n = x->ndim;
    for (int d = 0; d < n - 1; d++) shape[d] = x->shape[d];
    shape[n - 1] = 1;
    shape[n] = x->shape[n - 1];
    st_status s = transposed(vh, &v, err);
    if (s == ST_OK) s = st_reshape(x, n + 1, shape, &row, err);
    if (s == ST_OK) s = st_apply(ST_OP_MUL, (st_tensor *[]){v, row}, &scaled, err);
    if (s == ST_OK) s = transposed(u, &ut, err);
    if (s == ST_OK) s = st_matmul(scaled, ut, out, err);
    st_tensor *all[] = {v, row, scaled, ut};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) st_tensor_unref(all[i]);
    return s;
}

st_status st_pinv(st_tensor *a, double rtol, st_tensor **out, st_err *err)
{
    st_dtype d;
    st_tensor *usv[3] = {NULL}, *x = NULL;
    *out = NULL;
    ST_TRY(linalg_check("pinv", &a, 1, 2, &d, err));
    linalg_dims s = linalg_dims_of(a);
    if (!(rtol >= 0)) rtol = (s.m > s.n ? s.m : s.n) * (d == ST_F64 ? DBL_EPSILON : (double)FLT_EPSILON);
    ST_TRY(st_svd(a, false, usv, err));
    st_status st = s.k ? invert_values(usv[1], rtol, &x, err) : ST_OK;
    if (st == ST_OK) st = recompose(usv[2], s.k ? x : usv[1], usv[0], out, err);
    for (int i = 0; i < 3; i++) st_tensor_unref(usv[i]);
    st_tensor_unref(x);
    return st;
}

static st_status nuclear_compute(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    linalg_job j = {.what = t->whole->name, .wide = t->dtype == ST_F64, .width = t->dtype == ST_F64 ? 8 : 4};
    const st_tensor *s = t->args[0];
    uint64_t k = (uint64_t)s->shape[s->ndim - 1];
    void *values;
    ST_TRY(linalg_alloc(ctx, j.what, s, s->numel, j.width, &values, err));
    st_status st = st_export(ctx, t->args[0], 0, s->numel, j.wide ? ST_F64 : ST_F32, values, err);
    for (uint64_t i = 0; st == ST_OK && i < t->numel; i++) {
        double sum = 0;
        for (uint64_t e = 0; e < k; e++) sum += linalg_get(j.wide, values, i * k + e);
        linalg_put(j.wide, out, i, sum);
    }
    st_free(values);
    return st;
}

static const st_whole NUCLEAR = {"nuclear norm", nuclear_compute};

st_status st_nuclear_norm(st_tensor *a, st_tensor **out, st_err *err)
{
    st_tensor *values = NULL;
    *out = NULL;
    ST_TRY(st_svdvals(a, &values, err));
    st_status s = st_node_new(ST_N_WHOLE, values->dtype, values->ndim - 1, values->shape, 1, &values, out, err);
    if (s == ST_OK) (*out)->whole = &NUCLEAR;
    st_tensor_unref(values);
    return s;
}
