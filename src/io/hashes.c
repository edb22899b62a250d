/* hashes.c - the hashes by which programs know a model's file. Layer: io; reads files.
 *
 * Each file is one task that reads it once for both digests, of all and of the data; where there are more threads than
 * files it is two, and the page cache serves the second. Threads beyond that read for those that hash. */
#include "ahead.h"
#include "context.h"
#include "digest.h"
#include "file.h"
#include "mem.h"
#include "pack.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    V1_AT = 0x100000,
    V1_BYTES = 0x10000,
    V1_DIGITS = 8,
};

typedef struct subject {
    st_source *src;
    st_header *h; /* NULL: no safetensors file */
    uint64_t data_start;
    st_header_entry *order; /* the tensors as the reference library would order them */
    size_t count;
    bool canonical; /* as they lie */
    st_hashes *out;
} subject;

typedef enum part { WHOLE = 1, DATA = 2 } part;

typedef struct task {
    subject *of;
    unsigned parts;
} task;

typedef struct run {
    st_ctx *ctx;
    subject *subjects;
    task *tasks;
    size_t ntasks;
    _Atomic size_t next;
    st_ahead *ahead;
} run;

/* ---------------------------------------------------------------- opening */

static st_status order_tensors(subject *s, st_err *err)
{
    uint64_t size;
    s->count = st_header_count(s->h);
    s->order = st_calloc(s->count + 1, sizeof *s->order);
    if (!s->order) return st_fail_nomem(err, s->count * sizeof *s->order);
    for (size_t i = 0; i < s->count; i++) {
        st_info in = st_header_info(s->h, i);
        s->order[i] = (st_header_entry){
            .name = in.name, .name_len = in.name_len, .dtype = in.dtype, .ndim = in.ndim, .shape = in.shape, .tag = i};
    }
    ST_TRY(st_header_layout(s->order, s->count, s->src->label, &size, err));
    s->canonical = true;
    for (size_t i = 0; i < s->count; i++)
        s->canonical &= st_header_info(s->h, s->order[i].tag).begin == s->order[i].begin;
    return ST_OK;
}

static st_status open_subject(subject *s, const char *path, st_hashes *out, st_err *err)
{
    st_err why;
    s->out = out;
    *out = (st_hashes){0};
    ST_TRY(st_source_open(path, &s->src, err));
    st_status r = s->src->size < 8 ? ST_FORMAT : st_read_header(s->src, false, &s->h, &why);
    if (r == ST_OK && st_pack_is(s->h)) { /* what lies in it is no tensor that others know */
        st_header_free(s->h);
        r = ST_FORMAT;
    }
    if (r == ST_OK) {
        s->data_start = st_header_data_start(s->h);
        return order_tensors(s, err);
    }
    s->h = NULL;
    if (r == ST_FORMAT || r == ST_LIMIT) return ST_OK; /* a file like any other */
    if (err) *err = why;
    return r;
}

static void close_subject(subject *s)
{
    st_header_free(s->h);
    st_source_unref(s->src);
    st_free(s->order);
}

/* ---------------------------------------------------------------- digests of streams */

/* What a task holds while it reads. */
typedef struct reading {
    const run *all;
    const subject *of;
    unsigned worker;
    st_digest *whole, *data;
    char *buf; /* V1_BYTES */
} reading;

static st_status feed_piece(void *arg, uint64_t at, const char *p, size_t n, st_err *err)
{
    reading *r = arg;
    if (r->whole) ST_TRY(st_digest_add(r->whole, p, n, err));
    uint64_t skip = at < r->of->data_start ? r->of->data_start - at : 0;
    if (r->data && skip < n) ST_TRY(st_digest_add(r->data, p + skip, n - (size_t)skip, err));
    st_progress_add(r->all->ctx, n);
    if (r->worker == 0) st_progress_tick(r->all->ctx, false);
    return ST_OK;
}

static st_status feed(reading *r, uint64_t from, uint64_t to, st_err *err)
{
    return st_ahead_each(r->all->ahead, r->worker, r->of->src, from, to, feed_piece, r, err);
}

