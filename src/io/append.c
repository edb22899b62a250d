/* append.c - putting results in order. Layer: io. */
#include "append.h"
#include "mem.h"

#include <pthread.h>
#include <string.h>

#define WAITING_MOST (256u << 20) /* bytes */

typedef struct late {
    struct late *next;
    size_t number, n;
    char bytes[];
} late;

struct st_append {
    st_sink *out;
    pthread_mutex_t lock;
    uint64_t at; /* where number `next` goes */
    size_t next, waiting;
    late *first; /* in the order of their numbers */
};

st_status st_append_new(st_sink *out, uint64_t at, st_append **a, st_err *err)
{
    st_append *x = *a = st_calloc(1, sizeof *x);
    if (!x) return st_fail_nomem(err, sizeof *x);
    x->out = out;
    x->at = at;
    if (pthread_mutex_init(&x->lock, NULL) == 0) return ST_OK;
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
    return at;
}

/* Its turn has not come: a copy waits. */
static st_status keep(st_append *a, size_t number, const void *buf, size_t n, st_err *err)
{
    if (n > WAITING_MOST - a->waiting)
        return st_fail(err, ST_LIMIT, a->out->label, NULL,
                       "the parts of a compressed file are made too far out of order: %zu bytes wait; save it by "
                       "itself, or plain and compress it afterwards",
                       a->waiting + n);
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
    bool turn = number == a->next;
    st_status s = turn ? ST_OK : keep(a, number, buf, n, err);
    if (turn) at = take_place(a, n);
    pthread_mutex_unlock(&a->lock);
    if (!turn || s != ST_OK) return s;
    s = a->out->ops->write(a->out, buf, at, n, err);
    for (late *l; s == ST_OK && (l = take_late(a, &at)); st_free(l))
        s = a->out->ops->write(a->out, l->bytes, at, l->n, err);
    return s;
}
