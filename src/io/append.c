/* append.c - putting results in order. Layer: io. */
#include "append.h"
#include "context.h"
#include "mem.h"

#include <string.h>

/* Bytes that may wait: little, where who is ahead can wait himself. */
enum { WAITING_MOST = 16 << 20, UNORDERED_MOST = 256 << 20 };

typedef struct late {
    struct late *next;
    size_t number, n;
    char bytes[];
} late;

struct st_append {
    st_sink *out;
    st_ctx *ctx; /* NULL: nobody may wait */
    pthread_mutex_t lock;
    pthread_cond_t moved; /* `next`, and so the room that is left */
    uint64_t at;          /* where number `next` goes */
    size_t next, waiting, most;
    late *first; /* in the order of their numbers */
};

st_status st_append_new(st_sink *out, uint64_t at, st_ctx *ctx, st_append **a, st_err *err)
{
    st_append *x = *a = st_calloc(1, sizeof *x);
    if (!x) return st_fail_nomem(err, sizeof *x);
    x->out = out;
    x->most = ctx ? WAITING_MOST : UNORDERED_MOST;
    x->ctx = ctx;
    x->at = at;
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

/* Until its turn has come, or there is room for it. Who fails in its place has stopped the run. */
static st_status wait_for_room(st_append *a, size_t number, size_t n, st_err *err)
{
    while (number != a->next && n > a->most - a->waiting) {
        if (!a->ctx)
            return st_fail(err, ST_LIMIT, a->out->label, NULL,
                           "the parts of a compressed file are made too far out of order: %zu bytes wait; save it by "
                           "itself, or plain and compress it afterwards",
                           a->waiting + n);
        if (st_ctx_stopped(a->ctx)) return st_fail_cancelled(err);
        st_wait_briefly(&a->moved, &a->lock);
    }
    return ST_OK;
}

/* Its turn has not come: a copy waits. */
static st_status keep(st_append *a, size_t number, const void *buf, size_t n, st_err *err)
{
    late *l = st_malloc(sizeof *l + n), **to = &a->first;
    if (!l) return st_fail_nomem(err, sizeof *l + n);
    l->number = number;
    l->n = n;
    if (n) memcpy(l->bytes, buf, n);
    while (*to && (*to)->number < number) to = &(*to)->next;
    l->next = *to;
    *to = l;
    a->waiting += n;
    return ST_OK;
}

/* The next one that waited, if its turn has come. */
static late *take_late(st_append *a, uint64_t *at)
{
    pthread_mutex_lock(&a->lock);
    late *l = a->first;
    if (l && l->number == a->next) {
        a->first = l->next;
        a->waiting -= l->n;
        *at = take_place(a, l->n);
    } else {
        l = NULL;
    }
    pthread_mutex_unlock(&a->lock);
    return l;
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
    for (late *l; s == ST_OK && (l = take_late(a, &at)); st_free(l))
        s = a->out->ops->write(a->out, l->bytes, at, l->n, err);
    return s;
}
