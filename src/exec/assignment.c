/* assignment.c - the linear assignment problem, exactly: which row takes which column, each at most once, so that the
 * costs add up to the least. Layer: exec.
 *
 * Shortest augmenting paths with potentials (Jonker and Volgenant, "A shortest augmenting path algorithm for dense and
 * sparse linear assignment problems", 1987; Crouse, 2016, for more columns than rows): O(n^3), far less where most
 * rows find a column of their own. `v` holds the columns' potentials: at all times a row's own column has the least of
 * cost - v in its row, and columns that nobody has keep v = 0 where there are more of them than rows.
 *
 * One matrix runs on one thread, a stack is spread over all. Costs are read as they are, F32 or F64, and added in
 * F64. */
#include "hold.h"
#include "linalg.h"
#include "mem.h"

#include <math.h>
#include <string.h>

enum { P_MAXIMIZE, PASSES = 2 };

typedef struct lap {
    st_ctx *ctx;
    const void *cost; /* of this matrix */
    bool wide;
    int n, m;           /* rows and columns, n <= m: those of the transpose where there are more rows */
    size_t down, right; /* elements from a row to the next, and from a column to the next */
    double sign;        /* -1 looks for the largest sum */
    double *v, *dist, *row;
    int *row_of, *col_of; /* who has whom; -1: nobody */
    int *from;            /* the row before a column on the shortest path to it */
    int *todo, *free;     /* columns not reached yet; rows without a column */
} lap;

/* A row's costs, in F64. */
static void load_row(const lap *a, int i)
{
    const float *f = (const float *)a->cost + (a->wide ? 0 : (size_t)i * a->down);
    const double *d = (const double *)a->cost + (a->wide ? (size_t)i * a->down : 0);
    for (int j = 0; a->wide && j < a->m; j++) a->row[j] = a->sign * d[(size_t)j * a->right];
    if (!a->wide && a->right == 1)
        for (int j = 0; j < a->m; j++) a->row[j] = a->sign * (double)f[j];
    else if (!a->wide)
        for (int j = 0; j < a->m; j++) a->row[j] = a->sign * (double)f[(size_t)j * a->right];
}

static double one_cost(const lap *a, int i, int j)
{
    return a->sign * linalg_get(a->wide, a->cost, (uint64_t)i * a->down + (uint64_t)j * a->right);
}

static void match(const lap *a, int i, int j)
{
    a->row_of[j] = i;
    a->col_of[i] = j;
}

/* Square matrices: each column's potential is its least cost, which goes to that row if nobody has it. */
static void reduce_columns(const lap *a)
{
    for (int i = 0; i < a->n && !st_ctx_stopped(a->ctx); i++) {
        load_row(a, i);
        for (int j = 0; j < a->m; j++)
            if (i == 0 || a->row[j] < a->v[j]) {
                a->v[j] = a->row[j];
                a->from[j] = i;
            }
    }
    for (int j = a->m - 1; j >= 0; j--)
        if (a->col_of[a->from[j]] < 0) match(a, a->from[j], j);
}

/* The cheapest and the second cheapest column of a row, behind the potentials. */
typedef struct two {
    int first, second;
    double least, next;
} two;

static two cheapest_two(const lap *a, int i)
{
    load_row(a, i);
    two t = {.first = 0, .second = -1, .least = a->row[0] - a->v[0], .next = INFINITY};
    for (int j = 1; j < a->m; j++) {
        double h = a->row[j] - a->v[j];
        if (h >= t.next) continue;
        if (h >= t.least) {
            t.next = h;
            t.second = j;
        } else {
            t.next = t.least;
            t.second = t.first;
            t.least = h;
            t.first = j;
        }
    }
    return t;
}

/* Rows without a column take the cheapest, by a potential just low enough, from whoever has it; who lost it is next.
 * Few rows are left after two passes. Such chains may be long, and rounding may make them endless: `steps` ends them.
 */