/* The data once more, in the order of the reference library. */
static st_status feed_in_order(reading *r, st_err *err)
{
    const subject *s = r->of;
    for (size_t i = 0; i < s->count; i++) {
        st_info in = st_header_info(s->h, s->order[i].tag);
        ST_TRY(feed(r, s->data_start + in.begin, s->data_start + in.end, err));
    }
    return ST_OK;
}

static st_status sshs_model(reading *r, const subject *s, st_err *err)
{
    if (s->canonical) {
        memcpy(s->out->sshs_model, s->out->data_sha256, sizeof s->out->sshs_model);
        return ST_OK;
    }
    st_digest_free(r->whole);
    st_digest_free(r->data);
    r->whole = r->data = NULL;
    ST_TRY(st_digest_new(&r->data, err));
    ST_TRY(feed_in_order(r, err));
    return st_digest_end(r->data, s->out->sshs_model, err);
}

/* ---------------------------------------------------------------- digests of 64 KiB */

static st_status short_hash(const char *buf, size_t n, char out[9], st_err *err)
{
    char hex[65];
    ST_TRY(st_sha256_hex(buf, n, hex, err));
    memcpy(out, hex, V1_DIGITS);
    out[V1_DIGITS] = '\0';
    return ST_OK;
}

static st_status autov1(const subject *s, char *buf, st_err *err)
{
    uint64_t size = s->src->size;
    size_t n = size <= V1_AT ? 0 : size - V1_AT < V1_BYTES ? (size_t)(size - V1_AT) : V1_BYTES;
    if (n > 0) ST_TRY(s->src->ops->read(s->src, buf, V1_AT, n, err));
    return short_hash(buf, n, s->out->autov1, err);
}

/* Length of the header that the reference library writes for the tensors and the ss_ keys. Where there are none it
 * writes an empty `__metadata__`, which ours leaves out: it is measured with an empty pair, five bytes more. */
static st_status training_header(const subject *s, uint64_t *length, st_err *err)
{
    size_t n = 0, count = st_header_meta_count(s->h), len, more = 0;
    char *text;
    st_meta_pair *meta = st_calloc(count + 1, sizeof *meta);
    if (!meta) return st_fail_nomem(err, count * sizeof *meta);
    for (size_t i = 0; i < count; i++) {
        st_header_meta(s->h, i, &meta[n].key, &meta[n].value);
        if (meta[n].key.len >= 3 && memcmp(meta[n].key.ptr, "ss_", 3) == 0) n++;
    }
    if (n == 0) {
        meta[n++] = (st_meta_pair){{"", 0}, {"", 0}};
        more = strlen("\"\":\"\"");
    }
    st_status r = st_header_write(s->order, s->count, meta, n, 0, s->src->label, &text, &len, err);
    st_free(meta);
    if (r != ST_OK) return r;
    while (text[len - 1] == ' ') len--;
    *length = (len - more + 7) / 8 * 8;
    st_free(text);
    return ST_OK;
}

/* The part of the file that lies at AutoV1's place when it is written anew. The order of metadata is random there: of
 * the header itself there is no hash. */
static st_status sshs_legacy(const subject *s, char *buf, st_err *err)
{
    uint64_t head = 0, at;
    size_t have = 0;
    ST_TRY(training_header(s, &head, err));
    if (head > V1_AT) return ST_OK;
    at = V1_AT - head;
    for (size_t i = 0; i < s->count && have < V1_BYTES; i++) {
        const st_header_entry *e = &s->order[i];
        if (e->end <= at) continue;
        st_info in = st_header_info(s->h, e->tag);
        uint64_t skip = e->begin < at ? at - e->begin : 0, n = e->end - e->begin - skip;
        if (n > V1_BYTES - have) n = V1_BYTES - have;
        ST_TRY(s->src->ops->read(s->src, buf + have, s->data_start + in.begin + skip, (size_t)n, err));
        have += (size_t)n;
    }
    return short_hash(buf, have, s->out->sshs_legacy, err);
}

/* ---------------------------------------------------------------- tasks */

