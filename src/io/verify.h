/* verify.h - what a check of a whole file finds: a list of damaged places, filled by any thread. Layer: io. */
#ifndef ST_VERIFY_H
#define ST_VERIFY_H

#include "status.h"

#include <pthread.h>

enum { ST_DAMAGES_MOST = 1000 }; /* that are listed; more are counted */

typedef struct st_damages {
    pthread_mutex_t lock;
    st_damage *list; /* by place */
    size_t n, cap;
    uint64_t total;
    bool failed;             /* no memory for one of them */
    bool checked;            /* nothing was without a checksum */
    const char *compression; /* as st_file_compression */
} st_damages;

st_status st_damages_init(st_damages *d, st_err *err);
void st_damages_free(st_damages *d);
/* Bytes [begin, end) of the plain file are damaged: `why` has the message, and the tensor. */
void st_damages_add(st_damages *d, uint64_t begin, uint64_t end, const st_err *why);
/* When all are in: NOMEM if the list is not whole. */
st_status st_damages_done(const st_damages *d, st_err *err);

#endif
