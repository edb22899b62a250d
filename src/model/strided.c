/* strided.c - a source that gathers what lies scattered. Layer: model; reads the source below it.
 *
 * The elements in their order are cut into blocks, each a box: a range of one dimension, all of those behind it. A box
 * is read in the order of the file: what lies close together in one piece, what lies far apart piece by piece. */
#include "strided.h"
#include "blocks.h"
#include "mem.h"

#include <string.h>
#include <xxhash.h>

enum {
    BLOCK = ST_BLOCK_MOST,
    SCRATCH = 1 << 20, /* bytes that are read at once */
    GAP = 2048,        /* bytes between pieces that take less time to read than another call does */
};

typedef struct axis {
    uint64_t n, in, out; /* elements; bytes from one to the next: in the file, in the block */
} axis;

typedef struct strided {
    st_blocks b;
    st_source *below;
    uint64_t offset;
    size_t width;
    int ndim, cut;      /* the dimension of which a block has a range */
    uint64_t per_block; /* of it */
    uint64_t identity[2];
    uint64_t shape[ST_MAX_DIMS], strides[ST_MAX_DIMS]; /* strides in bytes */
} strided;

static strided *of(st_source *s) { return (strided *)(void *)s; }

/* ---------------------------------------------------------------- one box */

typedef struct box {
    strided *s;
    char *scratch;
    st_err *err;
} box;

/* Bytes from the first to behind the last. */
static uint64_t span_of(const box *b, const axis *a, int n)
{
    uint64_t span = b->s->width;
    for (int d = 0; d < n; d++) span += (a[d].n - 1) * a[d].in;
    return span;
}

#define MOVE(bytes)                                                                               \
    case bytes:                                                                                   \
        for (uint64_t i = 0; i < a->n; i++, from += a->in, to += a->out) memcpy(to, from, bytes); \
        break

/* From memory to their places, the last axis innermost. */
static void scatter(const axis *a, int n, const char *from, char *to, size_t width)
{
    static const axis one = {1, 0, 0};
    if (n == 0) a = &one;
    if (n > 1) {
        for (uint64_t i = 0; i < a->n; i++) scatter(a + 1, n - 1, from + i * a->in, to + i * a->out, width);
        return;
    }
    switch (width) {
        MOVE(1);
        MOVE(2);
        MOVE(4);
        MOVE(8);
    default: break;
    }
}

/* The axes are in descending order of their steps in the file. */
static st_status gather(const box *b, const axis *a, int n, uint64_t at, char *to)
{
    uint64_t span = span_of(b, a, n), inner = n ? span_of(b, a + 1, n - 1) : span;
    bool close = n == 0 || a->in <= inner + GAP;
    if (close && span <= SCRATCH) {
        ST_TRY(b->s->below->ops->read(b->s->below, b->scratch, at, (size_t)span, b->err));
        scatter(a, n, b->scratch, to, b->s->width);
        return ST_OK;
    }
    uint64_t most = close && inner < SCRATCH ? (SCRATCH - inner) / (a->in ? a->in : 1) + 1 : 1;
    if (most == 1) {
        for (uint64_t i = 0; i < a->n; i++) ST_TRY(gather(b, a + 1, n - 1, at + i * a->in, to + i * a->out));
        return ST_OK;
    }
    axis part[ST_MAX_DIMS];
    memcpy(part, a, (size_t)n * sizeof *a);
    for (uint64_t i = 0; i < a->n; i += most) {
        part->n = a->n - i < most ? a->n - i : most;
        ST_TRY(gather(b, part, n, at + i * a->in, to + i * a->out));
    }
    return ST_OK;
}

/* Axes in descending order of their steps in the file, without those of one element. */
static int sort_axes(axis *a, int n)
{
    int kept = 0;
    for (int i = 0; i < n; i++) {
        axis x = a[i];
        if (x.n == 1) continue;
        int at = kept++;
        for (; at > 0 && a[at - 1].in < x.in; at--) a[at] = a[at - 1];
        a[at] = x;
    }
    return kept;
}

