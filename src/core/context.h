/* context.h - threads, cancel and progress. Layer: core. */
#ifndef ST_CONTEXT_H
#define ST_CONTEXT_H

#include "status.h"

#include <pthread.h>

/* Work for one thread: called once per worker with its number, 0 being the calling thread. It polls st_ctx_stopped and
 * stops early once another worker failed. */
typedef st_status (*st_work_fn)(void *arg, unsigned worker, st_err *err);

/* Runs `fn` on up to `n` threads (at most st_ctx_threads) and waits. A failure's status and error are returned, that of
 * the first piece of work if there are several; the others see st_ctx_stopped turn true. */
st_status st_ctx_run(st_ctx *ctx, unsigned n, st_work_fn fn, void *arg, st_err *err);
/* Called by a worker when it begins a piece of the work, which are numbered in their order. Where every piece that was
 * begun is also ended, the failure that st_ctx_run returns does not depend on the threads. Not within another run. */
void st_ctx_begun(st_ctx *ctx, unsigned worker, uint64_t piece);
/* True when workers should stop: cancelled, or one of them failed. */
bool st_ctx_stopped(const st_ctx *ctx);
st_status st_fail_cancelled(st_err *err);
enum { ST_LOOK = 5000000 }; /* nanoseconds between looks at the cancel flag: a signal handler can only set it */
/* Waits for the condition, but not for long: who waits in a run asks st_ctx_stopped each time. */
void st_wait_briefly(pthread_cond_t *changed, pthread_mutex_t *lock, long nanoseconds);
/* A number above 0 that no other call of this context gave. */
uint64_t st_ctx_number(st_ctx *ctx);

/* One lock for what the workers of a run share. */
void st_ctx_lock(st_ctx *ctx);
void st_ctx_unlock(st_ctx *ctx);

/* Work that cannot be stopped half-way, on a thread of its own. Waits for its end and gives its status; or, when a
 * cancel comes first, gives CANCELLED at once: then the work goes on unseen, and `drop` is called on `arg` when it is
 * done. Whatever it touches must live in `arg`, and it must neither call st_ctx_run nor give CANCELLED. Else `arg`
 * stays the caller's. */
st_status st_ctx_aside(st_ctx *ctx, st_status (*work)(void *arg, st_err *err), void (*drop)(void *arg), void *arg,
                       st_err *err);
/* Calls fn(arg) some time from now, on another thread: for cleaning up that takes long. */
void st_ctx_later(st_ctx *ctx, void (*fn)(void *arg), void *arg);

/* Progress: begin, add from any worker, tick from worker 0 (calls the user's function at most every 100 ms). */
void st_progress_begin(st_ctx *ctx, const char *phase, uint64_t total);
void st_progress_add(st_ctx *ctx, uint64_t bytes);
void st_progress_there(st_ctx *ctx, uint64_t bytes); /* an earlier save made them: told at once */
void st_progress_tick(st_ctx *ctx, bool last);

#endif
