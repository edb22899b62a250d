/* pack_plan.c - deciding, before a file is packed, how each of its tensors is. Layer: io; may touch sources. */
#include "pack_plan.h"
#include "context.h"
#include "mem.h"
#include "shape.h"
#include "sort.h"

#include <string.h>

enum {
    PIECE = 1 << ST_PACK_CHUNK_LOG2,
    HEAD = 4096,      /* bytes: tensors that begin alike and are as long may be equal */
    TWIN_LEAST = 256, /* shorter ones are not looked for: to name another costs as much */
};

typedef struct planner {
    st_ctx *ctx;
    st_file *file, *base_file;
    st_source *src, *base;
    st_pack_unit *units;
    size_t count;
    _Atomic size_t next;
} planner;

/* ---------------------------------------------------------------- by dtype */

/* Bytes of the numbers a tensor is made of, as a power of two: what they have in common lies in the same byte of each.
 */
static unsigned lane_of(st_dtype d)
{
    unsigned bytes = st_dtype_kind(d) == ST_KIND_COMPLEX ? st_dtype_bits(d) / 16 : st_dtype_bits(d) / 8;
    unsigned log2 = 0;
    while (2u << log2 <= bytes) log2++;
    return log2;
}

/* A float's exponent is moved to a byte of its own, except for F16, whose ten bits of mantissa gain by staying apart
 * from it. */
static st_planes plain_transform(st_dtype d)
{
    bool floats = st_dtype_kind(d) == ST_KIND_FLOAT || st_dtype_kind(d) == ST_KIND_COMPLEX;
    return floats && d != ST_F16 && lane_of(d) > 0 ? ST_PL_ROTATE : ST_PL_PLAIN;
}

static st_planes delta_transform(st_dtype d)
{
    bool floats = st_dtype_kind(d) == ST_KIND_FLOAT || st_dtype_kind(d) == ST_KIND_COMPLEX;
    return floats ? ST_PL_ORDERED : ST_PL_DELTA;
}

/* ---------------------------------------------------------------- reading */

static st_status equal(st_source *a, uint64_t a_at, st_source *b, uint64_t b_at, uint64_t n, char *buf, bool *same,
                       const st_ctx *ctx, st_err *err)
{
    *same = true;
    for (uint64_t at = 0; *same && at < n; at += PIECE) {
        size_t now = n - at < PIECE ? (size_t)(n - at) : PIECE;
        if (st_ctx_cancelled(ctx)) return st_fail_cancelled(err);
        ST_TRY(a->ops->read(a, buf, a_at + at, now, err));
        ST_TRY(b->ops->read(b, buf + PIECE, b_at + at, now, err));
        *same = memcmp(buf, buf + PIECE, now) == 0;
    }
    return ST_OK;
}

/* Packs a chunk out of the middle both ways. */
static st_status choose(const planner *p, st_pack_unit *u, st_planes delta, st_coder *c, char *buf, st_err *err)
{
    uint64_t at = u->length / 2 / PIECE * PIECE;
    size_t n = u->length - at < PIECE ? (size_t)(u->length - at) : PIECE, plain_len, delta_len;
    char *raw = buf, *base = buf + PIECE, *out = buf + 2 * PIECE;
    uint32_t sizes[ST_LANE_MOST];
    ST_TRY(p->src->ops->read(p->src, raw, u->at + at, n, err));
    ST_TRY(p->base->ops->read(p->base, base, u->base_at + at, n, err));
    ST_TRY(st_coder_pack(c, u->tail.transform, u->tail.lane, raw, NULL, n, out, sizes, &plain_len, err));
    ST_TRY(st_coder_pack(c, delta, u->tail.lane, raw, base, n, out, sizes, &delta_len, err));
    if (delta_len < plain_len) u->tail.transform = delta;
    return ST_OK;
}

