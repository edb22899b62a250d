/* mem.h - counted allocation. Layer: core. All heap memory of libst comes from here, so that use and peak are known and
 * a test can make any allocation fail. */
#ifndef ST_MEM_H
#define ST_MEM_H

#include "status.h"

/* NULL when there is no memory (or a test says so); a size of 0 gives a pointer that may be freed.
 * Every block is 64-byte aligned. */
void *st_malloc(size_t n);
void *st_calloc(size_t count, size_t size); /* checks the product */
/* Keeps `p` valid on failure. */
void *st_realloc(void *p, size_t n);
void st_free(void *p);
char *st_strndup(const char *s, size_t n);
/* Grows an array to hold at least `need` items, doubling: `*cap` is updated. False without memory. */
bool st_grow(void **items, size_t *cap, size_t need, size_t item_size);
/* Room for n bytes, whose old content nobody wants. It is made for `least` bytes at least: who asks for more and more
 * would touch fresh memory each time, which is slow. NOMEM frees what was there. */
st_status st_make_room(void **p, size_t *cap, size_t n, size_t least, st_err *err);

st_status st_fail_nomem(st_err *err, uint64_t bytes);

/* What st_ctx_set_memory was last told, by any context; 0: nothing yet. For those below, who know no context. */
void st_memory_allow(uint64_t bytes);
uint64_t st_memory_allowed(void);

#ifdef ST_FAULTS
/* Test builds: the n-th allocation from now fails (1 = the next), once or from then on; 0 switches off.
 * Returns through *seen how many were asked for since. */
void st_mem_fail_at(uint64_t n, bool onwards);
uint64_t st_mem_calls(void);
#endif

#endif
