/* order.c - what needs a row in memory: sorting, taking elements by index, running sums and products, unique values.
 * Layer: exec.
 *
 * Sorting is by radix on ordered keys (kern/keys.c): stable, without a bad case. A sort's result is places; values are
 * taken by them, so that every dtype sorts alike. */
#include "mem.h"
#include "reduce.h"
#include "rows.h"

#include <string.h>

/* ---------------------------------------------------------------- sorting keys */

typedef struct pair {
    uint64_t key;
    uint64_t place;
} pair;

/* A long row is worked on in stretches, for(i over n) in all; after each a cancel is seen, which ends the loop: what is
 * computed then is not used. */
enum { STRETCH = 1 << 18 };
#define STRETCHES(ctx, i, n)                                                                          \
    for (size_t i##_at = 0; i##_at < (n) && (i##_at == 0 || !st_ctx_stopped(ctx)); i##_at += STRETCH) \
        for (size_t i = i##_at; i < (n) && i < i##_at + STRETCH; i++)

/* Sorts pairs by key, stably; `spare` has room for as many. The result is in `a`. Digits that all keys share cost one
 * look. */
static void sort_pairs(const st_ctx *ctx, pair *a, pair *spare, size_t n)
{
    size_t counts[8][256];
    pair *from = a, *to = spare;
    memset(counts, 0, sizeof counts);
    STRETCHES(ctx, i, n)
    for (unsigned d = 0; d < 8; d++) counts[d][a[i].key >> 8 * d & 255]++;
    for (unsigned d = 0; d < 8 && !st_ctx_stopped(ctx); d++) {
        size_t at = 0, *count = counts[d];
        if (n == 0 || count[from[0].key >> 8 * d & 255] == n) continue;
        for (unsigned b = 0; b < 256; b++) {
            size_t here = count[b];
            count[b] = at;
            at += here;
        }
        STRETCHES(ctx, i, n)
        to[count[from[i].key >> 8 * d & 255]++] = from[i];
        pair *swap = from;
        from = to;
        to = swap;
    }
    if (from != a) memcpy(a, from, n * sizeof *a);
}

/* The pairs of a row's registers; keys first go where the spare pairs are. */
static void make_pairs(const st_ctx *ctx, st_reg r, const void *x, size_t n, bool descending, pair *pairs, pair *spare)
{
    uint64_t *keys = (uint64_t *)(void *)spare;
    for (size_t at = 0; at < n && !st_ctx_stopped(ctx); at += STRETCH)
        st_kern_keys(r, (const char *)x + at * st_reg_size(r), keys + at, n - at < STRETCH ? n - at : STRETCH);
    STRETCHES(ctx, i, n)
    pairs[i] = (pair){descending ? ~keys[i] : keys[i], i};
}

/* ---------------------------------------------------------------- places in order */

/* param[] of an ordering */
enum { P_START, P_COUNT, P_FLAGS };
enum { DESCENDING = 1, MEDIAN = 2 };

static st_dtype register_of(const st_tensor *t) { return st_reg_dtype(st_dtype_reg(t->dtype)); }

static uint64_t last_size(const st_tensor *t) { return t->ndim ? (uint64_t)t->shape[t->ndim - 1] : 1; }

static st_status order_row(const st_rows *j, void *const in[2], void *scratch, uint64_t r, st_err *err)
{
    const st_tensor *t = j->arg;
    size_t n = j->row[0], count = (size_t)t->param[P_COUNT], start = (size_t)t->param[P_START];
    pair *pairs = scratch, *spare = pairs + n;
    st_reg reg = st_dtype_reg(j->as[0]);
    int64_t *out = (int64_t *)j->out + r * count;
    (void)err;
    make_pairs(j->ctx, reg, in[0], n, t->param[P_FLAGS] & DESCENDING, pairs, spare);
    sort_pairs(j->ctx, pairs, spare, n);
    if (st_ctx_stopped(j->ctx)) return ST_OK;
    bool is_float = reg == ST_R_F32 || reg == ST_R_F64;
    if (t->param[P_FLAGS] & MEDIAN && is_float && pairs[n - 1].key == st_key_nan(reg)) /* the first NaN is the median */
        for (start = n - 1; start > 0 && pairs[start - 1].key == st_key_nan(reg);) start--;
    for (size_t i = 0; i < count; i++) out[i] = (int64_t)pairs[start + i].place;
    return ST_OK;
}

static st_status compute_order(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    uint64_t n = last_size(t->args[0]);
    st_rows j = {.arg = t,
                 .rows = t->args[0]->numel / n,
                 .in = {t->args[0]},
                 .as = {register_of(t->args[0])},
                 .row = {n},
                 .out = out};
    j.scratch = 2 * n * sizeof(pair);
    j.fn = order_row;
    return st_each_row(ctx, &j, "sorting", err);
}

/* ---------------------------------------------------------------- ranks */

static st_status rank_row(const st_rows *j, void *const in[2], void *scratch, uint64_t r, st_err *err)
{
    size_t n = j->row[0];
    pair *pairs = scratch, *spare = pairs + n;
    float *out = (float *)j->out + r * n;
    (void)err;
    make_pairs(j->ctx, st_dtype_reg(j->as[0]), in[0], n, false, pairs, spare);
    sort_pairs(j->ctx, pairs, spare, n);
    if (st_ctx_stopped(j->ctx)) return ST_OK;
    for (size_t i = 0; i < n; i++) out[pairs[i].place] = (float)i;
    return ST_OK;
}

static st_status compute_rank(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    uint64_t n = last_size(t);
    st_rows j = {.rows = t->numel / n, .in = {t->args[0]}, .as = {register_of(t->args[0])}, .row = {n}, .fn = rank_row};
    j.scratch = 2 * n * sizeof(pair);
    j.out = out;
    return st_each_row(ctx, &j, "ranking", err);
}

/* ---------------------------------------------------------------- elements by place */

static st_status take_row(const st_rows *j, void *const in[2], void *scratch, uint64_t r, st_err *err)
{
    size_t n = j->row[0], count = j->row[1], w = st_dtype_bits(j->as[0]) / 8;
    const int64_t *places = in[1];
    char *out = (char *)j->out + r * count * w;
    (void)scratch;
    STRETCHES(j->ctx, i, count)
    {
        if (places[i] < 0 || (uint64_t)places[i] >= n)
            return st_fail(err, ST_ARG, NULL, j->in[0]->name,
                           "gather or index_select: index %lld is out of range: dimension %d has %zu elements",
                           (long long)places[i] + 1, *(const int *)j->arg + 1, n);
        memcpy(out + i * w, (const char *)in[0] + (size_t)places[i] * w, w);
    }
    return ST_OK;
}

static st_status compute_take(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    uint64_t n = last_size(t->args[0]), count = last_size(t->args[1]);
    st_rows j = {.rows = t->numel / count,
                 .in = {t->args[0], t->args[1]},
                 .as = {register_of(t->args[0]), ST_I64},
                 .row = {n, count}};
    int dim = (int)t->param[0];
    j.arg = &dim;
    j.fn = take_row;
    j.out = out;
    return st_each_row(ctx, &j, "taking elements by index", err);
}

/* ---------------------------------------------------------------- running sums and products */

/* Each element with all before it, from `first` on, in a wider type than the row's where there is one. */
#define RUNNING(name, type, wide, first, op)                                  \
    static void name(const st_ctx *ctx, void *dst, const void *src, size_t n) \
    {                                                                         \
        wide all = first;                                                     \
        STRETCHES(ctx, i, n)                                                  \
        ((type *)dst)[i] = (type)(all = all op((const type *)src)[i]);        \
    }
RUNNING(sum_f32, float, double, 0, +)
RUNNING(sum_f64, double, double, 0, +)
RUNNING(sum_u64, uint64_t, uint64_t, 0, +)
RUNNING(prod_f32, float, double, 1, *)
RUNNING(prod_f64, double, double, 1, *)
RUNNING(prod_u64, uint64_t, uint64_t, 1, *)

static st_status running_row(const st_rows *j, void *const in[2], void *scratch, uint64_t r, st_err *err)
{
    static void (*const fns[2][3])(const st_ctx *, void *, const void *, size_t) = {{sum_f32, sum_f64, sum_u64},
                                                                                    {prod_f32, prod_f64, prod_u64}};
    const st_tensor *t = j->arg;
    st_reg reg = st_dtype_reg(j->as[0]);
    (void)scratch;
    (void)err;
    fns[t->param[0]][reg == ST_R_F32   ? 0
                     : reg == ST_R_F64 ? 1
                                       : 2](j->ctx, (char *)j->out + r * j->row[0] * st_reg_size(reg), in[0],
                                            j->row[0]);
    return ST_OK;
}

/* param[0]: 0 for sums, 1 for products. */
static st_status compute_running(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    uint64_t n = last_size(t);
    st_rows j = {.arg = t,
                 .rows = t->numel / n,
                 .in = {t->args[0]},
                 .as = {register_of(t)},
                 .row = {n},
                 .fn = running_row,
                 .out = out};
    return st_each_row(ctx, &j, t->whole->name, err);
}

/* ---------------------------------------------------------------- nodes */

static const st_whole whole_order = {"sort", compute_order}, whole_take = {"take", compute_take},
                      whole_rank = {"rank", compute_rank},
                      whole_running[2] = {{"cumsum", compute_running}, {"cumprod", compute_running}};

static st_status check_dim(const st_tensor *t, const char *name, int dim, st_err *err)
{
    ST_TRY(st_check_computable(t, name, err));
    if (dim >= 0 && dim < (t->ndim ? t->ndim : 1)) return ST_OK;
    return st_fail(err, ST_ARG, NULL, t->name, "%s: dimension %d of a tensor with %d", name, dim + 1, t->ndim);
}

/* Gives back the dimension that was moved behind the others. Takes over the reference of `t`. */
static st_status move_back(st_tensor *t, int dim, st_tensor **out, st_err *err)
{
    int order[ST_MAX_DIMS];
    st_status s = ST_OK;
    if (dim >= t->ndim - 1) return *out = t, ST_OK;
    for (int d = 0; d < t->ndim; d++) order[d] = d < dim ? d : d == dim ? t->ndim - 1 : d - 1;
    s = st_permute(t, order, out, err);
    st_tensor_unref(t);
    return s;
}

/* A node over rows along `dim`: the last dimension of `last` becomes `count` long. */
static st_status row_node(const st_whole *whole, st_dtype dtype, st_tensor *const *args, int nargs, int64_t count,
                          st_tensor **out, st_err *err)
{
    int64_t shape[ST_MAX_DIMS];
    const st_tensor *last = args[0];
    if (last->ndim) memcpy(shape, last->shape, (size_t)last->ndim * sizeof *shape);
    if (last->ndim) shape[last->ndim - 1] = count;
    ST_TRY(st_node_new(ST_N_WHOLE, dtype, last->ndim, shape, nargs, args, out, err));
    (*out)->whole = whole;
    return ST_OK;
}

static st_status order(st_tensor *t, int dim, int64_t start, int64_t count, int flags, st_tensor **out, st_err *err)
{
    st_tensor *last, *node;
    *out = NULL;
    ST_TRY(st_move_last(t, &dim, t->ndim ? 1 : 0, NULL, &last, err));
    st_status s = row_node(&whole_order, ST_I64, &last, 1, count, &node, err);
    st_tensor_unref(last);
    if (s != ST_OK) return s;
    node->param[P_START] = start;
    node->param[P_COUNT] = count;
    node->param[P_FLAGS] = flags;
    return move_back(node, dim, out, err);
}

st_status st_order(st_tensor *t, int dim, int64_t start, int64_t count, bool descending, st_tensor **out, st_err *err)
{
    *out = NULL;
    ST_TRY(check_dim(t, "sort", dim, err));
    int64_t n = t->ndim ? t->shape[dim] : 1;
    if (start < 0 || count < 0 || start > n || count > n - start)
        return st_fail(err, ST_ARG, NULL, t->name, "element %lld in order was asked for, there are %lld",
                       (long long)((uint64_t)start + (start < 0 || start > n ? 1 : (uint64_t)count)), (long long)n);
    return order(t, dim, start, count, descending ? DESCENDING : 0, out, err);
}

st_status st_rank(st_tensor *t, int dim, st_tensor **out, st_err *err)
{
    st_tensor *last = NULL, *node = NULL;
    *out = NULL;
    ST_TRY(check_dim(t, "rank", dim, err));
    ST_TRY(st_move_last(t, &dim, t->ndim ? 1 : 0, NULL, &last, err));
    st_status s = row_node(&whole_rank, ST_F32, &last, 1, t->ndim ? t->shape[dim] : 1, &node, err);
    st_tensor_unref(last);
    return s == ST_OK ? move_back(node, dim, out, err) : s;
}

st_status st_median_place(st_tensor *t, int dim, st_tensor **out, st_err *err)
{
    *out = NULL;
    ST_TRY(check_dim(t, "median", dim, err));
    int64_t n = t->ndim ? t->shape[dim] : 1;
    if (n == 0) return st_fail(err, ST_SHAPE, st_tensor_file(t), t->name, "median of no elements: there is none");
    return order(t, dim, (n - 1) / 2, 1, MEDIAN, out, err);
}

st_status st_take(st_tensor *t, int dim, st_tensor *places, st_tensor **out, st_err *err)
{
    *out = NULL;
    ST_TRY(check_dim(t, "take", dim, err));
    bool fits = places->dtype == ST_I64 && places->ndim == t->ndim;
    for (int d = 0; fits && d < t->ndim; d++) fits = d == dim || places->shape[d] == t->shape[d];
    if (!fits)
        return st_fail(err, ST_SHAPE, st_tensor_file(t), t->name,
                       "take: the indices must be I64, of the tensor's shape but along the dimension");
    st_tensor *last[2] = {NULL, NULL}, *node = NULL;
    int n = t->ndim ? 1 : 0;
    st_status s = st_move_last(t, &dim, n, NULL, &last[0], err);
    if (s == ST_OK) s = st_move_last(places, &dim, n, NULL, &last[1], err);
    if (s == ST_OK) s = row_node(&whole_take, t->dtype, last, 2, n ? places->shape[dim] : 1, &node, err);
    if (s == ST_OK) node->param[0] = dim; /* where the caller sees it, for messages */
    if (s == ST_OK) s = move_back(node, dim, out, err);
    st_tensor_unref(last[0]);
    st_tensor_unref(last[1]);
    return s;
}

static st_status running(int what, st_tensor *t, int dim, st_tensor **out, st_err *err)
{
    st_tensor *last = NULL, *node = NULL;
    *out = NULL;
    ST_TRY(check_dim(t, whole_running[what].name, dim, err));
    st_dtype dtype = st_dtype_is_float(t->dtype) || t->dtype == ST_U64 ? t->dtype : ST_I64;
    ST_TRY(st_move_last(t, &dim, t->ndim ? 1 : 0, NULL, &last, err));
    st_status s = row_node(&whole_running[what], dtype, &last, 1, t->ndim ? t->shape[dim] : 1, &node, err);
    st_tensor_unref(last);
    if (s != ST_OK) return s;
    node->param[0] = what;
    return move_back(node, dim, out, err);
}

st_status st_cumsum(st_tensor *t, int dim, st_tensor **out, st_err *err) { return running(0, t, dim, out, err); }
st_status st_cumprod(st_tensor *t, int dim, st_tensor **out, st_err *err) { return running(1, t, dim, out, err); }

/* ---------------------------------------------------------------- unique values */

/* Walks sorted pairs: values[i] = the place of the i-th distinct value, counts[i] how often it is there, inverse[place]
 * its number. A NaN equals nothing, itself neither. */
static size_t distinct(const pair *pairs, size_t n, bool is_float, uint64_t nan, uint64_t *first, int64_t *counts,
                       int64_t *inverse)
{
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || pairs[i].key != pairs[i - 1].key || (is_float && pairs[i].key == nan)) {
            first[m] = pairs[i].place;
            counts[m++] = 0;
        }
        counts[m - 1]++;
        inverse[pairs[i].place] = (int64_t)m - 1;
    }
    return m;
}

