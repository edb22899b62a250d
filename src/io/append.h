/* append.h - results of parallel work that go to a sink one behind the other, in the order of their numbers, though
 * their lengths are known only when they are there. Layer: io. */
#ifndef ST_APPEND_H
#define ST_APPEND_H

#include "iface.h"

typedef struct st_append st_append;

/* The first result, number 0, goes to `at`. The sink is borrowed. With a context the results are made in its runs, and
 * taken up in the order of their numbers: then none can hang on a later one. NULL: they may be made in any order. */
st_status st_append_new(st_sink *out, uint64_t at, st_ctx *ctx, st_append **a, st_err *err);
void st_append_free(st_append *a);
/* Result `number`, once each, from any thread. What comes before its turn is kept in memory. When too much is, the
 * caller waits, until its run is stopped; without a context it is laid in a temporary file. */
st_status st_append_put(st_append *a, size_t number, const void *buf, size_t n, st_err *err);
/* The offset behind the last one, and how many there were, when all put calls have returned. */
uint64_t st_append_end(const st_append *a);
size_t st_append_count(const st_append *a);

#endif
