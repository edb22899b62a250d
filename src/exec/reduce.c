/* reduce.c - reductions: nodes, and the streaming pass that computes several of them at once. Layer: exec; may include
 * core and kern. kern/fold.h says why the bits are the same on every number of threads.
 *
 * A node's operand has the reduced dimensions last, so that a result is a row of it. A row is cut into segments by
 * index; a segment is folded block after block by one worker, segments are joined in order at the end. Short rows are
 * one segment, and a worker takes many of them. What is in memory is a few blocks of each operand. */
#include "reduce.h"
#include "hold.h"
#include "mem.h"
#include "program.h"

#include <math.h>
#include <string.h>

enum {
    SEGMENT = 64 * ST_FOLD_BLOCK, /* elements; doubled while a row has more than MOST of them */
    MOST = 4096,
    RUN = 16 * ST_FOLD_BLOCK, /* elements computed at a time, of all operands together: they stay in the cache */
    TOGETHER = 32,            /* reductions in one pass, at most */
};

/* param[] of a node */
enum { P_WHAT, P_ROW };

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

/* Writes a result as register `i` of the node's class. */
static void finish(const st_tensor *t, st_reg taken, const st_partial *p, void *out, uint64_t i)
{
    st_reg own = st_dtype_reg(t->dtype);
    bool from_float = taken == ST_R_F32 || taken == ST_R_F64;
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

typedef struct reduction {
    const st_tensor *t;
    st_fold fold;
    st_reg reg;
    st_fold_fn fn;
    size_t x, y; /* outputs of the program */
    void *out;
    st_partial *partials; /* one per segment of every row, where rows have several */
} reduction;

typedef struct pass {
    st_ctx *ctx;
    st_program *program;
    reduction *reds;
    size_t nreds, nouts;
    st_output *outs;
    uint64_t rows, row, segment, per_row; /* per_row: segments */
    uint64_t units, rows_per_unit, run;
    _Atomic uint64_t next;
} pass;

typedef struct hand {
    pass *p;
    st_lane lane;
    void *outs[2 * TOGETHER];         /* short rows: many of each operand, computed together */
    const void *blocks[2 * TOGETHER]; /* long rows: a block of each operand */
    uint64_t at;                      /* where in its row the first block stands */
    st_partial acc[TOGETHER];
    st_err *err;
} hand;

/* One block of a row, from the registers. */
static void fold_block(void *arg, uint64_t at, size_t n)
{
    hand *h = arg;
    for (size_t r = 0; r < h->p->nreds; r++) {
        const reduction *red = &h->p->reds[r];
        red->fn(&h->acc[r], h->blocks[red->x], h->blocks[red->y], n, h->at + at);
    }
}

/* Folds elements [at, at + n) of a row, piece by piece; pieces begin where blocks do. */
static st_status fold_span(hand *h, uint64_t row, uint64_t at, uint64_t n)
{
    const pass *p = h->p;
    memset(h->acc, 0, p->nreds * sizeof *h->acc);
    for (uint64_t done = 0; done < n; done += p->run) {
        uint64_t count = n - done < p->run ? n - done : p->run;
        h->at = at + done;
        if (st_ctx_stopped(p->ctx)) return st_fail_cancelled(h->err);
        ST_TRY(st_program_each(p->program, &h->lane, row * p->row + h->at, count, h->blocks, fold_block, h, h->err));
    }
    return ST_OK;
}

static void finish_row(hand *h, uint64_t row)
{
    for (size_t r = 0; r < h->p->nreds; r++)
        finish(h->p->reds[r].t, h->p->reds[r].reg, &h->acc[r], h->p->reds[r].out, row);
}

/* A computed row, the j-th of those that were computed together. */
static void fold_row(hand *h, uint64_t j)
{
    const pass *p = h->p;
    memset(h->acc, 0, p->nreds * sizeof *h->acc);
    for (size_t r = 0; r < p->nreds; r++) {
        const reduction *red = &p->reds[r];
        size_t w = st_reg_size(red->reg);
        const char *x = (const char *)h->outs[red->x] + j * p->row * w;
        const char *y = (const char *)h->outs[red->y] + j * p->row * w;
        for (uint64_t b = 0; b < p->row; b += ST_FOLD_BLOCK)
            red->fn(&h->acc[r], x + b * w, y + b * w, p->row - b < ST_FOLD_BLOCK ? p->row - b : ST_FOLD_BLOCK, b);
    }
}

/* Rows of one segment: those that fit are computed several at a time. */
static st_status fold_rows(hand *h, uint64_t row, uint64_t n)
{
    const pass *p = h->p;
    uint64_t most = p->row <= p->run ? p->run / p->row : 1;
    for (uint64_t i = 0; i < n; i += most) {
        uint64_t count = n - i < most ? n - i : most;
        if (p->row > p->run) {
            ST_TRY(fold_span(h, row + i, 0, p->row));
            finish_row(h, row + i);
            continue;
        }
        if (st_ctx_stopped(p->ctx)) return st_fail_cancelled(h->err);
        ST_TRY(st_program_run(p->program, &h->lane, (row + i) * p->row, count * p->row, h->outs, h->err));
        for (uint64_t j = 0; j < count; j++) {
            fold_row(h, j);
            finish_row(h, row + i + j);
        }
    }
    return ST_OK;
}

static st_status fold_unit(hand *h, uint64_t unit)
{
    const pass *p = h->p;
    if (p->per_row == 1) {
        uint64_t row = unit * p->rows_per_unit, left = p->rows - row;
        return fold_rows(h, row, left < p->rows_per_unit ? left : p->rows_per_unit);
    }
    uint64_t at = unit % p->per_row * p->segment, left = p->row - at;
    ST_TRY(fold_span(h, unit / p->per_row, at, left < p->segment ? left : p->segment));
    for (size_t r = 0; r < p->nreds; r++) p->reds[r].partials[unit] = h->acc[r];
    return ST_OK;
}

static st_status pass_worker(void *arg, unsigned worker, st_err *err)
{
    pass *p = arg;
    (void)worker;
    hand h = {.p = p, .err = err};
    size_t bytes = p->row <= p->run ? p->nouts * p->run * 8 : 0;
    char *buf = st_malloc(bytes);
    st_status s = buf ? ST_OK : st_fail_nomem(err, bytes);
    for (size_t i = 0; i < p->nouts; i++) h.outs[i] = buf + (bytes ? i * p->run * 8 : 0);
    while (s == ST_OK && !st_ctx_stopped(p->ctx)) {
        uint64_t unit = p->next++;
        if (unit >= p->units) break;
        s = fold_unit(&h, unit);
    }
    st_lane_free(&h.lane);
    st_free(buf);
    return s;
}

/* Joins the segments of a row as a tree: neighbours, then neighbours of those. */
static void join_rows(const pass *p)
{
    for (size_t r = 0; r < p->nreds; r++)
        for (uint64_t row = 0; row < p->rows; row++) {
            st_partial *s = p->reds[r].partials + row * p->per_row;
            for (uint64_t step = 1; step < p->per_row; step *= 2)
                for (uint64_t i = 0; i + step < p->per_row; i += 2 * step)
                    st_fold_join(p->reds[r].fold, p->reds[r].reg, &s[i], &s[i + step]);
            finish(p->reds[r].t, p->reds[r].reg, &s[0], p->reds[r].out, row);
        }
}

/* The program's output that is `t` as `dtype`; a new one where there is none. */
static size_t output_of(pass *p, st_tensor *t, st_dtype dtype)
{
    for (size_t i = 0; i < p->nouts; i++)
        if (p->outs[i].t == t && p->outs[i].dtype == dtype) return i;
    p->outs[p->nouts] = (st_output){.t = t, .dtype = dtype};
    return p->nouts++;
}

static st_status add_reduction(pass *p, st_tensor *t, void *out, st_err *err)
{
    st_dtype taken = operand_dtype(t);
    reduction *r = &p->reds[p->nreds++];
    *r = (reduction){.t = t, .fold = fold_of(t), .reg = st_dtype_reg(taken), .out = out};
    r->fn = st_kern()->fold[r->fold][r->reg];
    r->x = output_of(p, t->args[0], taken);
    r->y = t->nargs > 1 ? output_of(p, t->args[1], taken) : r->x;
    if (p->per_row > 1) {
        r->partials = st_calloc(p->rows * p->per_row, sizeof *r->partials);
        if (!r->partials) return st_fail_nomem(err, p->rows * p->per_row * sizeof *r->partials);
    }
    return r->fn ? ST_OK : st_fail(err, ST_INTERNAL, NULL, NULL, "no kernel for a reduction");
}

/* How the work is cut: by rows and index alone. */
static void cut(pass *p, const st_tensor *t)
{
    p->rows = t->numel;
    p->row = (uint64_t)t->param[P_ROW];
    p->segment = SEGMENT;
    while (p->row / p->segment >= MOST) p->segment *= 2;
    p->per_row = p->row ? (p->row + p->segment - 1) / p->segment : 1;
    p->rows_per_unit = p->row && p->row < SEGMENT ? SEGMENT / p->row : 1;
    p->units = p->per_row > 1 ? p->rows * p->per_row : (p->rows + p->rows_per_unit - 1) / p->rows_per_unit;
}

static st_status run(pass *p, st_err *err)
{
    ST_TRY(st_program_new(p->ctx, p->outs, p->nouts, &p->program, err));
    uint64_t tile = st_program_tile(p->program) / ST_FOLD_BLOCK * ST_FOLD_BLOCK;
    p->run = RUN / p->nouts / ST_FOLD_BLOCK * ST_FOLD_BLOCK;
    if (p->run > tile) p->run = tile;
    if (p->run < ST_FOLD_BLOCK) p->run = ST_FOLD_BLOCK;
    ST_TRY(st_ctx_run(p->ctx, p->units > 1024 ? 1024 : (unsigned)p->units, pass_worker, p, err));
    if (p->per_row > 1) join_rows(p);
    return ST_OK;
}

/* Computes reductions of equally many rows of equal length in one pass. */
static st_status reduce(st_ctx *ctx, st_tensor *const *nodes, void *const *outs, size_t n, st_err *err)
{
    pass p = {.ctx = ctx};
    cut(&p, nodes[0]);
    p.reds = st_calloc(n, sizeof *p.reds);
    p.outs = st_calloc(2 * n, sizeof *p.outs);
    st_status s = p.reds && p.outs ? ST_OK : st_fail_nomem(err, n * sizeof *p.reds);
    for (size_t i = 0; s == ST_OK && i < n; i++) s = add_reduction(&p, nodes[i], outs[i], err);
    if (s == ST_OK && p.row) s = run(&p, err);
    for (size_t i = 0; s == ST_OK && !p.row && i < n; i++) /* nothing to fold */
        for (uint64_t row = 0; row < p.rows; row++)
            finish(nodes[i], p.reds[i].reg, &(st_partial){.n = 0}, outs[i], row);
    for (size_t i = 0; p.reds && i < p.nreds; i++) st_free(p.reds[i].partials);
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
    return a->numel == b->numel && a->param[P_ROW] == b->param[P_ROW];
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
    st_tensor *group[TOGETHER];
    for (size_t i = 0; i < n; i++) {
        size_t count = 0;
        for (size_t j = i; j < n && count < TOGETHER; j++)
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
        ST_TRY(st_topological(roots, nroots, true, &list, &n, err));
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

    st_tensor *last;
    ST_TRY(st_move_last(t, dims, ndims, NULL, &last, err));
    st_status s = st_node_new(ST_N_WHOLE, result_dtype(what, t->dtype, o->ndims == 0), n, shape, 1, &last, out, err);
    st_tensor_unref(last);
    if (s != ST_OK) return s;
    (*out)->whole = &whole_reduce;
    (*out)->param[P_WHAT] = what;
    (*out)->param[P_ROW] = row;
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
    return ST_OK;
}

st_status st_force_all(st_ctx *ctx, st_tensor *const *tensors, size_t n, st_err *err)
{
    ST_TRY(st_reduce_ahead(ctx, tensors, n, err));
    for (size_t i = 0; i < n; i++) ST_TRY(st_force(ctx, tensors[i], err));
    return ST_OK;
}
