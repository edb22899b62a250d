/* linalg_factors.c - factors of low rank of many matrices, side by side. Layer: exec.
 *
 * A matrix is read once, packed into the panels that the kernel wants (kern.h) and kept so for all steps, or its
 * transpose where that has fewer columns, for the basis is then shorter; one that does not fit into its share of the
 * memory is read and packed anew in each. */
#include "eval.h"
#include "krylov.h"
#include "linalg.h"
#include "mem.h"
#include "program.h"
#include "sort.h"

#include <math.h>
#include <string.h>

enum { R = ST_PANEL_ROWS, C = ST_PANEL_COLS, STRIP = 1 << 20 /* bytes read at a time, about */ };

typedef struct layer {
    krylov_matrix a; /* first: apply gets a pointer to it */
    st_tensor *t;
    st_program *program;
    st_lowrank *out;
    uint64_t need; /* bytes */
    int m, n;      /* the matrix's own; a's are those of its transpose where that is taken */
    bool whole, turned;
    int strip; /* rows, a multiple of R */
    /* The worker's, for as long as it works on this layer: */
    float *packed; /* all panels, or those of a strip */
    float *rows;   /* of a strip */
    st_lane *lane;
} layer;

/* ---------------------------------------------------------------- reading */

static int panels_of(int rows) { return (rows + R - 1) / R; }

/* Rows [row, row + count) into l->rows. */
static st_status read_rows(layer *l, int row, int count, st_err *err)
{
    uint64_t n = (uint64_t)l->n, at = (uint64_t)row * n, end = at + (uint64_t)count * n,
             tile = st_program_tile(l->program);
    for (char *to = (char *)l->rows; at < end; at += tile) {
        uint64_t now = end - at < tile ? end - at : tile;
        void *out = to;
        st_program_advise(l->program, at, now, 16 << 20);
        ST_TRY(st_program_run(l->program, l->lane, at, now, &out, err));
        to += now * sizeof(float);
    }
    return ST_OK;
}

/* The panels of `count` rows; missing ones are zeros. */
static void pack(const float *rows, size_t n, int count, float *to)
{
    for (int row = 0; row < count; row += R, to += R * n) {
        int have = count - row < R ? count - row : R;
        const float *from = rows + (size_t)row * n;
        if (have < R) memset(to, 0, R * n * sizeof *to);
        if (have == R)
            for (size_t j = 0; j < n; j++)
                for (int i = 0; i < R; i++) to[R * j + (size_t)i] = from[(size_t)i * n + j];
        else
            for (size_t j = 0; j < n; j++)
                for (int i = 0; i < have; i++) to[R * j + (size_t)i] = from[(size_t)i * n + j];
    }
}

/* The same of the transpose: a panel is R columns. Rows [row, row + count) of m. */
static void pack_turned(const float *rows, size_t n, int row, int count, size_t m, float *to)
{
    for (int i = 0; i < count; i++)
        for (size_t j = 0; j < n; j += R) {
            size_t have = n - j < R ? n - j : R;
            float *x = to + j * m + R * (size_t)(row + i);
            memcpy(x, rows + (size_t)i * n + j, have * sizeof *x);
            if (have < R) memset(x + have, 0, (R - have) * sizeof *x);
        }
}

static double squares(const float *x, uint64_t n)
{
    const st_fold_fn fold = st_kern()->fold[ST_F_SUMSQ][ST_R_F32];
    double sum = 0;
    for (uint64_t at = 0; at < n; at += ST_FOLD_BLOCK) {
        st_partial p = {0};
        fold(&p, x + at, NULL, n - at < ST_FOLD_BLOCK ? n - at : ST_FOLD_BLOCK, 0);
        sum += p.f;
    }
    return sum;
}

