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

st_status linalg_check_finite(const char *what, const st_tensor *t, bool wide, const void *values, uint64_t count,
                              st_err *err)
{
    if (wide ? finite_double(values, count) : finite_float(values, count)) return ST_OK;
    return linalg_fail(err, ST_ARG, t, "%s: the values hold NaN or infinity", what);
}

st_status linalg_load(st_ctx *ctx, const char *what, st_tensor *t, bool wide, uint64_t start, uint64_t count, void *out,
                      st_err *err)
{
    ST_TRY(st_export(ctx, t, start, count, wide ? ST_F64 : ST_F32, out, err));
    return linalg_check_finite(what, t, wide, out, count, err);
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

uint64_t linalg_matrix_size(const linalg_job *j) { return (uint64_t)j->d.m * (uint64_t)j->d.n; }
void *linalg_matrix(const linalg_job *j, uint64_t i) { return j->a + i * linalg_matrix_size(j) * j->width; }

static st_status reload(const linalg_job *j, uint64_t i, linalg_scratch *w, st_err *err)
{
    uint64_t size = linalg_matrix_size(j);
    w->again = false;
    return linalg_load(j->ctx, j->what, j->t->args[0], j->wide, i * size, size, linalg_matrix(j, i), err);
}

static st_status scratch_new(const linalg_job *j, linalg_scratch *w, st_err *err)
{
    size_t ints = (8 * (size_t)j->d.k + 1) * sizeof *w->ints;
    *w = (linalg_scratch){.ints = st_malloc(ints)};
    return w->ints ? ST_OK : st_fail_nomem(err, ints);
}

static void scratch_free(const linalg_scratch *w)
{
    st_free(w->work);
    st_free(w->ints);
}

static bool take_next(linalg_job *j, uint64_t *i) { return !st_ctx_stopped(j->ctx) && (*i = j->next++) < j->d.count; }

static st_status worker(void *arg, unsigned number, st_err *err)
{
    linalg_job *j = arg;
    linalg_scratch w;
    (void)number;
    st_status s = scratch_new(j, &w, err);
    for (uint64_t i; s == ST_OK && take_next(j, &i);) {
        s = j->one(j, i, &w, err);
        if (s == ST_OK && w.again && (s = reload(j, i, &w, err)) == ST_OK) s = j->again(j, i, &w, err);
    }
    scratch_free(&w);
    return s;
}

static st_status compute(linalg_job *j, bool in_place, st_work_fn fn, void *arg, st_err *err)
{
    uint64_t n = j->d.count * linalg_matrix_size(j);
    if (in_place)
        j->a = j->out;
    else {
        void *own;
        ST_TRY(linalg_alloc(j->ctx, j->what, j->t->args[0], n, j->width, &own, err));
        j->a = own;
    }
    ST_TRY(linalg_load(j->ctx, j->what, j->t->args[0], j->wide, 0, n, j->a, err));
    return st_ctx_run(j->ctx, j->d.count < BLAS_THREADS ? (unsigned)j->d.count : BLAS_THREADS, fn, arg, err);
}

/* ---------------------------------------------------------------- decompositions that take long
 * LAPACK cannot be stopped. So it works on memory that nobody else needs, in a thread that a cancel leaves behind. */

typedef struct shared {
    linalg_job j;
    _Atomic unsigned users;
} shared;

static void shared_drop(shared *s)
{
    if (--s->users) return;
    if (s->j.a != s->j.out) st_free(s->j.a);
    st_free(s->j.out);
    st_tensor_unref((st_tensor *)(uintptr_t)s->j.t);
    st_free(s);
}

/* What one worker has under way. */
typedef struct task {
    shared *s;
    linalg_scratch w;
    uint64_t i;
    linalg_one fn;
} task;

static st_status task_work(void *arg, st_err *err)
{
    task *t = arg;
    return t->fn(&t->s->j, t->i, &t->w, err);
}

static void task_drop(void *arg)
{
    task *t = arg;
    scratch_free(&t->w);
    shared_drop(t->s);
    st_free(t);
}

/* *t becomes NULL where a cancel left it behind. */
static st_status task_run(task **t, linalg_one fn, st_err *err)
{
    (*t)->fn = fn;
    st_status s = st_ctx_aside((*t)->s->j.ctx, task_work, task_drop, *t, err);
    if (s == ST_CANCELLED) *t = NULL;
    return s;
}

static st_status long_worker(void *arg, unsigned number, st_err *err)
{
    shared *s = arg;
    (void)number;
    task *t = st_calloc(1, sizeof *t);
    if (!t) return st_fail_nomem(err, sizeof *t);
    t->s = s;
    s->users++;
    st_status r = scratch_new(&s->j, &t->w, err);
    while (r == ST_OK && take_next(&s->j, &t->i)) {
        r = task_run(&t, s->j.one, err);
        if (r == ST_OK && t->w.again && (r = reload(&s->j, t->i, &t->w, err)) == ST_OK)
            r = task_run(&t, s->j.again, err);
    }
    if (t) task_drop(t);
    return r;
}

static st_status run_long(const linalg_job *j, bool in_place, st_err *err)
{
    uint64_t bytes = j->t->numel * j->width;
    void *out;
    shared *s = st_calloc(1, sizeof *s);
    if (!s) return st_fail_nomem(err, sizeof *s);
    s->j = *j;
    s->j.t = st_tensor_ref((st_tensor *)(uintptr_t)j->t);
    s->j.a = s->j.out = NULL;
    s->users = 1;
    st_status r = linalg_alloc(j->ctx, j->what, j->t->args[0], j->t->numel, j->width, &out, err);
    if (r == ST_OK) {
        s->j.out = out;
        if (j->filled) memcpy(out, j->out, bytes);
        r = compute(&s->j, in_place, long_worker, s, err);
    }
    if (r == ST_OK) memcpy(j->out, s->j.out, bytes);
    shared_drop(s);
    return r;
}

static bool takes_long(const linalg_job *j) { return (double)j->d.m * j->d.n * j->d.k >= 0x1p24; }

st_status linalg_run(linalg_job *j, bool in_place, st_err *err)
{
    ST_TRY(blas_load(err));
    if (takes_long(j)) return run_long(j, in_place, err);
    st_status s = compute(j, in_place, worker, j, err);
    if (!in_place) st_free(j->a);
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