static st_status decide(const planner *p, size_t i, st_coder *c, char *buf, st_err *err)
{
    st_pack_unit *u = &p->units[i];
    bool same;
    if (!u->has_base || u->length == 0) return ST_OK;
    ST_TRY(equal(p->src, u->at, p->base, u->base_at, u->length, buf, &same, p->ctx, err));
    if (same) {
        u->tail.kind = ST_PACK_AS_BASE;
        return ST_OK;
    }
    return choose(p, u, delta_transform(st_file_info(p->file, i - 1).dtype), c, buf, err);
}

static st_status decide_all(void *arg, unsigned worker, st_err *err)
{
    planner *p = arg;
    st_coder *c = NULL;
    char *buf = st_malloc(2 * PIECE + st_coder_bound(PIECE));
    st_status s = buf ? st_coder_new(st_file_path(p->file), &c, err) : st_fail_nomem(err, 4 * PIECE);
    for (size_t i; s == ST_OK && !st_ctx_stopped(p->ctx) && (i = p->next++) < p->count;) {
        st_ctx_begun(p->ctx, worker, i);
        s = decide(p, i, c, buf, err);
    }
    st_coder_free(c);
    st_free(buf);
    return s;
}

/* ---------------------------------------------------------------- equal tensors of the file */

typedef struct twin {
    uint64_t length, head;
    size_t unit;
} twin;

static int by_length_and_head(const void *x, const void *y, const void *unused)
{
    const twin *a = x, *b = y;
    (void)unused;
    if (a->length != b->length) return a->length < b->length ? -1 : 1;
    if (a->head != b->head) return a->head < b->head ? -1 : 1;
    return a->unit < b->unit ? -1 : a->unit > b->unit;
}

static st_status list_twins(const planner *p, twin *t, size_t *n, char *buf, st_err *err)
{
    for (size_t i = 1; i < p->count; i++) {
        const st_pack_unit *u = &p->units[i];
        size_t head = u->length < HEAD ? (size_t)u->length : HEAD;
        if (u->length < TWIN_LEAST || u->tail.kind != ST_PACK_PLANES) continue;
        if (st_ctx_cancelled(p->ctx)) return st_fail_cancelled(err);
        ST_TRY(p->src->ops->read(p->src, buf, u->at, head, err));
        t[(*n)++] = (twin){u->length, XXH64(buf, head, 0), i};
    }
    return ST_OK;
}

/* Of tensors that begin alike each is compared with the first of them. */
static st_status find_twins(const planner *p, st_err *err)
{
    twin *t = st_calloc(p->count, sizeof *t);
    char *buf = st_malloc(2 * PIECE);
    size_t n = 0;
    st_status s = t && buf ? list_twins(p, t, &n, buf, err) : st_fail_nomem(err, p->count * sizeof *t);
    if (s == ST_OK) st_sort(t, n, sizeof *t, by_length_and_head, NULL);
    for (size_t i = 1, first = 0; s == ST_OK && i < n; i++) {
        bool same;
        if (t[i].length != t[first].length || t[i].head != t[first].head) {
            first = i;
            continue;
        }
        const st_pack_unit *a = &p->units[t[first].unit];
        st_pack_unit *b = &p->units[t[i].unit];
        s = equal(p->src, a->at, p->src, b->at, b->length, buf, &same, p->ctx, err);
        if (s != ST_OK || !same) continue;
        b->tail.kind = ST_PACK_AS_EARLIER;
        b->tail.earlier = (uint32_t)(t[first].unit - 1);
    }
    st_free(buf);
    st_free(t);
    return s;
}

/* ---------------------------------------------------------------- the plan */

static void describe(const planner *p, size_t i)
{
    st_pack_unit *u = &p->units[i];
    if (i == 0) {
        u->name = ST_PACK_HEADER;
        u->name_len = strlen(u->name);
        u->length = st_file_data_start(p->file);
    } else {
        st_info in = st_file_info(p->file, i - 1), other = {0};
        int64_t b = p->base_file ? st_file_find(p->base_file, in.name, in.name_len) : -1;
        if (b >= 0) other = st_file_info(p->base_file, (size_t)b);
        u->name = in.name;
        u->name_len = in.name_len;
        u->at = st_file_data_start(p->file) + in.begin;
        u->length = in.end - in.begin;
        u->has_base = b >= 0 && other.dtype == in.dtype && other.end - other.begin == u->length;
        if (u->has_base) u->base_at = st_file_data_start(p->base_file) + other.begin;
        u->tail.lane = lane_of(in.dtype);
        u->tail.transform = plain_transform(in.dtype);
    }
    u->tail.length = u->length;
    u->tail.chunk = ST_PACK_CHUNK_LOG2;
    u->tail.chunks = u->left = st_pack_chunks(u->length, ST_PACK_CHUNK_LOG2);
}