static st_status do_parts(reading *r, const task *t, st_err *err)
{
    subject *s = t->of;
    if (t->parts & WHOLE) ST_TRY(st_digest_new(&r->whole, err));
    if (t->parts & DATA) ST_TRY(st_digest_new(&r->data, err));
    ST_TRY(feed(r, t->parts & WHOLE ? 0 : s->data_start, s->src->size, err));
    if (r->whole) ST_TRY(st_digest_end(r->whole, s->out->sha256, err));
    if (r->data) ST_TRY(st_digest_end(r->data, s->out->data_sha256, err));
    if (t->parts & WHOLE) ST_TRY(autov1(s, r->buf, err));
    if (!(t->parts & DATA)) return ST_OK;
    ST_TRY(sshs_model(r, s, err));
    return sshs_legacy(s, r->buf, err);
}

static st_status do_task(const run *all, const task *t, unsigned worker, st_err *err)
{
    reading r = {.all = all, .of = t->of, .worker = worker, .buf = st_malloc(V1_BYTES)};
    st_status s = r.buf ? do_parts(&r, t, err) : st_fail_nomem(err, V1_BYTES);
    st_digest_free(r.whole);
    st_digest_free(r.data);
    st_free(r.buf);
    return s;
}

static st_status work(void *arg, unsigned worker, st_err *err)
{
    run *all = arg;
    for (;;) {
        if (st_ctx_stopped(all->ctx)) return st_fail_cancelled(err);
        size_t i = atomic_fetch_add(&all->next, 1);
        if (i >= all->ntasks) break;
        ST_TRY(do_task(all, &all->tasks[i], worker, err));
        st_ahead_done(all->ahead);
    }
    st_ahead_help(all->ahead, worker);
    return ST_OK;
}

/* Opens everything before the long work, makes the tasks, and gives the bytes that will be read. */
static st_status prepare(run *all, const char *const *paths, size_t n, bool whole, st_hashes *out, uint64_t *bytes,
                         st_err *err)
{
    bool split = n < st_ctx_threads(all->ctx);
    *bytes = 0;
    for (size_t i = 0; i < n; i++) {
        subject *s = &all->subjects[i];
        ST_TRY(open_subject(s, paths[i], &out[i], err));
        bool both = s->h && !whole;
        uint64_t data = both ? s->src->size - s->data_start : 0;
        *bytes += s->src->size + (split ? data : 0) + (both && !s->canonical ? data : 0);
        all->tasks[all->ntasks++] = (task){s, WHOLE | (both && !split ? DATA : 0)};
        if (both && split) all->tasks[all->ntasks++] = (task){s, DATA};
    }
    return ST_OK;
}

static st_status check_all(const run *all, size_t n, st_err *err)
{
    for (size_t i = 0; i < n; i++) ST_TRY(all->subjects[i].src->ops->check(all->subjects[i].src, err));
    return ST_OK;
}

st_status st_hash_files(st_ctx *ctx, const char *const *paths, size_t n, bool whole, st_hashes *out, st_err *err)
{
    uint64_t bytes = 0;
    run all = {.ctx = ctx};
    all.subjects = st_calloc(n + 1, sizeof *all.subjects);
    all.tasks = st_calloc(2 * n + 1, sizeof *all.tasks);
    st_status s = all.subjects && all.tasks ? prepare(&all, paths, n, whole, out, &bytes, err)
                                            : st_fail_nomem(err, n * sizeof *all.subjects);
    unsigned workers = st_ctx_threads(ctx);
    if (workers > 2 * all.ntasks) workers = 2 * (unsigned)all.ntasks; /* one to hash, one to read for it */
    if (s == ST_OK) s = st_ahead_new(ctx, workers, all.ntasks, &all.ahead, err);
    if (s == ST_OK) {
        st_progress_begin(ctx, "hash", bytes);
        s = st_ctx_run(ctx, workers, work, &all, err);
        if (s == ST_OK) st_progress_tick(ctx, true);
    }
    if (s == ST_OK) s = check_all(&all, n, err);
    st_ahead_free(all.ahead);
    for (size_t i = 0; all.subjects && i < n; i++) close_subject(&all.subjects[i]);
    st_free(all.subjects);
    st_free(all.tasks);
    return s;
}
