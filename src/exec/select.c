/* select.c - k-th values and quantiles of all elements by counting, and histograms. Layer: exec.
 *
 * Values have keys that order like unsigned integers (kern/keys.c). One pass counts elements by the 16 highest bits of
 * their key, which tells in which of 65,536 buckets the k-th lies; the next pass counts by the next 16 bits inside
 * that bucket. After two passes (four for 64 bits) the key is known. Counts do not hang on threads or order. */
#include "context.h"
#include "mem.h"
#include "program.h"

#include <math.h>
#include <string.h>

enum {
    BUCKETS = 65536,
    RANKS = 8,      /* sought together */
    PIECE = 1 << 14 /* elements between two looks at the cancel flag */
};

/* A pass over all elements of `t` in pieces: each worker calls `see` on what it computed, then `end` once. */
typedef struct sweep {
    st_ctx *ctx;
    st_program *program;
    st_reg reg;
    uint64_t numel, piece;
    size_t own; /* bytes of a worker's counts, zeroed */
    void *arg;
    void (*see)(void *arg, void *own, const void *x, uint64_t *keys, size_t n);
    void (*end)(void *arg, const void *own);
    _Atomic uint64_t next;
} sweep;

static st_status sweep_worker(void *arg, unsigned worker, st_err *err)
{
    sweep *w = arg;
    st_lane lane = {0};
    st_status s = ST_OK;
    uint64_t at;
    (void)worker;
    size_t bytes = PIECE * 16;
    char *buf = st_malloc(bytes);
    void *own = st_calloc(1, w->own);
    if (!buf || !own) s = st_fail_nomem(err, bytes + w->own);
    while (s == ST_OK && (at = w->next++ * w->piece) < w->numel) {
        uint64_t n = w->numel - at < w->piece ? w->numel - at : w->piece;
        void *x = buf;
        if (st_ctx_stopped(w->ctx)) s = st_fail_cancelled(err);
        if (s == ST_OK) s = st_program_run(w->program, &lane, at, n, &x, err);
        if (s == ST_OK) w->see(w->arg, own, x, (uint64_t *)(void *)(buf + PIECE * 8), n);
    }
    if (s == ST_OK) w->end(w->arg, own);
    st_lane_free(&lane);
    st_free(buf);
    st_free(own);
    return s;
}

static st_status run_sweep(sweep *w, st_err *err)
{
    uint64_t tile = st_program_tile(w->program), units;
    w->piece = tile < PIECE ? tile : PIECE;
    w->next = 0;
    units = (w->numel + w->piece - 1) / w->piece;
    return st_ctx_run(w->ctx, units > 1024 ? 1024 : (unsigned)units, sweep_worker, w, err);
}

/* A worker's counts into those of all. Atomic, not locked: a plan that needs a quantile holds the context's lock. */
static void add_all(uint64_t *all, const uint64_t *own, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (own[i]) __atomic_fetch_add(&all[i], own[i], __ATOMIC_RELAXED);
}

/* ---------------------------------------------------------------- selection */

typedef struct rank {
    uint64_t k;   /* how many elements of its group lie before it */
    uint64_t key; /* the bits known so far */
    size_t group; /* ranks whose known bits are the same */
} rank;

typedef struct selection {
    rank ranks[RANKS];
    size_t n, groups;
    uint64_t known[RANKS]; /* of the groups */
    unsigned shift, bits;  /* of the 16 bits that are counted now; of a key */
    st_reg reg;
    uint64_t *counts; /* groups * BUCKETS, then one for NaN */
} selection;

static void see_keys(void *arg, void *own, const void *x, uint64_t *keys, size_t n)
{
    const selection *s = arg;
    uint64_t *counts = own, nan = st_key_nan(s->reg), nans = 0;
    st_kern_keys(s->reg, x, keys, n);
    for (size_t i = 0; i < n; i++) nans += keys[i] == nan;
    counts[s->groups * BUCKETS] += nans;
    if (s->shift + 16 == s->bits) { /* the first pass: one group, no bits known */
        for (size_t i = 0; i < n; i++) counts[keys[i] >> s->shift]++;
        return;
    }
    for (size_t g = 0; g < s->groups; g++, counts += BUCKETS)
        for (size_t i = 0; i < n; i++)
            if (keys[i] >> s->shift >> 16 == s->known[g]) counts[keys[i] >> s->shift & (BUCKETS - 1)]++;
}

static void add_counts(void *arg, const void *own)
{
    const selection *s = arg;
    const uint64_t *counts = own;
    add_all(s->counts, counts, s->groups * BUCKETS + 1);
}