static int take_over(const lap *a, int n_free)
{
    int left = 0;
    int64_t steps = 4 * (int64_t)a->n;
    for (int k = 0; k < n_free && !st_ctx_stopped(a->ctx);) {
        int i = a->free[k++];
        two t = cheapest_two(a, i);
        int j = t.first, loser = a->row_of[j];
        bool lowers = t.least < t.next;
        if (lowers)
            a->v[j] -= t.next - t.least;
        else if (loser >= 0) {
            j = t.second;
            loser = a->row_of[j];
        }
        match(a, i, j);
        if (loser < 0) continue;
        a->col_of[loser] = -1;
        if (lowers && steps-- > 0)
            a->free[--k] = loser;
        else
            a->free[left++] = loser;
    }
    return left;
}

/* Looks on from row i, to which a path of length `base` leads: true for a column that nobody has at its end. *next
 * becomes the place in `todo` of the nearest column, one without a row first among equals. */
static void relax(const lap *a, int i, double base, int n_todo, int *next)
{
    double least = INFINITY;
    load_row(a, i);
    *next = 0;
    for (int k = 0; k < n_todo; k++) {
        int j = a->todo[k];
        double d = base + (a->row[j] - a->v[j]);
        if (d < a->dist[j]) {
            a->dist[j] = d;
            a->from[j] = i;
        }
        d = a->dist[j];
        if (d < least || (d == least && a->row_of[j] < 0 && a->row_of[a->todo[*next]] >= 0)) {
            least = d;
            *next = k;
        }
    }
}

/* Gives row `start` a column, along the shortest path to one that nobody has (Dijkstra's). Columns that were reached
 * stand behind those of `todo`. */
static void augment(const lap *a, int start)
{
    int n_todo = a->m, j = -1, next;
    double base = 0;
    for (int k = 0; k < a->m; k++) {
        a->todo[k] = k;
        a->dist[k] = INFINITY;
    }
    for (int i = start; !st_ctx_stopped(a->ctx); i = a->row_of[j]) {
        if (j >= 0) base = a->dist[j] - (one_cost(a, i, j) - a->v[j]);
        relax(a, i, base, n_todo, &next);
        j = a->todo[next];
        a->todo[next] = a->todo[--n_todo];
        a->todo[n_todo] = j;
        if (a->row_of[j] < 0) break;
    }
    if (st_ctx_stopped(a->ctx)) return;
    for (int k = n_todo + 1; k < a->m; k++) a->v[a->todo[k]] += a->dist[a->todo[k]] - a->dist[j];
    for (int i = -1, before; i != start; j = before) {
        i = a->from[j];
        before = a->col_of[i];
        match(a, i, j);
    }
}

static void solve(const lap *a)
{
    int n_free = 0;
    for (int j = 0; j < a->m; j++) {
        a->v[j] = 0;
        a->row_of[j] = -1;
    }
    for (int i = 0; i < a->n; i++) a->col_of[i] = -1;
    if (a->n == a->m) reduce_columns(a);
    for (int i = 0; i < a->n; i++)
        if (a->col_of[i] < 0) a->free[n_free++] = i;
    for (int pass = 0; a->m > 1 && pass < PASSES; pass++) n_free = take_over(a, n_free);
    for (int k = 0; k < n_free && !st_ctx_stopped(a->ctx); k++) augment(a, a->free[k]);
}

/* ---------------------------------------------------------------- a stack of them */

typedef struct stack {
    st_ctx *ctx;
    const st_tensor *t;
    linalg_dims d;
    const void *costs;
    bool wide;
    int64_t *rows, *cols;
    _Atomic uint64_t next;
} stack;

static st_status scratch_new(lap *a, void **block, st_err *err)
{
    size_t m = (size_t)a->m, bytes = m * (3 * sizeof(double) + 5 * sizeof(int)) + 1;
    *block = st_malloc(bytes);
    if (!*block) return st_fail_nomem(err, bytes);
    a->v = *block;
    a->dist = a->v + m;
    a->row = a->dist + m;
    a->row_of = (void *)(a->row + m);
    a->col_of = a->row_of + m; /* and the rest: there are at least as many columns as rows */
    a->from = a->col_of + m;
    a->todo = a->from + m;
    a->free = a->todo + m;
    return ST_OK;
}