static st_status make_plan(planner *p, st_err *err)
{
    size_t n = p->count = st_file_count(p->file) + 1, number = 0;
    if (st_file_find(p->file, ST_PACK_HEADER, strlen(ST_PACK_HEADER)) >= 0)
        return st_fail(err, ST_NAME, st_file_path(p->file), ST_PACK_HEADER, "this name is needed for packing");
    p->units = st_calloc(n, sizeof *p->units);
    if (!p->units) return st_fail_nomem(err, n * sizeof *p->units);
    for (size_t i = 0; i < n; i++) describe(p, i);
    if (p->base) ST_TRY(st_ctx_run(p->ctx, st_ctx_threads(p->ctx), decide_all, p, err));
    if (st_ctx_cancelled(p->ctx)) return st_fail_cancelled(err);
    ST_TRY(find_twins(p, err));
    for (size_t i = 0; i < n; i++) {
        p->units[i].first = number;
        number += p->units[i].tail.chunks + 1;
    }
    return ST_OK;
}

st_status st_pack_plan(st_ctx *ctx, st_file *f, st_file *base, st_pack_unit **units, size_t *count, st_err *err)
{
    planner p = {.ctx = ctx, .file = f, .base_file = base, .src = st_file_source(f)};
    if (base) p.base = st_file_source(base);
    st_status s = make_plan(&p, err);
    *units = p.units; /* the caller's to free, whatever came of it */
    *count = p.units ? p.count : 0;
    return s;
}

void st_pack_plan_free(st_pack_unit *units, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        st_free(units[i].table);
        XXH64_freeState(units[i].hash);
        XXH64_freeState(units[i].base_hash);
    }
    st_free(units);
}

/* Before its first chunk. */
static st_status begin(st_pack_unit *u, st_err *err)
{
    size_t n = (size_t)u->tail.chunks * st_pack_row(&u->tail) + 1;
    u->table = st_calloc(n, sizeof *u->table);
    u->hash = XXH64_createState();
    u->base_hash = XXH64_createState();
    if (!u->table || !u->hash || !u->base_hash) return st_fail_nomem(err, n * sizeof *u->table);
    XXH64_reset(u->hash, 0);
    XXH64_reset(u->base_hash, 0);
    return ST_OK;
}

/* After its last. */
static void end(st_pack_unit *u)
{
    u->tail.hash = XXH64_digest(u->hash);
    u->tail.base_hash = st_pack_needs_base(&u->tail) ? XXH64_digest(u->base_hash) : 0;
    XXH64_freeState(u->hash);
    XXH64_freeState(u->base_hash);
    u->hash = u->base_hash = NULL;
}

st_status st_pack_unit_read(st_pack_unit *u, uint32_t k, st_source *src, st_source *base, void *raw, void *base_raw,
                            st_err *err)
{
    size_t n = st_pack_chunk_bytes(&u->tail, k);
    uint64_t at = (uint64_t)k << u->tail.chunk;
    if (k == 0) ST_TRY(begin(u, err));
    ST_TRY(src->ops->read(src, raw, u->at + at, n, err));
    XXH64_update(u->hash, raw, n);
    if (st_pack_needs_base(&u->tail)) {
        ST_TRY(base->ops->read(base, base_raw, u->base_at + at, n, err));
        XXH64_update(u->base_hash, base_raw, n);
    }
    if (k + 1 >= u->tail.chunks) end(u);
    return ST_OK;
}
