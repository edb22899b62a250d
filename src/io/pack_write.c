/* pack_write.c - packing a file: every thread takes the next chunk, and what comes out is written in order. Layer: io;
 * writes by the save protocol alone. */
#include "append.h"
#include "context.h"
#include "digest.h"
#include "file.h"
#include "mem.h"
#include "pack.h"
#include "pack_plan.h"
#include "writer.h"

#include <stdio.h>
#include <string.h>

typedef struct packer {
    st_ctx *ctx;
    st_file *file;
    const st_pack_opts *opts;
    st_source *src, *base;
    st_pack_unit *units;
    size_t count;
    size_t at, chunk; /* what is taken next: a unit, its chunk */
    st_append *append;
    char sha256[65]; /* of the base */
} packer;

/* What one thread works with. */
typedef struct bench {
    st_coder *coder;
    char *raw, *base, *out;
} bench;

/* ---------------------------------------------------------------- chunks */

/* The next chunk, read. In order and under the lock, since the hash of a tensor goes on from one to the next. False:
 * there is none. A tensor without bytes counts as one chunk. */
static st_status take(packer *p, bench *w, st_pack_unit **unit, uint32_t *chunk, bool *more, st_err *err)
{
    st_status s = ST_OK;
    st_ctx_lock(p->ctx);
    *more = p->at < p->count;
    if (*more) {
        st_pack_unit *u = *unit = &p->units[p->at];
        *chunk = (uint32_t)p->chunk;
        s = st_pack_unit_read(u, *chunk, p->src, p->base, w->raw, w->base, err);
        if (++p->chunk >= u->tail.chunks) {
            p->chunk = 0;
            p->at++;
        }
        if (s != ST_OK) p->at = p->count; /* the unit is not whole: nobody goes on with it */
    }
    st_ctx_unlock(p->ctx);
    return s;
}

/* All chunks of it are packed: what stands behind them. */
static st_status finish(packer *p, st_pack_unit *u, st_err *err)
{
    size_t n = (size_t)st_pack_end_bytes(&u->tail);
    char *end = st_malloc(n);
    if (!end) return st_fail_nomem(err, n);
    st_pack_put_end(&u->tail, u->table, end);
    st_status s = st_append_put(p->append, u->first + u->tail.chunks, end, n, err);
    u->packed += n;
    st_free(end);
    if (s == ST_OK && u == p->units && !st_pack_header_fits(u->length, u->packed))
        s = st_fail(
            err, ST_LIMIT, p->src->label, NULL,
            "its header of %llu bytes says next to nothing (it packs to %llu): save the model anew before it is "
            "packed",
            (unsigned long long)u->length, (unsigned long long)u->packed);
    if (u == p->units) return s; /* it is written once more */
    st_free(u->table);
    u->table = NULL;
    return s;
}

static st_status pack_chunk(packer *p, bench *w, st_pack_unit *u, uint32_t k, st_err *err)
{
    size_t n = st_pack_chunk_bytes(&u->tail, k), row = st_pack_row(&u->tail), len = 0;
    if (u->tail.kind == ST_PACK_PLANES)
        ST_TRY(st_coder_pack(w->coder, u->tail.transform, u->tail.lane, w->raw,
                             st_pack_needs_base(&u->tail) ? w->base : NULL, n, w->out, u->table + k * row + 1, &len,
                             err));
    u->table[k * row] = st_pack_check(w->raw, n, w->out, len);
    ST_TRY(st_append_put(p->append, u->first + k, w->out, len, err));
    st_ctx_lock(p->ctx);
    u->packed += len;
    bool last = --u->left == 0;
    st_ctx_unlock(p->ctx);
    st_progress_add(p->ctx, n);
    return last ? finish(p, u, err) : ST_OK;
}

static st_status pack_chunks(packer *p, bench *w, unsigned worker, st_err *err)
{
    for (bool more = true; more && !st_ctx_stopped(p->ctx);) {
        st_pack_unit *u;
        uint32_t k;
        ST_TRY(take(p, w, &u, &k, &more, err));
        if (more) ST_TRY(u->tail.chunks ? pack_chunk(p, w, u, k, err) : finish(p, u, err));
        if (worker == 0) st_progress_tick(p->ctx, false);
    }
    return ST_OK;
}

