/* linalg_matmul.c - products of matrices, but those of product.c. Layer: exec.
 *
 * The result is cut into panels by its shape alone, and the inner dimension into pieces; each piece of a panel is one
 * call of OpenBLAS on one thread. So the bits do not depend on the number of threads, and a cancel waits for one piece.
 * An operand that is not in memory as F32 (or F64) is computed whole if it must be, but the larger one by strips where
 * its elements lie in the order in which panels need them: a large BF16 matrix never exists in F32. */
#include "hold.h"
#include "linalg.h"
#include "mem.h"
#include "product.h"
#include "shape.h"

#include <limits.h>
#include <string.h>

enum {
    SMALL = 512,
    LARGE = 1024,     /* sides of a panel */
    INNER = 1024,     /* elements of a piece of the inner dimension */
    STRIP = 32 << 20, /* bytes of a strip, about */
};

/* One operand as a stack of matrices stored row-major with leading dimension ld; `trans`: the operand is their
 * transpose. */
typedef struct matrix {
    st_tensor *t;  /* what is stored */
    const char *p; /* its first element, when it is in memory in the class of the computation */
    void *own;     /* memory behind p that is ours */
    int64_t start; /* elements from p to the first matrix */
    int64_t ld;
    int64_t strides[ST_MAX_DIMS]; /* elements from one matrix to the next, along each dimension of the result's stack */
    int rows, cols;               /* of the operand, that is after the transposition */
    bool trans;
} matrix;

/* ---------------------------------------------------------------- operands */

static st_dtype class_dtype(bool wide) { return wide ? ST_F64 : ST_F32; }

/* Elements between neighbours along a dimension; one that never steps may have any stride. */
static bool steps_by(const st_tensor *t, int d, int64_t step) { return t->shape[d] == 1 || t->strides[d] == step; }

/* True when a view only swaps the last two dimensions of all that it is a view of. */
static bool is_transpose(const st_tensor *t)
{
    int64_t rows = t->shape[t->ndim - 2], cols = t->shape[t->ndim - 1], step = rows * cols;
    bool yes =
        t->start == 0 && t->numel == t->args[0]->numel && steps_by(t, t->ndim - 2, 1) && steps_by(t, t->ndim - 1, rows);
    for (int d = t->ndim - 3; yes && d >= 0; d--) {
        yes = steps_by(t, d, step);
        step *= t->shape[d];
    }
    return yes;
}

/* True when BLAS can read a view's matrices where they are. */
static bool is_strided(const st_tensor *t, matrix *x)
{
    int64_t rows = t->shape[t->ndim - 2], cols = t->shape[t->ndim - 1], down = t->strides[t->ndim - 2],
            right = t->strides[t->ndim - 1];
    if (rows == 1) down = cols;
    if (cols == 1) right = down >= 1 ? 1 : rows;
    if (right == 1 && down >= cols && down <= INT_MAX) {
        x->ld = down;
        return true;
    }
    if (rows == 1) down = 1;
    if (down != 1 || right < rows || right > INT_MAX) return false;
    x->ld = right;
    x->trans = true;
    return true;
}

/* Strides of an operand's stack, seen from the result's: those of size 1 are repeated. */
static void set_strides(matrix *x, const st_tensor *t, const int64_t *strides, const st_tensor *result)
{
    int64_t step = (int64_t)x->rows * x->cols;
    for (int d = result->ndim - 3, o = t->ndim - 3; d >= 0; d--, o--) {
        int64_t size = o >= 0 ? t->shape[o] : 1;
        x->strides[d] = size == 1 ? 0 : strides ? strides[o] : step;
        step *= size;
    }
}

/* Finds an operand's values, without computing more than what is computed apart in any case. */
static st_status find(st_ctx *ctx, st_tensor *t, const st_tensor *result, bool wide, matrix *x, st_err *err)
{
    *x = (matrix){.t = t, .rows = (int)t->shape[t->ndim - 2], .cols = (int)t->shape[t->ndim - 1]};
    x->ld = x->cols;
    const int64_t *strides = NULL;
    if (t->node == ST_N_VIEW && !t->forced && !st_view_is_plain(t)) {
        st_tensor *base = t->args[0];
        if (st_held_dtype(base) == class_dtype(wide) && st_dtype_is_float(base->dtype) &&
            (st_held(base) || base->node == ST_N_WHOLE) && is_strided(t, x)) {
            x->t = base;
            x->start = t->start;
            strides = t->strides;
        } else if (is_transpose(t)) {
            x->t = base;
            x->trans = true;
            x->ld = x->rows;
        }
    }
    set_strides(x, t, strides, result);
    if (x->t->node == ST_N_WHOLE && (x->t != t || !st_is_ranged(t))) ST_TRY(st_hold(ctx, x->t, err));
    if (st_held(x->t) && st_held_dtype(x->t) == class_dtype(wide)) x->p = st_held(x->t);
    return ST_OK;
}