static void find_groups(selection *s)
{
    s->groups = 0;
    for (size_t i = 0; i < s->n; i++) {
        size_t g = 0;
        while (g < s->groups && s->known[g] != s->ranks[i].key) g++;
        if (g == s->groups) s->known[s->groups++] = s->ranks[i].key;
        s->ranks[i].group = g;
    }
}

static void step_down(selection *s)
{
    for (size_t i = 0; i < s->n; i++) {
        rank *r = &s->ranks[i];
        const uint64_t *counts = s->counts + r->group * BUCKETS;
        uint64_t b = 0;
        while (b < BUCKETS - 1 && r->k >= counts[b]) r->k -= counts[b++];
        r->key = r->key << 16 | b;
    }
}

/* The keys of ranks k[0..n), at most RANKS, into keys; *nans = how many NaN there are. */
static st_status select_keys(st_ctx *ctx, st_tensor *t, st_dtype as, const uint64_t *k, size_t n, uint64_t *keys,
                             uint64_t *nans, st_err *err)
{
    selection s = {.n = n, .reg = st_dtype_reg(as), .bits = as == ST_F32 ? 32 : 64};
    /* BF16 values are the upper halves of F32 ones: the lower bits of a key follow from its sign. */
    bool half = t->dtype == ST_BF16 && (t->node == ST_N_RANGE || t->node == ST_N_VALUES || t->node == ST_N_CAST);
    sweep w = {.ctx = ctx, .reg = s.reg, .numel = t->numel, .arg = &s, .see = see_keys, .end = add_counts};
    for (size_t i = 0; i < n; i++) s.ranks[i].k = k[i];
    ST_TRY(st_program_new(ctx, &(st_output){.t = t, .dtype = as}, 1, &w.program, err));
    st_status status = ST_OK;
    for (unsigned left = s.bits; status == ST_OK && left > (half ? 16u : 0u); left -= 16) {
        s.shift = left - 16;
        find_groups(&s);
        w.own = (s.groups * BUCKETS + 1) * sizeof *s.counts;
        s.counts = st_calloc(1, w.own);
        status = s.counts ? run_sweep(&w, err) : st_fail_nomem(err, w.own);
        if (status == ST_OK) step_down(&s);
        if (status == ST_OK) *nans = s.counts[s.groups * BUCKETS];
        st_free(s.counts);
    }
    for (size_t i = 0; status == ST_OK && i < n; i++) {
        keys[i] = s.ranks[i].key;
        if (half) keys[i] = keys[i] << 16 | (keys[i] & 0x8000 && keys[i] != 0xffff ? 0 : 0xffff);
    }
    st_program_free(w.program);
    return status;
}

/* Without booleans: they are counted as integers. */
static st_dtype taken_as(const st_tensor *t)
{
    st_reg r = st_dtype_reg(t->dtype);
    return r == ST_R_B8 ? ST_I64 : st_reg_dtype(r);
}

/* ---------------------------------------------------------------- k-th value, median */

enum { P_K, P_MEDIAN };

static st_status compute_kth(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    st_tensor *x = t->args[0];
    st_dtype as = taken_as(x);
    uint64_t k = (uint64_t)t->param[P_K], key, nans = 0;
    ST_TRY(select_keys(ctx, x, as, &k, 1, &key, &nans, err));
    if (t->param[P_MEDIAN] && nans && st_dtype_is_float(as)) key = st_key_nan(st_dtype_reg(as));
    int64_t value;
    st_kern_unkey(st_dtype_reg(as), key, &value);
    if (x->dtype == ST_BOOL)
        *(uint8_t *)out = value != 0;
    else
        memcpy(out, &value, st_dtype_bits(as) / 8);
    return ST_OK;
}

static const st_whole whole_kth = {"a k-th value", compute_kth};

static st_status kth_node(st_tensor *t, int64_t k, bool median, st_tensor **out, st_err *err)
{
    ST_TRY(st_node_new(ST_N_WHOLE, t->dtype, 0, NULL, 1, &t, out, err));
    (*out)->whole = &whole_kth;
    (*out)->param[P_K] = k;
    (*out)->param[P_MEDIAN] = median;
    return ST_OK;
}

st_status st_kth(st_tensor *t, int64_t k, st_tensor **out, st_err *err)
{
    *out = NULL;
    ST_TRY(st_check_computable(t, "kthvalue", err));
    if (k < 0 || (uint64_t)k >= t->numel)
        return st_fail(err, ST_ARG, st_tensor_file(t), t->name, "kthvalue: k = %lld of %llu elements", (long long)k + 1,
                       (unsigned long long)t->numel);
    return kth_node(t, k, false, out, err);
}