static st_status work(void *arg, unsigned worker, st_err *err)
{
    packer *p = arg;
    size_t most = (size_t)1 << ST_PACK_CHUNK_LOG2;
    bench w = {.raw = st_malloc(most), .base = st_malloc(most), .out = st_malloc(st_coder_bound(most))};
    st_status s = w.raw && w.base && w.out ? st_coder_new(p->src->label, &w.coder, err) : st_fail_nomem(err, 4 * most);
    /* One thread names the base while the others have begun. */
    if (s == ST_OK && worker == 0 && p->base && !*p->sha256)
        s = st_sha256_source(p->ctx, p->base, 0, p->base->size, p->sha256, err);
    if (s == ST_OK) s = pack_chunks(p, &w, worker, err);
    st_coder_free(w.coder);
    st_free(w.raw);
    st_free(w.base);
    st_free(w.out);
    return s;
}

/* ---------------------------------------------------------------- the file around them */

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static st_text text_of(const char *s) { return (st_text){s, strlen(s)}; }

/* The header for payloads of the given sizes; what is measured is `widest`: offsets as long as they can become. */
static st_status make_header(const packer *p, bool widest, char **text, size_t *len, st_err *err)
{
    size_t nmeta = st_file_meta_count(p->file), m = 0;
    st_header_entry *e = st_calloc(p->count, sizeof *e);
    int64_t *shape = st_calloc(p->count, sizeof *shape);
    st_meta_pair *meta = st_calloc(nmeta + 4, sizeof *meta);
    char size[24];
    st_status s = e && shape && meta ? ST_OK : st_fail_nomem(err, p->count * sizeof *e);
    uint64_t at = 0, most = 0;
    for (size_t i = 0; s == ST_OK && i < p->count; i++)
        most += p->units[i].length + st_pack_end_bytes(&p->units[i].tail);
    for (size_t i = 0; s == ST_OK && i < p->count; i++) {
        const st_pack_unit *u = &p->units[i];
        shape[i] = (int64_t)(widest ? most : u->packed);
        e[i] = (st_header_entry){.name = u->name,
                                 .name_len = u->name_len,
                                 .dtype = ST_U8,
                                 .ndim = 1,
                                 .shape = &shape[i],
                                 .begin = widest ? most : at,
                                 .end = widest ? most : at + u->packed};
        at += u->packed;
    }
    for (; s == ST_OK && m < nmeta; m++) st_file_meta(p->file, m, &meta[m].key, &meta[m].value);
    if (s == ST_OK) {
        snprintf(size, sizeof size, "%llu", (unsigned long long)st_file_size(p->file));
        meta[m++] = (st_meta_pair){text_of(ST_PACK_META), text_of("1")};
        meta[m++] = (st_meta_pair){text_of(ST_PACK_META_SIZE), text_of(size)};
        if (p->base) {
            meta[m++] = (st_meta_pair){text_of(ST_PACK_META_BASE), text_of(file_name(p->base->label))};
            meta[m++] = (st_meta_pair){text_of(ST_PACK_META_BASE_SHA256), text_of(p->sha256)};
        }
        s = st_header_write(e, p->count, meta, m, 8, p->src->label, text, len, err);
    }
    st_free(meta);
    st_free(shape);
    st_free(e);
    return s;
}

/* The end of the first payload, now that the file's own header is known. */
static st_status sign(packer *p, st_sink *k, const char *head, size_t room, st_err *err)
{
    st_pack_unit *u = p->units;
    size_t n = (size_t)st_pack_end_bytes(&u->tail);
    char *end = st_malloc(n);
    if (!end) return st_fail_nomem(err, n);
    u->tail.base_hash = XXH64(head, room, 0);
    st_pack_put_end(&u->tail, u->table, end);
    st_status s = k->ops->write(k, end, room + u->packed - n, n, err);
    st_free(end);
    return s;
}