static st_status make(st_blocks *blocks, size_t i, void *out, void *scratch, st_err *err)
{
    strided *s = (strided *)(void *)blocks;
    axis a[ST_MAX_DIMS];
    uint64_t parts = s->ndim ? (s->shape[s->cut] + s->per_block - 1) / s->per_block : 1, step = s->width;
    uint64_t at = s->offset, first = i % parts * s->per_block, outer = i / parts;
    for (int d = s->cut; d-- > 0; outer /= s->shape[d]) at += outer % s->shape[d] * s->strides[d];
    int n = 0;
    for (int d = s->ndim; d-- > s->cut; step *= a[n++].n) {
        uint64_t left = s->shape[d] - (d == s->cut ? first : 0);
        a[n] = (axis){d == s->cut && left > s->per_block ? s->per_block : left, s->strides[d], step};
    }
    if (s->ndim) at += first * s->strides[s->cut];
    n = sort_axes(a, n);
    return gather(&(box){s, scratch, err}, a, n, at, out);
}

/* ---------------------------------------------------------------- the source */

static void *new_scratch(st_blocks *b)
{
    (void)b;
    return st_malloc(SCRATCH);
}

static const st_block_ops block_ops = {make, new_scratch, st_free};

static st_status settle(st_source *s, st_err *err) { return st_source_settle(of(s)->below, err); }
static st_status check(st_source *s, st_err *err) { return of(s)->below->ops->check(of(s)->below, err); }

static bool identity(st_source *s, uint64_t id[2])
{
    const strided *x = of(s);
    uint64_t below[2];
    if (!st_source_identity(x->below, below)) return false;
    const uint64_t what[] = {below[0], below[1], x->identity[0], x->identity[1]};
    XXH128_hash_t h = XXH3_128bits(what, sizeof what);
    id[0] = h.low64;
    id[1] = h.high64;
    return true;
}

static void close_strided(st_source *s)
{
    strided *x = of(s);
    st_blocks_destroy(&x->b);
    st_source_unref(x->below);
    st_free(x);
}

static const st_source_ops source_ops = {
    .read = st_blocks_read, .check = check, .settle = settle, .identity = identity, .close = close_strided};

/* What the values hang on, in 128 bits. */
static void identify(strided *s)
{
    XXH128_hash_t shape = XXH3_128bits(s->shape, (size_t)s->ndim * sizeof *s->shape);
    XXH128_hash_t strides = XXH3_128bits(s->strides, (size_t)s->ndim * sizeof *s->strides);
    s->identity[0] = s->offset ^ shape.low64 ^ strides.high64;
    s->identity[1] = s->width ^ shape.high64 ^ strides.low64;
}

/* Chooses the blocks: their offsets, which the caller gives away. NULL without memory. */
static uint64_t *cut_blocks(strided *s, size_t *count)
{
    uint64_t inner = s->width, outer = 1, size = 1;
    s->cut = s->ndim ? s->ndim - 1 : 0;
    while (s->cut > 0 && inner * s->shape[s->cut] <= BLOCK) inner *= s->shape[s->cut--];
    size = s->ndim ? s->shape[s->cut] : 1;
    s->per_block = BLOCK / inner < size ? BLOCK / inner : size;
    for (int d = 0; d < s->cut; d++) outer *= s->shape[d];
    uint64_t parts = (size + s->per_block - 1) / s->per_block;
    uint64_t *starts = st_malloc((size_t)(outer * parts + 1) * sizeof *starts);
    *count = (size_t)(outer * parts);
    for (uint64_t i = 0; starts && i <= outer * parts; i++)
        starts[i] = (i / parts * size + i % parts * s->per_block) * inner;
    return starts;
}

st_status st_strided_open(st_source *below, uint64_t offset, st_dtype dtype, int ndim, const int64_t *shape,
                          const int64_t *strides, st_source **out, st_err *err)
{
    strided *s = st_calloc(1, sizeof *s);
    *out = NULL;
    if (!s) return st_fail_nomem(err, sizeof *s);
    s->offset = offset;
    s->width = st_dtype_bits(dtype) / 8;
    s->ndim = ndim;
    for (int d = 0; d < ndim; d++) {
        s->shape[d] = (uint64_t)shape[d];
        s->strides[d] = (uint64_t)strides[d] * s->width;
    }
    identify(s);
    size_t n = 0;
    uint64_t *starts = cut_blocks(s, &n);
    st_status status = starts ? st_blocks_init(&s->b, &block_ops, starts, n, err) : st_fail_nomem(err, (n + 1) * 8);
    if (status != ST_OK) {
        st_free(s);
        return status;
    }
    s->b.base.ops = &source_ops;
    s->b.base.refs = 1;
    s->b.base.label = below->label;
    s->b.base.in_order = below->in_order;
    s->below = st_source_ref(below);
    *out = &s->b.base;
    return ST_OK;
}