st_status st_median(st_tensor *t, st_tensor **out, st_err *err)
{
    *out = NULL;
    ST_TRY(st_check_computable(t, "median", err));
    if (t->numel == 0)
        return st_fail(err, ST_SHAPE, st_tensor_file(t), t->name, "median of no elements: there is none");
    return kth_node(t, ((int64_t)t->numel - 1) / 2, true, out, err);
}

/* ---------------------------------------------------------------- quantiles */

enum { P_HOW };

/* The two ranks a quantile lies between, and how far from the first. */
static void ranks_of(double q, uint64_t n, st_interpolation how, uint64_t k[2], double *weight)
{
    double at = q * (double)(n - 1), below = floor(at);
    if (how == ST_IP_LOWER) at = below;
    if (how == ST_IP_HIGHER) at = below = ceil(at);
    if (how == ST_IP_NEAREST) at = below = nearbyint(at); /* halves to even */
    k[0] = (uint64_t)below;
    k[1] = k[0] + (at > below);
    if (k[1] > n - 1) k[1] = n - 1;
    *weight = k[1] == k[0] ? 0 : how == ST_IP_MIDPOINT ? 0.5 : at - below;
}

static double value_of(st_reg r, uint64_t key)
{
    float f;
    double d;
    st_kern_unkey(r, key, r == ST_R_F32 ? (void *)&f : &d);
    return r == ST_R_F32 ? (double)f : d;
}

static st_status compute_quantile(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    st_tensor *x = t->args[0];
    const double *q = t->args[1]->values;
    st_dtype as = taken_as(x);
    st_reg r = st_dtype_reg(as);
    for (uint64_t done = 0; done < t->numel; done += RANKS / 2) {
        uint64_t count = t->numel - done < RANKS / 2 ? t->numel - done : RANKS / 2, nans = 0;
        uint64_t k[RANKS] = {0}, keys[RANKS] = {0};
        double weight[RANKS / 2] = {0};
        for (uint64_t i = 0; i < count; i++)
            ranks_of(q[done + i], x->numel, (st_interpolation)t->param[P_HOW], k + 2 * i, &weight[i]);
        ST_TRY(select_keys(ctx, x, as, k, 2 * count, keys, &nans, err));
        for (uint64_t i = 0; i < count; i++) {
            double a = value_of(r, keys[2 * i]), b = value_of(r, keys[2 * i + 1]), w = weight[i];
            double v = w == 0 || a == b ? a : w < 0.5 ? a + w * (b - a) : b - (b - a) * (1 - w); /* torch.lerp */
            ((double *)out)[done + i] = nans || v != v ? __builtin_nan("") : v;
        }
    }
    return ST_OK;
}

static const st_whole whole_quantile = {"quantile", compute_quantile};

st_status st_quantile(st_tensor *t, const double *q, int64_t n, bool scalar, st_interpolation how, st_tensor **out,
                      st_err *err)
{
    st_tensor *at;
    *out = NULL;
    ST_TRY(st_check_computable(t, "quantile", err));
    if (!st_dtype_is_float(t->dtype))
        return st_fail(err, ST_DTYPE, st_tensor_file(t), t->name, "quantile is not defined for %s; cast it first",
                       st_dtype_name(t->dtype));
    if (t->numel == 0)
        return st_fail(err, ST_SHAPE, st_tensor_file(t), t->name, "quantile of no elements: there is none");
    for (int64_t i = 0; i < n; i++)
        if (!(q[i] >= 0 && q[i] <= 1))
            return st_fail(err, ST_ARG, NULL, t->name, "quantile: %g is not in 0 to 1", q[i]);
    ST_TRY(st_tensor_new(ST_F64, 1, &n, q, (uint64_t)n * 8, &at, err));
    st_status s = st_node_new(ST_N_WHOLE, ST_F64, scalar ? 0 : 1, &n, 2, (st_tensor *[]){t, at}, out, err);
    st_tensor_unref(at);
    if (s != ST_OK) return s;
    (*out)->whole = &whole_quantile;
    (*out)->param[P_HOW] = how;
    return ST_OK;
}

/* ---------------------------------------------------------------- histograms */

typedef struct histogram {
    double low, high;
    int64_t bins;
    uint64_t *counts;
} histogram;

