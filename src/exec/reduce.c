/* reduce.c - reductions as nodes, and which of them are computed together. Layer: exec; may include core and kern.
 * kern/fold.h says why the bits are the same on every number of threads.
 *
 * What is reduced to one element is a row where the reduced dimensions are the operand's last (it is permuted if it
 * must be), and a column where they lie together in front of others. */
#include "reduce.h"
#include "hold.h"
#include "mem.h"
#include "reduce_pass.h"

#include <math.h>
#include <string.h>

/* param[] of a node: P_INNER elements of the operand lie between two of a column; 1 for rows. */
enum { P_WHAT, P_ROW, P_INNER };

static const struct {
    const char *name;
    bool floats_only;
    st_fold fold, int_fold;
} kinds[ST_REDUCTION_COUNT] = {
    [ST_RED_SUM] = {"sum", false, ST_F_SUM, ST_F_SUM},
    [ST_RED_PROD] = {"prod", false, ST_F_PROD, ST_F_PROD},
    [ST_RED_MEAN] = {"mean", true, ST_F_SUM, ST_F_SUM},
    [ST_RED_VAR] = {"var", true, ST_F_MOMENTS, ST_F_MOMENTS},
    [ST_RED_STD] = {"std", true, ST_F_MOMENTS, ST_F_MOMENTS},
    [ST_RED_NORM] = {"norm", true, ST_F_SUMSQ, ST_F_SUMSQ},
    [ST_RED_MIN] = {"min", false, ST_F_MIN, ST_F_MIN},
    [ST_RED_MAX] = {"max", false, ST_F_MAX, ST_F_MAX},
    [ST_RED_ARGMIN] = {"argmin", false, ST_F_ARGMIN, ST_F_ARGMIN},
    [ST_RED_ARGMAX] = {"argmax", false, ST_F_ARGMAX, ST_F_ARGMAX},
    [ST_RED_ANY] = {"any", false, ST_F_NONZERO, ST_F_NONZERO},
    [ST_RED_ALL] = {"all", false, ST_F_NONZERO, ST_F_NONZERO},
    [ST_RED_COUNT_NONZERO] = {"count_nonzero", false, ST_F_NONZERO, ST_F_NONZERO},
    [ST_RED_DOT] = {"dot", false, ST_F_DOT, ST_F_DOT},
};

/* The powers of a norm that have a fold of their own. */
static st_fold fold_of_norm(double p)
{
    if (p == 1) return ST_F_SUMABS;
    if (p == 0) return ST_F_NONZERO;
    if (isinf(p)) return p > 0 ? ST_F_MAXABS : ST_F_MINABS;
    return ST_F_SUMSQ;
}

static st_fold fold_of(const st_tensor *t)
{
    st_reduction what = (st_reduction)t->param[P_WHAT];
    return what == ST_RED_NORM ? fold_of_norm(t->real[0]) : kinds[what].fold;
}

/* The dtype in which the operands are taken: a register class that has the fold. */
static st_dtype operand_dtype(const st_tensor *t)
{
    st_reg r = st_dtype_reg(t->args[0]->dtype);
    if (t->nargs > 1) { /* dot: torch wants equal dtypes; here the wider float class wins */
        st_reg s = st_dtype_reg(t->args[1]->dtype);
        if (r != s)
            r = r == ST_R_F64 || s == ST_R_F64 ? ST_R_F64 : r == ST_R_F32 || s == ST_R_F32 ? ST_R_F32 : ST_R_I64;
    }
    return r == ST_R_B8 && fold_of(t) != ST_F_NONZERO ? ST_I64 : st_reg_dtype(r);
}

/* ---------------------------------------------------------------- finishing */

