/* zsink.c - compressing what is written, frame by frame: a write that is a whole frame is compressed from where it
 * lies, parts are collected first. Who completes a frame compresses it. Layer: io; may touch memory and the sink below.
 */
#include "zsink.h"
#include "append.h"
#include "mem.h"
#include "zcodec.h"
#include "zsource.h"
#include "ztable.h"

#include <pthread.h>
#include <string.h>

/* A frame of which some is there. */
typedef struct part {
    struct part *next;
    size_t number, size, filled;
    unsigned char bytes[];
} part;

typedef struct scratch {
    struct scratch *next;
    st_zstd *z;
    unsigned char *plain, *packed;
    size_t plain_cap, packed_cap;
} scratch;

typedef struct zsink {
    st_sink sink;
    st_sink *inner;
    st_zcuts cuts;
    st_append *append;
    uint32_t *sizes, *sums; /* of the frames that are done */
    _Atomic size_t done;
    _Atomic bool failed;
    bool ended;
    pthread_mutex_t lock; /* of what follows */
    part *parts;
    scratch *spare;
} zsink;

static zsink *of(st_sink *k) { return (zsink *)(void *)k; }

/* ---------------------------------------------------------------- scratch */

static void free_scratch(scratch *w)
{
    st_zstd_free(w->z);
    st_free(w->plain);
    st_free(w->packed);
    st_free(w);
}

static void free_spare(zsink *z)
{
    pthread_mutex_lock(&z->lock);
    scratch *w = z->spare;
    z->spare = NULL;
    pthread_mutex_unlock(&z->lock);
    for (scratch *next; w; w = next) {
        next = w->next;
        free_scratch(w);
    }
}

static st_status take_scratch(zsink *z, scratch **out, st_err *err)
{
    pthread_mutex_lock(&z->lock);
    scratch *w = z->spare;
    if (w) z->spare = w->next;
    pthread_mutex_unlock(&z->lock);
    if (!w) {
        w = st_calloc(1, sizeof *w);
        if (!w) return st_fail_nomem(err, sizeof *w);
        st_status s = st_zstd_new(z->inner->label, &w->z, err);
        if (s != ST_OK) {
            free_scratch(w);
            return s;
        }
    }
    *out = w;
    return ST_OK;
}

static void give_scratch(zsink *z, scratch *w)
{
    pthread_mutex_lock(&z->lock);
    w->next = z->spare;
    z->spare = w;
    pthread_mutex_unlock(&z->lock);
}

/* ---------------------------------------------------------------- whole frames */

static size_t frame_size(const zsink *z, size_t i) { return (size_t)(z->cuts.starts[i + 1] - z->cuts.starts[i]); }

static st_status compress(zsink *z, size_t i, const void *plain, scratch *w, st_err *err)
{
    size_t n = frame_size(z, i), cap = st_zstd_bound(n), made;
    ST_TRY(st_make_room((void **)&w->packed, &w->packed_cap, cap, 0, err));
    ST_TRY(st_zstd_compress_best(w->z, true, plain, n, w->packed, cap, &made, err));
    const unsigned char *sum = w->packed + made - 4;
    z->sizes[i] = (uint32_t)made;
    z->sums[i] = sum[0] | (uint32_t)sum[1] << 8 | (uint32_t)sum[2] << 16 | (uint32_t)sum[3] << 24;
    return st_append_put(z->append, i, w->packed, made, err);
}

/* `plain`, or what lies in `src` at `from`. */
static st_status put_frame(zsink *z, size_t i, const void *plain, st_source *src, uint64_t from, st_err *err)
{
    scratch *w = NULL;
    size_t n = frame_size(z, i);
    ST_TRY(take_scratch(z, &w, err));
    st_status s = ST_OK;
    if (!plain) {
        s = st_make_room((void **)&w->plain, &w->plain_cap, n, 0, err);
        if (s == ST_OK) s = src->ops->read(src, w->plain, from, n, err);
        plain = w->plain;
    }
    if (s == ST_OK) s = compress(z, i, plain, w, err);
    give_scratch(z, w);
    /* Sinks of other shards wait for theirs. */
    if (s == ST_OK && ++z->done == z->cuts.n) free_spare(z);
    return s;
}

