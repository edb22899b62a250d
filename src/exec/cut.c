/* cut.c - the k largest magnitudes of a tensor, exactly, in one streaming pass as a rule. Layer: exec.
 *
 * A sample gives a bracket in which the k-th magnitude very likely lies. The pass counts what lies above the bracket
 * and on its edges, and keeps the few candidates inside: among them the k-th is selected. Where the sample misled, the
 * k-th magnitude is found by counting bits (select.c), and one more pass looks at it alone. Of elements equal to it
 * those that stand first are taken: so a cut is a threshold, and the place up to which equality is enough. */
#include "cut.h"
#include "hold.h"
#include "mem.h"
#include "program.h"

#include <math.h>
#include <string.h>

enum {
    PIECE = 1 << 14,      /* elements, of which candidates are kept together */
    SAMPLE = 1 << 15,     /* elements; what has no more is kept whole */
    RUNS = 256,           /* of elements that stand together, in a sample */
    KEY_END = 0x7fffffff, /* above all keys but those of odd NaN */
};

/* ---------------------------------------------------------------- one pass over a bracket */

typedef struct piece {
    st_bracket_seen seen;
    st_candidate *inside; /* in the memory of the worker that looked at it */
    size_t count;
} piece;

typedef struct pass {
    st_ctx *ctx;
    const st_program *program;
    uint64_t numel, npieces;
    st_bracket bracket;
    piece *pieces;
    _Atomic uint64_t next;
} pass;

static st_status read_piece(const pass *p, st_lane *lane, uint64_t number, void *x, uint64_t *n, st_err *err)
{
    uint64_t at = number * PIECE, tile = st_program_tile(p->program);
    *n = p->numel - at < PIECE ? p->numel - at : PIECE;
    for (uint64_t done = 0; done < *n; done += tile) {
        uint64_t count = *n - done < tile ? *n - done : tile;
        void *out = (char *)x + done * sizeof(float);
        ST_TRY(st_program_run(p->program, lane, at + done, count, &out, err));
    }
    return ST_OK;
}

static st_status look_at_piece(const pass *p, st_lane *lane, uint64_t number, float *x, st_candidate *found,
                               st_err *err)
{
    piece *own = &p->pieces[number];
    uint64_t n;
    ST_TRY(read_piece(p, lane, number, x, &n, err));
    own->count = (*st_kern()->bracket)(&p->bracket, x, n, &own->seen, found);
    if (!own->count) return ST_OK;
    own->inside = st_malloc(own->count * sizeof *own->inside);
    if (!own->inside) return st_fail_nomem(err, own->count * sizeof *own->inside);
    memcpy(own->inside, found, own->count * sizeof *own->inside);
    return ST_OK;
}

static st_status pass_worker(void *arg, unsigned worker, st_err *err)
{
    pass *p = arg;
    st_lane lane = {0};
    st_status s = ST_OK;
    uint64_t number;
    (void)worker;
    size_t bytes = PIECE * sizeof(float) + (PIECE + 1) * sizeof(st_candidate);
    char *buf = st_malloc(bytes);
    if (!buf) s = st_fail_nomem(err, bytes);
    while (s == ST_OK && (number = p->next++) < p->npieces) {
        if (st_ctx_stopped(p->ctx)) s = st_fail_cancelled(err);
        void *found = buf + PIECE * sizeof(float);
        if (s == ST_OK) s = look_at_piece(p, &lane, number, (float *)(void *)buf, found, err);
    }
    st_lane_free(&lane);
    st_free(buf);
    return s;
}

static void free_pieces(pass *p)
{
    for (uint64_t i = 0; p->pieces && i < p->npieces; i++) st_free(p->pieces[i].inside);
    st_free(p->pieces);
    p->pieces = NULL;
}

static st_status look(pass *p, st_bracket bracket, st_err *err)
{
    free_pieces(p);
    p->bracket = bracket;
    p->next = 0;
    p->pieces = st_calloc(p->npieces, sizeof *p->pieces);
    if (!p->pieces) return st_fail_nomem(err, p->npieces * sizeof *p->pieces);
    return st_ctx_run(p->ctx, p->npieces > 1024 ? 1024 : (unsigned)p->npieces, pass_worker, p, err);
}

/* ---------------------------------------------------------------- the k-th of what a pass kept */