/* All in one block: registers | pairs | spare pairs; places, counts and numbers take the spare pairs' room and more. */
typedef struct found {
    char *block;
    size_t m;
    uint64_t *first;
    int64_t *counts, *inverse;
} found;

static st_status find_distinct(st_ctx *ctx, st_tensor *t, found *f, st_err *err)
{
    size_t n = t->numel, bytes;
    if (__builtin_mul_overflow(n, 8 + 2 * sizeof(pair) + 8, &bytes) || bytes > st_ctx_memory(ctx))
        return st_fail(err, ST_LIMIT, st_tensor_file(t), t->name,
                       "unique sorts in memory, which takes %llu bytes; the limit is %llu (raise it with --memory)",
                       (unsigned long long)n * 48, (unsigned long long)st_ctx_memory(ctx));
    f->block = st_malloc(bytes);
    if (!f->block) return st_fail_nomem(err, bytes);
    pair *pairs = (pair *)(void *)f->block, *spare = pairs + n;
    char *regs = (char *)(spare + n);
    st_dtype as = register_of(t);
    st_reg reg = st_dtype_reg(as);
    ST_TRY(st_export(ctx, t, 0, n, as, regs, err));
    make_pairs(ctx, reg, regs, n, false, pairs, spare);
    sort_pairs(ctx, pairs, spare, n);
    if (st_ctx_cancelled(ctx)) return st_fail_cancelled(err);
    f->first = (uint64_t *)(void *)spare;
    f->counts = (int64_t *)(void *)(f->first + n);
    f->inverse = (int64_t *)(void *)(regs + n * 8);
    f->m = distinct(pairs, n, st_dtype_is_float(t->dtype), st_key_nan(reg), f->first, f->counts, f->inverse);
    /* The values, packed where the pairs were. */
    size_t w = st_reg_size(reg);
    for (size_t i = 0; i < f->m; i++) memcpy((char *)pairs + i * w, regs + f->first[i] * w, w);
    return ST_OK;
}