/* ---------------------------------------------------------------- parts of frames */

static st_status find_part(zsink *z, size_t i, part **out, st_err *err)
{
    size_t n = frame_size(z, i);
    pthread_mutex_lock(&z->lock);
    part *p = z->parts;
    while (p && p->number != i) p = p->next;
    if (!p && (p = st_malloc(sizeof *p + n))) {
        *p = (part){.next = z->parts, .number = i, .size = n};
        z->parts = p;
    }
    pthread_mutex_unlock(&z->lock);
    *out = p;
    return p ? ST_OK : st_fail_nomem(err, sizeof *p + n);
}

/* n bytes more are there. True: it was the last; the part is the caller's. */
static bool complete(zsink *z, part *p, size_t n)
{
    pthread_mutex_lock(&z->lock);
    p->filled += n;
    bool all = p->filled >= p->size;
    part **to = &z->parts;
    while (all && *to != p) to = &(*to)->next;
    if (all) *to = p->next;
    pthread_mutex_unlock(&z->lock);
    return all;
}

static st_status put_part(zsink *z, size_t i, size_t at, const void *bytes, st_source *src, uint64_t from, size_t n,
                          st_err *err)
{
    part *p;
    ST_TRY(find_part(z, i, &p, err));
    if (bytes)
        memcpy(p->bytes + at, bytes, n);
    else
        ST_TRY(src->ops->read(src, p->bytes + at, from, n, err));
    if (!complete(z, p, n)) return ST_OK;
    st_status s = put_frame(z, i, p->bytes, NULL, 0, err);
    st_free(p);
    return s;
}

/* ---------------------------------------------------------------- the sink */

static size_t frame_at(const zsink *z, uint64_t off)
{
    size_t low = 0, high = z->cuts.n;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (z->cuts.starts[mid] <= off)
            low = mid;
        else
            high = mid;
    }
    return low;
}

static st_status put(zsink *z, const char *bytes, st_source *src, uint64_t from, uint64_t off, uint64_t n, st_err *err)
{
    if (off > z->sink.size || n > z->sink.size - off || z->ended)
        return st_fail(err, ST_INTERNAL, z->sink.label, NULL,
                       "a write of %llu bytes at %llu does not fit the file of %llu bytes", (unsigned long long)n,
                       (unsigned long long)off, (unsigned long long)z->sink.size);
    for (size_t i = n ? frame_at(z, off) : 0; n > 0; i++) {
        size_t size = frame_size(z, i), at = (size_t)(off - z->cuts.starts[i]);
        size_t some = size - at < n ? size - at : (size_t)n;
        if (some == size)
            ST_TRY(put_frame(z, i, bytes, src, from, err));
        else
            ST_TRY(put_part(z, i, at, bytes, src, from, some, err));
        if (bytes) bytes += some;
        from += some;
        off += some;
        n -= some;
    }
    return ST_OK;
}

static st_status sink_write(st_sink *k, const void *buf, uint64_t off, size_t n, st_err *err)
{
    st_status s = put(of(k), buf, NULL, 0, off, n, err);
    if (s != ST_OK) of(k)->failed = true;
    return s;
}

static st_status sink_copy(st_sink *k, st_source *src, uint64_t soff, uint64_t doff, uint64_t n, st_err *err)
{
    st_status s = put(of(k), NULL, src, soff, doff, n, err);
    if (s != ST_OK) of(k)->failed = true;
    return s;
}

