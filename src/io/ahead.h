/* ahead.h - streams of bytes that threads without work of their own read ahead of those that use them. Layer: io. */
#ifndef ST_AHEAD_H
#define ST_AHEAD_H

#include "iface.h"

/* For one run of workers: a stream for each, and how many tasks are left to do. */
typedef struct st_ahead st_ahead;

st_status st_ahead_new(st_ctx *ctx, unsigned workers, size_t tasks, st_ahead **out, st_err *err);
void st_ahead_free(st_ahead *a); /* after the run; a may be NULL */

/* Calls use(arg, offset, bytes, n) for pieces of [from, to) in order, on this thread, `worker`. Each stream is read in
 * order by one thread at a time, of whichever worker. */
typedef st_status (*st_ahead_fn)(void *arg, uint64_t at, const char *p, size_t n, st_err *err);
st_status st_ahead_each(st_ahead *a, unsigned worker, st_source *src, uint64_t from, uint64_t to, st_ahead_fn use,
                        void *arg, st_err *err);

/* One task less. */
void st_ahead_done(st_ahead *a);
/* Reads for the others until no task is left, or the run is stopped. */
void st_ahead_help(st_ahead *a, unsigned worker);

#endif
