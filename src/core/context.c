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
#include <time.h>

enum { MAX_THREADS = 256, STACK = 1 << 20, ANY = -1 };
static const double TICK = 0.1; /* seconds between calls of the progress function */

typedef struct worker {
    st_ctx *ctx;
    unsigned number;
    int place; /* the processor that it is kept on, or ANY */
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
    st_status status; /* of the first piece that failed */
    uint64_t failed_at;
    uint64_t begun[MAX_THREADS + 1]; /* by worker, each its own. Thread-local variables break LeakSanitizer here */
    st_err *err;

    pthread_mutex_t shared; /* st_ctx_lock */

    struct errand *errands; /* guarded by `lock` */
    pthread_cond_t back;    /* one of them has ended */

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
    pthread_cond_init(&c->back, NULL);
    *out = c;
    return ST_OK;
}

static void join_errands(st_ctx *c, bool all);

void st_ctx_free(st_ctx *c)
{
    if (!c) return;
    join_errands(c, true); /* their code may be unloaded next */
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
    pthread_cond_destroy(&c->back);
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
void st_ctx_set_memory(st_ctx *c, uint64_t bytes)
{
    c->memory = bytes;
    st_memory_allow(bytes);
}
uint64_t st_ctx_memory(const st_ctx *c) { return c->memory; }
void st_ctx_cancel(st_ctx *c) { atomic_store(&c->cancelled, true); }
void st_ctx_resume(st_ctx *c) { atomic_store(&c->cancelled, false); }
bool st_ctx_cancelled(const st_ctx *c) { return atomic_load(&c->cancelled); }
bool st_ctx_stopped(const st_ctx *c) { return atomic_load(&c->cancelled) || atomic_load(&c->failed); }
uint64_t st_ctx_number(st_ctx *c) { return ++c->numbers; }
st_status st_fail_cancelled(st_err *err) { return st_fail(err, ST_CANCELLED, NULL, NULL, "interrupted"); }

/* ---------------------------------------------------------------- pool */

void st_ctx_begun(st_ctx *c, unsigned number, uint64_t piece) { c->begun[number] = piece; }

/* One worker's part of a run. A failure is kept if none of an earlier piece is; that others stopped for it is none. */
static void take_part(st_ctx *c, st_work_fn fn, void *arg, unsigned number)
{
    st_err e;
    e.message[0] = '\0';
    e.origin = 0;
    c->begun[number] = 0;
    st_status s = fn(arg, number, &e);
    if (s == ST_OK) return;
    uint64_t piece = c->begun[number];
    pthread_mutex_lock(&c->lock);
    bool first = c->status == ST_OK || c->status == ST_CANCELLED;
    if (first || (s != ST_CANCELLED && piece < c->failed_at)) {
        c->status = s;
        c->failed_at = piece;
        if (c->err) *c->err = e;
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
        take_part(c, fn, arg, w->number);
        pthread_mutex_lock(&c->lock);
        if (--c->busy == 0) pthread_cond_signal(&c->idle);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* A thread that gets no signals: they belong to the one that called us. */
static bool start_thread(pthread_t *thread, void *(*main)(void *), void *arg)
{
    sigset_t all, old;
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0) return false;
    pthread_attr_setstacksize(&attr, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    bool ok = pthread_create(thread, &attr, main, arg) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return ok;
}

/* Starts threads until there are `n`; with fewer the work still gets done, so a failure here is no error. */
static void start_threads(st_ctx *c, unsigned n)
{
    while (c->started < n) {
        worker *w = st_malloc(sizeof *w);
        if (!w) break;
        *w = (worker){.ctx = c, .number = c->started + 1, .place = ANY};
        if (!start_thread(&w->thread, worker_main, w)) {
            st_free(w);
            break;
        }
        c->workers[c->started++] = w;
    }
}

/* Gives each worker of a run a processor, if there are as many as threads; the caller's thread is its own. The kernel
 * of a virtual machine, to whom an idle processor does not look idle, wakes a thread where its waker runs and lets the
 * two share that for tens of milliseconds. Work is taken piece by piece: one who must share with another program takes
 * less. */
static void place_workers(st_ctx *c)
{
    unsigned list[MAX_THREADS + 1], n = sys_processors(list, MAX_THREADS + 1), here = sys_processor(), at = 0;
    while (at < n && list[at] != here) at++;
    bool each = n == c->active && at < n;
    for (unsigned i = 0; i < c->busy; i++) {
        worker *w = c->workers[i];
        const unsigned *own = &list[each ? (at + w->number) % n : 0];
        int place = each ? (int)*own : ANY;
        if (w->place == place) continue;
        w->place = place;
        sys_keep_on(w->thread, own, each ? 1 : n);
    }
}

st_status st_ctx_run(st_ctx *c, unsigned n, st_work_fn fn, void *arg, st_err *err)
{
    if (st_ctx_cancelled(c)) return st_fail_cancelled(err);
    if (c->running) { /* a run within a run stays on its thread */
        st_status s = fn(arg, 0, err);
        return s == ST_OK && st_ctx_stopped(c) ? st_fail_cancelled(err) : s;
    }
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
    if (c->busy) {
        place_workers(c);
        pthread_cond_broadcast(&c->work);
    }
    pthread_mutex_unlock(&c->lock);

    take_part(c, fn, arg, 0);

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

/* ---------------------------------------------------------------- errands */

typedef struct errand {
    struct errand *next;
    st_ctx *ctx;
    pthread_t thread;
    st_status (*work)(void *arg, st_err *err);
    void (*drop)(void *arg);
    void *arg;
    st_err err;
    st_status status;
    int thread_id;
    bool done, left; /* guarded by the context's lock; left: nobody waits any more */
} errand;

static void *errand_main(void *p)
{
    errand *e = p;
    pthread_mutex_lock(&e->ctx->lock);
    e->thread_id = sys_thread();
    pthread_mutex_unlock(&e->ctx->lock);
    st_status s = e->work ? e->work(e->arg, &e->err) : ST_OK;
    pthread_mutex_lock(&e->ctx->lock);
    bool left = e->left;
    e->status = s;
    if (!left) e->done = true;
    pthread_cond_broadcast(&e->ctx->back);
    pthread_mutex_unlock(&e->ctx->lock);
    if (!left) return NULL;
    e->drop(e->arg);
    pthread_mutex_lock(&e->ctx->lock);
    e->done = true;
    pthread_mutex_unlock(&e->ctx->lock);
    return NULL;
}

/* Those that have ended; with `all` the others, too, when they do. */
static void join_errands(st_ctx *c, bool all)
{
    errand *list = NULL;
    pthread_mutex_lock(&c->lock);
    for (errand **at = &c->errands, *e; (e = *at) != NULL;) {
        if (!all && !(e->done && e->left)) {
            at = &e->next;
            continue;
        }
        *at = e->next;
        e->next = list;
        list = e;
    }
    pthread_mutex_unlock(&c->lock);
    for (errand *e; (e = list) != NULL;) {
        list = e->next;
        pthread_join(e->thread, NULL);
        st_free(e);
    }
}

bool st_ctx_busy(st_ctx *c)
{
    join_errands(c, false);
    pthread_mutex_lock(&c->lock);
    bool busy = c->errands != NULL;
    pthread_mutex_unlock(&c->lock);
    return busy;
}

static errand *start_errand(st_ctx *c, st_status (*work)(void *, st_err *), void (*drop)(void *), void *arg, bool left)
{
    join_errands(c, false);
    errand *e = st_calloc(1, sizeof *e);
    if (!e) return NULL;
    e->ctx = c;
    e->work = work;
    e->drop = drop;
    e->arg = arg;
    e->left = left;
    pthread_mutex_lock(&c->lock);
    bool ok = start_thread(&e->thread, errand_main, e);
    if (ok) {
        e->next = c->errands;
        c->errands = e;
    }
    pthread_mutex_unlock(&c->lock);
    if (ok) return e;
    st_free(e);
    return NULL;
}

void st_wait_briefly(pthread_cond_t *changed, pthread_mutex_t *lock, long nanoseconds)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += nanoseconds;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(changed, lock, &until);
}

/* Waits, with the lock held, until the errand has ended or a cancel comes. */
static void wait_for(st_ctx *c, errand *e)
{
    while (!e->done && !st_ctx_cancelled(c)) st_wait_briefly(&c->back, &c->lock, ST_LOOK);
    if (!e->done) {
        e->left = true;
        sys_step_back(e->thread_id);
        return;
    }
    errand **at = &c->errands;
    while (*at != e) at = &(*at)->next;
    *at = e->next;
}

st_status st_ctx_aside(st_ctx *c, st_status (*work)(void *arg, st_err *err), void (*drop)(void *arg), void *arg,
                       st_err *err)
{
    errand *e = start_errand(c, work, drop, arg, false);
    if (!e) return work(arg, err); /* no thread to be had: then it cannot be left */
    pthread_mutex_lock(&c->lock);
    wait_for(c, e);
    bool left = e->left;
    pthread_mutex_unlock(&c->lock);
    if (left) return st_fail_cancelled(err);
    pthread_join(e->thread, NULL);
    st_status s = e->status;
    if (s != ST_OK && err) *err = e->err;
    st_free(e);
    return s;
}

void st_ctx_later(st_ctx *c, void (*fn)(void *arg), void *arg)
{
    if (!start_errand(c, NULL, fn, arg, true)) fn(arg);
}

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

void st_progress_there(st_ctx *c, uint64_t bytes)
{
    c->now.there += bytes;
    st_progress_add(c, bytes);
    st_progress_tick(c, true);
}

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