/* Reads all of the matrix, for the first time; refuses what is not finite. */
static st_status load(layer *l, st_err *err)
{
    l->a.total = 0;
    for (int row = 0; row < l->m; row += l->strip) {
        int count = l->m - row < l->strip ? l->m - row : l->strip;
        size_t n = (size_t)l->n;
        if (st_ctx_stopped(l->a.ctx)) return st_fail_cancelled(err);
        ST_TRY(read_rows(l, row, count, err));
        l->a.total += squares(l->rows, (uint64_t)count * n);
        if (l->turned)
            pack_turned(l->rows, n, row, count, (size_t)l->m, l->packed);
        else if (l->whole)
            pack(l->rows, n, count, l->packed + (size_t)row * n);
    }
    if (isfinite(l->a.total)) return ST_OK;
    return linalg_fail(err, ST_ARG, l->t, "the values hold NaN or infinity");
}

/* The product with the panels of `count` rows from `row` on. */
static void multiply(const layer *l, const float *packed, int row, int count, const float *x, float *y, float *z)
{
    size_t n = (size_t)l->a.n;
    const st_panel_fn panel = *st_kern()->panel;
    for (int i = 0; i < count; i += R, packed += R * n) panel(packed, n, x, z, y + (size_t)(row + i) * C);
}

static st_status apply(krylov_matrix *a, const float *x, float *y, float *z, st_err *err)
{
    layer *l = (layer *)a;
    size_t n = (size_t)a->n;
    if (st_ctx_stopped(a->ctx)) return st_fail_cancelled(err);
    if (l->whole) return multiply(l, l->packed, 0, a->m, x, y, z), ST_OK;
    for (int row = 0; row < a->m; row += l->strip) {
        int count = a->m - row < l->strip ? a->m - row : l->strip;
        if (st_ctx_stopped(a->ctx)) return st_fail_cancelled(err);
        ST_TRY(read_rows(l, row, count, err));
        pack(l->rows, n, count, l->packed);
        multiply(l, l->packed, row, count, x, y, z);
    }
    return ST_OK;
}

/* ---------------------------------------------------------------- results */

/* One factor in the goal's dtype: `count` vectors of `length`, which lie one after the other in `from`, times scale[i].
 * with `across` they become columns. lost[i] are the squares of what rounding took from each. */
static st_status make_factor(const st_lowrank_goal *g, const float *from, int length, int count, const double *scale,
                             bool across, double *lost, st_tensor **out, st_err *err)
{
    size_t n = (size_t)length * (size_t)count, width = st_dtype_bits(g->dtype) / 8;
    float *values = st_malloc(2 * n * sizeof *values), *back = values + n;
    char *raw = st_malloc(n * width + 1);
    st_status s = values && raw ? ST_OK : st_fail_nomem(err, n * (2 * sizeof *values + width));
    for (int i = 0; s == ST_OK && i < count; i++)
        for (int j = 0; j < length; j++)
            values[across ? (size_t)j * (size_t)count + (size_t)i : (size_t)i * (size_t)length + (size_t)j] =
                (float)((double)from[(size_t)i * (size_t)length + (size_t)j] * scale[i]);
    if (s == ST_OK) {
        st_kern()->store[g->dtype](raw, (const void *[3]){values}, n);
        st_kern()->load[g->dtype](back, (const void *[3]){raw}, n);
        for (size_t i = 0; i < n; i++) {
            double d = (double)back[i] - (double)values[i];
            lost[across ? i % (size_t)count : i / (size_t)length] += d * d;
        }
        int64_t shape[2] = {across ? length : count, across ? count : length};
        s = st_tensor_new(g->dtype, 2, shape, raw, n * width, out, err);
    }
    st_free(values);
    st_free(raw);
    return s;
}

/* What rounding adds to the residual: to first order, for vectors that are orthogonal, sum of |dL|^2 |R|^2 + |L|^2
 * |dR|^2 over the pairs of a column and a row. */