/* Pairs in the order of the rows. */
static void put(const lap *a, bool turned, int64_t *rows, int64_t *cols)
{
    const int *other = turned ? a->row_of : a->col_of;
    int k = 0;
    for (int i = 0; i < (turned ? a->m : a->n); i++) {
        if (other[i] < 0) continue;
        rows[k] = i;
        cols[k++] = other[i];
    }
}

static st_status worker(void *arg, unsigned number, st_err *err)
{
    stack *s = arg;
    bool turned = s->d.m > s->d.n;
    uint64_t size = (uint64_t)s->d.m * (uint64_t)s->d.n, k = (uint64_t)s->d.k;
    lap a = {.ctx = s->ctx, .wide = s->wide, .n = s->d.k, .m = turned ? s->d.m : s->d.n};
    void *block;
    (void)number;
    a.down = turned ? 1 : (size_t)s->d.n;
    a.right = turned ? (size_t)s->d.n : 1;
    a.sign = s->t->param[P_MAXIMIZE] ? -1 : 1;
    st_status status = scratch_new(&a, &block, err);
    for (uint64_t i; status == ST_OK && !st_ctx_stopped(s->ctx) && (i = s->next++) < s->d.count;) {
        a.cost = (const char *)s->costs + i * size * (s->wide ? 8 : 4);
        solve(&a);
        if (!st_ctx_stopped(s->ctx)) put(&a, turned, s->rows + i * k, s->cols + i * k);
    }
    st_free(block);
    return status;
}

/* Costs that are in memory anyway are not copied. */
static st_status costs_of(stack *s, void **own, st_err *err)
{
    st_tensor *t = s->t->args[0];
    uint64_t size = s->wide ? 8 : 4;
    *own = NULL;
    if (t->numel == 0) return ST_OK;
    if (st_held(t) && st_held_dtype(t) == (s->wide ? ST_F64 : ST_F32)) {
        s->costs = st_held(t);
        return linalg_check_finite(s->t->whole->name, t, s->wide, s->costs, t->numel, err);
    }
    ST_TRY(linalg_alloc(s->ctx, s->t->whole->name, t, t->numel, size, own, err));
    s->costs = *own;
    return linalg_load(s->ctx, s->t->whole->name, t, s->wide, 0, t->numel, *own, err);
}

static st_status compute_assignment(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    stack s = {.ctx = ctx, .t = t, .d = linalg_dims_of(t->args[0]), .wide = t->args[0]->dtype == ST_F64, .rows = out};
    void *own;
    s.cols = s.rows + t->numel / 2;
    st_status status = costs_of(&s, &own, err);
    unsigned threads = st_ctx_threads(ctx);
    if (status == ST_OK && t->numel)
        status = st_ctx_run(ctx, s.d.count < threads ? (unsigned)s.d.count : threads, worker, &s, err);
    st_free(own);
    if (status == ST_OK && st_ctx_cancelled(ctx)) return st_fail_cancelled(err);
    return status;
}

static const st_whole ASSIGNMENT = {"linear_sum_assignment", compute_assignment};

st_status st_linear_sum_assignment(st_tensor *cost, bool maximize, st_tensor *out[2], st_err *err)
{
    st_dtype dtype;
    out[0] = out[1] = NULL;
    ST_TRY(linalg_check(ASSIGNMENT.name, &cost, 1, 2, &dtype, err));
    linalg_part pairs = {.rows = linalg_dims_of(cost).k, .cols = -1};
    return linalg_results(&ASSIGNMENT, ST_I64, &cost, 1, (int64_t[]){maximize}, 1, (linalg_part[]){pairs, pairs}, 2,
                          out, err);
}
