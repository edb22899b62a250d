/* zframes.c - a zstd file whose frames are listed: each is a block, made whole when some of it is wanted. Layer: io;
 * may touch sources and memory. */
#include "blocks.h"
#include "mem.h"
#include "zcodec.h"
#include "zsource.h"
#include "ztable.h"

#include <string.h>
#include <xxhash.h>

enum { ROOM = 1 << 20 }; /* bytes of a frame that there is room for from the beginning */

typedef struct zframes {
    st_blocks b;
    st_source *raw;
    st_ztable t; /* its starts are the blocks' */
    st_header *h;
    _Atomic bool blind; /* a frame without a checksum was met */
} zframes;

static zframes *of(st_source *s) { return (zframes *)(void *)s; }

typedef struct scratch {
    st_zstd *z;
    unsigned char *packed;
    size_t cap;
} scratch;

static void free_scratch(void *p)
{
    scratch *w = p;
    st_zstd_free(w->z);
    st_free(w->packed);
    st_free(w);
}

static void *new_scratch(st_blocks *b)
{
    scratch *w = st_calloc(1, sizeof *w);
    if (w && st_zstd_new(b->base.label, &w->z, NULL) == ST_OK) return w;
    st_free(w);
    return NULL;
}

/* ---------------------------------------------------------------- one frame */

static st_status read_packed(zframes *f, uint64_t at, size_t n, scratch *w, st_err *err)
{
    ST_TRY(st_make_room((void **)&w->packed, &w->cap, n, ROOM, err));
    return f->raw->ops->read(f->raw, w->packed, at, n, err);
}

/* What the table says of the content must be what the frame says, or if that says nothing, what is there. */
static bool sum_matches(uint32_t sum, const unsigned char *packed, size_t n, const void *content, size_t size)
{
    st_zstd_head h;
    if (st_zstd_parse_head(packed, n, &h) || !h.checksum) return (uint32_t)XXH64(content, size, 0) == sum;
    const unsigned char *p = packed + n - 4;
    return (p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24) == sum;
}

/* Frames that readers pass over have no content, and may be long. */
static st_status check_empty(zframes *f, uint64_t at, uint64_t n, scratch *w, bool *skippable, const char **why,
                             st_err *err)
{
    st_zstd_head h;
    size_t head = n < ST_ZSTD_HEAD_MOST ? (size_t)n : ST_ZSTD_HEAD_MOST;
    ST_TRY(read_packed(f, at, head, w, err));
    *why = st_zstd_parse_head(w->packed, head, &h);
    *skippable = !*why && h.skippable;
    if (*skippable && h.bytes + h.content != n) *why = "its head tells another size";
    if (*skippable && !*why) ST_TRY(st_ztable_check(f->raw, at, at + n, why, err));
    if (!*why && !h.skippable && n > ST_BLOCK_MOST) *why = "it takes too much for what it holds";
    return *why ? ST_FORMAT : ST_OK;
}

static void note_blind(zframes *f, const unsigned char *packed, size_t n)
{
    st_zstd_head h;
    if (st_zstd_parse_head(packed, n, &h) || !h.checksum) f->blind = true;
}

static st_status make_frame(zframes *f, size_t i, void *out, scratch *w, const char **why, st_err *err)
{
    uint64_t at = f->t.at[i], n = f->t.at[i + 1] - at;
    size_t size = st_blocks_size(&f->b, i);
    bool skippable = false;
    if (size == 0) ST_TRY(check_empty(f, at, n, w, &skippable, why, err));
    if (skippable) return ST_OK;
    ST_TRY(read_packed(f, at, (size_t)n, w, err));
    ST_TRY(st_zstd_decompress(w->z, w->packed, (size_t)n, out, size, why, err));
    if (!f->t.sums) return note_blind(f, w->packed, (size_t)n), ST_OK;
    if (sum_matches(f->t.sums[i], w->packed, (size_t)n, out, size)) return ST_OK;
    *why = "its checksum is not the one in the seek table";
    return ST_FORMAT;
}

static st_status make(st_blocks *b, size_t i, void *out, void *w, st_err *err)
{
    zframes *f = (zframes *)(void *)b;
    const char *why = NULL;
    st_status s = make_frame(f, i, out, w, &why, err);
    if (s != ST_FORMAT || !why) return s;
    return st_header_fail_place(f->h, b->base.label, b->starts[i], b->starts[i + 1], err,
                                "frame %zu at byte %llu of the compressed one: %s", i, (unsigned long long)f->t.at[i],
                                why);
}

static const st_block_ops block_ops = {make, new_scratch, free_scratch};

/* ---------------------------------------------------------------- the source */

static void advise(st_source *s, uint64_t off, uint64_t n)
{
    zframes *f = of(s);
    if (n == 0) return;
    size_t first = st_blocks_at(&f->b, off), last = st_blocks_at(&f->b, off + n - 1);
    st_source_advise(f->raw, f->t.at[first], f->t.at[last + 1] - f->t.at[first]);
}

static st_status check(st_source *s, st_err *err) { return of(s)->raw->ops->check(of(s)->raw, err); }

static bool identity(st_source *s, uint64_t id[2]) { return st_source_identity(of(s)->raw, id); }

static void close_frames(st_source *s)
{
    zframes *f = of(s);
    st_blocks_destroy(&f->b);
    f->t.starts = NULL;
    st_ztable_free(&f->t);
    st_header_free(f->h);
    st_source_unref(f->raw);
    st_free(f);
}

const st_source_ops st_zframes_ops = {
    .read = st_blocks_read, .advise = advise, .check = check, .identity = identity, .close = close_frames};

st_status st_zframes_new(st_source *raw, st_source **out, bool *broken, st_err *err)
{
    bool found;
    st_ztable t;
    *out = NULL;
    *broken = false;
    ST_TRY(st_ztable_read(raw, &t, &found, err));
    if (!found) ST_TRY(st_ztable_walk(raw, &t, &found, broken, err));
    if (t.large || t.n == 0) {
        st_ztable_free(&t);
        return ST_OK;
    }
    zframes *f = st_calloc(1, sizeof *f);
    st_status s = f ? st_blocks_init(&f->b, &block_ops, t.starts, t.n, err) : st_fail_nomem(err, sizeof *f);
    if (f) t.starts = NULL; /* the blocks' now */
    if (s != ST_OK) {
        st_ztable_free(&t);
        st_free(f);
        return s;
    }
    f->t = t;
    f->raw = raw;
    f->b.base.ops = &st_zframes_ops;
    f->b.base.refs = 1;
    f->b.base.label = raw->label;
    *out = &f->b.base;
    return ST_OK;
}

void st_zframes_set_header(st_source *s, st_header *h) { of(s)->h = st_header_ref(h); }
uint64_t st_zframes_stored(const st_source *s) { return ((const zframes *)(const void *)s)->raw->size; }
bool st_zframes_blind(const st_source *s) { return ((const zframes *)(const void *)s)->blind; }