st_status st_unique(st_ctx *ctx, st_tensor *t, st_tensor **values, st_tensor **counts, st_tensor **inverse, st_err *err)
{
    found f = {0};
    st_tensor *exact = NULL, *rounded = NULL;
    *values = *counts = *inverse = NULL;
    ST_TRY(st_check_computable(t, "unique", err));
    st_status s = st_cast(t, t->dtype, false, &rounded, err); /* distinct as they would be saved */
    if (s == ST_OK) s = find_distinct(ctx, rounded, &f, err);
    int64_t m = (int64_t)f.m;
    st_dtype as = register_of(t);
    if (s == ST_OK) s = st_tensor_new(as, 1, &m, f.block, f.m * (st_dtype_bits(as) / 8), &exact, err);
    if (s == ST_OK) s = st_cast(exact, t->dtype, false, values, err);
    if (s == ST_OK) s = st_tensor_new(ST_I64, 1, &m, f.counts, f.m * 8, counts, err);
    if (s == ST_OK) s = st_tensor_new(ST_I64, t->ndim, t->shape, f.inverse, t->numel * 8, inverse, err);
    st_tensor_unref(exact);
    st_tensor_unref(rounded);
    st_free(f.block);
    if (s == ST_OK) return ST_OK;
    st_tensor_unref(*values);
    st_tensor_unref(*counts);
    *values = *counts = NULL;
    return s;
}
