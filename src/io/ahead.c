/* ahead.c - a ring of pieces for each worker, and one lock for all: it is taken a few times for each 128 KiB. Layer:
 * io; reads sources. */
#include "ahead.h"
#include "context.h"
#include "mem.h"

enum { PIECE = 1 << 17, SLOTS = 16 };
/* Nanoseconds after which a reader looks for room again; the ring lasts longer. To be woken for it would cost its user,
 * whose time is what matters, tens of microseconds each time. */
enum { PAUSE = 600000 };

typedef struct stream {
    st_source *src;
    uint64_t next, end; /* what is not read yet */
    uint64_t at;        /* where the first full slot's bytes lie */
    char *bytes;        /* SLOTS pieces */
    size_t n[SLOTS];
    unsigned first, full;
    bool reading; /* a thread is filling the slot behind the full ones */
    st_status failed;
    st_err why;
} stream;

struct st_ahead {
    st_ctx *ctx;
    size_t tasks;
    unsigned nstreams;
    pthread_mutex_t lock; /* of all that follows and of `tasks` */
    pthread_cond_t changed;
    stream streams[];
};

st_status st_ahead_new(st_ctx *ctx, unsigned workers, size_t tasks, st_ahead **out, st_err *err)
{
    size_t bytes = sizeof **out + workers * sizeof *(*out)->streams;
    st_ahead *a = *out = st_calloc(1, bytes);
    if (!a) return st_fail_nomem(err, bytes);
    a->ctx = ctx;
    a->tasks = tasks;
    a->nstreams = workers;
    if (pthread_mutex_init(&a->lock, NULL) == 0) {
        if (pthread_cond_init(&a->changed, NULL) == 0) return ST_OK;
        pthread_mutex_destroy(&a->lock);
    }
    st_free(a);
    *out = NULL;
    return st_fail_nomem(err, bytes);
}

void st_ahead_free(st_ahead *a)
{
    if (!a) return;
    for (unsigned i = 0; i < a->nstreams; i++) st_free(a->streams[i].bytes);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    st_free(a);
}

static bool has_room(const stream *s) { return !s->reading && !s->failed && s->next < s->end && s->full < SLOTS; }

/* Fills a slot of a stream that has room. The lock is held, but for the reading itself. */
static void read_piece(st_ahead *a, stream *s)
{
    unsigned slot = (s->first + s->full) % SLOTS;
    size_t n = s->end - s->next < PIECE ? (size_t)(s->end - s->next) : PIECE;
    st_err why;
    s->reading = true;
    pthread_mutex_unlock(&a->lock);
    st_status got = s->src->ops->read(s->src, s->bytes + (size_t)slot * PIECE, s->next, n, &why);
    pthread_mutex_lock(&a->lock);
    s->reading = false;
    s->failed = got;
    if (got == ST_OK) {
        s->n[slot] = n;
        s->next += n;
        s->full++;
    } else
        s->why = why;
    pthread_cond_broadcast(&a->changed);
}

/* Takes the first full slot. The lock is held, but for the use itself. */
static st_status use_piece(st_ahead *a, stream *s, st_ahead_fn use, void *arg, st_err *err)
{
    size_t n = s->n[s->first];
    pthread_mutex_unlock(&a->lock);
    st_status r = use(arg, s->at, s->bytes + (size_t)s->first * PIECE, n, err);
    pthread_mutex_lock(&a->lock);
    s->at += n;
    s->first = (s->first + 1) % SLOTS;
    s->full--;
    return r;
}

static st_status each_piece(st_ahead *a, stream *s, st_ahead_fn use, void *arg, st_err *err)
{
    while (s->full > 0 || s->next < s->end) {
        if (st_ctx_stopped(a->ctx)) return st_fail_cancelled(err);
        if (s->full > 0)
            ST_TRY(use_piece(a, s, use, arg, err));
        else if (s->failed) {
            if (err) *err = s->why;
            return s->failed;
        } else if (s->reading)
            st_wait_briefly(&a->changed, &a->lock, ST_LOOK);
        else {
            s->first = 0; /* who reads alone stays in one slot, in the cache */
            read_piece(a, s);
        }
    }
    return ST_OK;
}

st_status st_ahead_each(st_ahead *a, unsigned worker, st_source *src, uint64_t from, uint64_t to, st_ahead_fn use,
                        void *arg, st_err *err)
{
    stream *s = &a->streams[worker];
    if (!s->bytes) s->bytes = st_malloc((size_t)SLOTS * PIECE); /* of use to others from `end` on */
    if (!s->bytes) return st_fail_nomem(err, (size_t)SLOTS * PIECE);
    pthread_mutex_lock(&a->lock);
    s->src = src;
    s->next = s->at = from;
    s->end = to;
    pthread_cond_broadcast(&a->changed);
    st_status r = each_piece(a, s, use, arg, err);
    if (r != ST_OK) s->end = s->next; /* nobody need read on */
    pthread_mutex_unlock(&a->lock);
    return r;
}

void st_ahead_done(st_ahead *a)
{
    pthread_mutex_lock(&a->lock);
    a->tasks--;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

static void help_once(st_ahead *a)
{
    for (unsigned i = 0; i < a->nstreams; i++)
        if (has_room(&a->streams[i])) {
            read_piece(a, &a->streams[i]);
            return;
        }
    st_wait_briefly(&a->changed, &a->lock, PAUSE);
}

void st_ahead_help(st_ahead *a, unsigned worker)
{
    pthread_mutex_lock(&a->lock);
    while (a->tasks > 0 && !st_ctx_stopped(a->ctx)) {
        help_once(a);
        if (worker > 0) continue;
        pthread_mutex_unlock(&a->lock);
        st_progress_tick(a->ctx, false);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
}