static double finish_float(const st_tensor *t, const st_partial *p)
{
    double n = (double)p->n, left;
    switch ((st_reduction)t->param[P_WHAT]) {
    case ST_RED_PROD: return p->n ? p->f : 1;
    case ST_RED_MEAN: return n > 0 ? p->f / n : NAN;
    case ST_RED_VAR:
    case ST_RED_STD:
        left = n - t->real[0];
        if (p->n == 0) return NAN;
        left = p->squares / (left > 0 ? left : 0); /* 0 / 0 is NaN, as for a single element */
        return t->param[P_WHAT] == ST_RED_STD ? sqrt(left) : left;
    case ST_RED_NORM:
        if (t->real[0] == 0) return (double)p->u;
        return t->real[0] == 2 ? sqrt(p->f) : p->f;
    default: return p->f;
    }
}

void st_reduction_finish(const st_reducing *r, const st_partial *p, uint64_t i)
{
    const st_tensor *t = r->t;
    st_reg own = st_dtype_reg(t->dtype);
    bool from_float = r->reg == ST_R_F32 || r->reg == ST_R_F64;
    void *out = r->out;
    int64_t v;
    switch ((st_reduction)t->param[P_WHAT]) {
    case ST_RED_ANY: ((uint8_t *)out)[i] = p->u > 0; return;
    case ST_RED_ALL: ((uint8_t *)out)[i] = p->u == p->n; return;
    case ST_RED_COUNT_NONZERO: ((int64_t *)out)[i] = p->i; return;
    case ST_RED_ARGMIN:
    case ST_RED_ARGMAX: ((int64_t *)out)[i] = (int64_t)p->at; return;
    default: break;
    }
    if (from_float || own == ST_R_F32 || own == ST_R_F64) {
        double f = finish_float(t, p);
        if (f != f) f = __builtin_nan(""); /* the one NaN */
        if (own == ST_R_F32)
            ((float *)out)[i] = (float)f;
        else
            ((double *)out)[i] = f;
        return;
    }
    v = t->param[P_WHAT] == ST_RED_PROD && p->n == 0 ? 1 : p->i;
    if (own == ST_R_B8)
        ((uint8_t *)out)[i] = v != 0;
    else
        ((int64_t *)out)[i] = v;
}

/* ---------------------------------------------------------------- a pass */

/* The program's output that is `t` as `dtype`; a new one where there is none. */
static size_t output_of(st_pass *p, st_tensor *t, st_dtype dtype)
{
    for (size_t i = 0; i < p->nouts; i++)
        if (p->outs[i].t == t && p->outs[i].dtype == dtype) return i;
    p->outs[p->nouts] = (st_output){.t = t, .dtype = dtype};
    return p->nouts++;
}

static void add_reduction(st_pass *p, st_tensor *t, void *out)
{
    st_dtype taken = operand_dtype(t);
    st_reducing *r = &p->reds[p->nreds++];
    *r = (st_reducing){.t = t, .fold = fold_of(t), .reg = st_dtype_reg(taken), .out = out};
    r->x = output_of(p, t->args[0], taken);
    r->y = t->nargs > 1 ? output_of(p, t->args[1], taken) : r->x;
}

enum { RUN = 16 * ST_FOLD_BLOCK }; /* elements computed at a time, of all operands together: they stay in the cache */

/* Operands are BF16 as it lies where every fold over them has a kernel for that. */
static void allow_raw(st_pass *p)
{
    for (size_t o = 0; o < p->nouts; o++)
        p->outs[o].may_be_raw = p->inner == 1 && p->outs[o].t->dtype == ST_BF16 && p->outs[o].dtype == ST_F32;
    for (size_t i = 0; i < p->nreds; i++)
        if (!st_kern()->fold_bf16[p->reds[i].fold])
            p->outs[p->reds[i].x].may_be_raw = p->outs[p->reds[i].y].may_be_raw = false;
}

static void choose_folds(st_pass *p)
{
    for (size_t i = 0; i < p->nreds; i++) {
        st_reducing *r = &p->reds[i];
        bool raw = st_program_is_raw(p->program, r->x);
        r->fn = raw ? st_kern()->fold_bf16[r->fold] : st_kern()->fold[r->fold][r->reg];
        r->abreast = raw ? NULL : st_kern()->fold_abreast[r->fold][r->reg];
        r->width = raw ? sizeof(uint16_t) : st_reg_size(r->reg);
    }
}

