/* points.c - a few elements of an expression, without computing what lies between them. Layer: exec.
 *
 * The fused evaluator wants in memory whatever a view scatters: of a large file, to print the corners of its transpose.
 * Here the expression is built once more over the wanted elements alone, its leaves read element by element, and that
 * small one is computed. */
#include "eval.h"
#include "hold.h"
#include "mem.h"
#include "product.h"
#include "shape.h"

#include <string.h>

enum {
    POINTS = 64,     /* elements at most */
    LARGE = 1 << 16, /* elements of an operand that is not worth holding for them */
    VIEWS = 100,     /* one within the other */
    NODES = 4000,    /* of the small expression */
};

typedef struct points {
    st_ctx *ctx;
    size_t n, made;
    int depth;
} points;

/* Gives up: what is wanted is better computed as ever. */
static const st_status HARD = ST_LIMIT;

/* ---------------------------------------------------------------- leaves */

/* A node that holds these elements: of the declared dtype, and as exact as what it stands for. */
static st_status holder(const points *p, const st_tensor *t, void **values, st_tensor **out, st_err *err)
{
    ST_TRY(st_node_new(ST_N_WHOLE, t->dtype, 1, (int64_t[]){(int64_t)p->n}, 0, NULL, out, err));
    size_t bytes = p->n * (st_dtype_bits(st_held_dtype(*out)) / 8);
    *values = st_malloc(bytes);
    (*out)->forced = *values;
    if (*values) return ST_OK;
    st_tensor_unref(*out);
    return st_fail_nomem(err, bytes);
}

static st_status read_elements(const points *p, const st_tensor *t, const uint64_t *at, char *raw, size_t width,
                               st_err *err)
{
    const char *held = st_held(t);
    for (size_t i = 0, run; i < p->n; i += run) {
        for (run = 1; i + run < p->n && at[i + run] == at[i] + run;) run++;
        if (held)
            memcpy(raw + i * width, held + at[i] * width, run * width);
        else
            ST_TRY(st_read_raw(t, at[i] * width, raw + i * width, run * width, err));
    }
    return ST_OK;
}

static st_status leaf_points(const points *p, const st_tensor *t, const uint64_t *at, st_tensor **out, st_err *err)
{
    uint64_t raw[POINTS];
    void *values;
    st_dtype held = st_held_dtype(t);
    st_reg reg = st_dtype_reg(held);
    if (reg == ST_R_NONE || st_dtype_bits(held) < 8) return HARD;
    ST_TRY(holder(p, t, &values, out, err));
    st_status s = ST_OK;
    if (t->node == ST_N_RANDOM && !t->forced)
        for (size_t i = 0; i < p->n; i++)
            st_kern()->generate[t->gen]((char *)values + i * (st_dtype_bits(held) / 8), &t->key, at[i], 1);
    else {
        s = read_elements(p, t, at, (char *)raw, st_dtype_bits(held) / 8, err);
        if (s == ST_OK) st_kern()->load[held](values, (const void *const[3]){raw, NULL, NULL}, p->n);
    }
    if (s != ST_OK) st_tensor_unref(*out);
    return s;
}

static st_status product_points(const points *p, const st_tensor *t, const uint64_t *at, st_tensor **out, st_err *err)
{
    void *values;
    st_product *x;
    ST_TRY(holder(p, t, &values, out, err));
    st_status s = st_product_new(p->ctx, t, &x, err);
    size_t width = st_reg_size(st_dtype_reg(t->dtype));
    for (size_t i = 0; s == ST_OK && i < p->n; i++) st_product_fill(x, at[i], 1, (char *)values + i * width);
    if (s != ST_OK) st_tensor_unref(*out);
    st_product_free(x);
    return s;
}

/* ---------------------------------------------------------------- nodes */

static st_status points_of(points *p, st_tensor *t, const uint64_t *at, st_tensor **out, st_err *err);

static st_status view_points(points *p, const st_tensor *t, const uint64_t *at, st_tensor **out, st_err *err)
{
    uint64_t below[POINTS];
    if (++p->depth > VIEWS) return HARD;
    for (size_t i = 0; i < p->n; i++) {
        uint64_t rest = at[i];
        int64_t index = t->start;
        for (int d = t->ndim - 1; d >= 0; d--) {
            index += (int64_t)(rest % (uint64_t)t->shape[d]) * t->strides[d];
            rest /= (uint64_t)t->shape[d];
        }
        below[i] = (uint64_t)index;
    }
    st_status s = points_of(p, t->args[0], below, out, err);
    p->depth--;
    return s;
}

