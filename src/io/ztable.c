/* ztable.c - zstd's seek table, a skippable frame at the end of a file:
 *
 *   u32 0x184D2A5E, u32 bytes that follow
 *   per frame: u32 compressed size, u32 content size, u32 checksum (if bit 7 below is set)
 *   u32 frames, u8 descriptor, u32 0x8F92EAB1
 *
 * Layer: io; may touch sources, sinks and memory. */
#include "ztable.h"
#include "blocks.h"
#include "mem.h"
#include "zcodec.h"

#include <stdio.h>

enum {
    HEAD = 8,
    FOOT = 9,
    VARIANT = 14,                   /* of the skippable frames */
    HAS_SUMS = 0x80,                /* in the descriptor, whose other bits mean nothing */
    LEAST_FRAME = 8,                /* bytes: an empty skippable one */
    PART = 64 << 10,                /* bytes of table in memory */
    FRAME_MOST = 2 * ST_BLOCK_MOST, /* compressed: whoever needs more is read as a stream */
    WALKED = 8 << 20,               /* bytes of a file that is small enough to be walked */
};
#define FOOT_MAGIC 0x8f92eab1u

static uint32_t get32(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(unsigned char *p, uint32_t x)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(x >> 8 * i);
}

void st_ztable_free(st_ztable *t)
{
    st_free(t->starts);
    st_free(t->at);
    st_free(t->sums);
    *t = (st_ztable){0};
}

static st_status reserve(st_ztable *t, size_t n, bool sums, st_err *err)
{
    *t = (st_ztable){.n = n};
    t->starts = st_calloc(n + 1, sizeof *t->starts);
    t->at = st_calloc(n + 1, sizeof *t->at);
    if (sums) t->sums = st_calloc(n + 1, sizeof *t->sums);
    return t->starts && t->at && (t->sums || !sums) ? ST_OK : st_fail_nomem(err, n * sizeof *t->starts);
}

/* ---------------------------------------------------------------- reading */

typedef struct place {
    uint64_t at; /* of the skippable frame */
    uint32_t n;
    bool sums, too_large;
} place;

