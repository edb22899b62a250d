/* support.h - what C tests share: cmocka's includes, a seeded generator, scratch folders, sources in memory. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "iface.h"

/* Fails with the library's own message. */
#define assert_ok(call)                                                  \
    do {                                                                 \
        st_status ok_status_ = (call);                                   \
        if (ok_status_ != ST_OK) fail_msg("%s: %s", #call, err.message); \
    } while (0)

/* Seconds that what takes one on a machine at rest may take on a busy one, or under a sanitizer. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { PATIENCE = 60 };
#else
enum { PATIENCE = 10 };
#endif

typedef struct rng {
    uint64_t s;
} rng;
uint64_t rng_next(rng *r);              /* splitmix64 */
uint64_t rng_below(rng *r, uint64_t n); /* [0, n) */

/* A source over bytes in memory, which it copies. reads counts calls; a non-NULL fail_with makes reads fail. */
typedef struct mem_source {
    st_source base;
    _Atomic uint64_t reads;
    _Atomic bool changed, broken;
    unsigned char bytes[];
} mem_source;
mem_source *mem_source_new(const void *bytes, size_t n);

/* A new folder under $TMPDIR; removed with all it holds by scratch_free. */
char *scratch_new(void);
void scratch_free(char *dir);
/* dir/name in a static buffer (four take turns). */
const char *in_dir(const char *dir, const char *name);
/* The whole file, malloc'ed; NULL when it cannot be read. */
unsigned char *slurp(const char *path, size_t *n);
void spill(const char *path, const void *bytes, size_t n);
/* Entries of a folder but . and .. */
int count_entries(const char *dir);

#endif
