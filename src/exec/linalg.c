/* linalg.c - what the operations of linear algebra share: checks, results, work space, the frame of decompositions.
 * Layer: exec. */
#include "linalg.h"
#include "hold.h"
#include "mem.h"
#include "shape.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The tensor of a file that an expression begins with, for messages. */
static const st_tensor *origin(const st_tensor *t)
{
    const st_tensor *x = t;
    while (!x->name && x->nargs) x = x->args[0];
    return x->name ? x : t;
}

st_status linalg_fail(st_err *err, st_status code, const st_tensor *t, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const st_tensor *x = origin(t);
    return st_fail(err, code, st_tensor_file(x), x->name, "%s", text);
}

/* ---------------------------------------------------------------- operands and results */

st_status linalg_check(const char *what, st_tensor *const *args, int n, int min_dims, st_dtype *dtype, st_err *err)
{
    for (int i = 0; i < n; i++) {
        const st_tensor *t = args[i];
        ST_TRY(st_check_computable(t, what, err));
        if (!st_dtype_is_float(t->dtype))
            return linalg_fail(err, ST_DTYPE, t, "%s is not defined for %s: cast to F32 or F64 first", what,
                               st_dtype_name(t->dtype));
        if (t->ndim < min_dims)
            return linalg_fail(err, ST_SHAPE, t, "%s needs %s, this tensor has %d dimension%s", what,
                               min_dims == 2 ? "a matrix, or a stack of them" : "at least one dimension", t->ndim,
                               t->ndim == 1 ? "" : "s");
        for (int d = t->ndim - 1; d >= 0 && d >= t->ndim - 2; d--)
            if (t->shape[d] > INT_MAX / 16) /* with room for LAPACK's sums of sizes */
                return linalg_fail(err, ST_LIMIT, t, "%s: dimension %d has size %lld, more than %d", what, d + 1,
                                   (long long)t->shape[d], INT_MAX / 16);
    }
    return st_result_dtype(args, n, dtype, err);
}

linalg_dims linalg_dims_of(const st_tensor *t)
{
    linalg_dims d = {.m = (int)t->shape[t->ndim - 2], .n = (int)t->shape[t->ndim - 1], .count = 1};
    d.k = d.m < d.n ? d.m : d.n;
    for (int i = 0; i < t->ndim - 2; i++)
        d.count *= (uint64_t)t->shape[i]; /* fits when the rest is not 0, and is 0 else */
    return d;
}

/* Shape of a part: the stack's dimensions, then its own. */
static int part_shape(const st_tensor *stack, const linalg_part *p, int64_t shape[ST_MAX_DIMS])
{
    int n = stack->ndim - 2;
    if (n) memcpy(shape, stack->shape, (size_t)n * sizeof *shape);
    if (p->rows >= 0) shape[n++] = p->transposed ? p->cols : p->rows;
    if (p->rows >= 0 && p->cols >= 0) shape[n++] = p->transposed ? p->rows : p->cols;
    return n;
}

static st_status part_of(st_tensor *hidden, const st_tensor *stack, const linalg_part *p, uint64_t start,
                         uint64_t count, st_tensor **out, st_err *err)
{
    int64_t shape[ST_MAX_DIMS];
    int order[ST_MAX_DIMS], n = part_shape(stack, p, shape);
    st_tensor *flat = NULL, *t = NULL;
    ST_TRY(st_narrow(hidden, 0, (int64_t)start, (int64_t)count, 1, &flat, err));
    st_status s = st_reshape(flat, n, shape, p->transposed ? &t : out, err);
    st_tensor_unref(flat);
    if (s != ST_OK || !p->transposed) return s;
    for (int i = 0; i < n; i++) order[i] = i;
    order[n - 2] = n - 1;
    order[n - 1] = n - 2;
    s = st_permute(t, order, out, err);
    st_tensor_unref(t);
    return s;
}

st_status linalg_results(const st_whole *whole, st_dtype dtype, st_tensor *const *args, int nargs,
                         const int64_t *params, int nparams, const linalg_part *parts, int nparts, st_tensor **outs,
                         st_err *err)
{
    int64_t shape[ST_MAX_DIMS];
    uint64_t counts[4], total = 0;
    st_tensor *hidden = NULL;
    for (int i = 0; i < nparts; i++) outs[i] = NULL;
    for (int i = 0; i < nparts; i++) {
        int n = part_shape(args[0], &parts[i], shape);
        if (!st_shape_numel(n, shape, &counts[i]) || !st_add_u64(total, counts[i], &total) || total > INT64_MAX / 8)
            return linalg_fail(err, ST_SHAPE, args[0], "%s: the results are too large", whole->name);
    }
    ST_TRY(st_node_new(ST_N_WHOLE, dtype, 1, (int64_t[]){(int64_t)total}, nargs, args, &hidden, err));
    hidden->whole = whole;
    for (int i = 0; i < nparams; i++) hidden->param[i] = params[i];
    uint64_t start = 0;
    st_status s = ST_OK;
    for (int i = 0; s == ST_OK && i < nparts; i++) {
        s = part_of(hidden, args[0], &parts[i], start, counts[i], &outs[i], err);
        start += counts[i];
    }
    st_tensor_unref(hidden);
    for (int i = 0; s != ST_OK && i < nparts; i++) {
        st_tensor_unref(outs[i]);
        outs[i] = NULL;
    }
    return s;
}

/* ---------------------------------------------------------------- computing */