static st_status deliver(layer *l, const st_lowrank_goal *g, krylov_factors *f, st_err *err)
{
    st_lowrank *o = l->out;
    size_t r = (size_t)f->rank;
    double total = l->a.total, *block = st_calloc(4 * r, sizeof *block);
    if (!block) return st_fail_nomem(err, 4 * r * sizeof *block);
    double *left = block, *right = left + r, *lost_left = right + r, *lost_right = lost_left + r, rounding = 0;
    const float *u = l->turned ? f->right : f->left, *v = l->turned ? f->left : f->right;
    for (size_t i = 0; i < r; i++) { /* f->left has length s */
        left[i] = f->s[i] > 0 ? pow(f->s[i], l->turned ? g->split : g->split - 1) : 0;
        right[i] = f->s[i] > 0 ? pow(f->s[i], l->turned ? -g->split : 1 - g->split) : 0;
    }
    st_status s = make_factor(g, u, l->m, f->rank, left, true, lost_left, &o->left, err);
    if (s == ST_OK) s = make_factor(g, v, l->n, f->rank, right, false, lost_right, &o->right, err);
    for (size_t i = 0; i < r; i++)
        rounding += lost_left[i] * pow(f->s[i], 2 - 2 * g->split) + lost_right[i] * pow(f->s[i], 2 * g->split);
    o->rank = f->rank;
    o->columns = f->columns;
    o->s = f->s;
    f->s = NULL;
    o->retained = fmin(f->retained / total, 1);
    o->captured = fmin(f->captured / total, 1);
    o->ahead = f->ahead / total;
    o->rounding = rounding / total;
    st_free(block);
    return s;
}

/* ---------------------------------------------------------------- all layers */

typedef struct job {
    st_ctx *ctx;
    const st_lowrank_goal *goal;
    layer **order; /* largest first */
    size_t end;    /* of this round */
    _Atomic size_t next;
} job;

/* What a worker keeps from one layer to the next: fresh memory costs more than filling it. */
typedef struct scratch {
    float *packed, *rows;
    uint64_t npacked, nrows;
    st_lane lane;
} scratch;

static st_status reserve(float **p, uint64_t *have, uint64_t need, st_err *err)
{
    if (need <= *have) return ST_OK;
    st_free(*p);
    *have = 0;
    *p = st_malloc(need * sizeof **p);
    if (!*p) return st_fail_nomem(err, need * sizeof **p);
    *have = need;
    return ST_OK;
}

static st_status factor(const job *j, layer *l, scratch *w, st_err *err)
{
    krylov_factors f = {0};
    uint64_t rows = (uint64_t)(l->whole ? panels_of(l->a.m) * R : l->strip);
    ST_TRY(reserve(&w->packed, &w->npacked, rows * (uint64_t)l->a.n, err));
    ST_TRY(reserve(&w->rows, &w->nrows, (uint64_t)l->strip * (uint64_t)l->n, err));
    l->packed = w->packed;
    l->rows = w->rows;
    l->lane = &w->lane;
    ST_TRY(load(l, err));
    l->out->norm = sqrt(l->a.total);
    if (!(l->a.total > 0)) return ST_OK;
    st_status s = krylov_factor(&l->a, j->goal, &f, err);
    if (s == ST_OK) s = deliver(l, j->goal, &f, err);
    krylov_factors_free(&f);
    return s;
}

static st_status worker(void *arg, unsigned number, st_err *err)
{
    job *j = arg;
    scratch w = {0};
    st_status s = ST_OK;
    for (size_t i; s == ST_OK && !st_ctx_stopped(j->ctx) && (i = j->next++) < j->end;) {
        s = factor(j, j->order[i], &w, err);
        st_progress_add(j->ctx, st_tensor_nbytes(j->order[i]->t));
        if (number == 0) st_progress_tick(j->ctx, false);
    }
    st_free(w.packed);
    st_free(w.rows);
    st_lane_free(&w.lane);
    return s;
}

