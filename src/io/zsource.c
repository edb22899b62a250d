/* zsource.c - a zstd-compressed file, of either kind. Layer: io; may touch sources. */
#include "zsource.h"
#include "blocks.h"
#include "zcodec.h"

bool st_zsource_header_fits(uint64_t len, uint64_t stored)
{
    /* Below FREE it takes no more than memory for one tile. */
    enum { TIMES = 64, FREE = 32 << 20 };
    return len <= FREE || len / TIMES <= stored;
}

bool st_zsource_is(const void *head, size_t n)
{
    const unsigned char *p = head;
    if (n < 4) return false;
    uint32_t magic = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return magic == ST_ZSTD_MAGIC || (magic & ~15u) == ST_ZSTD_SKIPPABLE;
}

enum { STRETCH = 256 << 10 };

uint64_t st_zsource_stretch(const st_source *s, uint64_t off)
{
    uint64_t end = s->size - off > STRETCH ? off + STRETCH : s->size;
    if (!st_zsource_seeks(s) || end == s->size) return end - off;
    const st_blocks *b = (const st_blocks *)(const void *)s;
    return b->starts[st_blocks_at(b, end - 1) + 1] - off;
}

bool st_zsource_seeks(const st_source *s) { return s->ops == &st_zframes_ops; }

bool st_zsource_cut(const st_source *s) { return !st_zsource_seeks(s) && st_zstream_cut(s); }

st_status st_zsource_open(st_source *raw, st_source **out, st_err *err)
{
    bool broken = false;
    *out = NULL;
    st_status s = st_zstd_load(err);
    if (s == ST_OK) s = st_zframes_new(raw, out, &broken, err);
    if (s == ST_OK && !*out) s = st_zstream_new(raw, broken, out, err);
    if (s != ST_OK) st_source_unref(raw);
    return s;
}

st_status st_zsource_peek(st_source *s, void *buf, size_t n, size_t *got, st_err *err)
{
    if (!st_zsource_seeks(s)) return st_zstream_peek(s, buf, n, got, err);
    const st_blocks *b = (const st_blocks *)(const void *)s;
    uint64_t some = s->size > 7 ? b->starts[st_blocks_at(b, 7) + 1] : s->size;
    *got = n < some ? n : (size_t)some;
    return s->ops->read(s, buf, 0, *got, err);
}

st_status st_zsource_set_header(st_source *s, st_header *h, st_err *err)
{
    if (!st_zsource_seeks(s)) return st_zstream_set_header(s, h, err);
    st_zframes_set_header(s, h);
    return ST_OK;
}

uint64_t st_zsource_stored(const st_source *s)
{
    return st_zsource_seeks(s) ? st_zframes_stored(s) : st_zstream_stored(s);
}

st_status st_zsource_verify(st_source *s, st_ctx *ctx, st_damages *d, st_err *err)
{
    if (!st_zsource_seeks(s)) return st_zstream_verify(s, ctx, d, err);
    ST_TRY(st_blocks_verify((st_blocks *)(void *)s, ctx, d, err));
    d->checked = !st_zframes_blind(s);
    return ST_OK;
}