static st_status finish(zsink *z, st_err *err)
{
    uint64_t end;
    if (z->ended) return ST_OK;
    if (z->failed || z->done != z->cuts.n || st_append_count(z->append) != z->cuts.n)
        return st_fail(err, ST_INTERNAL, z->sink.label, NULL, "%zu of %zu frames are there", (size_t)z->done,
                       z->cuts.n);
    ST_TRY(
        st_ztable_write(z->inner, st_append_end(z->append), z->cuts.starts, z->sizes, z->sums, z->cuts.n, &end, err));
    if (!st_zsource_header_fits(z->cuts.head - 8, end))
        return st_fail(err, ST_LIMIT, z->sink.label, NULL,
                       "the header of %llu bytes says next to nothing (all compresses to %llu), and would be refused "
                       "when it is read: save the model anew or with less metadata, or leave it uncompressed",
                       (unsigned long long)z->cuts.head - 8, (unsigned long long)end);
    ST_TRY(z->inner->ops->end(z->inner, end, err));
    z->ended = true;
    return ST_OK;
}

static st_status sink_flush(st_sink *k, st_err *err) { return of(k)->inner->ops->flush(of(k)->inner, err); }

static st_status sink_sync(st_sink *k, st_err *err)
{
    ST_TRY(finish(of(k), err));
    return of(k)->inner->ops->sync(of(k)->inner, err);
}

static st_status sink_commit(st_sink *k, st_err *err)
{
    ST_TRY(finish(of(k), err));
    return of(k)->inner->ops->commit(of(k)->inner, err);
}

static void sink_free(st_sink *k)
{
    zsink *z = of(k);
    if (z->inner) z->inner->ops->free(z->inner);
    free_spare(z);
    for (part *p = z->parts, *next; p; p = next) {
        next = p->next;
        st_free(p);
    }
    st_append_free(z->append);
    st_zcuts_free(&z->cuts);
    st_free(z->sizes);
    st_free(z->sums);
    pthread_mutex_destroy(&z->lock);
    st_free(z);
}

static const st_sink_ops sink_ops = {.write = sink_write,
                                     .copy = sink_copy,
                                     .flush = sink_flush,
                                     .sync = sink_sync,
                                     .commit = sink_commit,
                                     .free = sink_free};

uint64_t st_zsink_stored(const st_sink *k) { return ((const zsink *)(const void *)k)->inner->size; }

uint64_t st_zsink_stretch(const st_sink *k, uint64_t off)
{
    const zsink *z = (const zsink *)(const void *)k;
    return z->cuts.starts[frame_at(z, off) + 1] - off;
}

static st_status set_up(zsink *z, const st_zcuts *cuts, st_ctx *ctx, st_err *err)
{
    size_t n = cuts->n + 1;
    ST_TRY(st_zstd_load(err));
    z->cuts = *cuts;
    z->cuts.starts = st_calloc(n, sizeof *cuts->starts);
    z->sizes = st_calloc(n, sizeof *z->sizes);
    z->sums = st_calloc(n, sizeof *z->sums);
    if (!z->cuts.starts || !z->sizes || !z->sums) return st_fail_nomem(err, n * sizeof *cuts->starts);
    memcpy(z->cuts.starts, cuts->starts, n * sizeof *cuts->starts);
    return st_append_new(z->inner, 0, ctx, &z->append, err);
}

st_status st_zsink_new(st_sink *inner, const st_zcuts *cuts, st_ctx *ctx, st_sink **out, st_err *err)
{
    *out = NULL;
    zsink *z = st_calloc(1, sizeof *z);
    if (!z || pthread_mutex_init(&z->lock, NULL) != 0) {
        inner->ops->free(inner);
        st_free(z);
        return st_fail_nomem(err, sizeof *z);
    }
    z->sink = (st_sink){.ops = &sink_ops, .size = cuts->end, .label = inner->label};
    z->inner = inner;
    st_status s = set_up(z, cuts, ctx, err);
    if (s != ST_OK) {
        sink_free(&z->sink);
        return s;
    }
    *out = &z->sink;
    return ST_OK;
}