/* A dot product of x with itself sums its squares. */
static st_fold fold_over(const st_reducing *r) { return r->fold == ST_F_DOT && r->x == r->y ? ST_F_SUMSQ : r->fold; }

/* The first reduction that folds output x like this, and does it itself; nreds: none. */
static size_t find_fold(const st_pass *p, st_fold fold, size_t x)
{
    size_t i = 0;
    while (i < p->nreds && !(fold_over(&p->reds[i]) == fold && p->reds[i].x == x && p->reds[i].fn)) i++;
    return i;
}

/* Reduction i does these, one of which it is, if all are there. */
static void join_folds(st_pass *p, size_t i, st_joint_fn fn, const size_t *does, size_t n)
{
    st_reducing *r = &p->reds[i];
    for (size_t k = 0; k < n; k++)
        if (does[k] == p->nreds) return;
    for (size_t k = 0; k < n; k++) p->reds[does[k]].fn = NULL;
    memcpy(r->does, does, n * sizeof *does);
    r->ndoes = n;
    r->joint = fn;
}

/* Dot products take the sums of squares of their operands along; sums what else is asked of the same elements. */
static void choose_joints(st_pass *p)
{
    for (size_t i = 0; i < p->nreds; i++) {
        const st_reducing *r = &p->reds[i];
        st_joint_fn gram = st_kern()->gram[r->reg];
        if (fold_over(r) == ST_F_DOT && r->fn && gram)
            join_folds(p, i, gram, (size_t[]){find_fold(p, ST_F_SUMSQ, r->x), find_fold(p, ST_F_SUMSQ, r->y), i}, 3);
    }
    for (size_t i = 0; i < p->nreds; i++) {
        const st_reducing *r = &p->reds[i];
        st_joint_fn summary = st_kern()->summary[r->reg];
        if (r->fold == ST_F_SUM && r->fn && summary)
            join_folds(p, i, summary,
                       (size_t[]){i, find_fold(p, ST_F_SUMSQ, r->x), find_fold(p, ST_F_MIN, r->x),
                                  find_fold(p, ST_F_MAX, r->x)},
                       4);
    }
}

static st_status run(st_pass *p, st_err *err)
{
    if (p->row == 0) { /* nothing to fold */
        for (size_t i = 0; i < p->nreds; i++)
            for (uint64_t n = 0; n < p->results; n++) st_reduction_finish(&p->reds[i], &(st_partial){.n = 0}, n);
        return ST_OK;
    }
    allow_raw(p);
    ST_TRY(st_program_new(p->ctx, p->outs, p->nouts, &p->program, err));
    choose_folds(p);
    choose_joints(p);
    uint64_t tile = st_program_tile(p->program) / ST_FOLD_BLOCK * ST_FOLD_BLOCK;
    p->run = RUN / p->nouts / ST_FOLD_BLOCK * ST_FOLD_BLOCK;
    if (p->run > tile || st_program_has_products(p->program)) p->run = tile;
    if (p->run < ST_FOLD_BLOCK) p->run = ST_FOLD_BLOCK;
    return p->inner > 1 ? st_reduce_columns(p, err) : st_reduce_rows(p, err);
}

/* Computes reductions of equally many rows or columns of equal length in one pass. */
static st_status reduce(st_ctx *ctx, st_tensor *const *nodes, void *const *outs, size_t n, st_err *err)
{
    st_pass p = {.ctx = ctx,
                 .results = nodes[0]->numel,
                 .row = (uint64_t)nodes[0]->param[P_ROW],
                 .inner = (uint64_t)nodes[0]->param[P_INNER]};
    p.reds = st_calloc(n, sizeof *p.reds);
    p.outs = st_calloc(2 * n, sizeof *p.outs);
    st_status s = p.reds && p.outs ? ST_OK : st_fail_nomem(err, n * sizeof *p.reds);
    for (size_t i = 0; s == ST_OK && i < n; i++) add_reduction(&p, nodes[i], outs[i]);
    if (s == ST_OK) s = run(&p, err);
    st_free(p.reds);
    st_free(p.outs);
    st_program_free(p.program);
    return s;
}