typedef struct pair {
    const st_tensor *from;
    st_tensor *to;
} pair;

static st_tensor *find(const pair *list, size_t n, const st_tensor *t)
{
    while (n-- > 0) /* operands lie close below their users */
        if (list[n].from == t) return list[n].to;
    return NULL;
}

static st_status node_points(points *p, st_tensor *t, const uint64_t *at, const pair *list, size_t n, st_tensor **out,
                             st_err *err)
{
    st_tensor *args[3];
    if (++p->made > NODES || t->nargs > 3) return HARD;
    if (t->node == ST_N_NUMBER) return *out = st_tensor_ref(t), ST_OK;
    if (!t->forced && st_view_is_plain(t)) return *out = st_tensor_ref(find(list, n, t->args[0])), ST_OK;
    if (!t->forced && t->node == ST_N_VIEW) return view_points(p, t, at, out, err);
    if (st_is_ranged(t)) return product_points(p, t, at, out, err);
    if (!t->forced && t->node == ST_N_WHOLE) ST_TRY(st_hold(p->ctx, t, err));
    if (t->forced || (t->node != ST_N_OP && t->node != ST_N_CAST)) return leaf_points(p, t, at, out, err);
    for (int i = 0; i < t->nargs; i++) args[i] = find(list, n, t->args[i]);
    ST_TRY(st_node_new(t->node, t->dtype, 1, (int64_t[]){(int64_t)p->n}, t->nargs, args, out, err));
    (*out)->op = t->op;
    (*out)->operands = t->operands;
    (*out)->saturate = t->saturate;
    return ST_OK;
}

static st_status points_of(points *p, st_tensor *t, const uint64_t *at, st_tensor **out, st_err *err)
{
    st_tensor **nodes;
    size_t n, done = 0;
    ST_TRY(st_topological(&t, 1, ST_BELOW_FUSED, &nodes, &n, err));
    pair *list = st_calloc(n, sizeof *list);
    st_status s = list ? ST_OK : st_fail_nomem(err, n * sizeof *list);
    for (; s == ST_OK && done < n; done++) {
        list[done].from = nodes[done];
        s = node_points(p, nodes[done], at, list, done, &list[done].to, err);
        if (s != ST_OK) break;
    }
    *out = s == ST_OK ? st_tensor_ref(list[n - 1].to) : NULL;
    for (size_t i = 0; i < done; i++) st_tensor_unref(list[i].to);
    st_free(list);
    st_free(nodes);
    return s;
}

/* ---------------------------------------------------------------- which way */

/* True when an ordinary computation would hold a large operand for the sake of a view. */
static bool holds_much(st_tensor *t)
{
    st_tensor **nodes;
    size_t n;
    bool much = false;
    if (st_topological(&t, 1, ST_BELOW_FUSED, &nodes, &n, NULL) != ST_OK) return false;
    for (size_t i = 0; i < n && !much; i++) {
        const st_tensor *x = nodes[i];
        much = x->node == ST_N_VIEW && !x->forced && !st_view_is_plain(x) && !st_held(x->args[0]) &&
               (x->args[0]->node != ST_N_WHOLE || st_is_ranged(x->args[0])) && x->args[0]->numel >= LARGE;
    }
    st_free(nodes);
    return much;
}

st_status st_export_points(st_ctx *ctx, st_tensor *t, uint64_t start, uint64_t count, bool always, st_dtype dtype,
                           void *out, bool *done, st_err *err)
{
    uint64_t at[POINTS];
    *done = false;
    if (count > POINTS || st_dtype_reg(t->dtype) == ST_R_NONE || (!always && !holds_much(t))) return ST_OK;
    points p = {.ctx = ctx, .n = (size_t)count};
    st_tensor *few;
    for (size_t i = 0; i < p.n; i++) at[i] = start + i;
    st_err own;
    st_status s = points_of(&p, t, at, &few, &own);
    if (s == HARD) return ST_OK;
    if (s == ST_OK) {
        s = st_export(ctx, few, 0, count, dtype, out, &own);
        st_tensor_unref(few);
    }
    *done = true;
    if (s != ST_OK && err) *err = own;
    return s;
}