/* The k-th largest of keys, k from 1: by counting their upper, then their lower halves. */
static st_status largest(const uint32_t *keys, size_t n, uint64_t k, uint32_t *out, st_err *err)
{
    enum { HALF = 65536 };
    uint32_t *counts = st_calloc(2 * HALF, sizeof *counts), upper_half = HALF - 1, lower_half = HALF - 1;
    if (!counts) return st_fail_nomem(err, 2 * HALF * sizeof *counts);
    uint32_t *lower = counts + HALF;
    for (size_t i = 0; i < n; i++) counts[keys[i] >> 16]++;
    while (k > counts[upper_half]) k -= counts[upper_half--];
    for (size_t i = 0; i < n; i++)
        if (keys[i] >> 16 == upper_half) lower[keys[i] & (HALF - 1)]++;
    while (k > lower[lower_half]) k -= lower[lower_half--];
    *out = upper_half << 16 | lower_half;
    st_free(counts);
    return ST_OK;
}

/* A cut: the threshold's key, and behind which element equality is not enough. */
typedef struct cut {
    uint32_t key;
    uint64_t place;
} cut;

/* The need-th element whose key is `key`, in the piece that holds it. */
static st_status find_in_piece(const pass *p, uint64_t number, uint64_t need, cut *c, st_err *err)
{
    st_lane lane = {0};
    float *x = st_malloc(PIECE * sizeof *x);
    uint64_t n = 0;
    st_status s = x ? read_piece(p, &lane, number, x, &n, err) : st_fail_nomem(err, PIECE * sizeof *x);
    for (uint64_t i = 0; s == ST_OK && i < n && need; i++) {
        uint32_t key;
        memcpy(&key, &x[i], sizeof key);
        if ((key & KEY_END) == c->key && --need == 0) c->place = number * PIECE + i + 1;
    }
    st_lane_free(&lane);
    st_free(x);
    return s;
}

/* The threshold is an edge of the bracket. */
static st_status cut_at_edge(const pass *p, bool high, uint64_t need, cut *c, st_err *err)
{
    c->key = high ? p->bracket.high : p->bracket.low;
    for (uint64_t i = 0; i < p->npieces; i++) {
        uint64_t here = high ? p->pieces[i].seen.at_high : p->pieces[i].seen.at_low;
        if (need <= here) return find_in_piece(p, i, need, c, err);
        need -= here;
    }
    return st_fail(err, ST_CHANGED, NULL, NULL, "a tensor changed while its largest values were looked for");
}

/* It is the k-th largest of the candidates. */
static st_status cut_inside(const pass *p, uint64_t inside, uint64_t k, cut *c, st_err *err)
{
    uint32_t *keys = st_malloc(inside * sizeof *keys);
    if (!keys) return st_fail_nomem(err, inside * sizeof *keys);
    size_t n = 0;
    for (uint64_t i = 0; i < p->npieces; i++)
        for (size_t j = 0; j < p->pieces[i].count; j++) keys[n++] = p->pieces[i].inside[j].key;
    st_status s = largest(keys, n, k, &c->key, err);
    for (size_t i = 0; s == ST_OK && i < n; i++) k -= keys[i] > c->key;
    st_free(keys);
    for (uint64_t i = 0; s == ST_OK && k && i < p->npieces; i++)
        for (size_t j = 0; k && j < p->pieces[i].count; j++)
            if (p->pieces[i].inside[j].key == c->key && --k == 0)
                c->place = i * PIECE + p->pieces[i].inside[j].place + 1;
    return s;
}

/* Finds the cut in what a pass saw; *found is false where the bracket does not hold it. */
static st_status resolve(const pass *p, uint64_t k, cut *c, bool *found, st_err *err)
{
    st_bracket_seen all = {0};
    uint64_t inside = 0;
    for (uint64_t i = 0; i < p->npieces; i++) {
        all.above += p->pieces[i].seen.above;
        all.at_high += p->pieces[i].seen.at_high;
        all.at_low += p->pieces[i].seen.at_low;
        inside += p->pieces[i].count;
    }
    if (p->bracket.low == p->bracket.high) all.at_low = 0;
    *found = k > all.above && k <= all.above + all.at_high + inside + all.at_low;
    if (!*found) return ST_OK;
    k -= all.above;
    if (k <= all.at_high) return cut_at_edge(p, true, k, c, err);
    k -= all.at_high;
    if (k <= inside) return cut_inside(p, inside, k, c, err);
    return cut_at_edge(p, false, k - inside, c, err);
}

