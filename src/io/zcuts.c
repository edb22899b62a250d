/* zcuts.c - where a file is cut into frames. Layer: io; may touch memory. */
#include "blocks.h"
#include "mem.h"
#include "zcodec.h"
#include "zsink.h"
#include "ztable.h"

enum {
    FRAME = 512 << 10, /* content: on real weights as small as what zstd makes of all, which 256 KiB are not */
    MANY = 512 << 10,  /* of these, up to which that size is kept: with ends of tensors at most three times as many */
};

static st_status cut(st_zcuts *c, uint64_t at, st_err *err)
{
    if (at == c->starts[c->n]) return ST_OK;
    if (!st_grow((void **)&c->starts, &c->cap, c->n + 2, sizeof *c->starts))
        return st_fail_nomem(err, c->n * sizeof *c->starts);
    c->starts[++c->n] = at;
    return ST_OK;
}

static st_status cut_up(st_zcuts *c, uint64_t to, uint64_t frame, st_err *err)
{
    while (to - c->starts[c->n] > frame) ST_TRY(cut(c, c->starts[c->n] + frame, err));
    return cut(c, to, err);
}

st_status st_zcuts_begin(st_zcuts *c, uint64_t head, uint64_t size, const char *label, st_err *err)
{
    *c = (st_zcuts){.frame = FRAME, .end = head, .head = head};
    while (c->frame < ST_BLOCK_MOST && size / c->frame > MANY) c->frame *= 2;
    if (size / c->frame > MANY)
        return st_fail(err, ST_LIMIT, label, NULL,
                       "%llu bytes are too many for one compressed file: write shards, or leave it uncompressed",
                       (unsigned long long)size);
    if (!st_grow((void **)&c->starts, &c->cap, 1, sizeof *c->starts)) return st_fail_nomem(err, sizeof *c->starts);
    c->starts[0] = 0;
    return cut_up(c, head, ST_BLOCK_MOST, err);
}

st_status st_zcuts_add(st_zcuts *c, uint64_t bytes, st_err *err)
{
    uint64_t begin = c->end, begun = begin - c->starts[c->n];
    /* What is not cut off yet is less than a frame. */
    c->end += bytes;
    if (begun + bytes <= c->frame) return ST_OK;
    ST_TRY(cut(c, begin, err));
    return bytes > c->frame ? cut_up(c, c->end, c->frame, err) : ST_OK;
}

st_status st_zcuts_done(st_zcuts *c, st_err *err) { return cut(c, c->end, err); }

void st_zcuts_free(st_zcuts *c)
{
    st_free(c->starts);
    *c = (st_zcuts){0};
}

uint64_t st_zcuts_most(const st_zcuts *c)
{
    uint64_t n = st_ztable_bytes(c->n);
    for (size_t i = 0; i < c->n; i++) n += st_zstd_bound((size_t)(c->starts[i + 1] - c->starts[i]));
    return n;
}
