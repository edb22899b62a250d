/* stiefel.c - the shortest way between two sets of n orthonormal directions, as a rotation of the space that both span.
 * Layer: exec.
 *
 * A rotation W is given whose first n columns are the second set in coordinates of the first. Its other columns are
 * free: they are turned until the logarithm of W has no part outside of the first n rows and columns, for then W to a
 * fractional power leads along the geodesic of the canonical metric (Zimmermann and Hueper: "Computing the Riemannian
 * logarithm on the Stiefel manifold", SIAM J. Matrix Anal. Appl. 43, 2022). */
#include "hold.h"
#include "linalg.h"

enum { P_COLUMNS, P_STEPS };
enum { MOST = 128 };

/* Expressions of one step. After a failure they are NULL. */
typedef struct scope {
    st_ctx *ctx;
    st_err *err;
    st_status status;
    st_tensor *made[MOST];
    int n;
} scope;

static st_tensor *keep(scope *c, st_status s, st_tensor *t)
{
    if (s == ST_OK && c->n == MOST) {
        st_tensor_unref(t);
        s = st_fail(c->err, ST_INTERNAL, NULL, NULL, "more than %d expressions in one step", MOST);
    }
    if (s != ST_OK) return c->status = s, NULL;
    return c->made[c->n++] = t;
}

static void close_scope(scope *c)
{
    while (c->n) st_tensor_unref(c->made[--c->n]);
}

static st_tensor *number(scope *c, double v)
{
    st_tensor *t = NULL;
    if (c->status == ST_OK) c->status = st_number(v, &t, c->err);
    return keep(c, c->status, t);
}

static st_tensor *apply(scope *c, st_op op, st_tensor *x, st_tensor *y, st_tensor *z)
{
    st_tensor *t = NULL;
    if (c->status == ST_OK) c->status = st_apply(op, (st_tensor *[]){x, y, z}, &t, c->err);
    return keep(c, c->status, t);
}

static st_tensor *scaled(scope *c, st_tensor *x, double by) { return apply(c, ST_OP_MUL, x, number(c, by), NULL); }

static st_tensor *times(scope *c, st_tensor *x, st_tensor *y)
{
    st_tensor *t = NULL;
    if (c->status == ST_OK) c->status = st_matmul(x, y, &t, c->err);
    return keep(c, c->status, t);
}

static st_tensor *turned(scope *c, st_tensor *x)
{
    st_tensor *t = NULL;
    if (c->status == ST_OK) c->status = st_permute(x, (int[]){1, 0}, &t, c->err);
    return keep(c, c->status, t);
}

static st_tensor *beside(scope *c, st_tensor *x, st_tensor *y)
{
    st_tensor *t = NULL;
    if (c->status == ST_OK) c->status = st_cat((st_tensor *[]){x, y}, 2, 1, &t, c->err);
    return keep(c, c->status, t);
}

/* The Euclidean length of all elements, now. */
static double length_of(scope *c, st_tensor *x)
{
    st_tensor *t = NULL;
    double length = 0;
    if (c->status == ST_OK) c->status = st_reduce(ST_RED_NORM, x, NULL, &t, c->err);
    if (keep(c, c->status, t)) c->status = st_export(c->ctx, t, 0, 1, ST_F64, &length, c->err);
    return length;
}

static void hold(scope *c, st_tensor *x)
{
    if (c->status == ST_OK) c->status = st_hold(c->ctx, x, c->err);
}

/* Some rows and columns. */
static st_tensor *block(scope *c, st_tensor *x, int64_t row, int64_t rows, int64_t column, int64_t columns)
{
    st_tensor *t = NULL, *u = NULL;
    if (c->status != ST_OK) return NULL;
    c->status = st_narrow(x, 0, row, rows, 1, &t, c->err);
    if (!keep(c, c->status, t)) return NULL;
    c->status = st_narrow(t, 1, column, columns, 1, &u, c->err);
    return keep(c, c->status, u);
}

/* f(X) v for a symmetric X = E diag(x) E' whose f(x) are known. */
static st_tensor *recomposed(scope *c, st_tensor *e, st_tensor *values)
{
    return times(c, apply(c, ST_OP_MUL, e, values, NULL), turned(c, e));
}

static bool eigh(scope *c, st_tensor *x, st_tensor **values, st_tensor **e)
{
    st_tensor *out[2] = {NULL, NULL};
    *values = *e = NULL;
    if (c->status != ST_OK) return false;
    c->status = st_eigh(x, out, c->err);
    if (c->status != ST_OK) return false;
    *values = keep(c, ST_OK, out[0]);
    *e = keep(c, ST_OK, out[1]);
    return true;
}

/* x / y; 1 where `size`, which is about as small as both, is 0 but for rounding. */
static st_tensor *ratio(scope *c, st_tensor *x, st_tensor *y, st_tensor *size)
{
    st_tensor *small = apply(c, ST_OP_LT, size, number(c, 1e-7), NULL);
    return apply(c, ST_OP_WHERE, small, number(c, 1), apply(c, ST_OP_DIV, x, y, NULL));
}

/* The logarithm of a rotation: its symmetric part has the cosines of its angles for eigenvalues, and what its
 * antisymmetric part makes of the eigenvectors is as long as their sines. */
