/* npz.c - writing .npy, and .npz as a zip archive of stored entries. Layer: model.
 *
 * All lengths are known before, so every byte has its place; only an entry's checksum, which stands in front of it, is
 * known when its last byte is there. Entries or archives beyond 4 GiB have records of zip64. */
#include "st.h"
#include "context.h"
#include "crc32.h"
#include "hold.h"
#include "mem.h"
#include "shape.h"
#include "tensor.h"
#include "writer.h"

#include <string.h>

enum {
    CHUNK = 4 << 20, /* bytes */
    LOCAL_SIZE = 30,
    CENTRAL_SIZE = 46,
    END_SIZE = 22,
    END64_SIZE = 56 + 20,
    EXTRA_LOCAL = 20,   /* zip64: id, length, two sizes */
    EXTRA_CENTRAL = 28, /* and the place */
    NPY_MOST = 2048,
    STAMP = 0x00210000, /* 1980-01-01, so that the same tensors give the same bytes */
};

typedef struct entry {
    size_t head_len;            /* of the array's own header */
    uint64_t local, data, size; /* where its record and its bytes are; how many */
    uint32_t crc;
    bool big; /* zip64 */
} entry;

typedef struct job {
    st_ctx *ctx;
    const st_npy_item *items;
    entry *entries;
    size_t n;
    bool archive;
    uint64_t directory, size; /* of the whole file */
    st_sink *sink;
    char *buf;
    st_err *err;
} job;

/* ---------------------------------------------------------------- places */

static char *put(char *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++, v >>= 8) *p++ = (char)v;
    return p;
}

static size_t name_len(const st_npy_item *it) { return it->name_len + 4; }

/* The header of each array, and where everything goes. */
static st_status lay_out(job *j)
{
    uint64_t at = 0, directory = 0;
    char head[NPY_MOST];
    for (size_t i = 0; i < j->n; i++) {
        const st_npy_item *it = &j->items[i];
        entry *e = &j->entries[i];
        uint64_t bytes;
        ST_TRY(st_npy_header(it->named, it->t->ndim, it->t->shape, head, &e->head_len, j->err));
        if (st_dtype_bits(it->named) != st_dtype_bits(it->as))
            return st_fail(j->err, ST_ARG, NULL, it->t->name, "%s cannot be written as %s", st_dtype_name(it->as),
                           st_dtype_name(it->named));
        if (j->archive && it->name_len > 0xffff - 4)
            return st_fail_named(j->err, ST_LIMIT, NULL, it->name, it->name_len, "its name is too long for an archive");
        if (!st_dtype_bytes(it->as, it->t->numel, &bytes) || bytes > INT64_MAX / 2 || at > INT64_MAX / 4)
            return st_fail(j->err, ST_LIMIT, NULL, it->t->name, "it is too large");
        e->size = e->head_len + bytes;
        e->local = at;
        if (j->archive) {
            e->big = e->size >= UINT32_MAX || at >= UINT32_MAX;
            at += LOCAL_SIZE + name_len(it) + (e->big ? EXTRA_LOCAL : 0);
            directory += CENTRAL_SIZE + name_len(it) + (e->big ? EXTRA_CENTRAL : 0);
        }
        e->data = at;
        at += e->size;
    }
    j->directory = at;
    bool big = at + directory >= UINT32_MAX || j->n >= 0xffff;
    j->size = j->archive ? at + directory + END_SIZE + (big ? END64_SIZE : 0) : at;
    return ST_OK;
}

/* ---------------------------------------------------------------- records */

static st_status write(const job *j, const void *bytes, uint64_t at, size_t n)
{
    return n ? j->sink->ops->write(j->sink, bytes, at, n, j->err) : ST_OK;
}

/* What both records of an entry have in common. */
static char *put_about(char *p, const entry *e, const st_npy_item *it, size_t extra)
{
    p = put(p, e->big ? 45 : 20, 2);
    p = put(p, 0x800, 2); /* names are UTF-8 */
    p = put(p, 0, 2);
    p = put(p, STAMP, 4);
    p = put(p, e->crc, 4);
    p = put(p, e->big ? UINT32_MAX : e->size, 4);
    p = put(p, e->big ? UINT32_MAX : e->size, 4);
    p = put(p, name_len(it), 2);
    return put(p, extra, 2);
}

static char *put_name(char *p, const st_npy_item *it)
{
    memcpy(p, it->name, it->name_len);
    memcpy(p + it->name_len, ".npy", 4);
    return p + name_len(it);
}

static char *put_extra(char *p, const entry *e, bool central)
{
    if (!e->big) return p;
    p = put(p, 1, 2);
    p = put(p, central ? 24 : 16, 2);
    p = put(p, e->size, 8);
    p = put(p, e->size, 8);
    return central ? put(p, e->local, 8) : p;
}

static st_status write_local(const job *j, size_t i)
{
    const entry *e = &j->entries[i];
    char *p = put(j->buf, 0x04034b50, 4);
    p = put_about(p, e, &j->items[i], e->big ? EXTRA_LOCAL : 0);
    p = put_name(p, &j->items[i]);
    p = put_extra(p, e, false);
    return write(j, j->buf, e->local, (size_t)(p - j->buf));
}