static st_status compute_one(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    st_tensor *node = (st_tensor *)t;
    return reduce(ctx, &node, &out, 1, err);
}

static const st_whole whole_reduce = {"a reduction", compute_one};

/* ---------------------------------------------------------------- several in one pass */

static bool is_reduction(const st_tensor *t)
{
    return t->node == ST_N_WHOLE && t->whole == &whole_reduce && !t->forced;
}

static bool goes_with(const st_tensor *a, const st_tensor *b)
{
    return a->numel == b->numel && a->param[P_ROW] == b->param[P_ROW] && a->param[P_INNER] == b->param[P_INNER];
}

/* The reductions of the list that wait for no other: n of them, moved to its front in their order. */
static st_status ready(st_tensor **list, size_t *n, st_err *err)
{
    size_t found = 0;
    bool *waits = st_calloc(*n + 1, sizeof *waits); /* a reduction stands below, or here */
    if (!waits) return st_fail_nomem(err, *n);
    for (size_t i = 0; i < *n; i++) {
        for (int a = 0; !list[i]->forced && a < list[i]->nargs; a++)
            for (size_t j = i; j-- > 0;) /* operands are near */
                if (list[j] == list[i]->args[a]) {
                    waits[i] |= waits[j] || is_reduction(list[j]);
                    break;
                }
    }
    for (size_t i = 0; i < *n; i++)
        if (is_reduction(list[i]) && !waits[i]) list[found++] = list[i];
    *n = found;
    st_free(waits);
    return ST_OK;
}

static st_status hold_ready(st_ctx *ctx, st_tensor **list, size_t n, st_err *err)
{
    st_tensor *group[ST_REDUCE_TOGETHER];
    for (size_t i = 0; i < n; i++) {
        size_t count = 0;
        for (size_t j = i; j < n && count < ST_REDUCE_TOGETHER; j++)
            if (is_reduction(list[j]) && goes_with(list[i], list[j])) group[count++] = list[j];
        if (is_reduction(list[i])) ST_TRY(st_hold_group(ctx, group, count, reduce, err));
    }
    return ST_OK;
}

st_status st_reduce_ahead(st_ctx *ctx, st_tensor *const *roots, size_t nroots, st_err *err)
{
    for (;;) {
        st_tensor **list;
        size_t n, all;
        bool any = false;
        ST_TRY(st_topological(roots, nroots, ST_BELOW_NEEDED, &list, &n, err));
        all = n;
        for (size_t i = 0; i < all && !any; i++) any = is_reduction(list[i]);
        st_status s = any ? ready(list, &n, err) : ST_OK;
        if (any && s == ST_OK) s = hold_ready(ctx, list, n, err);
        st_free(list);
        if (!any || s != ST_OK) return s;
    }
}

/* ---------------------------------------------------------------- nodes */

st_status st_move_last(st_tensor *t, const int *dims, int ndims, int *order, st_tensor **out, st_err *err)
{
    int own[ST_MAX_DIMS], n = 0;
    if (!order) order = own;
    for (int d = 0; d < t->ndim; d++) {
        bool last = false;
        for (int i = 0; i < ndims; i++) last |= dims[i] == d;
        if (!last) order[n++] = d;
    }
    for (int i = 0; i < ndims; i++) order[n++] = dims[i];
    for (int d = 0; d < t->ndim && order[d] == d; d++) /* nothing moves */
        if (d == t->ndim - 1) return *out = st_tensor_ref(t), ST_OK;
    if (t->ndim == 0) return *out = st_tensor_ref(t), ST_OK;
    return st_permute(t, order, out, err);
}

static st_status check_dims(const st_tensor *t, const char *name, const st_reduce_opts *o, bool seen[ST_MAX_DIMS],
                            st_err *err)
{
    memset(seen, 0, ST_MAX_DIMS * sizeof *seen);
    for (int i = 0; i < o->ndims; i++) {
        int d = o->dims[i];
        if (d < 0 || d >= (t->ndim ? t->ndim : 1))
            return st_fail(err, ST_ARG, NULL, t->name, "%s: dimension %d of a tensor with %d", name, d + 1, t->ndim);
        if (seen[d]) return st_fail(err, ST_ARG, NULL, t->name, "%s: dimension %d is named twice", name, d + 1);
        seen[d] = true;
    }
    return ST_OK;
}

