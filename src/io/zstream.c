/* zstream.c - a zstd file that can only be decoded from its beginning on: the last bytes that were made are kept, and
 * who wants what lies before them gets it from a temporary file, into which all is decoded once more. Layer: io; may
 * touch sources, memory and a temporary file. */
#include "blocks.h"
#include "context.h"
#include "mem.h"
#include "spool.h"
#include "sys.h"
#include "zcodec.h"
#include "zsource.h"
#include "ztable.h"

#include <stdatomic.h>
#include <string.h>

enum {
    KEPT = 8 << 20, /* bytes of what was made last */
    INPUT = 128 << 10,
    STEP = 128 << 10,
    WINDOW_FREE = 32 << 20, /* bytes that a frame may ask a decoder to keep, unless more memory is allowed */
};

/* A thread that wants bytes from an offset on. */
typedef struct waiting {
    uint64_t off;
    struct waiting *next;
} waiting;

typedef struct zstream {
    st_source base;
    st_source *raw;
    st_header *h;
    uint64_t first_content; /* of the first frame, if it tells */
    uint64_t content;       /* of the frame that is being decoded */
    st_ztable table;        /* to be checked, where there is one that could not be used */
    size_t entry;           /* of the next frame in it */
    bool broken;            /* its end is not a frame's */

    pthread_mutex_t lock; /* of these three */
    pthread_cond_t turn;
    waiting *queue; /* who wants the least offset comes first, lest the others leave it behind what is kept */
    bool busy;      /* one thread has all that follows, but what is atomic */

    st_zstd_stream *z;        /* NULL: asleep, at the beginning */
    unsigned char *in, *kept; /* the latter of `room` bytes */
    size_t room;
    size_t in_n, in_used;
    uint64_t in_at;                 /* of in[0], in the compressed file */
    uint64_t front;                 /* bytes made */
    bool between;                   /* a frame begins next */
    bool done;                      /* that was all, and nothing is left over */
    bool checks;                    /* it is read for nothing but to be checked */
    bool blind;                     /* a frame without a checksum was met */
    bool lost;                      /* behind a damaged frame that does not tell its size */
    uint64_t frame_at, frame_front; /* where the frame began, here and there */
    uint64_t sound;                 /* the end of the data that a checksum vouches for */
    uint64_t served;                /* bytes read since it woke */
    st_status failed;               /* and so does every further read */
    st_err why;
    _Atomic int spool; /* -1: none */
    _Atomic uint64_t spooled;
    _Atomic uint64_t given; /* the end of the data that were read */
} zstream;

static zstream *of(st_source *s) { return (zstream *)(void *)s; }

/* ---------------------------------------------------------------- one thread at a time */

static void take(zstream *x, uint64_t off)
{
    waiting own = {.off = off}, **at = &x->queue;
    pthread_mutex_lock(&x->lock);
    while (*at && (*at)->off <= off) at = &(*at)->next;
    own.next = *at;
    *at = &own;
    while (x->busy || x->queue != &own) pthread_cond_wait(&x->turn, &x->lock);
    x->queue = own.next;
    x->busy = true;
    pthread_mutex_unlock(&x->lock);
}

static void give(zstream *x)
{
    pthread_mutex_lock(&x->lock);
    x->busy = false;
    pthread_cond_broadcast(&x->turn);
    pthread_mutex_unlock(&x->lock);
}

/* ---------------------------------------------------------------- asleep and awake */

static void free_decoder(zstream *x)
{
    st_zstd_stream_free(x->z);
    st_free(x->in);
    st_free(x->kept);
    x->z = NULL;
    x->in = x->kept = NULL;
}

static void fall_asleep(zstream *x)
{
    free_decoder(x);
    x->in_n = x->in_used = 0;
    x->in_at = x->front = x->sound = x->served = 0;
    x->between = true;
    x->done = false;
}

static uint64_t window_allowed(void)
{
    uint64_t more = st_memory_allowed();
    return more > WINDOW_FREE ? more : WINDOW_FREE;
}

static st_status wake(zstream *x, st_err *err)
{
    ST_TRY(st_zstd_stream_new(window_allowed(), &x->z, err));
    x->room = x->base.size == ST_SIZE_UNKNOWN ? 2 * STEP : x->base.size < KEPT ? (size_t)x->base.size + 1 : KEPT;
    x->in = st_malloc(INPUT);
    x->kept = st_malloc(x->room);
    if (x->in && x->kept) return ST_OK;
    fall_asleep(x);
    return st_fail_nomem(err, x->room);
}