static st_status load_whole(st_ctx *ctx, matrix *x, bool wide, st_err *err)
{
    if (x->p) return ST_OK;
    ST_TRY(linalg_alloc(ctx, "matmul", x->t, x->t->numel, wide ? 8 : 4, &x->own, err));
    x->p = x->own;
    return st_export(ctx, x->t, 0, x->t->numel, class_dtype(wide), x->own, err);
}

/* ---------------------------------------------------------------- panels */

/* Products of (a part of) the result, spread over workers. */
typedef struct product {
    st_ctx *ctx;
    const st_tensor *result;
    matrix a, b;
    bool wide;
    char *out;
    int m, n, k;    /* of one matrix */
    int row0, rows; /* the part: rows [row0, row0 + rows), columns [col0, col0 + cols) */
    int col0, cols;
    int side; /* of a panel */
    uint64_t down, across, panels;
    _Atomic uint64_t next;
} product;

/* Where the matrices of the i-th product of the stack begin in a and b, in elements. */
static void stack_offsets(const product *p, uint64_t i, int64_t *a, int64_t *b)
{
    *a = p->a.start;
    *b = p->b.start;
    for (int d = p->result->ndim - 3; d >= 0; d--) {
        int64_t at = (int64_t)(i % (uint64_t)p->result->shape[d]);
        i /= (uint64_t)p->result->shape[d];
        *a += at * p->a.strides[d];
        *b += at * p->b.strides[d];
    }
}

/* Row-major C = A B is column-major C' = B' A'. */
static void compute_panel(const product *p, uint64_t index)
{
    size_t w = p->wide ? 8 : 4;
    uint64_t in_matrix = index % (p->down * p->across), which = index / (p->down * p->across);
    int row = (int)(in_matrix / p->across) * p->side, col = (int)(in_matrix % p->across) * p->side;
    int rows = p->rows - row < p->side ? p->rows - row : p->side,
        cols = p->cols - col < p->side ? p->cols - col : p->side;
    int64_t a, b;
    stack_offsets(p, which, &a, &b);
    char *c = p->out +
              ((which * (uint64_t)p->m + (uint64_t)(p->row0 + row)) * (uint64_t)p->n + (uint64_t)(p->col0 + col)) * w;
    a += row * (p->a.trans ? 1 : p->a.ld);
    b += col * (p->b.trans ? p->b.ld : 1);
    for (int k = 0; k < p->k && !st_ctx_stopped(p->ctx); k += INNER) {
        int now = p->k - k < INNER ? p->k - k : INNER;
        blas_gemm(p->wide, p->b.trans ? 'T' : 'N', p->a.trans ? 'T' : 'N', cols, rows, now,
                  p->b.p + (b + k * (p->b.trans ? 1 : p->b.ld)) * (int64_t)w, (int)p->b.ld,
                  p->a.p + (a + k * (p->a.trans ? p->a.ld : 1)) * (int64_t)w, (int)p->a.ld, k != 0, c, p->n);
    }
}

static st_status panel_worker(void *arg, unsigned worker, st_err *err)
{
    product *p = arg;
    (void)worker;
    (void)err;
    for (uint64_t i; !st_ctx_stopped(p->ctx) && (i = p->next++) < p->panels;) compute_panel(p, i);
    return ST_OK;
}

static st_status run_panels(product *p, uint64_t stack, st_err *err)
{
    p->down = ((uint64_t)p->rows + p->side - 1) / p->side;
    p->across = ((uint64_t)p->cols + p->side - 1) / p->side;
    p->panels = stack * p->down * p->across;
    p->next = 0;
    return st_ctx_run(p->ctx, p->panels < BLAS_THREADS ? (unsigned)p->panels : BLAS_THREADS, panel_worker, p, err);
}

/* ---------------------------------------------------------------- strips */

static bool by_rows(const matrix *a) { return !a->p && !a->trans; }
static bool by_columns(const matrix *b) { return !b->p && b->trans; }

/* Computes strip after strip of `x`, which is a's rows or b's columns, and what they give of the result. */
static st_status run_strips(product *p, matrix *x, int *from, int *count, st_err *err)
{
    int total = *count, most = STRIP / (p->wide ? 8 : 4) / p->k / p->side * p->side;
    if (most < p->side) most = p->side;
    if (most > total) most = total;
    ST_TRY(linalg_alloc(p->ctx, "matmul", x->t, (uint64_t)most * (uint64_t)p->k, p->wide ? 8 : 4, &x->own, err));
    x->p = x->own;
    st_status s = ST_OK;
    for (*from = 0; s == ST_OK && *from < total; *from += most) {
        *count = total - *from < most ? total - *from : most;
        uint64_t k = (uint64_t)p->k;
        s = st_export(p->ctx, x->t, (uint64_t)*from * k, (uint64_t)*count * k, class_dtype(p->wide), x->own, err);
        if (s == ST_OK) s = run_panels(p, 1, err);
    }
    return s;
}