static st_status fail_table(const st_source *raw, st_err *err, const char *fmt, ...) ST_PRINTF(3, 4);
static st_status fail_table(const st_source *raw, st_err *err, const char *fmt, ...)
{
    char text[200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return st_fail(err, ST_FORMAT, raw->label, NULL,
                   "its seek table is damaged: %s; `stlua verify` tells what is whole, `zstd -d` restores it", text);
}

static st_status find(st_source *raw, place *p, bool *found, st_err *err)
{
    unsigned char head[HEAD], foot[FOOT];
    *found = false;
    if (raw->size < HEAD + FOOT) return ST_OK;
    ST_TRY(raw->ops->read(raw, foot, raw->size - FOOT, FOOT, err));
    if (get32(foot + 5) != FOOT_MAGIC) return ST_OK;
    p->n = get32(foot);
    p->sums = foot[4] & HAS_SUMS;
    uint64_t payload = (uint64_t)p->n * (p->sums ? 12 : 8) + FOOT;
    if (payload > UINT32_MAX || payload + HEAD > raw->size) return ST_OK;
    p->at = raw->size - payload - HEAD;
    ST_TRY(raw->ops->read(raw, head, p->at, HEAD, err));
    bool magic = get32(head) == ST_ZSTD_SKIPPABLE + VARIANT, size = get32(head + 4) == payload;
    if (!magic && !size) return ST_OK; /* four bytes that happen to be the same */
    if (!magic || !size || (foot[4] & ~HAS_SUMS))
        return fail_table(raw, err, "the head or the end of its frame at byte %llu", (unsigned long long)p->at);
    if (p->n > ST_ZTABLE_MOST)
        return st_fail(err, ST_LIMIT, raw->label, NULL, "its seek table has %u frames, the limit is %u", p->n,
                       ST_ZTABLE_MOST);
    *found = true;
    return ST_OK;
}

static st_status read_entry(const st_source *raw, const unsigned char *e, size_t i, place *p, st_ztable *t, st_err *err)
{
    uint32_t packed = get32(e), plain = get32(e + 4);
    if (packed < LEAST_FRAME || packed > p->at - t->at[i])
        return fail_table(raw, err, "frame %zu takes %u bytes", i, packed);
    t->at[i + 1] = t->at[i] + packed;
    t->starts[i + 1] = t->starts[i] + plain;
    if (t->sums) t->sums[i] = get32(e + 8);
    p->too_large |= plain > ST_BLOCK_MOST || (plain && packed > FRAME_MOST);
    return ST_OK;
}

static st_status read_entries(st_source *raw, place *p, st_ztable *t, st_err *err)
{
    size_t width = p->sums ? 12 : 8, most = PART / width;
    unsigned char *buf = st_malloc(PART);
    st_status s = buf ? ST_OK : st_fail_nomem(err, PART);
    for (size_t i = 0; s == ST_OK && i < t->n;) {
        size_t n = t->n - i < most ? t->n - i : most;
        s = raw->ops->read(raw, buf, p->at + HEAD + (uint64_t)i * width, n * width, err);
        for (size_t k = 0; s == ST_OK && k < n; k++, i++) s = read_entry(raw, buf + k * width, i, p, t, err);
    }
    st_free(buf);
    if (s == ST_OK && t->at[t->n] != p->at)
        s = fail_table(raw, err, "its frames take %llu bytes, there are %llu before it",
                       (unsigned long long)t->at[t->n], (unsigned long long)p->at);
    return s;
}

st_status st_ztable_read(st_source *raw, st_ztable *t, bool *found, st_err *err)
{
    place p = {0};
    *t = (st_ztable){0};
    ST_TRY(find(raw, &p, found, err));
    if (!*found) return ST_OK;
    st_status s = reserve(t, p.n, p.sums, err);
    if (s == ST_OK) s = read_entries(raw, &p, t, err);
    if (s != ST_OK) st_ztable_free(t);
    t->large = p.too_large;
    *found = s == ST_OK;
    return s;
}

st_status st_ztable_check(st_source *raw, uint64_t at, uint64_t end, const char **why, st_err *err)
{
    unsigned char head[4], foot[4];
    place p = {0};
    bool found = false;
    ST_TRY(raw->ops->read(raw, head, at, sizeof head, err));
    ST_TRY(raw->ops->read(raw, foot, end - sizeof foot, sizeof foot, err));
    bool begins = get32(head) == ST_ZSTD_SKIPPABLE + VARIANT, ends = get32(foot) == FOOT_MAGIC;
    if (!begins && !ends) return ST_OK;
    st_status s = end == raw->size ? find(raw, &p, &found, err) : ST_OK;
    if (s == ST_OK && begins && ends && found && p.at == at) return ST_OK;
    *why = "it is a seek table, and damaged";
    return s == ST_OK ? ST_FORMAT : s;
}

/* ---------------------------------------------------------------- walking */

static st_status read_some(st_source *raw, uint64_t at, unsigned char *buf, size_t most, size_t *n, st_err *err)
{
    uint64_t left = at < raw->size ? raw->size - at : 0;
    *n = left < most ? (size_t)left : most;
    return *n ? raw->ops->read(raw, buf, at, *n, err) : ST_OK;
}

static st_status walk_frame(st_source *raw, uint64_t at, st_zstd_head *h, uint64_t *end, const char **why, st_err *err)
{
    unsigned char head[ST_ZSTD_HEAD_MOST], block[3];
    size_t n;
    ST_TRY(read_some(raw, at, head, sizeof head, &n, err));
    if ((*why = st_zstd_parse_head(head, n, h))) return ST_FORMAT;
    uint64_t to = at + h->bytes;
    bool last = h->skippable;
    if (last) to += h->content;
    while (!last) {
        ST_TRY(read_some(raw, to, block, sizeof block, &n, err));
        uint32_t b = n == 3 ? block[0] | (uint32_t)block[1] << 8 | (uint32_t)block[2] << 16 : 6;
        unsigned type = b >> 1 & 3; /* stored, one byte repeated, compressed, none */
        *why = n < 3 ? "it is cut off" : "its bytes are damaged";
        if (type == 3) return ST_FORMAT;
        to += 3 + (type == 1 ? 1 : b >> 3);
        last = b & 1;
    }
    if (h->checksum) to += 4;
    *why = "it is cut off";
    *end = to;
    return to <= raw->size ? ST_OK : ST_FORMAT;
}

st_status st_ztable_frame_end(st_source *raw, uint64_t at, uint64_t *end, const char **why, st_err *err)
{
    st_zstd_head h;
    return walk_frame(raw, at, &h, end, why, err);
}

static st_status walk_on(st_source *raw, st_ztable *t, size_t *cap, bool *fits, bool *broken, st_err *err)
{
    st_zstd_head h;
    const char *why;
    uint64_t at = t->n ? t->at[t->n] : 0, end;
    size_t cap2 = *cap;
    if (!st_grow((void **)&t->at, cap, t->n + 2, sizeof *t->at) ||
        !st_grow((void **)&t->starts, &cap2, t->n + 2, sizeof *t->starts))
        return st_fail_nomem(err, t->n * sizeof *t->at);
    if (t->n == 0) t->at[0] = t->starts[0] = 0;
    st_status s = walk_frame(raw, at, &h, &end, &why, err);
    /* What is damaged is found again, and told, by who reads the stream. */
    *broken = s == ST_FORMAT;
    *fits =
        s == ST_OK && (h.skippable || (h.content <= ST_BLOCK_MOST && end - at <= FRAME_MOST)) && t->n < ST_ZTABLE_MOST;
    if (!*fits) return s == ST_FORMAT ? ST_OK : s;
    t->starts[t->n + 1] = t->starts[t->n] + (h.skippable ? 0 : h.content);
    t->at[++t->n] = end;
    return ST_OK;
}

st_status st_ztable_walk(st_source *raw, st_ztable *t, bool *found, bool *broken, st_err *err)
{
    size_t cap = 0;
    st_status s = ST_OK;
    *t = (st_ztable){0};
    *broken = false;
    *found = raw->size > 0 && raw->size <= WALKED;
    while (s == ST_OK && *found && (t->n == 0 || t->at[t->n] < raw->size))
        s = walk_on(raw, t, &cap, found, broken, err);
    if (s != ST_OK || !*found) st_ztable_free(t);
    return s;
}

/* ---------------------------------------------------------------- writing */

uint64_t st_ztable_bytes(size_t n) { return HEAD + (uint64_t)n * 12 + FOOT; }

static st_status write_entries(st_sink *out, uint64_t *at, unsigned char *buf, const uint64_t *starts,
                               const uint32_t *sizes, const uint32_t *sums, size_t n, st_err *err)
{
    for (size_t i = 0; i < n;) {
        size_t part = n - i < PART / 12 ? n - i : PART / 12;
        for (size_t k = 0; k < part; k++, i++) {
            put32(buf + k * 12, sizes[i]);
            put32(buf + k * 12 + 4, (uint32_t)(starts[i + 1] - starts[i]));
            put32(buf + k * 12 + 8, sums[i]);
        }
        ST_TRY(out->ops->write(out, buf, *at, part * 12, err));
        *at += part * 12;
    }
    return ST_OK;
}

st_status st_ztable_write(st_sink *out, uint64_t at, const uint64_t *starts, const uint32_t *sizes,
                          const uint32_t *sums, size_t n, uint64_t *end, st_err *err)
{
    unsigned char head[HEAD], foot[FOOT], *buf;
    put32(head, ST_ZSTD_SKIPPABLE + VARIANT);
    put32(head + 4, (uint32_t)(st_ztable_bytes(n) - HEAD));
    put32(foot, (uint32_t)n);
    foot[4] = HAS_SUMS;
    put32(foot + 5, FOOT_MAGIC);
    ST_TRY(out->ops->write(out, head, at, HEAD, err));
    at += HEAD;
    if (!(buf = st_malloc(PART))) return st_fail_nomem(err, PART);
    st_status s = write_entries(out, &at, buf, starts, sizes, sums, n, err);
    st_free(buf);
    if (s == ST_OK) s = out->ops->write(out, foot, at, FOOT, err);
    *end = at + FOOT;
    return s;
}