/* How many elements lie behind the reduced dimensions, where these lie together; else 0. Dimensions of size 1 lie
 * anywhere. */
static int64_t inner_of(const st_tensor *t, const bool *seen)
{
    enum { BEHIND, AMONG, BEFORE } at = BEHIND;
    int64_t inner = 1;
    for (int d = t->ndim; t->numel && d-- > 0;) {
        if (t->shape[d] == 1) continue;
        if (seen[d] && at == BEFORE) return 0;
        if (seen[d])
            at = AMONG;
        else if (at == BEHIND)
            inner *= t->shape[d];
        else
            at = BEFORE;
    }
    return at == BEHIND ? 0 : inner;
}

/* The shape of a result, and how many elements are reduced to one. */
static int result_shape(const st_tensor *t, const bool *seen, bool keepdim, int64_t *shape, int64_t *row)
{
    int n = 0;
    *row = 1;
    for (int d = 0; d < t->ndim; d++) {
        /* Fits, unless the rest is 0 and there is nothing to compute. */
        if (seen[d]) *row = (int64_t)((uint64_t)*row * (uint64_t)t->shape[d]);
        if (!seen[d] || keepdim) shape[n++] = seen[d] ? 1 : t->shape[d];
    }
    return n;
}

/* Over all dimensions results are exact or F64; over some, floats keep the declared dtype as in torch. */
static st_dtype result_dtype(st_reduction what, st_dtype d, bool all)
{
    bool is_float = st_dtype_is_float(d);
    switch (what) {
    case ST_RED_ANY:
    case ST_RED_ALL: return ST_BOOL;
    case ST_RED_ARGMIN:
    case ST_RED_ARGMAX:
    case ST_RED_COUNT_NONZERO: return ST_I64;
    case ST_RED_MIN:
    case ST_RED_MAX: return d;
    default: return !is_float ? (d == ST_U64 ? ST_U64 : ST_I64) : all ? ST_F64 : d;
    }
}

static st_status check_values(const st_tensor *t, st_reduction what, const st_reduce_opts *o, int64_t row, st_err *err)
{
    bool least = what == ST_RED_MIN || what == ST_RED_MAX || what == ST_RED_ARGMIN || what == ST_RED_ARGMAX ||
                 (what == ST_RED_NORM && isinf(o->p));
    if (kinds[what].floats_only && !st_dtype_is_float(t->dtype))
        return st_fail(err, ST_DTYPE, st_tensor_file(t), t->name, "%s is not defined for %s; cast it first",
                       kinds[what].name, st_dtype_name(t->dtype));
    if (least && row == 0)
        return st_fail(err, ST_SHAPE, st_tensor_file(t), t->name, "%s of no elements: there is none", kinds[what].name);
    if ((what == ST_RED_ARGMIN || what == ST_RED_ARGMAX) && o->ndims > 1)
        return st_fail(err, ST_ARG, NULL, t->name, "%s: one dimension, or none for all", kinds[what].name);
    if (what == ST_RED_NORM && o->p != o->p) return st_fail(err, ST_ARG, NULL, t->name, "norm: p is not a number");
    return ST_OK;
}

/* Norms without a fold of their own: (sum |x|^p)^(1/p), in F64. */
static st_status any_norm(st_tensor *t, const st_reduce_opts *o, st_tensor **out, st_err *err)
{
    st_tensor *wide = NULL, *size = NULL, *p = NULL, *inverse = NULL, *powers = NULL, *sum = NULL, *root = NULL;
    st_status s = st_cast(t, ST_F64, false, &wide, err);
    if (s == ST_OK) s = st_apply(ST_OP_ABS, &wide, &size, err);
    if (s == ST_OK) s = st_number(o->p, &p, err);
    if (s == ST_OK) s = st_number(1 / o->p, &inverse, err);
    if (s == ST_OK) s = st_apply(ST_OP_POW, (st_tensor *[]){size, p}, &powers, err);
    if (s == ST_OK) s = st_reduce(ST_RED_SUM, powers, o, &sum, err);
    if (s == ST_OK) s = st_apply(ST_OP_POW, (st_tensor *[]){sum, inverse}, &root, err);
    if (s == ST_OK) s = st_cast(root, o->ndims ? t->dtype : ST_F64, false, out, err);
    st_tensor *all[] = {wide, size, p, inverse, powers, sum, root};
    for (int i = 0; i < 7; i++) st_tensor_unref(all[i]);
    return s;
}

