/* context.c - the thread pool, cancel and progress. Layer: core; the only user of threads in libst.
 *
 * Threads are started when first needed and sleep between runs. One run is one call of the same function per worker;
 * how work is divided is the function's business (a shared cursor, usually). */
#include "context.h"
#include "mem.h"
#include "sys.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

enum { MAX_THREADS = 256, STACK = 1 << 20 };
static const double TICK = 0.1; /* seconds between calls of the progress function */

typedef struct worker {
    st_ctx *ctx;
    unsigned number;
    pthread_t thread;
} worker;

struct st_ctx {
    unsigned wanted;
    uint64_t memory;
    atomic_bool cancelled, failed;
    _Atomic uint64_t numbers;

    /* The pool: everything below is guarded by `lock`. */
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    worker *workers[MAX_THREADS];
    unsigned started;
    uint64_t round; /* counts runs; a worker that sees a new one takes part if its number is below `active` */
    unsigned active, busy;
    bool running, quit;
    st_work_fn fn;
    void *arg;
    st_status status;
    st_err *err;

    pthread_mutex_t shared; /* st_ctx_lock */

    st_progress_fn progress;
    void *user;
    st_progress now;
    _Atomic uint64_t done;
    double began, ticked;
};

st_status st_ctx_new(st_ctx **out, st_err *err)
{
    *out = NULL;
    st_ctx *c = st_calloc(1, sizeof *c);
    if (!c) return st_fail_nomem(err, sizeof *c);
    c->memory = 1u << 30;
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->shared, NULL);
    pthread_cond_init(&c->work, NULL);
    pthread_cond_init(&c->idle, NULL);
    *out = c;
    return ST_OK;
}

void st_ctx_free(st_ctx *c)
{
    if (!c) return;
    pthread_mutex_lock(&c->lock);
    c->quit = true;
    pthread_cond_broadcast(&c->work);
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < c->started; i++) {
        pthread_join(c->workers[i]->thread, NULL);
        st_free(c->workers[i]);
    }
    pthread_cond_destroy(&c->work);
    pthread_cond_destroy(&c->idle);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->shared);
    st_free(c);
}

void st_ctx_set_threads(st_ctx *c, unsigned n) { c->wanted = n > MAX_THREADS ? MAX_THREADS : n; }
unsigned st_ctx_threads(const st_ctx *c)
{
    unsigned n = c->wanted ? c->wanted : sys_cpus();
    return n > MAX_THREADS ? MAX_THREADS : n;
}
void st_ctx_set_memory(st_ctx *c, uint64_t bytes) { c->memory = bytes; }
uint64_t st_ctx_memory(const st_ctx *c) { return c->memory; }
void st_ctx_cancel(st_ctx *c) { atomic_store(&c->cancelled, true); }
void st_ctx_resume(st_ctx *c) { atomic_store(&c->cancelled, false); }
bool st_ctx_cancelled(const st_ctx *c) { return atomic_load(&c->cancelled); }
bool st_ctx_stopped(const st_ctx *c) { return atomic_load(&c->cancelled) || atomic_load(&c->failed); }
uint64_t st_ctx_number(st_ctx *c) { return ++c->numbers; }
st_status st_fail_cancelled(st_err *err) { return st_fail(err, ST_CANCELLED, NULL, NULL, "interrupted"); }

/* ---------------------------------------------------------------- pool */

/* Keeps the first failure of a run; called by the worker that met it. */
static void report(st_ctx *c, st_status s, const st_err *e)
{
    if (s == ST_OK) return;
    pthread_mutex_lock(&c->lock);
    if (c->status == ST_OK) {
        c->status = s;
        if (c->err) *c->err = *e;
        atomic_store(&c->failed, true);
    }
    pthread_mutex_unlock(&c->lock);
}

static void *worker_main(void *p)
{
    worker *w = p;
    st_ctx *c = w->ctx;
    uint64_t seen = 0;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (!c->quit && (c->round == seen || w->number >= c->active)) {
            seen = c->round;
            pthread_cond_wait(&c->work, &c->lock);
        }
        if (c->quit) break;
        seen = c->round;
        st_work_fn fn = c->fn;
        void *arg = c->arg;
        pthread_mutex_unlock(&c->lock);
        st_err e;
        e.message[0] = '\0';
        e.origin = 0;
        report(c, fn(arg, w->number, &e), &e);
        pthread_mutex_lock(&c->lock);
        if (--c->busy == 0) pthread_cond_signal(&c->idle);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* Starts threads until there are `n`; with fewer the work still gets done, so a failure here is no error. */
static void start_threads(st_ctx *c, unsigned n)
{
    sigset_t all, old;
    pthread_attr_t attr;
    if (c->started >= n || pthread_attr_init(&attr) != 0) return;
    pthread_attr_setstacksize(&attr, STACK);
    /* Signals belong to the thread that called us. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (c->started < n) {
        worker *w = st_malloc(sizeof *w);
        if (!w) break;
        *w = (worker){.ctx = c, .number = c->started + 1};
        if (pthread_create(&w->thread, &attr, worker_main, w) != 0) {
            st_free(w);
            break;
        }
        c->workers[c->started++] = w;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
}

st_status st_ctx_run(st_ctx *c, unsigned n, st_work_fn fn, void *arg, st_err *err)
{
    if (st_ctx_cancelled(c)) return st_fail_cancelled(err);
    if (c->running) return fn(arg, 0, err); /* a run within a run stays on its thread */
    unsigned most = st_ctx_threads(c);
    if (n > most) n = most;
    if (n > 1) start_threads(c, n - 1);
    if (n > c->started + 1) n = c->started + 1;

    pthread_mutex_lock(&c->lock);
    c->running = true;
    c->fn = fn;
    c->arg = arg;
    c->status = ST_OK;
    c->err = err;
    atomic_store(&c->failed, false);
    c->active = n ? n : 1; /* workers are numbered from 1; the caller is 0 */
    c->busy = c->active - 1;
    c->round++;
    if (c->busy) pthread_cond_broadcast(&c->work);
    pthread_mutex_unlock(&c->lock);

    st_err e;
    e.message[0] = '\0';
    e.origin = 0;
    report(c, fn(arg, 0, &e), &e);

    pthread_mutex_lock(&c->lock);
    while (c->busy) pthread_cond_wait(&c->idle, &c->lock);
    c->running = false;
    c->active = 0;
    st_status s = c->status;
    atomic_store(&c->failed, false);
    pthread_mutex_unlock(&c->lock);
    if (s == ST_OK && st_ctx_cancelled(c)) return st_fail_cancelled(err);
    return s;
}

void st_ctx_lock(st_ctx *c) { pthread_mutex_lock(&c->shared); }
void st_ctx_unlock(st_ctx *c) { pthread_mutex_unlock(&c->shared); }

/* ---------------------------------------------------------------- progress */

void st_ctx_set_progress(st_ctx *c, st_progress_fn fn, void *user)
{
    c->progress = fn;
    c->user = user;
}

void st_progress_begin(st_ctx *c, const char *phase, uint64_t total)
{
    c->began = c->ticked = sys_seconds();
    c->now = (st_progress){.phase = phase, .total = total};
    c->done = 0;
}

void st_progress_add(st_ctx *c, uint64_t bytes) { c->done += bytes; }

void st_progress_tick(st_ctx *c, bool last)
{
    if (!c->progress) return;
    double t = sys_seconds();
    if (!last && t - c->ticked < TICK) return;
    c->ticked = t;
    c->now.done = c->done;
    c->now.seconds = t - c->began;
    if (!c->progress(c->user, &c->now)) st_ctx_cancel(c);
}
