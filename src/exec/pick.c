/* pick.c - elements chosen by their places along a dimension, or by a mask. Layer: exec. */
#include "mem.h"
#include "rows.h"

#include <string.h>

/* ---------------------------------------------------------------- slices by place */

/* The result is outer x count spans of `inner` elements, each a span of the operand: only these are read. */
typedef struct slices {
    st_ctx *ctx;
    const st_tensor *t; /* the operand */
    const st_program *program;
    const int64_t *places;
    uint64_t outer, count, inner, size; /* size: of the operand's dimension */
    size_t width;
    int dim;    /* for messages */
    bool whole; /* all places of an outer index are read at once */
    _Atomic uint64_t next;
    char *out;
} slices;

enum { SHORT = 4096, SLAB = 1 << 20 }; /* bytes */

/* Short spans are not worth a read each where many of those that lie side by side are wanted. */
static bool read_whole(const slices *j)
{
    return j->outer > 1 && j->inner * j->width < SHORT && j->size * j->inner <= SLAB / j->width &&
           j->count >= j->size / 8;
}

static st_status check_places(const slices *j, st_err *err)
{
    for (uint64_t i = 0; i < j->count; i++)
        if (j->places[i] < 0 || (uint64_t)j->places[i] >= j->size)
            return st_fail(err, ST_ARG, NULL, j->t->name,
                           "index_select: index %lld is out of range: dimension %d has %llu elements",
                           (long long)j->places[i] + 1, j->dim + 1, (unsigned long long)j->size);
    return ST_OK;
}

/* The spans of one outer index, through `slab`. */
static st_status copy_spans(const slices *j, st_lane *lane, char *slab, uint64_t o, st_err *err)
{
    size_t bytes = j->inner * j->width;
    uint64_t n = j->size * j->inner;
    char *out = j->out + o * j->count * bytes;
    ST_TRY(st_read_span(j->ctx, j->program, lane, j->width, o * n, n, slab, err));
    for (uint64_t i = 0; i < j->count; i++) memcpy(out + i * bytes, slab + (uint64_t)j->places[i] * bytes, bytes);
    return ST_OK;
}

static st_status one_span(const slices *j, st_lane *lane, uint64_t i, st_err *err)
{
    uint64_t start = (i / j->count * j->size + (uint64_t)j->places[i % j->count]) * j->inner;
    return st_read_span(j->ctx, j->program, lane, j->width, start, j->inner, j->out + i * j->inner * j->width, err);
}

static st_status slices_worker(void *arg, unsigned worker, st_err *err)
{
    slices *j = arg;
    st_lane lane = {0};
    size_t bytes = j->whole ? j->size * j->inner * j->width : 0;
    uint64_t n = j->whole ? j->outer : j->outer * j->count;
    char *slab = j->whole ? st_malloc(bytes) : NULL;
    st_status s = j->whole && !slab ? st_fail_nomem(err, bytes) : ST_OK;
    (void)worker;
    for (uint64_t i; s == ST_OK && !st_ctx_stopped(j->ctx) && (i = j->next++) < n;)
        s = j->whole ? copy_spans(j, &lane, slab, i, err) : one_span(j, &lane, i, err);
    st_lane_free(&lane);
    st_free(slab);
    return s;
}

/* param[0]: the dimension. */
static st_status compute_slices(st_ctx *ctx, const st_tensor *t, void *out, st_err *err)
{
    st_program *p = NULL;
    int dim = (int)t->param[0];
    slices j = {
        .ctx = ctx, .t = t->args[0], .outer = 1, .inner = 1, .count = t->args[1]->numel, .dim = dim, .out = out};
    st_dtype dtype = st_reg_dtype(st_dtype_reg(t->dtype));
    for (int d = 0; d < dim; d++) j.outer *= (uint64_t)t->shape[d];
    for (int d = dim + 1; d < t->ndim; d++) j.inner *= (uint64_t)t->shape[d];
    j.size = (uint64_t)j.t->shape[dim];
    j.width = st_dtype_bits(dtype) / 8;
    int64_t *places = st_malloc(j.count * sizeof *places);
    if (!places) return st_fail_nomem(err, j.count * sizeof *places);
    j.places = places;
    j.whole = j.count && j.size && read_whole(&j);
    st_status s = st_export(ctx, t->args[1], 0, j.count, ST_I64, places, err);
    if (s == ST_OK) s = check_places(&j, err);
    if (s == ST_OK) s = st_program_new(ctx, &(st_output){.t = t->args[0], .dtype = dtype}, 1, &p, err);
    j.program = p;
    if (s == ST_OK) s = st_ctx_run(ctx, st_ctx_threads(ctx), slices_worker, &j, err);
    st_program_free(p);
    st_free(places);
    return s;
}

