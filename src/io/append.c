/* append.c - putting results in order. Layer: io. */
#include "append.h"
#include "context.h"
#include "mem.h"
#include "spool.h"
#include "sys.h"

#include <string.h>

enum { WAITING_MOST = 16 << 20 }; /* bytes in memory; who is ahead of that waits, or lays his on the disk */

typedef struct late {
    struct late *next;
    size_t number, n;
    bool spooled;
    uint64_t at; /* in the spool */
    char bytes[];
} late;

struct st_append {
    st_sink *out;
    st_ctx *ctx; /* NULL: nobody may wait */
    pthread_mutex_t lock;
    pthread_cond_t moved; /* `next`, and so the room that is left */
    uint64_t at;          /* where number `next` goes */
    size_t next, waiting;
    late *first; /* in the order of their numbers */
    int spool;   /* -1: none */
    uint64_t spooled;
};

st_status st_append_new(st_sink *out, uint64_t at, st_ctx *ctx, st_append **a, st_err *err)
{
    st_append *x = *a = st_calloc(1, sizeof *x);
    if (!x) return st_fail_nomem(err, sizeof *x);
    x->out = out;
    x->ctx = ctx;
    x->at = at;
    x->spool = -1;
    if (pthread_mutex_init(&x->lock, NULL) == 0) {
        if (pthread_cond_init(&x->moved, NULL) == 0) return ST_OK;
        pthread_mutex_destroy(&x->lock);
    }
    st_free(x);
    *a = NULL;
    return st_fail_nomem(err, sizeof *x);
}

void st_append_free(st_append *a)
{
    if (!a) return;
    for (late *l = a->first, *next; l; l = next) {
        next = l->next;
        st_free(l);
    }
    if (a->spool >= 0) sys_close(a->spool);
    pthread_cond_destroy(&a->moved);
    pthread_mutex_destroy(&a->lock);
    st_free(a);
}

uint64_t st_append_end(const st_append *a) { return a->at; }
size_t st_append_count(const st_append *a) { return a->next; }

static uint64_t take_place(st_append *a, size_t n)
{
    uint64_t at = a->at;
    a->at += n;
    a->next++;
    pthread_cond_broadcast(&a->moved);
    return at;
}

static bool has_room(const st_append *a, size_t n) { return n <= WAITING_MOST - a->waiting; }

/* Until its turn has come, or there is room for it. Who fails in its place has stopped the run. */
static st_status wait_for_room(st_append *a, size_t number, size_t n, st_err *err)
{
    while (a->ctx && number != a->next && !has_room(a, n)) {
        if (st_ctx_stopped(a->ctx)) return st_fail_cancelled(err);
        st_wait_briefly(&a->moved, &a->lock, ST_LOOK);
    }
    return ST_OK;
}

static st_status keep_on_disk(st_append *a, late *l, const void *buf, st_err *err)
{
    static const st_spool_use use = {"parts that are made before their turn do not fit into memory",
                                     "save it by itself, or plain and compress it afterwards"};
    const char *path = a->out->label;
    if (a->spool < 0) ST_TRY(st_spool_open(path, l->n, &use, &a->spool, err));
    ST_TRY(st_spool_write(a->spool, path, buf, a->spooled, l->n, err));
    l->spooled = true;
    l->at = a->spooled;
    a->spooled += l->n;
    return ST_OK;
}

/* Its turn has not come: a copy waits. */
static st_status keep(st_append *a, size_t number, const void *buf, size_t n, st_err *err)
{
    bool fits = has_room(a, n);
    late *l = st_malloc(sizeof *l + (fits ? n : 0)), **to = &a->first;
    if (!l) return st_fail_nomem(err, sizeof *l + n);
    *l = (late){.number = number, .n = n};
    if (!fits) {
        st_status s = keep_on_disk(a, l, buf, err);
        if (s != ST_OK) {
            st_free(l);
            return s;
        }
    } else if (n) {
        memcpy(l->bytes, buf, n);
    }
    while (*to && (*to)->number < number) to = &(*to)->next;
    l->next = *to;
    *to = l;
    a->waiting += fits ? n : 0;
    return ST_OK;
}

/* The next one that waited, if its turn has come. */
static late *take_late(st_append *a, uint64_t *at)
{
    pthread_mutex_lock(&a->lock);
    late *l = a->first;
    if (l && l->number == a->next) {
        a->first = l->next;
        a->waiting -= l->spooled ? 0 : l->n;
        *at = take_place(a, l->n);
    } else {
        l = NULL;
    }
    pthread_mutex_unlock(&a->lock);
    return l;
}

static st_status write_late(st_append *a, const late *l, uint64_t at, st_err *err)
{
    if (!l->spooled) return a->out->ops->write(a->out, l->bytes, at, l->n, err);
    char *buf = st_malloc(l->n);
    if (!buf) return st_fail_nomem(err, l->n);
    st_status s = st_spool_read(a->spool, a->out->label, buf, l->at, l->n, err);
    if (s == ST_OK) s = a->out->ops->write(a->out, buf, at, l->n, err);
    st_free(buf);
    return s;
}

st_status st_append_put(st_append *a, size_t number, const void *buf, size_t n, st_err *err)
{
    uint64_t at = 0;
    pthread_mutex_lock(&a->lock);
    st_status s = wait_for_room(a, number, n, err);
    bool turn = number == a->next;
    if (s == ST_OK && !turn) s = keep(a, number, buf, n, err);
    if (s == ST_OK && turn) at = take_place(a, n);
    pthread_mutex_unlock(&a->lock);
    if (!turn || s != ST_OK) return s;
    s = a->out->ops->write(a->out, buf, at, n, err);
    for (late *l; s == ST_OK && (l = take_late(a, &at)); st_free(l)) s = write_late(a, l, at, err);
    return s;
}