/* ---------------------------------------------------------------- decoding */

static st_status fail_frame(const zstream *x, const char *why, st_err *err)
{
    uint64_t end = x->front > x->frame_front ? x->front : x->frame_front;
    if (x->lost)
        return st_fail(err, ST_FORMAT, x->base.label, NULL, "the frame at byte %llu of the compressed file: %s",
                       (unsigned long long)x->frame_at, why);
    return st_header_fail_place(x->h, x->base.label, end, end, err,
                                "in the frame at byte %llu of the compressed one: %s", (unsigned long long)x->frame_at,
                                why);
}

static st_status check_window(const zstream *x, uint64_t window, st_err *err)
{
    uint64_t most = window_allowed();
    if (window <= most) return ST_OK;
    return st_fail(err, ST_LIMIT, x->base.label, NULL,
                   "its frame at byte %llu needs a window of %llu bytes to be decoded, %llu are allowed: allow more "
                   "(--memory, st.memory), or unpack it with `zstd -d --memory=%lluMB`",
                   (unsigned long long)x->frame_at, (unsigned long long)window, (unsigned long long)most,
                   (unsigned long long)(window >> 20) + 1);
}

static void move_to(zstream *x, uint64_t at)
{
    x->in_at = at;
    x->in_n = x->in_used = 0;
}

/* The frame that ends where the input stands now: is it what the table says? */
static st_status check_entry(const zstream *x, uint64_t end, st_err *err)
{
    const st_ztable *t = &x->table;
    size_t i = x->entry - 1;
    if (i >= t->n) return ST_OK;
    bool fits =
        t->at[i] == x->frame_at && t->at[i + 1] == end && t->starts[i + 1] - t->starts[i] == x->front - x->frame_front;
    return fits ? ST_OK : fail_frame(x, "the seek table tells other sizes of it", err);
}

/* Passes over skippable frames to the next one with content, or to the end. */
static st_status begin_frame(zstream *x, st_err *err)
{
    for (;;) {
        unsigned char head[ST_ZSTD_HEAD_MOST];
        st_zstd_head h;
        uint64_t at = x->in_at + x->in_used, left = x->raw->size - at;
        size_t n = left < sizeof head ? (size_t)left : sizeof head;
        x->frame_at = at;
        x->frame_front = x->front;
        x->done = left == 0;
        if (x->done) return ST_OK;
        x->entry++;
        ST_TRY(x->raw->ops->read(x->raw, head, at, n, err));
        const char *why = st_zstd_parse_head(head, n, &h);
        if (!why && h.skippable && h.content > left - h.bytes) why = "it is cut off";
        if (!why && h.dictionary) why = "it was made with a dictionary, which is not supported";
        if (!why && h.skippable && x->checks) {
            st_status s = st_ztable_check(x->raw, at, at + h.bytes + h.content, &why, err);
            if (s != ST_OK && s != ST_FORMAT) return s;
        }
        if (why) return fail_frame(x, why, err);
        if (h.skippable) {
            move_to(x, at + h.bytes + h.content);
            ST_TRY(check_entry(x, x->in_at, err));
            continue;
        }
        if (x->front == 0) x->first_content = h.content;
        x->content = h.content;
        if (h.content != ST_ZSTD_UNKNOWN && h.content > x->base.size - x->front)
            return fail_frame(x, "it holds more than the header describes", err);
        x->blind |= !h.checksum;
        x->between = false;
        return check_window(x, h.window, err);
    }
}

static st_status fill_input(zstream *x, st_err *err)
{
    if (x->in_used < x->in_n) return ST_OK;
    uint64_t at = x->in_at + x->in_n, left = x->raw->size - at;
    if (left == 0) return fail_frame(x, "it is cut off", err);
    move_to(x, at);
    size_t n = left < INPUT ? (size_t)left : INPUT;
    ST_TRY(x->raw->ops->read(x->raw, x->in, at, n, err));
    x->in_n = n;
    return ST_OK;
}

static st_status keep_in_spool(zstream *x, const void *p, size_t n, st_err *err)
{
    if (x->spool < 0 || x->front + n <= x->spooled) return ST_OK; /* or it lies there since an earlier try */
    return st_spool_write(x->spool, x->base.label, p, x->front, n, err);
}