/* Edge i of the bins, as torch.linspace has it: from the nearer end. */
static double edge(const histogram *h, int64_t i)
{
    double step = (h->high - h->low) / (double)h->bins;
    return i < (h->bins + 1) / 2 ? h->low + step * (double)i : h->high - step * (double)(h->bins - i);
}

/* Rounding may put a value beside its bin: the edges decide. */
static int64_t bin_of(const histogram *h, double x)
{
    int64_t b = (int64_t)((x - h->low) / (h->high - h->low) * (double)h->bins);
    if (b >= h->bins) b = h->bins - 1;
    while (b > 0 && x < edge(h, b)) b--;
    while (b < h->bins - 1 && x >= edge(h, b + 1)) b++;
    return b;
}

static void see_values(void *arg, void *own, const void *values, uint64_t *keys, size_t n)
{
    const histogram *h = arg;
    const double *x = values;
    uint64_t *counts = own;
    (void)keys;
    for (size_t i = 0; i < n; i++)
        if (x[i] >= h->low && x[i] <= h->high) counts[bin_of(h, x[i])]++;
}

static void add_bins(void *arg, const void *own)
{
    const histogram *h = arg;
    const uint64_t *counts = own;
    add_all(h->counts, counts, (size_t)h->bins);
}

/* The range: what was asked for; else args[1] and args[2], the extremes of the values. One value gets one to each side.
 */
static st_status find_range(st_ctx *ctx, const st_tensor *t, histogram *h, st_err *err)
{
    h->low = t->real[0];
    h->high = t->real[1];
    if (t->nargs > 1) {
        ST_TRY(st_export(ctx, t->args[1], 0, 1, ST_F64, &h->low, err));
        ST_TRY(st_export(ctx, t->args[2], 0, 1, ST_F64, &h->high, err));
        if (!(isfinite(h->low) && isfinite(h->high)))
            return st_fail(err, ST_ARG, st_tensor_file(t->args[0]), t->args[0]->name,
                           "histogram: the values go from %g to %g; give a finite range", h->low, h->high);
    }
    if (!isfinite(h->high - h->low))
        return st_fail(err, ST_ARG, st_tensor_file(t->args[0]), t->args[0]->name,
                       "histogram: the range from %g to %g is too wide to be divided", h->low, h->high);
    if (h->low == h->high) {
        h->low -= 1;
        h->high += 1;
    }
    return ST_OK;
}

static st_status compute_histogram(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    histogram h = {.bins = t->param[0], .counts = out};
    memset(out, 0, (size_t)h.bins * 8);
    ST_TRY(find_range(ctx, t, &h, err));
    sweep w = {.ctx = ctx, .reg = ST_R_F64, .numel = t->args[0]->numel, .own = (size_t)h.bins * 8, .arg = &h};
    w.see = see_values;
    w.end = add_bins;
    if (w.numel == 0) return ST_OK;
    ST_TRY(st_program_new(ctx, &(st_output){.t = t->args[0], .dtype = ST_F64}, 1, &w.program, err));
    st_status s = run_sweep(&w, err);
    st_program_free(w.program);
    return s;
}

static const st_whole whole_histogram = {"histogram", compute_histogram};

st_status st_histogram(st_tensor *t, int64_t bins, double low, double high, st_tensor **out, st_err *err)
{
    st_tensor *args[3] = {t, NULL, NULL};
    st_status s = ST_OK;
    *out = NULL;
    ST_TRY(st_check_computable(t, "histogram", err));
    if (bins < 1 || bins > 1 << 24) return st_fail(err, ST_ARG, NULL, t->name, "histogram: %lld bins", (long long)bins);
    if (!(isfinite(low) && isfinite(high) && low <= high))
        return st_fail(err, ST_ARG, NULL, t->name, "histogram: a range from %g to %g", low, high);
    bool own_range = low == high && t->numel;
    if (own_range) s = st_reduce(ST_RED_MIN, t, NULL, &args[1], err);
    if (s == ST_OK && own_range) s = st_reduce(ST_RED_MAX, t, NULL, &args[2], err);
    if (s == ST_OK) s = st_node_new(ST_N_WHOLE, ST_I64, 1, &bins, own_range ? 3 : 1, args, out, err);
    st_tensor_unref(args[1]);
    st_tensor_unref(args[2]);
    if (s != ST_OK) return s;
    (*out)->whole = &whole_histogram;
    (*out)->param[0] = bins;
    (*out)->real[0] = low;
    (*out)->real[1] = high;
    return ST_OK;
}