static st_tensor *logarithm(scope *c, st_tensor *w)
{
    st_tensor *wt = turned(c, w), *cosine, *e, *sine = NULL;
    st_tensor *even = scaled(c, apply(c, ST_OP_ADD, w, wt, NULL), 0.5);
    st_tensor *odd = scaled(c, apply(c, ST_OP_SUB, w, wt, NULL), 0.5);
    if (!eigh(c, even, &cosine, &e)) return NULL;
    st_reduce_opts columns = {.dims = (int[]){0}, .ndims = 1, .p = 2};
    st_tensor *image = times(c, odd, e);
    if (c->status == ST_OK) c->status = st_reduce(ST_RED_NORM, image, &columns, &sine, c->err);
    if (!keep(c, c->status, sine)) return NULL;
    st_tensor *angle = apply(c, ST_OP_ATAN2, sine, cosine, NULL);
    st_tensor *l = times(c, recomposed(c, e, ratio(c, angle, sine, sine)), odd);
    return scaled(c, apply(c, ST_OP_SUB, l, turned(c, l), NULL), 0.5);
}

/* The exponential of an antisymmetric G: G'G has the squares of its angles for eigenvalues. */
static st_tensor *exponential(scope *c, st_tensor *g)
{
    st_tensor *square, *e;
    if (!eigh(c, times(c, turned(c, g), g), &square, &e)) return NULL;
    st_tensor *angle = apply(c, ST_OP_SQRT, apply(c, ST_OP_MAXIMUM, square, number(c, 0), NULL), NULL, NULL);
    st_tensor *sine = apply(c, ST_OP_SIN, angle, NULL, NULL);
    st_tensor *even = recomposed(c, e, apply(c, ST_OP_COS, angle, NULL, NULL));
    return apply(c, ST_OP_ADD, even, times(c, recomposed(c, e, ratio(c, sine, angle, angle)), g), NULL);
}

/* By what the free columns are turned next: G of S G + G S = C, with S = B B' / 12 - 1 / 2. */
static st_tensor *correction(scope *c, st_tensor *b, st_tensor *rest, int64_t k)
{
    st_tensor *values, *e, *column = NULL;
    if (!eigh(c, scaled(c, times(c, b, turned(c, b)), 1.0 / 12), &values, &e)) return NULL;
    c->status = st_reshape(values, 2, (int64_t[]){k, 1}, &column, c->err);
    if (!keep(c, c->status, column)) return NULL;
    st_tensor *sums = apply(c, ST_OP_SUB, apply(c, ST_OP_ADD, values, column, NULL), number(c, 1), NULL);
    st_tensor *inside = times(c, times(c, turned(c, e), rest), e);
    return times(c, times(c, e, apply(c, ST_OP_DIV, inside, sums, NULL)), turned(c, e));
}

/* One step: the free columns of w (N x N), in memory, are turned. *next stays NULL where nothing is to be gained. */
static st_status step(st_ctx *ctx, st_tensor *w, int64_t n, double tol, st_tensor **next, st_err *err)
{
    scope c = {.ctx = ctx, .err = err, .status = ST_OK};
    int64_t size = w->shape[0], k = size - n;
    st_tensor *l = logarithm(&c, w);
    hold(&c, l);
    st_tensor *rest = block(&c, l, n, k, n, k);
    if (length_of(&c, rest) > tol) {
        st_tensor *g = correction(&c, block(&c, l, n, k, 0, n), rest, k);
        hold(&c, g);
        st_tensor *free = times(&c, block(&c, w, 0, size, n, k), exponential(&c, g));
        st_tensor *all = beside(&c, block(&c, w, 0, size, 0, n), free);
        if (c.status == ST_OK) c.status = st_clone(ctx, all, next, err);
    }
    close_scope(&c);
    return c.status;
}

static st_status compute(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    st_tensor *w = NULL, *next = NULL;
    st_status s = st_clone(ctx, t->args[0], &w, err);
    for (int64_t i = 0; s == ST_OK && i < t->param[P_STEPS]; i++) {
        s = step(ctx, w, t->param[P_COLUMNS], t->real[0], &next, err);
        if (!next) break;
        st_tensor_unref(w);
        w = next;
        next = NULL;
    }
    if (s == ST_OK) s = st_export(ctx, w, 0, t->numel, ST_F64, out, err);
    st_tensor_unref(w);
    return s;
}

static const st_whole STIEFEL = {"the way between directions", compute};

st_status st_stiefel(st_tensor *w, int64_t n, int64_t steps, double tol, st_tensor **out, st_err *err)
{
    st_dtype d;
    *out = NULL;
    ST_TRY(linalg_check("stiefel", &w, 1, 2, &d, err));
    if (d != ST_F64 || w->ndim != 2 || w->shape[0] != w->shape[1] || n < 1 || n >= w->shape[0])
        return linalg_fail(err, ST_SHAPE, w, "stiefel: a square matrix in F64 with more than %lld columns expected",
                           (long long)n);
    ST_TRY(st_node_new(ST_N_WHOLE, ST_F64, 2, w->shape, 1, &w, out, err));
    (*out)->whole = &STIEFEL;
    (*out)->param[P_COLUMNS] = n;
    (*out)->param[P_STEPS] = steps;
    (*out)->real[0] = tol;
    return ST_OK;
}