/* Some bytes more, or a frame's end, or the end of all. */
static st_status step(zstream *x, st_err *err)
{
    unsigned char beyond; /* where nothing may come any more */
    const char *why = NULL;
    size_t made = 0, at = (size_t)(x->front % x->room), cap = x->room - at < STEP ? x->room - at : STEP;
    uint64_t left = x->base.size - x->front;
    bool ended = false;
    if (x->between) ST_TRY(begin_frame(x, err));
    if (x->done) return ST_OK;
    ST_TRY(fill_input(x, err));
    if (left < cap) cap = (size_t)left;
    /* Where all of a frame fits, libzstd works in what room it is given beyond it: there lie bytes that are kept. */
    if (x->content != ST_ZSTD_UNKNOWN) {
        uint64_t rest = x->content - (x->front - x->frame_front);
        if (rest < cap) cap = (size_t)rest;
    }
    st_status s = st_zstd_stream_run(x->z, x->in, x->in_n, &x->in_used, cap ? x->kept + at : &beyond, cap ? cap : 1,
                                     &made, &ended, &why, err);
    if (s == ST_OK && made > cap) why = "there is more than the header describes";
    if (why) return fail_frame(x, why, err);
    if (s == ST_OK) s = keep_in_spool(x, x->kept + at, made, err);
    if (s != ST_OK) return s;
    x->front += made;
    if (ended) x->sound = x->front;
    x->between = ended;
    return ended ? check_entry(x, x->in_at + x->in_used, err) : ST_OK;
}

/* The same; the last bytes count as made only when the end has come as it should. */
static st_status advance(zstream *x, st_err *err)
{
    if (x->failed) {
        if (err) *err = x->why;
        return x->failed;
    }
    st_err why;
    st_status s = x->z ? ST_OK : wake(x, &why);
    if (s == ST_OK) s = step(x, &why);
    while (s == ST_OK && x->front == x->base.size && !x->done) s = step(x, &why);
    if (s == ST_OK && x->done && x->base.size != ST_SIZE_UNKNOWN && x->front < x->base.size)
        s = st_fail(&why, ST_FORMAT, x->base.label, NULL,
                    "it is cut short: its header describes %llu bytes, it holds %llu; download or copy it again",
                    (unsigned long long)x->base.size, (unsigned long long)x->front);
    if (s == ST_OK && x->spool >= 0) {
        if (x->front > x->spooled) x->spooled = x->front;
        if (x->done) free_decoder(x); /* all lies on the disk */
    }
    if (s == ST_OK) return ST_OK;
    if (s == ST_FORMAT) {
        x->failed = s;
        x->why = why;
    } else {
        fall_asleep(x); /* the next read may begin anew */
    }
    if (err) *err = why;
    return s;
}

/* ---------------------------------------------------------------- reading */

/* From now on all is kept on the disk, from the beginning. */
static st_status start_spool(zstream *x, st_err *err)
{
    static const st_spool_use use = {"without a seek table it must be unpacked to be read in this order",
                                     "unpack it once with `stlua decompress`"};
    int fd;
    ST_TRY(st_spool_open(x->base.label, x->base.size, &use, &fd, err));
    fall_asleep(x);
    x->spool = fd;
    return ST_OK;
}

static void copy_kept(const zstream *x, char *dst, uint64_t off, size_t n)
{
    size_t at = (size_t)(off % x->room), first = x->room - at < n ? x->room - at : n;
    memcpy(dst, x->kept + at, first);
    memcpy(dst + first, x->kept, n - first);
}

static st_status read_locked(zstream *x, char *dst, uint64_t off, size_t n, st_err *err)
{
    while (n > 0) {
        if (x->spool < 0 && x->z && x->front > x->room && off < x->front - x->room) ST_TRY(start_spool(x, err));
        if (x->spool >= 0 && off + n <= x->spooled) return st_spool_read(x->spool, x->base.label, dst, off, n, err);
        if (x->spool < 0 && x->z && off < x->front) {
            size_t part = x->front - off < n ? (size_t)(x->front - off) : n;
            copy_kept(x, dst, off, part);
            dst += part;
            off += part;
            n -= part;
            continue;
        }
        if (x->z && x->done)
            return st_fail(err, ST_FORMAT, x->base.label, NULL, "it is cut short: it holds %llu bytes",
                           (unsigned long long)x->front);
        ST_TRY(advance(x, err));
    }
    return ST_OK;
}