st_status linalg_alloc(st_ctx *ctx, const char *what, const st_tensor *t, uint64_t count, size_t size, void **out,
                       st_err *err)
{
    uint64_t bytes;
    *out = NULL;
    if (!st_mul_u64(count, size, &bytes) || bytes > st_ctx_memory(ctx))
        return linalg_fail(err, ST_LIMIT, t,
                           "%s needs %llu values in memory at once; the limit is %llu bytes (raise it with --memory)",
                           what, (unsigned long long)count, (unsigned long long)st_ctx_memory(ctx));
    *out = st_malloc(bytes);
    return *out ? ST_OK : st_fail_nomem(err, bytes);
}

#define FINITE(type)                                                 \
    static bool finite_##type(const type *v, uint64_t n)             \
    {                                                                \
        int odd = 0;                                                 \
        for (uint64_t i = 0; i < n; i++) odd |= !(v[i] - v[i] == 0); \
        return !odd;                                                 \
    }
FINITE(float)
FINITE(double)

st_status linalg_load(st_ctx *ctx, const char *what, st_tensor *t, bool wide, uint64_t start, uint64_t count, void *out,
                      st_err *err)
{
    ST_TRY(st_export(ctx, t, start, count, wide ? ST_F64 : ST_F32, out, err));
    if (wide ? finite_double(out, count) : finite_float(out, count)) return ST_OK;
    return linalg_fail(err, ST_ARG, t, "%s: the values hold NaN or infinity", what);
}

/* ---------------------------------------------------------------- the frame */

/* What F32 cannot hold exactly, LAPACK may have rounded down. */
st_status linalg_reserve(const linalg_job *j, linalg_scratch *w, const void *answer, int *lwork, st_err *err)
{
    double n = j->wide ? *(const double *)answer : (double)*(const float *)answer * (1 + 0x1p-23);
    if (!(n < INT_MAX))
        return linalg_fail(err, ST_LIMIT, j->t->args[0], "%s: the matrix is too large for LAPACK", j->what);
    *lwork = n < 1 ? 1 : (int)ceil(n);
    size_t size = (size_t)*lwork * j->width;
    if (size <= w->work_size) return ST_OK;
    st_free(w->work);
    w->work = NULL;
    w->work_size = 0;
    ST_TRY(linalg_alloc(j->ctx, j->what, j->t->args[0], (uint64_t)*lwork, j->width, &w->work, err));
    w->work_size = size;
    return ST_OK;
}

static st_status worker(void *arg, unsigned number, st_err *err)
{
    linalg_job *j = arg;
    linalg_scratch w = {0};
    (void)number;
    size_t ints = (8 * (size_t)j->d.k + 1) * sizeof *w.ints;
    w.ints = st_malloc(ints);
    st_status s = w.ints ? ST_OK : st_fail_nomem(err, ints);
    for (uint64_t i; s == ST_OK && !st_ctx_stopped(j->ctx) && (i = j->next++) < j->d.count;) s = j->one(j, i, &w, err);
    st_free(w.work);
    st_free(w.ints);
    return s;
}

uint64_t linalg_matrix_size(const linalg_job *j) { return (uint64_t)j->d.m * (uint64_t)j->d.n; }
void *linalg_matrix(const linalg_job *j, uint64_t i) { return j->a + i * linalg_matrix_size(j) * j->width; }

st_status linalg_run(linalg_job *j, bool in_place, st_err *err)
{
    uint64_t n = j->d.count * linalg_matrix_size(j);
    void *own = NULL;
    ST_TRY(blas_load(err));
    if (!in_place) ST_TRY(linalg_alloc(j->ctx, j->what, j->t->args[0], n, j->width, &own, err));
    j->a = in_place ? j->out : own;
    st_status s = linalg_load(j->ctx, j->what, j->t->args[0], j->wide, 0, n, j->a, err);
    unsigned threads = j->d.count < BLAS_THREADS ? (unsigned)j->d.count : BLAS_THREADS;
    if (s == ST_OK) s = st_ctx_run(j->ctx, threads, worker, j, err);
    st_free(own);
    return s;
}

linalg_job linalg_job_of(st_ctx *ctx, const st_tensor *t, void *out)
{
    linalg_job j = {.ctx = ctx, .what = t->whole->name, .t = t, .wide = t->dtype == ST_F64, .out = out};
    j.width = j.wide ? 8 : 4;
    j.d = linalg_dims_of(t->args[0]);
    return j;
}

st_status linalg_fail_info(const linalg_job *j, int info, const char *why, st_err *err)
{
    if (info > 0) return linalg_fail(err, ST_ARG, j->t->args[0], "%s: %s", j->what, why);
    return linalg_fail(err, ST_INTERNAL, j->t->args[0], "%s: LAPACK refused its argument %d", j->what, -info);
}

/* ---------------------------------------------------------------- signs */

static void negate(bool wide, void *v, uint64_t start, uint64_t step, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) linalg_put(wide, v, start + i * step, -linalg_get(wide, v, start + i * step));
}

void linalg_fix_signs(bool wide, void *u, uint64_t m, uint64_t stride, void *vh, uint64_t n, uint64_t k)
{
    for (uint64_t c = 0; c < k; c++) {
        double best = 0;
        for (uint64_t i = 0; i < m; i++) {
            double x = linalg_get(wide, u, c + i * stride);
            if (fabs(x) > fabs(best)) best = x;
        }
        if (!(best < 0)) continue;
        negate(wide, u, c, stride, m);
        if (vh) negate(wide, vh, c * n, 1, n);
    }
}