/* ---------------------------------------------------------------- the bracket */

/* A part of the elements, by place alone. */
static st_status read_sample(const pass *p, uint32_t *keys, st_err *err)
{
    st_lane lane = {0};
    st_status s = ST_OK;
    enum { RUN = SAMPLE / RUNS };
    for (uint64_t i = 0; s == ST_OK && i < RUNS; i++) {
        void *out = keys + i * RUN;
        s = st_program_run(p->program, &lane, (p->numel - RUN) / (RUNS - 1) * i, RUN, &out, err);
    }
    for (size_t i = 0; i < SAMPLE; i++) keys[i] &= KEY_END;
    st_lane_free(&lane);
    return s;
}

/* Wide enough for four and a half standard deviations of a sample of independent elements. */
static st_status guess(const pass *p, uint64_t k, st_bracket *b, st_err *err)
{
    double part = (double)k / (double)p->numel, away = 4.5 * sqrt(SAMPLE * part * (1 - part)) + 16;
    double first = floor(part * SAMPLE - away), last = ceil(part * SAMPLE + away);
    uint32_t *keys = st_malloc(SAMPLE * sizeof *keys);
    if (!keys) return st_fail_nomem(err, SAMPLE * sizeof *keys);
    st_status s = read_sample(p, keys, err);
    *b = (st_bracket){0, KEY_END};
    if (s == ST_OK && first >= 1) s = largest(keys, SAMPLE, (uint64_t)first, &b->high, err);
    if (s == ST_OK && last <= SAMPLE) s = largest(keys, SAMPLE, (uint64_t)last, &b->low, err);
    st_free(keys);
    return s;
}

/* The k-th largest magnitude by counting bits. */
static st_status kth_magnitude(st_ctx *ctx, st_tensor *x, uint64_t k, double *out, st_err *err)
{
    st_tensor *t;
    ST_TRY(st_kth(x, (int64_t)(x->numel - k), &t, err));
    st_status s = st_export(ctx, t, 0, 1, ST_F64, out, err);
    st_tensor_unref(t);
    return s;
}

static st_status cut_f32(st_ctx *ctx, st_tensor *x, uint64_t k, double out[3], st_err *err)
{
    pass p = {.ctx = ctx, .numel = x->numel, .npieces = (x->numel + PIECE - 1) / PIECE};
    st_program *program;
    st_bracket b = {0, KEY_END};
    cut c = {0};
    bool found = false;
    ST_TRY(st_program_new(ctx, &(st_output){.t = x, .dtype = ST_F32}, 1, &program, err));
    p.program = program;
    st_status s = x->numel > SAMPLE ? guess(&p, k, &b, err) : ST_OK;
    if (s == ST_OK) s = look(&p, b, err);
    if (s == ST_OK) s = resolve(&p, k, &c, &found, err);
    if (s == ST_OK && !found) {
        double v;
        s = kth_magnitude(ctx, x, k, &v, err);
        float narrow = (float)v;
        memcpy(&b.high, &narrow, sizeof narrow);
        b.low = b.high;
        if (s == ST_OK) s = look(&p, b, err);
        if (s == ST_OK) s = resolve(&p, k, &c, &found, err);
    }
    free_pieces(&p);
    st_program_free(program);
    float threshold;
    memcpy(&threshold, &c.key, sizeof threshold);
    bool usual = found && threshold == threshold; /* not in the midst of NaN, which all stay */
    out[0] = usual ? (double)threshold : INFINITY;
    out[1] = usual ? (double)nextafterf(threshold, INFINITY) : INFINITY;
    out[2] = usual ? (double)c.place : 0;
    return s;
}