/* Also without the lock. */
static void note_given(zstream *x, uint64_t off, size_t n)
{
    uint64_t end = off + n, given = x->given;
    if (!x->h || end <= st_header_data_start(x->h)) return;
    while (given < end && !atomic_compare_exchange_weak(&x->given, &given, end)) {
    }
}

/* What was read through once keeps nothing: the next shard's turn has come. */
static void note_read(zstream *x, uint64_t off, size_t n)
{
    note_given(x, off, n);
    x->served += n;
    if (!x->h || x->spool >= 0 || !x->done || x->served < x->base.size) return;
    x->given = 0;
    fall_asleep(x);
}

static st_status stream_read(st_source *s, void *buf, uint64_t off, size_t n, st_err *err)
{
    zstream *x = of(s);
    if (off > s->size || n > s->size - off)
        return st_fail(err, ST_INTERNAL, s->label, NULL, "a read of %zu bytes at %llu leaves the %llu bytes there are",
                       n, (unsigned long long)off, (unsigned long long)s->size);
    if (x->spool >= 0 && off + n <= x->spooled) {
        note_given(x, off, n);
        return st_spool_read(x->spool, x->base.label, buf, off, n, err);
    }
    take(x, off);
    st_status status = read_locked(x, buf, off, n, err);
    if (status == ST_OK) note_read(x, off, n);
    give(x);
    return status;
}

/* A frame's checksum comes behind its content: what was read of one that has not ended yet may still be wrong. */
static st_status settle(st_source *s, st_err *err)
{
    zstream *x = of(s);
    st_status status = ST_OK;
    take(x, 0);
    while (status == ST_OK && x->given > x->sound && !x->done) status = advance(x, err);
    if (status == ST_OK) x->given = 0;
    give(x);
    return status;
}

static st_status check(st_source *s, st_err *err) { return of(s)->raw->ops->check(of(s)->raw, err); }

static bool identity(st_source *s, uint64_t id[2]) { return st_source_identity(of(s)->raw, id); }

static void close_stream(st_source *s)
{
    zstream *x = of(s);
    fall_asleep(x);
    if (x->spool >= 0) sys_close(x->spool);
    pthread_cond_destroy(&x->turn);
    pthread_mutex_destroy(&x->lock);
    st_header_free(x->h);
    st_ztable_free(&x->table);
    st_source_unref(x->raw);
    st_free(x);
}

static const st_source_ops stream_ops = {
    .read = stream_read, .check = check, .settle = settle, .identity = identity, .close = close_stream};

st_status st_zstream_new(st_source *raw, bool broken, st_source **out, st_err *err)
{
    zstream *x = st_calloc(1, sizeof *x);
    bool locked = x && pthread_mutex_init(&x->lock, NULL) == 0;
    if (!locked || pthread_cond_init(&x->turn, NULL) != 0) {
        if (locked) pthread_mutex_destroy(&x->lock);
        st_free(x);
        return st_fail_nomem(err, sizeof *x);
    }
    x->base =
        (st_source){.ops = &stream_ops, .refs = 1, .size = ST_SIZE_UNKNOWN, .label = raw->label, .in_order = true};
    x->raw = raw;
    x->broken = broken;
    x->spool = -1;
    x->first_content = ST_ZSTD_UNKNOWN;
    fall_asleep(x);
    *out = &x->base;
    return ST_OK;
}

/* ---------------------------------------------------------------- opening */

st_status st_zstream_peek(st_source *s, void *buf, size_t n, size_t *got, st_err *err)
{
    zstream *x = of(s);
    st_status status = ST_OK;
    take(x, 0);
    while (status == ST_OK && x->front < n && !x->done) status = advance(x, err);
    *got = x->front < n ? (size_t)x->front : n;
    if (status == ST_OK && *got) copy_kept(x, buf, 0, *got);
    give(x);
    return status;
}