static st_status multiply(product *p, uint64_t stack, st_err *err)
{
    bool rows = stack == 1 && by_rows(&p->a), columns = stack == 1 && by_columns(&p->b);
    if (rows && columns) rows = p->m >= p->n;
    if (!rows) ST_TRY(load_whole(p->ctx, &p->a, p->wide, err));
    if (rows || !columns) ST_TRY(load_whole(p->ctx, &p->b, p->wide, err));
    if (rows) return run_strips(p, &p->a, &p->row0, &p->rows, err);
    if (columns) return run_strips(p, &p->b, &p->col0, &p->cols, err);
    return run_panels(p, stack, err);
}

static st_status matmul_compute(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    linalg_dims d = linalg_dims_of(t);
    product p = {
        .ctx = ctx, .result = t, .wide = t->dtype == ST_F64, .out = out, .m = d.m, .n = d.n, .rows = d.m, .cols = d.n};
    p.k = (int)t->args[0]->shape[t->args[0]->ndim - 1];
    if (p.k == 0) return memset(out, 0, t->numel * (p.wide ? 8 : 4)), ST_OK;
    ST_TRY(blas_load(err));
    p.side = (uint64_t)d.m * (uint64_t)d.n * d.count >= 4 * LARGE * LARGE ? LARGE : SMALL;
    ST_TRY(find(ctx, t->args[0], t, p.wide, &p.a, err));
    ST_TRY(find(ctx, t->args[1], t, p.wide, &p.b, err));
    st_status s = multiply(&p, d.count, err);
    st_free(p.a.own);
    st_free(p.b.own);
    return s;
}

/* ---------------------------------------------------------------- the operation */

static const st_whole MATMUL = {"matmul", matmul_compute};

static st_status fail_inner(const st_tensor *a, const st_tensor *b, st_err *err)
{
    char x[160], y[160];
    st_shape_text(x, sizeof x, a->ndim, a->shape);
    st_shape_text(y, sizeof y, b->ndim, b->shape);
    return linalg_fail(
        err, ST_SHAPE, a,
        "matmul: shapes %s and %s do not fit: the last dimension of the first must be the %s of the second", x, y,
        b->ndim == 1 ? "only one" : "last but one");
}

/* a (.., m, k) and b (.., k, n), both with at least two dimensions. */
static st_status stacked(st_tensor *a, st_tensor *b, st_dtype dtype, st_tensor **out, st_err *err)
{
    int64_t shape[ST_MAX_DIMS];
    int n;
    ST_TRY(st_shape_broadcast(a->ndim - 2, a->shape, b->ndim - 2, b->shape, &n, shape, err));
    shape[n] = a->shape[a->ndim - 2];
    shape[n + 1] = b->shape[b->ndim - 1];
    ST_TRY(st_node_new(ST_N_WHOLE, dtype, n + 2, shape, 2, (st_tensor *[]){a, b}, out, err));
    if (!st_product_take(*out)) (*out)->whole = &MATMUL;
    return ST_OK;
}

/* A vector is a row on the left and a column on the right; a stack times one matrix is one taller matrix. */
static st_status as_matrix(st_tensor *t, bool left, bool fold, st_tensor **out, st_err *err)
{
    if (t->ndim == 1)
        return st_reshape(t, 2, left ? (int64_t[]){1, t->shape[0]} : (int64_t[]){t->shape[0], 1}, out, err);
    int64_t rows = 1, k = t->shape[t->ndim - 1];
    for (int d = 0; d < t->ndim - 1; d++) rows *= t->shape[d];
    if (fold && t->ndim > 2 && rows <= INT_MAX / 16) return st_reshape(t, 2, (int64_t[]){rows, k}, out, err);
    *out = st_tensor_ref(t);
    return ST_OK;
}

st_status st_matmul(st_tensor *a, st_tensor *b, st_tensor **out, st_err *err)
{
    st_dtype dtype;
    st_tensor *x = NULL, *y = NULL, *both = NULL;
    int64_t shape[ST_MAX_DIMS];
    int n = 0;
    *out = NULL;
    ST_TRY(linalg_check("matmul", (st_tensor *[]){a, b}, 2, 1, &dtype, err));
    if (a->shape[a->ndim - 1] != b->shape[b->ndim == 1 ? 0 : b->ndim - 2]) return fail_inner(a, b, err);
    st_status s = as_matrix(a, true, b->ndim <= 2, &x, err);
    if (s == ST_OK) s = as_matrix(b, false, false, &y, err);
    if (s == ST_OK) s = stacked(x, y, dtype, &both, err);
    if (s == ST_OK) {
        int batch = b->ndim > 2 ? both->ndim - 2 : a->ndim - 2;
        const int64_t *from = b->ndim > 2 ? both->shape : a->shape;
        for (; n < batch; n++) shape[n] = from[n];
        if (a->ndim > 1) shape[n++] = a->shape[a->ndim - 2];
        if (b->ndim > 1) shape[n++] = b->shape[b->ndim - 1];
        s = st_reshape(both, n, shape, out, err);
    }
    st_tensor_unref(x);
    st_tensor_unref(y);
    st_tensor_unref(both);
    return s;
}