static int larger_first(const void *a, const void *b, const void *arg)
{
    (void)arg;
    const layer *x = *(layer *const *)a, *y = *(layer *const *)b;
    if (x->need != y->need) return x->need > y->need ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Rounds of as many threads as the memory has room for matrices of the largest one's size. */
static st_status run(job *j, size_t n, uint64_t budget, st_err *err)
{
    unsigned threads = st_ctx_threads(j->ctx);
    if (threads > BLAS_THREADS) threads = BLAS_THREADS;
    for (size_t first = 0; first < n; first = j->end) {
        uint64_t side_by_side = budget / j->order[first]->need;
        unsigned now = side_by_side < 1 ? 1 : side_by_side > threads ? threads : (unsigned)side_by_side;
        for (j->end = first; j->end < n; j->end++)
            if (now < threads && budget / j->order[j->end]->need > now) break;
        j->next = first;
        ST_TRY(st_ctx_run(j->ctx, now, worker, j, err));
    }
    return ST_OK;
}

/* About: the panels, and a basis of six times as many columns as the rank. */
static void plan_layer(layer *l, uint64_t budget, int64_t rank)
{
    uint64_t n = (uint64_t)l->n, m = (uint64_t)l->m, packed = (m * n + R * (m > n ? m : n)) * sizeof(float),
             least = m < n ? m : n, columns = 6 * (uint64_t)rank + 128;
    uint64_t basis = (m + n) * (columns < least ? columns : least) * sizeof(float);
    l->whole = packed + basis <= budget;
    int rows = (int)(STRIP / (n * sizeof(float)));
    l->strip = rows < R ? R : rows / R * R;
    if (l->strip > panels_of(l->m) * R) l->strip = panels_of(l->m) * R;
    l->turned = l->whole && m < n;
    l->a.m = l->turned ? l->n : l->m;
    l->a.n = l->turned ? l->m : l->n;
    l->need = (l->whole ? packed : 0) + basis + 2 * (uint64_t)l->strip * n * sizeof(float);
    l->a.padded = panels_of(l->a.m) * R;
}

static st_status check(st_tensor *t, const st_lowrank_goal *g, layer *l, st_err *err)
{
    st_dtype dtype;
    ST_TRY(linalg_check("low rank", &t, 1, 2, &dtype, err));
    if (t->ndim != 2 || !t->numel)
        return linalg_fail(err, ST_SHAPE, t, "one matrix is needed, not a tensor of %d dimensions", t->ndim);
    linalg_dims d = linalg_dims_of(t);
    l->m = d.m;
    l->n = d.n;
    if (g->rank < 1 || !(g->split >= 0 && g->split <= 1) || st_dtype_kind(g->dtype) != ST_KIND_FLOAT ||
        st_dtype_reg(g->dtype) != ST_R_F32)
        return st_fail(err, ST_ARG, NULL, NULL, "low rank: a rank of at least 1, a split of 0 to 1, a dtype up to F32");
    return st_program_new(l->a.ctx, &(st_output){.t = t, .dtype = ST_F32}, 1, &l->program, err);
}

st_status st_lowrank_factors(st_ctx *ctx, st_tensor *const *list, size_t n, const st_lowrank_goal *goal,
                             st_lowrank *out, st_err *err)
{
    uint64_t budget = st_ctx_memory(ctx) / 8 * 3, bytes = 0;
    memset(out, 0, n * sizeof *out);
    ST_TRY(blas_load(err));
    layer *layers = st_calloc(n + 1, sizeof *layers), **order = st_calloc(n + 1, sizeof *order);
    st_status s = layers && order ? ST_OK : st_fail_nomem(err, n * sizeof *layers);
    for (size_t i = 0; s == ST_OK && i < n; i++) {
        layer *l = order[i] = &layers[i];
        *l = (layer){.t = list[i], .out = &out[i], .a = {.ctx = ctx, .apply = apply}};
        s = check(list[i], goal, l, err);
        if (s == ST_OK) plan_layer(l, budget, goal->rank);
        bytes += st_tensor_nbytes(list[i]);
    }
    if (s == ST_OK) {
        job j = {.ctx = ctx, .goal = goal, .order = order};
        st_sort(order, n, sizeof *order, larger_first, NULL);
        st_progress_begin(ctx, "factor", bytes);
        s = run(&j, n, budget, err);
        if (s == ST_OK) st_progress_tick(ctx, true);
    }
    for (size_t i = 0; layers && i < n; i++) st_program_free(layers[i].program);
    st_free(layers);
    st_free(order);
    return s;
}

void st_lowrank_free(st_lowrank *l)
{
    st_tensor_unref(l->left);
    st_tensor_unref(l->right);
    st_free(l->s);
    *l = (st_lowrank){0};
}