st_status st_reduce(st_reduction what, st_tensor *t, const st_reduce_opts *o, st_tensor **out, st_err *err)
{
    static const st_reduce_opts none = {.correction = 1, .p = 2};
    bool seen[ST_MAX_DIMS];
    int64_t shape[ST_MAX_DIMS], row;
    int dims[ST_MAX_DIMS], ndims = 0;
    *out = NULL;
    if (!o) o = &none;
    if ((unsigned)what >= ST_REDUCTION_COUNT || what == ST_RED_DOT)
        return st_fail(err, ST_INTERNAL, NULL, NULL, "reduction %d does not exist", (int)what);
    ST_TRY(st_check_computable(t, kinds[what].name, err));
    ST_TRY(check_dims(t, kinds[what].name, o, seen, err));
    for (int d = 0; d < t->ndim; d++) {
        if (!o->ndims) seen[d] = true;
        if (seen[d]) dims[ndims++] = d;
    }
    int n = result_shape(t, seen, o->keepdim, shape, &row);
    ST_TRY(check_values(t, what, o, row, err));
    double p = o->p;
    if (what == ST_RED_NORM && p != 0 && p != 1 && p != 2 && !isinf(p)) return any_norm(t, o, out, err);

    st_tensor *operand;
    int64_t inner = inner_of(t, seen);
    if (inner > 1)
        operand = st_tensor_ref(t);
    else
        ST_TRY(st_move_last(t, dims, ndims, NULL, &operand, err));
    st_status s = st_node_new(ST_N_WHOLE, result_dtype(what, t->dtype, o->ndims == 0), n, shape, 1, &operand, out, err);
    st_tensor_unref(operand);
    if (s != ST_OK) return s;
    (*out)->whole = &whole_reduce;
    (*out)->param[P_WHAT] = what;
    (*out)->param[P_ROW] = row;
    (*out)->param[P_INNER] = inner > 1 ? inner : 1;
    (*out)->real[0] = what == ST_RED_NORM ? p : o->correction;
    return ST_OK;
}

st_status st_dot(st_tensor *a, st_tensor *b, st_tensor **out, st_err *err)
{
    st_dtype dtype;
    *out = NULL;
    ST_TRY(st_check_computable(a, "dot", err));
    ST_TRY(st_check_computable(b, "dot", err));
    if (a->numel != b->numel || a->node == ST_N_NUMBER || b->node == ST_N_NUMBER)
        return st_fail(err, ST_SHAPE, st_tensor_file(a), a->name, "dot: %llu elements and %llu",
                       (unsigned long long)a->numel, (unsigned long long)b->numel);
    ST_TRY(st_result_dtype((st_tensor *[]){a, b}, 2, &dtype, err));
    ST_TRY(st_node_new(ST_N_WHOLE, result_dtype(ST_RED_DOT, dtype, true), 0, NULL, 2, (st_tensor *[]){a, b}, out, err));
    (*out)->whole = &whole_reduce;
    (*out)->param[P_WHAT] = ST_RED_DOT;
    (*out)->param[P_ROW] = (int64_t)a->numel;
    (*out)->param[P_INNER] = 1;
    return ST_OK;
}

st_status st_force_all(st_ctx *ctx, st_tensor *const *tensors, size_t n, st_err *err)
{
    ST_TRY(st_reduce_ahead(ctx, tensors, n, err));
    for (size_t i = 0; i < n; i++) ST_TRY(st_force(ctx, tensors[i], err));
    return ST_OK;
}