/* It sleeps until the first tensor is wanted: many shards may be open. */
st_status st_zstream_set_header(st_source *s, st_header *h, st_err *err)
{
    zstream *x = of(s);
    uint64_t size = st_header_file_size(h), told = x->first_content;
    bool more = x->front > size || (told != ST_ZSTD_UNKNOWN && told > size), less = x->done && x->front < size;
    if (more || less)
        return st_fail(err, ST_FORMAT, s->label, NULL, "its header describes %llu bytes, it holds %s%llu",
                       (unsigned long long)size, x->done ? "" : "at least ",
                       (unsigned long long)(told != ST_ZSTD_UNKNOWN && told > x->front ? told : x->front));
    x->h = st_header_ref(h);
    s->size = size;
    st_status status = ST_OK;
    while (status == ST_OK && x->front == size && !x->done) status = advance(x, err);
    fall_asleep(x);
    return status;
}

uint64_t st_zstream_stored(const st_source *s) { return ((const zstream *)(const void *)s)->raw->size; }

/* Who cuts a model into frames that can be made at once writes a table behind them. */
bool st_zstream_cut(const st_source *s)
{
    const zstream *x = (const zstream *)(const void *)s;
    return x->broken || (x->first_content <= ST_BLOCK_MOST && x->first_content < s->size);
}

/* ---------------------------------------------------------------- checking */

/* After a damaged frame the next one, if the damage left the lengths of its blocks. */
static st_status next_frame(zstream *x, bool *more, st_err *err)
{
    unsigned char head[ST_ZSTD_HEAD_MOST];
    st_zstd_head h;
    const char *why;
    uint64_t end, front = x->frame_front, left = x->raw->size - x->frame_at;
    size_t n = left < sizeof head ? (size_t)left : sizeof head;
    *more = false;
    st_status s = n ? st_ztable_frame_end(x->raw, x->frame_at, &end, &why, err) : ST_FORMAT;
    if (s == ST_FORMAT) return ST_OK;
    ST_TRY(s);
    ST_TRY(x->raw->ops->read(x->raw, head, x->frame_at, n, err));
    if (st_zstd_parse_head(head, n, &h)) return ST_OK;
    bool told = !h.skippable && h.content != ST_ZSTD_UNKNOWN && h.content <= x->base.size - front;
    if (told) front += h.content;
    x->lost |= !told && !h.skippable;
    fall_asleep(x);
    ST_TRY(wake(x, err));
    move_to(x, end);
    x->front = front;
    *more = true;
    return ST_OK;
}

static st_status check_all(zstream *x, st_ctx *ctx, st_damages *d, st_err *err)
{
    bool more = true;
    st_err why;
    ST_TRY(wake(x, err));
    while (more && !x->done) {
        uint64_t at = x->in_at + x->in_used;
        st_status s = st_ctx_cancelled(ctx) ? st_fail_cancelled(&why) : step(x, &why);
        if (s == ST_FORMAT) {
            st_damages_add(d, x->front, x->front, &why);
            s = next_frame(x, &more, &why);
        }
        if (s != ST_OK) {
            if (err) *err = why;
            return s;
        }
        if (x->in_at + x->in_used > at) st_progress_add(ctx, x->in_at + x->in_used - at);
        st_progress_tick(ctx, false);
    }
    st_progress_tick(ctx, true);
    if (d->total > 0 || x->base.size == ST_SIZE_UNKNOWN || x->front == x->base.size) return ST_OK;
    st_fail(&why, ST_FORMAT, x->base.label, NULL, "it is cut short: its header describes %llu bytes, it holds %llu",
            (unsigned long long)x->base.size, (unsigned long long)x->front);
    st_damages_add(d, x->front, x->base.size, &why);
    return ST_OK;
}

/* With a decoder of its own: the source may be in use. */
st_status st_zstream_verify(st_source *s, st_ctx *ctx, st_damages *d, st_err *err)
{
    const zstream *x = of(s);
    st_source *own = NULL;
    ST_TRY(st_zstream_new(x->raw, x->broken, &own, err));
    st_source_ref(x->raw);
    of(own)->checks = true;
    own->size = s->size;
    if (x->h) of(own)->h = st_header_ref(x->h);
    st_progress_begin(ctx, "verify", x->raw->size);
    bool found;
    st_status status = st_ztable_read(x->raw, &of(own)->table, &found, err);
    if (status == ST_OK || status == ST_FORMAT) status = check_all(of(own), ctx, d, err); /* met again as a frame */
    d->checked = !of(own)->blind;
    st_source_unref(own);
    return status == ST_OK ? st_damages_done(d, err) : status;
}