st_status st_index_select(st_tensor *t, int dim, st_tensor *places, st_tensor **out, st_err *err)
{
    static const st_whole whole = {"index_select", compute_slices};
    int64_t shape[ST_MAX_DIMS];
    *out = NULL;
    ST_TRY(st_check_computable(t, "index_select", err));
    if (dim < 0 || dim >= t->ndim)
        return st_fail(err, ST_ARG, NULL, t->name, "index_select: dimension %d of a tensor with %d", dim + 1, t->ndim);
    if (places->dtype != ST_I64 || places->ndim != 1)
        return st_fail(err, ST_SHAPE, NULL, t->name, "index_select: the indices must be I64, of one dimension");
    memcpy(shape, t->shape, (size_t)t->ndim * sizeof *shape);
    shape[dim] = places->shape[0];
    ST_TRY(st_node_new(ST_N_WHOLE, t->dtype, t->ndim, shape, 2, (st_tensor *[]){t, places}, out, err));
    (*out)->whole = &whole;
    (*out)->param[0] = dim;
    return ST_OK;
}

/* ---------------------------------------------------------------- elements by mask */

enum { PIECE = 1 << 16 }; /* elements looked at at a time */

typedef struct chosen {
    char *items;
    size_t n, cap, width;
} chosen;

/* Appends the elements of a piece whose mask is set: of `values`, or their places from `at` on. */
static st_status append(st_ctx *ctx, chosen *c, const uint8_t *mask, const char *values, uint64_t at, size_t n,
                        st_err *err)
{
    size_t more = 0;
    for (size_t i = 0; i < n; i++) more += mask[i];
    if ((c->n + more) * c->width > st_ctx_memory(ctx))
        return st_fail(err, ST_LIMIT, NULL, NULL,
                       "the elements chosen by a mask take more than %llu bytes, the limit (raise it with --memory)",
                       (unsigned long long)st_ctx_memory(ctx));
    if (!st_grow((void **)&c->items, &c->cap, c->n + more, c->width))
        return st_fail_nomem(err, (c->n + more) * c->width);
    for (size_t i = 0; i < n; i++) {
        if (!mask[i]) continue;
        int64_t place = (int64_t)(at + i);
        memcpy(c->items + c->n++ * c->width, values ? values + i * c->width : (const char *)&place, c->width);
    }
    return ST_OK;
}

static st_status choose(st_ctx *ctx, st_tensor *t, st_tensor *mask, char *buf, chosen *c, st_err *err)
{
    uint8_t *flags = (uint8_t *)buf;
    char *values = t ? buf + PIECE : NULL;
    for (uint64_t at = 0; at < mask->numel; at += PIECE) {
        uint64_t n = mask->numel - at < PIECE ? mask->numel - at : PIECE;
        if (st_ctx_cancelled(ctx)) return st_fail_cancelled(err);
        ST_TRY(st_export(ctx, mask, at, n, ST_BOOL, flags, err));
        if (t) ST_TRY(st_export(ctx, t, at, n, t->dtype, values, err));
        ST_TRY(append(ctx, c, flags, values, at, n, err));
    }
    return ST_OK;
}

st_status st_masked_select(st_ctx *ctx, st_tensor *t, st_tensor *mask, st_tensor **out, st_err *err)
{
    st_dtype dtype = t ? t->dtype : ST_I64;
    chosen c = {.width = st_dtype_bits(dtype) / 8};
    *out = NULL;
    ST_TRY(st_check_computable(mask, "a mask", err));
    if (t) ST_TRY(st_check_computable(t, "masked_select", err));
    if (t && t->numel != mask->numel)
        return st_fail(err, ST_SHAPE, st_tensor_file(t), t->name, "masked_select: %llu elements and a mask of %llu",
                       (unsigned long long)t->numel, (unsigned long long)mask->numel);
    char *buf = st_malloc((size_t)PIECE * (1 + c.width));
    st_status s = buf ? choose(ctx, t, mask, buf, &c, err) : st_fail_nomem(err, (size_t)PIECE * (1 + c.width));
    int64_t n = (int64_t)c.n;
    if (s == ST_OK) s = st_tensor_new(dtype, 1, &n, c.items, c.n * c.width, out, err);
    st_free(buf);
    st_free(c.items);
    return s;
}