static st_status write_central(const job *j, size_t i, uint64_t *at)
{
    const entry *e = &j->entries[i];
    char *p = put(j->buf, 0x02014b50, 4);
    p = put(p, e->big ? 45 : 20, 2);
    p = put_about(p, e, &j->items[i], e->big ? EXTRA_CENTRAL : 0);
    p = put(p, 0, 10); /* comment, disk, attributes */
    p = put(p, e->big ? UINT32_MAX : e->local, 4);
    p = put_name(p, &j->items[i]);
    p = put_extra(p, e, true);
    ST_TRY(write(j, j->buf, *at, (size_t)(p - j->buf)));
    *at += (uint64_t)(p - j->buf);
    return ST_OK;
}

static st_status write_end(const job *j, uint64_t at)
{
    char *p = j->buf;
    uint64_t bytes = at - j->directory;
    bool big = j->size - at > END_SIZE;
    if (big) {
        p = put(p, 0x06064b50, 4);
        p = put(p, 56 - 12, 8);
        p = put(p, 45, 2);
        p = put(p, 45, 2);
        p = put(p, 0, 8);
        p = put(p, j->n, 8);
        p = put(p, j->n, 8);
        p = put(p, bytes, 8);
        p = put(p, j->directory, 8);
        p = put(p, 0x07064b50, 4);
        p = put(p, 0, 4);
        p = put(p, at, 8);
        p = put(p, 1, 4);
    }
    p = put(p, 0x06054b50, 4);
    p = put(p, 0, 4);
    p = put(p, big ? 0xffff : j->n, 2);
    p = put(p, big ? 0xffff : j->n, 2);
    p = put(p, big ? UINT32_MAX : bytes, 4);
    p = put(p, big ? UINT32_MAX : j->directory, 4);
    p = put(p, 0, 2);
    return write(j, j->buf, at, (size_t)(p - j->buf));
}

/* ---------------------------------------------------------------- bytes */

static st_status write_values(job *j, size_t i)
{
    const st_npy_item *it = &j->items[i];
    entry *e = &j->entries[i];
    size_t width = st_dtype_bits(it->as) / 8, most = CHUNK / width;
    uint64_t at = e->data + e->head_len;
    char head[NPY_MOST];
    ST_TRY(st_npy_header(it->named, it->t->ndim, it->t->shape, head, &e->head_len, j->err));
    e->crc = st_crc32(0, head, e->head_len);
    ST_TRY(write(j, head, e->data, e->head_len));
    for (uint64_t first = 0; first < it->t->numel; first += most) {
        size_t n = it->t->numel - first < most ? (size_t)(it->t->numel - first) : most;
        if (st_ctx_cancelled(j->ctx)) return st_fail_cancelled(j->err);
        ST_TRY(st_export(j->ctx, it->t, first, n, it->as, j->buf, j->err));
        if (j->archive) e->crc = st_crc32(e->crc, j->buf, n * width);
        ST_TRY(write(j, j->buf, at, n * width));
        at += n * width;
        st_progress_add(j->ctx, n * width);
        st_progress_tick(j->ctx, false);
    }
    return j->archive ? write_local(j, i) : ST_OK;
}

/* What an array needs in memory is dropped behind it. */
static st_status write_entry(job *j, size_t i)
{
    st_need need;
    st_ctx_lock(j->ctx);
    st_status s = st_pin(j->items[i].t, &need, j->err);
    st_ctx_unlock(j->ctx);
    if (s == ST_OK) s = write_values(j, i);
    st_ctx_lock(j->ctx);
    if (need != ST_NEED_NOTHING) st_unpin(j->items[i].t);
    st_ctx_unlock(j->ctx);
    return s;
}

static st_status write_all(job *j)
{
    uint64_t at = j->directory;
    st_progress_begin(j->ctx, "write", j->size);
    for (size_t i = 0; i < j->n; i++) ST_TRY(write_entry(j, i));
    for (size_t i = 0; j->archive && i < j->n; i++) ST_TRY(write_central(j, i, &at));
    if (j->archive) ST_TRY(write_end(j, at));
    st_progress_tick(j->ctx, true);
    for (size_t i = 0; i < j->n; i++) ST_TRY(st_check_sources(j->items[i].t, true, j->err));
    ST_TRY(j->sink->ops->sync(j->sink, j->err));
    return j->sink->ops->commit(j->sink, j->err);
}

st_status st_npy_save(st_ctx *ctx, const char *path, const st_npy_item *items, size_t n, bool archive,
                      const st_save_opts *opts, st_err *err)
{
    job j = {.ctx = ctx, .items = items, .n = n, .archive = archive, .err = err};
    st_writer_opts w = {.no_sync = opts && opts->no_sync, .no_replace = opts && opts->no_replace, .ctx = ctx};
    if (!archive && n != 1) return st_fail(err, ST_ARG, path, NULL, "a .npy file holds one array, not %zu", n);
    j.entries = st_calloc(n, sizeof *j.entries);
    j.buf = st_malloc(CHUNK);
    st_status s = j.entries && j.buf ? lay_out(&j) : st_fail_nomem(err, n * sizeof *j.entries);
    if (s == ST_OK) s = st_writer_open(path, j.size, &w, &j.sink, err);
    if (s == ST_OK) s = write_all(&j);
    if (j.sink) j.sink->ops->free(j.sink);
    st_free(j.buf);
    st_free(j.entries);
    return s;
}