/* Spaces behind the JSON until it is `room` bytes. */
static st_status write_header(packer *p, st_sink *k, size_t room, st_err *err)
{
    char *text;
    size_t len;
    ST_TRY(make_header(p, false, &text, &len, err));
    char *padded = len <= room ? st_realloc(text, room) : NULL;
    if (!padded) {
        st_free(text);
        return st_fail_nomem(err, room);
    }
    memset(padded + len, ' ', room - len);
    for (int i = 0; i < 8; i++) padded[i] = (char)((room - 8) >> (8 * i));
    st_status s = k->ops->write(k, padded, 0, room, err);
    if (s == ST_OK) s = sign(p, k, padded, room, err);
    st_free(padded);
    return s;
}

static st_status measure_header(packer *p, size_t *room, st_err *err)
{
    char *text;
    if (p->base && !*p->sha256) memset(p->sha256, '0', 64); /* as long as the real one */
    st_status s = make_header(p, true, &text, room, err);
    if (!p->opts->base_sha256) *p->sha256 = '\0';
    if (s == ST_OK) st_free(text);
    return s;
}

static st_status write_file(packer *p, st_sink *k, size_t room, st_err *err)
{
    ST_TRY(st_append_new(k, room, p->ctx, &p->append, err));
    st_progress_begin(p->ctx, "pack", st_file_size(p->file));
    ST_TRY(st_ctx_run(p->ctx, st_ctx_threads(p->ctx), work, p, err));
    if (st_ctx_cancelled(p->ctx)) return st_fail_cancelled(err);
    st_progress_tick(p->ctx, true);
    ST_TRY(write_header(p, k, room, err));
    ST_TRY(k->ops->end(k, st_append_end(p->append), err));
    ST_TRY(k->ops->sync(k, err));
    ST_TRY(st_source_settle(p->src, err));
    ST_TRY(p->src->ops->check(p->src, err));
    if (p->base) ST_TRY(st_source_settle(p->base, err));
    if (p->base) ST_TRY(p->base->ops->check(p->base, err));
    return k->ops->commit(k, err);
}

static void count(const packer *p, uint64_t size, st_pack_stats *stats)
{
    *stats = (st_pack_stats){.before = st_file_size(p->file), .after = size, .tensors = p->count - 1};
    for (size_t i = 1; i < p->count; i++) {
        const st_pack_tail *t = &p->units[i].tail;
        stats->as_base += t->kind == ST_PACK_AS_BASE;
        stats->as_earlier += t->kind == ST_PACK_AS_EARLIER;
        stats->deltas += t->kind == ST_PACK_PLANES && st_pack_needs_base(t);
    }
    memcpy(stats->base_sha256, p->sha256, sizeof stats->base_sha256);
}

static st_status pack(packer *p, const char *path, st_pack_stats *stats, st_err *err)
{
    size_t room;
    st_writer_opts w = {
        .no_sync = p->opts->no_sync, .no_replace = p->opts->no_replace, .ctx = p->ctx, .open_ended = true};
    ST_TRY(st_pack_plan(p->ctx, p->file, p->opts->base, &p->units, &p->count, err));
    ST_TRY(measure_header(p, &room, err));
    uint64_t most = room;
    for (size_t i = 0; i < p->count; i++) most += p->units[i].length + st_pack_end_bytes(&p->units[i].tail);
    st_sink *k;
    ST_TRY(st_writer_open(path, most, &w, &k, err));
    st_status s = write_file(p, k, room, err);
    if (s == ST_OK && stats) count(p, k->size, stats);
    st_append_free(p->append);
    k->ops->free(k);
    return s;
}

st_status st_file_pack(st_ctx *ctx, st_file *f, const char *path, const st_pack_opts *o, st_pack_stats *stats,
                       st_err *err)
{
    static const st_pack_opts none = {0};
    packer p = {.ctx = ctx, .file = f, .opts = o ? o : &none, .src = st_file_source(f)};
    if (p.opts->base) p.base = st_file_source(p.opts->base);
    if (p.base && p.opts->base_sha256) snprintf(p.sha256, sizeof p.sha256, "%s", p.opts->base_sha256);
    ST_TRY(st_file_want_safetensors(f, "packing", err));
    if (p.opts->base) ST_TRY(st_file_want_safetensors(p.opts->base, "packing", err));
    st_status s = pack(&p, path, stats, err);
    st_pack_plan_free(p.units, p.count);
    return s;
}