/* F64 values: the threshold by counting, then one look at all, piece by piece. */
static st_status cut_f64(st_ctx *ctx, st_tensor *x, uint64_t k, double out[3], st_err *err)
{
    double threshold, *v = st_malloc(PIECE * sizeof *v);
    st_status s = v ? kth_magnitude(ctx, x, k, &threshold, err) : st_fail_nomem(err, PIECE * sizeof *v);
    uint64_t above = 0, place = 0;
    for (int look = 0; s == ST_OK && look < 2; look++) { /* how many are above; where the last of the equal stands */
        uint64_t need = k - above;
        for (uint64_t at = 0; s == ST_OK && at < x->numel && (look == 0 || need); at += PIECE) {
            uint64_t n = x->numel - at < PIECE ? x->numel - at : PIECE;
            s = st_export(ctx, x, at, n, ST_F64, v, err);
            for (uint64_t i = 0; s == ST_OK && i < n; i++) {
                if (look == 0)
                    above += !(v[i] <= threshold);
                else if (v[i] == threshold && need && --need == 0)
                    place = at + i + 1;
            }
        }
    }
    st_free(v);
    if (s != ST_OK) return s;
    bool usual = threshold == threshold;
    out[0] = usual ? threshold : INFINITY;
    out[1] = usual ? nextafter(threshold, INFINITY) : INFINITY;
    out[2] = usual ? (double)place : 0;
    return ST_OK;
}

/* ---------------------------------------------------------------- nodes */

/* args: magnitudes, k. */
static st_status compute_cut(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    st_tensor *x = t->args[0];
    int64_t k;
    double *c = out;
    ST_TRY(st_export(ctx, t->args[1], 0, 1, ST_I64, &k, err));
    if (k <= 0) return c[0] = c[1] = INFINITY, c[2] = 0, ST_OK;
    if ((uint64_t)k >= x->numel) return c[0] = c[1] = c[2] = 0, ST_OK;
    return st_dtype_reg(x->dtype) == ST_R_F64 ? cut_f64(ctx, x, (uint64_t)k, c, err)
                                              : cut_f32(ctx, x, (uint64_t)k, c, err);
}

static const st_whole whole_cut = {"the largest values", compute_cut};

void st_step_fill(const st_tensor *t, const double values[3], uint64_t start, size_t n, void *dst)
{
    uint64_t before = (double)start < values[2] ? (uint64_t)values[2] - start : 0;
    if (before > n) before = n;
    if (st_dtype_reg(t->dtype) == ST_R_F64) {
        double *d = dst;
        for (size_t i = 0; i < n; i++) d[i] = values[i >= before];
    } else {
        float *d = dst, first = (float)values[0], then = (float)values[1];
        for (size_t i = 0; i < before; i++) d[i] = first;
        for (size_t i = before; i < n; i++) d[i] = then;
    }
}

static st_status step_node(st_tensor *x, st_tensor *at, st_tensor **out, st_err *err)
{
    st_dtype d = st_dtype_reg(x->dtype) == ST_R_F64 ? ST_F64 : ST_F32;
    return st_node_new(ST_N_STEP, d, x->ndim, x->shape, 1, &at, out, err);
}

st_status st_top_mask(st_tensor *t, st_tensor *k, st_tensor **out, st_err *err)
{
    st_tensor *size = NULL, *at = NULL, *step = NULL, *below = NULL;
    *out = NULL;
    ST_TRY(st_check_computable(t, "top_mask", err));
    if (!st_dtype_is_float(t->dtype))
        return st_fail(err, ST_DTYPE, st_tensor_file(t), t->name, "top_mask is not defined for %s; cast it first",
                       st_dtype_name(t->dtype));
    if (k->numel != 1) return st_fail(err, ST_SHAPE, NULL, k->name, "top_mask: k must be one number");
    st_status s = st_apply(ST_OP_ABS, &t, &size, err);
    if (s == ST_OK) s = st_node_new(ST_N_WHOLE, ST_F64, 1, (int64_t[]){3}, 2, (st_tensor *[]){size, k}, &at, err);
    if (s == ST_OK) at->whole = &whole_cut;
    if (s == ST_OK) s = step_node(size, at, &step, err);
    if (s == ST_OK) s = st_apply(ST_OP_LT, (st_tensor *[]){size, step}, &below, err);
    if (s == ST_OK) s = st_apply(ST_OP_BITWISE_NOT, &below, out, err); /* NaN are not below: they stay */
    st_tensor *all[] = {size, at, step, below};
    for (int i = 0; i < 4; i++) st_tensor_unref(all[i]);
    return s;
}
